//! The heads that are stored, and their use.

use super::super::tests::Fixture;
use super::{BYTES_MAX, STORE_EVERY};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Answers the bytes on a new connection; returns whether their head is stored then.
fn stores(fixture: &mut Fixture, text: &str) -> bool {
    let output = fixture.bytes(text);
    fixture.send_all(output);
    fixture.head_buffers.last_head.find(text.as_bytes()).is_some()
}

fn with_line(line: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n")
}

#[test]
fn plain_head_is_stored_and_found_at_the_start_of_longer_input_only() {
    let mut fixture = Fixture::new();
    assert!(stores(&mut fixture, GET));
    let find = |bytes: &str| fixture.head_buffers.last_head.find(bytes.as_bytes());
    assert_eq!(find(&GET.repeat(2)).map(|(len, _)| len), Some(GET.len()));
    for other in ["", &GET[..GET.len() - 1], &GET.replace("a\r", "b\r"), &format!("\r\n{GET}")] {
        assert_eq!(find(other), None, "{other:?}");
    }
}

#[test]
fn heads_with_credentials_content_conditions_or_another_end_are_not_stored() {
    let long = with_line(&format!("X: {}", "y".repeat(BYTES_MAX)));
    for head in [
        &with_line("Cookie: a=b"),
        &with_line("AUTHORIZATION: Basic YTpi"),
        &with_line("Proxy-Authorization: Basic YTpi"),
        &with_line("Content-Length: 0"),
        &with_line("Connection: close"),
        &with_line("If-None-Match: *"),
        &with_line("Range: bytes=0-0"),
        &GET.replace("GET", "HEAD"),
        &GET.replace("GET", "OPTIONS"),
        "GET / HTTP/1.0\r\n\r\n",
        &long,
    ] {
        assert!(!stores(&mut Fixture::new(), head), "{head:?}");
    }
    assert!(stores(&mut Fixture::new(), "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

#[test]
fn a_new_head_replaces_the_stored_one_before_it_was_parsed_often() {
    let mut fixture = Fixture::new();
    assert!(stores(&mut fixture, GET));
    let other = with_line("X: y");
    let parsed = (1..=STORE_EVERY).take_while(|_| !stores(&mut fixture, &other)).count();
    assert_eq!(parsed, usize::from(STORE_EVERY) - 1);
}

#[test]
fn a_stored_head_gets_the_response_of_a_server_that_drains() {
    let mut fixture = Fixture::new();
    assert!(stores(&mut fixture, GET));
    fixture.draining = true;
    let output = fixture.bytes(GET);
    assert!(fixture.text(output).0.contains("Connection: close\r\n"));
}
