//! The rate at which a client takes a response that does not fit into the socket's buffer.
//!
//! Each byte taken earns the client time: at the lowest rate, exactly as much as has passed, and
//! never more than the longest stall in advance. Both limits therefore hold at once: no client
//! stalls for longer than the send timeout, and none stays below the lowest rate for longer than
//! [`GRACE`].

use crate::engine::Nanos;
use std::time::Duration;

/// The limits for taking a response.
#[derive(Clone, Copy, Debug)]
pub(super) struct MinRate {
    /// The lowest rate; 0 for none.
    pub(super) bytes_per_second: u32,
    /// The longest time without a byte taken.
    pub(super) stall: Duration,
}

/// The progress of a response that has filled its socket's buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResponseRate {
    /// When the current [`WINDOW`] began. A sum over the whole response would let a client stall
    /// for hours on the first burst, which its own socket buffered.
    since: Nanos,
    /// Bytes taken since then.
    bytes: u64,
    /// The last window was below [`SLOW_BYTES_PER_SECOND`].
    slow: bool,
    /// When the time that the client has earned is over.
    until: Nanos,
}

impl MinRate {
    /// How often the send of such a response is retried, so that its rate is known.
    pub(super) fn check_every(&self) -> Duration {
        CHECK_EVERY.min(self.stall)
    }

    fn grace(&self) -> Duration {
        match self.bytes_per_second {
            0 => self.stall,
            _ => GRACE.min(self.stall),
        }
    }

    fn earned_by(&self, bytes: u32) -> Duration {
        match self.bytes_per_second {
            0 => self.stall,
            rate => Duration::from_nanos(u64::from(bytes) * NANOS_PER_SECOND / u64::from(rate)),
        }
    }
}

impl ResponseRate {
    /// Of a response that has just filled its socket's buffer: those bytes were taken by the
    /// kernel, not yet by the client.
    pub(super) fn new(rule: &MinRate, now: Nanos) -> Self {
        Self { since: now, bytes: 0, slow: false, until: now.plus(rule.grace()) }
    }

    /// Adds bytes that the socket took: the client has taken as many from it.
    pub(super) fn took(&mut self, bytes: u32, rule: &MinRate, now: Nanos) {
        self.bytes += u64::from(bytes);
        let elapsed_ns = u128::from(now.0 - self.since.0);
        if elapsed_ns >= WINDOW.as_nanos() {
            let least = elapsed_ns * SLOW_BYTES_PER_SECOND;
            self.slow = u128::from(self.bytes) * u128::from(NANOS_PER_SECOND) < least;
            (self.since, self.bytes) = (now, 0);
        }
        if bytes > 0 {
            self.until = self.until.plus(rule.earned_by(bytes)).min(now.plus(rule.stall));
        }
    }

    /// Whether the client has stalled for too long, or has been below the lowest rate.
    pub(super) fn is_late(&self, now: Nanos) -> bool {
        now >= self.until
    }

    /// Whether the response goes out so slowly that another connection may have its slot.
    pub(super) fn is_slow(&self) -> bool {
        self.slow
    }
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// How long a client may be slower than the lowest rate.
const GRACE: Duration = Duration::from_secs(5);
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// The time over which a rate is measured: a little less than [`CHECK_EVERY`], so that each check
/// ends a window.
const WINDOW: Duration = Duration::from_millis(900);
/// The rate of a poor mobile connection.
const SLOW_BYTES_PER_SECOND: u128 = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: MinRate = MinRate { bytes_per_second: 240, stall: Duration::from_secs(30) };

    /// When a client that takes `bytes` every `every_ms` milliseconds is late, in milliseconds.
    fn late_after(rule: MinRate, bytes: u32, every_ms: u64) -> Option<u64> {
        let at = |ms: u64| Nanos(ms * 1_000_000);
        let mut rate = ResponseRate::new(&rule, at(0));
        for ms in (0..600_000).step_by(100) {
            if rate.is_late(at(ms)) {
                return Some(ms);
            }
            if ms > 0 && ms % every_ms == 0 {
                rate.took(bytes, &rule, at(ms));
            }
        }
        None
    }

    #[test]
    fn client_below_the_lowest_rate_is_late_after_the_grace() {
        assert_eq!(late_after(RULE, 0, 1000), Some(5000));
        assert_eq!(late_after(RULE, 1, 100), Some(5300), "10 bytes a second");
        assert!(late_after(RULE, 200, 1000).is_some_and(|ms| ms > 5000 && ms < 60_000));
        assert_eq!(late_after(RULE, 241, 1000), None);
        assert_eq!(late_after(RULE, 240 * 20, 20_000), Some(5000), "the first burst is too late");
    }

    #[test]
    fn time_is_earned_in_advance_up_to_the_longest_stall() {
        let mut rate = ResponseRate::new(&RULE, Nanos(0));
        let second = Nanos(NANOS_PER_SECOND);
        rate.took(100_000_000, &RULE, second);
        assert!(!rate.is_late(Nanos(30 * second.0)));
        assert!(rate.is_late(Nanos(31 * second.0)), "a large burst earns no hours");
    }

    #[test]
    fn client_is_slow_by_its_last_window() {
        let at = |ms: u64| Nanos(ms * 1_000_000);
        let mut rate = ResponseRate::new(&RULE, at(0));
        rate.took(5_000_000, &RULE, at(1000));
        assert!(!rate.is_slow());
        rate.took(16_000, &RULE, at(2000));
        assert!(rate.is_slow(), "the first five megabytes count no more");
        rate.took(17_000, &RULE, at(3000));
        assert!(!rate.is_slow());
    }

    #[test]
    fn without_a_lowest_rate_any_progress_is_enough() {
        let rule = MinRate { bytes_per_second: 0, ..RULE };
        assert_eq!(late_after(rule, 1, 29_000), None);
        assert_eq!(late_after(rule, 0, 1000), Some(30_000));
    }
}
