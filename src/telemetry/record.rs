//! The record of a response, and the trait of its receivers.
//!
//! # When a request counts
//!
//! A request counts once: when its response has ended. A response ends when the socket has taken
//! its last byte, or when the connection has ended before that. Refused requests count, and so do
//! heads that are late (408), as each has a response. A connection that ends without a response has
//! no record. [`Stats::requests`](crate::stats::Stats::requests) counts at the beginning of a
//! response, so that both agree whenever no response is under way.
//!
//! # When a record is complete
//!
//! The completion of a send that causes no wake-up is popped with the next one
//! ([`Op::Send`](crate::engine::Op::Send), `lazy`). A server with an observer therefore waits no
//! longer than 100 ms behind such a send, and the time of its last byte is that of the submission:
//! a send never waits, so that the socket has taken its bytes when the submission returns.

pub use crate::engine::Nanos;
use crate::http::request::Method;
use crate::peer_address::PeerAddress;
use crate::site::layout::{RUN_RESPONSES_MAX, RUNS_MAX};
use httparse::Header;

/// A response that has ended, or several equal ones that were sent as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseRecord {
    /// The method; [`Method::Unknown`] if the head was invalid or incomplete.
    pub method: Method,
    /// The status code of the response.
    pub status: u16,
    /// How many requests have this response: over 1 for pipelined requests whose responses are
    /// equal and were sent together.
    pub count: u32,
    /// Bytes that the socket took of all of them, heads included.
    pub bytes: u64,
    /// The length of the head of one response.
    pub head_bytes: u32,
    /// The wake-up that received the first byte of the request. The head of a pipelined request
    /// begins, at the earliest, when the socket has taken the response before it, unless both are
    /// responses of one run, which have one beginning.
    pub first_byte: Nanos,
    /// The submission with which the socket took the last byte so far; equal to `first_byte` while
    /// it has taken none.
    pub last_byte: Nanos,
    /// Whether the socket took every byte. Otherwise the connection ended before.
    pub is_whole: bool,
}

impl ResponseRecord {
    /// Adds bytes that the socket took.
    pub fn took(&mut self, bytes: u64, at: Nanos) {
        self.bytes += bytes;
        self.last_byte = at;
    }

    /// Bytes of the content that the socket took, without heads: of a single response what follows
    /// its head, of several as many contents as heads.
    #[must_use]
    pub fn content_bytes(&self) -> u64 {
        self.bytes.saturating_sub(u64::from(self.head_bytes) * u64::from(self.count))
    }

    /// The time from the first byte of the request to the last byte of the response, in
    /// nanoseconds.
    #[must_use]
    pub fn duration_ns(&self) -> u64 {
        self.last_byte.0.saturating_sub(self.first_byte.0)
    }
}

/// The head of a request, as far as it has arrived.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'f, 'b> {
    /// Its bytes; more may follow behind the end of the head. Empty lines may precede it (RFC 9112
    /// 2.2).
    pub bytes: &'b [u8],
    /// Its field lines; none of a head that is invalid or incomplete, and perhaps none for an
    /// observer that doesn't describe requests.
    pub fields: &'f [Header<'b>],
}

impl<'b> RequestHead<'_, 'b> {
    /// A head without valid field lines.
    #[must_use]
    pub fn invalid(bytes: &'b [u8]) -> Self {
        Self { bytes, fields: &[] }
    }
}

/// The place of a response among those under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ResponsePlace {
    /// The only response under way on its slot, or the first of a run.
    #[default]
    Slot,
    /// One of the others of a run ([`RunLayout`](crate::site::layout::RunLayout)), by its number
    /// among those of all runs.
    Run(u32),
}

impl ResponsePlace {
    /// The number of places in runs.
    pub const RUN_PLACES: u32 = RUNS_MAX * (RUN_RESPONSES_MAX - 1);

    /// The place of a response in a run, where `following` are those before it but the first.
    ///
    /// # Panics
    /// If there is no such run or place.
    #[must_use]
    pub fn in_run(run: u32, following: u32) -> Self {
        assert!(run < RUNS_MAX && following < RUN_RESPONSES_MAX - 1, "{following} of run {run}");
        Self::Run(run * (RUN_RESPONSES_MAX - 1) + following)
    }
}

/// A receiver of records. It is called in the loop of a server: an implementation makes no system
/// call, allocates nothing and never waits.
pub trait Observer {
    /// Whether each request needs a description of its own: then only requests whose heads are
    /// equal byte by byte share a record.
    fn describes_requests(&self) -> bool;

    /// A connection was accepted into a slot.
    fn accepted(&mut self, slot: u32, peer: PeerAddress, listener: ListenerKind);

    /// A PROXY header names the client of the connection, which replaces the address of its peer.
    fn named(&mut self, slot: u32, client: PeerAddress);

    /// A response begins. `record` has no bytes yet. Before the next one on the same slot and
    /// place, [`Observer::ended`] follows. All responses of a run begin together.
    fn began(
        &mut self,
        slot: u32,
        place: ResponsePlace,
        record: &ResponseRecord,
        head: RequestHead<'_, '_>,
    );

    /// The socket took a part of the response. Of the responses of a slot, only the one that began
    /// first takes part in this.
    fn progressed(&mut self, slot: u32, place: ResponsePlace, record: &ResponseRecord);

    /// The response has ended. The responses of a slot end in the order in which they began.
    fn ended(&mut self, slot: u32, place: ResponsePlace, record: &ResponseRecord);

    /// A turn of the loop ended: it woke up at `woken` and is about to wait at `waits`, when
    /// everything that it pushed is submitted.
    fn turned(&mut self, woken: Nanos, waits: Nanos);
}

/// Two observers of the same responses.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn describes_requests(&self) -> bool {
        self.0.describes_requests() || self.1.describes_requests()
    }

    fn accepted(&mut self, slot: u32, peer: PeerAddress, listener: ListenerKind) {
        self.0.accepted(slot, peer, listener);
        self.1.accepted(slot, peer, listener);
    }

    fn named(&mut self, slot: u32, client: PeerAddress) {
        self.0.named(slot, client);
        self.1.named(slot, client);
    }

    fn began(
        &mut self,
        slot: u32,
        place: ResponsePlace,
        record: &ResponseRecord,
        head: RequestHead<'_, '_>,
    ) {
        self.0.began(slot, place, record, head);
        self.1.began(slot, place, record, head);
    }

    fn progressed(&mut self, slot: u32, place: ResponsePlace, record: &ResponseRecord) {
        self.0.progressed(slot, place, record);
        self.1.progressed(slot, place, record);
    }

    fn ended(&mut self, slot: u32, place: ResponsePlace, record: &ResponseRecord) {
        self.0.ended(slot, place, record);
        self.1.ended(slot, place, record);
    }

    fn turned(&mut self, woken: Nanos, waits: Nanos) {
        self.0.turned(woken, waits);
        self.1.turned(woken, waits);
    }
}

/// The purpose of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// It serves the site.
    Public,
    /// It serves health checks only.
    Health,
}

/// The part of an observer that one connection sees, and the times of one input.
pub struct Observation<'a> {
    /// Unset if nothing is observed.
    pub observer: Option<&'a mut (dyn Observer + 'static)>,
    /// The slot of the connection.
    pub slot: u32,
    /// The latest wake-up.
    pub woken: Nanos,
    /// The submission before it, of all sends whose completions are popped now.
    pub submitted: Nanos,
}

impl Observation<'_> {
    /// Without an observer.
    #[must_use]
    pub fn none() -> Self {
        Self { observer: None, slot: 0, woken: Nanos(0), submitted: Nanos(0) }
    }

    /// As [`Observer::named`].
    pub fn named(&mut self, client: PeerAddress) {
        if let Some(observer) = &mut self.observer {
            observer.named(self.slot, client);
        }
    }

    /// As [`Observer::describes_requests`].
    #[must_use]
    pub fn describes_requests(&self) -> bool {
        self.observer.as_ref().is_some_and(|observer| observer.describes_requests())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> ResponseRecord {
        ResponseRecord {
            method: Method::Get,
            status: 200,
            count: 2,
            bytes: 0,
            head_bytes: 100,
            first_byte: Nanos(5),
            last_byte: Nanos(5),
            is_whole: false,
        }
    }

    #[test]
    fn content_begins_behind_the_heads() {
        let mut record = record();
        record.took(150, Nanos(7));
        assert_eq!(record.content_bytes(), 0, "less than both heads");
        record.took(100, Nanos(9));
        assert_eq!((record.bytes, record.content_bytes()), (250, 50));
    }

    #[test]
    fn duration_ends_with_the_latest_bytes() {
        let mut record = record();
        assert_eq!(record.duration_ns(), 0, "no byte was taken");
        record.took(1, Nanos(7));
        record.took(1, Nanos(11));
        assert_eq!(record.duration_ns(), 6);
        record.last_byte = Nanos(4);
        assert_eq!(record.duration_ns(), 0, "the clocks of a hostile worker");
    }
}
