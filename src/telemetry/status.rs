//! The status of a service as JSON, for people and scripts.

use super::counters::requests;
use super::snapshot::{ServiceIdentity, ServiceSnapshot, WorkerSnapshot};
use serde::Serialize;
use std::time::{Duration, UNIX_EPOCH};

/// Name and version of the schema. A field may be added without a new version, but none changes its
/// meaning.
pub const SCHEMA: &str = "uringstatic-status/1";

#[derive(Serialize)]
struct StatusReport<'a> {
    schema: &'static str,
    version: &'a str,
    engine: &'a str,
    /// The process ID of the supervisor.
    process: u32,
    started: String,
    uptime_seconds: u64,
    /// `starting`, `serving` or `draining`.
    state: &'static str,
    live: bool,
    ready: bool,
    generation: u32,
    connections: ConnectionsReport,
    requests: u64,
    reload: ReloadReport<'a>,
    workers: Vec<WorkerReport>,
    listeners: Vec<ListenerReport>,
}

#[derive(Serialize)]
struct ConnectionsReport {
    active: u64,
    accepted: u64,
    /// The limit of all workers together (`--spawn`).
    limit: u32,
}

#[derive(Serialize)]
struct ReloadReport<'a> {
    succeeded: u64,
    failed: u64,
    last_success: Option<String>,
    last_successful: bool,
    /// Why the latest reload failed.
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct WorkerReport {
    generation: u32,
    number: u32,
    process: u32,
    /// `starting`, `serving` or `retiring`.
    state: &'static str,
    connections: u32,
    /// Connections and accepts in flight.
    slots_in_use: u32,
    /// The slots that it may use at present.
    slots_allowed: u32,
    turns: u64,
}

#[derive(Serialize)]
struct ListenerReport {
    address: String,
    /// Connections that wait to be accepted; `null` for a Unix socket.
    accept_queue: Option<u32>,
    accept_queue_limit: Option<u32>,
}

/// Writes the status into `out`; `live` and `ready` are what the probes answer.
pub fn render(
    out: &mut String,
    identity: &ServiceIdentity,
    snapshot: &ServiceSnapshot,
    (live, ready): (bool, bool),
) {
    let mut workers: Vec<&WorkerSnapshot> = snapshot.workers.iter().collect();
    workers.sort_unstable_by_key(|worker| (worker.generation, worker.number));
    let reloads = &snapshot.reloads;
    let addresses = snapshot.addresses(identity).into_iter();
    let queues = snapshot.listeners.iter().map(|listener| listener.queue);
    let report = StatusReport {
        schema: SCHEMA,
        version: identity.version,
        engine: identity.engine,
        process: identity.process,
        started: time(snapshot.started_ms),
        uptime_seconds: snapshot.now_ms.saturating_sub(snapshot.started_ms) / 1000,
        state: snapshot.phase.name(),
        live,
        ready,
        generation: snapshot.generation,
        connections: ConnectionsReport {
            active: snapshot.connections(),
            accepted: snapshot.stats.connections,
            limit: identity.connection_limit,
        },
        requests: requests(&snapshot.counters).map(|(_, _, count)| count).sum(),
        reload: ReloadReport {
            succeeded: reloads.succeeded,
            failed: reloads.failed,
            last_success: (reloads.last_success_ms > 0).then(|| time(reloads.last_success_ms)),
            last_successful: reloads.is_last_successful,
            error: Some(&*reloads.error).filter(|error| !error.is_empty()),
        },
        workers: workers.into_iter().map(|it| of_worker(it, snapshot.generation)).collect(),
        listeners: addresses
            .zip(queues.chain(std::iter::repeat(None)))
            .map(|(address, queue)| ListenerReport {
                address,
                accept_queue: queue.map(|(waiting, _)| waiting),
                accept_queue_limit: queue.map(|(_, limit)| limit),
            })
            .collect(),
    };
    out.clear();
    out.push_str(&serde_json::to_string_pretty(&report).expect("strings and numbers only"));
    out.push('\n');
}

/// The length that [`render`] doesn't exceed for a service with so many places for workers, in
/// bytes.
#[must_use]
pub fn bytes_max(identity: &ServiceIdentity, places: usize) -> usize {
    let listeners: usize = identity.listeners.iter().map(|it| it.to_string().len()).sum();
    // An octet of a text becomes six at most (`\u0001`).
    FIXED_BYTES_MAX
        + places * WORKER_BYTES_MAX
        + 6 * (listeners + ERROR_BYTES_MAX)
        + identity.listeners.len() * LISTENER_BYTES_MAX
}

fn of_worker(worker: &WorkerSnapshot, serving: u32) -> WorkerReport {
    let WorkerSnapshot { generation, number, process, is_armed, .. } = *worker;
    WorkerReport {
        generation,
        number,
        process,
        state: match is_armed {
            false => "starting",
            true if generation < serving => "retiring",
            true => "serving",
        },
        connections: worker.connections,
        slots_in_use: worker.in_use,
        slots_allowed: worker.allowance,
        turns: worker.turns,
    }
}

/// A time as RFC 3339 has it.
fn time(unix_ms: u64) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(unix_ms)).to_string()
}

/// The longest error of a reload that is kept, in bytes.
pub const ERROR_BYTES_MAX: usize = 2048;
const FIXED_BYTES_MAX: usize = 4096;
const WORKER_BYTES_MAX: usize = 512;
const LISTENER_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::net::Endpoint;
    use crate::telemetry::counters::COUNTER_WORDS;
    use crate::telemetry::snapshot::{ListenerSnapshot, ReloadFacts, ServicePhase};

    fn identity() -> ServiceIdentity {
        ServiceIdentity {
            version: "1.2.3",
            engine: "epoll",
            process: 7,
            listeners: vec![Endpoint::Tcp("[::1]:0".parse().expect("an address"))],
            workers: 1,
            connection_limit: 10,
            has_access_log: false,
        }
    }

    #[test]
    fn the_status_names_each_worker_and_the_error_of_the_latest_reload() {
        let worker = |generation, is_armed| WorkerSnapshot {
            generation,
            number: 0,
            process: 8,
            is_armed,
            allowance: 10,
            in_use: 2,
            connections: 1,
            turns: 3,
        };
        let snapshot = ServiceSnapshot {
            phase: ServicePhase::Serving,
            now_ms: 1_700_000_061_999,
            started_ms: 1_700_000_000_000,
            generation: 2,
            reloads: ReloadFacts {
                error: "reading \"/srv\":\nno".to_owned(),
                failed: 1,
                ..ReloadFacts::default()
            },
            workers: vec![worker(3, false), worker(2, true), worker(1, true)],
            listeners: vec![ListenerSnapshot { port: 80, queue: Some((1, 128)) }],
            counters: vec![1; COUNTER_WORDS],
            ..ServiceSnapshot::default()
        };
        let mut out = String::new();
        render(&mut out, &identity(), &snapshot, (true, false));
        let value: serde_json::Value = serde_json::from_str(&out).expect("it is JSON");
        assert_eq!(value["schema"], SCHEMA);
        assert_eq!((&value["live"], &value["ready"]), (&true.into(), &false.into()));
        assert_eq!(value["started"], "2023-11-14T22:13:20.000Z");
        assert_eq!(value["uptime_seconds"], 61);
        assert_eq!(value["requests"], 2000, "one of each method and code");
        assert_eq!(value["reload"]["error"], "reading \"/srv\":\nno");
        assert_eq!(value["listeners"][0]["address"], "[::1]:80");
        let states: Vec<_> =
            (0..3).map(|nth| value["workers"][nth]["state"].as_str().expect("a word")).collect();
        assert_eq!(states, ["retiring", "serving", "starting"]);
    }

    #[test]
    fn the_longest_status_fits_into_its_bound() {
        let worker = WorkerSnapshot {
            generation: u32::MAX,
            number: u32::MAX,
            process: u32::MAX,
            is_armed: true,
            allowance: u32::MAX,
            in_use: u32::MAX,
            connections: u32::MAX,
            turns: u64::MAX,
        };
        let snapshot = ServiceSnapshot {
            reloads: ReloadFacts { error: "\u{1}".repeat(ERROR_BYTES_MAX), ..Default::default() },
            workers: vec![worker; 40],
            counters: vec![0; COUNTER_WORDS],
            ..ServiceSnapshot::default()
        };
        let mut out = String::new();
        render(&mut out, &identity(), &snapshot, (true, true));
        assert!(out.len() <= bytes_max(&identity(), 40), "{}", out.len());
    }
}
