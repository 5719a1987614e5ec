//! Several workers behind one port, with one connection limit.

use super::kill;
use crate::common::connections::Connections;
use crate::common::{Client, GET, GET_CLOSE, PAGE, Server, assert_same_bytes};
use std::time::Duration;

#[test]
fn the_ready_line_comes_once_and_has_the_number_of_workers() {
    for (options, number) in [
        (&["--workers", "3"][..], "; 3 workers; "),
        (&["--workers", "1"], "; 1 worker; "),
        (&[], "; 1 worker; "),
        (&["--single-process"], "; a single process; "),
    ] {
        let server = Server::start(options);
        assert!(server.ready.contains(number), "{}", server.ready);
        let totals = server.end();
        assert!(!totals.contains("ready on"), "{totals}");
    }
}

#[test]
fn all_workers_serve_from_one_port_and_die_for_themselves() {
    let server = Server::start(&["--workers", "3"]);
    // One at a time and many of them: one worker may take all connections of a burst, or of the
    // time for which the others have no processor.
    let mut clients = Vec::new();
    for _ in 0..300 {
        let mut client = server.connect();
        assert!(client.is_served());
        clients.push(client);
    }
    let before = server.workers();
    assert_eq!(before.len(), 3);
    let mut lost = Vec::new();
    for worker in &before {
        kill("KILL", worker.pid);
        let count = clients.len();
        clients.retain_mut(Client::is_served);
        lost.push(count - clients.len());
    }
    assert!(clients.is_empty(), "{} connections of no worker", clients.len());
    assert!(lost.iter().all(|&count| count > 0), "a worker had no connection: {lost:?}");
    assert_same_bytes(&server.ask(GET).body, PAGE);
    let totals = server.end();
    assert!(totals.contains("; lost: 3 workers with 300 connections"), "{totals}");
}

/// The port of a server.
fn port(server: &Server) -> u16 {
    let (_, port) = server.addresses[0].rsplit_once(':').expect("it listens on TCP");
    port.parse().expect("a port is a number")
}

#[test]
fn the_connection_limit_is_that_of_all_workers_together() {
    for (spawn, workers) in [(4, "2"), (3, "2"), (5, "3"), (2, "2")] {
        let server = Server::start(&["--spawn", &spawn.to_string(), "--workers", workers]);
        // Each of the connections leaves once, as it isn't known which worker has it.
        for leaver in 0..spawn {
            let mut holders: Vec<_> = (0..spawn).map(|_| server.connect()).collect();
            for holder in &mut holders {
                holder.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: ");
            }
            let mut waiting = server.connect();
            waiting.send(GET_CLOSE);
            assert!(waiting.is_quiet_for(Duration::from_millis(100)), "{spawn} are served");
            assert_eq!(Connections::of_port(port(&server)).count(), spawn);
            holders[leaver].send("close\r\n\r\n");
            assert_same_bytes(&holders[leaver].response().body, PAGE);
            assert_same_bytes(&waiting.response().body, PAGE);
            holders.remove(leaver);
            for mut holder in holders {
                holder.send("close\r\n\r\n");
                assert_same_bytes(&holder.response().body, PAGE);
            }
        }
        server.end();
    }
}

#[test]
fn an_idle_connection_makes_room_only_if_all_workers_are_full() {
    let server = Server::start(&["--spawn", "4", "--workers", "2"]);
    for _ in 0..5 {
        let mut idle: Vec<Client> = Vec::new();
        for _ in 0..4 {
            // Connections that have been idle for so long may make room at once.
            Client::pause(Duration::from_millis(150));
            let mut client = server.connect();
            assert!(client.is_served());
            idle.push(client);
            let count = idle.len();
            idle.retain_mut(Client::is_served);
            assert_eq!(idle.len(), count, "a worker had a free slot");
        }
        let mut fifth = server.connect();
        assert!(fifth.is_served());
        idle.retain_mut(Client::is_served);
        // Each worker may have noticed it at the same time.
        assert!((2..4).contains(&idle.len()), "{} connections are left", idle.len());
        assert!(fifth.is_served());
    }
    let totals = server.end();
    assert!(totals.contains("errors: none"), "{totals}");
}

#[test]
fn auto_is_the_number_of_cpus_that_the_service_may_use() {
    let one = ["taskset", "-c", "0"];
    let server = Server::start_by(&one, &["127.0.0.1:0"], &["--workers", "auto"]);
    assert!(server.ready.contains("; 1 worker; "), "{}", server.ready);
    server.end();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let server = Server::start(&["--workers", "auto"]);
    assert_eq!(server.workers().len(), cpus);
    server.end();
}

#[test]
fn workers_are_pinned_to_the_cpus_of_the_list_in_turn() {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        println!("not tested: this process may use one CPU only");
        return;
    }
    let mut server = Server::start(&["--cpu", "1,0", "--workers", "3"]);
    let pinned = |server: &Server| -> Vec<String> {
        let of = |pid| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
            let status = status.expect("the worker serves");
            let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
            line.expect("each process has it").trim().to_owned()
        };
        server.workers().iter().map(|worker| of(worker.pid)).collect()
    };
    assert_eq!(pinned(&server), ["1", "0", "1"]);
    // A replacement inherits the CPU with the number.
    kill("KILL", server.worker(1));
    server.await_line("worker 1 ended");
    let mut client = server.connect();
    assert!(client.is_served());
    super::until("the worker is replaced", || (pinned(&server).len() == 3).then_some(()));
    super::until("each is pinned", || (pinned(&server) == ["1", "0", "1"]).then_some(()));
    server.end();
}
