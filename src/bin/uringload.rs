//! The load client program: parses its command line, runs the load or the sweep, and reports the
//! outcome.

#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;
use uringstatic::cli::load::{self as cli, LoadCommand};
use uringstatic::error::Failure;
use uringstatic::experiment::{chart, compare, sweep};
use uringstatic::load::limit::{LimitSearch, RATE_MAX, SearchStep};
use uringstatic::load::options::{EXIT_INTERRUPTED, LoadOptions, RunSettings};
use uringstatic::load::report::{LoadReport, Run, SCHEMA};
use uringstatic::load::run::{RunOutcome, Runner, check_connections};
use uringstatic::load::{files, merge, show, worker};
use uringstatic::os::terminal;

fn main() -> ExitCode {
    let outcome = match cli::parse(std::env::args_os()) {
        Ok(LoadCommand::Load(options)) => match check_connections(&options) {
            Ok(()) => load(&options),
            Err(message) => cli::usage_error(message).exit(),
        },
        Ok(LoadCommand::Worker(number)) => worker::run(number).map(|()| ExitCode::SUCCESS),
        Ok(LoadCommand::Sweep(arguments)) => return sweep::main(&arguments),
        Ok(LoadCommand::Compare(arguments)) => compare::run(&arguments).map(|()| ExitCode::SUCCESS),
        Ok(LoadCommand::Merge(arguments)) => merge::run(&arguments).map(|()| ExitCode::SUCCESS),
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
    for note in load.notes() {
        terminal::err(format_args!("uringload: {note}"));
    }
    let mut report = LoadReport {
        schema: SCHEMA.to_owned(),
        label: options.label.clone(),
        url: load.url().to_string(),
        load: options.describe(),
        engine: decision.kind.name().to_owned(),
        runs: Vec::new(),
        limit: None,
    };
    if !load.await_start() {
        terminal::err("uringload: interrupted before the time of --start-at: nothing was measured");
        return Ok(ExitCode::from(EXIT_INTERRUPTED));
    }
    if options.find_limit {
        find_limit(options, &load, &mut report)?;
    } else {
        for run in options.runs() {
            let outcome = make_run(options, &load, &run)?;
            if options.prints_figures() {
                files::print(&format!(
                    "{}\n",
                    show::figures(&outcome.run, decision.kind.name(), options.ab)
                ))?;
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
    }
    write_reports(options, &report)?;
    Ok(exit_code(options, &report))
}

/// Makes one run under a progress line.
fn make_run(
    options: &LoadOptions,
    load: &Runner<'_>,
    run: &RunSettings,
) -> Result<RunOutcome, Failure> {
    let mut live = show::Live::new(options, run);
    let outcome = load.run(run, |progress| live.show(progress))?;
    live.end();
    Ok(outcome)
}

/// Searches the highest rate that holds the objective; the runs are added to the report.
fn find_limit(
    options: &LoadOptions,
    load: &Runner<'_>,
    report: &mut LoadReport,
) -> Result<(), Failure> {
    let (objective, start) = options.search().expect("--find-limit requires an objective");
    let connections = options.connections[0].get();
    let mut search = LimitSearch::new(start, RATE_MAX);
    let bracket = loop {
        let rate = match search.step() {
            SearchStep::Try(rate) => rate,
            SearchStep::Done(bracket) => break bracket,
        };
        let settings = RunSettings { connections, rate: Some(rate) };
        let run = make_run(options, load, &settings)?.run;
        if options.prints_figures() {
            files::print(&format!("{}\n", show::search_step(rate, &objective, &run)))?;
        }
        search.record(rate, objective.judge(&run).is_ok(), run.client_was_the_limit);
        let interrupted = run.interrupted;
        report.runs.push(run);
        if interrupted {
            return Ok(());
        }
    };
    let limit = bracket.describe(&objective);
    if options.prints_figures() {
        files::print(&format!("{}\n", show::search_result(&limit, report.runs.len())))?;
    }
    report.limit = Some(limit);
    Ok(())
}

fn write_reports(options: &LoadOptions, report: &LoadReport) -> Result<(), Failure> {
    if let Some(path) = &options.json {
        files::write(path, &files::json(report))?;
    }
    if let Some(path) = &options.csv {
        files::write(path, &files::csv(report))?;
    }
    if let Some(path) = &options.svg {
        files::write(path, &chart::load(report))?;
    }
    Ok(())
}

/// The exit status; the runs of a search may fail, its result must not.
fn exit_code(options: &LoadOptions, report: &LoadReport) -> ExitCode {
    let held = report.runs.iter().all(|run| !run.rate_missed) || options.allow_missed_rate;
    let is_clean = match &report.limit {
        Some(limit) => limit.confirmed,
        None => held && report.runs.iter().all(Run::is_clean),
    };
    if report.runs.iter().any(|run| run.interrupted) {
        ExitCode::from(EXIT_INTERRUPTED)
    } else if is_clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
