//! The [`Engine`] trait: operations that a server or a client submits, and their completions.
//!
//! Nothing here knows the kernel, a socket or HTTP. Three engines implement the trait: two on the
//! kernel ([`uring`], [`epoll`]) and the simulated one ([`sim`]). Addresses never appear: a receive
//! buffer is named by [`BufferId`], a response by a [`Span`](crate::bytes::Span) of the fixed
//! buffer, a connection by its [`Slot`].

pub mod chosen;
pub mod epoll;
pub mod kernel;
mod op;
pub mod sim;
mod token;
pub mod uring;

use crate::peer_address::PeerAddress;
pub use op::Op;
use std::collections::VecDeque;
use std::fmt;
pub use token::{Kind, Slot, Token};

/// A submission and completion queue: push entries, wait, pop completions.
///
/// Rules that every implementation obeys and `tests/tools/contract.rs` checks:
///
/// - Every pushed entry gets its completions; the last one has [`Completion::more`] unset. Until
///   then the engine may access the memory that the entry names.
/// - Several [`Op::Accept`] may be in flight on a listener; each takes one connection.
/// - An [`Op::Accept`] that is pushed together with its [`Op::Cancel`] tries once: it takes a
///   connection that is in the backlog, or ends with `ECANCELED`.
/// - After [`Op::Connect`], successful or not, the slot must be closed.
/// - [`Op::Discard`] completes with the number of bytes it discarded, at most `len`.
/// - [`Op::Send`] never waits: it completes with the number of bytes that the socket accepted
///   (fewer than given if its buffer filled up) or with `EAGAIN`; the completion of
///   [`Op::Writable`] then tells when to continue.
/// - The spans of a send are sent as if they were one, and a short send may end within any of them.
///   They have less than 4 GiB together, because completions count in 32 bits. A
///   [`SpanList`](crate::bytes::SpanList) must not change either while its send is in flight.
/// - [`Op::SendClose`] has exactly one completion: of kind [`Kind::Close`] if every byte was sent
///   and the slot is closed; of kind [`Kind::Send`] otherwise (a short send or an error), and then
///   the slot is still open.
/// - [`Op::RecvMany`] stays armed until a completion without `more`: end of stream, an error,
///   `ENOBUFS` or `ECANCELED`.
/// - [`Op::Cancel`] has a completion of its own, before or after the last one of its target; the
///   target may also complete with data that had arrived before.
/// - [`Engine::stop_listening`] closes this engine's descriptor only: another process that has the
///   same socket still listens.
pub trait Engine {
    /// Queues an entry for the next [`Engine::submit_and_wait`].
    ///
    /// # Errors
    /// [`Full`] if the submission queue has no room: push again after the next wait.
    fn push(&mut self, token: Token, op: Op) -> Result<(), Full>;

    /// Submits the pushed entries and waits for at least one completion, or until `deadline`.
    /// With a deadline in the past it submits without waiting; with `None` it waits without limit.
    ///
    /// # Errors
    /// Only those that leave the engine unusable. An interruption, a passed deadline and a
    /// completion queue that overflowed return `Ok`.
    fn submit_and_wait(&mut self, deadline: Option<Nanos>) -> Result<(), Errno>;

    /// Closes the engine's descriptor of a listener, with the next [`Engine::submit_and_wait`].
    /// Every accept and watch on the listener must have had its last completion, and none may
    /// follow. If it was the last descriptor of the socket, connections in the backlog are reset
    /// and new ones are refused.
    ///
    /// # Errors
    /// [`Full`] if the submission queue has no room: call it again after the next wait.
    fn stop_listening(&mut self, listener: u32) -> Result<(), Full>;

    /// Takes the next completion that has arrived.
    fn pop(&mut self) -> Option<Completion>;

    /// The bytes of one receive, and the fixed buffer.
    fn memory(&mut self, received: Option<Received>) -> Memory<'_>;

    /// Returns a receive buffer to the engine once its bytes are no longer needed.
    fn give_back(&mut self, buffer: BufferId);

    /// The address of the peer of a slot's connection, from the completion of its accept until the
    /// slot is closed. [`PeerAddress::Unknown`] unless the engine was created to take note of
    /// addresses, and after a connect.
    fn peer(&self, slot: Slot) -> PeerAddress;

    /// Monotonic time, as of the last wake-up.
    fn now(&self) -> Nanos;

    /// The same clock, read now. Kernels offer it without a system call (vdso(7)).
    fn read_clock(&self) -> Nanos;

    /// Seconds since the Unix epoch, as of the last wake-up.
    fn unix_seconds(&self) -> u64;
}

/// The outcome of an entry, or one of its outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The token of the entry (for [`Op::SendClose`], of kind `Send` or `Close`).
    pub token: Token,
    /// The count or number that the operation returns, or its error.
    pub result: Result<u32, Errno>,
    /// More completions of the same entry will follow.
    pub more: bool,
    /// The buffer that contains the received bytes; it must be given back.
    pub buffer: Option<BufferId>,
}

/// A receive buffer of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufferId(pub u16);

/// The bytes of one receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The buffer that contains them, from its start.
    pub buffer: BufferId,
    /// Their number.
    pub len: u32,
}

/// The memory that an engine shares with the server.
pub struct Memory<'a> {
    /// The bytes of the receive that was named; empty if none was.
    pub received: &'a [u8],
    /// The fixed buffer, from which [`Op::Send`] sends. A span in flight must not be written to
    /// (`site` counts the sends of each).
    pub fixed: &'a mut [u8],
}

/// Monotonic time in nanoseconds since an arbitrary start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The moment that is `duration` later, or the last one that can be represented.
    #[must_use]
    pub fn plus(self, duration: std::time::Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

/// The submission queue has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Entries for which the submission queue had no room, in the order in which they were pushed.
#[derive(Debug)]
pub struct Unsubmitted(VecDeque<(Token, Op)>);

impl Unsubmitted {
    /// An empty queue with room for `entries`.
    #[must_use]
    pub fn with_capacity(entries: usize) -> Self {
        Self(VecDeque::with_capacity(entries))
    }

    /// Whether the engine has accepted every entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Pushes an entry, now or when there is room.
    pub fn push(&mut self, engine: &mut impl Engine, token: Token, op: Op) {
        if !self.0.is_empty() || engine.push(token, op).is_err() {
            self.0.push_back((token, op));
        }
    }

    /// Pushes the waiting entries, as far as there is room.
    pub fn push_waiting(&mut self, engine: &mut impl Engine) {
        while let Some(&(token, op)) = self.0.front() {
            if engine.push(token, op).is_err() {
                return;
            }
            self.0.pop_front();
        }
    }
}

/// A positive error number, as in errno(3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", std::io::Error::from_raw_os_error(self.0))
    }
}

impl std::error::Error for Errno {}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Errno({})", self.0)
    }
}

/// Converts a result of the kernel, whose errors are negative, into a count or an error.
///
/// # Errors
/// The error number, if the result is negative.
pub fn result_of(result: i32) -> Result<u32, Errno> {
    u32::try_from(result).map_err(|_| Errno(-result))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_results_are_errors() {
        assert_eq!(result_of(7), Ok(7));
        assert_eq!(result_of(-libc::ECONNRESET), Err(Errno(libc::ECONNRESET)));
    }
}
