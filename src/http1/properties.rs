//! What must hold for a connection whatever its peer sends: the fuzzer calls this, and the tests
//! over its corpus.

use super::{Context, Event, HeadBuffers, Next, ServerConnection};
use crate::site::{Page, ScratchIndex, Site};
use crate::stats::Stats;
use std::cell::RefCell;

/// One response as a peer reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Response {
    status: u16,
    body_bytes: usize,
    closes: bool,
}

/// Any split of the same bytes, with any splits of the sends, gives the same responses; they parse
/// as HTTP, and there are as many as requests were counted. The first four bytes choose the
/// splits.
///
/// # Panics
/// If that isn't so.
pub fn connection(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first_chunk::<4>() else { return };
    let (whole, whole_stats) = responses_to(bytes, Splits::none());
    let (split, split_stats) = responses_to(bytes, Splits::from(*choice));
    assert_eq!(whole.len() as u64, whole_stats.requests, "each request has one response");
    assert_eq!(split.len() as u64, split_stats.requests, "each request has one response, split");
    if whole != split {
        // Which of several faults is noticed first may depend on how much arrived at once, and so
        // may whether a request is refused for its body, which the response doesn't wait for. That
        // it is the end may not.
        let same_but_last = whole.len() == split.len() && {
            let last = whole.len() - 1;
            whole[..last] == split[..last]
        };
        let is_end =
            |responses: &[Response]| responses.last().is_some_and(|response| response.closes);
        assert!(
            same_but_last && (is_end(&whole) || is_end(&split)),
            "whole: {whole:?}, split: {split:?}"
        );
    }
}

/// Sizes of the pieces in which bytes come and go.
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

    /// A size from 1 to `most`.
    fn next(&mut self, most: usize) -> usize {
        if self.state == 0 {
            return most;
        }
        // The generator of Numerical Recipes: any sequence will do.
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) | 1;
        let small = self.state >> 24 & 1 == 0;
        let limit = if small { most.min(8) } else { most };
        1 + (self.state >> 8) as usize % limit
    }

    /// Whether bytes come while a response is under way.
    fn interrupts(&mut self) -> bool {
        self.state != 0 && self.next(4) == 1
    }
}

thread_local! {
    /// Building a site takes longer than most connections.
    static SITE: RefCell<(Site, Vec<u8>)> = RefCell::new(
        Site::build(Page::built_in(), PAGE_BYTES, 1, |bytes| Ok(vec![0; bytes]), |place| {
            place.fill(b'p');
            Ok(())
        })
        .expect("filling does not fail"),
    );
}

/// A connection and what it works with.
struct Peer<'a> {
    conn: ServerConnection,
    site: &'a Site,
    fixed: &'a mut [u8],
    head_buffers: HeadBuffers,
    stats: Stats,
    got: Vec<u8>,
}

fn responses_to(bytes: &[u8], splits: Splits) -> (Vec<Response>, Stats) {
    SITE.with_borrow_mut(|(site, fixed)| responses_of(site, fixed, bytes, splits))
}

fn responses_of(
    site: &Site,
    fixed: &mut [u8],
    bytes: &[u8],
    mut splits: Splits,
) -> (Vec<Response>, Stats) {
    let head_buffers = HeadBuffers::new(1, HEAD_BYTES_MAX);
    let conn = ServerConnection::new();
    let mut peer =
        Peer { conn, site, fixed, head_buffers, stats: Stats::default(), got: Vec::new() };
    let mut left = bytes;
    let mut next = Next::Receive;
    loop {
        match next {
            Next::Send { spans, .. } => {
                if !left.is_empty() && splits.interrupts() {
                    let piece = take(&mut left, &mut splits);
                    if peer.tell(Event::Received(piece)) == Next::Close {
                        break;
                    }
                }
                let most = usize::try_from(spans.len()).expect("a small site");
                let count = splits.next(most);
                let sent = spans.up_to(count as u64);
                for span in [sent.first, sent.then] {
                    peer.got.extend_from_slice(&peer.fixed[span.range()]);
                }
                next = peer.tell(Event::Sent(u32::try_from(count).expect("a part of them")));
            }
            Next::Wait | Next::Receive | Next::Linger if left.is_empty() => {
                if peer.conn.end_of_stream {
                    break;
                }
                next = peer.tell(Event::EndOfStream);
            }
            Next::Wait | Next::Receive | Next::Linger => {
                let piece = take(&mut left, &mut splits);
                next = peer.tell(Event::Received(piece));
            }
            Next::Close => break,
        }
    }
    peer.conn.release(&mut peer.head_buffers);
    (parse_all(&peer.got), peer.stats)
}

impl Peer<'_> {
    fn tell(&mut self, event: Event<'_>) -> Next {
        let mut context = Context {
            site: self.site,
            fixed: self.fixed,
            head_buffers: &mut self.head_buffers,
            stats: &mut self.stats,
            scratch: ScratchIndex(0),
            head_bytes_max: HEAD_BYTES_MAX as usize,
            draining: false,
            is_last: false,
            health_only: false,
        };
        self.conn.on(event, &mut context)
    }
}

fn take<'a>(left: &mut &'a [u8], splits: &mut Splits) -> &'a [u8] {
    let (piece, rest) = left.split_at(splits.next(left.len()));
    *left = rest;
    piece
}

/// Reads responses until nothing is left; nothing may be left over.
fn parse_all(mut bytes: &[u8]) -> Vec<Response> {
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
        // A response to HEAD says a length and has no body: what follows is a head again, or the
        // end.
        let rest = &bytes[head..];
        let without_body = rest.is_empty() || rest.starts_with(b"HTTP/1.1 ");
        let body_bytes = if without_body { 0 } else { length };
        assert!(rest.len() >= body_bytes, "a body is cut short");
        bytes = &rest[body_bytes..];
        assert!(!closes || bytes.is_empty(), "nothing follows a response that closes");
        responses.push(Response { status, body_bytes, closes });
    }
    responses
}

/// Small, so that sends are cut in the middle of heads often.
const PAGE_BYTES: u64 = 40;
const HEAD_BYTES_MAX: u32 = 16 * 1024;
