//! The server of a point: one that is started, awaited and stopped, or one that runs already, which
//! is only asked whether it answers.

use super::harness::{Harness, Point, Stop};
use super::probe::ProbeTarget;
use super::results::{Measurement, PointOutcome, ServerSettings};
use super::{config, usage};
use crate::os::children::{Orphan, Process, WaitOutcome};
use crate::os::poll::wait_readable;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::BorrowedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A server that is measured.
pub(super) struct MeasuredServer<'a> {
    settings: &'a ServerSettings,
    /// `None` if it ran before.
    process: Option<Process>,
    /// The process at the root of those that are measured, if it is known.
    root: Option<u32>,
    url: String,
}

impl<'a> MeasuredServer<'a> {
    /// Starts the server of a point with its output in a file, or finds the one that runs. The
    /// inner error is the reason why there is none.
    pub(super) fn begin(
        harness: &Harness<'_>,
        point: &Point<'a>,
        output: &Path,
    ) -> io::Result<Result<Self, String>> {
        let settings = point.server;
        if let Some(url) = settings.url.clone() {
            let root = settings.pid.as_ref().map(|pid| process_id(&harness.base, pid)).transpose();
            return Ok(root.map(|root| Self { settings, process: None, root, url }));
        }
        let port = free_port()?;
        let folder = harness.base.join(&settings.folder);
        if let Err(error) = fs::read_dir(&folder) {
            // Checked first, as ENOENT from the start would point to the program.
            return Ok(Err(format!("folder {}: {error}", folder.display())));
        }
        let output = File::create(output)?;
        let fill = |text: &String| config::fill(text, port, point.connections);
        let mut words = settings.command.iter().map(fill);
        let mut command = Command::new(words.next().expect("the settings have a program"));
        command
            .args(words)
            .envs(settings.environment.iter().map(|(name, value)| (name, fill(value))))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let url = format!("http://127.0.0.1:{port}{}", settings.path);
        Ok(match Process::start(command, settings.cpu, Orphan::Killed) {
            Ok(process) => {
                let root = Some(process.id());
                Ok(Self { settings, process: Some(process), root, url })
            }
            Err(error) => Err(format!("{}: {error}", settings.command[0])),
        })
    }

    /// The URL to request.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Waits until the server answers a request; returns the reason if it doesn't.
    pub(super) fn await_answer(
        &mut self,
        interrupts: BorrowedFd<'_>,
    ) -> Result<Option<String>, Stop> {
        // Only the load client can ask a server that isn't reached by http.
        let Some(target) = ProbeTarget::of(&self.url) else { return Ok(None) };
        let timeout = Duration::from_secs_f64(self.settings.start_timeout_seconds);
        let begun = Instant::now();
        let mut pause = Duration::ZERO;
        loop {
            if let Some(end) = self.await_end(pause, Some(interrupts))? {
                return Ok(Some(format!("ended with {end}")));
            }
            pause = START_PAUSE;
            let goes_on = || -> Result<bool, Stop> {
                let has_ended = self.await_end(Duration::ZERO, Some(interrupts))?.is_some();
                Ok(!has_ended && begun.elapsed() <= timeout)
            };
            if target.answers(goes_on)? {
                // If another program took the port first, the server has ended (EADDRINUSE).
                let end = self.await_end(Duration::ZERO, None)?;
                return Ok(end.map(|end| format!("ended with {end}")));
            }
            if begun.elapsed() > timeout {
                return Ok(Some(format!("no response within {} s", timeout.as_secs_f64())));
            }
            if self.process.is_none() {
                return Ok(Some(format!("no response from {}", self.url)));
            }
        }
    }

    /// Waits for this time; returns the status of the server, or the number of its process, if it
    /// has ended. A server without a known
    /// process never does.
    fn await_end(
        &mut self,
        time: Duration,
        interrupts: Option<BorrowedFd<'_>>,
    ) -> Result<Option<String>, Stop> {
        let Some(process) = &mut self.process else {
            if let Some(interrupts) = interrupts
                && matches!(wait_readable(interrupts, time), Ok(true))
            {
                return Err(Stop::Interrupted);
            }
            let is_gone = |id: u32| !Path::new("/proc").join(id.to_string()).exists();
            return Ok(self.root.filter(|&id| is_gone(id)).map(|id| format!("process {id}")));
        };
        match process.wait(time, interrupts)? {
            WaitOutcome::Ended(status) => Ok(Some(name(status))),
            WaitOutcome::Interrupted => Err(Stop::Interrupted),
            WaitOutcome::TimedOut => Ok(None),
        }
    }

    /// The end of a server that has ended under the load. A process is reaped by this, so that
    /// `/proc` has its usage until then.
    pub(super) fn end(&mut self) -> Result<Option<String>, Stop> {
        self.await_end(Duration::ZERO, None)
    }

    /// CPU time of its processes since their start; `None` if they aren't known.
    pub(super) fn cpu_ns(&self) -> Option<u64> {
        self.root.map(|root| usage::cpu_ns(Path::new("/proc"), root))
    }

    /// Sum of the peak resident memory of its processes; `None` if they aren't known.
    pub(super) fn memory_bytes(&self) -> Option<u64> {
        self.root.map(|root| usage::memory_bytes(Path::new("/proc"), root))
    }

    /// Stops the server, unless it ran before, and records its end: SIGTERM, then SIGKILL after its
    /// `stop_timeout`.
    pub(super) fn stop(
        mut self,
        harness: &Harness<'_>,
        measurement: &mut Measurement,
    ) -> Result<(), Stop> {
        let timeout = Duration::from_secs_f64(self.settings.stop_timeout_seconds);
        self.terminate();
        let Some(server) = &mut self.process else { return Ok(()) };
        match server.wait(timeout, Some(harness.interrupts))? {
            WaitOutcome::Ended(status) => {
                measurement.exit = Some(name(status));
                if !is_usual(status) && measurement.outcome == PointOutcome::Measured {
                    let note = format!("ended with {}", name(status));
                    measurement.set(PointOutcome::Measured, note);
                }
                return Ok(());
            }
            WaitOutcome::Interrupted => return Err(self.interrupted(harness.tell)),
            WaitOutcome::TimedOut => {}
        }
        server.kill_group();
        measurement.exit = Some("killed".to_owned());
        let note =
            format!("killed, as it did not end within {} s of SIGTERM", timeout.as_secs_f64());
        // Any earlier failure is more serious than this one.
        let outcome = match measurement.outcome {
            PointOutcome::Measured | PointOutcome::Killed => PointOutcome::Killed,
            outcome
            @ (PointOutcome::NotStarted | PointOutcome::Died | PointOutcome::LoadFailed) => outcome,
        };
        measurement.set(outcome, note);
        server.wait(KILL_TIMEOUT, None)?;
        Ok(())
    }

    /// Ends the server of an interrupted point: SIGTERM, and SIGKILL after [`HURRY`], when this is
    /// dropped.
    pub(super) fn interrupted(mut self, tell: &dyn Fn(&str)) -> Stop {
        self.terminate();
        if let Some(process) = &mut self.process {
            let name = &self.settings.name;
            tell(&format!("uringload: interrupted; waiting for the server {name:?} to end"));
            // An error leaves the server to SIGKILL, too.
            let _ = process.wait(HURRY, None);
        }
        Stop::Interrupted
    }

    fn terminate(&self) {
        match &self.process {
            Some(process) if self.settings.shell_stays => process.terminate_group(),
            Some(process) => process.terminate(),
            None => {}
        }
    }
}

/// The process of a server that runs already: its number, or a file that has it.
fn process_id(base: &Path, pid: &str) -> Result<u32, String> {
    let (text, of) = if pid.bytes().all(|byte| byte.is_ascii_digit()) {
        (pid.to_owned(), "pid".to_owned())
    } else {
        let path = base.join(pid);
        let text = fs::read_to_string(&path);
        let of = path.display().to_string();
        (text.map_err(|error| format!("pid: {of}: {error}"))?, format!("pid: {of}"))
    };
    let number = text.split_whitespace().next().unwrap_or_default();
    let id: u32 = number.parse().map_err(|_| format!("{of}: {number:?} is no process"))?;
    let stat = Path::new("/proc").join(id.to_string()).join("stat");
    // Without /proc, nothing is known about a process that runs.
    fs::read(&stat).map_err(|error| format!("{of}: {}: {error}", stat.display()))?;
    Ok(id)
}

/// A free port, a different one for each call: the previous server's port may still be in use, and
/// another sweep may be about to use its own. Ports are below Linux's default range of ephemeral
/// ports, of which the load client uses many.
fn free_port() -> io::Result<u16> {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let count = u32::from(PORTS.end - PORTS.start);
    // Concurrent sweeps start at different ports.
    let first = std::process::id().wrapping_mul(PORT_STRIDE);
    for _ in 0..count {
        let offset = first.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)) % count;
        let port = PORTS.start
            + u16::try_from(offset).expect("the offset is less than the number of ports");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::other(format!("no port from {} to {} is free", PORTS.start, PORTS.end - 1)))
}

/// Whether SIGTERM usually ends a program so. A shell passes on the signal of its command as a
/// status.
fn is_usual(status: ExitStatus) -> bool {
    status.signal() == Some(libc::SIGTERM)
        || status.code().is_some_and(|code| code == 0 || code == 128 + libc::SIGTERM)
}

/// The end of a process in words.
pub(super) fn name(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no status".to_owned(),
    }
}

const START_PAUSE: Duration = Duration::from_millis(20);
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a server to end by itself after an interruption, so that the sweep ends within a
/// second.
const HURRY: Duration = Duration::from_millis(500);
/// All have five digits, so that all requests have the same length.
const PORTS: std::ops::Range<u16> = 10_000..32_768;
/// A prime, so that consecutive process ids start far apart.
const PORT_STRIDE: u32 = 7919;
