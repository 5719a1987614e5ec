//! Valid requests: alone, pipelined, cut anywhere, and the state of the connection afterwards.

use super::{Case, cases, with};
use crate::common::{
    Client, GET, GET_CLOSE, PAGE, Server, TemporaryFile, assert_same_bytes, pattern,
};
use std::time::{Duration, SystemTime};

pub(crate) const CASES: &[Case] = cases![
    get_returns_the_page_and_its_fields,
    head_has_the_fields_of_get_and_no_body,
    http_1_1_persists_until_connection_close,
    http_1_0_closes_without_keep_alive,
    a_hundred_pipelined_requests_are_answered_in_order,
    pipelined_requests_of_all_methods_are_answered_in_order,
    requests_after_connection_close_are_not_answered,
    a_head_may_arrive_byte_by_byte,
    a_pipeline_may_be_cut_anywhere,
    a_request_may_arrive_while_the_previous_response_is_sent,
    empty_lines_before_a_request_are_skipped,
    absolute_form_and_options_are_supported,
    a_half_closed_client_gets_its_response,
    the_date_is_current_after_a_pause,
    a_slow_reader_receives_every_byte,
    a_pipeline_whose_responses_are_not_read_resumes,
    a_page_with_another_status_is_never_conditional,
    resets_do_not_affect_other_connections,
];

fn get_returns_the_page_and_its_fields(flags: &[&str]) {
    let server = Server::start(flags);
    let response = server.ask(GET);
    assert_eq!(response.status, 200);
    assert!(response.head.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_same_bytes(&response.body, PAGE);
    assert_eq!(response.field("Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!(response.field("Server"), Some("uringstatic"));
    assert_eq!(response.field("Accept-Ranges"), Some("bytes"));
    assert_eq!(response.field("Connection"), None);
    let etag = response.field("ETag").expect("a page has a tag");
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2);
    let elsewhere = server.ask("GET /any/path?and=query HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_same_bytes(&elsewhere.body, PAGE);
    let totals = server.end();
    assert!(totals.contains("served 2 connections, 2 requests, "), "{totals}");
    assert!(totals.contains("errors: none"), "{totals}");
}

fn head_has_the_fields_of_get_and_no_body(flags: &[&str]) {
    let server = Server::start(flags);
    let mut client = server.connect();
    for (head, get) in [
        ("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("HEAD / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"),
    ] {
        client.send(get);
        let full = client.response();
        if full.closes() {
            client.ended();
            client = server.connect();
        }
        client.send(head);
        let bare = client.response_to_head();
        let undated = |head: &str| {
            head.lines().filter(|line| !line.starts_with("Date: ")).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(undated(&full.head), undated(&bare.head));
        if bare.closes() {
            client.ended();
            client = server.connect();
        }
    }
}

fn http_1_1_persists_until_connection_close(flags: &[&str]) {
    let server = Server::start(flags);
    let mut client = server.connect();
    for _ in 0..5 {
        client.send(GET);
        assert_same_bytes(&client.response().body, PAGE);
    }
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, x\r\n\r\n");
    assert!(!client.response().closes());
    // The major version decides; of the minor ones, all from 1 on are alike.
    client.send("GET / HTTP/1.7\r\nHost: a\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.closes()), (200, false));
    for fields in [
        "Connection: close",
        "connection: CLOSE",
        "Connection: x,Close ,y",
        "Connection: keep-alive\r\nConnection: close",
        "Connection: close, keep-alive",
    ] {
        let mut client = server.connect();
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"));
        let response = client.response();
        assert!(response.closes(), "{fields}: {}", response.head);
        assert_same_bytes(&response.body, PAGE);
        client.ended();
    }
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n");
    assert!(!client.response().closes(), "another token than close");
}

fn http_1_0_closes_without_keep_alive(flags: &[&str]) {
    let server = Server::start(flags);
    let mut client = server.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.closes()), (200, true));
    client.ended();
    let mut client = server.connect();
    for _ in 0..3 {
        client.send("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        let response = client.response();
        assert_eq!(response.field("Connection"), Some("keep-alive"));
        assert_same_bytes(&response.body, PAGE);
    }
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n");
    assert!(client.response().closes());
    client.ended();
}

fn a_hundred_pipelined_requests_are_answered_in_order(flags: &[&str]) {
    let server = Server::start(flags);
    let mut client = server.connect();
    client.send(GET.repeat(100));
    for _ in 0..100 {
        assert_same_bytes(&client.response().body, PAGE);
    }
    client.send(GET.repeat(99) + GET_CLOSE);
    for nth in 0..100 {
        let response = client.response();
        assert_same_bytes(&response.body, PAGE);
        assert_eq!(response.closes(), nth == 99);
    }
    client.ended();
    let totals = server.end();
    assert!(totals.contains("1 connections, 200 requests, "), "{totals}");
}

fn pipelined_requests_of_all_methods_are_answered_in_order(flags: &[&str]) {
    let server = Server::start(flags);
    let mut client = server.connect();
    let mut text = String::new();
    for _ in 0..10 {
        text += GET;
        text += "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
        text += "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n";
        text += "DELETE /x HTTP/1.1\r\nHost: a\r\n\r\n";
        text += "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        text += "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    }
    text += "GET / HTTP/1.1\r\nHost : a\r\n\r\n";
    text += GET;
    client.send(text);
    for _ in 0..10 {
        assert_same_bytes(&client.response().body, PAGE);
        assert_eq!(client.response_to_head().status, 200);
        assert_eq!(client.response().status, 204);
        assert_eq!(client.response().status, 405);
        assert_eq!(client.response().status, 405);
        assert_same_bytes(&client.response().body, PAGE);
    }
    let last = client.response();
    assert_eq!((last.status, last.closes()), (400, true));
    client.ended();
}

fn requests_after_connection_close_are_not_answered(flags: &[&str]) {
    let server = Server::start(flags);
    let mut client = server.connect();
    client.send(format!("{GET}{GET_CLOSE}{GET}{GET}"));
    assert!(!client.response().closes());
    assert!(client.response().closes());
    client.ended();
    let totals = server.end();
    assert!(totals.contains("1 connections, 2 requests, "), "{totals}");
}

fn a_head_may_arrive_byte_by_byte(flags: &[&str]) {
    let server = Server::start(flags);
    let mut client = server.connect();
    for _ in 0..2 {
        for byte in GET.as_bytes() {
            client.send([*byte]);
        }
        assert_same_bytes(&client.response().body, PAGE);
    }
}

fn a_pipeline_may_be_cut_anywhere(flags: &[&str]) {
    let server = Server::start(flags);
    let mut client = server.connect();
    let text = [
        GET,
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ]
    .concat();
    for cut in 1..text.len() {
        client.send(&text[..cut]);
        // The complete request has been answered: both sides are at rest at the cut.
        let complete = cut >= GET.len();
        if complete {
            assert_same_bytes(&client.response().body, PAGE);
        }
        client.send(&text[cut..]);
        if !complete {
            assert_same_bytes(&client.response().body, PAGE);
        }
        assert_eq!(client.response_to_head().status, 200, "cut at {cut}");
        assert_eq!(client.response().status, 405, "cut at {cut}");
    }
}

/// The third request arrives together with the completion of the first send, before the second
/// response is sent, whose send may be silent, without a completion of its own.
fn a_request_may_arrive_while_the_previous_response_is_sent(flags: &[&str]) {
    let server = Server::start(flags);
    let mut client = server.connect();
    for round in 0..500 {
        client.send(format!("{GET}HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_same_bytes(&client.response().body, PAGE);
        client.send("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response_to_head().status, 200, "round {round}");
        assert_eq!(client.response().status, 405, "round {round}");
    }
}

fn empty_lines_before_a_request_are_skipped(flags: &[&str]) {
    let server = Server::start(flags);
    let mut client = server.connect();
    client.send(format!("\r\n\r\n{GET}\r\n{GET}"));
    assert_eq!(client.response().status, 200);
    assert_eq!(client.response().status, 200);
    let endless = server.ask("\r\n".repeat(10_000));
    assert_eq!((endless.status, endless.closes()), (400, true));
}

fn absolute_form_and_options_are_supported(flags: &[&str]) {
    let server = Server::start(flags);
    let mut client = server.connect();
    client.send("GET http://example.com:80/x HTTP/1.1\r\nHost: example.com\r\n\r\n");
    assert_same_bytes(&client.response().body, PAGE);
    for target in ["*", "/", "/x?y"] {
        client.send(format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let response = client.response();
        assert_eq!((response.status, response.closes()), (204, false));
        assert_eq!(response.field("Allow"), Some("GET, HEAD, OPTIONS"));
        assert_eq!(response.field("Content-Length"), None, "RFC 9110 8.6");
        assert!(response.field("Date").is_some());
    }
}

fn a_half_closed_client_gets_its_response(flags: &[&str]) {
    let server = Server::start(flags);
    for request in [GET, GET_CLOSE, "GET / HTTP/1.0\r\n\r\n"] {
        let mut client = server.connect();
        client.send(request);
        client.half_close();
        assert_same_bytes(&client.response().body, PAGE);
        client.ended();
    }
    let mut client = server.connect();
    client.send(GET.repeat(50));
    client.half_close();
    for _ in 0..50 {
        assert_same_bytes(&client.response().body, PAGE);
    }
    client.ended();
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHo");
    client.half_close();
    assert_eq!(client.response().status, 400);
    client.ended();
}

fn the_date_is_current_after_a_pause(flags: &[&str]) {
    let server = Server::start(flags);
    let mut client = server.connect();
    for pause in [1, 1500, 700] {
        assert!(client.is_quiet_for(Duration::from_millis(pause)));
        for request in [GET, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"] {
            let before = whole_seconds(SystemTime::now());
            client.send(request);
            let response = client.response();
            let after = whole_seconds(SystemTime::now());
            let date = response.field("Date").expect("every response is dated");
            let date = httpdate::parse_http_date(date).expect("an IMF-fixdate");
            let date = whole_seconds(date);
            assert!((before..=after).contains(&date), "{before} {date} {after}");
        }
    }
}

fn whole_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).expect("it is past 1970").as_secs()
}

fn a_slow_reader_receives_every_byte(flags: &[&str]) {
    let content = pattern(30_000_000);
    let page = TemporaryFile::with("bin", &content);
    let server = Server::start(&with(flags, &["--page", page.path()]));
    let mut client = server.connect();
    client.send(format!("{GET}{GET_CLOSE}"));
    for nth in 0..2 {
        // In the pause the buffers of both sockets fill up, and the server has to wait.
        Client::pause(Duration::from_millis(200));
        let response = client.response();
        assert_eq!(response.field("Content-Type"), Some("application/octet-stream"));
        assert_eq!(response.closes(), nth == 1);
        assert_same_bytes(&response.body, &content);
    }
    client.ended();
}

fn a_pipeline_whose_responses_are_not_read_resumes(flags: &[&str]) {
    let server = Server::start(flags);
    let mut client = server.connect();
    let mut sender = client.sender();
    // Some 20 MB of responses: more than the buffers of both sockets hold.
    let count = 4000;
    let writer = std::thread::spawn(move || {
        for _ in 0..count / 100 {
            sender.send(GET.repeat(100));
        }
    });
    assert!(!client.is_quiet_for(Duration::from_secs(20)), "responses arrive");
    for _ in 0..count {
        assert_same_bytes(&client.response().body, PAGE);
    }
    writer.join().expect("all requests were taken");
    client.send(GET_CLOSE);
    assert!(client.response().closes());
    client.ended();
}

fn a_page_with_another_status_is_never_conditional(flags: &[&str]) {
    let page = TemporaryFile::with("html", b"<p>Back soon.</p>");
    let options = ["--page", page.path(), "--status", "503", "--header", "Retry-After: 600"];
    let server = Server::start(&with(flags, &options));
    let mut client = server.connect();
    client.send(format!("{GET}HEAD / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\n\r\n"));
    let response = client.response();
    assert_eq!((response.status, &*response.body), (503, &b"<p>Back soon.</p>"[..]));
    assert_eq!(response.field("Retry-After"), Some("600"));
    let typed = response.field("Content-Type").expect("a page has a type");
    assert!(typed.starts_with("text/html"), "{typed}");
    assert_eq!(response.field("Accept-Ranges"), None, "only a 200 has ranges");
    assert_eq!(client.response_to_head().status, 503);
    client.send("GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n");
    assert_eq!(client.response().status, 503, "only a 200 is conditional");
}

fn resets_do_not_affect_other_connections(flags: &[&str]) {
    let server = Server::start(&with(flags, &["--spawn", "3"]));
    for round in 0..30 {
        let mut client = server.connect();
        match round % 3 {
            0 => client.send(GET.repeat(200)),
            1 => client.send("GET / HTTP/1.1\r\nHo"),
            _ => client.send(GET),
        }
        // Closing with unread bytes makes the kernel send a reset.
        drop(client);
    }
    assert_same_bytes(&server.ask(GET).body, PAGE);
    let totals = server.end();
    assert!(totals.contains("31 connections, "), "{totals}");
}
