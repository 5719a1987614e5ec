//! A service at one moment, as metrics and status show it.

use crate::os::net::Endpoint;
use crate::stats::Stats;
use std::fmt;

/// The service as the admin process sees it.
pub trait ServiceView: fmt::Debug {
    /// Whether the supervisor has run within the last seconds.
    fn is_live(&self) -> bool;

    /// Whether a worker of the serving generation accepts, and no drain is announced.
    fn is_ready(&self) -> bool;

    /// The service at this moment; `None` if the supervisor has been writing all the while.
    fn snapshot(&self) -> Option<ServiceSnapshot>;
}

/// The facts that don't change while a service runs.
#[derive(Clone, Debug)]
pub struct ServiceIdentity {
    /// The version of the program.
    pub version: &'static str,
    /// The kernel interface of the workers.
    pub engine: &'static str,
    /// The process ID of the supervisor.
    pub process: u32,
    /// The listeners: those of the site, then that for health checks.
    pub listeners: Vec<Endpoint>,
    /// The number of workers of a generation.
    pub workers: u32,
    /// The most connections of all workers together.
    pub connection_limit: u32,
    /// Whether there is an access log.
    pub has_access_log: bool,
}

/// The service at one moment.
#[derive(Clone, Debug, Default)]
pub struct ServiceSnapshot {
    /// Its phase.
    pub phase: ServicePhase,
    /// The time of the snapshot, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// The start of the supervisor, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// The generation that serves, from 1; 0 before the first one does.
    pub generation: u32,
    /// Reloads.
    pub reloads: ReloadFacts,
    /// Workers that were forked in place of others that had died.
    pub restarts: u64,
    /// The workers, in no order.
    pub workers: Vec<WorkerSnapshot>,
    /// The ports and accept queues of the listeners, in the order of
    /// [`ServiceIdentity::listeners`].
    pub listeners: Vec<ListenerSnapshot>,
    /// The sums of the counters of all workers since the start.
    pub stats: Stats,
    /// The sums of the words of [`super::counters`] of all workers since the start.
    pub counters: Vec<u64>,
    /// The access log.
    pub log: LogFacts,
}

/// The phase of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServicePhase {
    /// No generation has served yet.
    #[default]
    Starting,
    /// A generation serves.
    Serving,
    /// A signal has announced the end.
    Ending,
}

impl ServicePhase {
    /// All of them, each at its number.
    pub const ALL: [Self; 3] = [Self::Starting, Self::Serving, Self::Ending];

    /// Its name for the status.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Ending => "draining",
        }
    }
}

/// What became of the reloads; the first generation counts as one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReloadFacts {
    /// How many generations have begun to serve.
    pub succeeded: u64,
    /// How many generations failed before.
    pub failed: u64,
    /// When the latest generation began to serve, in milliseconds since the Unix epoch; 0 if none
    /// has.
    pub last_success_ms: u64,
    /// Whether the latest reload succeeded.
    pub is_last_successful: bool,
    /// Why the latest reload failed, cut at a bound; empty if it succeeded.
    pub error: String,
}

/// A worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSnapshot {
    /// Its generation.
    pub generation: u32,
    /// Its number within the generation.
    pub number: u32,
    /// Its process ID; 0 until it is known.
    pub process: u32,
    /// Whether it has armed its accepts.
    pub is_armed: bool,
    /// The slots that it may use.
    pub allowance: u32,
    /// The slots that it uses.
    pub in_use: u32,
    /// Its connections.
    pub connections: u32,
    /// Turns of its loop.
    pub turns: u64,
}

/// What is known of a listener beyond its configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenerSnapshot {
    /// The port that it is bound to; 0 for a Unix socket.
    pub port: u16,
    /// The connections that wait to be accepted, and the most that may; unknown of Unix sockets.
    pub queue: Option<(u32, u32)>,
}

/// The losses of the access log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogFacts {
    /// Records for which a worker found no room.
    pub dropped: u64,
    /// Writes to the output that failed.
    pub write_errors: u64,
}

impl ServiceSnapshot {
    /// The connections that are open.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.workers.iter().map(|worker| u64::from(worker.connections)).sum()
    }

    /// The number of generations that have workers.
    #[must_use]
    pub fn generations(&self) -> usize {
        let mut numbers: Vec<u32> = self.workers.iter().map(|worker| worker.generation).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.len()
    }

    /// Whether a worker of the serving generation has armed its accepts.
    #[must_use]
    pub fn is_up(&self, number: u32) -> bool {
        self.workers.iter().any(|worker| {
            worker.number == number && worker.generation == self.generation && worker.is_armed
        })
    }

    /// The addresses of the listeners, with the ports that they are bound to.
    #[must_use]
    pub fn addresses(&self, identity: &ServiceIdentity) -> Vec<String> {
        let bound = self.listeners.iter().map(|listener| listener.port);
        let address = |(endpoint, port): (&Endpoint, u16)| match endpoint {
            Endpoint::Tcp(address) => {
                let mut address = *address;
                if port != 0 {
                    address.set_port(port);
                }
                address.to_string()
            }
            Endpoint::Unix(_) => endpoint.to_string(),
        };
        identity.listeners.iter().zip(bound.chain(std::iter::repeat(0))).map(address).collect()
    }
}
