//! Processes of the service that are killed or stopped under load.

use crate::Form;
use crate::common::connections::Connections;
use crate::common::processes::{Process, signal};
use crate::common::{GET_CLOSE, Server};
use crate::reloads::{Releases, most_at_once, start};
use crate::table::{Fates, Row, Verdict};
use crate::watch::{await_that, breathe};
use crate::witness::{Habit, Load, StopAtEnd, Testimony, Witnesses};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// A worker is killed every 200 ms, with more clients than slots. Only requests on its connections
/// fail, no client is left waiting, and the limit holds.
pub(crate) fn workers(form: Form) -> Verdict {
    let kills =
        form.of(Duration::from_secs(3), Duration::from_secs(20)).as_millis() / EVERY.as_millis();
    let (mut sent, mut fates, mut notes) = (0, Fates::default(), Vec::new());
    // Sockets in direct descriptors belong to no process in /proc, so the connections of a worker
    // are known in the second case only.
    for (name, options) in [("direct", &[][..]), ("plain", &["--without", "direct-descriptors"])] {
        let Some((seen, note)) = kill_workers(kills, options) else {
            return Verdict::Skipped("the descriptors of a worker are not visible here".to_owned());
        };
        sent += seen.served + seen.failures.len() as u64;
        fates.served += seen.served;
        fates.cut += seen.failures.len() as u64;
        notes.push(format!("{name}: {note}"));
    }
    Row::new(sent, fates, None).noted(format!("{kills} kills each; {}", notes.join("; ")))
}

fn kill_workers(kills: u128, options: &[&str]) -> Option<(Testimony, String)> {
    let releases = Releases::new();
    let spawn = CLIENTS / 2;
    let limit = spawn.to_string();
    let options = [&["--spawn", &limit], options].concat();
    let (server, address) = start(&[], &releases, &options);
    let knows_connections = options.contains(&"direct-descriptors");
    let mut doomed = HashSet::new();
    let stop = AtomicBool::new(false);
    let (seen, most) = std::thread::scope(|scope| {
        let running = StopAtEnd(&stop);
        let habits = HABITS.map(|habit| (habit, CLIENTS / HABITS.len()));
        let witnesses = Witnesses::start(scope, address, &releases.contents, &habits, &stop);
        let cap = scope.spawn(|| most_at_once(address.port(), &stop));
        for number in 0..kills {
            let start = Instant::now();
            let worker = server.worker(u32::from(number % 2 == 1));
            if knows_connections {
                doomed.extend(connections_of_stopped(worker, address.port())?);
            }
            signal("KILL", worker.into());
            breathe(EVERY.saturating_sub(start.elapsed()));
        }
        drop(running);
        Some((witnesses.end(), cap.join().expect("it only reads")))
    })?;
    assert!(!seen.failures.is_empty(), "no connection was lost with its worker");
    if knows_connections {
        let other = seen.failures.iter().find(|failure| !doomed.contains(&failure.port));
        assert!(other.is_none(), "not on a connection of a killed worker: {other:?}");
    }
    assert!(most <= spawn, "{most} connections at once, {spawn} are allowed");
    await_that("no connection is left", || Connections::of_port(address.port()).count() == 0);
    assert_eq!(server.ask(GET_CLOSE).status, 200);
    let totals = server.end();
    assert!(totals.contains(&format!("; lost: {kills} workers with ")), "{totals}");
    assert!(totals.contains("errors: none;"), "{totals}");
    let lost = totals.rsplit(" with ").next().unwrap_or_default().trim_end().to_owned();
    let note = format!(
        "{} requests failed, {lost} lost, {most} of {spawn} at once, {:.0?} for the slowest",
        seen.failures.len(),
        seen.longest
    );
    Some((seen, note))
}

/// The client's ports of a worker's connections, when it has been stopped. `None` if its
/// descriptors are not visible.
fn connections_of_stopped(worker: u32, port: u16) -> Option<Vec<u16>> {
    signal("STOP", worker.into());
    await_that("the worker is stopped", || Process::of(worker).is_some_and(|it| it.is_stopped()));
    let entries = std::fs::read_dir(format!("/proc/{worker}/fd")).ok()?;
    let links = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let inodes = links.filter_map(|link| {
        link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u32>().ok()
    });
    // A reading may lack a row, as other connections come and go meanwhile.
    let ports: HashMap<u32, u16> =
        (0..READINGS).flat_map(|_| Connections::of_port(port).ports).collect();
    Some(inodes.filter_map(|inode| ports.get(&inode).copied()).collect())
}

/// A worker is stopped under load. The others go on, and it is killed and replaced.
pub(crate) fn stopped(_form: Form) -> Verdict {
    let releases = Releases::new();
    let options = ["--worker-timeout", "1s", "--without", "direct-descriptors"];
    let (mut server, address) = start(&[], &releases, &options);
    let stop = AtomicBool::new(false);
    let (seen, doomed, took) = std::thread::scope(|scope| {
        let running = StopAtEnd(&stop);
        let habits = HABITS.map(|habit| (habit, CLIENTS / HABITS.len()));
        let witnesses = Witnesses::start(scope, address, &releases.contents, &habits, &stop);
        await_that("there is load", || Connections::of_port(address.port()).count() > CLIENTS / 2);
        let stopped = Instant::now();
        let doomed = connections_of_stopped(server.worker(0), address.port())?;
        server.await_line("takes no turn");
        server.await_line("worker 0 ended");
        let took = stopped.elapsed();
        let _ = server.worker(0);
        drop(running);
        Some((witnesses.end(), doomed, took))
    })
    .expect("the descriptors of a worker are visible to root");
    assert!(!seen.failures.is_empty(), "the worker had connections");
    let other = seen.failures.iter().find(|failure| !doomed.contains(&failure.port));
    assert!(other.is_none(), "not on a connection of the stopped worker: {other:?}");
    let totals = server.end();
    assert!(totals.contains("; lost: 1 worker with "), "{totals}");
    let cut = seen.failures.len() as u64;
    let fates = Fates { served: seen.served, cut, ..Fates::default() };
    let note = format!("replaced after {took:.1?}; {} connections were its own", doomed.len());
    Row::new(seen.served + cut, fates, None).noted(note)
}

/// The loader is killed under load, and a reload follows: no request fails.
pub(crate) fn loader(form: Form) -> Verdict {
    let rounds: u32 = form.of(2, 10);
    let releases = Releases::new();
    let (mut server, address) = start(&[], &releases, &["--reload-grace", "500ms"]);
    let stop = AtomicBool::new(false);
    let (seen, counts) = std::thread::scope(|scope| {
        let running = StopAtEnd(&stop);
        let load = Load::start(address, &["-c", "50"]);
        let habits = Habit::ALL.map(|habit| (habit, 2));
        let witnesses = Witnesses::start(scope, address, &releases.contents, &habits, &stop);
        for round in 0..rounds {
            signal("KILL", server.loader().into());
            server.await_line("the loader ended");
            releases.choose(usize::from(round % 2 == 0));
            server.signal("HUP");
            server.await_line("reloaded: ");
        }
        let counts = load.end();
        drop(running);
        (witnesses.end(), counts)
    });
    seen.assert_no_failures();
    let totals = server.end();
    assert!(totals.ends_with("errors: none\n"), "{totals}");
    let requests = seen.served + counts.requests;
    let fates = Fates { served: requests, ..Fates::default() };
    Row::new(requests, fates, None).noted(format!("{rounds} times, each followed by a reload"))
}

/// The supervisor is killed under load: all its processes end, and the port is free.
pub(crate) fn supervisor(form: Form) -> Verdict {
    let rounds: u32 = form.of(3, 20);
    let releases = Releases::new();
    let (mut server, address) = start(&[], &releases, &[]);
    let (mut sent, mut fates, mut longest) = (0, Fates::default(), Duration::ZERO);
    for _ in 0..rounds {
        let stop = AtomicBool::new(false);
        let seen = std::thread::scope(|scope| {
            let running = StopAtEnd(&stop);
            let habits = Habit::ALL.map(|habit| (habit, 5));
            let witnesses = Witnesses::start(scope, address, &releases.contents, &habits, &stop);
            await_that("there is load", || Connections::of_port(address.port()).count() >= 10);
            let children = Process::children_of(server.id());
            assert_eq!(children.len(), 3, "a loader and two workers: {children:?}");
            let killed = Instant::now();
            server.signal("KILL");
            await_that("all processes are gone", || {
                let is_gone = |child: &Process| {
                    Process::of(child.pid).is_none_or(|process| process.is_zombie())
                };
                children.iter().all(is_gone)
            });
            longest = longest.max(killed.elapsed());
            drop(running);
            witnesses.end()
        });
        let again = Server::start_on(
            &[&address.to_string()],
            &["--root", &releases.root(), "--compress", "off", "--workers", "2"],
        );
        assert_eq!(std::mem::replace(&mut server, again).wait().code, None, "a signal ended it");
        sent += seen.served + seen.failures.len() as u64;
        fates.served += seen.served;
        fates.cut += seen.failures.len() as u64;
    }
    assert!(longest < GONE_WITHIN, "gone after {longest:?} only");
    let note = format!("{rounds} times; all processes gone after {longest:.0?} at most");
    Row::new(sent, fates, None).noted(note)
}

const EVERY: Duration = Duration::from_millis(200);
/// The habits of clients that share too few slots: a slow reader would keep one for long.
const HABITS: [Habit; 3] = [Habit::KeptAlive, Habit::Fresh, Habit::Pipelined];
const CLIENTS: usize = 30;
const READINGS: usize = 5;
/// The promise for a supervisor that is killed.
const GONE_WITHIN: Duration = Duration::from_secs(1);
