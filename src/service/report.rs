//! Lines of the supervisor for its operator.

use super::supervisor::Report;
use crate::stats::Stats;

/// The line about a report that is worth one even if the operator wants errors only.
pub(super) fn line_of(report: &Report) -> String {
    match report {
        Report::Ready { generation } | Report::Reloaded { generation } => {
            format!("generation {generation} serves")
        }
        Report::ReloadFailed { why, .. } => {
            format!("not reloaded, the workers go on with what they serve: {why}")
        }
        Report::Replacing { worker, how, pause } => {
            let after = match pause.as_millis() {
                0 => "at once".to_owned(),
                pause => format!("in {pause} ms"),
            };
            format!("worker {} ended: {how}; it is replaced {after}", worker.number)
        }
        Report::Hangs(worker) => {
            format!("worker {} takes no turn within --worker-timeout and is killed", worker.number)
        }
        Report::TooManyDeaths => {
            "workers crash again and again; a new generation is started".to_owned()
        }
        Report::LoaderLost { why } => format!(
            "{why}; the workers go on, and if one of them ends, a new generation is started"
        ),
    }
}

/// What the operator reads if a new generation doesn't help either.
pub(super) const STILL_CRASHING: &str =
    "workers crash again and again, also those of a new generation";

/// The counters of all workers that have ended.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) stats: Stats,
    /// Workers that ended without being asked to.
    pub(super) lost_workers: u32,
    /// The connections that they had.
    pub(super) lost_connections: u32,
}

impl Totals {
    /// The counters for the exit line. Workers had their most connections at different times, so
    /// that the sum is an upper bound, as the connection limit is.
    pub(super) fn line(&self, spawn: u32) -> String {
        let mut stats = self.stats.clone();
        stats.in_flight_max = stats.in_flight_max.min(spawn);
        let lost = match self.lost_workers {
            0 => String::new(),
            count => format!(
                "; lost: {} with {}",
                counted(count, "worker"),
                counted(self.lost_connections, "connection")
            ),
        };
        format!("{stats}{lost}")
    }
}

fn counted(count: u32, name: &str) -> String {
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_name_lost_connections_and_bound_the_maximum_by_the_limit() {
        let stats = Stats { in_flight_max: 7, ..Stats::default() };
        let mut totals = Totals { stats, ..Totals::default() };
        assert!(totals.line(10).ends_with("at most 7 in flight; errors: none"));
        assert!(totals.line(5).ends_with("at most 5 in flight; errors: none"));
        (totals.lost_workers, totals.lost_connections) = (2, 1);
        assert!(totals.line(5).ends_with("; lost: 2 workers with 1 connection"));
    }
}
