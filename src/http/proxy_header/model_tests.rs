//! The parser against a model, written from the specification alone, slow, and without a rule in
//! common with the parser: it tries every length that a header could have.

#![allow(clippy::option_option, reason = "no header, or a header without a client")]
#![allow(clippy::match_same_arms, reason = "in the order of the specification")]

use super::properties::proxy_header;
use super::{ParsedProxyHeader, parse};
use crate::peer_address::PeerAddress;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The length of the header at the start of the bytes, and its client.
fn model(bytes: &[u8]) -> Option<(usize, Option<PeerAddress>)> {
    (0..=bytes.len()).find_map(|len| {
        let header = &bytes[..len];
        whole_text(header).or_else(|| whole_binary(header)).map(|client| (len, client))
    })
}

/// The client of bytes that are exactly a header in version 1.
fn whole_text(bytes: &[u8]) -> Option<Option<PeerAddress>> {
    let text = String::from_utf8_lossy(bytes);
    if bytes.len() > 107 || !text.ends_with("\r\n") {
        return None;
    }
    let line = &text[..text.len() - 2];
    if line.contains(['\r', '\n']) {
        return None;
    }
    let words: Vec<&str> = line.split(' ').collect();
    match &words[..] {
        ["PROXY", "UNKNOWN", ..] => Some(None),
        ["PROXY", family @ ("TCP4" | "TCP6"), source, target, from, to] => {
            let read = if *family == "TCP4" { ipv4 } else { ipv6 };
            let (address, _) = (read(source)?, read(target)?);
            let (port, _) = (number(from, 65_535)?, number(to, 65_535)?);
            Some(Some(PeerAddress::ip(address, u16::try_from(port).ok()?)))
        }
        _ => None,
    }
}

/// A decimal number without leading zeros.
fn number(text: &str, max: u32) -> Option<u32> {
    text.parse().ok().filter(|number: &u32| *number <= max && number.to_string() == text)
}

fn ipv4(text: &str) -> Option<IpAddr> {
    let parts: Vec<u32> = text.split('.').map(|part| number(part, 255)).collect::<Option<_>>()?;
    let [a, b, c, d] = parts[..] else { return None };
    Some(Ipv4Addr::from(a << 24 | b << 16 | c << 8 | d).into())
}

/// The 16 bit groups on one side of `::`, the last two of which may be an IPv4 address.
fn groups(text: &str) -> Option<Vec<u16>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let parts: Vec<&str> = text.split(':').collect();
    let mut groups = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        if let (true, Some(IpAddr::V4(ip))) = (place + 1 == parts.len(), ipv4(part)) {
            let bits = u32::from(ip);
            groups.extend([(bits >> 16) as u16, (bits & 0xffff) as u16]);
        } else if (1..=4).contains(&part.len()) && part.chars().all(|c| c.is_ascii_hexdigit()) {
            groups.push(u16::from_str_radix(part, 16).ok()?);
        } else {
            return None;
        }
    }
    Some(groups)
}

fn ipv6(text: &str) -> Option<IpAddr> {
    let all = match text.split_once("::") {
        None => groups(text)?,
        Some((before, after)) => {
            // An IPv4 address can only be at the end of the whole.
            let (before, after) =
                (groups(before).filter(|_| !before.contains('.'))?, groups(after)?);
            let zeros = 8usize.checked_sub(before.len() + after.len()).filter(|&it| it > 0)?;
            [before, vec![0; zeros], after].concat()
        }
    };
    let all: [u16; 8] = all.try_into().ok()?;
    Some(Ipv6Addr::from(all).into())
}

/// The client of bytes that are exactly a header in version 2.
fn whole_binary(bytes: &[u8]) -> Option<Option<PeerAddress>> {
    let signature = [13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10];
    if bytes.len() < 16 || bytes.len() > 4096 || bytes[..12] != signature {
        return None;
    }
    let announced = usize::from(bytes[14]) * 256 + usize::from(bytes[15]);
    if bytes.len() != 16 + announced {
        return None;
    }
    let port = |at: usize| u16::from(bytes[at]) * 256 + u16::from(bytes[at + 1]);
    match (bytes[12], bytes[13]) {
        (0x20, _) => Some(None),
        (0x21, 0x11) if announced >= 12 => {
            let octets: [u8; 4] = bytes[16..20].try_into().expect("four octets");
            Some(Some(PeerAddress::ip(octets.into(), port(24))))
        }
        (0x21, 0x21) if announced >= 36 => {
            let octets: [u8; 16] = bytes[16..32].try_into().expect("sixteen octets");
            Some(Some(PeerAddress::ip(octets.into(), port(48))))
        }
        (0x21, 0x31) if announced >= 216 => Some(Some(PeerAddress::Unix)),
        (0x21, 0x00 | 0x01 | 0x02 | 0x10 | 0x12 | 0x20 | 0x22 | 0x30 | 0x32) => Some(None),
        _ => None,
    }
}

fn any_word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}",
        "(25[0-9]|2[0-4][0-9]|0[0-9]|1[0-9]|0|1)(\\.(255|256|0|00|7)){3}",
        "([0-9a-fA-F]{1,4}:){7}[0-9a-f]{1,5}",
        "([0-9a-f]{0,4}:){0,7}[0-9a-f]{0,4}(:[0-9]\\.0\\.2\\.[0-9])?",
        "::(ffff:)?192\\.0\\.2\\.[0-9]{1,3}",
        "0?[0-9]{1,5}",
        "(6553[4-7]|0|00|\\+1|)",
        any::<u16>().prop_map(|port| port.to_string()),
        any::<Ipv4Addr>().prop_map(|ip| ip.to_string()),
        any::<Ipv6Addr>().prop_map(|ip| ip.to_string()),
    ]
}

/// A line that is valid, or nearly.
fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let valid = (any::<bool>(), any::<[Ipv4Addr; 2]>(), any::<[Ipv6Addr; 2]>(), any::<[u16; 2]>())
        .prop_map(|(is_v4, [a, b], [c, d], [from, to])| {
            if is_v4 {
                format!("PROXY TCP4 {a} {b} {from} {to}\r\n")
            } else {
                format!("PROXY TCP6 {c} {d} {from} {to}\r\n")
            }
        });
    let near = (
        prop::sample::select(&["PROXY TCP4 ", "PROXY TCP6 ", "PROXY UNKNOWN", "PROXY "][..]),
        prop::collection::vec(any_word(), 0..6),
        prop::sample::select(&["\r\n", "\n", "\r", "", " \r\n", "\r\r\n", "\n\r\n"][..]),
    );
    let near = near.prop_map(|(start, words, end)| format!("{start}{}{end}", words.join(" ")));
    let long = "PROXY UNKNOWN( [ -~]{80,100})?\r\n";
    prop_oneof![3 => valid, 5 => near, 1 => long].prop_map(String::into_bytes)
}

fn any_binary() -> impl Strategy<Value = Vec<u8>> {
    let command = prop_oneof![4 => Just(0x21u8), 2 => Just(0x20), 1 => any::<u8>()];
    let family =
        prop_oneof![8 => prop::sample::select(&[0x11, 0x21, 0x31, 0, 0x12][..]), 2 => any::<u8>()];
    let len = prop_oneof![
        prop::sample::select(&[0, 11, 12, 13, 35, 36, 40, 215, 216, 4079, 4080, 4081][..]),
        0..600u16,
        any::<u16>(),
    ];
    let rest = prop_oneof![
        9 => prop::collection::vec(any::<u8>(), 0..260),
        1 => prop::collection::vec(any::<u8>(), 4070..4100),
    ];
    (command, family, len, rest).prop_map(|(command, family, len, mut rest)| {
        // Most of them are complete.
        if usize::from(len) < 5000 && len % 5 != 4 {
            rest.resize(usize::from(len), 7);
        }
        [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &len.to_be_bytes(), &rest].concat()
    })
}

fn any_beginning() -> impl Strategy<Value = Vec<u8>> {
    let changed = |bytes: Vec<u8>, at: prop::sample::Index, to: u8| {
        let mut bytes = bytes;
        let at = at.index(bytes.len());
        bytes[at] = to;
        bytes
    };
    let header = prop_oneof![any_text(), any_binary()];
    let header = prop_oneof![
        6 => header.boxed(),
        2 => (prop_oneof![any_text(), any_binary()], any::<prop::sample::Index>(), any::<u8>())
            .prop_map(move |(bytes, at, to)| changed(bytes, at, to)),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    let client = prop::sample::select(&["", "G", "GET / HTTP/1.1\r\n\r\n", "\r\n", "PROXY "][..]);
    (header, client).prop_map(|(header, client)| [&header, client.as_bytes()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// What is complete is what the model finds. What is incomplete is so for the model; what is
    /// invalid is never complete for it, whatever follows.
    #[test]
    fn a_header_is_what_the_model_says(bytes in any_beginning(), more in any_beginning()) {
        proxy_header(&bytes);
        let found = match parse(&bytes) {
            ParsedProxyHeader::Complete { len, client } => Some((len, client)),
            ParsedProxyHeader::Partial => None,
            ParsedProxyHeader::Invalid => {
                for end in [&b"\r\n"[..], b"\n", b" 1.2.3.4 1.2.3.4 1 1\r\n", &more] {
                    prop_assert_eq!(model(&[&bytes[..], end].concat()), None);
                }
                None
            }
        };
        prop_assert_eq!(found, model(&bytes));
    }
}

/// The longest lines of section 2.1, and one byte more.
#[test]
fn lines_have_107_bytes_at_most() {
    let unknown = |bytes: usize| {
        let mut line = b"PROXY UNKNOWN ".to_vec();
        line.resize(bytes - 2, b'f');
        [&line[..], b"\r\n"].concat()
    };
    let complete = ParsedProxyHeader::Complete { len: 107, client: None };
    assert_eq!(parse(&unknown(107)), complete);
    assert_eq!(parse(&unknown(107)[..106]), ParsedProxyHeader::Partial);
    assert_eq!(parse(&unknown(108)), ParsedProxyHeader::Invalid);
    assert_eq!(parse(&unknown(108)[..106]), ParsedProxyHeader::Partial);
    assert_eq!(parse(&unknown(108)[..107]), ParsedProxyHeader::Invalid, "no room is left");
}

/// Headers of other implementations: those that proxies in front send.
#[test]
fn headers_of_proxies_are_understood() {
    let ip =
        |text: &str, port| Some(PeerAddress::ip(text.parse().expect("it is an address"), port));
    // nginx and HAProxy with send-proxy.
    let line = b"PROXY TCP6 2001:db8::7 ::1 51000 10001\r\nGET ";
    assert_eq!(
        parse(line),
        ParsedProxyHeader::Complete { len: line.len() - 4, client: ip("2001:db8::7", 51_000) }
    );
    // HAProxy with send-proxy-v2, as a hexdump of such a connection shows it.
    let header = [
        0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a, 0x21, 0x11, 0x00,
        0x0c, 0xac, 0x13, 0x00, 0x01, 0xac, 0x13, 0x00, 0x03, 0xa6, 0x52, 0x00, 0x50,
    ];
    let client = ip("172.19.0.1", 42_578);
    assert_eq!(parse(&header), ParsedProxyHeader::Complete { len: 28, client });
    // The same with a checksum of the wrong value and a NOOP.
    let mut tlvs = header.to_vec();
    tlvs[15] += 7 + 3;
    tlvs.extend([3, 0, 4, 1, 2, 3, 4, 4, 0, 0]);
    assert_eq!(parse(&tlvs), ParsedProxyHeader::Complete { len: 38, client });
    // A dual-stack proxy names a client of IPv4 by its mapped address.
    let mapped = b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n";
    let client = ip("192.0.2.1", 1);
    assert_eq!(parse(mapped), ParsedProxyHeader::Complete { len: mapped.len(), client });
}

#[test]
fn tlvs_have_a_bound() {
    let header = |len: u16| {
        let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x20\x00".to_vec();
        bytes.extend(len.to_be_bytes());
        bytes
    };
    assert_eq!(parse(&header(4080)), ParsedProxyHeader::Partial);
    assert_eq!(parse(&header(4081)), ParsedProxyHeader::Invalid, "before they arrive");
}

/// What a client without a proxy sends to such a listener.
#[test]
fn requests_without_a_header_are_invalid_from_their_first_bytes_on() {
    for bytes in [&b"G"[..], b"HEAD", b"PO", b"PRI * HTTP/2.0\r\n", b"\n", b"\r\n\r\nG", b"\x16"] {
        assert_eq!(parse(bytes), ParsedProxyHeader::Invalid, "{bytes:?}");
    }
}
