//! The part of a worker in the memory of the access log: a ring of records whose responses have
//! ended, and places for records of responses under way: one for each slot, and one for each
//! response of a run but the first.
//!
//! ```text
//!   worker                                                       logger
//!     │ a response begins: its record is written to its place
//!     │ it ends: the record is copied to the tail of the ring      │
//!     │                                                            │ reads from the head on, and
//!     ▼                                                            ▼ moves it once that is written
//!   places             ring: head ▒▒▒▒▒▒▒▒▒▒ tail
//! ```
//!
//! One process writes at a time: a worker, or after its end the supervisor, which moves the records
//! that are left in the places of slots to the ring ([`RingWriter::recover`]); then the next worker
//! of the place. Positions only grow, so that none of these changes needs the logger's consent. A
//! full ring takes no record: the writer counts it and goes on.
//!
//! Neither side trusts the other. Positions and lengths are bounded where they are read; with any
//! words in the part, each side stays within it and goes on. A writer never waits, and a reader
//! returns a bounded number of words.

use super::access_record::{FIXED_WORDS, RECORD_WORDS_MAX, SERIAL, count_of, len_of};
use super::record::ResponsePlace;
use std::sync::atomic::{AtomicU64, Ordering};

/// The words of a ring: 4 MiB, which 150,000 requests a second with usual heads fill in 100 ms.
pub const RING_WORDS: usize = 1 << 19;
/// The words of the part of a worker with so many slots: a page of positions, the ring, the places.
#[must_use]
pub const fn part_words(slots: u32) -> usize {
    let places = ResponsePlace::RUN_PLACES as usize + slots as usize;
    (PLACES_AT + places * RECORD_WORDS_MAX).next_multiple_of(HEADER_WORDS)
}

/// The words of the writer's line.
const TAIL: usize = 0;
const DROPPED: usize = 1;
const SLOTS_USED: usize = 2;
/// The record that was appended last, and the tail behind it.
const LAST_SERIAL: usize = 3;
const LAST_TAIL: usize = 4;
const RUN_PLACES_USED: usize = 5;
/// The words of the reader's line.
const HEAD: usize = 8;
const CORRUPT: usize = 9;

const HEADER_WORDS: usize = 512;
const PLACES_AT: usize = HEADER_WORDS + RING_WORDS;
const RING_MASK: u64 = RING_WORDS as u64 - 1;
const _: () = assert!(RING_WORDS.is_power_of_two());

/// The one writer of a part.
#[derive(Debug)]
pub struct RingWriter {
    tail: u64,
    /// The head as it was read last.
    head: u64,
    dropped: u64,
    serial: u64,
    slots_used: u32,
    run_places_used: u32,
}

impl RingWriter {
    /// Goes on where the writer before left off.
    #[must_use]
    pub fn new(part: &[AtomicU64]) -> Self {
        let load = |word: usize| part[word].load(Ordering::Acquire);
        let places = (part.len() - PLACES_AT) / RECORD_WORDS_MAX;
        let slots = u32::try_from(places).unwrap_or(u32::MAX) - ResponsePlace::RUN_PLACES;
        let used = |word: usize, max: u32| u32::try_from(load(word)).unwrap_or(max).min(max);
        Self {
            tail: load(TAIL),
            head: load(HEAD),
            dropped: load(DROPPED),
            serial: load(LAST_SERIAL),
            slots_used: used(SLOTS_USED, slots),
            run_places_used: used(RUN_PLACES_USED, ResponsePlace::RUN_PLACES),
        }
    }

    /// The record in the place of a slot, or in one of a run, is complete from now on: it won't be
    /// lost.
    pub(super) fn begin(&mut self, part: &[AtomicU64], slot: u32, place: ResponsePlace) {
        let (used_so_far, word, used) = match place {
            ResponsePlace::Slot => (&mut self.slots_used, SLOTS_USED, slot + 1),
            ResponsePlace::Run(number) => (&mut self.run_places_used, RUN_PLACES_USED, number + 1),
        };
        if used > *used_so_far {
            *used_so_far = used;
            part[word].store(used.into(), Ordering::Relaxed);
        }
        self.serial = self.serial.wrapping_add(1).max(1);
        // Behind the words of the record: a worker may end between any two stores.
        place_of(part, slot, place)[SERIAL].store(self.serial, Ordering::Release);
    }

    /// Moves the record of a place, of so many words, to the ring.
    pub(super) fn end(&mut self, part: &[AtomicU64], slot: u32, place: ResponsePlace, len: usize) {
        let record = &place_of(part, slot, place)[..len];
        if self.has_room(part, len) {
            self.append(part, record);
        } else {
            self.dropped = self.dropped.saturating_add(count_of(record).into());
            part[DROPPED].store(self.dropped, Ordering::Relaxed);
        }
        record[SERIAL].store(0, Ordering::Release);
    }

    fn has_room(&mut self, part: &[AtomicU64], len: usize) -> bool {
        let fits = |head: u64| self.tail.wrapping_sub(head) <= (RING_WORDS - len) as u64;
        if fits(self.head) {
            return true;
        }
        // Acquire: the reader has copied the words before the head that it stores.
        self.head = part[HEAD].load(Ordering::Acquire);
        fits(self.head)
    }

    fn append(&mut self, part: &[AtomicU64], record: &[AtomicU64]) {
        let ring = &part[HEADER_WORDS..PLACES_AT];
        let start = index(self.tail);
        let front = record.len().min(RING_WORDS - start);
        let (first, then) = record.split_at(front);
        copy(&ring[start..start + front], first);
        copy(&ring[..then.len()], then);
        self.tail = self.tail.wrapping_add(record.len() as u64);
        // If the worker ends between the next stores, the supervisor still finds out whether the
        // record is in the ring.
        part[LAST_SERIAL].store(record[SERIAL].load(Ordering::Relaxed), Ordering::Relaxed);
        part[LAST_TAIL].store(self.tail, Ordering::Relaxed);
        part[TAIL].store(self.tail, Ordering::Release);
    }

    /// Moves the records that a writer has left in their places, because it has ended, to the ring.
    /// Returns how many requests they are. Their connections have ended with it.
    pub fn recover(part: &[AtomicU64]) -> u64 {
        let mut writer = Self::new(part);
        let last = part[LAST_SERIAL].load(Ordering::Relaxed);
        let is_appended = part[LAST_TAIL].load(Ordering::Relaxed) == writer.tail;
        let mut requests = 0;
        let of_slots = (0..writer.slots_used).map(|slot| (slot, ResponsePlace::Slot));
        let of_runs = (0..writer.run_places_used).map(|number| (0, ResponsePlace::Run(number)));
        for (slot, which) in of_slots.chain(of_runs) {
            let place = place_of(part, slot, which);
            let serial = place[SERIAL].load(Ordering::Acquire);
            if serial == 0 {
                continue;
            }
            if is_appended && serial == last {
                place[SERIAL].store(0, Ordering::Relaxed);
                continue;
            }
            let len = len_of(place[0].load(Ordering::Relaxed));
            requests += u64::from(count_of(place));
            writer.end(part, slot, which, len);
        }
        requests
    }
}

/// The one reader of a part.
#[derive(Debug)]
pub struct RingReader {
    head: u64,
}

impl RingReader {
    /// Goes on where the reader before left off: behind the last record that it had written.
    #[must_use]
    pub fn new(part: &[AtomicU64]) -> Self {
        Self { head: part[HEAD].load(Ordering::Acquire) }
    }

    /// The words in the ring. If they can't be those of a ring, because the writer has written
    /// something else, everything is skipped.
    pub fn used(&mut self, part: &[AtomicU64]) -> usize {
        let tail = part[TAIL].load(Ordering::Acquire);
        let used = tail.wrapping_sub(self.head);
        if used > RING_WORDS as u64 {
            self.skip(part);
            return 0;
        }
        usize::try_from(used).expect("a ring is smaller")
    }

    /// The words of the next record, of those that are `used`; `None` if there is none.
    pub fn next<'a>(
        &mut self,
        part: &'a [AtomicU64],
        used: &mut usize,
    ) -> Option<impl Iterator<Item = u64> + use<'a>> {
        if *used == 0 {
            return None;
        }
        let ring = &part[HEADER_WORDS..PLACES_AT];
        let start = index(self.head);
        let sizes = ring[start].load(Ordering::Relaxed);
        let len = len_of(sizes);
        if len > *used || sizes & 0xffff != len as u64 {
            self.skip(part);
            *used = 0;
            return None;
        }
        *used -= len;
        self.head = self.head.wrapping_add(len as u64);
        let front = len.min(RING_WORDS - start);
        let words = ring[start..start + front].iter().chain(&ring[..len - front]);
        // The writer may change its words at any time: the first is the one that was checked.
        let rest = words.skip(1).map(|word| word.load(Ordering::Relaxed));
        Some(std::iter::once(sizes).chain(rest))
    }

    /// Whether everything that was read is taken out of the ring.
    #[must_use]
    pub fn is_committed(&self, part: &[AtomicU64]) -> bool {
        part[HEAD].load(Ordering::Relaxed) == self.head
    }

    /// Takes the records that were read out of the ring: they are written.
    pub fn commit(&self, part: &[AtomicU64]) {
        part[HEAD].store(self.head, Ordering::Release);
    }

    fn skip(&mut self, part: &[AtomicU64]) {
        self.head = part[TAIL].load(Ordering::Acquire);
        let skips = part[CORRUPT].load(Ordering::Relaxed);
        part[CORRUPT].store(skips.saturating_add(1), Ordering::Relaxed);
    }
}

/// How many requests have no line, because the ring was full.
#[must_use]
pub fn dropped(part: &[AtomicU64]) -> u64 {
    part[DROPPED].load(Ordering::Relaxed)
}

/// The place of a response. That of a slot also has the client of its connection.
pub(super) fn place_of(part: &[AtomicU64], slot: u32, place: ResponsePlace) -> &[AtomicU64] {
    let index = match place {
        ResponsePlace::Run(number) => number,
        ResponsePlace::Slot => ResponsePlace::RUN_PLACES + slot,
    };
    &part[PLACES_AT + index as usize * RECORD_WORDS_MAX..][..RECORD_WORDS_MAX]
}

/// The place of a position in the ring.
#[allow(clippy::cast_possible_truncation, reason = "the mask has 19 bits")]
fn index(position: u64) -> usize {
    (position & RING_MASK) as usize
}

fn copy(to: &[AtomicU64], from: &[AtomicU64]) {
    for (to, from) in to.iter().zip(from) {
        to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

const _: () = assert!(FIXED_WORDS < RECORD_WORDS_MAX);

#[cfg(test)]
pub(super) mod tests;
