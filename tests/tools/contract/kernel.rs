//! The engines on the kernel under the contract, with TCP sockets on loopback as peers.

use super::rig::{Needs, Peer, Read, Rig, SMALL, fixed_bytes};
use std::io::{ErrorKind, Read as _, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use uringstatic::engine::epoll::Epoll;
use uringstatic::engine::kernel::dial::Dial;
use uringstatic::engine::kernel::{
    Destination, EngineKind, KernelEngine, Parts, ReceiveBuffers, Requirements, Restriction, Role,
};
use uringstatic::engine::uring::probe::{Features, Obstacles};
use uringstatic::engine::uring::{Setup, Uring};
use uringstatic::os::net::{Endpoint, Listener, listen};
use uringstatic::os::pages::Pages;
use uringstatic::os::signal::receive;

/// An engine with its peers.
pub(crate) struct Kernel<E> {
    engine: E,
    addresses: Vec<SocketAddr>,
    peers: Vec<Option<TcpStream>>,
    /// The target of the engine's connects.
    target: Option<TcpListener>,
}

impl Kernel<Uring> {
    /// An engine without restrictions.
    pub(crate) fn uring(needs: Needs, features: Features) -> Self {
        let target = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        Self::uring_with(needs, features, Some(target))
    }

    /// An engine restricted to the operations of a server, without `Connect`.
    pub(crate) fn restricted_uring(needs: Needs, features: Features) -> Self {
        let mut kernel = Self::uring_with(needs, features, None);
        let restriction = kernel.engine().restriction();
        assert!(matches!(restriction, Restriction::InForce { .. }), "{restriction:?}");
        kernel
    }

    fn uring_with(needs: Needs, features: Features, target: Option<TcpListener>) -> Self {
        let (listeners, addresses) = two_listeners();
        let dial = target
            .as_ref()
            .map(|target| Dial::new(target.local_addr().expect("it is bound"), Vec::new(), false));
        let engine = Uring::new(Setup {
            spawn: SLOTS,
            listeners,
            held: None,
            restricted: dial.is_none(),
            dial,
            signals: None,
            fixed: fixed_of::<Self>(needs),
            features,
            buffers: needs.buffers,
            buffer_bytes: needs.buffer_bytes,
            obstacles: Obstacles::read(),
        });
        let engine = engine.expect("the kernel has io_uring");
        Self { engine, addresses, peers: Vec::new(), target }
    }
}

impl Kernel<Epoll> {
    /// An engine that accepts.
    pub(crate) fn accepting_epoll(needs: Needs) -> Self {
        let (listeners, addresses) = two_listeners();
        // No rule of accepting engines sends a signal; this one would end the test.
        let signals = receive(&[libc::SIGXFSZ]).expect("a descriptor is free");
        let engine = Self::create(needs, Role::Server { listeners, signals });
        Self { engine, addresses, peers: Vec::new(), target: None }
    }

    /// An engine that connects.
    pub(crate) fn connecting_epoll(needs: Needs) -> Self {
        let target = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = target.local_addr().expect("it is bound");
        let to = Destination { target: address, sources: Vec::new(), no_delay: false };
        let engine = Self::create(needs, Role::Client(to));
        Self { engine, addresses: Vec::new(), peers: Vec::new(), target: Some(target) }
    }

    fn create(needs: Needs, role: Role) -> Epoll {
        let buffers = ReceiveBuffers { count: needs.buffers, bytes: needs.buffer_bytes };
        let (kind, slots) = (EngineKind::Epoll, SLOTS);
        let requirements = Requirements { kind, slots, buffers, without: &[] };
        let preparation = Epoll::prepare(&requirements).expect("there are few slots");
        let fixed = fixed_of::<Self>(needs);
        let parts = Parts { slots: SLOTS, role, fixed, buffers, held: None, restricted: true };
        Epoll::create(preparation, parts).expect("the kernel has epoll")
    }
}

const SLOTS: u32 = 4;

fn fixed_of<R: Rig>(needs: Needs) -> Pages {
    fixed_bytes(if needs.sends_large { R::LARGE } else { SMALL }).into()
}

fn two_listeners() -> (Vec<Listener>, Vec<SocketAddr>) {
    let any = Endpoint::Tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0));
    let listeners: Vec<_> = (0..2).map(|_| listen(&any, 16, false).expect("a free port")).collect();
    let addresses = listeners
        .iter()
        .map(|listener| match listener.endpoint {
            Endpoint::Tcp(address) => address,
            Endpoint::Unix(_) => unreachable!("the endpoints are TCP"),
        })
        .collect();
    (listeners, addresses)
}

impl<E: KernelEngine> Kernel<E> {
    /// A second descriptor of a listening socket, as another process that serves it would have.
    pub(crate) fn share(&mut self, listener: usize) -> TcpListener {
        let fd = self.engine.listeners()[listener]
            .socket()
            .try_clone_to_owned()
            .expect("a descriptor is free");
        TcpListener::from(fd)
    }

    fn keep(&mut self, stream: TcpStream) -> Peer {
        stream.set_nonblocking(true).expect("a socket can be non-blocking");
        self.peers.push(Some(stream));
        Peer(self.peers.len() - 1)
    }

    fn stream(&self, peer: Peer) -> &TcpStream {
        self.peers[peer.0].as_ref().expect("the peer was not reset")
    }
}

impl<E: KernelEngine> Rig for Kernel<E> {
    type R = E;

    /// More than the buffers of both sockets can grow to (`net.ipv4.tcp_wmem`, `tcp_rmem`).
    const LARGE: u32 = 32 << 20;

    fn engine(&mut self) -> &mut E {
        &mut self.engine
    }

    fn connect(&mut self, listener: u32) -> Peer {
        let stream = TcpStream::connect(self.addresses[listener as usize]).expect("it listens");
        self.keep(stream)
    }

    fn answer(&mut self) -> Option<Peer> {
        let (stream, _) = self.target.as_ref()?.accept().expect("the engine connects");
        Some(self.keep(stream))
    }

    fn stop_answering(&mut self) {
        self.target = None;
    }

    fn refuses(&mut self, listener: u32) -> bool {
        let outcome = TcpStream::connect(self.addresses[listener as usize]);
        outcome.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    }

    fn write(&mut self, peer: Peer, bytes: &[u8]) {
        self.stream(peer).write_all(bytes).expect("a few bytes find room");
    }

    fn read(&mut self, peer: Peer) -> Read {
        let mut bytes = vec![0; 256 * 1024];
        match self.stream(peer).read(&mut bytes) {
            Ok(0) => Read::End,
            Ok(count) => Read::Bytes(bytes[..count].to_vec()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Read::Nothing,
            Err(_) => Read::Reset,
        }
    }

    fn finish(&mut self, peer: Peer) {
        self.stream(peer).shutdown(Shutdown::Write).expect("it is connected");
    }

    fn reset(&mut self, peer: Peer) {
        // A close with unread bytes resets the connection (RFC 1122, 4.2.2.13).
        assert_ne!(self.stream(peer).peek(&mut [0]).expect("bytes have arrived"), 0);
        self.peers[peer.0] = None;
    }
}
