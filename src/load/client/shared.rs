//! The state that all connections of a client share: the plan, and the books.

use super::plan::ClientPlan;
use super::requests::RequestBuffer;
use crate::engine::Nanos;
use crate::load::counters::{Count, Counters, LatencyKind};
use crate::load::report::FailureKind;
use crate::load::target_counters::TargetCounters;
use crate::load::tls::TlsError;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) struct ClientState<'a> {
    pub(super) plan: ClientPlan,
    pub(super) requests: RequestBuffer,
    pub(super) counters: Counters<'a>,
    pub(super) targets: TargetCounters<'a>,
    /// Number of workers that still make requests, which all workers share.
    pub(super) making: &'a AtomicU64,
    /// The monotonic clock at the engine's moment 0.
    pub(super) base_ns: u64,
    /// Bytes of content of the latest response.
    pub(super) response_bytes: u64,
    /// How requests ceased to be made; `None` as long as they are.
    pub(super) ending: Option<MakingEnd>,
    /// The end of the duration, once it is known.
    pub(super) deadline: Option<Nanos>,
    /// No failure has occurred yet, so received bytes may become the sample of the first one.
    pub(super) wants_sample: bool,
    /// Connections have TLS.
    pub(super) is_secure: bool,
}

/// The reason for which a client makes no more requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MakingEnd {
    /// Its duration is over, or it was stopped.
    Time,
    /// It has made its number of requests; other workers may still be making theirs.
    Number,
}

/// A request that was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct AskedRequest {
    /// Its index in the table.
    pub(super) request: usize,
    /// When it was due.
    pub(super) since: Nanos,
    /// Whether it is measured.
    pub(super) counts: bool,
}

impl ClientState<'_> {
    /// Counts a request that became due.
    pub(super) fn due(&self, count: u32, counts: bool) {
        if counts {
            self.counters.add(Count::Due, count.into());
        }
    }

    /// Counts requests that are sent for the first time.
    pub(super) fn sent(&self, count: u32, counts: bool) {
        if counts {
            self.counters.add(Count::Sent, count.into());
        }
    }

    /// Counts a request that was due at `since` and is never sent.
    pub(super) fn not_sent(&self, since: Nanos, counts: bool, now: Nanos) {
        if counts {
            self.counters.add(Count::NotSent, 1);
            self.unanswered(since, now);
        }
    }

    /// Counts a request that was sent and is given up at the end of the run.
    pub(super) fn outstanding(&self, since: Nanos, counts: bool, now: Nanos) {
        if counts {
            self.counters.add(Count::Outstanding, 1);
            self.unanswered(since, now);
            self.ended(now);
        }
    }

    /// Counts a failed request. `bytes` are the first bytes of its response.
    pub(super) fn failed(
        &mut self,
        kind: FailureKind,
        asked: AskedRequest,
        bytes: &[u8],
        now: Nanos,
    ) {
        let AskedRequest { request, since, counts } = asked;
        if !counts {
            return;
        }
        self.counters.fail(kind);
        self.targets.failed(request);
        match kind {
            FailureKind::ResponseTimedOut => self.unanswered(since, now),
            FailureKind::WrongStatus | FailureKind::WrongBytes => {
                self.counters.record(LatencyKind::Error, since, now);
            }
            _ => {}
        }
        self.ended(now);
        self.sample(kind, bytes, now);
    }

    /// Counts a failed attempt to connect.
    pub(super) fn connect_failed(&mut self, kind: FailureKind, counts: bool, now: Nanos) {
        if counts {
            self.counters.fail(kind);
            self.sample(kind, &[], now);
        }
    }

    /// Counts a failed handshake, and keeps its reason if it is the first failure.
    pub(super) fn handshake_failed(
        &mut self,
        kind: FailureKind,
        error: &TlsError,
        counts: bool,
        now: Nanos,
    ) {
        if counts {
            self.counters.fail(kind);
            self.reason(kind, error, now);
        }
    }

    /// Keeps the reason of a failure that is about to be counted, if it is the first one.
    pub(super) fn reason(&mut self, kind: FailureKind, error: &TlsError, now: Nanos) {
        if std::mem::take(&mut self.wants_sample) {
            self.counters.sample_reason(kind, self.base_ns + now.0, &error.to_string());
        }
    }

    pub(super) fn answered(&mut self, asked: AskedRequest, now: Nanos) {
        let AskedRequest { request, since, counts } = asked;
        if counts {
            self.targets.answered(request, now.0.saturating_sub(since.0));
            self.counters.add(Count::Requests, 1);
            if self.is_in_time(now) {
                self.counters.add(Count::RequestsInTime, 1);
            }
            self.counters.record(LatencyKind::Response, since, now);
            self.ended(now);
        }
    }

    /// Takes back the latest correct response, which was `in_time` or not, as bytes follow it.
    pub(super) fn take_back(&mut self, request: usize, in_time: bool, bytes: &[u8], now: Nanos) {
        self.targets.take_back(request);
        self.counters.take_back(Count::Requests);
        if in_time {
            self.counters.take_back(Count::RequestsInTime);
        }
        self.counters.fail(FailureKind::WrongBytes);
        self.ended(now);
        self.sample(FailureKind::WrongBytes, bytes, now);
    }

    pub(super) fn received(&self, count: u64, counts: bool, now: Nanos) {
        if counts {
            self.counters.add(Count::Bytes, count);
            if self.is_in_time(now) {
                self.counters.add(Count::BytesInTime, count);
            }
        }
    }

    /// Whether requests are made at `now`, by this worker or another.
    pub(super) fn is_in_time(&self, now: Nanos) -> bool {
        match self.ending {
            None => self.deadline.is_none_or(|deadline| now <= deadline),
            Some(MakingEnd::Number) => self.making.load(Ordering::Relaxed) > 0,
            Some(MakingEnd::Time) => false,
        }
    }

    /// Counts a server that did not close after its last response.
    pub(super) fn lingered(&mut self, counts: bool) {
        if counts {
            self.counters.add(Count::Lingered, 1);
        }
    }

    /// Whether the client needs no content: it is compared with nothing, and it is no ciphertext,
    /// in which the end of the response is hidden.
    pub(super) fn may_drop_content(&self) -> bool {
        self.plan.expect.is_none() && !self.is_secure
    }

    /// Whether responses are so long that the kernel is to drop their content.
    pub(super) fn drops_content(&self) -> bool {
        self.response_bytes >= DISCARD_MIN && self.may_drop_content()
    }

    /// Records the time that a request has waited for a response that it didn't get.
    fn unanswered(&self, since: Nanos, now: Nanos) {
        self.counters.add(Count::Unanswered, 1);
        self.counters.record(LatencyKind::Response, since, now);
    }

    fn ended(&self, now: Nanos) {
        self.counters.set(Count::Ended, self.base_ns + now.0);
    }

    fn sample(&mut self, kind: FailureKind, bytes: &[u8], now: Nanos) {
        if std::mem::take(&mut self.wants_sample) {
            self.counters.sample(kind, self.base_ns + now.0, bytes);
        }
    }
}

/// Content of at least this many bytes is dropped by the kernel instead of copied.
pub(super) const DISCARD_MIN: u64 = 16 * 1024;
