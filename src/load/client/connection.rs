//! One connection of the client: what it asked, what it outcome, and what is in flight on it. Takes
//! no step by itself; `super` does.

use super::ClientState;
use crate::bytes::Span;
use crate::engine::Nanos;
use crate::http::response_parser::{
    CompleteResponse, RequestKind, ResponseParser, ResponseProgress, StreamEnd,
};
use crate::load::counters::{Count, LatencyKind};
use crate::load::report::FailureKind;

/// A slot of the client.
#[allow(clippy::struct_excessive_bools, reason = "facts of their own, in any combination")]
pub(super) struct Connection {
    pub(super) generation: u32,
    pub(super) phase: Phase,
    pub(super) receive: Receive,
    pub(super) transmit: Transmit,
    /// Connects and cancels in flight.
    pub(super) others: u8,
    /// The batch is to be sent as soon as the last send is known to be over.
    pub(super) is_to_send: bool,
    /// It stands in the queue of those without a request.
    pub(super) queued: bool,
    /// When it began to connect.
    pub(super) dialed: Nanos,
    /// Requests of its batch without a whole response.
    pub(super) left: u32,
    /// Whether they count.
    pub(super) counts: bool,
    /// Its last response counts as right, and would not if anything came behind it.
    revocable: bool,
    /// Since when they are due.
    pub(super) since: Nanos,
    responses: ResponseParser,
    /// Bytes of the response's content that came so far.
    content_bytes: u64,
    /// They are other than expected.
    differs: bool,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Closed,
    Connecting,
    Open,
    /// The last response has come; the server is to close.
    AwaitClose,
    /// What is in flight is joined.
    Leaving,
    Closing,
}

/// The receive of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receive {
    Idle,
    Once,
    Many,
    /// Cancelled, its last completion to come.
    Stopping,
}

/// The send of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transmit {
    Idle,
    Sending {
        span: Span,
    },
    /// Waiting for room, with this left to send.
    Waiting {
        span: Span,
    },
    /// That wait is cancelled, its last completion to come.
    Stopping,
}

/// What follows from what was outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReceiveOutcome {
    /// The responses aren't whole.
    More,
    /// All of the batch was answered, and the connection persists.
    Answered,
    /// That was the last response; the server will close.
    Last,
    /// It is of no more use.
    Broken,
}

impl Connection {
    pub(super) fn new() -> Self {
        Self {
            generation: 0,
            phase: Phase::Closed,
            receive: Receive::Idle,
            transmit: Transmit::Idle,
            others: 0,
            is_to_send: false,
            queued: false,
            dialed: Nanos(0),
            left: 0,
            counts: false,
            revocable: false,
            since: Nanos(0),
            responses: ResponseParser::new(),
            content_bytes: 0,
            differs: false,
        }
    }

    /// The slot is closed; what was not answered stays.
    pub(super) fn reset(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.phase = Phase::Closed;
        self.receive = Receive::Idle;
        self.transmit = Transmit::Idle;
        self.is_to_send = false;
        self.revocable = false;
        self.responses = ResponseParser::new();
        self.content_bytes = 0;
        self.differs = false;
    }

    /// Whether nothing is in flight on it.
    pub(super) fn is_joined(&self) -> bool {
        self.receive == Receive::Idle && self.transmit == Transmit::Idle && self.others == 0
    }

    /// Bytes of content to come that nobody looks at.
    pub(super) fn skippable(&self, desk: &ClientState) -> u64 {
        if desk.plan.expect.is_some() { 0 } else { self.responses.skippable() }
    }

    /// Bytes came.
    pub(super) fn hear(
        &mut self,
        bytes: &[u8],
        desk: &mut ClientState,
        now: Nanos,
    ) -> ReceiveOutcome {
        if self.left == 0 {
            self.hear_unasked(bytes.len() as u64, desk, now);
            return ReceiveOutcome::Broken;
        }
        self.count_bytes(bytes.len() as u64, desk);
        let mut used = 0;
        while used < bytes.len() {
            if self.left == 0 {
                // The response before was found wrong for it.
                return ReceiveOutcome::Broken;
            }
            let (content_bytes, differs) = (&mut self.content_bytes, &mut self.differs);
            let expect = desk.plan.expect.as_deref();
            let mut content = |piece: &[u8]| {
                if let Some(expected) = expect {
                    *differs |= !continues(expected, *content_bytes, piece);
                }
                *content_bytes += piece.len() as u64;
            };
            let asked = if desk.plan.head { RequestKind::Head } else { RequestKind::Other };
            let (count, progress) = self.responses.read(asked, &bytes[used..], &mut content);
            used += count;
            match progress {
                ResponseProgress::More => return ReceiveOutcome::More,
                ResponseProgress::Malformed(_) => {
                    self.fail(FailureKind::Malformed, desk, now);
                    return ReceiveOutcome::Broken;
                }
                ResponseProgress::Complete(response) => {
                    // More than was said: the length was wrong.
                    self.differs |= self.left == 1 && used < bytes.len();
                    if let outcome @ (ReceiveOutcome::Last | ReceiveOutcome::Broken) =
                        self.whole(response, desk, now)
                    {
                        return outcome;
                    }
                }
            }
        }
        if self.left == 0 { ReceiveOutcome::Answered } else { ReceiveOutcome::More }
    }

    /// Bytes came that nobody asked for: behind the last response, which was wrong then, although
    /// it was counted as right when it was whole. Its latency stays recorded.
    pub(super) fn hear_unasked(&mut self, count: u64, desk: &mut ClientState, now: Nanos) {
        self.count_bytes(count, desk);
        if self.left == 0 && std::mem::take(&mut self.revocable) {
            desk.counters.take_back_request();
            desk.failed(FailureKind::WrongBytes, self.counts, now);
        }
    }

    fn count_bytes(&self, count: u64, desk: &ClientState) {
        if self.counts {
            desk.counters.add(Count::Bytes, count);
        }
    }

    /// Content was dropped unseen.
    pub(super) fn skip(
        &mut self,
        count: u32,
        desk: &mut ClientState,
        now: Nanos,
    ) -> ReceiveOutcome {
        self.count_bytes(u64::from(count), desk);
        match self.responses.skipped(u64::from(count)) {
            ResponseProgress::More => ReceiveOutcome::More,
            ResponseProgress::Malformed(_) => {
                self.fail(FailureKind::Malformed, desk, now);
                ReceiveOutcome::Broken
            }
            ResponseProgress::Complete(response) => self.whole(response, desk, now),
        }
    }

    /// The server sends no more.
    pub(super) fn hear_end(&mut self, desk: &mut ClientState, now: Nanos) {
        match self.responses.end() {
            StreamEnd::BetweenResponses if self.left == 0 => {}
            StreamEnd::BetweenResponses | StreamEnd::Truncated => {
                self.fail(FailureKind::Short, desk, now)
            }
            StreamEnd::Complete(response) => {
                self.whole(response, desk, now);
            }
        }
    }

    /// The connection broke.
    pub(super) fn hear_break(&mut self, desk: &mut ClientState, now: Nanos) {
        if self.left > 0 {
            let begun = self.responses.begun();
            let kind = if begun {
                FailureKind::ResetWithinResponse
            } else {
                FailureKind::ResetBeforeResponse
            };
            self.fail(kind, desk, now);
        }
    }

    /// The first request without a response failed.
    pub(super) fn fail(&mut self, kind: FailureKind, desk: &mut ClientState, now: Nanos) {
        self.left = self.left.checked_sub(1).expect("only what was asked fails");
        self.content_bytes = 0;
        self.differs = false;
        self.revocable = false;
        desk.failed(kind, self.counts, now);
    }

    fn whole(
        &mut self,
        response: CompleteResponse,
        desk: &mut ClientState,
        now: Nanos,
    ) -> ReceiveOutcome {
        let expected = desk.plan.expect.as_ref().filter(|_| !desk.plan.head);
        let short = expected.is_some_and(|bytes| bytes.len() as u64 != self.content_bytes);
        let kind = if !desk.plan.wants(response.status) {
            Some(FailureKind::WrongStatus)
        } else if self.differs || short {
            Some(FailureKind::WrongBytes)
        } else {
            None
        };
        desk.response_bytes = response.body_bytes;
        if let Some(kind) = kind {
            self.fail(kind, desk, now);
        } else {
            self.left = self.left.checked_sub(1).expect("only what was asked is answered");
            self.content_bytes = 0;
            self.revocable = self.counts;
            desk.answered(self.since, self.counts, now);
        }
        match (response.persists && desk.plan.persist, self.left) {
            (false, _) => ReceiveOutcome::Last,
            (true, 0) => ReceiveOutcome::Answered,
            (true, _) => ReceiveOutcome::More,
        }
    }
}

impl ClientState<'_> {
    pub(super) fn failed(&mut self, kind: FailureKind, counts: bool, now: Nanos) {
        if counts {
            self.counters.fail(kind);
            self.counters.set(Count::Ended, self.base_ns + now.0);
        }
    }

    fn answered(&mut self, since: Nanos, counts: bool, now: Nanos) {
        if counts {
            self.counters.add(Count::Requests, 1);
            self.counters.record(LatencyKind::Response, since, now);
            self.counters.set(Count::Ended, self.base_ns + now.0);
        }
    }
}

/// Whether `expected` goes on with `piece` from there.
fn continues(expected: &[u8], from: u64, piece: &[u8]) -> bool {
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    let rest = expected.get(from..).unwrap_or_default();
    rest.get(..piece.len()) == Some(piece)
}
