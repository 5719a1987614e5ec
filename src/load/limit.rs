//! The search of `--find-limit`: the highest rate at which a service level objective holds. Pure: a
//! run's verdict in, the next rate out.
//!
//! ```text
//!            no rate failed            a rate failed, 5 % above the highest one that passed
//!   start ──► double ──► bisect ─────────────────────────────► confirm ──► done
//!               │          ▲                                      │
//!               ▼          │ a rate passed                        │ it fails twice
//!             halve ───────┘◄─────────────────────────────────────┘
//! ```
//!
//! The state is the evidence alone. A rate fails with its second failed run, so that one hiccup
//! does not end the search far below the limit; the result passes twice, so that one lucky run does
//! not end it above.

use super::report::{FoundLimit, Run};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A service level objective, as in `10ms@p99`: a percentile of the response times, and the most
/// that it may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// The most that the percentile may be.
    pub limit: Duration,
    /// A percentile, between 0 and 100.
    pub percentile: f64,
}

impl FromStr for Objective {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (limit, percentile) = text.split_once("@p").ok_or(OBJECTIVE_FORM)?;
        let limit = crate::value_parsers::duration(limit)?;
        let percentile: f64 = percentile.parse().map_err(|_| OBJECTIVE_FORM)?;
        if percentile > 0.0 && percentile < 100.0 {
            Ok(Self { limit, percentile })
        } else {
            Err("the percentile must be between p0 and p100, as in p99 or p99.9".to_owned())
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = humantime::format_duration(self.limit).to_string().replace(' ', "");
        write!(f, "{limit}@p{}", self.percentile)
    }
}

impl Objective {
    /// Judges a run: it passes if the rate was held, every response was correct, and the percentile
    /// is within the limit.
    ///
    /// # Errors
    /// The reason for which the run doesn't pass.
    pub fn judge(&self, run: &Run) -> Result<(), String> {
        if run.rate_missed {
            return Err(match run.rate_held {
                Some(held) => format!("the rate was not held: {held:.0} per second"),
                None => "the rate was not held".to_owned(),
            });
        }
        let lacks = [
            (run.not_sent, "of the requests were not sent"),
            (run.failed, "of the requests failed"),
            (run.outstanding, "of the requests had no response"),
            (run.connects_failed, "attempts to connect failed"),
            (run.died.into(), "worker processes died"),
        ];
        if let Some((count, what)) = lacks.iter().find(|(count, _)| *count > 0) {
            return Err(format!("{count} {what}"));
        }
        let limit_us = self.limit.as_secs_f64() * 1e6;
        match run.response_us.at_percentile(self.percentile) {
            Some(found) if found <= limit_us => Ok(()),
            Some(found) => Err(format!("p{} was {:.3} ms", self.percentile, found / 1000.0)),
            None => Err("no request had a response".to_owned()),
        }
    }
}

/// A search, and all that it has found.
#[derive(Clone, Debug)]
pub struct LimitSearch {
    start: f64,
    highest: f64,
    runs: Vec<JudgedRate>,
}

/// A run at a rate.
#[derive(Clone, Copy, Debug)]
struct JudgedRate {
    rate: f64,
    passed: bool,
    /// Whether the client was saturated.
    saturated: bool,
}

/// What a search does next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SearchStep {
    /// A run at this rate.
    Try(f64),
    /// Nothing: this is the result.
    Done(Bracket),
}

/// The result of a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bracket {
    /// The highest rate that passed below all that failed; `None` if not even [`RATE_MIN`] did.
    pub passed: Option<f64>,
    /// The lowest rate that failed; `None` if all passed up to the highest one.
    pub failed: Option<f64>,
    /// Whether two runs passed at [`Self::passed`], within [`WIDTH_MAX`] below [`Self::failed`].
    pub confirmed: bool,
    /// Whether the client was saturated in a run at [`Self::failed`], so that the limit may be its
    /// own.
    pub client_was_the_limit: bool,
}

impl Bracket {
    /// The result as a report has it.
    #[must_use]
    pub fn describe(&self, objective: &Objective) -> FoundLimit {
        FoundLimit {
            objective: objective.to_string(),
            passed: self.passed,
            failed: self.failed,
            confirmed: self.confirmed,
            client_was_the_limit: self.client_was_the_limit,
        }
    }
}

impl LimitSearch {
    /// A search that begins at the rate `start` and never exceeds `highest`.
    #[must_use]
    pub fn new(start: f64, highest: f64) -> Self {
        let start = rounded(start.clamp(RATE_MIN, highest));
        Self { start, highest, runs: Vec::new() }
    }

    /// Adds the outcome of a run at the rate of the last [`SearchStep::Try`]; `saturated` tells
    /// whether the client was.
    pub fn record(&mut self, rate: f64, passed: bool, saturated: bool) {
        self.runs.push(JudgedRate { rate, passed, saturated });
    }

    /// The next run, or the result.
    #[must_use]
    pub fn step(&self) -> SearchStep {
        let failed = self.rates().filter(|&rate| self.count(rate, false) >= FAILURES).min_by(order);
        let below = |&rate: &f64| failed.is_none_or(|failed| rate < failed);
        let passed = self.rates().filter(|&rate| self.count(rate, true) > 0).filter(below);
        let passed = passed.filter(|&rate| self.is_decided(rate)).max_by(order);
        let open = self.rates().filter(below).find(|&rate| !self.is_decided(rate));
        let is_over = self.runs.len() >= STEPS_MAX;
        let next = match (passed, failed) {
            _ if open.is_some() => open,
            (None, None) => Some(self.start),
            (Some(passed), None) if passed < self.highest => {
                Some(rounded(passed * 2.0).min(self.highest))
            }
            (None, Some(failed)) if failed > RATE_MIN => Some(rounded(failed / 2.0).max(RATE_MIN)),
            (Some(passed), Some(failed)) if failed > passed * (1.0 + WIDTH_MAX) => {
                Some(rounded((passed * failed).sqrt()))
            }
            (Some(passed), _) if self.count(passed, true) < CONFIRMATIONS => Some(passed),
            (Some(_) | None, _) => None,
        };
        match next.filter(|_| !is_over) {
            Some(rate) => SearchStep::Try(rate),
            None => SearchStep::Done(Bracket {
                passed,
                failed,
                confirmed: next.is_none() && passed.is_some(),
                client_was_the_limit: self
                    .runs
                    .iter()
                    .any(|run| Some(run.rate) == failed && !run.passed && run.saturated),
            }),
        }
    }

    fn rates(&self) -> impl Iterator<Item = f64> {
        self.runs.iter().map(|run| run.rate)
    }

    /// The number of runs at this rate that passed, or that didn't.
    fn count(&self, rate: f64, passed: bool) -> usize {
        let is_same = |run: &&JudgedRate| run.rate.total_cmp(&rate).is_eq();
        self.runs.iter().filter(is_same).filter(|run| run.passed == passed).count()
    }

    /// Whether no further run is needed to tell whether a rate passes: all runs passed, or two did
    /// or failed.
    fn is_decided(&self, rate: f64) -> bool {
        let failures = self.count(rate, false);
        failures == 0 || failures >= FAILURES || self.count(rate, true) >= CONFIRMATIONS
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is that of max_by")]
fn order(a: &f64, b: &f64) -> std::cmp::Ordering {
    a.total_cmp(b)
}

/// A rate with three significant digits, which people can repeat by hand.
fn rounded(rate: f64) -> f64 {
    let unit = 10_f64.powf(rate.log10().floor() - 2.0);
    // Dividing by a whole number is exact where multiplying by 0.01 is not.
    if unit < 1.0 {
        (rate / unit).round() / (1.0 / unit).round()
    } else {
        (rate / unit).round() * unit
    }
}

/// The lowest rate of a search, in requests per second.
pub const RATE_MIN: f64 = 1.0;
/// The highest rate of a search, which no client makes.
pub const RATE_MAX: f64 = 1e8;
/// The rate at which a search begins unless `--rate` names one.
pub const RATE_START: f64 = 1000.0;
/// The most by which the rate that failed exceeds the one that passed, as a share of the latter.
pub const WIDTH_MAX: f64 = 0.05;
/// The most runs of a search.
pub const STEPS_MAX: usize = 60;
/// Runs that fail before their rate does.
const FAILURES: usize = 2;
/// Runs that pass at the result.
const CONFIRMATIONS: usize = 2;
const OBJECTIVE_FORM: &str = "write a duration and a percentile, as in 10ms@p99 or 250us@p99.9";

#[cfg(test)]
mod tests;
