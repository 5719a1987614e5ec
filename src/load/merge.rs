//! The reports of several load clients, merged into one as if a single client had made the load.
//!
//! Counts and histograms are added, which is exact; percentiles, means and rates are computed anew
//! from the sums. A rate is the sum of requests over the longest time, so clients have to make
//! their loads at the same time: [`overlap`] tells how far they did.

use super::report::{Latency, LoadReport, Run, targets};
use super::saved::SavedReport;
use super::{files, saved, show, sum};
use crate::error::Failure;
use crate::os::terminal;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Options of `uringload merge`.
#[derive(Clone, Debug, clap::Args)]
pub struct MergeArgs {
    /// Reports that --json wrote; - is standard input. A file may have several, one after another
    #[arg(value_name = "REPORT", required = true, value_hint = clap::ValueHint::FilePath)]
    pub reports: Vec<PathBuf>,

    /// Write the merged report as JSON; - is standard output
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub json: Option<PathBuf>,

    /// Merge reports of different loads, if they have equal numbers of runs
    #[arg(long)]
    pub force: bool,

    /// Print errors and warnings only
    #[arg(long)]
    pub quiet: bool,
}

/// Runs `uringload merge`.
///
/// # Errors
/// If a file isn't a report, the loads differ, or an output can't be written.
pub fn run(args: &MergeArgs) -> Result<(), Failure> {
    let reports = saved::read(&args.reports)?;
    let merged = merge(&reports, args.force).map_err(|differences| {
        let hint = if args.force {
            "merge reports with equal numbers of runs"
        } else {
            "merge the reports of equal loads, or use --force"
        };
        Failure::new("merging the reports", differences, hint)
    })?;
    for (number, share) in (1..).zip(overlap(&reports)) {
        if let Some(share) = share.filter(|share| *share < OVERLAP_MIN) {
            terminal::err(format_args!(
                "uringload: run {number}: the clients made requests together in {:.0} % of the \
                 time only, so the rate is none that the server had to bear: use --start-at",
                share * 100.0
            ));
        }
    }
    // Before the figures, which may not find room.
    if let Some(path) = &args.json {
        files::write(path, &files::json(&merged))?;
    }
    let is_stdout = args.json.as_deref().is_some_and(files::is_stdout);
    let runs = merged.runs.iter().filter(|_| !args.quiet && !is_stdout);
    let figures = runs.map(|run| show::figures(run, &merged.engine, false) + "\n");
    files::print(&figures.collect::<String>())
}

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
        // A search adapts to what it finds, so those of several clients have no sum.
        limit: None,
    })
}

/// What the loads of two reports do not have in common.
fn differences_of(first: &SavedReport, other: &SavedReport) -> Vec<String> {
    let (a, b) = (&first.report, &other.report);
    let mut differences = Vec::new();
    let mut compare = |what: &str, one: String, two: String| {
        if one != two {
            let (first, other) = (&first.name, &other.name);
            differences.push(format!("{what}: {one} ({first}) and {two} ({other})"));
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
#[expect(clippy::cast_precision_loss, reason = "rates have three significant digits")]
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
    let (requests_in_time, sent) = (count(|run| run.requests_in_time), count(|run| run.sent));
    let (due, not_sent) = (count(|run| run.due), count(|run| run.not_sent));
    let (requests, failed) = (count(|run| run.requests), count(|run| run.failed));
    // A run that was too short for a rate is one among others.
    let is_timed = parts.iter().any(|run| run.rate.is_some()) && seconds > 0.0;
    let per_second = |count: u64| is_timed.then(|| count as f64 / seconds);
    let rate_asked = rates(|run| run.rate_asked);
    let busiest = longest(|run| run.client_busiest);
    // A client that was late missed its rate even if all clients together have sent enough.
    let is_late = |run: &&Run| run.rate_missed && !sum::has_held_back(run.not_sent, run.due);
    let by_target: Vec<_> =
        parts.iter().map(|run| (&run.targets[..], run.targets_distinct)).collect();
    Run {
        connections: small(|run| run.connections),
        processes: small(|run| run.processes),
        died: small(|run| run.died),
        started_at: parts.iter().filter_map(|run| run.started_at).reduce(f64::min),
        seconds,
        finishing_seconds: longest(|run| run.finishing_seconds),
        interrupted: parts.iter().any(|run| run.interrupted),
        due,
        not_sent,
        sent,
        requests,
        failed,
        outstanding: count(|run| run.outstanding),
        failures: counts(parts, |run| &run.failures),
        connects_failed: count(|run| run.connects_failed),
        connect_failures: counts(parts, |run| &run.connect_failures),
        statuses: counts(parts, |run| &run.statuses),
        first_failure: parts.iter().find_map(|run| run.first_failure.clone()),
        requests_in_time,
        rate: per_second(requests_in_time),
        rate_asked,
        rate_held: sum::rate_held(rate_asked, per_second(sent)),
        rate_missed: rate_asked.is_some()
            && (sum::has_held_back(not_sent, due) || parts.iter().any(is_late)),
        short: sum::is_short(seconds),
        bytes: count(|run| run.bytes),
        bytes_rate: per_second(count(bytes_in_time)),
        connects: count(|run| run.connects),
        lingered: count(|run| run.lingered),
        connect_us: latency(|run| &run.connect_us),
        handshake_us: latency(|run| &run.handshake_us),
        response_us: latency(|run| &run.response_us),
        error_us: latency(|run| &run.error_us),
        targets_distinct: parts.iter().map(|run| run.targets_distinct).max().unwrap_or(0),
        targets: targets::sum(&by_target),
        client_cpu_seconds: parts.iter().map(|run| run.client_cpu_seconds).sum(),
        client_busiest: busiest,
        client_was_the_limit: sum::was_the_limit(busiest, seconds, requests.saturating_add(failed)),
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

/// The bytes that a rate of bytes stands for. A count is far below 2^52, so the rounding of the
/// rate does not reach it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count is a whole number that a double represents"
)]
fn bytes_in_time(run: &Run) -> u64 {
    run.bytes_rate.map_or(0, |rate| (rate * run.seconds).round() as u64)
}

/// For each run, the share of the longest time in which all clients made requests, from 0 to 1;
/// `None` for a run of which a start is not known.
#[must_use]
pub fn overlap(reports: &[SavedReport]) -> Vec<Option<f64>> {
    let runs = reports.iter().map(|saved| saved.report.runs.len()).min().unwrap_or(0);
    let of = |place: usize| {
        let parts: Vec<&Run> = reports.iter().map(|saved| &saved.report.runs[place]).collect();
        let starts = parts.iter().map(|run| run.started_at).collect::<Option<Vec<f64>>>()?;
        let ends = starts.iter().zip(&parts).map(|(start, run)| start + run.seconds);
        let last_start = starts.iter().copied().reduce(f64::max)?;
        let longest = parts.iter().map(|run| run.seconds).fold(0.0, f64::max);
        let common = ends.reduce(f64::min)? - last_start;
        (longest > 0.0).then(|| (common / longest).clamp(0.0, 1.0))
    };
    (0..runs).map(of).collect()
}

/// A smaller [`overlap`] is worth a warning.
const OVERLAP_MIN: f64 = 0.95;

#[cfg(test)]
mod tests;
