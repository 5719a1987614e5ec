//! One suite for both rings: what `ring::Ring` promises, kept by the kernel's ring (with each set
//! of features) and by the simulated one.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;
use uringstatic::ring::{Completion, Errno, Kind, Nanos, Op, Received, Ring, Slot, Span, Token};
use uringstatic::sim::{self, LinkId, Random, SimRing};
use uringstatic::sys::net::{Endpoint, listen};
use uringstatic::sys::probe::{Features, TaskRun};
use uringstatic::sys::uring::{Setup, Uring};

/// A ring and peers to play with.
trait Rig {
    type R: Ring;
    type Peer;
    fn ring(&mut self) -> &mut Self::R;
    fn connect(&mut self) -> Self::Peer;
    fn write(&mut self, peer: &mut Self::Peer, bytes: &[u8]);
    /// Reads exactly so many bytes.
    fn read(&mut self, peer: &mut Self::Peer, count: usize) -> Vec<u8>;
    fn reads_end(&mut self, peer: &mut Self::Peer) -> bool;
    fn finish(&mut self, peer: &mut Self::Peer);
}

const FIXED_BYTES: usize = 32 << 20;
const SLOT: Slot = Slot(1);

fn fixed() -> Vec<u8> {
    (0..FIXED_BYTES).map(|at| u8::try_from(at % 251).expect("below 251")).collect()
}

struct Kernel {
    ring: Uring,
    address: SocketAddr,
}

impl Kernel {
    fn new(features: Features) -> Self {
        let endpoint = Endpoint::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let listener = listen(&endpoint, 16, false).expect("port 0 is free");
        let Endpoint::Tcp(address) = listener.endpoint else { unreachable!("it is TCP") };
        let ring = Uring::new(Setup {
            spawn: 4,
            listeners: vec![listener],
            signals: None,
            fixed: fixed(),
            features,
            buffers: 2,
            buffer_bytes: 64,
        });
        Self { ring: ring.expect("a ring can be made"), address }
    }
}

impl Rig for Kernel {
    type R = Uring;
    type Peer = TcpStream;
    fn ring(&mut self) -> &mut Uring {
        &mut self.ring
    }
    fn connect(&mut self) -> TcpStream {
        let peer = TcpStream::connect(self.address).expect("it listens");
        peer.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
        peer
    }
    fn write(&mut self, peer: &mut TcpStream, bytes: &[u8]) {
        peer.write_all(bytes).expect("the other side is open");
    }
    fn read(&mut self, peer: &mut TcpStream, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        peer.read_exact(&mut bytes).expect("so much was sent");
        bytes
    }
    fn reads_end(&mut self, peer: &mut TcpStream) -> bool {
        matches!(peer.read(&mut [0]), Ok(0))
    }
    fn finish(&mut self, peer: &mut TcpStream) {
        peer.shutdown(Shutdown::Write).expect("it is open");
    }
}

struct Simulated {
    ring: SimRing,
}

impl Simulated {
    fn new(seed: u64) -> Self {
        let setup = sim::Setup {
            spawn: 4,
            listeners: 1,
            fixed: fixed(),
            buffers: 8,
            buffer_bytes: 64,
            entries: 64,
            unix_seconds: 0,
            faults: false,
            trace: false,
        };
        Self { ring: SimRing::new(setup, Random::from_seed(seed)) }
    }
}

impl Rig for Simulated {
    type R = SimRing;
    type Peer = LinkId;
    fn ring(&mut self) -> &mut SimRing {
        &mut self.ring
    }
    fn connect(&mut self) -> LinkId {
        self.ring.network_mut().connect(0, 1 << 20)
    }
    fn write(&mut self, peer: &mut LinkId, bytes: &[u8]) {
        assert_eq!(self.ring.network_mut().peer_sends(*peer, bytes), bytes.len());
    }
    fn read(&mut self, peer: &mut LinkId, count: usize) -> Vec<u8> {
        match self.ring.network_mut().peer_reads(*peer, count) {
            sim::Read::Bytes(bytes) if bytes.len() == count => bytes,
            other => panic!("{count} bytes were sent, not {other:?}"),
        }
    }
    fn reads_end(&mut self, peer: &mut LinkId) -> bool {
        matches!(self.ring.network_mut().peer_reads(*peer, 1), sim::Read::End)
    }
    fn finish(&mut self, peer: &mut LinkId) {
        self.ring.network_mut().peer_finishes(*peer);
    }
}

fn token(kind: Kind) -> Token {
    Token::new(kind, 7, SLOT.0)
}

/// Waits until a completion comes.
fn next<R: Ring>(ring: &mut R) -> Completion {
    for _ in 0..1000 {
        if let Some(completion) = ring.pop() {
            return completion;
        }
        let deadline = ring.now().plus(Duration::from_secs(10));
        ring.submit_and_wait(Some(deadline)).expect("the ring is usable");
    }
    panic!("nothing completed")
}

fn push<R: Ring>(ring: &mut R, kind: Kind, op: Op) {
    ring.push(token(kind), op).expect("there is room");
}

/// Waits for a completion of this kind, and its result.
fn result<R: Ring>(ring: &mut R, kind: Kind) -> Result<u32, Errno> {
    let completion = next(ring);
    assert_eq!((completion.token, completion.more), (token(kind), false), "{completion:?}");
    completion.result
}

fn accepted<G: Rig>(rig: &mut G) -> G::Peer {
    let accept = Token::new(Kind::Accept, 0, 0);
    rig.ring().push(accept, Op::Accept { listener: 0, slot: SLOT }).expect("there is room");
    let peer = rig.connect();
    let completion = next(rig.ring());
    assert!(completion.token == accept && completion.result.is_ok(), "{completion:?}");
    peer
}

fn received<R: Ring>(ring: &mut R, completion: Completion) -> Vec<u8> {
    let len = completion.result.expect("bytes came");
    let buffer = completion.buffer.expect("they lie in a buffer");
    let bytes = ring.memory(Some(Received { buffer, len })).received.to_vec();
    ring.give_back(buffer);
    bytes
}

fn receives_once_and_many<G: Rig>(rig: &mut G) {
    let mut peer = accepted(rig);
    push(rig.ring(), Kind::Recv, Op::Recv { slot: SLOT });
    rig.write(&mut peer, b"1");
    let completion = next(rig.ring());
    assert!(!completion.more);
    assert_eq!(received(rig.ring(), completion), b"1");
    push(rig.ring(), Kind::Recv, Op::RecvMany { slot: SLOT });
    for text in [&b"one"[..], b"two", b"three"] {
        rig.write(&mut peer, text);
        let mut got = Vec::new();
        while got.len() < text.len() {
            let completion = next(rig.ring());
            assert!(completion.more);
            got.extend(received(rig.ring(), completion));
        }
        assert_eq!(got, text);
    }
    rig.finish(&mut peer);
    assert_eq!(result(rig.ring(), Kind::Recv), Ok(0), "the end of the stream ends it");
    push(rig.ring(), Kind::Close, Op::Close { slot: SLOT });
    assert!(result(rig.ring(), Kind::Close).is_ok());
    assert!(rig.reads_end(&mut peer));
}

fn wants_of_buffers_end_a_receive<G: Rig>(rig: &mut G) {
    let mut peer = accepted(rig);
    let total = 64 * 20;
    rig.write(&mut peer, &vec![b'x'; total]);
    let mut got = 0;
    while got < total {
        push(rig.ring(), Kind::Recv, Op::RecvMany { slot: SLOT });
        let mut held = Vec::new();
        // Nothing is given back until there is no buffer left, or nothing left to receive.
        while got < total {
            let completion = next(rig.ring());
            if completion.buffer.is_none() {
                assert_eq!(completion.result, Err(Errno(libc::ENOBUFS)));
                assert!(!completion.more && !held.is_empty());
                break;
            }
            got += completion.result.expect("bytes lie in the buffer") as usize;
            held.push(completion);
        }
        assert!(held.len() <= 8, "there are no more buffers");
        for completion in held {
            received(rig.ring(), completion);
        }
    }
}

fn sends_whole_short_and_not_at_all<G: Rig>(rig: &mut G) {
    let mut peer = accepted(rig);
    let span = Span { offset: 5, len: 100 };
    for lazy in [false, true] {
        push(rig.ring(), Kind::Send, Op::Send { slot: SLOT, span, more: false, lazy });
        // A lazy one comes at the latest with what ends the next wait.
        let now = rig.ring().now();
        rig.ring().submit_and_wait(Some(now)).expect("the ring is usable");
        assert_eq!(result(rig.ring(), Kind::Send), Ok(100));
        assert_eq!(rig.read(&mut peer, 100), fixed()[span.range()]);
    }
    let all = Span { offset: 0, len: u32::try_from(FIXED_BYTES).expect("32 MiB") };
    push(rig.ring(), Kind::Send, Op::Send { slot: SLOT, span: all, more: false, lazy: true });
    let mut sent = result(rig.ring(), Kind::Send).expect("some was taken");
    assert!(sent < all.len, "no socket takes 32 MiB at once");
    let refused = loop {
        let again = Op::Send { slot: SLOT, span: all.after(sent), more: false, lazy: false };
        push(rig.ring(), Kind::Send, again);
        match result(rig.ring(), Kind::Send) {
            Ok(count) => sent += count,
            Err(errno) => break errno,
        }
    };
    assert_eq!(refused, Errno(libc::EAGAIN));
    let close = Op::SendClose { slot: SLOT, span: all.after(sent) };
    push(rig.ring(), Kind::Send, close);
    assert_eq!(
        result(rig.ring(), Kind::Send),
        Err(refused),
        "not sent: not closed, one completion"
    );
    push(rig.ring(), Kind::Writable, Op::Writable { slot: SLOT });
    let got = rig.read(&mut peer, sent as usize);
    assert_eq!(got, fixed()[..sent as usize]);
    assert!(result(rig.ring(), Kind::Writable).is_ok());
    push(rig.ring(), Kind::Send, Op::SendClose { slot: SLOT, span });
    assert!(result(rig.ring(), Kind::Close).is_ok(), "sent and closed: one completion");
    assert_eq!(rig.read(&mut peer, 100), fixed()[span.range()]);
    assert!(rig.reads_end(&mut peer));
}

fn cancels_watches_and_shuts_down<G: Rig>(rig: &mut G) {
    let watch = Token::new(Kind::Watch, 0, 0);
    rig.ring().push(watch, Op::Watch { listener: 0 }).expect("there is room");
    let mut peer = accepted_while_watched(rig, watch);
    push(rig.ring(), Kind::Recv, Op::RecvMany { slot: SLOT });
    push(rig.ring(), Kind::Cancel, Op::Cancel { target: token(Kind::Recv) });
    let mut results = [next(rig.ring()), next(rig.ring())];
    results.sort_by_key(|completion| completion.token.kind() as u8);
    assert_eq!(results[0].result, Err(Errno(libc::ECANCELED)));
    assert!(!results[0].more && results[1].token == token(Kind::Cancel));
    push(rig.ring(), Kind::Shutdown, Op::Shutdown { slot: SLOT });
    assert!(result(rig.ring(), Kind::Shutdown).is_ok());
    assert!(rig.reads_end(&mut peer));
    let before = rig.ring().now();
    let deadline = Nanos(before.0 + 2_000_000);
    rig.ring().submit_and_wait(Some(deadline)).expect("a deadline is no error");
    assert!(rig.ring().pop().is_none() && rig.ring().now() >= deadline);
}

fn accepted_while_watched<G: Rig>(rig: &mut G, watch: Token) -> G::Peer {
    let peer = rig.connect();
    assert_eq!(next(rig.ring()).token, watch, "somebody knocks, and nobody is let in");
    let accept = Token::new(Kind::Accept, 0, 0);
    rig.ring().push(accept, Op::Accept { listener: 0, slot: SLOT }).expect("there is room");
    assert!(next(rig.ring()).result.is_ok());
    peer
}

/// Every promise, each on a ring of its own.
fn suite<G: Rig>(make: impl Fn() -> G) {
    receives_once_and_many(&mut make());
    wants_of_buffers_end_a_receive(&mut make());
    sends_whole_short_and_not_at_all(&mut make());
    cancels_watches_and_shuts_down(&mut make());
}

#[test]
fn the_simulated_ring() {
    for seed in 0..3 {
        suite(|| Simulated::new(seed));
    }
}

#[test]
fn the_kernels_ring_with_all_features() {
    suite(|| Kernel::new(Features::ALL));
}

#[test]
fn the_kernels_ring_with_other_task_runs() {
    for task_run in [TaskRun::Cooperative, TaskRun::Interrupting] {
        suite(|| Kernel::new(Features { task_run, ..Features::ALL }));
    }
}

#[test]
fn the_kernels_ring_with_ordinary_descriptors_and_loud_sends() {
    let features = Features { direct_descriptors: false, silent_send: false, ..Features::ALL };
    suite(|| Kernel::new(features));
}
