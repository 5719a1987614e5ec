//! The state of the acceptor: the listeners, the accepts in flight on them, and the slots in use.
//! The rules by which connections get in are in `accepting`.

use super::config::ServerConfig;
use crate::engine::{Nanos, Slot};
use crate::timers::Kinds;
use std::time::Duration;

/// The set of slots to which a connection counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// The slots of the connection limit.
    Public,
    /// The slots of the listener for health checks.
    Health,
}

impl Kinds for Class {
    const ALL: &'static [Self] = &[Self::Public, Self::Health];

    fn index(self) -> usize {
        self as usize
    }
}

/// The listeners, and the accepts in flight on them.
pub(super) struct Acceptor {
    pub(super) listeners: Vec<ListenerState>,
    /// Slots with an accept in flight.
    pub(super) reserved: Vec<Reservation>,
    /// The most accepts in flight on one listener.
    pub(super) accepts: u32,
    /// The listener that gets an accept first in the next turn; it rotates.
    pub(super) first: usize,
    pub(super) slots: [Slots; Class::ALL.len()],
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Slots {
    pub(super) max: u32,
    /// Reserved, or with a connection.
    pub(super) used: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct ListenerState {
    /// Accepts in flight.
    pub(super) accepts: u32,
    /// The most of them at present.
    pub(super) accepts_max: u32,
    /// Turns in a row after which no accept was in flight: connections arrive faster than that.
    pub(super) exhausted: u32,
    pub(super) class: Class,
    pub(super) watch: Watch,
    /// When the watch first reported a connection in the backlog that is still there.
    pub(super) waiting_since: Option<Nanos>,
    /// When the watch last reported one.
    pub(super) reported: Nanos,
    /// Whether all other servers were full when the watch was last armed.
    pub(super) is_watched_when_full: bool,
    /// Whether they were when the watch that reported last was armed. Otherwise another server may
    /// have accepted the reported connection into its last slot.
    pub(super) is_reported_when_full: bool,
    /// No accept is armed before this moment, after an error that may last.
    pub(super) paused_until: Option<Nanos>,
    /// The length of the next pause.
    pub(super) pause: Duration,
    /// The engine has closed the socket.
    pub(super) is_closed: bool,
}

/// A slot with an accept in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reservation {
    pub(super) slot: Slot,
    pub(super) listener: usize,
    pub(super) state: AcceptState,
}

/// The state of an accept in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AcceptState {
    /// It waits for a connection.
    Waiting,
    /// It was cancelled; its last completion is still to come.
    Cancelled,
    /// It was cancelled because another listener needs its slot. If it ends without a connection,
    /// one more accept tries its listener.
    Yielding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    Idle,
    Armed,
    /// Armed, but a connection was accepted since: the connection it reports may be that one.
    Stale,
}

impl Acceptor {
    pub(super) fn new(config: &ServerConfig) -> Self {
        let listener = ListenerState {
            accepts: 0,
            accepts_max: config.accepts_at_rest,
            exhausted: 0,
            class: Class::Public,
            watch: Watch::Idle,
            waiting_since: None,
            reported: Nanos(0),
            is_watched_when_full: false,
            is_reported_when_full: false,
            paused_until: None,
            pause: PAUSE_MIN,
            is_closed: false,
        };
        let mut listeners = vec![listener; config.listeners as usize];
        if config.health_listener {
            listeners.last_mut().expect("the listener for health checks is the last").class =
                Class::Health;
        }
        Self {
            reserved: Vec::with_capacity(listeners.len() * config.accepts as usize),
            listeners,
            accepts: config.accepts,
            first: 0,
            slots: [config.spawn, config.slots() - config.spawn].map(|max| Slots { max, used: 0 }),
        }
    }

    /// The slots of a class that are reserved or have a connection.
    pub(super) fn used(&self, class: Class) -> u32 {
        self.slots[class.index()].used
    }

    /// The connections of a class that are accepted and not closed.
    pub(super) fn live(&self, class: Class) -> u32 {
        let of_class = |it: &&Reservation| self.listeners[it.listener].class == class;
        let reserved = self.reserved.iter().filter(of_class).count();
        self.used(class) - u32::try_from(reserved).expect("slots are counted by u32")
    }

    /// The most slots of a class that may be used.
    pub(super) fn max(&self, class: Class) -> u32 {
        self.slots[class.index()].max
    }

    pub(super) fn set_max(&mut self, class: Class, max: u32) {
        self.slots[class.index()].max = max;
    }

    pub(super) fn is_full(&self, class: Class) -> bool {
        let Slots { max, used } = self.slots[class.index()];
        used >= max
    }

    /// Counts a slot of this class as free.
    pub(super) fn freed(&mut self, class: Class) {
        self.slots[class.index()].used -= 1;
    }

    /// Ends the reservation of a slot, and returns it.
    pub(super) fn unreserve(&mut self, slot: Slot) -> Reservation {
        let place = self.reserved.iter().position(|reservation| reservation.slot == slot);
        let place = place.expect("an accept completes if one was armed");
        let reservation = self.reserved.swap_remove(place);
        self.listeners[reservation.listener].accepts -= 1;
        reservation
    }

    /// Adapts the number of accepts to the arrivals: more of them while each turn finds that all
    /// have completed, because a burst must not take one turn for each connection.
    pub(super) fn adapt(&mut self, config: &ServerConfig) {
        for listener in &mut self.listeners {
            if listener.accepts > 0 {
                (listener.exhausted, listener.accepts_max) = (0, config.accepts_at_rest);
                continue;
            }
            listener.exhausted = listener.exhausted.saturating_add(1);
            if listener.exhausted > 1 {
                listener.accepts_max = (2 * listener.accepts_max).min(config.accepts);
            }
        }
    }

    /// Whether a listener has fewer accepts in flight than both `accepts` and its own maximum.
    /// While accepts fail, that maximum is 1: one accept is enough to find out.
    pub(super) fn lacks(&self, listener: usize, accepts: u32) -> bool {
        let listener = &self.listeners[listener];
        let max = match listener.class {
            Class::Public if listener.pause == PAUSE_MIN => listener.accepts_max,
            Class::Public | Class::Health => 1,
        };
        listener.paused_until.is_none() && listener.accepts < accepts.min(max)
    }
}

/// The first pause of accepts after an error that may last; the pause doubles with each error.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(10);
