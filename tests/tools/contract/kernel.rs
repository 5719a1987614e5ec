//! The `io_uring` engine under the contract, with TCP sockets on loopback as peers.

use super::rig::{Needs, Peer, Read, Rig, SMALL, fixed_bytes};
use std::io::{ErrorKind, Read as _, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use uringstatic::engine::kernel::Restriction;
use uringstatic::engine::uring::dial::Dial;
use uringstatic::engine::uring::probe::{Features, Obstacles};
use uringstatic::engine::uring::{Setup, Uring};
use uringstatic::os::net::{Endpoint, listen};

/// The engine with its peers.
pub(crate) struct Kernel {
    engine: Uring,
    addresses: Vec<SocketAddr>,
    peers: Vec<Option<TcpStream>>,
    /// The target of the engine's connects.
    target: Option<TcpListener>,
}

impl Kernel {
    /// An engine without restrictions.
    pub(crate) fn new(needs: Needs, features: Features) -> Self {
        let target = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        Self::with(needs, features, Some(target))
    }

    /// An engine restricted to the operations of a server, without `Connect`.
    pub(crate) fn restricted(needs: Needs, features: Features) -> Self {
        let mut kernel = Self::with(needs, features, None);
        let restriction = kernel.engine().restriction();
        assert!(matches!(restriction, Restriction::InForce { .. }), "{restriction:?}");
        kernel
    }

    fn with(needs: Needs, features: Features, target: Option<TcpListener>) -> Self {
        let any = Endpoint::Tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0));
        let listeners: Vec<_> =
            (0..2).map(|_| listen(&any, 16, false).expect("a free port")).collect();
        let addresses = listeners
            .iter()
            .map(|listener| match listener.endpoint {
                Endpoint::Tcp(address) => address,
                Endpoint::Unix(_) => unreachable!("the endpoints are TCP"),
            })
            .collect();
        let dial = target
            .as_ref()
            .map(|target| Dial::new(target.local_addr().expect("it is bound"), Vec::new(), false));
        let engine = Uring::new(Setup {
            spawn: 4,
            listeners,
            held: None,
            restricted: dial.is_none(),
            dial,
            signals: None,
            fixed: fixed_bytes(if needs.sends_large { Self::LARGE } else { SMALL }).into(),
            features,
            buffers: needs.buffers,
            buffer_bytes: needs.buffer_bytes,
            obstacles: Obstacles::read(),
        });
        let engine = engine.expect("the kernel has io_uring");
        Self { engine, addresses, peers: Vec::new(), target }
    }

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

impl Rig for Kernel {
    type R = Uring;

    /// More than the buffers of both sockets can grow to (`net.ipv4.tcp_wmem`, `tcp_rmem`).
    const LARGE: u32 = 32 << 20;

    fn engine(&mut self) -> &mut Uring {
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
