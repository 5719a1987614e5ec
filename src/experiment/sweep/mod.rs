//! Sweeps: every server under every load, in rounds; results are written after every point.
//!
//! `config` parses the file (with `shell`), `point` measures one server under one load (with
//! `server`, `probe`, `usage` and `client`), `store` writes the `results`, from which `summary`,
//! `table` and `figures` make tables and charts, and `show` prints progress. This module connects
//! them.

mod client;
pub mod config;
pub mod figures;
pub mod harness;
pub mod machine;
mod output;
pub mod point;
mod probe;
pub mod results;
mod server;
mod shell;
pub mod show;
pub mod store;
pub mod summary;
pub mod table;
#[cfg(test)]
mod tests;
pub mod usage;

use crate::error::Failure;
use crate::load::options;
use crate::load::report::Run;
use crate::os::terminal;
use crate::os::{process, signal};
use config::Overrides;
use harness::{Harness, Stop};
pub use harness::{Point, points};
use results::{PointOutcome, Results, Settings};
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
    /// TOML file with servers, loads and numbers of connections
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub file: PathBuf,

    /// Folder for results.json, results.md and results-LOAD.svg; continues a sweep found there
    #[arg(long, value_name = "DIR", default_value = "sweep-results")]
    pub out: PathBuf,

    /// Repetitions of everything, overriding the file
    #[arg(long, value_name = "N")]
    pub rounds: Option<NonZeroU32>,

    /// Requests per point, overriding the file
    #[arg(long, value_name = "N")]
    pub requests: Option<NonZeroU64>,

    /// Longest load of a point, overriding the file
    #[arg(long, value_name = "DURATION", value_parser = crate::value_parsers::duration)]
    pub time_max: Option<Duration>,

    /// Numbers of connections, as in 10,100,1000, overriding the file
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub concurrency: Vec<NonZeroU32>,

    /// Discard earlier results in the folder
    #[arg(long)]
    pub fresh: bool,

    /// Print errors only
    #[arg(long)]
    pub quiet: bool,

    /// Further options for the load client
    #[arg(last = true, value_name = "OPTION")]
    pub options: Vec<String>,

    /// Program of the load client [default: this one]
    #[arg(long, value_name = "PROGRAM", hide = true)]
    pub client: Option<PathBuf>,
}

/// The way in which a sweep without an error of its own ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepEnd {
    /// Every point is measured, and no request failed.
    Clean,
    /// Every point is measured; requests failed, or servers didn't start, died or were killed.
    Troubled,
    /// A signal arrived; the remaining points are left for the next call.
    Interrupted,
}

/// The reason for which a sweep could not run.
#[derive(Debug)]
pub enum Error {
    /// The file or an option is wrong.
    Usage(String),
    /// A system call or a file operation failed.
    Failed(Failure),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Runs `uringload sweep` until it ends or SIGINT or SIGTERM arrives.
///
/// The exit status is 0 if nothing failed, 1 if a request, a server or the sweep failed, 2 for
/// wrong usage, and 130 after an interruption.
#[must_use]
pub fn main(args: &Args) -> ExitCode {
    let outcome = signal::signals_to_end()
        .map_err(Error::Failed)
        .and_then(|signals| run(args, signals.as_fd()));
    match outcome {
        Ok(SweepEnd::Clean) => ExitCode::SUCCESS,
        Ok(SweepEnd::Troubled) => ExitCode::FAILURE,
        Ok(SweepEnd::Interrupted) => {
            terminal::err(format_args!("uringload: interrupted; run the same command to continue"));
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

/// Runs a sweep until it ends or `interrupts` becomes readable.
///
/// # Errors
/// If the file is wrong, the results can't be written, or a point fails for reasons other than the
/// server or the load.
pub fn run(args: &Args, interrupts: BorrowedFd<'_>) -> Result<SweepEnd, Error> {
    let (settings, base) = read_settings(args)?;
    // Inherited by servers and load clients, which both hold thousands of connections.
    process::raise_open_files(0, "connections")?;
    let machine = machine::describe(Path::new("/proc"));
    let out = std::path::absolute(&args.out)
        .map_err(|error| Error::Usage(format!("--out {}: {error}", args.out.display())))?;
    // Held until the end, as two sweeps would overwrite each other's points.
    let _lock = store::lock(&out)?;
    let mut store = Store::open(&out, args.fresh, settings, machine)?;
    let settings = store.results().settings.clone();
    let client_cpu = settings.client_cpu;
    let done = u64::try_from(store.results().measurements.len()).expect("a count is a u64");
    let show = Show::new(args.quiet, store.results().planned, done);
    let tell = |text: &str| show.tell(text);
    let harness =
        Harness { client: client(args)?, client_cpu, base, folder: out, interrupts, tell: &tell };
    for point in points(&settings) {
        if store.has(&point) {
            continue;
        }
        show.begin(&point);
        match harness.measure(&point) {
            Ok(measurement) => {
                show.end(&measurement);
                store.add(measurement)?;
            }
            Err(Stop::Interrupted) => {
                show.finish();
                return Ok(SweepEnd::Interrupted);
            }
            Err(Stop::Failed(failure)) => return Err(failure.into()),
        }
    }
    show.finish();
    if !args.quiet {
        terminal::out(&format!("{}\n", table::markdown(store.results()))).map_err(|error| {
            let hint = format!("results.md in {} has the same tables", args.out.display());
            Failure::new("writing the tables to standard output", error, hint)
        })?;
    }
    Ok(if is_clean(store.results()) { SweepEnd::Clean } else { SweepEnd::Troubled })
}

/// The checked settings, and the folder of their file.
fn read_settings(args: &Args) -> Result<(Settings, PathBuf), Error> {
    let fail =
        |why: &dyn std::fmt::Display| Error::Usage(format!("{}: {why}", args.file.display()));
    let text = std::fs::read_to_string(&args.file).map_err(|error| fail(&error))?;
    let path = std::path::absolute(&args.file).map_err(|error| fail(&error))?;
    let folder = path.parent().expect("a file that was read has a parent folder");
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
                "{key}: core {cpu} is not among the permitted cores {cores:?}"
            )));
        }
    }
    Ok((settings, folder.to_owned()))
}

/// The program of the load client: this one unless `--client` names another.
fn client(args: &Args) -> Result<PathBuf, Error> {
    let what = "finding the load client";
    match &args.client {
        Some(path) => std::path::absolute(path),
        None => std::env::current_exe(),
    }
    .map_err(|error| Failure::new(what, error, "").into())
}

fn is_clean(results: &Results) -> bool {
    let may_miss = |name: &str| {
        let mut loads = results.settings.loads.iter();
        let load = loads.find(|load| load.name == name);
        load.is_some_and(|load| load.options.iter().any(|option| option == "--allow-missed-rate"))
    };
    results.measurements.iter().all(|measurement| {
        let is_clean =
            |run: &Run| run.is_clean() && (!run.rate_missed || may_miss(&measurement.load));
        measurement.outcome == PointOutcome::Measured
            && measurement.run.as_ref().is_some_and(is_clean)
    })
}

const EXIT_USAGE: u8 = 2;
