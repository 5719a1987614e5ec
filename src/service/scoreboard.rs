//! The memory that the supervisor and the workers share: what each worker may use, and what it
//! reports about itself.
//!
//! ```text
//!   pages of the supervisor      one line of 64 bytes a place: the allowance, the process ID
//!   page of the service          what the supervisor publishes about itself
//!   page of place 0              slots in use, turns, counters, a text: written by its worker
//!   page of place 1              ...
//! ```
//!
//! A worker can write to the page of its place and to nothing else of it, and read all of it. The
//! supervisor takes no number of a worker for more than a number: it bounds what it divides by
//! them, and shows a text only without its control characters.

use super::supervisor::Published;
use crate::error::Failure;
use crate::os::process::monotonic_ns;
use crate::os::shared::{COUNTERS_PER_PAGE, CounterPart, SharedCounters};
use crate::server::{Supervision, Usage};
use crate::stats::{STATS_WORDS, Stats};
use crate::telemetry::pages::ServiceView;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// The supervisor's side, and a loader's until it has made a worker.
pub(super) struct Scoreboard {
    counters: SharedCounters,
    places: usize,
}

/// The place of a worker in the scoreboard.
pub(super) type Place = usize;

impl Scoreboard {
    /// A scoreboard with this many places, all of them vacant.
    ///
    /// # Errors
    /// If there is no memory or no descriptor for it.
    pub(super) fn new(places: usize) -> Result<Self, Failure> {
        let counters = SharedCounters::new("uringstatic", words(places))?;
        Ok(Self { counters, places })
    }

    /// The scoreboard of the supervisor, by the number of the descriptor inherited from it.
    ///
    /// # Errors
    /// If there is no such descriptor, or it is one of something else.
    pub(super) fn inherited(fd: RawFd, places: usize) -> Result<Self, Failure> {
        Ok(Self { counters: SharedCounters::inherited(fd, words(places))?, places })
    }

    /// Makes a place vacant for a new worker.
    pub(super) fn clear(&self, place: Place) {
        for word in self.line(place).iter().chain(self.page(place)) {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Grants the worker of a place this many slots.
    pub(super) fn allow(&self, place: Place, allowance: u32) {
        self.line(place)[ALLOWANCE].store(allowance.into(), Ordering::Relaxed);
    }

    /// Acknowledges that this process is the worker of a place.
    pub(super) fn acknowledge(&self, place: Place, process: u32) {
        self.line(place)[PROCESS].store(process.into(), Ordering::Relaxed);
    }

    /// What the worker of a place has published. The allowance that it has adopted is read first:
    /// see [`Supervision::publish`].
    #[must_use]
    pub(super) fn published(&self, place: Place) -> Published {
        let page = self.page(place);
        let number = |word: u64| u32::try_from(word).unwrap_or(u32::MAX);
        let adopted = number(page[ADOPTED].load(Ordering::Acquire));
        let in_use = number(page[IN_USE].load(Ordering::Relaxed));
        Published { adopted, in_use, turns: page[TURNS].load(Ordering::Relaxed) }
    }

    /// The connections of the worker of a place, at most `limit`.
    #[must_use]
    pub(super) fn connections(&self, place: Place, limit: u32) -> u32 {
        let word = self.page(place)[CONNECTIONS].load(Ordering::Relaxed);
        u32::try_from(word).unwrap_or(u32::MAX).min(limit)
    }

    /// Whether the worker of a place serves.
    #[must_use]
    pub(super) fn is_armed(&self, place: Place) -> bool {
        self.page(place)[TURNS].load(Ordering::Acquire) > 0
    }

    /// The counters of the worker of a place.
    #[must_use]
    pub(super) fn stats(&self, place: Place) -> Stats {
        let page = self.page(place);
        Stats::from_words(std::array::from_fn(|word| page[STATS + word].load(Ordering::Relaxed)))
    }

    /// The text of the worker of a place: a description of its engine, or why it doesn't serve.
    #[must_use]
    pub(super) fn text(&self, place: Place) -> String {
        let page = self.page(place);
        let len = page[TEXT_BYTES].load(Ordering::Acquire);
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(TEXT_BYTES_MAX);
        let words = page[TEXT..].iter().map(|word| word.load(Ordering::Relaxed).to_ne_bytes());
        let bytes: Vec<u8> = words.flatten().take(len).collect();
        let text = String::from_utf8_lossy(&bytes);
        text.chars().filter(|&c| c == '\n' || !c.is_control()).collect()
    }

    /// The number of places.
    #[must_use]
    pub(super) fn places(&self) -> usize {
        self.places
    }

    /// The number of places, for a command line.
    #[must_use]
    pub(super) fn places_u32(&self) -> u32 {
        u32::try_from(self.places).expect("workers are counted by u32")
    }

    /// A descriptor by which the scoreboard can only be read.
    ///
    /// # Errors
    /// If there is no descriptor for it, or no `/proc`.
    pub(super) fn open_read_only(&self) -> io::Result<File> {
        self.counters.open_read_only()
    }

    /// The side of the worker of a place, with [`Scoreboard::read_only`]. Once this value is
    /// dropped, the process can write to the page of the place only.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(super) fn seat(&self, all: CounterPart, place: Place) -> io::Result<Seat> {
        let own = self.counters.part(first_word(self.places, place), COUNTERS_PER_PAGE)?;
        Ok(Seat { own, all, place, places: self.places, turns: 0 })
    }

    /// The place for the text of the worker of a place.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(super) fn text_place(&self, place: Place) -> io::Result<WorkerText> {
        let first = first_word(self.places, place);
        self.counters.part(first, COUNTERS_PER_PAGE).map(WorkerText)
    }

    /// A mapping of it that can't be written to.
    ///
    /// # Errors
    /// If there is no memory or no descriptor for it, or no `/proc`.
    pub(super) fn read_only(&self) -> io::Result<CounterPart> {
        self.counters.read_only()
    }

    /// Publishes the state of the service, and that the supervisor runs at this moment of the
    /// monotonic clock.
    pub(super) fn publish_state(&self, state: ProbedState, now: u64) {
        let page = service_page(self.counters.counters(), self.places);
        page[STATE].store(state as u64, Ordering::Relaxed);
        page[HEARTBEAT].store(now, Ordering::Relaxed);
    }

    fn line(&self, place: Place) -> &[AtomicU64] {
        line(self.counters.counters(), place)
    }

    fn page(&self, place: Place) -> &[AtomicU64] {
        page(self.counters.counters(), self.places, place)
    }
}

impl AsFd for Scoreboard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.counters.as_fd()
    }
}

/// The state of the service, as far as it concerns probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProbedState {
    /// No generation has served yet.
    Starting = 0,
    /// A generation serves.
    Serving = 1,
    /// A signal has announced the end.
    Ending = 2,
}

/// The side of a process that only reads.
#[derive(Debug)]
pub(super) struct ScoreboardView {
    all: CounterPart,
    places: usize,
}

impl ScoreboardView {
    /// The scoreboard of the supervisor, by a descriptor inherited from it.
    ///
    /// # Errors
    /// If it isn't one of a scoreboard with so many places.
    pub(super) fn inherited(fd: OwnedFd, places: usize) -> Result<Self, Failure> {
        let all = CounterPart::inherited_read_only(&File::from(fd), words(places))?;
        // The first reading of the clock looks for the vDSO, by a call (`PR_GET_AUXV`, prctl(2))
        // that isn't permitted once the process is locked down.
        let _ = monotonic_ns();
        Ok(Self { all, places })
    }

    fn service(&self, word: usize) -> u64 {
        service_page(self.all.counters(), self.places)[word].load(Ordering::Relaxed)
    }
}

impl ServiceView for ScoreboardView {
    fn is_live(&self) -> bool {
        let silent = monotonic_ns().saturating_sub(self.service(HEARTBEAT));
        silent < LIVE_WITHIN_NS
    }

    fn is_ready(&self) -> bool {
        self.service(STATE) == ProbedState::Serving as u64
    }
}

/// A supervisor publishes once a second, and may have to wait for a processor.
const LIVE_WITHIN_NS: u64 = 10_000_000_000;

/// A worker's side.
pub(super) struct Seat {
    own: CounterPart,
    all: CounterPart,
    place: Place,
    places: usize,
    turns: u64,
}

impl Seat {
    /// Whether the supervisor knows that this process is the worker of its place.
    #[must_use]
    pub(super) fn is_acknowledged(&self, process: u32) -> bool {
        self.line(self.place)[PROCESS].load(Ordering::Relaxed) == u64::from(process)
    }

    fn line(&self, place: Place) -> &[AtomicU64] {
        line(self.all.counters(), place)
    }
}

/// The place for a worker's text.
pub(super) struct WorkerText(CounterPart);

impl WorkerText {
    /// Leaves a text for the supervisor, cut at a bound.
    pub(super) fn write(&self, text: &str) {
        let page = self.0.counters();
        let bytes = &text.as_bytes()[..text.len().min(TEXT_BYTES_MAX)];
        for (word, chunk) in page[TEXT..].iter().zip(bytes.chunks(size_of::<u64>())) {
            let mut whole = [0; size_of::<u64>()];
            whole[..chunk.len()].copy_from_slice(chunk);
            word.store(u64::from_ne_bytes(whole), Ordering::Relaxed);
        }
        page[TEXT_BYTES].store(bytes.len() as u64, Ordering::Release);
    }
}

impl Supervision for Seat {
    fn allowance(&self) -> u32 {
        u32::try_from(self.line(self.place)[ALLOWANCE].load(Ordering::Relaxed)).unwrap_or(0)
    }

    fn others_have_room(&self) -> bool {
        (0..self.places).filter(|&place| place != self.place).any(|place| {
            let allowance = self.line(place)[ALLOWANCE].load(Ordering::Relaxed);
            let page = page(self.all.counters(), self.places, place);
            allowance > page[CONNECTIONS].load(Ordering::Relaxed)
        })
    }

    fn publish(&mut self, usage: Usage, stats: &Stats) {
        let page = self.own.counters();
        page[IN_USE].store(usage.in_use.into(), Ordering::Relaxed);
        page[CONNECTIONS].store(usage.connections.into(), Ordering::Relaxed);
        page[ADOPTED].store(usage.adopted.into(), Ordering::Release);
        for (word, value) in page[STATS..].iter().zip(stats.to_words()) {
            word.store(value, Ordering::Relaxed);
        }
        page[TURNS].store(self.turns, Ordering::Release);
        self.turns += 1;
    }
}

/// The words of the line of a place.
const ALLOWANCE: usize = 0;
const PROCESS: usize = 1;
const LINE_WORDS: usize = 8;

/// The words of the page of the service.
const STATE: usize = 0;
const HEARTBEAT: usize = 1;

/// The words of the page of a place.
const ADOPTED: usize = 0;
const IN_USE: usize = 1;
const CONNECTIONS: usize = 2;
const TURNS: usize = 3;
const TEXT_BYTES: usize = 4;
const STATS: usize = 8;
const TEXT: usize = 32;
const TEXT_BYTES_MAX: usize = (COUNTERS_PER_PAGE - TEXT) * size_of::<u64>();
const _: () = assert!(STATS + STATS_WORDS <= TEXT);

fn words(places: usize) -> usize {
    first_word(places, places)
}

/// The first word of the page of a place; those of the supervisor come before.
fn first_word(places: usize, place: Place) -> usize {
    service_word(places) + (1 + place) * COUNTERS_PER_PAGE
}

/// The first word of the page of the service; the lines of the places come before.
fn service_word(places: usize) -> usize {
    (places * LINE_WORDS).next_multiple_of(COUNTERS_PER_PAGE)
}

fn service_page(counters: &[AtomicU64], places: usize) -> &[AtomicU64] {
    &counters[service_word(places)..][..COUNTERS_PER_PAGE]
}

fn line(counters: &[AtomicU64], place: Place) -> &[AtomicU64] {
    &counters[place * LINE_WORDS..][..LINE_WORDS]
}

fn page(counters: &[AtomicU64], places: usize, place: Place) -> &[AtomicU64] {
    &counters[first_word(places, place)..][..COUNTERS_PER_PAGE]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board_and_seat(place: Place) -> (Scoreboard, Seat) {
        let board = Scoreboard::new(70).expect("there is memory");
        let all = board.read_only().expect("there is memory");
        let own = board.counters.part(first_word(70, place), COUNTERS_PER_PAGE).unwrap();
        (board, Seat { own, all, place, places: 70, turns: 0 })
    }

    #[test]
    fn a_worker_reads_its_allowance_and_the_supervisor_its_numbers() {
        let (board, mut seat) = board_and_seat(69);
        board.allow(69, 7);
        board.acknowledge(69, 123);
        assert_eq!(seat.allowance(), 7);
        assert!(seat.is_acknowledged(123) && !seat.is_acknowledged(124));
        let stats = Stats { requests: 5, ..Stats::default() };
        seat.publish(Usage { adopted: 7, in_use: 3, connections: 2 }, &stats);
        assert!(!board.is_armed(69), "the server was made, and takes its first turn next");
        seat.publish(Usage { adopted: 7, in_use: 4, connections: 2 }, &stats);
        assert!(board.is_armed(69));
        assert_eq!(board.published(69), Published { adopted: 7, in_use: 4, turns: 1 });
        assert_eq!((board.connections(69, 9), board.connections(69, 1)), (2, 1));
        assert_eq!(board.stats(69), stats);
        board.clear(69);
        assert_eq!((seat.allowance(), board.is_armed(69)), (0, false));
    }

    #[test]
    fn another_worker_has_room_if_it_has_fewer_connections_than_its_allowance() {
        let (board, mut seat) = board_and_seat(3);
        board.allow(3, 5);
        assert!(!seat.others_have_room(), "its own slots don't count");
        board.allow(4, 1);
        assert!(seat.others_have_room());
        board.page(4)[CONNECTIONS].store(1, Ordering::Relaxed);
        assert!(!seat.others_have_room());
        seat.publish(Usage::default(), &Stats::default());
    }

    #[test]
    fn a_text_is_cut_and_has_no_control_characters() {
        let (board, seat) = board_and_seat(0);
        let text = board.text_place(0).expect("there is memory");
        text.write("two\nlines\x1b[1m\r");
        assert_eq!(board.text(0), "two\nlines[1m");
        text.write(&"x".repeat(5000));
        assert_eq!(board.text(0).len(), TEXT_BYTES_MAX);
        seat.own.counters()[TEXT_BYTES].store(u64::MAX, Ordering::Relaxed);
        assert_eq!(board.text(0).len(), TEXT_BYTES_MAX, "the length is a worker's word");
    }
}
