//! The times at which requests are due: as soon as a connection is free (closed loop), or at a
//! fixed rate independent of the server (open loop). Works on times and counts, not on connections.
//!
//! ```
//! use uringstatic::engine::Nanos;
//! use uringstatic::load::schedule::{Amount, Claim, Schedule};
//!
//! // 1,000 requests per second: one each millisecond.
//! let rate = Some(1000.0);
//! let amount =
//!     Amount { requests: Some(2), duration_ns: None, warmup_ns: 0, rate, phase: 0.0 };
//! let mut schedule = Schedule::new(amount);
//! schedule.begin(Nanos(0));
//! let late = Nanos(3_000_000);
//! let first = Claim::Now { due: Nanos(0), count: 1, counts: true };
//! assert_eq!(schedule.claim(late, 1), first);
//! let second = Claim::Now { due: Nanos(1_000_000), count: 1, counts: true };
//! assert_eq!(schedule.claim(late, 1), second);
//! assert_eq!(schedule.claim(late, 1), Claim::Over);
//! ```

use crate::engine::Nanos;
use serde::{Deserialize, Serialize};

/// The number of requests of a schedule, and their times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Amount {
    /// Number of requests after the warm-up; unlimited if `None`.
    pub requests: Option<u64>,
    /// Duration after the warm-up, in nanoseconds; unlimited if `None`.
    pub duration_ns: Option<u64>,
    /// Duration of the warm-up, in nanoseconds; its requests don't count.
    pub warmup_ns: u64,
    /// Requests per second of an open loop; `None` for a closed loop.
    pub rate: Option<f64>,
    /// Delay of the first request as a share of the interval, from 0 to 1, so that the schedules of
    /// several workers interleave.
    pub phase: f64,
}

/// Gives out requests as they become due.
#[derive(Clone, Debug)]
pub struct Schedule {
    amount: Amount,
    /// The times at which requests are due, in nanoseconds after the start, if they have times of
    /// their own: ascending.
    times: Option<Vec<u64>>,
    start: Option<Nanos>,
    /// Number of requests given out, the index of the next one of an open loop.
    number: u64,
    left: Option<u64>,
    stopped: bool,
}

/// The answer of a schedule to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Requests that are due now.
    Now {
        /// The time from which their latency is measured.
        due: Nanos,
        /// Number of requests, at least 1.
        count: u32,
        /// Whether they count; false during the warm-up.
        counts: bool,
    },
    /// No request is due before this time, and perhaps none from then on.
    Later(Nanos),
    /// No request will become due any more.
    Over,
}

impl Schedule {
    /// A schedule that has not begun: nothing is due until [`Self::begin`].
    #[must_use]
    pub fn new(amount: Amount) -> Self {
        let left = amount.requests;
        Self { amount, times: None, start: None, number: 0, left, stopped: false }
    }

    /// The same schedule, of an open loop with one request at each of these times, in nanoseconds
    /// after the start. It has no warm-up.
    #[must_use]
    pub fn with_times(self, times: Vec<u64>) -> Self {
        let all = times.len() as u64;
        let left = Some(self.left.map_or(all, |left| left.min(all)));
        Self { times: Some(times), left, ..self }
    }

    /// The index of the request that is given out next, from 0.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Sets the time of the first request; later calls have no effect.
    pub fn begin(&mut self, start: Nanos) {
        self.start.get_or_insert(start);
    }

    /// Ends the schedule: every later claim is [`Claim::Over`].
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// Whether requests are due at a rate of their own.
    #[must_use]
    pub fn is_open_loop(&self) -> bool {
        self.amount.rate.is_some() || self.times.is_some()
    }

    /// Claims up to `count` requests that are due; an open loop gives out one at a time.
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

    /// Takes the next request that was due before `end`, after the schedule has ended: its due
    /// time, and whether it counts. A closed loop has none.
    pub fn claim_missed(&mut self, end: Nanos) -> Option<(Nanos, bool)> {
        let start = self.start?;
        if self.left == Some(0) {
            return None;
        }
        let due = self.due(start).filter(|&due| due < end)?;
        let counts = self.measured_from(start) <= due;
        if counts && let Some(left) = &mut self.left {
            *left -= 1;
        }
        self.number += 1;
        Some((due, counts))
    }

    /// The answer that [`Self::claim`] would give for one request, without claiming it.
    #[must_use]
    pub fn peek(&self, now: Nanos) -> Claim {
        let Some(start) = self.start else { return Claim::Later(Nanos(u64::MAX)) };
        if self.stopped {
            return Claim::Over;
        }
        let due = self.due(start).unwrap_or(now.max(start));
        let end = self.planned_end();
        if self.left == Some(0) || end.is_some_and(|end| end <= due) {
            // An open loop lasts as long as its rate says, however early its last request is sent.
            return end.filter(|&end| now < end).map_or(Claim::Over, Claim::Later);
        }
        if now < due {
            return Claim::Later(due);
        }
        Claim::Now { due, count: 1, counts: self.measured_from(start) <= due }
    }

    /// The time from which requests count, once the schedule has begun.
    #[must_use]
    pub fn measured_since(&self) -> Option<Nanos> {
        self.start.map(|start| self.measured_from(start))
    }

    /// The time at which the schedule ends whatever the server does, once that is known: the end of
    /// its duration, or, for a number of requests at a rate, the interval of the last one.
    #[must_use]
    pub fn planned_end(&self) -> Option<Nanos> {
        let start = self.start?;
        let of_duration = self.duration_end().map(|end| end.0);
        let interval_end = match &self.times {
            Some(times) => times[..usize::try_from(self.number).ok()?].last().copied(),
            None => self.amount.rate.map(|rate| self.nanos_at(rate, 0.0)),
        };
        let of_count =
            interval_end.filter(|_| self.left == Some(0)).map(|end| start.0.saturating_add(end));
        let end = match (of_duration, of_count) {
            (Some(duration), Some(count)) => Some(duration.min(count)),
            (duration, count) => duration.or(count),
        };
        // A closed loop is over with its last request.
        end.filter(|_| self.left != Some(0) || self.is_open_loop()).map(Nanos)
    }

    /// Whether the end of the duration has come, or [`Self::stop`] was called.
    #[must_use]
    pub fn is_out_of_time(&self, now: Nanos) -> bool {
        self.stopped || self.duration_end().is_some_and(|end| end <= now)
    }

    /// The end of the duration, if there is one and the schedule has begun.
    #[must_use]
    pub fn duration_end(&self) -> Option<Nanos> {
        let duration = self.amount.duration_ns?;
        Some(Nanos(self.measured_since()?.0.saturating_add(duration)))
    }

    /// When the next request of an open loop is due.
    fn due(&self, start: Nanos) -> Option<Nanos> {
        let after = match (&self.times, self.amount.rate) {
            // Behind the last time, no request is left.
            (Some(times), _) => *times.get(usize::try_from(self.number).ok()?)?,
            (None, rate) => self.nanos_at(rate?, self.amount.phase),
        };
        Some(Nanos(start.0.saturating_add(after)))
    }

    fn measured_from(&self, start: Nanos) -> Nanos {
        Nanos(start.0 + self.amount.warmup_ns)
    }

    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a double has sub-nanosecond resolution over hours"
    )]
    fn nanos_at(&self, rate: f64, phase: f64) -> u64 {
        ((self.number as f64 + phase) * 1e9 / rate) as u64
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
    fn closed_loop_claims_end_with_the_remaining_requests() {
        let mut schedule = begun(Amount { requests: Some(5), ..amount() });
        assert_eq!(schedule.claim(Nanos(99), 4), Claim::Later(Nanos(100)));
        let four = Claim::Now { due: Nanos(120), count: 4, counts: true };
        assert_eq!(schedule.claim(Nanos(120), 4), four);
        let one = Claim::Now { due: Nanos(130), count: 1, counts: true };
        assert_eq!(schedule.claim(Nanos(130), 4), one);
        assert_eq!(schedule.claim(Nanos(140), 4), Claim::Over);
    }

    #[test]
    fn warmup_requests_are_not_subtracted_from_the_count() {
        let mut schedule = begun(Amount { requests: Some(1), warmup_ns: 50, ..amount() });
        let warm = Claim::Now { due: Nanos(149), count: 4, counts: false };
        assert_eq!(schedule.claim(Nanos(149), 4), warm);
        let counts = Claim::Now { due: Nanos(150), count: 1, counts: true };
        assert_eq!(schedule.claim(Nanos(150), 4), counts);
        assert_eq!(schedule.claim(Nanos(151), 4), Claim::Over);
    }

    #[test]
    fn schedule_ends_with_its_duration() {
        let mut schedule = begun(Amount { duration_ns: Some(10), warmup_ns: 5, ..amount() });
        assert!(matches!(schedule.claim(Nanos(114), 1), Claim::Now { counts: true, .. }));
        assert_eq!(schedule.claim(Nanos(115), 1), Claim::Over);
    }

    #[test]
    fn open_loop_requests_keep_their_due_times_when_claimed_late() {
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
    fn an_open_loop_lasts_until_its_end_after_its_last_request() {
        let rate = Some(1e8);
        let mut schedule = begun(Amount { rate, duration_ns: Some(25), ..amount() });
        for due in [100, 110, 120] {
            assert!(matches!(schedule.claim(Nanos(due), 1), Claim::Now { .. }), "{due}");
        }
        assert_eq!(schedule.claim(Nanos(121), 1), Claim::Later(Nanos(125)));
        assert_eq!(schedule.claim(Nanos(125), 1), Claim::Over);
        // Three requests at this rate take three intervals.
        let mut schedule = begun(Amount { rate, requests: Some(3), ..amount() });
        for due in [100, 110, 120] {
            assert!(matches!(schedule.claim(Nanos(due), 1), Claim::Now { .. }), "{due}");
        }
        assert_eq!(schedule.claim(Nanos(129), 1), Claim::Later(Nanos(130)));
        assert_eq!(schedule.claim(Nanos(130), 1), Claim::Over);
    }

    #[test]
    fn requests_with_times_of_their_own_are_due_at_them() {
        let mut schedule = Schedule::new(amount()).with_times(vec![0, 5, 5, 20]);
        schedule.begin(Nanos(100));
        assert!(schedule.is_open_loop());
        for due in [100, 105, 105] {
            let claim = Claim::Now { due: Nanos(due), count: 1, counts: true };
            assert_eq!(schedule.claim(Nanos(110), 9), claim);
        }
        assert_eq!(schedule.claim(Nanos(110), 1), Claim::Later(Nanos(120)));
        assert_eq!(schedule.planned_end(), None);
        assert!(matches!(schedule.claim(Nanos(120), 1), Claim::Now { due: Nanos(120), .. }));
        assert_eq!(schedule.planned_end(), Some(Nanos(120)));
        assert_eq!(schedule.claim(Nanos(120), 1), Claim::Over);
        assert_eq!(schedule.claim_missed(Nanos(500)), None);
        // A duration cuts the times, a number of requests their end.
        let cut = Amount { requests: Some(3), duration_ns: Some(5), ..amount() };
        let mut schedule = Schedule::new(cut).with_times(vec![0, 5, 5, 20]);
        schedule.begin(Nanos(100));
        assert!(matches!(schedule.claim(Nanos(101), 1), Claim::Now { .. }));
        assert_eq!(schedule.claim(Nanos(105), 1), Claim::Over);
        assert_eq!(schedule.claim_missed(Nanos(106)), Some((Nanos(105), true)));
    }

    #[test]
    fn stop_ends_the_schedule() {
        let mut schedule = begun(amount());
        schedule.stop();
        assert_eq!(schedule.claim(Nanos(200), 1), Claim::Over);
    }
}
