//! The gate: how connections get in, so that there are never more than `spawn` of them, nobody is
//! turned away, and nobody waits behind a peer that is idle.
//!
//! A slot is reserved before a connection is accepted into it, so the cap is exact. Several accepts
//! are armed on each listener, because a burst of connections must not take a turn of the loop
//! each while those that are in keep the loop busy. With no slot left, listeners are only watched;
//! when somebody waits, the connection that has been idle longest is closed. With several listeners
//! and fewer slots, a slot reserved for a listener at which nobody is waiting goes to one where
//! somebody is.

use super::connection::Connection;
use super::waits::Wait;
use super::{Life, Server};
use crate::ring::{Completion, Errno, Kind, Nanos, Op, Ring, Slot, Token};
use std::time::Duration;

/// The listeners and what is under way on them.
pub(super) struct Gate {
    listeners: Vec<Listener>,
    /// Slots with an accept in flight.
    reserved: Vec<Reservation>,
    /// How many a listener may have.
    accepts: u32,
    /// The listener that is served first next time, so that none is served last always.
    first: usize,
}

#[derive(Clone, Copy, Debug)]
struct Listener {
    /// How many accepts are in flight.
    accepts: u32,
    watch: Watch,
    /// Somebody waits in the backlog, as far as is known.
    waiting: bool,
    /// Not before this moment again, after an error that may last.
    paused_until: Option<Nanos>,
    pause: Duration,
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

impl Gate {
    pub(super) fn new(listeners: u32, accepts: u32) -> Self {
        let listener = Listener {
            accepts: 0,
            watch: Watch::Idle,
            waiting: false,
            paused_until: None,
            pause: PAUSE_MIN,
        };
        Self {
            listeners: vec![listener; listeners as usize],
            reserved: Vec::with_capacity(listeners as usize * accepts as usize),
            accepts,
            first: 0,
        }
    }

    /// How many slots are reserved for connections to be accepted.
    pub(super) fn reserved(&self) -> u32 {
        u32::try_from(self.reserved.len()).expect("slots are counted by u32")
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
        let most = if listener.pause > PAUSE_MIN { 1 } else { self.accepts };
        listener.paused_until.is_none() && listener.accepts < accepts.min(most)
    }
}

impl<R: Ring> Server<R> {
    /// Arms accepts as far as there are slots, and watches the listeners that get none.
    pub(super) fn feed_listeners(&mut self) {
        if self.life != Life::Serving {
            return;
        }
        let count = self.gate.listeners.len();
        for listener in &mut self.gate.listeners {
            listener.paused_until = listener.paused_until.filter(|&until| until > self.now);
        }
        // Nobody gets a second accept before everybody has one; who is known to wait comes first.
        for accepts in 1..=self.gate.accepts {
            for only_waiting in [true, false] {
                for step in 0..count {
                    let index = (self.gate.first + step) % count;
                    let waiting = self.gate.listeners[index].waiting;
                    if self.gate.lacks(index, accepts) && (waiting || !only_waiting) {
                        self.feed_listener(index);
                    }
                }
            }
            if self.connections.len() >= self.config.spawn as usize {
                break;
            }
        }
        self.gate.first = (self.gate.first + 1) % count.max(1);
        self.make_room();
    }

    fn feed_listener(&mut self, index: usize) {
        let number = u32::try_from(index).expect("listeners are counted by u32");
        if self.connections.len() < self.config.spawn as usize {
            let entry = self.connections.vacant_entry();
            let slot = Slot(u32::try_from(entry.key()).expect("slots are counted by u32"));
            let generation = self.generations[slot.0 as usize];
            entry.insert(Connection::reserved(generation));
            self.gate.reserved.push(Reservation { slot, listener: index, stopping: false });
            self.gate.listeners[index].accepts += 1;
            let op = Op::Accept { listener: number, slot };
            self.push(Token::new(Kind::Accept, generation, slot.0), op);
        } else if self.gate.listeners[index].accepts == 0
            && self.gate.listeners[index].watch == Watch::Idle
            && !self.gate.listeners[index].waiting
        {
            self.gate.listeners[index].watch = Watch::Armed;
            self.push(Token::new(Kind::Watch, 0, number), Op::Watch { listener: number });
        }
    }

    /// Whether somebody waits and no slot is free or about to be.
    fn wants_room(&self) -> bool {
        let waits = |listener: &Listener| {
            listener.waiting && listener.accepts == 0 && listener.paused_until.is_none()
        };
        self.connections.len() >= self.config.spawn as usize
            && self.leaving == 0
            && self.gate.listeners.iter().any(waits)
            && !self.gate.reserved.iter().any(|reservation| reservation.stopping)
    }

    /// Frees a slot for somebody who waits.
    fn make_room(&mut self) {
        if !self.wants_room() {
            return;
        }
        let Gate { listeners, reserved, .. } = &mut self.gate;
        if let Some(unused) = reserved.iter_mut().find(|it| !listeners[it.listener].waiting) {
            unused.stopping = true;
            let slot = unused.slot;
            let target = Token::new(Kind::Accept, self.generations[slot.0 as usize], slot.0);
            self.push(target.with_kind(Kind::CancelAccept), Op::Cancel { target });
            return;
        }
        if let Some((slot, since)) = self.timers.longest(Wait::Idle)
            && since.plus(IDLE_MIN) <= self.now
            && !self.end_if_idle(slot)
        {
            // Its last reply may be over without having woken us up.
            self.hurry |= self.is_sending(slot);
        }
    }

    /// When the gate has something to do even if nothing completes.
    pub(super) fn gate_deadline(&self) -> Option<Nanos> {
        if self.life != Life::Serving {
            return None;
        }
        let paused = self.gate.listeners.iter().filter_map(|listener| listener.paused_until).min();
        let idle = self.timers.longest(Wait::Idle).filter(|_| self.wants_room());
        // Past that moment it was tried, and what held it back ends a wait by itself.
        let idle = idle.map(|(_, since)| since.plus(IDLE_MIN)).filter(|&end| end > self.now);
        [paused, idle].into_iter().flatten().min()
    }

    pub(super) fn watched(&mut self, completion: Completion) {
        let listener = &mut self.gate.listeners[completion.token.index() as usize];
        listener.waiting |= listener.watch == Watch::Armed && completion.result.is_ok();
        listener.watch = Watch::Idle;
    }

    pub(super) fn accepted(&mut self, completion: Completion) {
        let slot = Slot(completion.token.index());
        completion.token.assert_life(self.generations[slot.0 as usize]);
        let number = self.gate.unreserve(slot);
        let listener = &mut self.gate.listeners[number];
        match completion.result {
            Ok(_) => {
                listener.pause = PAUSE_MIN;
                listener.waiting = false;
                if listener.watch == Watch::Armed {
                    listener.watch = Watch::Stale;
                }
                self.begin(slot);
            }
            Err(errno) => {
                listener.waiting &= errno == Errno(libc::ECANCELED);
                self.free(slot);
                self.accept_failed(number, errno);
            }
        }
    }

    /// An error of an accept never ends the server, and never spins it.
    fn accept_failed(&mut self, listener: usize, errno: Errno) {
        let draining = self.draining();
        let listener = &mut self.gate.listeners[listener];
        match errno.0 {
            libc::ECANCELED => return,
            libc::EINVAL if draining => return,
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

/// How long an accept that failed for want of something is not tried again: first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// A connection is not idle between two requests that follow each other.
const IDLE_MIN: Duration = Duration::from_millis(100);
