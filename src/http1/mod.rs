//! One HTTP/1 server connection as a state machine without I/O.
//!
//! # Contract
//!
//! The driver owns the socket, the buffers and the clock; a [`ServerConnection`] owns the protocol.
//! The driver creates a connection when it has accepted one, reports each event as an [`Input`],
//! and gets back one [`Output`], which states everything that the connection needs until the next
//! input: to receive under a [`Timeout`], to send a [`Payload`], to linger, or to
//! close. The output describes a state, not a step: while a send is in flight, an input that
//! doesn't change it returns the same [`Output::Send`] again, and a send that fell short is
//! repeated from the latest output when the socket has room. Nothing else is asked of a connection;
//! its driver calls [`ServerConnection::release`] when it has decided to end the connection, and
//! [`ServerConnection::end`] when nothing is in flight any more. The driver may close a
//! connection at any time without an input, in particular one whose output is
//! [`Timeout::Idle`] (RFC 9112 9.5).
//!
//! # States
//!
//! ```text
//!   ► ProxyHeader ──────────────► Over: no header, a header that is late
//!       │ complete
//!       ▼      a request, an invalid head, a head that is late
//!   ► Head ───────────────────────────────────────────────► Response
//!       ▲                                                     │ all bytes taken
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
//! On a listener for proxies, a connection begins with a PROXY header
//! ([`ServerConnection::accept_from_proxy`]), elsewhere with a head.
//!
//! No response here depends on content, so every request is answered as soon as its head is
//! complete, and pipelined requests for files of a folder are answered together ([`Runs`]). A body
//! that is still arriving is discarded afterwards, so that the connection can persist (RFC 9112
//! 9.3). Behind the last response, any number of bytes is discarded until the client has closed its
//! sending side, because a close before that would answer them with a reset, which destroys the
//! part of the response that the client hasn't read (RFC 9112 9.6). The driver decides how long
//! that may take.
//!
//! This module knows the bytes of HTTP and the responses of the site; it knows no engine, no socket
//! and no clock.
//!
//! # Example
//!
//! ```
//! use uringstatic::bytes::Payload;
//! use uringstatic::http1::{
//!     Context, HeadBuffers, Input, Output, Runs, ServerConnection, Then, Timeout,
//! };
//! use uringstatic::site::{Page, ScratchPlace, Site};
//! use uringstatic::stats::Stats;
//! use uringstatic::telemetry::record::Observation;
//!
//! # fn main() -> std::io::Result<()> {
//! let (site, mut fixed) = Site::build(Page::built_in(), 5, 1, |len| Ok(vec![0; len]), |body| {
//!     body.copy_from_slice(b"hello");
//!     Ok(())
//! })?;
//! let mut context = Context {
//!     site: &site,
//!     fixed: &mut fixed,
//!     head_buffers: &mut HeadBuffers::new(1, 16 * 1024),
//!     runs: &mut Runs::new(&site),
//!     stats: &mut Stats::default(),
//!     scratch: ScratchPlace::Slot(0),
//!     head_bytes_max: 16 * 1024,
//!     draining: false,
//!     is_last: false,
//!     health_only: false,
//!     observation: Observation::none(),
//! };
//! let (mut connection, output) = ServerConnection::accept();
//! assert_eq!(output, Output::Receive(Timeout::Head));
//!
//! let request = Input::Bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
//! let output = connection.handle(request, &mut context);
//! let Output::Send(response) = output else { panic!("{output:?}") };
//! assert_eq!(response.then, Then::Idle);
//! let Payload::Spans(spans) = response.payload else { panic!("{response:?}") };
//! assert!(context.fixed[spans.first.range()].starts_with(b"HTTP/1.1 200 OK\r\n"));
//!
//! let taken = u32::try_from(spans.len()).expect("it is short");
//! let output = connection.handle(Input::Taken(taken), &mut context);
//! assert_eq!(output, Output::Receive(Timeout::Idle));
//! # Ok(())
//! # }
//! ```

mod contract;
mod gather;
mod head_buffers;
mod last_head;
mod observed;
pub mod properties;
mod proxied;
mod respond;
mod runs;
#[cfg(test)]
mod tests;

pub use contract::{Context, Input, Output, Then, Timeout, Transmission};
pub use head_buffers::{HeadBuffers, Overrun};
pub use runs::Runs;

use crate::bytes::Payload;
use crate::http::body::{BodyProgress, RequestBody};
use crate::http::request::{FieldBuffer, Framing, Method, Parsed, Request, Scan, parse};
use crate::site::{PendingResponse, Prebuilt};
use crate::telemetry::record::{Observation, RequestHead};
use observed::Observed;

/// One server connection: inputs in, outputs out. The module's documentation has the contract.
#[derive(Debug)]
pub struct ServerConnection {
    phase: ConnectionPhase,
    /// Bytes that have arrived and are not parsed yet, in a block of the head buffers.
    kept: Vec<u8>,
    /// How far the head at the start of the unparsed bytes has been scanned.
    scan: Scan,
    end_of_stream: bool,
    /// Whether a request was complete before: only then is a connection without bytes idle.
    served: bool,
    /// The run of which the payload under way is.
    run: Option<u32>,
    /// The response under way, for an observer.
    observed: Observed,
}

#[derive(Debug)]
enum ConnectionPhase {
    /// A PROXY header, or the rest of one, is to arrive.
    ProxyHeader,
    /// A head, or the rest of one, is to arrive.
    Head,
    /// The rest of a body, whose request has been answered, is discarded.
    Body { body: RequestBody },
    /// `output` is left to send. `body` is the request's, as far as it has not arrived. `then`
    /// becomes [`Then::Continue`] in an [`Output`] while input is there that follows the response.
    Response { output: Payload, body: RequestBody, then: Then },
    /// Bytes behind the last response are discarded.
    Linger,
    /// Nothing is left to do.
    Over,
}

impl ServerConnection {
    /// A connection that was just accepted, and its first output.
    #[must_use]
    pub fn accept() -> (Self, Output) {
        let scan = Scan::default();
        let (end_of_stream, served) = (false, false);
        let (phase, observed) = (ConnectionPhase::Head, Observed::default());
        let (kept, run) = (Vec::new(), None);
        let conn = Self { phase, kept, scan, end_of_stream, served, run, observed };
        (conn, Output::Receive(Timeout::Head))
    }

    /// A connection that was just accepted on a listener for proxies, and its first output. Its
    /// first bytes must be a PROXY header ([`crate::http::proxy_header`]): whether there is one is
    /// never guessed.
    #[must_use]
    pub fn accept_from_proxy() -> (Self, Output) {
        let (conn, output) = Self::accept();
        (Self { phase: ConnectionPhase::ProxyHeader, ..conn }, output)
    }

    /// Takes an input, and returns what the connection needs from now on.
    pub fn handle(&mut self, input: Input<'_>, context: &mut Context<'_>) -> Output {
        match input {
            Input::Bytes(bytes) => self.bytes(bytes, context),
            Input::EndOfStream => self.end_of_stream(context),
            Input::Taken(count) => self.taken(count, context),
            Input::Deadline => self.deadline(context),
            Input::Displaced => self.displaced(context),
        }
        self.output(context.head_buffers)
    }

    /// Returns its memory to `head_buffers`; to be called when the end of the connection is
    /// decided, in any state.
    pub fn release(&mut self, head_buffers: &mut HeadBuffers) {
        self.phase = ConnectionPhase::Over;
        head_buffers.give_back(&mut self.kept);
    }

    /// Ends the connection: tells an observer that the responses under way, if there are any, have
    /// ended before their last byte, and returns its run. To be called once no send is in flight
    /// any more; bytes that the socket took since the connection got its last input are reported
    /// by [`ServerConnection::took_late`].
    pub fn end(&mut self, runs: &mut Runs, observation: &mut Observation<'_>) {
        let observed = self.run.filter(|_| observation.observer.is_some());
        self.observed.end(observed.map(|run| (run, runs.records(run))), observation);
        if let Some(run) = self.run.take() {
            runs.give_back(run);
        }
    }

    /// The socket took bytes of a response after the driver had decided to end the connection.
    pub fn took_late(&mut self, count: u32, runs: &mut Runs, observation: &mut Observation<'_>) {
        match self.run.filter(|_| observation.observer.is_some()) {
            Some(run) => self.observed.took_of_run(count, (run, runs.records(run)), observation),
            None => self.observed.took_late(count, observation),
        }
    }

    fn output(&self, head_buffers: &HeadBuffers) -> Output {
        match &self.phase {
            ConnectionPhase::Head if self.served && self.kept.is_empty() => {
                Output::Receive(Timeout::Idle)
            }
            ConnectionPhase::Head | ConnectionPhase::ProxyHeader => Output::Receive(Timeout::Head),
            ConnectionPhase::Body { .. } => Output::Receive(Timeout::Body),
            ConnectionPhase::Response { output, body, then } => {
                let payload = match *output {
                    Payload::Spans(spans) => spans.up_to(SEND_BYTES_MAX).into(),
                    Payload::List(_) => *output,
                };
                let is_followed = self.end_of_stream || !self.kept.is_empty() || !body.is_done();
                Output::Send(Transmission {
                    payload,
                    more: payload.len() < output.len(),
                    then: if *then == Then::Idle && is_followed { Then::Continue } else { *then },
                    input_is_full: self.kept.len() >= head_buffers.block_bytes(),
                })
            }
            ConnectionPhase::Linger => Output::Linger,
            ConnectionPhase::Over => Output::Close,
        }
    }

    fn bytes(&mut self, bytes: &[u8], context: &mut Context<'_>) {
        match &mut self.phase {
            ConnectionPhase::ProxyHeader => self.header_bytes(bytes, context),
            ConnectionPhase::Head | ConnectionPhase::Body { .. } if self.kept.is_empty() => {
                self.observed.head_begins(&context.observation);
                let used = self.parse_next(bytes, context);
                if used < bytes.len() {
                    self.keep(&bytes[used..], context);
                }
            }
            ConnectionPhase::Head | ConnectionPhase::Body { .. } => {
                if self.keep(bytes, context) {
                    self.parse_kept(context);
                }
            }
            ConnectionPhase::Response {
                body, then: then @ (Then::Idle | Then::Continue), ..
            } => {
                let (used, progress) = body.advance(bytes);
                match progress {
                    BodyProgress::More => {}
                    BodyProgress::Done => {
                        *body = RequestBody::new(Framing::None);
                        self.keep(&bytes[used..], context);
                    }
                    BodyProgress::TooLong | BodyProgress::Malformed => {
                        *then = Then::Linger;
                        context.count_body_error(progress);
                    }
                }
            }
            // No request is answered after the one that ended the connection, but a close with
            // unread bytes would send a reset.
            ConnectionPhase::Response { then, .. } => *then = Then::Linger,
            ConnectionPhase::Linger | ConnectionPhase::Over => {}
        }
    }

    /// Keeps bytes until they can be parsed. Without room for them the connection ends; returns
    /// whether there was room.
    fn keep(&mut self, bytes: &[u8], context: &mut Context<'_>) -> bool {
        let result = context.head_buffers.add(&mut self.kept, bytes);
        if result == Err(Overrun) {
            context.stats.errors.overruns += 1;
            self.phase = ConnectionPhase::Over;
        }
        result.is_ok()
    }

    fn parse_kept(&mut self, context: &mut Context<'_>) {
        let mut kept = std::mem::take(&mut self.kept);
        let used = self.parse_next(&kept, context);
        if used == kept.len() {
            context.head_buffers.give_back(&mut kept);
        } else {
            kept.drain(..used);
            self.kept = kept;
        }
    }

    /// Discards the rest of a body, if there is one, then parses the next request and begins its
    /// response. Returns how many bytes are used up; the others wait for more, or for the response.
    fn parse_next(&mut self, bytes: &[u8], context: &mut Context<'_>) -> usize {
        let mut used = 0;
        if let ConnectionPhase::Body { body } = &mut self.phase {
            let (count, progress) = body.advance(bytes);
            match progress {
                BodyProgress::Done => {
                    (self.phase, used) = (ConnectionPhase::Head, count);
                    self.observed.head_begins(&context.observation);
                }
                BodyProgress::More => return count,
                BodyProgress::TooLong | BodyProgress::Malformed => {
                    context.count_body_error(progress);
                    self.linger(context);
                    return bytes.len();
                }
            }
        }
        if used < bytes.len() {
            let left = &bytes[used..];
            if self.scan == Scan::default()
                && let Some((head_len, pending)) = context.recall(left)
            {
                let more = self.respond_in_a_row(None, pending, (left, head_len), context);
                return used + head_len + more;
            }
            let mut fields = FieldBuffer::new();
            match parse(left, &mut self.scan, context.head_bytes_max, &mut fields) {
                Parsed::Partial => {}
                Parsed::Request(request) => {
                    let pending = context.choose(&request, context.scratch);
                    used += request.head_len;
                    return used + self.respond(&request, pending, left, context);
                }
                Parsed::Reject(reject) => {
                    self.reject(reject, left, context);
                    return bytes.len();
                }
            }
        }
        if self.end_of_stream {
            self.end_between_responses(&bytes[used..], context);
            return bytes.len();
        }
        used
    }

    /// Counts the requests at the start of `bytes` whose response equals `pending`, as far as one
    /// send has all of these responses. Returns their number and their length in bytes; the request
    /// behind them is parsed again once the responses have been sent.
    fn count_equal_requests(
        &mut self,
        first: Option<&Request<'_, '_>>,
        pending: &PendingResponse,
        bytes: &[u8],
        head_len: usize,
        context: &mut Context<'_>,
    ) -> (u32, usize) {
        let copies = context.site.copies_in_a_row(pending);
        let method = first.map_or(Method::Get, |first| first.method);
        let (head, bytes) = bytes.split_at(head_len);
        let describes = context.observation.describes_requests();
        let (mut count, mut used) = (0, 0);
        while count + 1 < copies && used < bytes.len() {
            // Equal heads are equal requests.
            if bytes[used..].starts_with(head) {
                used += head.len();
                count += 1;
                continue;
            }
            if describes {
                break;
            }
            let (rest, head_bytes_max) = (&bytes[used..], context.head_bytes_max);
            let mut fields = FieldBuffer::new();
            let next = match first.and_then(|first| first.with_target_of(rest, head_bytes_max)) {
                Some(request) => Parsed::Request(request),
                None => parse(rest, &mut self.scan, head_bytes_max, &mut fields),
            };
            match next {
                Parsed::Request(request)
                    if request.framing == Framing::None
                        && request.method == method
                        && context.choose(&request, context.scratch) == *pending =>
                {
                    used += request.head_len;
                    count += 1;
                }
                Parsed::Partial | Parsed::Request(_) | Parsed::Reject(_) => break,
            }
        }
        (count, used)
    }

    /// No request follows: the stream has ended behind a complete request, or within a head, of
    /// which `left` has arrived.
    fn end_between_responses(&mut self, left: &[u8], context: &mut Context<'_>) {
        if left.is_empty() {
            self.phase = ConnectionPhase::Over;
        } else {
            self.reject_incomplete(left, context);
        }
    }

    fn end_of_stream(&mut self, context: &mut Context<'_>) {
        self.end_of_stream = true;
        match &mut self.phase {
            ConnectionPhase::ProxyHeader => self.end_in_header(context),
            ConnectionPhase::Head => {
                let kept = std::mem::take(&mut self.kept);
                self.end_between_responses(&kept, context);
                self.kept = kept;
            }
            ConnectionPhase::Body { .. } | ConnectionPhase::Linger => {
                self.phase = ConnectionPhase::Over;
            }
            // Nothing follows that a close could answer with a reset.
            ConnectionPhase::Response { then: then @ Then::Linger, .. } => *then = Then::Close,
            ConnectionPhase::Response { .. } | ConnectionPhase::Over => {}
        }
    }

    fn taken(&mut self, count: u32, context: &mut Context<'_>) {
        let ConnectionPhase::Response { output, body, then } = &mut self.phase else { return };
        let is_whole = u64::from(count) == output.len();
        match self.run.filter(|_| context.observation.observer.is_some()) {
            Some(run) => {
                let records = context.runs.records(run);
                self.observed.took_of_run(count, (run, records), &mut context.observation);
            }
            None => self.observed.took(count, is_whole, &mut context.observation),
        }
        if !is_whole {
            *output = match *output {
                Payload::Spans(spans) => {
                    let left = spans.after(u64::from(count));
                    context.site.keep(left, context.scratch, context.fixed).into()
                }
                Payload::List(list) => list.after(count, context.fixed).into(),
            };
            return;
        }
        if let Some(run) = self.run.take() {
            context.runs.give_back(run);
        }
        match *then {
            Then::Idle | Then::Continue if body.is_done() => {
                self.phase = ConnectionPhase::Head;
                if !self.kept.is_empty() {
                    self.observed.head_begins(&context.observation);
                    self.parse_kept(context);
                } else if self.end_of_stream {
                    self.phase = ConnectionPhase::Over;
                }
            }
            Then::Close => self.phase = ConnectionPhase::Over,
            Then::Idle | Then::Continue if self.end_of_stream => {
                self.phase = ConnectionPhase::Over;
            }
            Then::Idle | Then::Continue => self.phase = ConnectionPhase::Body { body: *body },
            Then::Linger => self.linger(context),
        }
    }

    fn deadline(&mut self, context: &mut Context<'_>) {
        match self.phase {
            ConnectionPhase::ProxyHeader => return self.end_in_header(context),
            ConnectionPhase::Head if !self.kept.is_empty() => {
                context.stats.errors.request_timeouts += 1;
                let kept = std::mem::take(&mut self.kept);
                let head = RequestHead::invalid(&kept);
                self.last_response(Prebuilt::RequestTimeout, false, head, Then::Linger, context);
                self.kept = kept;
                return;
            }
            // The request has been answered, so a 408 would answer no request.
            ConnectionPhase::Body { .. } => context.stats.errors.request_timeouts += 1,
            ConnectionPhase::Response { .. } => context.stats.errors.send_timeouts += 1,
            ConnectionPhase::Head | ConnectionPhase::Linger | ConnectionPhase::Over => {}
        }
        self.phase = ConnectionPhase::Over;
    }

    /// Ends at once and without a response, which might not fit into the socket.
    fn displaced(&mut self, context: &mut Context<'_>) {
        let is_unfinished = match self.phase {
            ConnectionPhase::Head | ConnectionPhase::ProxyHeader => !self.kept.is_empty(),
            ConnectionPhase::Body { .. } | ConnectionPhase::Response { .. } => true,
            ConnectionPhase::Linger | ConnectionPhase::Over => false,
        };
        context.stats.errors.displaced += u64::from(is_unfinished);
        self.phase = ConnectionPhase::Over;
    }

    fn linger(&mut self, context: &mut Context<'_>) {
        context.head_buffers.give_back(&mut self.kept);
        self.phase = ConnectionPhase::Linger;
    }
}

/// The most bytes offered to a socket at once, so that one large response doesn't hold up the
/// others.
pub const SEND_BYTES_MAX: u64 = 512 * 1024;
