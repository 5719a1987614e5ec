//! The operations of one connection: what follows from each completion, and how it ends. A slot
//! is closed only when nothing is in flight on it.

use super::connection::{Phase, Receive, ReceiveOutcome, Transmit};
use super::waits::Wait;
use super::{Client, ClientState};
use crate::bytes::Span;
use crate::engine::{Completion, Engine, Errno, Kind, Nanos, Op, Received, Slot};
use crate::load::counters::{Count, LatencyKind};
use crate::load::report::FailureKind;

impl<R: Engine> Client<'_, R> {
    /// Connects those whose turn it is.
    pub(super) fn dial(&mut self) {
        while let Some(slot) = self.dialing.take(self.now) {
            let token = self.token(slot, Kind::Connect);
            let connection = &mut self.connections[slot.0 as usize];
            assert_eq!(connection.phase, Phase::Closed, "a slot is connected when it is closed");
            connection.phase = Phase::Connecting;
            connection.dialed = self.now;
            connection.others += 1;
            self.timers.arm(slot, Wait::Connect, self.now);
            self.push(token, Op::Connect { slot, source: self.dialing.begun });
        }
    }

    pub(super) fn connected(&mut self, slot: Slot, result: Result<u32, Errno>) {
        let now = self.now;
        let connection = &mut self.connections[slot.0 as usize];
        let was_asked = connection.left > 0;
        // Those that are made before any request is due are part of the warm-up, if there is one.
        let counts =
            if was_asked { connection.counts } else { self.desk.plan.amount.warmup_ns == 0 };
        connection.others -= 1;
        match (connection.phase, result) {
            (Phase::Connecting, Ok(_)) => {
                connection.phase = Phase::Open;
                self.timers.disarm(slot);
                self.desk.counters.add(Count::Open, 1);
                if counts {
                    self.desk.counters.add(Count::Connects, 1);
                    self.desk.counters.record(LatencyKind::Connect, connection.dialed, now);
                }
                self.receive(slot);
                if was_asked {
                    self.transmit(slot);
                } else {
                    self.idle(slot);
                }
            }
            (Phase::Connecting, Err(errno)) => {
                if was_asked {
                    connection.fail(why_not_connected(errno), &mut self.desk, now);
                }
                connection.phase = Phase::Leaving;
                self.timers.disarm(slot);
                self.close_if_joined(slot);
            }
            // It took too long and was cancelled.
            (Phase::Leaving, _) => self.close_if_joined(slot),
            (phase, _) => unreachable!("{slot:?} was connected while {phase:?}"),
        }
        if self.dialing.has_firsts() && !was_asked && self.dialing.first_is_done() {
            self.schedule.begin(now);
        }
    }

    /// Sends what was not answered of the batch.
    pub(super) fn transmit(&mut self, slot: Slot) {
        let connection = &mut self.connections[slot.0 as usize];
        if connection.transmit != Transmit::Idle {
            // The completion of the last one is to come, and ends no wait.
            connection.is_to_send = true;
            self.hurry = true;
            return;
        }
        if !self.schedule.is_open_loop() {
            connection.since = self.now;
        }
        let span = Span { offset: 0, len: u64::from(connection.left * self.request_bytes) };
        self.timers.arm(slot, Wait::Response, self.now);
        self.send(slot, span);
    }

    fn send(&mut self, slot: Slot, span: Span) {
        let token = self.token(slot, Kind::Send);
        self.connections[slot.0 as usize].transmit = Transmit::Sending { span };
        self.push(token, Op::Send { slot, spans: span.into(), more: false, lazy: true });
    }

    pub(super) fn sent(&mut self, slot: Slot, result: Result<u32, Errno>) {
        let token = self.token(slot, Kind::Writable);
        let connection = &mut self.connections[slot.0 as usize];
        let Transmit::Sending { span } = connection.transmit else {
            unreachable!("a send of {slot:?} completed though none is in flight")
        };
        connection.transmit = Transmit::Idle;
        if matches!(connection.phase, Phase::Leaving | Phase::Closing) {
            return self.close_if_joined(slot);
        }
        let rest = match result {
            Ok(count) => span.after(u64::from(count)),
            Err(Errno(libc::EAGAIN | libc::EINTR)) => span,
            // A broken connection: the receive tells how far it came.
            Err(_) => Span::default(),
        };
        if rest.len > 0 {
            connection.transmit = Transmit::Waiting { span: rest };
            self.push(token, Op::Writable { slot });
        } else if connection.is_to_send {
            connection.is_to_send = false;
            self.transmit(slot);
        }
    }

    pub(super) fn writable(&mut self, slot: Slot) {
        let connection = &mut self.connections[slot.0 as usize];
        match std::mem::replace(&mut connection.transmit, Transmit::Idle) {
            Transmit::Waiting { span } if connection.phase == Phase::Open => self.send(slot, span),
            Transmit::Waiting { .. } | Transmit::Stopping => self.close_if_joined(slot),
            Transmit::Idle | Transmit::Sending { .. } => {
                unreachable!("{slot:?} became writable though nobody waits for it")
            }
        }
    }

    /// Arms a receive: for good if responses are small, once if their content is to be dropped.
    pub(super) fn receive(&mut self, slot: Slot) {
        let token = self.token(slot, Kind::Recv);
        let connection = &mut self.connections[slot.0 as usize];
        if connection.receive != Receive::Idle
            || !matches!(connection.phase, Phase::Open | Phase::AwaitClose)
        {
            return;
        }
        let drop_bytes = connection.skippable(&self.desk);
        let (receive, op) = if drop_bytes >= DISCARD_MIN {
            let len = u32::try_from(drop_bytes).unwrap_or(DISCARD_MAX);
            (Receive::Once, Op::Discard { slot, len })
        } else if self.desk.drops_content() {
            (Receive::Once, Op::Recv { slot })
        } else {
            (Receive::Many, Op::RecvMany { slot })
        };
        connection.receive = receive;
        self.push(token, op);
    }

    pub(super) fn received(&mut self, slot: Slot, completion: Completion) {
        let connection = &mut self.connections[slot.0 as usize];
        assert_ne!(connection.receive, Receive::Idle, "{completion:?}, but no receive is armed");
        if !completion.more {
            connection.receive = Receive::Idle;
        }
        match (connection.phase, completion.result) {
            (Phase::Open | Phase::AwaitClose, _) => self.hear(slot, completion),
            // It was given up, but what came behind its last response tells of that all the same.
            (Phase::Leaving, Ok(count)) if count > 0 => {
                connection.hear_unasked(count.into(), &mut self.desk, self.now);
            }
            (Phase::Leaving | Phase::Closed | Phase::Connecting | Phase::Closing, _) => {}
        }
        if let Some(buffer) = completion.buffer {
            self.ring.give_back(buffer);
        }
        match completion.result {
            Err(Errno(libc::ENOBUFS)) => self.starved.push(slot),
            _ => self.receive(slot),
        }
        self.close_if_joined(slot);
    }

    fn hear(&mut self, slot: Slot, completion: Completion) {
        let connection = &mut self.connections[slot.0 as usize];
        let now = self.now;
        let outcome = match (completion.result, completion.buffer) {
            (Err(Errno(libc::ENOBUFS | libc::ECANCELED | libc::EINTR | libc::EAGAIN)), _) => {
                ReceiveOutcome::More
            }
            // Its end is what a connection waits for after the last response; bytes are too many.
            (result, _) if connection.phase == Phase::AwaitClose => {
                let count = result.unwrap_or(0);
                if count > 0 {
                    connection.hear_unasked(count.into(), &mut self.desk, now);
                }
                ReceiveOutcome::Broken
            }
            (Ok(0), _) => {
                connection.hear_end(&mut self.desk, now);
                ReceiveOutcome::Broken
            }
            (Ok(len), Some(buffer)) => {
                let memory = self.ring.memory(Some(Received { buffer, len }));
                connection.hear(memory.received, &mut self.desk, now)
            }
            (Ok(len), None) => connection.skip(len, &mut self.desk, now),
            (Err(_), _) => {
                connection.hear_break(&mut self.desk, now);
                ReceiveOutcome::Broken
            }
        };
        let is_many = connection.receive == Receive::Many;
        match outcome {
            ReceiveOutcome::More => {}
            ReceiveOutcome::Answered => {
                self.timers.disarm(slot);
                self.idle(slot);
                if self.desk.drops_content() && is_many {
                    // So that the next response's content can be dropped.
                    self.connections[slot.0 as usize].receive = Receive::Stopping;
                    self.cancel(slot, Kind::Recv);
                }
            }
            ReceiveOutcome::Last => {
                connection.phase = Phase::AwaitClose;
                self.timers.arm(slot, Wait::Linger, now);
            }
            ReceiveOutcome::Broken => self.end(slot),
        }
    }

    pub(super) fn expire(&mut self, slot: Slot, wait: Wait) {
        let connection = &mut self.connections[slot.0 as usize];
        let kind = match wait {
            Wait::Connect => FailureKind::ConnectTimedOut,
            Wait::Response => FailureKind::ResponseTimedOut,
            Wait::Linger => {
                self.desk.lingered(connection.counts);
                return self.end(slot);
            }
        };
        if connection.left > 0 {
            connection.fail(kind, &mut self.desk, self.now);
        }
        self.end(slot);
    }

    /// Ends a connection: cancels what is in flight; the rest follows from the completions.
    pub(super) fn end(&mut self, slot: Slot) {
        self.timers.disarm(slot);
        let connection = &mut self.connections[slot.0 as usize];
        match std::mem::replace(&mut connection.phase, Phase::Leaving) {
            Phase::Open | Phase::AwaitClose => {
                let open = self.desk.counters.get(Count::Open);
                self.desk.counters.set(Count::Open, open - 1);
            }
            Phase::Connecting => return self.cancel(slot, Kind::Connect),
            phase @ (Phase::Closed | Phase::Leaving | Phase::Closing) => {
                unreachable!("{slot:?} is ended while {phase:?}")
            }
        }
        if matches!(connection.receive, Receive::Once | Receive::Many) {
            connection.receive = Receive::Stopping;
            self.cancel(slot, Kind::Recv);
        }
        let connection = &mut self.connections[slot.0 as usize];
        if let Transmit::Waiting { .. } = connection.transmit {
            connection.transmit = Transmit::Stopping;
            self.cancel(slot, Kind::Writable);
        }
        // A send is over by the next wake-up, but causes none.
        self.hurry |=
            matches!(self.connections[slot.0 as usize].transmit, Transmit::Sending { .. });
        self.close_if_joined(slot);
    }

    fn cancel(&mut self, slot: Slot, kind: Kind) {
        self.connections[slot.0 as usize].others += 1;
        let target = self.token(slot, kind);
        self.push(target.with_kind(Kind::Cancel), Op::Cancel { target });
    }

    pub(super) fn close_if_joined(&mut self, slot: Slot) {
        let token = self.token(slot, Kind::Close);
        let connection = &mut self.connections[slot.0 as usize];
        if connection.phase == Phase::Leaving && connection.is_joined() {
            connection.phase = Phase::Closing;
            self.push(token, Op::Close { slot });
        }
    }

    pub(super) fn closed(&mut self, slot: Slot) {
        let connection = &mut self.connections[slot.0 as usize];
        connection.reset();
        if connection.left > 0 {
            self.dialing.push(slot);
        } else {
            self.idle(slot);
        }
    }
}

impl ClientState<'_> {
    /// Whether responses are so long, and so little looked at, that their content is dropped.
    fn drops_content(&self) -> bool {
        self.response_bytes >= DISCARD_MIN && self.plan.expect.is_none()
    }

    /// A server did not close after its last response.
    fn lingered(&mut self, counts: bool) {
        if counts {
            self.counters.add(Count::Lingered, 1);
        }
    }

    /// A request for which no connection was free in all its time.
    pub(super) fn gave_up(&mut self, counts: bool, now: Nanos) {
        self.failed(FailureKind::ResponseTimedOut, counts, now);
    }
}

fn why_not_connected(errno: Errno) -> FailureKind {
    match errno.0 {
        libc::ECONNREFUSED => FailureKind::ConnectRefused,
        libc::ETIMEDOUT => FailureKind::ConnectTimedOut,
        libc::EADDRNOTAVAIL | libc::EADDRINUSE => FailureKind::NoLocalPort,
        libc::ECONNRESET => FailureKind::ResetBeforeResponse,
        _ => FailureKind::ConnectFailed,
    }
}

/// Content from this length on is dropped by the kernel instead of copied.
const DISCARD_MIN: u64 = 16 * 1024;
const DISCARD_MAX: u32 = 1 << 30;
