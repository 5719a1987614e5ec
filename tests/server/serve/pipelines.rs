//! Pipelined requests to a folder, whose responses are sent together.

use super::{Case, cases};
use crate::common::requests::serve;
use crate::common::{Client, Response, Server, TemporaryFolder, assert_same_bytes, pattern};

pub(crate) const CASES: &[Case] = cases![
    a_pipeline_to_a_folder_has_the_responses_of_single_requests,
    a_slow_reader_of_a_folder_receives_every_byte,
    many_pipelines_at_once_are_answered,
];

fn folder() -> TemporaryFolder {
    TemporaryFolder::with(&[
        ("index.html", b"<h1>home</h1>"),
        ("about.html", &pattern(3000)),
        ("large.bin", &pattern(60_000)),
        ("404.html", b"<h1>missing</h1>"),
        ("docs/index.html", b"<h1>docs</h1>"),
        ("_redirects", b"/old/* /docs/:splat 302\n"),
        ("_headers", b"/old/*\n  X-Old: :splat\n"),
    ])
}

/// Requests of all kinds, each with its method.
const REQUESTS: &[(&str, &str)] = &[
    ("GET", "/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("HEAD", "/about HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("GET", "/about HTTP/1.1\r\nHost: a\r\nRange: bytes=10-1999\r\n\r\n"),
    ("GET", "/old/a/b HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("GET", "/about HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n"),
    ("GET", "/none HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("GET", "/large.bin HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("GET", "/docs?q HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("GET", "/a%00 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("DELETE", "/about HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("POST", "/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"),
    ("GET", "/about HTTP/1.1\r\nHost: a\r\nRange: bytes=5000-\r\n\r\n"),
    ("OPTIONS", "* HTTP/1.1\r\nHost: a\r\n\r\n"),
];

fn response(client: &mut Client, method: &str) -> Response {
    if method == "HEAD" { client.response_to_head() } else { client.response() }
}

/// The head without its date.
fn undated(head: &str) -> Vec<&str> {
    head.lines().filter(|line| !line.starts_with("Date: ")).collect()
}

fn a_pipeline_to_a_folder_has_the_responses_of_single_requests(flags: &[&str]) {
    let folder = folder();
    let server = serve(&folder, flags);
    let single: Vec<Response> = REQUESTS
        .iter()
        .map(|(method, rest)| {
            let mut client = server.connect();
            client.send(format!("{method} {rest}"));
            response(&mut client, method)
        })
        .collect();
    for rotation in 0..REQUESTS.len() {
        let order: Vec<usize> =
            (0..3 * REQUESTS.len()).map(|place| (place * 5 + rotation) % REQUESTS.len()).collect();
        let texts = order.iter().map(|&index| <[&str; 2]>::from(REQUESTS[index]).join(" "));
        let all: String = texts.collect();
        let mut client = server.connect();
        client.send(all);
        for &index in &order {
            let response = response(&mut client, REQUESTS[index].0);
            assert_eq!(undated(&response.head), undated(&single[index].head));
            assert_same_bytes(&response.body, &single[index].body);
        }
    }
    let totals = server.end();
    let requests = REQUESTS.len() + REQUESTS.len() * 3 * REQUESTS.len();
    assert!(totals.contains(&format!(", {requests} requests, ")), "{totals}");
}

fn a_slow_reader_of_a_folder_receives_every_byte(flags: &[&str]) {
    let folder = folder();
    let server = serve(&folder, flags);
    let mut client = server.connect();
    let requests = ["about", "large.bin", "none", "about", "large.bin"]
        .map(|name| format!("GET /{name} HTTP/1.1\r\nHost: a\r\n\r\n"))
        .concat();
    // 37 MB, far more than the sockets hold.
    let rounds = 300;
    let mut sender = client.sender();
    std::thread::scope(|scope| {
        scope.spawn(move || sender.send(requests.repeat(rounds)));
        for _ in 0..rounds {
            for (status, body) in [
                (200, pattern(3000)),
                (200, pattern(60_000)),
                (404, b"<h1>missing</h1>".to_vec()),
                (200, pattern(3000)),
                (200, pattern(60_000)),
            ] {
                let response = client.response();
                assert_eq!(response.status, status);
                assert_same_bytes(&response.body, &body);
            }
        }
    });
    assert!(server.end().contains(", 1500 requests, "));
}

fn many_pipelines_at_once_are_answered(flags: &[&str]) {
    let folder = folder();
    let server = Server::start(&[&["--root", folder.path(), "--spawn", "200"], flags].concat());
    let mut clients: Vec<Client> = (0..150).map(|_| server.connect()).collect();
    let requests = "GET /about HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20);
    for _ in 0..5 {
        for client in &mut clients {
            client.send(&requests);
        }
        for client in &mut clients {
            for _ in 0..20 {
                assert_same_bytes(&client.response().body, &pattern(3000));
            }
        }
    }
    assert!(server.end().contains(", 15000 requests, "));
}
