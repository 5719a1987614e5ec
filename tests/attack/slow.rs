//! Clients that are slow: with a head, with a body, with reading.

use crate::common::{PAGE, Server, TemporaryFolder, pattern};
use crate::crowd::{count, crowd, receive_until};
use crate::ground::Ground;
use crate::table::{Fates, Row, Verdict};
use crate::watch::{await_that, breathe};
use crate::{Form, option_ms};
use std::time::Duration;

/// Heads that arrive a byte at a time and are never complete.
pub(crate) fn heads(form: Form) -> Verdict {
    let clients = form.clients(100, 2000);
    let pause = form.of(Duration::from_millis(100), Duration::from_secs(1));
    let (spawn, timeout) = ((clients + 100).to_string(), option_ms(pause * 10));
    let ground = Ground::new(&["--spawn", &spawn, "--head-timeout", &timeout], clients);
    let good = ground.good_client();
    let mut peers = crowd(ground.address, clients, "G");
    let mut head = "ET / HTTP/1.1\r\nHost: a\r\nX-Slow: ".bytes().chain(std::iter::repeat(b'y'));
    while peers.iter().any(|peer| peer.end.is_none()) {
        breathe(pause);
        let byte = head.next().expect("the head is endless");
        for peer in &mut peers {
            peer.receive(&ground.page);
            if peer.end.is_none() {
                // The server may have closed in the meantime.
                peer.send([byte]);
            }
        }
    }
    let timed_out = count(&peers, |peer| peer.others == [408]);
    drop(peers);
    let (aftermath, totals) = ground.end(Some(good));
    totals.assert_no_errors_but(&["request timeouts", "resets"]);
    assert_eq!(totals.errors("request timeouts"), timed_out as u64);
    assert_eq!((totals.connections, totals.requests), (clients as u64, timed_out as u64));
    let fates = Fates { late: timed_out as u64, ..Fates::default() };
    let note = format!("a byte every {pause:?}, {timeout} for a head");
    Row::new(clients as u64, fates, aftermath).noted(note)
}

/// Bodies that arrive a byte at a time: half of them are completed, half of them stop. All requests
/// are answered before.
pub(crate) fn bodies(form: Form) -> Verdict {
    let clients = form.clients(100, 2000);
    let pause = form.of(Duration::from_millis(100), Duration::from_secs(1));
    let (spawn, timeout) = ((clients + 100).to_string(), option_ms(pause * 30));
    let ground = Ground::new(&["--spawn", &spawn, "--body-timeout", &timeout], clients);
    let good = ground.good_client();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY_BYTES}\r\n\r\n");
    let mut peers = crowd(ground.address, clients, head);
    receive_until("each is answered", &mut peers, &ground.page, |peer| peer.others == [405]);
    for sent in 0..BODY_BYTES {
        breathe(pause);
        for (number, peer) in peers.iter_mut().enumerate() {
            if number % 2 == 0 || sent < BODY_BYTES / 3 {
                assert!(peer.send("y"), "the server receives a body in progress");
            }
        }
    }
    // Clients with a complete body continue; the others see the end.
    for peer in peers.iter_mut().step_by(2) {
        peer.ask();
    }
    let mut number = 0;
    receive_until("each goes on or ends", &mut peers, &ground.page, |peer| {
        peer.pages == 1 || peer.end.is_some()
    });
    let late = count(&peers, |peer| {
        number += 1;
        assert_eq!(peer.end.is_some(), number % 2 == 0, "number {number}: {:?}", peer.end);
        peer.end.is_some()
    });
    drop(peers);
    let (aftermath, totals) = ground.end(Some(good));
    totals.assert_no_errors_but(&["request timeouts", "resets"]);
    assert_eq!((totals.errors("request timeouts"), late), (late as u64, clients / 2));
    let served = clients.div_ceil(2) as u64;
    assert_eq!((totals.connections, totals.requests), (clients as u64, clients as u64 + served));
    let refused = clients as u64;
    let fates = Fates { served, refused, ..Fates::default() };
    let note = format!("a byte every {pause:?}, half stop, {timeout} for a body");
    Row::new(served + refused, fates, aftermath).noted(note)
}

/// Clients that request a large file and never read it.
pub(crate) fn never_reading(form: Form) -> Verdict {
    let clients = form.clients(20, 300);
    let timeout = form.of("1s", "5s");
    let large = pattern(LARGE_BYTES);
    let site = TemporaryFolder::with(&[("index.html", PAGE), ("large.bin", &large)]);
    let options = ["--root", site.path(), "--compress", "off", "--send-timeout", timeout];
    let ground = Ground::of(Server::start(&options), PAGE, clients);
    let good = ground.good_client();
    let request = "GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut peers = crowd(ground.address, clients, request);
    await_that("all are accepted", || ground.watch.connections().count() >= clients);
    // The good client has a connection or two.
    await_that("they are dropped", || ground.watch.connections().count() <= 2);
    // They read after they were dropped: a part of the file arrives, with the right bytes.
    receive_until("each sees its end", &mut peers, &large, |peer| peer.end.is_some());
    let late = count(&peers, |peer| peer.pages == 0);
    drop(peers);
    let (aftermath, totals) = ground.end(Some(good));
    totals.assert_no_errors_but(&["send timeouts"]);
    assert_eq!(totals.errors("send timeouts"), late as u64);
    assert_eq!((totals.connections, totals.requests), (clients as u64, clients as u64));
    let fates = Fates { late: late as u64, ..Fates::default() };
    let note = format!("of {} MB each; {timeout} without progress", LARGE_BYTES / 1_000_000);
    Row::new(clients as u64, fates, aftermath).noted(note)
}

const BODY_BYTES: usize = 12;
/// More than the buffers of both sockets hold.
const LARGE_BYTES: usize = 16_000_000;
