//! The operations: what can be asked of a ring, all of them in a row, and what each is for.

use super::{Kind, Slot, Token};
use crate::bytes::{Span, Spans};

/// What can be asked of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Accept one connection from a listener into a free slot.
    Accept {
        /// Index of the listener.
        listener: u32,
        /// Where the connection goes; it must be closed.
        slot: Slot,
    },
    /// Complete once when a listener has a connection to accept; accepts nothing.
    Watch {
        /// Index of the listener.
        listener: u32,
    },
    /// Make a socket in a free slot and connect it to the ring's target. Whatever comes of it,
    /// the slot is to be closed.
    Connect {
        /// Where the connection goes; it must be closed.
        slot: Slot,
        /// The number of the local address it comes from; beyond the last it begins again.
        source: u32,
    },
    /// Receive once into a buffer that the ring picks.
    Recv {
        /// The connection.
        slot: Slot,
    },
    /// Receive again and again, a buffer each time.
    RecvMany {
        /// The connection.
        slot: Slot,
    },
    /// Receive up to so many bytes and drop them.
    Discard {
        /// The connection.
        slot: Slot,
        /// How many at most.
        len: u32,
    },
    /// Send spans of the fixed buffer, without waiting for room.
    Send {
        /// The connection.
        slot: Slot,
        /// What to send.
        spans: Spans,
        /// More follows at once: a partial packet may wait for it (`MSG_MORE`).
        more: bool,
        /// Nothing waits for this completion: it comes with the next wake-up, but must not cause
        /// one unless the send was short or failed.
        lazy: bool,
    },
    /// Send spans and, if all of them were taken, close the slot.
    SendClose {
        /// The connection.
        slot: Slot,
        /// What to send.
        spans: Spans,
    },
    /// Complete once when the socket takes bytes again, or is broken.
    Writable {
        /// The connection.
        slot: Slot,
    },
    /// Shut down the sending side: the peer reads end of stream after what was sent.
    Shutdown {
        /// The connection.
        slot: Slot,
    },
    /// End the entry that was pushed with this token.
    Cancel {
        /// The token of the entry to end.
        target: Token,
    },
    /// Close a slot on which nothing is in flight.
    Close {
        /// The connection.
        slot: Slot,
    },
    /// Complete with the number of the next signal that asks the process to end.
    Signal,
}

impl Op {
    /// One of each operation, about the first slot and listener; of sends, one of every kind.
    ///
    /// Who limits a ring to what it is used for has the list from here, so that it can't differ
    /// from what is used.
    #[must_use]
    pub fn one_of_each() -> Vec<Self> {
        std::iter::successors(Some(FIRST), |&op| op.following()).collect()
    }

    /// What the operation is for, as a reason why it must be allowed.
    #[must_use]
    pub fn purpose(self) -> &'static str {
        match self {
            Self::Accept { .. } => "accept a connection",
            Self::Watch { .. } => "learn that somebody waits while no slot is free",
            Self::Connect { .. } => "connect to the server under load",
            Self::Recv { .. } | Self::RecvMany { .. } => "receive requests",
            Self::Discard { .. } => "drop what needn't be looked at",
            Self::Send { .. } => "send responses",
            Self::SendClose { .. } => "send the last response, and close behind it",
            Self::Writable { .. } => "wait until the socket of a slow reader takes more",
            Self::Shutdown { .. } => "end a connection so that its last response can be read",
            Self::Cancel { .. } => {
                "end an operation before its connection is closed, and accepts at the drain"
            }
            Self::Close { .. } => "close a connection",
            Self::Signal => "learn of the signal that asks for the end",
        }
    }

    /// The one after this. A new operation doesn't compile until it has its place here.
    fn following(self) -> Option<Self> {
        let (slot, listener) = (Slot(0), 0);
        let byte = Span { offset: 0, len: 1 };
        let (one, two) = (Spans::from(byte), Spans { first: byte, then: byte });
        let send = |spans, lazy| Self::Send { slot, spans, more: false, lazy };
        Some(match self {
            Self::Accept { .. } => Self::Watch { listener },
            Self::Watch { .. } => Self::Connect { slot, source: 0 },
            Self::Connect { .. } => Self::Recv { slot },
            Self::Recv { .. } => Self::RecvMany { slot },
            Self::RecvMany { .. } => Self::Discard { slot, len: 1 },
            Self::Discard { .. } => send(one, false),
            Self::Send { spans, lazy: false, .. } => send(spans, true),
            Self::Send { spans, .. } if spans.then.len == 0 => send(two, false),
            Self::Send { .. } => Self::SendClose { slot, spans: one },
            Self::SendClose { spans, .. } if spans.then.len == 0 => {
                Self::SendClose { slot, spans: two }
            }
            Self::SendClose { .. } => Self::Writable { slot },
            Self::Writable { .. } => Self::Shutdown { slot },
            Self::Shutdown { .. } => Self::Cancel { target: Token::new(Kind::Recv, 0, slot.0) },
            Self::Cancel { .. } => Self::Close { slot },
            Self::Close { .. } => Self::Signal,
            Self::Signal => return None,
        })
    }
}

/// Where the row begins.
const FIRST: Op = Op::Accept { listener: 0, slot: Slot(0) };

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_row_has_each_operation() {
        let row = Op::one_of_each();
        let kinds: HashSet<_> = row.iter().map(std::mem::discriminant).collect();
        // Whoever adds an operation is made to name what follows it, and counts it here.
        assert_eq!((kinds.len(), row.len()), (13, 17), "{row:?}");
    }
}
