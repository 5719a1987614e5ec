//! The operations in flight on one connected socket. The server and the load client share it.
//!
//! ```text
//!  receive:   Idle ──► Once ───────────────► Idle
//!             Idle ──► Multishot ──────────► Idle        both ──► Cancelled ──► Idle
//!                          └─► OutOfBuffers ─► Idle
//!
//!  transmit:  Idle ──► Sending ──► Idle                  short: ──► AwaitingRoom ──► Idle
//!                                                                        └─► Cancelled ──► Idle
//!
//!  ending:    Open ──► Leaving (operations are cancelled and joined) ──► Closing ──► slot is free
//!               ▲          │ may_reopen, and a request has arrived
//!               └──────────┘
//! ```
//!
//! The kernel may use a buffer until the last completion of the operation that names it, and a
//! close while a receive is armed would send no FIN. A slot is therefore closed only when `receive`
//! and `transmit` are idle and no other operation is in flight, and it is free only when that close
//! (or the close linked to its last send) has completed.
//!
//! A [`Socket`] pushes nothing itself: each method returns the [`Submission`] for its caller to
//! push. It knows no HTTP, no timeout, and neither side's reason for an operation.

use crate::bytes::{Payload, Spans};
use crate::engine::{Kind, Op, Slot, Token};

/// One submission, for [`Engine::push`](crate::engine::Engine::push).
pub type Submission = (Token, Op);

/// The operations in flight on one slot, in one life of it.
#[derive(Debug)]
pub struct Socket {
    slot: Slot,
    generation: u32,
    receive: Receive,
    transmit: Transmit,
    ending: Ending,
    /// Connects, shutdowns and cancels in flight.
    others: u8,
}

/// The receiving half of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receive {
    /// No receive is armed.
    Idle,
    /// [`Op::Recv`] or [`Op::Discard`] is armed.
    Once,
    /// [`Op::RecvMany`] is armed.
    Multishot,
    /// A cancel was submitted; the receive's last completion is still to come.
    Cancelled,
    /// The receive ended with `ENOBUFS` and is to be armed again.
    OutOfBuffers,
}

/// The sending half of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// No send is in flight.
    Idle,
    /// The engine may be reading these bytes.
    Sending {
        /// The bytes of the send.
        payload: Payload,
    },
    /// [`Op::Writable`] is in flight, because the last send fell short.
    AwaitingRoom,
    /// That wait was cancelled; its last completion is still to come.
    Cancelled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Open,
    Leaving { may_reopen: bool },
    Closing,
}

impl Socket {
    /// A socket on which nothing is in flight, in the given life of its slot.
    #[must_use]
    pub fn new(slot: Slot, generation: u32) -> Self {
        Self {
            slot,
            generation,
            receive: Receive::Idle,
            transmit: Transmit::Idle,
            ending: Ending::Open,
            others: 0,
        }
    }

    /// The life of the slot, as its tokens carry it.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The receiving half.
    #[must_use]
    pub fn receiving(&self) -> Receive {
        self.receive
    }

    /// The sending half.
    #[must_use]
    pub fn transmitting(&self) -> Transmit {
        self.transmit
    }

    /// Whether a send is in flight, including one whose completion causes no wake-up.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        matches!(self.transmit, Transmit::Sending { .. })
    }

    /// Whether [`Self::end`] was not called, or was revoked.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.ending == Ending::Open
    }

    /// Whether no operation is in flight, and no receive waits for a buffer.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.receive == Receive::Idle && self.transmit == Transmit::Idle && self.others == 0
    }

    /// Arms a receive that completes once.
    pub fn receive(&mut self) -> Submission {
        self.arm(Receive::Once, Op::Recv { slot: self.slot })
    }

    /// Arms a receive that completes once for each arrival of bytes, until it is cancelled.
    pub fn receive_many(&mut self) -> Submission {
        self.arm(Receive::Multishot, Op::RecvMany { slot: self.slot })
    }

    /// Arms a receive that drops up to `len` bytes within the kernel.
    pub fn discard(&mut self, len: u32) -> Submission {
        self.arm(Receive::Once, Op::Discard { slot: self.slot, len })
    }

    fn arm(&mut self, receive: Receive, op: Op) -> Submission {
        assert_eq!(self.receive, Receive::Idle, "one receive at a time on {:?}", self.slot);
        self.receive = receive;
        (self.token(Kind::Recv), op)
    }

    /// A completion of the receive; `more` as in [`Completion`](crate::engine::Completion).
    pub fn received(&mut self, more: bool) {
        match self.receive {
            Receive::Idle | Receive::OutOfBuffers => {
                unreachable!("a receive of {:?} completed though none is armed", self.slot)
            }
            Receive::Once | Receive::Multishot | Receive::Cancelled if more => {}
            Receive::Once | Receive::Multishot | Receive::Cancelled => self.receive = Receive::Idle,
        }
    }

    /// Notes that the receive that has just ended did so for want of a buffer.
    pub fn set_out_of_buffers(&mut self) {
        assert_eq!(self.receive, Receive::Idle, "ENOBUFS ends a receive");
        self.receive = Receive::OutOfBuffers;
    }

    /// Revokes [`Self::set_out_of_buffers`]; returns whether it was in effect.
    pub fn clear_out_of_buffers(&mut self) -> bool {
        let was_out = self.receive == Receive::OutOfBuffers;
        if was_out {
            self.receive = Receive::Idle;
        }
        was_out
    }

    /// Cancels the receive, if one is armed.
    pub fn cancel_receive(&mut self) -> Option<Submission> {
        match self.receive {
            Receive::Once | Receive::Multishot => {
                self.receive = Receive::Cancelled;
                Some(self.cancel(Kind::Recv))
            }
            Receive::Idle | Receive::Cancelled | Receive::OutOfBuffers => None,
        }
    }

    /// Sends `payload`; `more` and `lazy` as in [`Op::Send`].
    pub fn send(&mut self, payload: Payload, more: bool, lazy: bool) -> Submission {
        self.begin_send(payload);
        (self.token(Kind::Send), Op::Send { slot: self.slot, payload, more, lazy })
    }

    /// Sends `spans` and closes the slot. Nothing else may be in flight.
    pub fn send_close(&mut self, spans: Spans) -> Submission {
        assert!(self.is_idle(), "a close is linked to the only operation of {:?}", self.slot);
        self.begin_send(spans.into());
        (self.token(Kind::Send), Op::SendClose { slot: self.slot, spans })
    }

    fn begin_send(&mut self, payload: Payload) {
        assert_eq!(self.transmit, Transmit::Idle, "one send at a time on {:?}", self.slot);
        self.transmit = Transmit::Sending { payload };
    }

    /// The completion of a send. Returns its payload, which the engine no longer reads.
    pub fn sent(&mut self) -> Payload {
        let Transmit::Sending { payload } = self.transmit else {
            unreachable!("a send of {:?} completed though none is in flight", self.slot)
        };
        self.transmit = Transmit::Idle;
        payload
    }

    /// Waits for room in the socket's send buffer.
    pub fn await_room(&mut self) -> Submission {
        assert_eq!(self.transmit, Transmit::Idle, "{:?} waits for room between sends", self.slot);
        self.transmit = Transmit::AwaitingRoom;
        (self.token(Kind::Writable), Op::Writable { slot: self.slot })
    }

    /// The completion of that wait, whatever its result: the next send shows the socket's state.
    pub fn writable(&mut self) {
        match self.transmit {
            Transmit::AwaitingRoom | Transmit::Cancelled => self.transmit = Transmit::Idle,
            Transmit::Idle | Transmit::Sending { .. } => {
                unreachable!("{:?} became writable though no wait is in flight", self.slot)
            }
        }
    }

    /// Has [`Self::await_room`] complete now, so that the send is tried again, if it is in flight.
    pub fn retry_send(&mut self) -> Option<Submission> {
        (self.transmit == Transmit::AwaitingRoom).then(|| self.cancel(Kind::Writable))
    }

    /// Shuts down the sending side.
    pub fn shutdown(&mut self) -> Submission {
        self.other(Kind::Shutdown, Op::Shutdown { slot: self.slot })
    }

    /// Connects the slot from the source address with this number.
    pub fn connect(&mut self, source: u32) -> Submission {
        self.other(Kind::Connect, Op::Connect { slot: self.slot, source })
    }

    /// Cancels the connect, which must be in flight.
    pub fn cancel_connect(&mut self) -> Submission {
        assert!(self.others > 0, "a connect is in flight on {:?}", self.slot);
        self.cancel(Kind::Connect)
    }

    /// The completion of a connect, a shutdown or a cancel.
    pub fn other_completed(&mut self) {
        self.others = self.others.checked_sub(1).expect("it was submitted");
    }

    /// Begins the end: returns the cancels of the receive and of the wait for room. A send in
    /// flight is not cancelled, because it never waits. With `may_reopen`, [`Self::reopen`] can
    /// revoke this until the close is submitted.
    pub fn end(&mut self, may_reopen: bool) -> [Option<Submission>; 2] {
        assert_eq!(self.ending, Ending::Open, "{:?} ends once", self.slot);
        self.ending = Ending::Leaving { may_reopen };
        self.clear_out_of_buffers();
        let receive = self.cancel_receive();
        let room = self.retry_send();
        if room.is_some() {
            self.transmit = Transmit::Cancelled;
        }
        [receive, room]
    }

    /// Revokes [`Self::end`], if it allowed that; returns whether it did.
    pub fn reopen(&mut self) -> bool {
        let reopens = self.ending == Ending::Leaving { may_reopen: true };
        if reopens {
            self.ending = Ending::Open;
        }
        reopens
    }

    /// Whether [`Self::close_if_joined`] would close: once after [`Self::end`], as soon as nothing
    /// is in flight. [`Self::send_close`] may take its place.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        matches!(self.ending, Ending::Leaving { .. }) && self.is_idle()
    }

    /// The close, if [`Self::is_joined`].
    pub fn close_if_joined(&mut self) -> Option<Submission> {
        self.is_joined().then(|| {
            self.ending = Ending::Closing;
            (self.token(Kind::Close), Op::Close { slot: self.slot })
        })
    }

    fn cancel(&mut self, kind: Kind) -> Submission {
        let target = self.token(kind);
        self.other(Kind::Cancel, Op::Cancel { target })
    }

    fn other(&mut self, kind: Kind, op: Op) -> Submission {
        self.others += 1;
        (self.token(kind), op)
    }

    fn token(&self, kind: Kind) -> Token {
        Token::new(kind, self.generation, self.slot.0)
    }
}
