//! Parsers of option values: URL, connections, source addresses, rate, method, status.

use crate::http::grammar::is_token_char;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::SystemTime;

/// The parts of a URL that a load needs. Fragments are dropped, user information refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// The scheme, and thereby whether the load uses TLS.
    pub scheme: Scheme,
    /// The host, without brackets.
    pub host: String,
    /// The port, that of the scheme unless given.
    pub port: u16,
    /// Host and port as written, the value of `Host`.
    pub authority: String,
    /// Path and query, beginning with a slash.
    pub target: String,
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

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.name(), self.authority, self.target)
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err("write the URL as http://HOST:PORT/PATH".to_owned());
        };
        let scheme = [Scheme::Http, Scheme::Https]
            .into_iter()
            .find(|known| known.name().eq_ignore_ascii_case(scheme))
            .ok_or_else(|| format!("the scheme {scheme} is not supported, only http and https"))?;
        if let Some(wrong) = rest.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(format!("a URL can't contain {wrong:?}; write it as %XX"));
        }
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
        let port = port.unwrap_or(scheme.port());
        if host.is_empty() {
            return Err("the host is missing: write the URL as http://HOST:PORT/PATH".to_owned());
        }
        let target = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { scheme, host: host.to_owned(), port, authority: authority.to_owned(), target })
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
            Some((host, _)) if host.contains(':') => {
                return Err(format!("write an IPv6 address in brackets: [{authority}]"));
            }
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

/// Numbers of connections: `64`, or `10,100,1000` to be run in turn.
pub(super) fn connections(text: &str) -> Result<NonZeroU32, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number of connections"))
}

/// Parses one local address, or the first and the last of a range.
pub(super) fn sources(text: &str) -> Result<Sources, String> {
    let address = |text: &str| -> Result<IpAddr, String> {
        text.parse().map_err(|_| format!("{text:?} is not an IP address"))
    };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (address(first)?, address(last)?),
        None => (address(text)?, address(text)?),
    };
    let all: Vec<IpAddr> = match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            let (first, last) = (u32::from(first), u32::from(last));
            (first..=last).take(SOURCES_MAX + 1).map(|ip| Ipv4Addr::from(ip).into()).collect()
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            let (first, last) = (u128::from(first), u128::from(last));
            (first..=last).take(SOURCES_MAX + 1).map(|ip| Ipv6Addr::from(ip).into()).collect()
        }
        _ => return Err("both ends of a range must have the same IP version".to_owned()),
    };
    match all.len() {
        0 => Err("the last address comes before the first".to_owned()),
        count if count > SOURCES_MAX => Err(format!("more than {SOURCES_MAX} addresses")),
        _ => Ok(Sources(all)),
    }
}

/// Local addresses to connect from, used in turn; at most 4,096.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources(pub Vec<IpAddr>);

/// Parses a rate per second: above 0, at most 10^9.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1e9 => Ok(rate),
        _ => Err("write a rate per second, as in 5000 or 0.5".to_owned()),
    }
}

/// Parses a time of the clock in UTC (RFC 3339).
pub(super) fn time(text: &str) -> Result<SystemTime, String> {
    humantime::parse_rfc3339(text)
        .map_err(|_| "write a time in UTC, as in 2030-01-01T12:00:00Z".to_owned())
}

/// Parses a method: any token (RFC 9110 5.6.2) but CONNECT, which opens a tunnel.
pub(super) fn method(text: &str) -> Result<String, String> {
    match text {
        "" => Err("the method is empty".to_owned()),
        "CONNECT" => Err("CONNECT opens a tunnel, which can't be measured".to_owned()),
        _ if text.chars().all(is_token_char) => Ok(text.to_owned()),
        _ => Err("a method consists of letters, digits and !#$%&'*+-.^_`|~".to_owned()),
    }
}

/// Parses a final status code.
pub(super) fn status(text: &str) -> Result<u16, String> {
    text.parse()
        .ok()
        .filter(|code| (200..600).contains(code))
        .ok_or_else(|| "a final status is a number from 200 to 599".to_owned())
}

const SOURCES_MAX: usize = 4096;

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
            assert_eq!((url.host.as_str(), url.port), (host, port), "{text}");
            assert_eq!((url.authority.as_str(), url.target.as_str()), (authority, target));
            let is_https = text.to_ascii_lowercase().starts_with("https:");
            assert_eq!(url.scheme == Scheme::Https, is_https, "{text}");
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
            ("http://::1:80/", "in brackets"),
            ("http://::1/", "in brackets"),
            ("http://a:b:80/", "in brackets"),
        ] {
            let message = text.parse::<Url>().expect_err(text);
            assert!(message.contains(hint), "{text}: {message}");
        }
    }

    #[test]
    fn sources_are_one_address_or_a_range() {
        let count = |text| sources(text).map(|sources| sources.0.len());
        assert_eq!(count("127.0.0.2"), Ok(1));
        assert_eq!(count("127.0.0.2-127.0.1.1"), Ok(256));
        assert_eq!(count("::1-::1"), Ok(1));
        for wrong in ["a", "127.0.0.3-127.0.0.2", "127.0.0.1-::1", "10.0.0.0-10.1.0.0", ""] {
            assert!(count(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn method_is_any_token_but_connect() {
        assert!(method("GET").is_ok() && method("G T").is_err() && method("CONNECT").is_err());
    }
}
