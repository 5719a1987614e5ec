//! The memory that the supervisor and the workers share: what each worker may use, and what it
//! reports about itself. `board_layout` has its layout, `board_state` what the supervisor publishes
//! there about the service.
//!
//! A worker can write to the page of its place and to nothing else of it, and read all of it. The
//! supervisor takes no number of a worker for more than a number: it bounds what it divides by
//! them, and shows a text only without its control characters.

use super::board_layout::{
    ADOPTED, ALLOWANCE, BoardLayout, CONNECTIONS, IN_USE, PROCESS, Place, STATS, TEXT, TEXT_BYTES,
    TEXT_BYTES_MAX, TURNS,
};
use super::supervisor::Published;
use crate::error::Failure;
use crate::os::shared::{CounterPart, SharedCounters};
use crate::server::{Supervision, Usage};
use crate::stats::Stats;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// The supervisor's side, and a loader's until it has made a worker.
pub(super) struct Scoreboard {
    counters: SharedCounters,
    layout: BoardLayout,
}

impl Scoreboard {
    /// A scoreboard whose places are all vacant.
    ///
    /// # Errors
    /// If there is no memory or no descriptor for it.
    pub(super) fn new(layout: BoardLayout) -> Result<Self, Failure> {
        let counters = SharedCounters::new("uringstatic", layout.words())?;
        Ok(Self { counters, layout })
    }

    /// The scoreboard of the supervisor, by the number of the descriptor inherited from it.
    ///
    /// # Errors
    /// If there is no such descriptor, or it is one of something else.
    pub(super) fn inherited(fd: RawFd, layout: BoardLayout) -> Result<Self, Failure> {
        Ok(Self { counters: SharedCounters::inherited(fd, layout.words())?, layout })
    }

    /// Makes a place vacant for a new worker.
    pub(super) fn clear(&self, place: Place) {
        let words = self.line(place).iter().chain(self.page(place)).chain(self.counters_of(place));
        for word in words {
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
        self.layout.places
    }

    /// The number of places, for a command line.
    #[must_use]
    pub(super) fn places_u32(&self) -> u32 {
        u32::try_from(self.layout.places).expect("workers are counted by u32")
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
        let own = self.part(self.layout.page(place))?;
        Ok(Seat { own, all, place, layout: self.layout, turns: 0 })
    }

    /// The place for the text of the worker of a place.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(super) fn text_place(&self, place: Place) -> io::Result<WorkerText> {
        self.part(self.layout.page(place)).map(WorkerText)
    }

    /// The counters of the worker of a place, if workers count.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub(super) fn worker_counters(&self, place: Place) -> io::Result<Option<CounterPart>> {
        let range = self.layout.counters(place);
        if range.is_empty() { Ok(None) } else { self.part(range).map(Some) }
    }

    fn part(&self, range: Range<usize>) -> io::Result<CounterPart> {
        self.counters.part(range.start, range.len())
    }

    /// A mapping of it that can't be written to.
    ///
    /// # Errors
    /// If there is no memory or no descriptor for it, or no `/proc`.
    pub(super) fn read_only(&self) -> io::Result<CounterPart> {
        self.counters.read_only()
    }

    pub(super) fn layout(&self) -> BoardLayout {
        self.layout
    }

    /// The words of a part of the layout.
    pub(super) fn at(&self, range: Range<usize>) -> &[AtomicU64] {
        &self.counters.counters()[range]
    }

    pub(super) fn line(&self, place: Place) -> &[AtomicU64] {
        self.at(self.layout.line(place))
    }

    fn page(&self, place: Place) -> &[AtomicU64] {
        self.at(self.layout.page(place))
    }

    pub(super) fn counters_of(&self, place: Place) -> &[AtomicU64] {
        self.at(self.layout.counters(place))
    }
}

impl AsFd for Scoreboard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.counters.as_fd()
    }
}

/// A worker's side.
pub(super) struct Seat {
    own: CounterPart,
    all: CounterPart,
    place: Place,
    layout: BoardLayout,
    turns: u64,
}

impl Seat {
    /// Whether the supervisor knows that this process is the worker of its place.
    #[must_use]
    pub(super) fn is_acknowledged(&self, process: u32) -> bool {
        self.line(self.place)[PROCESS].load(Ordering::Relaxed) == u64::from(process)
    }

    fn line(&self, place: Place) -> &[AtomicU64] {
        &self.all.counters()[self.layout.line(place)]
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
        (0..self.layout.places).filter(|&place| place != self.place).any(|place| {
            let allowance = self.line(place)[ALLOWANCE].load(Ordering::Relaxed);
            let page = &self.all.counters()[self.layout.page(place)];
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

#[cfg(test)]
mod tests {
    use super::*;

    fn board_and_seat(place: Place) -> (Scoreboard, Seat) {
        let layout = BoardLayout { places: 70, has_counters: false };
        let board = Scoreboard::new(layout).expect("there is memory");
        let all = board.read_only().expect("there is memory");
        let seat = board.seat(all, place).expect("there is memory");
        (board, seat)
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
