//! The drain: SIGTERM and SIGINT, and the connections that are open at that time.

use super::health::{CHECK, ask, health_address};
use super::{Case, cases, with};
use crate::common::{
    GET, GET_CLOSE, PAGE, Server, TemporaryFile, TemporaryFolder, assert_same_bytes, pattern, timed,
};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

pub(crate) const CASES: &[Case] = cases![
    a_signal_without_connections_ends_the_server,
    a_closed_standard_error_does_not_change_the_exit_code,
    responses_in_progress_are_finished,
    a_draining_server_refuses_new_connections,
    connections_in_the_backlog_are_reset,
    a_request_whose_head_has_begun_is_answered,
    the_drain_timeout_ends_the_drain,
    a_second_signal_ends_the_server_at_once,
    connections_are_served_as_before_during_the_drain_delay,
    health_path_answers_503_during_the_drain_delay,
    the_drain_begins_after_the_drain_delay,
    the_end_of_the_drain_delay_wakes_a_server_without_connections,
];

fn a_signal_without_connections_ends_the_server(flags: &[&str]) {
    for signal in ["TERM", "INT"] {
        let server = Server::start(flags);
        assert_same_bytes(&server.ask(GET_CLOSE).body, PAGE);
        server.signal(signal);
        let exit = server.wait();
        assert_eq!(exit.code, Some(0), "{}", exit.text);
        let begin = "uringstatic: served 1 connections, 1 requests, ";
        assert!(exit.text.starts_with(begin), "{}", exit.text);
        assert!(exit.text.ends_with("at most 1 in flight; errors: none\n"), "{}", exit.text);
    }
}

fn a_closed_standard_error_does_not_change_the_exit_code(flags: &[&str]) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_uringstatic"))
        .args(with(flags, &["--listen", "127.0.0.1:0"]))
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be started");
    let mut stderr = BufReader::new(program.stderr.take().expect("stderr is piped"));
    let mut ready = String::new();
    stderr.read_line(&mut ready).expect("the program says when it is ready");
    drop(stderr);
    let kill = format!("kill -TERM {}", program.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().expect("there is a shell").success());
    let status = program.wait().expect("the program can be waited for");
    assert_eq!(status.code(), Some(0), "{status}");
}

fn responses_in_progress_are_finished(flags: &[&str]) {
    let content = pattern(30_000_000);
    let page = TemporaryFile::with("bin", &content);
    let server = Server::start(&with(flags, &["--page", page.path()]));
    let mut idle = server.connect();
    idle.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(idle.response_to_head().status, 200);
    let mut reader = server.connect();
    reader.send(GET);
    let mut begin = reader.take(1);
    server.signal("TERM");
    idle.ended();
    let head = loop {
        begin.extend(reader.take(1));
        if begin.ends_with(b"\r\n\r\n") {
            break String::from_utf8(begin).expect("heads are text");
        }
    };
    assert!(head.contains("Content-Length: 30000000\r\n"), "{head}");
    assert_same_bytes(&reader.take(content.len()), &content);
    reader.ended();
    let exit = server.wait();
    assert_eq!(exit.code, Some(0), "{}", exit.text);
    assert!(exit.text.contains("2 connections, 2 requests, "), "{}", exit.text);
    assert!(exit.text.ends_with("at most 2 in flight; errors: none\n"), "{}", exit.text);
}

fn a_draining_server_refuses_new_connections(flags: &[&str]) {
    let server = Server::start(flags);
    let mut begun = server.connect();
    begun.send("GET / HTTP/1.1\r\nHo");
    server.signal("TERM");
    while TcpStream::connect(&server.addresses[0]).is_ok() {
        assert!(
            begun.is_quiet_for(Duration::from_millis(10)),
            "the connection stays open during the drain"
        );
    }
    begun.send("st: a\r\n\r\n");
    assert_same_bytes(&begun.response().body, PAGE);
    let exit = server.wait();
    assert_eq!(exit.code, Some(0), "{}", exit.text);
}

/// With every slot taken, the listener is polled and not accepted from.
fn connections_in_the_backlog_are_reset(flags: &[&str]) {
    let server = Server::start(&with(flags, &["--spawn", "1", "--without", "defer-accept"]));
    let mut begun = server.connect();
    begun.send("GET / HTTP/1.1\r\nHo");
    let mut queued = TcpStream::connect(&server.addresses[0]).expect("the backlog has room");
    server.signal("TERM");
    let outcome = queued.read(&mut [0]).expect_err("the connection is never accepted");
    assert_eq!(outcome.kind(), ErrorKind::ConnectionReset, "{outcome}");
    begun.send("st: a\r\n\r\n");
    assert_same_bytes(&begun.response().body, PAGE);
    let exit = server.wait();
    assert_eq!(exit.code, Some(0), "{}", exit.text);
    assert!(exit.text.ends_with("at most 1 in flight; errors: none\n"), "{}", exit.text);
}

/// Sends SIGTERM while one connection is idle and one is within a head: the first is closed, and
/// the second gets its response, which is the last.
fn end_with_a_begun_request(server: &Server) {
    let mut begun = server.connect();
    begun.send("GET / HTTP/1.1\r\nHo");
    let mut idle = server.connect();
    idle.send(GET);
    assert_same_bytes(&idle.response().body, PAGE);
    server.signal("TERM");
    idle.ended();
    begun.send("st: a\r\n\r\n");
    let response = begun.response();
    assert_same_bytes(&response.body, PAGE);
    assert!(response.closes(), "it is the last: {}", response.head);
    begun.ended();
}

fn a_request_whose_head_has_begun_is_answered(flags: &[&str]) {
    let server = Server::start(flags);
    end_with_a_begun_request(&server);
    let exit = server.wait();
    assert_eq!(exit.code, Some(0), "{}", exit.text);
}

fn the_drain_timeout_ends_the_drain(flags: &[&str]) {
    let server = Server::start(&with(flags, &["--drain-timeout", "300ms"]));
    let mut begun = server.connect();
    begun.send("GET / HTTP/1.1\r\nHo");
    let mut idle = server.connect();
    idle.send(GET);
    assert_same_bytes(&idle.response().body, PAGE);
    let (exit, took) = timed(|| {
        server.signal("TERM");
        server.wait()
    });
    assert_eq!(exit.code, Some(0), "{}", exit.text);
    assert!(exit.text.ends_with("errors: 1 cut off at the end\n"), "{}", exit.text);
    assert!((Duration::from_millis(250)..Duration::from_secs(8)).contains(&took), "{took:?}");
}

fn a_second_signal_ends_the_server_at_once(flags: &[&str]) {
    let server = Server::start(flags);
    let mut begun = server.connect();
    begun.send("GET / HTTP/1.1\r\nHo");
    let mut idle = server.connect();
    idle.send(GET);
    assert_same_bytes(&idle.response().body, PAGE);
    server.signal("TERM");
    idle.ended();
    let (exit, took) = timed(|| {
        server.signal("TERM");
        server.wait()
    });
    assert_eq!(exit.code, Some(143), "128 + SIGTERM: {}", exit.text);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

/// The delay is longer than the case takes; a second signal ends it.
fn connections_are_served_as_before_during_the_drain_delay(flags: &[&str]) {
    let options = ["--health-listen", "127.0.0.1:0", "--drain-delay", "1m"];
    let server = Server::start(&with(flags, &options));
    let health = health_address(&server);
    let mut open = server.connect();
    open.send(GET);
    assert_same_bytes(&open.response().body, PAGE);
    assert_eq!(ask(&health, CHECK).0, 200);
    server.signal("TERM");
    while ask(&health, CHECK).0 == 200 {}
    // More than there are accepts in flight, so that accepts must have been armed during the delay.
    let mut clients: Vec<_> = (0..8).map(|_| server.connect()).collect();
    clients.push(open);
    for client in &mut clients {
        for _ in 0..2 {
            client.send(GET);
            let response = client.response();
            assert_same_bytes(&response.body, PAGE);
            assert!(!response.closes(), "{}", response.head);
        }
    }
    assert_eq!(ask(&health, CHECK), (503, "draining\n".to_owned()));
    server.signal("INT");
    let exit = server.wait();
    assert_eq!(exit.code, Some(130), "128 + SIGINT: {}", exit.text);
}

fn health_path_answers_503_during_the_drain_delay(flags: &[&str]) {
    let folder = TemporaryFolder::with(&[("index.html", b"a page")]);
    let options = ["--root", folder.path(), "--health", "/up", "--drain-delay", "1m"];
    let server = Server::start(&with(flags, &options));
    let mut probe = server.connect();
    let mut check = || {
        probe.send("GET /up HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = probe.response();
        assert!(!response.closes(), "{}", response.head);
        response.status
    };
    assert_eq!(check(), 200);
    server.signal("TERM");
    while check() == 200 {}
    assert_eq!(check(), 503);
    assert_eq!(server.ask("GET /up HTTP/1.1\r\nHost: a\r\n\r\n").status, 503);
}

fn the_drain_begins_after_the_drain_delay(flags: &[&str]) {
    let server = Server::start(&with(flags, &["--drain-delay", "300ms"]));
    end_with_a_begun_request(&server);
    let exit = server.wait();
    assert_eq!(exit.code, Some(0), "{}", exit.text);
}

fn the_end_of_the_drain_delay_wakes_a_server_without_connections(flags: &[&str]) {
    let server = Server::start(&with(flags, &["--drain-delay", "300ms"]));
    server.signal("TERM");
    let exit = server.wait();
    assert_eq!(exit.code, Some(0), "{}", exit.text);
}
