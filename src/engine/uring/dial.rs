//! Sockets that connect: where to, and from which local addresses.

use crate::os::call::checked;
use crate::os::net::{set_option, socket, to_sockaddr};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

/// Where connections go, and where they come from.
pub struct Dial {
    /// The address as connect(2) takes it; it keeps its place, as entries point to it.
    target: Box<(libc::sockaddr_storage, libc::socklen_t)>,
    sources: Vec<IpAddr>,
    no_delay: bool,
}

impl Dial {
    /// Connections to `target` from `sources`, or from where the kernel likes if there are none.
    ///
    /// `no_delay` is for requests of more than one segment, whose last part must not wait for the
    /// acknowledgement of those before (`TCP_NODELAY`, tcp(7)).
    #[must_use]
    pub fn new(target: SocketAddr, sources: Vec<IpAddr>, no_delay: bool) -> Self {
        Self { target: Box::new(to_sockaddr(target)), sources, no_delay }
    }

    /// The address, for an entry; it stays where it is as long as this.
    pub(super) fn target(&self) -> (*const libc::sockaddr, libc::socklen_t) {
        ((&raw const self.target.0).cast(), self.target.1)
    }

    /// A socket that is bound to a source, ready to be connected.
    pub(super) fn socket(&self, source: u32) -> io::Result<OwnedFd> {
        let fd = socket(i32::from(self.target.0.ss_family))?;
        if self.no_delay {
            set_option(&fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
        }
        if !self.sources.is_empty() {
            // The port is chosen at connect, when it has to be free towards the target only
            // (ip(7), Linux 4.2).
            set_option(&fd, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)?;
            let ip = self.sources[source as usize % self.sources.len()];
            let (storage, len) = to_sockaddr(SocketAddr::new(ip, 0));
            // SAFETY: `storage` holds a socket address of `len` bytes.
            let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const storage).cast(), len) };
            checked(bound)?;
        }
        Ok(fd)
    }
}
