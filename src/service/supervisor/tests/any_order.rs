//! Any order of events.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Time(u64),
    Reload,
    Load(u32),
    LoaderDies(u32),
    Arm(usize),
    Adopt(usize),
    Accept(usize),
    Close(usize),
    Retires(usize),
    Dies(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..3000u64).prop_map(Step::Time),
        2 => Just(Step::Reload),
        6 => (1..20u32).prop_map(Step::Load),
        1 => (1..20u32).prop_map(Step::LoaderDies),
        12 => (0..16usize).prop_map(Step::Arm),
        12 => (0..16usize).prop_map(Step::Adopt),
        16 => (0..16usize).prop_map(Step::Accept),
        8 => (0..16usize).prop_map(Step::Close),
        4 => (0..16usize).prop_map(Step::Retires),
        1 => (0..16usize).prop_map(Step::Dies),
    ]
}

proptest! {
    #[test]
    fn any_order_of_events_keeps_the_limit_and_ends_in_a_whole_service(
        steps in prop::collection::vec(any_step(), 0..300),
    ) {
        let mut world = World::new();
        world.settle();
        for step in steps {
            match step {
                Step::Time(millis) => {
                    world.now = world.now.plus(Duration::from_millis(millis));
                    world.input(Event::Tick);
                }
                Step::Reload => world.input(Event::Reload),
                Step::Load(generation) => world.load(generation),
                Step::LoaderDies(generation) => world.lose_loader(generation, "killed"),
                Step::Arm(nth) => world.of(nth, World::arm),
                Step::Adopt(nth) => world.of(nth, World::adopt),
                Step::Accept(nth) => world.of(nth, World::accept),
                Step::Close(nth) => world.of(nth, World::close),
                Step::Retires(nth) => {
                    if let Some(id) = world.nth(nth).filter(|id| world.workers[id].ends) {
                        world.die(id, true);
                    }
                }
                Step::Dies(nth) => world.of(nth, |world, id| world.die(id, false)),
            }
        }
        if world.outcome.is_none() {
            // Without a loader a generation is whole only until a worker dies: one reload mends it.
            world.settle();
            world.input(Event::Reload);
            world.settle();
            world.assert_whole();
        } else {
            prop_assert!(matches!(world.outcome, Some(Outcome::Failed(_))));
        }
    }
}
