//! SIGHUP, SIGUSR1 and SIGUSR2, which end a process by default (signal(7)): they reload, or have no
//! effect but a message, and never end the service.

use super::{kill, reload};
use crate::common::{GET, PAGE, Server, TemporaryFile, assert_same_bytes};

#[test]
fn the_built_in_page_is_reloaded() {
    let mut server = Server::start(&[]);
    let line = reload(&mut server);
    assert!(line.contains("reloaded: generation 2 serves the built-in page"), "{line}");
    assert_same_bytes(&server.ask(GET).body, PAGE);
    server.end();
}

#[test]
fn a_signal_to_reload_during_the_drain_has_no_effect_but_a_message() {
    let mut server = Server::start(&[]);
    let mut begun = server.connect();
    begun.send("GET / HTTP/1.1\r\nHo");
    let mut idle = server.connect();
    assert!(idle.is_served());
    server.signal("TERM");
    idle.ended();
    server.signal("HUP");
    server.await_line("not reloaded: the service is ending");
    begun.send("st: a\r\n\r\n");
    assert_same_bytes(&begun.response().body, PAGE);
    let exit = server.wait();
    assert_eq!(exit.code, Some(0), "{}", exit.text);
}

#[test]
fn children_ignore_signals_that_are_for_the_supervisor() {
    let server = Server::start(&[]);
    let (worker, loader) = (server.worker(0), server.loader());
    let mut open = server.connect();
    for signal in ["HUP", "USR1", "USR2", "TERM", "INT"] {
        kill(signal, worker);
        kill(signal, loader);
        assert!(open.is_served(), "SIG{signal} doesn't reach the connections of a worker");
    }
    assert_eq!((server.worker(0), server.loader()), (worker, loader));
    let totals = server.end();
    assert!(totals.ends_with("errors: none\n"), "{totals}");
}

#[test]
fn a_single_process_says_that_it_cannot_reload() {
    let page = TemporaryFile::with("txt", b"the page");
    let of_file = ["--page", page.path()];
    for engine in ["io_uring", "epoll"] {
        for (content, body) in [(&[][..], PAGE), (&of_file, &b"the page"[..])] {
            let options = [&["--single-process", "--engine", engine], content].concat();
            let mut server = Server::start(&options);
            let mut open = server.connect();
            for (name, number) in [("HUP", 1), ("USR1", 10), ("USR2", 12)] {
                server.signal(name);
                let line = server.await_line("has no effect");
                assert!(line.contains(&format!("signal {number} has no effect")), "{line}");
                assert!(open.is_served(), "SIG{name}");
                assert_same_bytes(&server.ask(GET).body, body);
            }
            let totals = server.end();
            assert!(totals.contains("served 4 connections, 6 requests, "), "{totals}");
        }
    }
}

#[test]
fn a_single_process_that_drains_is_not_ended_by_a_signal_to_reload() {
    let mut server = Server::start(&["--single-process"]);
    let mut begun = server.connect();
    begun.send("GET / HTTP/1.1\r\nHo");
    let mut idle = server.connect();
    assert!(idle.is_served());
    server.signal("TERM");
    idle.ended();
    server.signal("HUP");
    server.await_line("signal 1 has no effect");
    begun.send("st: a\r\n\r\n");
    assert_same_bytes(&begun.response().body, PAGE);
    let exit = server.wait();
    assert_eq!(exit.code, Some(0), "{}", exit.text);
}
