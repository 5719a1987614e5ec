//! Properties of every chart, checked on the parsed SVG.
//! `CHARTS=/tmp/charts cargo test --lib chart` also writes the samples to that folder.

use super::*;
use crate::load::report::{Latency, Run, SCHEMA};
use proptest::prelude::*;
use reader::{Element, points, read, strokes};

mod reader;
mod samples;

#[test]
fn samples_are_written_to_the_folder_in_charts() {
    let Some(directory) = std::env::var_os("CHARTS") else { return };
    for (name, picture) in samples::all() {
        let path = std::path::Path::new(&directory).join(format!("{name}.svg"));
        std::fs::write(path, picture).unwrap();
    }
}

#[test]
fn samples_are_well_formed_and_without_overlaps() {
    for (name, picture) in samples::all() {
        println!("{name}");
        check(&picture);
    }
}

#[test]
fn equal_data_give_equal_charts() {
    assert_eq!(samples::all(), samples::all());
}

#[test]
fn each_line_has_one_name_per_panel_and_each_point_a_mark() {
    let data = samples::six_servers();
    let elements = read(&experiment(&data));
    let count = |class: &str| elements.iter().filter(|element| element.has_class(class)).count();
    for series in &data.panels[0].series {
        let names = elements.iter().filter(|e| e.has_class("name") && e.text == series.name);
        assert_eq!(names.count(), data.panels.len(), "{}", series.name);
    }
    let series = || data.panels.iter().flat_map(|panel| panel.series.iter());
    let all = || series().flat_map(|series| series.points.iter());
    assert_eq!(count("mark"), all().filter(|point| point.y.is_some()).count() + series().count());
    assert_eq!(count("cross"), all().filter(|point| point.y.is_none()).count());
    assert_eq!(count("spread"), data.panels[0].series.len());
}

#[test]
fn line_has_a_gap_at_a_missing_result() {
    let values = [1.0, 2.0, f64::NAN, 4.0, 5.0];
    let series = vec![samples::series("a", values)];
    let panel = samples::panel("", "", Scale::Linear, series);
    let data = Experiment { panels: vec![panel], ..Experiment::default() };
    let elements = read(&experiment(&data));
    let line = elements.iter().find(|element| element.has_class("line")).unwrap();
    let tick = |label: &str| {
        let is_tick = |e: &&Element| e.has_class("tick") && e.text == label;
        elements.iter().rfind(is_tick).expect("each number of connections has a tick").number("x")
    };
    let drawn = strokes(&line.attributes["d"]);
    let expected = [["10", "100"], ["5,000", "10,000"]];
    assert_eq!(drawn.len(), expected.len(), "one gap: {drawn:?}");
    for (stroke, labels) in drawn.iter().zip(expected) {
        assert_eq!(stroke.len(), labels.len(), "{drawn:?}");
        for (point, label) in stroke.iter().zip(labels) {
            assert!((point.0 - tick(label)).abs() < 0.02, "{label}: {drawn:?}");
        }
    }
}

#[test]
fn points_with_losses_have_hollow_marks_and_a_note() {
    let mut report = samples::report(&[64, 512]);
    let is_hollow = |element: &&Element| element.has_class("hollow");
    let lost = |report: &LoadReport| {
        let elements = read(&load(report));
        let noted = elements.iter().any(|e| e.has_class("note") && e.text.contains("hollow mark"));
        assert_eq!(noted, elements.iter().any(|element| is_hollow(&element)));
        elements.iter().filter(is_hollow).count()
    };
    assert_eq!(lost(&report), 0);
    report.runs[1].outstanding = 1;
    assert_eq!(lost(&report), 1, "in the panel of rates");
    (report.runs[0].not_sent, report.runs[1].rate) = (2, None);
    let elements = read(&load(&report));
    assert_eq!(elements.iter().filter(is_hollow).count(), 1);
    assert_eq!(elements.iter().filter(|e| e.has_class("cross")).count(), 1, "no rate is a gap");
    let names =
        |text: &str| elements.iter().filter(|e| e.has_class("name") && e.text == text).count();
    assert_eq!((names("outstanding"), names("not sent"), names("all failures")), (1, 1, 1));
}

#[test]
fn higher_values_are_higher_and_equal_values_are_level() {
    let series = vec![samples::series("a", [1.0, 10.0, 100.0, 100.0, 0.0])];
    let panel = samples::panel("", "", Scale::LogFromZero, series);
    let data = Experiment { panels: vec![panel], ..Experiment::default() };
    let elements = read(&experiment(&data));
    let line = elements.iter().find(|element| element.has_class("line")).unwrap();
    let at = points(&line.attributes["d"]);
    let steps: Vec<f64> = at.windows(2).map(|pair| pair[0].1 - pair[1].1).collect();
    assert!(
        (steps[0] - steps[1]).abs() < 0.02 && steps[0] > 50.0,
        "decades have equal heights: {steps:?}"
    );
    assert!(steps[2].abs() < 0.01 && steps[3] < -100.0, "{steps:?}");
    let zero = elements.iter().find(|e| e.has_class("tick") && e.text == "0").unwrap();
    assert!((zero.number("y") - 4.5 - at[4].1).abs() < 0.02, "0 is level with its tick");
}

#[test]
fn texts_are_escaped() {
    let nasty = "<script>&\"'\u{0}\u{ffff}]]>";
    let panel = Panel {
        title: nasty.into(),
        x_title: nasty.into(),
        y_title: nasty.into(),
        y_scale: Scale::Log,
        series: vec![samples::series(nasty, [1.0; 5])],
    };
    let data = Experiment { title: nasty.into(), panels: vec![panel], notes: vec![nasty.into()] };
    let picture = experiment(&data);
    check(&picture);
    let shown = "<script>&\"'\u{fffd}\u{fffd}]]>";
    let texts = read(&picture).into_iter().filter(|e| e.name == "text" && e.text == shown);
    assert_eq!(texts.count(), 6);

    let mut report = samples::report(&[1, 2]);
    report.url = nasty.into();
    report.load = nasty.into();
    report.runs[0].failures.insert(nasty.into(), 1);
    check(&load(&report));
}

#[test]
fn shortened_name_has_the_full_name_as_tooltip() {
    let picture = experiment(&samples::twelve_servers());
    let full = "gevent on Python 3.11 with one process, as posted in 2010";
    let elements = read(&picture);
    let names = elements.iter().filter(|e| e.has_class("name"));
    let long = names.filter(|e| e.title.as_deref() == Some(full));
    assert!(long.clone().count() == 4 && long.clone().all(|name| name.text.contains('…')));
}

#[test]
fn chart_of_a_report_names_runs_failures_and_load() {
    let texts: Vec<String> =
        read(&load(&samples::failed())).into_iter().map(|element| element.text).collect();
    for expected in [
        "http://127.0.0.1:10001/",
        "10 connections",
        "100 connections",
        "100 connections, again (2)",
        "99.9 %",
        "all failures",
        "reset before reply",
        "Load: kept alive, as fast as it goes, for 10 s after 2 s of warm-up.",
        "With 10,000 connections, 1 of 1 worker processes died.",
    ] {
        assert!(texts.iter().any(|text| text == expected), "{expected}");
    }
    let one = load(&samples::report(&[64]));
    assert!(!one.contains("Requests per second"), "one run has no panel over connections");
}

#[test]
fn runs_that_differ_in_their_rate_alone_are_drawn_over_it() {
    let mut report = samples::report(&[64; 4]);
    for (run, rate) in report.runs.iter_mut().zip([3000.0, 100.0, 700.0, 700.0]) {
        (run.rate_asked, run.rate) = (Some(rate), Some(rate));
    }
    report.runs[3].client_was_the_limit = true;
    let picture = load(&report);
    check(&picture);
    let elements = read(&picture);
    let count = |text: &str| elements.iter().filter(|element| element.text == text).count();
    assert_eq!(count("requests per second asked for"), 2, "rates and failures");
    assert_eq!(["100", "700", "3,000"].map(count), [2; 3], "each rate has a tick");
    let note = "With 64 connections at 700/s the client was saturated";
    assert!(elements.iter().any(|element| element.text.starts_with(note)));
    let lines: Vec<_> = elements.iter().filter(|element| element.has_class("line")).collect();
    let succeeded = points(&lines[lines.len() - 2].attributes["d"]);
    assert_eq!(succeeded.len(), 3, "equal rates are one point: {succeeded:?}");
    assert!(succeeded.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 > pair[1].1));

    // With another number of connections, and without a rate.
    report.runs[0].connections = 65;
    assert!(load(&report).contains("simultaneous connections"));
    (report.runs[0].connections, report.runs[1].rate_asked) = (64, None);
    assert!(load(&report).contains("simultaneous connections"));
}

/// Checks the properties of every chart: well-formed XML, all elements within the view box, lines
/// within the axes, and no overlapping texts.
fn check(picture: &str) {
    let elements = read(picture);
    let root = &elements[0];
    assert_eq!((root.name.as_str(), root.attributes["role"].as_str()), ("svg", "img"));
    assert!(!root.title.as_deref().unwrap_or_default().is_empty(), "there is a title");
    assert!(elements.iter().any(|element| element.name == "desc"), "there is a description");
    let (width, height) = (root.number("width"), root.number("height"));

    // An x axis starts at the lower left corner of its plot and is horizontal.
    let is_x_axis = |e: &&Element| e.has_class("axis") && e.attributes["d"].contains('H');
    let areas: Vec<_> =
        elements.iter().filter(is_x_axis).map(|e| points(&e.attributes["d"])).collect();
    for element in elements.iter().filter(|element| element.name == "path") {
        let at = points(&element.attributes["d"]);
        for (x, y) in &at {
            let is_inside = (0.0..=width).contains(x) && (0.0..=height).contains(y);
            assert!(is_inside, "{x} {y} in {element:?}");
        }
        if ["line", "cross", "spread"].iter().any(|class| element.has_class(class)) {
            let holds = |area: &&Vec<(f64, f64)>| {
                let (left, bottom, right) = (area[0].0, area[0].1, area[1].0);
                at.iter().all(|&(x, y)| x > left && x < right && y < bottom)
            };
            assert!(areas.iter().find(holds).is_some(), "{element:?} is within no axes");
        }
    }

    let texts: Vec<_> = elements.iter().filter(|e| e.name == "text").map(extent).collect();
    for (at, [left, top, right, bottom]) in texts.iter().copied().enumerate() {
        let is_inside = left >= 0.0 && right <= width + 1.0 && top >= 0.0 && bottom <= height;
        assert!(is_inside, "text {at} is at {:?}", texts[at]);
        for (before, other) in texts[..at].iter().enumerate() {
            let is_apart =
                left >= other[2] || other[0] >= right || top >= other[3] || other[1] >= bottom;
            assert!(is_apart, "texts {before} and {at} overlap: {other:?} and {:?}", texts[at]);
        }
    }
}

/// The left, top, right and bottom of a text.
fn extent(text: &Element) -> [f64; 4] {
    let sizes = [("title", 20.0), ("panel", 16.0), ("name", 14.0)];
    let size = sizes.iter().find(|(class, _)| text.has_class(class)).map_or(13.0, |size| size.1);
    let (x, y, width) = (text.number("x"), text.number("y"), svg::width(&text.text, size));
    let left = match text.attributes.get("text-anchor").map(String::as_str) {
        None => x,
        Some("middle") => x - width / 2.0,
        Some("end") => x - width,
        Some(other) => panic!("{other} is no anchor"),
    };
    [left, y - 0.8 * size, left + width, y + 0.2 * size]
}

fn any_measure() -> impl Strategy<Value = Option<Measure>> {
    let number = prop_oneof![any::<f64>(), 0.0..1e6, Just(0.0), Just(f64::NAN)];
    let spread = (number.clone(), number.clone(), number, any::<bool>())
        .prop_map(|(value, low, high, has_losses)| Measure { value, low, high, has_losses });
    proptest::option::weighted(0.8, spread)
}

fn any_panel() -> impl Strategy<Value = Panel> {
    let x = prop_oneof![any::<f64>(), 1.0..1e5];
    let point = (x, any_measure()).prop_map(|(x, y)| DataPoint { x, y });
    let series = ("\\PC{0,30}|.{0,5}", proptest::collection::vec(point, 0..12))
        .prop_map(|(name, points)| Series { name, points });
    let scale = prop_oneof![Just(Scale::Linear), Just(Scale::Log), Just(Scale::LogFromZero)];
    (".{0,120}", "\\PC{0,60}", ".{0,9}", scale, proptest::collection::vec(series, 0..20)).prop_map(
        |(title, x_title, y_title, y_scale, series)| Panel {
            title,
            x_title,
            y_title,
            y_scale,
            series,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_experiment_gives_a_well_formed_chart(
        title in ".{0,200}",
        panels in proptest::collection::vec(any_panel(), 0..5),
        notes in proptest::collection::vec(".{0,200}", 0..3),
    ) {
        check(&experiment(&Experiment { title, panels, notes }));
    }

    #[test]
    fn any_report_gives_a_well_formed_chart(
        url in ".{0,99}",
        runs in proptest::collection::vec(
            (any::<[f64; 8]>(), any::<[u64; 3]>(), any::<[u32; 3]>()),
            0..9,
        ),
    ) {
        let mut report = samples::report(&[]);
        report.url = url;
        for (numbers, counts, small) in runs {
            let mut run = samples::report(&[small[0]]).runs.remove(0);
            let [.., percentile, highest] = numbers;
            // Figures that were not measured are gaps.
            let [min, p50, p90, p99, p99_9, max, _, rate] =
                numbers.map(|number| (number > -1.0).then_some(number));
            let percentiles =
                if small[1] % 2 == 0 { Vec::new() } else { vec![(percentile, highest)] };
            let count = counts[0] % 7;
            run.response_us = Latency {
                count, min, p50, p90, p99, p99_9, max, percentiles, ..Latency::default()
            };
            (run.rate, run.failed, run.died) = (rate, counts[1], small[2]);
            run.failures.insert("short".into(), counts[2]);
            report.runs.push(run);
        }
        check(&load(&report));
    }
}
