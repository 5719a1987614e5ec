//! One point of a sweep: starts the server, loads it, measures its CPU time and memory, and stops
//! it. Independent of the storage of results.
//!
//! Failures of the server or of the load are part of the measurement. Only an interruption and
//! errors of the sweep itself end the sweep.

use super::results::{LoadSettings, Measurement, PointOutcome, ServerSettings, Settings};
use super::{config, usage};
use crate::error::Failure;
use crate::load::report::{LoadReport, Run, SCHEMA};
use crate::os::children::{Orphan, Process, WaitOutcome};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::BorrowedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// One server under one load with one number of connections, in one round.
#[derive(Clone, Copy, Debug)]
pub struct Point<'a> {
    /// The round, from 1.
    pub round: u32,
    /// The load on the server.
    pub load: &'a LoadSettings,
    /// The number of simultaneous connections.
    pub connections: u32,
    /// The server under load.
    pub server: &'a ServerSettings,
}

/// All points of a sweep in the order of measurement. Servers are the innermost loop, so that a
/// change on the machine during the sweep affects all of them alike.
pub fn points(settings: &Settings) -> impl Iterator<Item = Point<'_>> {
    (1..=settings.rounds).flat_map(move |round| {
        settings.loads.iter().flat_map(move |load| {
            settings.concurrency.iter().flat_map(move |&connections| {
                let of = move |server| Point { round, load, connections, server };
                settings.servers.iter().map(of)
            })
        })
    })
}

impl Point<'_> {
    /// Whether `measurement` belongs to this point.
    #[must_use]
    pub fn is_of(&self, measurement: &Measurement) -> bool {
        measurement.round == self.round
            && measurement.load == self.load.name
            && measurement.connections == self.connections
            && measurement.server == self.server.name
    }
}

/// The environment in which all points of a sweep are measured.
pub struct Harness<'a> {
    /// The program of the load client.
    pub client: PathBuf,
    /// The core of the load client; any if `None`.
    pub client_cpu: Option<u32>,
    /// The folder of the sweep's file, to which the folders of servers are relative.
    pub base: PathBuf,
    /// A folder for temporary files during a measurement.
    pub folder: PathBuf,
    /// Interrupts the sweep when it becomes readable.
    pub interrupts: BorrowedFd<'a>,
}

/// The reason for which a point has no measurement.
#[derive(Debug)]
pub enum Stop {
    /// [`Harness::interrupts`] became readable.
    Interrupted,
    /// An error of the sweep itself.
    Failed(Failure),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        let hint = "earlier points are saved; run the same command to continue";
        Self::Failed(Failure::new("measuring a point", error, hint))
    }
}

impl Harness<'_> {
    /// Measures a point.
    ///
    /// # Errors
    /// If it was interrupted, or if files can't be written.
    pub fn measure(&self, point: &Point<'_>) -> Result<Measurement, Stop> {
        let mut measurement = Measurement {
            round: point.round,
            load: point.load.name.clone(),
            connections: point.connections,
            server: point.server.name.clone(),
            outcome: PointOutcome::Measured,
            note: None,
            output: None,
            requested: point.load.requests,
            run: None,
            cpu_seconds: None,
            cpu_us: None,
            memory_bytes: None,
            exit: None,
        };
        let result = self.fill_in(point, &mut measurement);
        if measurement.outcome != PointOutcome::Measured {
            measurement.output = tail(&self.folder.join(SERVER_OUTPUT));
        }
        for name in [SERVER_OUTPUT, CLIENT_OUTPUT, REPORT] {
            // Each of them may be missing, after an early failure.
            let _ = fs::remove_file(self.folder.join(name));
        }
        result.map(|()| measurement)
    }

    fn fill_in(&self, point: &Point<'_>, measurement: &mut Measurement) -> Result<(), Stop> {
        let port = free_port()?;
        let folder = self.base.join(&point.server.folder);
        if let Err(error) = fs::read_dir(&folder) {
            // Checked first, as ENOENT from the start would point to the program.
            let note = format!("did not start: folder {}: {error}", folder.display());
            measurement.set(PointOutcome::NotStarted, note);
            return Ok(());
        }
        let mut server = match self.start(point, port, &folder)? {
            Ok(server) => server,
            Err(error) => {
                let note = format!("did not start: {}: {error}", point.server.command[0]);
                measurement.set(PointOutcome::NotStarted, note);
                return Ok(());
            }
        };
        if let Some(why) = self.await_answer(&mut server, point, port)? {
            measurement.set(PointOutcome::NotStarted, format!("did not start: {why}"));
        } else {
            self.load(&mut server, point, port, measurement)?;
        }
        stop(&mut server, point.server, measurement)?;
        Ok(())
    }

    fn start(
        &self,
        point: &Point<'_>,
        port: u16,
        folder: &Path,
    ) -> io::Result<io::Result<Process>> {
        let output = File::create(self.folder.join(SERVER_OUTPUT))?;
        let fill = |text: &String| config::fill(text, port, point.connections);
        let mut words = point.server.command.iter().map(fill);
        let mut command = Command::new(words.next().expect("the settings have a program"));
        command
            .args(words)
            .envs(point.server.environment.iter().map(|(name, value)| (name, fill(value))))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        Ok(Process::start(command, point.server.cpu, Orphan::Killed))
    }

    /// Waits until the server answers a request; returns the reason if it doesn't.
    fn await_answer(
        &self,
        server: &mut Process,
        point: &Point<'_>,
        port: u16,
    ) -> Result<Option<String>, Stop> {
        let timeout = Duration::from_secs_f64(point.server.start_timeout_seconds);
        let begun = Instant::now();
        let mut pause = Duration::ZERO;
        loop {
            match server.wait(pause, Some(self.interrupts))? {
                WaitOutcome::Ended(status) => {
                    return Ok(Some(format!("ended with {}", name(status))));
                }
                WaitOutcome::Interrupted => return Err(Stop::Interrupted),
                WaitOutcome::TimedOut => {}
            }
            pause = START_PAUSE;
            if answers(port) {
                // If another program took the port first, the server has ended (EADDRINUSE).
                return Ok(match server.wait(Duration::ZERO, None)? {
                    WaitOutcome::Ended(status) => Some(format!("ended with {}", name(status))),
                    WaitOutcome::Interrupted | WaitOutcome::TimedOut => None,
                });
            }
            if begun.elapsed() > timeout {
                return Ok(Some(format!("no response within {} s", timeout.as_secs_f64())));
            }
        }
    }

    /// Runs the load client, and measures CPU time and memory of the server during the load.
    fn load(
        &self,
        server: &mut Process,
        point: &Point<'_>,
        port: u16,
        measurement: &mut Measurement,
    ) -> Result<(), Stop> {
        let proc = Path::new("/proc");
        let before = usage::cpu_ns(proc, server.id());
        let mut memory = 0;
        let ended = self.run_client(point, port, || {
            memory = memory.max(usage::memory_bytes(proc, server.id()));
        })?;
        let used_ns = usage::cpu_ns(proc, server.id()).saturating_sub(before);
        memory = memory.max(usage::memory_bytes(proc, server.id()));
        // Reaped only now, so that `/proc` still had the usage of a server that died.
        let died = match server.wait(Duration::ZERO, None)? {
            WaitOutcome::Ended(status) => Some(name(status)),
            WaitOutcome::Interrupted | WaitOutcome::TimedOut => None,
        };
        match ended.and_then(|status| self.read_report(point, status)) {
            Ok(run) => {
                let seconds = Duration::from_nanos(used_ns).as_secs_f64();
                measurement.cpu_seconds = Some(seconds);
                measurement.cpu_us = per_request_us(seconds, run.requests);
                // A server that died has no memory left to read.
                measurement.memory_bytes = Some(memory).filter(|&bytes| bytes > 0);
                measurement.note = limits(point.load, &run);
                measurement.run = Some(run);
            }
            Err(why) => measurement.set(PointOutcome::LoadFailed, format!("load client: {why}")),
        }
        if let Some(status) = died {
            measurement.set(PointOutcome::Died, format!("died under the load: {status}"));
        }
        Ok(())
    }

    /// Runs the load client until it ends, or kills it after its time and [`CLIENT_GRACE`]; calls
    /// `sample` every [`SAMPLE_PERIOD`].
    fn run_client(
        &self,
        point: &Point<'_>,
        port: u16,
        mut sample: impl FnMut(),
    ) -> Result<Result<ExitStatus, String>, Stop> {
        let time_max = Duration::from_secs_f64(point.load.time_max_seconds);
        let command = self.client_command(point, port)?;
        let mut client = match Process::start(command, self.client_cpu, Orphan::Killed) {
            Ok(client) => client,
            Err(error) => return Ok(Err(format!("{}: {error}", self.client.display()))),
        };
        let begun = Instant::now();
        loop {
            match client.wait(SAMPLE_PERIOD, Some(self.interrupts))? {
                WaitOutcome::Ended(status) => return Ok(Ok(status)),
                // Dropping the client kills its process group; its report isn't needed.
                WaitOutcome::Interrupted => return Err(Stop::Interrupted),
                WaitOutcome::TimedOut => sample(),
            }
            if begun.elapsed() > time_max + CLIENT_GRACE {
                let after = begun.elapsed().as_secs();
                return Ok(Err(format!("killed after {after} s")));
            }
        }
    }

    fn client_command(&self, point: &Point<'_>, port: u16) -> io::Result<Command> {
        let output = File::create(self.folder.join(CLIENT_OUTPUT))?;
        let time_max = Duration::from_secs_f64(point.load.time_max_seconds);
        let mut command = Command::new(&self.client);
        command
            .args(&point.load.options)
            .args(["--connections", &point.connections.to_string()])
            .args(["--requests", &point.load.requests.to_string()])
            .args(["--duration", &humantime::format_duration(time_max).to_string()])
            .args(["--quiet", "--json"])
            .arg(self.folder.join(REPORT))
            .arg(format!("http://127.0.0.1:{port}/"))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        Ok(command)
    }

    /// The run in the load client's report, or the reason for its absence.
    fn read_report(&self, point: &Point<'_>, status: ExitStatus) -> Result<Run, String> {
        let output = || tail(&self.folder.join(CLIENT_OUTPUT)).unwrap_or_default();
        let text = fs::read(self.folder.join(REPORT))
            .map_err(|_| format!("{} without a report: {}", name(status), output()))?;
        let report: LoadReport =
            serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        if report.schema != SCHEMA {
            return Err(format!("the schema of its report is {}, not {SCHEMA}", report.schema));
        }
        let [mut run] = <[Run; 1]>::try_from(report.runs)
            .map_err(|runs| format!("its report has {} runs", runs.len()))?;
        if run.connections != point.connections {
            return Err(format!("its report is of {} connections", run.connections));
        }
        run.connect_us.percentiles.clear();
        run.handshake_us.percentiles.clear();
        run.response_us.percentiles.clear();
        Ok(run)
    }
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

impl Measurement {
    /// Sets the outcome and puts its note first: a later outcome is the more serious one.
    fn set(&mut self, outcome: PointOutcome, note: String) {
        self.outcome = outcome;
        self.note = Some(match self.note.take() {
            Some(earlier) => format!("{note}; {earlier}"),
            None => note,
        });
    }
}

/// Stops the server and records its end: SIGTERM, then SIGKILL after its `stop_timeout`.
fn stop(
    server: &mut Process,
    of: &ServerSettings,
    measurement: &mut Measurement,
) -> io::Result<()> {
    let timeout = Duration::from_secs_f64(of.stop_timeout_seconds);
    server.terminate();
    // Not interruptible, as the next point must not run beside this server.
    if let WaitOutcome::Ended(status) = server.wait(timeout, None)? {
        measurement.exit = Some(name(status));
        let is_usual = status.code() == Some(0) || status.signal() == Some(libc::SIGTERM);
        if !is_usual && measurement.outcome == PointOutcome::Measured {
            measurement.set(PointOutcome::Measured, format!("ended with {}", name(status)));
        }
        return Ok(());
    }
    server.kill_group();
    measurement.exit = Some("killed".to_owned());
    let note = format!("killed, as it did not end within {} s of SIGTERM", timeout.as_secs_f64());
    // Any earlier failure is more serious than this one.
    let outcome = match measurement.outcome {
        PointOutcome::Measured | PointOutcome::Killed => PointOutcome::Killed,
        outcome @ (PointOutcome::NotStarted | PointOutcome::Died | PointOutcome::LoadFailed) => {
            outcome
        }
    };
    measurement.set(outcome, note);
    server.wait(KILL_TIMEOUT, None)?;
    Ok(())
}

/// Whether a server at this port answers a request with a status line of HTTP/1.x.
fn answers(port: u16) -> bool {
    let exchange = || -> io::Result<bool> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        let mut start = [0; 7];
        stream.read_exact(&mut start)?;
        // Read to the end, so that this response costs no CPU time during the measurement. Errors
        // don't matter, as the server has answered.
        let _ = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut Vec::new());
        Ok(&start == b"HTTP/1.")
    };
    exchange().unwrap_or(false)
}

/// A note on the limitations of a run, if there are any.
fn limits(load: &LoadSettings, run: &Run) -> Option<String> {
    let mut notes = Vec::new();
    let made = run.requests + run.failed;
    if made < load.requests {
        notes.push(format!("made {made} of {} requests in {:.0} s", load.requests, run.seconds));
    }
    if run.died > 0 {
        notes.push(format!("{} of {} load processes died", run.died, run.processes));
    }
    if run.interrupted {
        notes.push("the load client was interrupted".to_owned());
    }
    if run.lingered > 0 {
        notes.push(format!("the server left {} connections open", run.lingered));
    }
    if run.client_was_the_limit {
        notes.push("the load client was saturated".to_owned());
    }
    (!notes.is_empty()).then(|| notes.join("; "))
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn per_request_us(seconds: f64, requests: u64) -> Option<f64> {
    (requests > 0).then(|| seconds * 1e6 / requests as f64)
}

fn name(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no status".to_owned(),
    }
}

/// The last lines of a file; `None` if it is empty or missing.
fn tail(path: &Path) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]);
    let lines: Vec<_> = text.trim_end().lines().collect();
    let last = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
    (!last.is_empty()).then_some(last)
}

const SERVER_OUTPUT: &str = "server.output";
const CLIENT_OUTPUT: &str = "client.output";
const REPORT: &str = "report.json";
const TAIL_BYTES: usize = 4096;
const TAIL_LINES: usize = 12;
const START_PAUSE: Duration = Duration::from_millis(20);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// Reading `/proc` takes a millisecond or two of the client's core.
const SAMPLE_PERIOD: Duration = Duration::from_secs(1);
/// Time beyond `time_max` for the load client to finish requests in progress.
const CLIENT_GRACE: Duration = Duration::from_secs(60);
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
/// All have five digits, so that all requests have the same length.
const PORTS: std::ops::Range<u16> = 10_000..32_768;
/// A prime, so that consecutive process ids start far apart.
const PORT_STRIDE: u32 = 7919;
