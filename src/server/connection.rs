//! The operations of one connection: what is in flight, what follows, and when the slot is free.
//!
//! ```text
//!  receive:  Idle ─► Once ─► Idle          transmit:  Idle ─► Sending ─► Idle
//!            Idle ─► Many ─► Stopping ─► Idle                    │ short   ▲
//!            Many ─► OutOfBuffers ─► Many                             ▼         │
//!                                                     Idle ◄─ Waiting ─► Stopping
//!
//!  ending:   Open ─► Leaving (everything in flight is cancelled and joined) ─► Closing ─► free
//! ```
//!
//! The kernel may use a buffer until the last completion of the operation that names it, and a
//! close while a receive is armed would send no FIN. So a slot is closed only when `receive` and
//! `transmit` are idle and no other operation is in flight, and is free only when that close (or
//! the one linked to its last send) has completed.

mod ending;

use super::acceptor::Class;
use super::rate::Taking;
use super::timeouts::Wait;
use super::{Life, Server};
use crate::bytes::Spans;
use crate::engine::{Completion, Engine, Errno, Kind, Nanos, Op, Received, Slot, Token};
use crate::http1::{After, Context, Event, Next, ServerConnection, Waiting};
use crate::site::ScratchIndex;
use std::time::Duration;

/// A slot in use: reserved for an accept, or a connection.
pub(super) struct Connection {
    generation: u32,
    conn: ServerConnection,
    receive: Receive,
    transmit: Transmit,
    ending: Ending,
    /// Shutdowns and cancels in flight.
    others: u8,
    /// It sent more while it didn't read than is kept: from now on it's received from once at a
    /// time, when there is room.
    backpressured: bool,
    /// Which slots it counts among.
    class: Class,
    accepted: Nanos,
    /// The response under way has filled its socket.
    taking: Option<Taking>,
    /// Its last response is under way so that its slot becomes free for another connection.
    gives_way: bool,
}

/// The receive of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receive {
    Idle,
    Once,
    Many,
    /// Cancelled, its last completion to come.
    Stopping,
    /// Ended for want of buffers, to be armed again.
    OutOfBuffers,
}

/// The send of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transmit {
    Idle,
    /// The ring may be reading the spans.
    Sending {
        spans: Spans,
    },
    /// Waiting for room in the socket.
    Waiting,
    /// That wait is cancelled, its last completion to come.
    Stopping,
}

/// How far the end of a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Open,
    /// Joining what is in flight. If it was idle, a request that still comes is served.
    Leaving {
        was_idle: bool,
    },
    Closing,
}

/// What a connection is told.
#[derive(Clone, Copy)]
enum Input {
    /// Bytes came; they lie in a buffer of the ring.
    Received(Received),
    /// Anything else.
    Event(Event<'static>),
}

impl Connection {
    /// A slot reserved for a connection to be accepted.
    pub(super) fn reserved(generation: u32, class: Class) -> Self {
        Self {
            generation,
            conn: ServerConnection::new(),
            receive: Receive::Idle,
            transmit: Transmit::Idle,
            ending: Ending::Open,
            others: 0,
            backpressured: false,
            class,
            accepted: Nanos(0),
            taking: None,
            gives_way: false,
        }
    }

    /// Whether it was accepted so long ago.
    pub(super) fn has_been_in_for(&self, time: Duration, now: Nanos) -> bool {
        self.accepted.plus(time) <= now
    }

    /// Whether its peer is not to blame for the time that a request takes: it takes the response
    /// well, or its bytes wait for a buffer.
    pub(super) fn is_held_up(&self) -> bool {
        let is_sending = matches!(self.transmit, Transmit::Sending { .. });
        let is_taken_well = self.conn.waiting() == Waiting::Response
            && (is_sending || self.taking.is_none_or(|taking| !taking.is_slow()));
        is_taken_well || self.receive == Receive::OutOfBuffers
    }
}

impl<R: Engine> Server<R> {
    /// A connection has come into its slot.
    pub(super) fn begin(&mut self, slot: Slot) {
        self.stats.connections += 1;
        self.stats.in_flight_max = self.stats.in_flight_max.max(self.live());
        self.connections[slot.0 as usize].accepted = self.now;
        self.wait_for(slot, Wait::Head);
        self.receive(slot);
    }

    pub(super) fn complete_on_connection(&mut self, completion: Completion) {
        let token = completion.token;
        let slot = Slot(token.index());
        token.assert_life(self.connections[slot.0 as usize].generation);
        match token.kind() {
            Kind::Recv => self.received(slot, completion),
            Kind::Send => self.sent(slot, completion.result),
            Kind::Writable => self.writable(slot),
            Kind::Close => self.closed(slot),
            Kind::Shutdown | Kind::Cancel => {
                self.connections[slot.0 as usize].others -= 1;
                self.settle(slot);
            }
            Kind::Accept | Kind::CancelAccept | Kind::Connect | Kind::Watch | Kind::Signal => {
                unreachable!("{token:?} is not about a connection")
            }
        }
    }

    fn received(&mut self, slot: Slot, completion: Completion) {
        let connection = &mut self.connections[slot.0 as usize];
        match connection.receive {
            Receive::Idle | Receive::OutOfBuffers => {
                unreachable!("{:?} completed though no receive is armed", completion.token)
            }
            Receive::Once | Receive::Many | Receive::Stopping if completion.more => {}
            Receive::Once | Receive::Many | Receive::Stopping => connection.receive = Receive::Idle,
        }
        // What comes during a lazy send is looked at when that is over: so it's looked at soon.
        self.poll_now |= matches!(connection.transmit, Transmit::Sending { .. });
        let next = match completion.result {
            Ok(0) => self.tell(slot, Input::Event(Event::EndOfStream)),
            Ok(len) => {
                let buffer = completion.buffer.expect("received bytes lie in a buffer");
                self.tell(slot, Input::Received(Received { buffer, len }))
            }
            Err(Errno(libc::ENOBUFS)) => {
                self.await_buffers(slot);
                Next::Wait
            }
            Err(Errno(libc::ECANCELED)) => Next::Wait,
            Err(errno) => self.failed(slot, errno),
        };
        if let Some(buffer) = completion.buffer {
            self.ring.give_back(buffer);
            self.buffers_came_back = true;
        }
        self.apply(slot, next);
        self.settle(slot);
    }

    /// Tells the connection what happened, unless it is leaving and past caring.
    fn tell(&mut self, slot: Slot, news: Input) -> Next {
        let mut gives_way = false;
        if let Input::Received(_) = news {
            self.reopen_if_idle(slot);
            gives_way = self.should_give_way(slot);
        }
        let connection = &mut self.connections[slot.0 as usize];
        match connection.ending {
            Ending::Open => {}
            Ending::Leaving { .. } | Ending::Closing => return Next::Wait,
        }
        let memory = self.ring.memory(match news {
            Input::Received(received) => Some(received),
            Input::Event(_) => None,
        });
        let mut context = Context {
            site: &self.site,
            fixed: memory.fixed,
            head_buffers: &mut self.head_buffers,
            stats: &mut self.stats,
            scratch: ScratchIndex(slot.0),
            head_bytes_max: self.config.head_bytes_max as usize,
            draining: self.life != Life::Serving,
            is_last: self.life != Life::Serving || gives_way || connection.class == Class::Health,
            health_only: connection.class == Class::Health,
        };
        let event = match news {
            Input::Received(_) => Event::Received(memory.received),
            Input::Event(event) => event,
        };
        let next = connection.conn.on(event, &mut context);
        if gives_way && connection.conn.is_ending() {
            connection.gives_way = true;
            self.giving_way += 1;
        }
        next
    }

    /// Notes what a connection waits for from now on.
    ///
    /// Connections in the middle of a request are listed by when that began, whatever they waited
    /// for since: the first of them has had the least use of its slot.
    fn wait_for(&mut self, slot: Slot, wait: Wait) {
        let before = self.timers.wait(slot);
        self.timers.arm(slot, wait, self.now);
        let connection = &mut self.connections[slot.0 as usize];
        match wait {
            Wait::Idle if before == Some(Wait::Idle) => {}
            Wait::Idle => {
                self.unfinished.disarm(slot);
                connection.taking = None;
            }
            Wait::Head => {
                self.unfinished.arm(slot, connection.class, self.now);
                connection.taking = None;
            }
            Wait::Body | Wait::Response | Wait::Linger => {
                if self.unfinished.wait(slot).is_none() {
                    self.unfinished.arm(slot, connection.class, self.now);
                }
            }
        }
    }

    fn apply(&mut self, slot: Slot, next: Next) {
        match next {
            Next::Wait | Next::Receive => {}
            Next::Send { spans, more, after } => self.send(slot, spans, more, after),
            Next::Linger => {
                let token = self.token(slot, Kind::Shutdown);
                self.connections[slot.0 as usize].others += 1;
                self.push(token, Op::Shutdown { slot });
            }
            Next::Close => self.end(slot, false),
        }
    }

    /// After an event: arms what the connection waits for, and its deadline.
    fn settle(&mut self, slot: Slot) {
        let connection = &mut self.connections[slot.0 as usize];
        match connection.ending {
            Ending::Open => {}
            Ending::Leaving { .. } => return self.close_if_joined(slot),
            Ending::Closing => return,
        }
        let wait = match connection.conn.waiting() {
            Waiting::Head => Some(Wait::Head),
            Waiting::Idle => Some(Wait::Idle),
            Waiting::Body => Some(Wait::Body),
            Waiting::Linger => Some(Wait::Linger),
            Waiting::Response | Waiting::Nothing => None,
        };
        if wait.is_some_and(|wait| self.timers.wait(slot) != Some(wait)) {
            self.wait_for(slot, wait.expect("it was seen"));
        }
        let connection = &mut self.connections[slot.0 as usize];
        if connection.receive == Receive::Idle && connection.conn.wants_bytes() {
            self.receive(slot);
        }
        self.apply_backpressure(slot);
        if self.draining() {
            // A receive is armed, so a request that has come already is served even now.
            self.end_if_idle(slot);
        }
    }

    /// Arms a receive: once for a connection that may not last, for good if it persists.
    fn receive(&mut self, slot: Slot) {
        let token = self.token(slot, Kind::Recv);
        let connection = &mut self.connections[slot.0 as usize];
        assert_eq!(connection.receive, Receive::Idle, "one receive at a time");
        let persists = match connection.conn.waiting() {
            Waiting::Idle | Waiting::Response => true,
            Waiting::Head | Waiting::Body | Waiting::Linger | Waiting::Nothing => false,
        };
        let (receive, op) = if self.config.recv_many && persists && !connection.backpressured {
            (Receive::Many, Op::RecvMany { slot })
        } else {
            (Receive::Once, Op::Recv { slot })
        };
        connection.receive = receive;
        self.push(token, op);
    }

    /// Stops receiving from a peer that goes on sending requests but doesn't read the responses.
    fn apply_backpressure(&mut self, slot: Slot) {
        let connection = &mut self.connections[slot.0 as usize];
        let full = connection.conn.kept_bytes() >= self.head_buffers.block_bytes();
        if full && connection.receive == Receive::Many && !connection.conn.wants_bytes() {
            connection.backpressured = true;
            connection.receive = Receive::Stopping;
            self.cancel(slot, Kind::Recv);
        }
    }

    fn await_buffers(&mut self, slot: Slot) {
        self.reopen_if_idle(slot);
        let connection = &mut self.connections[slot.0 as usize];
        if connection.ending == Ending::Open {
            connection.receive = Receive::OutOfBuffers;
            self.awaiting_buffers.push(slot);
        }
    }

    /// Arms the receives that ended for want of buffers, now that those of this turn are back. If
    /// none were, and it was tried a moment ago, it must not be tried again at once, and again.
    pub(super) fn rearm_receives(&mut self) {
        let came_back = std::mem::take(&mut self.buffers_came_back);
        if self.awaiting_buffers.is_empty() || (!came_back && self.now < self.no_buffers_until) {
            return;
        }
        self.no_buffers_until = self.now.plus(NO_BUFFERS_PAUSE);
        while let Some(slot) = self.awaiting_buffers.pop() {
            let Some(connection) = self.connections.get_mut(slot.0 as usize) else { continue };
            if connection.receive == Receive::OutOfBuffers {
                connection.receive = Receive::Idle;
                // Even during a response, unless it must be backpressured: a lazy send wakes nobody
                // up, so the next request has to.
                if connection.conn.kept_bytes() < self.head_buffers.block_bytes() {
                    self.receive(slot);
                }
                self.settle(slot);
            }
        }
    }

    fn send(&mut self, slot: Slot, spans: Spans, more: bool, after: After) {
        let draining = self.draining();
        let token = self.token(slot, Kind::Send);
        let connection = &mut self.connections[slot.0 as usize];
        assert_eq!(connection.transmit, Transmit::Idle, "one send at a time");
        connection.transmit = Transmit::Sending { spans };
        self.site.mark_in_flight(spans);
        let alone = connection.receive == Receive::Idle && connection.others == 0;
        let receives = connection.receive != Receive::Idle;
        let fell_short = connection.taking.is_some();
        if after == After::Close && alone && self.config.send_close {
            self.push(token, Op::SendClose { slot, spans });
        } else {
            // A completion after which there is nothing to do but wait need not be waited for.
            let lazy = after == After::Idle && !draining && !fell_short;
            self.push(token, Op::Send { slot, spans, more, lazy });
        }
        match after {
            After::Idle if !fell_short => self.wait_for(slot, Wait::Idle),
            After::Idle | After::GoOn | After::Close | After::Linger => {
                if self.timers.wait(slot) != Some(Wait::Response) {
                    self.wait_for(slot, Wait::Response);
                }
            }
        }
        if after == After::Idle && !receives {
            self.receive(slot);
        }
    }

    fn sent(&mut self, slot: Slot, result: Result<u32, Errno>) {
        let spans = self.end_of_send(slot);
        match result {
            Ok(count) => {
                self.stats.bytes += u64::from(count);
                let next = self.tell(slot, Input::Event(Event::Sent(count)));
                if u64::from(count) == spans.len() {
                    let connection = &mut self.connections[slot.0 as usize];
                    if let Some(taking) = &mut connection.taking {
                        taking.took(count, &self.min_rate, self.now);
                    }
                    if self.timers.wait(slot) == Some(Wait::Response) {
                        // Whatever began before it is done.
                        self.unfinished.arm(slot, connection.class, self.now);
                    }
                    self.apply(slot, next);
                } else if next != Next::Wait {
                    self.fell_short(slot, count);
                }
            }
            Err(Errno(libc::EAGAIN | libc::EINTR)) => {
                if self.connections[slot.0 as usize].ending == Ending::Open {
                    self.fell_short(slot, 0);
                }
            }
            Err(errno) => {
                let next = self.failed(slot, errno);
                self.apply(slot, next);
            }
        }
        self.settle(slot);
    }

    /// The socket is full: waits for room in it, unless its peer has been too slow for too long.
    fn fell_short(&mut self, slot: Slot, count: u32) {
        if self.timers.wait(slot) != Some(Wait::Response) {
            self.wait_for(slot, Wait::Response);
        }
        let taking = &mut self.connections[slot.0 as usize].taking;
        match taking {
            Some(taking) => taking.took(count, &self.min_rate, self.now),
            None => *taking = Some(Taking::new(&self.min_rate, self.now)),
        }
        if taking.is_some_and(|taking| taking.is_late(self.now)) {
            let next = self.tell(slot, Input::Event(Event::Deadline));
            self.apply(slot, next);
        } else {
            self.await_room(slot);
        }
    }

    /// Sends again though the socket was not reported writable. It would be only when a third of
    /// its buffer is free (`sk_stream_is_writeable` of Linux), which says little about the rate at
    /// which the peer takes a response; a send takes whatever room there is.
    pub(super) fn check_rate(&mut self, slot: Slot) {
        self.wait_for(slot, Wait::Response);
        let connection = &self.connections[slot.0 as usize];
        if connection.ending == Ending::Open && connection.transmit == Transmit::Waiting {
            self.cancel(slot, Kind::Writable);
        }
    }

    fn end_of_send(&mut self, slot: Slot) -> Spans {
        let connection = &mut self.connections[slot.0 as usize];
        let Transmit::Sending { spans } = connection.transmit else {
            unreachable!("a send of {slot:?} completed though none is in flight")
        };
        connection.transmit = Transmit::Idle;
        self.site.mark_sent(spans);
        // Now the rendered that it kept from a new date may be free, and requests that came behind
        // it are to be answered with that.
        self.site.tick(self.ring.unix_seconds(), self.ring.memory(None).fixed);
        spans
    }

    /// Whether a send's completion is still to be popped.
    pub(super) fn is_sending(&self, slot: Slot) -> bool {
        matches!(self.connections[slot.0 as usize].transmit, Transmit::Sending { .. })
    }

    fn await_room(&mut self, slot: Slot) {
        let token = self.token(slot, Kind::Writable);
        self.connections[slot.0 as usize].transmit = Transmit::Waiting;
        self.push(token, Op::Writable { slot });
    }

    fn writable(&mut self, slot: Slot) {
        // Whatever it came with, the next send tells how the socket is.
        self.connections[slot.0 as usize].transmit = Transmit::Idle;
        let next = self.tell(slot, Input::Event(Event::Writable));
        self.apply(slot, next);
        self.settle(slot);
    }

    fn token(&self, slot: Slot, kind: Kind) -> Token {
        Token::new(kind, self.connections[slot.0 as usize].generation, slot.0)
    }
}

/// How long receives that found no buffer wait, if none comes back.
const NO_BUFFERS_PAUSE: Duration = Duration::from_millis(1);
