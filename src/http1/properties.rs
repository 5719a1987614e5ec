//! The properties of a connection that hold for any bytes from a client. The fuzzer calls
//! [`connection`], and so do the tests over its corpus.

use super::{Context, HeadBuffers, Input, Output, ServerConnection};
use crate::http::proxy_header::properties::proxy_header;
use crate::peer_address::PeerAddress;
use crate::site::{Page, ScratchIndex, Site};
use crate::stats::Stats;
use crate::telemetry::record::{
    ListenerKind, Nanos, Observation, Observer, RequestHead, ResponseRecord,
};
use std::cell::RefCell;

/// One response, as a client parses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SentResponse {
    status: u16,
    body_bytes: usize,
    closes: bool,
}

/// Asserts that the same bytes get the same responses however they are split on arrival, and
/// however the sends are split; that the responses parse as HTTP; that there are as many of them as
/// requests were counted; and that the bytes of earlier connections change none of them. The first
/// four bytes of `data` choose the splits.
///
/// # Panics
/// If the property doesn't hold.
pub fn connection(data: &[u8]) {
    any_connection(data, false);
}

/// Asserts the same of a connection on a listener for proxies, that the address of the client
/// doesn't depend on the splits either, and the properties of the PROXY header
/// ([`crate::http::proxy_header::properties`]).
///
/// # Panics
/// If a property doesn't hold.
pub fn proxied_connection(data: &[u8]) {
    any_connection(data, true);
    if let Some((_, bytes)) = data.split_first_chunk::<4>() {
        proxy_header(bytes);
    }
}

fn any_connection(data: &[u8], is_proxied: bool) {
    let Some((choice, bytes)) = data.split_first_chunk::<4>() else { return };
    let suffix = &bytes[u32::from_le_bytes(*choice) as usize % (bytes.len() + 1)..];
    for bytes_after in [bytes, suffix] {
        others_change_nothing(bytes, bytes_after, Splits::from(*choice), is_proxied);
        others_change_nothing(bytes, bytes_after, Splits::none(), is_proxied);
    }
    let Heard { responses: unsplit, stats: unsplit_stats, client } =
        responses_to(bytes, Splits::none(), is_proxied);
    let Heard { responses: split, stats: split_stats, client: of_split } =
        responses_to(bytes, Splits::from(*choice), is_proxied);
    assert_eq!(client, of_split, "the address of the client doesn't depend on the splits");
    let headers = unsplit_stats.errors.proxy_headers;
    assert_eq!(headers, split_stats.errors.proxy_headers);
    assert!(headers == 0 || is_proxied && unsplit.is_empty() && split.is_empty());
    assert_eq!(unsplit.len() as u64, unsplit_stats.requests, "each request has one response");
    assert_eq!(split.len() as u64, split_stats.requests, "each request has one response, split");
    if unsplit != split {
        // The split may decide which of several errors is detected first, and whether a request
        // is refused for its body, because the response doesn't wait for the body. It may not
        // decide that this response is the last.
        let same_but_last = unsplit.len() == split.len() && {
            let last = unsplit.len() - 1;
            unsplit[..last] == split[..last]
        };
        let is_end =
            |responses: &[SentResponse]| responses.last().is_some_and(|response| response.closes);
        assert!(
            same_but_last && (is_end(&unsplit) || is_end(&split)),
            "unsplit: {unsplit:?}, split: {split:?}"
        );
    }
}

/// Asserts that a connection gets the same responses whatever another one has sent before.
fn others_change_nothing(before: &[u8], bytes: &[u8], splits: Splits, is_proxied: bool) {
    let mut used = HeadBuffers::new(1, HEAD_BYTES_MAX);
    responses_after(&mut used, before, Splits::none(), is_proxied);
    let alone = responses_to(bytes, splits, is_proxied);
    let after = responses_after(&mut used, bytes, splits, is_proxied);
    assert_eq!(alone.responses, after.responses);
}

/// A sequence of sizes of the pieces in which bytes arrive and are taken.
#[derive(Clone, Copy)]
struct Splits {
    state: u32,
}

impl Splits {
    fn none() -> Self {
        Self { state: 0 }
    }

    fn from(choice: [u8; 4]) -> Self {
        Self { state: u32::from_le_bytes(choice) | 1 }
    }

    /// A size from 1 to `max`; without splits, `max`.
    fn next(&mut self, max: usize) -> usize {
        if self.state == 0 {
            return max;
        }
        // The linear congruential generator of Numerical Recipes: any sequence is good enough.
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) | 1;
        let small = self.state >> 24 & 1 == 0;
        let limit = if small { max.min(8) } else { max };
        1 + (self.state >> 8) as usize % limit
    }

    /// Whether bytes arrive while a response is under way.
    fn interrupts(&mut self) -> bool {
        self.state != 0 && self.next(4) == 1
    }
}

thread_local! {
    /// Shared by all runs, because building it takes longer than most connections.
    static SITE: RefCell<(Site, Vec<u8>)> = RefCell::new(
        Site::build(Page::built_in(), PAGE_BYTES, 1, |bytes| Ok(vec![0; bytes]), |place| {
            place.fill(b'p');
            Ok(())
        })
        .expect("filling does not fail"),
    );
}

/// A connection and the state that it borrows.
struct Driver<'a> {
    conn: ServerConnection,
    site: &'a Site,
    fixed: &'a mut [u8],
    head_buffers: &'a mut HeadBuffers,
    stats: Stats,
    sent: Vec<u8>,
    named: NamedClient,
}

/// An observer that notes the client of the PROXY header.
#[derive(Debug, Default)]
pub(super) struct NamedClient(pub(super) Option<PeerAddress>);

impl Observer for NamedClient {
    fn describes_requests(&self) -> bool {
        false
    }

    fn accepted(&mut self, _slot: u32, _peer: PeerAddress, _listener: ListenerKind) {}

    fn named(&mut self, _slot: u32, client: PeerAddress) {
        assert_eq!(self.0.replace(client), None, "a connection has one header");
    }

    fn began(&mut self, _slot: u32, _record: &ResponseRecord, _head: RequestHead<'_, '_>) {}

    fn progressed(&mut self, _slot: u32, _record: &ResponseRecord) {}

    fn ended(&mut self, _slot: u32, _record: &ResponseRecord) {}

    fn turned(&mut self, _woken: Nanos, _waits: Nanos) {}
}

/// The outcome of a connection.
struct Heard {
    responses: Vec<SentResponse>,
    stats: Stats,
    client: Option<PeerAddress>,
}

fn responses_to(bytes: &[u8], splits: Splits, is_proxied: bool) -> Heard {
    let mut head_buffers = HeadBuffers::new(1, HEAD_BYTES_MAX);
    responses_after(&mut head_buffers, bytes, splits, is_proxied)
}

/// The responses to bytes that arrive on a connection after others had the same memory.
fn responses_after(
    head_buffers: &mut HeadBuffers,
    bytes: &[u8],
    splits: Splits,
    is_proxied: bool,
) -> Heard {
    SITE.with_borrow_mut(|(site, fixed)| {
        responses_of((site, fixed), head_buffers, bytes, splits, is_proxied)
    })
}

fn responses_of(
    (site, fixed): (&Site, &mut [u8]),
    head_buffers: &mut HeadBuffers,
    bytes: &[u8],
    mut splits: Splits,
    is_proxied: bool,
) -> Heard {
    let (conn, mut output) =
        if is_proxied { ServerConnection::accept_from_proxy() } else { ServerConnection::accept() };
    let (stats, sent, named) = (Stats::default(), Vec::new(), NamedClient::default());
    let mut driver = Driver { conn, site, fixed, head_buffers, stats, sent, named };
    let mut left = bytes;
    let mut end_of_stream = false;
    while output != Output::Close {
        match output {
            Output::Send(_) if !left.is_empty() && splits.interrupts() => {
                let piece = take(&mut left, &mut splits);
                output = driver.handle(Input::Bytes(piece));
            }
            Output::Send(response) => {
                let max = usize::try_from(response.spans.len()).expect("a small site");
                let count = splits.next(max);
                let taken = response.spans.up_to(count as u64);
                for span in [taken.first, taken.then] {
                    driver.sent.extend_from_slice(&driver.fixed[span.range()]);
                }
                let count = u32::try_from(count).expect("at most `max`");
                output = driver.handle(Input::Taken(count));
            }
            Output::Receive(_) | Output::Linger if left.is_empty() => {
                assert!(!end_of_stream, "nothing is received behind the end of the stream");
                end_of_stream = true;
                output = driver.handle(Input::EndOfStream);
            }
            Output::Receive(_) | Output::Linger => {
                let piece = take(&mut left, &mut splits);
                output = driver.handle(Input::Bytes(piece));
            }
            Output::Close => unreachable!("the loop has ended"),
        }
    }
    driver.conn.release(driver.head_buffers);
    Heard { responses: parse_all(&driver.sent), stats: driver.stats, client: driver.named.0 }
}

impl Driver<'_> {
    fn handle(&mut self, input: Input<'_>) -> Output {
        let mut context = Context {
            site: self.site,
            fixed: self.fixed,
            head_buffers: self.head_buffers,
            stats: &mut self.stats,
            scratch: ScratchIndex(0),
            head_bytes_max: HEAD_BYTES_MAX as usize,
            draining: false,
            is_last: false,
            health_only: false,
            observation: Observation { observer: Some(&mut self.named), ..Observation::none() },
        };
        self.conn.handle(input, &mut context)
    }
}

fn take<'a>(left: &mut &'a [u8], splits: &mut Splits) -> &'a [u8] {
    let (piece, rest) = left.split_at(splits.next(left.len()));
    *left = rest;
    piece
}

/// Parses responses up to the end of `bytes`, which must be the end of a response.
fn parse_all(mut bytes: &[u8]) -> Vec<SentResponse> {
    let mut responses = Vec::new();
    while !bytes.is_empty() {
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut fields);
        let parsed = response.parse(bytes).expect("a response is HTTP");
        let httparse::Status::Complete(head) = parsed else { panic!("a head is cut short") };
        let field = |name: &str| {
            let found = response.headers.iter().find(|field| field.name == name);
            found.map(|field| std::str::from_utf8(field.value).expect("fields are text"))
        };
        let status = response.code.expect("a complete head has a status");
        let length = field("Content-Length").map_or(0, |value| value.parse().expect("a number"));
        let closes = field("Connection") == Some("close");
        // A response to HEAD has a length and no body: the next head follows it, or the end.
        let rest = &bytes[head..];
        let without_body = rest.is_empty() || rest.starts_with(b"HTTP/1.1 ");
        let body_bytes = if without_body { 0 } else { length };
        assert!(rest.len() >= body_bytes, "a body is cut short");
        bytes = &rest[body_bytes..];
        assert!(!closes || bytes.is_empty(), "nothing follows a response that closes");
        responses.push(SentResponse { status, body_bytes, closes });
    }
    responses
}

/// Small, so that sends are cut in the middle of heads often.
const PAGE_BYTES: u64 = 40;
const HEAD_BYTES_MAX: u32 = 16 * 1024;
