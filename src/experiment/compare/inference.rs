//! The statistics of a comparison: is a difference more than noise, and how large is it? Pure and
//! deterministic: equal inputs give equal results.
//!
//! - Of repeated runs, a permutation test of the ranks (Wilcoxon's rank sum test, with its exact
//!   distribution) decides, and a bootstrap gives the interval of the ratio of the medians. Neither
//!   assumes a shape of the noise, so a run that was disturbed spoils no verdict.
//! - Of two single runs, a percentile has an interval by order statistics: the ranks between which
//!   it lies follow from the binomial distribution, whatever the distribution of the latencies.

use crate::experiment::spread::spread;
use crate::load::report::Latency;

/// The share of equal figures that are called different by chance.
pub(super) const ALPHA: f64 = 0.05;

/// A range that holds a ratio with a confidence of 1 - [`ALPHA`].
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct RatioInterval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl RatioInterval {
    /// Whether equal figures are within the range.
    pub(super) fn holds_one(self) -> bool {
        self.low <= 1.0 && 1.0 <= self.high
    }
}

/// The interval of the ratio of the median of `other` to that of `base`: the percentiles of the
/// ratio over samples that are drawn with replacement from each side. `None` if a median of `base`
/// is 0, or a side is empty.
pub(super) fn bootstrap(base: &[f64], other: &[f64]) -> Option<RatioInterval> {
    let mut numbers = Numbers(SEED);
    let mut ratios = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        let below = median(numbers.resampled(base))?;
        let above = median(numbers.resampled(other))?;
        if below <= 0.0 {
            return None;
        }
        ratios.push(above / below);
    }
    ratios.sort_by(f64::total_cmp);
    let cut = RESAMPLES / TAIL;
    Some(RatioInterval { low: ratios[cut], high: ratios[RESAMPLES - 1 - cut] })
}

/// The median of `values`; `None` without any.
pub(super) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    spread(values).map(|spread| spread.median)
}

/// The probability that equal distributions give a rank sum at least as far from its expectation as
/// that of `base` among `base` and `other` is. Ties have their mean rank.
pub(super) fn permutation(base: &[f64], other: &[f64]) -> f64 {
    let ranks = doubled_ranks(base, other);
    if ranks.len() <= EXACT_VALUES_MAX {
        exact(&ranks, base.len())
    } else {
        sampled(&ranks, base.len())
    }
}

/// The lowest value that [`permutation`] can have for these numbers of values, that of two sides
/// without an overlap: 2 of the ways to choose `base` among all.
pub(super) fn lowest_permutation(base: usize, other: usize) -> f64 {
    let (mut ways, mut all) = (1.0, 1.0);
    for _ in 0..base {
        ways *= (count(other) + all) / all;
        all += 1.0;
    }
    (2.0 / ways).min(1.0)
}

/// Twice the mean ranks, which are whole numbers, of all values; those of `base` come first.
fn doubled_ranks(base: &[f64], other: &[f64]) -> Vec<usize> {
    let values = [base, other].concat();
    let rank = |value: f64| {
        let below = values.iter().filter(|other| other.total_cmp(&value).is_lt()).count();
        let equal = values.iter().filter(|other| other.total_cmp(&value).is_eq()).count();
        2 * below + equal + 1
    };
    values.iter().map(|&value| rank(value)).collect()
}

/// The distance of the doubled sum of `chosen` ranks among `all` from its expectation.
fn distance(sum: usize, chosen: usize, all: usize) -> usize {
    sum.abs_diff(chosen * (all + 1))
}

/// The exact probability: `ways[chosen][sum]` counts the sets of so many ranks with this sum, built
/// up by one rank after another.
fn exact(ranks: &[usize], chosen: usize) -> f64 {
    let sum_max: usize = ranks.iter().sum();
    let mut ways = vec![vec![0.0; sum_max + 1]; chosen + 1];
    ways[0][0] = 1.0;
    for &rank in ranks {
        for size in (1..=chosen).rev() {
            for sum in (rank..=sum_max).rev() {
                ways[size][sum] += ways[size - 1][sum - rank];
            }
        }
    }
    let found = distance(ranks[..chosen].iter().sum(), chosen, ranks.len());
    let is_as_far = |sum: usize| distance(sum, chosen, ranks.len()) >= found;
    let far: f64 = ways[chosen]
        .iter()
        .enumerate()
        .filter(|&(sum, _)| is_as_far(sum))
        .map(|(_, ways)| ways)
        .sum();
    far / ways[chosen].iter().sum::<f64>()
}

/// The probability from a sample of the permutations, which counts the one that was found.
fn sampled(ranks: &[usize], chosen: usize) -> f64 {
    let mut numbers = Numbers(SEED);
    let found = distance(ranks[..chosen].iter().sum(), chosen, ranks.len());
    let mut shuffled = ranks.to_vec();
    let mut far = 1.0;
    for _ in 0..RESAMPLES {
        for place in 0..chosen {
            shuffled.swap(place, place + numbers.below(ranks.len() - place));
        }
        if distance(shuffled[..chosen].iter().sum(), chosen, ranks.len()) >= found {
            far += 1.0;
        }
    }
    far / (count(RESAMPLES) + 1.0)
}

/// The interval of the ratio of a percentile in two single runs; `None` if a run has too few
/// latencies beyond the percentile to bound it.
///
/// Each side has an interval with half of [`ALPHA`], so that the ratios between their ends have the
/// confidence of 1 - [`ALPHA`].
pub(super) fn of_percentile(
    base: &Latency,
    other: &Latency,
    percentile: f64,
) -> Option<RatioInterval> {
    let (below, above) =
        (order_statistics(base, percentile)?, order_statistics(other, percentile)?);
    let is_positive = below.0 > 0.0;
    is_positive.then(|| RatioInterval { low: above.0 / below.1, high: above.1 / below.0 })
}

/// The latencies between which a percentile lies with a confidence of 1 - [`ALPHA`] / 2, if
/// latencies are independent. The number of latencies below the percentile is binomial; the normal
/// approximation holds as [`BEYOND_MIN`] of them are expected on either side.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "ranks are positive, and far below 2^52"
)]
fn order_statistics(latency: &Latency, percentile: f64) -> Option<(f64, f64)> {
    let (all, share) = (latency.count as f64, percentile / 100.0);
    let (expected, beyond) = (all * share, all * (1.0 - share));
    if expected < BEYOND_MIN || beyond < BEYOND_MIN {
        return None;
    }
    let reach = DEVIATIONS * (beyond * share).sqrt();
    let low = (expected - reach).floor() as u64;
    let high = (expected + reach).ceil() as u64 + 1;
    Some((latency.at_rank(low.max(1))?, latency.at_rank(high)?))
}

/// Random numbers by splitmix64 (Steele, Lea and Flood 2014), from a constant seed: a report must
/// not change when it is read again.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A number below `bound`, which is positive and far below 2^32: the upper bits of the product,
    /// whose bias is below 2^-32.
    fn below(&mut self, bound: usize) -> usize {
        let product = u128::from(self.next()) * bound as u128;
        usize::try_from(product >> 64).expect("it is below the bound")
    }

    /// As many values as there are, each drawn from all.
    fn resampled<'a>(&'a mut self, values: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        values.iter().map(|_| values[self.below(values.len())])
    }
}

/// A number of values or permutations.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn count(number: usize) -> f64 {
    number as f64
}

/// Samples of the bootstrap, and of the permutations where there are too many for all.
const RESAMPLES: usize = 4000;
/// One of this many samples is beyond either end of an interval: half of [`ALPHA`].
const TAIL: usize = 40;
const SEED: u64 = 1;
/// Up to this number of values on both sides, the distribution of the rank sum is computed exactly:
/// some ten million additions.
const EXACT_VALUES_MAX: usize = 64;
/// Latencies expected below and beyond a percentile, at least.
const BEYOND_MIN: f64 = 10.0;
/// Standard deviations of a normal distribution that hold all but half of [`ALPHA`].
const DEVIATIONS: f64 = 2.2414;

#[cfg(test)]
mod tests;
