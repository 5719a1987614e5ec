//! The counters of a worker, in shared memory that other processes may read at any time: event
//! counts, failures by kind, and latencies in the buckets of an `HdrHistogram` with three
//! significant digits.
//!
//! Each word has one writer, so counting is a load and a store, never a locked addition.
//!
//! ```
//! use std::sync::atomic::AtomicU64;
//! use uringstatic::engine::Nanos;
//! use uringstatic::load::counters::{Count, Counters, LatencyKind};
//!
//! let words: Vec<AtomicU64> = (0..Counters::WORDS).map(|_| AtomicU64::new(0)).collect();
//! let counters = Counters::new(&words);
//! counters.add(Count::Requests, 1);
//! counters.record(LatencyKind::Response, Nanos(1_000), Nanos(51_000));
//! let latency = Counters::latency(&[counters], LatencyKind::Response);
//! assert_eq!((latency.count, latency.p50.round()), (1, 50.0));
//! ```

use super::report::{FailureKind, Latency};
use crate::engine::Nanos;
use hdrhistogram::Histogram;
use std::sync::atomic::{AtomicU64, Ordering};

/// A count or a time that a worker publishes; failures have counts of their own by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Count {
    /// The phase of the worker, a [`WorkerState`].
    State,
    /// When the first request after the warm-up was due, in nanoseconds of the monotonic clock.
    Started,
    /// When the last response after the warm-up was complete, on the same clock.
    Ended,
    /// Requests with a complete and correct response.
    Requests,
    /// Bytes received, including heads and framing.
    Bytes,
    /// Connections established since the end of the warm-up.
    Connects,
    /// Connections open at this moment.
    Open,
    /// Connections that the server left open after its last response.
    Lingered,
    /// CPU time used since the start of the load, in nanoseconds.
    Cpu,
    /// Time since the start of the load, in nanoseconds.
    Elapsed,
}

/// The phase of a worker process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum WorkerState {
    /// Reads its share and sets up its engine.
    New = 0,
    /// Waits for the common start time.
    Ready = 1,
    /// Its part of the load is complete.
    Done = 2,
}

/// The interval that a latency measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum LatencyKind {
    /// From the start of connecting until the connection is established.
    Connect,
    /// From the request (or the time at which it was due) to the end of its response.
    Response,
}

/// A view of the counters of one worker.
#[derive(Clone, Copy)]
pub struct Counters<'a> {
    words: &'a [AtomicU64],
}

impl<'a> Counters<'a> {
    /// Number of words that one worker needs.
    pub const WORDS: usize = FIRST_BUCKET + LATENCY_KINDS * LATENCY_WORDS;

    /// Counters over `words`, which the creator of the memory has set to zero.
    ///
    /// # Panics
    /// Unless there are exactly [`Counters::WORDS`] words.
    #[must_use]
    pub fn new(words: &'a [AtomicU64]) -> Self {
        assert_eq!(words.len(), Self::WORDS);
        Self { words }
    }

    /// Reads a count, without ordering towards other words.
    #[must_use]
    pub fn get(&self, count: Count) -> u64 {
        self.words[count as usize].load(Ordering::Relaxed)
    }

    /// Sets a count with release ordering, so that a reader of [`Self::is`] also sees all earlier
    /// counts.
    pub fn set(&self, count: Count, value: u64) {
        self.words[count as usize].store(value, Ordering::Release);
    }

    /// Adds to a count; wraps on overflow.
    pub fn add(&self, count: Count, value: u64) {
        add(&self.words[count as usize], value);
    }

    /// Takes one successful request back, when bytes after its response show that it was wrong.
    ///
    /// # Panics
    /// If no request has been counted.
    pub fn take_back_request(&self) {
        let word = &self.words[Count::Requests as usize];
        let count = word.load(Ordering::Relaxed);
        let less = count.checked_sub(1).expect("only a counted request is taken back");
        word.store(less, Ordering::Relaxed);
    }

    /// Counts one failure of this kind.
    pub fn fail(&self, kind: FailureKind) {
        add(&self.words[FIRST_FAILURE + kind as usize], 1);
    }

    /// Number of failures of one kind.
    #[must_use]
    pub fn failures(&self, kind: FailureKind) -> u64 {
        self.words[FIRST_FAILURE + kind as usize].load(Ordering::Relaxed)
    }

    /// Number of failures of all kinds.
    #[must_use]
    pub fn failed(&self) -> u64 {
        FailureKind::ALL.iter().map(|&kind| self.failures(kind)).sum()
    }

    /// Whether the worker is in this phase; acquires the counts written before it.
    #[must_use]
    pub fn is(&self, state: WorkerState) -> bool {
        self.words[Count::State as usize].load(Ordering::Acquire) == state as u64
    }

    /// Records the latency from one moment to another: at least 1 ns and at most 18 minutes.
    pub fn record(&self, kind: LatencyKind, from: Nanos, to: Nanos) {
        let nanos = to.0.saturating_sub(from.0).clamp(1, NANOS_MAX);
        let words = self.latency_words(kind);
        add(&words[bucket_of(nanos)], 1);
        add(&words[SUM], nanos);
    }

    /// The latencies of one kind of several workers, in nanoseconds.
    #[must_use]
    pub fn histogram(all_counters: &[Self], kind: LatencyKind) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(1, NANOS_MAX, DIGITS)
            .expect("the bounds are ordered and three digits are valid");
        for counters in all_counters {
            for (bucket, word) in counters.latency_words(kind)[..BUCKETS].iter().enumerate() {
                let count = word.load(Ordering::Relaxed);
                if count > 0 {
                    histogram
                        .record_n(value_of(bucket), count)
                        .expect("recorded values are clamped to the bounds");
                }
            }
        }
        histogram
    }

    /// The summary of one kind over several workers, in microseconds.
    #[must_use]
    pub fn latency(all_counters: &[Self], kind: LatencyKind) -> Latency {
        let histogram = Self::histogram(all_counters, kind);
        if histogram.is_empty() {
            return Latency::default();
        }
        let sum: u64 = all_counters
            .iter()
            .map(|counters| counters.latency_words(kind)[SUM].load(Ordering::Relaxed))
            .sum();
        let at = |percentile: f64| micros(histogram.value_at_percentile(percentile));
        let steps = histogram.iter_quantiles(TICKS_PER_HALF);
        Latency {
            count: histogram.len(),
            min: micros(histogram.min()),
            #[allow(clippy::cast_precision_loss, reason = "the mean has three significant digits")]
            mean: sum as f64 / histogram.len() as f64 / 1000.0,
            p50: at(50.0),
            p90: at(90.0),
            p99: at(99.0),
            p99_9: at(99.9),
            max: micros(histogram.max()),
            percentiles: steps
                .map(|step| (100.0 * step.quantile_iterated_to(), micros(step.value_iterated_to())))
                .collect(),
        }
    }

    fn latency_words(&self, kind: LatencyKind) -> &'a [AtomicU64] {
        &self.words[FIRST_BUCKET + kind as usize * LATENCY_WORDS..][..LATENCY_WORDS]
    }
}

fn add(word: &AtomicU64, value: u64) {
    word.store(word.load(Ordering::Relaxed).wrapping_add(value), Ordering::Relaxed);
}

#[allow(clippy::cast_precision_loss, reason = "latencies have three digits")]
fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}

/// The bucket of a latency: exact below [`EXACT`], then 1024 buckets per power of two, so no bucket
/// is wider than a thousandth of its values.
fn bucket_of(nanos: u64) -> usize {
    let exponent = (64 - nanos.leading_zeros()).saturating_sub(EXACT_BITS);
    let bucket = u64::from(exponent) * (EXACT / 2) + (nanos >> exponent);
    usize::try_from(bucket).expect("buckets are far below 2^32")
}

/// The highest latency of a bucket, which is the value that `HdrHistogram` reports.
fn value_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let exponent = (bucket / (EXACT / 2)).saturating_sub(1);
    let first = (bucket - exponent * (EXACT / 2)) << exponent;
    first + (1 << exponent) - 1
}

const DIGITS: u8 = 3;
const EXACT_BITS: u32 = 11;
const EXACT: u64 = 1 << EXACT_BITS;
/// 18 minutes; longer latencies are recorded as this value.
const NANOS_MAX: u64 = (1 << MAX_BITS) - 1;
const MAX_BITS: u32 = 40;
const BUCKETS: usize = ((MAX_BITS - EXACT_BITS + 2) as usize) << (EXACT_BITS - 1);
const LATENCY_KINDS: usize = 2;
/// Index of the sum of all latencies, after the buckets.
const SUM: usize = BUCKETS;
const LATENCY_WORDS: usize = BUCKETS + 1;
const FIRST_FAILURE: usize = Count::Elapsed as usize + 1;
/// Counts and failures come first, padded to a multiple of a cache line.
const FIRST_BUCKET: usize = (FIRST_FAILURE + FailureKind::ALL.len()).next_multiple_of(8);
const TICKS_PER_HALF: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words() -> Vec<AtomicU64> {
        (0..Counters::WORDS).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn counts_failures_and_latencies_have_separate_words() {
        let words = words();
        let counters = Counters::new(&words);
        counters.add(Count::Cpu, 7);
        for (number, &kind) in (1u64..).zip(&FailureKind::ALL) {
            (0..number).for_each(|_| counters.fail(kind));
        }
        counters.record(LatencyKind::Connect, Nanos(0), Nanos(1));
        assert_eq!(counters.get(Count::Cpu), 7);
        for (number, &kind) in (1u64..).zip(&FailureKind::ALL) {
            assert_eq!(counters.failures(kind), number);
        }
        let expected: u64 = (1u64..).zip(&FailureKind::ALL).map(|(number, _)| number).sum();
        assert_eq!(counters.failed(), expected);
        assert_eq!(Counters::latency(&[counters], LatencyKind::Connect).count, 1);
        assert_eq!(Counters::latency(&[counters], LatencyKind::Response), Latency::default());
    }

    #[test]
    fn longest_latency_falls_into_the_last_bucket() {
        assert!(bucket_of(NANOS_MAX) < BUCKETS);
        assert_eq!(value_of(bucket_of(NANOS_MAX)), NANOS_MAX);
    }

    #[test]
    fn percentiles_cover_all_workers() {
        let (one, other) = (words(), words());
        let (one, other) = (Counters::new(&one), Counters::new(&other));
        for micros in 1..=500 {
            one.record(LatencyKind::Response, Nanos(0), Nanos(micros * 1000));
            other.record(LatencyKind::Response, Nanos(7), Nanos(7 + (500 + micros) * 1000));
        }
        let latency = Counters::latency(&[one, other], LatencyKind::Response);
        assert_eq!(latency.count, 1000);
        for (found, exact) in [
            (latency.min, 1.0),
            (latency.mean, 500.5),
            (latency.p50, 500.0),
            (latency.p90, 900.0),
            (latency.p99, 990.0),
            (latency.p99_9, 999.0),
            (latency.max, 1000.0),
        ] {
            assert!((found - exact).abs() <= exact / 400.0, "{found} for {exact}");
        }
        assert!(latency.percentiles.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1));
    }

    proptest! {
        /// A bucket is no wider than a thousandth of its values, and buckets leave no gap.
        #[test]
        fn buckets_are_narrow_and_contiguous(shift in 0..40u32, low in any::<u64>()) {
            let nanos = (low >> (63 - shift)).clamp(1, NANOS_MAX);
            let bucket = bucket_of(nanos);
            prop_assert!(value_of(bucket) >= nanos);
            prop_assert!(value_of(bucket) - nanos <= nanos / 1000);
            if value_of(bucket) < NANOS_MAX {
                prop_assert_eq!(bucket_of(value_of(bucket) + 1), bucket + 1);
            }
        }
    }
}
