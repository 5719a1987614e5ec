//! Charts of typical and of extreme data.

use super::*;

/// All samples with their names.
pub(super) fn all() -> Vec<(&'static str, String)> {
    vec![
        ("experiment", experiment(&six_servers())),
        ("died", experiment(&died_early())),
        ("twelve", experiment(&twelve_servers())),
        ("equal", experiment(&all_equal())),
        ("extreme", experiment(&extreme())),
        ("nothing", experiment(&nothing())),
        ("over-time", over_time(&watched())),
        ("load", load(&report(&[64, 512, 5000]))),
        ("load-one", load(&report(&[100]))),
        ("load-many", load(&report(&(1..=30).map(|n| n * n).collect::<Vec<_>>()))),
        ("load-failed", load(&failed())),
    ]
}

/// Ten minutes of samples, one of which is missing.
pub(super) fn watched() -> Experiment {
    let times = || (1..=120).map(|sample| f64::from(sample) * 5.0);
    let line = |name: &str, value: fn(f64) -> f64| {
        let mut points: Vec<DataPoint> =
            times().map(|time| DataPoint::at(time, value(time))).collect();
        points[30] = DataPoint::missing(points[30].x);
        Series { name: name.into(), points }
    };
    let mut memory = panel("Memory", "MiB", Scale::Linear, vec![line("anonymous", f64::ln)]);
    let lines = vec![line("p50", |t| 0.1 + t / 1e4), line("p99", |t| 2.0 + t.sin())];
    let mut latency = panel("Latency", "ms, logarithmic", Scale::Log, lines);
    for panel in [&mut memory, &mut latency] {
        panel.x_title = "seconds".into();
    }
    Experiment { title: "Watched".into(), panels: vec![memory, latency], notes: Vec::new() }
}

const CONNECTIONS: [f64; 5] = [10.0, 100.0, 1000.0, 5000.0, 10_000.0];

/// A series with one value for each number of connections; NaN is a missing result.
pub(super) fn series(name: &str, values: [f64; 5]) -> Series {
    let point = |(x, value): (f64, f64)| {
        if value.is_nan() { DataPoint::missing(x) } else { DataPoint::at(x, value) }
    };
    Series { name: name.into(), points: CONNECTIONS.into_iter().zip(values).map(point).collect() }
}

pub(super) fn panel(title: &str, y_title: &str, y_scale: Scale, series: Vec<Series>) -> Panel {
    Panel {
        title: title.into(),
        x_title: "simultaneous connections".into(),
        y_title: y_title.into(),
        y_scale,
        series,
    }
}

const NAMES: [&str; 6] = [
    "uringstatic",
    "nginx",
    "gevent, as posted",
    "gevent, tuned",
    "threads, as posted",
    "threads, tuned",
];

fn four(names: &[&str], columns: [&[[f64; 5]]; 4]) -> Experiment {
    let titles = [
        ("Requests per second", "linear", Scale::Linear),
        ("Failed requests of 100,000", "logarithmic, with 0", Scale::LogFromZero),
        ("Server CPU time per request", "µs, logarithmic", Scale::Log),
        ("p99 of the response time", "ms, logarithmic", Scale::Log),
    ];
    let panels = titles.into_iter().zip(columns).map(|((title, unit, scale), values)| {
        let lines = names.iter().zip(values).map(|(name, values)| series(name, *values));
        panel(title, unit, scale, lines.collect())
    });
    Experiment {
        title: "100,000 requests for a page of 4.7 KB, by simultaneous connections".into(),
        panels: panels.collect(),
        notes: vec![
            "Client: ab -r on the same machine, 2 virtual cores, one for the server. Medians of 5 \
             rounds."
                .into(),
        ],
    }
}

pub(super) fn six_servers() -> Experiment {
    let none = f64::NAN;
    let mut experiment = four(
        &NAMES,
        [
            &[
                [16_497.0, 19_452.0, 19_059.0, 18_069.0, 16_779.0],
                [15_900.0, 18_800.0, 18_300.0, 17_700.0, 16_100.0],
                [4_900.0, 5_100.0, 4_700.0, 3_900.0, none],
                [5_100.0, 5_300.0, 5_200.0, 4_800.0, 4_300.0],
                [1_250.0, 1_190.0, 1_020.0, none, none],
                [1_300.0, 1_260.0, 1_210.0, 900.0, 610.0],
            ],
            &[
                [0.0, 0.0, 0.0, 0.0, 0.0],
                [0.0, 0.0, 0.0, 0.0, 0.0],
                [0.0, 0.0, 0.0, 0.0, none],
                [0.0, 0.0, 0.0, 0.0, 12_040.0],
                [3.0, 880.0, 14_300.0, none, none],
                [0.0, 12.0, 2_100.0, 31_500.0, 64_200.0],
            ],
            &[
                [18.2, 18.3, 18.9, 19.6, 20.4],
                [28.5, 28.7, 29.4, 30.9, 31.5],
                [198.0, 192.0, 208.0, 240.0, none],
                [190.0, 185.0, 189.0, 204.0, 222.0],
                [790.0, 830.0, 960.0, none, none],
                [760.0, 780.0, 815.0, 1_050.0, 1_400.0],
            ],
            &[
                [1.0, 7.0, 58.0, 290.0, 610.0],
                [1.0, 7.0, 60.0, 310.0, 640.0],
                [3.0, 24.0, 1_050.0, 3_100.0, none],
                [3.0, 22.0, 230.0, 1_400.0, 3_900.0],
                [14.0, 1_080.0, 7_300.0, none, none],
                [12.0, 95.0, 3_060.0, 15_400.0, 31_000.0],
            ],
        ],
    );
    for point in experiment.panels[0].series.iter_mut().flat_map(|series| &mut series.points) {
        if let Some(measure) = &mut point.y {
            (measure.low, measure.high) = (measure.value * 0.93, measure.value * 1.04);
        }
    }
    experiment
}

/// Most servers lack some results, and one lacks all.
pub(super) fn died_early() -> Experiment {
    let none = f64::NAN;
    let rates: &[[f64; 5]] = &[
        [20_000.0; 5],
        [none, none, 19_000.0, none, 18_000.0],
        [5_000.0, 4_000.0, none, none, none],
        [5_000.0, 4_100.0, none, none, none],
        [none; 5],
        [1_000.0, none, none, none, none],
    ];
    let failed: &[[f64; 5]] = &[
        [0.0; 5],
        [none, none, 0.0, none, 0.0],
        [0.0, 0.0, none, none, none],
        [0.0, 0.0, none, none, none],
        [none; 5],
        [0.0, none, none, none, none],
    ];
    four(&NAMES, [rates, failed, rates, failed])
}

pub(super) fn twelve_servers() -> Experiment {
    let names = [
        "this server",
        "nginx, one worker, the page from memory",
        "gevent on Python 3.11 with one process, as posted in 2010",
        "gevent on Python 3.11 with one process, tuned",
        "threads & <processes>",
        "a",
        "b",
        "WWWWWWWWWWWWWWWWWWWWWWWWWWWW",
        "an address: http://127.0.0.1:10001/",
        "ü",
        "漢字漢字漢字漢字漢字漢字漢字",
        "l",
    ];
    let lines: Vec<[f64; 5]> = (1..=12_u32)
        .map(|n| {
            let n = f64::from(n);
            [n * 100.0, n * 120.0, n * 90.0, 2000.0 + n, 1500.0 + n * n]
        })
        .collect();
    four(&names, [&lines, &lines, &lines, &lines])
}

pub(super) fn all_equal() -> Experiment {
    let lines = [[100.0; 5]; 6];
    let zeros = [[0.0; 5]; 6];
    four(&NAMES, [&lines, &zeros, &lines, &zeros])
}

pub(super) fn extreme() -> Experiment {
    let none = f64::NAN;
    let wide: &[[f64; 5]] = &[
        [0.0, 1e-9, 1.0, 1e9, 1e12],
        [f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, f64::MIN_POSITIVE],
        [-5.0, -1e12, 1e12, 3.0, none],
    ];
    let mut experiment = four(&NAMES, [wide, wide, wide, wide]);
    let places = [f64::NAN, f64::INFINITY, 0.0, -3.0, 1e12];
    for (point, x) in experiment.panels[3].series[0].points.iter_mut().zip(places) {
        point.x = x;
    }
    let alone = Series { name: "alone".into(), points: vec![DataPoint::at(64.0, 12.0)] };
    experiment.panels.push(panel("A single point", "µs", Scale::Log, vec![alone]));
    experiment
}

/// Panels without series, series without points, and empty texts.
pub(super) fn nothing() -> Experiment {
    let empty = Series { name: "never measured".into(), points: Vec::new() };
    Experiment {
        title: String::new(),
        panels: vec![
            panel("", "", Scale::Log, Vec::new()),
            panel("No points", "µs", Scale::LogFromZero, vec![empty.clone()]),
            panel("No points", "µs", Scale::Linear, vec![empty]),
        ],
        notes: Vec::new(),
    }
}

pub(super) fn report(connections: &[u32]) -> LoadReport {
    let runs = connections.iter().map(|&connections| run(connections)).collect();
    LoadReport {
        engine: "io_uring".into(),
        schema: SCHEMA.into(),
        label: String::new(),
        url: "http://127.0.0.1:10001/".into(),
        load: "kept alive, as fast as it goes, for 10 s after 2 s of warm-up".into(),
        runs,
        limit: None,
    }
}

/// A run with latencies that rise steeply towards the high percentiles.
fn run(connections: u32) -> Run {
    let many = f64::from(connections);
    let base = 8.0 * many;
    let mut percentiles = Vec::new();
    for step in 0..100_u32 {
        let nines = f64::from(step) / 20.0;
        let latency = base * (0.6 + 0.25 * nines + 0.09 * nines.powi(3));
        percentiles.push((100.0 * (1.0 - 0.1_f64.powf(nines)), latency));
    }
    percentiles.push((100.0, base * 14.0));
    let response_us = Latency { count: 1_000_000, percentiles, ..Latency::default() };
    Run {
        connections,
        processes: 1,
        seconds: 10.0,
        requests: 1_000_000,
        rate: Some(120_000.0 - 4.0 * many),
        bytes: 1_000_000,
        connects: 1,
        response_us,
        client_cpu_seconds: 1.0,
        client_busiest: 0.5,
        ..Run::default()
    }
}

pub(super) fn failed() -> LoadReport {
    let mut report = report(&[10, 100, 100, 1000, 10_000]);
    report.runs[3].failed = 120;
    report.runs[3].failures.insert("reset_before_reply".into(), 120);
    report.runs[4].failed = 24_000;
    report.runs[4].failures.insert("reset_before_reply".into(), 20_000);
    report.runs[4].failures.insert("connect_timed_out".into(), 4_000);
    report.runs[2].rate = Some(90_000.0);
    report.runs[1].client_was_the_limit = true;
    report.runs[4].died = 1;
    report.runs[0].response_us = Latency {
        count: 900,
        min: Some(31.0),
        mean: Some(60.0),
        p50: Some(55.0),
        p90: Some(80.0),
        p99: Some(140.0),
        p99_9: Some(900.0),
        max: Some(1_400.0),
        ..Latency::default()
    };
    report.runs[4].response_us = Latency::default();
    report
}
