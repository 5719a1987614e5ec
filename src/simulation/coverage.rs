//! Which faults struck and which cases a batch of runs reached.

use crate::engine::sim::FaultCounters;
use std::collections::BTreeMap;

/// A case that a batch of runs has to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// A head or a body was not complete in time.
    HeadTimeout,
    /// A connection was idle for longer than the timeout.
    IdleTimeout,
    /// A peer did not receive its response in time.
    SendTimeout,
    /// An idle connection was closed to make room.
    Evicted,
    /// A connection was closed in the middle of a request to make room.
    Displaced,
    /// A busy connection got `Connection: close` to make room.
    GaveWay,
    /// A peer shut down its sending side and received its responses.
    HalfClose,
    /// A peer sent more than 64 KiB behind its last request, and read the response afterwards.
    Lingered,
    /// A signal began a drain, and no connection was cut off.
    Drained,
    /// A peer received a response during the drain delay.
    ServedInDelay,
    /// A peer got a response behind a PROXY header.
    Proxied,
    /// A connection that had to begin with a PROXY header was closed without one.
    NoProxyHeader,
    /// The counters of a client and a server were equal.
    CountersEqual,
    /// Requests of a client failed.
    RequestsFailed,
    /// Requests of a client were due and never sent.
    RequestsUnsent,
    /// Requests of a client had no response at the end of its run.
    RequestsOutstanding,
    /// A client got a response after it had made its last request.
    ResponsesLate,
    /// A worker died.
    WorkerDied,
    /// A worker of a generation that was still arming died.
    WorkerDiedArming,
    /// A worker hung for a while, and went on.
    WorkerHung,
    /// A worker hung until it was killed.
    HangKilled,
    /// A peer got its responses from a generation that replaced another one.
    Reloaded,
    /// A reload failed, and the serving generation went on.
    ReloadFailed,
    /// A second reload was wanted during a reload.
    ReloadRemembered,
    /// The loader of the serving generation ended.
    LoaderLost,
    /// A worker's allowance was lowered, and another worker's raised later.
    AllowanceMoved,
    /// A worker was told to retire while it had connections.
    RetiredInUse,
    /// A peer got a last response from a retiring worker, which announced the end.
    RetirementAnnounced,
    /// The service was told to end during a reload.
    TerminatedInReload,
    /// Workers died so often that a new generation was started.
    TooManyDeaths,
    /// Workers died so often that the service ended.
    ServiceFailed,
    /// A second signal ended the service at once.
    ServiceForced,
    /// The first generation couldn't start.
    NotStarted,
    /// A worker took a turn between the two reads of its numbers by the supervisor.
    TornRead,
}

impl Mark {
    /// All of them.
    pub const ALL: [Self; 34] = [
        Self::HeadTimeout,
        Self::IdleTimeout,
        Self::SendTimeout,
        Self::Evicted,
        Self::Displaced,
        Self::GaveWay,
        Self::HalfClose,
        Self::Lingered,
        Self::Drained,
        Self::ServedInDelay,
        Self::Proxied,
        Self::NoProxyHeader,
        Self::CountersEqual,
        Self::RequestsFailed,
        Self::RequestsUnsent,
        Self::RequestsOutstanding,
        Self::ResponsesLate,
        Self::WorkerDied,
        Self::WorkerDiedArming,
        Self::WorkerHung,
        Self::HangKilled,
        Self::Reloaded,
        Self::ReloadFailed,
        Self::ReloadRemembered,
        Self::LoaderLost,
        Self::AllowanceMoved,
        Self::RetiredInUse,
        Self::RetirementAnnounced,
        Self::TerminatedInReload,
        Self::TooManyDeaths,
        Self::ServiceFailed,
        Self::ServiceForced,
        Self::NotStarted,
        Self::TornRead,
    ];

    /// Whether only runs of the load client against the server reach it.
    #[must_use]
    pub fn is_of_clients(self) -> bool {
        matches!(
            self,
            Self::CountersEqual
                | Self::RequestsFailed
                | Self::RequestsUnsent
                | Self::RequestsOutstanding
                | Self::ResponsesLate
        )
    }

    /// Whether only runs of several supervised servers reach it.
    #[must_use]
    pub fn is_of_services(self) -> bool {
        self >= Self::WorkerDied
    }
}

/// How often each fault struck and each mark was reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// The counters of the engines.
    pub engine: FaultCounters,
    marks: BTreeMap<Mark, u64>,
}

impl Coverage {
    /// The counters of a run's engines, with no marks.
    pub(super) fn new(engine: FaultCounters) -> Self {
        Self { engine, marks: BTreeMap::new() }
    }

    /// Counts a mark `times` times.
    pub(super) fn count(&mut self, mark: Mark, times: u64) {
        *self.marks.entry(mark).or_default() += times;
    }

    /// Adds another run's coverage.
    pub fn add(&mut self, other: &Self) {
        self.engine.add(&other.engine);
        for (&mark, &count) in &other.marks {
            self.count(mark, count);
        }
    }

    /// How often a mark was reached.
    #[must_use]
    pub fn reached(&self, mark: Mark) -> u64 {
        self.marks.get(&mark).copied().unwrap_or(0)
    }
}
