//! Timeouts of slots: one list for each kind of timeout, in the order in which they expire.
//!
//! All timeouts of a kind have the same length, so appending keeps a list sorted: to arm, to disarm
//! and to find the next one take constant time, and the front of a list is the slot that has been
//! armed longest. This module knows slots and times; it knows no connection and no engine.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use uringstatic::engine::{Nanos, Slot};
//! use uringstatic::http1::Timeout;
//! use uringstatic::timers::Timers;
//!
//! let mut timers = Timers::new(2, |timeout| match timeout {
//!     Timeout::Idle => Duration::from_nanos(60),
//!     _ => Duration::from_nanos(10),
//! });
//! timers.arm(Slot(0), Timeout::Idle, Nanos(0));
//! timers.arm(Slot(1), Timeout::Head, Nanos(5));
//! assert_eq!(timers.next(), Some(Nanos(15)));
//! assert_eq!(timers.expired(Nanos(15)), Some((Slot(1), Timeout::Head)));
//! assert_eq!(timers.expired(Nanos(15)), None);
//! assert_eq!(timers.longest(Timeout::Idle), Some((Slot(0), Nanos(0))));
//! ```

use crate::engine::{Nanos, Slot};
use std::time::Duration;

/// An enum of the kinds of timeout that one [`Timers`] has.
pub trait Kinds: Copy + PartialEq + 'static {
    /// Every kind, at the position that [`Kinds::index`] returns for it.
    const ALL: &'static [Self];

    /// Its position in [`Kinds::ALL`].
    fn index(self) -> usize;
}

/// The timeouts of all slots, at most one for each.
#[derive(Debug)]
pub struct Timers<K> {
    lengths: Box<[Duration]>,
    lists: Box<[List]>,
    nodes: Box<[TimerNode<K>]>,
}

impl<K: Kinds> Timers<K> {
    /// Timers for the slots below `slots`, all disarmed; `length` is called once for each kind.
    #[must_use]
    pub fn new(slots: u32, length: impl Fn(K) -> Duration) -> Self {
        Self {
            lengths: K::ALL.iter().map(|&kind| length(kind)).collect(),
            lists: K::ALL.iter().map(|_| List { first: NONE, last: NONE }).collect(),
            nodes: (0..slots).map(|_| TimerNode::default()).collect(),
        }
    }

    /// Starts a slot's timeout at `now`, in place of the one that was armed, if any.
    pub fn arm(&mut self, slot: Slot, kind: K, now: Nanos) {
        self.disarm(slot);
        let list = kind.index();
        let before = std::mem::replace(&mut self.lists[list].last, slot.0);
        match before {
            NONE => self.lists[list].first = slot.0,
            _ => self.nodes[before as usize].next = slot.0,
        }
        self.nodes[slot.0 as usize] =
            TimerNode { since: now, kind: Some(kind), previous: before, next: NONE };
    }

    /// Stops a slot's timeout, if one is armed.
    pub fn disarm(&mut self, slot: Slot) {
        let node = std::mem::take(&mut self.nodes[slot.0 as usize]);
        let Some(kind) = node.kind else { return };
        let list = &mut self.lists[kind.index()];
        match node.previous {
            NONE => list.first = node.next,
            previous => self.nodes[previous as usize].next = node.next,
        }
        match node.next {
            NONE => list.last = node.previous,
            next => self.nodes[next as usize].previous = node.previous,
        }
    }

    /// The kind of timeout that is armed for a slot.
    #[must_use]
    pub fn kind(&self, slot: Slot) -> Option<K> {
        self.nodes[slot.0 as usize].kind
    }

    /// When the slot's timeout was armed.
    #[must_use]
    pub fn since(&self, slot: Slot) -> Option<Nanos> {
        let node = &self.nodes[slot.0 as usize];
        node.kind.map(|_| node.since)
    }

    /// When the next timeout expires.
    #[must_use]
    pub fn next(&self) -> Option<Nanos> {
        K::ALL.iter().filter_map(|&kind| self.end(kind)).min()
    }

    /// Disarms and returns a slot whose timeout has expired.
    pub fn expired(&mut self, now: Nanos) -> Option<(Slot, K)> {
        let kind = *K::ALL.iter().find(|&&kind| self.end(kind).is_some_and(|end| end <= now))?;
        let slot = Slot(self.lists[kind.index()].first);
        self.disarm(slot);
        Some((slot, kind))
    }

    /// The slot whose timeout of this kind was armed first, and when.
    #[must_use]
    pub fn longest(&self, kind: K) -> Option<(Slot, Nanos)> {
        let first = self.lists[kind.index()].first;
        (first != NONE).then(|| (Slot(first), self.nodes[first as usize].since))
    }

    /// When the latest timeout of this kind was armed.
    #[must_use]
    pub fn newest(&self, kind: K) -> Option<Nanos> {
        let last = self.lists[kind.index()].last;
        (last != NONE).then(|| self.nodes[last as usize].since)
    }

    fn end(&self, kind: K) -> Option<Nanos> {
        self.longest(kind).map(|(_, since)| since.plus(self.lengths[kind.index()]))
    }
}

#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
}

/// A slot's place in the list of its kind.
#[derive(Clone, Copy, Debug)]
struct TimerNode<K> {
    since: Nanos,
    kind: Option<K>,
    previous: u32,
    next: u32,
}

impl<K> Default for TimerNode<K> {
    fn default() -> Self {
        Self { since: Nanos(0), kind: None, previous: NONE, next: NONE }
    }
}

const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum TestKind {
        Head,
        Idle,
        Linger,
    }

    impl Kinds for TestKind {
        const ALL: &'static [Self] = &[Self::Head, Self::Idle, Self::Linger];

        fn index(self) -> usize {
            self as usize
        }
    }

    fn length(kind: TestKind) -> Duration {
        Duration::from_nanos([10, 60, 2][kind.index()])
    }

    #[test]
    fn longest_is_the_slot_armed_first() {
        let mut timers = Timers::new(3, length);
        timers.arm(Slot(2), TestKind::Idle, Nanos(1));
        timers.arm(Slot(0), TestKind::Idle, Nanos(2));
        assert_eq!(timers.longest(TestKind::Idle), Some((Slot(2), Nanos(1))));
        timers.arm(Slot(2), TestKind::Idle, Nanos(3));
        assert_eq!(timers.longest(TestKind::Idle), Some((Slot(0), Nanos(2))));
    }

    #[derive(Clone, Debug)]
    enum TimerStep {
        Arm(u32, usize),
        Disarm(u32),
        Pass(u64),
    }

    fn step() -> impl Strategy<Value = TimerStep> {
        prop_oneof![
            (0..8u32, 0..TestKind::ALL.len()).prop_map(|(slot, kind)| TimerStep::Arm(slot, kind)),
            (0..8u32).prop_map(TimerStep::Disarm),
            (0..20u64).prop_map(TimerStep::Pass),
        ]
    }

    proptest! {
        #[test]
        fn lists_agree_with_a_table(steps in prop::collection::vec(step(), 0..200)) {
            let mut timers = Timers::new(8, length);
            let mut table: [Option<(TestKind, u64)>; 8] = [None; 8];
            let mut now = 0;
            for step in steps {
                match step {
                    TimerStep::Arm(slot, kind) => {
                        timers.arm(Slot(slot), TestKind::ALL[kind], Nanos(now));
                        let end = Nanos(now).plus(timers.lengths[kind]).0;
                        table[slot as usize] = Some((TestKind::ALL[kind], end));
                    }
                    TimerStep::Disarm(slot) => {
                        timers.disarm(Slot(slot));
                        table[slot as usize] = None;
                    }
                    TimerStep::Pass(nanos) => now += nanos,
                }
                while let Some((slot, kind)) = timers.expired(Nanos(now)) {
                    let (armed, end) = table[slot.0 as usize].take().expect("armed in the table");
                    prop_assert_eq!(armed, kind);
                    prop_assert!(end <= now);
                }
                prop_assert!(table.iter().flatten().all(|&(_, end)| end > now));
                let next = table.iter().flatten().map(|&(_, end)| Nanos(end)).min();
                prop_assert_eq!(timers.next(), next);
                for slot in 0..8u32 {
                    let kind = table[slot as usize].map(|(kind, _)| kind);
                    prop_assert_eq!(timers.kind(Slot(slot)), kind);
                }
            }
        }
    }
}
