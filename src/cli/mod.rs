//! Command lines: argv in, the settings of the rooms out. [`parse`] reads that of `uringstatic`,
//! [`load::parse`] that of `uringload`.
//!
//! Each setting's type, help text and default are declared in the room that it configures; this
//! room adds the subcommands, the usage errors and the generated texts. Parsing is pure: no file is
//! read, no socket bound, no name resolved.

#![forbid(unsafe_code)]

pub(crate) mod generate;
mod image;
pub mod load;
mod root;
#[cfg(test)]
mod tests;

use crate::doctor::Workload;
use crate::engine::chosen::EngineChoice;
use crate::healthcheck::HealthCheckOptions;
use crate::image::ImageRequest;
use crate::image::options::ImageOptions;
use crate::sandbox::options::LockdownOptions;
use crate::service::auxiliary::AuxiliarySpec;
use crate::service::messages::LoaderSpec;
use crate::start::feature::Feature;
use crate::start::settings::StartSettings;
use crate::start::workers::WorkerCount;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};
use generate::{Generate, ManSection};
pub use root::CheckOptions;
use std::ffi::OsString;

/// The request of a command line of `uringstatic`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerCommand {
    /// Serve until a signal ends the process.
    Serve(Box<StartSettings>),
    /// Read the content and fork workers for the supervisor that started this process.
    Load(Box<StartSettings>, LoaderSpec),
    /// Be an auxiliary process of the supervisor that started this process.
    Assist(Box<StartSettings>, AuxiliarySpec),
    /// Check the machine.
    Doctor(DoctorArgs),
    /// List the responses of a folder.
    Check(CheckOptions),
    /// List what the sandbox takes away.
    Lockdown(LockdownArgs),
    /// Make a container image.
    Image(Box<ImageRequest>),
    /// Ask a running service whether it is healthy.
    HealthCheck(HealthCheckOptions),
    /// Write these bytes (a manual page, a completion script) to stdout and exit.
    Print(Vec<u8>),
}

/// Parses a command line, whose first word is the program's name.
///
/// # Errors
/// A usage error with its remedy, or the text of `--help` or `--version`: [`clap::Error::print`]
/// writes it to the right stream, and [`clap::Error::exit_code`] is the exit status.
pub fn parse<I, T>(argv: I) -> Result<ServerCommand, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let argv: Vec<OsString> = argv.into_iter().map(Into::into).collect();
    // No option may precede a subcommand.
    let usage = match argv.get(1) {
        Some(word) if word == DOCTOR => subcommand(DOCTOR).render_usage(),
        Some(word) if word == CHECK => subcommand(CHECK).render_usage(),
        Some(word) if word == LOCKDOWN => subcommand(LOCKDOWN).render_usage(),
        Some(word) if word == IMAGE => subcommand(IMAGE).render_usage(),
        Some(word) if word == HEALTHCHECK => subcommand(HEALTHCHECK).render_usage(),
        _ => ServerCommandLine::command().render_usage(),
    };
    let line = ServerCommandLine::try_parse_from(argv)
        .map_err(|error| with_usage(unexpected_argument(error), usage))?;
    if let Some(kind) = line.generate {
        let subcommands = [
            (DOCTOR, "doctor options"),
            (CHECK, "check options"),
            (LOCKDOWN, "lockdown options"),
            (IMAGE, "image options"),
            (HEALTHCHECK, "healthcheck options"),
        ];
        let text = kind.render(ServerCommandLine::command(), &subcommands, &MAN_SECTIONS);
        return Ok(ServerCommand::Print(text));
    }
    match line.action {
        Some(Action::Doctor(doctor)) => Ok(ServerCommand::Doctor(doctor)),
        Some(Action::Check(check)) => Ok(ServerCommand::Check(check)),
        Some(Action::Lockdown(lockdown)) => Ok(ServerCommand::Lockdown(lockdown)),
        Some(Action::Image(options)) => image::request(options).map(ServerCommand::Image),
        Some(Action::HealthCheck(options)) => Ok(ServerCommand::HealthCheck(options)),
        None => {
            let settings = line.settings.checked().map_err(usage_error)?;
            let settings = Box::new(settings);
            Ok(match (line.loader, line.auxiliary) {
                (Some(spec), _) => ServerCommand::Load(settings, spec),
                (None, Some(spec)) => ServerCommand::Assist(settings, spec),
                (None, None) => ServerCommand::Serve(settings),
            })
        }
    }
}

/// An error about options that are valid by themselves and exclude each other.
fn usage_error(message: String) -> clap::Error {
    let mut command = ServerCommandLine::command();
    let error = command.error(ErrorKind::ValueValidation, message);
    with_usage(error, command.render_usage())
}

/// Turns clap's "unrecognized subcommand" into "unexpected argument", as in `uringstatic a.html`,
/// unless the word resembles a subcommand.
fn unexpected_argument(error: clap::Error) -> clap::Error {
    if error.kind() != ErrorKind::InvalidSubcommand
        || error.get(ContextKind::SuggestedSubcommand).is_some()
    {
        return error;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
        return error;
    };
    let message = format!("unexpected argument '{word}' found");
    ServerCommandLine::command().error(ErrorKind::UnknownArgument, message)
}

/// Adds the usage, which clap omits if only a value is wrong.
fn with_usage(mut error: clap::Error, usage: StyledStr) -> clap::Error {
    if error.use_stderr() && error.get(ContextKind::Usage).is_none() {
        error.insert(ContextKind::Usage, ContextValue::StyledStr(usage));
    }
    error
}

/// The declaration of a subcommand, with the full command as its name.
fn subcommand(name: &str) -> clap::Command {
    let mut command = ServerCommandLine::command();
    command.build();
    command.find_subcommand(name).expect("the subcommand is declared").clone()
}

/// The declaration of `uringstatic`; the comments on variants and fields are help texts.
#[derive(Parser)]
#[command(name = "uringstatic", version, about = ABOUT, long_about = None)]
#[command(max_term_width = 100, after_help = EXAMPLES)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
struct ServerCommandLine {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    settings: StartSettings,

    /// Be the loader of the supervisor that started this process
    #[arg(long, value_name = "SPEC", value_parser = LoaderSpec::parse, hide = true)]
    loader: Option<LoaderSpec>,

    /// Be an auxiliary process of the supervisor that started this process
    #[arg(long, value_name = "SPEC", value_parser = AuxiliarySpec::parse, hide = true)]
    auxiliary: Option<AuxiliarySpec>,

    /// Print the manual page or a shell's completion script, and exit
    #[arg(long, value_name = "KIND", exclusive = true)]
    generate: Option<Generate>,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Check this machine: what limits the server, why that matters, and how to fix it
    ///
    /// Examines the kernel, the engines that it permits, limits and queues, and rates each finding
    /// as ok, a warning or a fault. Changes nothing. Exits with 1 if there is a fault.
    #[command(max_term_width = 100)]
    Doctor(DoctorArgs),

    /// List the responses of a folder
    ///
    /// Prints each path with its status, type, lengths, caching and entity tag, and every problem.
    /// Exits with 1 if there is a problem.
    #[command(max_term_width = 100)]
    Check(CheckOptions),

    /// List what the sandbox takes away: users, files, operations, system calls
    ///
    /// Applies the sandboxes of supervisor, loader and worker to itself, as far as it can and still
    /// print, and lists for each layer whether it is in force on this machine, why, and what it
    /// permits or refuses. Exits with 1 if a layer is missing or incomplete.
    #[command(max_term_width = 100)]
    Lockdown(LockdownArgs),

    /// Make a container image of this program and a site, without a container engine
    ///
    /// Writes an archive that `docker load`, `podman load` and skopeo read: scratch, the program
    /// without shared libraries, the folder, and the options that follow --. Its containers run as
    /// 65534 (nobody). The same input makes the same archive; `SOURCE_DATE_EPOCH` sets its time.
    #[command(max_term_width = 100)]
    Image(ImageOptions),

    /// Ask the service in this container whether it is healthy
    ///
    /// Takes the addresses and the path of health checks from the command line of the service. If
    /// it has none, any HTTP response will do. Exits with 1 if the service isn't healthy.
    #[command(name = "healthcheck", max_term_width = 100)]
    HealthCheck(HealthCheckOptions),
}

/// Arguments of `uringstatic doctor`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct DoctorArgs {
    /// The load that the machine is checked for.
    #[command(flatten)]
    pub workload: Workload,

    /// Processes that serve, or `auto`, as for the server
    #[arg(long, value_name = "N", default_value = "1", value_parser = WorkerCount::parse)]
    pub workers: WorkerCount,

    /// Print JSON (schema uringstatic-doctor/1)
    #[arg(long)]
    pub json: bool,
}

impl DoctorArgs {
    /// The workload with the number of workers; `auto` is that of this machine.
    #[must_use]
    pub fn workload(&self) -> Workload {
        let spawn = self.workload.spawn;
        Workload { workers: self.workers.count(spawn).min(spawn), ..self.workload }
    }
}

/// Arguments of `uringstatic lockdown`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct LockdownArgs {
    /// Print JSON (schema uringstatic-lockdown/2)
    #[arg(long)]
    pub json: bool,

    /// Kernel interface of the workers, as for the server
    #[arg(long, value_name = "ENGINE", value_enum, default_value = "auto")]
    pub engine: EngineChoice,

    /// The sandbox to list.
    #[command(flatten)]
    pub options: LockdownOptions,

    /// Disable a layer, as on a kernel that lacks it; may be repeated
    #[arg(long, value_name = "FEATURE", value_enum, hide = true)]
    pub without: Vec<Feature>,
}

const DOCTOR: &str = "doctor";
const CHECK: &str = "check";
const LOCKDOWN: &str = "lockdown";
const IMAGE: &str = "image";
const HEALTHCHECK: &str = "healthcheck";

const ABOUT: &str = "Serve a page or a folder over HTTP, from memory, on io_uring or epoll";

const MAN_SECTIONS: [ManSection; 3] = [
    ManSection {
        heading: "SIGNALS",
        introduction: "Signals are for the process that was started, the supervisor. Its children \
                       ignore SIGTERM, SIGINT, SIGHUP, SIGUSR1 and SIGUSR2; the supervisor \
                       gives its workers orders by SIGWINCH, SIGURG and SIGIO.",
        entries: &[
            (
                "SIGHUP",
                "Reload: read the folder or the page anew, and serve it with the program that is \
                 at its path by then. The old workers end when the new ones serve (see \
                 --reload-grace). If anything fails, they go on, and a message says why. During \
                 the drain and with --single-process, no effect but a message.",
            ),
            (
                "SIGTERM, SIGINT",
                "After --drain-delay, stop listening, finish responses in progress within \
                 --drain-timeout, and exit with 0. A second one ends the service at once.",
            ),
            ("SIGUSR1, SIGUSR2", "No effect but a message."),
        ],
    },
    ManSection {
        heading: "ENVIRONMENT",
        introduction: "A service manager such as systemd sets these; the service has no \
                       environment once it serves.",
        entries: &[
            (
                "LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES",
                "Listening sockets that take the place of addresses (socket activation, \
                 sd_listen_fds(3)): by the names http, http-ANYTHING, or the name of a socket \
                 unit, that of --listen ADDR; proxy or proxy-ANYTHING, of --listen ADDR,proxy; \
                 health, of --health-listen; admin, of --admin.",
            ),
            (
                "NOTIFY_SOCKET",
                "The socket to which the supervisor sends READY, RELOADING, STOPPING, STATUS and \
                 WATCHDOG (sd_notify(3)). Not with --single-process.",
            ),
            (
                "WATCHDOG_USEC, WATCHDOG_PID",
                "The time within which the manager expects signs of life. They are sent while \
                 every worker takes turns.",
            ),
        ],
    },
    ManSection {
        heading: "EXIT STATUS",
        introduction: "The supervisor, or the subcommand, exits with one of these:",
        entries: &[
            ("0", "The service drained, or the subcommand found nothing wrong."),
            (
                "1",
                "The service failed to start, or its workers crashed again and again, also those \
                 of a new generation. A subcommand found a fault, a problem or an incomplete \
                 layer.",
            ),
            ("2", "The command line is wrong."),
            ("128 + N", "A second signal, of number N, ended the service."),
        ],
    },
];

const EXAMPLES: &str = "\
Examples:
  Serve the built-in page to up to 5000 connections at once:
    uringstatic --spawn 5000

  Serve a site on all addresses:
    uringstatic --root public --listen 0.0.0.0:80 --listen '[::]:80'

  Serve it from all CPUs, and again after each change of the folder:
    uringstatic --root public --workers auto &
    kill -HUP $!

  Serve a maintenance page:
    uringstatic --page down.html --status 503 --header 'Retry-After: 600'

  Serve a reverse proxy on the same machine through a socket file:
    uringstatic --listen unix:/run/uringstatic.sock

  Check whether this machine can serve 20000 connections:
    uringstatic doctor --spawn 20000

  Make a container image of a site:
    uringstatic image --root public --output site.tar -- --spa";
