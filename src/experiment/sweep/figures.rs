//! The figures of a sweep: for each load the two panels of the experiment of 2010 (requests per
//! second, and how many of 100,000 failed, over simultaneous connections), and two more (CPU time
//! of the server, and the tail of the response times). Pure.

use super::results::{Failed, Load, LoadRows, Results, Row, ServerRows};
use super::summary::as_f64;
use super::table::number;
use crate::experiment::chart::{self, Experiment, Measure, Panel, Point, Scale, Series};
use crate::experiment::spread::Spread;

/// A figure for each load: the name of its file, and the picture, which has no panels before there
/// are measurements. So the files are always the same, and none is of a sweep before this one.
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

/// A name that is safe everywhere.
fn file_name(load: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' };
    format!("results-{}.svg", load.chars().map(safe).collect::<String>())
}

fn experiment(results: &Results, load: &Load) -> Experiment {
    let rows = results.summary.iter().find(|rows| rows.load == load.name);
    let panels = PANELS.iter().filter_map(|kind| panel(kind, rows?)).collect();
    let requests = number(as_f64(load.requests), 0);
    let title =
        format!("{}: {requests} requests a point, {} s at most", load.name, load.time_max_seconds);
    Experiment { title, panels, notes: notes(results) }
}

fn notes(results: &Results) -> Vec<String> {
    let machine = &results.machine;
    let rounds = match results.settings.rounds {
        1 => "One round.".to_owned(),
        many => format!("Medians of up to {many} rounds, with the lowest and the highest."),
    };
    let day = results.ended.split('T').next().unwrap_or_default();
    let kernel = machine.kernel.split(' ').next().unwrap_or_default();
    vec![
        format!(
            "{rounds} Failed requests are counted of those that were made, and scaled to 100,000."
        ),
        format!("{} ({} cores), Linux {kernel}, {day}.", machine.cpu, machine.cores),
    ]
}

/// What a panel shows.
struct Kind {
    title: &'static str,
    y_title: &'static str,
    y_scale: Scale,
    measure: fn(&Row) -> Option<Measure>,
}

const PANELS: [Kind; 4] = [
    Kind {
        title: "Throughput",
        y_title: "requests per second",
        y_scale: Scale::Linear,
        measure: |row| row.rate.map(|spread| scaled(spread, 1.0)),
    },
    Kind {
        title: "Failed requests",
        y_title: "failed of 100,000",
        y_scale: Scale::LogFromZero,
        measure: |row| row.failed.as_ref().and_then(failed),
    },
    Kind {
        title: "CPU time of the server",
        y_title: "µs per request",
        y_scale: Scale::Log,
        measure: |row| row.cpu_us.map(|spread| scaled(spread, 1.0)),
    },
    Kind {
        title: "Response time, 99th percentile",
        y_title: "ms",
        y_scale: Scale::Log,
        measure: |row| row.p99_us.map(|spread| scaled(spread, 1e-3)),
    },
];

/// A panel, unless there is nothing at all to show in it.
fn panel(kind: &Kind, load: &LoadRows) -> Option<Panel> {
    let series: Vec<Series> = load.servers.iter().map(|server| line(kind, server)).collect();
    series.iter().flat_map(|line| &line.points).any(|point| point.y.is_some()).then(|| Panel {
        title: kind.title.to_owned(),
        x_title: "simultaneous connections".to_owned(),
        y_title: kind.y_title.to_owned(),
        y_scale: kind.y_scale,
        series,
    })
}

fn line(kind: &Kind, server: &ServerRows) -> Series {
    let point = |row: &Row| Point { x: f64::from(row.connections), y: (kind.measure)(row) };
    Series { name: server.server.clone(), points: server.rows.iter().map(point).collect() }
}

fn scaled(spread: Spread, factor: f64) -> Measure {
    let Spread { median, min, max } = spread;
    Measure { value: median * factor, low: min * factor, high: max * factor }
}

/// Of all rounds together: where time was up, few requests were made, and a median over rounds of
/// different size says nothing.
fn failed(failed: &Failed) -> Option<Measure> {
    (failed.of > 0).then(|| Measure::from(as_f64(failed.sum) * 100_000.0 / as_f64(failed.of)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::sweep::tests::{measured, not_started, results};

    #[test]
    fn every_load_has_its_figure() {
        let mut slow = measured(2, "close", 10, "a", 1500.0);
        let run = slow.run.as_mut().unwrap();
        (run.requests, run.failed) = (40, 10);
        let results = results(vec![
            measured(1, "close", 10, "a", 12_500.0),
            slow,
            measured(1, "close", 20, "a", 20.0),
            not_started(1, "close", 10, "b"),
            not_started(1, "keep", 10, "b"),
        ]);
        let close = experiment(&results, &results.settings.loads[0]);
        assert_eq!(close.title, "close: 100 requests a point, 60 s at most");
        let [rate, failed, cpu, p99] = &close.panels[..] else { panic!("{close:?}") };
        let a = &rate.series[0];
        let first = Measure { value: 7000.0, low: 1500.0, high: 12_500.0 };
        assert_eq!(a.points[0], Point { x: 10.0, y: Some(first) });
        assert_eq!(a.points[1], Point::at(20.0, 20.0));
        assert_eq!(rate.series[1].points, [Point::missing(10.0)]);
        // 10 of 150 in two rounds.
        let y = failed.series[0].points[0].y.unwrap().value;
        assert!((y - 100_000.0 / 15.0).abs() < 1e-6, "{y}");
        assert_eq!(cpu.series[0].points[1], Point::at(20.0, 7.0));
        assert_eq!(p99.series[0].points[1], Point::at(20.0, 5.0));

        let keep = experiment(&results, &results.settings.loads[1]);
        assert_eq!(keep.panels, [], "no server started");
    }

    #[test]
    fn every_load_has_a_safe_file_of_its_own() {
        let mut results = results(Vec::new());
        results.settings.loads[0].name = "../a b".to_owned();
        results.settings.loads[1].name = "../a/b".to_owned();
        let figures = figures(&results);
        let files: Vec<&str> = figures.iter().map(|(file, _)| &**file).collect();
        assert_eq!(files, ["results----a-b.svg", "results----a-b-.svg"]);
        assert!(figures.iter().all(|(_, picture)| picture.ends_with("</svg>\n")));
    }
}
