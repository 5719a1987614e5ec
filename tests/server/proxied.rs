//! Addresses for proxies, and the addresses of clients in the access log.

use crate::common::processes::until;
use crate::common::{Client, GET, PAGE, Server, TemporaryFile, assert_same_bytes};

const ENGINES: [&[&str]; 2] = [&[], &["--engine", "epoll"]];

/// A server with an address for clients, one for proxies and a socket file for proxies.
struct Fixture {
    server: Server,
    log: TemporaryFile,
    _socket: TemporaryFile,
}

impl Fixture {
    fn start(engine: &[&str], options: &[&str]) -> Self {
        let (log, socket) = (TemporaryFile::vacant("log"), TemporaryFile::vacant("sock"));
        let unix = format!("unix:{},proxy", socket.path());
        let addresses = ["127.0.0.1:0", "127.0.0.1:0,proxy", &unix];
        let options = [engine, &["--access-log", log.path()], options].concat();
        Self { server: Server::start_on(&addresses, &options), log, _socket: socket }
    }

    fn connect(&self, listener: usize) -> Client {
        Client::connect(&self.server.addresses[listener])
    }

    /// The address of the client in the line for this path, once there is one.
    fn client_of(&self, path: &str) -> String {
        let request = format!("\"GET {path} HTTP/1.1\"");
        until("the request is logged", || {
            let log = std::fs::read_to_string(self.log.path()).ok()?;
            let line = log.lines().find(|line| line.contains(&request))?;
            line.split(' ').next().map(str::to_owned)
        })
    }
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

const V1: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 80\r\n";
const LOCAL: &str = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const V2_OF_IPV6: &str = "\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24\
                          \x20\x01\x0d\x38\0\0\0\0\0\0\0\0\0\0\0\x09\
                          \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\
                          \x12\x34\0\x50";

#[test]
fn the_log_has_the_client_of_the_proxy_header() {
    for engine in ENGINES {
        let fixture = Fixture::start(engine, &[]);
        let headers = [V1, V2_OF_IPV6, LOCAL, "PROXY UNKNOWN\r\n"];
        for listener in [1, 2] {
            for (number, header) in headers.iter().enumerate() {
                let mut client = fixture.connect(listener);
                let path = format!("/{listener}-{number}");
                // Header and request in one segment, then the next request.
                client.send(format!("{header}{}", get(&path, "")));
                assert_same_bytes(&client.response().body, PAGE);
                client.send(get(&format!("{path}-again"), ""));
                assert_same_bytes(&client.response().body, PAGE);
                let own = if listener == 1 { "127.0.0.1" } else { "unix:" };
                let expected = ["192.0.2.7", "2001:d38::9", own, own][number];
                assert_eq!(fixture.client_of(&path), expected);
                assert_eq!(fixture.client_of(&format!("{path}-again")), expected);
            }
        }
        // Elsewhere, no header is taken.
        let mut client = fixture.connect(0);
        client.send(get("/own", "X-Forwarded-For: 6.6.6.6\r\n"));
        assert_same_bytes(&client.response().body, PAGE);
        assert_eq!(fixture.client_of("/own"), "127.0.0.1");
    }
}

#[test]
fn a_proxy_header_is_required_where_it_is_expected_and_refused_elsewhere() {
    for engine in ENGINES {
        let fixture = Fixture::start(engine, &["--head-timeout", "500ms"]);
        for listener in [1, 2] {
            // No header; the beginning of one; one that is broken; one that never ends.
            for bytes in [GET, "GET", "PROXY TCP4 300.1.1.1 1.1.1.1 1 1\r\n", "PROXY TCP4"] {
                let mut client = fixture.connect(listener);
                client.send(bytes);
                client.ended();
            }
        }
        for bytes in [V1, V2_OF_IPV6] {
            let mut client = fixture.connect(0);
            client.send(bytes);
            assert_eq!(client.response().status, 400);
        }
        // A check that connects only, and one that sends its header only.
        drop(fixture.connect(1));
        let mut check = fixture.connect(1);
        check.send(LOCAL);
        check.half_close();
        check.ended();
        fixture.server.signal("TERM");
        let exit = fixture.server.wait();
        assert!(exit.text.contains("8 without a PROXY header"), "{}", exit.text);
    }
}

#[test]
fn forwarding_fields_are_believed_from_trusted_proxies_alone() {
    let forwarded_for = "X-Forwarded-For: 6.6.6.6, 192.0.2.9, 10.0.0.8\r\n";
    let forwarded = "Forwarded: for=6.6.6.6, for=192.0.2.10;proto=https\r\n";
    for engine in ENGINES {
        let trusted = &["--trusted-proxies", "127.0.0.0/8,10.0.0.0/8"];
        let fixture = Fixture::start(engine, trusted);
        let mut client = fixture.connect(0);
        let mut expect = |path: &str, fields: &str, expected: &str| {
            client.send(get(path, fields));
            assert_same_bytes(&client.response().body, PAGE);
            assert_eq!(fixture.client_of(path), expected);
        };
        expect("/field", forwarded_for, "192.0.2.9");
        expect("/none", "", "127.0.0.1");
        expect("/other-field", forwarded, "127.0.0.1");
        expect("/malformed", "X-Forwarded-For: 6.6.6.6, unknown\r\n", "127.0.0.1");
        // The PROXY header names one that isn't trusted, then one that is.
        let trusted = V1.replace("192.0.2.7", "10.1.1.1");
        for (header, path, expected) in
            [(V1, "/stranger", "192.0.2.7"), (&trusted, "/trusted", "192.0.2.9")]
        {
            let mut client = fixture.connect(1);
            client.send(format!("{header}{}", get(path, forwarded_for)));
            assert_same_bytes(&client.response().body, PAGE);
            assert_eq!(fixture.client_of(path), expected);
        }
        // Pipelined requests of several clients, whose responses are equal.
        let mut client = fixture.connect(0);
        let requests = ["192.0.2.1", "192.0.2.2", "192.0.2.2"];
        let requests: String = requests
            .iter()
            .enumerate()
            .map(|(number, ip)| get(&format!("/p{number}"), &format!("X-Forwarded-For: {ip}\r\n")))
            .collect();
        client.send(&requests);
        for (path, expected) in [("/p0", "192.0.2.1"), ("/p1", "192.0.2.2"), ("/p2", "192.0.2.2")] {
            assert_same_bytes(&client.response().body, PAGE);
            assert_eq!(fixture.client_of(path), expected);
        }
        let options = &["--trusted-proxies", "127.0.0.1", "--forwarded-field", "forwarded"];
        let fixture = Fixture::start(engine, options);
        let mut client = fixture.connect(0);
        client.send(get("/f", &format!("{forwarded}{forwarded_for}")));
        assert_same_bytes(&client.response().body, PAGE);
        assert_eq!(fixture.client_of("/f"), "192.0.2.10");
    }
}
