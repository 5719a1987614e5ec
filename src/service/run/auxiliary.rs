//! The supervisor's auxiliary processes, and what it publishes for them.

use super::{SOON, Service};
use crate::error::Failure;
use crate::os::net::{Endpoint, Listener};
use crate::os::poll::wait_any_readable;
use crate::service::auxiliary::{Auxiliaries, AuxiliaryRole};
use crate::service::board_state::{ServiceFacts, unix_ms};
use crate::service::scoreboard::Scoreboard;
use crate::service::supervisor::Report;
use crate::telemetry::snapshot::{ListenerSnapshot, ServicePhase};
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// The auxiliary processes that are wanted, none of which runs yet.
///
/// # Errors
/// If there are no descriptors for them.
pub(super) fn wanted(
    scoreboard: &Scoreboard,
    workers: u32,
    admin: &[Listener],
) -> Result<Auxiliaries, Failure> {
    let prepare = || -> io::Result<Auxiliaries> {
        let mut auxiliaries =
            Auxiliaries::new(scoreboard.open_read_only()?, scoreboard.places_u32(), workers);
        for listener in admin {
            let socket = listener.socket().try_clone_to_owned()?;
            auxiliaries.add(AuxiliaryRole::Admin, vec![socket]);
        }
        Ok(auxiliaries)
    };
    prepare().map_err(|error| {
        Failure::new("preparing auxiliary processes", error, "raise the limit of open files")
    })
}

impl Service<'_> {
    /// Publishes that the supervisor runs, and what it knows of the service.
    pub(super) fn publish(&mut self) {
        if self.admin.is_empty() {
            return;
        }
        self.published.facts.phase = match () {
            () if self.is_ending || self.is_over => ServicePhase::Ending,
            () if self.is_ready => ServicePhase::Serving,
            () => ServicePhase::Starting,
        };
        self.published.read_queues(&self.listeners);
        self.scoreboard.publish(&self.published.facts);
    }

    /// The time until something is due for an auxiliary process.
    pub(super) fn auxiliary_deadline(&self) -> Option<Duration> {
        let heartbeat = (!self.auxiliaries.is_empty()).then_some(HEARTBEAT);
        self.auxiliaries.deadline().into_iter().chain(heartbeat).min()
    }

    /// Ends the auxiliary processes once no worker is left, and waits for them, but not for long.
    pub(super) fn end_auxiliaries(&mut self) {
        self.auxiliaries.begin_to_end();
        let started = Instant::now();
        while !self.auxiliaries.are_gone() {
            if started.elapsed() > FINISHED_WITHIN {
                self.auxiliaries.kill();
            }
            if started.elapsed() > 2 * FINISHED_WITHIN {
                break;
            }
            let _ = wait_any_readable(&[self.signals.as_fd()], Some(SOON));
            while self.signals.read().is_ok() {}
            self.reap();
        }
    }
}

/// What the supervisor publishes.
pub(super) struct Publication {
    facts: ServiceFacts,
    /// When the accept queues were read last.
    queues_at: Option<Instant>,
}

impl Publication {
    pub(super) fn new() -> Self {
        let facts = ServiceFacts { started_ms: unix_ms(), ..ServiceFacts::default() };
        Self { facts, queues_at: None }
    }

    /// Takes what a report means for metrics and status.
    pub(super) fn note(&mut self, report: &Report) {
        let reloads = &mut self.facts.reloads;
        match report {
            Report::Ready { generation } | Report::Reloaded { generation } => {
                self.facts.generation = *generation;
                reloads.succeeded += 1;
                reloads.last_success_ms = unix_ms();
                reloads.is_last_successful = true;
                reloads.error.clear();
            }
            Report::ReloadFailed { why, .. } => {
                reloads.failed += 1;
                reloads.is_last_successful = false;
                reloads.error.clone_from(why);
            }
            Report::Replacing { .. } => self.facts.restarts += 1,
            Report::Hangs(_) | Report::TooManyDeaths | Report::LoaderLost { .. } => {}
        }
    }

    /// Reads the accept queues, but not too often.
    fn read_queues(&mut self, listeners: &[Listener]) {
        if self.queues_at.is_some_and(|at| at.elapsed() < HEARTBEAT) {
            return;
        }
        self.queues_at = Some(Instant::now());
        let of_listener = |listener: &Listener| ListenerSnapshot {
            port: match listener.endpoint {
                Endpoint::Tcp(address) => address.port(),
                Endpoint::Unix(_) => 0,
            },
            queue: listener.accept_queue(),
        };
        self.facts.listeners = listeners.iter().map(of_listener).collect();
    }
}

/// How often the supervisor shows that it runs.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// For a logger to write what is left.
const FINISHED_WITHIN: Duration = Duration::from_secs(5);
