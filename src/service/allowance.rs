//! How the connection limit is divided among workers, so that it holds for all of them together at
//! every moment: across reloads, and across the death of a worker. Pure arithmetic; the numbers are
//! in shared memory, but this module doesn't know that.
//!
//! The supervisor writes how many slots a worker may use (`allowance`); the worker writes which
//! allowance it has adopted (`adopted`) and how many slots it uses (`in_use`: open connections and
//! accepts in flight). A worker reads its allowance once a turn and, if it is a new one, publishes
//! `in_use` first and `adopted` second. Once it has adopted an allowance, its use grows up to the
//! allowance at most, and falls otherwise. Therefore the largest of the three numbers, the
//! *charge*, bounds every later use of the worker until the supervisor raises the allowance again:
//!
//! ```text
//!   in_use  ▔▔▔▔▔▔▔╲
//!                   ╲______ charge: falls with the connections that close
//!   allowance ▁▁▁▁▁▁▁▁▁▁▁▁  lowered, and adopted: no new connections beyond it
//! ```
//!
//! The sum of all charges never exceeds the limit, because an allowance is raised only by what the
//! charges leave free.

/// What is known about the slots of one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotShare {
    /// The most slots that the worker may use, as written by the supervisor.
    pub allowance: u32,
    /// The allowance that the worker has adopted.
    pub adopted: u32,
    /// The slots in use when the worker adopted it, or at any later moment.
    pub in_use: u32,
}

impl SlotShare {
    /// The most slots that the worker can use at any later moment under its present allowance.
    #[must_use]
    pub fn charge(&self) -> u32 {
        self.allowance.max(self.adopted).max(self.in_use)
    }
}

/// A worker, as far as its slots are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotClaim {
    /// The slots that it has.
    pub share: SlotShare,
    /// Whether it accepts connections. A worker that retires, or that died and whose sockets the
    /// kernel has yet to close, keeps what it uses and gets nothing.
    pub serves: bool,
}

/// New allowances for all workers, in their order: the limit in equal parts for those that serve,
/// but at most `each_max`, as far as the charges of the others leave room; 0 for the others.
///
/// Whoever applies the result may do so in any order: no raise depends on a lowering that has not
/// been adopted yet.
///
/// # Examples
/// ```
/// use uringstatic::service::allowance::{SlotClaim, SlotShare, distribute};
///
/// let share = SlotShare { allowance: 10, adopted: 10, in_use: 4 };
/// let retiring = SlotClaim { share, serves: false };
/// let new = SlotClaim { share: SlotShare::default(), serves: true };
/// // The retiring worker may still use all of its 10 slots, until it adopts its new allowance.
/// assert_eq!(distribute(10, 10, &[retiring, new]), [0, 0]);
/// let share = SlotShare { allowance: 0, adopted: 0, in_use: 4 };
/// let adopted = SlotClaim { share, serves: false };
/// assert_eq!(distribute(10, 10, &[adopted, new]), [0, 6]);
/// ```
#[must_use]
pub fn distribute(limit: u32, each_max: u32, claims: &[SlotClaim]) -> Vec<u32> {
    let serving = claims.iter().filter(|claim| claim.serves).count();
    let serving = u32::try_from(serving).expect("workers are counted by u32");
    let mut nth = 0;
    let mut next: Vec<u32> = claims
        .iter()
        .map(|claim| {
            if !claim.serves {
                return 0;
            }
            let part = limit / serving + u32::from(nth < limit % serving);
            nth += 1;
            part.min(each_max)
        })
        .collect();
    let charged: u64 = claims.iter().map(|claim| u64::from(claim.share.charge())).sum();
    let mut free = u64::from(limit).saturating_sub(charged);
    for (part, claim) in next.iter_mut().zip(claims) {
        let charge = claim.share.charge();
        if *part > charge {
            let raise = u64::from(*part - charge).min(free);
            free -= raise;
            *part = charge + u32::try_from(raise).expect("a raise is below the limit");
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn serving(allowance: u32, in_use: u32) -> SlotClaim {
        SlotClaim { share: SlotShare { allowance, adopted: allowance, in_use }, serves: true }
    }

    #[test]
    fn workers_that_start_get_equal_parts_of_the_limit() {
        assert_eq!(distribute(10, 3, &[serving(0, 0); 4]), [3, 3, 2, 2]);
        assert_eq!(distribute(2, 1, &[serving(0, 0); 4]), [1, 1, 0, 0]);
        assert_eq!(distribute(10, 3, &[serving(0, 0); 2]), [3, 3], "no worker has more slots");
        assert!(distribute(10, 3, &[]).is_empty());
    }

    #[test]
    fn a_dead_worker_is_charged_until_it_is_dropped_from_the_list() {
        let dead = SlotClaim { serves: false, ..serving(5, 5) };
        assert_eq!(distribute(10, 5, &[serving(5, 0), dead, serving(0, 0)]), [5, 0, 0]);
        assert_eq!(distribute(10, 5, &[serving(5, 0), serving(0, 0)]), [5, 5]);
    }

    /// A worker as it behaves: it adopts at any turn, and connections come and go.
    #[derive(Clone, Debug)]
    enum Step {
        /// The supervisor reads what the workers have adopted, and the rest later.
        ReadAdopted,
        /// The supervisor reads what it has not read yet, and distributes.
        Distribute,
        /// The worker adopts its allowance.
        Adopt(usize),
        /// A connection comes, if the adopted allowance has room.
        Accept(usize),
        /// A connection ends.
        Close(usize),
        /// The worker begins to retire, or a new one takes its place in the list.
        Retire(usize),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            2 => Just(Step::ReadAdopted),
            4 => Just(Step::Distribute),
            4 => (0..6usize).prop_map(Step::Adopt),
            8 => (0..6usize).prop_map(Step::Accept),
            6 => (0..6usize).prop_map(Step::Close),
            1 => (0..6usize).prop_map(Step::Retire),
        ]
    }

    proptest! {
        #[test]
        fn connections_never_exceed_the_limit(
            limit in 0..20u32,
            steps in prop::collection::vec(any_step(), 0..400),
        ) {
            let mut claims = [serving(0, 0); 6];
            let mut adopted = None;
            for step in steps {
                match step {
                    Step::ReadAdopted => adopted = Some(claims.map(|claim| claim.share.adopted)),
                    Step::Distribute => {
                        let mut read = claims;
                        for (claim, adopted) in read.iter_mut().zip(adopted.take().iter().flatten())
                        {
                            claim.share.adopted = *adopted;
                        }
                        let next = distribute(limit, limit, &read);
                        // In the worst order: the raises before the lowerings.
                        for (claim, next) in claims.iter_mut().zip(next) {
                            claim.share.allowance = next;
                        }
                    }
                    Step::Adopt(nth) => claims[nth].share.adopted = claims[nth].share.allowance,
                    Step::Accept(nth) => {
                        let share = &mut claims[nth].share;
                        if share.in_use < share.adopted {
                            share.in_use += 1;
                        }
                    }
                    Step::Close(nth) => {
                        let share = &mut claims[nth].share;
                        share.in_use = share.in_use.saturating_sub(1);
                    }
                    Step::Retire(nth) if claims[nth].serves => claims[nth].serves = false,
                    Step::Retire(nth) if claims[nth].share == SlotShare::default() => {
                        claims[nth].serves = true;
                    }
                    Step::Retire(_) => {}
                }
                let charged: u32 = claims.iter().map(|claim| claim.share.charge()).sum();
                prop_assert!(charged <= limit, "{charged} charged, {limit} allowed: {claims:?}");
            }
        }

        #[test]
        fn all_slots_are_granted_when_nothing_is_in_the_way(
            limit in 0..1000u32,
            workers in 1..9usize,
        ) {
            let next = distribute(limit, limit, &vec![serving(0, 0); workers]);
            prop_assert_eq!(next.iter().sum::<u32>(), limit);
            let (most, least) = (next.iter().max(), next.iter().min());
            prop_assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1));
        }
    }
}
