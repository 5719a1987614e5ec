//! The server program: parses its command line, starts the server, runs it, and reports its totals.

#![forbid(unsafe_code)]

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{IsTerminal, Write};
use std::panic;
use std::process::ExitCode;
use uringstatic::cli::{self, ServerCommand};
use uringstatic::doctor::{self, MachineFacts, Severity};
use uringstatic::error::Failure;
use uringstatic::healthcheck::{self, HealthCheckOptions};
use uringstatic::image::{self, ImageRequest};
use uringstatic::os::memory::MemoryRoom;
use uringstatic::os::process;
use uringstatic::os::signal;
use uringstatic::os::terminal;
use uringstatic::server::Turn;
use uringstatic::service::{self, auxiliary, loader};
use uringstatic::site::build;
use uringstatic::start::engine::decide_by_default;
use uringstatic::start::settings::StartSettings;
use uringstatic::start::{Started, become_reader, report_sandbox, start};

fn main() -> ExitCode {
    panic::set_hook(Box::new(report_panic));
    let settings = match cli::parse(std::env::args_os()) {
        Ok(ServerCommand::Serve(settings)) if !settings.single_process => {
            return supervise(&settings);
        }
        Ok(ServerCommand::Serve(settings)) => settings,
        Ok(ServerCommand::Load(settings, spec)) => return loader::run(&settings, &spec).into(),
        Ok(ServerCommand::Assist(settings, spec)) => {
            return auxiliary::run(&settings, &spec).into();
        }
        Ok(ServerCommand::Doctor(options)) => return examine(&options),
        Ok(ServerCommand::Check(options)) => return check(&options),
        Ok(ServerCommand::Lockdown(options)) => return list_lockdown(&options),
        Ok(ServerCommand::Image(request)) => return make_image(&request),
        Ok(ServerCommand::HealthCheck(options)) => return check_health(&options),
        Ok(ServerCommand::Print(text)) => return print(&text),
        // clap colours the message for a terminal.
        Err(error) if !error.use_stderr() || std::io::stderr().is_terminal() => error.exit(),
        Err(error) => {
            terminal::err(error.render().to_string().trim_end());
            return ExitCode::from(EXIT_USAGE);
        }
    };
    serve(&settings)
}

/// Serves by workers, under the supervision of this process.
fn supervise(settings: &StartSettings) -> ExitCode {
    match service::run(settings, std::env::args_os().collect()) {
        Ok(code) => code.into(),
        Err(failure) => fail(&failure),
    }
}

/// Serves from this process.
fn serve(settings: &StartSettings) -> ExitCode {
    let Started { mut server, lockdown, .. } = match start(settings) {
        Ok(started) => started,
        Err(failure) => return fail(&failure),
    };
    let code = loop {
        match server.turn() {
            Ok(Turn::Goes) => report_unheeded(server.take_unheeded_signal()),
            Ok(turn) => break exit_code(turn),
            Err(errno) => {
                terminal::err(format_args!(
                    "uringstatic: waiting for the engine: {errno} (errno {})",
                    errno.0
                ));
                break 1;
            }
        }
    };
    // The server no longer reads its signalfd, so the next signal must end the process by default.
    signal::unblock_signals();
    if !settings.quiet {
        terminal::err(format_args!("uringstatic: served {}", server.stats()));
    }
    if lockdown.is_on() {
        // The sandbox permits no orderly teardown; the kernel closes everything at exit.
        process::end(code);
    }
    ExitCode::from(code)
}

/// Says that a signal had no effect on a process that has no supervisor.
fn report_unheeded(signal: Option<u32>) {
    if let Some(signal) = signal {
        terminal::err(format_args!(
            "uringstatic: signal {signal} has no effect: --single-process can't reload; SIGTERM \
             ends it, and a new start serves what has changed"
        ));
    }
}

/// Lists the responses of a folder; a problem is a failure, and so is anything that is left out.
fn check(options: &cli::CheckOptions) -> ExitCode {
    if let Err(failure) = become_reader(&options.account) {
        return fail(&failure);
    }
    let mut request = build::BuildRequest::new(&options.root, &options.options, &[], 1);
    request.progress = std::io::stderr().is_terminal();
    request.memory = MemoryRoom::at_present();
    let report = match build::check::check(&request) {
        Ok(report) => report,
        Err(failure) => return fail(&failure),
    };
    let text = if options.json { report.to_json() } else { report.to_text() };
    print_verdict(&text, report.is_complete())
}

/// Enters the sandbox and lists its layers; a missing or incomplete layer is a failure.
fn list_lockdown(options: &cli::LockdownArgs) -> ExitCode {
    let report = match report_sandbox(options.engine, &options.options, &options.without) {
        Ok(report) => report,
        Err(failure) => return fail(&failure),
    };
    let text = if options.json { report.to_json() } else { report.to_text() };
    print_verdict(&text, report.is_complete())
}

/// Makes a container image; reports each file of the folder that isn't in it.
fn make_image(request: &ImageRequest) -> ExitCode {
    let made = match image::make(request) {
        Ok(made) => made,
        Err(failure) => return fail(&failure),
    };
    for line in made.left_out {
        terminal::err(format_args!("uringstatic: left out {line}"));
    }
    terminal::err(format_args!("uringstatic: {}", made.summary));
    ExitCode::SUCCESS
}

/// Asks a service by the addresses of its command line.
fn check_health(options: &HealthCheckOptions) -> ExitCode {
    let words = match healthcheck::command_line(options.pid) {
        Ok(words) => words,
        Err(failure) => return fail(&failure),
    };
    let asked = match cli::parse(words) {
        Ok(ServerCommand::Serve(settings)) => healthcheck::ask(&settings, options.timeout),
        _ => Err(Failure::new(
            format!("reading the command line of process {}", options.pid),
            "it isn't that of a service",
            "--pid names the process of the service",
        )),
    };
    match asked {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure),
    }
}

/// Prints the doctor's findings; a fault is a failure.
fn examine(options: &cli::DoctorArgs) -> ExitCode {
    let workload = options.workload();
    let auto = decide_by_default().map_err(|failure| failure.to_string());
    let sandbox = || {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        doctor::enter_sandbox(&program, workload.engine)
    };
    let report = doctor::examine(&workload, &MachineFacts::gather(&workload, auto, sandbox));
    // https://no-color.org
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colour = !plain && std::io::stdout().is_terminal();
    let text = if options.json { report.to_json() } else { report.to_text(colour) };
    print_verdict(&text, report.status != Severity::Fault)
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

fn fail(failure: &Failure) -> ExitCode {
    terminal::err(format_args!("uringstatic: {failure}"));
    ExitCode::FAILURE
}

/// Prints a report, whose outcome is the exit status.
fn print_verdict(text: &str, is_success: bool) -> ExitCode {
    match print(text.as_bytes()) {
        printed if is_success => printed,
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

/// The exit status of clap's own errors, too.
const EXIT_USAGE: u8 = 2;

fn exit_code(turn: Turn) -> u8 {
    match turn {
        Turn::Goes | Turn::Drained => 0,
        // The exit status that a shell reports for a process ended by a signal.
        Turn::Forced { signal } => 128u8.saturating_add(u8::try_from(signal).unwrap_or(0)),
    }
}
