//! The auxiliary processes of a supervisor: their start, their replacement, their end.

use super::spec::{AuxiliaryRole, AuxiliarySpec};
use crate::error::Failure;
use crate::os::channel::Channel;
use crate::os::children::start_heir;
use crate::os::poll::wait_any_readable;
use crate::os::reaping::{ProcessEnd, signal_child};
use crate::os::terminal;
use crate::service::loader::DRAIN;
use crate::service::messages::{LoaderReport, next_report};
use crate::service::processes::LoaderCommand;
use crate::service::supervisor::{BACKOFF_MAX, BACKOFF_MIN};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// All auxiliary processes of a service.
pub(crate) struct Auxiliaries {
    /// The scoreboard, open for reading.
    scoreboard: File,
    places: u32,
    workers: u32,
    members: Vec<Auxiliary>,
    is_ending: bool,
}

/// One of them, also between the end of its process and the start of the next.
struct Auxiliary {
    role: AuxiliaryRole,
    /// What it inherits besides channel and scoreboard.
    descriptors: Vec<OwnedFd>,
    /// Unset while none runs.
    running: Option<Running>,
    /// When the next one is started.
    due: Instant,
    /// How long after its start a process that ends is replaced.
    pause: Duration,
}

struct Running {
    process: u32,
    /// Unset when the process has closed its end.
    channel: Option<Channel>,
    since: Instant,
    is_ready: bool,
    /// Why it gave up.
    failure: Option<String>,
}

impl Auxiliaries {
    /// None yet, on this scoreboard of so many places, for a service of so many workers.
    pub(crate) fn new(scoreboard: File, places: u32, workers: u32) -> Self {
        Self { scoreboard, places, workers, members: Vec::new(), is_ending: false }
    }

    /// Adds a process, which [`Auxiliaries::start`] starts.
    pub(crate) fn add(&mut self, role: AuxiliaryRole, descriptors: Vec<OwnedFd>) {
        let due = Instant::now();
        let pause = Duration::ZERO;
        self.members.push(Auxiliary { role, descriptors, running: None, due, pause });
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Starts all of them, and waits until they are locked down and ready.
    ///
    /// # Errors
    /// If one of them can't do its work.
    pub(crate) fn start(&mut self, command: &LoaderCommand) -> Result<(), Failure> {
        self.start_due(command);
        let started = Instant::now();
        while let Some(waiting) = self.members.iter().position(|member| !member.is_ready()) {
            let member = &self.members[waiting];
            let name = member.role.name();
            let failed = |why: &str| Failure::new(format!("starting the {name} process"), why, "");
            match &member.running {
                Some(Running { failure: Some(why), .. }) => return Err(failed(why)),
                Some(Running { channel: Some(_), .. }) => {}
                _ => return Err(failed("it ended before it was ready")),
            }
            let left = READY_WITHIN.checked_sub(started.elapsed());
            let Some(left) = left else { return Err(failed("it isn't ready in time")) };
            let channels: Vec<_> = self.channels().collect();
            let _ = wait_any_readable(&channels, Some(left));
            self.read_reports();
        }
        Ok(())
    }

    /// Descriptors that are readable when there is something for
    /// [`Auxiliaries::read_reports`].
    pub(crate) fn channels(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let running = self.members.iter().filter_map(|member| member.running.as_ref());
        running.filter_map(|it| it.channel.as_ref()).map(AsFd::as_fd)
    }

    /// The time until [`Auxiliaries::start_due`] has something to start.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let waiting = self.members.iter().filter(|it| it.running.is_none() && !self.is_ending);
        waiting.map(|it| it.due.saturating_duration_since(Instant::now())).min()
    }

    /// Takes what the processes report.
    pub(crate) fn read_reports(&mut self) {
        for running in self.members.iter_mut().filter_map(|member| member.running.as_mut()) {
            while let Some(report) = next_report(&mut running.channel) {
                match report {
                    LoaderReport::Loaded(_) => running.is_ready = true,
                    LoaderReport::Failed(why) => running.failure = Some(why),
                    LoaderReport::Forked { .. } | LoaderReport::NotForked { .. } => {}
                }
            }
        }
    }

    /// Starts the processes whose time has come.
    pub(crate) fn start_due(&mut self, command: &LoaderCommand) {
        if self.is_ending {
            return;
        }
        let now = Instant::now();
        let (scoreboard, counts) = (&self.scoreboard, (self.places, self.workers));
        for member in &mut self.members {
            if member.running.is_none()
                && member.due <= now
                && let Err(error) = member.start(command, scoreboard, counts)
            {
                let pause = member.retire();
                terminal::err(format_args!(
                    "uringstatic: starting the {} process: {error}; tried again in {} ms",
                    member.role.name(),
                    pause.as_millis()
                ));
            }
        }
    }

    /// Whether the process that was reaped was one of these; it will be replaced.
    pub(crate) fn ended(&mut self, process: u32, end: ProcessEnd) -> bool {
        self.read_reports();
        let is_it = |member: &Auxiliary| member.process() == Some(process);
        let Some(place) = self.members.iter().position(is_it) else { return false };
        let member = &mut self.members[place];
        let running = member.running.take().expect("it has the process");
        if self.is_ending {
            return true;
        }
        member.pause = if running.since.elapsed() >= PEACE { Duration::ZERO } else { member.pause };
        let pause = member.retire();
        let why = running.failure.unwrap_or_else(|| end.to_string());
        let after = match pause.as_millis() {
            0 => "at once".to_owned(),
            pause => format!("in {pause} ms"),
        };
        let name = member.role.name();
        terminal::err(format_args!(
            "uringstatic: the {name} process ended: {why}; it is replaced {after}"
        ));
        true
    }

    /// Sends a message with a descriptor to the process of a role.
    ///
    /// # Errors
    /// If there is no such process at present, or it doesn't receive.
    pub(crate) fn send(
        &self,
        role: AuxiliaryRole,
        bytes: &[u8],
        fd: Option<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        let member = self.members.iter().find(|member| member.role == role);
        let running = member.and_then(|member| member.running.as_ref());
        let channel = running.and_then(|running| running.channel.as_ref());
        channel.ok_or(io::ErrorKind::NotConnected)?.send(bytes, fd)
    }

    /// Has what the process of a role inherits replaced, for the processes that are started from
    /// now on.
    pub(crate) fn replace_descriptors(&mut self, role: AuxiliaryRole, descriptors: Vec<OwnedFd>) {
        if let Some(member) = self.members.iter_mut().find(|member| member.role == role) {
            member.descriptors = descriptors;
        }
    }

    /// Starts the process of a role at once, if none runs: it has work to finish.
    pub(crate) fn hurry(&mut self, role: AuxiliaryRole, command: &LoaderCommand) {
        let now = Instant::now();
        let waiting = self.members.iter_mut().filter(|member| member.role == role);
        waiting.for_each(|member| member.due = now);
        self.start_due(command);
    }

    /// Tells all processes to finish their work and end: a logger by the end of its channel, an
    /// admin process by a signal.
    pub(crate) fn begin_to_end(&mut self) {
        self.is_ending = true;
        for member in &mut self.members {
            let Some(running) = &mut member.running else { continue };
            running.channel = None;
            // A logger that was started a moment ago hasn't blocked the signal yet.
            if member.role == AuxiliaryRole::Admin {
                let _ = signal_child(running.process, DRAIN);
            }
        }
    }

    /// Whether no process is left.
    pub(crate) fn are_gone(&self) -> bool {
        self.members.iter().all(|member| member.running.is_none())
    }

    /// Ends all of them at once.
    pub(crate) fn kill(&mut self) {
        self.is_ending = true;
        for process in self.members.iter().filter_map(Auxiliary::process) {
            let _ = signal_child(process, libc::SIGKILL);
        }
    }
}

impl Auxiliary {
    fn process(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.process)
    }

    fn is_ready(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.is_ready)
    }

    fn start(
        &mut self,
        command: &LoaderCommand,
        scoreboard: &File,
        (places, workers): (u32, u32),
    ) -> io::Result<()> {
        let (channel, theirs) = Channel::pair()?;
        let mut heirlooms = vec![theirs.as_fd(), scoreboard.as_fd()];
        heirlooms.extend(self.descriptors.iter().map(AsFd::as_fd));
        let numbers: Vec<i32> = heirlooms.iter().map(AsRawFd::as_raw_fd).collect();
        let inherits = command.spec(&numbers, places, workers);
        let spec = AuxiliarySpec { role: self.role, inherits };
        let process = start_heir(command.to_auxiliary(&spec.to_text()), &heirlooms)?;
        self.running = Some(Running {
            process,
            channel: Some(channel),
            since: Instant::now(),
            is_ready: false,
            failure: None,
        });
        Ok(())
    }

    /// Sets when the next process is started, and returns the time until then. The pause doubles
    /// as long as processes don't last.
    fn retire(&mut self) -> Duration {
        let pause = self.pause;
        self.due = Instant::now() + pause;
        self.pause = (2 * pause).clamp(BACKOFF_MIN, BACKOFF_MAX);
        pause
    }
}

/// A process that has lasted so long is replaced at once.
const PEACE: Duration = Duration::from_secs(60);
/// Locking down takes some milliseconds; a machine may be busy.
const READY_WITHIN: Duration = Duration::from_secs(10);
