//! The accept queue of a listening socket, and the accepts that wait for a connection in it.

use super::ids::{EngineNumber, SocketId};
use std::collections::VecDeque;

/// An accept that waits for a connection: its engine, and its number within the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptWaiter {
    /// The engine.
    pub(super) engine: EngineNumber,
    /// The operation.
    pub(super) op: u64,
}

/// A listening socket. It belongs to no engine: several may have a descriptor of it.
#[derive(Debug)]
pub(super) struct AcceptQueue {
    connections: VecDeque<SocketId>,
    /// The accepts that wait, the longest first. Each is exclusive and leaves with its wake-up, as
    /// the one-shot poll of an accept does in `io_uring` (`io_poll_wake` in `io_uring/poll.c`).
    waiters: VecDeque<AcceptWaiter>,
    pub(super) descriptors: u32,
}

impl AcceptQueue {
    /// An empty queue with one descriptor.
    pub(super) fn new() -> Self {
        Self { connections: VecDeque::new(), waiters: VecDeque::new(), descriptors: 1 }
    }

    /// Adds a connection; returns the one accept that is woken for it. If that accept doesn't take
    /// the connection, no other one is woken.
    pub(super) fn add(&mut self, connection: SocketId) -> Option<AcceptWaiter> {
        self.connections.push_back(connection);
        self.waiters.pop_front()
    }

    /// Takes the first connection.
    pub(super) fn take(&mut self) -> Option<SocketId> {
        self.connections.pop_front()
    }

    /// Takes all connections.
    pub(super) fn take_all(&mut self) -> VecDeque<SocketId> {
        std::mem::take(&mut self.connections)
    }

    /// The first connection.
    pub(super) fn first(&self) -> Option<SocketId> {
        self.connections.front().copied()
    }

    /// Adds an accept that found no connection.
    pub(super) fn wait(&mut self, waiter: AcceptWaiter) {
        self.waiters.push_back(waiter);
    }

    /// Removes the accepts that are `gone`: cancelled, or of a process that ended.
    pub(super) fn forget(&mut self, gone: impl Fn(AcceptWaiter) -> bool) {
        self.waiters.retain(|&waiter| !gone(waiter));
    }
}
