//! The chart of a load client's report: converts runs into panels, and draws nothing itself.

use super::data::{DataPoint, Measure, Panel, Scale, Series};
use super::figure::{Figure, StyleScope};
use super::percentiles::{self, approximately};
use super::plot::Plot;
use crate::experiment::numbers::grouped;
use crate::experiment::spread::spread;
use crate::load::report::{LoadReport, Run, failure_text};
use std::collections::{BTreeMap, BTreeSet};

/// The chart as the text of an SVG file.
pub(super) fn draw(report: &LoadReport) -> String {
    let latencies = latencies(&report.runs);
    let latencies = [Plot::percentiles(&latencies)];
    let axis = RunAxis::of(&report.runs);
    let panels = [rates(&report.runs, axis), failures(&report.runs, axis)];
    let over_settings: Vec<Plot> = panels.iter().map(Plot::measured).collect();
    let mut rows: Vec<&[Plot]> = vec![&latencies];
    if report.runs.len() > 1 {
        rows.push(&over_settings);
    }
    Figure { title: &report.url, notes: notes(report), rows, styles: StyleScope::Plot }.draw()
}

/// The setting over which the figures of several runs are drawn.
#[derive(Clone, Copy, Debug)]
struct RunAxis {
    title: &'static str,
    setting: fn(&Run) -> f64,
}

impl RunAxis {
    /// The rate asked for, if the runs differ in it alone; otherwise the connections.
    fn of(runs: &[Run]) -> Self {
        let differ = |setting: fn(&Run) -> f64| {
            runs.iter().any(|run| setting(run).total_cmp(&setting(&runs[0])).is_ne())
        };
        let connections = |run: &Run| f64::from(run.connections);
        let rate = |run: &Run| run.rate_asked.unwrap_or_default();
        let is_open = runs.iter().all(|run| run.rate_asked.is_some());
        if is_open && differ(rate) && !differ(connections) {
            Self { title: "requests per second asked for", setting: rate }
        } else {
            Self { title: "simultaneous connections", setting: connections }
        }
    }
}

/// The panel of percentiles, with one line per run.
fn latencies(runs: &[Run]) -> Panel {
    let mut named = BTreeMap::<String, u32>::new();
    let mut lines = Vec::new();
    for run in runs {
        let mut name = connections(run.connections);
        if let Some(rate) = run.rate_asked {
            name = format!("{name}, {}/s", grouped(rate));
        }
        let times = named.entry(name.clone()).or_default();
        *times += 1;
        if *times > 1 {
            name = format!("{name}, again ({times})");
        }
        lines.push((name, &run.response_us));
    }
    percentiles::panel("Response time", &lines)
}

fn connections(count: u32) -> String {
    let noun = if count == 1 { "connection" } else { "connections" };
    format!("{} {noun}", grouped(f64::from(count)))
}

fn rates(runs: &[Run], axis: RunAxis) -> Panel {
    let mut rates = over(runs, axis, |run| run.rate);
    for DataPoint { x, y } in &mut rates {
        let is_here = |run: &&Run| (axis.setting)(run).total_cmp(x).is_eq();
        if let Some(measure) = y {
            measure.has_losses = runs.iter().filter(is_here).any(|run| run.lost() > 0);
        }
    }
    Panel {
        title: "Requests per second".into(),
        x_title: axis.title.into(),
        y_title: "complete and correct responses".into(),
        y_scale: Scale::Linear,
        series: vec![Series { name: "succeeded".into(), points: rates }],
    }
}

/// The panel of all failures and, for several kinds, of each kind.
fn failures(runs: &[Run], axis: RunAxis) -> Panel {
    let mut kinds: BTreeSet<&str> =
        runs.iter().flat_map(|run| run.failures.keys()).map(String::as_str).collect();
    kinds.extend(runs.iter().any(|run| run.outstanding > 0).then_some(OUTSTANDING));
    kinds.extend(runs.iter().any(|run| run.not_sent > 0).then_some(NOT_SENT));
    let count = |run: &Run, kind: &str| match kind {
        OUTSTANDING => run.outstanding,
        NOT_SENT => run.not_sent,
        kind => run.failures.get(kind).copied().unwrap_or(0),
    };
    let name = match (kinds.len(), kinds.first()) {
        (1, Some(kind)) => failure_text(kind),
        _ => "all failures".into(),
    };
    let all = over(runs, axis, |run| Some(approximately(run.lost())));
    let mut series = vec![Series { name, points: all }];
    if kinds.len() > 1 {
        series.extend(kinds.into_iter().map(|kind| Series {
            name: failure_text(kind),
            points: over(runs, axis, |run| Some(approximately(count(run, kind)))),
        }));
    }
    Panel {
        title: "Failed requests".into(),
        x_title: axis.title.into(),
        y_title: "by their first error; logarithmic, with 0".into(),
        y_scale: Scale::LogFromZero,
        series,
    }
}

/// A figure of the runs over a setting; the median of runs that are equal in it, and a gap where
/// none of them has the figure.
fn over(runs: &[Run], axis: RunAxis, figure: impl Fn(&Run) -> Option<f64>) -> Vec<DataPoint> {
    let mut columns = Vec::<(f64, Vec<f64>)>::new();
    for run in runs {
        let x = (axis.setting)(run);
        match columns.iter_mut().find(|column| column.0.total_cmp(&x).is_eq()) {
            Some(column) => column.1.extend(figure(run)),
            None => columns.push((x, figure(run).into_iter().collect())),
        }
    }
    let points = columns.into_iter().map(|(x, values)| {
        let y = spread(values.into_iter()).map(Measure::from);
        DataPoint { x, y }
    });
    points.collect()
}

fn notes(report: &LoadReport) -> Vec<String> {
    let mut notes = vec![format!("Load: {}.", report.load)];
    for run in &report.runs {
        let mut setting = connections(run.connections);
        if let Some(rate) = run.rate_asked {
            setting = format!("{setting} at {}/s", grouped(rate));
        }
        if run.client_was_the_limit {
            notes.push(format!(
                "With {setting} the client was saturated: these figures are its own and not the \
                 server's."
            ));
        }
        if run.died > 0 {
            notes.push(format!(
                "With {setting}, {} of {} worker processes died.",
                run.died, run.processes
            ));
        }
    }
    notes
}

/// Beside the kinds of failures.
const OUTSTANDING: &str = "outstanding";
const NOT_SENT: &str = "not_sent";
