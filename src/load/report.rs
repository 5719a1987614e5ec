//! The report of a load, as it is serialised to JSON. Independent of histograms and files.
//!
//! The schema is [`SCHEMA`]; a field may be added without a new version, but none changes its
//! meaning. Latencies are in microseconds, rates per second. A figure that was not measured is
//! `null`, never 0.
//!
//! The books of a run, all without the warm-up:
//!
//! ```text
//!   due  = sent + not_sent
//!   sent = requests + failed + outstanding
//! ```

mod buckets;
pub mod distribution;
pub mod failure;
pub mod latency;
pub mod limit;
pub mod targets;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use failure::{FailureKind, failure_text};
pub use latency::Latency;
pub use limit::FoundLimit;
pub use targets::TargetResult;

/// Name and version of the JSON schema, the value of [`LoadReport::schema`].
pub const SCHEMA: &str = "uringload/2";

/// The results of a load: one run for each number of connections and each rate, repeated if asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadReport {
    /// [`SCHEMA`].
    pub schema: String,
    /// The name that `--label` gives the load; empty without one.
    #[serde(default)]
    pub label: String,
    /// The URL that was requested.
    pub url: String,
    /// A short description of the load, as in `GET HTTP/1.1, 10s`.
    pub load: String,
    /// The engine of the workers: `io_uring` or `epoll`.
    pub engine: String,
    /// The runs, in the order in which they were made.
    pub runs: Vec<Run>,
    /// What `--find-limit` found; absent without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<FoundLimit>,
}

/// The figures of one run.
#[allow(clippy::struct_excessive_bools, reason = "facts of their own, in any combination")]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Number of simultaneous connections.
    pub connections: u32,
    /// Number of worker processes.
    pub processes: u32,
    /// Workers that died; their counts up to that moment are included in the sums.
    pub died: u32,
    /// The time of the clock at which requests began to count, in seconds since 1970 (UTC).
    #[serde(default)]
    pub started_at: Option<f64>,
    /// Time in which requests were made, without the warm-up, in seconds: from the first due
    /// request to the end of the duration, or to the last request if their number ended the load.
    pub seconds: f64,
    /// Time from then on that was spent waiting for responses, in seconds.
    pub finishing_seconds: f64,
    /// Whether a signal ended the run early.
    pub interrupted: bool,
    /// Requests that became due.
    pub due: u64,
    /// Requests that were due and never sent: no connection was free in time.
    pub not_sent: u64,
    /// Requests that were sent, each counted once.
    pub sent: u64,
    /// Requests with a complete and correct response.
    pub requests: u64,
    /// Requests that were sent and failed, each counted once.
    pub failed: u64,
    /// Requests that were sent, and had neither a response nor a failure when the run ended.
    pub outstanding: u64,
    /// Failed requests by [`FailureKind::name`]; kinds that did not occur are absent.
    pub failures: BTreeMap<String, u64>,
    /// Attempts to connect that failed; they are repeated and cost no request.
    pub connects_failed: u64,
    /// Failed attempts to connect by [`FailureKind::name`].
    pub connect_failures: BTreeMap<String, u64>,
    /// Complete responses by status, correct or not.
    pub statuses: BTreeMap<u16, u64>,
    /// The failure that occurred first.
    pub first_failure: Option<FirstFailure>,
    /// Requests with a correct response while requests were made, the numerator of
    /// [`rate`](Self::rate).
    pub requests_in_time: u64,
    /// Those requests per second of [`seconds`](Self::seconds); absent if that time is too short
    /// to have had any.
    pub rate: Option<f64>,
    /// The rate that `--rate` asked for.
    pub rate_asked: Option<f64>,
    /// The rate at which requests were sent, with `--rate`.
    pub rate_held: Option<f64>,
    /// Whether [`rate_held`](Self::rate_held) fell short of [`rate_asked`](Self::rate_asked).
    pub rate_missed: bool,
    /// Whether requests were made for less than a second, so that the rate is a rough one.
    pub short: bool,
    /// Bytes received, heads and framing included; with TLS, their plaintext.
    pub bytes: u64,
    /// Bytes received while requests were made, per second.
    pub bytes_rate: Option<f64>,
    /// TCP connections established after the warm-up.
    pub connects: u64,
    /// Connections that the server left open after its last response although it had to close them
    /// (`Connection: close` in the request or in the response, or HTTP/1.0 without `keep-alive`;
    /// RFC 9112 9.6). The client closed each of them after a second.
    pub lingered: u64,
    /// Time to establish a connection, without its TLS handshake.
    pub connect_us: Latency,
    /// Time of the TLS handshakes that succeeded, from the established connection until a request
    /// can be sent; empty without TLS.
    #[serde(default)]
    pub handshake_us: Latency,
    /// Time from the request to the end of its response; with `--rate`, from the time at which the
    /// request was due. Requests that got no response count with the time that they waited, which
    /// is a lower bound: see [`Latency::unanswered`].
    pub response_us: Latency,
    /// The same for complete responses that were wrong: a refused status, or other content.
    pub error_us: Latency,
    /// Number of distinct requests of `--urls` or `--replay`; 0 without them.
    #[serde(default)]
    pub targets_distinct: u64,
    /// Results by target of a load with several: all if there are at most 100, else the 20 slowest
    /// and the 20 that failed most. Empty if there are more than 100,000.
    #[serde(default)]
    pub targets: Vec<TargetResult>,
    /// CPU time of the worker processes, in seconds.
    pub client_cpu_seconds: f64,
    /// Share of its time that the busiest worker spent on the CPU, from 0 to 1.
    pub client_busiest: f64,
    /// Whether the client was saturated, so that the figures are its own and not the server's.
    /// Always false for runs under a second or under a thousand requests.
    pub client_was_the_limit: bool,
}

/// The first failure of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstFailure {
    /// Its [`FailureKind::name`].
    pub kind: String,
    /// The first bytes that were received of the response, at most 256, escaped as in a string of
    /// Rust (`\r\n`, `\x00`); empty if there were none.
    pub bytes: String,
    /// Whether further bytes were received.
    pub cut: bool,
    /// The reason in words, if it is one of TLS; otherwise empty.
    #[serde(default)]
    pub reason: String,
}

impl Run {
    /// Requests that were due and have no correct response. Saturating, as a report may come from a
    /// file.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.failed.saturating_add(self.outstanding).saturating_add(self.not_sent)
    }

    /// Whether everything that was asked for was done and every response was correct. A missed rate
    /// is judged apart.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.requests > 0 && self.died == 0 && self.lost() == 0 && self.connects_failed == 0
    }
}
