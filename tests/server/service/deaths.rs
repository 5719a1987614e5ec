//! Processes of the service that die or hang: what is replaced, and what ends with them.

use super::{Program, all_gone, all_processes, kill};
use crate::common::processes::{Process, until};
use crate::common::{Client, GET, PAGE, Server, TemporaryFile, assert_same_bytes};

/// Crashes the worker, and waits until it has ended.
fn crash(server: &Server) {
    let worker = server.worker(0);
    kill("ABRT", worker);
    until("the worker has ended", || Process::of(worker).is_none().then_some(()));
}

#[test]
fn a_killed_worker_is_replaced_and_the_exit_line_counts_it() {
    let mut server = Server::start(&[]);
    for _ in 0..4 {
        let killed = server.worker(0);
        kill("KILL", killed);
        let line = server.await_line("worker 0 ended");
        assert!(line.contains("SIGKILL") && line.contains("it is replaced"), "{line}");
        // The replacement has served when it is killed. Its second request is received in a later
        // turn than the first one, whose numbers have been published by then.
        let mut client = server.connect();
        assert!(client.is_served() && client.is_served());
        assert_ne!(server.worker(0), killed);
    }
    let totals = server.end();
    assert!(totals.contains("; lost: 4 workers with "), "{totals}");
    assert!(totals.contains("served 4 connections, "), "{totals}");
}

#[test]
fn crashes_in_a_row_start_a_new_generation_and_then_end_the_service() {
    let mut server = Server::start(&[]);
    for _ in 0..4 {
        crash(&server);
        let line = server.await_line("worker 0 ended");
        assert!(line.contains("SIGABRT") && line.contains("it is replaced"), "{line}");
        assert_same_bytes(&server.ask(GET).body, PAGE);
    }
    crash(&server);
    server.await_line("again and again; a new generation is started");
    server.await_line("reloaded: generation 2");
    assert_same_bytes(&server.ask(GET).body, PAGE);
    for _ in 0..4 {
        crash(&server);
        server.await_line("worker 0 ended");
        assert_same_bytes(&server.ask(GET).body, PAGE);
    }
    let processes = all_processes(&server);
    crash(&server);
    let exit = server.wait();
    assert_eq!(exit.code, Some(1), "{}", exit.text);
    assert!(exit.text.contains("again and again, also those of a new generation"), "{}", exit.text);
    assert!(exit.text.contains("; lost: 10 workers with "), "{}", exit.text);
    all_gone(&processes);
}

#[test]
fn a_worker_that_dies_without_its_loader_is_replaced_by_a_new_generation() {
    let page = TemporaryFile::with("txt", b"old");
    let mut server = Server::start(&["--page", page.path(), "--workers", "2"]);
    let mut clients: Vec<_> = (0..8).map(|_| server.connect()).collect();
    assert!(clients.iter_mut().all(Client::is_served));
    std::fs::write(&page.0, "new").expect("the file is ours");
    kill("KILL", server.loader());
    let line = server.await_line("the loader ended");
    assert!(line.contains("SIGKILL") && line.contains("the workers go on"), "{line}");
    assert!(clients.iter_mut().all(Client::is_served), "the workers go on");
    assert_eq!(server.ask(GET).body, b"old");
    kill("KILL", server.worker(1));
    server.await_line("reloaded: generation 2");
    assert_eq!(server.ask(GET).body, b"new");
    let totals = server.end();
    assert!(totals.contains("; lost: 1 worker with "), "{totals}");
}

#[test]
fn nothing_outlives_a_killed_supervisor() {
    let file = TemporaryFile::vacant("sock");
    let unix = format!("unix:{}", file.path());
    let addresses = ["127.0.0.1:0", &unix];
    let server = Server::start_on(&addresses, &["--workers", "2"]);
    let mut clients: Vec<_> = (0..4).map(|_| server.connect()).collect();
    assert!(clients.iter_mut().all(Client::is_served));
    let processes = all_processes(&server);
    assert_eq!(processes.len(), 4);
    server.signal("KILL");
    all_gone(&processes);
    assert!(!clients.iter_mut().any(Client::is_served));
    let address = server.addresses[0].clone();
    assert_eq!(server.wait().code, None, "a signal ended it");
    let again = Server::start_on(&[&address, &unix], &[]);
    assert_same_bytes(&again.ask(GET).body, PAGE);
    again.end();
}

#[test]
fn nothing_outlives_a_supervisor_that_is_killed_during_a_reload() {
    let program = Program::copy();
    let server = program.start(&[]);
    let gate = program.hold_loaders();
    server.signal("HUP");
    let held = gate.await_loader();
    let processes = all_processes(&server);
    assert_eq!(processes.len(), 4);
    server.signal("KILL");
    all_gone(&processes);
    drop(held);
}

#[test]
fn a_worker_that_hangs_is_killed_and_replaced() {
    let mut server = Server::start(&["--workers", "2", "--worker-timeout", "1s"]);
    // One at a time and many of them: one worker may take all connections of a burst, or of the
    // time for which the other has no processor.
    let mut clients = Vec::new();
    for _ in 0..200 {
        let mut client = server.connect();
        assert!(client.is_served());
        clients.push(client);
    }
    let hangs = server.worker(0);
    kill("STOP", hangs);
    server.await_line("worker 0 takes no turn within --worker-timeout");
    server.await_line("worker 0 ended");
    let other = server.worker(1);
    clients.retain_mut(Client::is_served);
    assert!((1..200).contains(&clients.len()), "{} connections of one worker", clients.len());
    let next = server.worker(0);
    assert_ne!(next, hangs);
    assert_eq!(server.worker(1), other);
    assert_same_bytes(&server.ask(GET).body, PAGE);
    // An idle worker takes turns only when it is asked to.
    assert!(server.connect().is_quiet_for(std::time::Duration::from_millis(2500)));
    assert_eq!((server.worker(0), server.worker(1)), (next, other));
    server.end();
}
