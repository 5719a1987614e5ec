//! Histograms in memory that processes share: a count for each bucket and the sum of all values.

use std::sync::atomic::{AtomicU64, Ordering};

/// The upper bounds of the buckets of a histogram of times, in nanoseconds, and where its words
/// are. A last bucket takes longer times.
#[derive(Clone, Copy, Debug)]
pub struct HistogramLayout {
    /// The first word: that of the first bucket. The sum comes behind the last one.
    pub first: usize,
    /// The bounds, ascending.
    pub bounds_ns: &'static [u64],
}

impl HistogramLayout {
    /// The number of words.
    #[must_use]
    pub const fn words(&self) -> usize {
        self.bounds_ns.len() + 2
    }

    /// Counts `times` values of this time. The words have this process as their only writer.
    pub fn record(&self, words: &[AtomicU64], time_ns: u64, times: u64) {
        // Most times are short, so a search from the front is the fastest one.
        let bucket = self.bounds_ns.iter().position(|&bound| time_ns <= bound);
        add(&words[self.first + bucket.unwrap_or(self.bounds_ns.len())], times);
        add(&words[self.sum_at()], time_ns.saturating_mul(times));
    }

    /// The counts of the buckets, that of longer times last.
    #[must_use]
    pub fn buckets<'w>(&self, words: &'w [u64]) -> &'w [u64] {
        &words[self.first..self.sum_at()]
    }

    /// The sum of all times, in nanoseconds.
    #[must_use]
    pub fn sum_ns(&self, words: &[u64]) -> u64 {
        words[self.sum_at()]
    }

    const fn sum_at(&self) -> usize {
        self.first + self.bounds_ns.len() + 1
    }
}

/// Adds to a word of which this process is the only writer: a load and a store, where an atomic
/// addition would lock the bus. Other processes see the old value or the new one.
pub(super) fn add(word: &AtomicU64, number: u64) {
    word.store(word.load(Ordering::Relaxed).wrapping_add(number), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: HistogramLayout = HistogramLayout { first: 1, bounds_ns: &[10, 20] };

    #[test]
    fn a_time_counts_in_the_first_bucket_that_it_fits_in() {
        let words: Vec<AtomicU64> = (0..=LAYOUT.words()).map(|_| AtomicU64::new(0)).collect();
        for (time, times) in [(0, 1), (10, 2), (11, 3), (20, 4), (21, 5)] {
            LAYOUT.record(&words, time, times);
        }
        LAYOUT.record(&words, u64::MAX, 0);
        let words: Vec<u64> = words.iter().map(|word| word.load(Ordering::Relaxed)).collect();
        assert_eq!(LAYOUT.buckets(&words), [3, 7, 5]);
        assert_eq!(LAYOUT.sum_ns(&words), 20 + 33 + 80 + 105);
        assert_eq!(words[0], 0, "the words before it are others'");
    }
}
