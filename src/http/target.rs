//! Request targets (RFC 9112 3.2) and hosts (RFC 3986 3.2.2). Accepted are the grammar of the RFCs
//! and the few octets that browsers leave unencoded (see `grammar`).

use super::grammar::{self, PATH_ACCEPTED, QUERY_ACCEPTED, REG_NAME, SCHEME};

/// A request target in one of its four forms. Nothing in it is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'b> {
    /// `/path?query`, the usual form (RFC 9112 3.2.1).
    Origin {
        /// The path, which begins with a slash.
        path: &'b [u8],
        /// The query without its question mark. A `%` in it need not begin percent-encoding.
        query: Option<&'b [u8]>,
    },
    /// `scheme://authority/path?query`, as sent to proxies, which a server must accept, too
    /// (RFC 9112 3.2.2).
    Absolute {
        /// The path, which may be empty.
        path: &'b [u8],
        /// The query without its question mark. A `%` in it need not begin percent-encoding.
        query: Option<&'b [u8]>,
    },
    /// `host:port`, for CONNECT only (RFC 9112 3.2.3).
    Authority,
    /// `*`, for OPTIONS only (RFC 9112 3.2.4).
    Asterisk,
}

/// Parses the target of a request with this method; `None` if the grammar forbids it.
pub(super) fn parse<'b>(method: &str, target: &'b [u8]) -> Option<Target<'b>> {
    match (method, target.first()?) {
        ("CONNECT", _) => is_host(target, Port::Required).then_some(Target::Authority),
        (_, b'/') => {
            let (path, query) = path_and_query(target)?;
            Some(Target::Origin { path, query })
        }
        ("OPTIONS", b'*') if target.len() == 1 => Some(Target::Asterisk),
        _ => absolute(target),
    }
}

/// Whether the value of `Host` is valid: a host with or without a port, of which the host may be
/// empty (RFC 9110 7.2).
pub(super) fn is_host_field(value: &[u8]) -> bool {
    is_host(value, Port::Optional)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Port {
    Required,
    Optional,
}

fn path_and_query(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let (path, query) = match grammar::find(b'?', text) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let valid = grammar::all_or_encoded(path, PATH_ACCEPTED)
        && query.is_none_or(|query| grammar::all(query, QUERY_ACCEPTED));
    valid.then_some((path, query))
}

fn absolute(target: &[u8]) -> Option<Target<'_>> {
    let colon = memchr::memchr(b':', target)?;
    let scheme = &target[..colon];
    let rest = target[colon + 1..].strip_prefix(b"//")?;
    let scheme_is_valid = scheme.first()?.is_ascii_alphabetic()
        && scheme.iter().all(|&octet| grammar::is(octet, SCHEME));
    let (authority, rest) = split_authority(rest);
    // An empty host is invalid in `http` URIs (RFC 9110 4.2.1). User information is refused (RFC
    // 9110 4.2.4): `@` is in none of the classes of a host.
    let host_is_valid =
        !matches!(authority.first(), None | Some(b':')) && is_host(authority, Port::Optional);
    let (path, query) = path_and_query(rest)?;
    (scheme_is_valid && host_is_valid).then_some(Target::Absolute { path, query })
}

/// The authority of a valid target in absolute form: the host, with the port if there is one.
pub(super) fn authority(target: &[u8]) -> &[u8] {
    let start = memchr::memmem::find(target, b"://").map_or(target.len(), |at| at + 3);
    split_authority(&target[start..]).0
}

/// Splits the text after `scheme://` before the path or query.
fn split_authority(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|octet| matches!(octet, b'/' | b'?')).unwrap_or(text.len());
    text.split_at(end)
}

fn is_host(text: &[u8], port: Port) -> bool {
    let (host_is_valid, rest) = if text.first() == Some(&b'[') {
        let Some(end) = memchr::memchr(b']', text) else { return false };
        (is_ip_literal(&text[1..end]), &text[end + 1..])
    } else {
        let end = grammar::find(b':', text).unwrap_or(text.len());
        let named = end > 0 || port == Port::Optional;
        (named && grammar::all_or_encoded(&text[..end], REG_NAME), &text[end..])
    };
    // `port` is `*DIGIT` (RFC 3986 3.2.3), but CONNECT needs a number.
    let port_is_valid = match (rest.split_first(), port) {
        (None, Port::Optional) => true,
        (Some((b':', digits)), Port::Optional) => digits.iter().all(u8::is_ascii_digit),
        (Some((b':', digits)), Port::Required) => {
            !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    };
    host_is_valid && port_is_valid
}

/// `IPv6address` or `IPvFuture`, the text between the brackets of an `IP-literal`.
fn is_ip_literal(text: &[u8]) -> bool {
    if let Some((b'v' | b'V', rest)) = text.split_first() {
        let Some(dot) = memchr::memchr(b'.', rest) else { return false };
        let (version, address) = (&rest[..dot], &rest[dot + 1..]);
        let is_address = |&octet: &u8| grammar::is(octet, REG_NAME) || octet == b':';
        return !version.is_empty()
            && version.iter().all(u8::is_ascii_hexdigit)
            && !address.is_empty()
            && address.iter().all(is_address);
    }
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
}
