//! What a load came to, as it is written to JSON and read again. Knows no histogram and no file.
//!
//! The schema is [`SCHEMA`]; a field may be added without a new version, but none changes its
//! meaning. Durations are microseconds, rates are per second.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Name and version of the schema.
pub const SCHEMA: &str = "uringload/1";

/// A load and what it came to: one run for each number of connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// What was requested.
    pub url: String,
    /// The load, in the words of the command line.
    pub load: String,
    /// In the order in which they ran.
    pub runs: Vec<Run>,
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// How many connections were open at once.
    pub connections: u32,
    /// How many processes made the load.
    pub processes: u32,
    /// How many of them died; what they had counted until then is in the sums.
    pub died: u32,
    /// How long it took, warm-up aside, in seconds.
    pub seconds: f64,
    /// It was ended by a signal before all was asked that was to be.
    #[serde(default)]
    pub interrupted: bool,
    /// Requests whose responses were whole and as wanted.
    pub requests: u64,
    /// Requests that failed, each counted once.
    pub failed: u64,
    /// The same by kind (see [`Kind::name`]); kinds that did not occur are not there.
    pub failures: BTreeMap<String, u64>,
    /// Requests that succeeded, per second.
    pub rate: f64,
    /// Bytes received, heads and framing included.
    pub bytes: u64,
    /// Connections that were established; those of the warm-up don't count, as nothing of it does.
    pub connects: u64,
    /// Connections that the server left open after its last response, though it was to close them
    /// (it was told so, or has HTTP/1.0, or said so itself). Each took a second of waiting, until
    /// the client closed it.
    #[serde(default)]
    pub lingered: u64,
    /// How long establishing a connection took.
    pub connect_us: Latency,
    /// How long a whole response took from the request; with `--rate`, from when the request was
    /// due. A response that was found wrong only by what came behind it is among these.
    pub response_us: Latency,
    /// CPU time of the client's processes, in seconds.
    pub client_cpu_seconds: f64,
    /// The share of its time that the busiest process spent on the CPU, from 0 to 1.
    pub client_busiest: f64,
    /// The client was at its limit, so the figures are its own and not the server's. Nothing is
    /// said of runs that are shorter than a second, or of less than a thousand requests.
    pub client_was_the_limit: bool,
}

/// A distribution of latencies, in microseconds; all are 0 if `count` is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many were recorded.
    pub count: u64,
    /// The shortest.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// 90 % were at most this.
    pub p90: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p99_9: f64,
    /// The longest.
    pub max: f64,
    /// The whole distribution: pairs of a percentile (0 to 100) and a latency, ascending.
    pub percentiles: Vec<(f64, f64)>,
}

/// How a request can fail. Each is counted once, under the first thing that went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Nobody listened.
    ConnectRefused,
    /// Nobody answered the attempt to connect in time.
    ConnectTimedOut,
    /// All ports of the local addresses were in use towards this address.
    NoLocalPort,
    /// The connection could not be made for another reason.
    ConnectFailed,
    /// The connection was reset before a byte of the response had come.
    ResetBeforeResponse,
    /// The connection was reset within the response.
    ResetWithinResponse,
    /// The response was not whole in time.
    ResponseTimedOut,
    /// The connection ended before the response was whole.
    Short,
    /// The response was whole, but not of the length or bytes expected; or more came behind it.
    WrongBytes,
    /// The response was not HTTP/1.x.
    Malformed,
    /// The response was whole, but had another status than wanted.
    WrongStatus,
}

impl Kind {
    /// All of them.
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

    /// Its name in JSON and CSV.
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
