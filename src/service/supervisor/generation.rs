//! A generation: its loader, its workers and their crashes.

use super::contract::WorkerId;
use crate::engine::Nanos;
use crate::service::allowance::SlotShare;
use std::collections::VecDeque;
use std::time::Duration;

/// Deaths of workers within [`DEATHS_WITHIN`] that end a generation.
pub const DEATHS_MAX: usize = 5;
/// The time in which deaths are counted together.
pub const DEATHS_WITHIN: Duration = Duration::from_secs(60);
/// The pause before a second fork, which doubles with each further one, up to [`BACKOFF_MAX`].
pub const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// The longest pause before a worker is forked again.
pub const BACKOFF_MAX: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Loading,
    Arming,
    Serving,
    Retiring,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorkerPhase {
    /// To be forked at this moment.
    Due(Nanos),
    /// Forked, and not armed.
    Starting,
    /// Accepting connections.
    Serving,
    /// Told to end.
    Ending,
    /// Ended; the kernel may still be closing its sockets.
    Dead,
}

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) id: WorkerId,
    pub(super) state: WorkerPhase,
    pub(super) share: SlotShare,
    pub(super) turns: u64,
    /// When the turn counter was last seen to move.
    pub(super) moved: Nanos,
    /// When it was asked for a turn, or killed, because the counter stood still since then.
    pub(super) asked: Option<Nanos>,
}

impl Worker {
    /// Whether it has a process that is to take turns.
    pub(super) fn is_alive(&self) -> bool {
        match self.state {
            WorkerPhase::Starting | WorkerPhase::Serving | WorkerPhase::Ending => true,
            WorkerPhase::Due(_) | WorkerPhase::Dead => false,
        }
    }

    /// The end of the patience with a worker that was asked for a turn at `asked`. It has half of
    /// the time from there at least: this process may have been stopped, too.
    pub(super) fn hangs_at(&self, asked: Nanos, timeout: Duration) -> Nanos {
        self.moved.plus(timeout).max(asked.plus(timeout / 2))
    }
}

#[derive(Debug)]
pub(super) struct Generation {
    pub(super) number: u32,
    pub(super) phase: Phase,
    pub(super) has_loader: bool,
    /// Whether it replaces a generation whose workers died.
    pub(super) after_deaths: bool,
    /// When it began to serve.
    pub(super) serves_since: Nanos,
    /// Crashes of its workers within [`DEATHS_WITHIN`].
    pub(super) deaths: VecDeque<Nanos>,
    /// When a worker was last killed.
    pub(super) killed_at: Option<Nanos>,
    pub(super) workers: Vec<Worker>,
}

impl Generation {
    /// Counts a crash, and returns the pause before the worker is forked again.
    pub(super) fn pause_after_crash(&mut self, now: Nanos) -> Duration {
        self.deaths.push_back(now);
        while self.deaths.front().is_some_and(|&at| at.plus(DEATHS_WITHIN) <= now) {
            self.deaths.pop_front();
        }
        match u32::try_from(self.deaths.len()).unwrap_or(u32::MAX) {
            0 | 1 => Duration::ZERO,
            more => (BACKOFF_MIN * 2u32.saturating_pow(more - 2)).min(BACKOFF_MAX),
        }
    }

    /// The pause before a worker that was killed is forked again: none unless another one was
    /// killed just before, so that no number of kills keeps the processor busy with forks.
    pub(super) fn pause_after_kill(&mut self, now: Nanos) -> Duration {
        let before = self.killed_at.replace(now);
        let is_soon = before.is_some_and(|at| at.plus(BACKOFF_MIN) > now);
        if is_soon { BACKOFF_MIN } else { Duration::ZERO }
    }

    /// Whether it served for as long as deaths are counted before the first one that counts now.
    pub(super) fn had_peace(&self) -> bool {
        self.deaths.front().is_some_and(|&first| self.serves_since.plus(DEATHS_WITHIN) <= first)
    }
}
