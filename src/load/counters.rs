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
//! assert_eq!((latency.count, latency.p50.map(f64::round)), (1, Some(50.0)));
//! ```

use super::report::distribution::{self, NANOS_MAX};
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
    /// When the warm-up was over and requests began to count, in nanoseconds of the monotonic
    /// clock; 0 until that time is known.
    MeasuredSince,
    /// When the last request was made or the duration ended, on the same clock; 0 until then.
    MadeUntil,
    /// When the last outcome of a request was known, on the same clock.
    Ended,
    /// Requests that became due.
    Due,
    /// Requests that were sent, each counted once.
    Sent,
    /// Requests that were due and never sent.
    NotSent,
    /// Requests that were sent and had no outcome at the end of the run.
    Outstanding,
    /// Requests with a complete and correct response.
    Requests,
    /// Those whose response was complete while requests were made.
    RequestsInTime,
    /// Requests that had no response when they were given up, but have a recorded latency.
    Unanswered,
    /// Bytes received, including heads and framing.
    Bytes,
    /// Bytes received while requests were made.
    BytesInTime,
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
    /// From the established connection until its TLS handshake is complete.
    Handshake,
    /// From the request (or the time at which it was due) to the end of its correct response, or to
    /// the moment at which it was given up without one.
    Response,
    /// The same for a complete response that was wrong.
    Error,
}

/// A failure with the first bytes of its response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The reason of the failure.
    pub kind: FailureKind,
    /// Its time, in nanoseconds of the monotonic clock.
    pub at_ns: u64,
    /// Bytes that were received of the response, from its first one on; at most [`SAMPLE_BYTES`].
    pub bytes: Vec<u8>,
    /// The bytes are the text of a reason instead.
    pub is_reason: bool,
    /// Whether there were more.
    pub cut: bool,
}

/// The most bytes of a response that are kept as a [`Sample`].
pub const SAMPLE_BYTES: usize = 256;

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

    /// Takes one from a count, when bytes after a response show that it was wrong.
    ///
    /// # Panics
    /// If the count is 0.
    pub fn take_back(&self, count: Count) {
        let word = &self.words[count as usize];
        let less = word.load(Ordering::Relaxed).checked_sub(1);
        word.store(less.expect("only what was counted is taken back"), Ordering::Relaxed);
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

    /// Number of requests that failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        let kinds = FailureKind::ALL.iter().filter(|kind| !kind.is_of_connect());
        kinds.map(|&kind| self.failures(kind)).sum()
    }

    /// Number of attempts to connect that failed.
    #[must_use]
    pub fn connects_failed(&self) -> u64 {
        let kinds = FailureKind::ALL.iter().filter(|kind| kind.is_of_connect());
        kinds.map(|&kind| self.failures(kind)).sum()
    }

    /// Counts one complete response with this status, which has three digits.
    pub fn status(&self, status: u16) {
        add(&self.words[FIRST_STATUS + usize::from(status).min(STATUSES - 1)], 1);
    }

    /// The statuses of complete responses, and their numbers.
    pub fn statuses(&self) -> impl Iterator<Item = (u16, u64)> {
        let words = &self.words[FIRST_STATUS..][..STATUSES];
        (0..).zip(words).filter_map(|(status, word)| {
            let count = word.load(Ordering::Relaxed);
            (count > 0).then_some((status, count))
        })
    }

    /// Keeps a failure, its time and the first bytes of its response, if it is the first one.
    pub fn sample(&self, kind: FailureKind, at_ns: u64, bytes: &[u8]) {
        self.keep(kind, at_ns, bytes, false);
    }

    /// The same for a failure whose reason is known in words.
    pub fn sample_reason(&self, kind: FailureKind, at_ns: u64, reason: &str) {
        self.keep(kind, at_ns, reason.as_bytes(), true);
    }

    fn keep(&self, kind: FailureKind, at_ns: u64, bytes: &[u8], is_reason: bool) {
        let words = &self.words[FIRST_SAMPLE..][..SAMPLE_WORDS];
        if words[SAMPLE_KIND].load(Ordering::Relaxed) != 0 {
            return;
        }
        words[SAMPLE_AT].store(at_ns, Ordering::Relaxed);
        words[SAMPLE_LENGTH].store(bytes.len() as u64, Ordering::Relaxed);
        words[SAMPLE_IS_REASON].store(is_reason.into(), Ordering::Relaxed);
        for (word, chunk) in words[SAMPLE_TEXT..].iter().zip(bytes.chunks(size_of::<u64>())) {
            let mut eight = [0; size_of::<u64>()];
            eight[..chunk.len()].copy_from_slice(chunk);
            word.store(u64::from_le_bytes(eight), Ordering::Relaxed);
        }
        words[SAMPLE_KIND].store(kind as u64 + 1, Ordering::Release);
    }

    /// The failure that was kept.
    #[must_use]
    pub fn sampled(&self) -> Option<Sample> {
        let words = &self.words[FIRST_SAMPLE..][..SAMPLE_WORDS];
        let number = words[SAMPLE_KIND].load(Ordering::Acquire).checked_sub(1)?;
        let kind = *FailureKind::ALL.get(usize::try_from(number).ok()?)?;
        let length = words[SAMPLE_LENGTH].load(Ordering::Relaxed);
        let mut bytes: Vec<u8> = words[SAMPLE_TEXT..]
            .iter()
            .flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes())
            .collect();
        bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        let cut = length > SAMPLE_BYTES as u64;
        let at_ns = words[SAMPLE_AT].load(Ordering::Relaxed);
        let is_reason = words[SAMPLE_IS_REASON].load(Ordering::Relaxed) != 0;
        Some(Sample { kind, at_ns, bytes, is_reason, cut })
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
        distribution::histogram(all_counters.iter().flat_map(|counters| counters.buckets(kind)))
    }

    /// The summary of one kind over several workers.
    #[must_use]
    pub fn latency(all_counters: &[Self], kind: LatencyKind) -> Latency {
        let unanswered = match kind {
            LatencyKind::Response => {
                all_counters.iter().map(|counters| counters.get(Count::Unanswered)).sum()
            }
            LatencyKind::Connect | LatencyKind::Handshake | LatencyKind::Error => 0,
        };
        let sum_ns = all_counters
            .iter()
            .map(|counters| counters.latency_words(kind)[SUM].load(Ordering::Relaxed))
            .sum();
        distribution::summary(&Self::histogram(all_counters, kind), sum_ns, unanswered)
    }

    /// The buckets of one kind that aren't empty: their highest value, and their count.
    fn buckets(&self, kind: LatencyKind) -> impl Iterator<Item = (u64, u64)> + use<'a> {
        let words = &self.latency_words(kind)[..BUCKETS];
        words.iter().enumerate().filter_map(|(bucket, word)| {
            let count = word.load(Ordering::Relaxed);
            (count > 0).then(|| (value_of(bucket), count))
        })
    }

    fn latency_words(&self, kind: LatencyKind) -> &'a [AtomicU64] {
        &self.words[FIRST_BUCKET + kind as usize * LATENCY_WORDS..][..LATENCY_WORDS]
    }
}

fn add(word: &AtomicU64, value: u64) {
    word.store(word.load(Ordering::Relaxed).wrapping_add(value), Ordering::Relaxed);
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

const EXACT_BITS: u32 = 11;
const EXACT: u64 = 1 << EXACT_BITS;
const MAX_BITS: u32 = 40;
const _: () = assert!(NANOS_MAX == (1 << MAX_BITS) - 1);
const BUCKETS: usize = ((MAX_BITS - EXACT_BITS + 2) as usize) << (EXACT_BITS - 1);
const LATENCY_KINDS: usize = 4;
/// Index of the sum of all latencies, after the buckets.
const SUM: usize = BUCKETS;
const LATENCY_WORDS: usize = BUCKETS + 1;
const FIRST_FAILURE: usize = Count::Elapsed as usize + 1;
const FIRST_STATUS: usize = FIRST_FAILURE + FailureKind::ALL.len();
/// A status has three digits.
const STATUSES: usize = 1000;
const FIRST_SAMPLE: usize = FIRST_STATUS + STATUSES;
/// Its kind plus 1, or 0 if there is none.
const SAMPLE_KIND: usize = 0;
const SAMPLE_AT: usize = 1;
/// The number of bytes that there were, of which [`SAMPLE_BYTES`] are kept.
const SAMPLE_LENGTH: usize = 2;
const SAMPLE_IS_REASON: usize = 3;
const SAMPLE_TEXT: usize = 4;
const SAMPLE_WORDS: usize = SAMPLE_TEXT + SAMPLE_BYTES / size_of::<u64>();
/// All other words come first, padded to a multiple of a cache line.
const FIRST_BUCKET: usize = (FIRST_SAMPLE + SAMPLE_WORDS).next_multiple_of(8);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words() -> Vec<AtomicU64> {
        (0..Counters::WORDS).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn counts_failures_statuses_and_latencies_have_separate_words() {
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
        assert_eq!(counters.failed() + counters.connects_failed(), expected);
        counters.status(200);
        counters.status(999);
        assert_eq!(counters.statuses().collect::<Vec<_>>(), [(200, 1), (999, 1)]);
        assert_eq!(Counters::latency(&[counters], LatencyKind::Connect).count, 1);
        assert_eq!(Counters::latency(&[counters], LatencyKind::Response), Latency::default());
    }

    #[test]
    fn the_first_failure_is_kept_with_its_first_bytes() {
        let words = words();
        let counters = Counters::new(&words);
        assert_eq!(counters.sampled(), None);
        counters.sample(FailureKind::ConnectRefused, 7, b"");
        let first = Sample {
            kind: FailureKind::ConnectRefused,
            at_ns: 7,
            bytes: Vec::new(),
            is_reason: false,
            cut: false,
        };
        assert_eq!(counters.sampled(), Some(first.clone()));
        counters.sample(FailureKind::WrongStatus, 8, b"late");
        assert_eq!(counters.sampled(), Some(first));
        for (length, cut) in [(3, false), (SAMPLE_BYTES, false), (SAMPLE_BYTES + 1, true)] {
            let words = self::words();
            let counters = Counters::new(&words);
            let bytes: Vec<u8> = (1..=251).cycle().take(length).collect();
            counters.sample(FailureKind::Malformed, 1, &bytes);
            let sample = counters.sampled().expect("a failure was kept");
            assert_eq!(sample.bytes, bytes[..length.min(SAMPLE_BYTES)], "{length}");
            assert_eq!(sample.cut, cut, "{length}");
        }
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
            let found = found.expect("there are latencies");
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
