//! What a worker counts, in words of memory that others may read at any time: counters, and
//! latencies in buckets as `HdrHistogram` has them with three significant digits.
//!
//! Each word has one writer, so a count is a load and a store, never a locked addition.

use super::report::{Kind, Latency};
use crate::engine::Nanos;
use hdrhistogram::Histogram;
use std::sync::atomic::{AtomicU64, Ordering};

/// A count of its own, beside those of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Count {
    /// How far the worker has come: see [`State`].
    State,
    /// When its first request was due that counts, in nanoseconds of the monotonic clock.
    Started,
    /// When its last response that counts was whole, on the same clock.
    Ended,
    /// Requests whose responses were whole and as wanted.
    Requests,
    /// Bytes received.
    Bytes,
    /// Connections established.
    Connects,
    /// Connections open now.
    Open,
    /// Connections that the server did not close in time after its last response.
    Lingered,
    /// CPU time used since the start of the load, in nanoseconds.
    Cpu,
    /// How long that was, in nanoseconds.
    Elapsed,
}

/// How far a worker has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum State {
    /// It prepares.
    New = 0,
    /// It waits for the start.
    Ready = 1,
    /// It is done.
    Done = 2,
}

/// Which latencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Span {
    /// From the attempt to connect to its success.
    Connect,
    /// From the request to its whole response.
    Response,
}

/// One worker's counts.
#[derive(Clone, Copy)]
pub struct Counters<'a> {
    words: &'a [AtomicU64],
}

impl<'a> Counters<'a> {
    /// How many words it needs.
    pub const WORDS: usize = FIRST_BUCKET + SPANS * SPAN_WORDS;

    /// A counters in these words, which are zero at first.
    ///
    /// # Panics
    /// If they aren't [`Counters::WORDS`].
    #[must_use]
    pub fn new(words: &'a [AtomicU64]) -> Self {
        assert_eq!(words.len(), Self::WORDS);
        Self { words }
    }

    /// A count.
    #[must_use]
    pub fn get(&self, count: Count) -> u64 {
        self.words[count as usize].load(Ordering::Relaxed)
    }

    /// Sets a count. What was written before is seen by who sees this.
    pub fn set(&self, count: Count, value: u64) {
        self.words[count as usize].store(value, Ordering::Release);
    }

    /// Adds to a count.
    pub fn add(&self, count: Count, value: u64) {
        add(&self.words[count as usize], value);
    }

    /// Counts one request less: its response turned out to be wrong after all.
    pub fn take_back_request(&self) {
        let word = &self.words[Count::Requests as usize];
        let count = word.load(Ordering::Relaxed);
        let less = count.checked_sub(1).expect("only what was counted is taken back");
        word.store(less, Ordering::Relaxed);
    }

    /// Counts a failure.
    pub fn fail(&self, kind: Kind) {
        add(&self.words[FIRST_FAILURE + kind as usize], 1);
    }

    /// How many failures of a kind there were.
    #[must_use]
    pub fn failures(&self, kind: Kind) -> u64 {
        self.words[FIRST_FAILURE + kind as usize].load(Ordering::Relaxed)
    }

    /// How many failures there were.
    #[must_use]
    pub fn failed(&self) -> u64 {
        Kind::ALL.iter().map(|&kind| self.failures(kind)).sum()
    }

    /// Whether the worker has come so far.
    #[must_use]
    pub fn is(&self, state: State) -> bool {
        self.words[Count::State as usize].load(Ordering::Acquire) == state as u64
    }

    /// Records a latency.
    pub fn record(&self, span: Span, from: Nanos, to: Nanos) {
        let nanos = to.0.saturating_sub(from.0).clamp(1, NANOS_MAX);
        let words = self.span(span);
        add(&words[bucket_of(nanos)], 1);
        add(&words[SUM], nanos);
    }

    /// Everything recorded of a span by some workers.
    #[must_use]
    pub fn histogram(all_counters: &[Self], span: Span) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(1, NANOS_MAX, DIGITS)
            .expect("the bounds are in order and three digits are allowed");
        for counters in all_counters {
            for (bucket, word) in counters.span(span)[..BUCKETS].iter().enumerate() {
                let count = word.load(Ordering::Relaxed);
                if count > 0 {
                    histogram
                        .record_n(value_of(bucket), count)
                        .expect("what is recorded is within the bounds");
                }
            }
        }
        histogram
    }

    /// The distribution of a span over some workers.
    #[must_use]
    pub fn latency(all_counters: &[Self], span: Span) -> Latency {
        let histogram = Self::histogram(all_counters, span);
        if histogram.is_empty() {
            return Latency::default();
        }
        let sum: u64 = all_counters
            .iter()
            .map(|counters| counters.span(span)[SUM].load(Ordering::Relaxed))
            .sum();
        let at = |percentile: f64| micros(histogram.value_at_percentile(percentile));
        let steps = histogram.iter_quantiles(TICKS_PER_HALF);
        Latency {
            count: histogram.len(),
            min: micros(histogram.min()),
            #[allow(clippy::cast_precision_loss, reason = "a mean of so many is rounded anyway")]
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

    fn span(&self, span: Span) -> &'a [AtomicU64] {
        &self.words[FIRST_BUCKET + span as usize * SPAN_WORDS..][..SPAN_WORDS]
    }
}

fn add(word: &AtomicU64, value: u64) {
    word.store(word.load(Ordering::Relaxed).wrapping_add(value), Ordering::Relaxed);
}

#[allow(clippy::cast_precision_loss, reason = "latencies have three digits")]
fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}

/// The bucket of a latency: exact below [`EXACT`], then 1024 buckets for each doubling, so that
/// none is wider than a thousandth of its values.
fn bucket_of(nanos: u64) -> usize {
    let exponent = (64 - nanos.leading_zeros()).saturating_sub(EXACT_BITS);
    let bucket = u64::from(exponent) * (EXACT / 2) + (nanos >> exponent);
    usize::try_from(bucket).expect("buckets are far below 2^32")
}

/// The highest latency of a bucket, as `HdrHistogram` reports values.
fn value_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let exponent = (bucket / (EXACT / 2)).saturating_sub(1);
    let first = (bucket - exponent * (EXACT / 2)) << exponent;
    first + (1 << exponent) - 1
}

const DIGITS: u8 = 3;
const EXACT_BITS: u32 = 11;
const EXACT: u64 = 1 << EXACT_BITS;
/// 18 minutes; what takes longer counts as this.
const NANOS_MAX: u64 = (1 << MAX_BITS) - 1;
const MAX_BITS: u32 = 40;
const BUCKETS: usize = ((MAX_BITS - EXACT_BITS + 2) as usize) << (EXACT_BITS - 1);
const SPANS: usize = 2;
/// Behind the buckets, the sum of all.
const SUM: usize = BUCKETS;
const SPAN_WORDS: usize = BUCKETS + 1;
const FIRST_FAILURE: usize = Count::Elapsed as usize + 1;
/// Counters and failures have the first words, a cache line's multiple.
const FIRST_BUCKET: usize = (FIRST_FAILURE + Kind::ALL.len()).next_multiple_of(8);
const TICKS_PER_HALF: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words() -> Vec<AtomicU64> {
        (0..Counters::WORDS).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn counters_and_failures_have_words_of_their_own() {
        let words = words();
        let counters = Counters::new(&words);
        counters.add(Count::Cpu, 7);
        for (number, &kind) in (1u64..).zip(&Kind::ALL) {
            (0..number).for_each(|_| counters.fail(kind));
        }
        counters.record(Span::Connect, Nanos(0), Nanos(1));
        assert_eq!(counters.get(Count::Cpu), 7);
        for (number, &kind) in (1u64..).zip(&Kind::ALL) {
            assert_eq!(counters.failures(kind), number);
        }
        assert_eq!(counters.failed(), 66);
        assert_eq!(Counters::latency(&[counters], Span::Connect).count, 1);
        assert_eq!(Counters::latency(&[counters], Span::Response), Latency::default());
    }

    #[test]
    fn the_last_bucket_holds_the_longest() {
        assert!(bucket_of(NANOS_MAX) < BUCKETS);
        assert_eq!(value_of(bucket_of(NANOS_MAX)), NANOS_MAX);
    }

    #[test]
    fn percentiles_are_those_of_two_workers_together() {
        let (one, other) = (words(), words());
        let (one, other) = (Counters::new(&one), Counters::new(&other));
        for micros in 1..=500 {
            one.record(Span::Response, Nanos(0), Nanos(micros * 1000));
            other.record(Span::Response, Nanos(7), Nanos(7 + (500 + micros) * 1000));
        }
        let latency = Counters::latency(&[one, other], Span::Response);
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
        /// A bucket is no wider than a thousandth of its values, and the next one follows.
        #[test]
        fn buckets_are_narrow(shift in 0..40u32, low in any::<u64>()) {
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
