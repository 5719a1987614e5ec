//! The state of a service as the checks see it.

use super::shell::{Hang, ShellModel, SimulatedStage, SimulatedWorker};
use crate::engine::Nanos;
use crate::engine::sim::EngineNumber;
use crate::service::supervisor::WorkerId;
use crate::simulation::world::World;

impl ShellModel {
    /// A worker that has to accept what is in an accept queue, unless the supervisor waits for the
    /// end of a worker that hangs or for the sockets of one that ended.
    pub(super) fn worker_with_a_free_slot(&self, world: &mut World<'_>) -> Option<WorkerId> {
        let holds_up =
            |it: &SimulatedWorker| it.hang == Hang::Now || it.stage == SimulatedStage::Ended;
        if self.workers.values().any(holds_up) {
            return None;
        }
        let mut serving = self.serving(world.now());
        serving.find(|&id| {
            let page = self.pages.of(id);
            let participant = self.workers[&id].participant.expect("it serves");
            let occupied = world.engine(participant).occupied();
            // The worker knows that a slot is free only when it knows that the slot is closed.
            let in_use = occupied.max(page.usage.connections as usize);
            page.allowance as usize > in_use
        })
    }

    /// The workers that accept connections, and go on with it; also those that drain after a delay.
    fn serving(&self, now: Nanos) -> impl Iterator<Item = WorkerId> {
        let serves = move |(id, it): &(&WorkerId, &SimulatedWorker)| {
            let goes_on = it.ends_at.is_none() || self.announces_drain(**id, now);
            it.stage == SimulatedStage::Runs && it.is_armed && goes_on
        };
        self.workers.iter().filter(serves).map(|(&id, _)| id)
    }

    /// Whether a worker has been told to drain, and the delay before that has not passed.
    pub(super) fn announces_drain(&self, id: WorkerId, now: Nanos) -> bool {
        let SimulatedWorker { ends_at, retires, .. } = self.workers[&id];
        let delay = self.plan.config.drain_delay;
        !retires && ends_at.is_some_and(|at| now < at.plus(delay))
    }

    /// Whether one generation is complete, has all slots, and is alone.
    pub(super) fn is_whole(&self, now: Nanos) -> bool {
        let is_alive = |it: &&SimulatedWorker| it.stage != SimulatedStage::Closed;
        let (serving, alive) =
            (self.serving(now).count(), self.workers.values().filter(is_alive).count());
        let adopted: u32 = self.serving(now).map(|id| self.pages.of(id).usage.adopted).sum();
        let settings = self.plan.settings;
        serving == settings.workers as usize && alive == serving && adopted == settings.limit
    }

    /// Checks that a worker retires only when those that replace it are armed.
    ///
    /// # Errors
    /// The worker that isn't armed.
    pub(super) fn check_successors(&self, id: WorkerId) -> Result<(), String> {
        let is_alive = |it: &SimulatedWorker| {
            matches!(it.stage, SimulatedStage::Forking | SimulatedStage::Runs)
        };
        let mut newer = self.workers.iter().filter(|(it, _)| it.generation > id.generation);
        match newer.find(|(_, it)| is_alive(it) && !it.is_armed) {
            Some((other, _)) => Err(format!("{id:?} retires before {other:?} is armed")),
            None => Ok(()),
        }
    }

    /// Whether all workers of a generation serve.
    pub(super) fn is_complete(&self, now: Nanos) -> bool {
        self.serving(now).count() == self.plan.settings.workers as usize
    }

    /// Whether a worker serves, or is going to by itself.
    pub(super) fn lives(&self) -> bool {
        let is_alive = |it: &SimulatedWorker| {
            matches!(it.stage, SimulatedStage::Forking | SimulatedStage::Runs)
        };
        self.workers.values().any(is_alive)
    }

    /// How many connections the workers closed in the middle of a request to make room.
    pub(super) fn displaced(&self, world: &mut World<'_>) -> u64 {
        let participants = self.workers.values().filter_map(|worker| worker.participant);
        participants.map(|index| world.server(index).stats().errors.displaced).sum()
    }

    /// The worker that has, or had, an engine.
    pub(super) fn worker_of(
        &self,
        engine: EngineNumber,
        world: &mut World<'_>,
    ) -> Option<&SimulatedWorker> {
        self.workers.values().find(|worker| {
            worker.participant.is_some_and(|index| world.engine(index).number() == Some(engine))
        })
    }
}
