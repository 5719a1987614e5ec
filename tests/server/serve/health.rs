//! `--health-listen`: health checks are answered when all other slots are taken.

use super::{Case, cases, with};
use crate::common::{Client, GET, PAGE, Server, TemporaryFile, assert_same_bytes};

pub(crate) const CASES: &[Case] = cases![
    health_is_answered_when_all_slots_are_taken,
    the_health_listener_answers_health_checks_alone,
    silent_clients_of_the_health_listener_make_room,
    the_health_listener_announces_the_drain,
];

/// A server with one slot, and the address of its health listener.
fn start(flags: &[&str], address: &str, options: &[&str]) -> (Server, String) {
    let options = [&["--spawn", "1", "--health-listen", address], options].concat();
    let server = Server::start(&with(flags, &options));
    let place = health_address(&server);
    (server, place)
}

/// The address of a server's health listener.
pub(crate) fn health_address(server: &Server) -> String {
    let (_, rest) =
        server.ready.split_once("health checks on ").expect("the ready line has the address");
    let (place, _) = rest.split_once(';').expect("more follows");
    let place = match place.strip_prefix("http://") {
        Some(url) => url.split_once('/').expect("a path follows").0,
        None => place.split_once(',').expect("a path follows").0,
    };
    place.to_owned()
}

pub(crate) fn ask(place: &str, request: &str) -> (u16, String) {
    let mut client = Client::connect(place);
    client.send(request);
    let response = client.response();
    assert!(response.closes());
    client.ended();
    (response.status, String::from_utf8(response.body).expect("it is text"))
}

pub(crate) const CHECK: &str = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";

fn health_is_answered_when_all_slots_are_taken(flags: &[&str]) {
    let file = TemporaryFile::vacant("sock");
    for address in ["127.0.0.1:0", &format!("unix:{}", file.path())] {
        let (server, place) = start(flags, address, &["--head-timeout", "1m"]);
        let mut holder = server.connect();
        holder.send("GET / HTTP/1.1\r\n");
        for _ in 0..20 {
            assert_eq!(ask(&place, CHECK), (200, "ok\n".to_owned()));
        }
        holder.send("Host: a\r\n\r\n");
        assert_same_bytes(&holder.response().body, PAGE);
    }
}

fn the_health_listener_answers_health_checks_alone(flags: &[&str]) {
    let (server, place) = start(flags, "127.0.0.1:0", &["--health", "/up"]);
    assert_eq!(ask(&place, &CHECK.replace("/healthz", "/up?from=probe")).0, 200);
    assert_eq!(ask(&place, CHECK).0, 404, "--health names another path");
    assert_eq!(ask(&place, GET).0, 404, "the page is on the other listener");
    assert_eq!(ask(&place, &GET.replace("GET", "POST")).0, 405);
    let page = server.ask(GET.replace(" / ", " /up "));
    assert_same_bytes(&page.body, PAGE);
}

fn silent_clients_of_the_health_listener_make_room(flags: &[&str]) {
    let (server, place) = start(flags, "127.0.0.1:0", &["--head-timeout", "1m"]);
    let mut silent: Vec<_> = (0..12).map(|_| Client::connect(&place)).collect();
    for client in &mut silent {
        client.send("GET /healthz HT");
    }
    assert_eq!(ask(&place, CHECK).0, 200);
    assert_same_bytes(&server.ask(GET).body, PAGE);
}

fn the_health_listener_announces_the_drain(flags: &[&str]) {
    let (server, place) = start(flags, "127.0.0.1:0", &[]);
    let mut holder = server.connect();
    holder.send("GET / HTTP/1.1\r\n");
    assert_eq!(ask(&place, CHECK).0, 200);
    server.signal("TERM");
    while ask(&place, CHECK).0 == 200 {}
    assert_eq!(ask(&place, CHECK).0, 503);
    holder.send("Host: a\r\n\r\n");
    let response = holder.response();
    assert!(response.closes());
    assert_same_bytes(&response.body, PAGE);
    drop(holder);
    let exit = server.wait();
    assert_eq!(exit.code, Some(0), "{}", exit.text);
}
