//! The server: one loop over one engine. It knows slots, the connection limit, timeouts and
//! completions; it knows no byte of HTTP, no address and no descriptor.
//!
//! A turn of the loop waits once, handles every completion, handles expired timeouts, arms accepts
//! and receives that have become possible, and pushes their entries for the next wait. `connection`
//! has the operations of one connection, `acceptor` has the way in.

mod acceptor;
mod connection;
mod rate;
pub mod timeouts;

use crate::engine::{Completion, Engine, Errno, Kind, Nanos, Op, Slot, Token, Unsubmitted};
use crate::http1::{HeadBuffers, Timeout};
use crate::site::Site;
use crate::socket::Submission;
use crate::stats::Stats;
use crate::timers::Timers;
use acceptor::{Acceptor, Class};
use connection::Connection;
use rate::MinRate;
use slab::Slab;
use std::time::Duration;
use timeouts::Timeouts;

/// The settings of a server.
#[derive(Clone, Copy, Debug)]
pub struct ServerConfig {
    /// The connection limit: the most connections accepted and open at one time.
    pub spawn: u32,
    /// How many listeners the engine has.
    pub listeners: u32,
    /// Whether the last listener is for health checks alone, with [`HEALTH_SLOTS`] of its own.
    pub health_listener: bool,
    /// How many accepts are in flight on each listener while slots are free.
    pub accepts: u32,
    /// How long a head may take, from the accept or from its first byte.
    pub head_timeout: Duration,
    /// How long a connection may be idle between requests.
    pub idle_timeout: Duration,
    /// How long a body may take, from the end of its response.
    pub body_timeout: Duration,
    /// How long a response may make no progress.
    pub send_timeout: Duration,
    /// The lowest rate at which a client must take a response, in bytes per second; 0 for none.
    pub min_rate: u32,
    /// How long the drain may take.
    pub drain_timeout: Duration,
    /// The longest head, in bytes.
    pub head_bytes_max: u32,
    /// Whether a receive may stay armed over many requests.
    pub recv_many: bool,
    /// Whether a send may be linked to a close.
    pub send_close: bool,
    /// Returns freed memory to the operating system; called after a burst of incomplete heads.
    pub trim_memory: fn(),
}

/// The outcome of [`Server::turn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The server goes on.
    Goes,
    /// A signal began the drain, and all connections are closed or the drain timeout has passed.
    Drained,
    /// A second signal ended the drain at once.
    Forced {
        /// Its number (signal(7)).
        signal: u32,
    },
}

/// One worker: an engine, a site, and the connections between them.
pub struct Server<R: Engine> {
    ring: R,
    site: Site,
    config: ServerConfig,
    connections: Slab<Connection>,
    /// How often each slot has been used.
    generations: Box<[u32]>,
    timers: Timers<Timeout>,
    /// Connections in the middle of a request, in the order in which the requests began.
    unfinished: Timers<Class>,
    min_rate: MinRate,
    head_buffers: HeadBuffers,
    /// When the head buffers of a burst are released.
    release_at: Option<Nanos>,
    stats: Stats,
    acceptor: Acceptor,
    /// Entries for which the submission queue had no room.
    unsubmitted: Unsubmitted,
    /// Connections whose receive ended with `ENOBUFS`.
    awaiting_buffers: Vec<Slot>,
    /// Their receives are not retried before this moment, unless buffers come back.
    no_buffers_until: Nanos,
    buffers_came_back: bool,
    /// Connections that are ending: their slots will be free soon.
    leaving: u32,
    /// Connections that gave way: their last response is under way.
    giving_way: u32,
    life: Life,
    /// The next wait must not block, because the completion of a lazy send, which causes no
    /// wake-up, is needed.
    poll_now: bool,
    now: Nanos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Serving,
    Draining { until: Nanos },
    Over(Turn),
}

impl<R: Engine> Server<R> {
    /// A server on an engine with [`ServerConfig::slots`] slots, `config.listeners` listeners and
    /// the fixed buffer of `site`. Arms the first accepts.
    pub fn new(ring: R, site: Site, config: ServerConfig) -> Self {
        let min_rate = MinRate { bytes_per_second: config.min_rate, stall: config.send_timeout };
        let timeouts = Timeouts {
            head: config.head_timeout,
            idle: config.idle_timeout,
            body: config.body_timeout,
            response: min_rate.check_every(),
            linger: LINGER,
        };
        let slots = config.slots() as usize;
        let now = ring.now();
        let mut server = Self {
            ring,
            site,
            config,
            connections: Slab::with_capacity(slots),
            generations: vec![0; slots].into_boxed_slice(),
            timers: Timers::new(config.slots(), |timeout| timeouts.of(timeout)),
            unfinished: Timers::new(config.slots(), |_| Duration::MAX),
            min_rate,
            head_buffers: HeadBuffers::new(config.slots(), config.head_bytes_max),
            release_at: None,
            stats: Stats::default(),
            acceptor: Acceptor::new(&config),
            unsubmitted: Unsubmitted::with_capacity(slots + UNSUBMITTED_RESERVE),
            awaiting_buffers: Vec::with_capacity(slots),
            no_buffers_until: Nanos(0),
            buffers_came_back: false,
            leaving: 0,
            giving_way: 0,
            life: Life::Serving,
            poll_now: false,
            now,
        };
        let unix_seconds = server.ring.unix_seconds();
        server.site.tick(unix_seconds, server.ring.memory(None).fixed);
        server.push((Token::new(Kind::Signal, 0, 0), Op::Signal));
        server.arm_accepts();
        server
    }

    /// Waits once, then handles all completions and expired timeouts.
    ///
    /// # Errors
    /// If the engine is unusable.
    pub fn turn(&mut self) -> Result<Turn, Errno> {
        self.unsubmitted.push_waiting(&mut self.ring);
        self.ring.submit_and_wait(self.deadline())?;
        self.now = self.ring.now();
        self.poll_now = false;
        self.site.tick(self.ring.unix_seconds(), self.ring.memory(None).fixed);
        while let Some(completion) = self.ring.pop() {
            self.complete(completion);
        }
        while let Some((slot, timeout)) = self.timers.expired(self.now) {
            self.expire(slot, timeout);
        }
        self.rearm_receives();
        self.arm_accepts();
        self.stop_listeners();
        self.release_surplus();
        Ok(self.progress_of_drain())
    }

    /// Releases the head buffers of a burst of incomplete heads, [`RELEASE_AFTER`] later.
    fn release_surplus(&mut self) {
        if self.release_at.is_some_and(|at| at <= self.now) {
            self.release_at = None;
            if self.head_buffers.release() {
                (self.config.trim_memory)();
            }
        }
        if self.release_at.is_none() && self.head_buffers.has_surplus() {
            self.release_at = Some(self.now.plus(RELEASE_AFTER));
        }
    }

    /// The engine, for a simulation that moves its clock and its network between two turns.
    pub fn ring_mut(&mut self) -> &mut R {
        &mut self.ring
    }

    /// The counters since the start.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The connections that are accepted and not closed, without those for health checks.
    pub fn live(&self) -> u32 {
        self.acceptor.live(Class::Public)
    }

    /// When the next wait has to end even if no operation completes.
    fn deadline(&self) -> Option<Nanos> {
        let drain = match self.life {
            Life::Serving => None,
            Life::Over(_) => Some(self.now),
            Life::Draining { until } => Some(until),
        };
        let at_once = (self.poll_now || !self.unsubmitted.is_empty()).then_some(self.now);
        let awaiting_buffers = (!self.awaiting_buffers.is_empty()).then_some(self.no_buffers_until);
        let room = self.acceptor_deadline();
        let times = [self.timers.next(), room, drain, at_once, awaiting_buffers, self.release_at];
        times.into_iter().flatten().min()
    }

    fn complete(&mut self, completion: Completion) {
        match completion.token.kind() {
            Kind::Accept => self.accepted(completion),
            Kind::Watch => self.watched(completion),
            Kind::CancelAccept => {}
            Kind::Signal => self.signalled(completion.result),
            Kind::Recv
            | Kind::Send
            | Kind::Writable
            | Kind::Shutdown
            | Kind::Close
            | Kind::Cancel => self.complete_on_connection(completion),
            Kind::Connect => unreachable!("a server connects to nobody"),
        }
    }

    fn signalled(&mut self, result: Result<u32, Errno>) {
        match (result, self.life) {
            (Ok(_), Life::Serving) => self.drain(),
            (Ok(signal), Life::Draining { .. } | Life::Over(_)) => {
                self.life = Life::Over(Turn::Forced { signal });
                return;
            }
            (Err(Errno(libc::EINTR | libc::EAGAIN)), _) => {}
            // The signal descriptor is unusable for good.
            (Err(_), _) => return,
        }
        self.push((Token::new(Kind::Signal, 0, 0), Op::Signal));
    }

    /// Begins the drain: accepts no more, closes idle connections, lets requests finish.
    fn drain(&mut self) {
        let until = self.now.plus(self.config.drain_timeout);
        self.life = Life::Draining { until };
        // Completions of lazy sends, which cause no wake-up, are needed now.
        self.poll_now = true;
        self.cancel_accepts();
        for key in 0..self.config.slots() {
            self.end_if_idle(Slot(key));
        }
    }

    fn draining(&self) -> bool {
        self.life != Life::Serving
    }

    fn progress_of_drain(&mut self) -> Turn {
        match self.life {
            Life::Over(turn) => turn,
            Life::Draining { until }
                if self.acceptor.used(Class::Public) == 0 || until <= self.now =>
            {
                self.stats.errors.cut_off += u64::from(self.live());
                self.life = Life::Over(Turn::Drained);
                Turn::Drained
            }
            Life::Serving | Life::Draining { .. } => Turn::Goes,
        }
    }

    fn push(&mut self, (token, op): Submission) {
        self.unsubmitted.push(&mut self.ring, token, op);
    }
}

impl ServerConfig {
    /// How many slots the engine has: [`ServerConfig::spawn`], and [`HEALTH_SLOTS`] if there is a
    /// listener for health checks.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.spawn + if self.health_listener { HEALTH_SLOTS } else { 0 }
    }
}

/// How many accepts to keep in flight on each listener: enough for the bursts that arrive within
/// one turn, and so few that nearly all slots are left for connections.
#[must_use]
pub fn accepts_for(spawn: u32, listeners: usize) -> u32 {
    let listeners = u32::try_from(listeners.max(1)).unwrap_or(u32::MAX);
    (spawn / 8 / listeners).clamp(1, ACCEPTS_MAX)
}

/// The most accepts in flight on one listener. Measured with 10,000 connections at once: with 4
/// the 99th percentile of the response time is half of that with 1, and with 16 hardly less; but
/// with 16 a connection costs a tenth more, because hardly any accept succeeds at once.
pub const ACCEPTS_MAX: u32 = 4;
/// The connection limit of the listener for health checks, in addition to all others.
pub const HEALTH_SLOTS: u32 = 8;
/// How long a client may go on sending after the last response.
const LINGER: Duration = Duration::from_secs(2);
/// How long after a burst of incomplete heads its memory is released.
const RELEASE_AFTER: Duration = Duration::from_secs(1);
const UNSUBMITTED_RESERVE: usize = 64;
