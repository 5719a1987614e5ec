//! Who is to be connected next, and not before when.

use super::Plan;
use crate::engine::{Nanos, Slot};
use std::collections::VecDeque;

/// Slots that wait to be connected, and the pace of it.
#[derive(Debug)]
pub(super) struct Dialing {
    queue: VecDeque<Slot>,
    /// When the next may be connected.
    next: Nanos,
    /// Between two, in nanoseconds.
    gap_ns: u64,
    /// The same while the first connections are opened.
    ramp_gap_ns: u64,
    /// How many of those are left.
    ramp_left: u32,
    /// How many were begun, for the choice of a source.
    pub(super) begun: u32,
    /// Connections that are opened before the schedule begins and aren't yet.
    firsts: u32,
}

impl Dialing {
    pub(super) fn new(plan: &Plan, start: Nanos) -> Self {
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

    /// One that is connected before any request is due.
    pub(super) fn push_first(&mut self, slot: Slot) {
        self.firsts += 1;
        self.push(slot);
    }

    /// One of those is connected, or could not be. Says whether that was the last.
    pub(super) fn first_is_done(&mut self) -> bool {
        self.firsts = self.firsts.saturating_sub(1);
        self.firsts == 0
    }

    /// Whether some are still to be connected before any request is due.
    pub(super) fn has_firsts(&self) -> bool {
        self.firsts > 0
    }

    /// There is no hurry any more, nor a pace.
    pub(super) fn stop(&mut self) {
        self.gap_ns = 0;
        self.ramp_left = 0;
        self.next = Nanos(0);
    }

    /// When it has something to do.
    pub(super) fn next(&self) -> Option<Nanos> {
        (!self.queue.is_empty()).then_some(self.next)
    }

    /// The next slot, if it may be connected now.
    pub(super) fn take(&mut self, now: Nanos) -> Option<Slot> {
        if self.next > now {
            return None;
        }
        let slot = self.queue.pop_front()?;
        let ramp_gap = if self.ramp_left > 0 { self.ramp_gap_ns } else { 0 };
        self.ramp_left = self.ramp_left.saturating_sub(1);
        let gap = self.gap_ns.max(ramp_gap);
        if gap > 0 {
            // From when it was to be, so that the rate holds; but what was missed is not made up.
            self.next = Nanos(self.next.0.max(now.0.saturating_sub(gap)) + gap);
        }
        self.begun = self.begun.wrapping_add(1);
        Some(slot)
    }
}
