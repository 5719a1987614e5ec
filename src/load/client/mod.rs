//! The client: one loop over one engine. It keeps a number of connections open, sends requests on
//! them as the schedule demands, and counts the outcomes. It knows no address, no descriptor and no
//! clock.
//!
//! ```text
//!   Closed ─► Connecting ─► Open ─► AwaitClose (the server is to close)
//!     ▲            │          │          │
//!     └─────────── Ending ◄───┴──────────┘
//!                  (operations are joined, then the slot is closed: see crate::socket)
//! ```
//!
//! With TLS, `Handshaking` is between `Connecting` and `Open`: see `secure_steps`.
//!
//! A batch of requests (one request, unless they are pipelined) belongs to a slot from its claim to
//! its last response or failure. Requests that a connection leaves without a response when it ends
//! are sent again on the slot's next connection.

mod connection;
mod dialing;
mod finishing;
mod plan;
mod requests;
mod secure;
mod secure_steps;
mod shared;
mod steps;
mod timeouts;

use super::counters::Counters;
use super::schedule::{Claim, Schedule};
use super::target_counters::TargetCounters;
use crate::engine::{Completion, Engine, Errno, Kind, Nanos, Slot, Unsubmitted};
use crate::socket::Submission;
use crate::timers::Timers;
use connection::{Batch, ClientConnection, ClientPhase};
use dialing::Dialing;
use shared::ClientState;
use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use timeouts::ClientTimeout;

pub use super::schedule::Amount;
pub use plan::ClientPlan;
pub use requests::RequestBuffer;
pub use secure::ClientTls;
pub use timeouts::LINGER;

/// One worker of the load client. Its fixed buffer is that of its [`RequestBuffer`]; with TLS, it
/// has regions for ciphertext ([`ClientTls`]).
pub struct Client<'a, E: Engine> {
    engine: E,
    shared: ClientState<'a>,
    tls: Option<ClientTls>,
    schedule: Schedule,
    connections: Box<[ClientConnection]>,
    timers: Timers<ClientTimeout>,
    dialing: Dialing,
    /// Slots without a request.
    ready: VecDeque<Slot>,
    /// Slots that will not be used again.
    retired: u32,
    /// Slots whose receive ended with `ENOBUFS`.
    awaiting_buffers: Vec<Slot>,
    /// Slots whose handshake is complete, to be opened in the next turn.
    secured: Vec<Slot>,
    /// Entries for which the submission queue had no room.
    unsubmitted: Unsubmitted,
    /// The next wait must not block, because the completion of a lazy send, which causes no
    /// wake-up, is needed.
    poll_now: bool,
    /// Slots with a batch of which nothing was sent yet.
    unsent_batches: u32,
    /// When the last request was sent.
    last_sent: Nanos,
    /// When the last connection was established.
    last_connected: Nanos,
    /// When the wait for responses ends, once no more requests are made.
    give_up_at: Option<Nanos>,
    now: Nanos,
}

/// The surroundings of a client: its counters, and the clock and the state that all workers share.
#[derive(Clone, Copy)]
pub struct ClientRun<'a> {
    /// The counters of this worker.
    pub counters: Counters<'a>,
    /// The counters of its targets.
    pub targets: TargetCounters<'a>,
    /// Number of workers that still make requests.
    pub making: &'a AtomicU64,
    /// The common start, on the engine's clock.
    pub start: Nanos,
    /// The engine's moment 0 on the monotonic clock that all processes share, in nanoseconds.
    pub base_ns: u64,
}

impl<'a, E: Engine> Client<'a, E> {
    /// A client on an engine with as many slots as the plan has connections.
    pub fn new(
        engine: E,
        plan: ClientPlan,
        mut requests: RequestBuffer,
        run: ClientRun<'a>,
    ) -> Self {
        let slots = plan.connections as usize;
        let now = engine.now();
        let timers = Timers::new(plan.connections, |timeout: ClientTimeout| timeout.length(&plan));
        let schedule = Schedule::new(plan.amount.clone());
        let schedule = match requests.take_times() {
            due_ns if due_ns.is_empty() => schedule,
            due_ns => schedule.with_times(due_ns),
        };
        let first = schedule.is_open_loop() && plan.persist;
        let mut client = Self {
            engine,
            tls: None,
            schedule,
            connections: (0..plan.connections)
                .map(|key| ClientConnection::new(Slot(key)))
                .collect(),
            timers,
            dialing: Dialing::new(&plan, run.start),
            ready: VecDeque::with_capacity(slots),
            retired: 0,
            awaiting_buffers: Vec::with_capacity(slots),
            secured: Vec::new(),
            unsubmitted: Unsubmitted::with_capacity(2 * slots),
            poll_now: false,
            unsent_batches: 0,
            last_sent: run.start,
            last_connected: run.start,
            give_up_at: None,
            now,
            shared: ClientState {
                plan,
                requests,
                counters: run.counters,
                targets: run.targets,
                making: run.making,
                base_ns: run.base_ns,
                response_bytes: 0,
                ending: None,
                deadline: None,
                wants_sample: true,
                is_secure: false,
            },
        };
        for key in 0..client.shared.plan.connections {
            if first {
                client.dialing.push_first(Slot(key));
            } else {
                client.ready.push_back(Slot(key));
                client.connections[key as usize].queued = true;
            }
        }
        if !first {
            client.begin(run.start);
        }
        client
    }

    /// The same client with TLS on its connections.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<ClientTls>) -> Self {
        self.shared.is_secure = tls.is_some();
        self.tls = tls;
        self
    }

    /// Waits once, at most until `tick`, then handles all completions and expired timeouts.
    /// Returns whether requests are left.
    ///
    /// # Errors
    /// If the engine is unusable.
    pub fn turn(&mut self, tick: Option<Nanos>) -> Result<bool, Errno> {
        self.unsubmitted.push_waiting(&mut self.engine);
        let deadline = [self.deadline(), tick].into_iter().flatten().min();
        self.engine.submit_and_wait(deadline)?;
        self.now = self.engine.now();
        self.poll_now = false;
        self.open_secured()?;
        while let Some(completion) = self.engine.pop() {
            self.complete(completion);
        }
        while let Some((slot, timeout)) = self.timers.expired(self.now) {
            self.expire(slot, timeout);
        }
        while let Some(slot) = self.awaiting_buffers.pop() {
            self.receive(slot);
        }
        self.assign_due();
        self.follow_time();
        self.dial();
        Ok(self.retired < self.shared.plan.connections)
    }

    /// The engine, for a simulation that moves its clock and its network between two turns.
    pub fn engine_mut(&mut self) -> &mut E {
        &mut self.engine
    }

    /// When the next wait has to end even if no operation completes.
    fn deadline(&self) -> Option<Nanos> {
        let at_once = (self.poll_now || !self.unsubmitted.is_empty()).then_some(self.now);
        let claim = match self.schedule.peek(self.now) {
            Claim::Later(at) if !self.ready.is_empty() => Some(at),
            Claim::Later(at) | Claim::Now { due: at, .. } if self.schedule.is_open_loop() => {
                Some(Nanos(at.0.saturating_add(self.shared.plan.response_timeout_ns)))
            }
            Claim::Later(_) | Claim::Now { .. } | Claim::Over => None,
        };
        let phase = self.next_phase();
        let times = [self.timers.next(), self.dialing.next(), claim, phase, at_once];
        times.into_iter().flatten().min()
    }

    fn complete(&mut self, completion: Completion) {
        let token = completion.token;
        let slot = Slot(token.index());
        token.assert_life(self.connections[slot.0 as usize].socket.generation());
        match token.kind() {
            Kind::Connect => self.connected(slot, completion.result),
            Kind::Recv => self.received(slot, completion),
            Kind::Send => self.sent(slot, completion.result),
            Kind::Writable => self.writable(slot),
            Kind::Close => self.closed(slot),
            Kind::Cancel => {
                self.connections[slot.0 as usize].socket.other_completed();
                self.close_if_joined(slot);
            }
            Kind::Accept | Kind::CancelAccept | Kind::Watch | Kind::Shutdown | Kind::Signal => {
                unreachable!("{token:?} is never submitted")
            }
        }
    }

    /// Assigns due requests to slots without one.
    fn assign_due(&mut self) {
        while let Some(&slot) = self.ready.front() {
            let connection = &mut self.connections[slot.0 as usize];
            if !matches!(connection.phase, ClientPhase::Open | ClientPhase::Closed) {
                // It is ending, and is queued again when it is closed.
                connection.queued = false;
                self.ready.pop_front();
                continue;
            }
            let batch = connection.room(&self.shared.plan).min(self.shared.plan.pipeline);
            let number = self.schedule.number();
            let claim = self.schedule.claim(self.now, batch);
            match claim {
                Claim::Later(_) => break,
                Claim::Over => {
                    connection.queued = false;
                    self.ready.pop_front();
                    self.retire(slot);
                }
                Claim::Now { due, count, counts } => {
                    connection.queued = false;
                    self.ready.pop_front();
                    self.assign(slot, Batch { number, count }, due, counts);
                }
            }
        }
        self.give_up();
    }

    /// Gives up requests of an open loop for which no connection became free within their timeout.
    fn give_up(&mut self) {
        let timeout = Duration::from_nanos(self.shared.plan.response_timeout_ns);
        while self.schedule.is_open_loop()
            && let Claim::Now { due, .. } = self.schedule.peek(self.now)
            && due.plus(timeout) <= self.now
            && let Claim::Now { due, counts, .. } = self.schedule.claim(self.now, 1)
        {
            self.shared.due(1, counts);
            self.shared.not_sent(due, counts, self.now);
        }
    }

    /// Gives a batch of requests to a slot.
    fn assign(&mut self, slot: Slot, batch: Batch, due: Nanos, counts: bool) {
        if self.schedule.is_open_loop() {
            self.shared.due(batch.count, counts);
        }
        self.unsent_batches += 1;
        let connection = &mut self.connections[slot.0 as usize];
        connection.batch = batch;
        connection.left = batch.count;
        connection.to_send = 0;
        connection.is_sent = false;
        connection.counts = counts;
        connection.since = due;
        match connection.phase {
            ClientPhase::Open => self.transmit(slot),
            _ => self.dialing.push(slot),
        }
    }

    /// Queues a slot whose batch is answered: after the think time, if there is one.
    fn rest(&mut self, slot: Slot) {
        if self.shared.plan.think_ns == 0 || self.shared.ending.is_some() {
            return self.idle(slot);
        }
        self.connections[slot.0 as usize].rests = true;
        self.timers.arm(slot, ClientTimeout::Think, self.now);
    }

    /// Queues a slot that has no request.
    fn idle(&mut self, slot: Slot) {
        let connection = &mut self.connections[slot.0 as usize];
        if !std::mem::replace(&mut connection.queued, true) {
            self.ready.push_back(slot);
        }
    }

    /// Takes a slot out of service: no request is left for it.
    fn retire(&mut self, slot: Slot) {
        if self.connections[slot.0 as usize].phase == ClientPhase::Open {
            self.end(slot);
        } else {
            self.retired += 1;
        }
    }

    fn push(&mut self, (token, op): Submission) {
        self.unsubmitted.push(&mut self.engine, token, op);
    }

    fn push_all(&mut self, entries: impl IntoIterator<Item = Submission>) {
        for entry in entries {
            self.push(entry);
        }
    }
}
