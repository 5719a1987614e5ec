//! The text of metrics: its series, its families and its length.

use super::*;
use crate::os::net::Endpoint;
use crate::telemetry::counters::COUNTER_WORDS;
use crate::telemetry::snapshot::{ListenerSnapshot, ServicePhase, WorkerSnapshot};
use std::collections::BTreeSet;

fn identity() -> ServiceIdentity {
    ServiceIdentity {
        version: "1.2.3",
        engine: "io_uring",
        process: 1,
        listeners: vec![
            Endpoint::Tcp("127.0.0.1:0".parse().expect("an address")),
            Endpoint::Unix("/run/a \"b\".sock".into()),
        ],
        workers: 2,
        connection_limit: 100,
        has_access_log: true,
    }
}

fn snapshot() -> ServiceSnapshot {
    let worker = |number, generation, is_armed| WorkerSnapshot {
        generation,
        number,
        process: 9,
        is_armed,
        allowance: 50,
        in_use: 3,
        connections: 2,
        turns: 5,
    };
    ServiceSnapshot {
        phase: ServicePhase::Serving,
        started_ms: 1_700_000_000_250,
        generation: 2,
        workers: vec![worker(0, 2, true), worker(1, 2, false), worker(1, 1, true)],
        listeners: vec![
            ListenerSnapshot { port: 8080, queue: Some((3, 128)) },
            ListenerSnapshot::default(),
        ],
        counters: vec![0; COUNTER_WORDS],
        ..ServiceSnapshot::default()
    }
}

fn rendered(format: Format, snapshot: &ServiceSnapshot) -> String {
    let mut out = String::new();
    render(&mut out, format, &identity(), snapshot);
    out
}

#[test]
fn a_worker_is_up_if_it_serves_in_the_serving_generation() {
    let text = rendered(Format::Prometheus, &snapshot());
    for line in [
        "uringstatic_worker_up{worker=\"0\"} 1",
        "uringstatic_worker_up{worker=\"1\"} 0",
        "uringstatic_generations 2",
        "uringstatic_connections_active 6",
        "uringstatic_accept_queue{listener=\"127.0.0.1:8080\"} 3",
        "uringstatic_accept_queue_limit{listener=\"127.0.0.1:8080\"} 128",
        "process_start_time_seconds 1700000000.25",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is missing:\n{text}");
    }
    assert!(!text.contains(".sock"), "the queue of a Unix socket is unknown");
}

#[test]
fn every_sample_belongs_to_a_family_with_help_and_no_series_occurs_twice() {
    let mut snapshot = snapshot();
    for word in &mut snapshot.counters {
        *word = 7;
    }
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let text = rendered(format, &snapshot);
        let mut families = BTreeSet::new();
        let mut series = BTreeSet::new();
        let mut current = "";
        for line in text.lines().filter(|line| *line != "# EOF") {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a help follows");
                assert!(help.len() > name.len() && families.insert(name), "{line}");
                current = name;
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                assert!(rest.starts_with(&format!("{current} ")), "{line} follows {current}");
            } else {
                let (name, value) = line.rsplit_once(' ').expect("a value follows");
                assert!(name.starts_with(current), "{line} isn't of {current}");
                assert!(value.parse::<f64>().is_ok() && series.insert(name), "{line}");
            }
        }
    }
}

#[test]
fn the_longest_exposition_fits_into_its_bound() {
    let mut snapshot = snapshot();
    for word in &mut snapshot.counters {
        *word = u64::MAX;
    }
    snapshot.stats = crate::stats::Stats::from_words([u64::MAX; crate::stats::STATS_WORDS]);
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let text = rendered(format, &snapshot);
        let longest = text.lines().filter(|line| !line.starts_with('#')).map(str::len).max();
        assert!(longest < Some(SAMPLE_BYTES_MAX), "{longest:?}");
        assert!(text.len() <= bytes_max(&identity()), "{} bytes", text.len());
    }
}
