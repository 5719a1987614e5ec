//! Sockets that connect: their target and their local addresses.

use super::{ConnectTarget, Destination, EngineError, Remedy};
use crate::os::net::{family_of, set_option, stream_socket};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix, bind, connect, sockopt};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

/// The target of connections, and the local addresses that they come from.
pub struct Dial {
    family: AddressFamily,
    /// The target as connect(2) takes it, boxed because entries point to it.
    address: Box<SocketAddrAny>,
    sources: Vec<IpAddr>,
    no_delay: bool,
}

impl Dial {
    /// Connections to a destination.
    ///
    /// # Errors
    /// If the path or the name of a Unix socket is too long for an address.
    pub fn new(to: Destination) -> Result<Self, EngineError> {
        let (family, address) = match &to.target {
            ConnectTarget::Tcp(address) => (family_of(address), Ok((*address).into())),
            ConnectTarget::Unix(path) => {
                (AddressFamily::UNIX, SocketAddrUnix::new(path).map(Into::into))
            }
            ConnectTarget::Abstract(name) => {
                let address = SocketAddrUnix::new_abstract_name(name.as_bytes());
                (AddressFamily::UNIX, address.map(Into::into))
            }
        };
        let address = address.map_err(|error| {
            let remedy = "the path or the name of a Unix socket has at most 107 bytes (unix(7)): \
                          use a shorter one, such as a symbolic link to its folder";
            let step = format!("preparing to connect to {}", to.target);
            EngineError::new(step, io::Error::from(error), Remedy::Other(remedy.to_owned()))
        })?;
        let Destination { target: _, sources, no_delay } = to;
        Ok(Self { family, address: Box::new(address), sources, no_delay })
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

    /// Whether the target is a Unix socket.
    pub(in crate::engine) fn is_unix(&self) -> bool {
        self.family == AddressFamily::UNIX
    }

    /// A socket that is bound to a source, ready to connect.
    pub(in crate::engine) fn socket(&self, source: u32) -> io::Result<OwnedFd> {
        let fd = stream_socket(self.family)?;
        if self.is_unix() {
            return Ok(fd);
        }
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

    /// Connects a blocking socket without waiting. A Unix socket is connected as soon as the call
    /// returns; `EAGAIN` reports a full backlog, for which a blocking connect would wait in a
    /// thread of its own (connect(2)).
    pub(in crate::engine) fn connect_at_once(&self, fd: &OwnedFd) -> io::Result<()> {
        fcntl_setfl(fd, OFlags::NONBLOCK)?;
        let outcome = connect(fd, self.target());
        fcntl_setfl(fd, OFlags::empty())?;
        Ok(outcome?)
    }
}
