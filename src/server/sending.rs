//! How a response goes out: one send at a time, then a wait for room in the socket's buffer if the
//! send fell short, as long as the client takes the response fast enough.

use super::connection::Connection;
use super::rate::ResponseRate;
use super::worker::Server;
use crate::bytes::Payload;
use crate::engine::{Engine, Errno, Slot};
use crate::http1::{Input, Output, Then, Timeout, Transmission};
use crate::socket::{Receive, Transmit};
use slab::Slab;

impl<E: Engine> Server<E> {
    /// Makes the next send of a response, unless it has to wait for a later turn.
    pub(super) fn send(&mut self, slot: Slot, transmission: Transmission) {
        if self.long_sends.admit(slot, &transmission) {
            self.submit_send(slot, transmission);
        } else if self.timers.kind(slot) != Some(Timeout::Response) {
            self.arm_timeout(slot, Timeout::Response);
        }
    }

    /// Makes the sends that waited, as far as this turn may send.
    pub(super) fn make_long_sends(&mut self) {
        loop {
            let connections = &self.connections;
            let next = self.long_sends.next(|slot| next_send(connections, slot));
            let Some((slot, transmission)) = next else { return };
            self.submit_send(slot, transmission);
        }
    }

    fn submit_send(&mut self, slot: Slot, transmission: Transmission) {
        let Transmission { payload, more, then, .. } = transmission;
        let draining = self.life.drains();
        let connection = &mut self.connections[slot.0 as usize];
        self.site.mark_in_flight(payload);
        let is_receiving = connection.socket.receiving() != Receive::Idle;
        let fell_short = connection.rate.is_some();
        let leaves_idle = then == Then::Idle && !more;
        let closes = then == Then::Close && !more && self.config.send_close;
        let entry = if let Payload::Spans(spans) = payload
            && closes
            && connection.socket.is_idle()
        {
            connection.socket.send_close(spans)
        } else {
            // No wake-up is needed for a completion after which the connection is only idle.
            let lazy = leaves_idle && !draining && !fell_short;
            self.observing.sent_lazily |= lazy;
            connection.socket.send(payload, more, lazy)
        };
        self.push(entry);
        if leaves_idle && !fell_short {
            self.arm_timeout(slot, Timeout::Idle);
        } else if self.timers.kind(slot) != Some(Timeout::Response) {
            self.arm_timeout(slot, Timeout::Response);
        }
        if leaves_idle && !is_receiving {
            self.receive(slot);
        }
    }

    pub(super) fn sent(&mut self, slot: Slot, result: Result<u32, Errno>) {
        let payload = self.end_of_send(slot);
        self.observe_late_bytes(slot, result.unwrap_or(0));
        match result {
            Ok(count) if u64::from(count) < payload.len() => {
                self.stats.bytes += u64::from(count);
                // Before any tick: a head that was cut is copied, and its date must not change.
                self.handle(slot, |_| Input::Taken(count));
                self.fell_short(slot, count);
            }
            Ok(count) => self.all_sent(slot, count),
            Err(Errno(libc::EAGAIN | libc::EINTR)) => self.fell_short(slot, 0),
            Err(errno) => self.failed(slot, errno),
        }
        self.reconcile(slot);
    }

    fn all_sent(&mut self, slot: Slot, count: u32) {
        self.stats.bytes += u64::from(count);
        // The rendered responses that this send kept from a new date may be free now, and buffered
        // requests are to be answered with that date.
        self.site.tick(self.engine.unix_seconds(), self.engine.memory(None).fixed);
        self.handle(slot, |_| Input::Taken(count));
        let connection = &mut self.connections[slot.0 as usize];
        if let Some(rate) = &mut connection.rate {
            rate.took(count, &self.min_rate, self.now);
        }
        if self.timers.kind(slot) == Some(Timeout::Response) {
            // The request that began before is answered.
            self.unfinished.arm(slot, connection.class, self.now);
        }
    }

    /// The socket's buffer is full: waits for room in it, unless the client has been too slow for
    /// too long.
    fn fell_short(&mut self, slot: Slot, count: u32) {
        if !self.connections[slot.0 as usize].socket.is_open() {
            return;
        }
        if self.timers.kind(slot) != Some(Timeout::Response) {
            self.arm_timeout(slot, Timeout::Response);
        }
        let connection = &mut self.connections[slot.0 as usize];
        match &mut connection.rate {
            Some(rate) => rate.took(count, &self.min_rate, self.now),
            None => connection.rate = Some(ResponseRate::new(&self.min_rate, self.now)),
        }
        if connection.rate.is_some_and(|rate| rate.is_late(self.now)) {
            self.handle(slot, |_| Input::Deadline);
        } else {
            let entry = connection.socket.await_room();
            self.push(entry);
        }
    }

    /// Sends again although the socket was not reported writable. Linux reports it only when a
    /// third of its buffer is free (`sk_stream_is_writeable`), which says little about the rate at
    /// which the client takes a response; a send takes whatever room there is.
    pub(super) fn check_rate(&mut self, slot: Slot) {
        self.arm_timeout(slot, Timeout::Response);
        let socket = &mut self.connections[slot.0 as usize].socket;
        if socket.is_open() {
            let entry = socket.retry_send();
            self.push_all(entry);
        }
    }

    pub(super) fn end_of_send(&mut self, slot: Slot) -> Payload {
        let payload = self.connections[slot.0 as usize].socket.sent();
        self.site.mark_sent(payload);
        payload
    }

    /// Whether a send's completion is still to be popped.
    pub(super) fn is_sending(&self, slot: Slot) -> bool {
        self.connections[slot.0 as usize].socket.is_sending()
    }

    pub(super) fn writable(&mut self, slot: Slot) {
        self.connections[slot.0 as usize].socket.writable();
        self.reconcile(slot);
    }
}

/// The send that a connection has to make next, if it has one to make.
fn next_send(connections: &Slab<Connection>, slot: Slot) -> Option<Transmission> {
    let connection = connections.get(slot.0 as usize)?;
    let is_idle = connection.socket.transmitting() == Transmit::Idle;
    match connection.output {
        Output::Send(transmission) if is_idle && connection.socket.is_open() => Some(transmission),
        Output::Send(_) | Output::Receive(_) | Output::Linger | Output::Close => None,
    }
}
