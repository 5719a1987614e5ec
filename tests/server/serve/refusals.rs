//! Requests that are refused, each with its exact status, and bodies, which are discarded.

use super::{Case, cases, with};
use crate::common::{GET, PAGE, Response, Server, assert_same_bytes};

pub(crate) const CASES: &[Case] = cases![
    malformed_requests_get_their_exact_status,
    refused_methods_keep_the_connection,
    error_pages_echo_nothing_of_the_request,
    target_and_head_over_the_limit_get_414_and_431,
    a_refusal_arrives_while_the_client_still_sends,
    bodies_are_never_read_as_requests,
    chunked_bodies_are_framed,
    a_body_over_64_kib_closes_after_the_response,
    expect_100_continue_gets_a_final_response,
    valid_requests_before_garbage_are_answered,
];

/// Heads that are refused, after which the connection is closed.
const REFUSED: &[(u16, &str)] = &[
    // Versions.
    (400, "GET /\r\n\r\n"),
    (400, "GET / HTTP/11\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/1.\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
    (400, "GET / http/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET / XTTP/1.1\r\nHost: a\r\n\r\n"),
    (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    (505, "GET / HTTP/0.9\r\nHost: a\r\n\r\n"),
    (505, "GET / HTTP/3.1\r\nHost: a\r\n\r\n"),
    // Lines.
    (400, "GET / HTTP/1.1\nHost: a\n\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\n\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"),
    (400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    (400, " GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "G@T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    // Fields.
    (400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX@Y: b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX: b\x7fc\r\n\r\n"),
    // Host.
    (400, "GET / HTTP/1.1\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    (400, "GET / HTTP/1.0\r\nHost: a:b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    // Targets.
    (400, "GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /a<b HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /a{b HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /?a<b HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /?a\"b HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n"),
    // The length of a body.
    (400, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nabcde"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nabcde"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nabcde"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nabcde"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nabcde"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n"),
    // Codings.
    (501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"),
    (501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    (501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n"),
    (400, "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\n",
    ),
    // Expectations.
    (417, "GET / HTTP/1.1\r\nHost: a\r\nExpect: the-unexpected\r\n\r\n"),
];

fn malformed_requests_get_their_exact_status(flags: &[&str]) {
    let server = Server::start(flags);
    for (status, request) in REFUSED {
        let mut client = server.connect();
        // A request after a refused one is not answered.
        client.send(format!("{request}{GET}"));
        let response = client.response();
        assert_eq!(response.status, *status, "{request:?}");
        check_error(&response);
        assert!(response.closes(), "{request:?}");
        client.ended();
    }
    let mut client = server.connect();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let response = client.response();
    assert!(matches!(response.status, 400 | 505), "the preface of HTTP/2: {}", response.head);
    client.ended();
    let totals = server.end();
    let expected = format!("{} refused requests", REFUSED.len() + 1);
    assert!(totals.contains(&expected), "{totals}");
}

fn check_error(response: &Response) {
    let body = std::str::from_utf8(&response.body).expect("errors are text");
    assert!(body.contains(&response.status.to_string()), "{body}");
    assert!((20..1000).contains(&body.len()) && body.contains("<p>"), "{body}");
    assert_eq!(response.field("Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!(response.field("Server"), Some("uringstatic"));
    let date = response.field("Date").expect("every response is dated");
    httpdate::parse_http_date(date).expect("an IMF-fixdate");
    assert_eq!(response.field("ETag"), None, "an error is not the page");
}

fn refused_methods_keep_the_connection(flags: &[&str]) {
    let server = Server::start(flags);
    let mut client = server.connect();
    for (status, line) in [
        (405, "POST / HTTP/1.1"),
        (405, "PUT / HTTP/1.1"),
        (405, "DELETE / HTTP/1.1"),
        (405, "PATCH / HTTP/1.1"),
        (405, "TRACE / HTTP/1.1"),
        (405, "PROPFIND / HTTP/1.1"),
        (501, "FROB / HTTP/1.1"),
        (501, "get / HTTP/1.1"),
        (501, "Head / HTTP/1.1"),
        (501, "GETT / HTTP/1.1"),
    ] {
        client.send(format!("{line}\r\nHost: a\r\n\r\n"));
        let response = client.response();
        assert_eq!(response.status, status, "{line}");
        assert_eq!(response.field("Allow"), (status == 405).then_some("GET, HEAD, OPTIONS"));
        check_error(&response);
        assert!(!response.closes(), "{line}");
    }
    let connect = server.ask("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n");
    assert_eq!(connect.status, 405);
}

fn error_pages_echo_nothing_of_the_request(flags: &[&str]) {
    let server = Server::start(flags);
    for request in [
        "BAFFLE /baffle HTTP/1.1\r\nHost: baffle\r\nX: baffle\r\n\r\n",
        "GET /baffle HTTP/1.1\r\nHost: baffle\r\nbaffle baffle: baffle\r\n\r\n",
        "GET /baffle HTTP/7.1\r\nHost: baffle\r\n\r\n",
        "GET /baffle HTTP/1.1\r\nHost: baffle\r\nExpect: baffle\r\n\r\n",
    ] {
        let response = server.ask(request);
        let body = String::from_utf8_lossy(&response.body).into_owned();
        assert!(!body.contains("baffle") && !response.head.contains("baffle"), "{response:?}");
        assert!(!body.contains("BAFFLE"), "{body}");
    }
    // A response to HEAD has no body, whatever its status.
    let mut client = server.connect();
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n");
    let response = client.response_to_head();
    assert_eq!(response.status, 400);
    assert_ne!(response.field("Content-Length"), Some("0"));
    client.ended();
}

fn target_and_head_over_the_limit_get_414_and_431(flags: &[&str]) {
    let server = Server::start(flags);
    let target =
        |bytes: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "t".repeat(bytes - 1));
    assert_eq!(server.ask(target(8192)).status, 200);
    assert_eq!(server.ask(target(8193)).status, 414);
    assert_eq!(server.ask(target(60_000)).status, 414);
    let fields =
        |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count - 1));
    assert_eq!(server.ask(fields(100)).status, 200);
    assert_eq!(server.ask(fields(101)).status, 431);
    let head = |bytes: usize| {
        let around = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(bytes - around))
    };
    assert_eq!(server.ask(head(16 * 1024)).status, 200);
    assert_eq!(server.ask(head(16 * 1024 + 1)).status, 431);
    let small = Server::start(&with(flags, &["--max-head", "1k"]));
    assert_eq!(small.ask(head(1024)).status, 200);
    assert_eq!(small.ask(head(1025)).status, 431);
    let large = Server::start(&with(flags, &["--max-head", "64k"]));
    assert_eq!(large.ask(head(64 * 1024)).status, 200);
    assert_eq!(large.ask(head(64 * 1024 + 1)).status, 431);
}

fn a_refusal_arrives_while_the_client_still_sends(flags: &[&str]) {
    let server = Server::start(flags);
    let mebibyte = "y".repeat(1 << 20);
    for (status, request) in [
        (431, format!("GET / HTTP/1.1\r\nHost: a\r\nX: {mebibyte}\r\n\r\n")),
        (414, format!("GET /{mebibyte} HTTP/1.1\r\nHost: a\r\n\r\n")),
        (400, format!("GET / HTTP/1.1\r\nHost : a\r\n\r\n{mebibyte}")),
        (501, format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n{mebibyte}")),
        (405, format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n{mebibyte}")),
        // Up to its end it could be a method (RFC 9112 section 3).
        (501, mebibyte.clone()),
    ] {
        let mut client = server.connect();
        let mut sender = client.sender();
        let writer = std::thread::spawn(move || {
            // The server may close before it has received everything.
            let _ = sender.try_send(request);
        });
        let response = client.response();
        assert_eq!((response.status, response.closes()), (status, true));
        check_error(&response);
        writer.join().expect("the writer doesn't panic");
    }
}

fn bodies_are_never_read_as_requests(flags: &[&str]) {
    let server = Server::start(flags);
    let mut client = server.connect();
    for body in [GET.to_owned(), GET.repeat(100), "x".repeat(64 * 1024)] {
        let length = body.len();
        for (method, status) in [("GET", 200), ("POST", 405), ("FROB", 501)] {
            let request =
                format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}");
            client.send(request);
            let response = client.response();
            assert_eq!((response.status, response.closes()), (status, false));
            client.send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.response().status, 204, "the next response is to the next request");
        }
    }
    client.send("POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc");
    let response = client.response();
    assert_eq!((response.status, response.field("Connection")), (405, Some("keep-alive")));
}

fn chunked_bodies_are_framed(flags: &[&str]) {
    let server = Server::start(flags);
    let mut client = server.connect();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n";
    for body in [
        "0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
        "A;name=value;b=\"c\"\r\n0123456789\r\n00\r\n\r\n",
        "1\r\na\r\n1\r\nb\r\n0\r\nTrailer: x\r\nAnother: y\r\n\r\n",
    ] {
        client.send(format!("{head}{body}{GET}"));
        let response = client.response();
        assert_eq!((response.status, response.closes()), (405, false), "{body:?}");
        assert_same_bytes(&client.response().body, PAGE);
    }
    for body in [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloo\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "10000000000000000\r\nhello\r\n0\r\n\r\n",
    ] {
        let mut client = server.connect();
        client.send(format!("{head}{body}"));
        let response = client.response();
        assert_eq!((response.status, response.closes()), (400, true), "{body:?}");
        client.ended();
    }
    // The response doesn't wait for the body. A framing error in the body only closes the
    // connection, so no later request is answered.
    for body in [
        "0x5\r\nhello\r\n0\r\n\r\n",
        &format!("5;{}\r\nhello\r\n0\r\n\r\n", "e".repeat(10_000)),
        &format!("0\r\nX: {}\r\n\r\n", "t".repeat(10_000)),
        &chunks(5),
    ] {
        let mut client = server.connect();
        client.send(head);
        let response = client.response();
        assert_eq!((response.status, response.closes()), (405, false), "{body:?}");
        client.send(format!("{body}{GET}"));
        client.ended();
    }
    client.send(format!("{head}{}0\r\n\r\n{GET}", chunks(4)));
    assert_eq!(client.response().status, 405);
    assert_same_bytes(&client.response().body, PAGE);
}

/// Chunks of 16 KiB, without the last one.
fn chunks(count: usize) -> String {
    ("4000\r\n".to_owned() + &"z".repeat(0x4000) + "\r\n").repeat(count)
}

fn a_body_over_64_kib_closes_after_the_response(flags: &[&str]) {
    let server = Server::start(flags);
    for (method, status) in [("GET", 200), ("POST", 405)] {
        let mut client = server.connect();
        client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n"));
        let response = client.response();
        assert_eq!((response.status, response.closes()), (status, true), "before the body");
        client.send("x".repeat(65_537));
        client.ended();
    }
}

fn expect_100_continue_gets_a_final_response(flags: &[&str]) {
    let server = Server::start(flags);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n");
    assert!(!client.response().closes(), "there is no body");
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 0\r\n\r\n");
    assert!(!client.response().closes(), "there is no body");
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.closes()), (405, true), "the response is final");
    client.ended();
    let mut client = server.connect();
    client.send("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc");
    let response = client.response();
    assert_eq!((response.status, response.closes()), (405, true), "HTTP/1.0 has no expectations");
    client.ended();
}

fn valid_requests_before_garbage_are_answered(flags: &[&str]) {
    let server = Server::start(flags);
    for garbage in ["\x16\x03\x01\x02\0\x01\0\x01", "GARBAGE\r\n\r\n", "\r\r\r\r"] {
        let mut client = server.connect();
        client.send(format!("{}{garbage}", GET.repeat(30)));
        for _ in 0..30 {
            assert_same_bytes(&client.response().body, PAGE);
        }
        let response = client.response();
        assert_eq!((response.status, response.closes()), (400, true), "{garbage:?}");
        client.ended();
    }
}
