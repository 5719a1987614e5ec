//! What the simulated ring keeps of an operation under way, and of a receive buffer.

use crate::engine::{BufferId, Completion, Nanos, Op, Token};
use std::collections::VecDeque;

/// An operation under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) token: Token,
    pub(super) op: Op,
    pub(super) phase: Phase,
    /// What a send sends, as it was at submission.
    pub(super) copy: Vec<u8>,
    /// Completions that have not arrived yet.
    pub(super) outcomes: VecDeque<Completion>,
    /// When the latest of them will.
    pub(super) last_post: Nanos,
}

/// How far an operation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It will be tried.
    Due,
    /// It waits for something to change.
    Parked,
    /// It has had its effect; completions may still be on their way.
    Over,
}

/// A receive buffer.
#[derive(Clone, Debug)]
pub(super) struct Buffer {
    pub(super) bytes: Vec<u8>,
    pub(super) with: With,
}

/// Who has a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum With {
    /// Free to be filled.
    Ring,
    /// Filled; its completion was not popped yet.
    Completion,
    /// With the user of the ring.
    User,
}

/// How a completion differs from the plain last one of its operation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Posted {
    pub(super) more: bool,
    pub(super) buffer: Option<BufferId>,
    pub(super) token: Option<Token>,
}
