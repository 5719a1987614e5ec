//! A session of the client and rustls' server, joined in memory: handshakes, transfers, ends.

use super::certificates::{Identity, VERSIONS, authority_file};
use proptest::prelude::*;
use rustls::{HandshakeKind, ServerConfig, ServerConnection};
use std::io::{Read, Write};
use std::sync::Arc;
use uringstatic::load::tls::{TlsError, TlsPlan, TlsSession, Trust, region_bytes};

/// A client's session and its server.
pub(super) struct Pair {
    pub(super) client: TlsSession,
    pub(super) server: ServerConnection,
    /// Plaintext that the client has received.
    pub(super) received: Vec<u8>,
    /// The region of the client's fixed buffer.
    region: Vec<u8>,
}

impl Pair {
    pub(super) fn new(host: &str, trust: Trust, server: ServerConfig) -> Self {
        let (config, name) = TlsPlan { host: host.to_owned(), trust }.load().expect("it loads");
        Self {
            client: TlsSession::new(&config, &name),
            server: ServerConnection::new(Arc::new(server)).expect("a server"),
            received: Vec::new(),
            region: vec![0; region_bytes(0)],
        }
    }

    /// A pair that trusts each other, after its handshake.
    fn connected(version: &'static rustls::SupportedProtocolVersion) -> Self {
        let server = Identity::of(&["localhost"]).server(version);
        let mut pair = Self::new("localhost", Trust::File(authority_file().to_owned()), server);
        pair.run(usize::MAX).expect("they trust each other");
        assert!(!pair.client.is_handshaking() && !pair.server.is_handshaking());
        pair
    }

    /// Passes the client's messages, and this plaintext, to the server.
    fn send(&mut self, mut plaintext: &[u8]) -> bool {
        let mut sent = false;
        loop {
            let sealed = self.client.seal(plaintext, &mut self.region);
            plaintext = &plaintext[sealed.used..];
            if sealed.written == 0 {
                assert!(plaintext.is_empty(), "the keys are not used up");
                return sent;
            }
            sent = true;
            let mut bytes = &self.region[..sealed.written];
            while !bytes.is_empty() {
                self.server.read_tls(&mut bytes).expect("room");
                // The server's own failures are seen by the client as alerts.
                let _ = self.server.process_new_packets();
            }
        }
    }

    /// Passes the server's messages to the client, in pieces of at most `bytes_max`.
    fn receive(&mut self, bytes_max: usize) -> Result<bool, TlsError> {
        let mut bytes = Vec::new();
        while self.server.wants_write() {
            self.server.write_tls(&mut bytes).expect("a vector has room");
        }
        for piece in bytes.chunks(bytes_max) {
            self.client.feed(piece, &mut self.received)?;
        }
        Ok(!bytes.is_empty())
    }

    /// Passes messages to and fro until there are none.
    pub(super) fn run(&mut self, bytes_max: usize) -> Result<(), TlsError> {
        while self.send(&[]) | self.receive(bytes_max)? {}
        Ok(())
    }

    /// Sends plaintext from the server to the client.
    fn answer(&mut self, mut plaintext: &[u8], bytes_max: usize) {
        while !plaintext.is_empty() {
            let count = self.server.writer().write(plaintext).expect("the server writes");
            plaintext = &plaintext[count..];
            self.run(bytes_max).expect("the session holds");
        }
    }

    /// The plaintext that the server has received.
    fn read(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 16];
        let count = self.server.reader().read(&mut bytes).unwrap_or(0);
        bytes.truncate(count);
        bytes
    }
}

/// Bytes of which no two stretches are equal by accident.
fn content(length: usize) -> Vec<u8> {
    (0u32..)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes())
        .take(length)
        .collect()
}

#[test]
fn a_handshake_completes_in_pieces_of_any_size() {
    for version in VERSIONS {
        for bytes_max in [1, 2, 5, 100, 1000, usize::MAX] {
            let server = Identity::of(&["localhost"]).server(version);
            let trust = Trust::File(authority_file().to_owned());
            let mut pair = Pair::new("localhost", trust, server);
            assert!(pair.client.is_handshaking() && pair.client.wants_to_send());
            pair.run(bytes_max).expect("they trust each other");
            assert!(!pair.client.is_handshaking() && !pair.server.is_handshaking());
            assert_eq!(pair.server.server_name(), Some("localhost"), "SNI");
            assert_eq!(pair.server.alpn_protocol(), Some(&b"http/1.1"[..]));
            pair.send(b"GET");
            assert_eq!(pair.read(), b"GET");
            pair.answer(b"200", bytes_max);
            assert_eq!(pair.received, b"200", "{version:?} in pieces of {bytes_max}");
        }
    }
}

#[test]
fn long_requests_and_responses_pass_in_pieces() {
    for version in VERSIONS {
        let mut pair = Pair::connected(version);
        let sent = content(1_000_000);
        let mut arrived = Vec::new();
        // The region has less room than a record, so the request is cut into many.
        for piece in sent.chunks(10_000) {
            pair.send(piece);
            arrived.extend(pair.read());
        }
        assert!(arrived == sent, "the request arrives unchanged");
        let answered = content(4_000_000);
        pair.answer(&answered, 8192);
        assert!(pair.received == answered, "the response arrives unchanged");
    }
}

#[test]
fn a_region_of_the_advised_size_takes_the_whole_batch() {
    for version in VERSIONS {
        let mut pair = Pair::connected(version);
        pair.send(&[]);
        for length in [1, 100, 1000, 16_000, 20_000] {
            let batch = content(length);
            let mut region = vec![0; region_bytes(length)];
            let sealed = pair.client.seal(&batch, &mut region);
            assert_eq!(sealed.used, length);
            assert!(!pair.client.wants_to_send(), "{length} bytes are sent by one send");
        }
        assert!(region_bytes(1 << 30) <= 32 << 10, "a long batch is sent in pieces");
    }
}

#[test]
fn plaintext_of_one_receive_is_bounded_by_it_and_one_record() {
    let mut pair = Pair::connected(VERSIONS[1]);
    pair.server.set_buffer_limit(None);
    pair.server.writer().write_all(&content(300_000)).unwrap();
    let mut bytes = Vec::new();
    while pair.server.wants_write() {
        pair.server.write_tls(&mut bytes).unwrap();
    }
    let mut most = 0;
    for piece in bytes.chunks(8192) {
        let mut plaintext = Vec::new();
        pair.client.feed(piece, &mut plaintext).unwrap();
        most = most.max(plaintext.len());
        pair.received.extend(plaintext);
    }
    assert!(most <= 8192 + (1 << 14), "{most} bytes");
    assert!(pair.received == content(300_000));
}

#[test]
fn close_notify_tells_a_complete_stream_from_a_truncated_one() {
    for version in VERSIONS {
        let mut pair = Pair::connected(version);
        pair.answer(b"all", 1);
        assert!(!pair.client.has_ended(), "the connection may end now, but by anyone's hand");
        pair.server.send_close_notify();
        pair.run(1).unwrap();
        assert!(pair.client.has_ended());
        assert_eq!(pair.client.feed(b"anything", &mut pair.received), Ok(()));
        assert_eq!(pair.received, b"all", "what follows close_notify is ignored");
    }
}

#[test]
fn the_client_closes_with_close_notify() {
    for version in VERSIONS {
        let mut pair = Pair::connected(version);
        pair.client.close();
        pair.send(&[]);
        let state = pair.server.process_new_packets().unwrap();
        assert!(state.peer_has_closed(), "{version:?}");
        let mut early = Pair::new("localhost", Trust::Anything, Identity::of(&[]).server(version));
        early.send(&[]);
        early.client.close();
        assert!(!early.client.wants_to_send(), "there is no session to be closed yet");
    }
}

#[test]
fn tickets_and_new_keys_between_responses_are_no_content() {
    // The server has sent its tickets behind the handshake already.
    let mut pair = Pair::connected(VERSIONS[1]);
    for number in 0..10 {
        let request = format!("request {number}");
        pair.send(request.as_bytes());
        assert_eq!(pair.read(), request.as_bytes());
        pair.server.refresh_traffic_keys().unwrap();
        pair.answer(b"response", 3);
    }
    assert_eq!(pair.received, b"response".repeat(10));
}

#[test]
fn sessions_are_not_resumed() {
    for version in VERSIONS {
        let server = Arc::new(Identity::of(&["localhost"]).server(version));
        let trust = Trust::File(authority_file().to_owned());
        let (config, name) = TlsPlan { host: "localhost".to_owned(), trust }.load().unwrap();
        for _ in 0..3 {
            let mut pair = Pair {
                client: TlsSession::new(&config, &name),
                server: ServerConnection::new(server.clone()).unwrap(),
                received: Vec::new(),
                region: vec![0; region_bytes(0)],
            };
            pair.run(usize::MAX).unwrap();
            assert_eq!(pair.server.handshake_kind(), Some(HandshakeKind::Full), "{version:?}");
        }
    }
}

/// The failure of a handshake with a server that is set up like this.
fn failure(set_up: impl FnOnce(&mut ServerConfig)) -> TlsError {
    let mut server = Identity::of(&["localhost"]).server(VERSIONS[1]);
    set_up(&mut server);
    let mut pair = Pair::new("localhost", Trust::File(authority_file().to_owned()), server);
    let failure = pair.run(10).expect_err("the handshake fails");
    assert!(pair.client.is_handshaking());
    failure
}

#[test]
fn a_server_without_http_1_1_is_named() {
    let failure = failure(|server| server.alpn_protocols = vec![b"h2".to_vec()]);
    assert_eq!(
        failure.to_string(),
        "the server does not offer HTTP/1.1 (alert no_application_protocol)"
    );
}

#[test]
fn an_alert_is_named_as_in_its_rfc() {
    #[derive(Debug)]
    struct NoCertificate;
    impl rustls::server::ResolvesServerCert for NoCertificate {
        fn resolve(
            &self,
            _: rustls::server::ClientHello<'_>,
        ) -> Option<Arc<rustls::sign::CertifiedKey>> {
            None
        }
    }
    let failure = failure(|server| server.cert_resolver = Arc::new(NoCertificate));
    assert_eq!(failure.to_string(), "the server ended TLS with the alert access_denied");
}

#[test]
fn other_protocols_on_the_port_are_not_tls() {
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"[..],
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"220 mail.example ESMTP\r\n",
        &[0; 100],
        &[0xff; 100],
    ] {
        for bytes_max in [1, 100] {
            let server = Identity::of(&["localhost"]).server(VERSIONS[1]);
            let mut client = Pair::new("localhost", Trust::Anything, server).client;
            let mut plaintext = Vec::new();
            let fed = bytes.chunks(bytes_max).map(|piece| client.feed(piece, &mut plaintext));
            let failures: Vec<_> = fed.filter_map(Result::err).collect();
            assert_eq!(failures, [TlsError::NotTls], "{:?}", bytes.escape_ascii().to_string());
            assert_eq!(plaintext, b"");
        }
    }
}

#[test]
fn a_changed_byte_ends_the_session_after_the_plaintext_before_it() {
    let mut pair = Pair::connected(VERSIONS[1]);
    pair.server.writer().write_all(b"good").unwrap();
    let mut bytes = Vec::new();
    pair.server.write_tls(&mut bytes).unwrap();
    pair.server.writer().write_all(b"changed").unwrap();
    pair.server.write_tls(&mut bytes).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let failure = pair.client.feed(&bytes, &mut pair.received).expect_err("it is not authentic");
    assert_eq!(failure.to_string(), "TLS failed: cannot decrypt peer's message");
    assert_eq!(pair.received, b"good");
    pair.client.close();
    pair.send(&[]);
    let told = pair.server.process_new_packets().expect_err("the server is told");
    assert_eq!(told, rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac),);
}

proptest! {
    /// Bytes of a server at any point of the handshake may be replaced: the session ends with an
    /// error or waits, and never takes them for content.
    #[test]
    fn garbage_is_never_content(
        kept in 0..3000usize,
        garbage in prop::collection::vec(any::<u8>(), 0..200),
        bytes_max in 1..100usize,
    ) {
        let server = Identity::of(&["localhost"]).server(VERSIONS[1]);
        let mut pair = Pair::new("localhost", Trust::Anything, server);
        pair.send(&[]);
        let mut bytes = Vec::new();
        while pair.server.wants_write() {
            pair.server.write_tls(&mut bytes).unwrap();
        }
        bytes.truncate(kept);
        bytes.extend(garbage);
        for piece in bytes.chunks(bytes_max) {
            if pair.client.feed(piece, &mut pair.received).is_err() {
                break;
            }
        }
        prop_assert!(pair.received.is_empty());
    }
}
