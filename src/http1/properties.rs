//! The properties of a connection that hold for any bytes from a client. The fuzzer calls
//! [`connection`], and so do the tests over its corpus.

use super::{Context, HeadBuffers, Input, Output, Runs, ServerConnection};
use crate::http::coding::Coding;
use crate::http::proxy_header::properties::proxy_header;
use crate::http::request::Method;
use crate::peer_address::PeerAddress;
use crate::site::tree::build::Builder;
use crate::site::tree::rows::{CodedBody, RouteTarget};
use crate::site::{Page, ScratchPlace, Site};
use crate::stats::Stats;
use crate::telemetry::record::{
    ListenerKind, Nanos, Observation, Observer, RequestHead, ResponsePlace, ResponseRecord,
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
/// four bytes of `data` choose the splits. The connection is one to a page, then one to a tree:
/// there the responses are also the same, byte by byte, as without runs, and so is what an observer
/// is told.
///
/// # Panics
/// If the property doesn't hold.
pub fn connection(data: &[u8]) {
    any_connection(data, Means { is_proxied: false, ..Means::default() });
    any_connection(data, Means { is_proxied: false, ..Means::of_tree() });
}

/// Asserts the same of a connection on a listener for proxies, that the address of the client
/// doesn't depend on the splits either, and the properties of the PROXY header
/// ([`crate::http::proxy_header::properties`]).
///
/// # Panics
/// If a property doesn't hold.
pub fn proxied_connection(data: &[u8]) {
    any_connection(data, Means { is_proxied: true, ..Means::default() });
    if let Some((_, bytes)) = data.split_first_chunk::<4>() {
        proxy_header(bytes);
    }
}

/// What a connection has.
#[allow(clippy::struct_excessive_bools, reason = "each is independent of the others")]
#[derive(Clone, Copy, Debug, Default)]
struct Means {
    is_proxied: bool,
    has_tree: bool,
    has_runs: bool,
    /// Whether the observer describes requests, as that of the access log does.
    is_logged: bool,
}

impl Means {
    fn of_tree() -> Self {
        Self { has_tree: true, has_runs: true, ..Self::default() }
    }
}

fn any_connection(data: &[u8], means: Means) {
    let Some((choice, bytes)) = data.split_first_chunk::<4>() else { return };
    let at = u32::from_le_bytes(*choice) as usize % (bytes.len() + 1);
    let mut altered = bytes.to_vec();
    altered.iter_mut().skip(at).take(1).for_each(|octet| *octet ^= 1);
    for splits in [Splits::none(), Splits::from(*choice)] {
        others_change_nothing(bytes, bytes, splits, means);
        others_change_nothing(bytes, &bytes[at..], splits, means);
        others_change_nothing(&altered, bytes, splits, means);
    }
    let means = Means { is_logged: true, ..means };
    let unsplit = responses_to(bytes, Splits::none(), means);
    let split = responses_to(bytes, Splits::from(*choice), means);
    assert_eq!(unsplit.client, split.client, "the address of the client doesn't depend on splits");
    let headers = unsplit.stats.errors.proxy_headers;
    assert_eq!(headers, split.stats.errors.proxy_headers);
    let has_responses = !unsplit.responses.is_empty() || !split.responses.is_empty();
    assert!(headers == 0 || means.is_proxied && !has_responses);
    for heard in [&unsplit, &split] {
        let requests = heard.stats.requests;
        assert_eq!(heard.responses.len() as u64, requests, "each request has one response");
    }
    if unsplit.responses == split.responses {
        assert!(unsplit.sent == split.sent, "equal responses have the same bytes");
    } else {
        let (unsplit, split) = (&unsplit.responses, &split.responses);
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
            same_but_last && (is_end(unsplit) || is_end(split)),
            "unsplit: {unsplit:?}, split: {split:?}"
        );
    }
    if means.has_runs {
        let one_by_one = responses_to(bytes, Splits::none(), Means { has_runs: false, ..means });
        assert!(one_by_one.sent == unsplit.sent, "a run has the bytes of its responses");
        assert_eq!(one_by_one.records, unsplit.records, "and their records");
        assert_eq!(one_by_one.stats, unsplit.stats);
    }
}

/// Asserts that a connection gets the same responses whatever another one has sent before.
fn others_change_nothing(before: &[u8], bytes: &[u8], splits: Splits, means: Means) {
    let mut used = HeadBuffers::new(1, HEAD_BYTES_MAX);
    responses_after(&mut used, before, Splits::none(), means);
    let alone = responses_to(bytes, splits, means);
    let after = responses_after(&mut used, bytes, splits, means);
    assert_eq!(alone.responses, after.responses);
    assert!(alone.sent == after.sent, "equal responses have the same bytes");
    assert_eq!(alone.stats, after.stats);
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
    static TREE: RefCell<(Site, Vec<u8>)> = RefCell::new(tree());
}

/// A tree with an index, a file of one byte, one that fills most of a run, and a folder.
fn tree() -> (Site, Vec<u8>) {
    let mut fixed = Vec::new();
    let mut builder = Builder::default();
    for (path, len) in [("/", 40), ("/a", 1), ("/large", 70_000), ("/d/", 100)] {
        let (content, modified) = (vec![path.as_bytes()[path.len() - 1]; len], Some(784_111_777));
        let body = CodedBody::append(&mut fixed, Coding::Identity, &content, modified);
        let file = builder.file(vec![body], modified);
        let fields = builder.fields([("Content-Type", "text/plain")].into_iter());
        builder.path(path.as_bytes(), RouteTarget { file, fields });
    }
    builder.folder(b"/d");
    let (tree, layout) = builder.build(fixed.len() as u64, 1);
    fixed.resize(layout.buffer_bytes(), 0);
    (Site::of_tree(tree), fixed)
}

/// A connection and the state that it borrows.
struct Driver<'a> {
    conn: ServerConnection,
    site: &'a Site,
    fixed: &'a mut [u8],
    head_buffers: &'a mut HeadBuffers,
    runs: Runs,
    stats: Stats,
    sent: Vec<u8>,
    noted: Noted,
}

/// An observer that notes the client of the PROXY header, and the records.
#[derive(Debug, Default)]
pub(super) struct Noted {
    is_logged: bool,
    pub(super) client: Option<PeerAddress>,
    /// The heads of requests, by the places of their responses under way.
    begun: Vec<(ResponsePlace, Vec<u8>)>,
    /// Of each response that has ended, its request, status and bytes.
    ended: Vec<NotedRecord>,
}

type NotedRecord = (Vec<u8>, Method, u16, u64, bool);

impl Observer for Noted {
    fn describes_requests(&self) -> bool {
        self.is_logged
    }

    fn accepted(&mut self, _slot: u32, _peer: PeerAddress, _listener: ListenerKind) {}

    fn named(&mut self, _slot: u32, client: PeerAddress) {
        assert_eq!(self.client.replace(client), None, "a connection has one header");
    }

    fn began(
        &mut self,
        _slot: u32,
        place: ResponsePlace,
        _record: &ResponseRecord,
        head: RequestHead<'_, '_>,
    ) {
        let is_used = self.begun.iter().any(|(used, _)| *used == place);
        assert!(!is_used && (self.begun.is_empty() || place != ResponsePlace::Slot), "{place:?}");
        let line = head.bytes.split(|&octet| octet == b'\n').next().unwrap_or_default();
        self.begun.push((place, line.to_vec()));
    }

    fn progressed(&mut self, _slot: u32, place: ResponsePlace, record: &ResponseRecord) {
        assert_eq!(self.begun[0].0, place, "responses are taken in order");
        assert!(!record.is_whole);
    }

    fn ended(&mut self, _slot: u32, place: ResponsePlace, record: &ResponseRecord) {
        let (begun, line) = self.begun.remove(0);
        assert_eq!(begun, place, "responses end in order");
        let ResponseRecord { method, status, count, bytes, is_whole, .. } = *record;
        for _ in 0..count {
            self.ended.push((line.clone(), method, status, bytes / u64::from(count), is_whole));
        }
    }

    fn turned(&mut self, _woken: Nanos, _waits: Nanos) {}
}

/// The outcome of a connection.
struct Heard {
    responses: Vec<SentResponse>,
    sent: Vec<u8>,
    stats: Stats,
    client: Option<PeerAddress>,
    records: Vec<NotedRecord>,
}

fn responses_to(bytes: &[u8], splits: Splits, means: Means) -> Heard {
    let mut head_buffers = HeadBuffers::new(1, HEAD_BYTES_MAX);
    responses_after(&mut head_buffers, bytes, splits, means)
}

/// The responses to bytes that arrive on a connection after others had the same memory.
fn responses_after(
    head_buffers: &mut HeadBuffers,
    bytes: &[u8],
    splits: Splits,
    means: Means,
) -> Heard {
    let kind = if means.has_tree { &TREE } else { &SITE };
    kind.with_borrow_mut(|(site, fixed)| {
        responses_of((site, fixed), head_buffers, bytes, splits, means)
    })
}

fn responses_of(
    (site, fixed): (&Site, &mut [u8]),
    head_buffers: &mut HeadBuffers,
    bytes: &[u8],
    mut splits: Splits,
    means: Means,
) -> Heard {
    let mut runs = if means.has_runs { Runs::new(site) } else { Runs::none() };
    runs.keep_records();
    let (conn, mut output) = if means.is_proxied {
        ServerConnection::accept_from_proxy()
    } else {
        ServerConnection::accept()
    };
    let (stats, sent) = (Stats::default(), Vec::new());
    let noted = Noted { is_logged: means.is_logged, ..Noted::default() };
    let mut driver = Driver { conn, site, fixed, head_buffers, runs, stats, sent, noted };
    let mut left = bytes;
    let mut end_of_stream = false;
    while output != Output::Close {
        match output {
            Output::Send(_) if !left.is_empty() && splits.interrupts() => {
                let piece = take(&mut left, &mut splits);
                output = driver.handle(Input::Bytes(piece));
            }
            Output::Send(response) => {
                let max = usize::try_from(response.payload.len()).expect("a small site");
                let (count, end) = (splits.next(max), driver.sent.len());
                for span in response.payload.spans(driver.fixed) {
                    driver.sent.extend_from_slice(&driver.fixed[span.range()]);
                }
                driver.sent.truncate(end + count);
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
    driver.conn.end(&mut driver.runs, &mut Observation::none());
    assert!(!means.has_runs || driver.runs.are_free(driver.site), "a run was not given back");
    let Driver { sent, stats, noted: Noted { client, begun, ended: records, .. }, .. } = driver;
    assert!(begun.is_empty(), "{begun:?} have not ended");
    Heard { responses: parse_all(&sent), sent, stats, client, records }
}

impl Driver<'_> {
    fn handle(&mut self, input: Input<'_>) -> Output {
        let mut context = Context {
            site: self.site,
            fixed: self.fixed,
            head_buffers: self.head_buffers,
            runs: &mut self.runs,
            stats: &mut self.stats,
            scratch: ScratchPlace::Slot(0),
            head_bytes_max: HEAD_BYTES_MAX as usize,
            draining: false,
            is_last: false,
            health_only: false,
            observation: Observation { observer: Some(&mut self.noted), ..Observation::none() },
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
