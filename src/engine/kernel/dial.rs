//! Sockets that connect: their target and their local addresses.

use crate::os::net::{family_of, set_option, stream_socket};
use rustix::net::{SocketAddrAny, bind, sockopt};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

/// The target of connections, and the local addresses that they come from.
pub struct Dial {
    target: SocketAddr,
    /// The target as connect(2) takes it, boxed because entries point to it.
    address: Box<SocketAddrAny>,
    sources: Vec<IpAddr>,
    no_delay: bool,
}

impl Dial {
    /// Connections to `target` from `sources`, or from an address of the kernel's choice if there
    /// are none.
    ///
    /// `no_delay` sets `TCP_NODELAY` (tcp(7)): for requests of several segments, the last of which
    /// must not wait for the acknowledgement of the others.
    #[must_use]
    pub fn new(target: SocketAddr, sources: Vec<IpAddr>, no_delay: bool) -> Self {
        Self { target, address: Box::new(target.into()), sources, no_delay }
    }

    /// The target's address, for an engine that passes it to the kernel by a pointer. It is valid
    /// as long as `self`, even if that moves.
    pub(in crate::engine) fn target_pointer(&self) -> (*const libc::sockaddr, libc::socklen_t) {
        (self.address.as_ptr().cast(), self.address.addr_len())
    }

    /// The target's address.
    pub(in crate::engine) fn target(&self) -> &SocketAddrAny {
        &self.address
    }

    /// A socket that is bound to a source, ready to connect.
    pub(in crate::engine) fn socket(&self, source: u32) -> io::Result<OwnedFd> {
        let fd = stream_socket(family_of(&self.target))?;
        if self.no_delay {
            sockopt::set_tcp_nodelay(&fd, true)?;
        }
        if !self.sources.is_empty() {
            // The kernel chooses the port at connect, when it has to be free for this target only
            // (ip(7), Linux 4.2).
            set_option(&fd, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)?;
            let ip = self.sources[source as usize % self.sources.len()];
            bind(&fd, &SocketAddr::new(ip, 0))?;
        }
        Ok(fd)
    }
}
