//! The means of the rules: an engine with peers at the other end of its connections, and a tester
//! that pushes, waits and pops. Knows no particular engine and no HTTP.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use uringstatic::engine::{
    BufferId, Completion, Engine, Errno, Kind, Nanos, Op, Received, Slot, Token,
};
use uringstatic::peer_address::PeerAddress;

/// An engine and its peers.
pub(crate) trait Rig {
    type R: Engine;

    /// More bytes than a connection takes while its peer receives none.
    const LARGE: u32;

    fn engine(&mut self) -> &mut Self::R;
    /// Connects a new peer to a listener of the engine.
    fn connect(&mut self, listener: u32) -> Peer;
    /// The address of a peer that has connected.
    fn address(&mut self, peer: Peer) -> PeerAddress;
    /// Accepts the engine's connection at its target; `None` if the target is closed.
    fn answer(&mut self) -> Option<Peer>;
    /// Closes the target of the engine's connects.
    fn stop_answering(&mut self);
    /// Whether a listener of the engine refuses a connection.
    fn refuses(&mut self, listener: u32) -> bool;
    /// Sends a few bytes from a peer.
    fn write(&mut self, peer: Peer, bytes: &[u8]);
    /// Receives the bytes that have arrived at a peer, without waiting.
    fn read(&mut self, peer: Peer) -> Read;
    /// Shuts down the sending side of a peer.
    fn finish(&mut self, peer: Peer);
    /// Resets the connection of a peer, which must have unread bytes.
    fn reset(&mut self, peer: Peer);
}

/// A peer, by its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) usize);

/// The outcome of a receive at a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// Bytes.
    Bytes(Vec<u8>),
    /// No bytes have arrived.
    Nothing,
    /// End of stream.
    End,
    /// The connection is reset.
    Reset,
}

/// The memory that a rule needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    /// The number of receive buffers, a power of two.
    pub(crate) buffers: u16,
    /// The size of each, in bytes.
    pub(crate) buffer_bytes: u32,
    /// Whether the fixed buffer has [`Rig::LARGE`] bytes, which take a while to fill, and not
    /// [`SMALL`].
    pub(crate) sends_large: bool,
    /// Whether the engine takes note of the addresses of peers.
    pub(crate) wants_peers: bool,
}

/// The length of the fixed buffer for rules that send a few bytes.
pub(crate) const SMALL: u32 = 64 * 1024;

impl Needs {
    /// The needs of a rule that fills a socket's buffer.
    pub(crate) fn large() -> Self {
        Self { sends_large: true, ..Self::default() }
    }

    /// The needs of a rule about the addresses of peers.
    pub(crate) fn peers() -> Self {
        Self { wants_peers: true, ..Self::default() }
    }
}

impl Default for Needs {
    fn default() -> Self {
        Self { buffers: 16, buffer_bytes: 256, sends_large: false, wants_peers: false }
    }
}

/// The fixed buffer. Neighbouring bytes differ, so a lost or repeated byte is noticed.
pub(crate) fn fixed_bytes(len: u32) -> Vec<u8> {
    // The megabytes of the suite are the same for each of its hundreds of engines.
    static MADE: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let first = u32::try_from(made.len()).expect("no longer than an earlier length");
    let mixed = (first..len).map(|place| place.wrapping_mul(2_654_435_761) >> 24);
    made.extend(mixed.map(|top| u8::try_from(top).expect("8 bits are left")));
    made[..len as usize].to_vec()
}

/// Pushes entries, waits, and pops completions.
pub(crate) struct Tester<G: Rig> {
    pub(crate) rig: G,
    /// Completions that were popped while waiting for another one.
    kept: Vec<Completion>,
}

impl<G: Rig> Tester<G> {
    pub(crate) fn new(rig: G) -> Self {
        Self { rig, kept: Vec::new() }
    }

    /// Pushes an operation with the token of its kind and its slot or listener.
    pub(crate) fn push(&mut self, op: Op) -> Token {
        let token = token_of(op);
        self.rig.engine().push(token, op).expect("the queue has room");
        token
    }

    /// The next completion of this token.
    pub(crate) fn next(&mut self, token: Token) -> Completion {
        let end = self.rig.engine().now().plus(PATIENCE);
        loop {
            if let Some(place) = self.kept.iter().position(|c| c.token == token) {
                return self.kept.remove(place);
            }
            assert!(self.rig.engine().now() < end, "{token:?} does not complete; {:?}", self.kept);
            self.wait(Some(end));
        }
    }

    /// The only completion of an operation.
    pub(crate) fn result(&mut self, op: Op) -> Result<u32, Errno> {
        let token = self.push(op);
        self.last(token)
    }

    /// The last completion of this token, which has no buffer.
    pub(crate) fn last(&mut self, token: Token) -> Result<u32, Errno> {
        let completion = self.next(token);
        assert!(!completion.more, "{completion:?} should be the last");
        assert_eq!(completion.buffer, None, "{completion:?}");
        completion.result
    }

    /// Waits once and keeps the completions.
    pub(crate) fn wait(&mut self, deadline: Option<Nanos>) {
        self.rig.engine().submit_and_wait(deadline).expect("the engine is usable");
        while let Some(completion) = self.rig.engine().pop() {
            self.kept.push(completion);
        }
    }

    /// Lets [`MOMENT`] pass and checks that no operation completes.
    pub(crate) fn expect_no_completion(&mut self) {
        self.let_time_pass();
        assert_eq!(self.kept, [], "no operation should have completed");
    }

    /// Lets [`MOMENT`] pass.
    pub(crate) fn let_time_pass(&mut self) {
        let until = self.rig.engine().now().plus(MOMENT);
        while self.rig.engine().now() < until {
            self.wait(Some(until));
        }
    }

    /// Whether a completion of this token was popped and kept.
    pub(crate) fn has(&self, token: Token) -> bool {
        self.kept.iter().any(|completion| completion.token == token)
    }

    /// The bytes of a receive and its buffer, which is still lent.
    pub(crate) fn bytes(&mut self, completion: Completion) -> (Vec<u8>, BufferId) {
        let len = completion.result.expect("the receive succeeds");
        let buffer = completion.buffer.expect("received bytes lie in a buffer");
        let received = self.rig.engine().memory(Some(Received { buffer, len })).received;
        assert_eq!(received.len(), len as usize);
        (received.to_vec(), buffer)
    }

    /// The bytes of a receive; the buffer is given back.
    pub(crate) fn take(&mut self, completion: Completion) -> Vec<u8> {
        let (bytes, buffer) = self.bytes(completion);
        self.rig.engine().give_back(buffer);
        bytes
    }

    /// Accepts a connection into a slot; returns its peer.
    pub(crate) fn connected(&mut self, slot: Slot) -> Peer {
        let peer = self.rig.connect(0);
        self.result(Op::Accept { listener: 0, slot }).expect("a connection is in the accept queue");
        peer
    }

    /// Connects a slot to the target; returns the result, and the peer that the target accepted.
    pub(crate) fn connect(&mut self, slot: Slot) -> (Result<u32, Errno>, Option<Peer>) {
        let connect = self.push(Op::Connect { slot, source: 0 });
        self.let_time_pass();
        let peer = self.rig.answer();
        (self.last(connect), peer)
    }

    /// Receives at a peer up to `count` bytes, the end or a reset.
    pub(crate) fn read(&mut self, peer: Peer, count: usize) -> (Vec<u8>, Read) {
        let end = self.rig.engine().now().plus(PATIENCE);
        let mut all = Vec::new();
        loop {
            if all.len() >= count {
                return (all, Read::Nothing);
            }
            match self.rig.read(peer) {
                Read::Bytes(bytes) => all.extend(bytes),
                Read::Nothing => {
                    let now = self.rig.engine().now();
                    assert!(now < end, "{} of {count} bytes arrived", all.len());
                    self.wait(Some(now.plus(Duration::from_millis(1))));
                }
                last @ (Read::End | Read::Reset) => return (all, last),
            }
        }
    }

    /// Receives at a peer to the end of stream, which must follow exactly these bytes.
    pub(crate) fn expect_stream(&mut self, peer: Peer, bytes: &[u8]) {
        let (read, last) = self.read(peer, usize::MAX);
        assert_eq!(last, Read::End);
        assert!(read == bytes, "{} bytes arrived, not the {} sent", read.len(), bytes.len());
    }

    /// Accepts a connection into a slot and has its peer reset it.
    pub(crate) fn open_and_reset(&mut self, slot: Slot) {
        let peer = self.connected(slot);
        let span = uringstatic::bytes::Span { offset: 0, len: 10 };
        assert_eq!(
            self.result(Op::Send { slot, payload: span.into(), more: false, lazy: false }),
            Ok(10)
        );
        self.rig.reset(peer);
    }
}

/// The token of an operation in this suite.
fn token_of(op: Op) -> Token {
    let (kind, index) = match op {
        Op::Accept { slot, .. } => (Kind::Accept, slot.0),
        Op::Watch { listener } => (Kind::Watch, listener),
        Op::Connect { slot, .. } => (Kind::Connect, slot.0),
        Op::Recv { slot } | Op::RecvMany { slot } | Op::Discard { slot, .. } => {
            (Kind::Recv, slot.0)
        }
        Op::Send { slot, .. } | Op::SendClose { slot, .. } => (Kind::Send, slot.0),
        Op::Writable { slot } => (Kind::Writable, slot.0),
        Op::Shutdown { slot } => (Kind::Shutdown, slot.0),
        Op::Cancel { target } if matches!(target.kind(), Kind::Accept | Kind::Watch) => {
            (Kind::CancelAccept, target.index())
        }
        Op::Cancel { target } => (Kind::Cancel, target.index()),
        Op::Close { slot } => (Kind::Close, slot.0),
        Op::Signal => (Kind::Signal, 0),
    };
    Token::new(kind, 7, index)
}

/// The time limit of an event that must happen.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the suite waits for an event that must not happen.
const MOMENT: Duration = Duration::from_millis(20);
