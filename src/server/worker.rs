//! The worker: the state of a server and the turn of its loop.

use super::acceptor::{Acceptor, Class};
use super::config::ServerConfig;
use super::connection::Connection;
use super::lingering::SILENCE_MAX;
use super::long_sends::LongSends;
use super::observing::Observing;
use super::rate::MinRate;
use super::supervision::{Supervision, Usage};
use super::timeouts::Timeouts;
use crate::engine::{Completion, Engine, Errno, Kind, Nanos, Op, Slot, Token, Unsubmitted};
use crate::http1::{HeadBuffers, Runs, Timeout};
use crate::site::Site;
use crate::socket::Submission;
use crate::stats::Stats;
use crate::timers::Timers;
use slab::Slab;
use std::time::Duration;

/// The outcome of [`Server::turn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The server goes on.
    Goes,
    /// A signal began the drain or the retirement, and all connections are closed or the drain
    /// timeout has passed.
    Drained,
    /// A second signal ended the drain, or the delay before it, at once.
    Forced {
        /// Its number (signal(7)).
        signal: u32,
    },
}

/// One worker: an engine, a site, and the connections between them.
pub struct Server<E: Engine> {
    pub(super) engine: E,
    pub(super) site: Site,
    pub(super) config: ServerConfig,
    pub(super) connections: Slab<Connection>,
    /// How often each slot has been used.
    pub(super) generations: Box<[u32]>,
    pub(super) timers: Timers<Timeout>,
    /// Connections in the middle of a request, in the order in which the requests began.
    pub(super) unfinished: Timers<Class>,
    pub(super) min_rate: MinRate,
    pub(super) head_buffers: HeadBuffers,
    pub(super) runs: Runs,
    /// When the head buffers of a burst are released.
    pub(super) release_at: Option<Nanos>,
    pub(super) stats: Stats,
    pub(super) long_sends: LongSends,
    pub(super) acceptor: Acceptor,
    /// Entries for which the submission queue had no room.
    pub(super) unsubmitted: Unsubmitted,
    /// Connections whose receive ended with `ENOBUFS`.
    pub(super) awaiting_buffers: Vec<Slot>,
    /// Their receives are not retried before this moment, unless buffers come back.
    pub(super) no_buffers_until: Nanos,
    pub(super) buffers_came_back: bool,
    /// Connections that are ending: their slots will be free soon.
    pub(super) leaving: u32,
    /// Connections that gave way: their last response is under way.
    pub(super) giving_way: u32,
    pub(super) life: Life,
    /// The latest signal without an effect, until it is taken.
    unheeded: Option<u32>,
    /// The next wait must not block, because the completion of a lazy send, which causes no
    /// wake-up, is needed.
    pub(super) poll_now: bool,
    pub(super) now: Nanos,
    /// Unset for a server that has the whole connection limit.
    pub(super) supervision: Option<Box<dyn Supervision>>,
    pub(super) observing: Observing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Serving,
    /// The drain delay: health checks get 503, and everything else is served as before.
    Announcing {
        until: Nanos,
    },
    /// Nothing is accepted, each response is the last of its connection, and idle connections are
    /// kept for a while, as a request may be on its way.
    Retiring {
        until: Nanos,
        /// Another server has taken over; otherwise the service ends.
        is_replaced: bool,
    },
    Draining {
        until: Nanos,
        /// As before.
        is_replaced: bool,
    },
    Over(Turn),
}

impl Life {
    /// Whether the service is about to end: health checks get 503.
    pub(super) fn announces_drain(self) -> bool {
        match self {
            Self::Serving
            | Self::Retiring { is_replaced: true, .. }
            | Self::Draining { is_replaced: true, .. } => false,
            Self::Announcing { .. }
            | Self::Retiring { .. }
            | Self::Draining { .. }
            | Self::Over(_) => true,
        }
    }

    /// Whether each connection ends with its next response.
    pub(super) fn ends_connections(self) -> bool {
        self.drains() || matches!(self, Self::Retiring { .. })
    }

    /// Whether idle connections are closed.
    pub(super) fn drains(self) -> bool {
        match self {
            Self::Serving | Self::Announcing { .. } | Self::Retiring { .. } => false,
            Self::Draining { .. } | Self::Over(_) => true,
        }
    }

    /// Whether connections of a class are accepted. Health checks are answered during the drain,
    /// with 503; once another server has taken over, it answers them.
    pub(super) fn accepts_from(self, class: Class) -> bool {
        match self {
            Self::Serving | Self::Announcing { .. } => true,
            Self::Retiring { is_replaced, .. } | Self::Draining { is_replaced, .. } => {
                class == Class::Health && !is_replaced
            }
            Self::Over(_) => false,
        }
    }
}

impl<E: Engine> Server<E> {
    /// A server on an engine with [`ServerConfig::slots`] slots, `config.listeners` listeners and
    /// the fixed buffer of `site`. Arms the first accepts.
    pub fn new(engine: E, site: Site, config: ServerConfig) -> Self {
        Self::with(engine, site, config, None)
    }

    /// A server that shares its connection limit with others.
    pub fn supervised(
        engine: E,
        site: Site,
        config: ServerConfig,
        supervision: Box<dyn Supervision>,
    ) -> Self {
        Self::with(engine, site, config, Some(supervision))
    }

    fn with(
        engine: E,
        site: Site,
        config: ServerConfig,
        supervision: Option<Box<dyn Supervision>>,
    ) -> Self {
        let min_rate = MinRate { bytes_per_second: config.min_rate, stall: config.send_timeout };
        let timeouts = Timeouts {
            head: config.head_timeout,
            idle: config.idle_timeout,
            body: config.body_timeout,
            response: min_rate.check_every(),
            linger: SILENCE_MAX,
        };
        let slots = config.slots() as usize;
        let now = engine.now();
        let runs = Runs::new(&site);
        let mut server = Self {
            engine,
            site,
            config,
            connections: Slab::with_capacity(slots),
            generations: vec![0; slots].into_boxed_slice(),
            timers: Timers::new(config.slots(), |timeout| timeouts.of(timeout)),
            unfinished: Timers::new(config.slots(), |_| Duration::MAX),
            min_rate,
            head_buffers: HeadBuffers::new(config.slots(), config.head_bytes_max),
            runs,
            release_at: None,
            stats: Stats::default(),
            long_sends: LongSends::new(slots),
            acceptor: Acceptor::new(&config),
            unsubmitted: Unsubmitted::with_capacity(slots + UNSUBMITTED_RESERVE),
            awaiting_buffers: Vec::with_capacity(slots),
            no_buffers_until: Nanos(0),
            buffers_came_back: false,
            leaving: 0,
            giving_way: 0,
            life: Life::Serving,
            unheeded: None,
            // The first turn of a supervised server ends at once, which shows that it serves.
            poll_now: supervision.is_some(),
            now,
            supervision,
            observing: Observing::default(),
        };
        server.adopt_allowance();
        let unix_seconds = server.engine.unix_seconds();
        server.site.tick(unix_seconds, server.engine.memory(None).fixed);
        server.push((Token::new(Kind::Signal, 0, 0), Op::Signal));
        server.arm_accepts();
        server.publish();
        server
    }

    /// Waits once, then handles all completions and expired timeouts.
    ///
    /// # Errors
    /// If the engine is unusable.
    pub fn turn(&mut self) -> Result<Turn, Errno> {
        self.unsubmitted.push_waiting(&mut self.engine);
        self.observe_turn();
        self.engine.submit_and_wait(self.deadline())?;
        self.now = self.engine.now();
        self.poll_now = false;
        self.observing.sent_lazily = false;
        self.long_sends.begin_turn(self.now);
        self.site.tick(self.engine.unix_seconds(), self.engine.memory(None).fixed);
        self.adopt_allowance();
        while let Some(completion) = self.engine.pop() {
            self.complete(completion);
        }
        while let Some((slot, timeout)) = self.timers.expired(self.now) {
            self.expire(slot, timeout);
        }
        self.rearm_receives();
        self.arm_accepts();
        self.stop_listeners();
        self.make_long_sends();
        self.release_surplus();
        let turn = self.progress_of_drain();
        if turn != Turn::Goes {
            self.end_observations();
        }
        self.publish();
        Ok(turn)
    }

    /// Makes the present allowance the connection limit.
    fn adopt_allowance(&mut self) {
        if let Some(supervision) = &self.supervision {
            self.acceptor.set_max(Class::Public, supervision.allowance().min(self.config.spawn));
        }
    }

    fn publish(&mut self) {
        let usage = Usage {
            adopted: self.acceptor.max(Class::Public),
            in_use: self.acceptor.used(Class::Public),
            connections: self.live(),
        };
        if let Some(supervision) = &mut self.supervision {
            supervision.publish(usage, &self.stats);
        }
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
    pub fn engine_mut(&mut self) -> &mut E {
        &mut self.engine
    }

    /// The counters since the start.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The connections that are accepted and not closed, without those for health checks.
    pub fn live(&self) -> u32 {
        self.acceptor.live(Class::Public)
    }

    /// The number of the latest signal that had no effect, if one has arrived since the last call:
    /// SIGHUP, SIGUSR1 or SIGUSR2, by which other servers reload or upgrade. For a message.
    pub fn take_unheeded_signal(&mut self) -> Option<u32> {
        self.unheeded.take()
    }

    /// When the next wait has to end even if no operation completes.
    fn deadline(&self) -> Option<Nanos> {
        let drain = match self.life {
            Life::Serving => None,
            Life::Over(_) => Some(self.now),
            Life::Announcing { until }
            | Life::Retiring { until, .. }
            | Life::Draining { until, .. } => Some(until),
        };
        let is_due = self.poll_now || !self.unsubmitted.is_empty() || self.long_sends.has_waiting();
        let at_once = is_due.then_some(self.now);
        let awaiting_buffers = (!self.awaiting_buffers.is_empty()).then_some(self.no_buffers_until);
        let room = self.acceptor_deadline();
        let observation = self.observing.deadline(self.now);
        let times = [
            self.timers.next(),
            room,
            drain,
            at_once,
            awaiting_buffers,
            self.release_at,
            observation,
        ];
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
            Kind::Connect => unreachable!("a server makes no connections"),
        }
    }

    fn signalled(&mut self, result: Result<u32, Errno>) {
        match result {
            Ok(signal) => self.obey(signal),
            Err(Errno(libc::EINTR | libc::EAGAIN)) => {}
            // The signal descriptor is unusable for good.
            Err(_) => return,
        }
        if !matches!(self.life, Life::Over(_)) {
            self.push((Token::new(Kind::Signal, 0, 0), Op::Signal));
        }
    }

    /// Acts on a signal: [`RETIRE`] and [`TRY_ACCEPTS`] are of a supervisor, those of
    /// [`WITHOUT_EFFECT`] are noted, and any other one asks for the end.
    fn obey(&mut self, signal: u32) {
        match (signal, self.life) {
            _ if WITHOUT_EFFECT.contains(&signal.cast_signed()) => self.unheeded = Some(signal),
            (RETIRE, Life::Serving) => {
                let until = self.now.plus(self.config.reload_grace);
                self.life = Life::Retiring { until, is_replaced: true };
                self.cancel_accepts(&[Class::Public, Class::Health]);
            }
            (TRY_ACCEPTS, Life::Serving | Life::Announcing { .. }) => {
                self.renew_accepts(|_| true);
            }
            (RETIRE | TRY_ACCEPTS, _) => {}
            (_, Life::Serving) if !self.config.drain_delay.is_zero() => {
                let until = self.now.plus(self.config.drain_delay);
                self.life = Life::Announcing { until };
            }
            (_, Life::Serving) => self.begin_end(),
            (
                _,
                Life::Retiring { is_replaced: true, .. } | Life::Draining { is_replaced: true, .. },
            ) => {
                self.drain(false);
            }
            (
                signal,
                Life::Announcing { .. }
                | Life::Retiring { .. }
                | Life::Draining { .. }
                | Life::Over(_),
            ) => {
                self.life = Life::Over(Turn::Forced { signal });
            }
        }
    }

    /// Begins the end of the service, after the drain delay.
    fn begin_end(&mut self) {
        if self.config.drain_grace.is_zero() {
            return self.drain(false);
        }
        let until = self.now.plus(self.config.drain_grace);
        self.life = Life::Retiring { until, is_replaced: false };
        self.cancel_accepts(&[Class::Public]);
    }

    /// Begins the drain: accepts no more, closes idle connections, lets requests finish.
    fn drain(&mut self, is_replaced: bool) {
        let until = self.now.plus(self.config.drain_timeout);
        self.life = Life::Draining { until, is_replaced };
        // Completions of lazy sends, which cause no wake-up, are needed now.
        self.poll_now = true;
        self.cancel_accepts(&[Class::Public]);
        for key in 0..self.config.slots() {
            self.end_if_idle(Slot(key));
        }
    }

    fn progress_of_drain(&mut self) -> Turn {
        match self.life {
            Life::Over(turn) => turn,
            Life::Announcing { until } if until <= self.now => {
                self.begin_end();
                Turn::Goes
            }
            Life::Retiring { is_replaced: true, .. } if self.connections.is_empty() => {
                self.life = Life::Over(Turn::Drained);
                Turn::Drained
            }
            Life::Retiring { is_replaced: false, .. } if self.acceptor.used(Class::Public) == 0 => {
                self.life = Life::Over(Turn::Drained);
                Turn::Drained
            }
            Life::Retiring { until, is_replaced } if until <= self.now => {
                self.drain(is_replaced);
                Turn::Goes
            }
            Life::Draining { until, .. }
                if self.acceptor.used(Class::Public) == 0 || until <= self.now =>
            {
                self.stats.errors.cut_off += u64::from(self.live());
                self.life = Life::Over(Turn::Drained);
                Turn::Drained
            }
            Life::Serving
            | Life::Announcing { .. }
            | Life::Retiring { .. }
            | Life::Draining { .. } => Turn::Goes,
        }
    }

    pub(super) fn push(&mut self, (token, op): Submission) {
        self.unsubmitted.push(&mut self.engine, token, op);
    }
}

/// The signal by which a supervisor has a server retire, because another one has taken over. Like
/// [`TRY_ACCEPTS`], it is one that neither operators nor service managers send to a server.
pub const RETIRE: u32 = libc::SIGWINCH.unsigned_abs();
/// The signal by which a supervisor has a server take a turn and try its accepts once more: the
/// wake-up for a connection is lost if an accept took it whose process then ended.
pub const TRY_ACCEPTS: u32 = libc::SIGURG.unsigned_abs();
/// Signals that end a process by default (signal(7)), and have no effect on a server: the kernel
/// sends SIGHUP when a terminal is closed, and operators send all three to servers that reload.
pub const WITHOUT_EFFECT: [libc::c_int; 3] = [libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2];
/// How long after a burst of incomplete heads its memory is released.
const RELEASE_AFTER: Duration = Duration::from_secs(1);
const UNSUBMITTED_RESERVE: usize = 64;
