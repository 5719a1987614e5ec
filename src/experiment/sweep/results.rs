//! What a sweep found, as it is written to `results.json` and read again. Knows no file and no
//! process; how rows come from measurements is `summary`'s.
//!
//! # The schema
//!
//! One object, [`Results`]. A field may be added without a new version, but none changes its
//! meaning. Durations end in their unit, rates are per second, sizes are bytes. What could not be
//! measured is `null`, never 0.
//!
//! `measurements` has every single one, in the order in which they were made. `summary` has the
//! same as medians and spreads over the rounds: loads, within them servers, within them one row
//! for each number of connections, each in the order of the settings. The summary has a row for
//! what was measured only, so it grows while a sweep goes on.

use crate::experiment::spread::Spread;
use crate::load::report::Run;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Name and version of the schema.
pub const SCHEMA: &str = "uringload-sweep/1";

/// A sweep, finished or on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`SCHEMA`].
    pub schema: String,
    /// Changes whenever results may not be mixed: with the settings (rounds aside) or the machine.
    pub key: String,
    /// When the sweep began, as in `2026-11-24T01:30:00Z`.
    pub began: String,
    /// When the last measurement was made.
    pub ended: String,
    /// Measurements that belong to the whole sweep; it is finished when it has as many.
    pub planned: u64,
    /// What it was measured on.
    pub machine: Machine,
    /// What was to be measured.
    pub settings: Settings,
    /// Medians and spreads.
    pub summary: Vec<LoadRows>,
    /// Every single measurement.
    pub measurements: Vec<Measurement>,
}

/// What a sweep was made on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Release and version of the kernel.
    pub kernel: String,
    /// The model of the processor.
    pub cpu: String,
    /// How many cores are online.
    pub cores: u32,
    /// Main memory.
    pub memory_bytes: u64,
    /// What a load of many connections depends on; those that this kernel has.
    pub sysctls: BTreeMap<String, String>,
    /// Limits of a process, as `soft / hard`.
    pub limits: BTreeMap<String, String>,
}

/// What is measured: the file of the sweep and its options, with every default filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// How often everything is measured.
    pub rounds: u32,
    /// The numbers of connections.
    pub concurrency: Vec<u32>,
    /// The core the load client runs on.
    pub client_cpu: Option<u32>,
    /// How the servers are loaded.
    pub loads: Vec<Load>,
    /// Who is loaded.
    pub servers: Vec<Server>,
}

/// One way to load a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Its name.
    pub name: String,
    /// Options for the load client.
    pub options: Vec<String>,
    /// Requests a point.
    pub requests: u64,
    /// After this long a load ends, whatever is left.
    pub time_max_seconds: f64,
}

/// One server, and how it is run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// The program and its arguments, with placeholders.
    pub command: Vec<String>,
    /// What is added to its environment, with placeholders.
    pub environment: BTreeMap<String, String>,
    /// The folder it runs in, from that of the sweep's file: results may be measured in one place
    /// and go on, or be shown, in another.
    pub folder: String,
    /// The core it runs on.
    pub cpu: Option<u32>,
    /// How long it may take to answer its first request.
    pub start_timeout_seconds: f64,
    /// How long it may take to end after SIGTERM, before it is killed.
    pub stop_timeout_seconds: f64,
}

/// What one load of one server came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Which round it belongs to, from 1.
    pub round: u32,
    /// The load's name.
    pub load: String,
    /// The number of connections.
    pub connections: u32,
    /// The server's name.
    pub server: String,
    /// How it went.
    pub outcome: Outcome,
    /// What is to be said about it, if anything: why there is no figure, or what limits it.
    pub note: Option<String>,
    /// The end of what the server wrote, if something went wrong.
    pub output: Option<String>,
    /// Requests that were to be made.
    pub requested: u64,
    /// What the load client counted, without the lists of percentiles.
    pub run: Option<Run>,
    /// CPU time of the server's processes during the load.
    pub cpu_seconds: Option<f64>,
    /// The same for each request that succeeded.
    pub cpu_us: Option<f64>,
    /// Peak resident memory of the server's processes, added up.
    pub memory_bytes: Option<u64>,
    /// How the server ended: `exit 0`, `signal 15`, `killed`.
    pub exit: Option<String>,
}

/// How a measurement went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// There are figures; requests may have failed all the same.
    Measured,
    /// The server ended, or answered nothing in time, before there was a load.
    NotStarted,
    /// The server ended under the load; there are figures, of little worth.
    Died,
    /// The load client gave no figures.
    LoadFailed,
    /// There are figures, but the server did not end in time after SIGTERM and was killed.
    Killed,
}

/// The rows of one load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadRows {
    /// The load's name.
    pub load: String,
    /// Its servers.
    pub servers: Vec<ServerRows>,
}

/// The rows of one server under one load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerRows {
    /// The server's name.
    pub server: String,
    /// One for each number of connections.
    pub rows: Vec<Row>,
}

/// A server under a load with so many connections, over all rounds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The number of connections.
    pub connections: u32,
    /// How many measurements there are, with or without figures.
    pub rounds: u32,
    /// Requests that succeeded, per second.
    pub rate: Option<Spread>,
    /// Requests that failed.
    pub failed: Option<Failed>,
    /// CPU time of the server for each request that succeeded.
    pub cpu_us: Option<Spread>,
    /// The median of the response times.
    pub p50_us: Option<Spread>,
    /// 99 % of the response times were at most this.
    pub p99_us: Option<Spread>,
    /// Peak resident memory of the server.
    pub memory_bytes: Option<Spread>,
    /// What there is to be said about single rounds, each once.
    pub note: Option<String>,
}

/// Failed requests over the rounds that have figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    /// Of one round, the middle one.
    pub median: f64,
    /// Of all rounds.
    pub sum: u64,
    /// Of so many requests that were made, in all rounds. Fewer than wanted if time was up.
    pub of: u64,
    /// Of all rounds by kind, as the load client names them.
    pub kinds: BTreeMap<String, u64>,
}
