//! Workers that take no turns: asked, given up, and what a watchdog learns of it.

use super::*;

#[test]
fn worker_that_takes_no_turn_although_kicked_is_killed() {
    let mut world = World::new();
    world.settle();
    let id = world.serving()[0];
    let stands = world.workers[&id].published;
    for _ in 0..30 {
        world.now = world.now.plus(Duration::from_secs(1));
        world.workers.get_mut(&id).expect("it serves").published = stands;
        world.input(Event::Tick);
        if world.workers[&id].ended {
            break;
        }
    }
    assert!(world.workers[&id].ended);
    assert!(world.reports.contains(&Report::Hangs(id)));
    let others = world.workers.iter().filter(|it| *it.0 != id);
    assert!(
        others.clone().count() == 2 && others.clone().all(|it| !it.1.ended),
        "idle is not hung"
    );
}

#[test]
fn worker_is_asked_for_turns_as_often_as_a_watchdog_needs_and_not_killed_for_it() {
    let mut world = World::new();
    world.supervisor.config.watchdog = Duration::from_secs(8);
    world.supervisor.config.worker_timeout = Duration::ZERO;
    world.settle();
    let id = world.serving()[0];
    for _ in 0..60 {
        world.now = world.now.plus(Duration::from_secs(1));
        world.input(Event::Tick);
        assert!(world.supervisor.takes_turns(world.now), "idle workers are asked in time");
    }
    let stands = world.workers[&id].published;
    let takes_turns: Vec<bool> = (0..60)
        .map(|_| {
            world.now = world.now.plus(Duration::from_secs(1));
            world.workers.get_mut(&id).expect("it serves").published = stands;
            world.input(Event::Tick);
            world.supervisor.takes_turns(world.now)
        })
        .collect();
    assert!(takes_turns[2] && !takes_turns[5..].contains(&true), "{takes_turns:?}");
    assert!(!world.workers[&id].ended, "without --worker-timeout, none is killed");
}

#[test]
fn watchdog_asks_earlier_and_leaves_a_worker_its_whole_timeout() {
    let mut world = World::new();
    world.supervisor.config.watchdog = Duration::from_secs(4);
    world.settle();
    let id = world.serving()[0];
    let stands = world.workers[&id].published;
    let mut seconds = 0;
    while !world.workers[&id].ended {
        world.now = world.now.plus(Duration::from_secs(1));
        world.workers.get_mut(&id).expect("it serves").published = stands;
        world.input(Event::Tick);
        seconds += 1;
    }
    assert!((10..=11).contains(&seconds), "--worker-timeout is 10 s: {seconds}");
}

#[test]
fn worker_that_never_takes_its_first_turn_is_killed_and_the_reload_given_up() {
    let mut world = World::new();
    world.settle();
    world.input(Event::Reload);
    world.load(2);
    let is_new = |id: &WorkerId| id.generation == 2;
    for _ in 0..30 {
        world.now = world.now.plus(Duration::from_secs(1));
        for (id, worker) in &mut world.workers {
            let turns = worker.published.turns;
            worker.published.turns = if is_new(id) { 0 } else { turns + 1 };
        }
        world.input(Event::Tick);
    }
    let killed = world.workers.iter().filter(|it| is_new(it.0));
    assert!(killed.clone().count() > 0 && killed.clone().all(|it| it.1.ended));
    assert!(world.reports.iter().any(|report| matches!(report, Report::Hangs(id) if is_new(id))));
}
