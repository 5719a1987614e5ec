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
    let panels = [rates(&report.runs), failures(&report.runs)];
    let over_connections: Vec<Plot> = panels.iter().map(Plot::measured).collect();
    let mut rows: Vec<&[Plot]> = vec![&latencies];
    if report.runs.len() > 1 {
        rows.push(&over_connections);
    }
    Figure { title: &report.url, notes: notes(report), rows, styles: StyleScope::Plot }.draw()
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

fn rates(runs: &[Run]) -> Panel {
    let mut rates = over(runs, |run| run.rate);
    for DataPoint { x, y } in &mut rates {
        let is_here = |run: &&Run| f64::from(run.connections).total_cmp(x).is_eq();
        if let Some(measure) = y {
            measure.has_losses = runs.iter().filter(is_here).any(|run| run.lost() > 0);
        }
    }
    Panel {
        title: "Requests per second".into(),
        x_title: "simultaneous connections".into(),
        y_title: "complete and correct responses".into(),
        y_scale: Scale::Linear,
        series: vec![Series { name: "succeeded".into(), points: rates }],
    }
}

/// The panel of all failures and, for several kinds, of each kind.
fn failures(runs: &[Run]) -> Panel {
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
    let all = over(runs, |run| Some(approximately(run.lost())));
    let mut series = vec![Series { name, points: all }];
    if kinds.len() > 1 {
        series.extend(kinds.into_iter().map(|kind| Series {
            name: failure_text(kind),
            points: over(runs, |run| Some(approximately(count(run, kind)))),
        }));
    }
    Panel {
        title: "Failed requests".into(),
        x_title: "simultaneous connections".into(),
        y_title: "by their first error; logarithmic, with 0".into(),
        y_scale: Scale::LogFromZero,
        series,
    }
}

/// A figure of the runs over their connections; the median of runs with equal connections, and a
/// gap where none of them has it.
fn over(runs: &[Run], figure: impl Fn(&Run) -> Option<f64>) -> Vec<DataPoint> {
    let mut columns = BTreeMap::<u32, Vec<f64>>::new();
    for run in runs {
        columns.entry(run.connections).or_default().extend(figure(run));
    }
    let points = columns.into_iter().map(|(connections, values)| {
        let y = spread(values.into_iter()).map(Measure::from);
        DataPoint { x: f64::from(connections), y }
    });
    points.collect()
}

fn notes(report: &LoadReport) -> Vec<String> {
    let mut notes = vec![format!("Load: {}.", report.load)];
    for run in &report.runs {
        let connections = connections(run.connections);
        if run.client_was_the_limit {
            notes.push(format!(
                "With {connections} the client was saturated: these figures are its own and not \
                 the server's."
            ));
        }
        if run.died > 0 {
            notes.push(format!(
                "With {connections}, {} of {} worker processes died.",
                run.died, run.processes
            ));
        }
    }
    notes
}

/// Beside the kinds of failures.
const OUTSTANDING: &str = "outstanding";
const NOT_SENT: &str = "not_sent";
