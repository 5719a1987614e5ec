//! One connection as a state machine: an [`Event`] in, what to do [`Next`] out. No I/O.
//!
//! ```text
//!              a request, a bad head, a head that is late
//!   ► Head ───────────────────────────────────────────────► Response
//!       ▲                                                     │ all sent
//!       ├─────────────────────────────────────────────────────┤
//!       │                the connection persists              │
//!       │ complete                    body still arriving     │
//!       └─────────── Body ◄───────────────────────────────────┤
//!                     │ too long, malformed                   │
//!                     └───────────────► Linger ◄──────────────┤ more may arrive
//!                                          │                  │ nothing more can arrive
//!                                          └────────► Over ◄──┘
//! ```
//!
//! No response here depends on content, so every request is answered as soon as its head is
//! complete. A body that is still arriving is dropped afterwards, so that the connection can
//! persist (RFC 9112 9.3).
//!
//! It knows the bytes of HTTP and the responses of the site; it knows no ring, socket or clock.

mod head_buffers;
pub mod properties;
mod respond;
#[cfg(test)]
mod tests;

pub use head_buffers::{HeadBuffers, Overrun};

use crate::bytes::Spans;
use crate::http::body::{BodyProgress, RequestBody};
use crate::http::request::{
    FieldBuffer, Framing, Method, Parsed, Persistence, Request, Scan, parse,
};
use crate::site::{Prebuilt, RequestContext, ScratchIndex, Site};
use crate::stats::Stats;
use memchr::memmem;

/// What happened to a connection.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Bytes came.
    Received(&'a [u8]),
    /// The peer will send no more.
    EndOfStream,
    /// The socket took so many bytes of what was to be sent.
    Sent(u32),
    /// The socket takes bytes again.
    Writable,
    /// What the connection waits for did not come in time.
    Deadline,
    /// Its slot is wanted for a connection in the backlog.
    Displaced,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing new: what is under way goes on.
    Wait,
    /// Receive.
    Receive,
    /// Send, then report [`Event::Sent`].
    Send {
        /// What to send.
        spans: Spans,
        /// More will follow at once.
        more: bool,
        /// What comes when all is sent.
        after: After,
    },
    /// Shut down the sending side and receive: closing at once could destroy the response with a
    /// reset (RFC 9112 9.6).
    Linger,
    /// Close.
    Close,
}

/// What comes when a response is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The next request; nothing of it has come yet.
    Idle,
    /// The next request, of which something has come, or the rest of this response.
    GoOn,
    /// The end: nothing that could still come is of interest.
    Close,
    /// The end, but the peer may still be sending.
    Linger,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// A head to be complete: the first one, or one that has begun.
    Head,
    /// The first byte of the next request.
    Idle,
    /// A body to go on.
    Body,
    /// A response to be taken.
    Response,
    /// The peer to close after us.
    Linger,
    /// Nothing any more.
    Nothing,
}

/// What a connection works with.
pub struct Context<'a> {
    /// The responses.
    pub site: &'a Site,
    /// The buffer they lie in.
    pub fixed: &'a mut [u8],
    /// The memory for incomplete heads.
    pub head_buffers: &'a mut HeadBuffers,
    /// What is counted.
    pub stats: &'a mut Stats,
    /// The connection's scratch memory in that buffer.
    pub scratch: ScratchIndex,
    /// The longest head, in bytes.
    pub head_bytes_max: usize,
    /// Whether the server is about to end.
    pub draining: bool,
    /// Whether the next response is the connection's last, whatever the request asks for.
    pub is_last: bool,
    /// Whether the connection came from the listener for health checks.
    pub health_only: bool,
}

/// A connection.
#[derive(Debug, Default)]
pub struct ServerConnection {
    phase: Phase,
    /// Bytes that were received and not used yet, in a block of the head buffers.
    kept: Vec<u8>,
    scan: Scan,
    end_of_stream: bool,
    /// Whether a request was complete before: until then it isn't idle but late.
    served: bool,
}

#[derive(Debug, Default)]
enum Phase {
    /// Waiting for a head, or for the rest of it.
    #[default]
    Head,
    /// Dropping the rest of a body whose request has been answered.
    Body { body: RequestBody },
    /// Sending.
    Response { output: Spans, then: Then },
    /// Dropping what comes after the last response, up to so many bytes.
    Linger { left: u32 },
    /// Nothing is left to do.
    Over,
}

/// What follows a response, as far as the protocol decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Persist,
    /// The rest of the request's body has to be dropped before the next request.
    Body(RequestBody),
    Close,
    Linger,
}

impl ServerConnection {
    /// A connection that was just accepted.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an event and says what to do next.
    pub fn on(&mut self, event: Event<'_>, context: &mut Context<'_>) -> Next {
        match event {
            Event::Received(bytes) => self.received(bytes, context),
            Event::EndOfStream => self.end_of_stream(context),
            Event::Sent(count) => self.sent(count, context),
            Event::Writable => self.send(),
            Event::Deadline => self.deadline(context),
            Event::Displaced => self.displaced(context),
        }
    }

    /// What the connection waits for.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        match self.phase {
            Phase::Head if self.served && self.kept.is_empty() => Waiting::Idle,
            Phase::Head => Waiting::Head,
            Phase::Body { .. } => Waiting::Body,
            Phase::Response { .. } => Waiting::Response,
            Phase::Linger { .. } => Waiting::Linger,
            Phase::Over => Waiting::Nothing,
        }
    }

    /// Whether the response under way is the connection's last.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        match self.phase {
            Phase::Response { then, .. } => matches!(then, Then::Close | Then::Linger),
            Phase::Linger { .. } | Phase::Over => true,
            Phase::Head | Phase::Body { .. } => false,
        }
    }

    /// Whether bytes that come now can be used or dropped at once.
    #[must_use]
    pub fn wants_bytes(&self) -> bool {
        match self.phase {
            Phase::Head | Phase::Body { .. } | Phase::Linger { .. } => !self.end_of_stream,
            Phase::Response { .. } | Phase::Over => false,
        }
    }

    /// How many bytes wait for their turn.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        self.kept.len()
    }

    /// Lets go of what it keeps; for a connection that ends, in whatever state.
    pub fn release(&mut self, head_buffers: &mut HeadBuffers) {
        self.phase = Phase::Over;
        head_buffers.give_back(&mut self.kept);
    }

    fn received(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Next {
        match &mut self.phase {
            Phase::Head | Phase::Body { .. } if self.kept.is_empty() => {
                let (next, used) = self.use_bytes(bytes, context);
                match context.head_buffers.add(&mut self.kept, &bytes[used..]) {
                    Ok(()) => self.with_kept(next),
                    Err(Overrun) => self.overrun(context),
                }
            }
            Phase::Head | Phase::Body { .. } => {
                match context.head_buffers.add(&mut self.kept, bytes) {
                    Ok(()) => self.use_kept(context),
                    Err(Overrun) => self.overrun(context),
                }
            }
            Phase::Response { then, .. } => match then {
                Then::Persist => self.keep(bytes, context),
                Then::Body(body) => {
                    let (used, progress) = body.advance(bytes);
                    match progress {
                        BodyProgress::More => Next::Wait,
                        BodyProgress::Done => {
                            *then = Then::Persist;
                            self.keep(&bytes[used..], context)
                        }
                        BodyProgress::TooLong | BodyProgress::Malformed => {
                            *then = Then::Linger;
                            context.note_body(progress);
                            Next::Wait
                        }
                    }
                }
                // Nothing is answered after a request that closes.
                Then::Close | Then::Linger => {
                    *then = Then::Linger;
                    Next::Wait
                }
            },
            Phase::Linger { left } => {
                let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                match left.checked_sub(len) {
                    Some(rest) => {
                        *left = rest;
                        Next::Receive
                    }
                    None => self.over(),
                }
            }
            Phase::Over => Next::Wait,
        }
    }

    /// Keeps bytes for when the response under way has been sent.
    fn keep(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Next {
        match context.head_buffers.add(&mut self.kept, bytes) {
            Ok(()) => Next::Wait,
            Err(Overrun) => self.overrun(context),
        }
    }

    /// Uses what is kept, and keeps what can't be used yet.
    fn use_kept(&mut self, context: &mut Context<'_>) -> Next {
        let mut kept = std::mem::take(&mut self.kept);
        let (next, used) = self.use_bytes(&kept, context);
        if used == kept.len() {
            context.head_buffers.give_back(&mut kept);
        } else {
            kept.drain(..used);
            self.kept = kept;
        }
        self.with_kept(next)
    }

    /// A response isn't followed by idleness if bytes of the next request are there.
    fn with_kept(&self, next: Next) -> Next {
        match next {
            Next::Send { spans, more, after: After::Idle } if !self.kept.is_empty() => {
                Next::Send { spans, more, after: After::GoOn }
            }
            next => next,
        }
    }

    /// Goes through the bytes as far as it can before a response has to be sent; says how many it
    /// has used.
    fn use_bytes(&mut self, bytes: &[u8], context: &mut Context<'_>) -> (Next, usize) {
        let mut used = 0;
        let mut pages = 0;
        while pages < context.site.pages_in_a_row() {
            if let Phase::Body { body } = &mut self.phase {
                let (count, progress) = body.advance(&bytes[used..]);
                used += count;
                match progress {
                    BodyProgress::Done => self.phase = Phase::Head,
                    BodyProgress::More if self.end_of_stream => return (self.over(), used),
                    BodyProgress::More => return (Next::Receive, used),
                    BodyProgress::TooLong | BodyProgress::Malformed => {
                        context.note_body(progress);
                        return (self.linger(context), bytes.len());
                    }
                }
            }
            let left = &bytes[used..];
            if left.is_empty() {
                break;
            }
            let mut fields = FieldBuffer::new();
            match parse(left, &mut self.scan, context.head_bytes_max, &mut fields) {
                Parsed::Partial => break,
                Parsed::Request(request) if is_plain(&request, context) => {
                    self.scan = Scan::default();
                    used += request.head_len;
                    pages += 1;
                }
                Parsed::Request(_) | Parsed::Reject(_) if pages > 0 => {
                    // The pages before it go first; then it's parsed again.
                    self.scan = Scan::default();
                    break;
                }
                Parsed::Request(request) => {
                    self.scan = Scan::default();
                    used += request.head_len;
                    let (next, count) = self.accept(&request, &bytes[used..], context);
                    return (next, used + count);
                }
                Parsed::Reject(reject) => {
                    let is_alone = !self.served && is_a_lone_head(left);
                    let then = if is_alone { Then::Close } else { Then::Linger };
                    return (self.refuse(reject, then, context), bytes.len());
                }
            }
        }
        if pages == 0 {
            return match self.pause(used == bytes.len(), context) {
                Next::Receive => (Next::Receive, used),
                next => (next, bytes.len()),
            };
        }
        self.served = true;
        context.stats.requests += u64::from(pages);
        let output = context.site.pages(pages);
        self.phase = Phase::Response { output, then: Then::Persist };
        (self.send(), used)
    }

    /// Between two responses: waits for a head, or for the rest of one, if any can come.
    fn pause(&mut self, nothing_begun: bool, context: &mut Context<'_>) -> Next {
        if nothing_begun && self.end_of_stream {
            self.over()
        } else if self.end_of_stream {
            self.bad_request(context)
        } else {
            Next::Receive
        }
    }

    fn end_of_stream(&mut self, context: &mut Context<'_>) -> Next {
        self.end_of_stream = true;
        match self.phase {
            Phase::Head if self.kept.is_empty() => self.over(),
            Phase::Head => self.bad_request(context),
            Phase::Body { .. } | Phase::Linger { .. } => self.over(),
            Phase::Response { .. } | Phase::Over => Next::Wait,
        }
    }

    fn deadline(&mut self, context: &mut Context<'_>) -> Next {
        match self.phase {
            Phase::Head if self.kept.is_empty() => self.over(),
            Phase::Head => {
                context.stats.errors.request_timeouts += 1;
                self.last_response(Prebuilt::RequestTimeout, false, Then::Linger, context)
            }
            // Its request was answered, so there is nothing left to say.
            Phase::Body { .. } => {
                context.stats.errors.request_timeouts += 1;
                self.over()
            }
            Phase::Response { .. } => {
                context.stats.errors.send_timeouts += 1;
                self.over()
            }
            Phase::Linger { .. } => self.over(),
            Phase::Over => Next::Wait,
        }
    }

    /// Ends at once and without a response, which might not fit into the socket.
    fn displaced(&mut self, context: &mut Context<'_>) -> Next {
        match self.phase {
            Phase::Over => return Next::Wait,
            Phase::Head if self.kept.is_empty() => {}
            Phase::Linger { .. } => {}
            Phase::Head | Phase::Body { .. } | Phase::Response { .. } => {
                context.stats.errors.displaced += 1;
            }
        }
        self.over()
    }

    /// Drops what still arrives, after the last response.
    fn linger(&mut self, context: &mut Context<'_>) -> Next {
        context.head_buffers.give_back(&mut self.kept);
        self.phase = Phase::Linger { left: LINGER_BYTES_MAX };
        Next::Linger
    }

    fn overrun(&mut self, context: &mut Context<'_>) -> Next {
        context.stats.errors.overruns += 1;
        self.over()
    }

    fn over(&mut self) -> Next {
        self.phase = Phase::Over;
        Next::Close
    }
}

impl Context<'_> {
    fn request_context(&mut self) -> RequestContext<'_> {
        RequestContext { scratch: self.scratch, fixed: self.fixed, draining: self.draining }
    }

    /// Counts a body that is not valid. Its request was answered, so nothing else says so.
    fn note_body(&mut self, progress: BodyProgress) {
        self.stats.errors.refused += u64::from(progress == BodyProgress::Malformed);
    }
}

/// Whether a request gets the whole page on a connection that persists: such responses lie in a
/// row, ready to be sent at once.
fn is_plain(request: &Request<'_, '_>, context: &Context<'_>) -> bool {
    context.site.is_one_page()
        && request.method == Method::Get
        && request.persistence == Persistence::Keep
        && request.framing == Framing::None
        && !request.selective
        && !context.is_last
        && !context.health_only
        && context.site.allows(request)
}

/// Whether the first bytes of a connection are exactly one head, of a method that needs no content,
/// without a field that announces any: the client sends nothing more before it has the response, so
/// that a close behind that provokes no reset (RFC 9112 9.6). A shutdown before the close would
/// double the cost of a refusal: `io_uring` always has a worker thread do it.
fn is_a_lone_head(bytes: &[u8]) -> bool {
    let is_whole = memmem::find(bytes, HEAD_END) == bytes.len().checked_sub(HEAD_END.len());
    let has_content = || {
        let mut lines = bytes.split(|&octet| octet == b'\n');
        lines.any(|line| {
            let announces = |name: &[u8]| {
                line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
            };
            announces(b"content-length") || announces(b"transfer-encoding")
        })
    };
    is_whole && (bytes.starts_with(b"GET ") || bytes.starts_with(b"HEAD ")) && !has_content()
}

const HEAD_END: &[u8] = b"\r\n\r\n";
/// The most bytes dropped while lingering.
const LINGER_BYTES_MAX: u32 = 256 * 1024;
