//! A connection by hand: what it does at each turn of its peer.

use super::properties::connection;
use super::*;
use crate::site::Page;
use proptest::prelude::*;

const PAGE_BYTES: u64 = 100;

struct Bench {
    conn: ServerConnection,
    site: Site,
    fixed: Vec<u8>,
    head_buffers: HeadBuffers,
    stats: Stats,
    draining: bool,
}

impl Bench {
    fn new() -> Self {
        Self::with_page(PAGE_BYTES)
    }

    fn with_page(bytes: u64) -> Self {
        let (site, fixed) = Site::build(
            Page::built_in(),
            bytes,
            1,
            |bytes| Ok(vec![0; bytes]),
            |place| {
                place.fill(b'p');
                Ok(())
            },
        )
        .expect("filling does not fail");
        let head_buffers = HeadBuffers::new(1, 16 * 1024);
        let stats = Stats::default();
        Self { conn: ServerConnection::new(), site, fixed, head_buffers, stats, draining: false }
    }

    fn on(&mut self, event: Event<'_>) -> Next {
        let mut context = Context {
            site: &self.site,
            fixed: &mut self.fixed,
            head_buffers: &mut self.head_buffers,
            stats: &mut self.stats,
            scratch: ScratchIndex(0),
            head_bytes_max: 16 * 1024,
            draining: self.draining,
            is_last: self.draining,
            health_only: false,
        };
        self.conn.on(event, &mut context)
    }

    fn receive(&mut self, text: &str) -> Next {
        self.on(Event::Received(text.as_bytes()))
    }

    fn sent(&mut self, spans: Spans) -> Next {
        self.on(Event::Sent(u32::try_from(spans.len()).expect("a send is small")))
    }

    /// The text that a step sends, and what is to follow.
    fn sends(&self, next: Next) -> (String, After) {
        let Next::Send { spans, after, .. } = next else { panic!("{next:?} is no send") };
        let bytes = [&self.fixed[spans.first.range()], &self.fixed[spans.then.range()]].concat();
        (String::from_utf8_lossy(&bytes).into_owned(), after)
    }

    fn send_all(&mut self, mut next: Next) -> (String, Next) {
        let mut text = String::new();
        while let Next::Send { spans, .. } = next {
            text.push_str(&self.sends(next).0);
            next = self.sent(spans);
        }
        (text, next)
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_request_gets_the_page_and_the_connection_persists() {
    let mut bench = Bench::new();
    let next = bench.receive(GET);
    let (text, after) = bench.sends(next);
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with(&"p".repeat(100)));
    assert_eq!(after, After::Idle);
    assert_eq!(bench.send_all(next).1, Next::Receive);
    assert_eq!(bench.conn.waiting(), Waiting::Idle);
}

#[test]
fn pipelined_requests_are_answered_by_one_send() {
    let mut bench = Bench::new();
    let next = bench.receive(&GET.repeat(16));
    let (text, _) = bench.sends(next);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 16);
    assert_eq!(bench.stats.requests, 16);
}

#[test]
fn more_requests_than_stand_in_a_row_are_answered_one_row_after_another() {
    let mut bench = Bench::new();
    let next = bench.receive(&GET.repeat(100));
    let (text, next) = bench.send_all(next);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 100);
    assert_eq!(next, Next::Receive);
}

#[test]
fn a_bad_request_behind_good_ones_costs_them_nothing() {
    let mut bench = Bench::new();
    let next = bench.receive(&format!("{GET}{GET}BAD\r\n\r\n{GET}"));
    let (text, next) = bench.send_all(next);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2);
    assert_eq!(text.matches("HTTP/1.1 400 Bad Request").count(), 1);
    assert_eq!(next, Next::Linger, "the peer may still be sending");
}

#[test]
fn a_response_that_closes_is_followed_by_the_close_if_nothing_more_can_come() {
    let close = "GET / HTTP/1.0\r\n\r\n";
    let mut bench = Bench::new();
    let next = bench.receive(close);
    assert_eq!(bench.sends(next).1, After::Close);
    assert_eq!(bench.send_all(next).1, Next::Close);
    let mut bench = Bench::new();
    let next = bench.receive(&close.repeat(2));
    assert_eq!(bench.sends(next).1, After::Linger);
    let (text, next) = bench.send_all(next);
    assert_eq!((text.matches("HTTP/1.1 200").count(), next), (1, Next::Linger));
}

#[test]
fn a_half_closed_peer_gets_its_response() {
    let mut bench = Bench::new();
    let next = bench.receive(GET);
    assert_eq!(bench.on(Event::EndOfStream), Next::Wait);
    assert_eq!(bench.send_all(next).1, Next::Close);
}

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";

#[test]
fn a_request_is_answered_before_its_body_arrives() {
    let mut bench = Bench::new();
    let next = bench.receive(POST);
    let (text, next) = bench.send_all(next);
    assert!(text.starts_with("HTTP/1.1 405 ") && !text.contains("Connection: close"));
    assert!(text.contains("Allow: GET, HEAD, OPTIONS\r\n"));
    assert_eq!((next, bench.conn.waiting()), (Next::Receive, Waiting::Body));
    let next = bench.receive(&format!("0123456789{GET}"));
    let (text, next) = bench.send_all(next);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 1, "the body was no request");
    assert_eq!((next, bench.conn.waiting()), (Next::Receive, Waiting::Idle));
}

#[test]
fn a_body_that_arrives_with_its_head_is_dropped_at_once() {
    let mut bench = Bench::new();
    let next = bench.receive(&format!("{POST}0123456789{GET}"));
    let (text, next) = bench.send_all(next);
    assert_eq!(text.matches("HTTP/1.1 405 ").count(), 1);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 1);
    assert_eq!((next, bench.conn.waiting()), (Next::Receive, Waiting::Idle));
}

#[test]
fn a_body_is_dropped_while_its_response_is_under_way() {
    let mut bench = Bench::new();
    let first = bench.receive(POST);
    assert_eq!(bench.receive("01234"), Next::Wait);
    assert_eq!(bench.receive(&format!("56789{GET}")), Next::Wait);
    let (text, next) = bench.send_all(first);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 1);
    assert_eq!((next, bench.conn.waiting()), (Next::Receive, Waiting::Idle));
}

#[test]
fn a_body_that_is_late_ends_its_connection() {
    let mut bench = Bench::new();
    let next = bench.receive(&POST.replace("POST", "GET"));
    let (text, next) = bench.send_all(next);
    assert_eq!((text.matches("HTTP/1.1 200 OK").count(), next), (1, Next::Receive));
    assert_eq!(bench.receive("0123"), Next::Receive);
    assert_eq!(bench.on(Event::Deadline), Next::Close);
    assert_eq!(bench.stats.errors.request_timeouts, 1);
}

#[test]
fn a_malformed_body_is_refused_if_no_response_is_sent_yet() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut bench = Bench::new();
    let next = bench.receive(&format!("{head}oops\r\n{GET}"));
    let (text, next) = bench.send_all(next);
    assert!(text.starts_with("HTTP/1.1 400 ") && text.matches("HTTP/1.1 ").count() == 1);
    assert_eq!((next, bench.stats.errors.refused), (Next::Linger, 1));

    let mut bench = Bench::new();
    let next = bench.receive(head);
    assert_eq!(bench.send_all(next).1, Next::Receive);
    assert_eq!(bench.receive(&format!("oops\r\n{GET}")), Next::Linger);
    assert_eq!((bench.stats.requests, bench.stats.errors.refused), (1, 1));
}

#[test]
fn a_lone_head_that_is_refused_is_followed_by_the_close() {
    for (text, expected) in [
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", After::Close),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\nGET", After::Linger),
        ("GET / HTTP/3.0\r\nHost: a\r\nContent-Length: 4\r\n\r\n", After::Linger),
        ("POST / HTTP/3.0\r\nHost: a\r\n\r\n", After::Linger),
        ("GET / HTTP/3.0\r\nHost", After::Linger),
    ] {
        let mut bench = Bench::new();
        let next = bench.receive(text);
        assert_eq!(bench.sends(next).1, expected, "{text:?}");
    }
    let mut bench = Bench::new();
    let next = bench.receive(&format!("{GET}GET / HTTP/3.0\r\nHost: a\r\n\r\n"));
    let Next::Send { spans, .. } = next else { panic!("{next:?} is no send") };
    let next = bench.sent(spans);
    assert_eq!(bench.sends(next).1, After::Linger, "responses before it must not be reset");
}

#[test]
fn a_displaced_connection_ends_at_once() {
    for (text, displaced) in [("", 0), ("GET / HT", 1), (POST, 1)] {
        let mut bench = Bench::new();
        let next = bench.receive(text);
        bench.send_all(next);
        assert_eq!(bench.on(Event::Displaced), Next::Close, "{text:?}");
        assert_eq!(bench.stats.errors.displaced, displaced, "{text:?}");
    }
}

#[test]
fn a_long_body_is_not_waited_for() {
    for lines in ["Content-Length: 65537", "Content-Length: 5\r\nExpect: 100-continue"] {
        let mut bench = Bench::new();
        let next = bench.receive(&format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n"));
        let (text, after) = bench.sends(next);
        assert!(text.contains("Connection: close\r\n"));
        assert_eq!(after, After::Linger);
    }
}

#[test]
fn a_late_head_is_told_so_and_a_silent_peer_is_not() {
    let mut bench = Bench::new();
    assert_eq!(bench.on(Event::Deadline), Next::Close);
    let mut bench = Bench::new();
    bench.receive("GET /");
    let next = bench.on(Event::Deadline);
    assert!(bench.sends(next).0.starts_with("HTTP/1.1 408 Request Timeout\r\n"));
    assert_eq!(bench.stats.errors.request_timeouts, 1);
}

#[test]
fn while_draining_a_response_says_that_it_is_the_last() {
    let mut bench = Bench::new();
    bench.draining = true;
    let next = bench.receive(GET);
    let (text, after) = bench.sends(next);
    assert!(text.contains("Connection: close\r\n"));
    assert_eq!(after, After::Linger);
}

#[test]
fn a_head_cut_within_its_date_goes_on_with_the_same_date() {
    let mut bench = Bench::new();
    bench.site.tick(784_111_777, &mut bench.fixed);
    let next = bench.receive(GET);
    let (whole, _) = bench.sends(next);
    let cut = whole.find("08:49:3").expect("the date") + 4;
    let mut got = whole[..cut].to_owned();
    let next = bench.on(Event::Sent(u32::try_from(cut).expect("small")));
    for seconds in 1..=3 {
        bench.site.tick(784_111_777 + 86_400 * seconds, &mut bench.fixed);
    }
    got.push_str(&bench.send_all(next).0);
    assert_eq!(got, whole);
}

#[test]
fn a_large_page_is_sent_in_parts() {
    let bytes = 3 << 20;
    let mut bench = Bench::with_page(bytes);
    let next = bench.receive(&GET.repeat(2));
    let (text, next) = bench.send_all(next);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2);
    let bodies: usize = text.split("\r\n\r\n").map(|part| part.matches("pp").count()).sum();
    assert_eq!(bodies * 2, 2 * usize::try_from(bytes).expect("it is 3 MiB"));
    assert_eq!(next, Next::Receive);
}

#[test]
fn a_range_has_its_own_head() {
    let mut bench = Bench::new();
    let next = bench.receive("GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=10-19\r\n\r\n");
    let (text, _) = bench.send_all(next);
    assert!(text.starts_with("HTTP/1.1 206 Partial Content\r\nDate: Thu, 01 Jan 1970"));
    assert!(text.contains("Content-Range: bytes 10-19/100\r\n"));
    assert!(text.ends_with("\r\n\r\npppppppppp"));
}

#[test]
fn what_comes_after_the_last_response_is_dropped_up_to_a_bound() {
    let mut bench = Bench::new();
    let next = bench.receive("BAD\r\n");
    assert_eq!(bench.send_all(next).1, Next::Linger);
    let junk = "x".repeat(64 * 1024);
    let steps: Vec<Next> = (0..5).map(|_| bench.receive(&junk)).collect();
    assert_eq!(steps[..4], [Next::Receive; 4]);
    assert_eq!(steps[4], Next::Close);
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::sample::select(vec![
            GET, GET, GET, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "GET / HTTP/1.0\r\n\r\n",
            "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=1-2\r\n\r\n", "\r\n", "BAD\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n", "GET / HTTP/1.1\r\nHost",
            "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            "BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..5),
    ]
}

proptest! {
    #[test]
    fn every_property_of_connections_holds(
        splits in any::<[u8; 4]>(),
        pieces in prop::collection::vec(piece(), 0..60),
    ) {
        let mut data = splits.to_vec();
        data.extend(pieces.concat());
        connection(&data);
    }
}
