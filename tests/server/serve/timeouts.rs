//! Clients that are too slow: with a head, with a body, with reading, or idle.

use super::{Case, cases, with};
use crate::common::{
    Client, GET, GET_CLOSE, PAGE, Server, TemporaryFile, assert_same_bytes, timed,
};
use std::time::Duration;

pub(crate) const CASES: &[Case] = cases![
    an_incomplete_head_gets_408,
    a_head_that_drips_gets_408,
    the_second_head_has_its_own_timeout,
    a_silent_client_is_closed,
    an_idle_connection_is_closed,
    the_body_timeout_bounds_the_entire_body,
    a_response_read_below_the_minimum_rate_is_dropped,
    without_a_minimum_rate_progress_is_enough,
    a_client_that_never_reads_is_dropped,
    a_slow_but_steady_reader_is_not_dropped,
];

fn an_incomplete_head_gets_408(flags: &[&str]) {
    let server = Server::start(&with(flags, &["--head-timeout", "300ms"]));
    let mut client = server.connect();
    let (response, took) = timed(|| {
        client.send("GET / HTTP/1.1\r\nHo");
        client.response()
    });
    assert_eq!((response.status, response.closes()), (408, true));
    assert!(took >= Duration::from_millis(250), "{took:?}");
    client.ended();
    let totals = server.end();
    assert!(totals.contains("1 request timeouts"), "{totals}");
}

fn a_head_that_drips_gets_408(flags: &[&str]) {
    let server = Server::start(&with(flags, &["--head-timeout", "600ms"]));
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nX: ");
    let ((), took) = timed(|| {
        while client.is_quiet_for(Duration::from_millis(50)) {
            client.send("y");
        }
    });
    assert_eq!(client.response().status, 408);
    assert!((Duration::from_millis(500)..LATE).contains(&took), "{took:?}");
}

fn the_second_head_has_its_own_timeout(flags: &[&str]) {
    let options = ["--head-timeout", "500ms", "--idle-timeout", "1m"];
    let server = Server::start(&with(flags, &options));
    let mut client = server.connect();
    client.send(GET);
    assert_same_bytes(&client.response().body, PAGE);
    assert!(
        client.is_quiet_for(Duration::from_millis(900)),
        "the head timeout does not run while idle"
    );
    let (response, took) = timed(|| {
        client.send("GET / HTTP/1.1\r\n");
        client.response()
    });
    assert_eq!((response.status, response.closes()), (408, true));
    assert!((Duration::from_millis(450)..LATE).contains(&took), "{took:?}");
}

fn a_silent_client_is_closed(flags: &[&str]) {
    let server = Server::start(&with(flags, &["--head-timeout", "200ms"]));
    // TCP_DEFER_ACCEPT may keep the connection from the server for a second or two (tcp(7)).
    let mut client = server.connect();
    client.ended();
}

fn an_idle_connection_is_closed(flags: &[&str]) {
    let server = Server::start(&with(flags, &["--idle-timeout", "300ms"]));
    let mut client = server.connect();
    client.send(GET);
    let ((), took) = timed(|| {
        assert_same_bytes(&client.response().body, PAGE);
        client.ended();
    });
    assert!((Duration::from_millis(250)..LATE).contains(&took), "{took:?}");
    let totals = server.end();
    assert!(totals.contains("errors: none"), "an idle timeout is not an error: {totals}");
}

/// The timeout runs from the head on, whatever part of the body makes progress.
fn the_body_timeout_bounds_the_entire_body(flags: &[&str]) {
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    for (begin, status) in [
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n".to_owned(), 405),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n".to_owned(), 200),
        (format!("BREW / HTTP/1.1\r\nHost: a\r\n{chunked}4;x="), 501),
        (format!("PUT / HTTP/1.1\r\nHost: a\r\n{chunked}0\r\nX: "), 405),
    ] {
        let server = Server::start(&with(flags, &["--body-timeout", "600ms"]));
        let mut client = server.connect();
        client.send(begin);
        let response = client.response();
        assert_eq!(
            (response.status, response.closes()),
            (status, false),
            "the response doesn't wait for the body"
        );
        let ((), took) = timed(|| {
            while client.is_quiet_for(Duration::from_millis(50)) {
                client.send("y");
            }
        });
        assert!((Duration::from_millis(500)..LATE).contains(&took), "{took:?}");
        client.ended();
        let totals = server.end();
        assert!(
            totals.contains("1 requests, ") && totals.contains("1 request timeouts"),
            "{totals}"
        );
    }
}

/// Progress is not enough: `--min-rate` has to be reached on average.
fn a_response_read_below_the_minimum_rate_is_dropped(flags: &[&str]) {
    let page = large_page();
    let options = ["--page", page.path(), "--min-rate", "100k", "--send-timeout", "1s"];
    let server = Server::start(&with(flags, &options));
    let mut client = server.connect();
    client.send(GET);
    // 10 KB per second, in pauses shorter than the send timeout.
    for _ in 0..40 {
        client.take(1000);
        Client::pause(Duration::from_millis(100));
    }
    let totals = server.end();
    assert!(totals.contains("1 send timeouts"), "{totals}");
}

/// The same client is served with `--min-rate 0`.
fn without_a_minimum_rate_progress_is_enough(flags: &[&str]) {
    let page = large_page();
    let options = ["--page", page.path(), "--min-rate", "0", "--send-timeout", "1s"];
    let options = [&options[..], &["--drain-timeout", "100ms"]].concat();
    let server = Server::start(&with(flags, &options));
    let mut client = server.connect();
    client.send(GET);
    for _ in 0..40 {
        client.take(100_000);
        Client::pause(Duration::from_millis(100));
    }
    let totals = server.end();
    assert!(totals.contains("errors: 1 cut off at the end"), "{totals}");
}

fn a_client_that_never_reads_is_dropped(flags: &[&str]) {
    let page = large_page();
    let options = ["--page", page.path(), "--send-timeout", "300ms", "--spawn", "1"];
    let server = Server::start(&with(flags, &options));
    let mut silent = server.connect();
    silent.send(GET);
    // With one slot, the next client is served after the first connection was dropped.
    let mut next = server.connect();
    next.send("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let (response, took) = timed(|| next.response_to_head());
    assert_eq!(response.status, 200);
    assert!((Duration::from_millis(200)..LATE).contains(&took), "{took:?}");
    next.ended();
    let totals = server.end();
    assert!(totals.contains("1 send timeouts"), "{totals}");
    assert!(totals.contains("at most 1 in flight"), "{totals}");
}

fn a_slow_but_steady_reader_is_not_dropped(flags: &[&str]) {
    let page = large_page();
    let options = ["--page", page.path(), "--send-timeout", "500ms"];
    let server = Server::start(&with(flags, &options));
    let mut client = server.connect();
    client.send(GET_CLOSE);
    // 50 steps of 1 MB and at least 20 ms each: twice the timeout in all.
    let ((), took) = timed(|| {
        for _ in 0..50 {
            client.take(1_000_000);
            Client::pause(Duration::from_millis(20));
        }
    });
    assert!(took > Duration::from_secs(1));
    client.take(100);
}

/// 50 MB: more than the buffers of both sockets hold.
fn large_page() -> TemporaryFile {
    let page = TemporaryFile::vacant("bin");
    let file = std::fs::File::create(page.path()).expect("the temporary directory is writable");
    file.set_len(50_000_000).expect("a hole takes no room");
    page
}

/// No deadline is met this late, even on a busy machine.
const LATE: Duration = Duration::from_secs(8);
