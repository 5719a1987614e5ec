//! The clocks of an engine: read once per wake-up, the same for all of its completions.

use crate::engine::Nanos;
use crate::os::process::monotonic_ns;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Monotonic time since a start, and the time of day.
pub(in crate::engine) struct EngineClock {
    started: Instant,
    now: Nanos,
    unix_seconds: u64,
}

impl EngineClock {
    /// A clock that starts at 0.
    pub(in crate::engine) fn start() -> Self {
        let mut clock = Self { started: Instant::now(), now: Nanos(0), unix_seconds: 0 };
        clock.read();
        clock
    }

    /// Reads both clocks.
    pub(in crate::engine) fn read(&mut self) {
        self.now = self.elapsed();
        let unix = SystemTime::now().duration_since(UNIX_EPOCH);
        self.unix_seconds = unix.map_or(0, |duration| duration.as_secs());
    }

    /// Monotonic time, read now.
    pub(in crate::engine) fn elapsed(&self) -> Nanos {
        let nanos = self.started.elapsed().as_nanos();
        Nanos(u64::try_from(nanos).expect("584 years have not passed"))
    }

    /// Monotonic time, as it was read last.
    pub(in crate::engine) fn now(&self) -> Nanos {
        self.now
    }

    /// Seconds since the Unix epoch, as they were read last.
    pub(in crate::engine) fn unix_seconds(&self) -> u64 {
        self.unix_seconds
    }

    /// The value of the monotonic clock at time 0, in nanoseconds.
    pub(in crate::engine) fn base_ns(&self) -> u64 {
        let since = u64::try_from(self.started.elapsed().as_nanos());
        monotonic_ns() - since.expect("584 years have not passed")
    }
}
