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
//! A response of 100 KB therefore waits for others of its kind, but not for every larger file.

use crate::engine::{Nanos, Slot};
use crate::http1::{SEND_BYTES_MAX, Transmission};
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
        let len = transmission.payload.len();
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

    /// Takes the next send that waited, if this turn still has room for it. `send_of` has the send
    /// of a slot, unless its connection has none to make any more.
    pub(super) fn next(
        &mut self,
        send_of: impl Fn(Slot) -> Option<Transmission>,
    ) -> Option<(Slot, Transmission)> {
        for queue in [self.first, 1 - self.first] {
            while let Some(&slot) = self.queues[queue].front() {
                let transmission = send_of(slot);
                let len = transmission.map_or(0, |transmission| transmission.payload.len());
                let Some(left) = self.left.checked_sub(len) else { break };
                self.left = left;
                self.queues[queue].pop_front();
                self.is_waiting[slot.0 as usize] = false;
                if let Some(transmission) = transmission {
                    return Some((slot, transmission));
                }
            }
        }
        None
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
