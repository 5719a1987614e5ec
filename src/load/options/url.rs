//! URLs of a load: `http://HOST:PORT/PATH`, the same with `https`, or `unix:SOCKET` and
//! `unix:SOCKET:/PATH`.

use std::fmt;
use std::str::FromStr;

/// The parts of a URL that a load needs. Fragments are dropped, user information refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// The scheme, and thereby whether the load uses TLS; `http` for a Unix socket.
    pub scheme: Scheme,
    /// The server.
    pub origin: Origin,
    /// Host and port as written, the value of `Host`; `localhost` for a Unix socket.
    pub authority: String,
    /// Path and query, beginning with a slash.
    pub target: String,
}

/// The server of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A host and a port over TCP.
    Tcp {
        /// The host, without brackets.
        host: String,
        /// The port, that of the scheme unless given.
        port: u16,
    },
    /// The path of a Unix socket, or `@` and a name in the abstract namespace (unix(7)).
    Unix(String),
}

/// A scheme of RFC 9110 4.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `http`: HTTP over TCP.
    Http,
    /// `https`: HTTP over TLS.
    Https,
}

impl Scheme {
    /// The scheme as it is written in a URL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Url {
    /// The URL of a path and query at the same server.
    ///
    /// # Errors
    /// If the path has a character that a URL can't contain.
    pub fn at(&self, path: &str) -> Result<Self, String> {
        Ok(Self { target: target(path)?, ..self.clone() })
    }

    /// Whether another URL is at the same server. Hosts are case-insensitive (RFC 3986 3.2.2).
    #[must_use]
    pub fn has_same_origin(&self, other_url: &Self) -> bool {
        match (&self.origin, &other_url.origin) {
            (Origin::Tcp { host, port }, Origin::Tcp { host: other, port: other_port }) => {
                let is_same_host = host.eq_ignore_ascii_case(other);
                self.scheme == other_url.scheme && is_same_host && port == other_port
            }
            (one, other) => one == other,
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Tcp { .. } => {
                write!(f, "{}://{}{}", self.scheme.name(), self.authority, self.target)
            }
            Origin::Unix(path) if self.target == "/" => write!(f, "unix:{path}"),
            Origin::Unix(path) => write!(f, "unix:{path}:{}", self.target),
        }
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("unix:") {
            return of_unix(rest);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err("write the URL as http://HOST:PORT/PATH".to_owned());
        };
        let scheme = [Scheme::Http, Scheme::Https]
            .into_iter()
            .find(|known| known.name().eq_ignore_ascii_case(scheme))
            .ok_or_else(|| {
                format!("the scheme {scheme} is not supported, only http and https, and unix")
            })?;
        check(rest)?;
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(
                "user information in a URL is not supported; use --header 'Authorization: ...'"
                    .to_owned(),
            );
        }
        let (host, port) = split_port(authority)?;
        if host.is_empty() {
            return Err("the host is missing: write the URL as http://HOST:PORT/PATH".to_owned());
        }
        let origin = Origin::Tcp { host: host.to_owned(), port: port.unwrap_or(scheme.port()) };
        Ok(Self { scheme, origin, authority: authority.to_owned(), target: target(path)? })
    }
}

/// `SOCKET` or `SOCKET:/PATH`, as in the `proxy_pass` of nginx.
fn of_unix(rest: &str) -> Result<Url, String> {
    let (socket, path) = match rest.split_once(":/") {
        Some((socket, path)) => (socket, format!("/{path}")),
        None => (rest, "/".to_owned()),
    };
    let name = socket.strip_prefix('@').unwrap_or(socket);
    if name.is_empty() || socket.contains('\0') {
        return Err("write the URL of a Unix socket as unix:SOCKET or unix:SOCKET:/PATH".to_owned());
    }
    if name.len() > UNIX_BYTES_MAX {
        return Err(format!(
            "the path of a Unix socket has at most {UNIX_BYTES_MAX} bytes (unix(7)), and this one \
             has {}",
            name.len()
        ));
    }
    let origin = Origin::Unix(socket.to_owned());
    Ok(Url {
        scheme: Scheme::Http,
        origin,
        authority: "localhost".to_owned(),
        target: target(&path)?,
    })
}

/// Path and query without a fragment, beginning with a slash.
fn target(path: &str) -> Result<String, String> {
    check(path)?;
    let path = path.split('#').next().unwrap_or_default();
    Ok(if path.starts_with('/') { path.to_owned() } else { format!("/{path}") })
}

fn check(text: &str) -> Result<(), String> {
    match text.chars().find(|c| !c.is_ascii_graphic()) {
        Some(wrong) => Err(format!("a URL can't contain {wrong:?}; write it as %XX")),
        None => Ok(()),
    }
}

/// The host without brackets, and the port if there is one.
fn split_port(authority: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(inside) => {
            let (host, after) = inside.split_once(']').ok_or("the bracket ] is missing")?;
            let port = after.strip_prefix(':');
            if port.is_none() && !after.is_empty() {
                return Err(format!("{after:?} is not a port; write [HOST]:PORT"));
            }
            (host, port)
        }
        None => match authority.rsplit_once(':') {
            Some((host, port)) if host.contains(':') => return Err(without_brackets(host, port)),
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    match port {
        None | Some("") => Ok((host, None)),
        Some(port) => match port.parse() {
            Ok(port) if port > 0 => Ok((host, Some(port))),
            _ => Err(format!("{port:?} is not a port from 1 to 65535")),
        },
    }
}

/// The complaint about an IPv6 address without brackets. The last group is a port if the others are
/// an address without it.
fn without_brackets(host: &str, port: &str) -> String {
    let is_address = |text: &str| text.parse::<std::net::Ipv6Addr>().is_ok();
    let has_port = is_address(host) && port.parse::<u16>().is_ok();
    if has_port {
        format!("write an IPv6 address in brackets: http://[{host}]:{port}/")
    } else {
        format!("write an IPv6 address in brackets: http://[{host}:{port}]/")
    }
}

/// `sun_path` has 108 bytes, and one of them is zero (unix(7)).
const UNIX_BYTES_MAX: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_split_into_its_parts() {
        for (text, host, port, authority, target) in [
            ("http://127.0.0.1:10001/", "127.0.0.1", 10001, "127.0.0.1:10001", "/"),
            ("http://localhost", "localhost", 80, "localhost", "/"),
            ("HTTP://[::1]:8080/a/b?c=d#e", "::1", 8080, "[::1]:8080", "/a/b?c=d"),
            ("http://a?b", "a", 80, "a", "/?b"),
            ("http://[::1]", "::1", 80, "[::1]", "/"),
            ("https://a/b", "a", 443, "a", "/b"),
            ("HTTPS://[::1]/", "::1", 443, "[::1]", "/"),
            ("https://a:80", "a", 80, "a:80", "/"),
        ] {
            let url: Url = text.parse().expect(text);
            assert_eq!(url.origin, Origin::Tcp { host: host.to_owned(), port }, "{text}");
            assert_eq!((url.authority.as_str(), url.target.as_str()), (authority, target));
            let is_https = text.to_ascii_lowercase().starts_with("https:");
            let scheme = if is_https { "https" } else { "http" };
            assert_eq!(url.to_string(), format!("{scheme}://{authority}{target}"));
        }
        for (text, hint) in [
            ("127.0.0.1:80", "http://HOST:PORT"),
            ("ftp://a", "only http and https"),
            ("://a", "only http and https"),
            ("http://", "host is missing"),
            ("http://a:0/", "port"),
            ("http://a:x/", "port"),
            ("http://a/ b", "%XX"),
            ("http://a/\r\nX: y", "%XX"),
            ("http://u@a/", "--header"),
            ("http://[::1/", "]"),
            ("http://[::1]x:80/", "[HOST]:PORT"),
            ("http://[::1]80/", "[HOST]:PORT"),
            ("http://::1:8080/", "brackets: http://[::1]:8080/"),
            ("http://fe80::1/", "in brackets"),
            ("http://a:b:80/", "in brackets"),
            ("unix:", "unix:SOCKET"),
            ("unix:@", "unix:SOCKET"),
            ("unix:/a:/ b", "%XX"),
        ] {
            let message = text.parse::<Url>().expect_err(text);
            assert!(message.contains(hint), "{text}: {message}");
        }
        let long = format!("unix:/{}", "a".repeat(107));
        assert!(long.parse::<Url>().is_err_and(|why| why.contains("at most 107")), "{long}");
    }

    #[test]
    fn unix_sockets_have_a_path_and_a_target() {
        for (text, socket, target) in [
            ("unix:/run/a.sock", "/run/a.sock", "/"),
            ("unix:/run/a b.sock:/c?d", "/run/a b.sock", "/c?d"),
            ("unix:@name", "@name", "/"),
            ("unix:relative", "relative", "/"),
        ] {
            let url: Url = text.parse().expect(text);
            assert_eq!(url.origin, Origin::Unix(socket.to_owned()), "{text}");
            assert_eq!((url.target.as_str(), url.authority.as_str()), (target, "localhost"));
            assert_eq!(url.to_string(), text);
        }
    }

    #[test]
    fn origins_are_compared_without_case_and_default_port() {
        let url = |text: &str| text.parse::<Url>().expect(text);
        assert!(url("http://a/").has_same_origin(&url("http://A:80/b")));
        assert!(!url("http://a/").has_same_origin(&url("http://a:81/")));
        assert!(!url("unix:a").has_same_origin(&url("http://a/")));
        assert_eq!(
            url("http://a/b").at("/c?d#e").map(|url| url.to_string()),
            Ok("http://a/c?d".into())
        );
    }
}
