//! SIGHUP: a new generation serves what is in the files by then, and no connection notices.

use super::{Program, all_gone, all_processes, body, reload};
use crate::common::bytes::assert_same_bytes;
use crate::common::processes::until;
use crate::common::{Client, GET, Server, TemporaryFile, TemporaryFolder};
use crate::serve::health::{CHECK, ask, health_address};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn a_changed_page_is_served() {
    let page = TemporaryFile::with("txt", b"the old page");
    let mut server = Server::start(&["--page", page.path(), "--workers", "2"]);
    assert_eq!(server.ask(GET).body, b"the old page");
    std::fs::write(&page.0, "the page after the reload").expect("the file is ours");
    assert_eq!(server.ask(GET).body, b"the old page", "the file was read at start");
    let line = reload(&mut server);
    assert!(line.contains("reloaded: generation 2 serves "), "{line}");
    assert!(line.contains(page.path()), "{line}");
    for _ in 0..4 {
        assert_eq!(server.ask(GET).body, b"the page after the reload");
    }
    let totals = server.end();
    assert!(totals.contains("served 6 connections, 6 requests, "), "{totals}");
}

#[test]
fn a_link_to_the_root_is_resolved_anew() {
    let releases = TemporaryFolder::with(&[("1/index.html", b"one"), ("2/index.html", b"two")]);
    let [current, next] = ["current", "next"].map(|name| Path::new(releases.path()).join(name));
    symlink("1", &current).expect("the folder is ours");
    let mut server = Server::start(&["--root", current.to_str().expect("it is text")]);
    assert_eq!(server.ask(GET).body, b"one");
    symlink("2", &next).expect("the folder is ours");
    std::fs::rename(&next, &current).expect("the folder is ours");
    assert_eq!(server.ask(GET).body, b"one");
    reload(&mut server);
    assert_eq!(server.ask(GET).body, b"two");
    server.end();
}

/// Codings that the program made are those of the previous generation, except of changed files.
#[test]
fn unchanged_files_are_not_compressed_again() {
    let text = |number: usize| format!("file {number}: ").repeat(1000).into_bytes();
    let names: Vec<String> = (0..20).map(|number| format!("{number}.txt")).collect();
    let folder = TemporaryFolder::with(&[]);
    for (number, name) in names.iter().enumerate() {
        folder.add(name, &text(number));
    }
    for engine in ["io_uring", "epoll"] {
        folder.add("7.txt", &text(7));
        let mut server = Server::start(&["--root", folder.path(), "--engine", engine]);
        for (round, number) in [(1, 100), (2, 101)] {
            folder.add("7.txt", &text(number));
            server.signal("HUP");
            let line = server.await_line("uringstatic: read ");
            assert!(line.contains("; 1 of 20 files compressed anew; in "), "{line}");
            server.await_line("reloaded");
            let fresh = Server::start(&["--root", folder.path(), "--engine", engine]);
            for name in &names {
                for coding in ["br", "zstd", "gzip", "identity"] {
                    let request = format!(
                        "GET /{name} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {coding}\r\n\r\n"
                    );
                    let (reloaded, fresh) = (server.ask(&request), fresh.ask(&request));
                    let etag = reloaded.field("ETag");
                    assert_eq!(etag, fresh.field("ETag"), "{round} {name} {coding}");
                    assert_same_bytes(&reloaded.body, &fresh.body);
                }
            }
            fresh.end();
        }
        server.end();
    }
}

#[test]
fn a_replaced_program_is_used() {
    let program = Program::copy();
    let mut server = program.start(&["--workers", "2"]);
    assert_eq!(server.ask(GET).field("X-Build"), None);
    program.replace("exec \"$original\" \"$@\" --header 'X-Build: 2'");
    reload(&mut server);
    for _ in 0..4 {
        assert_eq!(server.ask(GET).field("X-Build"), Some("2"));
    }
    server.end();
}

#[test]
fn an_open_connection_ends_with_one_more_response_from_the_old_site() {
    let page = TemporaryFile::with("txt", b"old");
    let options = ["--page", page.path(), "--reload-grace", "1m", "--workers", "2"];
    let mut server = Server::start(&options);
    let mut open: Vec<_> = (0..6).map(|_| server.connect()).collect();
    for client in &mut open {
        assert_eq!(body(client), (b"old".to_vec(), false));
    }
    let mut begun = server.connect();
    begun.send("GET / HTTP/1.1\r\nHo");
    std::fs::write(&page.0, "new").expect("the file is ours");
    reload(&mut server);
    assert_eq!(body(&mut server.connect()), (b"new".to_vec(), false));
    begun.send("st: a\r\n\r\n");
    let response = begun.response();
    assert_eq!((&response.body[..], response.closes()), (&b"old"[..], true));
    for client in &mut open {
        assert_eq!(body(client), (b"old".to_vec(), true));
        client.ended();
    }
    let totals = server.end();
    assert!(totals.contains("served 8 connections, 14 requests, "), "{totals}");
    assert!(totals.ends_with("errors: none\n"), "{totals}");
}

#[test]
fn idle_connections_are_closed_after_the_grace() {
    let mut server = Server::start(&["--reload-grace", "200ms", "--workers", "2"]);
    let mut idle: Vec<_> = (0..4).map(|_| server.connect()).collect();
    assert!(idle.iter_mut().all(Client::is_served));
    reload(&mut server);
    for client in &mut idle {
        client.ended();
    }
    until("the old workers have ended", || (server.workers().len() == 2).then_some(()));
    let totals = server.end();
    assert!(totals.ends_with("errors: none\n"), "{totals}");
}

#[test]
fn every_worker_is_told_after_the_last_of_two_signals_in_a_row() {
    let page = TemporaryFile::with("txt", b"1");
    let mut server = Server::start(&["--page", page.path()]);
    for round in 0..3 {
        std::fs::write(&page.0, format!("first of {round}")).expect("the file is ours");
        server.signal("HUP");
        let last = format!("last of {round}");
        std::fs::write(&page.0, &last).expect("the file is ours");
        server.signal("HUP");
        until("the last page is served", || {
            (server.ask(GET).body == last.as_bytes()).then_some(())
        });
    }
    server.await_line("reloaded: generation 2");
    server.end();
}

#[test]
fn a_signal_during_a_reload_is_remembered() {
    let program = Program::copy();
    let page = TemporaryFile::with("txt", b"one");
    let mut server = program.start(&["--page", page.path(), "--reload-grace", "0s"]);
    let gate = program.hold_loaders();
    server.signal("HUP");
    let loader = gate.await_loader();
    for _ in 0..3 {
        server.signal("HUP");
        assert_eq!(server.ask(GET).body, b"one", "the old generation serves meanwhile");
    }
    std::fs::write(&page.0, "two").expect("the file is ours");
    drop(loader);
    server.await_line("reloaded: generation 2");
    assert_eq!(server.ask(GET).body, b"two");
    let loader = gate.await_loader();
    std::fs::write(&page.0, "three").expect("the file is ours");
    drop(loader);
    server.await_line("reloaded: generation 3");
    assert_eq!(server.ask(GET).body, b"three");
    let totals = server.end();
    assert!(!totals.contains("reloaded"), "three signals are one more reload: {totals}");
}

#[test]
fn a_signal_to_end_during_a_reload_ends_both_generations() {
    let program = Program::copy();
    let server = program.start(&["--workers", "2"]);
    let gate = program.hold_loaders();
    server.signal("HUP");
    let _loader = gate.await_loader();
    let processes = all_processes(&server);
    assert_eq!(processes.len(), 5, "the supervisor, two loaders and two workers");
    let totals = server.end();
    assert!(totals.contains("served 0 connections"), "{totals}");
    all_gone(&processes);
}

#[test]
fn health_checks_succeed_throughout_reloads() {
    // A probe whose connection was just accepted has the grace to send its request.
    let options = ["--health-listen", "127.0.0.1:0", "--workers", "2"];
    let mut server = Server::start(&options);
    let health = health_address(&server);
    let is_over = AtomicBool::new(false);
    let checks = std::thread::scope(|scope| {
        let probe = scope.spawn(|| {
            let mut checks = 0;
            while !is_over.load(Ordering::Relaxed) {
                assert_eq!(ask(&health, CHECK), (200, "ok\n".to_owned()));
                checks += 1;
            }
            checks
        });
        for _ in 0..5 {
            reload(&mut server);
        }
        is_over.store(true, Ordering::Relaxed);
        probe.join().expect("each check succeeds")
    });
    assert!(checks >= 5, "{checks} checks during 5 reloads");
    server.end();
}

#[test]
fn a_socket_file_stays_throughout_reloads() {
    let file = TemporaryFile::vacant("sock");
    let address = format!("unix:{}", file.path());
    let mut server = Server::start_on(&[&address], &["--workers", "2"]);
    for _ in 0..3 {
        reload(&mut server);
        assert_eq!(server.ask(GET).status, 200);
    }
    server.end();
    assert!(!file.0.exists(), "it is removed at the end");
}
