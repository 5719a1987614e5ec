//! The division of the connection limit among the workers, and the attention that it takes: workers
//! are kicked to notice what changed, and killed if they notice nothing.

use super::contract::{Order, Report};
use super::generation::{Generation, Phase, Worker, WorkerPhase};
use super::{ServiceState, Supervisor};
use crate::engine::Nanos;
use crate::service::allowance::{SlotClaim, SlotShare, distribute};

impl Supervisor {
    /// Whether shares are on their way from one worker to another, so that published numbers are
    /// to be read again soon.
    #[must_use]
    pub fn is_dividing(&self) -> bool {
        self.workers().any(|worker| {
            let SlotShare { allowance, adopted, in_use } = worker.share;
            allowance != adopted || in_use > allowance
        })
    }

    /// A worker whose turn counter stands still is kicked first, since an idle worker takes no
    /// turns, and killed if it doesn't move after that. A worker that starts has as much time for
    /// its first turn.
    pub(super) fn kill_hanging(&mut self, now: Nanos) {
        let Some(asked_after) = self.config.asked_after() else { return };
        let timeout = self.config.worker_timeout;
        for worker in self.generations.iter_mut().flat_map(|generation| &mut generation.workers) {
            match worker.asked {
                _ if !worker.is_alive() => {}
                None if worker.moved.plus(asked_after) <= now => {
                    self.orders.push_back(Order::Kick(worker.id));
                    worker.asked = Some(now);
                }
                Some(at) if !timeout.is_zero() && worker.hangs_at(at, timeout) <= now => {
                    self.orders.push_back(Order::Report(Report::Hangs(worker.id)));
                    self.orders.push_back(Order::Kill(worker.id));
                    worker.asked = Some(now);
                }
                None | Some(_) => {}
            }
        }
    }

    /// Whether every worker has taken a turn within half of the watchdog's period, so that the
    /// service manager may be told that the service lives.
    #[must_use]
    pub fn takes_turns(&self, now: Nanos) -> bool {
        let within = self.config.watchdog / 2;
        self.workers().filter(|worker| worker.is_alive()).all(|it| it.moved.plus(within) >= now)
    }

    pub(super) fn kick_all(&mut self) {
        let ends = self.state == ServiceState::Ending;
        let is_armed = |worker: &&Worker| match worker.state {
            WorkerPhase::Serving => true,
            WorkerPhase::Ending => ends,
            WorkerPhase::Due(_) | WorkerPhase::Starting | WorkerPhase::Dead => false,
        };
        let workers = self.generations.iter().flat_map(|generation| &generation.workers);
        self.orders.extend(workers.filter(is_armed).map(|worker| Order::Kick(worker.id)));
    }

    /// Divides the limit anew, whenever something may have changed.
    pub(super) fn divide(&mut self) {
        let mut claims = Vec::new();
        for generation in &self.generations {
            for worker in &generation.workers {
                let serves = self.may_accept(worker)
                    && matches!(generation.phase, Phase::Arming | Phase::Serving)
                    && !self.is_arming_beside(generation);
                claims.push(SlotClaim { share: worker.share, serves });
            }
        }
        let next = distribute(self.config.limit, self.config.slots_of_worker(), &claims);
        let workers = self.generations.iter_mut().flat_map(|generation| &mut generation.workers);
        for (worker, allowance) in workers.zip(next) {
            let is_alive = !matches!(worker.state, WorkerPhase::Dead | WorkerPhase::Due(_));
            if is_alive && worker.share.allowance != allowance {
                let is_raised = allowance > worker.share.allowance;
                worker.share.allowance = allowance;
                self.orders.push_back(Order::Allow(worker.id, allowance));
                let is_armed = matches!(worker.state, WorkerPhase::Serving | WorkerPhase::Ending);
                if is_raised && is_armed {
                    self.orders.push_back(Order::Kick(worker.id));
                }
            }
        }
    }

    /// Whether a worker may still accept connections. At the end of the service workers do so
    /// during the drain delay, and cancel their accepts themselves.
    pub(super) fn may_accept(&self, worker: &Worker) -> bool {
        match worker.state {
            WorkerPhase::Starting | WorkerPhase::Serving => true,
            WorkerPhase::Ending => self.state == ServiceState::Ending,
            WorkerPhase::Due(_) | WorkerPhase::Dead => false,
        }
    }

    /// Whether a generation arms while another one serves: it gets its slots when it replaces that.
    pub(super) fn is_arming_beside(&self, generation: &Generation) -> bool {
        generation.phase == Phase::Arming
            && self.generations.iter().any(|other| other.phase == Phase::Serving)
    }
}
