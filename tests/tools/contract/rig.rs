//! What the rules are checked with: a ring with peers at the other end of its connections, and a
//! tester that pushes, waits and pops. Knows neither ring and no HTTP.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use uringstatic::engine::{
    BufferId, Completion, Engine, Errno, Kind, Nanos, Op, Received, Slot, Token,
};

/// A ring and its peers.
pub(crate) trait Rig {
    /// The ring.
    type R: Engine;

    /// More bytes than a connection takes while its peer reads none.
    const LARGE: u32;

    /// The ring.
    fn ring(&mut self) -> &mut Self::R;
    /// A new peer that connects to a listener.
    fn connect(&mut self, listener: u32) -> Peer;
    /// Who listens at the ring's target accepts the connection that was begun there; or refuses it,
    /// if nobody listens any more.
    fn answer(&mut self) -> Option<Peer>;
    /// Nobody listens at the ring's target any more.
    fn stop_answering(&mut self);
    /// Whether a listener refuses who connects.
    fn refuses(&mut self, listener: u32) -> bool;
    /// A peer sends a few bytes.
    fn write(&mut self, peer: Peer, bytes: &[u8]);
    /// A peer reads what has come, if anything has.
    fn read(&mut self, peer: Peer) -> Read;
    /// A peer sends no more.
    fn finish(&mut self, peer: Peer);
    /// A peer breaks its connection. It must have been sent something that it has not read.
    fn reset(&mut self, peer: Peer);
}

/// A peer, by its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) usize);

/// What a peer reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// Bytes.
    Bytes(Vec<u8>),
    /// Nothing has come.
    Nothing,
    /// The server sends no more.
    End,
    /// The connection is broken.
    Reset,
}

/// What a rule needs of a ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    /// How many receive buffers: a power of two.
    pub(crate) buffers: u16,
    /// The size of one, in bytes.
    pub(crate) buffer_bytes: u32,
}

impl Default for Needs {
    fn default() -> Self {
        Self { buffers: 16, buffer_bytes: 256 }
    }
}

/// The fixed buffer: no two bytes near each other are alike, so what is lost or doubled is seen.
pub(crate) fn fixed_bytes(len: u32) -> Vec<u8> {
    // The megabytes of the suite are the same for each of its hundreds of engines.
    static MADE: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let first = u32::try_from(made.len()).expect("no longer than an earlier length");
    let mixed = (first..len).map(|place| place.wrapping_mul(2_654_435_761) >> 24);
    made.extend(mixed.map(|top| u8::try_from(top).expect("8 bits are left")));
    made[..len as usize].to_vec()
}

/// Pushes, waits and pops.
pub(crate) struct Tester<G: Rig> {
    pub(crate) rig: G,
    /// Completions that were popped while another was waited for.
    kept: Vec<Completion>,
}

impl<G: Rig> Tester<G> {
    pub(crate) fn new(rig: G) -> Self {
        Self { rig, kept: Vec::new() }
    }

    /// Queues an operation under the token that names its kind, and its slot or listener.
    pub(crate) fn push(&mut self, op: Op) -> Token {
        let token = token_of(op);
        self.rig.ring().push(token, op).expect("the queue has room");
        token
    }

    /// The next completion of this token.
    pub(crate) fn next(&mut self, token: Token) -> Completion {
        let end = self.rig.ring().now().plus(PATIENCE);
        loop {
            if let Some(place) = self.kept.iter().position(|c| c.token == token) {
                return self.kept.remove(place);
            }
            assert!(self.rig.ring().now() < end, "{token:?} does not complete; {:?}", self.kept);
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

    /// Waits once and keeps what came.
    pub(crate) fn wait(&mut self, deadline: Option<Nanos>) {
        self.rig.ring().submit_and_wait(deadline).expect("the ring is usable");
        while let Some(completion) = self.rig.ring().pop() {
            self.kept.push(completion);
        }
    }

    /// Lets a moment pass, in which nothing may complete.
    pub(crate) fn nothing_completes(&mut self) {
        self.pass();
        assert_eq!(self.kept, [], "nothing more should have completed");
    }

    /// Lets a moment pass.
    pub(crate) fn pass(&mut self) {
        let until = self.rig.ring().now().plus(MOMENT);
        while self.rig.ring().now() < until {
            self.wait(Some(until));
        }
    }

    /// Whether a completion of this token has come.
    pub(crate) fn has(&self, token: Token) -> bool {
        self.kept.iter().any(|completion| completion.token == token)
    }

    /// The bytes of a receive; the buffer is still ours.
    pub(crate) fn bytes(&mut self, completion: Completion) -> (Vec<u8>, BufferId) {
        let len = completion.result.expect("bytes were received");
        let buffer = completion.buffer.expect("received bytes lie in a buffer");
        let received = self.rig.ring().memory(Some(Received { buffer, len })).received;
        assert_eq!(received.len(), len as usize);
        (received.to_vec(), buffer)
    }

    /// The bytes of a receive, whose buffer goes back.
    pub(crate) fn take(&mut self, completion: Completion) -> Vec<u8> {
        let (bytes, buffer) = self.bytes(completion);
        self.rig.ring().give_back(buffer);
        bytes
    }

    /// A connection in a slot, and its peer.
    pub(crate) fn connected(&mut self, slot: Slot) -> Peer {
        let peer = self.rig.connect(0);
        self.result(Op::Accept { listener: 0, slot }).expect("somebody waits");
        peer
    }

    /// Connects a slot to the ring's target; this is who accepted it, if anybody did.
    pub(crate) fn connect(&mut self, slot: Slot) -> (Result<u32, Errno>, Option<Peer>) {
        let connect = self.push(Op::Connect { slot, source: 0 });
        self.pass();
        let peer = self.rig.answer();
        (self.last(connect), peer)
    }

    /// Reads at a peer until so many bytes, the end or a reset have come.
    pub(crate) fn read(&mut self, peer: Peer, count: usize) -> (Vec<u8>, Read) {
        let end = self.rig.ring().now().plus(PATIENCE);
        let mut all = Vec::new();
        loop {
            if all.len() >= count {
                return (all, Read::Nothing);
            }
            match self.rig.read(peer) {
                Read::Bytes(bytes) => all.extend(bytes),
                Read::Nothing => {
                    let now = self.rig.ring().now();
                    assert!(now < end, "{} of {count} bytes came", all.len());
                    self.wait(Some(now.plus(Duration::from_millis(1))));
                }
                last @ (Read::End | Read::Reset) => return (all, last),
            }
        }
    }

    /// Reads at a peer up to the end, which comes after exactly these bytes.
    pub(crate) fn reads_to_the_end(&mut self, peer: Peer, bytes: &[u8]) {
        let (read, last) = self.read(peer, usize::MAX);
        assert_eq!(last, Read::End);
        assert!(read == bytes, "{} bytes came, not the {} sent", read.len(), bytes.len());
    }

    /// A connection in a slot whose peer has broken it.
    pub(crate) fn broken(&mut self, slot: Slot) {
        let peer = self.connected(slot);
        let span = uringstatic::bytes::Span { offset: 0, len: 10 };
        assert_eq!(
            self.result(Op::Send { slot, spans: span.into(), more: false, lazy: false }),
            Ok(10)
        );
        self.rig.reset(peer);
    }
}

/// The token an operation is pushed with here.
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

/// How long something that must come may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long is waited for something that must not come.
const MOMENT: Duration = Duration::from_millis(20);
