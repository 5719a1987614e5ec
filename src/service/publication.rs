//! What a supervisor publishes for metrics and status, as it comes to know it.

use super::board_state::{ServiceFacts, unix_ms};
use super::supervisor::Report;
use crate::os::net::{Endpoint, Listener};
use crate::telemetry::snapshot::ListenerSnapshot;
use std::time::{Duration, Instant};

/// What the supervisor publishes.
pub(super) struct Publication {
    pub(super) facts: ServiceFacts,
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
    pub(super) fn read_queues(&mut self, listeners: &[Listener]) {
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

/// How often the supervisor shows that it runs, and reads the accept queues.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(1);
