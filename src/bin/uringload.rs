//! The load client: reads its options, runs the load, says what came of it.

#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;
use uringstatic::load::cli::{self, Command, Options};
use uringstatic::load::report::{Report, SCHEMA};
use uringstatic::load::run::Load;
use uringstatic::load::{chart, files, show, sweep, worker};
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
            eprintln!("uringload: {failure}");
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
            show::say(&show::figures(&outcome.run, options));
        }
        if let Some(path) = &options.hgrm {
            let path = match options.connections.len() {
                1 => path.clone(),
                _ => files::numbered(path, connections.get()),
            };
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
