//! The processes of a running service, looked at from outside.

use crate::common::{GET_CLOSE, Server, TemporaryFolder};
use crate::process::{ANY, Attack, Outcome, ensure};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use uringstatic::os::privileges::is_root;
use uringstatic::sandbox::{Layer, ProcessKind};

/// The processes of a server that serve.
pub(crate) fn workers_of(server: &Server) -> Vec<u32> {
    children_of(server, "uringstatic-w")
}

/// The children of a server whose names begin with these words.
fn children_of(server: &Server, name: &str) -> Vec<u32> {
    let id = server.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).expect("it lives");
    let is_named = |process: &u32| {
        let found = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
        found.starts_with(name)
    };
    children.split_whitespace().filter_map(|id| id.parse().ok()).filter(is_named).collect()
}

/// The kernel's list of a worker's mappings has two of the memory file: its page, which is mapped
/// twice at most, for reading and writing; and all of it, for reading.
pub(crate) fn scoreboard() -> Result<String, String> {
    // No layer is needed for this one: the file was opened for reading.
    let layers = Layer::ALL.map(Layer::name);
    let attack = Attack::new(ProcessKind::Worker, "make the whole scoreboard writable");
    let found = Attack { without: &layers, ..attack }.outcome();
    ensure(found == Outcome::Refused(libc::EACCES), || format!("it comes to {found:?}"))?;
    if !is_root() {
        return Ok("only root sees the mappings of a worker".to_owned());
    }
    let server = Server::start(&["--workers", "3"]);
    let workers = workers_of(&server);
    ensure(workers.len() == 3, || format!("{workers:?}"))?;
    let mut own = Vec::new();
    for worker in workers {
        let maps = fs::read_to_string(format!("/proc/{worker}/maps")).expect("it lives");
        let of_file: Vec<_> = maps.lines().filter(|line| line.contains("memfd:")).collect();
        let places: Vec<_> = of_file
            .iter()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|words| words[1] != "r--s")
            .map(|words| (words[0].to_owned(), words[1].to_owned(), words[2].to_owned()))
            .collect();
        let is_page = |(range, permissions, _): &(String, String, String)| {
            let ends = range.split('-').map(|end| u64::from_str_radix(end, 16).unwrap_or(0));
            let ends: Vec<u64> = ends.collect();
            permissions == "rw-s" && ends[1] - ends[0] == 4096
        };
        let offset = places.first().map(|(_, _, offset)| offset.clone());
        let is_own = !places.is_empty()
            && places.iter().all(|place| is_page(place) && Some(&place.2) == offset.as_ref());
        ensure(is_own && of_file.len() > places.len(), || format!("{of_file:?}"))?;
        own.extend(offset);
    }
    server.end();
    own.sort();
    own.dedup();
    ensure(own.len() == 3 && !own.iter().any(|offset| offset == "00000000"), || {
        format!("{own:?}")
    })?;
    Ok(format!("each of 3 workers has its own: {}", own.join(", ")))
}

/// The kernel's lists of the mappings and descriptors of an admin process.
pub(crate) fn admin() -> Result<String, String> {
    if !is_root() {
        return Ok("only root sees the mappings of an admin process".to_owned());
    }
    let mut all = Vec::new();
    for (engine, parts) in
        [("io_uring", &["[io_uring]", "[signalfd]"]), ("epoll", &["[eventpoll]", "[signalfd]"])]
    {
        let server = Server::start(&["--admin", ANY, "--engine", engine]);
        let processes = children_of(&server, "uringstatic-adm");
        let [admin] = processes[..] else { return Err(format!("{processes:?}")) };
        let maps = fs::read_to_string(format!("/proc/{admin}/maps")).expect("it lives");
        let of_file: Vec<_> = maps.lines().filter(|line| line.contains("memfd:")).collect();
        let is_read_only = |line: &&str| line.split_whitespace().nth(1) == Some("r--s");
        ensure(of_file.iter().filter(|line| is_read_only(line)).count() == 1, || maps.clone())?;
        ensure(of_file.iter().all(is_read_only), || format!("{of_file:?}"))?;
        all.extend(descriptors_of(admin, parts)?);
        server.end();
    }
    all.sort();
    all.dedup();
    Ok(format!("one mapping for reading; {}", all.join(", ")))
}

/// The kernel's lists of the descriptors of workers.
pub(crate) fn descriptors() -> Result<String, String> {
    if !is_root() {
        return Ok("only root sees the descriptors of a worker".to_owned());
    }
    let mut all = Vec::new();
    for (engine, parts) in
        [("io_uring", &["[io_uring]", "[signalfd]"]), ("epoll", &["[eventpoll]", "[signalfd]"])]
    {
        let server = Server::start(&["--workers", "2", "--engine", engine]);
        for worker in workers_of(&server) {
            all.extend(descriptors_of(worker, parts)?);
        }
        server.end();
    }
    all.sort();
    all.dedup();
    Ok(all.join(", "))
}

/// The kinds of the descriptors of a worker, if it has no anonymous ones but these.
fn descriptors_of(worker: u32, anonymous: &[&str]) -> Result<Vec<String>, String> {
    let mut kinds = Vec::new();
    for entry in fs::read_dir(format!("/proc/{worker}/fd")).expect("it lives") {
        let target = fs::read_link(entry.expect("it lives").path()).expect("it's open");
        let target = target.to_string_lossy().into_owned();
        let (kind, which) = target.split_once(':').unwrap_or((&target, ""));
        let is_expected = match kind {
            "anon_inode" => anonymous.contains(&which),
            kind => matches!(kind, "socket" | "pipe" | "/dev/null"),
        };
        ensure(is_expected, || format!("{target} is open"))?;
        kinds.push(if kind == "anon_inode" { which.to_owned() } else { kind.to_owned() });
    }
    Ok(kinds)
}

/// A reload starts a second loader from within the sandbox.
pub(crate) fn users() -> Result<String, String> {
    let plain = ["setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups"];
    let namespace = ["unshare", "--map-root-user", "--user"];
    // Root without capabilities may not pass through a folder of another user.
    let home = TemporaryFolder::with(&[]);
    let exec = format!("exec {}/uringstatic \"$@\"", home.path());
    let from_home = ["sh", "-c", &exec];
    let mut starts: Vec<(&[&str], &[&str])> = vec![(&[], &[])];
    if is_root() {
        let there = Path::new(home.path()).join("uringstatic");
        fs::copy(env!("CARGO_BIN_EXE_uringstatic"), there).expect("there is space");
        let permissions = fs::Permissions::from_mode(0o700);
        fs::set_permissions(home.path(), permissions).expect("it is this test's");
        chown(home.path(), Some(54_322), Some(54_322)).expect("root may");
        starts.extend([(&plain[..], &[][..]), (&namespace, &["--allow-root"]), (&from_home, &[])]);
    }
    for (wrapper, options) in &starts {
        let mut server = Server::start_by(wrapper, &[ANY], options);
        let before = server.ask(GET_CLOSE).status;
        server.signal("HUP");
        let line = server.line().unwrap_or_default();
        ensure(line.contains("reloaded: generation 2"), || format!("{wrapper:?}: {line}"))?;
        let after = server.ask(GET_CLOSE).status;
        server.end();
        ensure((before, after) == (200, 200), || format!("{wrapper:?}: {before}, {after}"))?;
    }
    Ok(format!("{} kinds of starts, each with a reload", starts.len()))
}
