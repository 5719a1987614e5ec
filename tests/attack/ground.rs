//! The setting of an attack: a warm server, a good client beside the attack, and the comparison of
//! the state after with the state before.
//!
//! Before an attack, each receive buffer is used once, and as many clients as the attack will have
//! are in the middle of a long head at the same time. The server keeps the memory for both by
//! design, so memory that an attack adds to this would be a leak. The allocator's pages vary;
//! [`MEMORY_TOLERANCE_KIB`] allows for them.

use crate::common::processes::signal;
use crate::common::{GET_CLOSE, PAGE, Server, assert_same_bytes};
use crate::crowd::{crowd, receive_until, send_all};
use crate::good_client::{Good, GoodClient};
use crate::table::Aftermath;
use crate::totals::Totals;
use crate::watch::{Figures, Watch, await_that};
use std::net::SocketAddr;
use uringstatic::engine::uring::RECEIVE_BUFFERS;

/// A server to attack.
pub(crate) struct Ground {
    pub(crate) server: Server,
    pub(crate) watch: Watch,
    pub(crate) address: SocketAddr,
    /// The body of the response for `/`.
    pub(crate) page: Vec<u8>,
    before: Figures,
    /// Connections and requests of the warm-up.
    warm: (u64, u64),
}

impl Ground {
    /// A server with the built-in page, warm for this many simultaneous connections.
    pub(crate) fn new(options: &[&str], clients: usize) -> Self {
        Self::with_page(options, PAGE, clients)
    }

    /// The same with the page that the options name.
    pub(crate) fn with_page(options: &[&str], page: &[u8], clients: usize) -> Self {
        Self::of(Server::start(options), page, clients)
    }

    /// The same with a started server.
    pub(crate) fn of(server: Server, page: &[u8], clients: usize) -> Self {
        let address: SocketAddr = server.addresses[0].parse().expect("it listens on TCP");
        let watch = Watch { pid: server.worker(0), port: address.port() };
        // Consecutive requests use all receive buffers in turn.
        let mut one = server.connect();
        for _ in 0..RECEIVE_BUFFERS {
            one.send(HEAD);
            assert_eq!(one.response_to_head().status, 200);
        }
        drop(one);
        warm_up(&watch, address, page, clients);
        let before = watch.figures();
        let warm = (clients as u64 + 1, clients as u64 + u64::from(RECEIVE_BUFFERS));
        Self { server, watch, address, page: page.to_owned(), before, warm }
    }

    /// Starts the good client.
    pub(crate) fn good_client(&self) -> GoodClient {
        GoodClient::start(self.address, &self.page)
    }

    /// Stops the worker (SIGSTOP) during the action.
    pub(crate) fn while_stopped<T>(&self, action: impl FnOnce() -> T) -> T {
        signal("STOP", self.watch.pid.into());
        await_that("the worker is stopped", || self.watch.is_stopped());
        let value = action();
        signal("CONT", self.watch.pid.into());
        value
    }

    /// Checks that descriptors and memory are as before, ends the server, and returns its totals
    /// without the share of the good client, the warm-up and these checks.
    pub(crate) fn end(self, good: Option<GoodClient>) -> (Aftermath, Totals) {
        let good = good.map(GoodClient::stop);
        if let Some(Good { lost, .. }) = &good {
            assert!(lost.is_empty(), "the good client lost {}: {}", lost.len(), lost[0]);
        }
        let watch = &self.watch;
        await_that("no connection is left", || watch.connections().count() == 0);
        let Figures { descriptors, memory_kib } = self.before;
        await_that("descriptors are as before", || watch.figures().descriptors == descriptors);
        let after = watch.figures();
        let more = after.memory_kib.saturating_sub(memory_kib);
        assert!(more <= MEMORY_TOLERANCE_KIB, "{more} KiB more than the {memory_kib} before");
        assert_same_bytes(&self.server.ask(GET_CLOSE).body, &self.page);
        let mut totals = Totals::parse(&self.server.end());
        let (connections, requests) =
            good.as_ref().map_or((0, 0), |good| (good.connections, good.took.len() as u64));
        totals.connections -= self.warm.0 + connections + 1;
        totals.requests -= self.warm.1 + requests + 1;
        let aftermath = Aftermath { good, descriptors, before_kib: memory_kib, after };
        (aftermath, totals)
    }
}

/// Brings this many clients into the middle of the longest head at once, then has them served.
fn warm_up(watch: &Watch, address: SocketAddr, page: &[u8], clients: usize) {
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(HEAD_BYTES));
    let mut peers = crowd(address, clients, head);
    await_that("all are accepted and read", || {
        let connections = watch.connections();
        connections.count() == clients && connections.unread == 0
    });
    send_all(&mut peers, "\r\n\r\n");
    receive_until("the warm-up is served", &mut peers, page, |peer| peer.pages == 1);
    drop(peers);
    await_that("no connection of the warm-up is left", || watch.connections().count() == 0);
}

/// The permitted growth of memory by an attack.
const MEMORY_TOLERANCE_KIB: u64 = 512;
const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
/// Nearly the limit of a head (`--max-head`).
const HEAD_BYTES: usize = 16_000;
