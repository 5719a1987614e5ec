//! The lines about the targets of a load with several.

use super::numbers::time;
use crate::load::report::targets::{failing, slowest};
use crate::load::report::{Run, TargetResult};

/// Names and values of lines: the slowest targets, and those that failed most.
pub(super) fn lines(run: &Run) -> Vec<(&'static str, String)> {
    if run.targets_distinct == 0 {
        return Vec::new();
    }
    let mut lines = vec![("targets", format!("{} distinct requests", run.targets_distinct))];
    let slow = slowest(&run.targets, SHOWN_MAX).into_iter().filter(|_| run.targets.len() > 1);
    lines.extend(named("slowest", slow.map(of_slow)));
    lines.extend(named("failing", failing(&run.targets, SHOWN_MAX).into_iter().map(of_failing)));
    lines
}

/// The first line has the name, and the others have none.
fn named(
    name: &'static str,
    values: impl Iterator<Item = String>,
) -> impl Iterator<Item = (&'static str, String)> {
    values.enumerate().map(move |(index, value)| (if index == 0 { name } else { "" }, value))
}

fn of_slow(result: &TargetResult) -> String {
    let figure = |micros: Option<f64>| micros.map_or_else(|| "none".to_owned(), time);
    format!(
        "{}: mean {}, max {}, {} requests",
        shown(&result.target),
        figure(result.mean_us),
        figure(result.max_us),
        result.requests
    )
}

fn of_failing(result: &TargetResult) -> String {
    let all = result.requests + result.failed;
    format!("{}: {} of {all} requests failed", shown(&result.target), result.failed)
}

fn shown(target: &str) -> String {
    match target.char_indices().nth(TARGET_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}...", &target[..end]),
        None => target.to_owned(),
    }
}

/// How many of the slowest and of the failing targets are shown.
const SHOWN_MAX: usize = 5;
const TARGET_CHARACTERS_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slowest_and_failing_targets_are_shown() {
        let result = |target: &str, failed, mean_us| TargetResult {
            target: target.to_owned(),
            requests: 2,
            failed,
            mean_us,
            max_us: mean_us,
        };
        let long = format!("GET /{}", "a".repeat(100));
        let targets = vec![
            result("GET /quick", 0, Some(10.0)),
            result(&long, 1, Some(2500.0)),
            result("GET /none", 3, None),
        ];
        let run = Run { targets_distinct: 3, targets, ..Run::default() };
        let lines = lines(&run);
        let cut = format!("GET /{}...", "a".repeat(55));
        assert_eq!(lines[0], ("targets", "3 distinct requests".to_owned()));
        assert_eq!(lines[1].0, "slowest");
        assert_eq!(lines[1].1, format!("{cut}: mean 2.50 ms, max 2.50 ms, 2 requests"));
        assert!(lines[2].0.is_empty() && lines[2].1.starts_with("GET /quick: mean 10 µs"));
        assert_eq!(lines[3], ("failing", "GET /none: 3 of 5 requests failed".to_owned()));
        assert_eq!(lines[4].1, format!("{cut}: 1 of 3 requests failed"));
        assert_eq!(super::lines(&Run::default()), []);
    }
}
