//! The observer that records requests for the access log: the writer's side of a part.

use super::access_record::{
    copy_connection, write_client, write_connection, write_end, write_progress, write_request,
};
use super::record::{ListenerKind, Nanos, Observer, RequestHead, ResponsePlace, ResponseRecord};
use super::ring::{RingWriter, place_of};
use crate::http::forwarded::ForwardingOptions;
use crate::os::shared::CounterPart;
use crate::peer_address::PeerAddress;

/// Records the requests of one worker.
#[derive(Debug)]
pub struct AccessRecorder {
    part: CounterPart,
    writer: RingWriter,
    worker: u32,
    /// The engine's time 0 on the monotonic clock.
    base_ns: u64,
    /// Where proxies name the client of each request, if any proxy is trusted.
    forwarding: Option<Forwarding>,
}

/// The proxies that are trusted, and the peer of each slot.
#[derive(Debug)]
struct Forwarding {
    options: ForwardingOptions,
    peers: Box<[PeerAddress]>,
}

impl AccessRecorder {
    /// A recorder in its part of the log's memory, for the worker of this number, whose engine's
    /// time 0 is `base_ns` on the monotonic clock.
    #[must_use]
    pub fn new(part: CounterPart, worker: u32, base_ns: u64) -> Self {
        let writer = RingWriter::new(part.counters());
        Self { part, writer, worker, base_ns, forwarding: None }
    }

    /// Records the client that trusted proxies name, for connections in so many slots.
    #[must_use]
    pub fn with_forwarding(mut self, options: ForwardingOptions, slots: u32) -> Self {
        let peers = vec![PeerAddress::Unknown; slots as usize].into_boxed_slice();
        self.forwarding = options.trusts_any().then_some(Forwarding { options, peers });
        self
    }

    fn note_peer(&mut self, slot: u32, peer: PeerAddress) {
        if let Some(forwarding) = &mut self.forwarding {
            forwarding.peers[slot as usize] = peer;
        }
    }
}

impl Observer for AccessRecorder {
    fn describes_requests(&self) -> bool {
        true
    }

    fn accepted(&mut self, slot: u32, peer: PeerAddress, listener: ListenerKind) {
        let place = place_of(self.part.counters(), slot, ResponsePlace::Slot);
        write_connection(place, peer, listener, self.worker);
        self.note_peer(slot, peer);
    }

    fn named(&mut self, slot: u32, client: PeerAddress) {
        let place = place_of(self.part.counters(), slot, ResponsePlace::Slot);
        write_client(place, client);
        self.note_peer(slot, client);
    }

    fn began(
        &mut self,
        slot: u32,
        place: ResponsePlace,
        record: &ResponseRecord,
        head: RequestHead<'_, '_>,
    ) {
        let part = self.part.counters();
        let words = place_of(part, slot, place);
        if let ResponsePlace::Run(_) = place {
            copy_connection(words, place_of(part, slot, ResponsePlace::Slot));
        }
        if let Some(Forwarding { options, peers }) = &self.forwarding {
            write_client(words, options.client(peers[slot as usize], head.fields));
        }
        write_request(words, record, head, self.base_ns);
        self.writer.begin(part, slot, place);
    }

    fn progressed(&mut self, slot: u32, place: ResponsePlace, record: &ResponseRecord) {
        write_progress(place_of(self.part.counters(), slot, place), record, self.base_ns);
    }

    fn ended(&mut self, slot: u32, place: ResponsePlace, record: &ResponseRecord) {
        let part = self.part.counters();
        let len = write_end(place_of(part, slot, place), record, self.base_ns);
        self.writer.end(part, slot, place, len);
    }

    fn turned(&mut self, _woken: Nanos, _waits: Nanos) {}
}
