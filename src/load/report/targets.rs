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

/// The targets that a report has: all of up to [`ALL_MAX`] in their order, and of more the
/// [`EXTREMES_MAX`] with the longest mean times, followed by those others with the most failures.
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
