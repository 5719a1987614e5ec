//! The results of a sweep, as they are serialised to `results.json`. Independent of files and
//! processes; `summary` computes the rows from the measurements.
//!
//! # The schema
//!
//! One object, [`Results`]. A field may be added without a new version, but none changes its
//! meaning. Names of durations end in their unit, rates are per second, sizes are in bytes. A value
//! that could not be measured is `null`, never 0.
//!
//! `measurements` has all measurements in the order in which they were made. `summary` has medians
//! and ranges over the rounds: loads, within them servers, within them one row for each number of
//! connections, each in the order of the settings. It has rows only for measured points, so it
//! grows during a sweep.

use crate::experiment::spread::Spread;
use crate::load::report::Run;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Name and version of the JSON schema, the value of [`Results::schema`].
pub const SCHEMA: &str = "uringload-sweep/2";

/// The results of a sweep, complete or in progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`SCHEMA`].
    pub schema: String,
    /// A hash of the settings (without the rounds) and of the machine; results with different keys
    /// must not be mixed.
    pub key: String,
    /// Start of the sweep in UTC, as in `2026-11-24T01:30:00Z`.
    pub began: String,
    /// Time of the last measurement, in the same form.
    pub ended: String,
    /// Number of measurements of the complete sweep.
    pub planned: u64,
    /// The machine at the start of the sweep.
    pub machine: Machine,
    /// The settings with all defaults.
    pub settings: Settings,
    /// Medians and ranges over the rounds.
    pub summary: Vec<LoadRows>,
    /// All measurements, in order.
    pub measurements: Vec<Measurement>,
}

/// The machine of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Release and version of the kernel.
    pub kernel: String,
    /// Model name of the first processor.
    pub cpu: String,
    /// Number of cores that are online.
    pub cores: u32,
    /// Size of the main memory.
    pub memory_bytes: u64,
    /// Kernel settings that limit connections; absent if this kernel lacks them.
    pub sysctls: BTreeMap<String, String>,
    /// Resource limits of a process, as `soft / hard`.
    pub limits: BTreeMap<String, String>,
}

/// The settings of a sweep: its file and the command line, with all defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Repetitions of every point.
    pub rounds: u32,
    /// Numbers of simultaneous connections.
    pub concurrency: Vec<u32>,
    /// Core of the load client; any if `None`.
    pub client_cpu: Option<u32>,
    /// The loads to put on each server.
    pub loads: Vec<LoadSettings>,
    /// The servers to compare.
    pub servers: Vec<ServerSettings>,
}

/// One load of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadSettings {
    /// Its name in tables and file names.
    pub name: String,
    /// Options for the load client.
    pub options: Vec<String>,
    /// Requests per point.
    pub requests: u64,
    /// Longest duration of a point; remaining requests are not made.
    pub time_max_seconds: f64,
}

/// One server of a sweep, and the way to run it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerSettings {
    /// Its name in tables and charts.
    pub name: String,
    /// The program and its arguments, with placeholders; empty for a server that runs already.
    pub command: Vec<String>,
    /// Whether the program is a shell that waits for the server, so that SIGTERM is for all
    /// processes of the group.
    #[serde(default)]
    pub shell_stays: bool,
    /// The URL of a server that runs already, which is neither started nor stopped.
    #[serde(default)]
    pub url: Option<String>,
    /// The number of such a server's process, or a file that has it, relative to the folder of the
    /// sweep's file.
    #[serde(default)]
    pub pid: Option<String>,
    /// Path and query that are requested of a server with a command.
    #[serde(default)]
    pub path: String,
    /// Variables added to its environment, with placeholders.
    pub environment: BTreeMap<String, String>,
    /// Its working directory, relative to the folder of the sweep's file, so that results don't
    /// depend on the place of a checkout.
    pub folder: String,
    /// Its core; any if `None`.
    pub cpu: Option<u32>,
    /// Longest time to answer the first request.
    pub start_timeout_seconds: f64,
    /// Longest time from SIGTERM to its end, before SIGKILL.
    pub stop_timeout_seconds: f64,
}

/// The measurement of one point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Its round, from 1.
    pub round: u32,
    /// Name of the load.
    pub load: String,
    /// Number of simultaneous connections.
    pub connections: u32,
    /// Name of the server.
    pub server: String,
    /// Whether the point has figures, and the failure of the server if there was one.
    pub outcome: PointOutcome,
    /// The reason for missing figures, or a limitation of the figures.
    pub note: Option<String>,
    /// The last lines of the server's output, unless the outcome is `measured`.
    pub output: Option<String>,
    /// Requests that the load client was to make.
    pub requested: u64,
    /// The report of the load client, without its lists of percentiles and buckets.
    pub run: Option<Run>,
    /// CPU time of the server's processes during the load; absent if its process isn't known.
    pub cpu_seconds: Option<f64>,
    /// CPU time per successful request.
    pub cpu_us: Option<f64>,
    /// Sum of the peak resident memory of the server's processes.
    pub memory_bytes: Option<u64>,
    /// The server's end: `exit 0`, `signal 15` or `killed`; absent for a server that ran before.
    pub exit: Option<String>,
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

/// The outcome of a measurement; the JSON has the names in snake case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PointOutcome {
    /// The point has figures, although requests may have failed.
    Measured,
    /// The server ended before the load, or answered no request within its `start_timeout`.
    NotStarted,
    /// The server ended during the load; the figures are of little value.
    Died,
    /// The load client wrote no report.
    LoadFailed,
    /// The point has figures, but the server did not end after SIGTERM and was killed.
    Killed,
}

/// The summary of one load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadRows {
    /// Name of the load.
    pub load: String,
    /// Its servers, in the order of the settings.
    pub servers: Vec<ServerRows>,
}

/// The summary of one server under one load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerRows {
    /// Name of the server.
    pub server: String,
    /// One row for each number of connections.
    pub rows: Vec<SummaryRow>,
}

/// One server under one load with one number of connections, over all rounds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SummaryRow {
    /// Number of simultaneous connections.
    pub connections: u32,
    /// Number of measurements, including those without figures.
    pub rounds: u32,
    /// Successful requests per second, while requests were made.
    pub rate: Option<Spread>,
    /// Requests without a correct response.
    pub failed: Option<Failed>,
    /// CPU time of the server per successful request.
    pub cpu_us: Option<Spread>,
    /// Median of the response times.
    pub p50_us: Option<Spread>,
    /// 99th percentile of the response times.
    pub p99_us: Option<Spread>,
    /// Peak resident memory of the server.
    pub memory_bytes: Option<Spread>,
    /// The notes of the rounds, each once.
    pub note: Option<String>,
}

/// Requests without a correct response over the rounds that have figures: those that failed, those
/// that had no response when the load ended, and those that were due and never sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    /// Median over the rounds.
    pub median: f64,
    /// Sum over the rounds.
    pub sum: u64,
    /// Requests that were due in all rounds; fewer than planned if `time_max` ended a round.
    pub of: u64,
    /// Sum over the rounds by kind, with the keys of the load client, and `outstanding` and
    /// `not_sent` for those without a response and those never sent.
    pub kinds: BTreeMap<String, u64>,
}
