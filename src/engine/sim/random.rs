//! The source of a simulation's choices: a seed, or the bytes of a fuzzer.
//!
//! Zero is always the uneventful choice (no fault, no delay, the first of several), so a run whose
//! bytes are used up comes to its end. Knows nothing of what is chosen.

/// A source of choices; the same source makes the same run.
#[derive(Clone, Debug)]
pub struct Random {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Seed(u64),
    Bytes { bytes: Vec<u8>, used: usize },
}

impl Random {
    /// An endless sequence of choices from a seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self { source: Source::Seed(seed) }
    }

    /// Choices from bytes, and zeros after them.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self { source: Source::Bytes { bytes: bytes.to_vec(), used: 0 } }
    }

    /// A second source that is independent of this one from here on. Of a fuzzer's bytes, each
    /// source gets every other one of the rest.
    #[must_use]
    pub fn split(&mut self) -> Self {
        match &mut self.source {
            Source::Seed(state) => Self::from_seed(splitmix(state)),
            Source::Bytes { bytes, used } => {
                let rest = bytes.get(*used..).unwrap_or(&[]);
                let every_other = |from| rest.iter().skip(from).step_by(2).copied().collect();
                let (kept, given): (Vec<u8>, Vec<u8>) = (every_other(0), every_other(1));
                (*bytes, *used) = (kept, 0);
                Self { source: Source::Bytes { bytes: given, used: 0 } }
            }
        }
    }

    /// A number below `bound`, which is at least 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        match &mut self.source {
            Source::Seed(state) => splitmix(state) % bound,
            Source::Bytes { bytes, used } => {
                let mut value = 0;
                let mut reach = 1_u64;
                while reach < bound {
                    let byte = bytes.get(*used).copied().unwrap_or(0);
                    *used += 1;
                    value = value << 8 | u64::from(byte);
                    reach = reach.saturating_mul(256);
                }
                value % bound
            }
        }
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// A count from `low` to `high`, both included.
    pub fn count(&mut self, low: usize, high: usize) -> usize {
        usize::try_from(self.between(low as u64, high as u64)).expect("not above `high`")
    }

    /// True in `per_mille` of 1000 cases.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.below(1000) >= 1000 - u64::from(per_mille.min(1000))
    }

    /// One of several; the first is the uneventful choice.
    ///
    /// # Panics
    /// If `items` is empty.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.count(0, items.len() - 1)]
    }
}

/// The generator of Steele, Lea and Flood, "Fast splittable pseudorandom number generators".
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generator_matches_the_published_sequence() {
        let mut random = Random::from_seed(1_234_567);
        assert_eq!(random.below(u64::MAX), 6_457_827_717_110_365_317);
        assert_eq!(random.below(u64::MAX), 3_203_168_211_198_807_973);
    }

    #[test]
    fn bytes_are_followed_by_zeros() {
        let mut random = Random::from_bytes(&[7, 255]);
        assert_eq!(random.below(10), 7);
        assert_eq!(random.below(256), 255);
        assert_eq!(random.between(5, 900), 5);
        assert!(!random.chance(999));
        assert_eq!(random.pick(&['a', 'b']), 'a');
    }

    #[test]
    fn split_shares_the_bytes_that_are_left() {
        let mut random = Random::from_bytes(&[9, 1, 2, 3]);
        assert_eq!(random.below(256), 9);
        let mut other = random.split();
        assert_eq!([random.below(256), random.below(256), random.below(256)], [1, 3, 0]);
        assert_eq!([other.below(256), other.below(256)], [2, 0]);
    }
}
