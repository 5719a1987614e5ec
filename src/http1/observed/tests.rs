//! The records of single connections.

use super::super::tests::Fixture;
use super::super::{Input, Output, Transmission};
use crate::http::request::Method;
use crate::peer_address::PeerAddress;
use crate::telemetry::record::{
    ListenerKind, Nanos, Observation, Observer, RequestHead, ResponsePlace, ResponseRecord,
};
use std::cell::RefCell;
use std::rc::Rc;

/// The heads of responses that began, and the records of those that ended.
#[derive(Clone, Default)]
struct Notes {
    describes: bool,
    heads: Rc<RefCell<Vec<String>>>,
    field_counts: Rc<RefCell<Vec<usize>>>,
    ended: Rc<RefCell<Vec<ResponseRecord>>>,
}

impl Observer for Notes {
    fn describes_requests(&self) -> bool {
        self.describes
    }

    fn accepted(&mut self, _slot: u32, _peer: PeerAddress, _listener: ListenerKind) {}

    fn named(&mut self, _slot: u32, _client: PeerAddress) {}

    fn began(
        &mut self,
        slot: u32,
        _place: ResponsePlace,
        record: &ResponseRecord,
        head: RequestHead<'_, '_>,
    ) {
        assert_eq!((slot, record.bytes, record.is_whole), (0, 0, false));
        let text = String::from_utf8_lossy(head.bytes);
        self.heads.borrow_mut().push(text.lines().next().unwrap_or_default().to_owned());
        self.field_counts.borrow_mut().push(head.fields.len());
    }

    fn progressed(&mut self, _slot: u32, _place: ResponsePlace, record: &ResponseRecord) {
        assert!(!record.is_whole);
    }

    fn ended(&mut self, _slot: u32, _place: ResponsePlace, record: &ResponseRecord) {
        self.ended.borrow_mut().push(*record);
    }

    fn turned(&mut self, _woken: Nanos, _waits: Nanos) {}
}

/// A connection whose inputs are each 10 ns after the one before.
pub(in crate::http1) struct Observed {
    fixture: Fixture,
    notes: Notes,
    observer: Box<dyn Observer>,
    now: u64,
}

impl Observed {
    fn new(describes: bool) -> Self {
        Self::with(Fixture::new(), describes)
    }

    pub(in crate::http1) fn with(fixture: Fixture, describes: bool) -> Self {
        let notes = Notes { describes, ..Notes::default() };
        let observer = Box::new(notes.clone());
        Self { fixture, notes, observer, now: 0 }
    }

    pub(in crate::http1) fn observation(&mut self) -> (&mut Fixture, Observation<'_>) {
        self.now += 10;
        let (woken, submitted) = (Nanos(self.now), Nanos(self.now - 5));
        let observer = Some(&mut *self.observer);
        (&mut self.fixture, Observation { observer, slot: 0, woken, submitted })
    }

    pub(in crate::http1) fn handle(&mut self, input: Input<'_>) -> Output {
        let (fixture, observation) = self.observation();
        fixture.handle_observed(input, observation)
    }

    pub(in crate::http1) fn send_all(&mut self, mut output: Output) -> Output {
        while let Output::Send(Transmission { payload, .. }) = output {
            output = self.handle(Input::Taken(u32::try_from(payload.len()).expect("small")));
        }
        output
    }

    pub(in crate::http1) fn end(&mut self) {
        let (fixture, mut observation) = self.observation();
        fixture.conn.end(&mut fixture.runs, &mut observation);
    }

    pub(in crate::http1) fn records(&self) -> Vec<ResponseRecord> {
        self.notes.ended.borrow().clone()
    }
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn record_has_the_times_of_the_first_and_the_last_byte() {
    let mut observed = Observed::new(true);
    observed.handle(Input::Bytes(&GET.as_bytes()[..9]));
    let output = observed.handle(Input::Bytes(&GET.as_bytes()[9..]));
    assert_eq!(observed.records().len(), 0, "the socket has taken nothing yet");
    let Output::Send(Transmission { payload, .. }) = output else { panic!("{output:?}") };
    let rest = observed.handle(Input::Taken(7));
    observed.send_all(rest);
    let [record] = observed.records()[..] else { panic!("one response") };
    assert_eq!((record.first_byte, record.last_byte), (Nanos(10), Nanos(35)));
    assert_eq!((record.method, record.status, record.count), (Method::Get, 200, 1));
    assert_eq!((record.bytes, record.content_bytes()), (payload.len(), 100));
    assert!(record.is_whole);
    assert_eq!(*observed.notes.heads.borrow(), ["GET /a HTTP/1.1"]);
}

#[test]
fn request_behind_another_begins_when_the_response_before_it_was_taken() {
    let mut observed = Observed::new(false);
    let output = observed.handle(Input::Bytes(GET.as_bytes()));
    observed.handle(Input::Bytes(GET.replace("GET", "HEAD").as_bytes()));
    observed.send_all(output);
    let [get, head] = observed.records()[..] else { panic!("two responses") };
    assert_eq!((get.method, get.first_byte, get.last_byte), (Method::Get, Nanos(10), Nanos(25)));
    let times = (Nanos(30), Nanos(35));
    assert_eq!((head.method, head.first_byte, head.last_byte), (Method::Head, times.0, times.1));
    assert_eq!((head.bytes > 0, head.content_bytes()), (true, 0));
}

#[test]
fn described_requests_share_a_record_only_if_their_heads_are_equal() {
    let other = GET.replace("/a", "/b");
    for (describes, counts) in [(false, &[4][..]), (true, &[2, 1, 1])] {
        let mut observed = Observed::new(describes);
        let output = observed.handle(Input::Bytes(format!("{GET}{GET}{other}{GET}").as_bytes()));
        observed.send_all(output);
        let records = observed.records();
        let found: Vec<u32> = records.iter().map(|record| record.count).collect();
        assert_eq!(found, counts);
        let bytes: Vec<u64> = records.iter().map(ResponseRecord::content_bytes).collect();
        let expected: Vec<u64> = counts.iter().map(|&count| u64::from(count) * 100).collect();
        assert_eq!(bytes, expected);
    }
}

#[test]
fn response_that_the_connection_does_not_survive_has_a_record_of_the_bytes_taken() {
    let mut observed = Observed::new(true);
    observed.handle(Input::Bytes(GET.as_bytes()));
    observed.handle(Input::Taken(20));
    observed.handle(Input::Displaced);
    assert_eq!(observed.records().len(), 0, "a send may still be in flight");
    let (fixture, mut observation) = observed.observation();
    fixture.conn.took_late(3, &mut fixture.runs, &mut observation);
    observed.end();
    observed.end();
    let [record] = observed.records()[..] else { panic!("one response, ended once") };
    assert_eq!((record.bytes, record.is_whole, record.last_byte), (23, false, Nanos(35)));
}

#[test]
fn refused_and_late_heads_have_records_too() {
    for (bytes, next, status) in [
        ("GET / HTTP/1.1\r\n\r\n", None, 400),
        ("GET / HTTP/3.0\r\n\r\n", None, 505),
        ("GET /late", Some(Input::Deadline), 408),
        ("GET /cut", Some(Input::EndOfStream), 400),
    ] {
        let mut observed = Observed::new(true);
        let mut output = observed.handle(Input::Bytes(bytes.as_bytes()));
        if let Some(input) = next {
            output = observed.handle(input);
        }
        observed.send_all(output);
        let [record] = observed.records()[..] else { panic!("{bytes}: one response") };
        assert_eq!((record.method, record.status), (Method::Unknown, status), "{bytes}");
        assert_eq!(record.first_byte, Nanos(10), "{bytes}");
        assert_eq!(*observed.notes.heads.borrow(), [bytes.lines().next().unwrap()]);
    }
}

#[test]
fn observer_that_describes_requests_gets_the_fields_of_a_repeated_head() {
    let mut observed = Observed::new(true);
    // Stored, because nothing observes it.
    let output = observed.fixture.bytes(GET);
    observed.fixture.send_all(output);
    for _ in 0..2 {
        let output = observed.handle(Input::Bytes(GET.as_bytes()));
        observed.send_all(output);
    }
    assert_eq!(*observed.notes.field_counts.borrow(), [1, 1]);
    assert_eq!(*observed.notes.heads.borrow(), ["GET /a HTTP/1.1"; 2]);
}

#[test]
fn repeated_heads_have_records_of_their_own() {
    let mut observed = Observed::new(false);
    for _ in 0..3 {
        let output = observed.handle(Input::Bytes(GET.repeat(2).as_bytes()));
        observed.send_all(output);
    }
    let records = observed.records();
    let counts: Vec<_> = records.iter().map(|it| (it.method, it.status, it.count)).collect();
    assert_eq!(counts, [(Method::Get, 200, 2); 3]);
}
