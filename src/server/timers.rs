//! Deadlines of connections: one list for each kind of wait, in the order they end.
//!
//! Every wait of a kind lasts equally long, so appending keeps a list sorted: arming, disarming
//! and finding the next deadline take constant time, and the front of [`Wait::Idle`] is the
//! connection that has been idle longest. Knows slots and times; no connection, no ring.

use crate::ring::{Nanos, Slot};
use std::time::Duration;

/// What a connection is waiting for, as far as deadlines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A request head to be complete.
    Head,
    /// The next request on a connection that persists.
    Idle,
    /// The next bytes of a request body, or room for the next bytes of a reply.
    Progress,
    /// The peer to close after us.
    Linger,
}

/// How long each kind of wait may last.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For [`Wait::Head`].
    pub head: Duration,
    /// For [`Wait::Idle`].
    pub idle: Duration,
    /// For [`Wait::Progress`].
    pub progress: Duration,
    /// For [`Wait::Linger`].
    pub linger: Duration,
}

/// The deadlines of all connections.
#[derive(Debug)]
pub struct Timers {
    limits: [Duration; KINDS],
    lists: [List; KINDS],
    links: Box<[Link]>,
}

impl Timers {
    /// Room for the slots below `slots`, all disarmed.
    #[must_use]
    pub fn new(slots: u32, limits: Limits) -> Self {
        Self {
            limits: [limits.head, limits.idle, limits.progress, limits.linger],
            lists: [List { first: NONE, last: NONE }; KINDS],
            links: vec![Link::default(); slots as usize].into_boxed_slice(),
        }
    }

    /// Starts (or restarts) a slot's deadline; whatever it waited for before is forgotten.
    pub fn arm(&mut self, slot: Slot, wait: Wait, now: Nanos) {
        self.disarm(slot);
        let kind = wait as usize;
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
        let list = &mut self.lists[wait as usize];
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
    pub fn wait(&self, slot: Slot) -> Option<Wait> {
        self.links[slot.0 as usize].wait
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next(&self) -> Option<Nanos> {
        WAITS.iter().filter_map(|&wait| self.end(wait)).min()
    }

    /// Disarms and returns a slot whose deadline has come.
    pub fn expired(&mut self, now: Nanos) -> Option<(Slot, Wait)> {
        let wait = *WAITS.iter().find(|&&wait| self.end(wait).is_some_and(|end| end <= now))?;
        let slot = Slot(self.lists[wait as usize].first);
        self.disarm(slot);
        Some((slot, wait))
    }

    /// The slot that has waited longest for this, and since when.
    #[must_use]
    pub fn longest(&self, wait: Wait) -> Option<(Slot, Nanos)> {
        let first = self.lists[wait as usize].first;
        (first != NONE).then(|| (Slot(first), self.links[first as usize].since))
    }

    fn end(&self, wait: Wait) -> Option<Nanos> {
        self.longest(wait).map(|(_, since)| since.plus(self.limits[wait as usize]))
    }
}

#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    since: Nanos,
    wait: Option<Wait>,
    previous: u32,
    next: u32,
}

impl Default for Link {
    fn default() -> Self {
        Self { since: Nanos(0), wait: None, previous: NONE, next: NONE }
    }
}

const WAITS: [Wait; KINDS] = [Wait::Head, Wait::Idle, Wait::Progress, Wait::Linger];
const KINDS: usize = 4;
const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits() -> Limits {
        Limits {
            head: Duration::from_nanos(10),
            idle: Duration::from_nanos(60),
            progress: Duration::from_nanos(30),
            linger: Duration::from_nanos(2),
        }
    }

    #[test]
    fn the_front_of_idle_is_the_longest_idle() {
        let mut timers = Timers::new(3, limits());
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
            (0..8u32, 0..KINDS).prop_map(|(slot, wait)| Step::Arm(slot, wait)),
            (0..8u32).prop_map(Step::Disarm),
            (0..20u64).prop_map(Step::Pass),
        ]
    }

    proptest! {
        /// The lists agree with a table that is searched from end to end.
        #[test]
        fn agrees_with_a_table(steps in prop::collection::vec(step(), 0..200)) {
            let mut timers = Timers::new(8, limits());
            let mut table: [Option<(Wait, u64)>; 8] = [None; 8];
            let mut now = 0;
            for step in steps {
                match step {
                    Step::Arm(slot, wait) => {
                        timers.arm(Slot(slot), WAITS[wait], Nanos(now));
                        let end = Nanos(now).plus(timers.limits[wait]).0;
                        table[slot as usize] = Some((WAITS[wait], end));
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
