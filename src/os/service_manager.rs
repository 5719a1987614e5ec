//! What a service manager passes to the process that it starts, by the environment, and what that
//! process reports to it: the protocols of systemd, which other managers and container runtimes
//! speak, too (`sd_listen_fds(3)`, `sd_notify(3)`, `sd_watchdog_enabled(3)`).
//!
//! The environment is only read: [`clear_environment`](super::inherited::clear_environment) empties
//! it later. The crate's own `notify` opens a socket for each message by a path in the environment,
//! neither of which a process in a sandbox has.

use super::inherited::InheritedDescriptors;
use sd_notify::NotifyState;
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// A socket that the service manager made before it started this process.
#[derive(Debug)]
pub struct PassedSocket {
    /// The socket.
    pub fd: OwnedFd,
    /// The name that the manager gave it (`FileDescriptorName=`, systemd.socket(5)); `unknown` if
    /// it gave none.
    pub name: String,
}

/// Takes the passed sockets out of the inherited descriptors, in the order in which they were
/// passed. There are none if the environment is meant for another process (`LISTEN_PID`).
///
/// # Errors
/// If the environment contradicts itself or the descriptors.
pub fn passed_sockets(inherited: &mut InheritedDescriptors) -> io::Result<Vec<PassedSocket>> {
    let mut claim = |(number, name)| match inherited.claim(number) {
        Some(fd) => Ok(PassedSocket { fd, name }),
        None => Err(io::Error::other(format!("descriptor {number} was not inherited"))),
    };
    sd_notify::listen_fds_with_names()?.map(&mut claim).collect()
}

/// The time within which the service manager expects a sign of life of this process, if it does.
#[must_use]
pub fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|period| !period.is_zero())
}

/// The environment variables of these protocols, which are not meant for a child of this process.
pub const VARIABLES: [&str; 7] = [
    NOTIFY_SOCKET,
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
];

const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// The way to the service manager. Sending doesn't wait.
#[derive(Debug)]
pub struct NotificationSocket(UnixDatagram);

impl NotificationSocket {
    /// Connects to the manager of the environment, if there is one. A process that has entered its
    /// sandbox can't.
    ///
    /// # Errors
    /// If the socket can't be reached, or its address is of an unknown kind.
    pub fn of_environment() -> io::Result<Option<Self>> {
        std::env::var_os(NOTIFY_SOCKET).map(|name| Self::connect(&name)).transpose()
    }

    /// Connects to a socket by its path, or by its abstract name after `@` (unix(7)).
    fn connect(name: &OsStr) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => {
                let why = "it is neither an absolute path nor an abstract name";
                return Err(io::Error::new(ErrorKind::Unsupported, why));
            }
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        // A manager that is stopped must not stop this process.
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    /// Sends a message ([`message`]).
    ///
    /// # Errors
    /// `EAGAIN` if the manager hasn't received earlier ones, `ECONNREFUSED` if it has gone.
    pub fn send(&self, message: &str) -> io::Result<()> {
        self.0.send(message.as_bytes()).map(drop)
    }
}

/// Puts states into the text of one message.
#[must_use]
pub fn message(states: &[NotifyState<'_>]) -> String {
    let lines: Vec<String> = states.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received_by(manager: &UnixDatagram) -> String {
        let mut place = [0; 100];
        let len = manager.recv(&mut place).unwrap();
        String::from_utf8(place[..len].to_vec()).unwrap()
    }

    #[test]
    fn messages_reach_a_manager_by_its_path_and_by_its_abstract_name() {
        let folder =
            std::env::temp_dir().join(format!("uringstatic-notify-{}", std::process::id()));
        let manager = UnixDatagram::bind(&folder).unwrap();
        let socket = NotificationSocket::connect(folder.as_os_str()).unwrap();
        std::fs::remove_file(&folder).unwrap();
        socket.send(&message(&[NotifyState::Ready, NotifyState::Status("two words")])).unwrap();
        assert_eq!(received_by(&manager), "READY=1\nSTATUS=two words");

        let name = format!("@uringstatic-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name[1..]).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let socket = NotificationSocket::connect(OsStr::new(&name)).unwrap();
        socket.send(&message(&[NotifyState::Watchdog])).unwrap();
        assert_eq!(received_by(&manager), "WATCHDOG=1");
    }

    #[test]
    fn manager_that_receives_nothing_makes_no_sender_wait() {
        let name = format!("@uringstatic-notify-full-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name[1..]).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let socket = NotificationSocket::connect(OsStr::new(&name)).unwrap();
        let error = (0..100_000).find_map(|_| socket.send("WATCHDOG=1\n").err()).unwrap();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        drop(manager);
        let error = socket.send("WATCHDOG=1\n").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn address_of_another_kind_is_refused() {
        for name in ["", "vsock:2:1234", "run/notify"] {
            let error = NotificationSocket::connect(OsStr::new(name)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{name}");
        }
    }
}
