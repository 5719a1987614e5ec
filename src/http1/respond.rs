//! The choice of a response, and what follows it on the connection.

use super::contract::{Context, Then};
use super::{ConnectionPhase, ServerConnection};
use crate::bytes::Payload;
use crate::http::body::{BodyProgress, RequestBody};
use crate::http::request::{Framing, Method, Persistence, Reject, RejectStatus, Request};
use crate::site::{Answer, PendingResponse, Prebuilt, ScratchPlace, Site};
use crate::telemetry::record::{RequestHead, ResponsePlace, ResponseRecord};
use memchr::memmem;

impl ServerConnection {
    /// Begins the response to a request, and to the requests behind it that have the same response.
    /// `bytes` begins with the head; returns how many of the bytes behind it are used up.
    pub(super) fn respond(
        &mut self,
        request: &Request<'_, '_>,
        pending: PendingResponse,
        bytes: &[u8],
        context: &mut Context<'_>,
    ) -> usize {
        let rest = &bytes[request.head_len..];
        let head = RequestHead { bytes, fields: request.fields };
        self.served = true;
        if let Answer::Whole(Prebuilt::Misdirected) = pending.answer {
            context.stats.errors.refused += 1;
        }
        let closes = request.persistence == Persistence::Close;
        if request.framing == Framing::None && !closes && !context.is_last {
            if context.may_recall() {
                let last_head = &mut context.head_buffers.last_head;
                last_head.note(&bytes[..request.head_len], request, &pending);
            }
            let head = (bytes, request.head_len);
            return self.respond_in_a_row(Some(request), pending, head, context);
        }
        let mut body = RequestBody::new(request.framing);
        let (is_too_long, used, progress) =
            if body.is_too_long() || request.expects_continue && !body.is_done() {
                // A client that gets a final response need not send the body (RFC 9110 10.1.1).
                (true, 0, BodyProgress::TooLong)
            } else {
                let (used, progress) = body.advance(rest);
                (progress == BodyProgress::TooLong, used, progress)
            };
        let pending = if is_too_long || context.is_last { pending.closing() } else { pending };
        let (then, used) = match progress {
            BodyProgress::Done if !closes && !context.is_last => {
                body = RequestBody::new(Framing::None);
                (Then::Idle, used)
            }
            BodyProgress::Done if closes && used == rest.len() => (Then::Close, used),
            BodyProgress::More if !closes && !context.is_last => (Then::Idle, used),
            BodyProgress::Done | BodyProgress::More | BodyProgress::TooLong => {
                (Then::Linger, rest.len())
            }
            // A malformed body that arrives after the response is only counted.
            BodyProgress::Malformed => {
                let reject = Reject { status: RejectStatus::BadRequest, head: pending.head_only };
                self.refuse(reject, head, Then::Linger, context);
                return rest.len();
            }
        };
        self.begin_response(pending, 1, (body, then), context);
        self.observe(request.method, 1, head, context);
        used
    }

    /// Begins the response to a request without content, whose connection persists, and to those
    /// behind it that have the same response; returns the length of these. `bytes` begin with a
    /// head of this length; without a `request`, it equals a stored one.
    pub(super) fn respond_in_a_row(
        &mut self,
        request: Option<&Request<'_, '_>>,
        pending: PendingResponse,
        (bytes, head_len): (&[u8], usize),
        context: &mut Context<'_>,
    ) -> usize {
        self.served = true;
        let (more, used) = if bytes.len() == head_len {
            (0, 0)
        } else {
            self.count_equal_requests(request, &pending, bytes, head_len, context)
        };
        let (method, fields) =
            request.map_or((Method::Get, &[][..]), |request| (request.method, request.fields));
        let no_body = RequestBody::new(Framing::None);
        self.begin_response(pending, 1 + more, (no_body, Then::Idle), context);
        self.observe(method, 1 + more, RequestHead { bytes, fields }, context);
        let rest = &bytes[head_len + used..];
        used + if rest.is_empty() { 0 } else { self.gather(request, rest, context) }
    }

    /// Answers bytes that are no valid request; `bytes` begins with them.
    pub(super) fn reject(&mut self, reject: Reject, bytes: &[u8], context: &mut Context<'_>) {
        let is_alone = !self.served && is_a_lone_head(bytes);
        let then = if is_alone { Then::Close } else { Then::Linger };
        self.refuse(reject, RequestHead::invalid(bytes), then, context);
    }

    /// Answers a head that the end of the stream has cut short.
    pub(super) fn reject_incomplete(&mut self, bytes: &[u8], context: &mut Context<'_>) {
        let reject = Reject { status: RejectStatus::BadRequest, head: false };
        self.refuse(reject, RequestHead::invalid(bytes), Then::Linger, context);
    }

    fn refuse(
        &mut self,
        reject: Reject,
        head: RequestHead<'_, '_>,
        then: Then,
        context: &mut Context<'_>,
    ) {
        context.stats.errors.refused += 1;
        let which = match reject.status {
            RejectStatus::BadRequest => Prebuilt::BadRequest,
            RejectStatus::UriTooLong => Prebuilt::UriTooLong,
            RejectStatus::ExpectationFailed => Prebuilt::ExpectationFailed,
            RejectStatus::FieldsTooLarge => Prebuilt::FieldsTooLarge,
            RejectStatus::NotImplemented => Prebuilt::NotImplemented,
            RejectStatus::VersionNotSupported => Prebuilt::VersionNotSupported,
        };
        self.last_response(which, reject.head, head, then, context);
    }

    pub(super) fn last_response(
        &mut self,
        which: Prebuilt,
        head_only: bool,
        head: RequestHead<'_, '_>,
        then: Then,
        context: &mut Context<'_>,
    ) {
        let answer = Answer::Whole(which);
        let pending = PendingResponse { answer, persistence: Persistence::Close, head_only };
        self.begin_response(pending, 1, (RequestBody::new(Framing::None), then), context);
        self.observe(Method::Unknown, 1, head, context);
    }

    /// Begins `count` equal responses, more than one only as far as
    /// [`Site::copies_in_a_row`](crate::site::Site::copies_in_a_row) allows.
    pub(super) fn begin_response(
        &mut self,
        pending: PendingResponse,
        count: u32,
        (body, then): (RequestBody, Then),
        context: &mut Context<'_>,
    ) {
        context.stats.requests += u64::from(count);
        // Behind the end of the stream, nothing follows that a close could answer with a reset.
        let then = if self.end_of_stream && then == Then::Linger { Then::Close } else { then };
        let one = context.site.output(pending, context.scratch, context.fixed);
        self.phase = ConnectionPhase::Response { output: one.repeated(count).into(), body, then };
    }

    /// Tells the observer of the response that has just begun.
    fn observe(
        &mut self,
        method: Method,
        count: u32,
        head: RequestHead<'_, '_>,
        context: &mut Context<'_>,
    ) {
        let Some(observer) = &mut context.observation.observer else { return };
        let ConnectionPhase::Response { output: Payload::Spans(output), .. } = self.phase else {
            unreachable!("a response begins before those that join it in a run")
        };
        let summary = Site::summary(output, context.fixed);
        let first_byte = self.observed.head_began();
        let record = ResponseRecord {
            method,
            status: summary.status,
            count,
            bytes: 0,
            head_bytes: summary.head_bytes,
            first_byte,
            last_byte: first_byte,
            is_whole: false,
        };
        observer.began(context.observation.slot, ResponsePlace::Slot, &record, head);
        self.observed.begin(record);
    }
}

impl Context<'_> {
    /// The response to a request, whose head will be in this place.
    pub(super) fn choose(
        &mut self,
        request: &Request<'_, '_>,
        place: ScratchPlace,
    ) -> PendingResponse {
        let answer = if self.health_only {
            self.site.choose_health(request, self.draining)
        } else {
            self.site.choose(request, &mut self.request_context(place))
        };
        let head_only = request.method == Method::Head;
        PendingResponse { answer, persistence: request.persistence, head_only }
    }

    /// The length and the response of the head at the start of `bytes`, if an equal one was stored.
    /// Not if a request behind it needs parsing, to which the field lines of the first one help.
    pub(super) fn recall(&self, bytes: &[u8]) -> Option<(usize, PendingResponse)> {
        if !self.may_recall() {
            return None;
        }
        let (head_len, pending) = self.head_buffers.last_head.find(bytes)?;
        let (head, rest) = bytes.split_at(head_len);
        let is_repeated = || rest.starts_with(head) && self.site.copies_in_a_row(&pending) > 1;
        (rest.is_empty() || is_repeated()).then_some((head_len, pending))
    }

    /// Whether a response follows from the head of its request alone, and an observer, if there is
    /// one, needs no field lines.
    fn may_recall(&self) -> bool {
        !(self.draining
            || self.is_last
            || self.health_only
            || self.observation.describes_requests())
    }

    /// Counts an invalid body, whose request has been answered already.
    pub(super) fn count_body_error(&mut self, progress: BodyProgress) {
        self.stats.errors.refused += u64::from(progress == BodyProgress::Malformed);
    }
}

/// Whether the first bytes of a connection are exactly one head, of a method that needs no content,
/// without a field that announces any: the client sends nothing more before it has the response, so
/// a close behind that response provokes no reset (RFC 9112 9.6). A shutdown before the close would
/// double the cost of a refusal, because `io_uring` always executes it in a worker thread.
fn is_a_lone_head(bytes: &[u8]) -> bool {
    let ends_there = memmem::find(bytes, HEAD_END) == bytes.len().checked_sub(HEAD_END.len());
    let has_content = || {
        let mut lines = bytes.split(|&octet| octet == b'\n');
        lines.any(|line| {
            let announces = |name: &[u8]| {
                line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
            };
            announces(b"content-length") || announces(b"transfer-encoding")
        })
    };
    ends_there && (bytes.starts_with(b"GET ") || bytes.starts_with(b"HEAD ")) && !has_content()
}

const HEAD_END: &[u8] = b"\r\n\r\n";
