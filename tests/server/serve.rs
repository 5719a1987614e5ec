//! The server over raw sockets. The cases about connections run once with all features of the ring
//! and once without each of them.

mod cap;
mod drain;
mod edge;
mod exchange;
pub(crate) mod health;
mod hosts;
mod pipelines;
mod refusals;
mod selective;
mod sockets;
mod stalled;
mod start;
mod timeouts;

use std::sync::{Condvar, Mutex};

/// A case: its name, and a function of the options that choose the features.
type Case = (&'static str, fn(&[&str]));

/// Cases from the names of their functions.
macro_rules! cases {
    ($($name:ident),+ $(,)?) => { &[$((stringify!($name), $name)),+] };
}
use cases;

#[test]
fn with_every_feature() {
    suite(&[]);
}

#[test]
fn with_epoll() {
    suite(&["--engine", "epoll"]);
}

#[test]
fn with_epoll_without_defer_accept() {
    suite(&["--engine", "epoll", "--without", "defer-accept"]);
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

/// Runs all cases, many at a time as most of them wait for timeouts, and names those that failed.
fn suite(flags: &[&str]) {
    let groups: [&[Case]; 9] = [
        // The longest cases come first, so that the last ones don't run alone.
        timeouts::CASES,
        exchange::CASES,
        pipelines::CASES,
        refusals::CASES,
        edge::CASES,
        selective::CASES,
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
                    let next = left.lock().expect("no thread panics with the lock").next();
                    let Some((name, case)) = next else { return };
                    let _running = Running::begin();
                    eprintln!("{name} {}", flags.join(" "));
                    if std::panic::catch_unwind(|| case(flags)).is_err() {
                        failed.lock().expect("no thread panics with the lock").push(*name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no thread panics with the lock");
    assert!(failed.is_empty(), "of {} cases with {flags:?} failed: {failed:?}", cases.len());
}

/// The options that choose the features, followed by those of a case.
fn with<'a>(flags: &[&'a str], options: &[&'a str]) -> Vec<&'a str> {
    [flags, options].concat()
}

/// The threads of one suite. With 4 the processor idled.
const AT_ONCE: usize = 12;
/// The cases that run at once in all suites together. Each has a server, whose ring counts 336 KiB
/// of locked memory, of which a user may have 8 MiB in all by default.
const RUNNING_MAX: usize = 14;

static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// One of the cases that run at once.
struct Running;

impl Running {
    /// Waits until fewer than [`RUNNING_MAX`] cases run.
    fn begin() -> Self {
        let running = RUNNING.lock().expect("no thread panics with the lock");
        let is_full = |running: &mut usize| *running >= RUNNING_MAX;
        let mut running = ENDED.wait_while(running, is_full).expect("no thread panics");
        *running += 1;
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        *RUNNING.lock().expect("no thread panics with the lock") -= 1;
        ENDED.notify_one();
    }
}
