//! Distributions that were read from reports: added up, looked up by rank, checked.

use super::Latency;
use super::distribution::{self, NANOS_MAX};
use std::collections::BTreeMap;

impl Latency {
    /// The distribution of all latencies of several distributions: counts of equal buckets are
    /// added, which is exact, and the figures are those of the sum.
    #[must_use]
    pub fn sum<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut buckets = BTreeMap::<u64, u64>::new();
        let (mut sum_ns, mut unanswered) = (0_u64, 0_u64);
        for part in parts {
            for &(value, count) in &part.histogram {
                let sum = buckets.entry(value).or_default();
                *sum = sum.saturating_add(count);
            }
            sum_ns = sum_ns.saturating_add(part.sum_ns);
            unanswered = unanswered.saturating_add(part.unanswered);
        }
        distribution::summary(&distribution::histogram(buckets.into_iter()), sum_ns, unanswered)
    }

    /// The latency at a percentile from 0 to 100, in microseconds; `None` without any latency.
    #[must_use]
    pub fn at_percentile(&self, percentile: f64) -> Option<f64> {
        let histogram = distribution::histogram(self.histogram.iter().copied());
        (!histogram.is_empty()).then(|| micros(histogram.value_at_percentile(percentile)))
    }

    /// The latency of this rank, from 1 for the lowest to [`Latency::count`] for the highest, in
    /// microseconds; `None` if no latency has the rank.
    #[must_use]
    pub fn at_rank(&self, rank: u64) -> Option<f64> {
        let mut up_to = 0_u64;
        let is_reached = |&&(_, count): &&(u64, u64)| {
            up_to = up_to.saturating_add(count);
            up_to >= rank
        };
        let bucket = self.histogram.iter().find(is_reached).filter(|_| rank > 0);
        bucket.map(|&(value, _)| micros(value))
    }

    /// Checks what the type doesn't say of a distribution that was read from a file: the buckets
    /// are those of this program, ascending, and hold [`Latency::count`] latencies.
    ///
    /// # Errors
    /// The first contradiction, as a sentence without its subject.
    pub fn check(&self) -> Result<(), String> {
        let empty = distribution::histogram(std::iter::empty());
        let mut total = 0_u64;
        let mut last = 0;
        for &(value, count) in &self.histogram {
            if value <= last || count == 0 {
                return Err(format!(
                    "has the bucket [{value}, {count}], which is empty or unordered"
                ));
            }
            if value > NANOS_MAX || empty.highest_equivalent(value) != value {
                return Err(format!("has {value} as the end of a bucket, where none ends"));
            }
            last = value;
            total = total.checked_add(count).ok_or("has more latencies than fit in 64 bits")?;
        }
        if total != self.count {
            let count = self.count;
            return Err(format!(
                "has {total} latencies in its buckets, and {count} as their count"
            ));
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "latencies have three digits")]
fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn end_of_bucket(nanos: u64) -> u64 {
        distribution::histogram(std::iter::empty()).highest_equivalent(nanos)
    }

    /// The distribution of these latencies, as a worker would count them.
    fn counted(latencies: &[u64]) -> Latency {
        let buckets = latencies.iter().map(|&nanos| (end_of_bucket(nanos), 1));
        distribution::summary(&distribution::histogram(buckets), latencies.iter().sum(), 0)
    }

    fn any_latencies() -> impl Strategy<Value = Vec<u64>> {
        let nanos = (1..NANOS_MAX, 0..40_u32).prop_map(|(nanos, shift)| (nanos >> shift).max(1));
        proptest::collection::vec(nanos, 0..200)
    }

    proptest! {
        #[test]
        fn sum_of_the_parts_is_the_distribution_of_all(
            parts in proptest::collection::vec(any_latencies(), 0..5),
        ) {
            let counted_apart: Vec<_> = parts.iter().map(|part| counted(part)).collect();
            let all = counted(&parts.concat());
            prop_assert_eq!(all.check(), Ok(()));
            prop_assert_eq!(Latency::sum(&counted_apart), all);
        }

        /// The nearest-rank definition: the lowest latency with this share at or below it.
        #[test]
        fn percentiles_are_those_of_the_sorted_latencies(mut latencies in any_latencies()) {
            prop_assume!(!latencies.is_empty());
            let latency = counted(&latencies);
            latencies.sort_unstable();
            for (percentile, per_mille) in [(50.0, 500), (90.0, 900), (99.0, 990), (99.9, 999)] {
                let rank = (latencies.len() * per_mille).div_ceil(1000).max(1);
                let exact = Some(micros(end_of_bucket(latencies[rank - 1])));
                prop_assert_eq!(latency.at_percentile(percentile), exact);
                prop_assert_eq!(latency.at_rank(rank as u64), exact);
            }
        }
    }

    #[test]
    fn ranks_outside_the_distribution_have_no_latency() {
        let latency = counted(&[1000, 2000]);
        let found = [0, 1, 2, 3].map(|rank| latency.at_rank(rank));
        assert_eq!(found, [None, Some(1.0), Some(2.0), None]);
        assert_eq!(Latency::default().at_percentile(50.0), None);
    }

    #[test]
    fn contradictions_of_a_read_histogram_are_found() {
        let with = |histogram: &[(u64, u64)], count| {
            Latency { count, histogram: histogram.to_vec(), ..Latency::default() }.check()
        };
        assert_eq!(with(&[(1000, 1), (2000, 2)], 3), Ok(()));
        assert_eq!(with(&[], 0), Ok(()));
        for (buckets, count, complaint) in [
            (&[(2000, 1), (1000, 1)][..], 2, "[1000, 1], which is empty or unordered"),
            (&[(1000, 1), (1000, 1)], 2, "unordered"),
            (&[(0, 1)], 1, "unordered"),
            (&[(1000, 0)], 0, "[1000, 0], which is empty"),
            (&[(1_000_000, 1)], 1, "has 1000000 as the end of a bucket"),
            (&[(u64::MAX, 1)], 1, "as the end of a bucket"),
            (&[(1000, 1)], 2, "has 1 latencies in its buckets, and 2"),
            (&[(1000, u64::MAX), (1001, 1)], 0, "64 bits"),
        ] {
            let found = with(buckets, count).unwrap_err();
            assert!(found.contains(complaint), "{buckets:?}: {found}");
        }
    }
}
