//! The state of one slot of the server: reserved for an accept, or a connection.

use super::acceptor::Class;
use super::lingering::Lingering;
use super::rate::ResponseRate;
use crate::engine::{Nanos, Slot};
use crate::http1::{Output, ServerConnection};
use crate::socket::{Receive, Socket, Transmit};
use std::time::Duration;

/// A slot in use: reserved for an accept, or a connection.
pub(super) struct Connection {
    pub(super) conn: ServerConnection,
    /// The latest output of `conn`.
    pub(super) output: Output,
    pub(super) socket: Socket,
    /// The client sent more requests than a head buffer holds while it read no response: receives
    /// are armed one at a time from now on, when there is room.
    pub(super) backpressured: bool,
    pub(super) class: Class,
    pub(super) accepted: Nanos,
    /// How the response under way is taken, once it has filled the socket's buffer.
    pub(super) rate: Option<ResponseRate>,
    /// Since when input is dropped, once the socket has taken the last response.
    pub(super) lingering: Option<Lingering>,
    /// The response under way is its last, because another connection needs the slot.
    pub(super) gives_way: bool,
}

impl Connection {
    /// A slot reserved for a connection to be accepted, from a proxy or from a client itself.
    pub(super) fn reserved(slot: Slot, generation: u32, class: Class, is_proxied: bool) -> Self {
        let (conn, output) = if is_proxied {
            ServerConnection::accept_from_proxy()
        } else {
            ServerConnection::accept()
        };
        Self {
            conn,
            output,
            socket: Socket::new(slot, generation),
            backpressured: false,
            class,
            accepted: Nanos(0),
            rate: None,
            lingering: None,
            gives_way: false,
        }
    }

    /// Whether the connection was accepted at least `time` ago.
    pub(super) fn is_older_than(&self, time: Duration, now: Nanos) -> bool {
        self.accepted.plus(time) <= now
    }

    /// Whether the time that a request takes is not the client's fault: the client takes the
    /// response well, its bytes wait for a receive buffer, or the last response has just been sent.
    pub(super) fn is_held_up(&self, now: Nanos) -> bool {
        let is_taken_well = match self.socket.transmitting() {
            Transmit::Sending { .. } => true,
            Transmit::AwaitingRoom => self.rate.is_none_or(|rate| !rate.is_slow()),
            // The send waits for a later turn.
            Transmit::Idle => matches!(self.output, Output::Send(_)),
            Transmit::Cancelled => false,
        };
        is_taken_well
            || self.socket.receiving() == Receive::OutOfBuffers
            || self.lingering.is_some_and(|lingering| lingering.is_new(now))
    }

    /// Whether buffered input fills a head buffer.
    pub(super) fn input_is_full(&self) -> bool {
        matches!(self.output, Output::Send(transmission) if transmission.input_is_full)
    }
}
