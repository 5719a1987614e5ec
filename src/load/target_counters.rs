//! The counters of each target of a worker, in shared memory like [`super::counters`]: each word
//! has one writer, and other processes may read it at any time.

use std::sync::atomic::{AtomicU64, Ordering};

/// A view of the counters of all targets of one worker; empty if targets aren't counted apart.
#[derive(Clone, Copy, Debug, Default)]
pub struct TargetCounters<'a> {
    words: &'a [AtomicU64],
}

/// The counts of one target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetCounts {
    /// Requests with a complete and correct response.
    pub requests: u64,
    /// Requests that were sent and failed.
    pub failed: u64,
    /// The sum of the times of `requests`, in nanoseconds.
    pub sum_ns: u64,
    /// The longest of them, in nanoseconds.
    pub max_ns: u64,
}

impl<'a> TargetCounters<'a> {
    /// A view of memory of [`WORDS_PER_TARGET`] words for each target, all 0 at first.
    #[must_use]
    pub fn new(words: &'a [AtomicU64]) -> Self {
        Self { words }
    }

    /// Counts a correct response.
    pub fn answered(&self, target: usize, nanos: u64) {
        self.change(target, |counts| TargetCounts {
            requests: counts.requests + 1,
            sum_ns: counts.sum_ns + nanos,
            max_ns: counts.max_ns.max(nanos),
            ..counts
        });
    }

    /// Counts a failed request.
    pub fn failed(&self, target: usize) {
        self.change(target, |counts| TargetCounts { failed: counts.failed + 1, ..counts });
    }

    /// Counts the latest correct response of a target as a failure. Its time stays recorded.
    pub fn take_back(&self, target: usize) {
        self.change(target, |counts| TargetCounts {
            requests: counts.requests - 1,
            failed: counts.failed + 1,
            ..counts
        });
    }

    /// The counts of one target over all workers.
    #[must_use]
    pub fn sum(workers: &[Self], target: usize) -> TargetCounts {
        workers.iter().fold(TargetCounts::default(), |sum, worker| {
            let counts = worker.counts(target);
            TargetCounts {
                requests: sum.requests + counts.requests,
                failed: sum.failed + counts.failed,
                sum_ns: sum.sum_ns + counts.sum_ns,
                max_ns: sum.max_ns.max(counts.max_ns),
            }
        })
    }

    fn counts(&self, target: usize) -> TargetCounts {
        let Some(words) = self.words_of(target) else { return TargetCounts::default() };
        let [requests, failed, sum_ns, max_ns] =
            words.each_ref().map(|word| word.load(Ordering::Relaxed));
        TargetCounts { requests, failed, sum_ns, max_ns }
    }

    fn change(&self, target: usize, change: impl FnOnce(TargetCounts) -> TargetCounts) {
        let Some(words) = self.words_of(target) else { return };
        let TargetCounts { requests, failed, sum_ns, max_ns } = change(self.counts(target));
        for (word, value) in words.iter().zip([requests, failed, sum_ns, max_ns]) {
            word.store(value, Ordering::Relaxed);
        }
    }

    fn words_of(&self, target: usize) -> Option<&[AtomicU64; WORDS_PER_TARGET]> {
        self.words.get(target * WORDS_PER_TARGET..)?.first_chunk()
    }
}

/// Number of words that each target needs.
pub const WORDS_PER_TARGET: usize = 4;
/// The most targets that are counted apart: 3.2 MB for each worker.
pub const COUNTED_MAX: usize = 100_000;

/// The number of targets that are counted apart in a load with so many distinct requests. A load
/// with a single one needs no further counts.
#[must_use]
pub fn counted(distinct: usize) -> usize {
    if (2..=COUNTED_MAX).contains(&distinct) { distinct } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_workers_are_added() {
        let words: Vec<AtomicU64> = (0..16).map(|_| AtomicU64::new(0)).collect();
        let workers = [TargetCounters::new(&words[..8]), TargetCounters::new(&words[8..])];
        workers[0].answered(1, 30);
        workers[0].answered(1, 10);
        workers[1].answered(1, 20);
        workers[1].failed(1);
        workers[1].take_back(1);
        let expected = TargetCounts { requests: 2, failed: 2, sum_ns: 60, max_ns: 30 };
        assert_eq!(TargetCounters::sum(&workers, 1), expected);
        assert_eq!(TargetCounters::sum(&workers, 0), TargetCounts::default());
        TargetCounters::default().answered(5, 1);
        assert_eq!((counted(1), counted(2), counted(COUNTED_MAX + 1)), (0, 2, 0));
    }
}
