//! The charts of a sweep. Each load has four panels over the number of simultaneous connections:
//! requests per second and failures per 100,000 requests, as in the experiment of 2010, and the
//! server's CPU time per request and the 99th percentile of the response times. Pure.

use super::results::{Failed, LoadRows, LoadSettings, Results, ServerRows, SummaryRow};
use super::summary::as_f64;
use crate::experiment::chart::{self, DataPoint, Experiment, Measure, Panel, Scale, Series};
use crate::experiment::numbers::fixed;
use crate::experiment::spread::Spread;

/// The name and the SVG of one file per load. A load without measurements has an empty chart, so
/// that a new sweep overwrites all charts of an earlier one.
#[must_use]
pub fn figures(results: &Results) -> Vec<(String, String)> {
    let mut figures: Vec<(String, String)> = Vec::new();
    for load in &results.settings.loads {
        let mut file = file_name(&load.name);
        while figures.iter().any(|(taken, _)| *taken == file) {
            file = file.replace(".svg", "-.svg");
        }
        figures.push((file, chart::experiment(&experiment(results, load))));
    }
    figures
}

/// A file name without characters that are special in a shell or a path.
fn file_name(load: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' };
    format!("results-{}.svg", load.chars().map(safe).collect::<String>())
}

fn experiment(results: &Results, load: &LoadSettings) -> Experiment {
    let rows = results.summary.iter().find(|rows| rows.load == load.name);
    let panels = PANELS.iter().filter_map(|spec| panel(spec, rows?)).collect();
    let requests = fixed(as_f64(load.requests), 0);
    let title = format!(
        "{}: {requests} requests per point, {} s at most",
        load.name, load.time_max_seconds
    );
    Experiment { title, panels, notes: notes(results) }
}

fn notes(results: &Results) -> Vec<String> {
    let machine = &results.machine;
    let rounds = match results.settings.rounds {
        1 => "One round.".to_owned(),
        many => format!("Medians of up to {many} rounds, with the lowest and highest values."),
    };
    let day = results.ended.split('T').next().unwrap_or_default();
    let kernel = machine.kernel.split(' ').next().unwrap_or_default();
    vec![
        format!(
            "{rounds} Failed requests are those without a correct response, scaled to 100,000."
        ),
        format!("{} ({} cores), Linux {kernel}, {day}.", machine.cpu, machine.cores),
    ]
}

/// The figure of a panel: titles, scale, and its value in a row.
struct PanelSpec {
    title: &'static str,
    y_title: &'static str,
    y_scale: Scale,
    measure: fn(&SummaryRow) -> Option<Measure>,
}

const PANELS: [PanelSpec; 4] = [
    PanelSpec {
        title: "Throughput",
        y_title: "requests per second",
        y_scale: Scale::Linear,
        measure: |row| row.rate.map(Measure::from),
    },
    PanelSpec {
        title: "Failed requests",
        y_title: "per 100,000 requests",
        y_scale: Scale::LogFromZero,
        measure: |row| row.failed.as_ref().and_then(failed),
    },
    PanelSpec {
        title: "CPU time of the server",
        y_title: "µs per request",
        y_scale: Scale::Log,
        measure: |row| row.cpu_us.map(Measure::from),
    },
    PanelSpec {
        title: "Response time, 99th percentile",
        y_title: "ms",
        y_scale: Scale::Log,
        measure: |row| row.p99_us.map(|spread| scaled(spread, 1e-3)),
    },
];

/// A panel, or `None` if no server has a value for it.
fn panel(spec: &PanelSpec, load: &LoadRows) -> Option<Panel> {
    let series: Vec<Series> = load.servers.iter().map(|server| line(spec, server)).collect();
    series.iter().flat_map(|line| &line.points).any(|point| point.y.is_some()).then(|| Panel {
        title: spec.title.to_owned(),
        x_title: "simultaneous connections".to_owned(),
        y_title: spec.y_title.to_owned(),
        y_scale: spec.y_scale,
        series,
    })
}

fn line(spec: &PanelSpec, server: &ServerRows) -> Series {
    let point = |row: &SummaryRow| {
        let has_losses = row.failed.as_ref().is_some_and(|failed| failed.sum > 0);
        let y = (spec.measure)(row).map(|measure| Measure { has_losses, ..measure });
        DataPoint { x: f64::from(row.connections), y }
    };
    Series { name: server.server.clone(), points: server.rows.iter().map(point).collect() }
}

fn scaled(spread: Spread, factor: f64) -> Measure {
    let Spread { median, min, max } = spread;
    Spread { median: median * factor, min: min * factor, max: max * factor }.into()
}

/// Failures per 100,000 requests over all rounds together: rounds that ended by `time_max` made
/// fewer requests, so a median over rounds would weigh them wrongly.
fn failed(failed: &Failed) -> Option<Measure> {
    (failed.of > 0).then(|| Measure::from(as_f64(failed.sum) * 100_000.0 / as_f64(failed.of)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::sweep::tests::{measured, not_started, results};

    #[test]
    fn chart_shows_medians_ranges_and_failures() {
        let mut slow = measured(2, "close", 10, "a", 1500.0);
        let run = slow.run.as_mut().unwrap();
        (run.due, run.requests, run.failed, run.outstanding) = (50, 40, 7, 3);
        let results = results(vec![
            measured(1, "close", 10, "a", 12_500.0),
            slow,
            measured(1, "close", 20, "a", 20.0),
            not_started(1, "close", 10, "b"),
            not_started(1, "keep", 10, "b"),
        ]);
        let close = experiment(&results, &results.settings.loads[0]);
        assert_eq!(close.title, "close: 100 requests per point, 60 s at most");
        let [rate, failed, cpu, p99] = &close.panels[..] else { panic!("{close:?}") };
        let a = &rate.series[0];
        let first = Measure { value: 7000.0, low: 1500.0, high: 12_500.0, has_losses: true };
        assert_eq!(a.points[0], DataPoint { x: 10.0, y: Some(first) });
        assert_eq!(a.points[1], DataPoint::at(20.0, 20.0));
        assert_eq!(rate.series[1].points, [DataPoint::missing(10.0)]);
        // 10 of 150 in two rounds.
        let y = failed.series[0].points[0].y.unwrap().value;
        assert!((y - 100_000.0 / 15.0).abs() < 1e-6, "{y}");
        assert_eq!(cpu.series[0].points[1], DataPoint::at(20.0, 7.0));
        assert_eq!(p99.series[0].points[1], DataPoint::at(20.0, 5.0));

        let keep = experiment(&results, &results.settings.loads[1]);
        assert_eq!(keep.panels, [], "no server started");
    }

    #[test]
    fn file_names_are_safe_and_distinct() {
        let mut results = results(Vec::new());
        results.settings.loads[0].name = "../a b".to_owned();
        results.settings.loads[1].name = "../a/b".to_owned();
        let figures = figures(&results);
        let files: Vec<&str> = figures.iter().map(|(file, _)| &**file).collect();
        assert_eq!(files, ["results----a-b.svg", "results----a-b-.svg"]);
        assert!(figures.iter().all(|(_, picture)| picture.ends_with("</svg>\n")));
    }
}
