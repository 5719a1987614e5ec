//! One connection of the server: carries events of its socket to the protocol
//! ([`ServerConnection`]), and keeps the operations in flight in line with the protocol's latest
//! output.
//!
//! ```text
//!   completion ──► Socket (one operation less in flight)
//!              ──► ServerConnection::handle ──► Output, stored
//!              ──► reconcile: what the output needs and is not in flight yet, is submitted
//! ```
//!
//! `reconcile` depends on nothing but the stored output and the [`Socket`], so it may be called
//! after any event. The states of the operations are drawn in [`crate::socket`].

use super::acceptor::Class;
use super::lingering::Lingering;
use super::worker::Server;
use crate::engine::{Completion, Engine, Errno, Kind, Received, Slot};
use crate::http1::{Context, Input, Output, Then, Timeout};
use crate::site::ScratchPlace;
use crate::socket::{Receive, Submission, Transmit};
use std::time::Duration;

impl<E: Engine> Server<E> {
    /// A connection was accepted into its slot.
    pub(super) fn begin(&mut self, slot: Slot) {
        self.stats.connections += 1;
        self.stats.in_flight_max = self.stats.in_flight_max.max(self.live());
        self.connections[slot.0 as usize].accepted = self.now;
        self.observe_accept(slot);
        self.arm_timeout(slot, Timeout::Head);
        self.receive(slot);
    }

    pub(super) fn complete_on_connection(&mut self, completion: Completion) {
        let token = completion.token;
        let slot = Slot(token.index());
        token.assert_life(self.connections[slot.0 as usize].socket.generation());
        match token.kind() {
            Kind::Recv => self.received(slot, completion),
            Kind::Send => self.sent(slot, completion.result),
            Kind::Writable => self.writable(slot),
            Kind::Close => self.closed(slot),
            Kind::Shutdown | Kind::Cancel => {
                self.connections[slot.0 as usize].socket.other_completed();
                self.reconcile(slot);
            }
            Kind::Accept | Kind::CancelAccept | Kind::Connect | Kind::Watch | Kind::Signal => {
                unreachable!("{token:?} is not about a connection")
            }
        }
    }

    fn received(&mut self, slot: Slot, completion: Completion) {
        let socket = &mut self.connections[slot.0 as usize].socket;
        socket.received(completion.more);
        // Bytes that arrive while a lazy send is in flight are parsed after its completion, which
        // causes no wake-up: the next wait must not block.
        self.poll_now |= socket.is_sending();
        match completion.result {
            Ok(0) => self.handle(slot, |_| Input::EndOfStream),
            Ok(len) => {
                let buffer = completion.buffer.expect("received bytes lie in a buffer");
                self.handle_bytes(slot, Received { buffer, len });
            }
            Err(Errno(libc::ENOBUFS)) => self.await_buffers(slot),
            Err(Errno(libc::ECANCELED)) => {}
            Err(errno) => self.failed(slot, errno),
        }
        if let Some(buffer) = completion.buffer {
            self.engine.give_back(buffer);
            self.buffers_came_back = true;
        }
        self.reconcile(slot);
    }

    fn handle_bytes(&mut self, slot: Slot, received: Received) {
        self.reopen_if_idle(slot);
        if self.drops_input(slot) {
            return;
        }
        let gives_way = self.should_give_way(slot);
        self.deliver(slot, Some(received), gives_way, |bytes| Input::Bytes(bytes));
        let connection = &mut self.connections[slot.0 as usize];
        // Once: further bytes may arrive while the last response is under way.
        let is_new = gives_way && !connection.gives_way;
        if is_new && connection.socket.is_open() && connection.output.is_last() {
            connection.gives_way = true;
            self.giving_way += 1;
        }
    }

    /// Drops received bytes if the connection lingers; returns whether it does.
    fn drops_input(&mut self, slot: Slot) -> bool {
        let connection = &self.connections[slot.0 as usize];
        let Some(lingering) = connection.lingering else { return false };
        if lingering.may_go_on(self.now) && connection.socket.is_open() {
            self.arm_timeout(slot, Timeout::Linger);
        }
        true
    }

    pub(super) fn handle(&mut self, slot: Slot, input: impl for<'a> FnOnce(&'a [u8]) -> Input<'a>) {
        self.deliver(slot, None, false, input);
    }

    /// Reports an input to the protocol and stores the output, unless the connection is ending.
    fn deliver(
        &mut self,
        slot: Slot,
        received: Option<Received>,
        gives_way: bool,
        input: impl for<'a> FnOnce(&'a [u8]) -> Input<'a>,
    ) {
        let connection = &mut self.connections[slot.0 as usize];
        if !connection.socket.is_open() {
            return;
        }
        let memory = self.engine.memory(received);
        let health_only = connection.class == Class::Health;
        let mut context = Context {
            site: &self.site,
            fixed: memory.fixed,
            head_buffers: &mut self.head_buffers,
            runs: &mut self.runs,
            stats: &mut self.stats,
            scratch: ScratchPlace::Slot(slot.0),
            head_bytes_max: self.config.head_bytes_max as usize,
            draining: self.life.announces_drain(),
            is_last: self.life.ends_connections() || gives_way || health_only,
            health_only,
            observation: self.observing.of(slot, self.now),
        };
        let output = connection.conn.handle(input(memory.received), &mut context);
        let lingered = std::mem::replace(&mut connection.output, output) == Output::Linger;
        if output == Output::Linger && !lingered {
            connection.lingering = Some(Lingering::new(self.now));
            let entry = connection.socket.shutdown();
            self.push(entry);
        }
    }

    /// Submits what the latest output needs and is not in flight yet, and arms its timeout.
    pub(super) fn reconcile(&mut self, slot: Slot) {
        let connection = &mut self.connections[slot.0 as usize];
        if !connection.socket.is_open() {
            return self.close_if_joined(slot);
        }
        match connection.output {
            Output::Receive(timeout) => self.expect_bytes(slot, timeout),
            Output::Linger => self.expect_bytes(slot, Timeout::Linger),
            Output::Send(transmission) => {
                if connection.socket.transmitting() == Transmit::Idle {
                    self.send(slot, transmission);
                }
                self.apply_backpressure(slot);
                if transmission.then == Then::Linger {
                    self.receive_while_waiting(slot);
                }
            }
            Output::Close => return self.end(slot, false),
        }
        if self.life.drains() {
            // A receive is armed, so a request that has arrived already is served even now.
            self.end_if_idle(slot);
        }
    }

    fn expect_bytes(&mut self, slot: Slot, timeout: Timeout) {
        if self.timers.kind(slot) != Some(timeout) {
            self.arm_timeout(slot, timeout);
        }
        if self.connections[slot.0 as usize].socket.receiving() == Receive::Idle {
            self.receive(slot);
        }
    }

    /// Receives while the last response waits for room, from a client that may read it only after
    /// it has sent everything. The bytes are dropped. The rate of the response bounds how long that
    /// goes on.
    fn receive_while_waiting(&mut self, slot: Slot) {
        let socket = &self.connections[slot.0 as usize].socket;
        let waits = socket.transmitting() == Transmit::AwaitingRoom;
        if waits && socket.receiving() == Receive::Idle {
            self.receive(slot);
        }
    }

    /// Starts a timeout.
    ///
    /// Connections in the middle of a request are listed by when that began, whatever their
    /// timeouts since: the first of them has had the least use of its slot.
    pub(super) fn arm_timeout(&mut self, slot: Slot, timeout: Timeout) {
        let before = self.timers.kind(slot);
        self.timers.arm(slot, timeout, self.now);
        let connection = &mut self.connections[slot.0 as usize];
        match timeout {
            Timeout::Idle if before == Some(Timeout::Idle) => {}
            Timeout::Idle => {
                self.unfinished.disarm(slot);
                connection.rate = None;
            }
            Timeout::Head => {
                self.unfinished.arm(slot, connection.class, self.now);
                connection.rate = None;
            }
            Timeout::Body | Timeout::Response | Timeout::Linger => {
                if self.unfinished.kind(slot).is_none() {
                    self.unfinished.arm(slot, connection.class, self.now);
                }
            }
        }
    }

    /// Arms a receive: multishot for a connection that persists, once for one that may not last.
    pub(super) fn receive(&mut self, slot: Slot) {
        let connection = &mut self.connections[slot.0 as usize];
        let persists = match connection.output {
            Output::Receive(timeout) => timeout == Timeout::Idle,
            Output::Send(_) | Output::Linger | Output::Close => !connection.output.is_last(),
        };
        let entry = if self.config.recv_many && persists && !connection.backpressured {
            connection.socket.receive_many()
        } else {
            connection.socket.receive()
        };
        self.push(entry);
    }

    /// Stops receiving from a client that goes on sending requests but doesn't read the responses.
    fn apply_backpressure(&mut self, slot: Slot) {
        let connection = &mut self.connections[slot.0 as usize];
        if connection.input_is_full() && connection.socket.receiving() == Receive::Multishot {
            connection.backpressured = true;
            let entry = connection.socket.cancel_receive();
            self.push_all(entry);
        }
    }

    fn await_buffers(&mut self, slot: Slot) {
        self.reopen_if_idle(slot);
        let connection = &mut self.connections[slot.0 as usize];
        if connection.socket.is_open() {
            connection.socket.set_out_of_buffers();
            self.awaiting_buffers.push(slot);
        }
    }

    /// Arms the receives that ended with `ENOBUFS`, now that the buffers of this turn are back. If
    /// no buffer came back, they are retried only after [`NO_BUFFERS_PAUSE`].
    pub(super) fn rearm_receives(&mut self) {
        let came_back = std::mem::take(&mut self.buffers_came_back);
        if self.awaiting_buffers.is_empty() || (!came_back && self.now < self.no_buffers_until) {
            return;
        }
        self.no_buffers_until = self.now.plus(NO_BUFFERS_PAUSE);
        while let Some(slot) = self.awaiting_buffers.pop() {
            let Some(connection) = self.connections.get_mut(slot.0 as usize) else { continue };
            if connection.socket.clear_out_of_buffers() {
                // Even during a response, unless backpressure applies: a lazy send causes no
                // wake-up, so the next request must.
                if !connection.input_is_full() {
                    self.receive(slot);
                }
                self.reconcile(slot);
            }
        }
    }

    pub(super) fn push_all(&mut self, entries: impl IntoIterator<Item = Submission>) {
        for entry in entries {
            self.push(entry);
        }
    }
}

/// How long receives that found no buffer wait, if none comes back.
const NO_BUFFERS_PAUSE: Duration = Duration::from_millis(1);
