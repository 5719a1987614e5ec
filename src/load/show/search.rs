//! The progress and the result of a search for the highest rate, as lines of text.

use super::numbers::{per_second, time};
use crate::load::limit::{Objective, WIDTH_MAX};
use crate::load::report::{FoundLimit, Run};
use std::fmt::Write;

/// One run of a search: its rate, and its figure or the reason for which it doesn't pass.
#[must_use]
pub fn search_step(rate: f64, objective: &Objective, run: &Run) -> String {
    let rate = per_second(rate);
    match objective.judge(run) {
        Ok(()) => {
            let found = run.response_us.at_percentile(objective.percentile);
            let found = found.map_or_else(String::new, time);
            format!("{rate} per second passes: p{} was {found}", objective.percentile)
        }
        Err(why) => format!("{rate} per second fails: {why}"),
    }
}

/// The result of a search of this many runs.
#[must_use]
pub fn search_result(limit: &FoundLimit, runs: usize) -> String {
    let FoundLimit { objective, .. } = limit;
    let mut text = match (limit.passed, limit.failed) {
        (Some(passed), Some(failed)) => format!(
            "{} per second holds {objective}, {} doesn't; {runs} runs",
            per_second(passed),
            per_second(failed)
        ),
        (Some(passed), None) => {
            format!("{} per second, the highest rate, holds {objective}", per_second(passed))
        }
        (None, Some(failed)) => {
            format!("not even {} per second holds {objective}", per_second(failed))
        }
        (None, None) => format!("no run tells whether {objective} holds"),
    };
    if limit.passed.is_some() && !limit.confirmed {
        let width = WIDTH_MAX * 100.0;
        write!(
            text,
            ". NOT CONFIRMED: the rates weren't within {width} % of each other after the last run"
        )
        .expect("writing to a string does not fail");
    }
    if limit.client_was_the_limit {
        text += ". THE CLIENT WAS SATURATED at the rate that failed: the limit may be its own; use \
                 more --processes";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_name_both_rates_and_doubts() {
        let found = FoundLimit {
            objective: "10ms@p99".to_owned(),
            passed: Some(4970.0),
            failed: Some(5190.0),
            confirmed: true,
            client_was_the_limit: false,
        };
        assert_eq!(
            search_result(&found, 12),
            "4970 per second holds 10ms@p99, 5190 doesn't; 12 runs"
        );
        let doubtful = FoundLimit { confirmed: false, client_was_the_limit: true, ..found.clone() };
        let text = search_result(&doubtful, 60);
        assert!(text.contains("NOT CONFIRMED: the rates weren't within 5 %"), "{text}");
        assert!(text.contains("THE CLIENT WAS SATURATED"), "{text}");
        let none = FoundLimit { passed: None, failed: Some(1.0), confirmed: false, ..found };
        assert_eq!(search_result(&none, 22), "not even 1 per second holds 10ms@p99");
    }
}
