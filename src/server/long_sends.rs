//! The order of long sends: how many bytes of them one turn sends, and which wait for a later one.
//!
//! The kernel copies the bytes of a send while the loop waits for it, at a few gigabytes a second,
//! and more slowly into memory that it has to clear first. A turn that sends 512 KiB to each of
//! many connections keeps all others waiting, and a connection in the backlog may wait for many
//! turns. So a turn sends at most [`TURN_BYTES`] in long sends. The others wait, and the next turn
//! follows at once.
//!
//! ```text
//!   short send ─────────────────────────────────► this turn
//!   long send ─┬─ none waits, and there is room ─► this turn
//!              ├─ its response ends with it ─► last   ─┐  first in, first out; the queues take
//!              └─ its response goes on ──────► others ─┴─ turns in being the first to be served
//! ```
//!
//! A response of 100 KB therefore waits for others of its kind, but not for every file of gigabytes.

use super::worker::Server;
use crate::engine::{Engine, Nanos, Slot};
use crate::http1::{Output, SEND_BYTES_MAX, Transmission};
use crate::socket::Transmit;
use std::collections::VecDeque;

/// The long sends that wait, and the room for them in the present turn.
pub(super) struct LongSends {
    /// Bytes that this turn may still send.
    left: u64,
    /// The wake-up with which the turn began.
    woken: Nanos,
    queues: [VecDeque<Slot>; 2],
    /// The index of the queue that is served first in this turn.
    first: usize,
    /// Whether a slot is in one of the queues. Its connection may have ended since, and a later one
    /// then inherits the place.
    is_waiting: Box<[bool]>,
}

impl LongSends {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            left: TURN_BYTES,
            woken: Nanos(0),
            queues: [LAST, OTHERS].map(|_| VecDeque::with_capacity(slots)),
            first: LAST,
            is_waiting: vec![false; slots].into_boxed_slice(),
        }
    }

    /// Begins the turn that follows a wake-up. A wait that was interrupted is not over.
    pub(super) fn begin_turn(&mut self, woken: Nanos) {
        if woken != self.woken {
            self.woken = woken;
            self.left = TURN_BYTES;
            self.first = 1 - self.first;
        }
    }

    /// Whether a further turn has to follow at once.
    pub(super) fn has_waiting(&self) -> bool {
        self.queues.iter().any(|queue| !queue.is_empty())
    }

    /// Whether a send may be made now. Otherwise its slot waits.
    pub(super) fn admit(&mut self, slot: Slot, transmission: &Transmission) -> bool {
        let len = transmission.spans.len();
        if len <= SHORT_BYTES_MAX {
            return true;
        }
        if self.is_waiting[slot.0 as usize] {
            return false;
        }
        if !self.has_waiting() && len <= self.left {
            self.left -= len;
            return true;
        }
        let queue = if transmission.more { OTHERS } else { LAST };
        self.queues[queue].push_back(slot);
        self.is_waiting[slot.0 as usize] = true;
        false
    }
}

impl<E: Engine> Server<E> {
    /// Makes the sends that waited, as far as this turn may send.
    pub(super) fn make_long_sends(&mut self) {
        let first = self.long_sends.first;
        self.make_sends_of(first);
        self.make_sends_of(1 - first);
    }

    fn make_sends_of(&mut self, queue: usize) {
        while let Some(&slot) = self.long_sends.queues[queue].front() {
            let transmission = self.waiting_transmission(slot);
            let len = transmission.map_or(0, |transmission| transmission.spans.len());
            let Some(left) = self.long_sends.left.checked_sub(len) else { return };
            self.long_sends.left = left;
            self.long_sends.queues[queue].pop_front();
            self.long_sends.is_waiting[slot.0 as usize] = false;
            if let Some(transmission) = transmission {
                self.submit_send(slot, transmission);
            }
        }
    }

    /// The next send of a slot that waits, if its connection still has one to make.
    fn waiting_transmission(&self, slot: Slot) -> Option<Transmission> {
        let connection = self.connections.get(slot.0 as usize)?;
        let socket = &connection.socket;
        match connection.output {
            Output::Send(transmission)
                if socket.is_open() && socket.transmitting() == Transmit::Idle =>
            {
                Some(transmission)
            }
            _ => None,
        }
    }
}

/// The queue of sends with which a response ends.
const LAST: usize = 0;
/// The queue of sends that another one of the same response follows.
const OTHERS: usize = 1;
/// The most bytes of a send that never waits.
const SHORT_BYTES_MAX: u64 = 16 * 1024;
/// The most bytes of long sends in one turn: there is room for one of any length.
const TURN_BYTES: u64 = 512 * 1024;
const _: () = assert!(TURN_BYTES >= SEND_BYTES_MAX, "no send waits for ever");
