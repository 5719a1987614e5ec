//! Output files: JSON, CSV and the plot format of `HdrHistogram`. The file `-` is standard output.

use super::report::{FailureKind, Latency, LoadReport, Run};
use crate::error::Failure;
use crate::os::terminal;
use hdrhistogram::Histogram;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

/// Opens each output file for writing before the load starts, so that a wrong path doesn't cost
/// minutes of measurement. Missing files are created, existing ones stay as they are.
///
/// # Errors
/// If a file can't be opened or created.
pub fn check(paths: &[PathBuf]) -> Result<(), Failure> {
    for path in paths.iter().filter(|path| !is_stdout(path)) {
        OpenOptions::new().append(true).create(true).open(path).map_err(|error| {
            Failure::new(format!("opening {}", path.display()), error, "choose another file")
        })?;
    }
    Ok(())
}

/// Whether an output is standard output: `-`.
#[must_use]
pub fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// Writes results to standard output. A reader that is gone is no failure.
///
/// # Errors
/// If the results can't be written, as to a full disk.
pub fn print(text: &str) -> Result<(), Failure> {
    terminal::out(text).map_err(|error| {
        let hint = "the results are lost; make room and run again";
        Failure::new("writing to standard output", error, hint)
    })
}

/// Replaces the content of a file, or writes to standard output for `-`.
///
/// # Errors
/// If the file can't be written.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    if is_stdout(path) {
        return print(text);
    }
    std::fs::write(path, text).map_err(|error| {
        let what = format!("writing {}", path.display());
        Failure::new(what, error, "the results are lost; choose a writable file and run again")
    })
}

/// The report as JSON.
#[must_use]
pub fn json(report: &LoadReport) -> String {
    let mut text = serde_json::to_string_pretty(report).expect("all keys of a report are strings");
    text.push('\n');
    text
}

/// The report as CSV: a header line, and one line per run. The limit that a search found is in each
/// line of its runs.
#[must_use]
pub fn csv(report: &LoadReport) -> String {
    let mut names: Vec<&str> = FIGURES.to_vec();
    names.extend(FailureKind::ALL.iter().map(|kind| kind.name()));
    names.push("statuses");
    names.extend(LIMIT);
    let mut text = names.join(",");
    text.push('\n');
    for run in &report.runs {
        let mut values = figures(run);
        let count = |kind: &FailureKind| {
            let failures = if kind.is_of_connect() { &run.connect_failures } else { &run.failures };
            failures.get(kind.name()).copied().unwrap_or(0).to_string()
        };
        values.extend(FailureKind::ALL.iter().map(count));
        let statuses = run.statuses.iter().map(|(status, count)| format!("{status}={count}"));
        values.push(statuses.collect::<Vec<_>>().join(" "));
        values.extend(limit(report));
        text.push_str(&values.join(","));
        text.push('\n');
    }
    text
}

fn figures(run: &Run) -> Vec<String> {
    let mut values = vec![
        run.connections.to_string(),
        run.processes.to_string(),
        format!("{:.3}", run.seconds),
        format!("{:.3}", run.finishing_seconds),
        run.due.to_string(),
        run.not_sent.to_string(),
        run.sent.to_string(),
        run.requests.to_string(),
        run.failed.to_string(),
        run.outstanding.to_string(),
        run.connects_failed.to_string(),
        figure(run.rate, 3),
        figure(run.rate_asked, 3),
        figure(run.rate_held, 3),
        run.bytes.to_string(),
        run.connects.to_string(),
    ];
    for latency in [&run.connect_us, &run.handshake_us, &run.response_us, &run.error_us] {
        let Latency { min, p50, p90, p99, p99_9, max, .. } = *latency;
        values.extend([min, p50, p90, p99, p99_9, max].map(|value| figure(value, 1)));
    }
    values.push(format!("{:.3}", run.client_cpu_seconds));
    values.push(format!("{:.3}", run.client_busiest));
    values
}

/// The result of a search; empty without one, as is a rate that it didn't find.
fn limit(report: &LoadReport) -> [String; LIMIT.len()] {
    let Some(limit) = &report.limit else { return [const { String::new() }; LIMIT.len()] };
    let confirmed = u8::from(limit.confirmed).to_string();
    [limit.objective.clone(), figure(limit.passed, 3), figure(limit.failed, 3), confirmed]
}

/// A figure with this number of decimals; empty if it was not measured.
fn figure(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(String::new, |value| format!("{value:.decimals$}"))
}

const LIMIT: [&str; 4] = ["slo", "limit_passed", "limit_failed", "limit_confirmed"];

const FIGURES: [&str; 42] = [
    "connections",
    "processes",
    "seconds",
    "finishing_seconds",
    "due",
    "not_sent",
    "sent",
    "requests",
    "failed",
    "outstanding",
    "connects_failed",
    "rate",
    "rate_asked",
    "rate_held",
    "bytes",
    "connects",
    "connect_us_min",
    "connect_us_p50",
    "connect_us_p90",
    "connect_us_p99",
    "connect_us_p99_9",
    "connect_us_max",
    "handshake_us_min",
    "handshake_us_p50",
    "handshake_us_p90",
    "handshake_us_p99",
    "handshake_us_p99_9",
    "handshake_us_max",
    "response_us_min",
    "response_us_p50",
    "response_us_p90",
    "response_us_p99",
    "response_us_p99_9",
    "response_us_max",
    "error_us_min",
    "error_us_p50",
    "error_us_p90",
    "error_us_p99",
    "error_us_p99_9",
    "error_us_max",
    "client_cpu_seconds",
    "client_busiest",
];

/// A histogram of nanoseconds in the format that the plotter of `HdrHistogram` reads, in
/// milliseconds.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "milliseconds have three digits")]
pub fn hgrm(histogram: &Histogram<u64>) -> String {
    let mut text = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
    let mut line = |arguments: std::fmt::Arguments<'_>| {
        text.write_fmt(arguments).expect("writing to a string does not fail");
    };
    let mut total = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF) {
        total += step.count_since_last_iteration();
        let quantile = step.quantile_iterated_to();
        let value = step.value_iterated_to() as f64 / 1e6;
        if quantile < 1.0 {
            let inverse = 1.0 / (1.0 - quantile);
            line(format_args!("{value:12.3} {quantile:14.12} {total:10} {inverse:14.2}\n"));
        } else {
            line(format_args!("{value:12.3} {quantile:14.12} {total:10}\n"));
        }
    }
    let (mean, deviation) = (histogram.mean() / 1e6, histogram.stdev() / 1e6);
    line(format_args!("#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]\n"));
    let (max, count) = (histogram.max() as f64 / 1e6, histogram.len());
    line(format_args!("#[Max     = {max:12.3}, Total count    = {count:12}]\n"));
    let buckets = histogram.buckets();
    line(format_args!("#[Buckets = {buckets:12}, SubBuckets     = {SUB_BUCKETS:12}]\n"));
    text
}

/// The file name for one of several runs: `out.hgrm` with 100 connections is `out-100.hgrm`.
#[must_use]
pub fn numbered(path: &Path, connections: u32) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = match path.extension() {
        Some(extension) => format!("{stem}-{connections}.{}", extension.to_string_lossy()),
        None => format!("{stem}-{connections}"),
    };
    path.with_file_name(name)
}

const TICKS_PER_HALF: u32 = 5;
/// `HdrHistogram`'s number of sub-buckets for three significant digits.
const SUB_BUCKETS: u32 = 2048;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::{FoundLimit, SCHEMA};

    fn report() -> LoadReport {
        let run = Run {
            connections: 10,
            failed: 2,
            failures: [("short".to_owned(), 2)].into(),
            ..Run::default()
        };
        let (url, load) = ("http://a/".to_owned(), "GET".to_owned());
        LoadReport {
            schema: SCHEMA.to_owned(),
            label: "a".to_owned(),
            url,
            load,
            engine: "epoll".to_owned(),
            runs: vec![run],
            limit: None,
        }
    }

    #[test]
    fn json_can_be_parsed_into_the_same_report() {
        let read: LoadReport =
            serde_json::from_str(&json(&report())).expect("the JSON of a report is valid");
        assert_eq!(read, report());
    }

    #[test]
    fn csv_has_a_value_in_every_column() {
        let text = csv(&report());
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].len(), lines[1].len());
        let place =
            lines[0].iter().position(|&name| name == "short").expect("each kind has a column");
        assert_eq!(lines[1][place], "2");
        // No response, so no latency: a column of numbers has a gap, not a zero.
        let place = lines[0].iter().position(|&name| name == "response_us_p99");
        assert_eq!(lines[1][place.expect("latencies have columns")], "");
    }

    #[test]
    fn csv_of_a_search_has_its_limit_in_each_line() {
        let limit = |report: &LoadReport| {
            let text = csv(report);
            let lines: Vec<Vec<&str>> =
                text.lines().map(|line| line.split(',').collect()).collect();
            let place = lines[0].iter().position(|&name| name == "slo").expect("it is there");
            assert!(lines.iter().all(|line| line.len() == place + 4), "{text}");
            lines[1..].iter().map(|line| line[place..].join(",")).collect::<Vec<_>>()
        };
        assert_eq!(limit(&report()), [",,,"]);
        let found = FoundLimit {
            objective: "10ms@p99".to_owned(),
            passed: Some(4970.0),
            failed: None,
            confirmed: true,
            client_was_the_limit: false,
        };
        let runs = vec![Run::default(), Run::default()];
        let searched = LoadReport { limit: Some(found), runs, ..report() };
        assert_eq!(limit(&searched), ["10ms@p99,4970.000,,1"; 2]);
    }

    #[test]
    fn hgrm_ends_with_the_total_count() {
        let mut histogram = Histogram::<u64>::new(3).expect("three digits are valid");
        for millis in 1..=100 {
            histogram.record(millis * 1_000_000).expect("the histogram resizes itself");
        }
        let text = hgrm(&histogram);
        assert!(text.contains("1.000000000000        100\n"), "{text}");
        assert!(text.contains("Total count    =          100]"), "{text}");
    }

    #[test]
    fn runs_get_numbered_files() {
        assert_eq!(numbered(Path::new("a/b.hgrm"), 10), Path::new("a/b-10.hgrm"));
        assert_eq!(numbered(Path::new("b"), 10), Path::new("b-10"));
    }
}
