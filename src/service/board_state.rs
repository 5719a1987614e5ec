//! What the supervisor publishes about the service in the scoreboard, and how another process reads
//! it.
//!
//! The counters of a worker that has ended are added to the totals, and its place no longer counts.
//! A reader that saw one without the other would see totals go back, so the supervisor brackets all
//! of its writes by a sequence number that is odd meanwhile, and a reader that meets an odd or a
//! changed one reads again. Workers write without it: each of their counters only grows.

use super::board_layout::{
    ALLOWANCE, BoardLayout, CONNECTIONS, COUNTS, GENERATION, IN_USE, NUMBER, PROCESS, Place, STATS,
    TURNS,
};
use super::scoreboard::Scoreboard;
use super::supervisor::WorkerId;
use crate::error::Failure;
use crate::os::process::monotonic_ns;
use crate::os::shared::{COUNTERS_PER_PAGE, CounterPart};
use crate::stats::{STATS_WORDS, Stats};
use crate::telemetry::snapshot::{
    ListenerSnapshot, LogFacts, ReloadFacts, ServicePhase, ServiceSnapshot, ServiceView,
    WorkerSnapshot,
};
use crate::telemetry::status::ERROR_BYTES_MAX;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::{SystemTime, UNIX_EPOCH};

/// What the supervisor knows of the service, besides its workers.
#[derive(Clone, Debug, Default)]
pub(super) struct ServiceFacts {
    pub(super) phase: ServicePhase,
    /// The start of the supervisor, in milliseconds since the Unix epoch.
    pub(super) started_ms: u64,
    /// The generation that serves.
    pub(super) generation: u32,
    pub(super) restarts: u64,
    pub(super) reloads: ReloadFacts,
    pub(super) listeners: Vec<ListenerSnapshot>,
    pub(super) log: LogFacts,
}

impl Scoreboard {
    /// Publishes the state of the service, and that the supervisor runs at this moment.
    pub(super) fn publish(&self, facts: &ServiceFacts) {
        self.change(|page| {
            let number = |word: usize, value: u64| page[word].store(value, Ordering::Relaxed);
            number(HEARTBEAT, monotonic_ns());
            number(PHASE, facts.phase as u64);
            number(STARTED_MS, facts.started_ms);
            number(SERVING, facts.generation.into());
            number(RESTARTS, facts.restarts);
            let ReloadFacts { succeeded, failed, last_success_ms, is_last_successful, error } =
                &facts.reloads;
            number(RELOADS, *succeeded);
            number(FAILED_RELOADS, *failed);
            number(LAST_SUCCESS_MS, *last_success_ms);
            number(LAST_SUCCESSFUL, u64::from(*is_last_successful));
            write_text(&page[ERROR_BYTES..][..=ERROR_WORDS], error.as_bytes());
            number(DROPPED, facts.log.dropped);
            number(WRITE_ERRORS, facts.log.write_errors);
            let listeners = &facts.listeners[..facts.listeners.len().min(LISTENERS_MAX)];
            number(LISTENERS, listeners.len() as u64);
            let places = page[LISTENERS + 1..].chunks_exact(LISTENER_WORDS);
            for (listener, words) in listeners.iter().zip(places) {
                let (queue, limit) = listener.queue.unwrap_or_default();
                let known = u64::from(listener.queue.is_some()) << KNOWN_BIT;
                words[0].store(known | u64::from(listener.port), Ordering::Relaxed);
                words[1].store(u64::from(queue) << 32 | u64::from(limit), Ordering::Relaxed);
            }
        });
    }

    /// A worker is about to be forked into a place, which is cleared.
    pub(super) fn enter(&self, place: Place, id: WorkerId) {
        self.change(|_| {
            let line = self.line(place);
            line[GENERATION].store(id.generation.into(), Ordering::Relaxed);
            line[NUMBER].store(id.number.into(), Ordering::Relaxed);
            line[COUNTS].store(1, Ordering::Relaxed);
        });
    }

    /// The worker of a place has ended: its counters become part of the totals. Without effect on
    /// a place whose counters are.
    pub(super) fn leave(&self, place: Place) {
        if self.line(place)[COUNTS].load(Ordering::Relaxed) == 0 {
            return;
        }
        self.change(|page| {
            let mut total = Stats::from_words(words_at(page, TOTAL_STATS));
            total.add(&self.stats(place));
            for (word, value) in page[TOTAL_STATS..].iter().zip(total.to_words()) {
                word.store(value, Ordering::Relaxed);
            }
            let totals = self.at(self.layout().totals());
            for (total, word) in totals.iter().zip(self.counters_of(place)) {
                let sum = total.load(Ordering::Relaxed);
                let sum = sum.saturating_add(word.load(Ordering::Relaxed));
                total.store(sum, Ordering::Relaxed);
            }
            self.line(place)[COUNTS].store(0, Ordering::Relaxed);
        });
    }

    /// Changes words of the supervisor; readers see all of the changes or none.
    fn change(&self, change: impl FnOnce(&[AtomicU64])) {
        let page = self.at(self.layout().service());
        let sequence = page[SEQUENCE].load(Ordering::Relaxed);
        page[SEQUENCE].store(sequence | 1, Ordering::Relaxed);
        fence(Ordering::Release);
        change(page);
        page[SEQUENCE].store((sequence | 1) + 1, Ordering::Release);
    }
}

/// The side of a process that only reads.
#[derive(Debug)]
pub(super) struct ScoreboardView {
    all: CounterPart,
    layout: BoardLayout,
    /// The connection limit, which bounds what a worker claims to use.
    limit: u32,
}

impl ScoreboardView {
    /// The scoreboard of the supervisor, by a descriptor inherited from it.
    ///
    /// # Errors
    /// If it isn't one of a scoreboard of this layout.
    pub(super) fn inherited(fd: OwnedFd, layout: BoardLayout, limit: u32) -> Result<Self, Failure> {
        let all = CounterPart::inherited_read_only(&File::from(fd), layout.words())?;
        // The first reading of the clock looks for the vDSO, by a call (`PR_GET_AUXV`, prctl(2))
        // that isn't permitted once the process is locked down.
        let _ = monotonic_ns();
        Ok(Self { all, layout, limit })
    }

    fn service(&self) -> &[AtomicU64] {
        &self.all.counters()[self.layout.service()]
    }

    fn word(&self, word: usize) -> u64 {
        self.service()[word].load(Ordering::Relaxed)
    }

    /// Reads everything once.
    fn read(&self) -> ServiceSnapshot {
        let words = self.all.counters();
        let page = self.service();
        let mut stats = Stats::from_words(words_at(page, TOTAL_STATS));
        let mut counters: Vec<u64> =
            words[self.layout.totals()].iter().map(|it| it.load(Ordering::Relaxed)).collect();
        let mut workers = Vec::new();
        for place in 0..self.layout.places {
            let line = &words[self.layout.line(place)];
            if line[COUNTS].load(Ordering::Relaxed) == 0 {
                continue;
            }
            let own = &words[self.layout.page(place)];
            stats.add(&Stats::from_words(words_at(own, STATS)));
            for (sum, word) in counters.iter_mut().zip(&words[self.layout.counters(place)]) {
                *sum = sum.saturating_add(word.load(Ordering::Relaxed));
            }
            workers.push(self.worker(line, own));
        }
        ServiceSnapshot {
            phase: self.phase(),
            now_ms: unix_ms(),
            started_ms: self.word(STARTED_MS),
            generation: number(page, SERVING),
            reloads: ReloadFacts {
                succeeded: self.word(RELOADS),
                failed: self.word(FAILED_RELOADS),
                last_success_ms: self.word(LAST_SUCCESS_MS),
                is_last_successful: self.word(LAST_SUCCESSFUL) != 0,
                error: read_text(&page[ERROR_BYTES..][..=ERROR_WORDS]),
            },
            restarts: self.word(RESTARTS),
            workers,
            listeners: self.listeners(),
            stats,
            counters,
            log: LogFacts { dropped: self.word(DROPPED), write_errors: self.word(WRITE_ERRORS) },
        }
    }

    fn worker(&self, line: &[AtomicU64], own: &[AtomicU64]) -> WorkerSnapshot {
        let turns = own[TURNS].load(Ordering::Relaxed);
        WorkerSnapshot {
            generation: number(line, GENERATION),
            number: number(line, NUMBER),
            process: number(line, PROCESS),
            is_armed: turns > 0,
            allowance: number(line, ALLOWANCE),
            in_use: number(own, IN_USE).min(self.limit),
            connections: number(own, CONNECTIONS).min(self.limit),
            turns,
        }
    }

    fn listeners(&self) -> Vec<ListenerSnapshot> {
        let page = self.service();
        let count = usize::try_from(self.word(LISTENERS)).unwrap_or(usize::MAX);
        let places = page[LISTENERS + 1..].chunks_exact(LISTENER_WORDS);
        let of_words = |words: &[AtomicU64]| {
            let first = words[0].load(Ordering::Relaxed);
            let second = words[1].load(Ordering::Relaxed);
            let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX);
            let is_known = first >> KNOWN_BIT != 0;
            ListenerSnapshot {
                port: u16::try_from(first & u64::from(u16::MAX)).unwrap_or(0),
                queue: is_known.then(|| (half(second >> 32), half(second))),
            }
        };
        places.take(count.min(LISTENERS_MAX)).map(of_words).collect()
    }

    fn phase(&self) -> ServicePhase {
        let number = usize::try_from(self.word(PHASE)).unwrap_or(usize::MAX);
        ServicePhase::ALL.get(number).copied().unwrap_or_default()
    }
}

impl ServiceView for ScoreboardView {
    fn is_live(&self) -> bool {
        monotonic_ns().saturating_sub(self.word(HEARTBEAT)) < LIVE_WITHIN_NS
    }

    fn is_ready(&self) -> bool {
        let serving = self.word(SERVING);
        let words = self.all.counters();
        let is_up = |place: Place| {
            let line = &words[self.layout.line(place)];
            let is_serving = line[COUNTS].load(Ordering::Relaxed) != 0
                && line[GENERATION].load(Ordering::Relaxed) == serving;
            is_serving && words[self.layout.page(place)][TURNS].load(Ordering::Relaxed) > 0
        };
        self.phase() == ServicePhase::Serving && (0..self.layout.places).any(is_up)
    }

    fn snapshot(&self) -> Option<ServiceSnapshot> {
        for _ in 0..READS_MAX {
            let before = self.service()[SEQUENCE].load(Ordering::Acquire);
            if before & 1 != 0 {
                std::hint::spin_loop();
                continue;
            }
            let snapshot = self.read();
            fence(Ordering::Acquire);
            if self.service()[SEQUENCE].load(Ordering::Relaxed) == before {
                return Some(snapshot);
            }
        }
        None
    }
}

/// The time of day, in milliseconds since the Unix epoch.
pub(super) fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

fn number(words: &[AtomicU64], word: usize) -> u32 {
    u32::try_from(words[word].load(Ordering::Relaxed)).unwrap_or(u32::MAX)
}

fn words_at(words: &[AtomicU64], first: usize) -> [u64; STATS_WORDS] {
    std::array::from_fn(|word| words[first + word].load(Ordering::Relaxed))
}

/// Writes a text behind its length, cut at a bound.
fn write_text(words: &[AtomicU64], text: &[u8]) {
    let text = &text[..text.len().min(ERROR_BYTES_MAX)];
    words[0].store(text.len() as u64, Ordering::Relaxed);
    for (word, chunk) in words[1..].iter().zip(text.chunks(size_of::<u64>())) {
        let mut whole = [0; size_of::<u64>()];
        whole[..chunk.len()].copy_from_slice(chunk);
        word.store(u64::from_ne_bytes(whole), Ordering::Relaxed);
    }
}

fn read_text(words: &[AtomicU64]) -> String {
    let len = usize::try_from(words[0].load(Ordering::Relaxed)).unwrap_or(usize::MAX);
    let octets = words[1..].iter().flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes());
    let octets: Vec<u8> = octets.take(len.min(ERROR_BYTES_MAX)).collect();
    String::from_utf8_lossy(&octets).into_owned()
}

/// The words of the page of the service.
const SEQUENCE: usize = 0;
const HEARTBEAT: usize = 1;
const PHASE: usize = 2;
const STARTED_MS: usize = 3;
const SERVING: usize = 4;
const RESTARTS: usize = 5;
const RELOADS: usize = 6;
const FAILED_RELOADS: usize = 7;
const LAST_SUCCESS_MS: usize = 8;
const LAST_SUCCESSFUL: usize = 9;
const DROPPED: usize = 10;
const WRITE_ERRORS: usize = 11;
const TOTAL_STATS: usize = 16;
/// The number of listeners, and their words.
const LISTENERS: usize = 32;
const LISTENER_WORDS: usize = 2;
/// Those of `--listen`, and that for health checks.
const LISTENERS_MAX: usize = 65;
/// The bit above a port that tells whether the queue is known.
const KNOWN_BIT: u32 = 16;
/// The length of a text, and its words.
const ERROR_BYTES: usize = 200;
const ERROR_WORDS: usize = ERROR_BYTES_MAX / size_of::<u64>();
const _: () = assert!(TOTAL_STATS + STATS_WORDS <= LISTENERS);
const _: () = assert!(LISTENERS + 1 + LISTENERS_MAX * LISTENER_WORDS <= ERROR_BYTES);
const _: () = assert!(ERROR_BYTES + 1 + ERROR_WORDS <= COUNTERS_PER_PAGE);

/// A supervisor publishes once a second, and may have to wait for a processor.
const LIVE_WITHIN_NS: u64 = 10_000_000_000;
/// The supervisor writes for microseconds, and waits for milliseconds in between.
const READS_MAX: usize = 1000;

#[cfg(test)]
mod tests;
