//! A distribution of latencies, as a report has it.

use serde::{Deserialize, Serialize};

/// A distribution of latencies, in microseconds. Without any latency, its figures are `null`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Number of recorded latencies.
    pub count: u64,
    /// Requests among them that had no response when they were given up: after `--timeout`, at the
    /// end of the run, or unsent. Their latency is the time that they waited, at least.
    #[serde(default)]
    pub unanswered: u64,
    /// Lowest latency.
    pub min: Option<f64>,
    /// Arithmetic mean.
    pub mean: Option<f64>,
    /// Median, the 50th percentile.
    pub p50: Option<f64>,
    /// 90th percentile.
    pub p90: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// 99.9th percentile.
    pub p99_9: Option<f64>,
    /// Highest latency.
    pub max: Option<f64>,
    /// The sum of all latencies, in nanoseconds.
    #[serde(default)]
    pub sum_ns: u64,
    /// The whole distribution: pairs of a percentile (0 to 100) and a latency, ascending.
    pub percentiles: Vec<(f64, f64)>,
    /// The buckets that are not empty: pairs of the highest latency of a bucket, in nanoseconds,
    /// and the number of latencies in it, ascending. No bucket is wider than a thousandth of its
    /// values, and all reports have the same ones, so histograms are added exactly.
    #[serde(default)]
    pub histogram: Vec<(u64, u64)>,
}
