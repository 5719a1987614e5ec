//! The processes of the supervisor as the kernel knows them: loaders with their channels, workers
//! with their places in the scoreboard, and how they are started, signalled and found to have
//! ended.

use super::board_layout::Place;
use super::messages::{ForkRequest, LoaderReport, LoaderRequest, LoaderSpec, next_report};
use super::scoreboard::Scoreboard;
use super::supervisor::WorkerId;
use crate::engine::kernel::EngineKind;
use crate::os::channel::Channel;
use crate::os::children::start_heir;
use crate::os::net::Listener;
use crate::os::poll::wait_readable;
use crate::os::privileges::Account;
use crate::os::reaping::{ProcessEnd, is_child, signal_child};
use crate::os::service_manager;
use crate::sandbox::SupervisorTasks;
use crate::start::settings::StartSettings;
use crate::telemetry::log_memory::LogMemory;
use std::ffi::OsString;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A loader.
pub(super) struct LoaderProcess {
    pub(super) generation: u32,
    /// Its process ID.
    pub(super) process: u32,
    /// Closed when it isn't needed any more.
    pub(super) channel: Option<Channel>,
    /// The content that it has read, in words.
    pub(super) what: Option<String>,
    /// Why it gave up.
    pub(super) failure: Option<String>,
}

/// A worker, from the request to fork it until the kernel has closed its sockets.
pub(super) struct WorkerProcess {
    pub(super) id: WorkerId,
    pub(super) place: Place,
    /// Its process ID, once it is known.
    pub(super) process: Option<u32>,
    /// The last signal that was due before its process was known.
    pub(super) due: Option<i32>,
    /// Readable when the kernel has closed its sockets.
    sockets: PipeReader,
    pub(super) end: Option<WorkerEnd>,
    pub(super) is_armed: bool,
    /// Whether it is killed because it hangs.
    pub(super) hangs: bool,
    /// Whether it is killed because it isn't needed.
    pub(super) is_abandoned: bool,
}

/// The end of a worker whose sockets the kernel may still be closing.
pub(super) struct WorkerEnd {
    at: Instant,
    connections: u32,
    /// When the descriptor that was held with the sockets was found closed.
    released: Option<Instant>,
}

impl WorkerEnd {
    pub(super) fn new(connections: u32) -> Self {
        Self { at: Instant::now(), connections, released: None }
    }
}

impl WorkerProcess {
    pub(super) fn new(id: WorkerId, place: Place) -> io::Result<(Self, OwnedFd)> {
        let (sockets, held) = io::pipe()?;
        let worker = Self {
            id,
            place,
            process: None,
            due: None,
            sockets,
            end: None,
            is_armed: false,
            hangs: false,
            is_abandoned: false,
        };
        Ok((worker, held.into()))
    }

    /// Sends a signal, or remembers it until the process is known.
    pub(super) fn signal(&mut self, signal: i32) {
        match self.process {
            _ if self.end.is_some() => {}
            // The supervisor may signal its own children whatever their user: it is that user, or
            // has CAP_KILL.
            Some(process) => drop(signal_child(process, signal)),
            None => self.due = Some(signal),
        }
    }

    /// Whether the process has ended and its sockets are closed.
    pub(super) fn is_gone(&mut self) -> bool {
        let Some(end) = &mut self.end else { return false };
        if end.released.is_none() {
            let is_released = wait_readable(self.sockets.as_fd(), Duration::ZERO).unwrap_or(false);
            if !is_released && end.at.elapsed() < SOCKETS_CLOSED_WITHIN {
                return false;
            }
            end.released = Some(Instant::now());
        }
        let settle = SETTLE_MIN + SETTLE_PER_CONNECTION * end.connections;
        end.released.is_some_and(|at| at.elapsed() >= settle)
    }
}

/// After the kernel has closed the last place of a ring's table of files, it closes the other ones
/// in one go, but in an order that differs between versions (measured: at once).
const SETTLE_MIN: Duration = Duration::from_millis(10);
const SETTLE_PER_CONNECTION: Duration = Duration::from_micros(10);
/// A ring outlives its process by some ten milliseconds. If this has passed, something else is
/// wrong, and the slots are needed.
const SOCKETS_CLOSED_WITHIN: Duration = Duration::from_secs(30);

impl LoaderProcess {
    /// Starts the program at `path` as a loader.
    pub(super) fn start(
        generation: u32,
        workers: u32,
        command: &LoaderCommand,
        (scoreboard, log): (&Scoreboard, Option<&LogMemory>),
        listeners: &[Listener],
        previous: Option<&PipeReader>,
    ) -> io::Result<Self> {
        let (channel, theirs) = Channel::pair()?;
        let mut inherits = vec![theirs.as_fd(), scoreboard.as_fd()];
        inherits.extend(listeners.iter().map(Listener::socket));
        inherits.extend(log.map(AsFd::as_fd));
        let numbers: Vec<i32> = inherits.iter().map(AsRawFd::as_raw_fd).collect();
        inherits.extend(previous.map(AsFd::as_fd));
        let passed = listeners.iter().filter(|listener| listener.is_passed());
        let spec = LoaderSpec {
            passed: passed.map(|listener| listener.socket().as_raw_fd()).collect(),
            previous: previous.map(AsRawFd::as_raw_fd),
            ..command.spec(&numbers, scoreboard.places_u32(), workers)
        };
        let process = start_heir(command.to_command(&spec), &inherits)?;
        let channel = Some(channel);
        Ok(Self { generation, process, channel, what: None, failure: None })
    }

    /// Asks for a worker, which will hold this descriptor.
    pub(super) fn request(&self, request: ForkRequest, held: &OwnedFd) -> io::Result<()> {
        let channel = self.channel.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        channel.send(&LoaderRequest::Fork(request).to_bytes(), Some(held.as_fd()))
    }

    /// Asks for the codings that were made of files, which the next generation reads from the pipe.
    /// Without them it makes all of them itself.
    pub(super) fn hand_over_codings(&self) -> Option<PipeReader> {
        let channel = self.channel.as_ref().filter(|_| self.what.is_some())?;
        let (reader, writer) = io::pipe().ok()?;
        let request = LoaderRequest::HandOverCodings;
        channel.send(&request.to_bytes(), Some(writer.as_fd())).ok()?;
        Some(reader)
    }

    /// The next report that has arrived.
    pub(super) fn next_report(&mut self) -> Option<LoaderReport> {
        next_report(&mut self.channel)
    }

    /// Ends it at once.
    pub(super) fn kill(&self) {
        let _ = signal_child(self.process, libc::SIGKILL);
    }

    /// Why it ended, for people.
    pub(super) fn explain(&self, end: ProcessEnd) -> String {
        match &self.failure {
            Some(failure) => failure.clone(),
            None => format!("the loader ended before it had read the content: {end}"),
        }
    }
}

/// How a loader is started: the program, the arguments that this process was started with, and what
/// this process has found out for it. Its environment is that of this process, which is empty in
/// the supervisor's sandbox, and whether a panic is reported with a backtrace.
pub(super) struct LoaderCommand {
    program: PathBuf,
    name: OsString,
    arguments: Vec<OsString>,
    backtrace: Option<OsString>,
    account: Option<Account>,
    user_name: Option<String>,
    engine: EngineKind,
}

impl LoaderCommand {
    /// The command of this program's command line, for loaders that become `account` and whose
    /// workers have engines of this kind.
    ///
    /// # Errors
    /// If `/proc/self/exe` can't be read.
    pub(super) fn of(
        mut words: Vec<OsString>,
        account: Option<Account>,
        engine: EngineKind,
    ) -> io::Result<Self> {
        let name = if words.is_empty() { OsString::new() } else { words.remove(0) };
        let program = program_path(Path::new(&name))?;
        let backtrace = std::env::var_os(BACKTRACE);
        let user_name = account.clone().unwrap_or_else(Account::current).name();
        Ok(Self { program, name, arguments: words, backtrace, account, user_name, engine })
    }

    /// What a supervisor does in its sandbox with this command and these listeners.
    pub(super) fn tasks<'a>(
        &'a self,
        listeners: &'a [Listener],
        settings: &'a StartSettings,
    ) -> SupervisorTasks<'a> {
        let becomes_other = self.account.is_some();
        let log = settings.log.file();
        SupervisorTasks { program: &self.program, becomes_other, listeners, log }
    }

    /// What a child inherits as these descriptors: the channel, the scoreboard, others.
    pub(super) fn spec(&self, numbers: &[i32], places: u32, workers: u32) -> LoaderSpec {
        LoaderSpec {
            supervisor: std::process::id(),
            channel: numbers[0],
            scoreboard: numbers[1],
            places,
            workers,
            engine: self.engine,
            account: self.account.clone(),
            user_name: self.user_name.clone(),
            listeners: numbers[2..].to_vec(),
            passed: Vec::new(),
            previous: None,
        }
    }

    fn to_command(&self, spec: &LoaderSpec) -> Command {
        self.with_option("--loader", &spec.to_text())
    }

    /// The command of an auxiliary process.
    pub(super) fn to_auxiliary(&self, spec: &str) -> Command {
        self.with_option("--auxiliary", spec)
    }

    /// This program with its own arguments, behind an option that makes it a child.
    fn with_option(&self, option: &str, value: &str) -> Command {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(&self.program);
        command.arg0(&self.name).arg(option).arg(value).args(&self.arguments);
        // Without a sandbox, the environment isn't empty.
        for variable in service_manager::VARIABLES {
            command.env_remove(variable);
        }
        command.envs(self.backtrace.iter().map(|value| (BACKTRACE, value)));
        command
    }

    /// The program's path.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }
}

/// The variable that makes a panic report its backtrace.
const BACKTRACE: &str = "RUST_BACKTRACE";

/// The path at which this program was started, so that a link or a file that is replaced there
/// leads to the new program. If it isn't known, the path of the file that is being run.
fn program_path(name: &Path) -> io::Result<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let current = std::env::current_exe()?;
    let identity = |path: &Path| path.metadata().map(|file| (file.dev(), file.ino())).ok();
    let candidates = if name.components().count() > 1 {
        vec![std::path::absolute(name)?]
    } else {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders).map(|folder| folder.join(name)).collect()
    };
    let is_current = |path: &&PathBuf| path.is_absolute() && identity(path) == identity(&current);
    Ok(candidates.iter().find(is_current).cloned().unwrap_or(current))
}

/// Whether a process that a loader names is a child, as every worker is.
pub(super) fn is_worker(process: u32, loaders: &[LoaderProcess]) -> bool {
    is_child(process) && loaders.iter().all(|loader| loader.process != process)
}
