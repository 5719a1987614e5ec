//! Replies of a connection: which one a request gets, sending it part by part, and what follows.

use super::{After, Conn, Context, Next, Phase, Then};
use crate::http::body::{Body, Progress};
use crate::http::request::{Framing, Method, Persistence, Reject, RejectStatus, Request};
use crate::site::{Answer, Owed, Prebuilt};

impl Conn {
    /// Takes a request that is not just one more page. Returns `None` if its body comes first.
    pub(super) fn accept(
        &mut self,
        request: &Request<'_, '_>,
        nothing_behind: bool,
        context: &mut Context<'_>,
    ) -> Option<Next> {
        self.served = true;
        let answer = context.site.choose(request, &mut context.occasion());
        if answer == Answer::Whole(Prebuilt::Misdirected) {
            context.stats.errors.refused += 1;
        }
        let owed = Owed {
            answer,
            persistence: request.persistence,
            head_only: request.method == Method::Head,
        };
        let body_comes = match request.framing {
            Framing::None | Framing::Length(0) => false,
            Framing::Length(_) | Framing::Chunked => true,
        };
        if !body_comes {
            let then = match request.persistence {
                Persistence::Close if nothing_behind => Then::Close,
                Persistence::Close => Then::Linger,
                Persistence::Keep | Persistence::KeepHttp10 => Then::Persist,
            };
            return Some(self.reply(owed, then, context));
        }
        if request.expects_continue {
            // The reply is final, so the body need not come (RFC 9110 10.1.1).
            return Some(self.reply(owed.closing(), Then::Linger, context));
        }
        self.phase = Phase::Body { body: Body::new(request.framing), owed };
        None
    }

    pub(super) fn use_body(&mut self, bytes: &[u8], context: &mut Context<'_>) -> (Next, usize) {
        let Phase::Body { body, owed } = &mut self.phase else { unreachable!("the caller looked") };
        let owed = *owed;
        let (used, progress) = body.advance(bytes);
        let next = match progress {
            Progress::More if self.end_of_stream => self.bad_request(owed.head_only, context),
            Progress::More => Next::Receive,
            Progress::Done => {
                let then = match owed.persistence {
                    Persistence::Close if used == bytes.len() => Then::Close,
                    Persistence::Close => Then::Linger,
                    Persistence::Keep | Persistence::KeepHttp10 => Then::Persist,
                };
                self.reply(owed, then, context)
            }
            Progress::TooLong => self.reply(owed.closing(), Then::Linger, context),
            Progress::Malformed => self.bad_request(owed.head_only, context),
        };
        match progress {
            Progress::More | Progress::Done => (next, used),
            Progress::TooLong | Progress::Malformed => (next, bytes.len()),
        }
    }

    pub(super) fn bad_request(&mut self, head_only: bool, context: &mut Context<'_>) -> Next {
        let reject = Reject { status: RejectStatus::BadRequest, head: head_only };
        self.refuse(reject, context)
    }

    pub(super) fn refuse(&mut self, reject: Reject, context: &mut Context<'_>) -> Next {
        context.stats.errors.refused += 1;
        let which = match reject.status {
            RejectStatus::BadRequest => Prebuilt::BadRequest,
            RejectStatus::UriTooLong => Prebuilt::UriTooLong,
            RejectStatus::ExpectationFailed => Prebuilt::ExpectationFailed,
            RejectStatus::FieldsTooLarge => Prebuilt::FieldsTooLarge,
            RejectStatus::NotImplemented => Prebuilt::NotImplemented,
            RejectStatus::VersionNotSupported => Prebuilt::VersionNotSupported,
        };
        self.last_reply(which, reject.head, context)
    }

    pub(super) fn last_reply(
        &mut self,
        which: Prebuilt,
        head_only: bool,
        context: &mut Context<'_>,
    ) -> Next {
        let answer = Answer::Whole(which);
        let owed = Owed { answer, persistence: Persistence::Close, head_only };
        self.reply(owed, Then::Linger, context)
    }

    pub(super) fn reply(&mut self, owed: Owed, then: Then, context: &mut Context<'_>) -> Next {
        context.stats.requests += 1;
        let (owed, then) = match then {
            Then::Persist if context.draining => (owed.closing(), Then::Linger),
            then => (owed, then),
        };
        let output = context.site.output(owed, context.slot, context.fixed);
        self.phase = Phase::Reply { output, then };
        self.send()
    }

    /// The next part of the reply under way.
    pub(super) fn send(&self) -> Next {
        let Phase::Reply { output, then } = &self.phase else { return Next::Wait };
        let spans = output.up_to(SEND_BYTES_MAX);
        let more = spans.len() < output.len();
        let after = match then {
            _ if more => After::GoOn,
            Then::Persist if self.kept.is_empty() && !self.end_of_stream => After::Idle,
            Then::Persist => After::GoOn,
            Then::Close => After::Close,
            Then::Linger => After::Linger,
        };
        Next::Send { spans, more, after }
    }

    pub(super) fn sent(&mut self, count: u32, context: &mut Context<'_>) -> Next {
        let Phase::Reply { output, then } = &mut self.phase else { return Next::Wait };
        *output = output.after(count);
        if output.len() > 0 {
            *output = context.site.keep(*output, context.slot, context.fixed);
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
            Then::Linger if self.end_of_stream => self.over(),
            Then::Linger => {
                context.stash.give_back(&mut self.kept);
                self.phase = Phase::Linger { left: LINGER_BYTES_MAX };
                Next::Linger
            }
        }
    }
}

/// The most bytes offered to a socket at once: others are waiting for their turn.
const SEND_BYTES_MAX: u32 = 512 * 1024;
/// The most bytes dropped while lingering.
const LINGER_BYTES_MAX: u32 = 256 * 1024;
