//! The lives of loaders and workers in the model of the shell: how they begin, what they are told,
//! and how the supervisor learns of their ends.

use super::pages::ModelLink;
use super::plan::ACCIDENTS_NS;
use super::shell::{Hang, ShellEvent, ShellModel, SimulatedStage, SimulatedWorker};
use crate::engine::Nanos;
use crate::engine::sim::{SimEngine, SimSetup};
use crate::server::{Server, Turn};
use crate::service::supervisor::{WorkerExit, WorkerId};
use crate::simulation::draw::draw_site;
use crate::simulation::participant::{Participant, ParticipantTurn};
use crate::simulation::world::{ParticipantIndex, World};
use std::rc::Rc;

impl ShellModel {
    pub(super) fn load(&mut self, generation: u32, world: &mut World<'_>) {
        self.loaders.insert(generation, true);
        if generation > 1 {
            world.crowd.add_page(self.plan.page_of(generation));
        }
        let at = Nanos(world.now().0 + self.random.below(800_000_000));
        let may_fail = world.now().0 < SITES_FAIL_NS;
        let is_faulty = may_fail && self.random.chance(if generation == 1 { 20 } else { 150 });
        let event = if is_faulty {
            ShellEvent::LoaderEnds(generation)
        } else {
            ShellEvent::Loaded(generation)
        };
        self.events.schedule(at, event);
    }

    /// Ends a loader; the workers that it had still to fork never come to be.
    pub(super) fn end_loader(&mut self, generation: u32, world: &mut World<'_>) {
        let Some(lives) = self.loaders.get_mut(&generation) else { return };
        if !std::mem::replace(lives, false) {
            return;
        }
        let at = Nanos(world.now().0 + self.random.below(LOADER_REPORT_NS));
        self.events.schedule(at, ShellEvent::LoaderEnded(generation));
        for (&id, worker) in &mut self.workers {
            if id.generation == generation && worker.stage == SimulatedStage::Forking {
                worker.stage = SimulatedStage::Ended;
                self.events.schedule(at, ShellEvent::WorkerEnded(id, WorkerExit::Crashed));
                self.events.schedule(at, ShellEvent::SocketsClosed(id));
            }
        }
    }

    pub(super) fn fork(&mut self, id: WorkerId, now: Nanos) {
        self.pages.open(id);
        let lives = self.loaders[&id.generation];
        let stage = if lives { SimulatedStage::Forking } else { SimulatedStage::Ended };
        let worker = SimulatedWorker {
            participant: None,
            stage,
            is_armed: false,
            hang: Hang::Never,
            ends_at: None,
            retires: false,
            signals: Vec::new(),
        };
        self.workers.insert(id, worker);
        if lives {
            let most_ns = self.random.pick(&[5_000_000, 40_000_000, 400_000_000]);
            let at = Nanos(now.0 + self.random.below(most_ns));
            self.events.schedule(at, ShellEvent::Forked(id));
        } else {
            // The supervisor learns of the end of the loader first.
            let at = Nanos(now.0 + LOADER_REPORT_NS);
            self.events.schedule(at, ShellEvent::WorkerEnded(id, WorkerExit::Crashed));
            self.events.schedule(at, ShellEvent::SocketsClosed(id));
        }
    }

    pub(super) fn forked(&mut self, id: WorkerId, world: &mut World<'_>) -> Result<(), String> {
        if self.workers[&id].stage != SimulatedStage::Forking {
            return Ok(());
        }
        let page = self.plan.page_of(id.generation);
        let (site, fixed) = draw_site(&page, self.plan.config.spawn, &mut self.random)?;
        let name = WORKER_NAMES[id.number as usize % WORKER_NAMES.len()];
        let setup = SimSetup { name, fixed, ..self.setup.clone() };
        for &listener in &setup.listeners {
            world.network.share_listener(listener);
        }
        let mut engine = SimEngine::new(setup, self.random.split());
        engine.start_at(world.now());
        let link = ModelLink { pages: Rc::clone(&self.pages), id };
        self.pages.begin_wait(id);
        let server = Server::supervised(engine, site, self.plan.config, Box::new(link));
        let participant = world.add(Participant::server(server));
        let worker = self.worker_mut(id);
        worker.participant = Some(participant);
        worker.stage = SimulatedStage::Runs;
        for number in std::mem::take(&mut worker.signals) {
            self.signal(id, number, world);
        }
        Ok(())
    }

    /// Notes the turn of a server.
    ///
    /// # Errors
    /// If it ended otherwise than it was told to.
    pub(super) fn took_turn(
        &mut self,
        (participant, turn): (ParticipantIndex, ParticipantTurn),
        world: &mut World<'_>,
    ) -> Result<(), String> {
        let mut workers = self.workers.iter_mut();
        let found = workers.find(|(_, worker)| worker.participant == Some(participant));
        let (&id, worker) = found.ok_or("a turn of no worker")?;
        if world.engine(participant).is_waiting() {
            self.pages.begin_wait(id);
        }
        if !std::mem::replace(&mut worker.is_armed, true) {
            let at = Nanos(world.now().0 + self.random.below(1_000_000));
            self.events.schedule(at, ShellEvent::Armed(id));
        }
        match turn {
            ParticipantTurn::Goes => Ok(()),
            ParticipantTurn::ServerEnded(Turn::Drained) => {
                if worker.ends_at.is_none() {
                    return Err(format!("{id:?} ended without a signal"));
                }
                world.engine(participant).check_end().map_err(|why| format!("{id:?}: {why}"))?;
                self.end(id, WorkerExit::Orderly, world);
                Ok(())
            }
            _ => Err(format!("{id:?} ended with {turn:?}")),
        }
    }

    pub(super) fn tell_to_end(&mut self, id: WorkerId, signal: u32, world: &mut World<'_>) {
        self.worker_mut(id).ends_at.get_or_insert(world.now());
        self.signal(id, signal, world);
    }

    pub(super) fn signal(&mut self, id: WorkerId, number: u32, world: &mut World<'_>) {
        let at = Nanos(world.now().0 + self.random.below(200_000));
        let worker = self.worker_mut(id);
        match (worker.stage, worker.participant) {
            (SimulatedStage::Forking, _) => worker.signals.push(number),
            (SimulatedStage::Runs, Some(index)) => world.engine(index).signal_at(at, number),
            _ => {}
        }
    }

    pub(super) fn kill(&mut self, id: WorkerId, world: &mut World<'_>) {
        if self.workers[&id].stage == SimulatedStage::Runs {
            self.end(id, WorkerExit::Killed, world);
        }
    }

    /// Ends the process of a worker; the supervisor learns of it, and the kernel closes the
    /// sockets, each after a while and in any order.
    pub(super) fn end(&mut self, id: WorkerId, exit: WorkerExit, world: &mut World<'_>) {
        let now = world.now();
        let worker = self.worker_mut(id);
        worker.stage = SimulatedStage::Ended;
        if worker.hang == Hang::Now {
            worker.hang = Hang::Past;
        }
        world.kill(worker.participant.expect("it runs"));
        let reported = Nanos(now.0 + self.draw_delay());
        let closed = Nanos(now.0 + self.draw_delay());
        self.events.schedule(reported, ShellEvent::WorkerEnded(id, exit));
        self.events.schedule(closed, ShellEvent::SocketsClose(id));
        let both = Nanos(reported.max(closed).0 + self.random.below(5_000_000));
        self.events.schedule(both, ShellEvent::SocketsClosed(id));
    }

    pub(super) fn draw_delay(&mut self) -> u64 {
        match self.random.below(3) {
            0 => self.random.below(500_000),
            1 => self.random.below(5_000_000),
            _ => self.random.below(100_000_000),
        }
    }

    /// Ends all processes, as the supervisor does at its own end.
    pub(super) fn end_all(&mut self, world: &mut World<'_>) {
        for worker in self.workers.values_mut() {
            let Some(participant) = worker.participant else { continue };
            if worker.stage == SimulatedStage::Runs {
                world.kill(participant);
            }
            world.close_sockets(participant);
            worker.stage = SimulatedStage::Closed;
        }
    }
}

/// The names of workers in a trace.
const WORKER_NAMES: [&str; 4] = ["w0", "w1", "w2", "w3"];
/// When the operator has mended the site.
const SITES_FAIL_NS: u64 = 2 * ACCIDENTS_NS;
/// How long the supervisor takes at most to learn of the end of a loader.
const LOADER_REPORT_NS: u64 = 3_000_000;
