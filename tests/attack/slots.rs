//! Every slot is held by a client that makes little use of it, in every known way. A new client is
//! served all the same, and a client with one request per second keeps its connection.
//!
//! All timeouts are a minute, longer than a new client waits, so that it is served only if another
//! connection makes room. The wait is printed.

use crate::Form;
use crate::common::{GET, GET_CLOSE, PAGE, PATIENCE, Server, TemporaryFolder, pattern};
use crate::crowd::{Peer, crowd};
use crate::ground::Ground;
use crate::table::{Fates, Row, Verdict};
use crate::watch::{await_that, breathe};
use std::time::{Duration, Instant};

/// A way to hold a slot.
struct Hold {
    /// The first bytes.
    first: String,
    /// The bytes sent repeatedly, with a pause between.
    again: String,
    pause: Duration,
    /// The client reads one byte of its response at a time.
    sips: bool,
}

impl Hold {
    fn dripping(first: impl Into<String>, again: impl Into<String>) -> Self {
        let pause = Duration::from_millis(200);
        Self { first: first.into(), again: again.into(), pause, sips: false }
    }
}

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

pub(crate) fn slow_bodies(form: Form) -> Verdict {
    let first = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n";
    hold(form, &Hold::dripping(first, "y"))
}

pub(crate) fn chunk_extensions(form: Form) -> Verdict {
    hold(form, &Hold::dripping(format!("{CHUNKED}5;x="), "y"))
}

pub(crate) fn trailers(form: Form) -> Verdict {
    hold(form, &Hold::dripping(format!("{CHUNKED}0\r\nX: "), "y"))
}

pub(crate) fn heads_in_halves(form: Form) -> Verdict {
    let (begin, end) = GET.split_at(10);
    hold(form, &Hold::dripping(begin, format!("{end}{begin}")))
}

pub(crate) fn one_byte_readers(form: Form) -> Verdict {
    let first = "GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n";
    hold(form, &Hold { sips: true, ..Hold::dripping(first, "") })
}

pub(crate) fn lingering(form: Form) -> Verdict {
    let first = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n";
    hold(form, &Hold::dripping(first, "y"))
}

pub(crate) fn busy(form: Form) -> Verdict {
    let pause = Duration::from_millis(90);
    hold(form, &Hold { pause, ..Hold::dripping(GET, GET) })
}

/// Attackers in all slots except those of the steady clients, and new clients one after another. An
/// attacker whose connection is closed connects again.
fn hold(form: Form, how: &Hold) -> Verdict {
    let attackers = if how.sips { form.clients(20, 200) } else { form.clients(20, 1000) };
    let large = pattern(LARGE_BYTES);
    let files: &[(&str, &[u8])] = if how.sips {
        &[("index.html", PAGE), ("large.bin", &large)]
    } else {
        &[("index.html", PAGE)]
    };
    let site = TemporaryFolder::with(files);
    let spawn = (attackers + STEADY).to_string();
    let options = [
        ["--root", site.path()],
        ["--compress", "off"],
        ["--spawn", &spawn],
        ["--head-timeout", "1m"],
        ["--body-timeout", "1m"],
        ["--send-timeout", "1m"],
        ["--min-rate", "0"],
    ];
    let ground = Ground::of(Server::start(&options.concat()), PAGE, attackers + STEADY);
    let mut steady = crowd(ground.address, STEADY, "");
    let mut peers = crowd(ground.address, attackers, &how.first);
    await_that("every slot is taken", || ground.watch.connections().count() == attackers + STEADY);
    let start = Instant::now();
    let (mut drip_at, mut ask_at) = (start + how.pause, start);
    let mut came = attackers;
    let mut newcomers = Newcomers::default();
    while newcomers.took.len() < form.of(5, 30) {
        breathe(Duration::from_millis(2));
        let now = Instant::now();
        if now >= ask_at {
            steady.iter_mut().for_each(Peer::ask);
            ask_at = now + Duration::from_secs(1);
        }
        for peer in &mut steady {
            peer.receive(PAGE);
            assert_eq!(peer.end, None, "a client with one request per second keeps its connection");
        }
        if now >= drip_at {
            drip_at = now + how.pause;
            for peer in &mut peers {
                came += usize::from(drip(peer, how, &ground));
            }
        }
        // The first new client comes when all slots have been held for a while.
        if start.elapsed() > HELD_FOR {
            newcomers.go_on(&ground);
        }
    }
    let took = newcomers.took;
    drop(peers);
    let asked: u64 = steady.iter().map(|peer| u64::from(peer.pages)).sum();
    drop(steady);
    let (aftermath, totals) = ground.end(None);
    totals.assert_no_errors_but(&["displaced", "resets", "refused requests"]);
    let served = asked + took.len() as u64;
    let fates = Fates { served, ..Fates::default() };
    let slowest = took.iter().max().expect("at least one new client was served").as_secs_f64();
    let note = format!(
        "{attackers} slots held, {came} connections; a new client waits {slowest:.2} s at most"
    );
    Row::new(served, fates, aftermath).noted(note)
}

/// Clients that connect one after another, each for one page.
#[derive(Default)]
struct Newcomers {
    present: Option<(Peer, Instant)>,
    /// The time until each had its page.
    took: Vec<Duration>,
}

impl Newcomers {
    fn go_on(&mut self, ground: &Ground) {
        let (peer, since) = self.present.get_or_insert_with(|| {
            let since = Instant::now();
            let mut peer = Peer::connect(ground.address);
            assert!(peer.send(GET_CLOSE), "the client is connected");
            (peer, since)
        });
        peer.receive(PAGE);
        assert!(since.elapsed() < PATIENCE, "a new client isn't served");
        if peer.pages == 1 {
            self.took.push(since.elapsed());
            self.present = None;
        }
    }
}

/// The next step of an attacker; true if it was closed and connected again.
fn drip(peer: &mut Peer, how: &Hold, ground: &Ground) -> bool {
    if how.sips {
        peer.sip();
    } else {
        peer.receive(PAGE);
    }
    if peer.end.is_none() {
        // The server may have closed in the meantime.
        peer.send(&how.again);
        return false;
    }
    *peer = Peer::connect(ground.address);
    peer.send(&how.first);
    true
}

/// A burst of long incomplete heads: their memory is returned when the connections are closed.
pub(crate) fn burst_of_heads(form: Form) -> Verdict {
    let clients = form.clients(400, 5000);
    let server = Server::start(&["--spawn", &clients.to_string()]);
    let ground = Ground::of(server, PAGE, clients);
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(HEAD_BYTES));
    let peers = crowd(ground.address, clients, head);
    await_that("all are accepted and read", || {
        let connections = ground.watch.connections();
        connections.count() == clients && connections.unread == 0
    });
    let during = ground.watch.figures().memory_kib;
    drop(peers);
    await_that("no connection is left", || ground.watch.connections().count() == 0);
    let heads_kib = (clients * HEAD_BYTES / 1024) as u64;
    let limit = during - heads_kib * 3 / 4;
    await_that("the memory is returned", || ground.watch.figures().memory_kib <= limit);
    let after = ground.watch.figures().memory_kib;
    let left = clients as u64;
    let (aftermath, totals) = ground.end(None);
    totals.assert_no_errors_but(&["resets", "refused requests"]);
    let fates = Fates { left, ..Fates::default() };
    Row::new(left, fates, aftermath).noted(format!("memory {during} KiB, then {after}"))
}

const STEADY: usize = 2;
const LARGE_BYTES: usize = 16_000_000;
const HELD_FOR: Duration = Duration::from_millis(2500);
const HEAD_BYTES: usize = 16_000;
