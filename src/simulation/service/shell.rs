//! A model of the process around the supervisor: passes on what happens, and carries out the
//! actions, each after a time of its own.

use super::pages::ModelPages;
use super::plan::{Accident, ServicePlan};
use crate::engine::Nanos;
use crate::engine::sim::{EventQueue, Random, SimSetup};
use crate::server::{RETIRE, TRY_ACCEPTS};
use crate::service::supervisor::{Event, Order, Outcome, Report, Supervisor, WorkerExit, WorkerId};
use crate::simulation::coverage::Mark;
use crate::simulation::world::{ParticipantIndex, World};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The supervisor and the processes that it has.
pub(super) struct ShellModel {
    supervisor: Supervisor,
    pub(super) plan: Rc<ServicePlan>,
    pub(super) setup: SimSetup,
    pub(super) pages: Rc<ModelPages>,
    pub(super) workers: BTreeMap<WorkerId, SimulatedWorker>,
    /// Whether the loader of each generation lives.
    pub(super) loaders: BTreeMap<u32, bool>,
    pub(super) events: EventQueue<ShellEvent>,
    /// When the supervisor looks at the published numbers again.
    tick_at: Option<Nanos>,
    /// An input that is being handled: the supervisor has read half of the published numbers.
    reading: Option<HalfRead>,
    /// Kill the next worker that has a woken accept.
    pub(super) awaits_wake_up: bool,
    lowered: bool,
    pub(super) terminated_at: Option<Nanos>,
    pub(super) reports: Vec<Report>,
    pub(super) outcome: Option<Outcome>,
    pub(super) marks: Vec<Mark>,
    pub(super) random: Random,
}

/// A worker process.
#[derive(Debug)]
pub(super) struct SimulatedWorker {
    pub(super) participant: Option<ParticipantIndex>,
    pub(super) stage: SimulatedStage,
    pub(super) is_armed: bool,
    pub(super) hang: Hang,
    /// When it was told to retire or to drain.
    pub(super) ends_at: Option<Nanos>,
    pub(super) retires: bool,
    /// Signals from before the fork.
    pub(super) signals: Vec<u32>,
}

/// Whether a worker takes no turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hang {
    Never,
    Now,
    Past,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SimulatedStage {
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
    input: Event,
    adopted: BTreeMap<WorkerId, u32>,
    ends_at: Nanos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ShellEvent {
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
    /// The supervisor learns that a worker ended.
    WorkerEnded(WorkerId, WorkerExit),
    /// The kernel closes the sockets of a worker that ended.
    SocketsClose(WorkerId),
    /// The supervisor learns of that.
    SocketsClosed(WorkerId),
}

impl ShellModel {
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
                self.input(Event::Tick, world)?;
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
                    return self.input(Event::Loaded { generation }, world);
                }
            }
            ShellEvent::LoaderEnds(generation) => self.end_loader(generation, world),
            ShellEvent::LoaderEnded(generation) => {
                let why = "it ended".to_owned();
                return self.input(Event::LoaderEnded { generation, why }, world);
            }
            ShellEvent::Forked(id) => return self.forked(id, world),
            ShellEvent::Armed(id) => return self.input(Event::Armed(id), world),
            ShellEvent::Resumes(id) => self.resume(id, world),
            ShellEvent::WorkerEnded(worker, exit) => {
                self.pages.end(worker);
                let how = "it ended".to_owned();
                return self.input(Event::WorkerEnded { worker, exit, how }, world);
            }
            ShellEvent::SocketsClose(id) => {
                if let Some(participant) = self.workers[&id].participant {
                    world.close_sockets(participant);
                }
            }
            ShellEvent::SocketsClosed(id) => {
                self.worker_mut(id).stage = SimulatedStage::Closed;
                self.pages.close(id);
                return self.input(Event::SocketsClosed(id), world);
            }
        }
        Ok(())
    }

    /// Passes an input to the supervisor: at once, or after the workers have gone on for a while
    /// between the two halves of its read.
    pub(super) fn input(&mut self, input: Event, world: &mut World<'_>) -> Result<(), String> {
        let adopted = self.pages.adopted();
        let is_torn = if self.supervisor.is_dividing() { 300 } else { 50 };
        if self.random.chance(is_torn) {
            let ends_at = Nanos(world.now().0 + self.random.between(1, 20_000_000));
            self.reading = Some(HalfRead { input, adopted, ends_at });
            return Ok(());
        }
        self.handle(input, &adopted, world)
    }

    fn handle(
        &mut self,
        input: Event,
        adopted: &BTreeMap<WorkerId, u32>,
        world: &mut World<'_>,
    ) -> Result<(), String> {
        if *adopted != self.pages.adopted() {
            self.marks.push(Mark::TornRead);
        }
        let pages = Rc::clone(&self.pages);
        let now = world.now();
        self.supervisor.handle(input, now, |id| pages.read(id, adopted));
        while let Some(action) = self.supervisor.pop().filter(|_| self.outcome.is_none()) {
            self.carry_out(action, world)?;
        }
        let soon = self.supervisor.is_dividing();
        let soon = soon.then(|| Nanos(now.0 + self.random.between(1_000_000, 10_000_000)));
        let deadline = self.supervisor.deadline().map(|at| at.max(Nanos(now.0 + 1)));
        self.tick_at = soon.into_iter().chain(deadline).min();
        Ok(())
    }

    fn carry_out(&mut self, action: Order, world: &mut World<'_>) -> Result<(), String> {
        self.trace(world, || format!("--> {action:?}"));
        let now = world.now();
        match action {
            Order::Load { generation } => self.load(generation, world),
            Order::Fork(id) => self.fork(id, now),
            Order::Release { generation } => {
                let at = Nanos(now.0 + self.random.below(3_000_000));
                self.events.schedule(at, ShellEvent::LoaderEnds(generation));
            }
            Order::KillLoader { generation } => self.end_loader(generation, world),
            Order::Allow(id, allowance) => return self.allow(id, allowance, now),
            Order::Retire(id) => {
                self.check_successors(id)?;
                let in_use = self.pages.of(id).usage.connections > 0;
                self.marks.extend(in_use.then_some(Mark::RetiredInUse));
                self.worker_mut(id).retires = true;
                self.tell_to_end(id, RETIRE, world);
            }
            Order::Drain(id) => self.tell_to_end(id, SIGTERM, world),
            Order::Kick(id) => self.signal(id, TRY_ACCEPTS, world),
            Order::Kill(id) => self.kill(id, world),
            Order::Report(report) => return self.reported(report),
            Order::Exit(outcome) => self.outcome = Some(outcome),
        }
        Ok(())
    }

    fn reported(&mut self, report: Report) -> Result<(), String> {
        match &report {
            Report::Hangs(id) => {
                if self.workers[id].hang != Hang::Now {
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

    fn allow(&mut self, id: WorkerId, allowance: u32, now: Nanos) -> Result<(), String> {
        let slots = self.plan.config.spawn;
        if allowance > slots {
            return Err(format!("{id:?} may use {allowance} slots, and has {slots}"));
        }
        let before = self.pages.of(id).allowance;
        if allowance < before && self.announces_drain(id, now) {
            return Err(format!("{id:?} loses slots while it still accepts connections"));
        }
        if allowance < before {
            self.lowered = true;
        } else if std::mem::take(&mut self.lowered) {
            self.marks.push(Mark::AllowanceMoved);
        }
        let lags = allowance < before && self.random.chance(200);
        self.pages.set_allowance(id, allowance, lags);
        Ok(())
    }

    pub(super) fn worker_mut(&mut self, id: WorkerId) -> &mut SimulatedWorker {
        self.workers.get_mut(&id).expect("it was forked")
    }

    pub(super) fn schedule(&mut self, at: Nanos, accident: Accident) {
        self.events.schedule(at, ShellEvent::Accident(accident));
    }

    pub(super) fn trace(&self, world: &World<'_>, text: impl FnOnce() -> String) {
        if let Some(trace) = self.setup.trace {
            trace(world.now(), "shell", &text());
        }
    }
}

const SIGTERM: u32 = libc::SIGTERM.unsigned_abs();
