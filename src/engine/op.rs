//! The operations of an engine, a list of all of them, and the purpose of each.

use super::token::{Kind, Slot, Token};
use crate::bytes::{Payload, Span, SpanList, Spans};

/// An operation of an [`Engine`](super::Engine).
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
    /// Create a socket in a free slot and connect it to the engine's target. Successful or not, the
    /// slot must be closed.
    Connect {
        /// Where the connection goes; it must be closed.
        slot: Slot,
        /// The index of the local address to connect from, modulo their number.
        source: u32,
    },
    /// Receive once into a buffer that the engine chooses.
    Recv {
        /// The connection.
        slot: Slot,
    },
    /// Receive repeatedly, into a buffer each time.
    RecvMany {
        /// The connection.
        slot: Slot,
    },
    /// Receive up to `len` bytes and discard them.
    Discard {
        /// The connection.
        slot: Slot,
        /// The most bytes to discard.
        len: u32,
    },
    /// Send bytes of the fixed buffer, without waiting for room.
    Send {
        /// The connection.
        slot: Slot,
        /// The bytes to send.
        payload: Payload,
        /// Another send follows at once, for which a partial segment may wait (`MSG_MORE`).
        more: bool,
        /// The completion is not urgent: it arrives with the next wake-up, but causes one only if
        /// the send was short or failed.
        lazy: bool,
    },
    /// Send spans and, if every byte was sent, close the slot.
    SendClose {
        /// The connection.
        slot: Slot,
        /// The bytes to send.
        spans: Spans,
    },
    /// Complete once when the socket accepts bytes again, or has failed.
    Writable {
        /// The connection.
        slot: Slot,
    },
    /// Shut down the sending side: the peer reads end of stream after the bytes sent so far.
    Shutdown {
        /// The connection.
        slot: Slot,
    },
    /// Cancel the entry that was pushed with this token.
    Cancel {
        /// The token of the entry.
        target: Token,
    },
    /// Close a slot on which nothing is in flight.
    Close {
        /// The connection.
        slot: Slot,
    },
    /// Complete with the number of the next signal that requests the end of the process.
    Signal,
}

impl Op {
    /// One of each operation, on the first slot and listener; of sends, one of each variant.
    ///
    /// The restrictions of an engine are derived from this list, so that they can't differ from the
    /// operations in use.
    #[must_use]
    pub fn one_of_each() -> Vec<Self> {
        std::iter::successors(Some(FIRST), |&op| op.following()).collect()
    }

    /// The purpose of the operation, which is the reason to permit it.
    #[must_use]
    pub fn purpose(self) -> &'static str {
        match self {
            Self::Accept { .. } => "accept a connection",
            Self::Watch { .. } => "learn that a client is waiting while no slot is free",
            Self::Connect { .. } => "connect to the server under load",
            Self::Recv { .. } | Self::RecvMany { .. } => "receive requests",
            Self::Discard { .. } => "discard the content of a response",
            Self::Send { .. } => "send responses",
            Self::SendClose { .. } => "send the last response and close the connection",
            Self::Writable { .. } => "wait until the socket of a slow reader is writable",
            Self::Shutdown { .. } => {
                "end a connection so that the client can read its last response"
            }
            Self::Cancel { .. } => {
                "cancel operations before a connection is closed, and accepts at the drain"
            }
            Self::Close { .. } => "close a connection",
            Self::Signal => "learn of the signal to end",
        }
    }

    /// The operation after this one in the list. A new variant of [`Op`] doesn't compile without a
    /// place here.
    fn following(self) -> Option<Self> {
        let (slot, listener) = (Slot(0), 0);
        let byte = Span { offset: 0, len: 1 };
        let (one, two) = (Spans::from(byte), Spans { first: byte, then: byte });
        let many = Payload::List(SpanList::at(0));
        let send = |payload, lazy| Self::Send { slot, payload, more: false, lazy };
        Some(match self {
            Self::Accept { .. } => Self::Watch { listener },
            Self::Watch { .. } => Self::Connect { slot, source: 0 },
            Self::Connect { .. } => Self::Recv { slot },
            Self::Recv { .. } => Self::RecvMany { slot },
            Self::RecvMany { .. } => Self::Discard { slot, len: 1 },
            Self::Discard { .. } => send(one.into(), false),
            Self::Send { payload, lazy: false, .. } => send(payload, true),
            Self::Send { payload: Payload::Spans(spans), .. } if spans.then.len == 0 => {
                send(two.into(), false)
            }
            Self::Send { payload: Payload::Spans(_), .. } => send(many, false),
            Self::Send { payload: Payload::List(_), .. } => Self::SendClose { slot, spans: one },
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

/// The start of the list.
const FIRST: Op = Op::Accept { listener: 0, slot: Slot(0) };

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_list_contains_each_operation() {
        let list = Op::one_of_each();
        let kinds: HashSet<_> = list.iter().map(std::mem::discriminant).collect();
        // `following` forces a new operation into the list; its author counts it here.
        assert_eq!((kinds.len(), list.len()), (13, 19), "{list:?}");
    }
}
