//! The load client: reads its options, runs the load, says what came of it.

#![forbid(unsafe_code)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use uringstatic::load::cli::{self, Command, Options};
use uringstatic::load::report::{Report, SCHEMA};
use uringstatic::load::run::Load;
use uringstatic::load::{chart, files, show, sweep, worker};
use uringstatic::say;
use uringstatic::sys::failure::Failure;

fn main() -> ExitCode {
    let outcome = match cli::parse(std::env::args_os()) {
        Ok(Command::Load(options)) => load(&options),
        Ok(Command::Worker(number)) => worker::run(number).map(|()| true),
        Ok(Command::Sweep(arguments)) => return sweep::main(&arguments),
        Ok(Command::Print(text)) => print(&text).map(|()| true),
        // Prints the usage or the help, and exits with 2 or 0.
        Err(error) => error.exit(),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            say::err(format_args!("uringload: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn print(text: &[u8]) -> Result<(), Failure> {
    let written = std::io::stdout().write_all(text);
    written.map_err(|error| Failure::new("writing to standard output", error, ""))
}

/// Says whether everything went well.
fn load(options: &Options) -> Result<bool, Failure> {
    files::check(&outputs(options))?;
    let load = Load::new(options)?;
    let mut report = Report {
        schema: SCHEMA.to_owned(),
        url: format!("http://{}{}", options.url.authority, options.url.target),
        load: options.describe(),
        runs: Vec::new(),
    };
    for &connections in &options.connections {
        let mut live = show::Live::new(options, connections.get());
        let outcome = load.run(connections.get(), |progress| live.show(progress))?;
        live.end();
        if !options.quiet {
            say::out(show::figures(&outcome.run, options));
        }
        if let Some(path) = &options.hgrm {
            let path = histogram(path, options, connections.get());
            files::write(&path, &files::hgrm(&outcome.responses))?;
        }
        report.runs.push(outcome.run);
        if outcome.interrupted {
            break;
        }
    }
    if let Some(path) = &options.json {
        files::write(path, &files::json(&report))?;
    }
    if let Some(path) = &options.csv {
        files::write(path, &files::csv(&report))?;
    }
    if let Some(path) = &options.svg {
        files::write(path, &chart::load(&report))?;
    }
    Ok(report.runs.iter().all(|run| run.failed == 0 && run.died == 0))
}

/// The files that results are to be written to.
fn outputs(options: &Options) -> Vec<PathBuf> {
    let single = [&options.json, &options.csv, &options.svg].into_iter().flatten().cloned();
    let numbers = options.connections.iter().map(|connections| connections.get());
    let histograms = options
        .hgrm
        .iter()
        .flat_map(|path| numbers.clone().map(|number| histogram(path, options, number)));
    single.chain(histograms).collect()
}

/// Where the response times of a run go.
fn histogram(path: &Path, options: &Options, connections: u32) -> PathBuf {
    match options.connections.len() {
        1 => path.to_owned(),
        _ => files::numbered(path, connections),
    }
}
