//! The acceptor: how connections get in, so that there are never more than `spawn` of them, none is
//! turned away, and no peer keeps a slot from others by doing nothing with it.
//!
//! A slot is reserved before a connection is accepted into it, so the cap is exact. Several accepts
//! are armed on each listener, because a burst of connections must not take a turn of the loop
//! each while those that are in keep the loop busy. With several listeners and fewer slots, a slot
//! reserved for a listener with an empty backlog goes to one with a connection in it.
//!
//! With no slot left, listeners are only watched. While a connection waits in a backlog, another
//! makes room for it, the one that has got the least out of its slot:
//!
//! 1. one that has been in the middle of a request for more than [`UNFINISHED_MIN`]: a head, a
//!    body, a slow response, or lingering after the last one; the longest first;
//! 2. one that has been idle for [`IDLE_MIN`], the longest first, or for [`QUIET_MIN`] if all
//!    connections are;
//! 3. else a busy one: its next response says `Connection: close`, so that it loses no request. It
//!    has had its slot for [`TENURE_MIN`]. A connection is busy if less than [`BUSY_MAX`] lies
//!    between two of its requests, or if it sends a part of the next head with each request. As the
//!    wait in the backlog grows, a connection with longer pauses gives way, too: pauses of up to
//!    half of that wait.
//!
//! The listener for health checks has slots of its own, so that it answers when all others are
//! taken; the first rule alone makes room among them.

use super::connection::Connection;
use super::timeouts::Wait;
use super::{Config, Life, Server};
use crate::engine::{Completion, Engine, Errno, Full, Kind, Nanos, Op, Slot, Token};
use crate::timers::Kinds;
use std::time::Duration;

/// Which slots a connection counts among.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Those of the cap.
    Public,
    /// Those of the listener for health checks.
    Health,
}

impl Kinds for Class {
    const ALL: &'static [Self] = &[Self::Public, Self::Health];

    fn index(self) -> usize {
        self as usize
    }
}

/// The listeners and what is under way on them.
pub(super) struct Acceptor {
    listeners: Vec<Listener>,
    /// Slots with an accept in flight.
    reserved: Vec<Reservation>,
    /// How many a listener may have.
    accepts: u32,
    /// The listener that is served first next time, so that none is served last always.
    first: usize,
    /// How many slots there are, and how many are reserved or have a connection, by class.
    slots: [Slots; Class::ALL.len()],
}

#[derive(Clone, Copy, Debug)]
struct Slots {
    most: u32,
    used: u32,
}

#[derive(Clone, Copy, Debug)]
struct Listener {
    /// How many accepts are in flight.
    accepts: u32,
    class: Class,
    watch: Watch,
    /// Since when a connection has been known to wait in the backlog.
    waiting: Option<Nanos>,
    /// Not before this moment again, after an error that may last.
    paused_until: Option<Nanos>,
    pause: Duration,
    /// The ring has closed its socket.
    is_closed: bool,
}

/// A slot that a connection is to be accepted into.
#[derive(Clone, Copy, Debug)]
struct Reservation {
    slot: Slot,
    listener: usize,
    /// Cancelled, its last completion to come.
    stopping: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    Idle,
    Armed,
    /// Armed, but a connection was accepted since: what it tells may be over.
    Stale,
}

impl Acceptor {
    pub(super) fn new(config: &Config) -> Self {
        let listener = Listener {
            accepts: 0,
            class: Class::Public,
            watch: Watch::Idle,
            waiting: None,
            paused_until: None,
            pause: PAUSE_MIN,
            is_closed: false,
        };
        let mut listeners = vec![listener; config.listeners as usize];
        if config.health_listener {
            listeners.last_mut().expect("it is one of them").class = Class::Health;
        }
        Self {
            reserved: Vec::with_capacity(listeners.len() * config.accepts as usize),
            listeners,
            accepts: config.accepts,
            first: 0,
            slots: [config.spawn, config.slots() - config.spawn]
                .map(|most| Slots { most, used: 0 }),
        }
    }

    /// How many slots of a class are reserved or have a connection.
    pub(super) fn used(&self, class: Class) -> u32 {
        self.slots[class.index()].used
    }

    /// How many connections of a class are accepted and not closed.
    pub(super) fn live(&self, class: Class) -> u32 {
        let of_class = |it: &&Reservation| self.listeners[it.listener].class == class;
        let reserved = self.reserved.iter().filter(of_class).count();
        self.used(class) - u32::try_from(reserved).expect("slots are counted by u32")
    }

    fn is_full(&self, class: Class) -> bool {
        let Slots { most, used } = self.slots[class.index()];
        used >= most
    }

    /// A slot is free again.
    pub(super) fn freed(&mut self, class: Class) {
        self.slots[class.index()].used -= 1;
    }

    /// Ends the reservation of a slot, and says which listener it was for.
    fn unreserve(&mut self, slot: Slot) -> usize {
        let place = self.reserved.iter().position(|reservation| reservation.slot == slot);
        let place = place.expect("an accept completes if one was armed");
        let listener = self.reserved.swap_remove(place).listener;
        self.listeners[listener].accepts -= 1;
        listener
    }

    /// Whether a listener has fewer accepts in flight than `accepts` and than it may have. While
    /// accepts fail, one at a time tells whether they still do.
    fn lacks(&self, listener: usize, accepts: u32) -> bool {
        let listener = &self.listeners[listener];
        let most = match listener.class {
            Class::Public if listener.pause == PAUSE_MIN => self.accepts,
            Class::Public | Class::Health => 1,
        };
        listener.paused_until.is_none() && listener.accepts < accepts.min(most)
    }
}

impl<R: Engine> Server<R> {
    /// Arms accepts as far as there are slots, and watches the listeners that get none.
    pub(super) fn arm_accepts(&mut self) {
        let count = self.acceptor.listeners.len();
        for listener in &mut self.acceptor.listeners {
            listener.paused_until = listener.paused_until.filter(|&until| until > self.now);
        }
        // No listener gets a second accept before each has one; those with a backlog come first.
        for accepts in 1..=self.acceptor.accepts {
            for only_waiting in [true, false] {
                for step in 0..count {
                    let index = (self.acceptor.first + step) % count;
                    let waiting = self.acceptor.listeners[index].waiting.is_some();
                    if self.acceptor.lacks(index, accepts) && (waiting || !only_waiting) {
                        self.arm_accept(index);
                    }
                }
            }
            if self.acceptor.is_full(Class::Public) {
                break;
            }
        }
        self.acceptor.first = (self.acceptor.first + 1) % count.max(1);
        for &class in Class::ALL {
            self.make_room(class);
        }
    }

    fn arm_accept(&mut self, index: usize) {
        let number = number_of(index);
        let Listener { class, accepts, watch, waiting, .. } = self.acceptor.listeners[index];
        if !self.accepts_from(class) {
            return;
        }
        if !self.acceptor.is_full(class) {
            let entry = self.connections.vacant_entry();
            let slot = Slot(u32::try_from(entry.key()).expect("slots are counted by u32"));
            let generation = self.generations[slot.0 as usize];
            entry.insert(Connection::reserved(generation, class));
            self.acceptor.slots[class.index()].used += 1;
            self.acceptor.reserved.push(Reservation { slot, listener: index, stopping: false });
            self.acceptor.listeners[index].accepts += 1;
            let op = Op::Accept { listener: number, slot };
            self.push(Token::new(Kind::Accept, generation, slot.0), op);
        } else if accepts == 0 && watch == Watch::Idle && waiting.is_none() {
            self.acceptor.listeners[index].watch = Watch::Armed;
            self.push(Token::new(Kind::Watch, 0, number), Op::Watch { listener: number });
        }
    }

    /// Health checks are answered until the end, which they announce.
    fn accepts_from(&self, class: Class) -> bool {
        match self.life {
            Life::Serving => true,
            Life::Draining { .. } => class == Class::Health,
            Life::Over(_) => false,
        }
    }

    /// Since when a connection has waited that has no slot, if none is free or about to be.
    fn room_wanted_since(&self, class: Class) -> Option<Nanos> {
        if !self.acceptor.is_full(class) || self.leaving > 0 || !self.accepts_from(class) {
            return None;
        }
        if self.acceptor.reserved.iter().any(|reservation| reservation.stopping) {
            return None;
        }
        let waits = |listener: &&Listener| {
            listener.class == class && listener.accepts == 0 && listener.paused_until.is_none()
        };
        self.acceptor.listeners.iter().filter(waits).filter_map(|listener| listener.waiting).min()
    }

    /// Frees a slot for a connection that waits.
    fn make_room(&mut self, class: Class) {
        if self.room_wanted_since(class).is_none() {
            return;
        }
        let Acceptor { listeners, reserved, .. } = &mut self.acceptor;
        let is_unused = |it: &&mut Reservation| {
            let listener = &listeners[it.listener];
            listener.class == class && listener.waiting.is_none()
        };
        if let Some(unused) = reserved.iter_mut().find(is_unused) {
            unused.stopping = true;
            let slot = unused.slot;
            self.cancel_accept(slot);
            return;
        }
        if let Some(slot) = self.longest_unfinished(class) {
            self.displace(slot);
            return;
        }
        // Connections for health checks are never idle.
        if class == Class::Public
            && let Some((slot, since)) = self.timers.longest(Wait::Idle)
            && since.plus(self.idle_min()) <= self.now
            && !self.end_if_idle(slot)
        {
            // Its last response may be over without having woken us up.
            self.poll_now |= self.is_sending(slot);
        }
    }

    fn cancel_accept(&mut self, slot: Slot) {
        let target = Token::new(Kind::Accept, self.generations[slot.0 as usize], slot.0);
        self.push(target.with_kind(Kind::CancelAccept), Op::Cancel { target });
    }

    /// Cancels accepts and watches as the drain begins; [`Self::stop_listeners`] follows when they
    /// have completed. Accepts for health checks go on: those announce the drain.
    ///
    /// Cancelled and not shut down (shutdown(2)), which would end the socket for every process that
    /// accepts from it.
    pub(super) fn cancel_accepts(&mut self) {
        for place in 0..self.acceptor.reserved.len() {
            let Reservation { slot, listener, stopping } = self.acceptor.reserved[place];
            if !stopping && self.acceptor.listeners[listener].class == Class::Public {
                self.acceptor.reserved[place].stopping = true;
                self.cancel_accept(slot);
            }
        }
        for index in 0..self.acceptor.listeners.len() {
            let Listener { class, watch, .. } = self.acceptor.listeners[index];
            if class == Class::Public && watch != Watch::Idle {
                let target = Token::new(Kind::Watch, 0, number_of(index));
                self.push(target.with_kind(Kind::CancelAccept), Op::Cancel { target });
            }
        }
    }

    /// During the drain, has the ring close each listener on which nothing is in flight any more.
    pub(super) fn stop_listeners(&mut self) {
        if !self.draining() {
            return;
        }
        for index in 0..self.acceptor.listeners.len() {
            let Listener { class, accepts, watch, is_closed, .. } = self.acceptor.listeners[index];
            if class == Class::Health || is_closed || accepts > 0 || watch != Watch::Idle {
                continue;
            }
            match self.ring.stop_listening(number_of(index)) {
                Ok(()) => self.acceptor.listeners[index].is_closed = true,
                Err(Full) => self.poll_now = true,
            }
        }
    }

    /// How long a connection has to be idle until it makes room.
    fn idle_min(&self) -> Duration {
        match self.quiet_from() {
            Some(quiet) if quiet <= self.now => QUIET_MIN,
            Some(_) | None => IDLE_MIN,
        }
    }

    /// From when on all connections are idle for long enough that none of them is busy.
    fn quiet_from(&self) -> Option<Nanos> {
        let none_begun = self.unfinished.longest(Class::Public).is_none() && self.giving_way == 0;
        let newest = self.timers.newest(Wait::Idle).filter(|_| none_begun);
        newest.map(|since| since.plus(QUIET_MIN))
    }

    /// The connection that has been in the middle of a request for longest, if that is too long.
    /// One that is held up without its fault goes behind the others.
    fn longest_unfinished(&mut self, class: Class) -> Option<Slot> {
        for _ in 0..UNFINISHED_TRIES {
            let (slot, since) = self.unfinished.longest(class)?;
            if since.plus(UNFINISHED_MIN) > self.now {
                return None;
            }
            if !self.connections[slot.0 as usize].is_held_up() {
                return Some(slot);
            }
            self.unfinished.arm(slot, class, self.now);
        }
        None
    }

    /// Whether the next response of a busy connection is to be its last, for one that waits.
    pub(super) fn should_give_way(&self, slot: Slot) -> bool {
        if !self.acceptor.is_full(Class::Public) || self.giving_way >= GIVING_WAY_MAX {
            return false;
        }
        let Some(waiting_since) = self.room_wanted_since(Class::Public) else { return false };
        let connection = &self.connections[slot.0 as usize];
        let Some(since) = self.timers.since(slot) else { return false };
        let gap_ns = self.now.0 - since.0;
        let waited_ns = self.now.0 - waiting_since.0;
        let is_busy = match self.timers.wait(slot) {
            Some(Wait::Head) => true,
            _ => since.plus(BUSY_MAX) > self.now,
        };
        connection.has_been_in_for(TENURE_MIN, self.now) && (is_busy || 2 * gap_ns < waited_ns)
    }

    /// When the acceptor has something to do even if nothing completes.
    pub(super) fn acceptor_deadline(&self) -> Option<Nanos> {
        let paused =
            self.acceptor.listeners.iter().filter_map(|listener| listener.paused_until).min();
        let room = Class::ALL.iter().filter_map(|&class| self.room_deadline(class)).min();
        [paused, room].into_iter().flatten().min()
    }

    /// When a connection can make room that can't yet.
    fn room_deadline(&self, class: Class) -> Option<Nanos> {
        self.room_wanted_since(class)?;
        let unfinished = self.unfinished.longest(class);
        let idle = self.timers.longest(Wait::Idle).filter(|_| class == Class::Public);
        // Past that moment it was tried, and what held it back ends a wait by itself.
        [
            unfinished.map(|(_, since)| since.plus(UNFINISHED_MIN)),
            idle.map(|(_, since)| since.plus(IDLE_MIN)),
            idle.and(self.quiet_from()),
        ]
        .into_iter()
        .flatten()
        .filter(|&end| end > self.now)
        .min()
    }

    pub(super) fn watched(&mut self, completion: Completion) {
        let listener = &mut self.acceptor.listeners[completion.token.index() as usize];
        if listener.watch == Watch::Armed && completion.result.is_ok() {
            listener.waiting.get_or_insert(self.now);
        }
        listener.watch = Watch::Idle;
    }

    pub(super) fn accepted(&mut self, completion: Completion) {
        let slot = Slot(completion.token.index());
        completion.token.assert_life(self.generations[slot.0 as usize]);
        let number = self.acceptor.unreserve(slot);
        let listener = &mut self.acceptor.listeners[number];
        match completion.result {
            Ok(_) => {
                listener.pause = PAUSE_MIN;
                listener.waiting = None;
                if listener.watch == Watch::Armed {
                    listener.watch = Watch::Stale;
                }
                self.begin(slot);
            }
            Err(errno) => {
                listener.waiting = listener.waiting.filter(|_| errno == Errno(libc::ECANCELED));
                self.free(slot);
                self.accept_failed(number, errno);
            }
        }
    }

    /// An error of an accept never ends the server, and never spins it.
    fn accept_failed(&mut self, listener: usize, errno: Errno) {
        let listener = &mut self.acceptor.listeners[listener];
        match errno.0 {
            libc::ECANCELED => return,
            // The peer or its network is gone, one connection less waits (accept(2)).
            libc::ECONNABORTED | libc::EINTR | libc::EAGAIN | libc::EPROTO | libc::EPERM => {}
            // Others that were in flight failed with it.
            _ if listener.paused_until.is_some() => {}
            // No files or no memory, or something not known: later it may be different.
            _ => {
                listener.paused_until = Some(self.now.plus(listener.pause));
                listener.pause = (listener.pause * 2).min(PAUSE_MAX);
            }
        }
        self.stats.errors.accepts += 1;
    }
}

fn number_of(listener: usize) -> u32 {
    u32::try_from(listener).expect("listeners are counted by u32")
}

/// How long an accept that failed for want of something is not tried again: first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// A connection that completed a request so recently is not idle: a client that asks once a second
/// keeps its connection.
const IDLE_MIN: Duration = Duration::from_millis(1500);
/// But if no connection completed one more recently than this, the longest idle makes room.
const QUIET_MIN: Duration = Duration::from_millis(100);
/// A request may take so long while others wait for a slot.
const UNFINISHED_MIN: Duration = Duration::from_secs(2);
/// How many connections to look at in one turn for one to close.
const UNFINISHED_TRIES: u32 = 16;
/// A connection has its slot at least for so long before it gives way by its next response.
const TENURE_MIN: Duration = Duration::from_secs(1);
/// Requests that follow each other within this are those of a busy connection.
const BUSY_MAX: Duration = Duration::from_millis(500);
/// How many connections give way at one time. Their peers close within a round trip, if they do.
const GIVING_WAY_MAX: u32 = 4;
