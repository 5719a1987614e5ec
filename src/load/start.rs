//! The start of a load at a time of the clock, for clients on several machines.

use crate::error::Failure;
use crate::os::process;
use crate::os::signal::Signals;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The start of the first run.
#[derive(Debug)]
pub(super) struct Start(SystemTime);

impl Start {
    /// A start at this time.
    ///
    /// # Errors
    /// If the time has passed: a client that begins late would make its load after the others.
    pub(super) fn new(at: SystemTime) -> Result<Self, Failure> {
        match SystemTime::now().duration_since(at) {
            Err(_) => Ok(Self(at)),
            Ok(passed) => Err(Failure::new(
                format!("starting at {}", humantime::format_rfc3339_seconds(at)),
                format!("that time has passed by {:.1} s", passed.as_secs_f64()),
                "name a later time by --start-at, at which all clients are ready",
            )),
        }
    }

    /// Waits until workers have to be started for this time; returns false if a signal arrived.
    pub(super) fn wait(&self, signals: &Signals) -> bool {
        loop {
            let left = self.0.duration_since(SystemTime::now()).unwrap_or_default();
            let Some(left) = left.checked_sub(WORKERS_START).filter(|left| !left.is_zero()) else {
                return true;
            };
            // The clock may be set in the meantime.
            if signals.wait(left.min(CLOCK_PAUSE)) {
                return false;
            }
        }
    }

    /// The time on the monotonic clock, in nanoseconds; one that has passed is in the past.
    pub(super) fn monotonic_ns(&self) -> u64 {
        let now = process::monotonic_ns();
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        match self.0.duration_since(SystemTime::now()) {
            Ok(left) => now.saturating_add(nanos(left)),
            Err(passed) => now.saturating_sub(nanos(passed.duration())),
        }
    }
}

/// The time of the clock at a time of the monotonic clock, in seconds since 1970.
pub(super) fn unix_seconds(monotonic_ns: u64) -> f64 {
    let now = process::monotonic_ns();
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ago = Duration::from_nanos(now.saturating_sub(monotonic_ns));
    let ahead = Duration::from_nanos(monotonic_ns.saturating_sub(now));
    (since_1970 + ahead).saturating_sub(ago).as_secs_f64()
}

/// The time before the start at which workers are started, which read their share and connect.
const WORKERS_START: Duration = Duration::from_millis(500);
/// The longest wait between two looks at the clock.
const CLOCK_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_has_passed_is_refused() {
        let at = SystemTime::now() - Duration::from_secs(10);
        let failure = Start::new(at).expect_err("it has passed");
        assert!(failure.to_string().contains("has passed by 10."), "{failure}");
        assert!(failure.to_string().contains("--start-at"), "{failure}");
    }

    #[test]
    fn both_clocks_agree_on_the_start() {
        let at = SystemTime::now() + Duration::from_secs(3600);
        let start = Start::new(at).expect("it lies ahead");
        let expected = at.duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs_f64();
        let found = unix_seconds(start.monotonic_ns());
        assert!((found - expected).abs() < 1.0, "{found}, {expected}");
    }
}
