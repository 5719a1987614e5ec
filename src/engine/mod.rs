//! The `Engine` trait and its words: what the server asks of a completion queue, and what it hears.
//!
//! Nothing here knows the kernel, a socket or HTTP. Two rings implement the trait: the kernel's
//! ([`uring`]) and the simulated one (`sim`). Addresses never appear: a receive buffer is named
//! by [`BufferId`], a response by a [`Span`](crate::bytes::Span) of the fixed buffer, a connection
//! by its [`Slot`].

pub mod chosen;
pub mod kernel;
mod op;
pub mod uring;

pub use op::Op;
use std::collections::VecDeque;
use std::fmt;

/// A submission and completion queue: push entries, wait, pop completions.
///
/// Rules that both implementations keep and `tests/tools/contract.rs` checks:
///
/// - Every pushed entry gets its completions; the last one has [`Completion::more`] unset. The
///   ring may read or write what the entry names until then.
/// - Several [`Op::Accept`] may be in flight on a listener; each takes one connection.
/// - After [`Op::Connect`], whatever came of it, the slot is to be closed.
/// - [`Op::Discard`] completes with as many bytes as it took, at most those it was asked for.
/// - [`Op::Send`] never waits: it completes with what the socket took (short when its buffer
///   filled up) or with `EAGAIN`; [`Op::Writable`] then tells when to go on.
/// - Both spans of a send go out as if they were one, and it may fall short within either. They
///   have less than 4 GiB: completions count in 32 bits.
/// - [`Op::SendClose`] has exactly one completion: of kind [`Kind::Close`] when every byte was
///   taken and the slot is closed, of kind [`Kind::Send`] when it was not (short, or an error),
///   and then the slot is still open.
/// - [`Op::RecvMany`] goes on until a completion without `more`: end of stream, an error,
///   `ENOBUFS` or `ECANCELED`.
/// - [`Op::Cancel`] has a completion of its own, in any order with its target's last one; the
///   target may also complete with what had arrived before.
/// - [`Engine::stop_listening`] closes a listening socket of this ring and no other: a socket that
///   another process holds as well goes on listening there.
pub trait Engine {
    /// Queues an entry for the next [`Engine::submit_and_wait`].
    ///
    /// # Errors
    /// [`Full`] when the submission queue has no room: push again after the next wait.
    fn push(&mut self, token: Token, op: Op) -> Result<(), Full>;

    /// Submits what was pushed and waits for at least one completion, or until `deadline`.
    /// A deadline that has passed submits without waiting; `None` waits without end.
    ///
    /// # Errors
    /// Only what leaves the ring unusable. Interruptions, a passed deadline and a completion
    /// queue that overflowed return `Ok`.
    fn submit_and_wait(&mut self, deadline: Option<Nanos>) -> Result<(), Errno>;

    /// Closes the ring's descriptor of a listener, with the next [`Engine::submit_and_wait`]. Every
    /// accept and watch on the listener must have had its last completion, and none may follow.
    /// If it was the last descriptor of the socket, connections in the backlog are reset and new
    /// ones are refused.
    ///
    /// # Errors
    /// [`Full`] when the submission queue has no room: ask again after the next wait.
    fn stop_listening(&mut self, listener: u32) -> Result<(), Full>;

    /// The next completion that has arrived.
    fn pop(&mut self) -> Option<Completion>;

    /// The bytes of one receive, and the fixed buffer.
    fn memory(&mut self, received: Option<Received>) -> Memory<'_>;

    /// Returns a receive buffer to the ring once its bytes have been used.
    fn give_back(&mut self, buffer: BufferId);

    /// Monotonic time, as of the last wake-up.
    fn now(&self) -> Nanos;

    /// Seconds since the Unix epoch, as of the last wake-up.
    fn unix_seconds(&self) -> u64;
}

/// What happened to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The token it was pushed with (for [`Op::SendClose`], of kind `Send` or `Close`).
    pub token: Token,
    /// The count or number that the operation returns, or why it failed.
    pub result: Result<u32, Errno>,
    /// More completions of the same entry will follow.
    pub more: bool,
    /// The buffer that received bytes lie in; to be given back.
    pub buffer: Option<BufferId>,
}

/// What an entry is about: kind, life of the slot, and slot (or listener), in 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(u64);

impl Token {
    /// Packs a token; `generation` wraps at 24 bits.
    #[must_use]
    pub fn new(kind: Kind, generation: u32, index: u32) -> Self {
        let generation = u64::from(generation & GENERATION_MASK);
        Self((kind as u64) << 56 | generation << 32 | u64::from(index))
    }

    /// A token from the 64 bits of a completion.
    ///
    /// # Panics
    /// If no [`Kind`] has this number: the entry was never ours.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        let token = Self(bits);
        let _ = token.kind();
        token
    }

    /// The 64 bits, as they go into `user_data`.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Which operation it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self.0 >> 56 {
            1 => Kind::Accept,
            2 => Kind::Watch,
            3 => Kind::Recv,
            4 => Kind::Send,
            5 => Kind::Writable,
            6 => Kind::Shutdown,
            7 => Kind::Close,
            8 => Kind::Cancel,
            9 => Kind::Signal,
            10 => Kind::CancelAccept,
            11 => Kind::Connect,
            unknown => panic!("a completion of unknown kind {unknown} (user_data {:#x})", self.0),
        }
    }

    /// Which life of the slot (or listener) it belongs to, modulo 2^24.
    #[must_use]
    pub fn generation(self) -> u32 {
        (self.0 >> 32) as u32 & GENERATION_MASK
    }

    /// The slot, or for `Watch` the listener.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the low half is the index")]
    pub fn index(self) -> u32 {
        self.0 as u32
    }

    /// Asserts that it belongs to this life of its slot: a slot is free only after its last
    /// completion, so any other is a mistake of ours.
    pub fn assert_life(self, generation: u32) {
        assert_eq!(
            self.generation(),
            generation & GENERATION_MASK,
            "{self:?} completed in a later life of its slot"
        );
    }

    /// The same slot and life with another kind.
    #[must_use]
    pub fn with_kind(self, kind: Kind) -> Self {
        Self::new(kind, self.generation(), self.index())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{}/{}", self.kind(), self.generation(), self.index())
    }
}

/// The operations, as a token names them. Zero is none, so that a zeroed entry is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// [`Op::Accept`].
    Accept = 1,
    /// [`Op::Watch`].
    Watch = 2,
    /// [`Op::Recv`], [`Op::RecvMany`] and [`Op::Discard`].
    Recv = 3,
    /// [`Op::Send`], and [`Op::SendClose`] that did not send all.
    Send = 4,
    /// [`Op::Writable`].
    Writable = 5,
    /// [`Op::Shutdown`].
    Shutdown = 6,
    /// [`Op::Close`], and [`Op::SendClose`] that sent all.
    Close = 7,
    /// [`Op::Cancel`] of an operation on a connection.
    Cancel = 8,
    /// [`Op::Signal`].
    Signal = 9,
    /// [`Op::Cancel`] of an accept or a watch.
    CancelAccept = 10,
    /// [`Op::Connect`].
    Connect = 11,
}

/// A connection: its key in the slab and its index in the kernel's table of direct descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u32);

/// A receive buffer of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufferId(pub u16);

/// Bytes that one receive delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Where they lie.
    pub buffer: BufferId,
    /// How many they are, in bytes.
    pub len: u32,
}

/// The memory a ring shares with the server.
pub struct Memory<'a> {
    /// The received bytes asked for; empty if none were.
    pub received: &'a [u8],
    /// The fixed buffer, from which [`Op::Send`] sends. No byte of a span that is in flight may
    /// be written (`site` counts them).
    pub fixed: &'a mut [u8],
}

/// Monotonic time in nanoseconds from an arbitrary start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nanos(pub u64);

impl Nanos {
    /// This moment and so much later.
    #[must_use]
    pub fn plus(self, duration: std::time::Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

/// The submission queue has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Entries for which the submission queue had no room; all keep their order.
#[derive(Debug)]
pub struct Unsubmitted(VecDeque<(Token, Op)>);

impl Unsubmitted {
    /// None yet, with room for so many.
    #[must_use]
    pub fn with_capacity(entries: usize) -> Self {
        Self(VecDeque::with_capacity(entries))
    }

    /// Whether all that was pushed is with the ring.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Pushes an entry, now or when there is room.
    pub fn push(&mut self, ring: &mut impl Engine, token: Token, op: Op) {
        if !self.0.is_empty() || ring.push(token, op).is_err() {
            self.0.push_back((token, op));
        }
    }

    /// Pushes what waits, as far as there is room.
    pub fn push_waiting(&mut self, ring: &mut impl Engine) {
        while let Some(&(token, op)) = self.0.front() {
            if ring.push(token, op).is_err() {
                return;
            }
            self.0.pop_front();
        }
    }
}

/// An error number as errno(3) has them, always positive.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", std::io::Error::from_raw_os_error(self.0))
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Errno({})", self.0)
    }
}

/// Turns the signed result of the kernel into a count or an error: the one place that does.
///
/// # Errors
/// The error number, if the result is negative.
pub fn result_of(result: i32) -> Result<u32, Errno> {
    u32::try_from(result).map_err(|_| Errno(-result))
}

const GENERATION_MASK: u32 = 0x00ff_ffff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_keeps_its_three_parts() {
        let token = Token::new(Kind::Send, 0x0123_4567, u32::MAX - 1);
        assert_eq!(token.kind(), Kind::Send);
        assert_eq!(token.generation(), 0x0023_4567);
        assert_eq!(token.index(), u32::MAX - 1);
        assert_eq!(Token::from_bits(token.bits()), token);
        assert_eq!(token.with_kind(Kind::Close).index(), token.index());
    }

    #[test]
    #[should_panic(expected = "unknown kind 0")]
    fn a_zeroed_entry_is_noticed() {
        let _ = Token::from_bits(0);
    }

    #[test]
    fn results_have_their_sign_turned() {
        assert_eq!(result_of(7), Ok(7));
        assert_eq!(result_of(-libc::ECONNRESET), Err(Errno(libc::ECONNRESET)));
    }
}
