//! Facts and counters, from the process that writes them to the one that reads them.

use super::*;
use crate::os::shared::COUNTERS_PER_PAGE;
use crate::server::{Supervision, Usage};
use crate::telemetry::counters::COUNTER_WORDS;

const LAYOUT: BoardLayout = BoardLayout { places: 3, has_counters: true };
const ID: WorkerId = WorkerId { generation: 4, number: 1, life: 0 };

fn board_and_view() -> (Scoreboard, ScoreboardView) {
    let board = Scoreboard::new(LAYOUT).expect("there is memory");
    let file = board.open_read_only().expect("there are descriptors");
    let view = ScoreboardView::inherited(file.into(), LAYOUT, 10).expect("it is a scoreboard");
    (board, view)
}

fn snapshot(view: &ScoreboardView) -> ServiceSnapshot {
    view.snapshot().expect("the supervisor isn't writing")
}

fn facts() -> ServiceFacts {
    ServiceFacts {
        phase: ServicePhase::Serving,
        started_ms: 5,
        generation: 4,
        restarts: 6,
        reloads: ReloadFacts {
            succeeded: 7,
            failed: 8,
            last_success_ms: 9,
            is_last_successful: true,
            error: "why not".to_owned(),
        },
        listeners: vec![
            ListenerSnapshot { port: u16::MAX, queue: Some((3, u32::MAX)) },
            ListenerSnapshot { port: 80, queue: None },
        ],
        log: LogFacts { dropped: 10, write_errors: 11 },
    }
}

#[test]
fn published_facts_are_read_as_they_were() {
    let (board, view) = board_and_view();
    assert!(!view.is_live() && !view.is_ready(), "nothing is published yet");
    let facts = facts();
    board.publish(&facts);
    assert!(view.is_live() && !view.is_ready(), "no worker has taken a turn");
    let found = snapshot(&view);
    assert_eq!(found.phase, facts.phase);
    assert_eq!((found.started_ms, found.generation, found.restarts), (5, 4, 6));
    assert_eq!(found.reloads, facts.reloads);
    assert_eq!(found.listeners, facts.listeners);
    assert_eq!(found.log, facts.log);
}

#[test]
fn a_service_is_ready_while_a_worker_of_its_generation_takes_turns() {
    let (board, view) = board_and_view();
    board.publish(&facts());
    board.enter(1, WorkerId { generation: 3, ..ID });
    board.enter(2, ID);
    for place in 1..3 {
        let all = board.read_only().expect("there is memory");
        let mut seat = board.seat(all, place).expect("there is memory");
        seat.publish(Usage::default(), &Stats::default());
        assert!(!view.is_ready(), "the worker of place {place} has taken no turn or retires");
        seat.publish(Usage::default(), &Stats::default());
    }
    assert!(view.is_ready());
    board.publish(&ServiceFacts { phase: ServicePhase::Ending, ..facts() });
    assert!(!view.is_ready());
    board.publish(&facts());
    board.leave(2);
    assert!(!view.is_ready(), "the one that is left is of another generation");
}

#[test]
fn more_listeners_and_a_longer_error_than_there_is_room_for_are_cut() {
    let (board, view) = board_and_view();
    let mut facts = facts();
    facts.listeners = vec![ListenerSnapshot { port: 1, queue: Some((2, 3)) }; LISTENERS_MAX + 9];
    facts.reloads.error = "é".repeat(ERROR_BYTES_MAX) + "x";
    board.publish(&facts);
    let found = snapshot(&view);
    assert_eq!(found.listeners, facts.listeners[..LISTENERS_MAX]);
    assert_eq!(found.reloads.error, "é".repeat(ERROR_BYTES_MAX / 2));
}

#[test]
fn counters_of_a_worker_count_once_before_and_after_its_end() {
    let (board, view) = board_and_view();
    let all = board.read_only().expect("there is memory");
    let mut seat = board.seat(all, 2).expect("there is memory");
    let own = board.worker_counters(2).expect("there is memory").expect("workers count");
    board.enter(2, ID);
    board.allow(2, 5);
    board.acknowledge(2, 123);
    let stats = Stats { connections: 3, ..Stats::default() };
    let usage = Usage { adopted: 5, in_use: 1_000_000, connections: 1_000_000 };
    seat.publish(usage, &stats);
    seat.publish(usage, &stats);
    own.counters()[7].store(100, Ordering::Relaxed);
    let found = snapshot(&view);
    let worker = WorkerSnapshot {
        generation: 4,
        number: 1,
        process: 123,
        is_armed: true,
        allowance: 5,
        in_use: 10,
        connections: 10,
        turns: 1,
    };
    assert_eq!(found.workers, [worker], "its numbers are bounded by the limit");
    for _ in 0..2 {
        let found = snapshot(&view);
        assert_eq!((found.counters[7], found.stats.connections), (100, 3));
        board.leave(2);
    }
    assert_eq!(snapshot(&view).workers, []);
    board.clear(2);
    board.enter(2, ID);
    assert_eq!(snapshot(&view).counters[7], 100, "its successor begins at zero");
    own.counters()[7].store(1, Ordering::Relaxed);
    assert_eq!(snapshot(&view).counters[7], 101);
}

#[test]
fn a_reader_never_sees_totals_go_back_while_workers_end() {
    let (board, view) = board_and_view();
    let reads = AtomicU64::new(0);
    let rounds = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            // A machine may give a thread all of its time before the other one begins.
            let is_over = |rounds| rounds >= 2000 && reads.load(Ordering::Relaxed) >= READS;
            let mut rounds = 0;
            while !is_over(rounds) {
                let place = rounds % 3;
                board.clear(place);
                board.enter(place, ID);
                board.counters_of(place)[0].store(10, Ordering::Relaxed);
                board.leave(place);
                rounds += 1;
            }
            rounds
        });
        let (mut latest, mut went_back) = (0, None);
        while reads.fetch_add(1, Ordering::Relaxed) < READS && went_back.is_none() {
            if let Some(found) = view.snapshot() {
                went_back = (found.counters[0] < latest).then_some((found.counters[0], latest));
                latest = found.counters[0];
            }
        }
        // The writer ends, too, before the verdict.
        reads.store(READS, Ordering::Relaxed);
        let rounds = writer.join().expect("it ends");
        assert_eq!(went_back, None, "a sum, and a higher one before it");
        rounds
    });
    assert_eq!(snapshot(&view).counters[0], 10 * rounds as u64);
}

const READS: u64 = 20_000;

#[test]
fn places_of_a_layout_begin_on_pages_of_their_own() {
    let without = BoardLayout { has_counters: false, ..LAYOUT };
    assert_eq!(without.counters(1).len() + without.totals().len(), 0);
    assert_eq!(without.words(), 5 * COUNTERS_PER_PAGE);
    assert_eq!(LAYOUT.words(), without.words() + 4 * COUNTER_WORDS);
    let mut ranges = vec![LAYOUT.line(2), LAYOUT.service(), LAYOUT.totals()];
    ranges.extend((0..3).flat_map(|place| [LAYOUT.page(place), LAYOUT.counters(place)]));
    for pair in ranges.windows(2) {
        assert!(pair[0].end <= pair[1].start, "{pair:?}");
        assert_eq!(pair[1].start % COUNTERS_PER_PAGE, 0, "{pair:?}");
    }
}
