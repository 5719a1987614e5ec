//! What will happen when, in virtual time.

use crate::engine::Nanos;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Something that happens at its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// The operation with this number is tried.
    Attempt(u64),
    /// The next completion of the operation with this number arrives.
    Post(u64),
    /// A peer goes on with its steps.
    Write(u32),
    /// A peer reads.
    Read(u32),
    /// The process gets a signal.
    Signal(u32),
}

/// Everything that is due, in order of time and, at one time, of entry.
#[derive(Clone, Debug, Default)]
pub(super) struct EventQueue {
    heap: BinaryHeap<Reverse<(Nanos, u64, Due)>>,
    entered: u64,
}

impl EventQueue {
    /// Enters something.
    pub(super) fn enter(&mut self, at: Nanos, due: Due) {
        self.entered += 1;
        self.heap.push(Reverse((at, self.entered, due)));
    }

    /// When the next thing is due.
    #[must_use]
    pub(super) fn next(&self) -> Option<Nanos> {
        self.heap.peek().map(|Reverse((at, _, _))| *at)
    }

    /// Takes the next thing that is due by `now`.
    pub(super) fn take(&mut self, now: Nanos) -> Option<Due> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, _, due))| due)
    }
}
