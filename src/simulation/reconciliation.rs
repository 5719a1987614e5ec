//! Compares the counters of a load client with those of the server at the end of a run.

use crate::engine::sim::{Fault, FaultCounters};
use crate::load::client::ClientPlan;
use crate::load::counters::{Count, Counters};
use crate::load::report::FailureKind;
use crate::server::ServerConfig;
use crate::stats::Stats;

/// The counters of both, and what explains a difference.
pub(super) struct Reconciliation<'a> {
    /// No request could fail.
    pub(super) lossless: bool,
    pub(super) plan: &'a ClientPlan,
    /// Requests are due at a rate, or at times of their own.
    pub(super) is_open_loop: bool,
    pub(super) config: &'a ServerConfig,
    pub(super) counters: Counters<'a>,
    pub(super) stats: &'a Stats,
    /// The faults that struck on either side.
    pub(super) faults: &'a FaultCounters,
    /// How many connections came into an accept queue.
    pub(super) established: u64,
}

impl Reconciliation<'_> {
    /// Compares the counters.
    ///
    /// # Errors
    /// The first difference that is not explained.
    pub(super) fn check(&self) -> Result<(), String> {
        let outcome = if self.lossless { self.check_equality() } else { self.check_losses() };
        outcome.map_err(|why| {
            format!("{why}; client: {}; server: {}", self.client_counters(), self.stats)
        })
    }

    /// Both counted the same.
    fn check_equality(&self) -> Result<(), String> {
        let (counters, stats) = (self.counters, self.stats);
        self.check_requests()?;
        expect("failed requests", counters.failed(), 0)?;
        expect("requests", counters.get(Count::Requests), stats.requests)?;
        expect("bytes", counters.get(Count::Bytes), stats.bytes)?;
        if self.plan.amount.duration_ns.is_some() {
            // A connect that is cancelled at the end of the duration may have been accepted.
            at_most("connections", counters.get(Count::Connects), self.established)?;
            return at_most("accepted connections", stats.connections, self.established);
        }
        expect("connections", counters.get(Count::Connects), self.established)?;
        if self.connects_for_requests() {
            return expect("accepted connections", stats.connections, self.established);
        }
        // A connection without a request may end before it is accepted.
        at_most("accepted connections", stats.connections, self.established)
    }

    /// No more was lost than the faults explain.
    fn check_losses(&self) -> Result<(), String> {
        let (counters, stats) = (self.counters, self.stats);
        self.check_requests()?;
        for kind in [
            FailureKind::Malformed,
            FailureKind::WrongStatus,
            FailureKind::WrongBytes,
            FailureKind::ConnectFailed,
        ] {
            expect(&format!("{kind:?}"), counters.failures(kind), 0)?;
        }
        at_most("responses", counters.get(Count::Requests), stats.requests)?;
        at_most("bytes", counters.get(Count::Bytes), stats.bytes)?;
        // A failure may also lose the responses to the requests that were pipelined behind it.
        let lost =
            counters.failed() * u64::from(self.plan.pipeline) + counters.get(Count::Outstanding);
        at_most("served requests", stats.requests, counters.get(Count::Requests) + lost)?;
        at_most("accepted connections", stats.connections, self.established)?;
        at_most("connections", counters.get(Count::Connects), self.established)?;
        for (kind, fault) in [
            (FailureKind::ConnectRefused, Fault::ConnectRefused),
            (FailureKind::NoLocalPort, Fault::NoLocalPort),
            (FailureKind::ConnectTimedOut, Fault::ConnectLost),
        ] {
            let struck = self.faults.struck(fault);
            if self.connects_for_requests() && !self.gives_up() {
                expect(&format!("{kind:?}"), counters.failures(kind), struck)?;
            } else {
                at_most(&format!("{kind:?}"), counters.failures(kind), struck)?;
            }
        }
        // A client that takes its response too slowly is cut off, as is one in a crowd.
        if self.is_crowded() || self.faults.struck(Fault::Straggler) > 0 {
            return Ok(());
        }
        // Response timeouts are not compared: late completions can cause them.
        expect("Short", counters.failures(FailureKind::Short), 0)?;
        let broken = self.faults.struck(Fault::Reset) + self.faults.struck(Fault::AcceptAborted);
        let resets = counters.failures(FailureKind::ResetBeforeResponse)
            + counters.failures(FailureKind::ResetWithinResponse);
        at_most("resets", resets, broken)
    }

    /// Every request that was due was sent or not, and every request that was sent was answered,
    /// failed or outstanding: each once.
    fn check_requests(&self) -> Result<(), String> {
        let count = |count| self.counters.get(count);
        let (due, sent) = (count(Count::Due), count(Count::Sent));
        expect("requests sent and not sent", sent + count(Count::NotSent), due)?;
        let ended = count(Count::Requests) + self.counters.failed() + count(Count::Outstanding);
        expect("requests answered, failed and outstanding", ended, sent)?;
        at_most("requests in time", count(Count::RequestsInTime), count(Count::Requests))?;
        let planned = self.plan.amount.requests.expect("a run has a number of requests");
        // A load also ends when nothing can be connected for the connect timeout.
        let may_end_early =
            self.plan.amount.duration_ns.is_some() || self.counters.connects_failed() > 0;
        if may_end_early {
            return at_most("due requests", due, planned);
        }
        expect("due requests", due, planned)
    }

    /// Whether the client may have cancelled connects at its end, which its duration or its grace
    /// sets, or which comes early because nothing could be connected for the connect timeout.
    fn gives_up(&self) -> bool {
        let count = |count| self.counters.get(count);
        let is_early = self.plan.amount.requests.is_some_and(|planned| count(Count::Due) < planned);
        self.plan.amount.duration_ns.is_some() || count(Count::Outstanding) > 0 || is_early
    }

    /// Whether the client connects only when it has a request.
    fn connects_for_requests(&self) -> bool {
        !self.is_open_loop || !self.plan.persist
    }

    /// Whether the server may close connections to make room.
    fn is_crowded(&self) -> bool {
        let ServerConfig { spawn, listeners, accepts, .. } = *self.config;
        spawn < self.plan.connections + listeners * accepts
    }

    fn client_counters(&self) -> String {
        let counters = self.counters;
        let failures = FailureKind::ALL.iter().map(|&kind| (kind, counters.failures(kind)));
        let failures: Vec<_> = failures.filter(|(_, count)| *count > 0).collect();
        format!(
            "{} connections, {} requests, {} bytes; failures: {failures:?}",
            counters.get(Count::Connects),
            counters.get(Count::Requests),
            counters.get(Count::Bytes)
        )
    }
}

fn expect(what: &str, found: u64, expected: u64) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found}, not {expected}")) }
}

fn at_most(what: &str, found: u64, most: u64) -> Result<(), String> {
    if found <= most { Ok(()) } else { Err(format!("{what}: {found}, more than {most}")) }
}
