//! Single inputs, and the outputs that follow from them.

use super::properties::connection;
use super::*;
use crate::bytes::Payload;
use crate::site::{Page, ScratchPlace, Site};
use crate::stats::Stats;
use crate::telemetry::record::Observation;
use proptest::prelude::*;

mod proxied;
mod runs;

const PAGE_BYTES: u64 = 100;
const HEAD_BYTES_MAX: u32 = 16 * 1024;

pub(super) struct Fixture {
    pub(super) conn: ServerConnection,
    site: Site,
    fixed: Vec<u8>,
    pub(super) head_buffers: HeadBuffers,
    pub(super) runs: Runs,
    stats: Stats,
    pub(super) draining: bool,
}

impl Fixture {
    pub(super) fn new() -> Self {
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
        Self::of(site, fixed)
    }

    /// A connection to a site.
    pub(super) fn of(site: Site, fixed: Vec<u8>) -> Self {
        let head_buffers = HeadBuffers::new(1, HEAD_BYTES_MAX);
        let mut runs = Runs::new(&site);
        runs.keep_records();
        let (conn, output) = ServerConnection::accept();
        assert_eq!(output, Output::Receive(Timeout::Head));
        let stats = Stats::default();
        Self { conn, site, fixed, head_buffers, runs, stats, draining: false }
    }

    fn handle(&mut self, input: Input<'_>) -> Output {
        self.handle_observed(input, Observation::none())
    }

    pub(super) fn handle_observed(
        &mut self,
        input: Input<'_>,
        observation: Observation<'_>,
    ) -> Output {
        let mut context = Context {
            site: &self.site,
            fixed: &mut self.fixed,
            head_buffers: &mut self.head_buffers,
            runs: &mut self.runs,
            stats: &mut self.stats,
            scratch: ScratchPlace::Slot(0),
            head_bytes_max: HEAD_BYTES_MAX as usize,
            draining: self.draining,
            is_last: self.draining,
            health_only: false,
            observation,
        };
        self.conn.handle(input, &mut context)
    }

    pub(super) fn bytes(&mut self, text: &str) -> Output {
        self.handle(Input::Bytes(text.as_bytes()))
    }

    fn taken(&mut self, payload: Payload) -> Output {
        self.handle(Input::Taken(u32::try_from(payload.len()).expect("a send is small")))
    }

    /// The text of an [`Output::Send`], and what follows the response.
    pub(super) fn text(&self, output: Output) -> (String, Then) {
        let transmission = transmission(output);
        let spans = transmission.payload.spans(&self.fixed);
        let bytes: Vec<_> = spans.flat_map(|span| &self.fixed[span.range()]).copied().collect();
        (String::from_utf8_lossy(&bytes).into_owned(), transmission.then)
    }

    pub(super) fn send_all(&mut self, mut output: Output) -> (String, Output) {
        let mut text = String::new();
        while let Output::Send(Transmission { payload, .. }) = output {
            text.push_str(&self.text(output).0);
            output = self.taken(payload);
        }
        (text, output)
    }
}

fn transmission(output: Output) -> Transmission {
    let Output::Send(transmission) = output else { panic!("{output:?} is no send") };
    transmission
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn request_gets_the_page_and_the_connection_persists() {
    let mut fixture = Fixture::new();
    let output = fixture.bytes(GET);
    let (text, then) = fixture.text(output);
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with(&"p".repeat(100)));
    assert_eq!(then, Then::Idle);
    assert_eq!(fixture.send_all(output).1, Output::Receive(Timeout::Idle));
}

#[test]
fn pipelined_requests_are_answered_by_one_send() {
    let mut fixture = Fixture::new();
    let output = fixture.bytes(&GET.repeat(16));
    let (text, _) = fixture.text(output);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 16);
    assert_eq!(fixture.stats.requests, 16);
}

#[test]
fn more_requests_than_copies_in_a_row_are_answered_by_several_sends() {
    let mut fixture = Fixture::new();
    let output = fixture.bytes(&GET.repeat(100));
    let (text, output) = fixture.send_all(output);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 100);
    assert_eq!(output, Output::Receive(Timeout::Idle));
}

#[test]
fn request_with_another_response_ends_the_run_before_it() {
    let head = GET.replace("GET", "HEAD");
    let range = "GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-0\r\n\r\n";
    for (other, status) in [(&*head, "200 OK"), (range, "206 Partial Content")] {
        let mut fixture = Fixture::new();
        let output = fixture.bytes(&format!("{GET}{GET}{other}{GET}"));
        let (text, then) = fixture.text(output);
        assert_eq!((text.matches("HTTP/1.1 200 OK").count(), then), (2, Then::Continue));
        let payload = transmission(output).payload;
        let output = fixture.taken(payload);
        let (text, _) = fixture.text(output);
        assert!(text.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{text}");
        assert_eq!(text.matches("HTTP/1.1").count(), 1);
        let (text, output) = fixture.send_all(output);
        assert_eq!(text.matches("HTTP/1.1").count(), 2);
        assert_eq!(output, Output::Receive(Timeout::Idle));
        assert_eq!(fixture.stats.requests, 4);
    }
}

#[test]
fn input_is_full_while_pipelined_requests_fill_a_head_buffer() {
    let mut fixture = Fixture::new();
    let output = fixture.bytes(GET);
    assert!(!transmission(output).input_is_full);
    let block = GET.repeat(HEAD_BYTES_MAX as usize / GET.len() + 1);
    assert!(transmission(fixture.bytes(&block)).input_is_full);
    assert_eq!(fixture.send_all(output).1, Output::Receive(Timeout::Idle));
}

#[test]
fn requests_before_an_invalid_request_are_answered() {
    let mut fixture = Fixture::new();
    let output = fixture.bytes(&format!("{GET}{GET}BAD\r\n\r\n{GET}"));
    let (text, output) = fixture.send_all(output);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2);
    assert_eq!(text.matches("HTTP/1.1 400 Bad Request").count(), 1);
    assert_eq!(output, Output::Linger, "the peer may still be sending");
}

#[test]
fn last_response_is_followed_by_close_or_by_linger() {
    let close = "GET / HTTP/1.0\r\n\r\n";
    let mut fixture = Fixture::new();
    let output = fixture.bytes(close);
    assert_eq!(fixture.text(output).1, Then::Close);
    assert_eq!(fixture.send_all(output).1, Output::Close);
    let mut fixture = Fixture::new();
    let output = fixture.bytes(&close.repeat(2));
    assert_eq!(fixture.text(output).1, Then::Linger);
    let (text, output) = fixture.send_all(output);
    assert_eq!((text.matches("HTTP/1.1 200").count(), output), (1, Output::Linger));
}

#[test]
fn half_closed_client_gets_its_response() {
    let mut fixture = Fixture::new();
    let output = fixture.bytes(GET);
    assert_eq!(transmission(output).then, Then::Idle);
    let output = fixture.handle(Input::EndOfStream);
    assert_eq!(transmission(output).then, Then::Continue);
    assert_eq!(fixture.send_all(output).1, Output::Close);
}

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";

#[test]
fn request_is_answered_before_its_body_arrives() {
    let mut fixture = Fixture::new();
    let output = fixture.bytes(POST);
    let (text, output) = fixture.send_all(output);
    assert!(text.starts_with("HTTP/1.1 405 ") && !text.contains("Connection: close"));
    assert!(text.contains("Allow: GET, HEAD, OPTIONS\r\n"));
    assert_eq!(output, Output::Receive(Timeout::Body));
    let output = fixture.bytes(&format!("0123456789{GET}"));
    let (text, output) = fixture.send_all(output);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 1, "the body was no request");
    assert_eq!(output, Output::Receive(Timeout::Idle));
}

#[test]
fn body_that_arrives_with_its_head_is_discarded_at_once() {
    let mut fixture = Fixture::new();
    let output = fixture.bytes(&format!("{POST}0123456789{GET}"));
    let (text, output) = fixture.send_all(output);
    assert_eq!(text.matches("HTTP/1.1 405 ").count(), 1);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 1);
    assert_eq!(output, Output::Receive(Timeout::Idle));
}

#[test]
fn body_is_discarded_while_its_response_is_under_way() {
    let mut fixture = Fixture::new();
    let output = fixture.bytes(POST);
    assert_eq!(fixture.bytes("01234"), output, "the send goes on");
    assert_eq!(fixture.bytes(&format!("56789{GET}")), output);
    let (text, output) = fixture.send_all(output);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 1);
    assert_eq!(output, Output::Receive(Timeout::Idle));
}

#[test]
fn body_timeout_closes_the_connection() {
    let mut fixture = Fixture::new();
    let output = fixture.bytes(&POST.replace("POST", "GET"));
    let (text, output) = fixture.send_all(output);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 1);
    assert_eq!(output, Output::Receive(Timeout::Body));
    assert_eq!(fixture.bytes("0123"), Output::Receive(Timeout::Body));
    assert_eq!(fixture.handle(Input::Deadline), Output::Close);
    assert_eq!(fixture.stats.errors.request_timeouts, 1);
}

#[test]
fn malformed_body_gets_400_if_no_response_is_sent_yet() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut fixture = Fixture::new();
    let output = fixture.bytes(&format!("{head}oops\r\n{GET}"));
    let (text, output) = fixture.send_all(output);
    assert!(text.starts_with("HTTP/1.1 400 ") && text.matches("HTTP/1.1 ").count() == 1);
    assert_eq!((output, fixture.stats.errors.refused), (Output::Linger, 1));

    let mut fixture = Fixture::new();
    let output = fixture.bytes(head);
    assert_eq!(fixture.send_all(output).1, Output::Receive(Timeout::Body));
    assert_eq!(fixture.bytes(&format!("oops\r\n{GET}")), Output::Linger);
    assert_eq!((fixture.stats.requests, fixture.stats.errors.refused), (1, 1));
}

#[test]
fn refusal_of_a_lone_head_is_followed_by_close() {
    for (text, expected) in [
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", Then::Close),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\nGET", Then::Linger),
        ("GET / HTTP/3.0\r\nHost: a\r\nContent-Length: 4\r\n\r\n", Then::Linger),
        ("POST / HTTP/3.0\r\nHost: a\r\n\r\n", Then::Linger),
        ("GET / HTTP/3.0\r\nHost", Then::Linger),
    ] {
        let mut fixture = Fixture::new();
        let output = fixture.bytes(text);
        assert_eq!(fixture.text(output).1, expected, "{text:?}");
    }
    let mut fixture = Fixture::new();
    let output = fixture.bytes(&format!("{GET}GET / HTTP/3.0\r\nHost: a\r\n\r\n"));
    let payload = transmission(output).payload;
    let output = fixture.taken(payload);
    assert_eq!(fixture.text(output).1, Then::Linger, "responses before it must not be reset");
}

#[test]
fn displaced_connection_closes_at_once() {
    for (text, displaced) in [("", 0), ("GET / HT", 1), (POST, 1)] {
        let mut fixture = Fixture::new();
        let output = fixture.bytes(text);
        fixture.send_all(output);
        assert_eq!(fixture.handle(Input::Displaced), Output::Close, "{text:?}");
        assert_eq!(fixture.stats.errors.displaced, displaced, "{text:?}");
    }
}

#[test]
fn connection_ends_after_the_response_to_a_long_body() {
    for lines in ["Content-Length: 65537", "Content-Length: 5\r\nExpect: 100-continue"] {
        let mut fixture = Fixture::new();
        let output = fixture.bytes(&format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n"));
        let (text, then) = fixture.text(output);
        assert!(text.contains("Connection: close\r\n"));
        assert_eq!(then, Then::Linger);
    }
}

#[test]
fn late_head_gets_408_and_a_silent_client_gets_nothing() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.handle(Input::Deadline), Output::Close);
    let mut fixture = Fixture::new();
    fixture.bytes("GET /");
    let output = fixture.handle(Input::Deadline);
    assert!(fixture.text(output).0.starts_with("HTTP/1.1 408 Request Timeout\r\n"));
    assert_eq!(fixture.stats.errors.request_timeouts, 1);
}

#[test]
fn response_while_draining_has_connection_close() {
    let mut fixture = Fixture::new();
    fixture.draining = true;
    let output = fixture.bytes(GET);
    let (text, then) = fixture.text(output);
    assert!(text.contains("Connection: close\r\n"));
    assert_eq!(then, Then::Linger);
}

#[test]
fn head_cut_within_its_date_goes_on_with_the_same_date() {
    let mut fixture = Fixture::new();
    fixture.site.tick(784_111_777, &mut fixture.fixed);
    let output = fixture.bytes(GET);
    let (text, _) = fixture.text(output);
    let cut = text.find("08:49:3").expect("the date") + 4;
    let mut sent = text[..cut].to_owned();
    let output = fixture.handle(Input::Taken(u32::try_from(cut).expect("small")));
    for seconds in 1..=3 {
        fixture.site.tick(784_111_777 + 86_400 * seconds, &mut fixture.fixed);
    }
    sent.push_str(&fixture.send_all(output).0);
    assert_eq!(sent, text);
}

#[test]
fn large_page_is_sent_in_parts() {
    let bytes = 3 << 20;
    let mut fixture = Fixture::with_page(bytes);
    let output = fixture.bytes(&GET.repeat(2));
    let (text, output) = fixture.send_all(output);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2);
    let bodies: usize = text.split("\r\n\r\n").map(|part| part.matches("pp").count()).sum();
    assert_eq!(bodies * 2, 2 * usize::try_from(bytes).expect("it is 3 MiB"));
    assert_eq!(output, Output::Receive(Timeout::Idle));
}

#[test]
fn range_request_gets_206_with_its_own_head() {
    let mut fixture = Fixture::new();
    let output = fixture.bytes("GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=10-19\r\n\r\n");
    let (text, _) = fixture.send_all(output);
    assert!(text.starts_with("HTTP/1.1 206 Partial Content\r\nDate: Thu, 01 Jan 1970"));
    assert!(text.contains("Content-Range: bytes 10-19/100\r\n"));
    assert!(text.ends_with("\r\n\r\npppppppppp"));
}

/// RFC 9112 9.6: the server reads until the client has closed, and only time bounds it.
#[test]
fn bytes_behind_the_last_response_are_discarded_until_the_stream_or_the_time_ends() {
    let junk = "x".repeat(64 * 1024);
    for request in [
        "BAD\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4194304\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n",
        "POST / HTTP/1.0\r\nContent-Length: 40000\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nx",
    ] {
        for end in [Input::EndOfStream, Input::Deadline, Input::Displaced] {
            let mut fixture = Fixture::new();
            let output = fixture.bytes(request);
            assert_eq!(fixture.send_all(output).1, Output::Linger, "{request:?}");
            for _ in 0..64 {
                assert_eq!(fixture.bytes(&junk), Output::Linger, "{request:?}");
            }
            assert_eq!(fixture.handle(end), Output::Close, "{request:?} {end:?}");
            assert_eq!(fixture.stats.errors.displaced, 0, "the response was sent");
        }
    }
}

#[test]
fn chunked_body_without_end_is_discarded_behind_the_last_response() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    let mut fixture = Fixture::new();
    let output = fixture.bytes(head);
    assert_eq!(fixture.send_all(output).1, Output::Receive(Timeout::Body));
    assert_eq!(fixture.bytes(&chunk), Output::Receive(Timeout::Body));
    assert_eq!(fixture.bytes(&chunk), Output::Receive(Timeout::Body), "64 KiB is the limit");
    for _ in 0..200 {
        assert_eq!(fixture.bytes(&chunk), Output::Linger);
    }
    assert_eq!(fixture.handle(Input::EndOfStream), Output::Close);
}

/// A client that has ended its stream can send nothing that a close would answer with a reset.
#[test]
fn end_of_stream_makes_lingering_needless() {
    let long = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4194304\r\n\r\n";
    let mut fixture = Fixture::new();
    let output = fixture.bytes(long);
    assert_eq!(transmission(output).then, Then::Linger);
    let output = fixture.handle(Input::EndOfStream);
    assert_eq!(transmission(output).then, Then::Close);
    assert_eq!(fixture.send_all(output).1, Output::Close);
    let mut fixture = Fixture::new();
    fixture.bytes("GET / HT");
    let output = fixture.handle(Input::EndOfStream);
    assert_eq!(transmission(output).then, Then::Close);
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
    fn properties_hold_for_random_pipelines(
        splits in any::<[u8; 4]>(),
        pieces in prop::collection::vec(piece(), 0..60),
    ) {
        let mut data = splits.to_vec();
        data.extend(pieces.concat());
        connection(&data);
    }
}
