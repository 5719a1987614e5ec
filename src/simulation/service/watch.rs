//! What must hold at every step of a service: the limit, and that no connection waits in an accept
//! queue while a slot is free. Keeps the history that the checks at the end need.

use super::plan::ServicePlan;
use super::shell::ShellModel;
use crate::engine::Nanos;
use crate::engine::sim::{ListenerId, SocketId};
use crate::simulation::world::World;

/// The history of a service, and the limits of what may happen in it.
#[derive(Debug)]
pub(super) struct ServiceWatch {
    limit: u32,
    /// How long a connection may wait in an accept queue while a slot is free.
    queue_wait_ns: u64,
    queues: Vec<WatchedQueue>,
    /// The times, in their order, in which no worker had a free slot.
    full: Vec<(Nanos, Nanos)>,
}

/// The accept queue of a listener.
#[derive(Debug)]
struct WatchedQueue {
    listener: ListenerId,
    /// Its first connection, and since when that waits although a slot is free.
    waits: Option<(SocketId, Nanos)>,
}

impl ServiceWatch {
    pub(super) fn new(plan: &ServicePlan, listeners: &[ListenerId]) -> Self {
        let queue = |&listener| WatchedQueue { listener, waits: None };
        Self {
            limit: plan.settings.limit,
            queue_wait_ns: if plan.has_faults { QUEUE_WAIT_FAULTY_NS } else { QUEUE_WAIT_NS },
            queues: listeners.iter().map(queue).collect(),
            full: Vec::new(),
        }
    }

    /// Checks the state after a step.
    ///
    /// # Errors
    /// The rule that was broken.
    pub(super) fn check(
        &mut self,
        world: &mut World<'_>,
        shell: &ShellModel,
    ) -> Result<(), String> {
        let now = world.now();
        let accepted = world.network.accepted_max();
        if accepted > self.limit {
            return Err(format!("{accepted} connections, over the limit of {}", self.limit));
        }
        self.note_fullness(now, !shell.pages.have_room());
        let worker = shell.worker_with_a_free_slot(world);
        for queue in &mut self.queues {
            let first = world.network.first_pending(queue.listener);
            let (Some(first), Some(worker)) = (first, worker) else {
                queue.waits = None;
                continue;
            };
            match queue.waits {
                Some((waits, since)) if waits == first => {
                    if now.0 - since.0 > self.queue_wait_ns {
                        return Err(format!(
                            "{first:?} waits for {:?} since {since:?}, although {worker:?} has a \
                             free slot",
                            queue.listener
                        ));
                    }
                }
                _ => queue.waits = Some((first, now)),
            }
        }
        Ok(())
    }

    /// Whether all workers were full at some time between these two.
    pub(super) fn was_full_between(&self, from: Nanos, to: Nanos) -> bool {
        self.full.iter().any(|&(begin, end)| begin <= to && from <= end)
    }

    fn note_fullness(&mut self, now: Nanos, is_full: bool) {
        match self.full.last_mut() {
            Some((_, end)) if end.0 == u64::MAX && is_full => {}
            Some((_, end)) if end.0 == u64::MAX => *end = now,
            _ if is_full => self.full.push((now, Nanos(u64::MAX))),
            _ => {}
        }
    }
}

/// A worker is kicked (two events), cancels its accept (two) and arms another (one), and each takes
/// up to 2 ms. Where the slot is reserved for another listener, the worker learns of the connection
/// by a report, of which there is one every 10 ms.
const QUEUE_WAIT_NS: u64 = 100_000_000;
/// With faults, each event may be late by 300 ms, and descriptors may be exhausted for some
/// milliseconds besides.
const QUEUE_WAIT_FAULTY_NS: u64 = 1_500_000_000;
