//! Listening sockets that a service manager made and passes on (`sd_listen_fds(3)`).

use super::{body, reload};
use crate::common::{Client, GET, PAGE, Server, TemporaryFile, assert_same_bytes};
use rustix::fs::{OFlags, fcntl_getfl};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;

/// A manager's two sockets.
struct Sockets {
    tcp: TcpListener,
    unix: UnixListener,
    path: TemporaryFile,
}

impl Sockets {
    fn new() -> Self {
        let path = TemporaryFile::vacant("sock");
        let unix = UnixListener::bind(path.path()).expect("the path is vacant");
        Self { tcp: TcpListener::bind("127.0.0.1:0").expect("a port is free"), unix, path }
    }

    fn pass(&self) -> [OwnedFd; 2] {
        let copy = |fd: &dyn AsFd| fd.as_fd().try_clone_to_owned().expect("descriptors are free");
        [copy(&self.tcp), copy(&self.unix)]
    }

    fn addresses(&self) -> [String; 2] {
        let address = self.tcp.local_addr().expect("it is bound");
        [address.to_string(), format!("unix:{}", self.path.path())]
    }
}

/// The status of a response at this address.
fn status(address: &str, target: &str) -> u16 {
    let mut client = Client::connect(address);
    client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
    client.response().status
}

#[test]
fn passed_sockets_take_the_place_of_the_default_address() {
    for engine in ["io_uring", "epoll"] {
        let sockets = Sockets::new();
        let options = ["--workers", "2", "--engine", engine];
        let mut server = Server::start_passed("http:web.socket", sockets.pass(), &options);
        assert_eq!(server.addresses, sockets.addresses());
        for address in &server.addresses {
            let mut client = Client::connect(address);
            client.send(GET);
            assert_same_bytes(&client.response().body, PAGE);
        }
        reload(&mut server);
        assert!(sockets.addresses().iter().all(|it| Client::connect(it).is_served()));
        server.end();
    }
}

#[test]
fn connection_that_comes_during_a_restart_is_served_by_the_next_process() {
    let sockets = Sockets::new();
    Server::start_passed("http:http-2", sockets.pass(), &[]).end();
    assert!(std::fs::exists(sockets.path.path()).unwrap(), "the manager has the file");
    let mut waiting: Vec<Client> =
        sockets.addresses().iter().map(|it| Client::connect(it)).collect();
    for client in &mut waiting {
        client.send(GET);
    }
    let server = Server::start_passed("http:http-2", sockets.pass(), &[]);
    for client in &mut waiting {
        assert_same_bytes(&client.response().body, PAGE);
    }
    server.end();
}

#[test]
fn kept_connection_is_told_of_the_end_by_its_next_response() {
    for options in [&[][..], &["--single-process"], &["--drain-delay", "1ms"]] {
        let sockets = Sockets::new();
        let server = Server::start_passed("http:http-2", sockets.pass(), options);
        let (mut kept, mut idle) = (server.connect(), server.connect());
        assert!(kept.is_served() && idle.is_served());
        server.signal("TERM");
        // The signal is on its way. A connection that is lost by it would fail the test.
        while !body(&mut kept).1 {}
        kept.ended();
        // What comes now waits for the next process.
        let mut waiting = server.connect();
        waiting.send(GET);
        assert!(body(&mut idle).1, "{options:?}");
        let exit = server.wait();
        assert_eq!(exit.code, Some(0), "{}", exit.text);
        let server = Server::start_passed("http:http-2", sockets.pass(), options);
        assert_same_bytes(&waiting.response().body, PAGE);
        server.end();
    }
}

#[test]
fn connection_that_comes_after_a_kill_is_served_by_the_next_process() {
    let sockets = Sockets::new();
    let server = Server::start_passed("http:http-2", sockets.pass(), &["--workers", "2"]);
    server.signal("KILL");
    server.wait();
    let mut waiting = Client::connect(&sockets.addresses()[0]);
    waiting.send(GET);
    let server = Server::start_passed("http:http-2", sockets.pass(), &[]);
    assert_same_bytes(&waiting.response().body, PAGE);
    server.end();
}

#[test]
fn socket_that_does_not_wait_is_made_to_wait_for_a_ring() {
    let sockets = Sockets::new();
    sockets.tcp.set_nonblocking(true).expect("it is a socket");
    let options = ["--engine", "io_uring"];
    let server = Server::start_passed("http:http", sockets.pass(), &options);
    assert!(!fcntl_getfl(&sockets.tcp).unwrap().contains(OFlags::NONBLOCK));
    assert!(server.connect().is_served());
    server.end();
}

#[test]
fn socket_named_health_serves_health_checks_only() {
    let sockets = Sockets::new();
    let server = Server::start_passed("health:http", sockets.pass(), &[]);
    let [health, public] = sockets.addresses();
    assert!(server.ready.contains(&format!("health checks on http://{health}/healthz")));
    assert_eq!((status(&health, "/healthz"), status(&health, "/")), (200, 404));
    assert_eq!(status(&public, "/"), 200);
    server.end();
}

#[test]
fn socket_named_admin_is_that_of_the_admin_process() {
    for engine in ["io_uring", "epoll"] {
        let sockets = Sockets::new();
        let server = Server::start_passed("admin:http", sockets.pass(), &["--engine", engine]);
        let [admin, public] = sockets.addresses();
        assert_eq!((status(&admin, "/ready"), status(&admin, "/")), (200, 404));
        assert_eq!((status(&public, "/"), status(&public, "/ready")), (200, 200), "a page is at /");
        server.end();
    }
}

#[test]
fn socket_named_proxy_requires_a_header_also_after_a_reload() {
    let sockets = Sockets::new();
    let mut server = Server::start_passed("proxy:http", sockets.pass(), &[]);
    let [proxy, public] = sockets.addresses();
    for _ in 0..2 {
        assert_eq!(status(&public, "/"), 200);
        let mut without = Client::connect(&proxy);
        without.send(GET);
        without.ended();
        let mut client = Client::connect(&proxy);
        client.send("PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n");
        client.send(GET);
        assert_same_bytes(&client.response().body, PAGE);
        reload(&mut server);
    }
    server.end();
}

#[test]
fn single_process_takes_passed_sockets() {
    let sockets = Sockets::new();
    let server = Server::start_passed("http:http", sockets.pass(), &["--single-process"]);
    assert!(sockets.addresses().iter().all(|address| Client::connect(address).is_served()));
    server.end();
    assert!(std::fs::exists(sockets.path.path()).unwrap());
}

#[test]
fn address_of_an_option_beside_a_passed_socket_is_refused() {
    let cases = [
        ("http:http", &["--listen", "127.0.0.1:0"][..], "remove --listen, or the socket unit"),
        ("health:http", &["--health-listen", "127.0.0.1:0"], "remove --health-listen"),
        ("health:health", &[], "it passed two sockets of that name"),
        ("http:heath", &[], "the socket 'heath' of the service manager: its name selects no"),
        ("http", &[], "invalid LISTEN_FDNAMES"),
    ];
    for (names, options, why) in cases {
        let exit = Server::run_passed(names, Sockets::new().pass(), options);
        assert_eq!(exit.code, Some(1), "{names}");
        assert!(exit.text.contains(why), "{names}: {}", exit.text);
    }
}

#[test]
fn sockets_for_another_process_are_closed_unused() {
    let shell = "exec 3<&0; LISTEN_FDS=1 LISTEN_PID=1 exec \"$0\" \"$@\"";
    let server = Server::start_by(&["sh", "-c", shell], &["127.0.0.1:0"], &[]);
    assert!(server.connect().is_served());
    server.end();
}
