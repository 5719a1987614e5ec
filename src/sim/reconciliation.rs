//! Whether what a client counted agrees with what the server counted, at the end of a run.

use super::faults::{Fault, FaultCounters};
use crate::load::client::ClientPlan;
use crate::load::counters::{Count, Counters};
use crate::load::report::Kind;
use crate::server::ServerConfig;
use crate::stats::Stats;

/// What both counted.
pub(super) struct Reconciliation<'a> {
    /// Nothing could be lost.
    pub(super) gentle: bool,
    /// What the client was to do.
    pub(super) plan: &'a ClientPlan,
    /// How the server was to do it.
    pub(super) config: &'a ServerConfig,
    /// What the client counted.
    pub(super) counters: Counters<'a>,
    /// What the server counted.
    pub(super) stats: &'a Stats,
    /// The faults that struck on either side.
    pub(super) seen: &'a FaultCounters,
    /// Connections that were established between the two.
    pub(super) established: u64,
}

impl Reconciliation<'_> {
    /// Compares them.
    ///
    /// # Errors
    /// What doesn't agree.
    pub(super) fn agree(&self) -> Result<(), String> {
        let outcome = if self.gentle { self.are_equal() } else { self.are_explained() };
        outcome
            .map_err(|why| format!("{why}; client: {}; server: {}", self.of_client(), self.stats))
    }

    /// Nothing was lost, so both counted the same.
    fn are_equal(&self) -> Result<(), String> {
        let (counters, stats) = (self.counters, self.stats);
        self.all_asked()?;
        expect("failed requests", counters.failed(), 0)?;
        expect("requests", counters.get(Count::Requests), stats.requests)?;
        expect("bytes", counters.get(Count::Bytes), stats.bytes)?;
        expect("connections", counters.get(Count::Connects), self.established)?;
        if self.is_asked_first() {
            return expect("accepted connections", stats.connections, self.established);
        }
        // One on which nothing was asked may end before it is accepted.
        at_most("accepted connections", stats.connections, self.established)
    }

    /// Something was lost, but no more than the faults explain.
    fn are_explained(&self) -> Result<(), String> {
        let (counters, stats) = (self.counters, self.stats);
        self.all_asked()?;
        for kind in [Kind::Malformed, Kind::WrongStatus, Kind::WrongBytes, Kind::ConnectFailed] {
            expect(&format!("{kind:?}"), counters.failures(kind), 0)?;
        }
        at_most("responses", counters.get(Count::Requests), stats.requests)?;
        at_most("bytes", counters.get(Count::Bytes), stats.bytes)?;
        // With each failure, the responses to what was pipelined behind it may be lost, too.
        let lost = counters.failed() * u64::from(self.plan.pipeline);
        at_most("served requests", stats.requests, counters.get(Count::Requests) + lost)?;
        at_most("accepted connections", stats.connections, self.established)?;
        at_most("connections", counters.get(Count::Connects), self.established)?;
        for (kind, fault) in [
            (Kind::ConnectRefused, Fault::ConnectRefused),
            (Kind::NoLocalPort, Fault::NoLocalPort),
            (Kind::ConnectTimedOut, Fault::ConnectLost),
        ] {
            let struck = self.seen.struck(fault);
            if self.is_asked_first() {
                expect(&format!("{kind:?}"), counters.failures(kind), struck)?;
            } else {
                at_most(&format!("{kind:?}"), counters.failures(kind), struck)?;
            }
        }
        if self.is_crowded() {
            return Ok(());
        }
        // Patience may end all the same: pieces of a response come as late as faults have it.
        expect("Short", counters.failures(Kind::Short), 0)?;
        let broken = self.seen.struck(Fault::Reset) + self.seen.struck(Fault::AcceptAborted);
        let resets = counters.failures(Kind::ResetBeforeResponse)
            + counters.failures(Kind::ResetWithinResponse);
        at_most("resets", resets, broken)
    }

    /// Every request was answered or failed, once.
    fn all_asked(&self) -> Result<(), String> {
        let ended = self.counters.get(Count::Requests) + self.counters.failed();
        let asked = self.plan.amount.requests.expect("a run has a number of requests");
        match self.plan.amount.duration_ns {
            Some(_) => at_most("requests that ended", ended, asked),
            None => expect("requests that ended", ended, asked),
        }
    }

    /// Whether every connect is made for a request.
    fn is_asked_first(&self) -> bool {
        self.plan.amount.rate.is_none() || !self.plan.persist
    }

    /// Whether connections may be closed for want of slots or of patience.
    fn is_crowded(&self) -> bool {
        let ServerConfig { spawn, listeners, accepts, .. } = *self.config;
        spawn < self.plan.connections + listeners * accepts
    }

    fn of_client(&self) -> String {
        let counters = self.counters;
        let failures = Kind::ALL.iter().map(|&kind| (kind, counters.failures(kind)));
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
