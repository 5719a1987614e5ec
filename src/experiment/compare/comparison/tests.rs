//! Which runs are compared, and the verdicts on them.

use super::*;
use crate::experiment::compare::table;
use crate::load::report::{LoadReport, SCHEMA, distribution};

fn run(connections: u32, rate: f64) -> Run {
    Run { connections, due: 1000, requests: 1000, rate: Some(rate), ..Run::default() }
}

fn saved(name: &str, label: &str, runs: Vec<Run>) -> SavedReport {
    let report = LoadReport {
        schema: SCHEMA.to_owned(),
        label: label.to_owned(),
        url: "http://a/".to_owned(),
        load: "GET HTTP/1.1, 10s".to_owned(),
        engine: "io_uring".to_owned(),
        runs,
        limit: None,
    };
    SavedReport { name: name.to_owned(), report }
}

fn repeated(name: &str, rates: impl IntoIterator<Item = f64>) -> SavedReport {
    saved(name, "", rates.into_iter().map(|rate| run(10, rate)).collect())
}

fn figure(comparison: &ReportComparison, figure: RunFigure) -> &ComparedFigure {
    let figures = &comparison.settings[0].figures;
    figures.iter().find(|compared| compared.figure == figure).expect("all figures are compared")
}

fn verdict_on_rate(comparison: &ReportComparison) -> Option<Verdict> {
    figure(comparison, RunFigure::Rate).sides[1].verdict
}

#[test]
fn repetitions_tell_a_difference_from_noise() {
    let base = repeated("a.json", [100.0, 101.0, 99.0, 100.5, 99.5]);
    let slower = repeated("b.json", [90.0, 91.0, 89.0, 90.5, 89.5]);
    let comparison = compare(&[base.clone(), slower]).unwrap();
    let sides = &figure(&comparison, RunFigure::Rate).sides;
    assert_eq!(sides[0].verdict, None);
    assert_eq!((sides[1].median, sides[1].ratio), (Some(90.0), Some(0.9)));
    assert_eq!(sides[1].verdict, Some(Verdict::Differs));
    let interval = sides[1].interval.unwrap();
    assert!(0.88 < interval.low && interval.low < 0.9 && interval.high < 0.92, "{interval:?}");

    let alike = repeated("c.json", [100.2, 101.1, 98.9, 100.4, 99.1]);
    assert_eq!(verdict_on_rate(&compare(&[base.clone(), alike]).unwrap()), Some(Verdict::Noise));
    let equal = repeated("d.json", [100.0; 5]);
    let same = compare(&[equal.clone(), equal]).unwrap();
    assert_eq!(verdict_on_rate(&same), Some(Verdict::Same));
}

#[test]
fn few_repetitions_do_not_tell_however_large_the_difference() {
    for (base, other, expected) in [
        (1, 1, Verdict::OneRun),
        (1, 10, Verdict::TooFewRuns),
        (3, 3, Verdict::TooFewRuns),
        (4, 4, Verdict::Differs),
    ] {
        let side = |name, runs: u32, level: f64| {
            repeated(name, (0..runs).map(|number| level + f64::from(number)))
        };
        let both = [side("a", base, 100.0), side("b", other, 900.0)];
        let comparison = compare(&both).unwrap();
        assert_eq!(verdict_on_rate(&comparison), Some(expected), "{base} and {other} runs");
    }
}

#[test]
fn percentiles_of_single_runs_are_compared_by_their_intervals() {
    let of = |name, micros: u64| {
        let buckets = (0..1000).map(|number| ((micros + number % 100) * 1000, 1));
        let response_us = distribution::summary(&distribution::histogram(buckets), 0, 0);
        saved(name, "", vec![Run { response_us, ..run(10, 100.0) }])
    };
    let comparison = compare(&[of("a", 1000), of("b", 1001), of("c", 1200)]).unwrap();
    let verdicts = |wanted| figure(&comparison, wanted).sides[1..].iter().map(|side| side.verdict);
    let medians: Vec<_> = verdicts(RunFigure::P50Us).collect();
    assert_eq!(medians, [Some(Verdict::Noise), Some(Verdict::DiffersInOneRun)]);
    // One latency in a thousand is beyond the 99.9th percentile, and none beyond the highest.
    for wanted in [RunFigure::P999Us, RunFigure::MaxUs] {
        assert!(verdicts(wanted).all(|verdict| verdict == Some(Verdict::OneRun)), "{wanted:?}");
    }
}

#[test]
fn runs_are_matched_by_connections_and_rate() {
    let at = |connections, rate_asked| Run { rate_asked, ..run(connections, 5.0) };
    let base = saved("a", "", vec![at(10, None), at(100, None), at(100, Some(50.0))]);
    let other = saved("b", "", vec![at(100, Some(50.0)), at(100, None), at(7, None)]);
    let comparison = compare(&[base, other]).unwrap();
    let found: Vec<_> =
        comparison.settings.iter().map(|s| (s.setting.to_string(), s.runs.clone())).collect();
    assert_eq!(
        found,
        [
            ("100 connections".to_owned(), vec![1, 1]),
            ("100 connections at 50 requests/s".to_owned(), vec![1, 1])
        ]
    );
    assert_eq!(comparison.notes, ["Only a has 10 connections.", "Only b has 7 connections."]);
    let several = saved("b", "", vec![at(11, None), at(12, None)]);
    let alone = compare(&[repeated("a", [1.0]), several]).unwrap_err().why;
    let all = "a has 10 connections; b has 11 connections, 12 connections";
    assert!(alone.ends_with(&format!("in common: {all}")), "{alone}");
}

#[test]
fn sides_with_a_single_setting_each_are_compared_whatever_it_is() {
    let at = |connections, rate_asked| Run { rate_asked, ..run(connections, 5.0) };
    let closed = saved("closed", "", vec![at(10, None), at(10, None)]);
    let open = saved("open", "", vec![at(10, Some(500.0))]);
    let comparison = compare(&[closed.clone(), open.clone()]).unwrap();
    let [setting] = &comparison.settings[..] else { panic!("{:?}", comparison.settings) };
    assert_eq!(setting.runs, [2, 1]);
    let differs = "The sides differ in their rate: none, 500 per second.";
    let due = "With a rate, response times count from the time at which each request was due; \
               without one, from its sending.";
    assert_eq!(comparison.notes, [differs, due]);
    let text = table::text(&comparison);
    assert!(text.starts_with("10 connections, closed loop against 500 requests/s, 2 and 1 runs\n"));
    assert!(text.contains(differs), "{text}");
    let json = serde_json::to_value(&comparison).unwrap();
    assert_eq!(json["notes"][0], differs);
    let of_sides = &json["settings"][0]["settings"];
    assert_eq!((&of_sides[0]["rate_asked"], &of_sides[1]["rate_asked"]), (&NULL, &500.0.into()));

    // Even if two of the sides have one in common.
    let more = saved("more", "", vec![at(1000, Some(500.0))]);
    let comparison = compare(&[closed, open.clone(), open, more]).unwrap();
    assert_eq!(comparison.settings[0].runs, [2, 1, 1, 1]);
    let rates = "The sides differ in their rate: none, 500 per second, 500 per second, 500 per \
                 second.";
    let connections = "The sides differ in their number of connections: 10, 10, 10, 1,000.";
    assert_eq!(comparison.notes, [connections, rates, due]);
    let title = "10 connections against 10 connections at 500 requests/s against";
    assert!(comparison.settings[0].setting.to_string().starts_with(title));
}

const NULL: serde_json::Value = serde_json::Value::Null;

#[test]
fn reports_of_one_label_are_one_side() {
    let round = |name, label, rate| saved(name, label, vec![run(10, rate)]);
    let rounds =
        [round("1", "x", 1.0), round("2", "y", 2.0), round("3", "x", 3.0), round("4", "y", 4.0)];
    let comparison = compare(&rounds).unwrap();
    let sides: Vec<_> =
        comparison.sides.iter().map(|side| (&side.label[..], &side.files)).collect();
    assert_eq!(
        sides,
        [
            ("x", &vec!["1".to_owned(), "3".to_owned()]),
            ("y", &vec!["2".to_owned(), "4".to_owned()])
        ]
    );
    assert_eq!(figure(&comparison, RunFigure::Rate).sides[1].values, [2.0, 4.0]);
    let one = compare(&rounds[..1]).unwrap_err().why;
    assert_eq!(one, "there is one report");
    let one = compare(&[rounds[0].clone(), rounds[2].clone()]).unwrap_err().why;
    assert_eq!(one, "all reports have the label \"x\", and are one side");
    // Unlabelled reports are never one side, even of one file.
    assert!(compare(&[round("1", "", 1.0), round("1", "", 2.0)]).is_ok());
}

#[test]
fn requests_without_a_correct_response_are_the_failed_share() {
    let mut bad = run(10, 100.0);
    (bad.due, bad.requests, bad.failed, bad.not_sent, bad.outstanding) = (1000, 900, 50, 30, 20);
    let comparison = compare(&[repeated("a", [100.0]), saved("b", "", vec![bad])]).unwrap();
    let sides = &figure(&comparison, RunFigure::FailedShare).sides;
    assert_eq!((sides[0].median, sides[1].median), (Some(0.0), Some(0.1)));
    assert_eq!((sides[1].ratio, sides[1].interval), (None, None), "0 has no ratio");
}

#[test]
fn runs_without_a_figure_have_none() {
    let without = saved("b", "", vec![Run { rate: None, requests: 0, ..run(10, 0.0) }]);
    let comparison = compare(&[repeated("a", [100.0]), without]).unwrap();
    for wanted in [RunFigure::Rate, RunFigure::P99Us, RunFigure::ClientCpuUs] {
        let side = &figure(&comparison, wanted).sides[1];
        assert_eq!((side.median, side.ratio, side.verdict), (None, None, None), "{wanted:?}");
    }
    assert!(table::text(&comparison).contains("none"));
}

#[test]
fn figures_that_are_not_comparable_are_named() {
    let mut other = saved("b", "", vec![run(10, 1.0), run(10, 1.0)]);
    other.report.load = "POST".to_owned();
    other.report.runs[0].client_was_the_limit = true;
    other.report.runs[1].response_us.unanswered = 3;
    let comparison = compare(&[repeated("a", [1.0, 2.0]), other]).unwrap();
    let text = comparison.notes.join("\n");
    for expected in [
        "The loads differ: a: GET HTTP/1.1, 10s; b: POST.",
        "b: in 1 of 2 runs, the client was saturated",
        "b: in 1 of 2 runs, requests had no response",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert_eq!(comparison.notes.len(), 3);
}

#[test]
fn table_has_a_row_for_each_figure_and_side() {
    let base = repeated("a.json", [100_000.0, 101_000.0, 99_000.0, 100_500.0]);
    let other = repeated("b.json", [90_000.0, 91_000.0, 89_000.0, 90_500.0]);
    let text = table::text(&compare(&[base, other]).unwrap());
    assert!(text.starts_with("10 connections, 4 and 4 runs\n"), "{text}");
    let row = text.lines().find(|line| line.contains("90,250/s")).expect("the rate has a row");
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(words[..3], ["b.json", "90,250/s", "0.900"]);
    assert_eq!(words[6..], ["0.029", "differs"]);
    assert!(text.contains("failed") && text.contains("same"), "{text}");
    assert!(text.contains("there is one here"), "{text}");
}
