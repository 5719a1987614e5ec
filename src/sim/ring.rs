//! [`Engine`] on a pretend network in virtual time: entries take effect and complete at random
//! later moments, in any order the kernel could choose, and whoever breaks a rule of the trait
//! is reported.
//!
//! What each operation does is in `operations`; this file has the queues, the buffers and time.

use super::event_queue::{Due, EventQueue};
use super::faults::{Fault, Faults, Mark};
use super::flight::{Buffer, Flight, Phase, Posted, With};
use super::network::{LinkId, Network};
use super::peer::Peer;
use super::random::Random;
use crate::bytes::Spans;
use crate::engine::{
    BufferId, Completion, Engine, Errno, Full, Kind, Memory, Nanos, Op, Received, Slot, Token,
};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// What a simulated ring is made from.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How many slots it has.
    pub spawn: u32,
    /// How many listeners.
    pub listeners: u32,
    /// The buffer that responses are sent from.
    pub fixed: Vec<u8>,
    /// How many receive buffers there are.
    pub buffers: u16,
    /// The size of one, in bytes.
    pub buffer_bytes: u32,
    /// How many entries the submission queue holds.
    pub entries: u32,
    /// Seconds since the Unix epoch at the start.
    pub unix_seconds: u64,
    /// Whether faults strike.
    pub faults: bool,
    /// Whether what happens is printed.
    pub trace: bool,
}

/// The simulated ring, with the network and the peers behind it.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "facts of their own, in any combination")]
pub struct SimRing {
    pub(super) random: Random,
    pub(super) faults: Faults,
    pub(super) network: Network,
    pub(super) peers: Vec<Peer>,
    /// The page that peers expect.
    pub(super) page: Rc<[u8]>,
    pub(super) events: EventQueue,
    pub(super) slots: Vec<Option<LinkId>>,
    /// Operations whose last completion was not popped yet.
    pub(super) flights: BTreeMap<u64, Flight>,
    flights_begun: u64,
    entries_max: usize,
    pub(super) queue: VecDeque<(Token, Op)>,
    pub(super) arrived: VecDeque<(u64, Completion)>,
    withheld: VecDeque<(u64, Completion)>,
    /// Slots with a lazy send pushed since the last wake-up.
    lazy: Vec<Slot>,
    /// Bytes were popped during such a send.
    hurries: bool,
    /// Whether that has to end the next wait at once.
    pub(super) checks_hurry: bool,
    pub(super) buffers: Vec<Buffer>,
    pub(super) buffer_bytes: usize,
    fixed: Vec<u8>,
    pub(super) signals: VecDeque<u32>,
    pub(super) time: Nanos,
    woken: Nanos,
    unix_start: u64,
    pub(super) violations: Vec<String>,
    stuck: bool,
    /// Another ring is at the other end of the network: no wait lasts beyond what changes there,
    /// nor beyond this moment.
    pub(super) paired: bool,
    pub(super) horizon: Option<Nanos>,
    /// Something changed on the network during this wait.
    stirred: bool,
    /// Until when the user last asked to wait.
    pub(super) deadline: Option<Nanos>,
    /// That wait brought nothing and isn't over: it only was interrupted.
    pub(super) interrupted: bool,
    trace: bool,
}

impl SimRing {
    /// A ring whose choices come from `random`, with no peers yet.
    #[must_use]
    pub fn new(setup: Setup, random: Random) -> Self {
        let buffer = Buffer { bytes: Vec::new(), with: With::Ring };
        Self {
            random,
            faults: Faults::new(setup.faults),
            network: Network::new(setup.listeners),
            peers: Vec::new(),
            page: Rc::from([]),
            events: EventQueue::default(),
            slots: vec![None; setup.spawn as usize],
            flights: BTreeMap::new(),
            flights_begun: 0,
            entries_max: setup.entries as usize,
            queue: VecDeque::new(),
            arrived: VecDeque::new(),
            withheld: VecDeque::new(),
            lazy: Vec::new(),
            hurries: false,
            checks_hurry: true,
            buffers: vec![buffer; usize::from(setup.buffers)],
            buffer_bytes: setup.buffer_bytes as usize,
            fixed: setup.fixed,
            signals: VecDeque::new(),
            time: Nanos(0),
            woken: Nanos(0),
            unix_start: setup.unix_seconds,
            violations: Vec::new(),
            stuck: false,
            paired: false,
            horizon: None,
            stirred: false,
            deadline: None,
            interrupted: false,
            trace: setup.trace,
        }
    }

    /// The network, for tests that play the peers themselves.
    pub fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }

    /// Whether a wait without end found nothing that could ever end it.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// There is something to wait for again.
    pub(super) fn unstick(&mut self) {
        self.stuck = false;
    }

    /// Virtual time, even between wake-ups.
    #[must_use]
    pub fn time(&self) -> Nanos {
        self.time
    }

    /// Seconds since the Unix epoch at a moment.
    pub(super) fn unix_at(&self, at: Nanos) -> u64 {
        self.unix_start + at.0 / 1_000_000_000
    }

    /// Lets everything happen that is due by `until`.
    pub fn let_time_pass(&mut self, until: Nanos) {
        self.spread();
        while let Some(next) = self.events.next().filter(|&next| next <= until) {
            self.time = self.time.max(next);
            while let Some(due) = self.events.take(self.time) {
                self.handle(due);
            }
        }
    }

    /// Delivers a signal at a later moment.
    pub fn signal_at(&mut self, at: Nanos, number: u32) {
        self.events.enter(at, Due::Signal(number));
    }

    pub(super) fn violate(&mut self, what: String) {
        self.trace(|| format!("VIOLATION {what}"));
        self.violations.push(what);
    }

    pub(super) fn trace(&self, what: impl FnOnce() -> String) {
        if self.trace {
            let (micros, nanos) = (self.time.0 / 1000, self.time.0 % 1000);
            crate::os::terminal::err(format_args!("{micros:>12}.{nanos:03} us  {}", what()));
        }
    }

    /// How long something takes: mostly nothing or little.
    pub(super) fn delay(&mut self) -> u64 {
        if self.faults.strikes(Fault::Late, &mut self.random) {
            return self.random.between(1_000_000, 300_000_000);
        }
        match self.random.below(20) {
            0..=11 => 0,
            12..=17 => self.random.below(50_000),
            _ => self.random.below(2_000_000),
        }
    }

    /// Hands the queued entries to the pretend kernel.
    fn submit(&mut self) {
        if !self.queue.is_empty() && self.faults.strikes(Fault::SubmitLater, &mut self.random) {
            return;
        }
        while let Some((token, op)) = self.queue.pop_front() {
            self.trace(|| format!("submit {token:?} {op:?}"));
            self.check_submission(token, op);
            if let Op::Recv { slot } | Op::RecvMany { slot } | Op::Discard { slot, .. } = op
                && let Some(link) = self.link_of(slot)
            {
                self.network.user_receives(link);
            }
            let copy = match op {
                Op::Send { spans, .. } | Op::SendClose { spans, .. } => self.bytes_of(spans),
                _ => Vec::new(),
            };
            let id = self.flights_begun;
            self.flights_begun += 1;
            let outcomes = VecDeque::new();
            let last_post = self.time;
            let flight = Flight { token, op, phase: Phase::Due, copy, outcomes, last_post };
            self.flights.insert(id, flight);
            let late = match op {
                // A send runs to its end when it is submitted; who doesn't wait for it counts on
                // that.
                Op::Send { lazy: true, .. } => 0,
                Op::Send { .. } | Op::SendClose { .. } => self.random.below(20_000),
                _ => self.delay(),
            };
            self.events.enter(Nanos(self.time.0 + late), Due::Attempt(id));
        }
    }

    /// A completion will arrive; later than those of the same operation before it.
    pub(super) fn post(&mut self, id: u64, result: Result<u32, Errno>, with: Posted) {
        let late = match self.flights[&id].op {
            Op::Send { lazy: true, .. } => 0,
            Op::Send { .. } | Op::SendClose { .. }
                if self.faults.strikes(Fault::SendLate, &mut self.random) =>
            {
                self.random.between(1_000_000_000, 2_500_000_000)
            }
            Op::Send { .. } | Op::SendClose { .. } => self.random.below(20_000),
            _ => self.delay(),
        };
        let at = Nanos(self.time.0 + late);
        let flight = self.flights.get_mut(&id).expect("only what is under way completes");
        let token = with.token.unwrap_or(flight.token);
        let completion = Completion { token, result, more: with.more, buffer: with.buffer };
        flight.last_post = flight.last_post.max(at);
        flight.outcomes.push_back(completion);
        if !with.more {
            flight.phase = Phase::Over;
        }
        self.events.enter(flight.last_post, Due::Post(id));
    }

    fn arrive(&mut self, id: u64) {
        let flight = self.flights.get_mut(&id).expect("its last completion was not popped");
        let completion = flight.outcomes.pop_front().expect("one was entered for each post");
        let silent = match flight.op {
            Op::Send { spans, lazy: true, .. } => {
                completion.result.map(u64::from) == Ok(spans.len())
            }
            _ => false,
        };
        if silent {
            self.faults.counters.note(Mark::Withheld);
            self.withheld.push_back((id, completion));
        } else {
            self.arrived.push_back((id, completion));
        }
    }

    fn handle(&mut self, due: Due) {
        match due {
            Due::Attempt(id) => self.attempt(id),
            Due::Post(id) => self.arrive(id),
            Due::Write(peer) => self.peer_writes(peer),
            Due::Read(peer) => self.peer_reads(peer),
            Due::Signal(number) => {
                self.trace(|| format!("signal {number}"));
                self.signals.push_back(number);
                self.wake_signal();
            }
        }
        self.spread();
    }

    /// Tells everybody concerned what changed on the network.
    pub(super) fn spread(&mut self) {
        let (links, listeners) = self.network.take_changes();
        if links.is_empty() && listeners.is_empty() {
            return;
        }
        self.stirred = true;
        let parked: Vec<u64> = self
            .flights
            .iter()
            .filter(|(_, flight)| flight.phase == Phase::Parked)
            .filter(|(_, flight)| match flight.op {
                Op::Accept { listener, .. } | Op::Watch { listener } => {
                    listeners.contains(&listener)
                }
                Op::Connect { slot, .. }
                | Op::Recv { slot }
                | Op::RecvMany { slot }
                | Op::Discard { slot, .. }
                | Op::Writable { slot } => {
                    self.link_of(slot).is_some_and(|link| links.contains(&link))
                }
                _ => false,
            })
            .map(|(&id, _)| id)
            .collect();
        for id in parked {
            self.retry(id);
        }
        for link in links {
            self.peer_hears(link);
        }
    }

    fn wake_signal(&mut self) {
        let parked = self.flights.iter().find(|(_, flight)| flight.op == Op::Signal);
        if let Some((&id, _)) = parked.filter(|(_, flight)| flight.phase == Phase::Parked) {
            self.retry(id);
        }
    }

    /// Tries a parked operation again, a little later.
    fn retry(&mut self, id: u64) {
        let at = Nanos(self.time.0 + self.delay());
        let flight = self.flights.get_mut(&id).expect("it was found parked");
        flight.phase = Phase::Due;
        self.events.enter(at, Due::Attempt(id));
    }

    pub(super) fn link_of(&self, slot: Slot) -> Option<LinkId> {
        self.slots.get(slot.0 as usize).copied().flatten()
    }

    /// Lets virtual time pass until a completion arrives or the deadline has come.
    fn wait(&mut self, deadline: Option<Nanos>) {
        self.interrupted = false;
        self.stuck = false;
        self.spread();
        self.stirred = false;
        while let Some(due) = self.events.take(self.time) {
            self.handle(due);
        }
        while self.arrived.is_empty() {
            if self.paired && self.stirred {
                self.interrupted = true;
                return;
            }
            let ends = [self.events.next(), deadline, self.horizon];
            let Some(next) = ends.into_iter().flatten().min() else {
                self.interrupted = true;
                self.stuck = true;
                return;
            };
            self.time = self.time.max(next);
            while let Some(due) = self.events.take(self.time) {
                self.handle(due);
            }
            let is_over = |end: Option<Nanos>| end.is_some_and(|end| end <= self.time);
            if is_over(deadline) || is_over(self.horizon) {
                self.interrupted = self.arrived.is_empty() && !is_over(deadline);
                return;
            }
            if self.faults.strikes(Fault::Spurious, &mut self.random) {
                return;
            }
        }
    }

    /// Checks that nobody waits for a completion that won't cause a wake-up: bytes that came
    /// during a lazy send can be looked at only when that is over.
    fn check_hurry(&mut self, deadline: Option<Nanos>) {
        if self.checks_hurry
            && self.hurries
            && deadline.is_none_or(|deadline| deadline > self.woken)
        {
            self.violate("bytes that came during a lazy send would be forgotten".to_owned());
        }
        self.hurries = false;
        self.lazy.clear();
    }

    /// Checks, when a send's completion is popped, that nobody wrote where it read.
    fn check_unchanged(&mut self, id: u64) {
        let flight = &self.flights[&id];
        let (Op::Send { spans, .. } | Op::SendClose { spans, .. }) = flight.op else { return };
        if self.bytes_of(spans) != flight.copy {
            let what = format!("{:?} changed under {:?}", spans, flight.token);
            self.violate(what);
        }
    }

    fn bytes_of(&self, spans: Spans) -> Vec<u8> {
        [&self.fixed[spans.first.range()], &self.fixed[spans.then.range()]].concat()
    }
}

impl Engine for SimRing {
    fn push(&mut self, token: Token, op: Op) -> Result<(), Full> {
        let places = 1 + usize::from(matches!(op, Op::SendClose { .. }));
        if self.queue.len() + places > self.entries_max
            || self.faults.strikes(Fault::QueueFull, &mut self.random)
        {
            return Err(Full);
        }
        if let Op::Send { slot, lazy: true, .. } = op {
            self.lazy.push(slot);
        }
        self.queue.push_back((token, op));
        Ok(())
    }

    fn submit_and_wait(&mut self, deadline: Option<Nanos>) -> Result<(), Errno> {
        // The user's own work took a moment.
        self.time.0 += 1 + self.random.below(20_000);
        self.trace(|| format!("wait until {deadline:?}, {} withheld", self.withheld.len()));
        self.check_hurry(deadline);
        self.deadline = deadline;
        self.submit();
        // What the kernel did not take in makes the call return at once.
        let deadline = if self.queue.is_empty() { deadline } else { Some(self.time) };
        self.wait(deadline);
        let withheld = std::mem::take(&mut self.withheld);
        for completion in withheld.into_iter().rev() {
            self.arrived.push_front(completion);
        }
        self.woken = self.time;
        Ok(())
    }

    fn stop_listening(&mut self, listener: u32) -> Result<(), Full> {
        if self.queue.len() >= self.entries_max
            || self.faults.strikes(Fault::QueueFull, &mut self.random)
        {
            return Err(Full);
        }
        self.check_listener_is_unused(listener);
        self.network.close_listener(listener);
        Ok(())
    }

    fn pop(&mut self) -> Option<Completion> {
        let (id, completion) = self.arrived.pop_front()?;
        self.trace(|| format!("pop {completion:?}"));
        self.check_unchanged(id);
        let token = completion.token;
        self.hurries |= token.kind() == Kind::Recv
            && completion.result.is_ok()
            && self.lazy.contains(&Slot(token.index()));
        if !completion.more {
            self.flights.remove(&id);
        }
        if let Some(BufferId(buffer)) = completion.buffer {
            self.buffers[usize::from(buffer)].with = With::User;
        }
        Some(completion)
    }

    fn memory(&mut self, received: Option<Received>) -> Memory<'_> {
        let received = match received {
            Some(Received { buffer, len }) => {
                let id = usize::from(buffer.0);
                assert_eq!(self.buffers[id].with, With::User, "only a lent buffer is read");
                &self.buffers[id].bytes[..len as usize]
            }
            None => &[],
        };
        Memory { received, fixed: &mut self.fixed }
    }

    fn give_back(&mut self, buffer: BufferId) {
        let id = usize::from(buffer.0);
        if self.buffers[id].with != With::User {
            self.violate(format!("{buffer:?} was given back though it wasn't lent"));
        }
        self.buffers[id].with = With::Ring;
    }

    fn now(&self) -> Nanos {
        self.woken
    }

    fn unix_seconds(&self) -> u64 {
        self.unix_at(self.woken)
    }
}
