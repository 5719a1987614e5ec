//! `--spawn N`: never more than N connections, and no client is refused or starves.

use super::{Case, cases, with};
use crate::common::{Client, GET, GET_CLOSE, PAGE, Server, TemporaryFile, assert_same_bytes};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::time::Duration;

pub(crate) const CASES: &[Case] = cases![
    the_longest_idle_connection_makes_room,
    with_all_slots_busy_the_next_connection_waits,
    ten_times_more_clients_than_slots_are_all_served,
    ten_times_more_persistent_clients_than_slots_are_all_served,
    several_listeners_share_one_slot,
    slots_of_closed_connections_are_reused,
];

fn the_longest_idle_connection_makes_room(flags: &[&str]) {
    let server = Server::start(&with(flags, &["--spawn", "2"]));
    let mut first = server.connect();
    first.send(GET);
    assert_same_bytes(&first.response().body, PAGE);
    let mut second = server.connect();
    second.send(GET);
    assert_same_bytes(&second.response().body, PAGE);
    let mut third = server.connect();
    third.send(GET);
    assert_same_bytes(&third.response().body, PAGE);
    first.ended();
    second.send(GET);
    assert_same_bytes(&second.response().body, PAGE);
    // Now the third connection has been idle longest.
    let mut fourth = server.connect();
    fourth.send(GET);
    assert_same_bytes(&fourth.response().body, PAGE);
    third.ended();
    let totals = server.end();
    assert!(totals.contains("4 connections, 5 requests, "), "{totals}");
    assert!(totals.contains("at most 2 in flight; errors: none"), "{totals}");
}

fn with_all_slots_busy_the_next_connection_waits(flags: &[&str]) {
    let server = Server::start(&with(flags, &["--spawn", "2"]));
    let (begin, end) = GET.split_at(10);
    let mut busy = [server.connect(), server.connect()];
    for client in &mut busy {
        client.send(begin);
    }
    let mut waiting = [server.connect(), server.connect()];
    for client in &mut waiting {
        client.send(GET);
    }
    assert!(waiting[0].is_quiet_for(Duration::from_millis(300)), "no slot is free");
    for client in &mut busy {
        client.send(end);
        assert_same_bytes(&client.response().body, PAGE);
    }
    // The first two are idle now and make room.
    for client in &mut waiting {
        assert_same_bytes(&client.response().body, PAGE);
    }
    for client in &mut busy {
        client.ended();
    }
    let totals = server.end();
    assert!(totals.contains("4 connections, 4 requests, "), "{totals}");
    assert!(totals.contains("at most 2 in flight; errors: none"), "{totals}");
}

fn ten_times_more_clients_than_slots_are_all_served(flags: &[&str]) {
    rush(flags, GET_CLOSE);
}

fn ten_times_more_persistent_clients_than_slots_are_all_served(flags: &[&str]) {
    rush(flags, GET);
}

/// 40 clients and 4 slots; all clients are connected before the first one reads.
fn rush(flags: &[&str], request: &str) {
    let server = Server::start(&with(flags, &["--spawn", "4"]));
    let mut clients: Vec<_> = (0..40).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(request);
    }
    for client in &mut clients {
        assert_same_bytes(&client.response().body, PAGE);
    }
    drop(clients);
    let totals = server.end();
    assert!(totals.contains("40 connections, 40 requests, "), "{totals}");
    // Connections may close so quickly that not all slots are in use at the same time.
    let within = (1..=4).any(|most| totals.contains(&format!("at most {most} in flight; ")));
    assert!(within && totals.contains("errors: none"), "{totals}");
}

fn several_listeners_share_one_slot(flags: &[&str]) {
    let file = TemporaryFile::vacant("sock");
    let unix = format!("unix:{}", file.path());
    let mut addresses = vec!["127.0.0.1:0", &unix, "127.0.0.1:0"];
    if TcpListener::bind("[::1]:0").is_ok() {
        addresses.push("[::1]:0");
    }
    let server = Server::start_on(&addresses, &with(flags, &["--spawn", "1"]));
    assert_eq!(server.addresses.len(), addresses.len());
    let mut before: Option<Client> = None;
    for _ in 0..3 {
        for address in &server.addresses {
            let mut client = Client::connect(address);
            client.send(GET);
            assert_same_bytes(&client.response().body, PAGE);
            if let Some(mut before) = before.replace(client) {
                before.ended();
            }
        }
    }
    let totals = server.end();
    assert!(totals.contains("at most 1 in flight; errors: none"), "{totals}");
    assert!(UnixStream::connect(&file.0).is_err(), "the listener is closed");
}

fn slots_of_closed_connections_are_reused(flags: &[&str]) {
    let server = Server::start(&with(flags, &["--spawn", "8"]));
    for _ in 0..50 {
        let mut clients: Vec<_> = (0..16).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.send(GET_CLOSE);
        }
        for client in &mut clients {
            assert_same_bytes(&client.response().body, PAGE);
            client.ended();
        }
    }
    let totals = server.end();
    assert!(totals.contains("800 connections, 800 requests, "), "{totals}");
    assert!(totals.contains("errors: none"), "{totals}");
}
