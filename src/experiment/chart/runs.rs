//! The figure of one report of the load client. Knows what a report means, and draws nothing.

use super::figure::{Figure, Looks};
use super::plot::Plot;
use super::svg::grouped;
use super::{Measure, Panel, Point, Scale, Series};
use crate::experiment::spread::{Spread, spread};
use crate::load::report::{Latency, Report, Run};
use std::collections::{BTreeMap, BTreeSet};

/// The figure as the text of an SVG file.
pub(super) fn draw(report: &Report) -> String {
    let latencies = latencies(&report.runs);
    let latencies = [Plot::percentiles(&latencies)];
    let panels = [rates(&report.runs), failures(&report.runs)];
    let over_connections: Vec<Plot> = panels.iter().map(Plot::measured).collect();
    let mut rows: Vec<&[Plot]> = vec![&latencies];
    if report.runs.len() > 1 {
        rows.push(&over_connections);
    }
    Figure { title: &report.url, notes: notes(report), rows, looks: Looks::InEachPlot }.draw()
}

/// The percentiles of every run.
fn latencies(runs: &[Run]) -> Panel {
    let mut named = BTreeMap::<u32, u32>::new();
    let mut series = Vec::new();
    for run in runs {
        let times = named.entry(run.connections).or_default();
        *times += 1;
        let mut name = connections(run.connections);
        if *times > 1 {
            name = format!("{name}, again ({times})");
        }
        series.push(Series { name, points: percentiles(&run.response_us) });
    }
    Panel {
        title: "Response time".into(),
        x_title: "share of the requests that took no longer".into(),
        y_title: "from the request to the end of its response".into(),
        y_scale: latency_scale(&series),
        series,
    }
}

fn connections(count: u32) -> String {
    let noun = if count == 1 { "connection" } else { "connections" };
    format!("{} {noun}", grouped(f64::from(count)))
}

/// Latencies over 1 / (1 - p). The highest percentile, where that has no end, is drawn where one
/// of so many requests is.
fn percentiles(latency: &Latency) -> Vec<Point> {
    if latency.count == 0 {
        return vec![Point::missing(1.0)];
    }
    let Latency { min, p50, p90, p99, p99_9, max, .. } = *latency;
    let summary = [(0.0, min), (50.0, p50), (90.0, p90), (99.0, p99), (99.9, p99_9), (100.0, max)];
    let all = if latency.percentiles.is_empty() { &summary[..] } else { &latency.percentiles };
    let x_max = approximately(latency.count).max(1.0);
    let x = |percentile: f64| (1.0 / (1.0 - percentile.clamp(0.0, 100.0) / 100.0)).min(x_max);
    all.iter().map(|&(percentile, latency)| Point::at(x(percentile), latency)).collect()
}

/// Logarithmic if the latencies lie so far apart that most would be a line at 0 otherwise.
fn latency_scale(series: &[Series]) -> Scale {
    let values = || {
        let points = series.iter().flat_map(|series| series.points.iter());
        points.filter_map(|point| point.y).map(|measure| measure.value).filter(|&us| us > 0.0)
    };
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(0.0, f64::max);
    if high > low * LINEAR_RATIO_MAX { Scale::Log } else { Scale::Linear }
}

fn rates(runs: &[Run]) -> Panel {
    Panel {
        title: "Requests per second".into(),
        x_title: "simultaneous connections".into(),
        y_title: "whole responses, as wanted".into(),
        y_scale: Scale::Linear,
        series: vec![Series { name: "succeeded".into(), points: over(runs, |run| run.rate) }],
    }
}

/// All failures and, if there are several kinds, each of them.
fn failures(runs: &[Run]) -> Panel {
    let kinds: BTreeSet<&str> =
        runs.iter().flat_map(|run| run.failures.keys()).map(String::as_str).collect();
    let name = match (kinds.len(), kinds.first()) {
        (1, Some(kind)) => kind.replace('_', " "),
        _ => "all failures".into(),
    };
    let all = over(runs, |run| approximately(run.failed));
    let mut series = vec![Series { name, points: all }];
    if kinds.len() > 1 {
        series.extend(kinds.into_iter().map(|kind| Series {
            name: kind.replace('_', " "),
            points: over(runs, |run| approximately(run.failures.get(kind).copied().unwrap_or(0))),
        }));
    }
    Panel {
        title: "Failed requests".into(),
        x_title: "simultaneous connections".into(),
        y_title: "by the first thing that went wrong; logarithmic, with 0".into(),
        y_scale: Scale::LogFromZero,
        series,
    }
}

/// A figure of the runs over their connections; of several runs with as many, the median.
fn over(runs: &[Run], figure: impl Fn(&Run) -> f64) -> Vec<Point> {
    let mut columns = BTreeMap::<u32, Vec<f64>>::new();
    for run in runs {
        columns.entry(run.connections).or_default().push(figure(run));
    }
    let points = columns.into_iter().map(|(connections, values)| {
        let measure = |Spread { median, min, max }| Measure { value: median, low: min, high: max };
        Point { x: f64::from(connections), y: spread(values.into_iter()).map(measure) }
    });
    points.collect()
}

fn notes(report: &Report) -> Vec<String> {
    let mut notes = vec![format!("Load: {}.", report.load)];
    for run in &report.runs {
        let connections = connections(run.connections);
        if run.client_was_the_limit {
            notes.push(format!(
                "With {connections} the client was at its limit: those figures are its own and \
                 not the server's."
            ));
        }
        if run.died > 0 {
            notes.push(format!(
                "With {connections}, {} of {} processes of the client died.",
                run.died, run.processes
            ));
        }
    }
    notes
}

/// A count as a coordinate.
fn approximately(count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "no eye sees the sixteenth digit")]
    let approximation = count as f64;
    approximation
}

/// Up to this ratio of the highest latency to the lowest, a linear axis shows both.
const LINEAR_RATIO_MAX: f64 = 20.0;
