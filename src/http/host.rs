//! The hosts that the server answers for (RFC 9110 7.2 and 7.4).
//!
//! The list is a defence against DNS rebinding: a hostile site lets its own name resolve to the
//! address of this server, so that its scripts can read responses in the browser of any visitor
//! with access to the server. `Host` still has the name of the hostile site, which isn't on the
//! list.

use std::net::Ipv6Addr;
use std::str::FromStr;

/// The hosts that requests may name. The default allows every request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts(Box<[AllowedHost]>);

impl AllowedHosts {
    /// A list of at most [`ALLOWED_HOSTS_MAX`] entries; an empty one allows every request.
    #[must_use]
    pub fn new(hosts: Vec<AllowedHost>) -> Self {
        Self(hosts.into())
    }

    /// Whether a request with this authority is allowed. The grammar of the authority was checked;
    /// `None` stands for a request in HTTP/1.0 without `Host`.
    #[must_use]
    pub fn allow(&self, authority: Option<&[u8]>) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let Some(requested) = authority.and_then(RequestedAuthority::parse) else { return false };
        self.0.iter().any(|allowed| allowed.covers(&requested))
    }
}

/// One entry of the list: a host name, all names below one, or an address, with a port or without.
///
/// # Examples
///
/// ```
/// use uringstatic::http::host::{AllowedHost, AllowedHosts};
///
/// let hosts = ["example.org", "*.example.org", "[::1]:8080"];
/// let hosts: Result<Vec<AllowedHost>, String> = hosts.iter().map(|host| host.parse()).collect();
/// let hosts = AllowedHosts::new(hosts?);
/// assert!(hosts.allow(Some(b"WWW.example.org.:80")));
/// assert!(!hosts.allow(Some(b"[::1]")));
/// assert!(!hosts.allow(None));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHost {
    host: Host,
    /// `None` allows any port.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    /// A name or an IPv4 address, in lower case, without a final dot.
    Name(Box<[u8]>),
    /// Every longer name with this end, which begins with a dot.
    Below(Box<[u8]>),
    V6(Ipv6Addr),
}

impl AllowedHost {
    fn covers(&self, requested: &RequestedAuthority<'_>) -> bool {
        let host_is_covered = match (&self.host, &requested.host) {
            (Host::Name(name), RequestedHost::Name(host)) => host.eq_ignore_ascii_case(name),
            (Host::Below(suffix), RequestedHost::Name(host)) => {
                host.len().checked_sub(suffix.len()).is_some_and(|at| {
                    at > 0 && host[at..].eq_ignore_ascii_case(suffix) && host[0] != b'.'
                })
            }
            (Host::V6(address), RequestedHost::V6(host)) => address == host,
            (Host::Name(_) | Host::Below(_), RequestedHost::V6(_))
            | (Host::V6(_), RequestedHost::Name(_)) => false,
        };
        host_is_covered && self.port.is_none_or(|port| requested.port == Some(port))
    }
}

impl FromStr for AllowedHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('/') {
            return Err("write the host alone, without a scheme or a path".to_owned());
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(format!("write an IPv6 address in brackets: [{text}]"));
        }
        let end = match text.strip_prefix('[') {
            Some(rest) => rest.find(']').ok_or(FORMS)? + 2,
            None => text.find(':').unwrap_or(text.len()),
        };
        let (host, port) = text.split_at(end);
        let port = match port.strip_prefix(':') {
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                Some(digits.parse().map_err(|_| format!("'{digits}' is not a port number"))?)
            }
            None if port.is_empty() => None,
            Some(_) | None => return Err(FORMS.to_owned()),
        };
        if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let address =
                address.parse().map_err(|_| format!("'{address}' is not an IPv6 address"))?;
            return Ok(Self { host: Host::V6(address), port });
        }
        Ok(Self { host: Host::parse_name(host)?, port })
    }
}

impl Host {
    /// Parses a name or an IPv4 address, or `*.` before a name.
    fn parse_name(host: &str) -> Result<Self, String> {
        let (name, is_suffix) = match host.strip_prefix('*') {
            Some(rest) => (rest.strip_prefix('.').ok_or(WILDCARD)?, true),
            None => (host, false),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_label_octet);
        if !name.is_ascii() {
            return Err("write an internationalised name as browsers send it: xn--...".to_owned());
        }
        if name.contains('*') {
            return Err(WILDCARD.to_owned());
        }
        if !name.split('.').all(is_label) {
            return Err(FORMS.to_owned());
        }
        let name = name.to_ascii_lowercase();
        Ok(if is_suffix {
            Self::Below(format!(".{name}").into_bytes().into())
        } else {
            Self::Name(name.into_bytes().into())
        })
    }
}

/// Letters, digits and hyphens (RFC 1123 2.1), and underscores, which names in container networks
/// have.
fn is_label_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_'
}

/// The authority of a request in its parts.
struct RequestedAuthority<'b> {
    host: RequestedHost<'b>,
    /// `None` if the number exceeds 65,535.
    port: Option<u16>,
}

enum RequestedHost<'b> {
    /// Without a final dot, as in DNS `example.org.` and `example.org` are the same name.
    Name(&'b [u8]),
    V6(Ipv6Addr),
}

impl<'b> RequestedAuthority<'b> {
    /// Splits an authority whose grammar was checked. `None` for an address that no entry can have
    /// (`IPvFuture`, RFC 3986 3.2.2).
    fn parse(authority: &'b [u8]) -> Option<Self> {
        let is_address = authority.first() == Some(&b'[');
        let end = if is_address {
            memchr::memchr(b']', authority)? + 1
        } else {
            memchr::memchr(b':', authority).unwrap_or(authority.len())
        };
        let (host, port) = authority.split_at(end);
        let host = if is_address {
            RequestedHost::V6(std::str::from_utf8(&host[1..end - 1]).ok()?.parse().ok()?)
        } else {
            RequestedHost::Name(host.strip_suffix(b".").unwrap_or(host))
        };
        // Without digits, the default port of the scheme (RFC 9110 4.2.1).
        let digits = port.strip_prefix(b":").unwrap_or_default();
        let port = match std::str::from_utf8(digits) {
            Ok("") => Some(HTTP_PORT),
            Ok(digits) => digits.parse().ok(),
            Err(_) => None,
        };
        Some(Self { host, port })
    }
}

const HTTP_PORT: u16 = 80;

/// The most entries of a list: the host of each request is compared with all of them.
pub const ALLOWED_HOSTS_MAX: usize = 256;

const FORMS: &str = "write a host name (example.org), all names below one (*.example.org), an IPv4 \
                     address or an IPv6 address in brackets ([::1]), with a port or without";
const WILDCARD: &str = "an asterisk can only replace the first labels: *.example.org";

#[cfg(test)]
mod tests {
    use super::*;

    fn list(hosts: &[&str]) -> AllowedHosts {
        AllowedHosts::new(hosts.iter().map(|host| host.parse().unwrap()).collect())
    }

    #[test]
    fn empty_list_allows_every_request() {
        for authority in [None, Some(&b""[..]), Some(b"anything")] {
            assert!(AllowedHosts::default().allow(authority));
        }
    }

    #[test]
    fn names_are_compared_without_case_port_and_final_dot() {
        for entry in ["example.org", "EXAMPLE.org", "example.org."] {
            let hosts = list(&["other", entry]);
            for host in ["example.org", "Example.ORG", "example.org.", "example.org:8080"] {
                assert!(hosts.allow(Some(host.as_bytes())), "{entry}: {host}");
            }
            for host in
                ["", ".", ":80", "example.or", "xexample.org", "www.example.org", "example.org.."]
            {
                assert!(!hosts.allow(Some(host.as_bytes())), "{entry}: {host}");
            }
            assert!(!hosts.allow(None));
        }
    }

    #[test]
    fn asterisk_covers_one_label_or_more() {
        let hosts = list(&["*.example.org"]);
        for host in ["www.example.org", "a.b.Example.org.:1", "x.example.org"] {
            assert!(hosts.allow(Some(host.as_bytes())), "{host}");
        }
        for host in ["example.org", ".example.org", "wwwexample.org", "www.example.org.evil"] {
            assert!(!hosts.allow(Some(host.as_bytes())), "{host}");
        }
    }

    #[test]
    fn addresses_are_compared_by_value() {
        let hosts = list(&["[::1]", "127.0.0.1"]);
        for host in ["[::1]", "[0:0:0:0:0:0:0:1]:80", "127.0.0.1:10001"] {
            assert!(hosts.allow(Some(host.as_bytes())), "{host}");
        }
        for host in ["[::2]", "[v1.a]", "127.0.0.2", "::1"] {
            assert!(!hosts.allow(Some(host.as_bytes())), "{host}");
        }
    }

    #[test]
    fn port_is_compared_if_the_entry_has_one() {
        let hosts = list(&["a:8080", "b:80", "[::1]:443"]);
        for host in ["a:8080", "a:008080", "b", "b:", "b:80", "[::1]:443"] {
            assert!(hosts.allow(Some(host.as_bytes())), "{host}");
        }
        for host in ["a", "a:80", "a:73616", "b:8080", "[::1]", "[::1]:80"] {
            assert!(!hosts.allow(Some(host.as_bytes())), "{host}");
        }
    }

    #[test]
    fn invalid_entries_get_a_hint() {
        for (text, hint) in [
            ("", "write a host name"),
            (".", "write a host name"),
            ("a..b", "write a host name"),
            ("a b", "write a host name"),
            ("a:b", "write a host name"),
            ("u@a", "write a host name"),
            ("[::1", "write a host name"),
            ("[::1]x", "write a host name"),
            ("a:65536", "'65536' is not a port number"),
            ("a:", "'' is not a port number"),
            ("[::g]", "'::g' is not an IPv6 address"),
            ("::1", "in brackets: [::1]"),
            ("http://a", "without a scheme"),
            ("a/b", "without a scheme or a path"),
            ("*", "*.example.org"),
            ("*a", "*.example.org"),
            ("a.*.b", "*.example.org"),
            ("*.*.b", "*.example.org"),
            ("bücher.example", "xn--"),
        ] {
            let message = text.parse::<AllowedHost>().unwrap_err();
            assert!(message.contains(hint), "{text}: {message}");
        }
    }
}
