//! Adds up the counters of all workers to the figures of a run.

use super::counters::{Count, Counters, LatencyKind, Sample};
use super::options::RunSettings;
use super::report::{FailureKind, FirstFailure, Run, TargetResult, targets};
use super::target_counters::{self, TargetCounters};
use super::targets::MethodAndTarget;
use std::collections::BTreeMap;
use std::time::Duration;

/// The amount of a run, as it was asked for.
pub(super) struct Plan {
    pub(super) settings: RunSettings,
    pub(super) requests: Option<u64>,
    pub(super) duration: Option<Duration>,
}

/// The figures of a run that was not interrupted and of which no worker died.
#[allow(clippy::cast_precision_loss, reason = "shares and rates have three significant digits")]
pub(super) fn sum_up(plan: &Plan, all_counters: &[Counters<'_>]) -> Run {
    let sum = |count| all_counters.iter().map(|counters| counters.get(count)).sum::<u64>();
    let times = Times::of(all_counters);
    let (requests, in_time) = (sum(Count::Requests), sum(Count::RequestsInTime));
    let busy_share = |counters: &Counters<'_>| {
        counters.get(Count::Cpu) as f64 / counters.get(Count::Elapsed).max(1) as f64
    };
    let busiest = all_counters.iter().map(busy_share).fold(0.0, f64::max).min(1.0);
    let seconds = times.made_ns as f64 / 1e9;
    // A number of requests that is sent at once takes no time, and has no rate.
    let has_time = plan.requests.is_none() || in_time > 0 || !is_short(seconds);
    let is_timed = seconds > 0.0 && has_time;
    let per_second = |count: u64| is_timed.then(|| count as f64 / seconds);
    let (sent, not_sent, due) = (sum(Count::Sent), sum(Count::NotSent), sum(Count::Due));
    let failed = all_counters.iter().map(Counters::failed).sum();
    let rate_asked = plan.settings.rate;
    let planned = plan.seconds();
    let is_late = planned.is_some_and(|planned| seconds > planned * 1.01 + LATE_SECONDS);
    Run {
        connections: plan.settings.connections,
        processes: u32::try_from(all_counters.len()).expect("workers are counted by a u32"),
        died: 0,
        started_at: None,
        seconds,
        finishing_seconds: times.finishing_ns as f64 / 1e9,
        interrupted: false,
        due,
        not_sent,
        sent,
        requests,
        failed,
        outstanding: sum(Count::Outstanding),
        failures: failures(all_counters, false),
        connects_failed: all_counters.iter().map(Counters::connects_failed).sum(),
        connect_failures: failures(all_counters, true),
        statuses: statuses(all_counters),
        first_failure: first_failure(all_counters),
        requests_in_time: in_time,
        rate: per_second(in_time),
        rate_asked,
        rate_held: rate_held(rate_asked, per_second(sent)),
        rate_missed: rate_asked.is_some() && (has_held_back(not_sent, due) || is_late),
        short: is_short(seconds),
        bytes: sum(Count::Bytes),
        bytes_rate: per_second(sum(Count::BytesInTime)),
        connects: sum(Count::Connects),
        lingered: sum(Count::Lingered),
        connect_us: Counters::latency(all_counters, LatencyKind::Connect),
        handshake_us: Counters::latency(all_counters, LatencyKind::Handshake),
        response_us: Counters::latency(all_counters, LatencyKind::Response),
        error_us: Counters::latency(all_counters, LatencyKind::Error),
        targets_distinct: 0,
        targets: Vec::new(),
        client_cpu_seconds: sum(Count::Cpu) as f64 / 1e9,
        client_busiest: busiest,
        client_was_the_limit: was_the_limit(busiest, seconds, requests + failed),
    }
}

impl Plan {
    /// The time that the requests take at their rate, in seconds.
    #[allow(clippy::cast_precision_loss, reason = "times have three significant digits")]
    fn seconds(&self) -> Option<f64> {
        let of_count = self.requests.zip(self.settings.rate).map(|(all, rate)| all as f64 / rate);
        let of_duration = self.duration.map(|duration| duration.as_secs_f64());
        match (of_count, of_duration) {
            (Some(count), Some(duration)) => Some(count.min(duration)),
            (count, duration) => count.or(duration),
        }
    }
}

/// The results of the targets of these names, of which each worker has counters in this order.
#[allow(clippy::cast_precision_loss, reason = "times have three significant digits")]
pub(super) fn sum_up_targets(
    names: &[MethodAndTarget],
    workers: &[TargetCounters<'_>],
) -> Vec<TargetResult> {
    let counted = target_counters::counted(names.len());
    let results = names[..counted].iter().enumerate().map(|(index, name)| {
        let counts = TargetCounters::sum(workers, index);
        let micros = |nanos: u64| (counts.requests > 0).then_some(nanos as f64 / 1e3);
        TargetResult {
            target: name.to_string(),
            requests: counts.requests,
            failed: counts.failed,
            mean_us: micros(counts.sum_ns).map(|sum| sum / counts.requests as f64),
            max_us: micros(counts.max_ns),
        }
    });
    targets::selected(results.collect())
}

/// The time in which requests were made, and the wait that followed it.
struct Times {
    made_ns: u64,
    finishing_ns: u64,
}

impl Times {
    /// The longest of any worker. An open loop begins when a worker has its connections, so its
    /// time may be somewhat apart from that of another. A worker that died has no end.
    fn of(all_counters: &[Counters<'_>]) -> Self {
        let times = |counters: &Counters<'_>| {
            let known = |count| Some(counters.get(count)).filter(|&at| at > 0);
            let ended = known(Count::Ended).unwrap_or(0);
            let until = known(Count::MadeUntil).unwrap_or(ended);
            let since = known(Count::MeasuredSince).unwrap_or(until);
            (until.saturating_sub(since), ended.saturating_sub(until))
        };
        let longest = |of: fn((u64, u64)) -> u64| {
            all_counters.iter().map(|counters| of(times(counters))).max().unwrap_or(0)
        };
        Self { made_ns: longest(|(made, _)| made), finishing_ns: longest(|(_, rest)| rest) }
    }
}

fn failures(all_counters: &[Counters<'_>], of_connects: bool) -> BTreeMap<String, u64> {
    let count = |kind| all_counters.iter().map(|counters| counters.failures(kind)).sum::<u64>();
    FailureKind::ALL
        .iter()
        .filter(|kind| kind.is_of_connect() == of_connects)
        .map(|&kind| (kind.name().to_owned(), count(kind)))
        .filter(|&(_, count)| count > 0)
        .collect()
}

fn statuses(all_counters: &[Counters<'_>]) -> BTreeMap<u16, u64> {
    let mut statuses = BTreeMap::new();
    for (status, count) in all_counters.iter().flat_map(Counters::statuses) {
        *statuses.entry(status).or_default() += count;
    }
    statuses
}

fn first_failure(all_counters: &[Counters<'_>]) -> Option<FirstFailure> {
    let Sample { kind, bytes, cut, is_reason, .. } =
        all_counters.iter().filter_map(Counters::sampled).min_by_key(|sample| sample.at_ns)?;
    let kind = kind.name().to_owned();
    Some(if is_reason {
        let reason = String::from_utf8_lossy(&bytes).into_owned();
        FirstFailure { kind, reason, ..FirstFailure::default() }
    } else {
        let bytes = bytes.escape_ascii().to_string();
        FirstFailure { kind, bytes, cut, reason: String::new() }
    })
}

/// The rate that was held, from the one that was asked for and the one at which requests were sent.
/// A first request at the beginning makes one more than the rate in a short run.
pub(super) fn rate_held(asked: Option<f64>, sent: Option<f64>) -> Option<f64> {
    Some(sent?.min(asked?))
}

/// Whether more than a hundredth of the requests that were due was never sent.
pub(super) fn has_held_back(not_sent: u64, due: u64) -> bool {
    not_sent.saturating_mul(100) > due
}

/// Whether the time is too short for more than a rough rate.
pub(super) fn is_short(seconds: f64) -> bool {
    seconds < SECONDS_MIN
}

/// Whether the client was saturated; false for runs too short to decide.
pub(super) fn was_the_limit(busiest: f64, seconds: f64, requests: u64) -> bool {
    busiest >= BUSY && !is_short(seconds) && requests >= LIMIT_REQUESTS_MIN
}

/// From this share of a core, the client had no time left to wait for the server.
const BUSY: f64 = 0.95;
/// A last request that is late by less, because the client was not scheduled, missed no rate.
const LATE_SECONDS: f64 = 0.05;
/// In shorter runs, the start-up and the granularity of times dominate.
const SECONDS_MIN: f64 = 1.0;
/// Fewer requests in a second or more can't have saturated a core.
const LIMIT_REQUESTS_MIN: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    fn sums(plan: &Plan, counts: &[(Count, u64)]) -> Run {
        let words: Vec<AtomicU64> = (0..Counters::WORDS).map(|_| AtomicU64::new(0)).collect();
        let counters = Counters::new(&words);
        for &(count, value) in counts {
            counters.set(count, value);
        }
        sum_up(plan, &[counters])
    }

    const SECOND: u64 = 1_000_000_000;

    fn closed() -> Plan {
        let settings = RunSettings { connections: 10, rate: None };
        Plan { settings, requests: None, duration: Some(Duration::from_secs(3)) }
    }

    #[test]
    fn a_straggler_does_not_change_the_rate() {
        let run = sums(
            &closed(),
            &[
                (Count::MeasuredSince, 5 * SECOND),
                (Count::MadeUntil, 8 * SECOND),
                (Count::Ended, 10 * SECOND),
                (Count::Requests, 9001),
                (Count::RequestsInTime, 9000),
            ],
        );
        assert_eq!((run.rate, run.requests), (Some(3000.0), 9001));
        assert!((run.seconds - 3.0).abs() < 1e-9 && (run.finishing_seconds - 2.0).abs() < 1e-9);
        assert!(!run.short);
    }

    #[test]
    fn requests_that_are_sent_at_once_have_no_rate() {
        let plan = Plan { requests: Some(3), duration: None, ..closed() };
        let counts = [(Count::MeasuredSince, SECOND), (Count::MadeUntil, SECOND + 1000)];
        assert_eq!(sums(&plan, &counts).rate, None);
        // A server that answers nothing for three seconds has a rate.
        let counts = [(Count::MeasuredSince, SECOND), (Count::MadeUntil, 4 * SECOND)];
        assert_eq!(sums(&closed(), &counts).rate, Some(0.0));
    }

    #[test]
    fn a_rate_is_missed_by_unsent_requests_and_by_late_ones() {
        let settings = RunSettings { connections: 10, rate: Some(50.0) };
        let plan = Plan { settings, requests: None, duration: Some(Duration::from_secs(4)) };
        let run = |sent: u64, seconds: u64| {
            sums(
                &plan,
                &[
                    (Count::MeasuredSince, SECOND),
                    (Count::MadeUntil, (seconds + 1) * SECOND),
                    (Count::Due, 200),
                    (Count::Sent, sent),
                    (Count::NotSent, 200 - sent),
                    (Count::RequestsInTime, sent),
                ],
            )
        };
        assert_eq!((run(200, 4).rate_held, run(200, 4).rate_missed), (Some(50.0), false));
        assert_eq!((run(16, 4).rate_held, run(16, 4).rate_missed), (Some(4.0), true));
        let plan = Plan { requests: Some(200), duration: None, ..plan };
        assert!(run(200, 4).rate_held.is_some());
        assert_eq!(plan.seconds(), Some(4.0));
        assert!(run(200, 8).rate_missed, "all were sent, in twice the time");
    }

    #[test]
    fn short_runs_never_report_a_saturated_client() {
        assert!(was_the_limit(0.96, 1.0, 1000));
        assert!(!was_the_limit(0.94, 10.0, 1_000_000), "not saturated");
        assert!(!was_the_limit(1.0, 0.99, 1_000_000), "too short");
        assert!(!was_the_limit(1.0, 10.0, 999), "too few");
    }
}
