//! What the supervisor is told, and what it orders.

use std::time::Duration;

/// What the supervisor is configured with.
#[derive(Clone, Copy, Debug)]
pub struct SupervisorConfig {
    /// Workers of a generation, at least 1.
    pub workers: u32,
    /// The most connections of all workers together.
    pub limit: u32,
    /// How long a worker's turn counter may stand still; zero for ever.
    pub worker_timeout: Duration,
    /// The period of the service manager's watchdog; zero if it has none.
    pub watchdog: Duration,
}

impl SupervisorConfig {
    /// The slots that each worker has: its part of the limit, rounded up.
    #[must_use]
    pub fn slots_of_worker(&self) -> u32 {
        self.limit.div_ceil(self.workers)
    }

    /// How long a worker takes no turn before it is asked for one; `None` if nothing depends on
    /// that. A watchdog is told of turns twice as often as it asks for them.
    pub(super) fn asked_after(&self) -> Option<Duration> {
        let times = [self.worker_timeout / 2, self.watchdog / 4];
        times.into_iter().filter(|time| !time.is_zero()).min()
    }
}

/// A worker process: its generation, and its number within the generation, which a replacement
/// inherits; `life` counts the replacements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId {
    /// The generation, counted from 1.
    pub generation: u32,
    /// The number within the generation, from 0.
    pub number: u32,
    /// How often this number has been forked before.
    pub life: u32,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// SIGHUP.
    Reload,
    /// SIGTERM or SIGINT, by its number.
    Terminate(i32),
    /// The loader has read the site and can fork workers.
    Loaded {
        /// Its generation.
        generation: u32,
    },
    /// The loader gave up, or ended; `why` is for people.
    LoaderEnded {
        /// Its generation.
        generation: u32,
        /// What it said, or how it ended.
        why: String,
    },
    /// The worker is locked down and has armed its accepts.
    Armed(WorkerId),
    /// The worker process ended.
    WorkerEnded {
        /// The worker.
        worker: WorkerId,
        /// How, for the decision.
        exit: WorkerExit,
        /// How it ended, for people.
        how: String,
    },
    /// The kernel has closed the sockets of a worker that ended.
    SocketsClosed(WorkerId),
    /// Nothing but that time passed, or that a worker's numbers changed.
    Tick,
}

/// How a worker ended, as far as it matters for its replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WorkerExit {
    /// It had been told to end, did so by itself and closed all its connections.
    Orderly,
    /// SIGKILL, which no fault of the program and no attack on it causes: an administrator's, the
    /// kernel's for want of memory, or this supervisor's because the worker hung.
    Killed,
    /// Any other end.
    Crashed,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Start a loader.
    Load {
        /// Its generation.
        generation: u32,
    },
    /// Have the loader of its generation fork this worker.
    Fork(WorkerId),
    /// Tell the loader of a generation that it isn't needed any more.
    Release {
        /// Its generation.
        generation: u32,
    },
    /// Kill the loader of a generation.
    KillLoader {
        /// Its generation.
        generation: u32,
    },
    /// Write a worker's allowance.
    Allow(WorkerId, u32),
    /// Have a worker cancel its accepts, announce the end to its connections, and end.
    Retire(WorkerId),
    /// Have a worker finish its responses and end.
    Drain(WorkerId),
    /// Have a worker take a turn and try one more accept: a wake-up may have been lost with an
    /// accept that was cancelled or whose process ended.
    Kick(WorkerId),
    /// Kill a worker.
    Kill(WorkerId),
    /// Tell the operator.
    Report(Report),
    /// End, with this outcome.
    Exit(Outcome),
}

/// News for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// All workers of the first generation are armed.
    Ready {
        /// The generation.
        generation: u32,
    },
    /// A new generation serves.
    Reloaded {
        /// The generation.
        generation: u32,
    },
    /// A reload changed nothing.
    ReloadFailed {
        /// The generation that was abandoned.
        generation: u32,
        /// Why.
        why: String,
    },
    /// A worker died and is replaced after a pause.
    Replacing {
        /// The worker.
        worker: WorkerId,
        /// How it ended.
        how: String,
        /// The pause.
        pause: Duration,
    },
    /// A worker hangs and is killed.
    Hangs(WorkerId),
    /// Too many workers died; a new generation is started.
    TooManyDeaths,
    /// The loader of the serving generation ended; the next death of a worker starts a new one.
    LoaderLost {
        /// How it ended.
        why: String,
    },
}

/// How the service ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every worker drained.
    Drained,
    /// A second signal ended it at once.
    Forced(i32),
    /// The first generation could not start: what its loader or a worker said.
    NotStarted(String),
    /// Workers died again and again.
    Failed(String),
}

/// What a worker publishes in shared memory. The supervisor trusts the numbers with nothing but
/// the division of the limit: they are clamped to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// The allowance that it has adopted.
    pub adopted: u32,
    /// The slots that it uses.
    pub in_use: u32,
    /// Turns of its loop; wraps.
    pub turns: u64,
}
