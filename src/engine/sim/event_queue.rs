//! Pending events in virtual time. Knows nothing of what the events are.

use crate::engine::Nanos;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Events in order of their time and, at one time, of their scheduling.
#[derive(Clone, Debug)]
pub struct EventQueue<E> {
    heap: BinaryHeap<Reverse<(Nanos, u64, E)>>,
    scheduled: u64,
}

impl<E: Ord> EventQueue<E> {
    /// Adds an event that happens at `at`.
    pub fn schedule(&mut self, at: Nanos, event: E) {
        self.scheduled += 1;
        self.heap.push(Reverse((at, self.scheduled, event)));
    }

    /// The time of the earliest event.
    #[must_use]
    pub fn next_at(&self) -> Option<Nanos> {
        self.heap.peek().map(|Reverse((at, _, _))| *at)
    }

    /// Removes the earliest event if its time is not after `now`.
    pub fn take_due(&mut self, now: Nanos) -> Option<E> {
        if self.next_at()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, _, event))| event)
    }
}

impl<E: Ord> Default for EventQueue<E> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), scheduled: 0 }
    }
}
