//! An [`Engine`] without a kernel: entries take effect and complete at random later times of a
//! virtual clock, in any order that the kernel could choose, and breaches of the trait's rules are
//! recorded.
//!
//! ```text
//!   user ── push, submit_and_wait ──► submission ──► pending ──► completions ── pop ──► user
//!                                                     │   ▲
//!                                  a simulation calls │   │ run_next, notify
//!                                                     ▼   │
//!                                                    network
//! ```
//!
//! Virtual time passes outside: [`Engine::submit_and_wait`] never waits. When no completion is due
//! it returns as if it were interrupted, without the passage of time, and [`SimEngine::wakes_at`]
//! is the time at which the wait ends. Until then, a simulation lets events happen, on this engine
//! ([`SimEngine::run_next`]) and elsewhere on the [`Network`], which belongs to it and which
//! several engines can share. It then calls the user again; the next `submit_and_wait` delivers
//! the completions. Knows no peer.

mod accept_queue;
mod buffers;
mod event_queue;
mod faults;
mod ids;
mod in_flight;
mod network;
mod operations;
mod random;
mod rules;
mod sockets;
mod waits;

pub use accept_queue::AcceptWaiter;
pub use event_queue::EventQueue;
pub use faults::{EngineMark, Fault, FaultCounters, FaultLevel};
pub use ids::{EngineNumber, ListenerId, SocketId};
pub use network::{Changes, Network, RECEIVE_WINDOW, SimSocket, SocketRead, Windows};
pub use random::Random;

use crate::bytes::Payload;
use crate::engine::{
    BufferId, Completion, Engine, Errno, Full, Kind, Memory, Nanos, Op, Received, Slot, Token,
};
use crate::peer_address::PeerAddress;
use buffers::BufferPool;
use faults::Faults;
use in_flight::{
    CompletionParts, CompletionQueue, EngineEvent, LazySends, PendingOps, SubmissionQueue,
};
use sockets::Sockets;
use std::collections::BTreeSet;
use waits::Waits;

/// Prints a line of a trace: the virtual time, the name of the engine, and the text.
pub type Trace = fn(Nanos, &str, &str);

/// The settings of a simulated engine.
#[derive(Clone, Debug)]
pub struct SimSetup {
    /// The name of the engine in a trace.
    pub name: &'static str,
    /// The number of slots.
    pub slots: u32,
    /// The listeners, in the order of their indices.
    pub listeners: Vec<ListenerId>,
    /// The listeners that [`Op::Connect`] goes to, in turn.
    pub targets: Vec<ListenerId>,
    /// The buffer from which sends are made.
    pub fixed: Vec<u8>,
    /// The number of receive buffers.
    pub buffers: u16,
    /// The size of each, in bytes.
    pub buffer_bytes: u32,
    /// The capacity of the submission queue.
    pub entries: u32,
    /// Seconds since the Unix epoch at the virtual time 0.
    pub unix_seconds: u64,
    /// The faults that may strike.
    pub faults: FaultLevel,
    /// Whether the user has to poll after a receive completed during a lazy send on the same slot.
    /// A client without another request may leave these bytes for later.
    pub polls_lazy_sends: bool,
    /// Whether accepts take note of the addresses of peers ([`Engine::peer`]).
    pub wants_peers: bool,
    /// Prints the entries, completions and changes of slots.
    pub trace: Option<Trace>,
}

/// A simulated engine.
#[derive(Debug)]
pub struct SimEngine {
    name: &'static str,
    /// Its number on the network, once it has tried to accept.
    number: Option<EngineNumber>,
    random: Random,
    faults: Faults,
    clock: Clock,
    submission: SubmissionQueue,
    pending: PendingOps,
    completions: CompletionQueue,
    wait: WaitState,
    lazy: LazySends,
    polls_lazy_sends: bool,
    wants_peers: bool,
    sockets: Sockets,
    buffers: BufferPool,
    waits: Waits,
    fixed: Vec<u8>,
    /// Pending signals: each number once, and the lowest is delivered first (signal(7)).
    signals: BTreeSet<u32>,
    violations: Vec<String>,
    trace: Option<Trace>,
}

/// Virtual time as the engine knows it.
#[derive(Clone, Copy, Debug)]
struct Clock {
    current: Nanos,
    /// The time of the last wake-up.
    woken: Nanos,
    unix_start: u64,
}

/// Whether the user is in a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitState {
    /// The user runs.
    No,
    /// Until a completion is posted, or the deadline.
    Until(Option<Nanos>),
}

impl SimEngine {
    /// An engine at the virtual time 0 that draws its choices from `random`.
    #[must_use]
    pub fn new(setup: SimSetup, random: Random) -> Self {
        Self {
            name: setup.name,
            number: None,
            random,
            faults: Faults::new(setup.faults),
            clock: Clock { current: Nanos(0), woken: Nanos(0), unix_start: setup.unix_seconds },
            submission: SubmissionQueue::new(setup.entries),
            pending: PendingOps::default(),
            completions: CompletionQueue::default(),
            wait: WaitState::No,
            lazy: LazySends::default(),
            polls_lazy_sends: setup.polls_lazy_sends,
            wants_peers: setup.wants_peers,
            sockets: Sockets::new(setup.slots, &setup.listeners, setup.targets),
            buffers: BufferPool::new(setup.buffers, setup.buffer_bytes),
            waits: Waits::new(setup.slots),
            fixed: setup.fixed,
            signals: BTreeSet::new(),
            violations: Vec::new(),
            trace: setup.trace,
        }
    }

    /// The current virtual time, also between wake-ups.
    #[must_use]
    pub fn time(&self) -> Nanos {
        self.clock.current
    }

    /// Begins at a later virtual time than 0, before the user has it.
    pub fn start_at(&mut self, now: Nanos) {
        self.advance_to(now);
        self.clock.woken = self.clock.current;
    }

    /// The number of the engine on its network, once it has tried to accept.
    #[must_use]
    pub fn number(&self) -> Option<EngineNumber> {
        self.number
    }

    /// Sets the clock; it never goes backwards.
    pub fn advance_to(&mut self, now: Nanos) {
        self.clock.current = self.clock.current.max(now);
    }

    /// When the user has to be called again: now if it is not in a wait or completions are posted,
    /// `None` if only an event could end its wait.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Nanos> {
        match self.wait {
            WaitState::No => Some(self.clock.current),
            WaitState::Until(_) if !self.completions.posted.is_empty() => Some(self.clock.current),
            WaitState::Until(deadline) => deadline,
        }
    }

    /// Whether the user is in a wait.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.wait != WaitState::No
    }

    /// Ends a wait whose time has come, so that its completions can be popped. The next
    /// [`Engine::submit_and_wait`] does the same.
    pub fn end_wait(&mut self) {
        let is_over = self.wakes_at().is_some_and(|at| at <= self.clock.current);
        if is_over && matches!(self.wait, WaitState::Until(_)) {
            self.wake();
        }
    }

    /// The time of the engine's next event.
    #[must_use]
    pub fn next_event_at(&self) -> Option<Nanos> {
        self.pending.events.next_at()
    }

    /// Lets the next event happen, if its time has come. Returns whether there was one.
    pub fn run_next(&mut self, network: &mut Network) -> bool {
        let Some(event) = self.pending.events.take_due(self.clock.current) else { return false };
        match event {
            EngineEvent::Attempt(id) => self.begin_attempt(id, network),
            EngineEvent::Post(id) => self.post(id),
            EngineEvent::Signal(number) => {
                self.trace(|| format!("signal {number}"));
                self.signals.insert(number);
                let parked = self.pending.parked(|op| op == Op::Signal);
                self.retry(&parked);
            }
            EngineEvent::Hear(socket) => network.hear(socket),
            EngineEvent::StopListening(index) => {
                if let Some(listener) = self.sockets.close_listener(index) {
                    network.close_listener(listener);
                }
            }
        }
        let waits = matches!(self.wait, WaitState::Until(_)) && self.completions.posted.is_empty();
        if waits && self.strikes(Fault::Spurious) {
            self.wait = WaitState::Until(Some(self.clock.current));
        }
        true
    }

    /// Schedules another attempt of the operations that wait for these sockets and listeners.
    pub fn notify(&mut self, changes: &Changes) {
        let parked = self.pending.parked(|op| self.sockets.is_concerned(op, changes));
        self.retry(&parked);
        for waiter in &changes.woken {
            if Some(waiter.engine) == self.number {
                let at = Nanos(self.clock.current.0 + self.draw_delay());
                self.pending.wake(waiter.op, at);
            }
        }
    }

    /// Delivers a signal at a later time.
    pub fn signal_at(&mut self, at: Nanos, number: u32) {
        self.pending.events.schedule(at, EngineEvent::Signal(number));
    }

    /// Ends all faults for the rest of the run.
    pub fn stop_faults(&mut self) {
        self.faults.stop();
    }

    /// How often faults struck and marks were reached.
    #[must_use]
    pub fn counters(&self) -> &FaultCounters {
        &self.faults.counters
    }

    /// The most bytes that were sent to others between the arrival of a request and the first send
    /// to its peer, if that was a short one.
    #[must_use]
    pub fn longest_wait_bytes(&self) -> u64 {
        self.waits.longest()
    }

    /// The number of slots.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.sockets.slots.len()
    }

    /// The number of slots with a connection.
    #[must_use]
    pub fn occupied(&self) -> usize {
        self.sockets.slots.iter().flatten().count()
    }

    fn retry(&mut self, parked: &[u64]) {
        for &id in parked {
            let at = Nanos(self.clock.current.0 + self.draw_delay());
            self.pending.retry(id, at);
        }
    }

    /// Moves the pushed entries to the operations in flight.
    fn submit(&mut self) {
        if !self.submission.entries.is_empty() && self.strikes(Fault::SubmitLater) {
            return;
        }
        while let Some((token, op)) = self.submission.entries.pop_front() {
            self.trace(|| format!("submit {token:?} {op:?}"));
            self.check_submission(token, op);
            if let Op::Recv { slot } | Op::RecvMany { slot } | Op::Discard { slot, .. } = op {
                self.sockets.set_out_of_buffers(slot, false);
            }
            let payload = match op {
                Op::Send { payload, .. } => self.bytes_of(payload),
                Op::SendClose { spans, .. } => self.bytes_of(spans.into()),
                _ => Vec::new(),
            };
            let delay = match op {
                // A send is over when io_uring_enter(2) returns; the user of a lazy send relies on
                // that.
                Op::Send { lazy: true, .. } => 0,
                Op::Send { .. } | Op::SendClose { .. } => self.random.below(20_000),
                _ => self.draw_delay(),
            };
            self.pending.submit(token, op, payload, Nanos(self.clock.current.0 + delay));
        }
    }

    fn complete(&mut self, id: u64, result: Result<u32, Errno>) {
        self.complete_with(id, result, CompletionParts::default());
    }

    /// Schedules a completion.
    fn complete_with(&mut self, id: u64, result: Result<u32, Errno>, parts: CompletionParts) {
        let pending = self.pending.get_mut(id);
        let (op, token) = (pending.op, parts.token.unwrap_or(pending.token));
        let delay = match op {
            Op::Send { lazy: true, .. } => 0,
            Op::Send { .. } | Op::SendClose { .. } if self.strikes(Fault::SendLate) => {
                self.random.between(1_000_000_000, 2_500_000_000)
            }
            Op::Send { .. } | Op::SendClose { .. } => self.random.below(20_000),
            _ => self.draw_delay(),
        };
        let completion = Completion { token, result, more: parts.more, buffer: parts.buffer };
        self.pending.complete(id, completion, Nanos(self.clock.current.0 + delay));
    }

    /// Posts the next completion of an operation.
    fn post(&mut self, id: u64) {
        let pending = self.pending.get_mut(id);
        let completion = pending.completions.pop_front().expect("each has an event of its own");
        if completion.buffer.is_some() {
            self.waits.arrived(Slot(completion.token.index()));
        }
        let is_silent = match pending.op {
            Op::Send { payload, lazy: true, .. } => {
                completion.result.map(u64::from) == Ok(payload.len())
            }
            _ => false,
        };
        if is_silent {
            self.faults.counters.count_mark(EngineMark::Withheld);
            self.completions.withheld.push_back((id, completion));
        } else {
            self.completions.posted.push_back((id, completion));
        }
    }

    /// Ends a wait: completions are delivered, and time has passed for the user.
    fn wake(&mut self) {
        self.wait = WaitState::No;
        self.submission.was_full = false;
        self.clock.woken = self.clock.current;
        self.completions.deliver();
    }

    fn strikes(&mut self, fault: Fault) -> bool {
        self.faults.strikes(fault, &mut self.random)
    }

    /// The time that something takes, in nanoseconds: usually none or little.
    fn draw_delay(&mut self) -> u64 {
        if self.strikes(Fault::Late) {
            return self.random.between(1_000_000, 300_000_000);
        }
        match self.random.below(20) {
            0..=11 => 0,
            12..=17 => self.random.below(50_000),
            _ => self.random.below(2_000_000),
        }
    }

    fn bytes_of(&self, payload: Payload) -> Vec<u8> {
        let pieces = payload.spans(&self.fixed).map(|span| &self.fixed[span.range()]);
        pieces.collect::<Vec<_>>().concat()
    }

    fn trace(&self, text: impl FnOnce() -> String) {
        if let Some(trace) = self.trace {
            trace(self.clock.current, self.name, &text());
        }
    }
}

impl Engine for SimEngine {
    fn push(&mut self, token: Token, op: Op) -> Result<(), Full> {
        let entries = 1 + usize::from(matches!(op, Op::SendClose { .. }));
        if !self.submission.has_room(entries) || self.strikes(Fault::QueueFull) {
            self.submission.was_full = true;
            return Err(Full);
        }
        if matches!(self.wait, WaitState::Until(_)) && !self.submission.was_full {
            self.violate(format!("{token:?} pushed late: it was possible before the wait"));
        }
        if let Op::Send { slot, lazy: true, .. } = op {
            self.lazy.slots.push(slot);
        }
        self.submission.entries.push_back((token, op));
        Ok(())
    }

    fn submit_and_wait(&mut self, deadline: Option<Nanos>) -> Result<(), Errno> {
        if let WaitState::Until(_) = self.wait {
            self.end_wait();
            return Ok(());
        }
        // The work of the user since its last wake-up has taken time.
        self.clock.current.0 += 1 + self.random.below(20_000);
        self.trace(|| format!("wait until {deadline:?}"));
        self.check_lazy_sends(deadline);
        self.submit();
        // With entries left that the kernel didn't take, io_uring_enter(2) returns at once.
        let deadline =
            if self.submission.entries.is_empty() { deadline } else { Some(self.clock.current) };
        self.wait = WaitState::Until(deadline);
        let is_due = |at: Option<Nanos>| at.is_some_and(|at| at <= self.clock.current);
        if is_due(self.wakes_at()) && !is_due(self.next_event_at()) {
            self.wake();
        }
        Ok(())
    }

    fn stop_listening(&mut self, listener: u32) -> Result<(), Full> {
        if !self.submission.has_room(1) || self.strikes(Fault::QueueFull) {
            self.submission.was_full = true;
            return Err(Full);
        }
        self.check_listener_is_unused(listener);
        self.pending.events.schedule(self.clock.current, EngineEvent::StopListening(listener));
        Ok(())
    }

    fn pop(&mut self) -> Option<Completion> {
        let (id, completion) = self.completions.delivered.pop_front()?;
        self.trace(|| format!("pop {completion:?}"));
        self.check_payload(id);
        let token = completion.token;
        self.lazy.overtaken |= token.kind() == Kind::Recv
            && completion.result.is_ok()
            && self.lazy.slots.contains(&Slot(token.index()));
        if !completion.more {
            self.pending.ops.remove(&id);
        }
        if let Some(buffer) = completion.buffer {
            self.buffers.hand_out(buffer);
        }
        Some(completion)
    }

    fn memory(&mut self, received: Option<Received>) -> Memory<'_> {
        let received = received.map_or(&[][..], |received| self.buffers.bytes(received));
        Memory { received, fixed: &mut self.fixed }
    }

    fn give_back(&mut self, buffer: BufferId) {
        if !self.buffers.give_back(buffer) {
            self.violate(format!("{buffer:?} was given back though it was not handed out"));
        }
    }

    fn peer(&self, slot: Slot) -> PeerAddress {
        let open = self.sockets.slots[slot.0 as usize].as_ref();
        open.expect("the slot has a connection").peer
    }

    fn now(&self) -> Nanos {
        self.clock.woken
    }

    fn read_clock(&self) -> Nanos {
        self.clock.current
    }

    fn unix_seconds(&self) -> u64 {
        self.clock.unix_start + self.clock.woken.0 / 1_000_000_000
    }
}
