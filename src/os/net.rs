//! Listening sockets. Through system calls, because the standard library's listener has a fixed
//! backlog of 128.

mod endpoint;
mod listener;
mod passed;
mod peer;
mod socket;
mod unix;

pub use endpoint::{Endpoint, ListenError};
pub use listener::Listener;
pub use passed::PassedError;
pub(crate) use peer::{PeerPlace, accept_with_peer};
pub use socket::RETRY;
pub(crate) use socket::{OwnedSocket, set_option, stream_socket};
pub use unix::Access;

use super::proc::Proc;
use rustix::net::{AddressFamily, sockopt};
use socket::until_free;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Binds and listens: [`bind`], then [`Listener::start`].
///
/// # Errors
/// If the address is in use, doesn't belong to this machine, or isn't permitted.
pub fn listen(
    endpoint: &Endpoint,
    backlog: u32,
    defer_accept: bool,
) -> Result<Listener, ListenError> {
    let listener = bind(endpoint, backlog, defer_accept)?;
    listener.start(backlog)?;
    Ok(listener)
}

/// Binds. A TCP socket does not listen before [`Listener::start`], so that no client is queued by a
/// server that then fails to start. A Unix socket listens at once, with this backlog: a socket file
/// that refuses connections passes for a stale one, and another server would replace it.
///
/// A port stays bound for some 16 to 37 ms after a server with an `io_uring` has exited, so "in
/// use" is final only after [`RETRY`]. With `defer_accept`, a TCP connection is accepted when its
/// first bytes have arrived (`TCP_DEFER_ACCEPT`, tcp(7)).
///
/// # Errors
/// If the address is in use, doesn't belong to this machine, or isn't permitted.
pub fn bind(
    endpoint: &Endpoint,
    backlog: u32,
    defer_accept: bool,
) -> Result<Listener, ListenError> {
    bind_with(endpoint, backlog, defer_accept, Access::default())
}

/// Binds with a mode and a group for the file of a Unix socket. No client can connect before the
/// file has them.
///
/// # Errors
/// The errors of [`bind`], and if the file can't be given the group.
pub fn bind_with(
    endpoint: &Endpoint,
    backlog: u32,
    defer_accept: bool,
    access: Access,
) -> Result<Listener, ListenError> {
    until_free(endpoint, || match endpoint {
        Endpoint::Tcp(address) => bind_tcp(*address, defer_accept),
        Endpoint::Unix(path) => unix::listen(path, backlog, access),
    })
}

fn bind_tcp(address: SocketAddr, defer_accept: bool) -> io::Result<Listener> {
    let fd = stream_socket(family_of(&address))?;
    sockopt::set_socket_reuseaddr(&fd, true)?;
    if address.is_ipv6() {
        // So that the program can listen on 0.0.0.0 and [::] side by side.
        sockopt::set_ipv6_v6only(&fd, true)?;
    }
    // Accepted sockets inherit it: a response must not wait for the ACK of the previous one.
    sockopt::set_tcp_nodelay(&fd, true)?;
    if defer_accept {
        set_option(&fd, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, 1)?;
    }
    rustix::net::bind(&fd, &address)?;
    let bound = SocketAddr::try_from(rustix::net::getsockname(&fd)?)?;
    Ok(Listener::new(fd, Endpoint::Tcp(bound), None))
}

/// The family of an IP address.
pub(crate) fn family_of(address: &SocketAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

/// Makes closing reset the connection, whatever was sent or received (`SO_LINGER` of 0, socket(7)),
/// as a hostile peer does. The standard library doesn't offer it.
///
/// # Errors
/// The errors of setsockopt(2).
pub fn reset_on_close(stream: &TcpStream) -> io::Result<()> {
    Ok(sockopt::set_socket_linger(stream, Some(Duration::ZERO))?)
}

/// Whether a send can open a connection (`net.ipv4.tcp_fastopen`, bit 0, which the kernel sets by
/// default). An unreadable setting counts as set.
#[must_use]
pub fn sends_connect() -> bool {
    let setting = Proc::system().sysctl("net.ipv4.tcp_fastopen");
    setting.ok().and_then(|text| text.parse::<u32>().ok()).is_none_or(|bits| bits & 1 != 0)
}
