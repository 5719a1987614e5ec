//! The options of `--find-limit`, and what they exclude.

use super::LoadOptions;
use crate::load::limit::{Objective, RATE_START};
use std::time::Duration;

/// Options of the search for the highest rate.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SearchOptions {
    /// Find the highest rate that holds --slo: rates double, from --rate on, then are bisected
    ///
    /// A run of -d (5s by default) passes if its rate was held, all responses were correct, and the
    /// percentile is within the limit. All runs are in the report.
    #[arg(long, requires = "slo")]
    pub find_limit: bool,

    /// Service level objective of --find-limit: a percentile of the response times, and the most
    /// that it may be, as in 10ms@p99
    #[arg(long, value_name = "DURATION@pN", requires = "find_limit")]
    pub slo: Option<Objective>,
}

impl LoadOptions {
    /// The objective of a search, and the rate at which it begins; `None` without --find-limit.
    #[must_use]
    pub fn search(&self) -> Option<(Objective, f64)> {
        let start = self.rates.first().copied().unwrap_or(RATE_START);
        self.search.slo.map(|objective| (objective, start))
    }

    /// Refuses options of loads whose rates are known.
    pub(super) fn check_search(&self) -> Result<(), String> {
        if !self.search.find_limit {
            return Ok(());
        }
        let excluded = [
            (self.requests.is_some(), "-n: each of its runs has a duration (-d)"),
            (self.connections.len() > 1, "a list of -c: it varies the rate alone"),
            (self.rates.len() > 1, "a list of --rate: the first rate is where it begins"),
            (self.repeat > 1, "--repeat: its last runs repeat the result already"),
            (self.pipeline > 1, "--pipeline: its runs have a rate"),
            (self.hgrm.is_some(), "--hgrm, which writes one file; --json has all histograms"),
        ];
        match excluded.iter().find(|(is_given, _)| *is_given) {
            None => Ok(()),
            Some((_, what)) => Err(format!("--find-limit can't be combined with {what}")),
        }
    }
}

/// The duration of each run of a search, unless -d has another.
pub(super) const SEARCH_DURATION: Duration = Duration::from_secs(5);
