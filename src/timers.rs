//! Deadlines of connections: one list for each kind of wait, in the order they end.
//!
//! Every wait of a kind lasts equally long, so appending keeps a list sorted: arming, disarming
//! and finding the next deadline take constant time, and the front of a list is the connection
//! that has waited longest. Knows slots and times; no connection, no ring.

use crate::engine::{Nanos, Slot};
use std::time::Duration;

/// The kinds of wait that somebody has deadlines for.
pub trait Kinds: Copy + PartialEq + 'static {
    /// All of them, each at the place that `index` says.
    const ALL: &'static [Self];

    /// Its place among them.
    fn index(self) -> usize;
}

/// The deadlines of all connections.
#[derive(Debug)]
pub struct Timers<W> {
    limits: Box<[Duration]>,
    lists: Box<[List]>,
    links: Box<[Link<W>]>,
}

impl<W: Kinds> Timers<W> {
    /// Room for the slots below `slots`, all disarmed; `limit` says how long a wait may last.
    #[must_use]
    pub fn new(slots: u32, limit: impl Fn(W) -> Duration) -> Self {
        Self {
            limits: W::ALL.iter().map(|&wait| limit(wait)).collect(),
            lists: W::ALL.iter().map(|_| List { first: NONE, last: NONE }).collect(),
            links: (0..slots).map(|_| Link::default()).collect(),
        }
    }

    /// Starts (or restarts) a slot's deadline; whatever it waited for before is forgotten.
    pub fn arm(&mut self, slot: Slot, wait: W, now: Nanos) {
        self.disarm(slot);
        let kind = wait.index();
        let last = std::mem::replace(&mut self.lists[kind].last, slot.0);
        match last {
            NONE => self.lists[kind].first = slot.0,
            _ => self.links[last as usize].next = slot.0,
        }
        self.links[slot.0 as usize] =
            Link { since: now, wait: Some(wait), previous: last, next: NONE };
    }

    /// Forgets a slot's deadline, if it has one.
    pub fn disarm(&mut self, slot: Slot) {
        let link = std::mem::take(&mut self.links[slot.0 as usize]);
        let Some(wait) = link.wait else { return };
        let list = &mut self.lists[wait.index()];
        match link.previous {
            NONE => list.first = link.next,
            previous => self.links[previous as usize].next = link.next,
        }
        match link.next {
            NONE => list.last = link.previous,
            next => self.links[next as usize].previous = link.previous,
        }
    }

    /// What a slot is waiting for.
    #[must_use]
    pub fn wait(&self, slot: Slot) -> Option<W> {
        self.links[slot.0 as usize].wait
    }

    /// Since when a slot has been waiting for that.
    #[must_use]
    pub fn since(&self, slot: Slot) -> Option<Nanos> {
        let link = &self.links[slot.0 as usize];
        link.wait.map(|_| link.since)
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next(&self) -> Option<Nanos> {
        W::ALL.iter().filter_map(|&wait| self.end(wait)).min()
    }

    /// Disarms and returns a slot whose deadline has come.
    pub fn expired(&mut self, now: Nanos) -> Option<(Slot, W)> {
        let wait = *W::ALL.iter().find(|&&wait| self.end(wait).is_some_and(|end| end <= now))?;
        let slot = Slot(self.lists[wait.index()].first);
        self.disarm(slot);
        Some((slot, wait))
    }

    /// The slot that has waited longest for this, and since when.
    #[must_use]
    pub fn longest(&self, wait: W) -> Option<(Slot, Nanos)> {
        let first = self.lists[wait.index()].first;
        (first != NONE).then(|| (Slot(first), self.links[first as usize].since))
    }

    /// Since when the slot has waited for this that began last.
    #[must_use]
    pub fn newest(&self, wait: W) -> Option<Nanos> {
        let last = self.lists[wait.index()].last;
        (last != NONE).then(|| self.links[last as usize].since)
    }

    fn end(&self, wait: W) -> Option<Nanos> {
        self.longest(wait).map(|(_, since)| since.plus(self.limits[wait.index()]))
    }
}

#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
}

#[derive(Clone, Copy, Debug)]
struct Link<W> {
    since: Nanos,
    wait: Option<W>,
    previous: u32,
    next: u32,
}

impl<W> Default for Link<W> {
    fn default() -> Self {
        Self { since: Nanos(0), wait: None, previous: NONE, next: NONE }
    }
}

const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Wait {
        Head,
        Idle,
        Linger,
    }

    impl Kinds for Wait {
        const ALL: &'static [Self] = &[Self::Head, Self::Idle, Self::Linger];

        fn index(self) -> usize {
            self as usize
        }
    }

    fn limit(wait: Wait) -> Duration {
        Duration::from_nanos([10, 60, 2][wait.index()])
    }

    #[test]
    fn the_front_of_idle_is_the_longest_idle() {
        let mut timers = Timers::new(3, limit);
        timers.arm(Slot(2), Wait::Idle, Nanos(1));
        timers.arm(Slot(0), Wait::Idle, Nanos(2));
        assert_eq!(timers.longest(Wait::Idle), Some((Slot(2), Nanos(1))));
        timers.arm(Slot(2), Wait::Idle, Nanos(3));
        assert_eq!(timers.longest(Wait::Idle), Some((Slot(0), Nanos(2))));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Arm(u32, usize),
        Disarm(u32),
        Pass(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..8u32, 0..Wait::ALL.len()).prop_map(|(slot, wait)| Step::Arm(slot, wait)),
            (0..8u32).prop_map(Step::Disarm),
            (0..20u64).prop_map(Step::Pass),
        ]
    }

    proptest! {
        /// The lists agree with a table that is searched from end to end.
        #[test]
        fn agrees_with_a_table(steps in prop::collection::vec(step(), 0..200)) {
            let mut timers = Timers::new(8, limit);
            let mut table: [Option<(Wait, u64)>; 8] = [None; 8];
            let mut now = 0;
            for step in steps {
                match step {
                    Step::Arm(slot, wait) => {
                        timers.arm(Slot(slot), Wait::ALL[wait], Nanos(now));
                        let end = Nanos(now).plus(timers.limits[wait]).0;
                        table[slot as usize] = Some((Wait::ALL[wait], end));
                    }
                    Step::Disarm(slot) => {
                        timers.disarm(Slot(slot));
                        table[slot as usize] = None;
                    }
                    Step::Pass(nanos) => now += nanos,
                }
                while let Some((slot, wait)) = timers.expired(Nanos(now)) {
                    let (armed, end) = table[slot.0 as usize].take().expect("armed in the table");
                    prop_assert_eq!(armed, wait);
                    prop_assert!(end <= now);
                }
                prop_assert!(table.iter().flatten().all(|&(_, end)| end > now));
                let next = table.iter().flatten().map(|&(_, end)| Nanos(end)).min();
                prop_assert_eq!(timers.next(), next);
                for slot in 0..8u32 {
                    let wait = table[slot as usize].map(|(wait, _)| wait);
                    prop_assert_eq!(timers.wait(Slot(slot)), wait);
                }
            }
        }
    }
}
