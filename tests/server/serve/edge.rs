//! Conformance at the edge of HTTP: queries as browsers send them, lengths at the limit of
//! integers, and last responses that can be read by a client that still sends. Each table has the
//! authority beside each row.

use super::{Case, cases, with};
use crate::common::{
    GET, PAGE, Server, TemporaryFile, TemporaryFolder, assert_same_bytes, pattern,
};
use std::time::Duration;

pub(crate) const CASES: &[Case] = cases![
    a_query_is_taken_as_browsers_send_it,
    a_redirect_has_the_query_as_it_was_sent,
    a_length_is_a_number_that_all_recipients_can_hold,
    a_response_does_not_wait_for_a_body_that_is_not_kept,
    the_last_response_can_be_read_by_a_client_that_sends_first,
    a_long_response_can_be_read_by_a_client_that_sends_first,
    a_client_that_lingers_gives_way_to_one_that_waits,
];

/// A target, the status, and the authority.
const TARGETS: &[(&str, u16, &str)] = &[
    ("/?utm_source=footer%", 200, "URL standard, query state: `%` is a validation error at most"),
    ("/?q=%", 200, "URL standard, query state"),
    ("/?a=50%&b", 200, "URL standard, query state"),
    ("/?%zz", 200, "URL standard, query state"),
    ("/?%", 200, "URL standard, query state"),
    ("/?a%2", 200, "URL standard, query state"),
    ("/?%%%", 200, "URL standard, query state"),
    ("/?%41=%C3%A4", 200, "RFC 3986 3.4"),
    ("/?", 200, "RFC 3986 3.4"),
    ("/?a=b?c/d:@", 200, "RFC 3986 3.4"),
    ("http://a/?q=%", 200, "RFC 9112 3.2.2, URL standard, query state"),
    ("/?a b", 400, "RFC 9112 3: whitespace isn't part of a target"),
    ("/?<", 400, "URL standard: browsers encode it (query percent-encode set)"),
    ("/?a#b", 400, "RFC 9112 3.2: a fragment isn't part of a target"),
    ("/%", 400, "RFC 3986 2.1"),
    ("/%?a", 400, "RFC 3986 2.1"),
    ("/50%/a", 400, "RFC 3986 2.1"),
    ("/%zz?q=%41", 400, "RFC 3986 2.1"),
];

fn a_query_is_taken_as_browsers_send_it(flags: &[&str]) {
    let server = Server::start(flags);
    for (target, status, authority) in TARGETS {
        let response = server.ask(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(response.status, *status, "{target}: {authority}");
    }
}

fn a_redirect_has_the_query_as_it_was_sent(flags: &[&str]) {
    let folder = TemporaryFolder::with(&[("docs/index.html", b"docs"), ("index.html", b"home")]);
    let server = Server::start(&with(flags, &["--root", folder.path()]));
    for query in ["q=50%", "%", "%zz&a=%C3%A4", "a=%25%"] {
        let response = server.ask(format!("GET /docs?{query} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let location = response.field("Location").expect("a folder is named with its slash");
        assert!(location.ends_with(&format!("docs/?{query}")), "{location}");
    }
}

/// `Content-Length` of a POST, the status, and the authority.
const LENGTHS: &[(&str, u16, &str)] = &[
    ("0", 405, "RFC 9110 8.6"),
    ("0000000000000000000000000000000000000005", 405, "RFC 9110 8.6: 1*DIGIT"),
    ("65537", 405, "RFC 9110 8.6"),
    ("4294967296", 405, "RFC 9110 8.6"),
    ("9223372036854775807", 405, "RFC 9110 8.6"),
    ("9223372036854775808", 400, "RFC 9110 8.6: no integer conversion may overflow"),
    ("18446744073709551615", 400, "RFC 9110 8.6: no integer conversion may overflow"),
    ("18446744073709551616", 400, "RFC 9110 8.6: no integer conversion may overflow"),
    ("36893488147419103237", 400, "RFC 9110 8.6: 2^65 + 5 isn't 5"),
    ("-1", 400, "RFC 9110 8.6: 1*DIGIT"),
    ("5,5", 400, "RFC 9110 8.6: a list may be refused"),
    ("0x5", 400, "RFC 9110 8.6: 1*DIGIT"),
    ("", 400, "RFC 9110 8.6: 1*DIGIT"),
];

fn a_length_is_a_number_that_all_recipients_can_hold(flags: &[&str]) {
    let server = Server::start(flags);
    for (length, status, authority) in LENGTHS {
        // The response doesn't wait for the body, of which no byte is sent.
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        let response = server.ask(head);
        assert_eq!(response.status, *status, "{length:?}: {authority}");
    }
}

fn a_response_does_not_wait_for_a_body_that_is_not_kept(flags: &[&str]) {
    let server = Server::start(flags);
    for field in [
        "Content-Length: 65537",
        "Content-Length: 9223372036854775807",
        "Content-Length: 5\r\nExpect: 100-continue",
        "Transfer-Encoding: chunked\r\nExpect: 100-continue",
    ] {
        for (method, status) in [("POST", 405), ("GET", 200), ("BREW", 501)] {
            let mut client = server.connect();
            client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n"));
            let response = client.response();
            // RFC 9112 9.6: the response that ends the connection says so, and ends the stream.
            assert_eq!((response.status, response.closes()), (status, true), "{method} {field}");
            client.ended();
        }
    }
}

/// A request, behind which its client goes on sending, the status, and the authority.
const UPLOADS: &[(&str, u16, &str)] = &[
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4194304\r\n\r\n", 405, "RFC 9112 9.6"),
    ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4194304\r\n\r\n", 200, "RFC 9110 9.3.1"),
    ("FROB / HTTP/1.1\r\nHost: a\r\nContent-Length: 4194304\r\n\r\n", 501, "RFC 9110 9.1"),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n",
        405,
        "RFC 9112 9.6",
    ),
    ("POST / HTTP/1.0\r\nContent-Length: 4194304\r\n\r\n", 405, "RFC 9112 9.3: no persistence"),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n",
        405,
        "RFC 9112 7.1: a chunk without end",
    ),
    (
        "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4194304\r\n\r\n",
        405,
        "RFC 9110 10.1.1: the client need not wait",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4194304\r\n\r\n",
        405,
        "RFC 9112 9.6",
    ),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200, "RFC 9112 9.6"),
    ("GET / HTTP/1.0\r\n\r\n", 200, "RFC 9112 9.6"),
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "RFC 9112 5.1"),
    ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505, "RFC 9112 2.3"),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n",
        400,
        "RFC 9110 8.6",
    ),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n", 501, "RFC 9112 6.1"),
    ("PUT / HTTP/1.1\r\nHost: a\r\nExpect: the-unexpected\r\n\r\n", 417, "RFC 9110 10.1.1"),
];

/// A client that reads nothing before it has sent 4 MB: a reset would fail its sends, or destroy
/// the response.
fn the_last_response_can_be_read_by_a_client_that_sends_first(flags: &[&str]) {
    let server = Server::start(flags);
    let megabytes = vec![b'z'; 4 << 20];
    for (request, status, authority) in UPLOADS {
        let mut client = server.connect();
        client.send([request.as_bytes(), &megabytes].concat());
        let response = client.response();
        assert_eq!(response.status, *status, "{request:?}: {authority}");
        client.ended();
        // The stream has ended in one direction only: the server still drops bytes.
        client.send(&megabytes);
    }
    // Also behind requests that were answered on the same connection.
    let mut client = server.connect();
    for _ in 0..3 {
        client.send(GET);
        assert_same_bytes(&client.response().body, PAGE);
    }
    client.send([UPLOADS[0].0.as_bytes(), &megabytes].concat());
    assert_eq!(client.response().status, 405);
    client.ended();
    client.send(&megabytes);
    let totals = server.end();
    assert!(!totals.contains("resets"), "{totals}");
}

/// The response doesn't fit into the sockets' buffers, and neither do the bytes of the client: each
/// side would wait for the other to read (RFC 9112 9.6).
fn a_long_response_can_be_read_by_a_client_that_sends_first(flags: &[&str]) {
    let content = pattern(30_000_000);
    let page = TemporaryFile::with("bin", &content);
    let server = Server::start(&with(flags, &["--page", page.path()]));
    for length in ["Content-Length: 30000000", "Transfer-Encoding: chunked"] {
        let mut client = server.connect();
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{length}\r\nConnection: close\r\n\r\n");
        client.send([head.as_bytes(), b"1c9c380\r\n", &content].concat());
        assert_same_bytes(&client.response().body, &content);
        client.ended();
    }
}

/// The only slot is held by a client that goes on sending behind its last response, for longer than
/// another one waits.
fn a_client_that_lingers_gives_way_to_one_that_waits(flags: &[&str]) {
    for bytes in ["y".to_owned(), "y".repeat(16 * 1024)] {
        let server = Server::start(&with(flags, &["--spawn", "1"]));
        let mut lingering = server.connect();
        lingering.send(UPLOADS[0].0);
        assert_eq!(lingering.response().status, 405);
        lingering.ended();
        let mut waiting = server.connect();
        waiting.send(GET);
        while waiting.is_quiet_for(Duration::from_millis(100)) {
            // The server may have closed.
            let _ = lingering.try_send(&bytes);
        }
        assert_same_bytes(&waiting.response().body, PAGE);
        let totals = server.end();
        assert!(totals.contains("2 connections, 2 requests, "), "{totals}");
    }
}
