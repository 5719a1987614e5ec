//! Responses of a connection: which one a request gets, sending it part by part, and what follows.

use super::{After, Context, Next, Phase, ServerConnection, Then};
use crate::http::body::{BodyProgress, RequestBody};
use crate::http::request::{Method, Persistence, Reject, RejectStatus, Request};
use crate::site::{Answer, PendingResponse, Prebuilt};

impl ServerConnection {
    /// Answers a request that is not just one more page; `rest` is what arrived behind its head.
    /// Says how much of that it has used.
    pub(super) fn accept(
        &mut self,
        request: &Request<'_, '_>,
        rest: &[u8],
        context: &mut Context<'_>,
    ) -> (Next, usize) {
        self.served = true;
        let answer = if context.health_only {
            context.site.choose_health(request, context.draining)
        } else {
            context.site.choose(request, &mut context.request_context())
        };
        if answer == Answer::Whole(Prebuilt::Misdirected) {
            context.stats.errors.refused += 1;
        }
        let mut pending = PendingResponse {
            answer,
            persistence: request.persistence,
            head_only: request.method == Method::Head,
        };
        let mut body = RequestBody::new(request.framing);
        let (then, used) = if body.is_too_long() || request.expects_continue && !body.is_done() {
            // The client need not send the body (RFC 9110 10.1.1).
            pending = pending.closing();
            (Then::Linger, rest.len())
        } else {
            let (used, progress) = body.advance(rest);
            let persists = request.persistence != Persistence::Close;
            match progress {
                BodyProgress::Done if persists => (Then::Persist, used),
                BodyProgress::Done if used == rest.len() => (Then::Close, used),
                BodyProgress::More if persists => (Then::Body(body), used),
                BodyProgress::Done | BodyProgress::More => (Then::Linger, rest.len()),
                BodyProgress::TooLong => {
                    pending = pending.closing();
                    (Then::Linger, rest.len())
                }
                // Of a body that arrives later the client is not told: it has its response.
                BodyProgress::Malformed => {
                    let status = RejectStatus::BadRequest;
                    let reject = Reject { status, head: pending.head_only };
                    return (self.refuse(reject, Then::Linger, context), rest.len());
                }
            }
        };
        (self.response(pending, then, context), used)
    }

    /// Refuses what the end of the stream has cut short: its peer sends nothing more.
    pub(super) fn bad_request(&mut self, context: &mut Context<'_>) -> Next {
        let reject = Reject { status: RejectStatus::BadRequest, head: false };
        self.refuse(reject, Then::Linger, context)
    }

    pub(super) fn refuse(&mut self, reject: Reject, then: Then, context: &mut Context<'_>) -> Next {
        context.stats.errors.refused += 1;
        let which = match reject.status {
            RejectStatus::BadRequest => Prebuilt::BadRequest,
            RejectStatus::UriTooLong => Prebuilt::UriTooLong,
            RejectStatus::ExpectationFailed => Prebuilt::ExpectationFailed,
            RejectStatus::FieldsTooLarge => Prebuilt::FieldsTooLarge,
            RejectStatus::NotImplemented => Prebuilt::NotImplemented,
            RejectStatus::VersionNotSupported => Prebuilt::VersionNotSupported,
        };
        self.last_response(which, reject.head, then, context)
    }

    pub(super) fn last_response(
        &mut self,
        which: Prebuilt,
        head_only: bool,
        then: Then,
        context: &mut Context<'_>,
    ) -> Next {
        let answer = Answer::Whole(which);
        let pending = PendingResponse { answer, persistence: Persistence::Close, head_only };
        self.response(pending, then, context)
    }

    pub(super) fn response(
        &mut self,
        pending: PendingResponse,
        then: Then,
        context: &mut Context<'_>,
    ) -> Next {
        context.stats.requests += 1;
        let (pending, then) = match then {
            Then::Persist | Then::Body(_) if context.is_last => (pending.closing(), Then::Linger),
            then => (pending, then),
        };
        let output = context.site.output(pending, context.scratch, context.fixed);
        self.phase = Phase::Response { output, then };
        self.send()
    }

    /// The next part of the response under way.
    pub(super) fn send(&self) -> Next {
        let Phase::Response { output, then } = &self.phase else { return Next::Wait };
        let spans = output.up_to(SEND_BYTES_MAX);
        let more = spans.len() < output.len();
        let after = match then {
            _ if more => After::GoOn,
            Then::Persist if self.kept.is_empty() && !self.end_of_stream => After::Idle,
            Then::Persist | Then::Body(_) => After::GoOn,
            Then::Close => After::Close,
            Then::Linger => After::Linger,
        };
        Next::Send { spans, more, after }
    }

    pub(super) fn sent(&mut self, count: u32, context: &mut Context<'_>) -> Next {
        let Phase::Response { output, then } = &mut self.phase else { return Next::Wait };
        *output = output.after(u64::from(count));
        if output.len() > 0 {
            *output = context.site.keep(*output, context.scratch, context.fixed);
            return self.send();
        }
        match *then {
            Then::Persist => {
                self.phase = Phase::Head;
                if self.kept.is_empty() {
                    self.pause(true, context)
                } else {
                    self.use_kept(context)
                }
            }
            Then::Close => self.over(),
            Then::Body(_) | Then::Linger if self.end_of_stream => self.over(),
            Then::Body(body) => {
                self.phase = Phase::Body { body };
                Next::Receive
            }
            Then::Linger => self.linger(context),
        }
    }
}

/// The most bytes offered to a socket at once: others are waiting for their turn.
const SEND_BYTES_MAX: u64 = 512 * 1024;
