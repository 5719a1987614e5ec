//! Patterns over the host of a request: `https://docs.example.org/*` in a file of rules.

use super::{Captures, Pattern, PatternError, name_at};
use std::fmt::Write;

/// A pattern over hosts, compared without regard to case, to a port and to a final dot. Its
/// captures follow those of the path.
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
        let host = lowered(&text[..end.unwrap_or(text.len())]);
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
        self.capture(authority, &mut Captures::default())
    }

    /// The same; adds the captured parts of the host, as the request has them.
    pub(in crate::site) fn capture<'a>(
        &self,
        authority: Option<&'a [u8]>,
        captures: &mut Captures<'a>,
    ) -> bool {
        let Some(host) = authority.map(host_of) else { return false };
        match &self.kind {
            HostKind::Exact(exact) => exact.eq_ignore_ascii_case(host),
            HostKind::Labels(pattern) => {
                let mut path = [b'/'; HOST_BYTES_MAX + 1];
                let Some(labels) = path.get_mut(1..=host.len()) else { return false };
                for (octet, &given) in labels.iter_mut().zip(host) {
                    *octet = if given == b'.' { b'/' } else { given.to_ascii_lowercase() };
                }
                let path = &path[..=host.len()];
                let Some(found) = pattern.matches(path) else { return false };
                for value in found.values() {
                    // The same octets of the host, before which the path has a slash.
                    let at = (value.as_ptr().addr()).checked_sub(path.as_ptr().addr() + 1);
                    let own = at.and_then(|at| host.get(at..at + value.len()));
                    captures.add(own.unwrap_or_default());
                }
                true
            }
        }
    }

    /// The names of the captures, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let pattern = match &self.kind {
            HostKind::Exact(_) => None,
            HostKind::Labels(pattern) => Some(pattern),
        };
        pattern.into_iter().flat_map(Pattern::names)
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

/// A host in lower case, but for the names of its placeholders.
fn lowered(host: &str) -> String {
    let mut lowered = host.to_ascii_lowercase();
    for (at, _) in host.match_indices(':') {
        if let Some(name) = name_at(host.as_bytes(), at) {
            lowered.replace_range(at + 1..=at + name.len(), name);
        }
    }
    lowered
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
    fn parts_of_a_host_are_captured_as_the_request_has_them() {
        for (pattern, authority, expected) in [
            ("https://:project.pages.dev/*", "Demo.pages.dev:80", &["Demo"][..]),
            ("https://:a.b-:C.example.org/", "x.B-y.example.org", &["x", "y"]),
            ("https://*.example.org/", "a.b.example.org", &["a.b"]),
            ("https://*/", "x", &["x"]),
            ("https://example.org/", "example.org", &[]),
        ] {
            let (host, _) = split_host(pattern).expect("a pattern");
            let host = host.expect("a host");
            let mut captures = Captures::default();
            assert!(host.capture(Some(authority.as_bytes()), &mut captures), "{pattern}");
            let expected: Vec<&[u8]> = expected.iter().map(|text| text.as_bytes()).collect();
            assert_eq!(captures.values(), expected, "{pattern} {authority}");
        }
        let (host, _) = split_host("https://:Project.PAGES.dev/").expect("a pattern");
        assert_eq!(host.expect("a host").names().collect::<Vec<_>>(), ["Project"]);
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
