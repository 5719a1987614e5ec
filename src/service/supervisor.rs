//! What the supervisor decides, as a state machine without I/O: signals, ends of processes and the
//! passage of time in, [`Order`]s out. `run` carries them out; the simulator does so, too.
//!
//! A *generation* is one loader, which reads the site, and the workers that it forks. At most two
//! generations exist at a time, a serving one and one that replaces it or is being replaced:
//!
//! ```text
//!              site read      all workers armed        no worker left
//!   Loading ──────────► Arming ────────────► Serving ─► Retiring ─────► gone
//!      │                  │                            ▲
//!      │ loader failed    │ a worker failed            │ the next generation serves
//!      └────────┬─────────┘                            │
//!               ▼                                      │
//!   abandoned: its processes are killed; the generation that serves goes on
//! ```
//!
//! A worker that dies in a serving generation is forked again by its loader: the first time at
//! once, then, if it crashes, after a pause that doubles. Processes that are forked by one loader
//! share its address layout, so that repeated crashes could be an attacker's search; after
//! [`DEATHS_MAX`] of them within [`DEATHS_WITHIN`] the generation is replaced as in a reload, and
//! if the new one dies like it, the service ends with an error.

mod contract;
mod generation;
mod slots;

pub use contract::{
    Event, Order, Outcome, Published, Report, SupervisorConfig, WorkerExit, WorkerId,
};
pub use generation::{BACKOFF_MAX, BACKOFF_MIN, DEATHS_MAX, DEATHS_WITHIN};

use super::allowance::SlotShare;
use crate::engine::Nanos;
use generation::{Generation, Phase, Worker, WorkerPhase};
use std::collections::VecDeque;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServiceState {
    Starting,
    Serving,
    Ending,
    Over,
}

/// The state of the whole service.
#[derive(Debug)]
pub struct Supervisor {
    config: SupervisorConfig,
    state: ServiceState,
    generations: Vec<Generation>,
    last_number: u32,
    reload_wanted: bool,
    orders: VecDeque<Order>,
}

impl Supervisor {
    /// A service that starts its first generation.
    ///
    /// # Panics
    /// If no worker is wanted.
    #[must_use]
    pub fn new(config: SupervisorConfig) -> Self {
        assert!(config.workers > 0, "a service has a worker");
        let mut supervisor = Self {
            config,
            state: ServiceState::Starting,
            generations: Vec::new(),
            last_number: 0,
            reload_wanted: false,
            orders: VecDeque::new(),
        };
        supervisor.load(false);
        supervisor
    }

    /// Takes an event. `published` has what each living worker has in shared memory.
    pub fn handle(&mut self, event: Event, now: Nanos, published: impl Fn(WorkerId) -> Published) {
        self.read(now, published);
        match event {
            Event::Reload => self.reload(),
            Event::Terminate(signal) => self.terminate(signal),
            Event::Loaded { generation } => self.loaded(generation, now),
            Event::LoaderEnded { generation, why } => self.loader_ended(generation, why),
            Event::Armed(worker) => self.armed(worker, now),
            Event::WorkerEnded { worker, exit, how } => {
                self.worker_ended(worker, exit, how, now);
            }
            Event::SocketsClosed(worker) => self.sockets_closed(worker),
            Event::Tick => {}
        }
        self.fork_due(now);
        self.kill_hanging(now);
        self.divide();
        self.finish_generations();
    }

    /// The next order.
    pub fn pop(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    /// When [`Event::Tick`] is due at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Nanos> {
        let SupervisorConfig { worker_timeout, .. } = self.config;
        let of_worker = |worker: &Worker| match (worker.state, worker.asked) {
            (WorkerPhase::Due(at), _) => Some(at),
            (WorkerPhase::Dead, _) => None,
            (WorkerPhase::Starting | WorkerPhase::Serving | WorkerPhase::Ending, None) => {
                self.config.asked_after().map(|time| worker.moved.plus(time))
            }
            (WorkerPhase::Starting | WorkerPhase::Serving | WorkerPhase::Ending, Some(at)) => {
                (!worker_timeout.is_zero()).then(|| worker.hangs_at(at, worker_timeout))
            }
        };
        self.workers().filter_map(of_worker).min()
    }

    fn workers(&self) -> impl Iterator<Item = &Worker> {
        self.generations.iter().flat_map(|generation| &generation.workers)
    }

    fn worker_mut(&mut self, id: WorkerId) -> Option<&mut Worker> {
        let mut workers =
            self.generations.iter_mut().flat_map(|generation| &mut generation.workers);
        workers.find(|worker| worker.id == id)
    }

    fn generation_mut(&mut self, number: u32) -> Option<&mut Generation> {
        self.generations.iter_mut().find(|generation| generation.number == number)
    }

    fn read(&mut self, now: Nanos, published: impl Fn(WorkerId) -> Published) {
        let limit = self.config.limit;
        for worker in self.generations.iter_mut().flat_map(|generation| &mut generation.workers) {
            if matches!(worker.state, WorkerPhase::Due(_) | WorkerPhase::Dead) {
                continue;
            }
            let Published { adopted, in_use, turns } = published(worker.id);
            worker.share.adopted = adopted.min(limit);
            worker.share.in_use = in_use.min(limit);
            if turns != worker.turns {
                worker.turns = turns;
                worker.moved = now;
                worker.asked = None;
            }
        }
    }

    fn load(&mut self, after_deaths: bool) {
        self.last_number += 1;
        let number = self.last_number;
        self.generations.push(Generation {
            number,
            phase: Phase::Loading,
            has_loader: true,
            after_deaths,
            serves_since: Nanos(0),
            deaths: VecDeque::new(),
            killed_at: None,
            workers: Vec::new(),
        });
        self.orders.push_back(Order::Load { generation: number });
    }

    /// Starts a generation in place of one that can't be made whole, unless one is on its way.
    fn load_instead(&mut self, after_deaths: bool) {
        if self.state != ServiceState::Ending && !self.is_loading() {
            self.load(after_deaths);
        }
    }

    fn is_loading(&self) -> bool {
        let loads = |phase| matches!(phase, Phase::Loading | Phase::Arming);
        self.generations.iter().any(|generation| loads(generation.phase))
    }

    /// One reload at a time: one more is remembered, since it may be meant for a later site.
    fn reload(&mut self) {
        match self.state {
            ServiceState::Ending | ServiceState::Over => {}
            ServiceState::Starting => self.reload_wanted = true,
            ServiceState::Serving if self.generations.len() > 1 => self.reload_wanted = true,
            ServiceState::Serving => self.load(false),
        }
    }

    fn terminate(&mut self, signal: i32) {
        if matches!(self.state, ServiceState::Ending | ServiceState::Over) {
            self.exit(Outcome::Forced(signal));
            return;
        }
        self.state = ServiceState::Ending;
        self.reload_wanted = false;
        for place in (0..self.generations.len()).rev() {
            match self.generations[place].phase {
                Phase::Loading | Phase::Arming => self.abandon(place),
                Phase::Serving | Phase::Retiring => {
                    self.release_loader(place);
                    for worker in &mut self.generations[place].workers {
                        if let WorkerPhase::Due(_) = worker.state {
                            worker.state = WorkerPhase::Dead;
                            worker.share = SlotShare::default();
                        } else if worker.state != WorkerPhase::Dead {
                            worker.state = WorkerPhase::Ending;
                            self.orders.push_back(Order::Drain(worker.id));
                        }
                    }
                }
            }
        }
    }

    /// No more workers are forked. The loader has the listeners, too, so it must not outlive their
    /// use.
    fn release_loader(&mut self, place: usize) {
        let generation = &mut self.generations[place];
        if std::mem::take(&mut generation.has_loader) {
            self.orders.push_back(Order::Release { generation: generation.number });
        }
    }

    fn loaded(&mut self, number: u32, now: Nanos) {
        let workers = self.config.workers;
        let Some(generation) = self.generation_mut(number) else { return };
        if generation.phase != Phase::Loading {
            return;
        }
        generation.phase = Phase::Arming;
        let new = |nth| Worker {
            id: WorkerId { generation: number, number: nth, life: 0 },
            state: WorkerPhase::Due(now),
            share: SlotShare::default(),
            turns: 0,
            moved: now,
            asked: None,
        };
        generation.workers = (0..workers).map(new).collect();
    }

    fn loader_ended(&mut self, number: u32, why: String) {
        let Some(place) = self.generations.iter().position(|it| it.number == number) else {
            return;
        };
        let generation = &mut self.generations[place];
        if !std::mem::take(&mut generation.has_loader) {
            // It was told to end.
            return;
        }
        match generation.phase {
            Phase::Loading | Phase::Arming => self.failed_to_start(place, why),
            Phase::Serving => {
                let workers = &mut generation.workers;
                let before = workers.len();
                workers.retain(|worker| !matches!(worker.state, WorkerPhase::Due(_)));
                let lacks_workers = workers.len() < before;
                self.orders.push_back(Order::Report(Report::LoaderLost { why }));
                if lacks_workers {
                    self.load_instead(false);
                }
            }
            Phase::Retiring => {}
        }
    }

    /// A generation that doesn't serve yet can't: the one before it goes on.
    fn failed_to_start(&mut self, place: usize, why: String) {
        let generation = self.generations[place].number;
        self.abandon(place);
        if self.state == ServiceState::Starting {
            self.exit(Outcome::NotStarted(why));
            return;
        }
        let report = Report::ReloadFailed { generation, why: why.clone() };
        self.orders.push_back(Order::Report(report));
        if self.state == ServiceState::Serving && !self.has_workers() {
            // They died, and nothing would ever replace them.
            self.exit(Outcome::Failed(why));
            return;
        }
        self.reload_if_wanted();
    }

    /// Whether a generation that serves has a worker, or is about to have one again.
    fn has_workers(&self) -> bool {
        let serving = self.generations.iter().filter(|it| it.phase == Phase::Serving);
        serving.flat_map(|it| &it.workers).any(|worker| worker.state != WorkerPhase::Dead)
    }

    /// Kills what a generation has that never served. Its workers may have connections: the
    /// allowance of the first may have been adopted while the last still started.
    fn abandon(&mut self, place: usize) {
        let generation = &mut self.generations[place];
        generation.phase = Phase::Retiring;
        if std::mem::take(&mut generation.has_loader) {
            self.orders.push_back(Order::KillLoader { generation: generation.number });
        }
        for worker in &mut generation.workers {
            match worker.state {
                WorkerPhase::Due(_) => {
                    worker.state = WorkerPhase::Dead;
                    worker.share = SlotShare::default();
                }
                WorkerPhase::Dead => {}
                WorkerPhase::Starting | WorkerPhase::Serving | WorkerPhase::Ending => {
                    worker.state = WorkerPhase::Ending;
                    self.orders.push_back(Order::Kill(worker.id));
                }
            }
        }
        generation
            .workers
            .retain(|worker| worker.state != WorkerPhase::Dead || worker.share.charge() > 0);
    }

    fn armed(&mut self, id: WorkerId, now: Nanos) {
        let Some(worker) = self.worker_mut(id) else { return };
        if worker.state != WorkerPhase::Starting {
            return;
        }
        worker.state = WorkerPhase::Serving;
        worker.moved = now;
        if worker.share.allowance > worker.share.adopted {
            // It was raised while the worker began its first wait, which nothing would end.
            self.orders.push_back(Order::Kick(id));
        }
        let Some(place) = self.generations.iter().position(|it| it.number == id.generation) else {
            return;
        };
        let generation = &self.generations[place];
        let all = generation.workers.iter().all(|worker| worker.state == WorkerPhase::Serving);
        if generation.phase == Phase::Arming && all {
            self.generations[place].serves_since = now;
            self.serve(place);
        }
    }

    /// All workers of a generation are armed: it serves, and those before it retire.
    fn serve(&mut self, place: usize) {
        let number = self.generations[place].number;
        self.generations[place].phase = Phase::Serving;
        for generation in &mut self.generations[..place] {
            if generation.phase != Phase::Serving {
                continue;
            }
            generation.phase = Phase::Retiring;
            if std::mem::take(&mut generation.has_loader) {
                self.orders.push_back(Order::Release { generation: generation.number });
            }
            // It has no process whose end would be reported.
            generation.workers.retain(|worker| !matches!(worker.state, WorkerPhase::Due(_)));
            for worker in &mut generation.workers {
                match worker.state {
                    WorkerPhase::Due(_) | WorkerPhase::Dead => {}
                    WorkerPhase::Starting | WorkerPhase::Serving | WorkerPhase::Ending => {
                        worker.state = WorkerPhase::Ending;
                        self.orders.push_back(Order::Retire(worker.id));
                    }
                }
            }
        }
        let report = if self.state == ServiceState::Starting {
            self.state = ServiceState::Serving;
            Report::Ready { generation: number }
        } else {
            Report::Reloaded { generation: number }
        };
        self.orders.push_back(Order::Report(report));
    }

    fn worker_ended(&mut self, id: WorkerId, exit: WorkerExit, how: String, now: Nanos) {
        let Some(place) = self.generations.iter().position(|it| it.number == id.generation) else {
            return;
        };
        let generation = &mut self.generations[place];
        let Some(worker) = generation.workers.iter_mut().find(|worker| worker.id == id) else {
            return;
        };
        let was = std::mem::replace(&mut worker.state, WorkerPhase::Dead);
        if exit == WorkerExit::Orderly {
            // It closed its connections itself.
            worker.share = SlotShare::default();
        }
        self.kick_all();
        let generation = &mut self.generations[place];
        match generation.phase {
            Phase::Loading | Phase::Retiring => {}
            Phase::Arming => self.failed_to_start(place, how),
            Phase::Serving if self.state == ServiceState::Ending || was == WorkerPhase::Ending => {}
            Phase::Serving => self.replace(place, id, (exit, how), now),
        }
    }

    /// Forks a worker again, or starts a new generation if too many have crashed.
    fn replace(
        &mut self,
        place: usize,
        id: WorkerId,
        (exit, how): (WorkerExit, String),
        now: Nanos,
    ) {
        let generation = &mut self.generations[place];
        let pause = match exit {
            WorkerExit::Killed => generation.pause_after_kill(now),
            WorkerExit::Crashed | WorkerExit::Orderly => generation.pause_after_crash(now),
        };
        let is_doomed = generation.deaths.len() >= DEATHS_MAX;
        if is_doomed && generation.after_deaths && !generation.had_peace() {
            self.exit(Outcome::Failed(how));
            return;
        }
        if is_doomed {
            self.orders.push_back(Order::Report(Report::TooManyDeaths));
        }
        if is_doomed || !generation.has_loader {
            self.load_instead(is_doomed);
            return;
        }
        let next = WorkerId { life: id.life + 1, ..id };
        generation.workers.push(Worker {
            id: next,
            state: WorkerPhase::Due(now.plus(pause)),
            share: SlotShare::default(),
            turns: 0,
            moved: now,
            asked: None,
        });
        self.orders.push_back(Order::Report(Report::Replacing { worker: next, how, pause }));
    }

    fn sockets_closed(&mut self, id: WorkerId) {
        if let Some(generation) = self.generation_mut(id.generation) {
            generation
                .workers
                .retain(|worker| worker.id != id || worker.state != WorkerPhase::Dead);
        }
    }

    fn fork_due(&mut self, now: Nanos) {
        for generation in &mut self.generations {
            for worker in &mut generation.workers {
                if matches!(worker.state, WorkerPhase::Due(at) if at <= now) {
                    worker.state = WorkerPhase::Starting;
                    worker.moved = now;
                    self.orders.push_back(Order::Fork(worker.id));
                }
            }
        }
    }

    fn finish_generations(&mut self) {
        if self.state == ServiceState::Over {
            return;
        }
        let is_over = |generation: &Generation| {
            let is_spent = |it: &Worker| it.state == WorkerPhase::Dead && it.share.charge() == 0;
            match self.state {
                ServiceState::Ending => generation.workers.iter().all(is_spent),
                // Until the sockets of its workers are closed, which limits the number of processes
                // that end at the same time.
                _ => generation.phase == Phase::Retiring && generation.workers.is_empty(),
            }
        };
        let before = self.generations.len();
        self.generations.retain(|generation| !is_over(generation));
        if self.state == ServiceState::Ending && self.generations.is_empty() {
            self.exit(Outcome::Drained);
        } else if self.generations.len() < before {
            self.reload_if_wanted();
        }
    }

    fn reload_if_wanted(&mut self) {
        let is_free = self.generations.len() == 1 && self.state == ServiceState::Serving;
        if is_free && std::mem::take(&mut self.reload_wanted) {
            self.load(false);
        }
    }

    fn exit(&mut self, outcome: Outcome) {
        if self.state != ServiceState::Over {
            self.state = ServiceState::Over;
            self.orders.push_back(Order::Exit(outcome));
        }
    }
}

#[cfg(test)]
mod tests;
