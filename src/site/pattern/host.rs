//! Patterns over the host of a request: `https://docs.example.org/*` in a file of rules.

use super::{Pattern, PatternError};
use std::fmt::Write;

/// A pattern over hosts, compared without regard to case, to a port and to a final dot.
///
/// `:name` matches one label or a part of it, `*` anything, as Cloudflare Pages documents for
/// `_headers` ("match a domain", "placeholders": a placeholder in the host matches everything but
/// the dot that delimits it).
#[derive(Clone, Debug)]
pub struct HostPattern {
    kind: HostKind,
}

#[derive(Clone, Debug)]
enum HostKind {
    /// This host, in lower case.
    Exact(Box<[u8]>),
    /// A pattern over the labels, which are its segments.
    Labels(Pattern),
}

impl HostPattern {
    /// Parses a host, with or without a port, which is ignored: a proxy in front of the server has
    /// ports of its own.
    fn parse(text: &str) -> Result<Self, PatternError> {
        let wrong = || PatternError::WrongHost(text.to_owned());
        if text.starts_with('[') {
            let end = text.find(']').ok_or_else(wrong)? + 1;
            check_port(&text[end..]).ok_or_else(wrong)?;
            let host = text[..end].to_ascii_lowercase();
            return Ok(Self { kind: HostKind::Exact(host.into_bytes().into()) });
        }
        // A placeholder begins with a letter, a port with a digit.
        let end = text.rfind(':').filter(|&at| check_port(&text[at..]).is_some());
        let host = text[..end.unwrap_or(text.len())].to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        let may = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.:*".contains(&octet);
        if !host.bytes().all(may) || host.split('.').any(str::is_empty) {
            return Err(wrong());
        }
        let mut path = String::new();
        write!(path, "/{}", host.replace('.', "/")).expect("writing to a string doesn't fail");
        let pattern = Pattern::parse(&path)?;
        let kind = match pattern.exact() {
            Some(_) if host.contains(':') => return Err(wrong()),
            Some(_) => HostKind::Exact(host.as_bytes().into()),
            None => HostKind::Labels(pattern),
        };
        Ok(Self { kind })
    }

    /// Whether the authority of a request has this host. A request without one (HTTP/1.0) has none.
    #[must_use]
    pub fn matches(&self, authority: Option<&[u8]>) -> bool {
        let Some(host) = authority.map(host_of) else { return false };
        match &self.kind {
            HostKind::Exact(exact) => exact.eq_ignore_ascii_case(host),
            HostKind::Labels(pattern) => {
                let mut path = [b'/'; HOST_BYTES_MAX + 1];
                let Some(labels) = path.get_mut(1..=host.len()) else { return false };
                for (octet, &given) in labels.iter_mut().zip(host) {
                    *octet = if given == b'.' { b'/' } else { given.to_ascii_lowercase() };
                }
                pattern.matches(&path[..=host.len()]).is_some()
            }
        }
    }

    /// Whether it matches one host only.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        matches!(self.kind, HostKind::Exact(_))
    }

    /// A host that the pattern matches, with `fill` for each placeholder.
    #[must_use]
    pub fn sample(&self, fill: &str) -> String {
        match &self.kind {
            HostKind::Exact(host) => String::from_utf8_lossy(host).into_owned(),
            HostKind::Labels(pattern) => {
                let path = pattern.filled(&|_| fill.as_bytes().to_vec());
                String::from_utf8_lossy(&path[1..]).replace('/', ".")
            }
        }
    }
}

/// Splits a pattern into the host before its path, if there is one, and the path. `http` and
/// `https` are alike: a server behind a proxy doesn't see the scheme.
///
/// # Errors
/// If the host is malformed.
///
/// ```
/// use uringstatic::site::pattern::split_host;
///
/// let (host, path) = split_host("https://:sub.example.org/docs/*").expect("a host and a path");
/// let host = host.expect("a host");
/// assert!(host.matches(Some(b"a.EXAMPLE.org:8080")) && !host.matches(Some(b"example.org")));
/// assert_eq!(path, "/docs/*");
/// assert!(split_host("/docs/*").is_ok_and(|(host, _)| host.is_none()));
/// ```
pub fn split_host(text: &str) -> Result<(Option<HostPattern>, &str), PatternError> {
    let Some(rest) = after_scheme(text) else { return Ok((None, text)) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let path = &rest[end..];
    let host = HostPattern::parse(&rest[..end])?;
    Ok((Some(host), if path.is_empty() { "/" } else { path }))
}

/// The text behind `http://`, `https://` or `//`.
fn after_scheme(text: &str) -> Option<&str> {
    ["https://", "http://", "//"].into_iter().find_map(|scheme| {
        let (start, rest) = text.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

/// The host of an authority whose grammar was checked, without its port and without a final dot.
#[must_use]
pub fn host_of(authority: &[u8]) -> &[u8] {
    let end = match memchr::memchr(b']', authority) {
        Some(bracket) => bracket + 1,
        None => memchr::memchr(b':', authority).unwrap_or(authority.len()),
    };
    let host = &authority[..end];
    host.strip_suffix(b".").unwrap_or(host)
}

/// Checks that a text is empty, or a port with its colon.
fn check_port(text: &str) -> Option<()> {
    let Some(digits) = text.strip_prefix(':') else { return text.is_empty().then_some(()) };
    digits.bytes().all(|digit| digit.is_ascii_digit()).then_some(())
}

/// The longest name in DNS (RFC 1035 2.3.4); a longer host matches no pattern with placeholders.
const HOST_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_by_labels() {
        // Cloudflare Pages, "Headers": `https://:project.pages.dev/*` and `https://myproject.
        // pages.dev/*`; RFC 9110 4.2.3: hosts are compared without regard to case.
        for (pattern, authority, expected) in [
            ("https://example.org", "example.org", true),
            ("http://example.org/x", "EXAMPLE.ORG:8080", true),
            ("//Example.org:443/x", "example.org.", true),
            ("https://example.org/", "www.example.org", false),
            ("https://:sub.example.org/*", "a.example.org", true),
            ("https://:sub.example.org/*", "A.EXAMPLE.org:80", true),
            ("https://:sub.example.org/*", "a.b.example.org", false),
            ("https://:sub.example.org/*", "example.org", false),
            ("https://pr-:n.example.org/*", "pr-7.example.org", true),
            ("https://pr-:n.example.org/*", "pr-.example.org", false),
            ("https://*.example.org/*", "a.b.example.org", true),
            ("https://*.example.org/*", "example.org", false),
            ("https://*/x", "anything", true),
            ("https://[::1]:80/x", "[::1]", true),
            ("https://[fe80::a]/x", "[fe80::A]:8080", true),
            ("https://[::1]/x", "[::2]", false),
        ] {
            let (host, _) = split_host(pattern).expect("a pattern");
            let host = host.expect("a host");
            assert_eq!(host.matches(Some(authority.as_bytes())), expected, "{pattern} {authority}");
        }
        let (host, _) = split_host("https://*/").expect("a pattern");
        assert!(!host.expect("a host").matches(None), "HTTP/1.0 without Host");
        let long = "a".repeat(300);
        let (host, _) = split_host("https://:x/").expect("a pattern");
        assert!(!host.expect("a host").matches(Some(long.as_bytes())));
    }

    #[test]
    fn malformed_hosts_are_refused() {
        for text in ["https:///x", "//", "https://a b/x", "https://a..b/", "https://a%20b/", "//[x"]
        {
            assert!(split_host(text).is_err(), "{text}");
        }
        assert!(split_host("https://*.*.x/").is_err(), "two asterisks");
        for text in ["/a", "/a//b", "a", "https:/x", ""] {
            let (host, path) = split_host(text).expect("no host");
            assert!(host.is_none() && path == text, "{text}");
        }
    }

    #[test]
    fn sample_matches_its_pattern() {
        for pattern in ["https://:a.b-:c.example.org/", "//*.x.example", "https://x.example/"] {
            let (host, _) = split_host(pattern).expect("a pattern");
            let host = host.expect("a host");
            assert!(host.matches(Some(host.sample("q1").as_bytes())), "{pattern}");
        }
    }
}
