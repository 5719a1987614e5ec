//! The results as Markdown: one table per load, and a description of the machine. Pure.

use super::output::indented;
use super::results::{Failed, LoadSettings, Machine, Measurement, Results, SummaryRow};
use super::summary::as_f64;
use crate::experiment::numbers::{fixed, grouped, per_second};
use crate::experiment::spread::Spread;
use crate::load::report::failure_text;

/// The text of `results.md`.
#[must_use]
pub fn markdown(results: &Results) -> String {
    let mut text = String::new();
    for rows in &results.summary {
        let load = results.settings.loads.iter().find(|load| load.name == rows.load);
        text += &heading(&rows.load, load);
        text += HEAD;
        for connections in &results.settings.concurrency {
            for server in &rows.servers {
                if let Some(row) = server.rows.iter().find(|row| row.connections == *connections) {
                    text += &line(&server.server, row);
                }
            }
        }
        text.push('\n');
    }
    text + &failures_with_output(results) + &footer(results)
}

/// What servers printed last that failed, once for each server and output.
fn failures_with_output(results: &Results) -> String {
    let mut shown: Vec<&Measurement> = Vec::new();
    let mut left_out = 0;
    for failed in results.measurements.iter().filter(|it| it.output.is_some()) {
        let is_same = |it: &Measurement| it.server == failed.server && it.output == failed.output;
        if shown.iter().any(|it| is_same(it)) {
            continue;
        }
        if shown.len() < OUTPUTS_MAX { shown.push(failed) } else { left_out += 1 }
    }
    if shown.is_empty() {
        return String::new();
    }
    let mut text = "## Output of servers that failed\n\n".to_owned();
    for Measurement { round, load, connections, server, note, output, .. } in shown {
        let note = note.as_deref().unwrap_or_default().replace('\n', " ");
        let output = indented(output.as_deref().unwrap_or_default(), CODE);
        text.extend([format!(
            "round {round}, {load}, {connections} connections, {server}: {note}\n\n{output}\n"
        )]);
    }
    if left_out > 0 {
        text.extend([format!("results.json has the output of {left_out} more.\n\n")]);
    }
    text
}

fn heading(name: &str, load: Option<&LoadSettings>) -> String {
    let Some(load) = load else { return format!("## {name}\n\n") };
    let options = match load.options.as_slice() {
        [] => String::new(),
        options => format!(" (`{}`)", options.join(" ")),
    };
    let seconds = grouped(load.time_max_seconds);
    format!(
        "## {name}\n\n{} requests per point{options}, {seconds} s at most\n\n",
        fixed(as_f64(load.requests), 0)
    )
}

fn line(server: &str, row: &SummaryRow) -> String {
    let cells = [
        row.connections.to_string(),
        server.to_owned(),
        rate(row.rate),
        row.failed.as_ref().map_or_else(String::new, failures),
        figure(row.cpu_us, 1.0, 2),
        figure(row.p50_us, 1e3, 2),
        figure(row.p99_us, 1e3, 2),
        figure(row.memory_bytes, MIB, 1),
        // Notes quote programs; a line break would end the table, a | the cell.
        row.note.as_deref().unwrap_or("").replace('\n', " ").replace('|', "\\|"),
    ];
    format!("| {} |\n", cells.join(" | "))
}

/// A figure in this unit; empty if it was not measured.
fn figure(spread: Option<Spread>, unit: f64, decimals: usize) -> String {
    let Some(Spread { median, min, max }) = spread else { return String::new() };
    range([median, min, max].map(|value| fixed(value / unit, decimals)))
}

/// The rates, of which low ones keep their digits.
fn rate(spread: Option<Spread>) -> String {
    let Some(Spread { median, min, max }) = spread else { return String::new() };
    range([median, min, max].map(per_second))
}

/// A median, with the range unless lowest and highest value look the same.
fn range([median, low, high]: [String; 3]) -> String {
    if low == high { median } else { format!("{median} ({low} to {high})") }
}

fn failures(failed: &Failed) -> String {
    if failed.sum == 0 {
        return "0".to_owned();
    }
    let kinds: Vec<_> = failed
        .kinds
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(kind, count)| format!("{} {}", fixed(as_f64(*count), 0), failure_text(kind)))
        .collect();
    let [sum, of] = [failed.sum, failed.of].map(|count| fixed(as_f64(count), 0));
    format!("{sum} of {of}: {}", kinds.join(", "))
}

fn footer(results: &Results) -> String {
    let Machine { kernel, cpu, cores, memory_bytes, sysctls, limits } = &results.machine;
    let rounds = match results.settings.rounds {
        1 => "One round, so there are no ranges".to_owned(),
        many => format!(
            "Medians of up to {many} interleaved rounds, with the lowest and highest values in \
             parentheses where they differ"
        ),
    };
    let done = match u64::try_from(results.measurements.len()) {
        Ok(made) if made == results.planned => String::new(),
        _ => format!("; {} of {} points so far", results.measurements.len(), results.planned),
    };
    let memory = fixed(as_f64(*memory_bytes) / MIB / 1024.0, 1);
    let list = |map: &std::collections::BTreeMap<String, String>| {
        map.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
    };
    format!(
        "{rounds}; failures are sums over all rounds{done}, of requests that failed, had no \
         response or were never sent. The rate is of the responses while requests were made; an \
         empty cell was not measured. CPU is the server's CPU time per \
         successful request; memory is the sum of the peaks of its processes.\n\n\
         Measured from {} to {} on {cpu}, {cores} cores, {memory} GiB, Linux {kernel}.\n\n\
         {}\n\n{}\n",
        results.began,
        results.ended,
        list(sysctls),
        list(limits),
    )
}

const HEAD: &str = "\
| connections | server | requests/s | failed | CPU µs | p50 ms | p99 ms | memory MiB | note |
|--:|---|--:|--:|--:|--:|--:|--:|---|
";
/// Markdown shows lines with this indentation as they are.
const CODE: &str = "    ";
const OUTPUTS_MAX: usize = 10;
const MIB: f64 = 1_048_576.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::sweep::tests::{measured, not_started, results};

    #[test]
    fn each_load_has_a_table() {
        let mut slow = measured(2, "close", 10, "a", 1500.0);
        let run = slow.run.as_mut().unwrap();
        (run.requests, run.failed) = (90, 10);
        run.failures = [("short".to_owned(), 0), ("connect_refused".to_owned(), 10)].into();
        let mut silent = not_started(1, "keep", 10, "b");
        silent.note = Some("printed | and\na line".to_owned());
        silent.output = Some("no licence\nfor 10".to_owned());
        let text = markdown(&results(vec![
            measured(1, "close", 10, "a", 12_500.0),
            slow,
            measured(1, "close", 10, "b", 20.0),
            measured(1, "close", 20, "a", 20.0),
            silent,
        ]));
        let expected = "\
## close

100 requests per point (`--ab`), 60 s at most

| connections | server | requests/s | failed | CPU µs | p50 ms | p99 ms | memory MiB | note |
|--:|---|--:|--:|--:|--:|--:|--:|---|
| 10 | a | 7,000 (1,500 to 12,500) | 10 of 200: 10 connect refused | 7.00 | 1.00 | 5.00 | 3.0 |  |
| 10 | b | 20 | 0 | 7.00 | 1.00 | 5.00 | 3.0 |  |
| 20 | a | 20 | 0 | 7.00 | 1.00 | 5.00 | 3.0 |  |

## keep

100 requests per point, 60 s at most

| connections | server | requests/s | failed | CPU µs | p50 ms | p99 ms | memory MiB | note |
|--:|---|--:|--:|--:|--:|--:|--:|---|
| 10 | b |  |  |  |  |  |  | printed \\| and a line |

## Output of servers that failed

round 1, keep, 10 connections, b: printed | and a line

    no licence
    for 10

Medians of up to 2 ";
        assert_eq!(&text[..expected.len()], expected);
        // Once for each server and output.
        let many = (1..=12).map(|n| {
            let output = Some((n % 11).to_string());
            Measurement { output, ..not_started(n, "keep", 10, "b") }
        });
        let text_of_many = markdown(&results(many.collect()));
        assert_eq!(text_of_many.matches("\n    ").count(), OUTPUTS_MAX);
        assert!(text_of_many.contains("results.json has the output of 1 more."), "{text_of_many}");
        let mut unmeasured = measured(1, "close", 10, "a", 2.345);
        unmeasured.run.as_mut().unwrap().response_us = crate::load::report::Latency::default();
        (unmeasured.cpu_us, unmeasured.memory_bytes) = (None, None);
        let gaps = markdown(&results(vec![unmeasured]));
        assert!(gaps.contains("| 10 | a | 2.35 | 0 |  |  |  |  |  |"), "{gaps}");
        assert!(text.contains("; 5 of 16 points so far"), "{text}");
        assert!(text.contains("on Abacus 3, 2 cores, 4.0 GiB, Linux 6.18"), "{text}");
    }
}
