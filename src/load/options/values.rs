//! Parsers of option values: connections, source addresses, rate, method, status.

use crate::http::grammar::is_token_char;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::SystemTime;

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

/// Parses the factor of a log's own timing: from 0.001 to 1,000,000.
pub(super) fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse().ok().filter(|speed| (0.001..=1e6).contains(speed));
    speed.ok_or_else(|| {
        "write a factor from 0.001 to 1000000: 1 keeps the log's times, 2 halves them".to_owned()
    })
}

/// Parses a time of the clock in UTC (RFC 3339).
pub(super) fn time(text: &str) -> Result<SystemTime, String> {
    humantime::parse_rfc3339(text)
        .map_err(|_| "write a time in UTC, as in 2030-01-01T12:00:00Z".to_owned())
}

/// Parses a method: any token (RFC 9110 5.6.2) but CONNECT, which opens a tunnel.
pub(in crate::load) fn method(text: &str) -> Result<String, String> {
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
