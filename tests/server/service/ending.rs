//! How a service manager, a terminal and a container end the service.

use super::{all_gone, all_processes};
use crate::common::processes::{Process, signal, signal_all, until};
use crate::common::{GET, PAGE, Server, TemporaryFile, assert_same_bytes, pattern};
use std::fs::OpenOptions;
use std::process::{Command, Stdio};

/// A server with responses in progress, the first bytes of which have arrived.
fn in_the_middle_of_responses(wrapper: &[&str], end: impl FnOnce(&Server, &[u32])) {
    let content = pattern(30_000_000);
    let page = TemporaryFile::with("bin", &content);
    let options = ["--page", page.path(), "--workers", "2"];
    let server = Server::start_by(wrapper, &["127.0.0.1:0"], &options);
    let mut clients: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(GET);
        assert_eq!(client.take(1), b"H");
    }
    let processes = all_processes(&server);
    end(&server, &processes);
    for client in &mut clients {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(client.take(1));
        }
        assert_same_bytes(&client.take(content.len()), &content);
        client.ended();
    }
    let exit = server.wait();
    assert_eq!(exit.code, Some(0), "{}", exit.text);
    assert!(exit.text.contains("served 4 connections, 4 requests, "), "{}", exit.text);
    assert!(exit.text.ends_with("errors: none\n"), "{}", exit.text);
    all_gone(&processes);
}

#[test]
fn a_signal_to_all_processes_at_once_begins_the_drain() {
    // systemd.kill(5), `KillMode=control-group`.
    in_the_middle_of_responses(&[], |_, processes| signal_all("TERM", processes));
}

#[test]
fn a_signal_to_the_process_group_begins_the_drain() {
    // Ctrl-C in a terminal.
    in_the_middle_of_responses(&["setsid"], |server, _| {
        signal("INT", -i64::from(server.id()));
    });
}

#[test]
fn the_first_process_of_a_container_waits_for_orphans_and_ends() {
    let namespace = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let probe = Command::new(namespace[0]).args(&namespace[1..]).arg("true").output();
    if !probe.as_ref().is_ok_and(|output| output.status.success()) {
        println!("not tested: unshare(1) can't make a PID namespace here: {probe:?}");
        return;
    }
    let server = Server::start_by(&namespace, &["127.0.0.1:0"], &["--workers", "2"]);
    let [first] = &Process::children_of(server.id())[..] else { panic!("one child of unshare") };
    assert_eq!(first.name, "uringstatic");
    let pid = first.pid.to_string();
    let pipe = TemporaryFile::vacant("pipe");
    assert!(Command::new("mkfifo").arg(&pipe.0).status().is_ok_and(|status| status.success()));
    // The shell ends at once, and its child becomes one of the first process of the namespace.
    let orphan = format!("cat {} > /dev/null &", pipe.path());
    let entered = Command::new("nsenter")
        .args(["--target", &pid, "--pid", "sh", "-c", &orphan])
        .stdin(Stdio::null())
        .status();
    assert!(entered.is_ok_and(|status| status.success()), "nsenter(1) is of util-linux");
    let orphans = || {
        let children = Process::children_of(first.pid);
        children.into_iter().filter(|it| !it.name.starts_with("uringstatic")).count()
    };
    let held = OpenOptions::new().write(true).open(&pipe.0).expect("it is a pipe");
    until("the orphan is a child of the first process", || (orphans() == 1).then_some(()));
    drop(held);
    until("the orphan has ended and was waited for", || (orphans() == 0).then_some(()));
    assert_same_bytes(&server.ask(GET).body, PAGE);
    signal("TERM", first.pid.into());
    let exit = server.wait();
    assert_eq!(exit.code, Some(0), "{}", exit.text);
    assert!(exit.text.contains("served 1 connections, 1 requests, "), "{}", exit.text);
}
