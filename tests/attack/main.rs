//! Attacks on the server: hostile, broken and far too many clients, and a machine that runs out of
//! resources. After each attack, descriptors and memory have to be as before, and the table has to
//! account for every request.
//!
//! ```text
//!   main ─► slow, slots, floods, garbage, rules, cap, starvation, ending, reloads, deaths
//!     │       │                                                      the attacks, by topic
//!     └───► soak ─► mix    a mixed load for minutes, on its own
//!             └─► ground       the server, and its state before and after
//!                  ├─ crowd, good_client, witness    hostile and well-behaved clients
//!                  ├─ watch, totals         the counts of the kernel and of the server
//!                  └─ table                 the output
//! ```
//!
//! `cargo test` runs a short form; `cargo test --release --test attack -- --full` the full one.
//! `--only NAME` runs one attack, and a failing attack prints this command; `--soak MINUTES` runs
//! the soak instead (`tests/soak.sh`). Words are filters of names, as for the other test programs,
//! whose other options are ignored.

#![allow(clippy::print_stdout, reason = "it prints a table")]

#[path = "../common/mod.rs"]
mod common;

mod cap;
mod cgroup;
mod crowd;
mod deaths;
mod ending;
mod floods;
mod garbage;
mod good_client;
mod ground;
mod mix;
mod reloads;
mod rules;
mod slots;
mod slow;
mod soak;
mod starvation;
mod table;
mod totals;
mod watch;
mod witness;

use common::timed;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use table::Verdict;
use uringstatic::os::process::{open_files, raise_open_files};

/// An attack: its name and a function, which panics if the server doesn't withstand the attack.
type Attack = (&'static str, fn(Form) -> Verdict);

const ATTACKS: &[Attack] = &[
    ("slow-heads", slow::heads),
    ("slow-bodies", slow::bodies),
    ("never-reading", slow::never_reading),
    ("slots-slow-bodies", slots::slow_bodies),
    ("slots-extensions", slots::chunk_extensions),
    ("slots-trailers", slots::trailers),
    ("slots-halves", slots::heads_in_halves),
    ("slots-one-byte", slots::one_byte_readers),
    ("slots-lingering", slots::lingering),
    ("slots-busy", slots::busy),
    ("burst-of-heads", slots::burst_of_heads),
    ("idle-flood", floods::idle),
    ("connect-and-close", floods::connect_and_close),
    ("connect-and-reset", floods::connect_and_reset),
    ("request-and-reset", floods::request_and_reset),
    ("garbage", garbage::garbage),
    ("mutated-requests", garbage::mutated),
    ("near-misses", rules::near_misses),
    ("over-the-cap", cap::over_the_cap),
    ("no-descriptors", starvation::descriptors),
    ("stopped", starvation::stopped),
    ("little-memory", starvation::memory),
    ("killed", ending::killed),
    ("terminated", ending::terminated),
    ("reloads", reloads::under_load),
    ("faulty-reloads", reloads::faulty),
    ("ended-reloads", reloads::ended),
    ("killed-workers", deaths::workers),
    ("stopped-worker", deaths::stopped),
    ("killed-loader", deaths::loader),
    ("killed-supervisor", deaths::supervisor),
];

/// How large an attack is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    full: bool,
    /// The most clients, by the limit of open files of this process.
    clients_max: usize,
}

impl Form {
    /// The value for this form.
    pub(crate) fn of<T>(self, short: T, full: T) -> T {
        if self.full { full } else { short }
    }

    /// The number of simultaneous clients.
    pub(crate) fn clients(self, short: usize, full: usize) -> usize {
        self.of(short, full).min(self.clients_max)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::read(std::env::args().skip(1));
    if arguments.nothing {
        return ExitCode::SUCCESS;
    }
    let hard = open_files().hard;
    raise_open_files(hard, "").expect("up to the hard limit it may be raised");
    let files = usize::try_from(hard).unwrap_or(usize::MAX);
    let clients_max = files.saturating_sub(FILES_RESERVE) / 10 * 10;
    let form = Form { full: arguments.full, clients_max };
    if let Some(minutes) = arguments.soak {
        let is_flat = soak::soak(minutes, Path::new(&arguments.svg));
        return if is_flat { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    table::print_title();
    let (mut passed, mut failed) = (0, 0);
    for (name, attack) in ATTACKS.iter().filter(|(name, _)| arguments.want(name)) {
        let (outcome, took) = timed(|| catch_unwind(|| attack(form)).ok());
        table::print_line(name, outcome.as_ref(), took);
        if outcome.is_none() {
            let (release, full) = if arguments.full { ("--release ", " --full") } else { ("", "") };
            println!("      run again: cargo test {release}--test attack -- --only {name}{full}");
        }
        match outcome {
            Some(Verdict::Held(_)) => passed += 1,
            Some(Verdict::Skipped(_)) => {}
            None => failed += 1,
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The command line.
#[derive(Debug, Default)]
struct Arguments {
    full: bool,
    only: Option<String>,
    filters: Vec<String>,
    skipped: Vec<String>,
    exact: bool,
    nothing: bool,
    soak: Option<f64>,
    svg: String,
}

impl Arguments {
    fn read(mut words: impl Iterator<Item = String>) -> Self {
        let mut arguments = Self::default();
        while let Some(word) = words.next() {
            let (option, value) = match word.split_once('=') {
                Some((option, value)) => (option, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            let mut value = || value.clone().or_else(|| words.next()).unwrap_or_default();
            match option {
                "--full" => arguments.full = true,
                "--only" => arguments.only = Some(value()),
                "--soak" => arguments.soak = Some(value().parse().expect("minutes")),
                "--svg" => arguments.svg = value(),
                "--exact" => arguments.exact = true,
                "--skip" => arguments.skipped.push(value()),
                // No names are listed, and no attack is ignored by default.
                "--list" | "--ignored" => arguments.nothing = true,
                "--test-threads" | "--format" | "--color" | "--logfile" | "--shuffle-seed"
                | "-Z" => {
                    value();
                }
                option if option.starts_with('-') => {}
                _ => arguments.filters.push(word),
            }
        }
        arguments
    }

    fn want(&self, name: &str) -> bool {
        let fits =
            |filter: &String| if self.exact { name == filter } else { name.contains(filter) };
        self.only.as_ref().is_none_or(|only| only == name)
            && (self.filters.is_empty() || self.filters.iter().any(fits))
            && !self.skipped.iter().any(fits)
    }
}

/// A duration as the value of an option.
pub(crate) fn option_ms(time: Duration) -> String {
    format!("{}ms", time.as_millis())
}

/// Open files of this process beside those of its clients.
const FILES_RESERVE: usize = 200;
