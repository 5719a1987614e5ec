//! Headers of the PROXY protocol, version 2, with which a proxy tells a server for which client it
//! opens a connection (`proxy-protocol.txt` of `HAProxy`, section 2.2).
//!
//! ```text
//!   0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a   signature
//!   21 | 20                               version 2; PROXY or LOCAL
//!   11 | 21 | 31 | 00                     TCP over IPv4, over IPv6, Unix stream, unspecified
//!   00 0c                                 length of the addresses that follow
//! ```

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The kind of header that `--proxy-protocol` sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum ProxyHeader {
    /// Client and server have IP addresses
    Tcp,
    /// Client and server have Unix sockets, which few servers read
    Unix,
    /// The proxy itself is the client, as for a health check
    Local,
}

/// The addresses of which headers tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxiedAddresses {
    /// The addresses of clients, used in turn; never empty.
    sources: Vec<IpAddr>,
    /// The address of the server.
    target: SocketAddr,
}

impl ProxiedAddresses {
    /// The addresses for a server at `target`, or behind a Unix socket if it has none: a proxy in
    /// front of one sends the IP addresses that it knows, too.
    ///
    /// Without sources, clients are at the loopback address of the target's family. With sources
    /// of another family, IPv4 addresses are mapped to IPv6 ones (RFC 4291 2.5.5.2), because a
    /// header has a single family.
    #[must_use]
    pub fn new(sources: &[IpAddr], target: Option<SocketAddr>) -> Self {
        let loopback = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 80);
        let target = target.unwrap_or(loopback);
        let local: IpAddr = match target {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        let sources = if sources.is_empty() { vec![local] } else { sources.to_vec() };
        Self { sources, target }
    }

    /// The client's address for a slot: the sources in turn, each with a port of its own for each
    /// slot, so that the server can tell the slots apart. Connections of a slot that follow one
    /// another have the same.
    fn source(&self, slot: u32) -> SocketAddr {
        let ports = u32::from(u16::MAX - FIRST_PORT) + 1;
        let port = FIRST_PORT + u16::try_from(slot % ports).expect("below the number of ports");
        SocketAddr::new(self.sources[slot as usize % self.sources.len()], port)
    }

    /// The header for a slot. All slots have headers of the same length.
    #[must_use]
    pub fn header(&self, kind: ProxyHeader, slot: u32) -> Vec<u8> {
        let is_v4 = self.target.is_ipv4() && self.sources.iter().all(IpAddr::is_ipv4);
        let (source, target) = (self.source(slot), self.target);
        let (command, family, addresses) = match kind {
            ProxyHeader::Tcp if is_v4 => {
                (PROXY, TCP_OVER_IPV4, [v4(source), v4(target), ports(source, target)].concat())
            }
            ProxyHeader::Tcp => {
                (PROXY, TCP_OVER_IPV6, [v6(source), v6(target), ports(source, target)].concat())
            }
            ProxyHeader::Unix => {
                let client = format!("/uringload/{slot}");
                (PROXY, UNIX_STREAM, [path(&client), path("/uringload/server")].concat())
            }
            ProxyHeader::Local => (LOCAL, UNSPECIFIED, Vec::new()),
        };
        let length = u16::try_from(addresses.len()).expect("addresses have at most 216 bytes");
        let mut header = SIGNATURE.to_vec();
        header.extend([command, family]);
        header.extend(length.to_be_bytes());
        header.extend(addresses);
        header
    }
}

fn v4(address: SocketAddr) -> Vec<u8> {
    let IpAddr::V4(ip) = address.ip() else { unreachable!("all addresses are IPv4") };
    ip.octets().to_vec()
}

fn v6(address: SocketAddr) -> Vec<u8> {
    match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn ports(source: SocketAddr, target: SocketAddr) -> Vec<u8> {
    [source.port().to_be_bytes(), target.port().to_be_bytes()].concat()
}

/// A path, filled with zero bytes.
fn path(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(UNIX_PATH_BYTES, 0);
    bytes
}

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;
const UNIX_STREAM: u8 = 0x31;
const UNIX_PATH_BYTES: usize = 108;
/// The first port that needs no privilege.
const FIRST_PORT: u16 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
        bytes.iter().flat_map(digits).collect()
    }

    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("it is an address")
    }

    const SIGNATURE_IN_HEX: &str = "0d0a0d0a000d0a515549540a";

    /// Written out by hand from section 2.2 of the specification.
    #[test]
    fn headers_have_the_bytes_of_the_specification() {
        let v4 = ProxiedAddresses::new(&[], Some(address("127.0.0.1:8080")));
        let expected = format!("{SIGNATURE_IN_HEX}2111000c7f0000017f00000104001f90");
        assert_eq!(hex(&v4.header(ProxyHeader::Tcp, 0)), expected);
        let v6 = ProxiedAddresses::new(&[], Some(address("[::1]:443")));
        let one = "00000000000000000000000000000001";
        let expected = format!("{SIGNATURE_IN_HEX}21210024{one}{one}040301bb");
        assert_eq!(hex(&v6.header(ProxyHeader::Tcp, 3)), expected);
        assert_eq!(hex(&v4.header(ProxyHeader::Local, 9)), format!("{SIGNATURE_IN_HEX}20000000"));
        let unix = v4.header(ProxyHeader::Unix, 7);
        assert_eq!(hex(&unix[..16]), format!("{SIGNATURE_IN_HEX}213100d8"));
        assert_eq!(unix.len(), 16 + 216);
        assert!(unix[16..].starts_with(b"/uringload/7\0"));
        assert!(unix[16 + 108..].starts_with(b"/uringload/server\0"));
    }

    #[test]
    fn slots_have_addresses_of_their_own_and_headers_of_one_length() {
        let sources = [[127, 0, 0, 2].into(), [127, 0, 0, 3].into()];
        let addresses = ProxiedAddresses::new(&sources, Some(address("127.0.0.1:80")));
        assert_eq!(addresses.source(1), address("127.0.0.3:1025"));
        assert_eq!(addresses.source(64_512), address("127.0.0.2:1024"));
        let mapped = ProxiedAddresses::new(&sources, Some(address("[::1]:80")));
        assert_eq!(mapped.header(ProxyHeader::Tcp, 0).len(), 52);
        for kind in [ProxyHeader::Tcp, ProxyHeader::Unix, ProxyHeader::Local] {
            let lengths = [0, 1, 99_999].map(|slot| addresses.header(kind, slot).len());
            assert!(lengths.iter().all(|&length| length == lengths[0]), "{kind:?}");
        }
        let behind_unix = ProxiedAddresses::new(&[], None);
        assert_eq!(behind_unix.header(ProxyHeader::Tcp, 0).len(), 28);
    }
}
