//! The supervisor's auxiliary processes, and what it publishes for them.

use super::{SOON, Service};
use crate::error::Failure;
use crate::os::net::Listener;
use crate::os::poll::wait_any_readable;
use crate::os::signal;
use crate::service::auxiliary::{Auxiliaries, AuxiliaryRole};
use crate::service::publication::HEARTBEAT;
use crate::service::scoreboard::Scoreboard;
use crate::telemetry::snapshot::ServicePhase;
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
        self.published.facts.log = self.log_facts();
        self.published.read_queues(&self.listeners);
        self.scoreboard.publish(&self.published.facts);
    }

    /// The time until something is due for an auxiliary process.
    pub(super) fn auxiliary_deadline(&self) -> Option<Duration> {
        let heartbeat = (!self.auxiliaries.is_empty()).then_some(HEARTBEAT);
        self.auxiliaries.deadline().into_iter().chain(heartbeat).min()
    }

    /// Ends the auxiliary processes once no worker is left, and waits for them, but not for long,
    /// and no longer than until the next signal to end.
    pub(super) fn end_auxiliaries(&mut self) {
        // A logger that has just ended leaves records to its successor.
        self.auxiliaries.hurry(AuxiliaryRole::Logger, &self.command);
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
            while let Ok(signal) = self.signals.read() {
                if signal::ENDING.contains(&signal.cast_signed()) {
                    self.auxiliaries.kill();
                }
            }
            self.reap();
        }
    }
}

/// For a logger to write what is left.
const FINISHED_WITHIN: Duration = Duration::from_secs(5);
