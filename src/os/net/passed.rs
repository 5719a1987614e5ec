//! Listening sockets that a service manager made and keeps (socket activation, systemd.socket(5)).
//! They outlive this process, so nothing is done to them that the next one couldn't undo.

use super::endpoint::Endpoint;
use super::listener::Listener;
use super::socket::get_option;
use rustix::net::{SocketAddrAny, SocketAddrUnix, SocketType, getpeername, getsockname, sockopt};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Why a passed descriptor can't become a listener.
#[derive(Debug)]
pub enum PassedError {
    /// It is no socket, or the kernel doesn't tell.
    Unknown(io::Error),
    /// It is no stream socket.
    NoStream,
    /// It is of another family than IPv4, IPv6 and Unix.
    OtherFamily,
    /// It is a connection: the manager has accepted it.
    Connection,
    /// It is bound to no address.
    Unbound,
}

impl fmt::Display for PassedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(error) => error.fmt(f),
            Self::NoStream => f.write_str("it is no stream socket"),
            Self::OtherFamily => f.write_str("its family is neither IPv4 nor IPv6 nor Unix"),
            Self::Connection => f.write_str("it is a connection and no listening socket"),
            Self::Unbound => f.write_str("it is bound to no address"),
        }
    }
}

impl PassedError {
    /// The setting of a socket unit that is wrong; empty if none is known.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unknown(_) | Self::Unbound => "",
            Self::NoStream | Self::OtherFamily => "use ListenStream= with an address or a path",
            Self::Connection => "set Accept=no",
        }
    }
}

impl From<rustix::io::Errno> for PassedError {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Unknown(errno.into())
    }
}

impl Listener {
    /// Makes a listener of a socket that a service manager passed. The socket keeps its options,
    /// but no response waits for an ACK (`TCP_NODELAY`).
    ///
    /// A socket that doesn't listen is accepted: [`Listener::start`] makes it listen, which also
    /// mends one that an earlier process has shut down.
    ///
    /// # Errors
    /// If it is something else than the socket of a server.
    pub fn passed(fd: OwnedFd) -> Result<Self, PassedError> {
        if sockopt::socket_type(&fd)? != SocketType::STREAM {
            return Err(PassedError::NoStream);
        }
        let endpoint = endpoint_of(getsockname(&fd)?)?;
        let listens = get_option(&fd, libc::SOL_SOCKET, libc::SO_ACCEPTCONN);
        if listens.map_err(PassedError::Unknown)? == 0 && getpeername(&fd).is_ok() {
            return Err(PassedError::Connection);
        }
        if let Endpoint::Tcp(_) = endpoint {
            sockopt::set_tcp_nodelay(&fd, true)?;
        }
        Ok(Self::new(fd, endpoint, None).kept_by_manager())
    }
}

fn endpoint_of(address: SocketAddrAny) -> Result<Endpoint, PassedError> {
    if let Ok(address) = SocketAddr::try_from(address.clone()) {
        let is_bound = address.port() != 0;
        return is_bound.then_some(Endpoint::Tcp(address)).ok_or(PassedError::Unbound);
    }
    let Ok(address) = SocketAddrUnix::try_from(address) else {
        return Err(PassedError::OtherFamily);
    };
    path_of(&address).map(Endpoint::Unix).ok_or(PassedError::Unbound)
}

/// The path of a Unix socket; an abstract name, which has no file, after `@` as ss(8) shows it.
fn path_of(address: &SocketAddrUnix) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let bytes = match (address.path_bytes(), address.abstract_name()) {
        (Some(path), _) => path.to_vec(),
        (None, Some(name)) => [b"@", name].concat(),
        (None, None) => return None,
    };
    Some(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixListener;

    #[test]
    fn listening_socket_is_taken_with_its_address_and_made_to_send_at_once() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let listener = Listener::passed(socket.into()).unwrap();
        assert_eq!(listener.endpoint, Endpoint::Tcp(address));
        assert!(listener.is_passed());
        assert!(sockopt::tcp_nodelay(listener.socket()).unwrap());
        let mut client = TcpStream::connect(address).unwrap();
        assert!(sockopt::tcp_nodelay(&client).is_ok());
        std::io::Write::write_all(&mut client, b"x").unwrap();
    }

    #[test]
    fn other_descriptors_are_refused_with_the_setting_to_change() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        let (accepted, _) = socket.accept().unwrap();
        let unbound =
            rustix::net::socket(rustix::net::AddressFamily::INET, SocketType::STREAM, None);
        let cases: [(OwnedFd, &str, &str); 5] = [
            (accepted.into(), "it is a connection", "Accept=no"),
            (client.into(), "it is a connection", "Accept=no"),
            (UdpSocket::bind("127.0.0.1:0").unwrap().into(), "no stream", "ListenStream="),
            (unbound.unwrap(), "bound to no address", ""),
            (std::io::pipe().unwrap().0.into(), "Socket operation on non-socket", ""),
        ];
        for (fd, why, hint) in cases {
            let error = Listener::passed(fd).err().expect("it is refused");
            assert!(error.to_string().contains(why), "{error}");
            assert!(error.hint().contains(hint), "{error}: {}", error.hint());
        }
    }

    #[test]
    fn socket_file_of_a_manager_stays_and_its_filter_is_left_alone() {
        let path = std::env::temp_dir().join(format!("uringstatic-passed-{}", std::process::id()));
        let socket = UnixListener::bind(&path).unwrap();
        let listener = Listener::passed(socket.into()).unwrap();
        assert_eq!(listener.endpoint, Endpoint::Unix(path.clone()));
        drop(listener);
        assert!(path.exists());
        std::fs::remove_file(&path).unwrap();

        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let kept = socket.as_fd().try_clone_to_owned().unwrap();
        let listener = Listener::passed(socket.into()).unwrap();
        assert!(listener.drop_answers().is_err());
        assert_eq!(get_option(&kept, libc::SOL_SOCKET, libc::SO_LOCK_FILTER).unwrap(), 0);
    }
}
