//! The order of requests: weights spread evenly over a cycle, and shuffling by a seed.

use super::ENTRIES_MAX;

/// One cycle of items with weights: each item appears as often as its weight says, after division
/// of all weights by their common divisor, and as evenly spread as can be. Items of equal weight
/// keep their order.
///
/// # Errors
/// If the cycle is longer than [`CYCLE_MAX`] and the weights aren't all equal.
pub(super) fn by_weight(items: &[(u32, u32)]) -> Result<Vec<u32>, String> {
    let divisor = items.iter().fold(0, |divisor, &(_, weight)| common_divisor(divisor, weight));
    let share = |weight: u32| u64::from(weight / divisor.max(1));
    let cycle: u64 = items.iter().map(|&(_, weight)| share(weight)).sum();
    if cycle == items.len() as u64 {
        return Ok(items.iter().map(|&(item, _)| item).collect());
    }
    if cycle > CYCLE_MAX {
        return Err(format!(
            "the weights add up to {cycle}, and the most is {CYCLE_MAX}: use smaller ones, or ones \
             with a common divisor"
        ));
    }
    // Occurrence k of weight w is at (2k + 1) / 2w of the cycle.
    let mut occurrences: Vec<(u64, u64, u32)> = items
        .iter()
        .flat_map(|&(item, weight)| {
            let weight = share(weight);
            (0..weight).map(move |k| (2 * k + 1, weight, item))
        })
        .collect();
    occurrences.sort_by(|a, b| (a.0 * b.1).cmp(&(b.0 * a.1)).then(b.1.cmp(&a.1)));
    Ok(occurrences.into_iter().map(|(_, _, item)| item).collect())
}

fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

/// Permutes a sequence; the same seed gives the same order on every machine.
pub fn shuffle(sequence: &mut [u32], seed: u64) {
    let mut random = SplitMix(seed);
    // Fisher and Yates, from the end; the bias of the remainder is below 2^-40.
    for last in (1..sequence.len()).rev() {
        let other = random.next() % (last as u64 + 1);
        sequence.swap(last, usize::try_from(other).expect("below the length"));
    }
}

/// The generator `SplitMix64` (Steele, Lea, Flood 2014), whose sequence is fixed for all time. A
/// reproducible order needs that.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The greatest weight of one request.
pub const WEIGHT_MAX: u32 = 1_000_000;
/// The longest cycle of requests with different weights.
pub const CYCLE_MAX: u64 = 1_000_000;
const _: () = assert!(CYCLE_MAX <= ENTRIES_MAX as u64);
/// The seed of `--shuffle` without `--seed`.
pub const SEED_DEFAULT: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn weights_are_spread_over_the_cycle() {
        assert_eq!(by_weight(&[(0, 1), (1, 1), (2, 1)]), Ok(vec![0, 1, 2]));
        assert_eq!(by_weight(&[(0, 6), (1, 2)]), Ok(vec![0, 0, 1, 0]));
        assert_eq!(by_weight(&[(0, 500_000), (1, 500_000)]), Ok(vec![0, 1]));
    }

    /// The first outputs for seed 1234567, published with the generator's reference implementation.
    #[test]
    fn split_mix_has_its_published_outputs() {
        let mut random = SplitMix(1_234_567);
        let found: Vec<u64> = (0..3).map(|_| random.next()).collect();
        let published =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(found, published);
    }

    proptest! {
        #[test]
        fn cycles_have_the_proportions_of_the_weights(
            weights in prop::collection::vec(1u32..50, 1..20),
        ) {
            let items: Vec<(u32, u32)> = (0..).zip(weights.iter().copied()).collect();
            let cycle = by_weight(&items).expect("the weights are small");
            let total: u32 = weights.iter().sum();
            for (item, weight) in items {
                let count = cycle.iter().filter(|&&found| found == item).count() as u64;
                prop_assert_eq!(count * u64::from(total), u64::from(weight) * cycle.len() as u64);
            }
        }

        #[test]
        fn shuffling_permutes_and_repeats_for_the_same_seed(len in 0u32..200, seed: u64) {
            let mut once: Vec<u32> = (0..len).collect();
            shuffle(&mut once, seed);
            let mut again: Vec<u32> = (0..len).collect();
            shuffle(&mut again, seed);
            prop_assert_eq!(&once, &again);
            again.sort_unstable();
            prop_assert!(again.iter().copied().eq(0..len));
        }
    }
}
