//! The load client program: parses its command line, runs the load or the sweep, and reports the
//! outcome.

#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;
use uringstatic::cli::load::{self as cli, LoadCommand};
use uringstatic::error::Failure;
use uringstatic::experiment::{chart, sweep};
use uringstatic::load::options::{EXIT_INTERRUPTED, LoadOptions};
use uringstatic::load::report::{LoadReport, Run, SCHEMA};
use uringstatic::load::run::{Runner, check_connections};
use uringstatic::load::{files, show, worker};
use uringstatic::os::terminal;

fn main() -> ExitCode {
    let outcome = match cli::parse(std::env::args_os()) {
        Ok(LoadCommand::Load(options)) => match check_connections(&options) {
            Ok(()) => load(&options),
            Err(message) => cli::usage_error(message).exit(),
        },
        Ok(LoadCommand::Worker(number)) => worker::run(number).map(|()| ExitCode::SUCCESS),
        Ok(LoadCommand::Sweep(arguments)) => return sweep::main(&arguments),
        Ok(LoadCommand::Print(text)) => print(&text).map(|()| ExitCode::SUCCESS),
        // Prints the usage or the help, and exits with 2 or 0.
        Err(error) => error.exit(),
    };
    outcome.unwrap_or_else(|failure| {
        terminal::err(format_args!("uringload: {failure}"));
        ExitCode::FAILURE
    })
}

fn print(text: &[u8]) -> Result<(), Failure> {
    let written = std::io::stdout().write_all(text);
    written.map_err(|error| Failure::new("writing to standard output", error, ""))
}

/// Makes all runs of the load, and reports each.
fn load(options: &LoadOptions) -> Result<ExitCode, Failure> {
    files::check(&options.outputs())?;
    let load = Runner::new(options)?;
    let decision = load.decision();
    if let Some(message) = decision.message().filter(|_| !options.quiet) {
        terminal::err(format_args!("uringload: {message}"));
    }
    let mut report = LoadReport {
        schema: SCHEMA.to_owned(),
        label: options.label.clone(),
        url: format!("http://{}{}", options.url.authority, options.url.target),
        load: options.describe(),
        engine: decision.kind.name().to_owned(),
        runs: Vec::new(),
    };
    for run in options.runs() {
        let mut live = show::Live::new(options, &run);
        let outcome = load.run(&run, |progress| live.show(progress))?;
        live.end();
        if !options.quiet {
            terminal::out(show::figures(&outcome.run, decision.kind, options));
        }
        if let Some(path) = &options.hgrm {
            let path = options.histogram(path, run.connections);
            files::write(&path, &files::hgrm(&outcome.responses))?;
        }
        let interrupted = outcome.run.interrupted;
        report.runs.push(outcome.run);
        if interrupted {
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
    let held = report.runs.iter().all(|run| !run.rate_missed) || options.allow_missed_rate;
    Ok(if report.runs.iter().any(|run| run.interrupted) {
        ExitCode::from(EXIT_INTERRUPTED)
    } else if held && report.runs.iter().all(Run::is_clean) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
