//! Connections on a listener for proxies.

use super::*;
use crate::http1::properties::{Noted, proxied_connection};
use crate::peer_address::PeerAddress;
use crate::telemetry::record::Observer;

/// A connection that must begin with a PROXY header.
struct Proxied {
    fixture: Fixture,
    noted: Noted,
}

impl Proxied {
    fn new() -> Self {
        let (conn, output) = ServerConnection::accept_from_proxy();
        assert_eq!(output, Output::Receive(Timeout::Head));
        Self { fixture: Fixture { conn, ..Fixture::new() }, noted: Noted::default() }
    }

    fn handle(&mut self, input: Input<'_>) -> Output {
        let observer = Some(&mut self.noted as &mut (dyn Observer + 'static));
        let observation = Observation { observer, ..Observation::none() };
        self.fixture.handle_observed(input, observation)
    }

    fn bytes(&mut self, text: &str) -> Output {
        self.handle(Input::Bytes(text.as_bytes()))
    }

    fn taken(&mut self, payload: Payload) -> Output {
        self.handle(Input::Taken(u32::try_from(payload.len()).expect("a send is small")))
    }

    fn stats(&self) -> &Stats {
        &self.fixture.stats
    }
}

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const HEADER: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 80\r\n";

fn client() -> PeerAddress {
    PeerAddress::ip([192, 0, 2, 7].into(), 56324)
}

#[test]
fn request_behind_the_header_is_answered_and_so_is_the_next_one() {
    let mut proxied = Proxied::new();
    let output = proxied.bytes(&format!("{HEADER}{REQUEST}"));
    let (text, then) = proxied.fixture.text(output);
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert_eq!((then, proxied.noted.client), (Then::Idle, Some(client())));
    let output = proxied.taken(transmission(output).payload);
    assert_eq!(output, Output::Receive(Timeout::Idle));
    // One header for a connection: another one is no request.
    let output = proxied.bytes(HEADER);
    let (text, _) = proxied.fixture.text(output);
    assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
    assert_eq!(proxied.stats().errors.proxy_headers, 0);
}

#[test]
fn header_alone_is_followed_by_the_head_under_the_same_timeout() {
    let mut proxied = Proxied::new();
    for piece in [&HEADER[..9], &HEADER[9..]] {
        assert_eq!(proxied.bytes(piece), Output::Receive(Timeout::Head));
    }
    assert_eq!(proxied.noted.client, Some(client()));
    assert_eq!(proxied.handle(Input::EndOfStream), Output::Close, "a check of the proxy's");
    assert_eq!(*proxied.stats(), Stats::default());
}

#[test]
fn local_and_unknown_leave_the_address_of_the_socket() {
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0";
    for header in [&b"PROXY UNKNOWN\r\n"[..], local] {
        let mut proxied = Proxied::new();
        let output = proxied.handle(Input::Bytes(&[header, REQUEST.as_bytes()].concat()));
        assert!(matches!(output, Output::Send(_)), "{output:?}");
        assert_eq!(proxied.noted.client, None);
    }
}

#[test]
fn connection_without_a_header_is_closed_without_a_response() {
    let mut proxied = Proxied::new();
    assert_eq!(proxied.bytes(REQUEST), Output::Close);
    assert_eq!((proxied.stats().requests, proxied.stats().errors.proxy_headers), (0, 1));
    for end in [Input::EndOfStream, Input::Deadline] {
        let mut proxied = Proxied::new();
        assert_eq!(proxied.bytes(&HEADER[..20]), Output::Receive(Timeout::Head));
        assert_eq!(proxied.handle(end), Output::Close);
        assert_eq!((proxied.stats().requests, proxied.stats().errors.proxy_headers), (0, 1));
        // A check that connects and sends nothing is no error.
        let mut proxied = Proxied::new();
        assert_eq!(proxied.handle(end), Output::Close);
        assert_eq!(*proxied.stats(), Stats::default());
    }
}

#[test]
fn header_elsewhere_is_an_invalid_request() {
    for header in [HEADER.as_bytes(), b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"] {
        let mut fixture = Fixture::new();
        let output = fixture.handle(Input::Bytes(header));
        let (text, _) = fixture.text(output);
        assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
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
    let mut proxied = Proxied::new();
    let mut output = Output::Receive(Timeout::Head);
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        output = proxied.handle(Input::Bytes(piece));
    }
    while let Output::Send(transmission) = output {
        output = proxied.taken(transmission.payload);
    }
    assert_eq!(output, Output::Receive(Timeout::Idle), "{pieces:?}");
    assert_eq!(proxied.stats().requests, 2, "{pieces:?}");
    assert!(matches!(proxied.noted.client, Some(PeerAddress::Ip { .. })), "{pieces:?}");
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
