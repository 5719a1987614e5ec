//! The client: one loop over one ring. It keeps so many connections, asks on each as the schedule
//! says, and counts what comes of it. It knows no address, no descriptor and no clock.
//!
//! ```text
//!   Closed ─► Connecting ─► Open ─► AwaitClose (the server closes) ─┐
//!     ▲            │          │                                  ▼
//!     └── Closing ◄── Leaving (what is in flight is joined) ◄────┘
//! ```
//!
//! A batch of requests (one, unless they are pipelined) belongs to a slot from its claim to its
//! last response or failure. What a connection that ends has not answered is asked again on the
//! next.

mod connection;
mod dialing;
mod steps;
mod waits;

use super::counters::{Count, Counters};
use super::schedule::{Claim, Schedule};
use crate::engine::{Completion, Engine, Errno, Kind, Nanos, Op, Slot, Token, Unsubmitted};
use crate::timers::Timers;
use connection::{Connection, Phase};
use dialing::Dialing;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;
use waits::Wait;

pub use super::schedule::Amount;

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// How many connections it keeps.
    pub connections: u32,
    /// How much it asks, and when.
    pub amount: Amount,
    /// How many requests are sent together on a connection.
    pub pipeline: u32,
    /// Connections persist; else each has one request (or one batch).
    pub persist: bool,
    /// The request is a HEAD: its responses have no content.
    pub head: bool,
    /// The content every response must have.
    pub expect: Option<Vec<u8>>,
    /// The statuses that are right; any of 200 to 399 if there are none.
    pub statuses: Vec<u16>,
    /// The shortest time between two attempts to connect, in nanoseconds.
    pub dial_gap_ns: u64,
    /// Over how long the first connections are opened, in nanoseconds.
    pub ramp_ns: u64,
    /// How long connecting may take, in nanoseconds.
    pub connect_timeout_ns: u64,
    /// How long a response may take, in nanoseconds.
    pub response_timeout_ns: u64,
}

impl Plan {
    /// Whether a response of this status is right.
    #[must_use]
    pub fn wants(&self, status: u16) -> bool {
        match self.statuses[..] {
            [] => (200..400).contains(&status),
            _ => self.statuses.contains(&status),
        }
    }
}

/// The client. Its fixed buffer has as many requests as are pipelined, one behind the other.
pub struct Client<'a, R: Engine> {
    ring: R,
    desk: ClientState<'a>,
    request_bytes: u32,
    schedule: Schedule,
    connections: Box<[Connection]>,
    timers: Timers<Wait>,
    dialing: Dialing,
    /// Connections without a request, for an open loop.
    ready: VecDeque<Slot>,
    /// Slots that will not be used again.
    retired: u32,
    /// Connections whose receive ended for want of a buffer.
    starved: Vec<Slot>,
    /// Entries for which the submission queue had no room.
    unsubmitted: Unsubmitted,
    /// Something waits for the completion of a send that ends no wait by itself.
    hurry: bool,
    now: Nanos,
}

/// What connections share: what is wanted, and where it's counted.
struct ClientState<'a> {
    plan: Plan,
    counters: Counters<'a>,
    /// The monotonic clock when the ring's was 0.
    base_ns: u64,
    /// The content of the latest response.
    response_bytes: u64,
}

impl<'a, R: Engine> Client<'a, R> {
    /// A client on a ring with as many slots as the plan has connections, which begins at `start`.
    /// `base_ns` is what other processes call the ring's moment 0.
    pub fn new(
        ring: R,
        plan: Plan,
        request_bytes: u32,
        counters: Counters<'a>,
        start: Nanos,
        base_ns: u64,
    ) -> Self {
        let slots = plan.connections as usize;
        let now = ring.now();
        let timers = Timers::new(plan.connections, |wait| match wait {
            Wait::Connect => Duration::from_nanos(plan.connect_timeout_ns),
            Wait::Response => Duration::from_nanos(plan.response_timeout_ns),
            Wait::Linger => LINGER,
        });
        let first = plan.amount.rate.is_some() && plan.persist;
        let mut client = Self {
            ring,
            request_bytes,
            schedule: Schedule::new(plan.amount.clone()),
            connections: (0..slots).map(|_| Connection::new()).collect(),
            timers,
            dialing: Dialing::new(&plan, start),
            ready: VecDeque::with_capacity(slots),
            retired: 0,
            starved: Vec::with_capacity(slots),
            unsubmitted: Unsubmitted::with_capacity(2 * slots),
            hurry: false,
            now,
            desk: ClientState { plan, counters, base_ns, response_bytes: 0 },
        };
        for key in 0..client.desk.plan.connections {
            if first {
                client.dialing.push_first(Slot(key));
            } else {
                client.ready.push_back(Slot(key));
                client.connections[key as usize].queued = true;
            }
        }
        if !first {
            client.schedule.begin(start);
        }
        client.desk.counters.set(Count::Started, u64::MAX);
        client
    }

    /// Waits once, at most until `tick`, and handles everything that came. Says whether it goes
    /// on.
    ///
    /// # Errors
    /// If the ring is unusable.
    pub fn turn(&mut self, tick: Option<Nanos>) -> Result<bool, Errno> {
        self.unsubmitted.push_waiting(&mut self.ring);
        let deadline = [self.deadline(), tick].into_iter().flatten().min();
        self.ring.submit_and_wait(deadline)?;
        self.now = self.ring.now();
        self.hurry = false;
        while let Some(completion) = self.ring.pop() {
            self.complete(completion);
        }
        while let Some((slot, wait)) = self.timers.expired(self.now) {
            self.expire(slot, wait);
        }
        while let Some(slot) = self.starved.pop() {
            self.receive(slot);
        }
        self.ask();
        self.dial();
        Ok(self.retired < self.desk.plan.connections)
    }

    /// Asks no more; what was asked is still waited for.
    pub fn stop(&mut self) {
        self.schedule.stop();
        self.schedule.begin(self.now);
        self.dialing.stop();
    }

    /// The ring.
    pub fn ring_mut(&mut self) -> &mut R {
        &mut self.ring
    }

    /// When the next wait has to end even if nothing comes.
    fn deadline(&self) -> Option<Nanos> {
        let at_once = (self.hurry || !self.unsubmitted.is_empty()).then_some(self.now);
        let claim = match self.schedule.peek(self.now) {
            Claim::Later(at) if !self.ready.is_empty() => Some(at),
            Claim::Later(at) | Claim::Now { due: at, .. } if self.schedule.is_open_loop() => {
                Some(Nanos(at.0.saturating_add(self.desk.plan.response_timeout_ns)))
            }
            Claim::Later(_) | Claim::Now { .. } | Claim::Over => None,
        };
        let times = [self.timers.next(), self.dialing.next(), claim, at_once];
        times.into_iter().flatten().min()
    }

    fn complete(&mut self, completion: Completion) {
        let token = completion.token;
        let slot = Slot(token.index());
        token.assert_life(self.connections[slot.0 as usize].generation);
        match token.kind() {
            Kind::Connect => self.connected(slot, completion.result),
            Kind::Recv => self.received(slot, completion),
            Kind::Send => self.sent(slot, completion.result),
            Kind::Writable => self.writable(slot),
            Kind::Close => self.closed(slot),
            Kind::Cancel => {
                self.connections[slot.0 as usize].others -= 1;
                self.close_if_joined(slot);
            }
            Kind::Accept | Kind::CancelAccept | Kind::Watch | Kind::Shutdown | Kind::Signal => {
                unreachable!("{token:?} is never asked for")
            }
        }
    }

    /// Gives requests to connections without one, as far as they are due.
    fn ask(&mut self) {
        while let Some(&slot) = self.ready.front() {
            let connection = &mut self.connections[slot.0 as usize];
            if !matches!(connection.phase, Phase::Open | Phase::Closed) {
                // It is ending, and comes back when it is closed.
                connection.queued = false;
                self.ready.pop_front();
                continue;
            }
            let claim = self.schedule.claim(self.now, self.desk.plan.pipeline);
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
                    self.assign(slot, due, count, counts);
                }
            }
        }
        self.give_up();
    }

    /// Requests of an open loop for which no connection was free in all their time.
    fn give_up(&mut self) {
        let timeout = Duration::from_nanos(self.desk.plan.response_timeout_ns);
        while self.schedule.is_open_loop()
            && let Claim::Now { due, .. } = self.schedule.peek(self.now)
            && due.plus(timeout) <= self.now
            && let Claim::Now { due, counts, .. } = self.schedule.claim(self.now, 1)
        {
            self.note_start(due, counts);
            self.desk.gave_up(counts, self.now);
        }
    }

    /// A batch belongs to this slot from now on.
    fn assign(&mut self, slot: Slot, due: Nanos, count: u32, counts: bool) {
        self.note_start(due, counts);
        let connection = &mut self.connections[slot.0 as usize];
        connection.left = count;
        connection.counts = counts;
        connection.since = due;
        match connection.phase {
            Phase::Open => self.transmit(slot),
            _ => self.dialing.push(slot),
        }
    }

    fn note_start(&mut self, due: Nanos, counts: bool) {
        if counts && self.desk.counters.get(Count::Started) == u64::MAX {
            self.desk.counters.set(Count::Started, self.desk.base_ns + due.0);
        }
    }

    /// A connection without a request asks for one.
    fn idle(&mut self, slot: Slot) {
        let connection = &mut self.connections[slot.0 as usize];
        if !std::mem::replace(&mut connection.queued, true) {
            self.ready.push_back(slot);
        }
    }

    /// There is no request for this slot, and won't be.
    fn retire(&mut self, slot: Slot) {
        if self.connections[slot.0 as usize].phase == Phase::Open {
            self.end(slot);
        } else {
            self.retired += 1;
        }
    }

    fn push(&mut self, token: Token, op: Op) {
        self.unsubmitted.push(&mut self.ring, token, op);
    }

    fn token(&self, slot: Slot, kind: Kind) -> Token {
        Token::new(kind, self.connections[slot.0 as usize].generation, slot.0)
    }
}

/// How long a server may take to close after its last response.
pub const LINGER: Duration = Duration::from_secs(1);
