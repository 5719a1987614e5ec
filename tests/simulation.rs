//! The server on the simulated ring, over many seeds. A seed that fails prints the command that
//! replays it with a trace.

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use uringstatic::sim::{Options, Random, Report, run};

/// Seeds that found a bug once, and what it was.
const ONCE_BAD: [(u64, &str); 6] = [
    (44, "a request that came between two replies was dropped when draining began"),
    (497, "the same, with more of them"),
    (47, "what came during a lazy send was forgotten until something else came"),
    (177, "a connection was closed as idle though its bytes waited for a buffer"),
    (238, "the same, with the cancel of its receive lost"),
    (2261, "a receive without a buffer was not armed again during a lazy send"),
];
const SEEDS_USUAL: u64 = 2_000;

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

fn run_seed(seed: u64, trace: bool) -> Result<Report, String> {
    let options = Options { trace, ..Options::default() };
    catch_unwind(|| run(Random::from_seed(seed), options)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map_or("an assertion", String::as_str);
        Err(format!("the server panicked: {text}"))
    })
}

fn command(seed: u64) -> String {
    format!("SIM_SEED={seed} cargo test --test simulation -- replay --nocapture")
}

/// Runs seeds on all cores; every fault and every happening must have been seen among them.
#[test]
fn every_seed_holds() {
    let seeds = from_environment("SIM_SEEDS").unwrap_or(SEEDS_USUAL);
    let next = AtomicU64::new(0);
    let work = || {
        let mut total = Report::default();
        let mut bad = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return (total, bad);
            }
            match run_seed(seed, false) {
                Ok(report) => {
                    total.tally.add(&report.tally);
                    total.replies += report.replies;
                    total.served += report.served;
                    total.turns += report.turns;
                }
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
            let (part, part_bad) = thread.join().expect("panics of the server are caught");
            total.tally.add(&part.tally);
            total.replies += part.replies;
            total.served += part.served;
            total.turns += part.turns;
            bad.extend(part_bad);
        }
        (total, bad)
    });
    bad.sort_unstable();
    let shown: Vec<String> =
        bad.iter().take(10).map(|(seed, what)| format!("{what}\n  {}", command(*seed))).collect();
    assert!(bad.is_empty(), "{} of {seeds} seeds fail:\n{}", bad.len(), shown.join("\n"));
    println!("{seeds} seeds, {} turns, {} replies: {:?}", total.turns, total.replies, total.tally);
    if seeds >= SEEDS_USUAL {
        let missing = total.tally.missing();
        assert!(missing.is_empty(), "never seen in {seeds} seeds: {}", missing.join(", "));
    }
}

/// Replays the seed in `SIM_SEED` with a trace; without one, those that found a bug once.
#[test]
fn replay() {
    if let Some(seed) = from_environment("SIM_SEED") {
        run_seed(seed, true).unwrap_or_else(|what| panic!("{what}\n  {}", command(seed)));
    }
    for (seed, bug) in ONCE_BAD {
        run_seed(seed, false).unwrap_or_else(|what| panic!("again: {bug}\n{what}"));
    }
}
