//! What a service manager is told by its notification socket (`sd_notify(3)`).

use super::{all_processes, kill};
use crate::common::processes::{Process, until};
use crate::common::{Server, TemporaryFile, TemporaryFolder};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;
use uringstatic::os::privileges::is_root;

/// A manager that receives what a service sends.
struct Manager {
    socket: UnixDatagram,
    variable: String,
    _path: TemporaryFile,
}

impl Manager {
    fn new() -> Self {
        let path = TemporaryFile::vacant("notify");
        let socket = UnixDatagram::bind(path.path()).expect("the path is vacant");
        let variable = format!("NOTIFY_SOCKET={}", path.path());
        Self { socket, variable, _path: path }
    }

    /// Starts the server with these variables besides.
    fn start(&self, variables: &[&str], options: &[&str]) -> Server {
        let words = [&["env", &self.variable], variables].concat();
        Server::start_by(&words, &["127.0.0.1:0"], options)
    }

    /// The next message, if one comes within the time.
    fn message_within(&self, time: Duration) -> Option<Vec<String>> {
        let mut place = [0; 8192];
        self.socket.set_read_timeout(Some(time)).expect("the time isn't zero");
        let len = self.socket.recv(&mut place).ok()?;
        let text = std::str::from_utf8(&place[..len]).expect("a message is text");
        Some(text.lines().map(str::to_owned).collect())
    }

    fn message(&self) -> Vec<String> {
        self.message_within(Duration::from_secs(20)).expect("a message comes")
    }

    /// The messages of a reload: the generation that serves afterwards is that of the status.
    fn expect_reload(&self, before: &str, after: &str) {
        let begin = self.message();
        let [reloading, clock, status] = &begin[..] else { panic!("{begin:?}") };
        assert_eq!(reloading, "RELOADING=1");
        let clock = clock.strip_prefix("MONOTONIC_USEC=").and_then(|it| it.parse::<u64>().ok());
        assert!(clock > Some(0), "{begin:?}");
        assert_eq!(*status, format!("STATUS=reloading; {before}"));
        assert_eq!(self.message(), ["READY=1", &format!("STATUS={after}")]);
    }
}

#[test]
fn manager_learns_of_the_start_of_reloads_and_of_the_end() {
    let manager = Manager::new();
    let folder = TemporaryFolder::with(&[("site/index.html", b"one")]);
    let site = format!("{}/site", folder.path());
    let mut server = manager.start(&[], &["--root", &site, "--workers", "2"]);
    assert_eq!(manager.message(), ["STATUS=starting: the content is read"]);
    let line_of = |generation: u32| format!("generation {generation}: 2 workers serve {site}");
    let ready = manager.message();
    assert_eq!(ready[0], "READY=1");
    // The ready line has the number of files behind the path.
    let serving = ready[1].strip_prefix("STATUS=").expect("it has a status");
    assert!(serving.starts_with(&line_of(1)), "{serving}");
    let rest = serving.strip_prefix(&line_of(1)).expect("it begins so");

    server.signal("HUP");
    server.await_line("reloaded: generation 2");
    let second = format!("{}{rest}", line_of(2));
    manager.expect_reload(serving, &second);

    fs::rename(&site, format!("{site}.moved")).expect("it is there");
    server.signal("HUP");
    server.await_line("not reloaded");
    let why = format!("reading the root {site}: No such file or directory (os error 2); ");
    let begin = manager.message();
    assert_eq!(begin[0], "RELOADING=1");
    let end = manager.message();
    assert_eq!(end[0], "READY=1");
    assert!(end[1].starts_with(&format!("STATUS=not reloaded: {why}")), "{end:?}");
    assert!(end[1].ends_with(&format!("; {second}")), "{end:?}");

    server.signal("TERM");
    assert_eq!(manager.message(), ["STOPPING=1", "STATUS=draining"]);
    let exit = server.wait();
    assert_eq!(exit.code, Some(0), "{}", exit.text);
    assert_eq!(manager.message_within(Duration::from_millis(1)), None, "nothing else was sent");
}

#[test]
fn children_have_no_socket_of_the_manager() {
    if !is_root() {
        // The processes of another user keep to themselves what they have open.
        return;
    }
    for options in [&[][..], &["--no-lockdown", "--allow-root"]] {
        let manager = Manager::new();
        let server = manager.start(&[], options);
        let has_datagrams: Vec<_> =
            all_processes(&server).iter().map(|&process| has_datagrams(process)).collect();
        assert_eq!(has_datagrams, [true, false, false], "supervisor, loader, worker: {options:?}");
        server.end();
    }
}

/// Whether a process has a datagram socket of the Unix domain open.
fn has_datagrams(process: u32) -> bool {
    let table = fs::read_to_string("/proc/net/unix").expect("the kernel has the table");
    let datagrams: BTreeSet<String> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.get(4) == Some(&"0002"))
        .map(|words| format!("socket:[{}]", words[6]))
        .collect();
    let open = fs::read_dir(format!("/proc/{process}/fd")).expect("root may list them");
    open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .any(|link| datagrams.contains(&link.to_string_lossy().into_owned()))
}

#[test]
fn sign_of_life_is_sent_only_while_every_worker_takes_turns() {
    let manager = Manager::new();
    let period = Duration::from_secs(1);
    let options = ["--workers", "2", "--worker-timeout", "0s"];
    let server = manager.start(&["WATCHDOG_USEC=1000000"], &options);
    let next_sign =
        || until("a sign comes", || (manager.message() == ["WATCHDOG=1"]).then_some(()));
    for _ in 0..6 {
        next_sign();
    }
    let worker = server.worker(1);
    kill("STOP", worker);
    until("no sign comes", || manager.message_within(2 * period).is_none().then_some(()));
    kill("CONT", worker);
    for _ in 0..3 {
        next_sign();
    }
    server.end();
}

#[test]
fn worker_that_hangs_is_replaced_before_the_watchdog_minds() {
    let manager = Manager::new();
    let options = ["--workers", "2", "--worker-timeout", "1s"];
    let mut server = manager.start(&["WATCHDOG_USEC=20000000"], &options);
    kill("STOP", server.worker(1));
    server.await_line("worker 1 takes no turn");
    server.await_line("it is replaced at once");
    until("the worker is replaced", || server.workers().iter().all(runs).then_some(()));
    server.end();
}

fn runs(process: &Process) -> bool {
    !process.is_stopped()
}

#[test]
fn service_without_a_reachable_manager_says_so_and_serves() {
    let variable = "NOTIFY_SOCKET=/nonexistent/notify";
    let server = Server::start_by(&["env", variable], &["127.0.0.1:0"], &[]);
    let messages = server.messages.join("\n");
    assert!(messages.contains("notifying the service manager (NOTIFY_SOCKET): "), "{messages}");
    assert_eq!(server.ask(crate::common::GET).status, 200);
    server.end();
}
