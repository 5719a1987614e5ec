//! `uringload` against servers with TLS: counts to the unit, refused certificates, truncation.

use super::certificates::{AUTHORITY, Identity, VERSIONS, authority_file, params, valid};
use super::server::{SecureServer, ServerCounts, close, request};
use crate::common::TemporaryFile;
use crate::common::processes::until;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::Arc;
use uringstatic::load::report::{LoadReport, Run};

const ENGINES: [&str; 2] = ["io_uring", "epoll"];

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// Runs the load client, and returns the first run of its report, if it got so far.
fn load(words: &[&str], url: &str) -> (Output, Option<Run>) {
    load_in(words, url, None)
}

/// The same with this file of certificates in the place of the system's.
fn load_in(words: &[&str], url: &str, system: Option<&str>) -> (Output, Option<Run>) {
    let json = TemporaryFile::vacant("json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_uringload"));
    command.args(words).args(["--json", json.path(), url]);
    if let Some(file) = system {
        command.env("SSL_CERT_FILE", file).env_remove("SSL_CERT_DIR");
    }
    let output = command.output().expect("the load client starts");
    // The file is there, empty, if the load didn't begin.
    let report = std::fs::read_to_string(&json.0).ok().filter(|text| !text.is_empty());
    let report: Option<LoadReport> =
        report.map(|text| serde_json::from_str(&text).expect("the JSON has the schema"));
    (output, report.map(|report| report.runs[0].clone()))
}

/// The options that trust the tests' authority.
fn trusting<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let file = authority_file().to_str().expect("the path is text");
    [words, &["--cacert", file]].concat()
}

/// A run without any failure.
fn clean(words: &[&str], url: &str) -> Run {
    let (output, run) = load(&trusting(words), url);
    let run = run.unwrap_or_else(|| panic!("{words:?}: {output:?}"));
    assert!(output.status.success(), "{words:?}: {run:?} {output:?}");
    run
}

#[test]
fn client_and_server_count_the_same_requests_over_tls() {
    let identity = Identity::of(&["localhost", "127.0.0.1"]);
    for (number, (words, per_connection)) in [
        (&["-c", "20"][..], false),
        (&["-c", "20", "--close"], true),
        (&["-c", "20", "--ab"], true),
        (&["-c", "20", "--http1.0"], false),
        (&["-c", "20", "--pipeline", "16"], false),
        (&["-c", "20", "--method", "HEAD"], false),
        (&["-c", "20", "--processes", "2"], false),
        (&["-c", "20", "--rate", "5000", "--allow-missed-rate"], false),
        (&["-c", "20", "--rate", "2000", "--close", "--allow-missed-rate"], true),
    ]
    .into_iter()
    .enumerate()
    {
        for engine in ENGINES {
            let version = VERSIONS[number % 2];
            let server = SecureServer::answering(identity.server(version), RESPONSE.to_vec());
            let words = [words, &["-n", "1000", "--engine", engine]].concat();
            let run = clean(&words, &server.url("localhost"));
            assert_eq!((run.requests, run.failed, run.died), (1000, 0, 0), "{words:?}");
            assert_eq!(run.response_us.count, 1000, "{words:?}");
            assert_eq!(run.handshake_us.count, run.connects, "{words:?}");
            assert_eq!(run.connect_us.count, run.connects, "{words:?}");
            assert!(!per_connection || run.connects == 1000, "{words:?}: {run:?}");
            let counts = &server.counts;
            assert_eq!(ServerCounts::of(&counts.requests), 1000, "{words:?}");
            assert_eq!(ServerCounts::of(&counts.handshakes), run.connects, "{words:?}");
            // A latency that was measured at a stale time is 1 ns.
            assert!(run.handshake_us.min > Some(1.0), "{:?}", run.handshake_us);
            assert!(run.connects < 1000 || run.response_us.min > Some(1.0), "{words:?}: {run:?}");
            if !words.contains(&"HEAD") {
                assert_eq!(run.bytes, 1000 * RESPONSE.len() as u64, "bytes are plaintext");
            }
            if !per_connection && !words.contains(&"--http1.0") {
                let closed = || (ServerCounts::of(&counts.closed) == run.connects).then_some(());
                until("each connection ends with close_notify", closed);
            }
        }
    }
}

#[test]
fn long_requests_and_responses_are_exact_over_tls() {
    let content: Vec<u8> = (0..3_000_000u32).map(|number| (number % 251) as u8).collect();
    let file = TemporaryFile::with("content", &content);
    let mut response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len());
    let body = TemporaryFile::with("body", &vec![b'x'; 500_000]);
    let body = format!("@{}", body.path());
    let mut bytes = std::mem::take(&mut response).into_bytes();
    bytes.extend(&content);
    for version in VERSIONS {
        for engine in ENGINES {
            let config = Identity::of(&["localhost"]).server(version);
            let server = SecureServer::answering(config, bytes.clone());
            let words = ["-c", "4", "-n", "12", "--expect", file.path(), "--engine", engine];
            let run = clean(&words, &server.url("localhost"));
            assert_eq!((run.requests, run.bytes), (12, 12 * bytes.len() as u64));
            // Content that isn't compared is decrypted all the same.
            let run = clean(&["-c", "4", "-n", "12", "--engine", engine], &server.url("localhost"));
            assert_eq!((run.requests, run.bytes), (12, 12 * bytes.len() as u64));

            let config = Identity::of(&["localhost"]).server(version);
            let server = SecureServer::answering(config, RESPONSE.to_vec());
            let words = ["--method", "POST", "--body", &body, "-c", "4", "-n", "12"];
            let words = [&words[..], &["--engine", engine]].concat();
            let run = clean(&words, &server.url("localhost"));
            assert_eq!((run.requests, ServerCounts::of(&server.counts.requests)), (12, 12));
        }
    }
}

#[test]
fn proxy_header_of_each_connection_precedes_its_handshake() {
    let identity = Identity::of(&["localhost", "127.0.0.1"]);
    for (kind, header_bytes) in [("tcp", 28), ("local", 16), ("unix", 232)] {
        for (engine, version) in ENGINES.into_iter().zip(VERSIONS) {
            for more in [&["--close"][..], &["--pipeline", "4", "--requests-per-connection", "9"]] {
                let config = identity.server(version);
                let server =
                    SecureServer::answering_behind_header(config, header_bytes, RESPONSE.to_vec());
                let option = format!("--proxy-protocol={kind}");
                let words = [&["-c", "5", "-n", "200", "--engine", engine, &option], more].concat();
                let run = clean(&words, &server.url("127.0.0.1"));
                let counts = &server.counts;
                assert_eq!((run.requests, ServerCounts::of(&counts.requests)), (200, 200));
                assert_eq!(ServerCounts::of(&counts.handshakes), run.connects, "{words:?}");
                let headers = counts.headers.lock().expect("no thread panics");
                assert_eq!(headers.len() as u64, run.connects, "{words:?}");
                for header in headers.iter() {
                    assert!(header.starts_with(b"\r\n\r\n\0\r\nQUIT\n"), "{kind}: {header:?}");
                    let port = header.get(26..).filter(|_| kind == "tcp");
                    assert!(
                        port.is_none_or(|port| port == server.port.to_be_bytes()),
                        "{header:?}"
                    );
                }
            }
        }
    }
}

/// The run against a server whose handshakes all fail, and its text for people.
fn refused(words: &[&str], url: &str) -> (Run, String) {
    let words = [words, &["-c", "3", "-n", "9", "--connect-timeout", "200ms"]].concat();
    let (output, run) = load(&words, url);
    let run = run.unwrap_or_else(|| panic!("{words:?}: {output:?}"));
    assert_eq!(output.status.code(), Some(1), "{words:?}");
    assert_eq!((run.requests, run.failed), (0, 0), "{words:?}: {run:?}");
    assert!(run.connects_failed >= 3, "{run:?}");
    assert_eq!(run.handshake_us.count, 0, "{words:?}");
    (run, String::from_utf8(output.stdout).expect("figures are text"))
}

#[test]
fn a_refused_certificate_is_a_failed_connect_with_its_reason() {
    let names = &["localhost"][..];
    let other = super::certificates::authority("Other");
    let file = authority_file().to_str().expect("the path is text");
    for (identity, host, reason) in [
        (Identity::issued(&params(names), &other), "localhost", "no trusted authority issued"),
        (Identity::of(names), "127.0.0.1", "certificate is not for 127.0.0.1"),
        (
            Identity::issued(&valid(names, 2020, 2021), &AUTHORITY),
            "localhost",
            "expired on Fri, 01 Jan 2021 00:00:00 GMT",
        ),
    ] {
        for (engine, version) in ENGINES.into_iter().zip(VERSIONS) {
            let server = SecureServer::answering(identity.server(version), RESPONSE.to_vec());
            let url = server.url(host);
            let (run, text) = refused(&["--cacert", file, "--engine", engine], &url);
            assert_eq!(run.connect_failures.get("tls_failed"), Some(&run.connects_failed));
            let first = run.first_failure.expect("there was one");
            assert_eq!(first.kind, "tls_failed");
            assert!(first.reason.contains(reason), "{first:?}");
            assert!(text.contains(reason), "{text}");
            assert!(run.connects_failed > 3, "attempts are repeated: {}", run.connects_failed);
            let (output, run) = load(&["--insecure", "-n", "9", "--engine", engine], &url);
            assert!(output.status.success(), "{output:?}");
            assert_eq!(run.expect("a report").requests, 9);
        }
    }
}

#[test]
fn a_schedule_begins_although_every_first_handshake_fails() {
    let config = Identity::of(&["localhost"]).server(VERSIONS[1]);
    let server = SecureServer::answering(config, RESPONSE.to_vec());
    // The certificate is for another name.
    let words = trusting(&["-c", "3", "--rate", "100", "-d", "300ms"]);
    let (output, run) = load(&words, &server.url("127.0.0.1"));
    let run = run.expect("a report");
    assert_eq!(output.status.code(), Some(1), "{run:?}");
    assert_eq!((run.due, run.not_sent, run.sent), (30, 30, 0), "{run:?}");
    assert!(run.connects_failed >= 3, "{run:?}");
}

#[test]
fn the_system_s_authorities_are_trusted_by_default() {
    let server = SecureServer::answering(
        Identity::of(&["localhost"]).server(VERSIONS[1]),
        RESPONSE.to_vec(),
    );
    let url = server.url("localhost");
    let (output, run) = load_in(&["-n", "9"], &url, authority_file().to_str());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(run.expect("a report").requests, 9);
    let empty = TemporaryFile::with("pem", b"");
    let (output, run) = load_in(&["-n", "9"], &url, Some(empty.path()));
    assert!(run.is_none() && output.status.code() == Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).expect("messages are text");
    assert!(said.contains("the system trusts") && said.contains("--cacert FILE"), "{said}");
    let (output, _) = load_in(&["-n", "9", "--cacert", "/nonexistent"], &url, None);
    let said = String::from_utf8(output.stderr).expect("messages are text");
    assert!(said.contains("/nonexistent (--cacert)"), "{said}");
}

#[test]
fn other_servers_fail_the_handshake_with_a_reason() {
    let plain = |answer: &'static [u8], stays: bool| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 2000]);
                let _ = stream.write_all(answer);
                if stays {
                    open.push(stream);
                }
            }
        });
        format!("https://127.0.0.1:{port}/")
    };
    for engine in ENGINES {
        for (url, kind, reason) in [
            (plain(b"HTTP/1.1 400 Bad Request\r\n\r\n", false), "tls_failed", "not TLS"),
            (plain(b"", false), "tls_failed", "during the TLS handshake"),
            (plain(b"", true), "connect_timed_out", "TLS handshake"),
            // A fatal alert, 40 (RFC 8446 6).
            (plain(&[21, 3, 3, 0, 2, 2, 40], true), "tls_failed", "handshake_failure"),
        ] {
            let (run, text) = refused(&["--insecure", "--engine", engine], &url);
            assert_eq!(run.connect_failures.get(kind), Some(&run.connects_failed), "{run:?}");
            let first = run.first_failure.expect("there was one");
            assert!(first.reason.contains(reason), "{first:?}");
            assert!(text.contains(reason), "{text}");
        }
    }
}

#[test]
fn a_server_that_demands_a_certificate_is_named() {
    let mut roots = RootCertStore::empty();
    roots.add(AUTHORITY.der().clone()).expect("it is a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let verifier = verifier.build().expect("it has roots");
    let identity = Identity::of(&["localhost"]);
    // In TLS 1.3 the client is ready to send before the server has looked for its certificate.
    let config = identity.server_for(VERSIONS[1], verifier.clone());
    let server = SecureServer::answering(config, RESPONSE.to_vec());
    let (output, run) = load(&trusting(&["-c", "2", "-n", "6"]), &server.url("localhost"));
    let run = run.expect("a report");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!((run.requests, run.failed), (0, 6), "{run:?}");
    assert_eq!(run.failures.get("reset_before_reply"), Some(&6), "{run:?}");
    let first = run.first_failure.expect("there was one");
    assert!(first.reason.contains("demands a certificate"), "{first:?}");
    let config = identity.server_for(VERSIONS[0], verifier);
    let server = SecureServer::answering(config, RESPONSE.to_vec());
    let (run, _) = refused(&trusting(&[]), &server.url("localhost"));
    assert!(run.connect_failures.contains_key("tls_failed"), "{run:?}");
}

#[test]
fn only_close_notify_completes_a_response_without_a_length() {
    const OPEN: &[u8] = b"HTTP/1.1 200 OK\r\n\r\nhello";
    for (engine, version) in ENGINES.into_iter().zip(VERSIONS) {
        for (response, closes, kind) in [
            (OPEN, true, None),
            (OPEN, false, Some("short")),
            (RESPONSE, true, None),
            (RESPONSE, false, None),
            (&RESPONSE[..RESPONSE.len() - 1], true, Some("short")),
        ] {
            let config = Identity::of(&["localhost"]).server(version);
            let server = SecureServer::start(config, move |stream, counts| {
                if request(stream, counts).is_some() {
                    stream.write_all(response).expect("the client reads");
                    stream.flush().expect("the client reads");
                    if closes {
                        close(stream);
                    }
                }
            });
            let words = ["-c", "3", "-n", "30", "--close", "--engine", engine];
            let (_, run) = load(&trusting(&words), &server.url("localhost"));
            let run = run.expect("a report");
            let case = format!("{closes} {kind:?} {run:?}");
            assert_eq!(run.requests, if kind.is_none() { 30 } else { 0 }, "{case}");
            assert_eq!(run.failed, if kind.is_none() { 0 } else { 30 }, "{case}");
            assert!(kind.is_none_or(|kind| run.failures.get(kind) == Some(&30)), "{case}");
            assert_eq!(run.lingered, 0, "{case}");
        }
    }
}

#[test]
fn bytes_behind_a_response_are_wrong_over_tls() {
    let mut response = RESPONSE.to_vec();
    response.push(b'!');
    let config = Identity::of(&["localhost"]).server(VERSIONS[1]);
    let server = SecureServer::answering(config, response);
    let (_, run) = load(&trusting(&["-n", "30", "-c", "3"]), &server.url("localhost"));
    let run = run.expect("a report");
    assert_eq!((run.requests, run.failures.get("wrong_bytes")), (0, Some(&30)), "{run:?}");

    // In a record of its own, which comes with the response or while the client awaits the close.
    let config = Identity::of(&["localhost"]).server(VERSIONS[1]);
    let server = SecureServer::start(config, |stream, counts| {
        if request(stream, counts).is_some() {
            for bytes in [RESPONSE, b"!"] {
                // The client may have left at the second one.
                let _ = stream.write_all(bytes).and_then(|()| stream.flush());
            }
            close(stream);
        }
    });
    let words = ["-n", "200", "-c", "3", "--close"];
    let (_, run) = load(&trusting(&words), &server.url("localhost"));
    let run = run.expect("a report");
    assert_eq!((run.requests, run.failures.get("wrong_bytes")), (0, Some(&200)), "{run:?}");
}

#[test]
fn new_keys_and_lost_connections_cost_no_request_but_their_own() {
    let config = Identity::of(&["localhost"]).server(VERSIONS[1]);
    let server = SecureServer::start(config, |stream, counts| {
        // Every tenth response is the last of its connection, which persists by its head.
        for _ in 0..10 {
            if request(stream, counts).is_none() {
                return;
            }
            stream.conn.refresh_traffic_keys().expect("TLS 1.3 has new keys");
            stream.write_all(RESPONSE).expect("the client reads");
        }
        close(stream);
    });
    for engine in ENGINES {
        let words = ["-c", "5", "-n", "500", "--engine", engine];
        let (_, run) = load(&trusting(&words), &server.url("localhost"));
        let run = run.expect("a report");
        // A request may cross the server's close on its way.
        assert_eq!(run.requests + run.failed, 500, "{run:?}");
        assert!(run.requests >= 450, "{run:?}");
        assert_eq!(run.failed, run.failures.get("short").copied().unwrap_or(0), "{run:?}");
    }
}

#[test]
fn the_server_program_has_no_tls() {
    // A label of TLS 1.3's key schedule (RFC 8446 7.1), which the compiler keeps as it is.
    let has_tls = |program: &str| {
        let bytes = std::fs::read(program).expect("the program is readable");
        memchr::memmem::find(&bytes, b"c hs traffic").is_some()
    };
    assert!(has_tls(env!("CARGO_BIN_EXE_uringload")));
    assert!(!has_tls(env!("CARGO_BIN_EXE_uringstatic")));
}
