//! Fixtures for the tests of a sweep's modules: settings, measurements, a temporary folder.

use super::results::{
    LoadSettings, Machine, Measurement, PointOutcome, Results, SCHEMA, ServerSettings, Settings,
};
use super::{harness::points, summary};
use crate::load::report::{Latency, Run};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A temporary folder of one test, removed when dropped.
pub(super) struct TempFolder(PathBuf);

impl TempFolder {
    pub(super) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("uringload-unit-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("the temporary directory is writable");
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Two rounds of two loads of two servers, with 10 and 20 connections.
pub(super) fn settings() -> Settings {
    let load = |name: &str, options: &[&str]| LoadSettings {
        name: name.to_owned(),
        options: options.iter().map(|&option| option.to_owned()).collect(),
        requests: 100,
        time_max_seconds: 60.0,
    };
    let server = |name: &str| ServerSettings {
        name: name.to_owned(),
        command: vec![name.to_owned(), "{port}".to_owned()],
        shell_stays: false,
        url: None,
        pid: None,
        path: "/".to_owned(),
        environment: BTreeMap::new(),
        folder: "/".to_owned(),
        cpu: None,
        start_timeout_seconds: 1.0,
        stop_timeout_seconds: 1.0,
    };
    Settings {
        rounds: 2,
        concurrency: vec![10, 20],
        client_cpu: None,
        loads: vec![load("close", &["--ab"]), load("keep", &[])],
        servers: vec![server("a"), server("b")],
    }
}

pub(super) fn machine() -> Machine {
    Machine {
        kernel: "6.18".to_owned(),
        cpu: "Abacus 3".to_owned(),
        cores: 2,
        memory_bytes: 4 << 30,
        ..Machine::default()
    }
}

pub(super) fn results(measurements: Vec<Measurement>) -> Results {
    let settings = settings();
    Results {
        schema: SCHEMA.to_owned(),
        key: String::new(),
        began: "2026-11-24T01:00:00Z".to_owned(),
        ended: "2026-11-24T02:00:00Z".to_owned(),
        planned: 16,
        machine: machine(),
        summary: summary::summarize(&settings, &measurements),
        settings,
        measurements,
    }
}

pub(super) fn measured(
    round: u32,
    load: &str,
    connections: u32,
    server: &str,
    rate: f64,
) -> Measurement {
    let latency = Latency { count: 100, p50: Some(1e3), p99: Some(5e3), ..Latency::default() };
    let run = Run {
        connections,
        processes: 1,
        died: 0,
        seconds: 1.0,
        due: 100,
        sent: 100,
        requests: 100,
        failed: 0,
        failures: BTreeMap::new(),
        rate: Some(rate),
        bytes: 1000,
        connects: 100,
        connect_us: latency.clone(),
        response_us: latency,
        client_cpu_seconds: 0.5,
        client_busiest: 0.5,
        client_was_the_limit: false,
        ..Run::default()
    };
    Measurement {
        outcome: PointOutcome::Measured,
        note: None,
        run: Some(run),
        cpu_seconds: Some(0.0007),
        cpu_us: Some(7.0),
        memory_bytes: Some(3 << 20),
        exit: Some("exit 0".to_owned()),
        ..not_started(round, load, connections, server)
    }
}

pub(super) fn not_started(round: u32, load: &str, connections: u32, server: &str) -> Measurement {
    Measurement {
        round,
        load: load.to_owned(),
        connections,
        server: server.to_owned(),
        outcome: PointOutcome::NotStarted,
        note: Some("did not start".to_owned()),
        output: None,
        requested: 100,
        run: None,
        cpu_seconds: None,
        cpu_us: None,
        memory_bytes: None,
        exit: None,
    }
}

#[test]
fn servers_are_the_innermost_and_rounds_the_outermost_loop() {
    let settings = settings();
    let order: Vec<_> = points(&settings)
        .map(|point| {
            let (load, server) = (&point.load.name, &point.server.name);
            format!("{} {load} {} {server}", point.round, point.connections)
        })
        .collect();
    assert_eq!(order.len(), 16);
    assert_eq!(
        order[..9],
        [
            "1 close 10 a",
            "1 close 10 b",
            "1 close 20 a",
            "1 close 20 b",
            "1 keep 10 a",
            "1 keep 10 b",
            "1 keep 20 a",
            "1 keep 20 b",
            "2 close 10 a",
        ]
    );
}
