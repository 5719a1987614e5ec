//! Listening sockets. Through libc, as the standard library's listener has a backlog of 128.

mod unix;

pub use unix::Access;

use super::call::checked;
use crate::error::{Failure, errno_of};
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The address of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// An IPv4 or IPv6 address and a port; the kernel replaces port 0 by one of its choice.
    Tcp(SocketAddr),
    /// The path of a Unix domain socket.
    Unix(PathBuf),
}

/// As `--listen` takes it: `127.0.0.1:80`, `[::1]:80`, `unix:/run/web.sock`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket that listens, and the address it is bound to (the port filled in if 0 was asked for).
pub struct Listener {
    /// The socket, until [`Listener::take_socket`].
    fd: Option<OwnedFd>,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// The file of a Unix socket.
    file: Option<unix::Identity>,
    /// Whether that file stays when this is dropped.
    pub(crate) keep_file: bool,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.remove_file();
    }
}

/// Binds and listens, as [`bind`] does and then [`Listener::start`].
///
/// # Errors
/// If the address is in use, not ours, or not permitted.
pub fn listen(endpoint: &Endpoint, backlog: u32, defer_accept: bool) -> Result<Listener, Failure> {
    let listener = bind(endpoint, backlog, defer_accept)?;
    listener.start(backlog)?;
    Ok(listener)
}

/// Binds. A TCP socket does not listen before [`Listener::start`], so that no client is queued by a
/// server that then fails to start. A Unix socket listens at once, with this backlog: a socket file
/// that refuses connections passes for a stale one, and another server would replace it.
///
/// A port stays bound for some 16 to 37 ms after a server with an `io_uring` exits, so "in use" is
/// believed only after [`RETRY`]. With `defer_accept`, a TCP connection is accepted when its first
/// bytes have arrived (`TCP_DEFER_ACCEPT`, tcp(7)).
///
/// # Errors
/// If the address is in use, not ours, or not permitted.
pub fn bind(endpoint: &Endpoint, backlog: u32, defer_accept: bool) -> Result<Listener, Failure> {
    bind_with(endpoint, backlog, defer_accept, Access::default())
}

/// The same, with a mode and a group for the file of a Unix socket. No client can connect before
/// it has them.
///
/// # Errors
/// Those of [`bind`], and if the file can't be given the group.
pub fn bind_with(
    endpoint: &Endpoint,
    backlog: u32,
    defer_accept: bool,
    access: Access,
) -> Result<Listener, Failure> {
    until_free(endpoint, || match endpoint {
        Endpoint::Tcp(address) => bind_tcp(*address, defer_accept),
        Endpoint::Unix(path) => unix::listen(path, backlog, access),
    })
}

/// Repeats an attempt for [`RETRY`] while it fails because the address is in use.
fn until_free<T>(endpoint: &Endpoint, attempt: impl Fn() -> io::Result<T>) -> Result<T, Failure> {
    let started = Instant::now();
    loop {
        match attempt() {
            Err(error) if errno_of(&error) == libc::EADDRINUSE && started.elapsed() < RETRY => {
                std::thread::sleep(RETRY_PAUSE);
            }
            outcome => return outcome.map_err(|error| explain(endpoint, &error)),
        }
    }
}

/// How long a port in use is tried again.
pub const RETRY: Duration = Duration::from_secs(1);
const RETRY_PAUSE: Duration = Duration::from_millis(10);

fn bind_tcp(address: SocketAddr, defer_accept: bool) -> io::Result<Listener> {
    let (storage, len) = to_sockaddr(address);
    let fd = socket(i32::from(storage.ss_family))?;
    set_option(&fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    if address.is_ipv6() {
        // So that 0.0.0.0 and [::] can be listened on side by side.
        set_option(&fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
    }
    // Inherited by what is accepted: a response must not wait for the ACK of the one before.
    set_option(&fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    if defer_accept {
        set_option(&fd, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, 1)?;
    }
    // SAFETY: `storage` holds a socket address of `len` bytes.
    let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const storage).cast(), len) };
    checked(bound)?;
    let endpoint = Endpoint::Tcp(local_address(&fd)?);
    Ok(Listener { fd: Some(fd), endpoint, file: None, keep_file: false })
}

pub(crate) fn socket(family: i32) -> io::Result<OwnedFd> {
    // SAFETY: socket takes numbers only.
    let fd = checked(unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: socket returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn start_listening(fd: &impl AsFd, backlog: u32) -> io::Result<()> {
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    // SAFETY: listen takes numbers only.
    checked(unsafe { libc::listen(fd.as_fd().as_raw_fd(), backlog) })?;
    Ok(())
}

pub(crate) fn set_option(fd: &impl AsFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let len = size_of_val(&value) as libc::socklen_t;
    let value = (&raw const value).cast();
    // SAFETY: `value` points to an int of `len` bytes.
    checked(unsafe { libc::setsockopt(fd.as_fd().as_raw_fd(), level, name, value, len) })?;
    Ok(())
}

/// Has closing reset the connection, whatever was sent or received (`SO_LINGER` of 0, socket(7)):
/// what a hostile peer does, and the standard library doesn't offer.
///
/// # Errors
/// If the socket is none any more.
pub fn reset_on_close(stream: &TcpStream) -> io::Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let len = size_of_val(&linger) as libc::socklen_t;
    let value = (&raw const linger).cast();
    let (fd, name) = (stream.as_raw_fd(), libc::SO_LINGER);
    // SAFETY: `value` points to a linger of `len` bytes.
    checked(unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, name, value, len) })?;
    Ok(())
}

pub(crate) fn to_sockaddr(address: SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: a sockaddr_storage is integers only, for which zero is a value.
    let mut storage = unsafe { MaybeUninit::<libc::sockaddr_storage>::zeroed().assume_init() };
    let place = &raw mut storage;
    match address {
        SocketAddr::V4(v4) => {
            let plain = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            };
            // SAFETY: sockaddr_storage is large enough and aligned for every socket address.
            unsafe { place.cast::<libc::sockaddr_in>().write(plain) };
            (storage, size_of::<libc::sockaddr_in>() as libc::socklen_t)
        }
        SocketAddr::V6(v6) => {
            let plain = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: sockaddr_storage is large enough and aligned for every socket address.
            unsafe { place.cast::<libc::sockaddr_in6>().write(plain) };
            (storage, size_of::<libc::sockaddr_in6>() as libc::socklen_t)
        }
    }
}

impl Listener {
    /// The socket.
    ///
    /// # Panics
    /// If it was taken.
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.fd.as_ref().expect("the socket was not taken").as_fd()
    }

    /// Takes the socket, for the caller to close; the file of a Unix socket is removed before,
    /// unless it is to stay. `None` if the socket was taken already.
    pub fn take_socket(&mut self) -> Option<OwnedFd> {
        self.remove_file();
        self.fd.take()
    }

    /// Removes the file of a Unix socket while the socket is open: until then its inode can't have
    /// become another file's.
    fn remove_file(&mut self) {
        if let (Endpoint::Unix(path), Some(file), false) =
            (&self.endpoint, self.file.take(), self.keep_file)
        {
            // Nothing to do if it is gone already; the next start replaces a stale one anyway.
            let _ = file.remove_at(path);
        }
    }

    /// Listens. Two sockets with `SO_REUSEADDR` can be bound to one port while neither listens
    /// (socket(7)); only the first of them gets further than this.
    ///
    /// # Errors
    /// If another socket listens there.
    pub fn start(&self, backlog: u32) -> Result<(), Failure> {
        until_free(&self.endpoint, || start_listening(&self.socket(), backlog))
    }

    /// Has a TCP listener, and what it accepts, drop what answers an attempt to connect, for good.
    ///
    /// A listener that is shut down can be made to connect by a mere send (`MSG_FASTOPEN`, tcp(7)),
    /// which neither Landlock nor the restrictions of a ring can forbid. With this filter no server
    /// is reached in this way, and a port scan learns nothing.
    ///
    /// A peer that cooperates still is: it answers the SYN with a SYN of its own (simultaneous
    /// open, RFC 9293, 3.5), which the filter can't drop, as it is what a listener is there for.
    /// Nor is the SYN itself held back, to whatever address. Only `net.ipv4.tcp_fastopen` without
    /// bit 0 prevents both ([`sends_connect`]).
    ///
    /// # Errors
    /// If the kernel refuses (socket(7), `SO_ATTACH_FILTER`, `SO_LOCK_FILTER`).
    pub fn drop_answers(&self) -> io::Result<()> {
        if let Endpoint::Unix(_) = self.endpoint {
            return Ok(());
        }
        let mut filter = NO_ANSWERS;
        let len = u16::try_from(filter.len()).expect("it is short");
        let program = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
        let (size, place) = (size_of_val(&program) as libc::socklen_t, (&raw const program).cast());
        let (fd, level, name) =
            (self.socket().as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER);
        // SAFETY: `place` points to a program whose instructions are there until this returns.
        checked(unsafe { libc::setsockopt(fd, level, name, place, size) })?;
        set_option(&self.socket(), level, libc::SO_LOCK_FILTER, 1)
    }
}

/// Whether a socket may connect by a send (`net.ipv4.tcp_fastopen`, bit 0; it's on by default).
#[must_use]
pub fn sends_connect() -> bool {
    let setting = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_fastopen");
    setting.ok().and_then(|text| text.trim().parse::<u32>().ok()).is_none_or(|bits| bits & 1 != 0)
}

/// Classic BPF, over a segment from its header on (RFC 9293, 3.1): drops those with SYN and ACK,
/// which accept a connection, and resets with the sequence number 0, which refuse one. A peer of an
/// established connection sends neither.
const NO_ANSWERS: [libc::sock_filter; 8] = {
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

fn local_address(fd: &OwnedFd) -> io::Result<SocketAddr> {
    // SAFETY: a sockaddr_storage is integers only, for which zero is a value.
    let mut storage = unsafe { MaybeUninit::<libc::sockaddr_storage>::zeroed().assume_init() };
    let mut len = size_of_val(&storage) as libc::socklen_t;
    let place = (&raw mut storage).cast();
    // SAFETY: `place` has room for `len` bytes.
    checked(unsafe { libc::getsockname(fd.as_raw_fd(), place, &raw mut len) })?;
    let place = &raw const storage;
    if i32::from(storage.ss_family) == libc::AF_INET {
        // SAFETY: the family says that this is a sockaddr_in, and the storage is aligned for it.
        let plain = unsafe { place.cast::<libc::sockaddr_in>().read() };
        let ip = Ipv4Addr::from(plain.sin_addr.s_addr.to_ne_bytes());
        Ok(SocketAddr::new(IpAddr::V4(ip), u16::from_be(plain.sin_port)))
    } else {
        // SAFETY: TCP sockets are of one of two families, so this is a sockaddr_in6.
        let plain = unsafe { place.cast::<libc::sockaddr_in6>().read() };
        let ip = Ipv6Addr::from(plain.sin6_addr.s6_addr);
        Ok(SocketAddr::new(IpAddr::V6(ip), u16::from_be(plain.sin6_port)))
    }
}

fn explain(endpoint: &Endpoint, error: &io::Error) -> Failure {
    let (what, port, file) = match endpoint {
        Endpoint::Tcp(address) => (format!("listening on {address}"), Some(address.port()), None),
        Endpoint::Unix(path) => (format!("listening on unix:{}", path.display()), None, Some(path)),
    };
    let hint = match (errno_of(error), port, file) {
        (libc::EADDRINUSE, Some(port), _) => format!(
            "another process has it: `ss -ltnp 'sport = :{port}'` shows which; or choose another \
             port with --listen"
        ),
        (libc::EADDRINUSE, None, Some(path)) => format!(
            "another process listens there, or it is no socket: `ls -l {0}`; `ss -lxp`",
            path.display()
        ),
        (libc::EACCES | libc::EPERM, Some(port), _) => format!(
            "ports below `sysctl net.ipv4.ip_unprivileged_port_start` need a privilege: choose \
             another than {port}, or `setcap cap_net_bind_service=+ep` the program"
        ),
        (libc::EACCES | libc::EPERM | libc::ENOENT | libc::EROFS, None, Some(path)) => {
            let folder = path.parent().unwrap_or(Path::new("/")).display();
            format!("the folder {folder} must exist and be writable for this user")
        }
        (libc::EADDRNOTAVAIL, _, _) => {
            "this machine has no such address: `ip address` shows those it has".to_owned()
        }
        (libc::ENAMETOOLONG, _, _) => "a socket's path has at most 107 bytes".to_owned(),
        (libc::EAFNOSUPPORT, _, _) => {
            "IPv6 is off here: listen on an IPv4 address such as 127.0.0.1:10001".to_owned()
        }
        _ => String::new(),
    };
    Failure::new(what, error, hint)
}
