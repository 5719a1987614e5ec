//! A bound socket, its file if it is a Unix socket, and the filter that keeps it from connecting.

use super::endpoint::{Endpoint, ListenError};
use super::socket::{get_option, set_option, start_listening, tcp_info, until_free};
use crate::os::call::checked;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::fs::Metadata;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// A socket to accept connections from.
pub struct Listener {
    /// The socket, until [`Listener::take_socket`].
    fd: Option<OwnedFd>,
    /// The address that it is bound to, with the port that the kernel chose for port 0.
    pub endpoint: Endpoint,
    /// The file of a Unix socket, if this process made it.
    file: Option<FileIdentity>,
    origin: SocketOrigin,
}

/// The process that made a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SocketOrigin {
    /// This one.
    Own,
    /// Its supervisor, or the one that this process was copied from.
    Inherited,
    /// A service manager, which keeps the socket.
    Passed,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.remove_file();
    }
}

impl Listener {
    pub(super) fn new(fd: OwnedFd, endpoint: Endpoint, file: Option<FileIdentity>) -> Self {
        Self { fd: Some(fd), endpoint, file, origin: SocketOrigin::Own }
    }

    /// The same listener, of a socket that a service manager keeps ([`Listener::passed`]).
    #[must_use]
    pub fn kept_by_manager(mut self) -> Self {
        self.origin = SocketOrigin::Passed;
        self
    }

    /// Whether a service manager has passed the socket, and keeps it.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        self.origin == SocketOrigin::Passed
    }

    /// The path of the socket file that this process removes at its end.
    #[must_use]
    pub fn own_file(&self) -> Option<&Path> {
        match &self.endpoint {
            Endpoint::Unix(path) if self.file.is_some() => Some(path),
            Endpoint::Unix(_) | Endpoint::Tcp(_) => None,
        }
    }

    /// The socket.
    ///
    /// # Panics
    /// If it was taken.
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.fd.as_ref().expect("the socket was not taken").as_fd()
    }

    /// A socket that another process bound and passed on. `requested` is the address that it bound,
    /// with the port 0 if the kernel chose one.
    ///
    /// # Errors
    /// If it is no TCP socket though a TCP address was requested.
    pub fn inherited(fd: OwnedFd, requested: &Endpoint) -> io::Result<Self> {
        let endpoint = match requested {
            Endpoint::Tcp(_) => Endpoint::Tcp(rustix::net::getsockname(&fd)?.try_into()?),
            Endpoint::Unix(path) => Endpoint::Unix(path.clone()),
        };
        Ok(Self { fd: Some(fd), endpoint, file: None, origin: SocketOrigin::Inherited })
    }

    /// The same socket by a descriptor of its own, for another engine. It has the accept queue in
    /// common with this one, and doesn't own the file of a Unix socket.
    ///
    /// # Errors
    /// If no descriptor is free.
    ///
    /// # Panics
    /// If the socket was taken.
    pub fn share(&self) -> io::Result<Self> {
        let fd = self.socket().try_clone_to_owned()?;
        let (endpoint, origin) = (self.endpoint.clone(), self.origin);
        Ok(Self { fd: Some(fd), endpoint, file: None, origin })
    }

    /// Sets whether an accept waits for a connection, for all descriptors of the socket. That is
    /// usual, and an `io_uring` then waits in the background; with readiness by epoll(7) an accept
    /// mustn't wait, as another process may be faster.
    ///
    /// # Errors
    /// The errors of fcntl(2).
    ///
    /// # Panics
    /// If the socket was taken.
    pub fn set_blocking(&self, blocking: bool) -> io::Result<()> {
        let mut flags = fcntl_getfl(self.socket())?;
        flags.set(OFlags::NONBLOCK, !blocking);
        Ok(fcntl_setfl(self.socket(), flags)?)
    }

    /// Takes the socket, for the caller to close; the file of a Unix socket is removed before,
    /// unless it is kept. Returns `None` if the socket was taken already.
    pub fn take_socket(&mut self) -> Option<OwnedFd> {
        self.remove_file();
        self.fd.take()
    }

    /// Closes the socket; others may still have it. The file of a Unix socket stays until this is
    /// dropped.
    pub fn close(&mut self) {
        self.fd = None;
    }

    /// Leaves the file of a Unix socket in place when this is dropped.
    pub fn keep_file(&mut self) {
        self.file = None;
    }

    /// Removes the file of a Unix socket while the socket is open: until it is closed, its inode
    /// can't become that of another file.
    fn remove_file(&mut self) {
        if let (Endpoint::Unix(path), Some(file)) = (&self.endpoint, self.file.take()) {
            // A failure has no remedy here; the next server replaces a stale file.
            let _ = file.remove_at(path);
        }
    }

    /// The connections that are established and wait to be accepted, and the most that may
    /// (`TCP_INFO`, tcp(7), whose fields `tcpi_unacked` and `tcpi_sacked` have them);
    /// `None` of a Unix socket, of a closed one, and where the kernel doesn't tell.
    #[must_use]
    pub fn accept_queue(&self) -> Option<(u32, u32)> {
        let Endpoint::Tcp(_) = self.endpoint else { return None };
        let info = tcp_info(self.fd.as_ref()?).ok()?;
        Some((info.tcpi_unacked, info.tcpi_sacked))
    }

    /// Listens. Two sockets with `SO_REUSEADDR` can be bound to one port while neither listens
    /// (socket(7)); only the first of them succeeds here.
    ///
    /// # Errors
    /// If another socket listens there.
    pub fn start(&self, backlog: u32) -> Result<(), ListenError> {
        until_free(&self.endpoint, || start_listening(&self.socket(), backlog))
    }

    /// Makes a TCP listener, and every socket accepted from it, drop answers to an attempt to
    /// connect, irrevocably. A Unix socket needs no filter.
    ///
    /// A listener that is shut down can be made to connect by a mere send (`MSG_FASTOPEN`, tcp(7)),
    /// which neither Landlock nor the restrictions of an `io_uring` can forbid. With this filter no
    /// server is reached in this way, and a port scan learns nothing.
    ///
    /// A cooperating peer is still reached: it answers the SYN with a SYN of its own (simultaneous
    /// open, RFC 9293, 3.5), which the filter can't drop, as a listener exists to receive SYNs. Nor
    /// is the outgoing SYN suppressed, to whatever address. `net.ipv4.tcp_fastopen` without bit 0
    /// prevents both ([`sends_connect`](super::sends_connect)), as does a filter of system calls in
    /// a process without a ring.
    ///
    /// # Errors
    /// If the kernel refuses (socket(7), `SO_ATTACH_FILTER`, `SO_LOCK_FILTER`), and for the socket
    /// of a service manager: the next program that it is passed to couldn't remove the filter.
    pub fn drop_answers(&self) -> io::Result<()> {
        let is_unix = matches!(self.endpoint, Endpoint::Unix(_));
        if is_unix || get_option(&self.socket(), libc::SOL_SOCKET, libc::SO_LOCK_FILTER)? != 0 {
            // The process that bound the socket has attached this filter and locked it.
            return Ok(());
        }
        match self.origin {
            SocketOrigin::Own => {}
            SocketOrigin::Inherited => {
                return Err(io::Error::other("the process that made the socket attached none"));
            }
            SocketOrigin::Passed => {
                return Err(io::Error::other("the service manager keeps the socket"));
            }
        }
        let mut filter = DROP_ANSWERS;
        let len = u16::try_from(filter.len()).expect("the program has 8 instructions");
        let program = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
        let (size, place) = (size_of_val(&program) as libc::socklen_t, (&raw const program).cast());
        let (fd, level, name) =
            (self.socket().as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER);
        // SAFETY: `place` points to a program of `size` bytes, whose `len` instructions live until
        // the call returns; the kernel copies them.
        checked(unsafe { libc::setsockopt(fd, level, name, place, size) })?;
        set_option(&self.socket(), level, libc::SO_LOCK_FILTER, 1)
    }
}

/// The identity of a file, which a rename or replacement doesn't change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    /// The socket file at a path, if there is one; links aren't followed.
    pub(super) fn at(path: &Path) -> Option<Self> {
        let metadata = path.symlink_metadata().ok()?;
        metadata.file_type().is_socket().then(|| Self::of(&metadata))
    }

    /// Removes the file if it is still at this path. The check precedes the removal by a moment, as
    /// no system call removes a file by its inode.
    pub(super) fn remove_at(self, path: &Path) -> io::Result<()> {
        if Self::at(path) == Some(self) { std::fs::remove_file(path) } else { Ok(()) }
    }
}

/// A classic BPF program over a segment, starting with its header (RFC 9293, 3.1). It drops
/// segments with SYN and ACK, which accept a connection, and resets with the sequence number 0,
/// which refuse one. The peer of an established connection sends neither.
const DROP_ANSWERS: [libc::sock_filter; 8] = {
    const fn step(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
        libc::sock_filter { code: code as u16, jt, jf, k }
    }
    const JUMP: u32 = libc::BPF_JMP | libc::BPF_K;
    const FLAGS_AT: u32 = 13;
    const SEQUENCE_AT: u32 = 4;
    const RST: u32 = 0x04;
    const SYN_ACK: u32 = 0x12;
    [
        step(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, FLAGS_AT),
        step(JUMP | libc::BPF_JSET, 2, 0, RST),
        step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, SYN_ACK),
        step(JUMP | libc::BPF_JEQ, 3, 2, SYN_ACK),
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, SEQUENCE_AT),
        step(JUMP | libc::BPF_JEQ, 1, 0, 0),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
    ]
};
