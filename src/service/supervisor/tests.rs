//! The supervisor against a model of its processes, which arm, die and adopt allowances at any
//! moment, in any order.

mod any_order;
mod turns;

use super::*;
use std::collections::BTreeMap;
use std::time::Duration;

const LIMIT: u32 = 12;
const WORKERS: u32 = 3;

/// A process of the model.
#[derive(Clone, Debug, Default)]
struct Process {
    allowance: u32,
    published: Published,
    armed: bool,
    ends: bool,
    ended: bool,
}

/// All processes, and what the supervisor has done to them.
struct World {
    supervisor: Supervisor,
    now: Nanos,
    loaders: BTreeMap<u32, bool>,
    workers: BTreeMap<WorkerId, Process>,
    reports: Vec<Report>,
    outcome: Option<Outcome>,
}

impl World {
    fn new() -> Self {
        let config = SupervisorConfig {
            workers: WORKERS,
            limit: LIMIT,
            worker_timeout: Duration::from_secs(10),
            watchdog: Duration::ZERO,
        };
        let mut world = Self {
            supervisor: Supervisor::new(config),
            now: Nanos(0),
            loaders: BTreeMap::new(),
            workers: BTreeMap::new(),
            reports: Vec::new(),
            outcome: None,
        };
        world.carry_out();
        world
    }

    fn input(&mut self, event: Event) {
        if self.outcome.is_some() {
            return;
        }
        let workers = &self.workers;
        self.supervisor.handle(event, self.now, |id| {
            workers.get(&id).map_or(Published::default(), |process| process.published)
        });
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(action) = self.supervisor.pop() {
            match action {
                Order::Load { generation } => {
                    assert!(self.loaders.insert(generation, false).is_none(), "one loader each");
                }
                Order::Fork(id) => {
                    assert!(self.loaders[&id.generation], "only a loader that has read can fork");
                    assert!(self.workers.insert(id, Process::default()).is_none());
                }
                Order::Release { generation } | Order::KillLoader { generation } => {
                    self.loaders.remove(&generation);
                }
                Order::Allow(id, allowance) => {
                    self.workers.get_mut(&id).expect("it was forked").allowance = allowance;
                }
                Order::Retire(id) | Order::Drain(id) => {
                    self.workers.get_mut(&id).expect("it was forked").ends = true;
                }
                Order::Kick(id) => {
                    let process = self.workers.get_mut(&id).expect("it was forked");
                    process.published.turns += 1;
                }
                Order::Kill(id) => self.workers.get_mut(&id).expect("it was forked").ended = true,
                Order::Report(report) => self.reports.push(report),
                Order::Exit(outcome) => self.outcome = Some(outcome),
            }
        }
        let used: u32 = self.workers.values().map(|process| process.published.in_use).sum();
        assert!(used <= LIMIT, "{used} connections: {:?}", self.workers);
    }

    fn nth(&self, nth: usize) -> Option<WorkerId> {
        let ids: Vec<_> = self.workers.keys().copied().collect();
        (!ids.is_empty()).then(|| ids[nth % ids.len()])
    }

    /// Has the nth process do something, if there is one.
    fn of(&mut self, nth: usize, act: impl FnOnce(&mut Self, WorkerId)) {
        if let Some(id) = self.nth(nth) {
            act(self, id);
        }
    }

    fn adopt(&mut self, id: WorkerId) {
        let process = self.workers.get_mut(&id).expect("it is on the list");
        if !process.ended {
            process.published.adopted = process.allowance;
            process.published.turns += 1;
        }
    }

    fn arm(&mut self, id: WorkerId) {
        let process = self.workers.get_mut(&id).expect("it is on the list");
        if !process.ended && !std::mem::replace(&mut process.armed, true) {
            self.input(Event::Armed(id));
        }
    }

    fn accept(&mut self, id: WorkerId) {
        let process = self.workers.get_mut(&id).expect("it is on the list");
        let Published { adopted, in_use, .. } = process.published;
        if process.armed && !process.ends && !process.ended && in_use < adopted {
            process.published.in_use += 1;
        }
    }

    fn close(&mut self, id: WorkerId) {
        let process = self.workers.get_mut(&id).expect("it is on the list");
        process.published.in_use = process.published.in_use.saturating_sub(1);
    }

    /// Ends the process; its connections are closed by the kernel at a later moment.
    fn die(&mut self, id: WorkerId, orderly: bool) {
        let process = self.workers.get_mut(&id).expect("it is on the list");
        process.ended = true;
        if orderly {
            process.published.in_use = 0;
        }
        let exit = if orderly { WorkerExit::Orderly } else { WorkerExit::Crashed };
        self.input(Event::WorkerEnded { worker: id, exit, how: "it died".to_owned() });
        let process = self.workers.get_mut(&id).expect("it is on the list");
        process.published.in_use = 0;
        self.input(Event::SocketsClosed(id));
        self.workers.remove(&id);
    }

    /// Lets everything happen that is going to, without further faults.
    fn settle(&mut self) {
        for _ in 0..60 {
            self.now = self.now.plus(Duration::from_millis(500));
            let loading: Vec<u32> =
                self.loaders.iter().filter(|it| !it.1).map(|it| *it.0).collect();
            for generation in loading {
                self.load(generation);
            }
            for id in self.workers.keys().copied().collect::<Vec<_>>() {
                self.adopt(id);
                self.arm(id);
                if self.workers[&id].ended {
                    self.die(id, false);
                } else if self.workers[&id].ends {
                    self.die(id, true);
                }
            }
            self.input(Event::Tick);
        }
    }

    fn load(&mut self, generation: u32) {
        if let Some(loaded) = self.loaders.get_mut(&generation) {
            *loaded = true;
            self.input(Event::Loaded { generation });
        }
    }

    fn lose_loader(&mut self, generation: u32, why: &str) {
        if self.loaders.remove(&generation).is_some() {
            self.input(Event::LoaderEnded { generation, why: why.to_owned() });
        }
    }

    fn serving(&self) -> Vec<WorkerId> {
        let serves = |process: &Process| process.armed && !process.ends && !process.ended;
        self.workers.iter().filter(|it| serves(it.1)).map(|it| *it.0).collect()
    }

    fn assert_whole(&self) {
        assert_eq!(self.outcome, None, "{:?}", self.reports);
        assert_eq!(self.serving().len(), WORKERS as usize, "{:?}", self.workers);
        assert_eq!(self.workers.len(), WORKERS as usize, "{:?}", self.workers);
        let granted: u32 = self.workers.values().map(|process| process.published.adopted).sum();
        assert_eq!(granted, LIMIT, "all slots are granted again: {:?}", self.workers);
        assert_eq!(self.loaders.len(), 1, "one loader is left as the mould of replacements");
    }
}

#[test]
fn first_generation_is_announced_when_all_workers_are_armed() {
    let mut world = World::new();
    world.load(1);
    let ids: Vec<_> = world.workers.keys().copied().collect();
    assert_eq!(ids.len(), 3);
    world.arm(ids[0]);
    world.arm(ids[1]);
    assert_eq!(world.reports, []);
    world.arm(ids[2]);
    assert_eq!(world.reports, [Report::Ready { generation: 1 }]);
    world.settle();
    world.assert_whole();
}

#[test]
fn site_that_cannot_be_read_at_start_ends_the_service() {
    let mut world = World::new();
    world.lose_loader(1, "no such folder");
    assert_eq!(world.outcome, Some(Outcome::NotStarted("no such folder".to_owned())));
}

#[test]
fn reload_that_fails_leaves_the_serving_generation_alone() {
    let mut world = World::new();
    world.settle();
    let before = world.serving();
    world.input(Event::Reload);
    world.lose_loader(2, "a rule is wrong");
    assert_eq!(world.serving(), before);
    let why = "a rule is wrong".to_owned();
    assert_eq!(world.reports.last(), Some(&Report::ReloadFailed { generation: 2, why }));
    world.settle();
    world.assert_whole();
    assert_eq!(world.serving(), before);
}

#[test]
fn workers_retire_only_when_their_successors_are_armed() {
    let mut world = World::new();
    world.settle();
    world.input(Event::Reload);
    world.load(2);
    let new: Vec<_> = world.workers.keys().copied().filter(|id| id.generation == 2).collect();
    world.arm(new[0]);
    world.arm(new[1]);
    assert!(world.workers.values().all(|process| !process.ends), "the last one still starts");
    world.arm(new[2]);
    let ends = |id: &WorkerId| world.workers[id].ends;
    assert!(world.workers.keys().all(|id| ends(id) == (id.generation == 1)));
    world.settle();
    world.assert_whole();
}

#[test]
fn second_reload_during_a_reload_follows_it_once() {
    let mut world = World::new();
    world.settle();
    world.input(Event::Reload);
    world.input(Event::Reload);
    world.input(Event::Reload);
    world.settle();
    world.assert_whole();
    assert_eq!(world.serving()[0].generation, 3);
}

#[test]
fn dead_worker_is_replaced_at_once_and_its_slots_follow_its_sockets() {
    let mut world = World::new();
    world.settle();
    let id = world.serving()[1];
    let slots = world.workers[&id].allowance;
    world.workers.get_mut(&id).expect("it serves").published.in_use = slots;
    let exit = WorkerExit::Crashed;
    world.input(Event::WorkerEnded { worker: id, exit, how: "SIGSYS".to_owned() });
    let next = WorkerId { life: 1, ..id };
    assert!(world.workers.contains_key(&next), "it is forked in the same step");
    world.arm(next);
    assert_eq!(world.workers[&next].allowance, 0, "the kernel still has the sockets");
    world.workers.remove(&id);
    world.input(Event::SocketsClosed(id));
    assert_eq!(world.workers[&next].allowance, slots);
    world.settle();
    world.assert_whole();
}

/// Kills one worker after another, each some time after the last one.
fn kill_often(world: &mut World, every: Duration) {
    for _ in 0..4 * DEATHS_MAX {
        let id = world.serving()[0];
        world.workers.get_mut(&id).expect("it serves").ended = true;
        let exit = WorkerExit::Killed;
        world.input(Event::WorkerEnded { worker: id, exit, how: "SIGKILL".to_owned() });
        world.workers.remove(&id);
        world.input(Event::SocketsClosed(id));
        world.now = world.now.plus(every);
        world.input(Event::Tick);
        for id in world.workers.keys().copied().collect::<Vec<_>>() {
            world.arm(id);
        }
    }
}

#[test]
fn killed_workers_are_replaced_for_ever() {
    for every in [Duration::from_millis(200), Duration::from_millis(100), Duration::from_secs(9)] {
        let mut world = World::new();
        world.settle();
        kill_often(&mut world, every);
        assert!(!world.reports.contains(&Report::TooManyDeaths));
        let is_late =
            |report: &Report| matches!(report, Report::Replacing { pause, .. } if !pause.is_zero());
        assert!(!world.reports.iter().any(is_late), "{every:?}: {:?}", world.reports);
        world.settle();
        world.assert_whole();
    }
}

#[test]
fn crashes_after_a_minute_of_peace_start_a_new_generation_again() {
    let mut world = World::new();
    for generation in 1..4 {
        world.settle();
        assert_eq!(world.serving()[0].generation, generation);
        world.now = world.now.plus(DEATHS_WITHIN);
        for _ in 0..DEATHS_MAX {
            let id = world.serving()[0];
            world.die(id, false);
            world.now = world.now.plus(Duration::from_secs(1));
            world.input(Event::Tick);
            for id in world.workers.keys().copied().collect::<Vec<_>>() {
                world.arm(id);
            }
        }
    }
}

#[test]
fn workers_that_die_again_and_again_get_a_new_loader_and_then_end_the_service() {
    let mut world = World::new();
    world.settle();
    for _ in 0..DEATHS_MAX {
        let id = world.serving()[0];
        world.die(id, false);
        world.now = world.now.plus(Duration::from_secs(1));
        for id in world.workers.keys().copied().collect::<Vec<_>>() {
            world.input(Event::Tick);
            world.arm(id);
        }
    }
    assert!(world.reports.contains(&Report::TooManyDeaths));
    world.settle();
    assert_eq!(world.serving()[0].generation, 2);
    for _ in 0..DEATHS_MAX {
        let id = world.serving()[0];
        world.die(id, false);
        world.now = world.now.plus(Duration::from_secs(1));
        world.input(Event::Tick);
        for id in world.workers.keys().copied().collect::<Vec<_>>() {
            world.arm(id);
        }
    }
    assert_eq!(world.outcome, Some(Outcome::Failed("it died".to_owned())));
}

#[test]
fn signal_during_a_reload_ends_both_generations() {
    let mut world = World::new();
    world.settle();
    world.input(Event::Reload);
    world.load(2);
    world.input(Event::Terminate(15));
    world.settle();
    assert_eq!(world.outcome, Some(Outcome::Drained));
    assert!(world.workers.is_empty());
}

#[test]
fn second_signal_ends_at_once() {
    let mut world = World::new();
    world.settle();
    world.input(Event::Terminate(15));
    world.input(Event::Terminate(2));
    assert_eq!(world.outcome, Some(Outcome::Forced(2)));
}

#[test]
fn service_without_a_worker_ends_when_its_new_generation_fails() {
    let mut world = World::new();
    world.settle();
    world.lose_loader(1, "killed");
    for id in world.serving() {
        world.die(id, false);
    }
    assert_eq!(world.outcome, None, "the second generation may help");
    world.lose_loader(2, "a rule is wrong");
    assert_eq!(world.outcome, Some(Outcome::Failed("a rule is wrong".to_owned())));
}

#[test]
fn worker_gets_no_slots_beyond_its_own_when_others_are_dead() {
    let mut world = World::new();
    world.settle();
    world.lose_loader(1, "killed");
    let serving = world.serving();
    world.die(serving[0], false);
    world.die(serving[1], false);
    assert_eq!(world.workers[&serving[2]].allowance, LIMIT / WORKERS);
}

#[test]
fn worker_is_kicked_if_its_slots_were_raised_before_it_was_known_to_be_armed() {
    let mut world = World::new();
    world.settle();
    let id = world.serving()[0];
    world.workers.get_mut(&id).expect("it serves").published.in_use = 4;
    world.input(Event::WorkerEnded {
        worker: id,
        exit: WorkerExit::Crashed,
        how: "SIGKILL".to_owned(),
    });
    let next = WorkerId { life: 1, ..id };
    world.workers.remove(&id);
    world.input(Event::SocketsClosed(id));
    let before = world.workers[&next].clone();
    assert_eq!((before.allowance, before.published.adopted), (LIMIT / WORKERS, 0));
    world.arm(next);
    assert_eq!(world.workers[&next].published.turns, before.published.turns + 1, "it is kicked");
}

#[test]
fn workers_keep_their_slots_while_they_drain() {
    let mut world = World::new();
    world.settle();
    let slots = |world: &World| world.workers.values().map(|it| it.allowance).collect::<Vec<_>>();
    let before = slots(&world);
    world.input(Event::Terminate(15));
    assert_eq!(slots(&world), before, "connections are accepted during the drain delay");
}
