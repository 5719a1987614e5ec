//! Where everything is in the scoreboard: positions of 64-bit words. Everything that a process
//! writes begins on a page of its own.
//!
//! ```text
//!   lines       one of 64 bytes a place, of the supervisor: allowance, process, which worker
//!   service     a page of the supervisor: the state of the service
//!   totals      the counters of all workers that have ended, with `--admin` only
//!   place 0     a page of its worker: slots in use, turns, errors, a text
//!               its counters, with `--admin` only
//!   place 1     ...
//! ```

use crate::os::shared::COUNTERS_PER_PAGE;
use crate::stats::STATS_WORDS;
use crate::telemetry::counters::COUNTER_WORDS;
use std::ops::Range;

/// The place of a worker in the scoreboard.
pub(super) type Place = usize;

/// The layout of a scoreboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BoardLayout {
    /// The number of places.
    pub(super) places: usize,
    /// Whether workers count requests.
    pub(super) has_counters: bool,
}

impl BoardLayout {
    /// The number of words.
    pub(super) fn words(self) -> usize {
        self.page(self.places).start
    }

    /// The line of a place.
    #[expect(clippy::unused_self, reason = "as the other parts, of a layout")]
    pub(super) fn line(self, place: Place) -> Range<usize> {
        range(place * LINE_WORDS, LINE_WORDS)
    }

    /// The page of the service.
    pub(super) fn service(self) -> Range<usize> {
        let first = (self.places * LINE_WORDS).next_multiple_of(COUNTERS_PER_PAGE);
        range(first, COUNTERS_PER_PAGE)
    }

    /// The counters of all workers that have ended; empty without counters.
    pub(super) fn totals(self) -> Range<usize> {
        range(self.service().end, self.counter_words())
    }

    /// The page of a place.
    pub(super) fn page(self, place: Place) -> Range<usize> {
        let stride = COUNTERS_PER_PAGE + self.counter_words();
        range(self.totals().end + place * stride, COUNTERS_PER_PAGE)
    }

    /// The counters of a place; empty without counters.
    pub(super) fn counters(self, place: Place) -> Range<usize> {
        range(self.page(place).end, self.counter_words())
    }

    fn counter_words(self) -> usize {
        if self.has_counters { COUNTER_WORDS } else { 0 }
    }
}

fn range(first: usize, len: usize) -> Range<usize> {
    first..first + len
}

/// The words of the line of a place.
pub(super) const ALLOWANCE: usize = 0;
pub(super) const PROCESS: usize = 1;
pub(super) const GENERATION: usize = 2;
pub(super) const NUMBER: usize = 3;
/// Whether the counters of the place are those of a worker, and not among the totals yet.
pub(super) const COUNTS: usize = 4;
const LINE_WORDS: usize = 8;

/// The words of the page of a place.
pub(super) const ADOPTED: usize = 0;
pub(super) const IN_USE: usize = 1;
pub(super) const CONNECTIONS: usize = 2;
pub(super) const TURNS: usize = 3;
pub(super) const TEXT_BYTES: usize = 4;
pub(super) const STATS: usize = 8;
pub(super) const TEXT: usize = 32;
pub(super) const TEXT_BYTES_MAX: usize = (COUNTERS_PER_PAGE - TEXT) * size_of::<u64>();
const _: () = assert!(STATS + STATS_WORDS <= TEXT);
