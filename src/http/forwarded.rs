//! The client's address behind proxies that speak HTTP: `X-Forwarded-For`, a convention, and
//! `Forwarded` (RFC 7239).
//!
//! Each proxy appends the address from which it got the request, so that the members of the list
//! are read from the right: the last one is by the proxy that sent the request, the one before it
//! by the proxy that this member names, and so on, as long as each of them is trusted. A client may
//! have written everything further to the left.
//!
//! ```text
//!   X-Forwarded-For: 198.51.100.9, 192.0.2.7, 10.0.0.3        from 10.0.0.2
//!                    │             │          └ by 10.0.0.2, which is trusted
//!                    │             └ by 10.0.0.3, which is trusted: the client
//!                    └ by 192.0.2.7, which isn't: perhaps made up
//! ```
//!
//! A member that names no address ends the reading as a member of a client does, and the address
//! that was read last counts.

pub mod properties;
#[cfg(test)]
mod tests;
mod trusted;

pub use trusted::TrustedProxy;

use super::grammar::{TOKEN, is, is_token, list_members};
use crate::peer_address::PeerAddress;
use httparse::Header;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Which proxies are believed when they tell of the client, and where. The comments on fields are
/// help texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct ForwardingOptions {
    /// Proxies that may name the client's address in a header field; may be repeated, or given as a
    /// list with commas [default: none]
    ///
    /// Each is an address, a network such as 10.0.0.0/8, or `unix:` for the peers of socket files.
    /// The proxy must be the peer, or named by the PROXY header. The address is used for the access
    /// log alone.
    #[arg(long, value_name = "CIDR", value_delimiter = ',', requires = "access_log")]
    pub trusted_proxies: Vec<TrustedProxy>,

    /// Header field in which trusted proxies name the client
    ///
    /// Only the field that the proxies set themselves is safe: they pass on the other one as the
    /// client sent it.
    #[arg(long, value_name = "FIELD", value_enum, default_value = "x-forwarded-for")]
    #[arg(requires = "trusted_proxies")]
    pub forwarded_field: ForwardedField,
}

/// The header field in which proxies name the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ForwardedField {
    /// X-Forwarded-For: addresses, as nearly all proxies can send them
    #[default]
    XForwardedFor,
    /// Forwarded (RFC 7239)
    Forwarded,
}

impl ForwardingOptions {
    /// The address of the client of a request that came from `peer` with these field lines.
    ///
    /// # Examples
    ///
    /// ```
    /// use uringstatic::http::forwarded::ForwardingOptions;
    /// use uringstatic::peer_address::PeerAddress;
    ///
    /// let trusted_proxies = vec!["10.0.0.0/8".parse()?];
    /// let options = ForwardingOptions { trusted_proxies, ..ForwardingOptions::default() };
    /// let value = b"198.51.100.9, 192.0.2.7, 10.0.0.3";
    /// let fields = [httparse::Header { name: "X-Forwarded-For", value }];
    /// let proxy = PeerAddress::ip([10, 0, 0, 2].into(), 33000);
    /// assert_eq!(options.client(proxy, &fields), PeerAddress::ip([192, 0, 2, 7].into(), 0));
    /// let stranger = PeerAddress::ip([192, 0, 2, 8].into(), 33000);
    /// assert_eq!(options.client(stranger, &fields), stranger);
    /// # Ok::<(), String>(())
    /// ```
    #[must_use]
    pub fn client(&self, peer: PeerAddress, fields: &[Header<'_>]) -> PeerAddress {
        if !self.trusts(peer) {
            return peer;
        }
        // From the left, so that quoted strings are read as they were written: what a member says
        // replaces what is known from its left, unless its proxy is trusted.
        let mut client = None;
        for field in fields.iter().filter(|field| self.forwarded_field.is_named(field.name)) {
            match self.forwarded_field {
                ForwardedField::XForwardedFor => {
                    for member in list_members(field.value).filter(|member| !member.is_empty()) {
                        self.read(member_address(member), &mut client);
                    }
                }
                ForwardedField::Forwarded => self.read_elements(field.value, &mut client),
            }
        }
        client.unwrap_or(peer)
    }

    /// Whether any proxy is trusted.
    #[must_use]
    pub fn trusts_any(&self) -> bool {
        !self.trusted_proxies.is_empty()
    }

    /// Whether a peer's word about the client is taken. Without trusted proxies, nobody's is.
    fn trusts(&self, peer: PeerAddress) -> bool {
        self.trusted_proxies.iter().any(|trusted| trusted.contains(peer))
    }

    /// Reads one member: `client` is what the members to the left of it say.
    fn read(&self, member: Option<PeerAddress>, client: &mut Option<PeerAddress>) {
        *client = match (member, *client) {
            // It says nothing, so what is to its left doesn't count.
            (None, _) => None,
            (Some(proxy), Some(of_proxy)) if self.trusts(proxy) => Some(of_proxy),
            (Some(address), _) => Some(address),
        };
    }

    /// Reads the elements of a line of `Forwarded`. If the line doesn't follow the grammar, all of
    /// it says nothing: a client may have opened a quoted string to hide the next element in it.
    fn read_elements(&self, line: &[u8], client: &mut Option<PeerAddress>) {
        let mut rest = line;
        loop {
            let Some((element, after)) = element(rest) else {
                *client = None;
                return;
            };
            match element {
                // Empty members of a list are ignored (RFC 9110 5.6.1.2).
                Element::Empty => {}
                Element::For(value) => self.read(node(value), client),
                Element::WithoutFor => self.read(None, client),
            }
            match after {
                [b',', next @ ..] => rest = next,
                _ => return,
            }
        }
    }
}

impl ForwardedField {
    fn is_named(self, name: &str) -> bool {
        name.eq_ignore_ascii_case(match self {
            Self::XForwardedFor => "X-Forwarded-For",
            Self::Forwarded => "Forwarded",
        })
    }
}

/// `forwarded-element`, as far as it matters here (RFC 7239 4).
enum Element<'a> {
    Empty,
    /// The value of `for`, a quoted string without its quotes and with its backslashes.
    For(&'a [u8]),
    WithoutFor,
}

/// Parses an element; returns it with the rest of the line, which is empty or begins with a comma.
/// `None` if it doesn't follow the grammar. A space is accepted around semicolons, where many
/// proxies write one.
fn element(line: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let mut rest = trim_start(line);
    let mut found = None;
    let mut is_empty = true;
    loop {
        if !matches!(rest.first(), None | Some(b',' | b';')) {
            let (name, value, after) = pair(rest)?;
            is_empty = false;
            if name.eq_ignore_ascii_case(b"for") {
                // Each parameter occurs once at most (RFC 7239 4).
                if found.replace(value).is_some() {
                    return None;
                }
            }
            rest = trim_start(after);
        }
        match rest {
            [] | [b',', ..] => break,
            [b';', next @ ..] => rest = trim_start(next),
            _ => return None,
        }
    }
    let element = match found {
        Some(value) => Element::For(value),
        None if is_empty => Element::Empty,
        None => Element::WithoutFor,
    };
    Some((element, rest))
}

/// Parses `token "=" value`; returns name, value and the rest.
fn pair(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let equals = text.iter().position(|&octet| octet == b'=')?;
    let (name, value) = (&text[..equals], &text[equals + 1..]);
    if !is_token(name) {
        return None;
    }
    if let [b'"', quoted @ ..] = value {
        let end = quoted_end(quoted)?;
        return Some((name, &quoted[..end], &quoted[end + 1..]));
    }
    let end = value.iter().position(|&octet| !is(octet, TOKEN)).unwrap_or(value.len());
    let (token, rest) = value.split_at(end);
    is_token(token).then_some((name, token, rest))
}

/// The place of the closing quote of a quoted string (RFC 9110 5.6.4).
fn quoted_end(quoted: &[u8]) -> Option<usize> {
    let mut is_escaped = false;
    quoted.iter().position(|&octet| {
        let is_end = octet == b'"' && !is_escaped;
        is_escaped = octet == b'\\' && !is_escaped;
        is_end
    })
}

fn trim_start(text: &[u8]) -> &[u8] {
    let blank = text.iter().take_while(|&&octet| matches!(octet, b' ' | b'\t')).count();
    &text[blank..]
}

/// The address of a member of `X-Forwarded-For`: as in `Forwarded`, or an IPv6 address as it is.
fn member_address(member: &[u8]) -> Option<PeerAddress> {
    let bare = || std::str::from_utf8(member).ok()?.parse::<Ipv6Addr>().ok();
    node(member).or_else(|| bare().map(|address| PeerAddress::ip(address.into(), 0)))
}

/// The address of a `node` (RFC 7239 6): `192.0.2.7`, `192.0.2.7:4711`, `[2001:db8::7]`,
/// `[2001:db8::7]:4711`. `None` for anything else, as for `unknown` and for a name that hides an
/// address (6.2, 6.3).
fn node(text: &[u8]) -> Option<PeerAddress> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        return Some(PeerAddress::ip(address.into(), node_port(port)?));
    }
    let (address, port) = text.split_at(text.find(':').unwrap_or(text.len()));
    let address: Ipv4Addr = address.parse().ok()?;
    Some(PeerAddress::ip(address.into(), node_port(port)?))
}

/// The port behind an address, 0 without one: nothing, `:` and up to five digits, or `:_` and a
/// name that hides the port (`obfport`, RFC 7239 6.3).
fn node_port(text: &str) -> Option<u16> {
    match text.as_bytes() {
        [] => Some(0),
        [b':', b'_', name @ ..] => {
            let is_of_name = |octet: &u8| octet.is_ascii_alphanumeric() || b"._-".contains(octet);
            (!name.is_empty() && name.iter().all(is_of_name)).then_some(0)
        }
        [b':', digits @ ..] => {
            let is_number =
                (1..=5).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
            text[1..].parse().ok().filter(|_| is_number)
        }
        _ => None,
    }
}
