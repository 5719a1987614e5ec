//! How a connection ends: what is in flight is cancelled and joined, then the slot is closed, and
//! then it is free. See the picture in `connection`.

use super::super::Server;
use super::super::timeouts::Wait;
use super::{Ending, Input, Receive, Transmit};
use crate::engine::{Engine, Errno, Kind, Op, Slot};
use crate::http1::{Event, Next, Waiting};

impl<R: Engine> Server<R> {
    pub(super) fn closed(&mut self, slot: Slot) {
        if let Transmit::Sending { .. } = self.connections[slot.0 as usize].transmit {
            // The close that was linked to the last send: all of it was taken.
            let spans = self.end_of_send(slot);
            self.stats.bytes += spans.len();
        }
        self.free(slot);
    }

    /// Gives a slot back: nothing is in flight on it, and it is closed.
    pub(in crate::server) fn free(&mut self, slot: Slot) {
        let key = slot.0 as usize;
        let mut connection = self.connections.remove(key);
        self.leaving -= u32::from(connection.ending != Ending::Open);
        connection.conn.release(&mut self.head_buffers);
        self.giving_way -= u32::from(connection.gives_way);
        self.acceptor.freed(connection.class);
        self.timers.disarm(slot);
        self.unfinished.disarm(slot);
        self.generations[key] = self.generations[key].wrapping_add(1);
    }

    /// The operating system says the connection is broken.
    pub(super) fn failed(&mut self, slot: Slot, errno: Errno) -> Next {
        match (self.connections[slot.0 as usize].ending, errno.0) {
            (Ending::Leaving { .. } | Ending::Closing, _) => return Next::Wait,
            (Ending::Open, libc::ECONNRESET | libc::EPIPE) => self.stats.errors.resets += 1,
            (Ending::Open, _) => self.stats.errors.failures += 1,
        }
        Next::Close
    }

    pub(in crate::server) fn expire(&mut self, slot: Slot, wait: Wait) {
        match wait {
            Wait::Idle => {
                // A completion that nobody waited for may still be on its way.
                if !self.end_if_idle(slot) {
                    self.timers.arm(slot, Wait::Idle, self.now);
                }
            }
            Wait::Response => self.check_rate(slot),
            Wait::Head | Wait::Body | Wait::Linger => self.report(slot, Event::Deadline),
        }
    }

    /// Ends a connection in the middle of a request, as its slot is wanted for another.
    pub(in crate::server) fn displace(&mut self, slot: Slot) {
        self.report(slot, Event::Displaced);
    }

    fn report(&mut self, slot: Slot, event: Event<'static>) {
        let next = self.tell(slot, Input::Event(event));
        self.apply(slot, next);
        self.settle(slot);
    }

    /// Ends a connection that waits for its next request. Says whether it did. One whose receive
    /// found no buffer isn't idle: its bytes may be there.
    pub(in crate::server) fn end_if_idle(&mut self, slot: Slot) -> bool {
        let Some(connection) = self.connections.get(slot.0 as usize) else { return false };
        let idle = connection.ending == Ending::Open
            && connection.transmit == Transmit::Idle
            && connection.receive != Receive::OutOfBuffers
            && connection.conn.waiting() == Waiting::Idle;
        if idle {
            self.end(slot, true);
        }
        idle
    }

    /// Ends a connection: cancels what is in flight; the rest follows from the completions.
    pub(super) fn end(&mut self, slot: Slot, was_idle: bool) {
        self.timers.disarm(slot);
        self.unfinished.disarm(slot);
        let connection = &mut self.connections[slot.0 as usize];
        assert_eq!(connection.ending, Ending::Open, "a connection ends once");
        connection.ending = Ending::Leaving { was_idle };
        self.leaving += 1;
        if !was_idle {
            connection.conn.release(&mut self.head_buffers);
        }
        match connection.receive {
            Receive::Once | Receive::Many => {
                connection.receive = Receive::Stopping;
                self.cancel(slot, Kind::Recv);
            }
            Receive::OutOfBuffers => connection.receive = Receive::Idle,
            Receive::Idle | Receive::Stopping => {}
        }
        let connection = &mut self.connections[slot.0 as usize];
        if connection.transmit == Transmit::Waiting {
            connection.transmit = Transmit::Stopping;
            self.cancel(slot, Kind::Writable);
        }
        self.close_if_joined(slot);
    }

    pub(super) fn cancel(&mut self, slot: Slot, kind: Kind) {
        self.connections[slot.0 as usize].others += 1;
        let target = self.token(slot, kind);
        self.push(target.with_kind(Kind::Cancel), Op::Cancel { target });
    }

    pub(super) fn close_if_joined(&mut self, slot: Slot) {
        let token = self.token(slot, Kind::Close);
        let connection = &mut self.connections[slot.0 as usize];
        let joined = connection.receive == Receive::Idle
            && connection.transmit == Transmit::Idle
            && connection.others == 0;
        if joined && matches!(connection.ending, Ending::Leaving { .. }) {
            connection.ending = Ending::Closing;
            self.push(token, Op::Close { slot });
        }
    }

    /// A connection that was ended as idle goes on if its next request has come after all.
    pub(super) fn reopen_if_idle(&mut self, slot: Slot) {
        let connection = &mut self.connections[slot.0 as usize];
        if connection.ending == (Ending::Leaving { was_idle: true }) {
            connection.ending = Ending::Open;
            self.leaving -= 1;
        }
    }
}
