//! The summary of a distribution of latencies: the one definition of its figures, for the counters
//! of workers and for merged reports.

use super::Latency;
use hdrhistogram::Histogram;

/// The highest latency that is recorded, in nanoseconds: 18 minutes. Longer ones count as this.
pub const NANOS_MAX: u64 = (1 << 40) - 1;

/// The histogram with these buckets: pairs of a latency in nanoseconds and a count.
#[must_use]
pub fn histogram(buckets: impl Iterator<Item = (u64, u64)>) -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, NANOS_MAX, DIGITS)
        .expect("the bounds are ordered and three digits are valid");
    for (nanos, count) in buckets {
        let nanos = nanos.clamp(1, NANOS_MAX);
        histogram.record_n(nanos, count).expect("latencies are clamped to the bounds");
    }
    histogram
}

/// The figures of a histogram of nanoseconds, of which `unanswered` are lower bounds. `sum_ns` is
/// the exact sum of all latencies.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "the mean has three significant digits")]
pub fn summary(histogram: &Histogram<u64>, sum_ns: u64, unanswered: u64) -> Latency {
    let count = histogram.len();
    if count == 0 {
        return Latency::default();
    }
    let at = |percentile: f64| Some(micros(histogram.value_at_percentile(percentile)));
    let steps = histogram.iter_quantiles(TICKS_PER_HALF);
    Latency {
        count,
        unanswered,
        // The highest value of its bucket, as the others: a timeout isn't below its limit.
        min: Some(micros(histogram.highest_equivalent(histogram.min()))),
        mean: Some(sum_ns as f64 / count as f64 / 1000.0),
        p50: at(50.0),
        p90: at(90.0),
        p99: at(99.0),
        p99_9: at(99.9),
        max: Some(micros(histogram.max())),
        sum_ns,
        percentiles: steps
            .map(|step| (100.0 * step.quantile_iterated_to(), micros(step.value_iterated_to())))
            .collect(),
        histogram: histogram
            .iter_recorded()
            .map(|step| (step.value_iterated_to(), step.count_since_last_iteration()))
            .collect(),
    }
}

#[allow(clippy::cast_precision_loss, reason = "latencies have three digits")]
fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}

const DIGITS: u8 = 3;
const TICKS_PER_HALF: u32 = 5;
