//! The operations of one connection: what follows from each completion, and how a connection ends.

use super::Client;
use super::connection::{ClientPhase, ReceiveOutcome};
use super::shared::DISCARD_MIN;
use super::timeouts::{Backoff, ClientTimeout};
use crate::bytes::{Payload, Spans};
use crate::engine::{Completion, Engine, Errno, Received, Slot};
use crate::load::counters::{Count, LatencyKind};
use crate::load::report::FailureKind;
use crate::load::tls::TlsError;
use crate::socket::{Receive, Transmit};
use std::time::Duration;

impl<E: Engine> Client<'_, E> {
    /// Connects the slots that are due.
    pub(super) fn dial(&mut self) {
        while let Some(slot) = self.dialing.take(self.now) {
            let connection = &mut self.connections[slot.0 as usize];
            assert_eq!(connection.phase, ClientPhase::Closed, "{slot:?} is connected when closed");
            connection.phase = ClientPhase::Connecting;
            connection.dialed = self.now;
            let entry = connection.socket.connect(self.dialing.begun);
            self.timers.arm(slot, ClientTimeout::Connect, self.now);
            self.push(entry);
        }
    }

    pub(super) fn connected(&mut self, slot: Slot, result: Result<u32, Errno>) {
        let now = self.now;
        let connection = &mut self.connections[slot.0 as usize];
        let counts = connection.counts_connect(&self.shared);
        connection.socket.other_completed();
        match (connection.phase, result) {
            (ClientPhase::Connecting, Ok(_)) => {
                if counts {
                    self.shared.counters.add(Count::Connects, 1);
                    self.shared.counters.record(LatencyKind::Connect, connection.dialed, now);
                }
                if self.tls.is_some() {
                    return self.begin_handshake(slot);
                }
                self.opened(slot);
            }
            (ClientPhase::Connecting, Err(errno)) => {
                self.shared.connect_failed(failure_of_connect(errno), counts, now);
                self.fail_to_connect(slot);
                self.first_is_done(slot);
            }
            // The connect timed out and was cancelled.
            (ClientPhase::Ending, _) => {
                self.first_is_done(slot);
                self.close_if_joined(slot);
            }
            (phase, _) => unreachable!("{slot:?} was connected while {phase:?}"),
        }
    }

    /// Begins to use a connection that is ready for requests.
    pub(super) fn opened(&mut self, slot: Slot) {
        let connection = &mut self.connections[slot.0 as usize];
        let has_batch = connection.left > 0;
        connection.phase = ClientPhase::Open;
        connection.backoff = Backoff::default();
        self.last_connected = self.now;
        self.timers.disarm(slot);
        self.shared.counters.add(Count::Open, 1);
        self.receive(slot);
        if has_batch {
            self.transmit(slot);
        } else {
            self.idle(slot);
        }
        self.first_is_done(slot);
    }

    /// Begins the schedule after the attempt to connect that ended last, of those before it.
    pub(super) fn first_is_done(&mut self, slot: Slot) {
        let has_batch = self.connections[slot.0 as usize].left > 0;
        if self.dialing.has_firsts() && !has_batch && self.dialing.first_is_done() {
            self.begin(self.now);
        }
    }

    /// Ends an attempt to connect that failed. The slot tries again after a pause if it has a
    /// batch.
    pub(super) fn fail_to_connect(&mut self, slot: Slot) {
        self.connections[slot.0 as usize].retries = true;
        self.end(slot);
        // Without a duration, nothing else would end a load on a server that is gone.
        let is_unbounded = self.shared.plan.amount.duration_ns.is_none();
        let patience = Duration::from_nanos(self.shared.plan.connect_timeout_ns);
        let is_hopeless = self.shared.counters.get(Count::Open) == 0
            && self.last_connected.plus(patience) <= self.now;
        if is_unbounded && is_hopeless {
            self.stop(Duration::ZERO);
        }
    }

    /// Sends the requests of the batch that have no response.
    pub(super) fn transmit(&mut self, slot: Slot) {
        let connection = &mut self.connections[slot.0 as usize];
        if connection.socket.transmitting() != Transmit::Idle {
            // The completion of the last send is still to come, and causes no wake-up.
            connection.is_to_send = true;
            self.poll_now = true;
            return;
        }
        if !self.schedule.is_open_loop() {
            connection.since = self.now;
        }
        if !std::mem::replace(&mut connection.is_sent, true) {
            if !self.schedule.is_open_loop() {
                // It is due when its connection is ready for it.
                self.shared.due(connection.left, connection.counts);
            }
            self.shared.sent(connection.left, connection.counts);
            self.unsent_batches -= 1;
            self.last_sent = self.now;
        }
        connection.used = connection.used.saturating_add(connection.left);
        connection.to_send = connection.left;
        let is_secure = connection.secure.is_some();
        self.timers.arm(slot, ClientTimeout::Response, self.now);
        if is_secure {
            self.flush(slot);
        } else {
            self.send_next(slot);
        }
    }

    /// Sends the next bytes of the batch.
    fn send_next(&mut self, slot: Slot) {
        let connection = &mut self.connections[slot.0 as usize];
        let spans = connection.next_bytes(slot, &self.shared.requests);
        let is_last = connection.to_send == 0;
        self.send(slot, spans, is_last);
    }

    /// Sends spans of the fixed buffer. `is_last` is false if more follows their completion, which
    /// then has to cause a wake-up.
    pub(super) fn send(&mut self, slot: Slot, spans: Spans, is_last: bool) {
        let connection = &mut self.connections[slot.0 as usize];
        let more = connection.secure.is_none() && connection.to_send > 0;
        let entry = connection.socket.send(spans.into(), more, is_last);
        self.push(entry);
    }

    pub(super) fn sent(&mut self, slot: Slot, result: Result<u32, Errno>) {
        let connection = &mut self.connections[slot.0 as usize];
        let Payload::Spans(spans) = connection.socket.sent() else {
            unreachable!("requests are one or two spans")
        };
        if connection.phase == ClientPhase::Ending {
            return self.close_if_joined(slot);
        }
        connection.unsent = match result {
            Ok(count) => spans.after(u64::from(count)),
            Err(Errno(libc::EAGAIN | libc::EINTR)) => spans,
            // A broken connection: the receive shows how many responses it still brought.
            Err(_) => {
                connection.to_send = 0;
                Spans::default()
            }
        };
        if connection.unsent.len() > 0 {
            let entry = connection.socket.await_room();
            self.push(entry);
        } else if connection.secure.is_none()
            && connection.to_send > 0
            && connection.phase == ClientPhase::Open
        {
            self.send_next(slot);
        } else if !connection.is_sealing() && std::mem::take(&mut connection.is_to_send) {
            self.transmit(slot);
        } else {
            self.flush(slot);
        }
    }

    pub(super) fn writable(&mut self, slot: Slot) {
        let connection = &mut self.connections[slot.0 as usize];
        connection.socket.writable();
        match connection.phase {
            ClientPhase::Open | ClientPhase::Handshaking => {
                let spans = connection.unsent;
                self.send(slot, spans, false);
            }
            _ => self.close_if_joined(slot),
        }
    }

    /// Arms a receive: multishot if responses are small, once if their content is to be dropped.
    pub(super) fn receive(&mut self, slot: Slot) {
        let connection = &mut self.connections[slot.0 as usize];
        if connection.socket.receiving() != Receive::Idle || !connection.phase.is_receiving() {
            return;
        }
        let drop_bytes = connection.skippable(&self.shared);
        let entry = if drop_bytes >= DISCARD_MIN {
            connection.socket.discard(u32::try_from(drop_bytes).unwrap_or(DISCARD_MAX))
        } else if self.shared.drops_content() {
            connection.socket.receive()
        } else {
            connection.socket.receive_many()
        };
        self.push(entry);
    }

    pub(super) fn received(&mut self, slot: Slot, completion: Completion) {
        let connection = &mut self.connections[slot.0 as usize];
        connection.socket.received(completion.more);
        match (connection.phase, completion.result) {
            (phase, _) if phase.is_receiving() => self.handle_received(slot, completion),
            // The client has given the connection up, but bytes behind its last response are
            // counted all the same.
            (ClientPhase::Ending, Ok(count)) if count > 0 => {
                if connection.secure.is_some() {
                    self.received_late(slot, completion);
                } else {
                    connection.received_surplus(&[], count.into(), &mut self.shared, self.now);
                }
            }
            _ => {}
        }
        if let Some(buffer) = completion.buffer {
            self.engine.give_back(buffer);
        }
        match completion.result {
            Err(Errno(libc::ENOBUFS)) => self.awaiting_buffers.push(slot),
            _ => self.receive(slot),
        }
        self.close_if_joined(slot);
    }

    fn handle_received(&mut self, slot: Slot, completion: Completion) {
        let is_secure = self.connections[slot.0 as usize].secure.is_some();
        let outcome = if is_secure {
            self.received_secure(slot, completion)
        } else {
            self.received_plain(slot, completion)
        };
        let connection = &mut self.connections[slot.0 as usize];
        match outcome {
            ReceiveOutcome::More => {}
            ReceiveOutcome::Answered if connection.room(&self.shared.plan) == 0 => {
                connection.rests = self.shared.plan.think_ns > 0;
                self.end(slot);
            }
            ReceiveOutcome::Answered => {
                self.timers.disarm(slot);
                self.rest(slot);
                let socket = &mut self.connections[slot.0 as usize].socket;
                if self.shared.drops_content() && socket.receiving() == Receive::Multishot {
                    // So that the content of the next response can be dropped.
                    let entry = socket.cancel_receive();
                    self.push_all(entry);
                }
            }
            ReceiveOutcome::Last => {
                connection.phase = ClientPhase::AwaitClose;
                connection.rests = connection.left == 0 && self.shared.plan.think_ns > 0;
                self.timers.arm(slot, ClientTimeout::Linger, self.now);
            }
            ReceiveOutcome::Broken => self.end(slot),
        }
    }

    fn received_plain(&mut self, slot: Slot, completion: Completion) -> ReceiveOutcome {
        let connection = &mut self.connections[slot.0 as usize];
        let now = self.now;
        match (completion.result, completion.buffer) {
            (Err(Errno(libc::ENOBUFS | libc::ECANCELED | libc::EINTR | libc::EAGAIN)), _) => {
                ReceiveOutcome::More
            }
            // After the last response, only the end of the stream is due.
            (result, _) if connection.phase == ClientPhase::AwaitClose => {
                let count = result.unwrap_or(0);
                if count > 0 {
                    connection.received_surplus(&[], count.into(), &mut self.shared, now);
                }
                ReceiveOutcome::Broken
            }
            (Ok(0), _) => {
                connection.received_end(false, &mut self.shared, now);
                ReceiveOutcome::Broken
            }
            (Ok(len), Some(buffer)) => {
                let memory = self.engine.memory(Some(Received { buffer, len }));
                connection.received(memory.received, &mut self.shared, now)
            }
            (Ok(len), None) => connection.skip(len, &mut self.shared, now),
            (Err(_), _) => {
                connection.broke(&mut self.shared, now);
                ReceiveOutcome::Broken
            }
        }
    }

    pub(super) fn expire(&mut self, slot: Slot, timeout: ClientTimeout) {
        let now = self.now;
        let connection = &mut self.connections[slot.0 as usize];
        match timeout {
            ClientTimeout::Connect => {
                let counts = connection.counts_connect(&self.shared);
                let kind = FailureKind::ConnectTimedOut;
                if connection.phase == ClientPhase::Handshaking {
                    self.shared.handshake_failed(kind, &TlsError::TimedOut, counts, now);
                    self.fail_to_connect(slot);
                    return self.first_is_done(slot);
                }
                self.shared.connect_failed(kind, counts, now);
                let entry = connection.socket.cancel_connect();
                self.push(entry);
                self.fail_to_connect(slot);
            }
            ClientTimeout::Response => {
                if connection.left > 0 {
                    connection.fail(FailureKind::ResponseTimedOut, &mut self.shared, now);
                }
                self.end(slot);
            }
            ClientTimeout::Linger => {
                self.shared.lingered(connection.counts);
                self.end(slot);
            }
            ClientTimeout::Retry(_) => self.dialing.push(slot),
            ClientTimeout::Think => {
                connection.rests = false;
                self.idle(slot);
            }
        }
    }

    /// Ends a connection: cancels the operations in flight; the rest follows from the completions.
    pub(super) fn end(&mut self, slot: Slot) {
        self.timers.disarm(slot);
        let connection = &mut self.connections[slot.0 as usize];
        match std::mem::replace(&mut connection.phase, ClientPhase::Ending) {
            ClientPhase::Open | ClientPhase::AwaitClose => {
                let open = self.shared.counters.get(Count::Open);
                self.shared.counters.set(Count::Open, open - 1);
            }
            ClientPhase::Connecting | ClientPhase::Handshaking => {}
            phase @ (ClientPhase::Closed | ClientPhase::Ending) => {
                unreachable!("{slot:?} is ended while {phase:?}")
            }
        }
        let cancels = connection.socket.end(false);
        // A send completes by the next wake-up, but causes none.
        self.poll_now |= connection.socket.is_sending();
        self.push_all(cancels.into_iter().flatten());
        self.close_if_joined(slot);
    }

    pub(super) fn closed(&mut self, slot: Slot) {
        let connection = &mut self.connections[slot.0 as usize];
        connection.reset(slot);
        let retries = std::mem::take(&mut connection.retries);
        if connection.left == 0 {
            // A server that closes during the pause makes it begin anew.
            let rests = std::mem::take(&mut connection.rests);
            return if rests { self.rest(slot) } else { self.idle(slot) };
        }
        let timeout = Duration::from_nanos(self.shared.plan.response_timeout_ns);
        let is_late = connection.since.plus(timeout) <= self.now;
        if retries && is_late && self.schedule.is_open_loop() && connection.is_unsent() {
            // It would be late by its timeout already.
            self.withdraw(slot);
        } else if retries {
            let backoff = connection.backoff;
            connection.backoff = backoff.longer();
            self.timers.arm(slot, ClientTimeout::Retry(backoff), self.now);
        } else {
            self.dialing.push(slot);
        }
    }
}

fn failure_of_connect(errno: Errno) -> FailureKind {
    match errno.0 {
        // The file of a Unix socket is missing, or its backlog is full (connect(2)).
        libc::ECONNREFUSED | libc::ENOENT | libc::EAGAIN => FailureKind::ConnectRefused,
        libc::ETIMEDOUT => FailureKind::ConnectTimedOut,
        libc::EADDRNOTAVAIL | libc::EADDRINUSE => FailureKind::NoLocalPort,
        _ => FailureKind::ConnectFailed,
    }
}

const DISCARD_MAX: u32 = 1 << 30;
