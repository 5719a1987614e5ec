//! A reload that can't succeed leaves everything as it was, and its reason is one line.

use super::{Program, as_a_user, kill};
use crate::common::{GET, Server, TemporaryFile, TemporaryFolder};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Reloads in vain. The one line about it has this reason, and the same workers go on.
fn is_not_reloaded(server: &mut Server, reason: &str) {
    let pids = |server: &Server| server.workers().iter().map(|it| it.pid).collect::<Vec<_>>();
    let workers = pids(server);
    let mut open = server.connect();
    let before = super::body(&mut open);
    let messages = server.messages.len();
    server.signal("HUP");
    let line = server.await_line("not reloaded");
    assert!(line.contains(reason), "{reason}: {line}");
    // A hint is indented.
    let said = server.messages[messages..].iter().filter(|line| !line.starts_with(' '));
    assert_eq!(said.count(), 1, "one line: {:?}", &server.messages[messages..]);
    assert_eq!(super::body(&mut open), before, "the connection goes on");
    assert_eq!(super::body(&mut server.connect()), before);
    assert_eq!(pids(server), workers);
}

#[test]
fn a_site_that_is_missing_broken_or_unreadable_changes_nothing() {
    let parent = TemporaryFolder::with(&[("site/index.html", b"the site")]);
    let site = Path::new(parent.path()).join("site");
    let root = site.to_str().expect("it is text");
    let options = [&["--root", root, "--strict", "--workers", "2"], as_a_user()].concat();
    let mut server = Server::start(&options);
    assert_eq!(server.ask(GET).body, b"the site");

    let away = Path::new(parent.path()).join("away");
    std::fs::rename(&site, &away).expect("the folder is ours");
    is_not_reloaded(&mut server, root);
    std::fs::rename(&away, &site).expect("the folder is ours");

    parent.add("site/_redirects", b"/from /to 999\n");
    is_not_reloaded(&mut server, "_redirects");
    std::fs::remove_file(site.join("_redirects")).expect("the file is ours");

    let set = |mode| std::fs::set_permissions(&site, Permissions::from_mode(mode));
    set(0).expect("the folder is ours");
    is_not_reloaded(&mut server, "ermission denied");
    set(0o755).expect("the folder is ours");

    parent.add("site/index.html", b"the new site");
    super::reload(&mut server);
    assert_eq!(server.ask(GET).body, b"the new site");
    server.end();
}

#[test]
fn a_page_that_is_missing_or_no_file_changes_nothing() {
    let page = TemporaryFile::with("txt", b"the page");
    let mut server = Server::start(&["--page", page.path()]);
    std::fs::remove_file(&page.0).expect("the file is ours");
    is_not_reloaded(&mut server, page.path());
    std::fs::create_dir(&page.0).expect("the path is free");
    is_not_reloaded(&mut server, page.path());
    std::fs::remove_dir(&page.0).expect("the folder is ours");
    server.end();
}

#[test]
fn a_program_that_fails_changes_nothing() {
    let program = Program::copy();
    let mut server = program.start(&["--workers", "2"]);
    program.replace("exit 3");
    is_not_reloaded(&mut server, "3");
    program.replace("kill -SEGV $$");
    is_not_reloaded(&mut server, "SIGSEGV");
    let set = Permissions::from_mode(0o644);
    std::fs::set_permissions(program.path(), set).expect("the file is ours");
    is_not_reloaded(&mut server, "ermission denied");
    std::fs::remove_file(program.path()).expect("the file is ours");
    is_not_reloaded(&mut server, "No such file");
    program.replace("exec \"$original\" \"$@\"");
    super::reload(&mut server);
    server.end();
}

#[test]
fn a_loader_that_is_killed_while_it_loads_changes_nothing() {
    let program = Program::copy();
    let mut server = program.start(&[]);
    let gate = program.hold_loaders();
    let first = server.loader();
    server.signal("HUP");
    let held = gate.await_loader();
    let children = crate::common::processes::Process::children_of(server.id());
    let is_second = |pid: &u32| *pid != first;
    let mut loaders = children.iter().filter(|it| it.worker_number().is_none()).map(|it| it.pid);
    let second = loaders.find(is_second).expect("there are two loaders");
    kill("KILL", second);
    let line = server.await_line("not reloaded");
    assert!(line.contains("SIGKILL"), "{line}");
    drop(held);
    assert_eq!(server.ask(GET).status, 200);
    assert_eq!(server.loader(), first);
    program.replace("exec \"$original\" \"$@\"");
    super::reload(&mut server);
    server.end();
}
