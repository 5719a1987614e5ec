//! The hosts that a server answers for (RFC 9110, 7.2 and 7.4).
//!
//! A page on another site can have its own name lead to this server's address (DNS rebinding), and
//! then read what is served from the browser of a visitor who can reach it. `Host` still has the
//! other site's name, so that a list of the right names keeps such a page out.

use std::net::Ipv6Addr;
use std::str::FromStr;

/// The hosts that requests may name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts(Box<[AllowedHost]>);

impl AllowedHosts {
    /// A list; if it is empty, every request is allowed.
    #[must_use]
    pub fn new(hosts: Vec<AllowedHost>) -> Self {
        Self(hosts.into())
    }

    /// Whether a request may name this authority, which the grammar allows, or none.
    #[must_use]
    pub fn allow(&self, authority: Option<&[u8]>) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let Some(asked) = authority.and_then(Asked::read) else { return false };
        self.0.iter().any(|allowed| allowed.covers(&asked))
    }
}

/// One entry of the list.
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
    /// Without one, any port is allowed.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    /// A name or an IPv4 address, without a dot at its end.
    Name(Box<[u8]>),
    /// Every name that ends so and is longer; it begins with a dot.
    Below(Box<[u8]>),
    V6(Ipv6Addr),
}

impl AllowedHost {
    fn covers(&self, asked: &Asked<'_>) -> bool {
        let host_is_covered = match (&self.host, &asked.host) {
            (Host::Name(name), AskedHost::Name(asked)) => asked.eq_ignore_ascii_case(name),
            (Host::Below(suffix), AskedHost::Name(asked)) => {
                asked.len().checked_sub(suffix.len()).is_some_and(|at| {
                    at > 0 && asked[at..].eq_ignore_ascii_case(suffix) && asked[0] != b'.'
                })
            }
            (Host::V6(address), AskedHost::V6(asked)) => address == asked,
            (Host::Name(_) | Host::Below(_), AskedHost::V6(_))
            | (Host::V6(_), AskedHost::Name(_)) => false,
        };
        host_is_covered && self.port.is_none_or(|port| asked.port == Some(port))
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
                Some(digits.parse().map_err(|_| format!("'{digits}' is no port"))?)
            }
            None if port.is_empty() => None,
            Some(_) | None => return Err(FORMS.to_owned()),
        };
        if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let address = address.parse().map_err(|_| format!("'{address}' is no IPv6 address"))?;
            return Ok(Self { host: Host::V6(address), port });
        }
        let (name, is_suffix) = match host.strip_prefix('*') {
            Some(rest) => (rest.strip_prefix('.').ok_or(WILDCARD)?, true),
            None => (host, false),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_label_octet);
        if !name.is_ascii() {
            return Err("write a name with other letters as browsers send it: xn--...".to_owned());
        }
        if name.contains('*') {
            return Err(WILDCARD.to_owned());
        }
        if !name.split('.').all(is_label) {
            return Err(FORMS.to_owned());
        }
        let name = name.to_ascii_lowercase();
        let host = if is_suffix {
            Host::Below(format!(".{name}").into_bytes().into())
        } else {
            Host::Name(name.into_bytes().into())
        };
        Ok(Self { host, port })
    }
}

/// Letters, digits and hyphens (RFC 1123, 2.1), and the underscores of container networks.
fn is_label_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_'
}

/// What a request names.
struct Asked<'b> {
    host: AskedHost<'b>,
    /// `None` if it is no number of a port.
    port: Option<u16>,
}

enum AskedHost<'b> {
    /// Without a dot at its end.
    Name(&'b [u8]),
    V6(Ipv6Addr),
}

impl<'b> Asked<'b> {
    /// Takes an authority apart that the grammar allows. `None` for an address of a kind that no
    /// list can have (`IPvFuture`, RFC 3986, 3.2.2).
    fn read(authority: &'b [u8]) -> Option<Self> {
        let is_address = authority.first() == Some(&b'[');
        let end = if is_address {
            memchr::memchr(b']', authority)? + 1
        } else {
            memchr::memchr(b':', authority).unwrap_or(authority.len())
        };
        let (host, port) = authority.split_at(end);
        let host = if is_address {
            AskedHost::V6(std::str::from_utf8(&host[1..end - 1]).ok()?.parse().ok()?)
        } else {
            AskedHost::Name(host.strip_suffix(b".").unwrap_or(host))
        };
        // Without digits it's the default of the scheme (RFC 9110, 4.2.1).
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

/// The most hosts on a list: each is compared with each request's.
pub const ALLOWED_HOSTS_MAX: usize = 256;

const FORMS: &str = "write a host name (example.org), all names below one (*.example.org), an IPv4 \
                     address or an IPv6 address in brackets ([::1]), with a port or without";
const WILDCARD: &str = "an asterisk stands for whole labels at the beginning: *.example.org";

#[cfg(test)]
mod tests {
    use super::*;

    fn list(hosts: &[&str]) -> AllowedHosts {
        AllowedHosts::new(hosts.iter().map(|host| host.parse().unwrap()).collect())
    }

    #[test]
    fn without_a_list_everything_is_allowed() {
        for authority in [None, Some(&b""[..]), Some(b"anything")] {
            assert!(AllowedHosts::default().allow(authority));
        }
    }

    #[test]
    fn a_name_is_compared_without_case_port_and_last_dot() {
        for entry in ["example.org", "EXAMPLE.org", "example.org."] {
            let hosts = list(&["other", entry]);
            for asked in ["example.org", "Example.ORG", "example.org.", "example.org:8080"] {
                assert!(hosts.allow(Some(asked.as_bytes())), "{entry}: {asked}");
            }
            for asked in
                ["", ".", ":80", "example.or", "xexample.org", "www.example.org", "example.org.."]
            {
                assert!(!hosts.allow(Some(asked.as_bytes())), "{entry}: {asked}");
            }
            assert!(!hosts.allow(None));
        }
    }

    #[test]
    fn an_asterisk_stands_for_one_label_or_more() {
        let hosts = list(&["*.example.org"]);
        for asked in ["www.example.org", "a.b.Example.org.:1", "x.example.org"] {
            assert!(hosts.allow(Some(asked.as_bytes())), "{asked}");
        }
        for asked in ["example.org", ".example.org", "wwwexample.org", "www.example.org.evil"] {
            assert!(!hosts.allow(Some(asked.as_bytes())), "{asked}");
        }
    }

    #[test]
    fn addresses_are_compared_as_such() {
        let hosts = list(&["[::1]", "127.0.0.1"]);
        for asked in ["[::1]", "[0:0:0:0:0:0:0:1]:80", "127.0.0.1:10001"] {
            assert!(hosts.allow(Some(asked.as_bytes())), "{asked}");
        }
        for asked in ["[::2]", "[v1.a]", "127.0.0.2", "::1"] {
            assert!(!hosts.allow(Some(asked.as_bytes())), "{asked}");
        }
    }

    #[test]
    fn a_port_counts_where_it_is_on_the_list() {
        let hosts = list(&["a:8080", "b:80", "[::1]:443"]);
        for asked in ["a:8080", "a:008080", "b", "b:", "b:80", "[::1]:443"] {
            assert!(hosts.allow(Some(asked.as_bytes())), "{asked}");
        }
        for asked in ["a", "a:80", "a:73616", "b:8080", "[::1]", "[::1]:80"] {
            assert!(!hosts.allow(Some(asked.as_bytes())), "{asked}");
        }
    }

    #[test]
    fn an_entry_that_is_none_says_what_to_write() {
        for (text, hint) in [
            ("", "write a host name"),
            (".", "write a host name"),
            ("a..b", "write a host name"),
            ("a b", "write a host name"),
            ("a:b", "write a host name"),
            ("u@a", "write a host name"),
            ("[::1", "write a host name"),
            ("[::1]x", "write a host name"),
            ("a:65536", "'65536' is no port"),
            ("a:", "'' is no port"),
            ("[::g]", "'::g' is no IPv6 address"),
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
