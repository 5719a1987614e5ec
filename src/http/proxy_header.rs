//! Headers of the PROXY protocol, with which a proxy tells at the beginning of a connection for
//! which client it has opened it: version 1, a line of text, and version 2, which is binary
//! (`doc/proxy-protocol.txt` of `HAProxy`, sections 2.1 and 2.2).
//!
//! ```text
//!   PROXY TCP4 192.0.2.7 198.51.100.1 56324 80\r\n        version 1
//!   PROXY UNKNOWN\r\n
//!
//!   0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a                   version 2: its signature
//!   21 | 20                                               PROXY or LOCAL
//!   11 | 21 | 31 | ...                                    TCP over IPv4, IPv6, Unix stream, others
//!   00 0c                                                 the length of the rest
//!   addresses and ports of client and proxy, then any number of TLVs
//! ```
//!
//! The text is read strictly: it is the proxy's, which writes it in one way. TLVs are skipped,
//! the checksum among them: TCP has one of its own, and a receiver need not support it (2.2.3).

#[cfg(test)]
mod model_tests;
pub mod properties;

use crate::peer_address::PeerAddress;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The outcome of [`parse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParsedProxyHeader {
    /// The header isn't complete, and valid so far.
    Partial,
    /// A valid header. The bytes of the client follow it.
    Complete {
        /// The length of the header in bytes, at most [`PROXY_HEADER_BYTES_MAX`].
        len: usize,
        /// The address of the client. `None` if the header leaves that of the socket: the proxy
        /// speaks for itself, as in a health check, or knows no address that could be used.
        client: Option<PeerAddress>,
    },
    /// No header: the connection is to be aborted (2.1), whatever follows.
    Invalid,
}

/// Parses the header at the beginning of a connection.
///
/// `bytes` are all bytes that have arrived. After [`ParsedProxyHeader::Partial`], the next call
/// needs them again with the new ones appended.
///
/// # Examples
///
/// ```
/// use uringstatic::http::proxy_header::{ParsedProxyHeader, parse};
/// use uringstatic::peer_address::PeerAddress;
///
/// let bytes = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 80\r\nGET / HTTP/1.1\r\n";
/// let client = Some(PeerAddress::ip([192, 0, 2, 7].into(), 56324));
/// assert_eq!(parse(bytes), ParsedProxyHeader::Complete { len: 44, client });
/// assert_eq!(parse(&bytes[..43]), ParsedProxyHeader::Partial);
/// assert_eq!(parse(b"GET / HTTP/1.1\r\n"), ParsedProxyHeader::Invalid);
/// ```
#[must_use]
pub fn parse(bytes: &[u8]) -> ParsedProxyHeader {
    let outcome = match bytes.first() {
        None => Ok(None),
        Some(b'P') => parse_text(bytes),
        Some(_) => parse_binary(bytes),
    };
    match outcome {
        Ok(Some((len, client))) => ParsedProxyHeader::Complete { len, client },
        Ok(None) => ParsedProxyHeader::Partial,
        Err(NoHeader) => ParsedProxyHeader::Invalid,
    }
}

/// The bytes are no header, nor the beginning of one.
struct NoHeader;

/// The length of a header and the client that it names; `None` if it isn't complete.
type HeaderAndClient = Result<Option<(usize, Option<PeerAddress>)>, NoHeader>;

/// Version 1.
fn parse_text(bytes: &[u8]) -> HeaderAndClient {
    let bytes = &bytes[..bytes.len().min(TEXT_BYTES_MAX)];
    let Some(feed) = memchr::memchr(b'\n', bytes) else {
        let may_follow = bytes.len() < TEXT_BYTES_MAX && STARTS.iter().any(|s| agree(s, bytes));
        return if may_follow && !has_bare_return(bytes) { Ok(None) } else { Err(NoHeader) };
    };
    let line = bytes[..feed].strip_suffix(b"\r").ok_or(NoHeader)?;
    Ok(Some((feed + 1, client_of_line(line)?)))
}

/// Whether one text is the beginning of the other.
fn agree(a: &[u8], b: &[u8]) -> bool {
    a.iter().zip(b).all(|(a, b)| a == b)
}

/// Whether a carriage return is followed by something else than the line feed to come.
fn has_bare_return(bytes: &[u8]) -> bool {
    memchr::memchr(b'\r', bytes).is_some_and(|at| at + 1 < bytes.len())
}

/// The client of a line without its end, if it has one.
fn client_of_line(line: &[u8]) -> Result<Option<PeerAddress>, NoHeader> {
    if line.contains(&b'\r') {
        return Err(NoHeader);
    }
    if let Some(ignored) = line.strip_prefix(b"PROXY UNKNOWN") {
        let is_unknown = ignored.is_empty() || ignored.starts_with(b" ");
        return if is_unknown { Ok(None) } else { Err(NoHeader) };
    }
    let (protocol, words) = line.split_at_checked(STARTS[0].len()).ok_or(NoHeader)?;
    let words = std::str::from_utf8(words).map_err(|_| NoHeader)?;
    let client = match protocol {
        b"PROXY TCP4 " => client_of_words::<Ipv4Addr>(words),
        b"PROXY TCP6 " => client_of_words::<Ipv6Addr>(words),
        _ => None,
    };
    client.map(Some).ok_or(NoHeader)
}

/// The client of `source target source-port target-port`, all of which must be valid.
fn client_of_words<A: FromStr + Into<IpAddr>>(text: &str) -> Option<PeerAddress> {
    let mut words = text.split(' ');
    let mut next = || words.next();
    let (source, target, source_port, target_port) = (next()?, next()?, next()?, next()?);
    let source: A = source.parse().ok()?;
    let (Ok::<A, _>(_), Some(port), Some(_), None) =
        (target.parse(), port(source_port), port(target_port), words.next())
    else {
        return None;
    };
    Some(PeerAddress::ip(source.into(), port))
}

/// A port without leading zeros.
fn port(text: &str) -> Option<u16> {
    let is_canonical = text == "0" || text.starts_with(|c: char| matches!(c, '1'..='9'));
    text.parse().ok().filter(|_| is_canonical)
}

/// Version 2.
fn parse_binary(bytes: &[u8]) -> HeaderAndClient {
    if !agree(SIGNATURE, bytes) {
        return Err(NoHeader);
    }
    let is_local = match bytes.get(SIGNATURE.len()) {
        None => return Ok(None),
        Some(&LOCAL) => true,
        Some(&PROXY) => false,
        Some(_) => return Err(NoHeader),
    };
    let Some((&[.., family, high, low], rest)) = bytes.split_first_chunk::<FIXED_BYTES>() else {
        return Ok(None);
    };
    let len = usize::from(u16::from_be_bytes([high, low]));
    // The family of a LOCAL header is ignored, whatever it is (2.2).
    let addresses = if is_local { Addresses::Ignored } else { Addresses::of(family)? };
    if FIXED_BYTES + len > PROXY_HEADER_BYTES_MAX || len < addresses.bytes() {
        return Err(NoHeader);
    }
    let Some(rest) = rest.get(..len) else { return Ok(None) };
    Ok(Some((FIXED_BYTES + len, addresses.client(rest))))
}

/// The addresses of a header in version 2.
#[derive(Clone, Copy)]
enum Addresses {
    TcpOverIpv4,
    TcpOverIpv6,
    UnixStream,
    /// Those of an unspecified family or protocol, and datagrams, which no client of a stream has:
    /// a receiver that doesn't support a valid one falls back to unspecified (2.2).
    Ignored,
}

impl Addresses {
    fn of(family: u8) -> Result<Self, NoHeader> {
        match (family >> 4, family & 15) {
            (INET, STREAM) => Ok(Self::TcpOverIpv4),
            (INET6, STREAM) => Ok(Self::TcpOverIpv6),
            (UNIX, STREAM) => Ok(Self::UnixStream),
            (0..=UNIX, 0..=DATAGRAM) => Ok(Self::Ignored),
            _ => Err(NoHeader),
        }
    }

    /// Their length, behind which TLVs may follow.
    fn bytes(self) -> usize {
        match self {
            Self::TcpOverIpv4 => 2 * 4 + 2 * 2,
            Self::TcpOverIpv6 => 2 * 16 + 2 * 2,
            Self::UnixStream => 2 * 108,
            Self::Ignored => 0,
        }
    }

    /// The client, of bytes that are at least as many as the addresses have.
    fn client(self, bytes: &[u8]) -> Option<PeerAddress> {
        match self {
            Self::TcpOverIpv4 => Some(ip::<4>(bytes)),
            Self::TcpOverIpv6 => Some(ip::<16>(bytes)),
            Self::UnixStream => Some(PeerAddress::Unix),
            Self::Ignored => None,
        }
    }
}

/// The first of two addresses and of two ports.
fn ip<const LEN: usize>(bytes: &[u8]) -> PeerAddress
where
    IpAddr: From<[u8; LEN]>,
{
    let complete = "the addresses are complete";
    let &address = bytes.first_chunk::<LEN>().expect(complete);
    let &port = bytes[2 * LEN..].first_chunk().expect(complete);
    PeerAddress::ip(IpAddr::from(address), u16::from_be_bytes(port))
}

/// The most bytes of a header. A receiver bounds the TLVs itself: this many fit into one receive,
/// and nginx has the same bound.
pub const PROXY_HEADER_BYTES_MAX: usize = 4096;
/// The most bytes of a line in version 1 (2.1).
const TEXT_BYTES_MAX: usize = 107;
/// How lines in version 1 begin.
const STARTS: [&[u8]; 3] = [b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN"];

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The bytes of version 2 before the addresses.
const FIXED_BYTES: usize = 16;
/// Version 2, and the command LOCAL.
const LOCAL: u8 = 0x20;
/// Version 2, and the command PROXY.
const PROXY: u8 = 0x21;
const INET: u8 = 1;
const INET6: u8 = 2;
const UNIX: u8 = 3;
const STREAM: u8 = 1;
const DATAGRAM: u8 = 2;
