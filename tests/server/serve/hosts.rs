//! `--allowed-hosts`: requests for listed hosts are answered, others get 421.

use crate::common::{GET, PAGE, Server, TemporaryFolder, assert_same_bytes};

const LIST: &[&str] = &["--allowed-hosts", "example.org,*.example.net", "--allowed-hosts", "[::1]"];

fn get(host: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

#[test]
fn without_a_list_every_host_is_answered() {
    assert_same_bytes(&Server::start(&[]).ask(get("attacker.example")).body, PAGE);
}

#[test]
fn a_host_on_the_list_is_answered_and_another_is_misdirected() {
    let server = Server::start(LIST);
    let mut client = server.connect();
    for host in ["example.org", "EXAMPLE.ORG.:8080", "a.b.example.net", "[0:0:0::1]"] {
        client.send(get(host));
        assert_same_bytes(&client.response().body, PAGE);
    }
    let hosts = ["", "attacker.example", "example.net", "127.0.0.1", "example.org.attacker"];
    for host in hosts {
        client.send(get(host));
        let response = client.response();
        assert_eq!(response.status, 421, "{host}");
        assert!(
            response.head.starts_with("HTTP/1.1 421 Misdirected Request\r\n"),
            "{}",
            response.head
        );
        assert_eq!(response.field("Content-Type"), Some("text/html; charset=utf-8"));
        let body = String::from_utf8(response.body.clone()).expect("it is text");
        assert!(body.contains("421 Misdirected Request") && !body.contains("attacker"), "{body}");
        assert!(!response.closes(), "{host}");
    }
    client.send(get("example.org"));
    assert_same_bytes(&client.response().body, PAGE);
    drop(client);
    let totals = server.end();
    assert!(totals.contains("1 connections, 10 requests, "), "{totals}");
    assert!(totals.ends_with("errors: 5 refused requests\n"), "{totals}");
}

#[test]
fn each_pipelined_request_is_checked() {
    let server = Server::start(LIST);
    let mut client = server.connect();
    let hosts = ["example.org", "example.org", "attacker.example", "example.org"];
    client.send(hosts.map(get).concat());
    for host in hosts {
        let expected = if host == "example.org" { 200 } else { 421 };
        assert_eq!(client.response().status, expected, "{host}");
    }
}

#[test]
fn a_refusal_is_framed_as_any_response() {
    let server = Server::start(LIST);
    let mut client = server.connect();
    client.send("HEAD / HTTP/1.1\r\nHost: evil\r\n\r\n");
    let head = client.response_to_head();
    assert_eq!(head.status, 421);
    assert!(head.field("Content-Length").is_some_and(|length| length != "0"));
    // The body is discarded, not parsed as the next request.
    let body = get("example.org");
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: evil\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(client.response().status, 421);
    client.send("OPTIONS * HTTP/1.1\r\nHost: evil\r\n\r\nBREW / HTTP/1.1\r\nHost: evil\r\n\r\n");
    assert_eq!([client.response().status, client.response().status], [421, 421]);
    client.send("GET / HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n");
    let last = client.response();
    assert!(last.status == 421 && last.closes());
    client.ended();
}

#[test]
fn the_authority_of_an_absolute_target_counts_instead_of_host() {
    let server = Server::start(LIST);
    let ask = |target: &str, host: &str| {
        server.ask(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).status
    };
    assert_eq!(ask("http://example.org/", "evil"), 200);
    assert_eq!(ask("http://evil/", "example.org"), 421);
    assert_eq!(ask("http://example.org:80?q", "evil"), 200);
}

#[test]
fn http_1_0_without_host_is_refused() {
    let server = Server::start(LIST);
    let response = server.ask("GET / HTTP/1.0\r\n\r\n");
    assert!(response.status == 421 && response.closes(), "{}", response.head);
    assert_eq!(server.ask("GET / HTTP/1.0\r\nHost: example.org\r\n\r\n").status, 200);
    // A missing Host in HTTP/1.1 is still a 400 (RFC 9112 section 3.2).
    assert_eq!(server.ask("GET / HTTP/1.1\r\n\r\n").status, 400);
}

#[test]
fn a_folder_is_guarded_except_for_health_checks() {
    let site = TemporaryFolder::with(&[("index.html", b"<p>hello"), ("404.html", b"<p>none")]);
    let options = [LIST, &["--root", site.path(), "--health", "/up"]].concat();
    let server = Server::start(&options);
    let ask = |path: &str, host: &str| {
        server.ask(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).status
    };
    assert_eq!(ask("/", "example.org"), 200);
    assert_eq!(ask("/none", "example.org"), 404);
    for path in ["/", "/none", "/index.html"] {
        assert_eq!(ask(path, "10.0.0.7:8080"), 421, "{path}");
    }
    assert_eq!(ask("/up", "10.0.0.7:8080"), 200);
    assert_eq!(server.ask("GET /up HTTP/1.0\r\n\r\n").status, 200);
}

#[test]
fn an_invalid_host_is_a_usage_error() {
    for wrong in ["", "http://a", "a,,b", "::1", "*"] {
        let exit = Server::run(&["--listen", "127.0.0.1:0", "--allowed-hosts", wrong]);
        assert_eq!(exit.code, Some(2), "{wrong}: {}", exit.text);
    }
    assert_eq!(Server::start(LIST).ask(GET).status, 421);
}
