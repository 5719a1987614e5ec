//! Merged reports against a report of all counters, and loads that don't match.

use super::*;
use crate::engine::Nanos;
use crate::load::counters::{Count, Counters, LatencyKind};
use crate::load::options::RunSettings;
use crate::load::report::{FailureKind, SCHEMA};
use crate::load::sum::{Plan, sum_up};
use proptest::prelude::*;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// What one worker counted.
#[derive(Clone, Debug)]
struct Worker {
    counts: Vec<u64>,
    failures: Vec<u64>,
    statuses: Vec<u16>,
    latencies: Vec<(u64, u64, u64)>,
}

fn any_worker() -> impl Strategy<Value = Worker> {
    let nanos = || (1..1_u64 << 40, 0..40_u32).prop_map(|(nanos, shift)| nanos >> shift);
    (
        proptest::collection::vec(0..1_000_000_u64, COUNTS.len()),
        proptest::collection::vec(0..9_u64, FailureKind::ALL.len()),
        proptest::collection::vec(100..600_u16, 0..9),
        proptest::collection::vec((nanos(), nanos(), nanos()), 0..40),
    )
        .prop_map(|(counts, failures, statuses, latencies)| Worker {
            counts,
            failures,
            statuses,
            latencies,
        })
}

const COUNTS: [Count; 13] = [
    Count::Due,
    Count::Sent,
    Count::NotSent,
    Count::Outstanding,
    Count::Requests,
    Count::RequestsInTime,
    Count::Unanswered,
    Count::Bytes,
    Count::BytesInTime,
    Count::Connects,
    Count::Lingered,
    Count::Cpu,
    Count::Elapsed,
];

const SECOND: u64 = 1_000_000_000;

impl Worker {
    fn words(&self) -> Vec<AtomicU64> {
        let words: Vec<_> = (0..Counters::WORDS).map(|_| AtomicU64::new(0)).collect();
        let counters = Counters::new(&words);
        for (&count, &value) in COUNTS.iter().zip(&self.counts) {
            counters.set(count, value);
        }
        // Requests without a response have a latency, too.
        let unanswered = counters.get(Count::Unanswered).min(self.latencies.len() as u64);
        counters.set(Count::Unanswered, unanswered);
        for (count, at) in [(Count::MeasuredSince, 5), (Count::MadeUntil, 8), (Count::Ended, 9)] {
            counters.set(count, at * SECOND);
        }
        for (&kind, &number) in FailureKind::ALL.iter().zip(&self.failures) {
            (0..number).for_each(|_| counters.fail(kind));
        }
        self.statuses.iter().for_each(|&status| counters.status(status));
        for &(connect, response, error) in &self.latencies {
            counters.record(LatencyKind::Connect, Nanos(0), Nanos(connect));
            counters.record(LatencyKind::Handshake, Nanos(0), Nanos(connect ^ response));
            counters.record(LatencyKind::Response, Nanos(0), Nanos(response));
            counters.record(LatencyKind::Error, Nanos(0), Nanos(error));
        }
        words
    }
}

/// The run of one client with these workers.
fn run_of(words: &[Vec<AtomicU64>], connections: u32, rate: Option<f64>) -> Run {
    let settings = RunSettings { connections, rate };
    let plan = Plan { settings, requests: None, duration: Some(Duration::from_secs(3)) };
    let all_counters: Vec<_> = words.iter().map(|words| Counters::new(words)).collect();
    sum_up(&plan, &all_counters)
}

fn saved(name: &str, runs: Vec<Run>) -> SavedReport {
    let report = LoadReport {
        schema: SCHEMA.to_owned(),
        label: "a".to_owned(),
        url: "http://a/b".to_owned(),
        load: "GET HTTP/1.1, 3s".to_owned(),
        engine: "io_uring".to_owned(),
        runs,
        limit: None,
    };
    SavedReport { name: name.to_owned(), report }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The CPU time alone is a sum of seconds, which depends on the order of the additions.
    #[test]
    fn merged_reports_equal_the_report_of_all_counters(
        clients in proptest::collection::vec(proptest::collection::vec(any_worker(), 1..4), 1..5),
        is_open in any::<bool>(),
    ) {
        let rate = |clients: u32| is_open.then(|| 100.0 * f64::from(clients));
        let words: Vec<Vec<_>> = clients
            .iter()
            .map(|workers| workers.iter().map(Worker::words).collect())
            .collect();
        let reports: Vec<_> = words
            .iter()
            .map(|words| saved("a.json", vec![run_of(words, 10, rate(1))]))
            .collect();
        let all: Vec<_> = words.into_iter().flatten().collect();
        let number = u32::try_from(clients.len()).unwrap();
        let expected = run_of(&all, 10 * number, rate(number));
        let mut merged = merge(&reports, false).unwrap().runs.remove(0);
        prop_assert!((merged.client_cpu_seconds - expected.client_cpu_seconds).abs() < 1e-9);
        merged.client_cpu_seconds = expected.client_cpu_seconds;
        prop_assert_eq!(&merged, &expected);
        // Also after it was written and read.
        let text = serde_json::to_string(&reports[0].report).unwrap();
        let read: LoadReport = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&read, &reports[0].report);
    }
}

#[test]
fn a_late_client_misses_the_rate_of_all() {
    let held = Run { rate_asked: Some(50.0), due: 200, sent: 200, ..Run::default() };
    let late = Run { rate_missed: true, ..held.clone() };
    let merged = merge(&[saved("a", vec![held.clone()]), saved("b", vec![late])], false).unwrap();
    assert!(merged.runs[0].rate_missed);
    assert_eq!(merged.runs[0].rate_asked, Some(100.0));
    // One in a hundred of all requests was held back, which is not a missed rate.
    let held_back = Run { rate_missed: true, not_sent: 3, sent: 197, ..held.clone() };
    let merged = merge(&[saved("a", vec![held]), saved("b", vec![held_back])], false).unwrap();
    assert!(!merged.runs[0].rate_missed);
}

#[test]
fn loads_that_differ_are_refused_with_the_differences() {
    let run = |connections| Run { connections, ..Run::default() };
    let first = saved("a.json", vec![run(10)]);
    let mut other = saved("b.json", vec![run(20)]);
    other.report.url = "http://other:81/c?d".to_owned();
    other.report.load = "POST".to_owned();
    let differences = merge(&[first.clone(), other.clone()], false).unwrap_err();
    for difference in [
        "URL path: /b (a.json) and /c?d (b.json)",
        "load: GET HTTP/1.1, 3s (a.json) and POST (b.json)",
        "connections: 10 (a.json) and 20 (b.json)",
    ] {
        assert!(differences.contains(difference), "{difference}: {differences}");
    }
    let merged = merge(&[first.clone(), other], true).unwrap();
    assert_eq!(merged.runs[0].connections, 30);
    assert_eq!(merged.url, "http://a/b and another");
    assert_eq!(merged.load, "GET HTTP/1.1, 3s; POST, by 2 clients");

    let longer = saved("b.json", vec![run(10), run(20)]);
    for force in [false, true] {
        let differences = merge(&[first.clone(), longer.clone()], force).unwrap_err();
        assert!(differences.contains("runs: 1 (a.json) and 2 (b.json)"), "{differences}");
    }
}

#[test]
fn hosts_may_differ() {
    let mut other = saved("b.json", vec![Run::default()]);
    other.report.url = "http://[::1]:8080/b".to_owned();
    assert!(merge(&[saved("a.json", vec![Run::default()]), other], false).is_ok());
    assert_eq!(path_of("http://a"), "/");
}

#[test]
fn overlap_is_the_share_of_the_time_that_clients_have_in_common() {
    let at = |started_at, seconds| saved("a", vec![Run { started_at, seconds, ..Run::default() }]);
    for (starts, expected) in [
        ([Some(100.0), Some(100.0)], Some(1.0)),
        ([Some(100.0), Some(101.0)], Some(0.9)),
        ([Some(100.0), Some(105.0)], Some(0.5)),
        ([Some(100.0), Some(200.0)], Some(0.0)),
        ([Some(100.0), None], None),
    ] {
        let found = overlap(&starts.map(|start| at(start, 10.0)));
        assert_eq!(found, [expected], "{starts:?}");
    }
}
