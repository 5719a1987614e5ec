//! A comparison of load reports: which runs are compared, by which figures, with which verdict.
//! Pure.

use super::inference::{self, ALPHA, RatioInterval};
use super::notes;
use super::sides::{self, ComparedRuns, Side};
use crate::error::Failure;
use crate::load::report::{Latency, Run};
use crate::load::saved::SavedReport;
use serde::Serialize;

/// Name and version of the JSON schema, the value of [`ReportComparison::schema`].
pub const COMPARISON_SCHEMA: &str = "uringload-compare/1";

/// A comparison of several sides, each to the first one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReportComparison {
    /// [`COMPARISON_SCHEMA`].
    pub schema: &'static str,
    /// The share of equal figures that are called different by chance.
    pub alpha: f64,
    /// The sides, in the order of their files.
    pub sides: Vec<Side>,
    /// The settings that at least two sides have, in the order of their runs; one group of all runs
    /// if each side has a single setting.
    pub settings: Vec<ComparedSetting>,
    /// Reasons for caution, as sentences.
    pub notes: Vec<String>,
}

/// The runs with equal settings, or with one setting for each side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparedSetting {
    /// What the runs have in common, or the setting of each side.
    #[serde(flatten)]
    pub setting: ComparedRuns,
    /// The number of runs of each side.
    pub runs: Vec<usize>,
    /// The figures of these runs.
    pub figures: Vec<ComparedFigure>,
    /// The response times of all runs, for each side.
    #[serde(skip)]
    pub latencies: Vec<Latency>,
}

/// One figure of these runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparedFigure {
    /// The figure.
    pub figure: RunFigure,
    /// Its values, for each side.
    pub sides: Vec<SideFigure>,
}

/// A figure of one side, and how it compares to the first side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SideFigure {
    /// The values of the runs; runs without the figure are left out.
    pub values: Vec<f64>,
    /// The median of the values.
    pub median: Option<f64>,
    /// The ratio of the median to that of the first side, unless that is 0.
    pub ratio: Option<f64>,
    /// The interval of the ratio.
    pub interval: Option<RatioInterval>,
    /// The probability of such a difference between repetitions of equal distributions.
    pub p: Option<f64>,
    /// What follows from these; absent for the first side, and without values on either side.
    pub verdict: Option<Verdict>,
}

/// Whether a figure differs from that of the first side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All values are equal.
    Same,
    /// It differs by more than equal distributions would, but for a share of
    /// [`ReportComparison::alpha`].
    Differs,
    /// It doesn't: repetitions of one and the same vary as much.
    Noise,
    /// Two single runs differ by more than the number of their requests explains. Whether another
    /// run of either would repeat the difference isn't known.
    DiffersInOneRun,
    /// The repetitions are too few for any difference to count.
    TooFewRuns,
    /// Two single runs don't tell.
    OneRun,
}

/// A figure of a run that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunFigure {
    /// Requests with a correct response, per second.
    Rate,
    /// The median of the response times, in microseconds.
    P50Us,
    /// The 90th percentile of the response times, in microseconds.
    P90Us,
    /// The 99th percentile of the response times, in microseconds.
    P99Us,
    /// The 99.9th percentile of the response times, in microseconds.
    #[serde(rename = "p99_9_us")]
    P999Us,
    /// The longest response time, in microseconds.
    MaxUs,
    /// The share of the requests that were due and had no correct response, from 0 to 1.
    FailedShare,
    /// CPU time of the client for each request with a correct response, in microseconds.
    ClientCpuUs,
}

impl RunFigure {
    /// All figures, in the order of the table.
    pub const ALL: [Self; 8] = [
        Self::Rate,
        Self::P50Us,
        Self::P90Us,
        Self::P99Us,
        Self::P999Us,
        Self::MaxUs,
        Self::FailedShare,
        Self::ClientCpuUs,
    ];

    /// The percentile that the figure is.
    fn percentile(self) -> Option<f64> {
        match self {
            Self::P50Us => Some(50.0),
            Self::P90Us => Some(90.0),
            Self::P99Us => Some(99.0),
            Self::P999Us => Some(99.9),
            Self::Rate | Self::MaxUs | Self::FailedShare | Self::ClientCpuUs => None,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "figures have three significant digits")]
    fn of(self, run: &Run) -> Option<f64> {
        let per = |value: f64, count: u64| (count > 0).then(|| value / count as f64);
        match self {
            Self::Rate => run.rate,
            Self::P50Us => run.response_us.p50,
            Self::P90Us => run.response_us.p90,
            Self::P99Us => run.response_us.p99,
            Self::P999Us => run.response_us.p99_9,
            Self::MaxUs => run.response_us.max,
            Self::FailedShare => per(run.due.saturating_sub(run.requests) as f64, run.due),
            Self::ClientCpuUs => per(run.client_cpu_seconds * 1e6, run.requests),
        }
    }
}

/// Compares reports. Those with the same label are one side, so that rounds which alternate between
/// two servers can be compared.
///
/// # Errors
/// If there is one side only, or no setting that two sides have although one has several.
pub fn compare(reports: &[SavedReport]) -> Result<ReportComparison, Failure> {
    let fail = |why: &str, hint: &str| Failure::new("comparing the reports", why, hint);
    let sides = sides::of(reports);
    if sides.len() < 2 {
        let label = &sides[0].label;
        return Err(match reports.len() {
            1 => fail("there is one report", "name that of another load"),
            _ => fail(
                &format!("all reports have the label {label:?}, and are one side"),
                "measure with another --label, or none",
            ),
        });
    }
    let groups = sides::groups(&sides);
    let settings: Vec<_> = groups.iter().filter_map(|of| setting(&sides, of)).collect();
    if settings.is_empty() {
        let all = sides.iter().map(Side::describe).collect::<Vec<_>>().join("; ");
        return Err(fail(
            &format!("no two sides have a number of connections and a rate in common: {all}"),
            "make both loads with the same -c and --rate, or each with a single one",
        ));
    }
    let notes = notes::of(&sides, &groups);
    Ok(ReportComparison { schema: COMPARISON_SCHEMA, alpha: ALPHA, sides, settings, notes })
}

/// The comparison of a group of runs; `None` if fewer than two sides have any.
fn setting(sides: &[Side], setting: &ComparedRuns) -> Option<ComparedSetting> {
    let runs: Vec<Vec<&Run>> = sides.iter().map(|side| side.with(setting)).collect();
    if runs.iter().filter(|runs| !runs.is_empty()).count() < 2 {
        return None;
    }
    let figures = RunFigure::ALL.iter().map(|&figure| ComparedFigure {
        figure,
        sides: runs
            .iter()
            .enumerate()
            .map(|(at, of)| side_figure(figure, &runs[0], of, at))
            .collect(),
    });
    Some(ComparedSetting {
        setting: setting.clone(),
        runs: runs.iter().map(Vec::len).collect(),
        figures: figures.collect(),
        latencies: runs
            .iter()
            .map(|runs| Latency::sum(runs.iter().map(|run| &run.response_us)))
            .collect(),
    })
}

/// A figure of the runs `other`, which are those of side `at`, compared to the runs `base`.
fn side_figure(figure: RunFigure, base: &[&Run], other: &[&Run], at: usize) -> SideFigure {
    let values = |runs: &[&Run]| -> Vec<f64> { runs.iter().filter_map(|r| figure.of(r)).collect() };
    let (base_values, values) = (values(base), values(other));
    let median = inference::median(values.iter().copied());
    let mut found =
        SideFigure { median, ratio: None, interval: None, p: None, verdict: None, values };
    let base_median = inference::median(base_values.iter().copied());
    let (Some(base_median), Some(median), 1..) = (base_median, median, at) else { return found };
    found.ratio = (base_median > 0.0).then(|| median / base_median);
    let sizes = (base_values.len(), found.values.len());
    found.verdict = Some(
        if base_values.iter().chain(&found.values).all(|v| v.total_cmp(&base_median).is_eq()) {
            Verdict::Same
        } else if sizes == (1, 1) {
            found.interval = figure.percentile().and_then(|percentile| {
                let (base, other) = (single(figure, base), single(figure, other));
                inference::of_percentile(&base.response_us, &other.response_us, percentile)
            });
            match found.interval {
                Some(interval) if interval.holds_one() => Verdict::Noise,
                Some(_) => Verdict::DiffersInOneRun,
                None => Verdict::OneRun,
            }
        } else if inference::lowest_permutation(sizes.0, sizes.1) > ALPHA {
            Verdict::TooFewRuns
        } else {
            found.interval = inference::bootstrap(&base_values, &found.values);
            let p = inference::permutation(&base_values, &found.values);
            found.p = Some(p);
            if p <= ALPHA { Verdict::Differs } else { Verdict::Noise }
        },
    );
    found
}

/// The only run that has this figure.
fn single<'a>(figure: RunFigure, runs: &[&'a Run]) -> &'a Run {
    let mut with = runs.iter().filter(|run| figure.of(run).is_some());
    with.next().expect("a run has the figure")
}

#[cfg(test)]
mod tests;
