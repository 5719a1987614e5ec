//! The engines on the kernel under the contract, with TCP sockets on loopback as peers, and Unix
//! sockets as targets, too.

use super::rig::{Needs, Peer, Read, Rig, SMALL, fixed_bytes};
use crate::common::TemporaryFile;
use std::io::{ErrorKind, Read as _, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener, UnixStream};
use std::sync::atomic::{AtomicU32, Ordering};
use uringstatic::engine::epoll::Epoll;
use uringstatic::engine::kernel::dial::Dial;
use uringstatic::engine::kernel::{
    ConnectTarget, Destination, EngineKind, KernelEngine, Parts, ReceiveBuffers, Requirements,
    Restriction, Role,
};
use uringstatic::engine::uring::probe::{Features, Obstacles};
use uringstatic::engine::uring::{Setup, Uring};
use uringstatic::os::net::{Endpoint, Listener, listen};
use uringstatic::os::pages::Pages;
use uringstatic::os::signal::receive;
use uringstatic::peer_address::PeerAddress;

/// An engine with its peers.
pub(crate) struct Kernel<E> {
    engine: E,
    endpoints: Vec<Endpoint>,
    peers: Vec<Option<TcpStream>>,
    target: Option<Target>,
}

/// The listener that the engine connects to.
pub(crate) enum Target {
    Tcp(TcpListener),
    /// A Unix socket and its file.
    Unix(UnixListener, TemporaryFile),
    /// A Unix socket in the abstract namespace, which has no file.
    Abstract(UnixListener, String),
    /// The file of a Unix socket that was closed.
    Closed(TemporaryFile),
}

impl Target {
    pub(crate) fn tcp() -> Self {
        Self::Tcp(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"))
    }

    pub(crate) fn unix() -> Self {
        let file = TemporaryFile::vacant("target");
        let listener = UnixListener::bind(file.path()).expect("the file is new");
        Self::Unix(listener, file)
    }

    pub(crate) fn in_abstract_namespace() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("uringstatic-contract-{}-{number}", std::process::id());
        let address = UnixAddress::from_abstract_name(&name).expect("the name is short");
        Self::Abstract(UnixListener::bind_addr(&address).expect("the name is free"), name)
    }

    fn destination(&self) -> Destination {
        let target = match self {
            Self::Tcp(listener) => ConnectTarget::Tcp(listener.local_addr().expect("it is bound")),
            Self::Unix(_, file) | Self::Closed(file) => ConnectTarget::Unix(file.path().into()),
            Self::Abstract(_, name) => ConnectTarget::Abstract(name.clone()),
        };
        Destination { target, sources: Vec::new(), no_delay: false }
    }

    fn accept(&self) -> Option<TcpStream> {
        Some(match self {
            Self::Closed(_) => return None,
            Self::Tcp(listener) => listener.accept().expect("the engine connects").0,
            // The type's methods are calls on a descriptor of any stream socket.
            Self::Unix(listener, _) | Self::Abstract(listener, _) => {
                OwnedFd::from(listener.accept().expect("the engine connects").0).into()
            }
        })
    }

    /// Makes the backlog of a Unix socket as short as can be: one connection (listen(2) sets it
    /// anew on a socket that listens already).
    fn limit_backlog(&self) {
        let (Self::Unix(listener, _) | Self::Abstract(listener, _)) = self else { return };
        rustix::net::listen(listener, 0).expect("it listens");
    }
}

impl Kernel<Uring> {
    /// An engine without restrictions.
    pub(crate) fn uring(needs: Needs, features: Features) -> Self {
        Self::connecting_uring(needs, features, Target::tcp())
    }

    /// An engine that connects to this target.
    pub(crate) fn connecting_uring(needs: Needs, features: Features, target: Target) -> Self {
        Self::uring_with(needs, features, Some(target))
    }

    /// An engine restricted to the operations of a server, without `Connect`.
    pub(crate) fn restricted_uring(needs: Needs, features: Features) -> Self {
        let mut kernel = Self::uring_with(needs, features, None);
        let restriction = kernel.engine().restriction();
        assert!(matches!(restriction, Restriction::InForce { .. }), "{restriction:?}");
        kernel
    }

    /// An engine that accepts at this endpoint.
    pub(crate) fn uring_on(endpoint: &Endpoint, needs: Needs, features: Features) -> Self {
        let listeners = vec![listen(endpoint, 16, false).expect("the endpoint is free")];
        Self::uring_of(listeners, needs, features, None)
    }

    fn uring_with(needs: Needs, features: Features, target: Option<Target>) -> Self {
        Self::uring_of(two_listeners(), needs, features, target)
    }

    fn uring_of(
        listeners: Vec<Listener>,
        needs: Needs,
        features: Features,
        target: Option<Target>,
    ) -> Self {
        let endpoints = endpoints_of(&listeners);
        let dial = target
            .as_ref()
            .map(|target| Dial::new(target.destination()).expect("the address is short"));
        let engine = Uring::new(Setup {
            spawn: SLOTS,
            listeners,
            held: None,
            restricted: dial.is_none(),
            wants_peers: needs.wants_peers,
            dial,
            signals: None,
            fixed: fixed_of::<Self>(needs),
            features,
            buffers: needs.buffers,
            buffer_bytes: needs.buffer_bytes,
            obstacles: Obstacles::read(),
        });
        let engine = engine.expect("the kernel has io_uring");
        Self { engine, endpoints, peers: Vec::new(), target }
    }
}

impl Kernel<Epoll> {
    /// An engine that accepts.
    pub(crate) fn accepting_epoll(needs: Needs) -> Self {
        Self::epoll_of(two_listeners(), needs)
    }

    /// An engine that accepts at this endpoint.
    pub(crate) fn epoll_on(endpoint: &Endpoint, needs: Needs) -> Self {
        Self::epoll_of(vec![listen(endpoint, 16, false).expect("the endpoint is free")], needs)
    }

    fn epoll_of(listeners: Vec<Listener>, needs: Needs) -> Self {
        let endpoints = endpoints_of(&listeners);
        // No rule of accepting engines sends a signal; this one would end the test.
        let signals = receive(&[libc::SIGXFSZ]).expect("a descriptor is free");
        let engine = Self::create(needs, Role::Server { listeners, signals });
        Self { engine, endpoints, peers: Vec::new(), target: None }
    }

    /// An engine that connects to this target.
    pub(crate) fn connecting_epoll(needs: Needs, target: Target) -> Self {
        let engine = Self::create(needs, Role::Client(target.destination()));
        Self { engine, endpoints: Vec::new(), peers: Vec::new(), target: Some(target) }
    }

    fn create(needs: Needs, role: Role) -> Epoll {
        let buffers = ReceiveBuffers { count: needs.buffers, bytes: needs.buffer_bytes };
        let (kind, slots) = (EngineKind::Epoll, SLOTS);
        let requirements = Requirements { kind, slots, buffers, without: &[] };
        let preparation = Epoll::prepare(&requirements).expect("there are few slots");
        let fixed = fixed_of::<Self>(needs);
        let (slots, wants_peers) = (SLOTS, needs.wants_peers);
        let parts =
            Parts { slots, role, fixed, buffers, held: None, restricted: true, wants_peers };
        Epoll::create(preparation, parts).expect("the kernel has epoll")
    }
}

const SLOTS: u32 = 4;

fn fixed_of<R: Rig>(needs: Needs) -> Pages {
    fixed_bytes(if needs.sends_large { R::LARGE } else { SMALL }).into()
}

fn two_listeners() -> Vec<Listener> {
    let any = Endpoint::Tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0));
    (0..2).map(|_| listen(&any, 16, false).expect("a free port")).collect()
}

fn endpoints_of(listeners: &[Listener]) -> Vec<Endpoint> {
    listeners.iter().map(|listener| listener.endpoint.clone()).collect()
}

/// Connects to a TCP or Unix socket, whose calls the type makes alike.
fn stream_to(endpoint: &Endpoint) -> std::io::Result<TcpStream> {
    match endpoint {
        Endpoint::Tcp(address) => TcpStream::connect(address),
        Endpoint::Unix(path) => Ok(OwnedFd::from(UnixStream::connect(path)?).into()),
    }
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

    /// Leaves room for a single connection in the backlog of a Unix target.
    pub(crate) fn limit_backlog(&mut self) {
        self.target.as_ref().expect("the engine connects").limit_backlog();
    }

    /// Removes the file of a Unix target.
    pub(crate) fn remove_target(&mut self) {
        if let Some(Target::Unix(_, file)) = &self.target {
            std::fs::remove_file(file.path()).expect("it exists");
        }
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
        let stream = stream_to(&self.endpoints[listener as usize]).expect("it listens");
        self.keep(stream)
    }

    fn address(&mut self, peer: Peer) -> PeerAddress {
        // The standard library knows no IP address of a Unix socket.
        self.stream(peer).local_addr().map_or(PeerAddress::Unix, Into::into)
    }

    fn answer(&mut self) -> Option<Peer> {
        let stream = self.target.as_ref()?.accept()?;
        Some(self.keep(stream))
    }

    fn stop_answering(&mut self) {
        self.target = match self.target.take() {
            Some(Target::Unix(_, file)) => Some(Target::Closed(file)),
            _ => None,
        };
    }

    fn refuses(&mut self, listener: u32) -> bool {
        let outcome = stream_to(&self.endpoints[listener as usize]);
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
