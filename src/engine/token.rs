//! The keys that connect a completion with its operation and its connection.

use std::fmt;

/// The `user_data` of an entry: kind, generation, and slot or listener, in 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(u64);

impl Token {
    /// A token; `generation` wraps at 24 bits.
    #[must_use]
    pub fn new(kind: Kind, generation: u32, index: u32) -> Self {
        let generation = u64::from(generation & GENERATION_MASK);
        Self((kind as u64) << 56 | generation << 32 | u64::from(index))
    }

    /// A token from the 64 bits of a completion.
    ///
    /// # Panics
    /// If no [`Kind`] has this number, so the entry was not pushed with a token.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        let token = Self(bits);
        let _ = token.kind();
        token
    }

    /// The 64 bits, for `user_data`.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The kind of operation.
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

    /// The generation of the slot or listener, modulo 2^24.
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

    /// Asserts that the token is of this generation of its slot: a slot is reused only after its
    /// last completion, so a token of another generation is a bug.
    pub fn assert_life(self, generation: u32) {
        assert_eq!(
            self.generation(),
            generation & GENERATION_MASK,
            "{self:?} completed in a later generation of its slot"
        );
    }

    /// The same slot and generation with another kind.
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

/// The kinds of operations in tokens. No kind is zero, so that a zeroed entry is detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// [`Op::Accept`](super::Op::Accept).
    Accept = 1,
    /// [`Op::Watch`](super::Op::Watch).
    Watch = 2,
    /// [`Op::Recv`](super::Op::Recv), [`Op::RecvMany`](super::Op::RecvMany) and
    /// [`Op::Discard`](super::Op::Discard).
    Recv = 3,
    /// [`Op::Send`](super::Op::Send), and an [`Op::SendClose`](super::Op::SendClose) that did not
    /// send every byte.
    Send = 4,
    /// [`Op::Writable`](super::Op::Writable).
    Writable = 5,
    /// [`Op::Shutdown`](super::Op::Shutdown).
    Shutdown = 6,
    /// [`Op::Close`](super::Op::Close), and an [`Op::SendClose`](super::Op::SendClose) that sent
    /// every byte.
    Close = 7,
    /// [`Op::Cancel`](super::Op::Cancel) of an operation on a connection.
    Cancel = 8,
    /// [`Op::Signal`](super::Op::Signal).
    Signal = 9,
    /// [`Op::Cancel`](super::Op::Cancel) of an accept or a watch.
    CancelAccept = 10,
    /// [`Op::Connect`](super::Op::Connect).
    Connect = 11,
}

/// A connection: its key in the slab and its index in the kernel's table of direct descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u32);

const GENERATION_MASK: u32 = 0x00ff_ffff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_contains_kind_generation_and_index() {
        let token = Token::new(Kind::Send, 0x0123_4567, u32::MAX - 1);
        assert_eq!(token.kind(), Kind::Send);
        assert_eq!(token.generation(), 0x0023_4567);
        assert_eq!(token.index(), u32::MAX - 1);
        assert_eq!(Token::from_bits(token.bits()), token);
        assert_eq!(token.with_kind(Kind::Close).index(), token.index());
    }

    #[test]
    #[should_panic(expected = "unknown kind 0")]
    fn a_zeroed_token_panics() {
        let _ = Token::from_bits(0);
    }
}
