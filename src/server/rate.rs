//! How fast a peer takes a response that does not fit into its socket.
//!
//! Each byte that a peer takes earns it time: at `--min-rate`, exactly as much as has passed, and
//! never more than `--send-timeout` in advance. Both options therefore hold at once: no peer stalls
//! for longer than `--send-timeout`, and none stays below `--min-rate` for longer than the grace.

use crate::engine::Nanos;
use std::time::Duration;

/// The least rate of a response, and how long its peer may stall.
#[derive(Clone, Copy, Debug)]
pub(super) struct MinRate {
    /// In bytes a second; 0 for any rate.
    pub(super) bytes_per_second: u32,
    /// The longest time without a byte taken.
    pub(super) stall: Duration,
}

/// A response that waits for its peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taking {
    /// When the present window of time began. A sum over all of the response would let a peer
    /// live for hours on what its own socket took at first.
    since: Nanos,
    /// Bytes taken since then.
    bytes: u64,
    /// The last window brought less than the least rate that is worth a slot.
    slow: bool,
    /// When the time that the peer has earned is over.
    until: Nanos,
}

impl MinRate {
    /// How often a response that waits is tried again, so that its rate is known.
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

impl Taking {
    /// The socket is full. What it holds was taken by the kernel, not yet by the peer.
    pub(super) fn new(rule: &MinRate, now: Nanos) -> Self {
        Self { since: now, bytes: 0, slow: false, until: now.plus(rule.grace()) }
    }

    /// The socket took more, so the peer has taken as much.
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

    /// Whether the peer has stalled for too long, or is below the least rate.
    pub(super) fn is_late(&self, now: Nanos) -> bool {
        now >= self.until
    }

    /// Whether the response goes out so slowly that its slot is of more use to another connection.
    pub(super) fn is_slow(&self) -> bool {
        self.slow
    }
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// A peer may be slower than the least rate for so long.
const GRACE: Duration = Duration::from_secs(5);
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Over how long a rate is measured. A little less than between two checks, so that each ends one.
const WINDOW: Duration = Duration::from_millis(900);
/// The rate of a poor mobile connection.
const SLOW_BYTES_PER_SECOND: u128 = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: MinRate = MinRate { bytes_per_second: 240, stall: Duration::from_secs(30) };

    /// When a peer that takes so many bytes each so many milliseconds is late, in milliseconds.
    fn late_after(rule: MinRate, bytes: u32, every_ms: u64) -> Option<u64> {
        let at = |ms: u64| Nanos(ms * 1_000_000);
        let mut taking = Taking::new(&rule, at(0));
        for ms in (0..600_000).step_by(100) {
            if taking.is_late(at(ms)) {
                return Some(ms);
            }
            if ms > 0 && ms % every_ms == 0 {
                taking.took(bytes, &rule, at(ms));
            }
        }
        None
    }

    #[test]
    fn a_peer_below_the_least_rate_is_late_after_the_grace() {
        assert_eq!(late_after(RULE, 0, 1000), Some(5000));
        assert_eq!(late_after(RULE, 1, 100), Some(5300), "10 bytes a second");
        assert!(late_after(RULE, 200, 1000).is_some_and(|ms| ms > 5000 && ms < 60_000));
        assert_eq!(late_after(RULE, 241, 1000), None);
        assert_eq!(late_after(RULE, 240 * 20, 20_000), Some(5000), "the first burst is too late");
    }

    #[test]
    fn time_is_earned_in_advance_up_to_the_longest_stall() {
        let mut taking = Taking::new(&RULE, Nanos(0));
        let second = Nanos(NANOS_PER_SECOND);
        taking.took(100_000_000, &RULE, second);
        assert!(!taking.is_late(Nanos(30 * second.0)));
        assert!(taking.is_late(Nanos(31 * second.0)), "a large burst is no licence for hours");
    }

    #[test]
    fn a_peer_is_slow_by_the_last_second() {
        let at = |ms: u64| Nanos(ms * 1_000_000);
        let mut taking = Taking::new(&RULE, at(0));
        taking.took(5_000_000, &RULE, at(1000));
        assert!(!taking.is_slow());
        taking.took(16_000, &RULE, at(2000));
        assert!(taking.is_slow(), "its first five megabytes are long gone");
        taking.took(17_000, &RULE, at(3000));
        assert!(!taking.is_slow());
    }

    #[test]
    fn without_a_least_rate_any_progress_will_do() {
        let rule = MinRate { bytes_per_second: 0, ..RULE };
        assert_eq!(late_after(rule, 1, 29_000), None);
        assert_eq!(late_after(rule, 0, 1000), Some(30_000));
    }
}
