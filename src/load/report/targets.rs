//! The results by target of a load with several.

use serde::{Deserialize, Serialize};

/// The results of one target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetResult {
    /// Method and target, as in `GET /a.css`.
    pub target: String,
    /// Requests with a complete and correct response.
    pub requests: u64,
    /// Requests that were sent and failed.
    pub failed: u64,
    /// The mean time of a correct response, in microseconds.
    pub mean_us: Option<f64>,
    /// The longest time of a correct response, in microseconds.
    pub max_us: Option<f64>,
}

/// The targets that a report has: all of up to 100 in their order, and of more the 20 with the
/// longest mean times, followed by those of the 20 with the most failures that aren't
/// among them.
#[must_use]
pub fn selected(results: Vec<TargetResult>) -> Vec<TargetResult> {
    if results.len() <= ALL_MAX {
        return results;
    }
    let mut selected = slowest(&results, EXTREMES_MAX);
    for result in failing(&results, EXTREMES_MAX) {
        if !selected.contains(&result) {
            selected.push(result);
        }
    }
    selected.into_iter().cloned().collect()
}

/// The results by target of runs together, each of which is given with its number of distinct
/// targets: empty if a run has not all of them, or others, as a sum without one of its parts would
/// be too low.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "times have three significant digits")]
pub fn sum(runs: &[(&[TargetResult], u64)]) -> Vec<TargetResult> {
    let is_whole = |&(results, distinct): &(&[TargetResult], u64)| results.len() as u64 == distinct;
    let Some((&(first, _), others)) = runs.split_first() else { return Vec::new() };
    let has_same_names = |&(results, _): &(&[TargetResult], u64)| {
        results.iter().map(|it| &it.target).eq(first.iter().map(|it| &it.target))
    };
    if !runs.iter().all(is_whole) || !others.iter().all(has_same_names) {
        return Vec::new();
    }
    let mut sums = first.to_vec();
    for (results, _) in others {
        for (sum, part) in sums.iter_mut().zip(*results) {
            let total = |result: &TargetResult| {
                result.mean_us.map_or(0.0, |mean| mean * result.requests as f64)
            };
            let both = total(sum) + total(part);
            sum.requests += part.requests;
            sum.failed += part.failed;
            sum.mean_us = (sum.requests > 0).then(|| both / sum.requests as f64);
            sum.max_us = sum.max_us.into_iter().chain(part.max_us).reduce(f64::max);
        }
    }
    sums
}

/// At most `count` targets, beginning with the longest mean time.
#[must_use]
pub fn slowest(results: &[TargetResult], count: usize) -> Vec<&TargetResult> {
    let mut all: Vec<_> = results.iter().filter(|result| result.mean_us.is_some()).collect();
    let mean = |result: &TargetResult| result.mean_us.unwrap_or(0.0);
    all.sort_by(|a, b| mean(b).total_cmp(&mean(a)));
    all.truncate(count);
    all
}

/// At most `count` targets that failed, beginning with the most failures.
#[must_use]
pub fn failing(results: &[TargetResult], count: usize) -> Vec<&TargetResult> {
    let mut all: Vec<_> = results.iter().filter(|result| result.failed > 0).collect();
    all.sort_by_key(|result| std::cmp::Reverse(result.failed));
    all.truncate(count);
    all
}

const ALL_MAX: usize = 100;
const EXTREMES_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_of_runs_are_added_if_each_run_has_them_all() {
        let run = |requests, mean_us, failed| {
            let (mean_us, max_us) = (Some(mean_us), Some(mean_us * 2.0));
            let target = "GET /".to_owned();
            [TargetResult { target, requests, failed, mean_us, max_us }]
        };
        let (one, two) = (run(1, 10.0, 0), run(3, 50.0, 2));
        let sum_of_both = &sum(&[(&one, 1), (&two, 1)])[0];
        assert_eq!((sum_of_both.requests, sum_of_both.failed), (4, 2));
        assert_eq!((sum_of_both.mean_us, sum_of_both.max_us), (Some(40.0), Some(100.0)));
        assert_eq!(sum(&[(&one, 1), (&two, 2)]), []);
        assert_eq!(sum(&[(&one, 1), (&[], 0)]), []);
    }

    #[test]
    fn many_targets_are_reduced_to_the_slowest_and_the_failing() {
        let result = |number: u32| TargetResult {
            target: format!("GET /{number}"),
            requests: 1,
            failed: u64::from(number.is_multiple_of(50)),
            mean_us: Some(number.into()),
            max_us: Some(number.into()),
        };
        let all: Vec<_> = (0..100).map(result).collect();
        assert_eq!(selected(all.clone()), all);
        let found: Vec<String> =
            selected((0..201).map(result).collect()).into_iter().map(|it| it.target).collect();
        assert_eq!(found.len(), 24, "{found:?}");
        assert_eq!((found[0].as_str(), found[19].as_str()), ("GET /200", "GET /181"));
        assert_eq!(found[20..], ["GET /0", "GET /50", "GET /100", "GET /150"]);
    }
}
