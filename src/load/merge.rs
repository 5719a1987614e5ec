//! The reports of several load clients, merged into one as if a single client had made the load.
//!
//! Counts and histograms are added, which is exact; percentiles, means and rates are computed anew
//! from the sums. A rate is the sum of requests over the longest time, so clients have to make
//! their loads at the same time.

use super::report::{Latency, LoadReport, Run};
use super::saved::SavedReport;
use std::collections::BTreeMap;

/// Merges reports of equal loads, run by run. With `force`, the loads may differ, but each report
/// must have as many runs as the others.
///
/// # Errors
/// The differences between the loads, or between their numbers of runs.
///
/// # Panics
/// Without any report.
pub fn merge(reports: &[SavedReport], force: bool) -> Result<LoadReport, String> {
    let first = reports.first().expect("a merge has a report at least");
    let (mut differences, mut has_other_runs) = (Vec::new(), false);
    for other in &reports[1..] {
        differences.extend(differences_of(first, other));
        has_other_runs |= first.report.runs.len() != other.report.runs.len();
    }
    if has_other_runs || !force && !differences.is_empty() {
        return Err(differences.join("; "));
    }
    let all = || reports.iter().map(|saved| &saved.report);
    let runs = (0..first.report.runs.len())
        .map(|place| sum(&all().map(|report| &report.runs[place]).collect::<Vec<_>>()))
        .collect();
    let loads = distinct(all().map(|report| report.load.as_str())).join("; ");
    let urls = distinct(all().map(|report| report.url.as_str()));
    Ok(LoadReport {
        schema: first.report.schema.clone(),
        label: distinct(all().map(|report| report.label.as_str())).join(" + "),
        url: match urls.len() {
            1 => urls[0].to_owned(),
            2 => format!("{} and another", urls[0]),
            many => format!("{} and {} others", urls[0], many - 1),
        },
        load: match reports.len() {
            1 => loads,
            clients => format!("{loads}, by {clients} clients"),
        },
        engine: distinct(all().map(|report| report.engine.as_str())).join(", "),
        runs,
    })
}

/// What the loads of two reports do not have in common.
fn differences_of(first: &SavedReport, other: &SavedReport) -> Vec<String> {
    let (a, b) = (&first.report, &other.report);
    let mut differences = Vec::new();
    let mut compare = |what: &str, one: String, two: String| {
        if one != two {
            let (first, other) = (&first.name, &other.name);
            differences.push(format!("{what}: {one} in {first}, {two} in {other}"));
        }
    };
    compare("URL path", path_of(&a.url).to_owned(), path_of(&b.url).to_owned());
    compare("load", a.load.clone(), b.load.clone());
    compare("runs", a.runs.len().to_string(), b.runs.len().to_string());
    let connections = |report: &LoadReport| list(&report.runs, |run| run.connections.to_string());
    compare("connections", connections(a), connections(b));
    let rates = |report: &LoadReport| {
        list(&report.runs, |run| run.rate_asked.map_or("none".to_owned(), |rate| rate.to_string()))
    };
    compare("rate", rates(a), rates(b));
    differences
}

fn list(runs: &[Run], figure: impl Fn(&Run) -> String) -> String {
    runs.iter().map(figure).collect::<Vec<_>>().join(",")
}

/// The path and the query of a URL.
fn path_of(url: &str) -> &str {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    after_scheme.find('/').map_or("/", |slash| &after_scheme[slash..])
}

/// The texts without repetitions, in their order.
fn distinct<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found = Vec::new();
    for text in texts.filter(|text| !text.is_empty()) {
        if !found.contains(&text) {
            found.push(text);
        }
    }
    found
}

/// One run of several clients as a run of one client.
fn sum(parts: &[&Run]) -> Run {
    let count = |figure: fn(&Run) -> u64| {
        parts.iter().fold(0, |sum: u64, run| sum.saturating_add(figure(run)))
    };
    let small = |figure: fn(&Run) -> u32| {
        parts.iter().fold(0, |sum: u32, run| sum.saturating_add(figure(run)))
    };
    let longest = |figure: fn(&Run) -> f64| parts.iter().map(|run| figure(run)).fold(0.0, f64::max);
    // A sum without one of its parts would be too low.
    let rates = |figure: fn(&Run) -> Option<f64>| parts.iter().map(|run| figure(run)).sum();
    let latency = |figure: fn(&Run) -> &Latency| Latency::sum(parts.iter().map(|run| figure(run)));
    let seconds = longest(|run| run.seconds);
    let requests_in_time = count(|run| run.requests_in_time);
    Run {
        connections: small(|run| run.connections),
        processes: small(|run| run.processes),
        died: small(|run| run.died),
        seconds,
        finishing_seconds: longest(|run| run.finishing_seconds),
        interrupted: parts.iter().any(|run| run.interrupted),
        due: count(|run| run.due),
        not_sent: count(|run| run.not_sent),
        sent: count(|run| run.sent),
        requests: count(|run| run.requests),
        failed: count(|run| run.failed),
        outstanding: count(|run| run.outstanding),
        failures: counts(parts, |run| &run.failures),
        connects_failed: count(|run| run.connects_failed),
        connect_failures: counts(parts, |run| &run.connect_failures),
        statuses: counts(parts, |run| &run.statuses),
        first_failure: parts.iter().find_map(|run| run.first_failure.clone()),
        requests_in_time,
        rate: rate_of(requests_in_time, seconds),
        rate_asked: rates(|run| run.rate_asked),
        rate_held: rates(|run| run.rate_held),
        rate_missed: parts.iter().any(|run| run.rate_missed),
        short: parts.iter().any(|run| run.short),
        bytes: count(|run| run.bytes),
        bytes_rate: rates(|run| run.bytes_rate),
        connects: count(|run| run.connects),
        lingered: count(|run| run.lingered),
        connect_us: latency(|run| &run.connect_us),
        response_us: latency(|run| &run.response_us),
        error_us: latency(|run| &run.error_us),
        client_cpu_seconds: parts.iter().map(|run| run.client_cpu_seconds).sum(),
        client_busiest: longest(|run| run.client_busiest),
        client_was_the_limit: parts.iter().any(|run| run.client_was_the_limit),
    }
}

/// The sums of counts with equal keys.
fn counts<K: Clone + Ord>(
    parts: &[&Run],
    figure: fn(&Run) -> &BTreeMap<K, u64>,
) -> BTreeMap<K, u64> {
    let mut sums = BTreeMap::<K, u64>::new();
    for (key, &count) in parts.iter().flat_map(|run| figure(run)) {
        let sum = sums.entry(key.clone()).or_default();
        *sum = sum.saturating_add(count);
    }
    sums
}

/// Requests per second; absent if there was no time for any.
#[expect(clippy::cast_precision_loss, reason = "rates have three significant digits")]
fn rate_of(requests: u64, seconds: f64) -> Option<f64> {
    (requests > 0 && seconds > 0.0).then(|| requests as f64 / seconds)
}
