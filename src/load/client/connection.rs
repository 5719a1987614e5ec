//! One connection of the client: its batch of requests, the responses so far, and the operations in
//! flight. It submits nothing; [`super::Client`] does.

use super::plan::ClientPlan;
use super::requests::RequestBuffer;
use super::secure::SecureConnection;
use super::shared::{AskedRequest, ClientState};
use super::timeouts::Backoff;
use crate::bytes::{Span, Spans};
use crate::engine::{Nanos, Slot};
use crate::http::response_parser::{
    CompleteResponse, RequestKind, ResponseParser, ResponseProgress, StreamEnd,
};
use crate::load::counters::SAMPLE_BYTES;
use crate::load::report::FailureKind;
use crate::load::tls::TlsError;
use crate::socket::Socket;

/// A slot of the client, and its connection if it has one.
#[allow(clippy::struct_excessive_bools, reason = "facts of their own, in any combination")]
pub(super) struct ClientConnection {
    pub(super) phase: ClientPhase,
    pub(super) socket: Socket,
    /// The TLS session, from the beginning of its handshake to the close.
    pub(super) secure: Option<Box<SecureConnection>>,
    /// The rest of a short send.
    pub(super) unsent: Spans,
    /// The header is to be sent before anything else.
    pub(super) lacks_header: bool,
    /// The slot pauses between a response and the next request.
    pub(super) rests: bool,
    /// Number of requests that were given to the connection.
    pub(super) used: u32,
    /// The requests that the slot has to make.
    pub(super) batch: Batch,
    /// Number of requests at the end of the batch that are still to be sent on this connection.
    pub(super) to_send: u32,
    /// The batch is to be sent when the last send has completed.
    pub(super) is_to_send: bool,
    /// The slot is in the queue of slots without a request.
    pub(super) queued: bool,
    /// When the connect began.
    pub(super) dialed: Nanos,
    /// The attempt to connect has failed, and is repeated after a pause.
    pub(super) retries: bool,
    /// The pause after the next attempt to connect, if it fails.
    pub(super) backoff: Backoff,
    /// Requests of the batch without a complete response.
    pub(super) left: u32,
    /// Whether the batch was sent, on this connection or on an earlier one of the slot.
    pub(super) is_sent: bool,
    /// Whether the batch is measured: it was due after the warm-up.
    pub(super) counts: bool,
    /// Set if the last response was counted as correct, which it isn't if bytes follow it: whether
    /// it was counted as in time, too, and the index of its request.
    revocable: Option<(bool, usize)>,
    /// When the batch was due.
    pub(super) since: Nanos,
    responses: ResponseParser,
    /// Bytes of the current response's content so far.
    content_bytes: u64,
    /// The bytes of the response are not the expected content.
    differs: bool,
    /// The first bytes of a response that isn't complete, as long as no failure has occurred.
    begun: Vec<u8>,
}

/// Requests that are sent together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Batch {
    /// The number of the first one among the requests of the client.
    pub(super) number: u64,
    /// How many they are.
    pub(super) count: u32,
}

/// The states of a slot; [`super`] has the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientPhase {
    Closed,
    Connecting,
    /// The TLS handshake is under way.
    Handshaking,
    Open,
    /// The last response is complete; the server is to close.
    AwaitClose,
    /// The operations in flight are cancelled and joined, then the slot is closed.
    Ending,
}

/// The consequence of received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReceiveOutcome {
    /// Responses of the batch are incomplete.
    More,
    /// The whole batch is answered, and the connection persists.
    Answered,
    /// That was the last response; the server will close.
    Last,
    /// The connection can't be used any more.
    Broken,
}

impl ClientPhase {
    /// Whether received bytes mean anything.
    pub(super) fn is_receiving(self) -> bool {
        match self {
            Self::Handshaking | Self::Open | Self::AwaitClose => true,
            Self::Closed | Self::Connecting | Self::Ending => false,
        }
    }
}

impl ClientConnection {
    pub(super) fn new(slot: Slot) -> Self {
        Self {
            phase: ClientPhase::Closed,
            socket: Socket::new(slot, 0),
            secure: None,
            unsent: Spans::default(),
            lacks_header: true,
            rests: false,
            used: 0,
            batch: Batch::default(),
            to_send: 0,
            is_to_send: false,
            queued: false,
            dialed: Nanos(0),
            retries: false,
            backoff: Backoff::default(),
            left: 0,
            is_sent: false,
            counts: false,
            revocable: None,
            since: Nanos(0),
            responses: ResponseParser::new(),
            content_bytes: 0,
            differs: false,
            begun: Vec::new(),
        }
    }

    /// Resets a slot that was closed; requests without a response stay.
    pub(super) fn reset(&mut self, slot: Slot) {
        self.phase = ClientPhase::Closed;
        self.socket = Socket::new(slot, self.socket.generation().wrapping_add(1));
        self.secure = None;
        self.unsent = Spans::default();
        self.lacks_header = true;
        self.used = 0;
        self.to_send = 0;
        self.is_to_send = false;
        self.revocable = None;
        self.responses = ResponseParser::new();
        self.content_bytes = 0;
        self.differs = false;
        self.begun.clear();
    }

    /// Gives the batch up: returns the number of requests without a response. Bytes that still
    /// arrive belong to them, and not behind the last response.
    pub(super) fn give_up(&mut self) -> u32 {
        self.revocable = None;
        self.is_to_send = false;
        std::mem::take(&mut self.left)
    }

    /// How many more requests the connection may be used for.
    pub(super) fn room(&self, plan: &ClientPlan) -> u32 {
        let room = |number: u32| number.checked_sub(self.used).expect("it was closed then");
        plan.requests_per_connection.map_or(u32::MAX, room)
    }

    /// The bytes to send next: the header if there is one, and requests of the batch, one or two
    /// of different ones at a time.
    pub(super) fn next_bytes(&mut self, slot: Slot, requests: &RequestBuffer) -> Spans {
        let lacks_header = std::mem::take(&mut self.lacks_header);
        let header = requests.header(slot.0).filter(|_| lacks_header);
        let first = header.unwrap_or_else(|| self.next_request(requests));
        let then = if self.to_send > 0 { self.next_request(requests) } else { Span::default() };
        Spans { first, then }
    }

    fn next_request(&mut self, requests: &RequestBuffer) -> Span {
        let number = self.batch.number + u64::from(self.batch.count - self.to_send);
        let (span, count) = requests.next(number, self.to_send);
        self.to_send -= count;
        span
    }

    /// Has the next request of the batch encrypted, if the one before it was, and there is one.
    pub(super) fn unseal_next(&mut self, requests: &RequestBuffer) {
        let is_due = self.secure.as_ref().is_some_and(|secure| secure.unsealed.is_empty());
        if is_due && self.to_send > 0 {
            let range = self.next_request(requests).range();
            self.secure.as_mut().expect("it is due").unsealed = range;
        }
    }

    /// The index of the first request without a response.
    fn asked(&self, shared: &ClientState) -> usize {
        let number = self.batch.number + u64::from(self.batch.count - self.left);
        shared.requests.table().request(number)
    }

    fn asked_request(&self, shared: &ClientState) -> AskedRequest {
        AskedRequest { request: self.asked(shared), since: self.since, counts: self.counts }
    }

    /// Whether a connect counts: connections that are opened before the schedule begins are part of
    /// the warm-up, if there is one.
    pub(super) fn counts_connect(&self, shared: &ClientState) -> bool {
        if self.left > 0 { self.counts } else { shared.plan.amount.warmup_ns == 0 }
    }

    /// Whether the slot has a batch of which nothing was ever sent.
    pub(super) fn is_unsent(&self) -> bool {
        self.left > 0 && !self.is_sent
    }

    /// Whether a part of the batch is still to be encrypted.
    pub(super) fn is_sealing(&self) -> bool {
        let is_unsealed = |secure: &SecureConnection| !secure.unsealed.is_empty();
        self.secure.as_deref().is_some_and(|secure| is_unsealed(secure) || self.to_send > 0)
    }

    /// Bytes of content that are due and need not be compared.
    pub(super) fn skippable(&self, shared: &ClientState) -> u64 {
        if shared.may_drop_content() { self.responses.skippable() } else { 0 }
    }

    /// Parses received bytes.
    pub(super) fn received(
        &mut self,
        bytes: &[u8],
        shared: &mut ClientState,
        now: Nanos,
    ) -> ReceiveOutcome {
        // A batch that waits for the completion of the last send can't have a response.
        if self.left == 0 || self.is_unsent() {
            self.received_surplus(bytes, bytes.len() as u64, shared, now);
            return ReceiveOutcome::Broken;
        }
        shared.received(bytes.len() as u64, self.counts, now);
        let mut used = 0;
        while used < bytes.len() {
            let start = used;
            if self.left == 0 {
                // The previous response was counted as wrong because of these bytes.
                return ReceiveOutcome::Broken;
            }
            let is_head = shared.requests.table().is_head(self.asked(shared));
            let asked = if is_head { RequestKind::Head } else { RequestKind::Other };
            let (content_bytes, differs) = (&mut self.content_bytes, &mut self.differs);
            let expect = shared.plan.expect.as_deref();
            let mut content = |piece: &[u8]| {
                if let Some(expected) = expect {
                    *differs |= !continues(expected, *content_bytes, piece);
                }
                *content_bytes += piece.len() as u64;
            };
            let (count, progress) = self.responses.read(asked, &bytes[used..], &mut content);
            used += count;
            match progress {
                ResponseProgress::More => {
                    self.keep(&bytes[start..], shared);
                    return ReceiveOutcome::More;
                }
                ResponseProgress::Malformed(_) => {
                    self.keep(&bytes[start..], shared);
                    self.fail(FailureKind::Malformed, shared, now);
                    return ReceiveOutcome::Broken;
                }
                ResponseProgress::Complete(response) => {
                    // Bytes behind the last response: its length was wrong.
                    self.differs |= self.left == 1 && used < bytes.len();
                    if let outcome @ (ReceiveOutcome::Last | ReceiveOutcome::Broken) =
                        self.complete(response, &bytes[start..], shared, now)
                    {
                        return outcome;
                    }
                }
            }
        }
        if self.left == 0 { ReceiveOutcome::Answered } else { ReceiveOutcome::More }
    }

    /// Counts bytes behind the last response, of which `bytes` are those that were read. That
    /// response is wrong then, although it was counted as correct when it was complete. Its latency
    /// stays recorded.
    pub(super) fn received_surplus(
        &mut self,
        bytes: &[u8],
        count: u64,
        shared: &mut ClientState,
        now: Nanos,
    ) {
        shared.received(count, self.counts, now);
        if (self.left == 0 || self.is_unsent())
            && let Some((in_time, request)) = self.revocable.take()
        {
            shared.take_back(request, in_time, bytes, now);
        }
    }

    /// Keeps the first bytes of a response for the sample of the first failure.
    fn keep(&mut self, bytes: &[u8], shared: &ClientState) {
        if shared.wants_sample {
            // One more than is kept tells that there were more.
            let room = (SAMPLE_BYTES + 1).saturating_sub(self.begun.len());
            self.begun.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    /// Counts content that the kernel dropped.
    pub(super) fn skip(
        &mut self,
        count: u32,
        shared: &mut ClientState,
        now: Nanos,
    ) -> ReceiveOutcome {
        shared.received(u64::from(count), self.counts, now);
        match self.responses.skipped(u64::from(count)) {
            ResponseProgress::More => ReceiveOutcome::More,
            ResponseProgress::Malformed(_) => {
                self.fail(FailureKind::Malformed, shared, now);
                ReceiveOutcome::Broken
            }
            ResponseProgress::Complete(response) => self.complete(response, &[], shared, now),
        }
    }

    /// Handles the end of the stream. If the stream may have been cut, its end completes nothing.
    pub(super) fn received_end(&mut self, may_be_cut: bool, shared: &mut ClientState, now: Nanos) {
        match self.responses.end() {
            StreamEnd::Complete(_) if may_be_cut => self.fail(FailureKind::Short, shared, now),
            StreamEnd::BetweenResponses if self.left == 0 || self.is_unsent() => {}
            StreamEnd::BetweenResponses | StreamEnd::Truncated => {
                self.fail(FailureKind::Short, shared, now);
            }
            StreamEnd::Complete(response) => {
                self.complete(response, &[], shared, now);
            }
        }
    }

    /// Handles an error of the receive.
    pub(super) fn broke(&mut self, shared: &mut ClientState, now: Nanos) {
        // A batch of which nothing was sent is sent on the next connection.
        if self.left > 0 && !self.is_unsent() {
            let begun = self.responses.begun();
            let kind = if begun {
                FailureKind::ResetWithinResponse
            } else {
                FailureKind::ResetBeforeResponse
            };
            self.fail(kind, shared, now);
        }
    }

    /// Handles an error of the TLS session after its handshake.
    pub(super) fn broke_off(&mut self, error: &TlsError, shared: &mut ClientState, now: Nanos) {
        if self.left == 0 {
            return;
        }
        let kind = match error {
            TlsError::Alert(_) if self.responses.begun() => FailureKind::ResetWithinResponse,
            TlsError::Alert(_) => FailureKind::ResetBeforeResponse,
            _ => FailureKind::Malformed,
        };
        if self.counts {
            shared.reason(kind, error, now);
        }
        self.fail(kind, shared, now);
    }

    /// Counts the first request without a response as failed.
    pub(super) fn fail(&mut self, kind: FailureKind, shared: &mut ClientState, now: Nanos) {
        let asked = self.asked_request(shared);
        self.left = self.left.checked_sub(1).expect("a request is outstanding");
        self.content_bytes = 0;
        self.differs = false;
        self.revocable = None;
        shared.failed(kind, asked, &self.begun, now);
        self.begun.clear();
    }

    /// Judges a complete response, the last bytes of which are the first ones of `bytes`.
    fn complete(
        &mut self,
        response: CompleteResponse,
        bytes: &[u8],
        shared: &mut ClientState,
        now: Nanos,
    ) -> ReceiveOutcome {
        let asked = self.asked_request(shared);
        let is_head = shared.requests.table().is_head(asked.request);
        let expected = shared.plan.expect.as_ref().filter(|_| !is_head);
        let short = expected.is_some_and(|bytes| bytes.len() as u64 != self.content_bytes);
        let kind = if !shared.plan.accepts(response.status) {
            Some(FailureKind::WrongStatus)
        } else if self.differs || short {
            Some(FailureKind::WrongBytes)
        } else {
            None
        };
        shared.response_bytes = response.body_bytes;
        if self.counts {
            shared.counters.status(response.status);
        }
        if let Some(kind) = kind {
            self.keep(bytes, shared);
            self.fail(kind, shared, now);
        } else {
            self.left = self.left.checked_sub(1).expect("a request is outstanding");
            self.content_bytes = 0;
            self.begun.clear();
            self.revocable = self.counts.then(|| (shared.is_in_time(now), asked.request));
            shared.answered(asked, now);
        }
        match (response.persists && shared.plan.persist, self.left) {
            (false, _) => ReceiveOutcome::Last,
            (true, 0) => ReceiveOutcome::Answered,
            (true, _) => ReceiveOutcome::More,
        }
    }
}

/// Whether `expected` has `piece` at offset `from`.
fn continues(expected: &[u8], from: u64, piece: &[u8]) -> bool {
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    let rest = expected.get(from..).unwrap_or_default();
    rest.get(..piece.len()) == Some(piece)
}
