//! The program: reads its options, prepares everything, serves, and says how it went.

#![forbid(unsafe_code)]

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{IsTerminal, Write};
use std::panic;
use std::process::ExitCode;
use uringstatic::cli::{self, Command};
use uringstatic::doctor::{self, Facts, Purpose, Status};
use uringstatic::error::Failure;
use uringstatic::os::process;
use uringstatic::os::signal;
use uringstatic::os::terminal;
use uringstatic::server::Turn;
use uringstatic::site::build;
use uringstatic::start::{Started, become_reader, report_sandbox, start};

fn main() -> ExitCode {
    panic::set_hook(Box::new(report_panic));
    let config = match cli::parse(std::env::args_os()) {
        Ok(Command::Serve(config)) => config,
        Ok(Command::Doctor(options)) => return examine(&options),
        Ok(Command::Check(options)) => return check(&options),
        Ok(Command::Lockdown(options)) => return list_lockdown(&options),
        Ok(Command::Print(text)) => return print(&text),
        // In colour, for a person who is there to read it.
        Err(error) if !error.use_stderr() || std::io::stderr().is_terminal() => error.exit(),
        Err(error) => {
            terminal::err(error.render().to_string().trim_end());
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let Started { mut server, lockdown } = match start(&config) {
        Ok(started) => started,
        Err(failure) => return fail(&failure),
    };
    let code = loop {
        match server.turn() {
            Ok(Turn::Goes) => {}
            Ok(turn) => break exit_code(turn),
            Err(errno) => {
                terminal::err(format_args!(
                    "uringstatic: waiting on the ring: {errno} (errno {})",
                    errno.0
                ));
                break 1;
            }
        }
    };
    // Nobody reads them from here on, so the next one has to end the process by itself.
    signal::unblock_signals();
    if !config.quiet {
        terminal::err(format_args!("uringstatic: served {}", server.stats()));
    }
    if lockdown.is_on() {
        // It may not close what it has any more; the kernel does that for who is gone.
        process::end(code);
    }
    ExitCode::from(code)
}

/// Prints what of a folder would be served; a problem is a failure.
fn check(options: &cli::CheckOptions) -> ExitCode {
    if let Err(failure) = become_reader(&options.account) {
        return fail(&failure);
    }
    let mut request = build::BuildRequest::new(&options.root, &options.options, &[], 1);
    request.progress = std::io::stderr().is_terminal();
    let report = match build::check::check(&request) {
        Ok(report) => report,
        Err(failure) => return fail(&failure),
    };
    let text = if options.json { report.to_json() } else { report.to_text() };
    print_verdict(&text, report.problems.is_empty())
}

/// Prints what is given up on this machine, having given it up; a missing layer is a failure.
fn list_lockdown(options: &cli::Lockdown) -> ExitCode {
    let report = match report_sandbox(&options.options, &options.without) {
        Ok(report) => report,
        Err(failure) => return fail(&failure),
    };
    let text = if options.json { report.to_json() } else { report.to_text() };
    print_verdict(&text, report.is_complete())
}

/// Prints what the doctor finds; a fault is a failure.
fn examine(options: &cli::Doctor) -> ExitCode {
    let cli::Doctor { spawn, backlog, load, json } = *options;
    let purpose = Purpose { spawn, backlog, load };
    let report = doctor::examine(&purpose, &Facts::gather(&purpose));
    // https://no-color.org
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colour = !plain && std::io::stdout().is_terminal();
    let text = if json { report.to_json() } else { report.to_text(colour) };
    print_verdict(&text, report.status != Status::Fault)
}

/// Reports a panic, after which the process aborts (`panic = "abort"` in Cargo.toml). The standard
/// library's hook would wait for a stalled reader of standard error.
fn report_panic(info: &panic::PanicHookInfo<'_>) {
    let trace = Backtrace::capture();
    match trace.status() {
        BacktraceStatus::Captured => terminal::err(format_args!("uringstatic: {info}\n{trace}")),
        _ => terminal::err(format_args!("uringstatic: {info}")),
    }
}

/// Says why it couldn't be done.
fn fail(failure: &Failure) -> ExitCode {
    terminal::err(format_args!("uringstatic: {failure}"));
    ExitCode::FAILURE
}

/// Prints what was found, which is a failure unless it is good.
fn print_verdict(text: &str, is_good: bool) -> ExitCode {
    match print(text.as_bytes()) {
        printed if is_good => printed,
        _ => ExitCode::FAILURE,
    }
}

fn print(text: &[u8]) -> ExitCode {
    match std::io::stdout().write_all(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::err(format_args!("uringstatic: writing to standard output: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// What clap exits with, too.
const EXIT_USAGE: u8 = 2;

fn exit_code(turn: Turn) -> u8 {
    match turn {
        Turn::Goes | Turn::Drained => 0,
        // As a shell reports a process that a signal ended.
        Turn::Forced { signal } => 128u8.saturating_add(u8::try_from(signal).unwrap_or(0)),
    }
}
