//! The state that all connections of a client share: the plan, and the counters.

use super::plan::ClientPlan;
use crate::engine::Nanos;
use crate::load::counters::{Count, Counters, LatencyKind};
use crate::load::report::FailureKind;

pub(super) struct ClientState<'a> {
    pub(super) plan: ClientPlan,
    pub(super) counters: Counters<'a>,
    /// The monotonic clock at the engine's moment 0.
    pub(super) base_ns: u64,
    /// Bytes of content of the latest response.
    pub(super) response_bytes: u64,
}

impl ClientState<'_> {
    pub(super) fn failed(&mut self, kind: FailureKind, counts: bool, now: Nanos) {
        if counts {
            self.counters.fail(kind);
            self.counters.set(Count::Ended, self.base_ns + now.0);
        }
    }

    pub(super) fn answered(&mut self, since: Nanos, counts: bool, now: Nanos) {
        if counts {
            self.counters.add(Count::Requests, 1);
            self.counters.record(LatencyKind::Response, since, now);
            self.counters.set(Count::Ended, self.base_ns + now.0);
        }
    }

    /// Counts a server that did not close after its last response.
    pub(super) fn lingered(&mut self, counts: bool) {
        if counts {
            self.counters.add(Count::Lingered, 1);
        }
    }

    /// Notes when the first measured request was due.
    pub(super) fn started(&mut self, due: Nanos, counts: bool) {
        if counts && self.counters.get(Count::Started) == u64::MAX {
            self.counters.set(Count::Started, self.base_ns + due.0);
        }
    }

    /// Whether responses are so long that the kernel is to drop their content, which is compared
    /// with nothing.
    pub(super) fn drops_content(&self) -> bool {
        self.response_bytes >= DISCARD_MIN && self.plan.expect.is_none()
    }
}

/// Content of at least this many bytes is dropped by the kernel instead of copied.
pub(super) const DISCARD_MIN: u64 = 16 * 1024;
