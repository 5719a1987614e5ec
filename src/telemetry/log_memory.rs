//! The memory of the access log: one anonymous file with a page of the logger and a part for each
//! place of a worker.
//!
//! ```text
//!   page 0    counters of the logger
//!   part 0    ring and places of slots of the worker of place 0
//!   part 1    ...
//! ```
//!
//! The supervisor creates it, and has all of it mapped; a worker has its own part only. Untouched
//! pages take no memory.

use super::ring::{RingWriter, part_words};
use crate::error::Failure;
use crate::os::shared::{COUNTERS_PER_PAGE, CounterPart, SharedCounters};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// The memory, mapped as a whole.
pub struct LogMemory {
    words: SharedCounters,
    places: usize,
    slots: u32,
}

/// The counters of the logger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum LoggerCounter {
    /// Lines that the output has taken.
    Lines = 0,
    /// Writes that failed.
    WriteErrors = 1,
    /// 1 while a write may have been done in part.
    IsWriting = 2,
}

impl LogMemory {
    /// New memory for so many places of workers, each with so many connection slots.
    ///
    /// # Errors
    /// If there is no memory or no descriptor for it.
    pub fn new(places: usize, slots: u32) -> Result<Self, Failure> {
        let words = SharedCounters::new("uringstatic-log", all_words(places, slots))?;
        Ok(Self { words, places, slots })
    }

    /// The memory that another process created, by the number of the descriptor inherited from it.
    ///
    /// # Errors
    /// If there is no such descriptor, or it is one of something else.
    pub fn inherited(fd: RawFd, places: usize, slots: u32) -> Result<Self, Failure> {
        let words = SharedCounters::inherited(fd, all_words(places, slots))?;
        Ok(Self { words, places, slots })
    }

    /// The part of a place, for its worker. Once this value is dropped, the process can write to
    /// that part only.
    ///
    /// # Errors
    /// If there is no memory for the mapping.
    pub fn worker_part(&self, place: usize) -> io::Result<CounterPart> {
        self.words.part(first_word(place, self.slots), part_words(self.slots))
    }

    /// The part of a place.
    #[must_use]
    pub fn part(&self, place: usize) -> &[AtomicU64] {
        &self.words.counters()[first_word(place, self.slots)..][..part_words(self.slots)]
    }

    /// Moves the records that the worker of a place has left to its ring: it has ended.
    pub fn recover(&self, place: usize) {
        RingWriter::recover(self.part(place));
    }

    /// The number of places.
    #[must_use]
    pub fn places(&self) -> usize {
        self.places
    }

    /// A counter of the logger.
    #[must_use]
    pub fn counter(&self, which: LoggerCounter) -> &AtomicU64 {
        &self.words.counters()[which as usize]
    }

    /// How many requests have no line, because the rings were full: those of all workers that there
    /// ever were.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        let parts = (0..self.places).map(|place| super::ring::dropped(self.part(place)));
        parts.fold(0, u64::saturating_add)
    }

    /// Adds to a counter of the logger, which no other process changes.
    pub(super) fn add(&self, which: LoggerCounter, value: u64) {
        let counter = self.counter(which);
        let sum = counter.load(Ordering::Relaxed).wrapping_add(value);
        counter.store(sum, Ordering::Relaxed);
    }
}

impl AsFd for LogMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.words.as_fd()
    }
}

fn first_word(place: usize, slots: u32) -> usize {
    COUNTERS_PER_PAGE + place * part_words(slots)
}

fn all_words(places: usize, slots: u32) -> usize {
    first_word(places, slots)
}
