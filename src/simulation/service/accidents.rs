//! What happens to the processes of a service from outside.

use super::plan::Accident;
use super::shell::{Hang, ShellEvent, ShellModel, SimulatedStage, SimulatedWorker};
use crate::engine::Nanos;
use crate::service::supervisor::{Event, WorkerExit, WorkerId};
use crate::simulation::coverage::Mark;
use crate::simulation::world::World;

impl ShellModel {
    pub(super) fn suffer(
        &mut self,
        accident: Accident,
        world: &mut World<'_>,
    ) -> Result<(), String> {
        match accident {
            Accident::Reload => {
                let is_busy = self.loaders.values().filter(|lives| **lives).count() > 1;
                self.marks.extend(is_busy.then_some(Mark::ReloadRemembered));
                return self.input(Event::Reload, world);
            }
            Accident::Terminate => {
                let loads = self.loaders.values().filter(|lives| **lives).count() > 1;
                self.marks.extend(loads.then_some(Mark::TerminatedInReload));
                self.terminated_at.get_or_insert(world.now());
                return self.input(Event::Terminate(libc::SIGTERM), world);
            }
            Accident::WorkerDies => {
                if let Some(id) = self.draw_worker(|_| true) {
                    self.die(id, world);
                }
            }
            Accident::WorkerDiesWoken => self.awaits_wake_up = true,
            Accident::WorkerHangs(for_ns) => {
                if let Some(id) =
                    self.draw_worker(|worker| worker.is_armed && worker.hang != Hang::Now)
                {
                    self.hang(id, for_ns, world);
                }
            }
            Accident::LoaderDies => {
                let living: Vec<u32> =
                    self.loaders.iter().filter(|it| *it.1).map(|it| *it.0).collect();
                if !living.is_empty() {
                    let generation = self.random.pick(&living);
                    self.end_loader(generation, world);
                }
            }
        }
        Ok(())
    }

    /// One of the workers that run, if any does.
    pub(super) fn draw_worker(
        &mut self,
        is_meant: impl Fn(&SimulatedWorker) -> bool,
    ) -> Option<WorkerId> {
        let running = self.workers.iter().filter(|(_, it)| it.stage == SimulatedStage::Runs);
        let meant: Vec<_> = running.filter(|(_, it)| is_meant(it)).map(|(&id, _)| id).collect();
        (!meant.is_empty()).then(|| self.random.pick(&meant))
    }

    pub(super) fn kill_woken(&mut self, world: &mut World<'_>) {
        if !self.awaits_wake_up {
            return;
        }
        let woken = self.workers.iter().find(|(_, worker)| {
            let participant = worker.participant.filter(|_| worker.stage == SimulatedStage::Runs);
            participant.is_some_and(|index| world.engine(index).has_woken_accept())
        });
        if let Some((&id, _)) = woken {
            self.awaits_wake_up = false;
            self.die(id, world);
        }
    }

    pub(super) fn hang(&mut self, id: WorkerId, for_ns: Option<u64>, world: &mut World<'_>) {
        let worker = self.workers.get_mut(&id).expect("it was drawn from the map");
        worker.hang = Hang::Now;
        world.hang(worker.participant.expect("it runs"));
        if let Some(nanos) = for_ns {
            let at = Nanos(world.now().0 + nanos);
            self.events.schedule(at, ShellEvent::Resumes(id));
        }
    }

    pub(super) fn resume(&mut self, id: WorkerId, world: &mut World<'_>) {
        let worker = self.worker_mut(id);
        if worker.stage == SimulatedStage::Runs {
            worker.hang = Hang::Past;
            world.resume(worker.participant.expect("it runs"));
            self.marks.push(Mark::WorkerHung);
        }
    }

    /// Ends a worker by an accident.
    pub(super) fn die(&mut self, id: WorkerId, world: &mut World<'_>) {
        self.marks.push(Mark::WorkerDied);
        if self.workers.iter().any(|(other, it)| other.generation == id.generation && !it.is_armed)
        {
            self.marks.push(Mark::WorkerDiedArming);
        }
        let exit = self.random.pick(&[WorkerExit::Crashed, WorkerExit::Killed]);
        self.end(id, exit, world);
    }
}
