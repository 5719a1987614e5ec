//! Reasons for caution about a comparison: whatever makes figures not comparable, as sentences.

use super::sides::{ComparedRuns, Side};
use crate::load::report::Run;

/// The notes on these sides and what is compared of them, in the order of the sides.
pub(super) fn of(sides: &[Side], groups: &[ComparedRuns]) -> Vec<String> {
    let mut notes: Vec<String> = groups.iter().flat_map(ComparedRuns::differences).collect();
    let loads: Vec<&str> = sides.iter().map(|side| side.load.as_str()).collect();
    if loads.iter().any(|load| *load != loads[0]) {
        let texts = sides.iter().map(|side| format!("{}: {}", side.label, side.load));
        notes.push(format!("The loads differ: {}.", texts.collect::<Vec<_>>().join("; ")));
    }
    for side in sides {
        let has = |side: &Side, group| !side.with(group).is_empty();
        let missing: Vec<String> = groups
            .iter()
            .filter(|group| has(side, group))
            .filter(|group| sides.iter().filter(|side| has(side, group)).count() < 2)
            .map(ToString::to_string)
            .collect();
        if !missing.is_empty() {
            notes.push(format!("Only {} has {}.", side.label, missing.join(", ")));
        }
        for (is_so, text) in CAUTIONS {
            let count = side.runs().filter(|run| is_so(run)).count();
            if count > 0 {
                let (label, all) = (&side.label, side.runs().count());
                notes.push(format!("{label}: in {count} of {all} runs, {text}."));
            }
        }
    }
    notes
}

/// A property of runs, and what follows from it.
type Caution = (fn(&Run) -> bool, &'static str);

const CAUTIONS: [Caution; 6] = [
    (
        |run| run.client_was_the_limit,
        "the client was saturated: the figures are its own and not the server's",
    ),
    (|run| run.rate_missed, "the rate asked for was not held"),
    (
        |run| run.response_us.unanswered > 0,
        "requests had no response: their latency is the time that they waited, a lower bound",
    ),
    (|run| run.interrupted, "a signal ended the load early"),
    (|run| run.died > 0, "a worker process died"),
    (|run| run.short, "the load took less than a second, so its rate is a rough one"),
];
