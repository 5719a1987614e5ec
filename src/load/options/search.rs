//! The search of `--find-limit`: its settings, and the options that it excludes.

use super::LoadOptions;
use crate::load::limit::{Objective, RATE_START};
use std::time::Duration;

impl LoadOptions {
    /// The objective of a search, and the rate at which it begins; `None` without --find-limit.
    #[must_use]
    pub fn search(&self) -> Option<(Objective, f64)> {
        let start = self.rates.first().copied().unwrap_or(RATE_START);
        self.slo.map(|objective| (objective, start))
    }

    /// Refuses options of loads whose rates are known.
    pub(super) fn check_search(&self) -> Result<(), String> {
        if !self.find_limit {
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
