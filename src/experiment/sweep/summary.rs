//! Medians and ranges over the rounds: computes the rows from the measurements. Pure.

use super::results::{Failed, LoadRows, Measurement, ServerRows, Settings, SummaryRow};
use crate::experiment::spread::spread;
use crate::load::report::Run;

/// One row for each measured point, in the order of the settings.
#[must_use]
pub fn summarize(settings: &Settings, measurements: &[Measurement]) -> Vec<LoadRows> {
    let rows = |load: &str, server: &str| -> Vec<SummaryRow> {
        let is_of = |m: &&Measurement, connections| {
            m.load == load && m.server == server && m.connections == connections
        };
        let of = |&connections: &u32| -> Vec<&Measurement> {
            measurements.iter().filter(|m| is_of(m, connections)).collect()
        };
        settings.concurrency.iter().map(of).filter_map(|found| row(&found)).collect()
    };
    let servers = |load: &str| -> Vec<ServerRows> {
        let of = |name: &String| ServerRows { server: name.clone(), rows: rows(load, name) };
        let names = settings.servers.iter().map(|server| &server.name);
        names.map(of).filter(|server| !server.rows.is_empty()).collect()
    };
    let names = settings.loads.iter().map(|load| &load.name);
    names
        .map(|name| LoadRows { load: name.clone(), servers: servers(name) })
        .filter(|load| !load.servers.is_empty())
        .collect()
}

/// The row of measurements that differ only in their round; `None` without measurements.
fn row(measurements: &[&Measurement]) -> Option<SummaryRow> {
    let first = measurements.first()?;
    let runs = || measurements.iter().filter_map(|m| m.run.as_ref());
    let latencies = || runs().filter(|run| run.response_us.count > 0).map(|run| &run.response_us);
    Some(SummaryRow {
        connections: first.connections,
        rounds: u32::try_from(measurements.len()).expect("rounds are a u32"),
        rate: spread(runs().filter_map(|run| run.rate)),
        failed: failed(measurements),
        cpu_us: spread(measurements.iter().filter_map(|m| m.cpu_us)),
        p50_us: spread(latencies().filter_map(|latency| latency.p50)),
        p99_us: spread(latencies().filter_map(|latency| latency.p99)),
        memory_bytes: spread(measurements.iter().filter_map(|m| m.memory_bytes).map(as_f64)),
        note: note(measurements),
    })
}

fn failed(measurements: &[&Measurement]) -> Option<Failed> {
    let runs = || measurements.iter().filter_map(|m| m.run.as_ref());
    let mut failed = Failed {
        median: spread(runs().map(|run| as_f64(run.lost())))?.median,
        sum: runs().map(Run::lost).sum(),
        of: runs().map(|run| run.due).sum(),
        kinds: std::collections::BTreeMap::new(),
    };
    let mut add = |kind: &str, count: u64| {
        if count > 0 {
            *failed.kinds.entry(kind.to_owned()).or_default() += count;
        }
    };
    for run in runs() {
        run.failures.iter().for_each(|(kind, count)| add(kind, *count));
        add("outstanding", run.outstanding);
        add("not_sent", run.not_sent);
    }
    Some(failed)
}

/// The notes of all rounds, each once, with its rounds unless it applies to all of them.
fn note(measurements: &[&Measurement]) -> Option<String> {
    let mut notes: Vec<(&str, Vec<String>)> = Vec::new();
    for measurement in measurements {
        let Some(text) = &measurement.note else { continue };
        let round = measurement.round.to_string();
        match notes.iter_mut().find(|(known, _)| known == text) {
            Some((_, rounds)) => rounds.push(round),
            None => notes.push((text, vec![round])),
        }
    }
    let with_rounds = |(text, rounds): (&str, Vec<String>)| match rounds.len() {
        all if all == measurements.len() => text.to_owned(),
        1 => format!("round {}: {text}", rounds[0]),
        _ => format!("rounds {}: {text}", rounds.join(", ")),
    };
    let texts: Vec<_> = notes.into_iter().map(with_rounds).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// A count as a number for medians and tables.
#[allow(clippy::cast_precision_loss, reason = "counts and sizes are far below 2^53")]
pub(super) fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::spread::Spread;
    use crate::experiment::sweep::tests::{measured, not_started, settings};

    #[test]
    fn rows_are_in_the_order_of_the_settings() {
        let settings = settings();
        let one = |round, load: &str, connections, server: &str, rate| {
            measured(round, load, connections, server, rate)
        };
        let rows = summarize(
            &settings,
            &[
                one(1, "keep", 20, "b", 1.0),
                one(1, "close", 20, "b", 2.0),
                one(1, "close", 10, "b", 3.0),
                one(1, "close", 20, "a", 4.0),
                one(2, "close", 20, "b", 6.0),
            ],
        );
        let found: Vec<_> = rows
            .iter()
            .flat_map(|load| load.servers.iter().map(move |server| (&load.load, server)))
            .flat_map(|(load, server)| server.rows.iter().map(move |row| (load, server, row)))
            .map(|(load, server, row)| {
                let rate = row.rate.unwrap();
                format!(
                    "{load} {} {} {} {}",
                    server.server, row.connections, row.rounds, rate.median
                )
            })
            .collect();
        assert_eq!(found, ["close a 20 1 4", "close b 10 1 3", "close b 20 2 4", "keep b 20 1 1"]);
        assert_eq!(summarize(&settings, &[]), []);
    }

    #[test]
    fn failures_are_summed_and_notes_are_merged() {
        let mut rounds: Vec<_> = (1..=4).map(|n| measured(n, "close", 10, "a", 5.0)).collect();
        for (measurement, failed) in rounds.iter_mut().zip([0, 6, 2]) {
            let run = measurement.run.as_mut().unwrap();
            (run.requests, run.failed) = (100 - failed, failed / 2);
            (run.outstanding, run.not_sent) = (failed / 2 - u64::from(failed == 6), failed / 6);
            run.failures.insert("short".to_owned(), failed / 2);
            measurement.note = (failed > 0).then(|| "bad".to_owned());
        }
        rounds[3] = not_started(4, "close", 10, "a");
        let rows = summarize(&settings(), &rounds);
        let row = &rows[0].servers[0].rows[0];
        let failed = row.failed.as_ref().unwrap();
        assert_eq!((failed.median, failed.sum, failed.of), (2.0, 8, 300));
        let kinds: Vec<_> = failed.kinds.iter().map(|(kind, count)| (&**kind, *count)).collect();
        assert_eq!(kinds, [("not_sent", 1), ("outstanding", 3), ("short", 4)]);
        assert_eq!(row.rounds, 4);
        assert_eq!(row.note.as_deref(), Some("rounds 2, 3: bad; round 4: did not start"));
        assert_eq!(row.cpu_us, Some(Spread { median: 7.0, min: 7.0, max: 7.0 }));

        let rows = summarize(&settings(), &rounds[3..]);
        let row = &rows[0].servers[0].rows[0];
        assert_eq!((row.rate, &row.failed, row.p99_us), (None, &None, None));
        assert_eq!(row.note.as_deref(), Some("did not start"));
    }
}
