//! The server and the load client on simulated engines, over many seeds. The message of a failing
//! seed has the command that runs it again with a trace.
//!
//! `SIM_SEEDS` is the number of seeds, `SIM_SEED` the seed of a `replay` test.

#![allow(clippy::print_stdout, reason = "a test runner shows it on demand")]

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use uringstatic::simulation::{
    Attack, Coverage, EngineMark, Fault, Mark, Random, SimulationOptions, SimulationReport,
    run_hostile, run_mixed, run_pair, run_service,
};

/// Seeds that once failed, each with the bug. The simulator has changed since what a seed draws.
const FAILED_ONCE: [(u64, &str); 7] = [
    (44, "a request between two responses was dropped at the beginning of the drain"),
    (497, "several requests between two responses were dropped at the beginning of the drain"),
    (47, "bytes received during a lazy send were parsed only after an unrelated event"),
    (177, "a connection was closed as idle though its bytes waited for a receive buffer"),
    (238, "the same, with the cancel of its receive lost"),
    (1372, "the rest of a rendered response got a new date while its beginning was in a block"),
    (2261, "a receive that failed for want of a buffer was not armed again during a lazy send"),
];
/// As [`FAILED_ONCE`], for services.
const FAILED_ONCE_SERVICE: [(u64, &str); 3] = [
    (2770, "an idle connection was closed though a slot was reserved for another listener"),
    (9580, "the same, with another order of reports"),
    (39103, "a wake-up was lost when the slot of an accept moved to another listener"),
];
const SEEDS_USUAL: u64 = 2_000;

/// A scenario, run with the choices of a seed.
type Scenario = fn(Random, SimulationOptions) -> Result<SimulationReport, String>;

fn number_from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

fn seeds() -> u64 {
    number_from_environment("SIM_SEEDS").unwrap_or(SEEDS_USUAL)
}

/// Runs one seed; a panic of the run is a failure like any other.
fn run_seed(
    run: impl Fn(Random, SimulationOptions) -> Result<SimulationReport, String>,
    seed: u64,
    trace: bool,
) -> Result<SimulationReport, String> {
    let options = SimulationOptions { trace, ..SimulationOptions::default() };
    let run = std::panic::AssertUnwindSafe(|| run(Random::from_seed(seed), options));
    catch_unwind(run).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("panicked: {}", text.unwrap_or("without a message")))
    })
}

/// The command that runs a seed again; `variables` come before it.
fn replay_command(variables: &str, test: &str, seed: u64) -> String {
    format!("{variables}SIM_SEED={seed} cargo test --test simulation -- --exact {test} --nocapture")
}

/// Runs seeds on all cores and adds up their reports; none may fail.
fn run_seeds(run: Scenario, seeds: u64, replay: &str) -> SimulationReport {
    let next = AtomicU64::new(0);
    let work = || {
        let mut total = SimulationReport::default();
        let mut failures = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return (total, failures);
            }
            match run_seed(run, seed, false) {
                Ok(report) => total.add(&report),
                Err(why) => failures.push((seed, why)),
            }
        }
    };
    let mut total = SimulationReport::default();
    let mut failures = Vec::new();
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            let (part, failed) = thread.join().expect("panics of a run are caught");
            total.add(&part);
            failures.extend(failed);
        }
    });
    failures.sort_unstable();
    let show =
        |(seed, why): &(u64, String)| format!("{why}\n  {}", replay_command("", replay, *seed));
    let shown: Vec<String> = failures.iter().take(10).map(show).collect();
    assert!(failures.is_empty(), "{} of {seeds} seeds fail:\n{}", failures.len(), shown.join("\n"));
    println!(
        "{seeds} seeds, {} turns, {} responses: {:?}",
        total.turns, total.responses, total.coverage
    );
    total
}

/// Fails if one of these faults and marks was not reached.
fn assert_coverage(
    coverage: &Coverage,
    faults: impl IntoIterator<Item = Fault>,
    engine_marks: impl IntoIterator<Item = EngineMark>,
    marks: impl IntoIterator<Item = Mark>,
) {
    let faults = faults.into_iter().filter(|&fault| coverage.engine.struck(fault) == 0);
    let engine_marks = engine_marks.into_iter().filter(|&mark| coverage.engine.reached(mark) == 0);
    let marks = marks.into_iter().filter(|&mark| coverage.reached(mark) == 0);
    let missing: Vec<String> = faults
        .map(|fault| format!("{fault:?}"))
        .chain(engine_marks.map(|mark| format!("{mark:?}")))
        .chain(marks.map(|mark| format!("{mark:?}")))
        .collect();
    assert!(missing.is_empty(), "not reached: {}", missing.join(", "));
}

/// Every fault and every mark must be reached, but for those of clients.
#[test]
fn mixed_peers_get_their_responses() {
    let total = run_seeds(run_mixed, seeds(), "replay");
    if seeds() >= SEEDS_USUAL {
        assert_coverage(
            &total.coverage,
            Fault::ALL.map(|(fault, _)| fault).into_iter().filter(|it| !it.is_of_clients()),
            EngineMark::ALL.into_iter().filter(|it| !it.is_of_clients() && !it.is_of_services()),
            Mark::ALL.into_iter().filter(|it| !it.is_of_clients() && !it.is_of_services()),
        );
    }
}

#[test]
fn counters_of_client_and_server_agree() {
    let total = run_seeds(run_pair, seeds(), "replay_pair");
    if seeds() >= SEEDS_USUAL {
        assert_coverage(
            &total.coverage,
            Fault::ALL.map(|(fault, _)| fault),
            EngineMark::ALL.into_iter().filter(|it| it.is_of_clients()),
            Mark::ALL.into_iter().filter(|it| it.is_of_clients()),
        );
    }
}

/// Workers die and hang, loaders fail, and generations replace each other: no connection is lost
/// but those of dead workers, and no connection waits while a worker has a free slot.
#[test]
fn service_survives_reloads_and_deaths() {
    let total = run_seeds(run_service, seeds(), "replay_service");
    if seeds() >= SEEDS_USUAL {
        let usual = [Mark::Evicted, Mark::Displaced, Mark::GaveWay, Mark::ServedInDelay];
        assert_coverage(
            &total.coverage,
            Fault::ALL.map(|(fault, _)| fault).into_iter().filter(|it| !it.is_of_clients()),
            EngineMark::ALL.into_iter().filter(|it| !it.is_of_clients()),
            Mark::ALL.into_iter().filter(|it| it.is_of_services()).chain(usual),
        );
    }
}

/// Without faults, a client is served within a bound whatever holds the slots.
#[test]
fn new_client_is_served_while_hostile_peers_hold_the_slots() {
    let mut failures = Vec::new();
    for attack in Attack::ALL.into_iter().map(Some).chain([None]) {
        for seed in 0..seeds() / 10 {
            let run = |random, options| run_hostile(random, attack, options);
            if let Err(why) = run_seed(run, seed, false) {
                let attack = attack.map_or_else(String::new, |it| format!("SIM_ATTACK={it:?} "));
                let command = replay_command(&attack, "replay_hostile", seed);
                failures.push(format!("{why}\n  {command}"));
            }
        }
    }
    let shown = &failures[..failures.len().min(20)];
    assert!(failures.is_empty(), "{} runs fail:\n{}", failures.len(), shown.join("\n"));
}

/// Runs the seed in `SIM_SEED` with a trace; without one, the seeds that once failed.
#[test]
fn replay() {
    replay_seed(run_mixed, "", "replay");
    for (seed, bug) in FAILED_ONCE {
        let command = replay_command("", "replay", seed);
        run_seed(run_mixed, seed, false)
            .unwrap_or_else(|why| panic!("{why}\n  once: {bug}\n  {command}"));
    }
}

/// Runs the seed in `SIM_SEED` of the load client against the server with a trace.
#[test]
fn replay_pair() {
    replay_seed(run_pair, "", "replay_pair");
}

/// Runs the seed in `SIM_SEED` of a service with a trace; without one, those that once failed.
#[test]
fn replay_service() {
    replay_seed(run_service, "", "replay_service");
    for (seed, bug) in FAILED_ONCE_SERVICE {
        let command = replay_command("", "replay_service", seed);
        run_seed(run_service, seed, false)
            .unwrap_or_else(|why| panic!("{why}\n  once: {bug}\n  {command}"));
    }
}

/// Runs the seed in `SIM_SEED` with hostile peers in all slots with a trace; `SIM_ATTACK` names
/// the attack of all of them.
#[test]
fn replay_hostile() {
    let name = std::env::var("SIM_ATTACK").ok();
    let attack = name.as_deref().map(|name| {
        let attack = Attack::ALL.into_iter().find(|attack| format!("{attack:?}") == name);
        attack.unwrap_or_else(|| panic!("SIM_ATTACK is one of {:?}, not {name:?}", Attack::ALL))
    });
    let variables = name.map_or_else(String::new, |name| format!("SIM_ATTACK={name} "));
    replay_seed(
        |random, options| run_hostile(random, attack, options),
        &variables,
        "replay_hostile",
    );
}

fn replay_seed(
    run: impl Fn(Random, SimulationOptions) -> Result<SimulationReport, String>,
    variables: &str,
    test: &str,
) {
    if let Some(seed) = number_from_environment("SIM_SEED") {
        let outcome = run_seed(run, seed, true);
        outcome.unwrap_or_else(|why| panic!("{why}\n  {}", replay_command(variables, test, seed)));
    }
}
