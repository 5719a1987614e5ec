//! One point of a sweep: starts the `server`, puts a load on it by the `client`, measures its CPU
//! time and memory, and stops it. Independent of the storage of results.
//!
//! Failures of the server or of the load are part of the measurement. Only an interruption and
//! errors of the sweep itself end the sweep.

use super::client::{CLIENT_OUTPUT, REPORT};
use super::harness::{Harness, Point, Stop};
use super::output::tail;
use super::results::{LoadSettings, Measurement, PointOutcome, ServerSettings};
use super::server::MeasuredServer;
use crate::experiment::numbers::{per_second, trimmed};
use crate::load::report::{Run, failure_text};
use std::fs;
use std::time::Duration;

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

/// A note on the limitations of a run, if there are any.
fn limits(load: &LoadSettings, run: &Run) -> Option<String> {
    let mut notes = Vec::new();
    if run.due < load.requests {
        let seconds = trimmed(run.seconds, 1);
        notes.push(format!("made {} of {} requests in {seconds} s", run.due, load.requests));
    }
    if run.outstanding > 0 {
        let seconds = trimmed(run.finishing_seconds, 1);
        notes.push(format!("{} had no response {seconds} s after the load", run.outstanding));
    }
    if run.not_sent > 0 {
        notes.push(format!("{} were due and never sent", run.not_sent));
    }
    if let (true, Some(asked), Some(held)) = (run.rate_missed, run.rate_asked, run.rate_held) {
        notes.push(format!("held {} of {} requests/s", per_second(held), per_second(asked)));
    }
    if run.connects_failed > 0 {
        let kinds = run.connect_failures.iter();
        let kinds: Vec<_> = kinds.map(|(kind, n)| format!("{} {n}", failure_text(kind))).collect();
        notes.push(format!(
            "{} attempts to connect failed: {}",
            run.connects_failed,
            kinds.join(", ")
        ));
    }
    if run.rate.is_none() {
        notes.push("too few responses for a rate".to_owned());
    } else if run.short {
        notes.push("a rough rate, as the load took less than a second".to_owned());
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
