//! The statistics on values with known distributions, and against published tables.

use super::*;
use crate::load::report::distribution;

/// A value from a normal distribution (Box and Muller 1958).
fn normal(numbers: &mut Numbers) -> f64 {
    let mut uniform = || (count(numbers.below(1 << 30)) + 0.5) / count(1 << 30);
    let (radius, turn) = ((-2.0 * uniform().ln()).sqrt(), uniform() * std::f64::consts::TAU);
    radius * turn.cos()
}

/// Rates as loaded machines give them: 3 % of noise, and one run of ten slower by up to a third.
fn noisy(numbers: &mut Numbers, runs: usize, level: f64) -> Vec<f64> {
    let run = |numbers: &mut Numbers| {
        let disturbance = match numbers.below(10) {
            0 => count(numbers.below(333)) / 1000.0,
            _ => 0.0,
        };
        level * (1.0 + 0.03 * normal(numbers)) * (1.0 - disturbance)
    };
    (0..runs).map(|_| run(numbers)).collect()
}

/// The share of trials with runs at two levels in which something is found.
fn share(
    trials: usize,
    runs: usize,
    levels: (f64, f64),
    found: impl Fn(&[f64], &[f64]) -> bool,
) -> f64 {
    let mut numbers = Numbers(7);
    let trial = |_: &usize| {
        let base = noisy(&mut numbers, runs, levels.0);
        found(&base, &noisy(&mut numbers, runs, levels.1))
    };
    count((0..trials).filter(trial).count()) / count(trials)
}

fn differs(base: &[f64], other: &[f64]) -> bool {
    permutation(base, other) <= ALPHA
}

#[test]
fn equal_distributions_are_called_different_at_the_rate_of_alpha() {
    // The exact test of 10 and 10 ranks has the size 0.0433, that of 5 and 5 the size 0.0317.
    for (runs, expected) in [(10, 0.0433), (5, 0.0317)] {
        let found = share(2500, runs, (100.0, 100.0), differs);
        assert!((found - expected).abs() < 0.012, "{found} of the trials with {runs} runs");
    }
    // 80 values are too many for the exact distribution.
    let found = share(300, 40, (100.0, 100.0), differs);
    assert!((0.02..0.09).contains(&found), "{found} of the trials with 40 runs");
}

#[test]
fn ten_per_cent_are_found_in_ten_repetitions() {
    for levels in [(100.0, 110.0), (100.0, 90.0)] {
        let found = share(1000, 10, levels, differs);
        assert!(found > 0.95, "{found} of the trials with {levels:?}");
    }
}

#[test]
fn interval_of_the_ratio_holds_it_about_as_often_as_it_says() {
    for levels in [(100.0, 100.0), (100.0, 110.0)] {
        let found = share(200, 10, levels, |base, other| {
            let interval = bootstrap(base, other).expect("rates are positive");
            let ratio = levels.1 / levels.0;
            interval.low <= ratio && ratio <= interval.high
        });
        assert!((0.91..=0.995).contains(&found), "{found} of the trials with {levels:?}");
    }
}

/// Critical values of U for two sides at 5 %, as in the table of Mann and Whitney's test: the
/// largest U that is significant. U is the rank sum of a side less its lowest possible one.
#[test]
fn critical_values_are_those_of_the_published_table() {
    for (m, n, critical) in [
        (4, 4, 0),
        (5, 5, 2),
        (6, 6, 5),
        (7, 7, 8),
        (8, 8, 13),
        (10, 10, 23),
        (6, 9, 10),
        (5, 12, 11),
    ] {
        for (u, is_significant) in [(critical, true), (critical + 1, false)] {
            let (base, other) = with_u(m, n, u);
            let p = permutation(&base, &other);
            assert_eq!(p <= ALPHA, is_significant, "{m} and {n} values, U = {u}: p = {p}");
        }
    }
}

/// Two sides of `m` and `n` values whose rank sum is the lowest one plus `u`.
fn with_u(m: usize, n: usize, u: usize) -> (Vec<f64>, Vec<f64>) {
    let mut ranks: Vec<usize> = (0..m).collect();
    let mut left = u;
    for rank in ranks.iter_mut().rev() {
        let step = left.min(n);
        *rank += step;
        left -= step;
    }
    let other = (0..m + n).filter(|rank| !ranks.contains(rank)).map(count).collect();
    (ranks.iter().copied().map(count).collect(), other)
}

#[test]
fn lowest_probability_is_that_of_sides_without_an_overlap() {
    for (m, n) in [(1, 1), (3, 3), (4, 4), (3, 5), (2, 8), (10, 10)] {
        let base: Vec<f64> = (0..m).map(count).collect();
        let other: Vec<f64> = (m..m + n).map(count).collect();
        let (found, lowest) = (permutation(&base, &other), lowest_permutation(m, n));
        assert!((found - lowest).abs() < 1e-12, "{m} and {n}: {found}, {lowest}");
    }
    assert!(lowest_permutation(3, 3) > ALPHA && lowest_permutation(4, 4) < ALPHA);
}

#[test]
fn equal_values_are_no_difference() {
    assert!((permutation(&[5.0; 6], &[5.0; 6]) - 1.0).abs() < 1e-12);
    assert_eq!(bootstrap(&[5.0; 6], &[10.0; 6]), Some(RatioInterval { low: 2.0, high: 2.0 }));
    assert_eq!(bootstrap(&[0.0; 6], &[10.0; 6]), None);
    assert_eq!(bootstrap(&[], &[1.0]), None);
}

#[test]
fn results_do_not_change_from_one_call_to_the_next() {
    let mut numbers = Numbers(3);
    let (base, other) = (noisy(&mut numbers, 50, 1.0), noisy(&mut numbers, 50, 1.01));
    assert_eq!(bootstrap(&base, &other), bootstrap(&base, &other));
    assert_eq!(permutation(&base, &other).to_bits(), permutation(&base, &other).to_bits());
}

/// The latencies of a run, in nanoseconds, as a distribution.
fn latency(nanos: impl Iterator<Item = f64>) -> Latency {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below a second")]
    let buckets = nanos.map(|nanos| (nanos as u64, 1));
    distribution::summary(&distribution::histogram(buckets), 0, 0)
}

#[test]
fn percentiles_of_single_runs_hold_their_ratio() {
    let mut numbers = Numbers(11);
    // Exponential latencies with a mean of 200 µs, the other side slower by 0 or 10 %.
    let mut run = |slower: f64| {
        let mut uniform = || (count(numbers.below(1 << 30)) + 0.5) / count(1 << 30);
        latency((0..2000).map(|_| -200_000.0 * slower * uniform().ln()))
    };
    for (percentile, ratio) in [(50.0, 1.0), (99.0, 1.0), (50.0, 1.1)] {
        let trials = (0..300).map(|_| {
            of_percentile(&run(1.0), &run(ratio), percentile).expect("there are enough latencies")
        });
        let held = trials.filter(|found| found.low <= ratio && ratio <= found.high).count();
        assert!(held >= 285, "{held} of 300 hold the ratio {ratio} of p{percentile}");
    }
}

#[test]
fn percentile_without_latencies_beyond_it_has_no_interval() {
    let thousand = latency((1..=1000).map(|micros| f64::from(micros) * 1000.0));
    assert!(of_percentile(&thousand, &thousand, 99.0).is_some_and(RatioInterval::holds_one));
    assert_eq!(of_percentile(&thousand, &thousand, 99.9), None);
    assert_eq!(of_percentile(&thousand, &Latency::default(), 50.0), None);
}
