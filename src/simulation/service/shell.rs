//! A model of the processes around the supervisor: carries out its actions, each after a time of its
//! own, and reports what happens.

use super::pages::{PageLink, SharedPages};
use super::plan::{Accident, ServicePlan};
use crate::engine::Nanos;
use crate::engine::sim::{EngineNumber, EventQueue, Random, SimEngine, SimSetup};
use crate::server::{RETIRE, Server, TRY_ACCEPTS, Turn};
use crate::service::supervisor::{Action, Input, Outcome, Report, Supervisor, WorkerId};
use crate::simulation::coverage::Mark;
use crate::simulation::draw::draw_site;
use crate::simulation::participant::{Participant, ParticipantTurn};
use crate::simulation::world::{ParticipantIndex, World};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The supervisor and the processes that it has.
pub(super) struct Shell {
    supervisor: Supervisor,
    plan: Rc<ServicePlan>,
    setup: SimSetup,
    pub(super) pages: Rc<SharedPages>,
    pub(super) workers: BTreeMap<WorkerId, WorkerProcess>,
    /// Whether the loader of each generation lives.
    loaders: BTreeMap<u32, bool>,
    events: EventQueue<ShellEvent>,
    /// When the supervisor looks at the published numbers again.
    tick_at: Option<Nanos>,
    /// An input that is being handled: the supervisor has read half of the published numbers.
    reading: Option<HalfRead>,
    /// Kill the next worker that has a woken accept.
    awaits_wake_up: bool,
    lowered: bool,
    pub(super) terminated_at: Option<Nanos>,
    pub(super) reports: Vec<Report>,
    pub(super) outcome: Option<Outcome>,
    pub(super) marks: Vec<Mark>,
    random: Random,
}

/// A worker process.
#[derive(Debug)]
pub(super) struct WorkerProcess {
    pub(super) participant: Option<ParticipantIndex>,
    pub(super) state: WorkerState,
    pub(super) is_armed: bool,
    hangs: bool,
    pub(super) has_hung: bool,
    /// When it was told to retire or to drain.
    pub(super) ends_at: Option<Nanos>,
    pub(super) retires: bool,
    /// Signals from before the fork.
    signals: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorkerState {
    /// The loader has been asked to fork it.
    Forking,
    Runs,
    /// It ended, and the supervisor hasn't been told that its sockets are closed.
    Ended,
    /// The supervisor has been told so.
    Closed,
}

/// The first half of a read of the published numbers.
struct HalfRead {
    input: Input,
    adopted: BTreeMap<WorkerId, u32>,
    ends_at: Nanos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ShellEvent {
    Accident(Accident),
    /// The loader has read the site.
    Loaded(u32),
    /// The loader ends: the site is faulty, or nobody needs it.
    LoaderEnds(u32),
    /// The supervisor learns of that.
    LoaderEnded(u32),
    Forked(WorkerId),
    Armed(WorkerId),
    Resumes(WorkerId),
    /// The supervisor learns that a worker ended, in an orderly way or not.
    WorkerEnded(WorkerId, bool),
    /// The kernel closes the sockets of a worker that ended.
    SocketsClose(WorkerId),
    /// The supervisor learns of that.
    SocketsClosed(WorkerId),
}

impl Shell {
    pub(super) fn new(plan: Rc<ServicePlan>, setup: SimSetup, random: Random) -> Self {
        let mut events = EventQueue::default();
        for &(at, accident) in &plan.accidents {
            events.schedule(at, ShellEvent::Accident(accident));
        }
        Self {
            supervisor: Supervisor::new(plan.settings),
            plan,
            setup,
            pages: Rc::default(),
            workers: BTreeMap::new(),
            loaders: BTreeMap::new(),
            events,
            tick_at: Some(Nanos(0)),
            reading: None,
            awaits_wake_up: false,
            lowered: false,
            terminated_at: None,
            reports: Vec::new(),
            outcome: None,
            marks: Vec::new(),
            random,
        }
    }

    /// When the next event is due.
    pub(super) fn next_at(&self) -> Option<Nanos> {
        match &self.reading {
            Some(reading) => Some(reading.ends_at),
            None => self.events.next_at().into_iter().chain(self.tick_at).min(),
        }
    }

    /// Lets all events happen that are due.
    ///
    /// # Errors
    /// If the supervisor does something wrong.
    pub(super) fn run_due(&mut self, world: &mut World<'_>) -> Result<(), String> {
        while self.outcome.is_none() && self.next_at().is_some_and(|at| at <= world.now()) {
            if let Some(HalfRead { input, adopted, .. }) = self.reading.take() {
                self.handle(input, &adopted, world)?;
            } else if let Some(event) = self.events.take_due(world.now()) {
                self.happens(event, world)?;
            } else {
                self.tick_at = None;
                self.input(Input::Tick, world)?;
            }
        }
        self.kill_woken(world);
        Ok(())
    }

    fn happens(&mut self, event: ShellEvent, world: &mut World<'_>) -> Result<(), String> {
        self.trace(world, || format!("{event:?}"));
        match event {
            ShellEvent::Accident(accident) => return self.suffer(accident, world),
            ShellEvent::Loaded(generation) => {
                if self.loaders[&generation] {
                    return self.input(Input::Loaded { generation }, world);
                }
            }
            ShellEvent::LoaderEnds(generation) => self.end_loader(generation, world),
            ShellEvent::LoaderEnded(generation) => {
                let why = "it ended".to_owned();
                return self.input(Input::LoaderEnded { generation, why }, world);
            }
            ShellEvent::Forked(id) => return self.forked(id, world),
            ShellEvent::Armed(id) => return self.input(Input::Armed(id), world),
            ShellEvent::Resumes(id) => self.resume(id, world),
            ShellEvent::WorkerEnded(worker, orderly) => {
                self.pages.end(worker);
                let how = "it ended".to_owned();
                return self.input(Input::WorkerEnded { worker, orderly, how }, world);
            }
            ShellEvent::SocketsClose(id) => {
                if let Some(participant) = self.workers[&id].participant {
                    world.close_sockets(participant);
                }
            }
            ShellEvent::SocketsClosed(id) => {
                self.worker_mut(id).state = WorkerState::Closed;
                self.pages.close(id);
                return self.input(Input::SocketsClosed(id), world);
            }
        }
        Ok(())
    }

    /// Passes an input to the supervisor: at once, or after the workers have gone on for a while
    /// between the two halves of its read.
    fn input(&mut self, input: Input, world: &mut World<'_>) -> Result<(), String> {
        let adopted = self.pages.adopted();
        if self.random.chance(100) {
            let ends_at = Nanos(world.now().0 + self.random.between(1, 2_000_000));
            self.reading = Some(HalfRead { input, adopted, ends_at });
            return Ok(());
        }
        self.handle(input, &adopted, world)
    }

    fn handle(
        &mut self,
        input: Input,
        adopted: &BTreeMap<WorkerId, u32>,
        world: &mut World<'_>,
    ) -> Result<(), String> {
        if *adopted != self.pages.adopted() {
            self.marks.push(Mark::TornRead);
        }
        let pages = Rc::clone(&self.pages);
        let now = world.now();
        self.supervisor.handle(input, now, |id| pages.read(id, adopted));
        while let Some(action) = self.supervisor.pop() {
            self.carry_out(action, world)?;
        }
        let soon = self.supervisor.is_dividing();
        let soon = soon.then(|| Nanos(now.0 + self.random.between(1_000_000, 10_000_000)));
        let deadline = self.supervisor.deadline().map(|at| at.max(Nanos(now.0 + 1)));
        self.tick_at = soon.into_iter().chain(deadline).min();
        Ok(())
    }

    fn carry_out(&mut self, action: Action, world: &mut World<'_>) -> Result<(), String> {
        self.trace(world, || format!("--> {action:?}"));
        let now = world.now();
        match action {
            Action::Load { generation } => self.load(generation, world),
            Action::Fork(id) => self.fork(id, now),
            Action::Release { generation } => {
                let at = Nanos(now.0 + self.random.below(3_000_000));
                self.events.schedule(at, ShellEvent::LoaderEnds(generation));
            }
            Action::KillLoader { generation } => self.end_loader(generation, world),
            Action::Allow(id, allowance) => self.allow(id, allowance),
            Action::Retire(id) => {
                let in_use = self.pages.of(id).usage.connections > 0;
                self.marks.extend(in_use.then_some(Mark::RetiredInUse));
                self.worker_mut(id).retires = true;
                self.tell_to_end(id, RETIRE, world);
            }
            Action::Drain(id) => self.tell_to_end(id, SIGTERM, world),
            Action::Kick(id) => self.signal(id, TRY_ACCEPTS, world),
            Action::Kill(id) => self.kill(id, world),
            Action::Report(report) => return self.reported(report),
            Action::Exit(outcome) => self.outcome = Some(outcome),
        }
        Ok(())
    }

    fn reported(&mut self, report: Report) -> Result<(), String> {
        match &report {
            Report::Hangs(id) => {
                if !self.workers[id].hangs {
                    return Err(format!("{id:?} takes turns, and is taken for one that hangs"));
                }
                self.marks.push(Mark::HangKilled);
            }
            Report::ReloadFailed { .. } => self.marks.push(Mark::ReloadFailed),
            Report::TooManyDeaths => self.marks.push(Mark::TooManyDeaths),
            Report::LoaderLost { .. } => self.marks.push(Mark::LoaderLost),
            Report::Ready { .. } | Report::Reloaded { .. } | Report::Replacing { .. } => {}
        }
        self.reports.push(report);
        Ok(())
    }

    fn load(&mut self, generation: u32, world: &mut World<'_>) {
        self.loaders.insert(generation, true);
        if generation > 1 {
            world.crowd.add_page(self.plan.page_of(generation));
        }
        let at = Nanos(world.now().0 + self.random.below(800_000_000));
        let is_faulty = self.random.chance(if generation == 1 { 20 } else { 150 });
        let event = if is_faulty {
            ShellEvent::LoaderEnds(generation)
        } else {
            ShellEvent::Loaded(generation)
        };
        self.events.schedule(at, event);
    }

    /// Ends a loader; the workers that it had still to fork never come to be.
    fn end_loader(&mut self, generation: u32, world: &mut World<'_>) {
        let Some(lives) = self.loaders.get_mut(&generation) else { return };
        if !std::mem::replace(lives, false) {
            return;
        }
        let at = Nanos(world.now().0 + self.random.below(LOADER_REPORT_NS));
        self.events.schedule(at, ShellEvent::LoaderEnded(generation));
        for (&id, worker) in &mut self.workers {
            if id.generation == generation && worker.state == WorkerState::Forking {
                worker.state = WorkerState::Ended;
                self.events.schedule(at, ShellEvent::WorkerEnded(id, false));
                self.events.schedule(at, ShellEvent::SocketsClosed(id));
            }
        }
    }

    fn fork(&mut self, id: WorkerId, now: Nanos) {
        self.pages.open(id);
        let lives = self.loaders[&id.generation];
        let state = if lives { WorkerState::Forking } else { WorkerState::Ended };
        let worker = WorkerProcess {
            participant: None,
            state,
            is_armed: false,
            hangs: false,
            has_hung: false,
            ends_at: None,
            retires: false,
            signals: Vec::new(),
        };
        self.workers.insert(id, worker);
        if lives {
            let at = Nanos(now.0 + self.random.below(40_000_000));
            self.events.schedule(at, ShellEvent::Forked(id));
        } else {
            // The supervisor learns of the end of the loader first.
            let at = Nanos(now.0 + LOADER_REPORT_NS);
            self.events.schedule(at, ShellEvent::WorkerEnded(id, false));
            self.events.schedule(at, ShellEvent::SocketsClosed(id));
        }
    }

    fn forked(&mut self, id: WorkerId, world: &mut World<'_>) -> Result<(), String> {
        if self.workers[&id].state != WorkerState::Forking {
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
        let link = PageLink { pages: Rc::clone(&self.pages), id };
        self.pages.begin_wait(id);
        let server = Server::supervised(engine, site, self.plan.config, Box::new(link));
        let participant = world.add(Participant::server(server));
        let worker = self.worker_mut(id);
        worker.participant = Some(participant);
        worker.state = WorkerState::Runs;
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
                self.end(id, true, world);
                Ok(())
            }
            _ => Err(format!("{id:?} ended with {turn:?}")),
        }
    }

    fn allow(&mut self, id: WorkerId, allowance: u32) {
        let before = self.pages.of(id).allowance;
        if allowance < before {
            self.lowered = true;
        } else if std::mem::take(&mut self.lowered) {
            self.marks.push(Mark::AllowanceMoved);
        }
        self.pages.set_allowance(id, allowance);
    }

    fn tell_to_end(&mut self, id: WorkerId, signal: u32, world: &mut World<'_>) {
        self.worker_mut(id).ends_at.get_or_insert(world.now());
        self.signal(id, signal, world);
    }

    fn signal(&mut self, id: WorkerId, number: u32, world: &mut World<'_>) {
        let at = Nanos(world.now().0 + self.random.below(200_000));
        let worker = self.worker_mut(id);
        match (worker.state, worker.participant) {
            (WorkerState::Forking, _) => worker.signals.push(number),
            (WorkerState::Runs, Some(index)) => world.engine(index).signal_at(at, number),
            _ => {}
        }
    }

    fn suffer(&mut self, accident: Accident, world: &mut World<'_>) -> Result<(), String> {
        match accident {
            Accident::Reload => {
                let is_busy = self.loaders.values().filter(|lives| **lives).count() > 1;
                self.marks.extend(is_busy.then_some(Mark::ReloadRemembered));
                return self.input(Input::Reload, world);
            }
            Accident::Terminate => {
                let loads = self.loaders.values().filter(|lives| **lives).count() > 1;
                self.marks.extend(loads.then_some(Mark::TerminatedInReload));
                self.terminated_at.get_or_insert(world.now());
                return self.input(Input::Terminate(libc::SIGTERM), world);
            }
            Accident::WorkerDies => {
                if let Some(id) = self.draw_worker(|_| true) {
                    self.die(id, world);
                }
            }
            Accident::WorkerDiesWoken => self.awaits_wake_up = true,
            Accident::WorkerHangs(for_ns) => {
                if let Some(id) = self.draw_worker(|worker| worker.is_armed && !worker.hangs) {
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
    fn draw_worker(&mut self, is_meant: impl Fn(&WorkerProcess) -> bool) -> Option<WorkerId> {
        let running = self.workers.iter().filter(|(_, it)| it.state == WorkerState::Runs);
        let meant: Vec<_> = running.filter(|(_, it)| is_meant(it)).map(|(&id, _)| id).collect();
        (!meant.is_empty()).then(|| self.random.pick(&meant))
    }

    fn kill_woken(&mut self, world: &mut World<'_>) {
        if !self.awaits_wake_up {
            return;
        }
        let woken = self.workers.iter().find(|(_, worker)| {
            let participant = worker.participant.filter(|_| worker.state == WorkerState::Runs);
            participant.is_some_and(|index| world.engine(index).has_woken_accept())
        });
        if let Some((&id, _)) = woken {
            self.awaits_wake_up = false;
            self.die(id, world);
        }
    }

    fn hang(&mut self, id: WorkerId, for_ns: Option<u64>, world: &mut World<'_>) {
        let worker = self.workers.get_mut(&id).expect("it was drawn from the map");
        (worker.hangs, worker.has_hung) = (true, true);
        world.hang(worker.participant.expect("it runs"));
        if let Some(nanos) = for_ns {
            let at = Nanos(world.now().0 + nanos);
            self.events.schedule(at, ShellEvent::Resumes(id));
        }
    }

    fn resume(&mut self, id: WorkerId, world: &mut World<'_>) {
        let worker = self.worker_mut(id);
        if worker.state == WorkerState::Runs {
            worker.hangs = false;
            world.resume(worker.participant.expect("it runs"));
            self.marks.push(Mark::WorkerHung);
        }
    }

    /// Ends a worker by an accident.
    fn die(&mut self, id: WorkerId, world: &mut World<'_>) {
        self.marks.push(Mark::WorkerDied);
        if self.workers.iter().any(|(other, it)| other.generation == id.generation && !it.is_armed)
        {
            self.marks.push(Mark::WorkerDiedArming);
        }
        self.end(id, false, world);
    }

    fn kill(&mut self, id: WorkerId, world: &mut World<'_>) {
        if self.workers[&id].state == WorkerState::Runs {
            self.end(id, false, world);
        }
    }

    /// Ends the process of a worker; the supervisor learns of it, and the kernel closes the
    /// sockets, each after a while and in any order.
    fn end(&mut self, id: WorkerId, orderly: bool, world: &mut World<'_>) {
        let now = world.now();
        let worker = self.worker_mut(id);
        (worker.state, worker.hangs) = (WorkerState::Ended, false);
        world.kill(worker.participant.expect("it runs"));
        let reported = Nanos(now.0 + self.draw_delay());
        let closed = Nanos(now.0 + self.draw_delay());
        self.events.schedule(reported, ShellEvent::WorkerEnded(id, orderly));
        self.events.schedule(closed, ShellEvent::SocketsClose(id));
        let both = Nanos(reported.max(closed).0 + self.random.below(5_000_000));
        self.events.schedule(both, ShellEvent::SocketsClosed(id));
    }

    fn draw_delay(&mut self) -> u64 {
        match self.random.below(3) {
            0 => self.random.below(500_000),
            1 => self.random.below(5_000_000),
            _ => self.random.below(100_000_000),
        }
    }

    fn worker_mut(&mut self, id: WorkerId) -> &mut WorkerProcess {
        self.workers.get_mut(&id).expect("it was forked")
    }

    /// A worker that has to accept what is in an accept queue, unless the supervisor waits for the
    /// end of a worker that hangs or for the sockets of one that ended.
    pub(super) fn worker_with_a_free_slot(&self, world: &mut World<'_>) -> Option<WorkerId> {
        let holds_up = |it: &WorkerProcess| it.hangs || it.state == WorkerState::Ended;
        if self.workers.values().any(holds_up) {
            return None;
        }
        let mut serving = self.serving();
        serving.find(|&id| {
            let page = self.pages.of(id);
            let participant = self.workers[&id].participant.expect("it serves");
            let occupied = world.engine(participant).occupied();
            (page.allowance.min(page.usage.adopted) as usize) > occupied
        })
    }

    /// The workers that accept connections, and go on with it.
    fn serving(&self) -> impl Iterator<Item = WorkerId> {
        let serves = |it: &WorkerProcess| {
            it.state == WorkerState::Runs && it.is_armed && it.ends_at.is_none()
        };
        self.workers.iter().filter(move |(_, it)| serves(it)).map(|(&id, _)| id)
    }

    /// Whether one generation is complete, has all slots, and is alone.
    pub(super) fn is_whole(&self) -> bool {
        let is_alive = |it: &&WorkerProcess| it.state != WorkerState::Closed;
        let (serving, alive) = (self.serving().count(), self.workers.values().filter(is_alive).count());
        let adopted: u32 = self.serving().map(|id| self.pages.of(id).usage.adopted).sum();
        let settings = self.plan.settings;
        serving == settings.workers as usize && alive == serving && adopted == settings.limit
    }

    /// Whether a worker serves, or is going to by itself.
    pub(super) fn lives(&self) -> bool {
        let is_alive =
            |it: &WorkerProcess| matches!(it.state, WorkerState::Forking | WorkerState::Runs);
        self.workers.values().any(is_alive)
    }

    pub(super) fn schedule(&mut self, at: Nanos, accident: Accident) {
        self.events.schedule(at, ShellEvent::Accident(accident));
    }

    /// Ends all processes, as the supervisor does at its own end.
    pub(super) fn end_all(&mut self, world: &mut World<'_>) {
        for worker in self.workers.values_mut() {
            let Some(participant) = worker.participant else { continue };
            if worker.state == WorkerState::Runs {
                world.kill(participant);
            }
            world.close_sockets(participant);
            worker.state = WorkerState::Closed;
        }
    }

    /// The worker that has, or had, an engine.
    pub(super) fn worker_of(
        &self,
        engine: EngineNumber,
        world: &mut World<'_>,
    ) -> Option<&WorkerProcess> {
        self.workers.values().find(|worker| {
            worker.participant.is_some_and(|index| world.engine(index).number() == Some(engine))
        })
    }

    fn trace(&self, world: &World<'_>, text: impl FnOnce() -> String) {
        if let Some(trace) = self.setup.trace {
            trace(world.now(), "shell", &text());
        }
    }
}

const SIGTERM: u32 = libc::SIGTERM.unsigned_abs();
/// The names of workers in a trace.
const WORKER_NAMES: [&str; 4] = ["w0", "w1", "w2", "w3"];
/// How long the supervisor takes at most to learn of the end of a loader.
const LOADER_REPORT_NS: u64 = 3_000_000;
