//! The server on the simulated ring, over many seeds. A seed that fails prints the command that
//! replays it with a trace.

#![allow(clippy::print_stdout, reason = "a test runner shows it on demand")]

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use uringstatic::sim::{
    Attack, Fault, FaultCounters, Mark, Options, Random, Report, run, run_hostile, run_pair,
};

/// Seeds that found a bug once, and what it was.
const ONCE_BAD: [(u64, &str); 7] = [
    (44, "a request that came between two responses was dropped when draining began"),
    (497, "the same, with more of them"),
    (47, "what came during a lazy send was forgotten until something else came"),
    (177, "a connection was closed as idle though its bytes waited for a buffer"),
    (238, "the same, with the cancel of its receive lost"),
    (1372, "the rest of a row got a new date under a send, its beginning being in a block"),
    (2261, "a receive without a buffer was not armed again during a lazy send"),
];
const PAIRS_ONCE_BAD: [(u64, &str); 0] = [];
const SEEDS_USUAL: u64 = 2_000;

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

/// What a seed decides.
type Run = fn(Random, Options) -> Result<Report, String>;

fn run_seed(run: Run, seed: u64, trace: bool) -> Result<Report, String> {
    let options = Options { trace, ..Options::default() };
    catch_unwind(|| run(Random::from_seed(seed), options)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map_or("an assertion", String::as_str);
        Err(format!("it panicked: {text}"))
    })
}

fn command(test: &str, seed: u64) -> String {
    format!("SIM_SEED={seed} cargo test --test simulation -- {test} --nocapture")
}

/// Runs seeds on all cores and adds up what was seen; none may fail.
fn run_seeds(run: Run, seeds: u64, replay: &str) -> Report {
    let next = AtomicU64::new(0);
    let work = || {
        let mut total = Report::default();
        let mut bad = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return (total, bad);
            }
            match run_seed(run, seed, false) {
                Ok(report) => total.add(&report),
                Err(what) => bad.push((seed, what)),
            }
        }
    };
    let (total, mut bad) = std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let mut total = Report::default();
        let mut bad = Vec::new();
        for thread in threads {
            let (part, part_bad) = thread.join().expect("panics of a run are caught");
            total.add(&part);
            bad.extend(part_bad);
        }
        (total, bad)
    });
    bad.sort_unstable();
    let show = |(seed, what): &(u64, String)| format!("{what}\n  {}", command(replay, *seed));
    let shown: Vec<String> = bad.iter().take(10).map(show).collect();
    assert!(bad.is_empty(), "{} of {seeds} seeds fail:\n{}", bad.len(), shown.join("\n"));
    println!(
        "{seeds} seeds, {} turns, {} responses: {:?}",
        total.turns, total.responses, total.counters
    );
    total
}

/// Fails if something that must be seen in so many seeds was not.
fn assert_seen(
    counters: &FaultCounters,
    faults: impl IntoIterator<Item = Fault>,
    marks: impl IntoIterator<Item = Mark>,
) {
    let faults = faults.into_iter().filter(|&fault| counters.struck(fault) == 0);
    let marks = marks.into_iter().filter(|&mark| counters.marked(mark) == 0);
    let missing: Vec<String> = faults
        .map(|fault| format!("{fault:?}"))
        .chain(marks.map(|mark| format!("{mark:?}")))
        .collect();
    assert!(missing.is_empty(), "never seen: {}", missing.join(", "));
}

/// Peers of all kinds against the server; every fault and every mark must have been seen.
#[test]
fn every_seed_holds() {
    let seeds = from_environment("SIM_SEEDS").unwrap_or(SEEDS_USUAL);
    let total = run_seeds(run, seeds, "replay");
    if seeds >= SEEDS_USUAL {
        let faults = Fault::ALL.map(|(fault, _)| fault).into_iter().filter(|f| !f.is_of_clients());
        let marks = Mark::ALL.into_iter().filter(|h| !h.is_of_clients());
        assert_seen(&total.counters, faults, marks);
    }
}

/// The load client against the server; their reconciliation must agree.
#[test]
fn every_pair_agrees() {
    let seeds = from_environment("SIM_SEEDS").unwrap_or(SEEDS_USUAL);
    let total = run_seeds(run_pair, seeds, "replay_pair");
    if seeds >= SEEDS_USUAL {
        let marks = Mark::ALL.into_iter().filter(|h| h.is_of_clients());
        assert_seen(&total.counters, Fault::ALL.map(|(fault, _)| fault), marks);
    }
}

/// Slots held by hostile peers alone, faults aside: a newcomer is served within a bound.
#[test]
fn a_newcomer_is_served_whatever_holds_the_slots() {
    let seeds = from_environment("SIM_SEEDS").unwrap_or(SEEDS_USUAL) / 10;
    let attacks = Attack::ALL.into_iter().map(Some).chain([None]);
    let mut failures = Vec::new();
    for attack in attacks {
        for seed in 0..seeds {
            if let Err(why) = run_hostile(Random::from_seed(seed), attack) {
                failures.push(format!("{attack:?}, seed {seed}: {why}"));
            }
        }
    }
    let shown = &failures[..failures.len().min(20)];
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), shown.join("\n"));
}

/// Replays the seed in `SIM_SEED` with a trace; without one, those that found a bug once.
#[test]
fn replay() {
    replay_seed(run, "replay", &ONCE_BAD);
}

/// The same for pairs.
#[test]
fn replay_pair() {
    replay_seed(run_pair, "replay_pair", &PAIRS_ONCE_BAD);
}

fn replay_seed(run: Run, test: &str, once_bad: &[(u64, &str)]) {
    if let Some(seed) = from_environment("SIM_SEED") {
        let outcome = run_seed(run, seed, true);
        outcome.unwrap_or_else(|what| panic!("{what}\n  {}", command(test, seed)));
    }
    for (seed, bug) in once_bad {
        run_seed(run, *seed, false).unwrap_or_else(|what| panic!("again: {bug}\n{what}"));
    }
}
