//! An observer that adds up the records of a server, and compares them with its counters.

use crate::peer_address::PeerAddress;
use crate::stats::Stats;
use crate::telemetry::record::{
    ListenerKind, Nanos, Observer, RequestHead, ResponsePlace, ResponseRecord,
};
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// The sums, shared by the observer of a server and its simulation.
#[derive(Clone, Debug)]
pub(super) struct Tally(Rc<RefCell<Sums>>);

#[derive(Debug, Default)]
struct Sums {
    describes: bool,
    requests: u64,
    bytes: u64,
    /// The responses under way, by slot, in the order in which they began.
    begun: HashMap<u32, VecDeque<(ResponsePlace, ResponseRecord)>>,
    violation: Option<String>,
}

impl Tally {
    pub(super) fn new(describes: bool) -> Self {
        Self(Rc::new(RefCell::new(Sums { describes, ..Sums::default() })))
    }

    /// Compares the sums with the counters of the server, which may have ended.
    ///
    /// # Errors
    /// The first difference.
    pub(super) fn check(&self, stats: &Stats, has_ended: bool) -> Result<(), String> {
        let sums = self.0.borrow();
        if let Some(violation) = &sums.violation {
            return Err(violation.clone());
        }
        let begun = sums.begun.values().flatten();
        let under_way: u64 = begun.map(|(_, record)| u64::from(record.count)).sum();
        if sums.requests + under_way != stats.requests {
            return Err(format!("{sums:?} have not the requests of {stats}"));
        }
        if has_ended && (under_way > 0 || sums.bytes != stats.bytes) {
            return Err(format!("{sums:?} have not the bytes of {stats}"));
        }
        Ok(())
    }
}

impl Observer for Tally {
    fn describes_requests(&self) -> bool {
        self.0.borrow().describes
    }

    fn accepted(&mut self, slot: u32, _peer: PeerAddress, _listener: ListenerKind) {
        let sums = &mut *self.0.borrow_mut();
        if sums.begun.get(&slot).is_some_and(|begun| !begun.is_empty()) {
            sums.violation.get_or_insert(format!("slot {slot} was reused before its record"));
        }
    }

    fn named(&mut self, _slot: u32, _client: PeerAddress) {}

    fn began(
        &mut self,
        slot: u32,
        place: ResponsePlace,
        record: &ResponseRecord,
        head: RequestHead<'_, '_>,
    ) {
        let sums = &mut *self.0.borrow_mut();
        if head.bytes.is_empty() || !(200..600).contains(&record.status) {
            sums.violation.get_or_insert(format!("slot {slot}: {record:?} to {head:?}"));
        }
        // Only the responses of a run begin while another one is under way.
        let is_used = |earlier: &VecDeque<(ResponsePlace, _)>| {
            earlier.iter().any(|(used, _)| *used == place)
                || !earlier.is_empty() && place == ResponsePlace::Slot
        };
        if let Some(earlier) = sums.begun.get(&slot).filter(|earlier| is_used(earlier)) {
            let what = format!("slot {slot}: {earlier:?} have no end before {place:?}");
            sums.violation.get_or_insert(what);
        }
        sums.begun.entry(slot).or_default().push_back((place, *record));
    }

    fn progressed(&mut self, slot: u32, place: ResponsePlace, record: &ResponseRecord) {
        let sums = &mut *self.0.borrow_mut();
        match sums.begun.get_mut(&slot).and_then(VecDeque::front_mut) {
            Some((first, begun)) if *first == place => *begun = *record,
            other => {
                let what = format!("slot {slot}: {place:?} took bytes before {other:?}");
                sums.violation.get_or_insert(what);
            }
        }
    }

    fn ended(&mut self, slot: u32, place: ResponsePlace, record: &ResponseRecord) {
        let sums = &mut *self.0.borrow_mut();
        let begun = sums.begun.get_mut(&slot).and_then(VecDeque::pop_front);
        let is_its_end = begun.is_some_and(|(first, begun)| {
            (first, begun.count, begun.status, begun.first_byte)
                == (place, record.count, record.status, record.first_byte)
        });
        if !is_its_end || record.first_byte > record.last_byte {
            sums.violation.get_or_insert(format!("slot {slot}: {begun:?} ended as {record:?}"));
        }
        sums.requests += u64::from(record.count);
        sums.bytes += record.bytes;
    }

    fn turned(&mut self, woken: Nanos, waits: Nanos) {
        if woken > waits {
            let sums = &mut *self.0.borrow_mut();
            sums.violation.get_or_insert(format!("a turn from {woken:?} to {waits:?}"));
        }
    }
}
