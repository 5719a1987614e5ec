//! The end of the server: by SIGKILL, and by SIGTERM, which lets it finish.

use crate::Form;
use crate::common::{GET, PAGE, Server, TemporaryFile, TemporaryFolder, pattern, timed};
use crate::crowd::{Peer, count, crowd, receive_until};
use crate::ground::Ground;
use crate::table::{Fates, Row, Verdict};
use crate::totals::Totals;
use crate::watch::{await_that, breathe};
use std::net::SocketAddr;
use std::time::Duration;

/// Killed under load and started again on the same port. Half of the clients request the page
/// repeatedly, half are in the middle of a large response.
pub(crate) fn killed(form: Form) -> Verdict {
    let clients = form.clients(20, 200);
    let large = pattern(HUGE_BYTES);
    let site = TemporaryFolder::with(&[("index.html", PAGE), ("large.bin", &large)]);
    let options = ["--root", site.path(), "--compress", "off"];
    let mut server = Server::start(&options);
    let (mut fates, mut sent) = (Fates::default(), 0);
    let mut longest = Duration::ZERO;
    for _ in 0..KILLS {
        let port = server.addresses[0].clone();
        let address: SocketAddr = port.parse().expect("it listens on TCP");
        let mut quick = crowd(address, clients, "");
        let mut stuck = crowd(address, clients, "GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n");
        for _ in 0..ROUNDS {
            step(&mut quick, PAGE);
            for peer in &mut stuck {
                peer.receive_some(&large);
            }
            breathe(Duration::from_millis(1));
        }
        let (again, took) = timed(|| {
            server.signal("KILL");
            assert_eq!(server.wait().code, None, "a signal ended it");
            let again = Server::start_on(&[&port], &options);
            let mut first = crowd(address, 1, GET);
            receive_until("it serves again", &mut first, PAGE, |peer| peer.pages == 1);
            again
        });
        server = again;
        longest = longest.max(took);
        receive_until("all see the end", &mut quick, PAGE, |peer| peer.end.is_some());
        receive_until("all see the end", &mut stuck, &large, |peer| peer.end.is_some());
        let (asked, pages) = sums(&quick);
        let torn = count(&stuck, |peer| peer.pages == 0) as u64;
        sent += asked + clients as u64 + 1;
        fates.served += pages + clients as u64 - torn + 1;
        // Responses in progress ended with the server; the bytes that arrived were right.
        fates.cut += asked - pages + torn;
    }
    assert!(fates.cut > 0, "there was no load");
    let ground = Ground::of(server, PAGE, 2 * clients);
    let (aftermath, totals) = ground.end(None);
    totals.assert_no_errors_but(&[]);
    assert_eq!((totals.connections, totals.requests), (1, 1), "of the last process");
    let note = format!("{KILLS} times; served again after {longest:.0?} at most");
    Row::new(sent, fates, aftermath).noted(note)
}

/// SIGTERM at the height of the load: responses that have begun are finished.
pub(crate) fn terminated(form: Form) -> Verdict {
    let clients = form.clients(100, 1000);
    let page = pattern(form.of(LARGE_BYTES / 4, LARGE_BYTES));
    let file = TemporaryFile::with("bin", &page);
    let options = ["--page", file.path(), "--drain-timeout", "1m"];
    let server = Server::start(&options);
    let address = server.addresses[0].parse().expect("it listens on TCP");
    let mut peers = crowd(address, clients, "");
    await_that("the load is at its height", || {
        step(&mut peers, &page);
        sums(&peers).1 > clients as u64 && count(&peers, |p| p.response.has_begun()) > clients / 2
    });
    let begun = count(&peers, |peer| peer.response.has_begun());
    let heard = sums(&peers).1 + begun as u64;
    server.signal("TERM");
    await_that("all are at their end", || {
        step(&mut peers, &page);
        peers.iter().all(|peer| peer.end.is_some())
    });
    let torn = count(&peers, |peer| peer.response.has_begun());
    assert_eq!(torn, 0, "responses that had begun and were not finished");
    let exit = server.wait();
    assert_eq!(exit.code, Some(0), "{}", exit.text);
    let totals = Totals::parse(&exit.text);
    let (asked, pages) = sums(&peers);
    totals.assert_no_errors_but(&[]);
    assert_eq!((totals.connections, totals.requests), (clients as u64, pages));
    assert!(pages >= heard, "{pages} responses, and {heard} had begun");
    let fates = Fates { served: pages, cut: asked - pages, ..Fates::default() };
    let note =
        format!("{begun} responses of {} KB had begun, all were completed", page.len() / 1000);
    Row::new(asked, fates, None).noted(note)
}

/// Each client sends the next request as soon as it has its page, and reads slowly, so that there
/// are always responses in progress.
fn step(peers: &mut [Peer], page: &[u8]) {
    for peer in peers {
        peer.ask();
        peer.receive_some(page);
    }
}

/// The numbers of requests sent and of complete pages received.
fn sums(peers: &[Peer]) -> (u64, u64) {
    let pages = peers.iter().map(|peer| u64::from(peer.pages));
    (peers.iter().map(|peer| peer.asked).sum(), pages.sum())
}

const KILLS: usize = 3;
const ROUNDS: usize = 50;
const LARGE_BYTES: usize = 1_000_000;
/// More than the buffers of both sockets hold; their content outlives the server.
const HUGE_BYTES: usize = 16_000_000;
