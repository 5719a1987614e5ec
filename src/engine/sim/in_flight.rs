//! The submission queue, the operations in flight and the completion queue of a simulated engine.

use super::event_queue::EventQueue;
use super::ids::SocketId;
use crate::engine::{BufferId, Completion, Nanos, Op, Slot, Token};
use std::collections::{BTreeMap, VecDeque};

/// Entries that were pushed and not submitted.
#[derive(Debug)]
pub(super) struct SubmissionQueue {
    pub(super) entries: VecDeque<(Token, Op)>,
    capacity: usize,
    /// A push has failed since the last wake-up, so entries may be pushed late.
    pub(super) was_full: bool,
}

impl SubmissionQueue {
    pub(super) fn new(capacity: u32) -> Self {
        Self { entries: VecDeque::new(), capacity: capacity as usize, was_full: false }
    }

    pub(super) fn has_room(&self, entries: usize) -> bool {
        self.entries.len() + entries <= self.capacity
    }
}

/// Something that will happen in the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EngineEvent {
    /// The operation with this number takes effect, or waits for its socket.
    Attempt(u64),
    /// The next completion of the operation with this number is posted.
    Post(u64),
    /// The process gets a signal.
    Signal(u32),
    /// The descriptor of a listener is closed.
    StopListening(u32),
    /// Bytes that a silent socket did not hear arrive.
    Hear(SocketId),
}

/// Operations from their submission until their last completion is popped.
#[derive(Debug, Default)]
pub(super) struct PendingOps {
    pub(super) ops: BTreeMap<u64, PendingOp>,
    submitted: u64,
    pub(super) events: EventQueue<EngineEvent>,
}

impl PendingOps {
    /// Adds an operation that is attempted at `at`; `payload` are the bytes of a send.
    pub(super) fn submit(&mut self, token: Token, op: Op, payload: Vec<u8>, at: Nanos) {
        let id = self.submitted;
        self.submitted += 1;
        let completions = VecDeque::new();
        let state = OpState::Due;
        self.ops.insert(id, PendingOp { token, op, state, payload, completions, last_post: at });
        self.events.schedule(at, EngineEvent::Attempt(id));
    }

    pub(super) fn get_mut(&mut self, id: u64) -> &mut PendingOp {
        self.ops.get_mut(&id).expect("an operation is kept until its last completion is popped")
    }

    /// Schedules a completion; completions of one operation keep their order.
    pub(super) fn complete(&mut self, id: u64, completion: Completion, at: Nanos) {
        let pending = self.get_mut(id);
        let at = at.max(pending.last_post);
        pending.last_post = at;
        pending.completions.push_back(completion);
        if !completion.more {
            pending.state = OpState::Done;
        }
        self.events.schedule(at, EngineEvent::Post(id));
    }

    pub(super) fn park(&mut self, id: u64) {
        self.get_mut(id).state = OpState::Parked;
    }

    /// Schedules the attempt of an accept that was woken for a connection.
    pub(super) fn wake(&mut self, id: u64, at: Nanos) {
        self.get_mut(id).state = OpState::Woken;
        self.events.schedule(at, EngineEvent::Attempt(id));
    }

    /// Schedules another attempt of a parked operation.
    pub(super) fn retry(&mut self, id: u64, at: Nanos) {
        self.get_mut(id).state = OpState::Due;
        self.events.schedule(at, EngineEvent::Attempt(id));
    }

    /// The parked operations that `is_concerned`, in order of submission.
    pub(super) fn parked(&self, is_concerned: impl Fn(Op) -> bool) -> Vec<u64> {
        let parked = self.ops.iter().filter(|(_, pending)| pending.state == OpState::Parked);
        parked.filter(|(_, pending)| is_concerned(pending.op)).map(|(&id, _)| id).collect()
    }
}

/// An operation in flight.
#[derive(Debug)]
pub(super) struct PendingOp {
    pub(super) token: Token,
    pub(super) op: Op,
    pub(super) state: OpState,
    /// The bytes of a send at its submission.
    pub(super) payload: Vec<u8>,
    /// Completions that are scheduled and not posted.
    pub(super) completions: VecDeque<Completion>,
    last_post: Nanos,
}

/// The progress of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpState {
    /// An attempt is scheduled.
    Due,
    /// It is an accept, and an attempt is scheduled: of all accepts that waited, this one was woken
    /// for a connection.
    Woken,
    /// Its socket, listener or signal is not ready.
    Parked,
    /// It has had its effect; completions may not have been posted.
    Done,
}

/// In what a completion differs from the usual one: the last of its operation, without a buffer,
/// with the token of the entry.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CompletionParts {
    pub(super) more: bool,
    pub(super) buffer: Option<BufferId>,
    pub(super) token: Option<Token>,
}

/// Completions that were posted and not popped, each with the number of its operation.
#[derive(Debug, Default)]
pub(super) struct CompletionQueue {
    pub(super) posted: VecDeque<(u64, Completion)>,
    /// Completions of silent sends: they are delivered with the next wake-up and cause none.
    pub(super) withheld: VecDeque<(u64, Completion)>,
    /// Completions that the last wake-up has delivered.
    pub(super) delivered: VecDeque<(u64, Completion)>,
}

impl CompletionQueue {
    /// Moves everything that was posted, silent sends first, to what can be popped.
    pub(super) fn deliver(&mut self) {
        self.delivered.append(&mut self.withheld);
        self.delivered.append(&mut self.posted);
    }
}

/// Lazy sends that were pushed since the last wake-up.
#[derive(Debug, Default)]
pub(super) struct LazySends {
    pub(super) slots: Vec<Slot>,
    /// The completion of a receive on one of these slots was popped after the push.
    pub(super) overtaken: bool,
}
