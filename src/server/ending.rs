//! How a connection ends: operations in flight are cancelled and joined, then the slot is closed,
//! and then it is free. [`crate::socket`] has the picture.

use super::worker::Server;
use crate::engine::{Engine, Errno, Slot};
use crate::http1::{Input, Output, Timeout};
use crate::socket::{Receive, Transmit};

impl<E: Engine> Server<E> {
    pub(super) fn closed(&mut self, slot: Slot) {
        if self.is_sending(slot) {
            // The close was linked to the last send, and follows only if all bytes were taken.
            let payload = self.end_of_send(slot);
            self.stats.bytes += payload.len();
            self.observe_send_close(slot, payload);
        }
        self.free(slot);
    }

    /// Gives a slot back. Nothing is in flight on it, and it is closed.
    pub(super) fn free(&mut self, slot: Slot) {
        let key = slot.0 as usize;
        self.end_responses(slot);
        let mut connection = self.connections.remove(key);
        self.leaving -= u32::from(!connection.socket.is_open());
        connection.conn.release(&mut self.head_buffers);
        self.giving_way -= u32::from(connection.gives_way);
        assert!(self.giving_way as usize <= self.connections.len(), "a connection gives way once");
        self.acceptor.freed(connection.class);
        self.timers.disarm(slot);
        self.unfinished.disarm(slot);
        self.generations[key] = self.generations[key].wrapping_add(1);
    }

    /// An operation failed: the connection is broken.
    pub(super) fn failed(&mut self, slot: Slot, errno: Errno) {
        let connection = &mut self.connections[slot.0 as usize];
        if !connection.socket.is_open() {
            return;
        }
        match errno.0 {
            libc::ECONNRESET | libc::EPIPE => self.stats.errors.resets += 1,
            _ => self.stats.errors.failures += 1,
        }
        connection.output = Output::Close;
    }

    pub(super) fn expire(&mut self, slot: Slot, timeout: Timeout) {
        match timeout {
            Timeout::Idle => {
                // The completion of a lazy send may still be to come.
                if !self.end_if_idle(slot) {
                    self.timers.arm(slot, Timeout::Idle, self.now);
                }
            }
            Timeout::Response => self.check_rate(slot),
            Timeout::Head | Timeout::Body | Timeout::Linger => {
                self.handle(slot, |_| Input::Deadline);
                self.reconcile(slot);
            }
        }
    }

    /// Ends a connection in the middle of a request, because another connection needs its slot.
    pub(super) fn displace(&mut self, slot: Slot) {
        self.handle(slot, |_| Input::Displaced);
        self.reconcile(slot);
    }

    /// Ends a connection on which no request is pending; returns whether it did. A connection
    /// whose receive found no buffer isn't idle: a request may have arrived.
    pub(super) fn end_if_idle(&mut self, slot: Slot) -> bool {
        let Some(connection) = self.connections.get(slot.0 as usize) else { return false };
        let socket = &connection.socket;
        let idle = socket.is_open()
            && socket.transmitting() == Transmit::Idle
            && socket.receiving() != Receive::OutOfBuffers
            && connection.output == Output::Receive(Timeout::Idle);
        if idle {
            self.end(slot, true);
        }
        idle
    }

    /// Ends a connection: cancels the operations in flight; the rest follows from the completions.
    pub(super) fn end(&mut self, slot: Slot, was_idle: bool) {
        self.timers.disarm(slot);
        self.unfinished.disarm(slot);
        self.leaving += 1;
        let connection = &mut self.connections[slot.0 as usize];
        if !was_idle {
            connection.conn.release(&mut self.head_buffers);
        }
        let cancels = connection.socket.end(was_idle);
        self.push_all(cancels.into_iter().flatten());
        self.close_if_joined(slot);
    }

    pub(super) fn close_if_joined(&mut self, slot: Slot) {
        let entry = self.connections[slot.0 as usize].socket.close_if_joined();
        self.push_all(entry);
    }

    /// A connection that was ended as idle goes on if its next request has arrived after all.
    pub(super) fn reopen_if_idle(&mut self, slot: Slot) {
        if self.connections[slot.0 as usize].socket.reopen() {
            self.leaving -= 1;
        }
    }
}
