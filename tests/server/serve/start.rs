//! Starting, and failing to start: exit codes and messages.

use crate::common::{GET, PAGE, Server, TemporaryFile, assert_same_bytes};
use std::net::TcpListener;

#[test]
fn the_ready_line_has_the_chosen_port() {
    let server = Server::start(&["--spawn", "7"]);
    let address = &server.addresses[0];
    assert!(address.starts_with("127.0.0.1:") && !address.ends_with(":0"), "{address}");
}

#[test]
fn usage_errors_exit_2_and_bind_nothing() {
    let file = TemporaryFile::vacant("sock");
    let listen = format!("unix:{}", file.path());
    for wrong in [
        &["--no-such-option"][..],
        &["--spawn", "0"],
        &["--spawn", "many"],
        &["--status", "99"],
        &["--status", "304"],
        &["--header", "X: a\r\nY: b"],
        &["--header", "Content-Length: 5"],
        &["--head-timeout", "10"],
        &["--max-head", "65k"],
        &["--listen", "localhost:80"],
        &["page.html"],
    ] {
        let exit = Server::run(&[&["--listen", &listen], wrong].concat());
        assert_eq!(exit.code, Some(2), "{wrong:?}: {}", exit.text);
        assert!(exit.text.starts_with("error: "), "{wrong:?}: {}", exit.text);
        assert!(exit.text.contains("--help"), "{wrong:?}: {}", exit.text);
        assert!(!file.0.exists(), "{wrong:?}: the socket was bound");
    }
    let exit = Server::run(&["--no-such-option"]);
    assert!(exit.text.contains("Usage: uringstatic"), "{}", exit.text);
}

#[test]
fn a_port_in_use_exits_1_with_a_hint() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    let exit = Server::run(&["--listen", &address]);
    assert_eq!(exit.code, Some(1), "{}", exit.text);
    assert!(exit.text.contains(&format!("listening on {address}")), "{}", exit.text);
    assert!(exit.text.contains("in use") && exit.text.contains("ss -ltnp"), "{}", exit.text);
}

#[test]
fn a_port_can_be_bound_again_at_once() {
    let mut server = Server::start(&[]);
    for _ in 0..5 {
        let address = server.addresses[0].clone();
        assert_same_bytes(&server.ask(GET).body, PAGE);
        server.end();
        server = Server::start_on(&[&address], &[]);
    }
}

#[test]
fn a_foreign_address_exits_1_with_a_hint() {
    let exit = Server::run(&["--listen", "192.0.2.1:0"]);
    assert_eq!(exit.code, Some(1), "{}", exit.text);
    assert!(exit.text.contains("listening on 192.0.2.1:0"), "{}", exit.text);
    assert!(exit.text.contains("ip address"), "{}", exit.text);
}

#[test]
fn more_connections_than_a_ring_carries_exit_1() {
    let exit = Server::run(&["--listen", "127.0.0.1:0", "--spawn", "40000"]);
    assert_eq!(exit.code, Some(1), "{}", exit.text);
    // Where the limit of open files is lower, the message names that limit.
    let named = ["use --spawn 32480 or less", "the hard limit is "];
    assert!(named.iter().any(|limit| exit.text.contains(limit)), "{}", exit.text);
}

#[test]
fn an_unreadable_page_exits_1_with_its_path() {
    let vacant = TemporaryFile::vacant("html");
    let folder = std::env::temp_dir();
    for path in [vacant.path(), folder.to_str().expect("the path is text")] {
        let exit = Server::run(&["--listen", "127.0.0.1:0", "--page", path]);
        assert_eq!(exit.code, Some(1), "{}", exit.text);
        assert!(exit.text.contains(&format!("reading the page {path}: ")), "{}", exit.text);
    }
    let huge = TemporaryFile::with("html", b"");
    let file = std::fs::File::create(huge.path()).expect("the file is ours");
    file.set_len(8 << 30).expect("a hole takes no room");
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -v 4000000 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_uringstatic")])
        .args(["--listen", "127.0.0.1:0", "--page", huge.path()])
        .output()
        .expect("it runs");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{messages}");
    assert!(messages.contains("serve a smaller file"), "{messages}");
}

#[test]
fn an_empty_page_has_length_0() {
    let page = TemporaryFile::with("txt", b"");
    let server = Server::start(&["--page", page.path()]);
    let mut client = server.connect();
    client.send(GET.repeat(3));
    for _ in 0..3 {
        let response = client.response();
        assert_eq!((response.status, response.field("Content-Length")), (200, Some("0")));
    }
    // No range of it can be sent, so the field is ignored (RFC 9110 14.2).
    client.send("GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.field("Content-Range")), (200, None));
}

#[test]
fn quiet_still_prints_errors() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    let exit = Server::run(&["--listen", &address, "--quiet"]);
    assert_eq!(exit.code, Some(1), "errors are printed all the same: {}", exit.text);
    assert!(exit.text.contains("in use"), "{}", exit.text);
}
