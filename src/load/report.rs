//! The report of a load, as it is serialised to JSON. Independent of histograms and files.
//!
//! The schema is [`SCHEMA`]; a field may be added without a new version, but none changes its
//! meaning. Latencies are in microseconds, rates per second.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Name and version of the JSON schema, the value of [`LoadReport::schema`].
pub const SCHEMA: &str = "uringload/1";

/// The results of a load: one run for each number of connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadReport {
    /// [`SCHEMA`].
    pub schema: String,
    /// The URL that was requested.
    pub url: String,
    /// A short description of the load, as in `GET HTTP/1.1, 10s`.
    pub load: String,
    /// The engine of the workers: `io_uring` or `epoll`; empty in the reports of older versions.
    #[serde(default)]
    pub engine: String,
    /// The runs, in the order in which they were made.
    pub runs: Vec<Run>,
}

/// The figures of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Number of simultaneous connections.
    pub connections: u32,
    /// Number of worker processes.
    pub processes: u32,
    /// Workers that died; their counts up to that moment are included in the sums.
    pub died: u32,
    /// Duration without the warm-up, in seconds.
    pub seconds: f64,
    /// Whether a signal ended the run early.
    #[serde(default)]
    pub interrupted: bool,
    /// Requests with a complete and correct response.
    pub requests: u64,
    /// Requests that failed, each counted once.
    pub failed: u64,
    /// Failed requests by [`FailureKind::name`]; kinds that did not occur are absent.
    pub failures: BTreeMap<String, u64>,
    /// Requests that succeeded, per second.
    pub rate: f64,
    /// Bytes received, heads and framing included.
    pub bytes: u64,
    /// Connections established after the warm-up.
    pub connects: u64,
    /// Connections that the server left open after its last response although it had to close them
    /// (`Connection: close` in the request or in the response, or HTTP/1.0 without `keep-alive`;
    /// RFC 9112 9.6). The client closed each of them after a second.
    #[serde(default)]
    pub lingered: u64,
    /// Time to establish a connection.
    pub connect_us: Latency,
    /// Time from the request to the end of its response; with `--rate`, from the time at which the
    /// request was due. Includes responses that only later bytes proved wrong.
    pub response_us: Latency,
    /// CPU time of the worker processes, in seconds.
    pub client_cpu_seconds: f64,
    /// Share of its time that the busiest worker spent on the CPU, from 0 to 1.
    pub client_busiest: f64,
    /// Whether the client was saturated, so that the figures are its own and not the server's.
    /// Always false for runs under a second or under a thousand requests.
    pub client_was_the_limit: bool,
}

/// A distribution of latencies, in microseconds; all zero if `count` is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Number of recorded latencies.
    pub count: u64,
    /// Lowest latency.
    pub min: f64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Median, the 50th percentile.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p99_9: f64,
    /// Highest latency.
    pub max: f64,
    /// The whole distribution: pairs of a percentile (0 to 100) and a latency, ascending.
    pub percentiles: Vec<(f64, f64)>,
}

/// The reason for which a request failed. A request is counted once, under the first reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum FailureKind {
    /// The connection was refused (ECONNREFUSED): no listener.
    ConnectRefused,
    /// The connection was not established within `--connect-timeout`.
    ConnectTimedOut,
    /// No local port was free towards the server (EADDRNOTAVAIL).
    NoLocalPort,
    /// The connection could not be established for another reason.
    ConnectFailed,
    /// The connection was reset before the first byte of the response.
    ResetBeforeResponse,
    /// The connection was reset within the response.
    ResetWithinResponse,
    /// The response was not complete within `--timeout`.
    ResponseTimedOut,
    /// The server closed the connection before the response was complete.
    Short,
    /// The response was complete, but its content was not the expected one, or bytes followed it.
    WrongBytes,
    /// The response was not valid HTTP/1.x.
    Malformed,
    /// The response was complete, but had an unexpected status.
    WrongStatus,
}

impl FailureKind {
    /// All kinds, in the order of the columns of the CSV.
    pub const ALL: [Self; 11] = [
        Self::ConnectRefused,
        Self::ConnectTimedOut,
        Self::NoLocalPort,
        Self::ConnectFailed,
        Self::ResetBeforeResponse,
        Self::ResetWithinResponse,
        Self::ResponseTimedOut,
        Self::Short,
        Self::WrongBytes,
        Self::Malformed,
        Self::WrongStatus,
    ];

    /// The key of the kind in JSON and CSV; keys are stable.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimedOut => "connect_timed_out",
            Self::NoLocalPort => "no_local_port",
            Self::ConnectFailed => "connect_failed",
            Self::ResetBeforeResponse => "reset_before_reply",
            Self::ResetWithinResponse => "reset_within_reply",
            Self::ResponseTimedOut => "reply_timed_out",
            Self::Short => "short",
            Self::WrongBytes => "wrong_bytes",
            Self::Malformed => "malformed",
            Self::WrongStatus => "wrong_status",
        }
    }
}

/// The key of a failure kind as text for people: `connect_refused` is `connect refused`.
#[must_use]
pub fn failure_text(key: &str) -> String {
    key.replace('_', " ")
}
