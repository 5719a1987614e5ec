//! Command line: argv in, a checked [`Config`] out.
//!
//! Pure: no file is read, no address bound, no name looked up; whether a page exists or a kernel
//! has a feature is found out by who uses it. Of the engine, only the names of its features are
//! known here, so `--spawn` has no upper bound yet: that limit is the engine's.

#![forbid(unsafe_code)]

mod address;
pub(crate) mod generate;
pub mod load;
mod lockdown;
mod root;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use clap::builder::{OsStringValueParser, PossibleValue, StyledStr, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, ValueEnum};

use crate::engine::chosen::Chosen;
use crate::engine::kernel::KernelEngine;
use crate::http::host::{ALLOWED_HOSTS_MAX, AllowedHost};
use crate::http::{added_field, media_type};
use crate::site::build::RootOptions;
use crate::value_parsers;
pub use address::{Address, SocketOptions};
use generate::Generate;
pub use lockdown::{AccountOptions, Lockdown, LockdownMode, LockdownOptions};
pub use root::CheckOptions;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Serve until a signal says to stop.
    Serve(Box<Config>),
    /// Examine the machine.
    Doctor(Doctor),
    /// Say what would be served.
    Check(CheckOptions),
    /// Say what would be given up.
    Lockdown(Lockdown),
    /// Write these bytes (a manual page, a completion script) to stdout and exit.
    Print(Vec<u8>),
}

/// Reads a command line, of which the first argument is the program's own name.
///
/// # Errors
/// What is wrong and what mends it, or the text of `--help` and `--version`: clap's error knows
/// which stream it belongs on ([`clap::Error::print`]) and its exit code.
pub fn parse<I, T>(argv: I) -> Result<Command, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let argv: Vec<OsString> = argv.into_iter().map(Into::into).collect();
    // Nothing may stand before a subcommand.
    let usage = match argv.get(1) {
        Some(word) if word == DOCTOR => subcommand(DOCTOR).render_usage(),
        Some(word) if word == CHECK => subcommand(CHECK).render_usage(),
        Some(word) if word == LOCKDOWN => subcommand(LOCKDOWN).render_usage(),
        _ => Flags::command().render_usage(),
    };
    let flags =
        Flags::try_parse_from(argv).map_err(|error| with_usage(no_command(error), usage))?;
    if let Some(kind) = flags.generate {
        let subcommands =
            [(DOCTOR, "doctor options"), (CHECK, "check options"), (LOCKDOWN, "lockdown options")];
        return Ok(Command::Print(kind.render(Flags::command(), &subcommands)));
    }
    match flags.action {
        Some(Action::Doctor(doctor)) => return Ok(Command::Doctor(doctor)),
        Some(Action::Check(check)) => return Ok(Command::Check(check)),
        Some(Action::Lockdown(lockdown)) => return Ok(Command::Lockdown(lockdown)),
        None => {}
    }
    let mut config = flags.config;
    let addresses: Vec<_> = config.listen.iter().chain(&config.health_listen).cloned().collect();
    address::check_all(&addresses).map_err(refuse)?;
    config.socket.check(&addresses).map_err(refuse)?;
    added_field::check_all(&config.headers).map_err(refuse)?;
    if config.allowed_hosts.len() > ALLOWED_HOSTS_MAX {
        return Err(refuse(format!("--allowed-hosts may name {ALLOWED_HOSTS_MAX} hosts at most")));
    }
    let mut folder_options = config.root_options.clone();
    if config.health_listen.is_some() {
        folder_options.health = None;
    }
    if config.root.is_none() && folder_options != RootOptions::default() {
        return Err(refuse(NEEDS_ROOT.to_owned()));
    }
    config.without = Feature::once_each(&config.without);
    Ok(Command::Serve(Box::new(config)))
}

/// An error about options that are fine one by one and wrong together.
fn refuse(message: String) -> clap::Error {
    let mut command = Flags::command();
    let error = command.error(ErrorKind::ValueValidation, message);
    with_usage(error, command.render_usage())
}

/// A stray word is no command that we don't know but an argument too many, unless it's nearly the
/// name of one.
fn no_command(error: clap::Error) -> clap::Error {
    if error.kind() != ErrorKind::InvalidSubcommand
        || error.get(ContextKind::SuggestedSubcommand).is_some()
    {
        return error;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
        return error;
    };
    let message = format!("unexpected argument '{word}' found");
    Flags::command().error(ErrorKind::UnknownArgument, message)
}

/// clap leaves the usage out when only a value is wrong; who mistypes one wants it all the same.
fn with_usage(mut error: clap::Error, usage: StyledStr) -> clap::Error {
    if error.use_stderr() && error.get(ContextKind::Usage).is_none() {
        error.insert(ContextKind::Usage, ContextValue::StyledStr(usage));
    }
    error
}

/// The declaration of a subcommand's options, with its full name.
fn subcommand(name: &str) -> clap::Command {
    let mut command = Flags::command();
    command.build();
    command.find_subcommand(name).expect("it is declared").clone()
}

/// The whole declaration; the comments on options are their help texts.
#[derive(Parser)]
#[command(name = "uringstatic", version, about = ABOUT, long_about = None)]
#[command(max_term_width = 100, after_help = EXAMPLES)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
struct Flags {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    config: Config,

    /// Print a manual page or a shell's completion script, and exit
    #[arg(long, value_name = "KIND", exclusive = true)]
    generate: Option<Generate>,
}

/// What to do instead of serving.
#[derive(clap::Subcommand)]
enum Action {
    /// Say what of this machine stands in the way, why it matters and what mends it
    ///
    /// Looks at the kernel, its rings, limits and queues, and judges each as ok, a warning or a
    /// fault. It changes nothing. Exits with 1 if there is a fault.
    #[command(max_term_width = 100)]
    Doctor(Doctor),

    /// Say what of a folder would be served, and how
    ///
    /// Prints each path with its status, type, lengths, caching and tag, and every problem found.
    /// Exits with 1 if there is one.
    #[command(max_term_width = 100)]
    Check(CheckOptions),

    /// Say what the server gives up before it serves: users, files, operations, system calls
    ///
    /// Gives it up itself, as far as it can and still print, and lists each layer: whether it is in
    /// force on this machine, why, and what it lets through. Exits with 1 if a layer is missing or
    /// incomplete.
    #[command(max_term_width = 100)]
    Lockdown(Lockdown),
}

/// What the doctor can be told.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Doctor {
    /// Connections to be open at once
    #[arg(long, value_name = "N", default_value = "5000")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub spawn: u32,

    /// Connections to wait to be accepted
    #[arg(long, value_name = "N", default_value = "4096")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=BACKLOG_MAX))]
    pub backlog: u32,

    /// Look at what matters to a machine that makes load, too: ports, TIME-WAIT, SYN cookies,
    /// connection tracking, the CPUs' frequency
    #[arg(long)]
    pub load: bool,

    /// Print JSON (schema uringstatic-doctor/1)
    #[arg(long)]
    pub json: bool,
}

/// Everything the server can be told, each value within its bounds.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Config {
    /// Most connections open at once
    ///
    /// Everything they need is reserved at start. The next connection waits in the backlog until
    /// one ends; none is accepted and then thrown away.
    #[arg(long, value_name = "N", default_value = "5000")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub spawn: u32,

    /// Address to listen on; may be repeated
    ///
    /// An IPv4 address (`127.0.0.1:80`), an IPv6 address in brackets (`[::1]:80`) or a socket file
    /// (`unix:/run/web.sock`). Names are not looked up. Port 0 lets the kernel choose one.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:10001")]
    #[arg(value_parser = OsStringValueParser::new().try_map(address::parse))]
    pub listen: Vec<Address>,

    /// Address for health checks, which have slots of their own
    ///
    /// Nothing else is there than the path of --health, or /healthz if there is none: 200 while the
    /// server is well, 503 while it drains, also when --spawn connections hold all other slots.
    #[arg(long, value_name = "ADDR:PORT")]
    #[arg(value_parser = OsStringValueParser::new().try_map(address::parse))]
    pub health_listen: Option<Address>,

    /// Who may connect to socket files.
    #[command(flatten)]
    pub socket: SocketOptions,

    /// Serve this file instead of the built-in page; it is kept in memory
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub page: Option<PathBuf>,

    /// Serve this folder instead of one page
    ///
    /// All of it is read at start, and no file is opened after that. `uringstatic check DIR` says
    /// what will be served. The options below have a meaning with it only.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    #[arg(conflicts_with_all = ["page", "content_type", "status"])]
    pub root: Option<PathBuf>,

    /// How the folder is served.
    #[command(flatten)]
    pub root_options: RootOptions,

    /// Media type of the page, such as 'text/html; charset=utf-8' [default: by the file's name]
    #[arg(long, value_name = "TYPE", value_parser = media_type::parse)]
    pub content_type: Option<String>,

    /// Status code of the page, 200 to 599
    ///
    /// Codes whose responses have no content (204, 205, 304) or that answer a request for a range
    /// (206, 416) are refused.
    #[arg(long, value_name = "CODE", default_value = "200", value_parser = value_parsers::status)]
    pub status: u16,

    /// Header to send with the page, as 'Name: value'; may be repeated, up to 8 KiB in all
    ///
    /// Headers that the server sets itself, such as Content-Length and Date, are refused.
    #[arg(long = "header", value_name = "HEADER", value_parser = added_field::parse)]
    pub headers: Vec<(String, String)>,

    /// Host to answer for, as requests name it; may be repeated, or given as a list with commas
    /// [default: any]
    ///
    /// A request for another host gets 421 (Misdirected Request), which keeps out pages that reach
    /// the server by DNS rebinding. A host is a name, *.NAME for all names below it, an IPv4
    /// address or an IPv6 address in brackets; its port counts only if one is given. The path of
    /// --health is answered for any host.
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub allowed_hosts: Vec<AllowedHost>,

    /// Most connections that wait to be accepted, for each address; the kernel's
    /// net.core.somaxconn may lower it
    #[arg(long, value_name = "N", default_value = "4096")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=BACKLOG_MAX))]
    pub backlog: u32,

    /// Longest time for the head of a request to arrive whole
    ///
    /// Durations have a unit, as in 500ms, 10s or 1m30s, and end at one day.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = value_parsers::duration)]
    pub head_timeout: Duration,

    /// Longest time a connection is kept open between two requests
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = value_parsers::duration)]
    pub idle_timeout: Duration,

    /// Longest time for the body of a request, in all
    ///
    /// A request is answered when its head is complete. The body is dropped, so that the next
    /// request on the connection can be read.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = value_parsers::duration)]
    pub body_timeout: Duration,

    /// Longest time for a response without progress
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = value_parsers::duration)]
    pub send_timeout: Duration,

    /// Lowest rate at which a response must be taken, in bytes a second; 0 for any
    ///
    /// It is averaged over the time that the socket is full, after a grace of 5 seconds. A sum of
    /// bytes taken faster than that counts in advance, for up to --send-timeout.
    #[arg(long, value_name = "BYTES", default_value = "240", value_parser = value_parsers::rate)]
    pub min_rate: u32,

    /// Longest time that responses under way may take to finish once a signal says to stop
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = value_parsers::duration)]
    pub drain_timeout: Duration,

    /// Longest head of a request, from 1k to 64k; a longer one is refused
    ///
    /// A plain number counts bytes; k and m (or KiB and MiB) count 1024 and 1024 * 1024 of them.
    #[arg(long = "max-head", value_name = "SIZE", default_value = "16k")]
    #[arg(value_parser = value_parsers::head_bytes)]
    pub head_bytes_max: u32,

    /// Run on this CPU only, counted from 0 [default: where the kernel likes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=CPU_MAX))]
    pub cpu: Option<u32>,

    /// What is given up before it serves.
    #[command(flatten)]
    pub lockdown: LockdownOptions,

    /// Print nothing but errors
    #[arg(long)]
    pub quiet: bool,

    /// Do without a feature of the kernel, as on one that lacks it; may be repeated
    #[arg(long, value_name = "FEATURE", value_enum, hide = true)]
    pub without: Vec<Feature>,
}

/// A feature of the kernel that the server can do without, so that each fallback can be tested on
/// a kernel that has them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feature {
    /// One of the engine's, by its name ([`KernelEngine::FEATURES`])
    Engine(&'static str),
    /// `TCP_DEFER_ACCEPT`; the fallback is a listener without it
    DeferAccept,
    /// `openat2(2)`; the fallback is an `openat` for each component of a path
    Openat2,
    /// The lockdown's layers, each by itself; the fallback is the others
    Listeners,
    /// Giving up root and capabilities
    Privileges,
    /// Landlock
    Landlock,
    /// Restrictions of the ring
    Ring,
    /// Closing what was inherited
    Descriptors,
    /// Clearing the environment
    Environment,
    /// The filter of system calls
    Seccomp,
}

impl Feature {
    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Engine(name) => name,
            Self::DeferAccept => "defer-accept",
            Self::Openat2 => "openat2",
            Self::Listeners => "listeners",
            Self::Privileges => "privileges",
            Self::Landlock => "landlock",
            Self::Ring => "ring",
            Self::Descriptors => "descriptors",
            Self::Environment => "environment",
            Self::Seccomp => "seccomp",
        }
    }

    /// Each feature of a list once, in the order of all.
    fn once_each(named: &[Self]) -> Vec<Self> {
        ALL_FEATURES.iter().filter(|feature| named.contains(feature)).copied().collect()
    }
}

impl ValueEnum for Feature {
    fn value_variants<'a>() -> &'a [Self] {
        &ALL_FEATURES
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

static ALL_FEATURES: LazyLock<Vec<Feature>> = LazyLock::new(|| {
    let of_engine = Chosen::FEATURES.iter().map(|name| Feature::Engine(name));
    let others = [
        Feature::DeferAccept,
        Feature::Openat2,
        Feature::Listeners,
        Feature::Privileges,
        Feature::Landlock,
        Feature::Ring,
        Feature::Descriptors,
        Feature::Environment,
        Feature::Seccomp,
    ];
    of_engine.chain(others).collect()
});

/// The names of the subcommands.
const DOCTOR: &str = "doctor";
const CHECK: &str = "check";
const LOCKDOWN: &str = "lockdown";

/// The path of health checks, if none is named.
const HEALTH_PATH: &str = "/healthz";

impl Config {
    /// The path that answers health checks on an address of their own.
    #[must_use]
    pub fn health_path(&self) -> &str {
        self.root_options.health.as_deref().unwrap_or(HEALTH_PATH)
    }
}

const NEEDS_ROOT: &str = "--compress, --clean-urls, --spa, --health, --strict, --site-bytes and \
                          --site-files are about a folder: name it with --root DIR";

/// listen(2) takes an int.
const BACKLOG_MAX: i64 = i32::MAX as i64;

/// The highest CPU that a `cpu_set_t` can name.
const CPU_MAX: i64 = 1023;

const ABOUT: &str = "Serve a page or a folder to anyone who asks, from one core, on io_uring";

const EXAMPLES: &str = "\
Examples:
  Serve the built-in page to up to 5000 connections at once:
    uringstatic --spawn 5000

  Put a site up:
    uringstatic --root public --listen 0.0.0.0:80 --listen '[::]:80'

  Put a maintenance page in front of everyone:
    uringstatic --page down.html --status 503 --header 'Retry-After: 600'

  Serve a reverse proxy on the same machine through a socket file:
    uringstatic --listen unix:/run/uringstatic.sock

  Find out what stands in the way of 20000 connections:
    uringstatic doctor --spawn 20000";
