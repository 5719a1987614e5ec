//! Connections on a listener for proxies.

use super::*;
use crate::http1::properties::proxied_connection;
use crate::peer_address::PeerAddress;

impl Fixture {
    /// A connection that must begin with a PROXY header.
    fn proxied() -> Self {
        let (conn, output) = ServerConnection::accept_from_proxy();
        assert_eq!(output, Output::Receive(Timeout::Head));
        Self { conn, ..Self::new() }
    }
}

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const HEADER: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 80\r\n";

fn client() -> PeerAddress {
    PeerAddress::ip([192, 0, 2, 7].into(), 56324)
}

#[test]
fn request_behind_the_header_is_answered_and_so_is_the_next_one() {
    let mut fixture = Fixture::proxied();
    let output = fixture.bytes(&format!("{HEADER}{REQUEST}"));
    let (text, then) = fixture.text(output);
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert_eq!((then, fixture.peer), (Then::Idle, client()));
    let output = fixture.taken(transmission(output).spans);
    assert_eq!(output, Output::Receive(Timeout::Idle));
    // One header for a connection: another one is no request.
    let output = fixture.bytes(HEADER);
    let (text, _) = fixture.text(output);
    assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
    assert_eq!(fixture.stats.errors.proxy_headers, 0);
}

#[test]
fn header_alone_is_followed_by_the_head_under_the_same_timeout() {
    let mut fixture = Fixture::proxied();
    for piece in [&HEADER[..9], &HEADER[9..]] {
        assert_eq!(fixture.bytes(piece), Output::Receive(Timeout::Head));
    }
    assert_eq!(fixture.peer, client());
    assert_eq!(fixture.handle(Input::EndOfStream), Output::Close, "a check of the proxy's");
    assert_eq!(fixture.stats, Stats::default());
}

#[test]
fn local_and_unknown_leave_the_address_of_the_socket() {
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0";
    for header in [&b"PROXY UNKNOWN\r\n"[..], local] {
        let mut fixture = Fixture::proxied();
        fixture.peer = PeerAddress::Unix;
        let output = fixture.handle(Input::Bytes(&[header, REQUEST.as_bytes()].concat()));
        assert!(matches!(output, Output::Send(_)), "{output:?}");
        assert_eq!(fixture.peer, PeerAddress::Unix);
    }
}

#[test]
fn connection_without_a_header_is_closed_without_a_response() {
    let mut fixture = Fixture::proxied();
    assert_eq!(fixture.bytes(REQUEST), Output::Close);
    assert_eq!((fixture.stats.requests, fixture.stats.errors.proxy_headers), (0, 1));
    for end in [Input::EndOfStream, Input::Deadline] {
        let mut fixture = Fixture::proxied();
        assert_eq!(fixture.bytes(&HEADER[..20]), Output::Receive(Timeout::Head));
        assert_eq!(fixture.handle(end), Output::Close);
        assert_eq!((fixture.stats.requests, fixture.stats.errors.proxy_headers), (0, 1));
        // A check that connects and sends nothing is no error.
        let mut fixture = Fixture::proxied();
        assert_eq!(fixture.handle(end), Output::Close);
        assert_eq!(fixture.stats, Stats::default());
    }
}

#[test]
fn header_elsewhere_is_an_invalid_request() {
    for header in [HEADER.as_bytes(), b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"] {
        let mut fixture = Fixture::new();
        let output = fixture.handle(Input::Bytes(header));
        let (text, _) = fixture.text(output);
        assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
        assert_eq!(fixture.peer, PeerAddress::Unknown);
    }
}

/// All ways to cut a header and two requests in two, and all in pieces of one size.
#[test]
fn every_split_has_the_same_outcome() {
    let v2 =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\xc0\0\x02\x07\xc0\0\x02\x01\x04\xd2\0\x50\x04\0\0";
    for header in [HEADER.as_bytes(), v2] {
        let bytes = [header, REQUEST.as_bytes(), REQUEST.as_bytes()].concat();
        for cut in 0..bytes.len() {
            expect_two_responses(&[&bytes[..cut], &bytes[cut..]]);
        }
        for size in 1..40 {
            expect_two_responses(&bytes.chunks(size).collect::<Vec<_>>());
        }
    }
}

fn expect_two_responses(pieces: &[&[u8]]) {
    let mut fixture = Fixture::proxied();
    let mut output = Output::Receive(Timeout::Head);
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        output = fixture.handle(Input::Bytes(piece));
    }
    while let Output::Send(transmission) = output {
        output = fixture.taken(transmission.spans);
    }
    assert_eq!(output, Output::Receive(Timeout::Idle), "{pieces:?}");
    assert_eq!(fixture.stats.requests, 2, "{pieces:?}");
    assert!(matches!(fixture.peer, PeerAddress::Ip { .. }), "{pieces:?}");
}

proptest! {
    #[test]
    fn arbitrary_beginnings_keep_the_properties(
        choice in any::<[u8; 4]>(),
        header in prop_oneof![
            Just(HEADER.to_owned()),
            Just("PROXY UNKNOWN\r\n".to_owned()),
            "PROXY [A-Z46]{0,7} ?[ -~]{0,9}\r?\n?",
        ],
        requests in "(GET /p HTTP/1.1\r\nHost: a\r\n\r\n){0,3}(GET [ -~]{0,9})?",
    ) {
        proxied_connection(&[&choice[..], header.as_bytes(), requests.as_bytes()].concat());
    }
}
