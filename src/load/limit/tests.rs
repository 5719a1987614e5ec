//! The search against simulated servers, and the verdicts on runs.

use super::*;
use crate::load::report::Latency;
use proptest::prelude::*;

/// Searches the limit of a server that answers the question whether a run at a rate passes;
/// returns the result and the rates of the runs.
fn search(start: f64, mut passes: impl FnMut(f64) -> bool) -> (Bracket, Vec<f64>) {
    let mut search = LimitSearch::new(start, HIGHEST);
    let mut rates = Vec::new();
    loop {
        match search.step() {
            SearchStep::Try(rate) => {
                rates.push(rate);
                search.record(rate, passes(rate), false);
            }
            SearchStep::Done(bracket) => return (bracket, rates),
        }
        assert!(rates.len() <= STEPS_MAX, "{rates:?}");
    }
}

const HIGHEST: f64 = 1e6;

#[test]
fn rates_are_doubled_then_bisected_then_confirmed() {
    let (bracket, rates) = search(1000.0, |rate| rate <= 5000.0);
    assert_eq!(
        rates,
        [
            1000.0, 2000.0, 4000.0, 8000.0, 8000.0, 5660.0, 5660.0, 4760.0, 5190.0, 5190.0, 4970.0,
            4970.0
        ]
    );
    let (passed, failed) = (Some(4970.0), Some(5190.0));
    let expected = Bracket { passed, failed, confirmed: true, client_was_the_limit: false };
    assert_eq!(bracket, expected);
}

#[test]
fn the_first_rate_is_halved_until_one_passes() {
    let (bracket, rates) = search(1000.0, |rate| rate <= 200.0);
    assert_eq!(rates[..6], [1000.0, 1000.0, 500.0, 500.0, 250.0, 250.0]);
    assert!(bracket.confirmed);
    assert!(bracket.passed <= Some(200.0) && bracket.failed > Some(200.0), "{bracket:?}");
}

#[test]
fn servers_that_always_or_never_pass_end_the_search() {
    let (bracket, rates) = search(1000.0, |_| true);
    assert_eq!((bracket.passed, bracket.failed, bracket.confirmed), (Some(HIGHEST), None, true));
    assert_eq!(rates[rates.len() - 2..], [HIGHEST, HIGHEST]);
    let (bracket, rates) = search(1000.0, |_| false);
    assert_eq!((bracket.passed, bracket.failed), (None, Some(RATE_MIN)));
    assert!(!bracket.confirmed && rates.len() < 30, "{rates:?}");
}

#[test]
fn one_failed_run_does_not_end_the_search_below_the_limit() {
    let mut run = 0;
    let (bracket, rates) = search(1000.0, |rate| {
        run += 1;
        run != 2 && rate <= 5000.0
    });
    assert_eq!(rates[..5], [1000.0, 2000.0, 2000.0, 2000.0, 4000.0]);
    assert_eq!(bracket.passed, Some(4970.0));
}

#[test]
fn a_rate_that_is_not_confirmed_becomes_the_lowest_that_failed() {
    let mut at_4970 = 0;
    let (bracket, _) = search(1000.0, |rate| {
        let is_the_result = (4900.0..5000.0).contains(&rate);
        at_4970 += u32::from(is_the_result);
        rate <= 5000.0 && !(is_the_result && at_4970 > 1)
    });
    assert_eq!((bracket.passed, bracket.failed), (Some(4760.0), Some(4970.0)));
    assert!(bracket.confirmed);
}

#[test]
fn rates_that_pass_once_only_end_the_search_unconfirmed() {
    let mut seen = Vec::new();
    let (bracket, rates) = search(1000.0, |rate| {
        let is_new = !seen.contains(&rate.to_bits());
        seen.push(rate.to_bits());
        is_new
    });
    assert!(!bracket.confirmed, "{bracket:?}");
    assert_eq!(rates.len(), STEPS_MAX);
}

#[test]
fn limit_of_a_saturated_client_is_marked() {
    let mut search = LimitSearch::new(1.0, 2.0);
    search.record(1.0, true, true);
    let SearchStep::Try(rate) = search.step() else { panic!("the highest rate wasn't tried") };
    (0..2).for_each(|_| search.record(rate, false, true));
    while let SearchStep::Try(rate) = search.step() {
        search.record(rate, true, false);
    }
    let SearchStep::Done(bracket) = search.step() else { panic!("the search goes on") };
    assert!(bracket.client_was_the_limit && bracket.failed == Some(2.0), "{bracket:?}");
}

proptest! {
    #[test]
    fn limit_of_a_monotone_server_is_within_the_bracket(
        exponent in 0.1..5.9_f64,
        start in 0.0..6.0_f64,
    ) {
        let limit = 10_f64.powf(exponent);
        let (bracket, rates) = search(10_f64.powf(start), |rate| rate <= limit);
        let (passed, failed) = (bracket.passed.unwrap(), bracket.failed.unwrap());
        prop_assert!(bracket.confirmed);
        prop_assert!(passed <= limit && limit < failed);
        prop_assert!(failed <= passed * (1.0 + WIDTH_MAX) + 1e-9, "{passed} {failed}");
        prop_assert!(rates.len() <= 50, "{} runs", rates.len());
    }

    #[test]
    fn any_server_ends_the_search(verdicts in proptest::collection::vec(any::<bool>(), STEPS_MAX)) {
        let mut verdicts = verdicts.into_iter();
        let (bracket, rates) = search(1000.0, |_| verdicts.next().unwrap());
        prop_assert!(rates.iter().all(|rate| (RATE_MIN..=HIGHEST).contains(rate)));
        if let (Some(passed), Some(failed)) = (bracket.passed, bracket.failed) {
            prop_assert!(passed < failed);
        }
    }
}

/// A server whose limit varies by 3 % from run to run, and of whose runs one in twenty fails
/// whatever its rate.
#[test]
fn limit_of_a_noisy_server_is_found_within_ten_per_cent() {
    // Knuth's linear congruential generator (MMIX), of which the upper bits are used.
    let mut state = 7_u64;
    let mut share = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from((state >> 32) as u32) / f64::from(u32::MAX)
    };
    let found = (0..500).map(|_| {
        let (bracket, _) = search(1000.0, |rate| {
            let spread: f64 = (0..12).map(|_| share()).sum::<f64>() - 6.0;
            share() > 0.05 && rate <= 20_000.0 * (1.0 + 0.03 * spread)
        });
        bracket.passed.unwrap_or(0.0)
    });
    let near = found.filter(|passed| (18_000.0..22_000.0).contains(passed)).count();
    assert!(near >= 475, "{near} of 500 searches");
}

#[test]
fn objectives_are_a_duration_at_a_percentile() {
    for (text, millis, percentile) in [("10ms@p99", 10, 99.0), ("1s@p99.9", 1000, 99.9)] {
        let objective: Objective = text.parse().unwrap();
        assert_eq!(objective, Objective { limit: Duration::from_millis(millis), percentile });
        assert_eq!(objective.to_string(), text);
    }
    for (text, complaint) in [
        ("10ms", "as in 10ms@p99"),
        ("p99<10ms", "as in 10ms@p99"),
        ("10@p99", "write 10s or 10ms"),
        ("10ms@p", "as in 10ms@p99"),
        ("10ms@p100", "between p0 and p100"),
        ("10ms@p0", "between p0 and p100"),
        ("10ms@pNaN", "between p0 and p100"),
        ("0s@p99", "longer than zero"),
    ] {
        let found = text.parse::<Objective>().unwrap_err();
        assert!(found.contains(complaint), "{text}: {found}");
    }
}

#[test]
fn runs_pass_that_are_correct_in_time_and_at_their_rate() {
    let objective: Objective = "10ms@p90".parse().unwrap();
    let response_us = |slow| {
        let histogram = vec![(1_000_447, 100 - slow), (20_004_863, slow)];
        Latency { count: 100, histogram, ..Latency::default() }
    };
    let good = Run { due: 100, sent: 100, requests: 100, ..Run::default() };
    let with = |slow| Run { response_us: response_us(slow), ..good.clone() };
    assert_eq!(objective.judge(&with(10)), Ok(()));
    for (run, reason) in [
        (with(11), "p90 was 20.005 ms"),
        (Run { rate_missed: true, rate_held: Some(4.4), ..with(1) }, "not held: 4 per second"),
        (Run { requests: 97, failed: 1, outstanding: 2, ..with(1) }, "1 of the requests failed"),
        (Run { not_sent: 2, ..with(1) }, "2 of the requests were not sent"),
        (Run { outstanding: 2, ..with(1) }, "2 of the requests had no response"),
        (Run { died: 1, ..with(1) }, "1 worker processes died"),
        (Run { connects_failed: 7, ..with(1) }, "7 attempts to connect failed"),
        (good.clone(), "no request had a response"),
    ] {
        let found = objective.judge(&run).unwrap_err();
        assert!(found.contains(reason), "{found}");
    }
}
