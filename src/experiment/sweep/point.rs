//! One point of a sweep: starts the `server`, puts a load on it by the `client`, measures its CPU
//! time and memory, and stops it. Independent of the storage of results.
//!
//! Failures of the server or of the load are part of the measurement. Only an interruption and
//! errors of the sweep itself end the sweep.

use super::client::{CLIENT_OUTPUT, REPORT};
use super::output::tail;
use super::results::{LoadSettings, Measurement, PointOutcome, ServerSettings, Settings};
use super::server::MeasuredServer;
use crate::error::Failure;
use crate::load::report::Run;
use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Duration;

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
    /// Says what an interrupted sweep waits for.
    pub tell: &'a dyn Fn(&str),
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
        let output = self.folder.join(SERVER_OUTPUT);
        let mut server = match MeasuredServer::begin(self, point, &output)? {
            Ok(server) => server,
            Err(why) => {
                measurement.set(PointOutcome::NotStarted, point.server.did_not_start(&why));
                return Ok(());
            }
        };
        match self.measure_server(&mut server, point, measurement) {
            Ok(()) => server.stop(self, measurement),
            Err(Stop::Interrupted) => Err(server.interrupted(self.tell)),
            Err(failed @ Stop::Failed(_)) => Err(failed),
        }
    }

    /// Awaits the server and puts the load on it.
    fn measure_server(
        &self,
        server: &mut MeasuredServer<'_>,
        point: &Point<'_>,
        measurement: &mut Measurement,
    ) -> Result<(), Stop> {
        if let Some(why) = server.await_answer(self.interrupts)? {
            measurement.set(PointOutcome::NotStarted, point.server.did_not_start(&why));
            return Ok(());
        }
        let before = server.cpu_ns();
        let mut memory = None;
        let url = server.url().to_owned();
        let outcome = self.run_load(point, &url, || memory = memory.max(server.memory_bytes()))?;
        let used_ns = server.cpu_ns().zip(before).map(|(now, before)| now.saturating_sub(before));
        memory = memory.max(server.memory_bytes());
        let end = server.end()?;
        match outcome {
            Ok(run) => {
                measurement.cpu_seconds =
                    used_ns.map(|nanos| Duration::from_nanos(nanos).as_secs_f64());
                measurement.cpu_us = measurement
                    .cpu_seconds
                    .and_then(|seconds| per_request_us(seconds, run.requests));
                // A server that died has no memory left to read.
                measurement.memory_bytes = memory.filter(|&bytes| bytes > 0);
                measurement.note = limits(point.load, &run);
                measurement.run = Some(run);
            }
            Err(why) => measurement.set(PointOutcome::LoadFailed, format!("load client: {why}")),
        }
        if let Some(end) = end {
            measurement.set(PointOutcome::Died, format!("died under the load: {end}"));
        }
        Ok(())
    }
}

impl ServerSettings {
    /// The note on a point whose server can't be measured, for this reason.
    fn did_not_start(&self, why: &str) -> String {
        let what = if self.url.is_some() { "does not run" } else { "did not start" };
        format!("{what}: {why}")
    }
}

impl Measurement {
    /// Sets the outcome and puts its note first: a later outcome is the more serious one.
    pub(super) fn set(&mut self, outcome: PointOutcome, note: String) {
        self.outcome = outcome;
        self.note = Some(match self.note.take() {
            Some(earlier) => format!("{note}; {earlier}"),
            None => note,
        });
    }
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

const SERVER_OUTPUT: &str = "server.output";
