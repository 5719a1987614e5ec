//! Sweeps: many servers under many loads, in rounds, with the results kept after every point.
//!
//! `config` reads what is wanted, `point` measures one server under one load (with `usage`),
//! `store` keeps the `results`, which `summary`, `table` and `figures` make readable, and `show`
//! says how it goes. Here is the order of it all.

pub mod config;
pub mod figures;
pub mod machine;
pub mod point;
pub mod results;
pub mod show;
pub mod store;
pub mod summary;
pub mod table;
#[cfg(test)]
mod tests;
pub mod usage;

use crate::error::Failure;
use crate::load::options;
use crate::os::terminal;
use crate::os::{process, signal};
use config::Overrides;
pub use point::Point;
use point::{Bench, Stop};
use results::{Outcome, Results, Settings};
use show::Show;
use std::num::{NonZeroU32, NonZeroU64};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use store::Store;

/// Options of `uringload sweep`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What to measure: a TOML file with servers, loads and numbers of connections
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub file: PathBuf,

    /// Folder for results.json, results.md and results-LOAD.svg; an interrupted sweep goes on there
    #[arg(long, value_name = "DIR", default_value = "sweep-results")]
    pub out: PathBuf,

    /// How often to measure everything, instead of what the file says
    #[arg(long, value_name = "N")]
    pub rounds: Option<NonZeroU32>,

    /// Requests a point, instead of what the file says
    #[arg(long, value_name = "N")]
    pub requests: Option<NonZeroU64>,

    /// Longest load of a point, instead of what the file says
    #[arg(long, value_name = "DURATION", value_parser = crate::value_parsers::duration)]
    pub time_max: Option<Duration>,

    /// Numbers of connections, as in 10,100,1000, instead of what the file says
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub concurrency: Vec<NonZeroU32>,

    /// Throw away what is in the folder, and begin anew
    #[arg(long)]
    pub fresh: bool,

    /// Print nothing but errors
    #[arg(long)]
    pub quiet: bool,

    /// Options for the load client, beside those of the file
    #[arg(last = true, value_name = "OPTION")]
    pub options: Vec<String>,

    /// The load client's program [default: this one]
    #[arg(long, value_name = "PROGRAM", hide = true)]
    pub client: Option<PathBuf>,
}

/// What became of a sweep that nothing of our own broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All is measured, and nothing failed.
    Clean,
    /// All is measured; requests failed, or servers did not start, died or had to be killed.
    Troubled,
    /// The rest is left for the next time.
    Interrupted,
}

/// Why there is no sweep.
#[derive(Debug)]
pub enum Error {
    /// What was asked for is wrong.
    Usage(String),
    /// Something failed.
    Failed(Failure),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Runs a sweep until it is done or a signal comes: `uringload sweep`.
///
/// The exit code is 0 if nothing failed, 1 if something did (requests, servers or the sweep), 2
/// for wrong usage, and 130 if it was interrupted.
#[must_use]
pub fn main(args: &Args) -> ExitCode {
    let outcome = signal::signals_to_end()
        .map_err(Error::Failed)
        .and_then(|signals| run(args, signals.as_fd()));
    match outcome {
        Ok(End::Clean) => ExitCode::SUCCESS,
        Ok(End::Troubled) => ExitCode::FAILURE,
        Ok(End::Interrupted) => {
            terminal::err(format_args!("uringload: interrupted; the same command goes on"));
            ExitCode::from(options::EXIT_INTERRUPTED)
        }
        Err(Error::Usage(complaint)) => {
            terminal::err(format_args!("uringload: {}", complaint.trim_end()));
            ExitCode::from(EXIT_USAGE)
        }
        Err(Error::Failed(failure)) => {
            terminal::err(format_args!("uringload: {failure}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs a sweep until it is done, or until there is something to read from `interrupts`.
///
/// # Errors
/// If the file is wrong, or the results can't be kept.
pub fn run(args: &Args, interrupts: BorrowedFd<'_>) -> Result<End, Error> {
    let (settings, base) = read_settings(args)?;
    // Servers and clients inherit it: thousands of connections at both ends.
    process::raise_open_files(0, "connections")?;
    let machine = machine::describe(Path::new("/proc"));
    let out = std::path::absolute(&args.out)
        .map_err(|error| Error::Usage(format!("--out {}: {error}", args.out.display())))?;
    // Until the end: two sweeps would overwrite each other's points.
    let _held = store::hold(&out)?;
    let mut store = Store::open(&out, args.fresh, settings, machine)?;
    let settings = store.results().settings.clone();
    let client_cpu = settings.client_cpu;
    let bench = Bench { client: client(args)?, client_cpu, base, folder: out, interrupts };
    let done = u64::try_from(store.results().measurements.len()).expect("a count is a u64");
    let show = Show::new(args.quiet, store.results().planned, done);
    for point in points(&settings) {
        if store.has(&point) {
            continue;
        }
        show.begin(&point);
        match bench.measure(&point) {
            Ok(measurement) => {
                show.end(&measurement);
                store.add(measurement)?;
            }
            Err(Stop::Interrupted) => {
                show.finish();
                return Ok(End::Interrupted);
            }
            Err(Stop::Failed(failure)) => return Err(failure.into()),
        }
    }
    show.finish();
    if !args.quiet {
        terminal::out(table::markdown(store.results()));
    }
    Ok(if is_clean(store.results()) { End::Clean } else { End::Troubled })
}

/// All points, in the order in which they are measured. Servers take turns at everything else, so
/// that whatever changes on the machine meanwhile meets all of them.
pub fn points(settings: &Settings) -> impl Iterator<Item = Point<'_>> {
    (1..=settings.rounds).flat_map(move |round| {
        settings.loads.iter().flat_map(move |load| {
            settings.concurrency.iter().flat_map(move |&connections| {
                let of = move |server| Point { round, load, connections, server };
                settings.servers.iter().map(of)
            })
        })
    })
}

/// What the file says, and the folder it lies in.
fn read_settings(args: &Args) -> Result<(Settings, PathBuf), Error> {
    let fail =
        |why: &dyn std::fmt::Display| Error::Usage(format!("{}: {why}", args.file.display()));
    let text = std::fs::read_to_string(&args.file).map_err(|error| fail(&error))?;
    let path = std::path::absolute(&args.file).map_err(|error| fail(&error))?;
    let folder = path.parent().expect("what was read is no root");
    let overrides = Overrides {
        rounds: args.rounds,
        requests: args.requests,
        time_max: args.time_max,
        concurrency: args.concurrency.clone(),
        options: args.options.clone(),
    };
    let settings = config::parse(&text, overrides).map_err(|error| fail(&error))?;
    if args.client.is_none() {
        config::check_options(&settings).map_err(|error| fail(&error))?;
    }
    let cores = process::cores();
    let placed = settings
        .servers
        .iter()
        .map(|server| (format!("server {:?}: cpu", server.name), server.cpu));
    for (key, cpu) in placed.chain([("client_cpu".to_owned(), settings.client_cpu)]) {
        if let Some(cpu) = cpu.filter(|cpu| !cores.contains(cpu)) {
            return Err(fail(&format!(
                "{key}: core {cpu} is not among those we may use: {cores:?}"
            )));
        }
    }
    Ok((settings, folder.to_owned()))
}

/// This program, unless another is named.
fn client(args: &Args) -> Result<PathBuf, Error> {
    let what = "finding the load client";
    match &args.client {
        Some(path) => std::path::absolute(path),
        None => std::env::current_exe(),
    }
    .map_err(|error| Failure::new(what, error, "").into())
}

fn is_clean(results: &Results) -> bool {
    results.measurements.iter().all(|measurement| {
        let run = measurement.run.as_ref();
        measurement.outcome == Outcome::Measured
            && run.is_some_and(|run| run.failed == 0 && run.died == 0)
    })
}

const EXIT_USAGE: u8 = 2;
