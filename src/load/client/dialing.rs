//! The queue of slots to connect, and the rate at which they are connected.

use super::plan::ClientPlan;
use crate::engine::{Nanos, Slot};
use std::collections::VecDeque;

#[derive(Debug)]
pub(super) struct Dialing {
    queue: VecDeque<Slot>,
    /// When the next slot may be connected.
    next: Nanos,
    /// The shortest time between two connects, in nanoseconds.
    gap_ns: u64,
    /// The same while the first connections are opened.
    ramp_gap_ns: u64,
    /// How many of the first connections are left.
    ramp_left: u32,
    /// How many connects were begun; selects the source address.
    pub(super) begun: u32,
    /// Connections to open before the schedule begins that are not open yet.
    firsts: u32,
}

impl Dialing {
    pub(super) fn new(plan: &ClientPlan, start: Nanos) -> Self {
        Self {
            queue: VecDeque::with_capacity(plan.connections as usize),
            next: start,
            gap_ns: plan.dial_gap_ns,
            ramp_gap_ns: plan.ramp_ns / u64::from(plan.connections.max(1)),
            ramp_left: plan.connections,
            begun: 0,
            firsts: 0,
        }
    }

    pub(super) fn push(&mut self, slot: Slot) {
        self.queue.push_back(slot);
    }

    /// Queues a slot to be connected before the schedule begins.
    pub(super) fn push_first(&mut self, slot: Slot) {
        self.firsts += 1;
        self.push(slot);
    }

    /// Counts one of [`Self::push_first`] as connected or failed; returns whether it was the last.
    pub(super) fn first_is_done(&mut self) -> bool {
        self.firsts = self.firsts.saturating_sub(1);
        self.firsts == 0
    }

    /// Whether the schedule still waits for connections.
    pub(super) fn has_firsts(&self) -> bool {
        self.firsts > 0
    }

    /// Lifts the rate limit, so that the queue empties at once.
    pub(super) fn stop(&mut self) {
        self.gap_ns = 0;
        self.ramp_left = 0;
        self.next = Nanos(0);
    }

    /// Keeps the slots for which `keep` is true.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(Slot) -> bool) {
        self.queue.retain(|&slot| keep(slot));
    }

    /// When the next slot may be connected, if any is queued.
    pub(super) fn next(&self) -> Option<Nanos> {
        (!self.queue.is_empty()).then_some(self.next)
    }

    /// Takes the next slot, if it may be connected now.
    pub(super) fn take(&mut self, now: Nanos) -> Option<Slot> {
        if self.next > now {
            return None;
        }
        let slot = self.queue.pop_front()?;
        let ramp_gap = if self.ramp_left > 0 { self.ramp_gap_ns } else { 0 };
        self.ramp_left = self.ramp_left.saturating_sub(1);
        let gap = self.gap_ns.max(ramp_gap);
        if gap > 0 {
            // Counted from the planned moment, so that the rate holds; but a delay of more than one
            // gap is not made up for.
            self.next = Nanos(self.next.0.max(now.0.saturating_sub(gap)) + gap);
        }
        self.begun = self.begun.wrapping_add(1);
        Some(slot)
    }
}
