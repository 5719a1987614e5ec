//! The real program on the real kernel, spoken to over raw sockets. Everything about connections
//! is run once with all features of the ring and once without each of them.

mod common;

#[path = "serve/cap.rs"]
mod cap;
#[path = "serve/drain.rs"]
mod drain;
#[path = "serve/exchange.rs"]
mod exchange;
#[path = "serve/health.rs"]
mod health;
#[path = "serve/hosts.rs"]
mod hosts;
#[path = "serve/refusals.rs"]
mod refusals;
#[path = "serve/selective.rs"]
mod selective;
#[path = "serve/sockets.rs"]
mod sockets;
#[path = "serve/stalled.rs"]
mod stalled;
#[path = "serve/start.rs"]
mod start;
#[path = "serve/timeouts.rs"]
mod timeouts;

use std::sync::Mutex;

/// A case: it is given the options that choose the features.
type Case = (&'static str, fn(&[&str]));

/// Lists functions as cases under their own names.
macro_rules! cases {
    ($($name:ident),+ $(,)?) => { &[$((stringify!($name), $name)),+] };
}
use cases;

#[test]
fn with_every_feature() {
    suite(&[]);
}

#[test]
fn without_defer_taskrun() {
    suite(&["--without", "defer-taskrun"]);
}

#[test]
fn without_coop_taskrun() {
    suite(&["--without", "coop-taskrun"]);
}

#[test]
fn without_direct_descriptors() {
    suite(&["--without", "direct-descriptors"]);
}

#[test]
fn without_multishot_recv() {
    suite(&["--without", "multishot-recv"]);
}

#[test]
fn without_silent_send() {
    suite(&["--without", "silent-send"]);
}

#[test]
fn without_linked_close() {
    suite(&["--without", "linked-close"]);
}

#[test]
fn without_vectored_send() {
    suite(&["--without", "vectored-send"]);
}

#[test]
fn without_defer_accept() {
    suite(&["--without", "defer-accept"]);
}

/// Runs every case, a few at a time as most of them wait, and names those that failed.
fn suite(flags: &[&str]) {
    let groups: [&[Case]; 7] = [
        exchange::CASES,
        refusals::CASES,
        selective::CASES,
        timeouts::CASES,
        cap::CASES,
        drain::CASES,
        health::CASES,
    ];
    let cases: Vec<Case> = groups.into_iter().flatten().copied().collect();
    let left = Mutex::new(cases.iter());
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = left.lock().expect("nobody panics with it").next();
                    let Some((name, case)) = next else { return };
                    eprintln!("{name} {}", flags.join(" "));
                    if std::panic::catch_unwind(|| case(flags)).is_err() {
                        failed.lock().expect("nobody panics with it").push(*name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("nobody panics with it");
    assert!(failed.is_empty(), "of {} cases with {flags:?} failed: {failed:?}", cases.len());
}

/// Options of a case behind those that choose the features.
fn with<'a>(flags: &[&'a str], options: &[&'a str]) -> Vec<&'a str> {
    [flags, options].concat()
}

const AT_ONCE: usize = 4;
