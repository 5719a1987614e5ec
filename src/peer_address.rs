//! The address of the peer of a connection, in few bytes, as a record of a request has it.
//!
//! Imports nothing, so that engines, protocols and records share the type.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The address of the client of an accepted connection: that of its socket, or the one of which a
/// trusted proxy tells. It says where a request came from, and grants nothing.
///
/// The text is that of nginx's `$remote_addr` where there is no IP address: `unix:` for a Unix
/// socket, whose clients rarely have a name; `-` if the address is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PeerAddress {
    /// Nobody asked for the address, or a proxy doesn't know it.
    #[default]
    Unknown,
    /// A Unix socket.
    Unix,
    /// An IP address and a port. A proxy may know no port, which is then 0.
    Ip {
        /// IPv4 addresses are never mapped to IPv6 ones (RFC 4291 2.5.5.2).
        address: IpAddr,
        /// The port, or 0.
        port: u16,
    },
}

impl PeerAddress {
    /// An IP address and a port; a mapped IPv4 address becomes what it is.
    #[must_use]
    pub fn ip(address: IpAddr, port: u16) -> Self {
        Self::Ip { address: address.to_canonical(), port }
    }

    /// The IP address, if there is one.
    #[must_use]
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Self::Ip { address, .. } => Some(address),
            Self::Unix | Self::Unknown => None,
        }
    }
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        Self::ip(address.ip(), address.port())
    }
}

impl fmt::Display for PeerAddress {
    /// The address without the port, as access logs have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("-"),
            Self::Unix => f.write_str("unix:"),
            Self::Ip { address, .. } => address.fmt(f),
        }
    }
}

/// A record has one for each slot and request.
const _: () = assert!(size_of::<PeerAddress>() <= 20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_ipv4_addresses_are_ipv4_addresses() {
        let mapped: SocketAddr = "[::ffff:192.0.2.7]:80".parse().expect("it is an address");
        assert_eq!(PeerAddress::from(mapped), PeerAddress::ip([192, 0, 2, 7].into(), 80));
        assert_eq!(PeerAddress::from(mapped).to_string(), "192.0.2.7");
        assert_eq!(PeerAddress::Unix.to_string(), "unix:");
        assert_eq!(PeerAddress::default().to_string(), "-");
    }
}
