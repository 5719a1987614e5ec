//! Addresses to listen on, and why a socket doesn't listen there.

use crate::error::{Failure, errno_of};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Endpoint {
    /// The endpoint as a word of a command line. Paths need not be UTF-8.
    #[must_use]
    pub fn to_word(&self) -> OsString {
        match self {
            Self::Tcp(address) => address.to_string().into(),
            Self::Unix(path) => {
                let mut word = OsString::from("unix:");
                word.push(path);
                word
            }
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why a socket doesn't listen.
#[derive(Debug)]
pub struct ListenError {
    /// The address.
    pub endpoint: Endpoint,
    /// The kernel's refusal.
    pub error: io::Error,
}

impl ListenError {
    /// A remedy for the operator, without the names of options; empty if none is known.
    #[must_use]
    pub fn hint(&self) -> String {
        match &self.endpoint {
            Endpoint::Tcp(address) => self.hint_for_tcp(*address),
            Endpoint::Unix(path) => self.hint_for_unix(path),
        }
    }

    fn hint_for_tcp(&self, address: SocketAddr) -> String {
        let port = address.port();
        match errno_of(&self.error) {
            libc::EADDRINUSE => format!(
                "another process listens there: `ss -ltnp 'sport = :{port}'` shows which; or \
                 choose another port"
            ),
            libc::EACCES | libc::EPERM => format!(
                "ports below `sysctl net.ipv4.ip_unprivileged_port_start` need a privilege: choose \
                 a port other than {port}, or `setcap cap_net_bind_service=+ep` the program"
            ),
            libc::EADDRNOTAVAIL => {
                "this machine doesn't have the address: `ip address` lists those it has".to_owned()
            }
            libc::EAFNOSUPPORT => {
                "IPv6 is off here: listen on an IPv4 address such as 127.0.0.1:10001".to_owned()
            }
            _ => String::new(),
        }
    }

    fn hint_for_unix(&self, path: &Path) -> String {
        match errno_of(&self.error) {
            libc::EADDRINUSE => format!(
                "another process listens there, or the file is no socket: `ls -l {0}`; `ss -lxp`",
                path.display()
            ),
            libc::EACCES | libc::EPERM | libc::ENOENT | libc::EROFS => {
                let folder = path.parent().unwrap_or(Path::new("/")).display();
                format!("the folder {folder} must exist and be writable for this user")
            }
            libc::ENAMETOOLONG => "the path of a socket has at most 107 bytes".to_owned(),
            _ => String::new(),
        }
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "listening on {}: {}", self.endpoint, self.error)
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<ListenError> for Failure {
    fn from(error: ListenError) -> Self {
        Self::new(format!("listening on {}", error.endpoint), &error.error, error.hint())
    }
}
