//! When requests are due: at once when a connection is free (a closed loop), or at a fixed rate
//! whatever the server does (an open loop). Knows times and counts; no connection.

use crate::engine::Nanos;
use serde::{Deserialize, Serialize};

/// How much is to be requested, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Amount {
    /// How many requests count; without end if there is no number.
    pub requests: Option<u64>,
    /// How long requests are made once they count, in nanoseconds.
    pub duration_ns: Option<u64>,
    /// How long requests are made before they count, in nanoseconds.
    pub warmup_ns: u64,
    /// Requests per second of an open loop; a closed loop if there is none.
    pub rate: Option<f64>,
    /// By what part of the time between two requests the first is late, so that several
    /// schedules of one rate take turns.
    pub phase: f64,
}

/// Hands out requests as they are due.
#[derive(Clone, Debug)]
pub struct Schedule {
    amount: Amount,
    start: Option<Nanos>,
    /// How many were handed out, for the open loop.
    number: u64,
    left: Option<u64>,
    stopped: bool,
}

/// What the schedule says when it is asked for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// So many requests, at once.
    Now {
        /// Since when they are due.
        due: Nanos,
        /// How many.
        count: u32,
        /// Whether they count, or only warm up.
        counts: bool,
    },
    /// None before this moment.
    Later(Nanos),
    /// There won't be any more.
    Over,
}

impl Schedule {
    /// A schedule that has not begun.
    #[must_use]
    pub fn new(amount: Amount) -> Self {
        let left = amount.requests;
        Self { amount, start: None, number: 0, left, stopped: false }
    }

    /// Begins.
    pub fn begin(&mut self, start: Nanos) {
        self.start.get_or_insert(start);
    }

    /// No more requests.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// Whether it keeps a rate of its own.
    #[must_use]
    pub fn is_open_loop(&self) -> bool {
        self.amount.rate.is_some()
    }

    /// Takes up to `count` requests that are due; an open loop gives one at a time.
    pub fn claim(&mut self, now: Nanos, count: u32) -> Claim {
        let peeked = self.peek(now);
        let Claim::Now { due, counts, .. } = peeked else { return peeked };
        let mut count = if self.is_open_loop() { 1 } else { count };
        if counts && let Some(left) = &mut self.left {
            count = count.min(u32::try_from(*left).unwrap_or(u32::MAX));
            *left -= u64::from(count);
        }
        self.number += u64::from(count);
        Claim::Now { due, count, counts }
    }

    /// What [`Self::claim`] would say, for one request.
    #[must_use]
    pub fn peek(&self, now: Nanos) -> Claim {
        let Some(start) = self.start else { return Claim::Later(Nanos(u64::MAX)) };
        let due = match self.amount.rate {
            None => now.max(start),
            Some(rate) => Nanos(start.0 + self.nanos_at(rate)),
        };
        let counted_from = Nanos(start.0 + self.amount.warmup_ns);
        let end = self.amount.duration_ns.map(|duration| Nanos(counted_from.0 + duration));
        if self.stopped || self.left == Some(0) || end.is_some_and(|end| end <= due) {
            return Claim::Over;
        }
        if now < due {
            return Claim::Later(due);
        }
        Claim::Now { due, count: 1, counts: counted_from <= due }
    }

    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "nanoseconds of a run of hours are exact in a double to well below one"
    )]
    fn nanos_at(&self, rate: f64) -> u64 {
        ((self.number as f64 + self.amount.phase) * 1e9 / rate) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount() -> Amount {
        Amount { requests: None, duration_ns: None, warmup_ns: 0, rate: None, phase: 0.0 }
    }

    fn begun(amount: Amount) -> Schedule {
        let mut schedule = Schedule::new(amount);
        assert_eq!(schedule.claim(Nanos(5), 1), Claim::Later(Nanos(u64::MAX)));
        schedule.begin(Nanos(100));
        schedule
    }

    #[test]
    fn a_closed_loop_gives_what_is_left() {
        let mut schedule = begun(Amount { requests: Some(5), ..amount() });
        assert_eq!(schedule.claim(Nanos(99), 4), Claim::Later(Nanos(100)));
        let four = Claim::Now { due: Nanos(120), count: 4, counts: true };
        assert_eq!(schedule.claim(Nanos(120), 4), four);
        let one = Claim::Now { due: Nanos(130), count: 1, counts: true };
        assert_eq!(schedule.claim(Nanos(130), 4), one);
        assert_eq!(schedule.claim(Nanos(140), 4), Claim::Over);
    }

    #[test]
    fn warming_up_takes_nothing_from_the_count() {
        let mut schedule = begun(Amount { requests: Some(1), warmup_ns: 50, ..amount() });
        let warm = Claim::Now { due: Nanos(149), count: 4, counts: false };
        assert_eq!(schedule.claim(Nanos(149), 4), warm);
        let counts = Claim::Now { due: Nanos(150), count: 1, counts: true };
        assert_eq!(schedule.claim(Nanos(150), 4), counts);
        assert_eq!(schedule.claim(Nanos(151), 4), Claim::Over);
    }

    #[test]
    fn a_duration_ends_it() {
        let mut schedule = begun(Amount { duration_ns: Some(10), warmup_ns: 5, ..amount() });
        assert!(matches!(schedule.claim(Nanos(114), 1), Claim::Now { counts: true, .. }));
        assert_eq!(schedule.claim(Nanos(115), 1), Claim::Over);
    }

    #[test]
    fn an_open_loop_is_due_by_the_clock_however_late_it_is_asked() {
        let rate = Some(1e8);
        let mut schedule = begun(Amount { rate, duration_ns: Some(30), phase: 0.5, ..amount() });
        assert_eq!(schedule.claim(Nanos(100), 9), Claim::Later(Nanos(105)));
        for due in [105, 115, 125] {
            let claim = Claim::Now { due: Nanos(due), count: 1, counts: true };
            assert_eq!(schedule.claim(Nanos(1000), 9), claim);
        }
        assert_eq!(schedule.claim(Nanos(1000), 9), Claim::Over);
    }

    #[test]
    fn a_stop_ends_it() {
        let mut schedule = begun(amount());
        schedule.stop();
        assert_eq!(schedule.claim(Nanos(200), 1), Claim::Over);
    }
}
