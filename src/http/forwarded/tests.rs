//! Forwarding fields: examples, and a model that reads from the right, as the rule is stated, with
//! a grammar of its own.

use super::properties::forwarded;
use super::{ForwardedField, ForwardingOptions, TrustedProxy};
use crate::peer_address::PeerAddress;
use httparse::Header;
use proptest::prelude::*;
use std::net::IpAddr;

fn address(text: &str) -> IpAddr {
    text.parse().expect("it is an address")
}

fn options(forwarded_field: ForwardedField) -> ForwardingOptions {
    let trusted = ["10.0.0.0/8", "2001:db8::/32", "unix:"];
    let trusted_proxies = trusted.map(|text| text.parse().expect("it is a network")).to_vec();
    ForwardingOptions { trusted_proxies, forwarded_field }
}

/// The client of lines that came from this peer.
fn client_from(peer: PeerAddress, field: ForwardedField, lines: &[&str]) -> PeerAddress {
    let name = match field {
        ForwardedField::XForwardedFor => "x-forwarded-for",
        ForwardedField::Forwarded => "forwarded",
    };
    let lines: Vec<_> = lines.iter().map(|line| Header { name, value: line.as_bytes() }).collect();
    options(field).client(peer, &lines)
}

/// The client of lines that a trusted proxy has sent, in words; `10.0.0.1` is the proxy.
fn client(field: ForwardedField, lines: &[&str]) -> String {
    client_from(PeerAddress::ip(address("10.0.0.1"), 1), field, lines).to_string()
}

#[test]
fn x_forwarded_for_is_read_from_the_right() {
    let client = |lines: &[&str]| client(ForwardedField::XForwardedFor, lines);
    for (lines, expected) in [
        (&["192.0.2.7"][..], "192.0.2.7"),
        (&["6.6.6.6, 192.0.2.7"], "192.0.2.7"),
        (&["6.6.6.6, 192.0.2.7, 10.0.0.3,2001:db8::1"], "192.0.2.7"),
        (&["6.6.6.6", "192.0.2.7", "10.0.0.3"], "192.0.2.7"),
        (&["10.0.0.3, 10.0.0.4"], "10.0.0.3"),
        (&["192.0.2.7:4711"], "192.0.2.7"),
        (&["[2001:db9::7]:4711"], "2001:db9::7"),
        (&["2001:db9::7"], "2001:db9::7"),
        (&["::ffff:192.0.2.7"], "192.0.2.7"),
        (&[", 192.0.2.7, ,"], "192.0.2.7"),
        // Malformed: the last good address.
        (&["6.6.6.6, unknown"], "10.0.0.1"),
        (&["6.6.6.6, unknown, 10.0.0.3"], "10.0.0.3"),
        (&["6.6.6.6, 300.1.1.1, 192.0.2.7"], "192.0.2.7"),
        (&["192.0.2.7:"], "10.0.0.1"),
        (&["192.0.2.7:65536"], "10.0.0.1"),
        (&["192.0.2.7 6.6.6.6"], "10.0.0.1"),
        (&["2001:db9::7%eth0"], "10.0.0.1"),
        (&["\"192.0.2.7\""], "10.0.0.1"),
        (&[""], "10.0.0.1"),
        (&[], "10.0.0.1"),
    ] {
        assert_eq!(client(lines), expected, "{lines:?}");
    }
}

/// The examples of RFC 7239 sections 4, 6 and 7.1, and others.
#[test]
fn forwarded_is_read_from_the_right() {
    let client = |lines: &[&str]| client(ForwardedField::Forwarded, lines);
    for (lines, expected) in [
        (&["for=\"_gazonk\""][..], "10.0.0.1"),
        (&["For=\"[2001:db9:cafe::17]:4711\""], "2001:db9:cafe::17"),
        (&["for=192.0.2.60;proto=http;by=203.0.113.43"], "192.0.2.60"),
        (&["for=192.0.2.43, for=198.51.100.17"], "198.51.100.17"),
        (&["for=192.0.2.43, for=10.0.0.9, for=\"[2001:db8::9]\""], "192.0.2.43"),
        (&["for=192.0.2.43, for=unknown"], "10.0.0.1"),
        (&["for=\"192.0.2.43:47011\""], "192.0.2.43"),
        (&["for=\"192.0.2.43:_port\""], "192.0.2.43"),
        (&["for=192.0.2.43", "by=\"a, b\"; for=10.0.0.9"], "192.0.2.43"),
        (&["host=\"x\\\", for=6.6.6.6\";for=192.0.2.43"], "192.0.2.43"),
        // An element without an address hides those to its left.
        (&["for=192.0.2.43, proto=https"], "10.0.0.1"),
        (&["for=192.0.2.43,, for=10.0.0.9;"], "192.0.2.43"),
        // Not by the grammar: the whole line says nothing.
        (&["for=192.0.2.43, for=2001:db9::1"], "10.0.0.1"),
        (&["for=\"2001:db9::1\""], "10.0.0.1"),
        (&["for=192.0.2.43;for=192.0.2.44"], "10.0.0.1"),
        (&["for =192.0.2.43"], "10.0.0.1"),
        (&["for=\"192.0.2.43, for=192.0.2.44"], "10.0.0.1"),
        (&["for=192.0.2.43", "for=\"", "for=10.0.0.9"], "10.0.0.9"),
    ] {
        assert_eq!(client(lines), expected, "{lines:?}");
    }
}

#[test]
fn ports_of_clients_are_kept_where_they_are_known() {
    let proxy = PeerAddress::ip(address("10.0.0.1"), 1);
    let client = client_from(proxy, ForwardedField::XForwardedFor, &["[2001:db9::7]:4711"]);
    assert_eq!(client, PeerAddress::ip(address("2001:db9::7"), 4711));
}

#[test]
fn only_trusted_peers_are_believed() {
    let field = ForwardedField::XForwardedFor;
    let lines = ["192.0.2.7"];
    let client = PeerAddress::ip(address("192.0.2.7"), 0);
    for (peer, is_trusted) in [
        (PeerAddress::Unix, true),
        (PeerAddress::ip(address("10.255.0.1"), 5), true),
        (PeerAddress::ip(address("::ffff:10.0.0.1"), 5), true),
        (PeerAddress::ip(address("11.0.0.1"), 5), false),
        (PeerAddress::ip(address("2001:db9::"), 5), false),
        (PeerAddress::Unknown, false),
    ] {
        let expected = if is_trusted { client } else { peer };
        assert_eq!(client_from(peer, field, &lines), expected, "{peer:?}");
    }
    let proxy = PeerAddress::Unix;
    let nobody = ForwardingOptions::default();
    let value = b"192.0.2.7";
    assert_eq!(nobody.client(proxy, &[Header { name: "X-Forwarded-For", value }]), proxy);
    // A proxy passes on the field that it doesn't set itself.
    let other = Header { name: "Forwarded", value: b"for=192.0.2.7" };
    assert_eq!(options(field).client(proxy, &[other]), proxy);
}

#[test]
fn networks_are_parsed_and_displayed() {
    let parse = |text: &str| text.parse::<TrustedProxy>();
    for (text, displayed) in [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::1", "::1/128"),
        ("unix:", "unix:"),
    ] {
        assert_eq!(parse(text).expect(text).to_string(), displayed);
    }
    for (text, hint) in [
        ("10.0.0.1/8", "the network is 10.0.0.0/8"),
        ("2001:db8::1/32", "the network is 2001:db8::/32"),
        ("10.0.0.0/33", "from 0 to 32"),
        ("::/129", "from 0 to 128"),
        ("10.0.0.0/+8", "from 0 to 32"),
        ("10.0.0.0/", "from 0 to 32"),
        ("::ffff:10.0.0.0/104", "written as such: 10.0.0.0"),
        ("localhost", "host names are not resolved"),
        ("10.0.0/8", "write an address"),
        ("", "write an address"),
    ] {
        let message = parse(text).expect_err(text);
        assert!(message.contains(hint), "{text}: {message}");
    }
    let everybody = parse("0.0.0.0/0").expect("it is a network");
    assert!(everybody.contains(PeerAddress::ip(address("255.1.2.3"), 1)));
    assert!(!everybody.contains(PeerAddress::ip(address("::1"), 1)));
}

/// The model: all members, from the right.
fn model(field: ForwardedField, lines: &[String]) -> Option<IpAddr> {
    let members: Vec<Option<IpAddr>> = match field {
        ForwardedField::XForwardedFor => lines
            .iter()
            .flat_map(|line| line.split(','))
            .map(|member| member.trim_matches([' ', '\t']))
            .filter(|member| !member.is_empty())
            .map(|member| member.parse::<IpAddr>().ok().or_else(|| with_port(member)))
            .collect(),
        ForwardedField::Forwarded => {
            lines.iter().flat_map(|line| elements(line).unwrap_or(vec![None])).collect()
        }
    };
    let mut last_good = None;
    for member in members.into_iter().rev() {
        let Some(ip) = member else { return last_good };
        let ip = ip.to_canonical();
        last_good = Some(ip);
        let is_trusted = match ip {
            IpAddr::V4(ip) => ip.octets()[0] == 10,
            IpAddr::V6(ip) => ip.segments()[..2] == [0x2001, 0xdb8],
        };
        if !is_trusted {
            break;
        }
    }
    last_good
}

/// `v4:port` or `[v6]` with or without a port.
fn with_port(text: &str) -> Option<IpAddr> {
    let (host, port) = if text.starts_with('[') {
        let end = text.find(']')?;
        (IpAddr::V6(text[1..end].parse().ok()?), &text[end + 1..])
    } else {
        let end = text.find(':')?;
        (IpAddr::V4(text[..end].parse().ok()?), &text[end..])
    };
    let is_hidden = port.len() > 2
        && port.starts_with(":_")
        && port[2..].chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    let digits = port.strip_prefix(':').unwrap_or("");
    let is_number = digits.len() <= 5
        && digits.chars().all(|c| c.is_ascii_digit())
        && digits.parse::<u32>().is_ok_and(|port| port <= 65_535);
    (port.is_empty() || is_hidden || is_number).then_some(host)
}

/// The elements of a line of `Forwarded`, each with its address; `None` if the line is malformed.
/// First the line is cut at the commas and semicolons outside quoted strings.
fn elements(line: &str) -> Option<Vec<Option<IpAddr>>> {
    let (mut elements, mut pairs, mut pair) = (Vec::new(), Vec::new(), String::new());
    let (mut in_quotes, mut escaped) = (false, false);
    for c in line.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_quotes => escaped = true,
            '"' => in_quotes = !in_quotes,
            ',' | ';' if !in_quotes => {
                pairs.push(std::mem::take(&mut pair));
                if c == ',' {
                    elements.push(std::mem::take(&mut pairs));
                }
                continue;
            }
            _ => {}
        }
        pair.push(c);
    }
    if in_quotes {
        return None;
    }
    pairs.push(pair);
    elements.push(pairs);
    let mut addresses = Vec::new();
    for pairs in elements {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|pair| pair.trim_matches([' ', '\t']))
            .filter(|pair| !pair.is_empty())
            .collect();
        let values: Vec<_> = pairs.iter().map(|pair| read_pair(pair)).collect::<Option<_>>()?;
        let of_for: Vec<_> = values.iter().filter(|(name, _)| name == "for").collect();
        match (pairs.is_empty(), &of_for[..]) {
            (true, _) => {}
            (false, []) => addresses.push(None),
            (false, [(_, value)]) => addresses.push(
                value
                    .parse::<std::net::Ipv4Addr>()
                    .map(IpAddr::V4)
                    .ok()
                    .or_else(|| with_port(value)),
            ),
            (false, _) => return None,
        }
    }
    Some(addresses)
}

/// Name in lower case and value of `token "=" (token / quoted-string)`.
fn read_pair(pair: &str) -> Option<(String, String)> {
    let is_token = |text: &str| {
        let is_mark = |c| "!#$%&'*+-.^_`|~".contains(c);
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || is_mark(c))
    };
    let (name, value) = pair.split_once('=')?;
    if !is_token(name) {
        return None;
    }
    if let Some(rest) = value.strip_prefix('"') {
        // One string: the only quote that isn't escaped is the last character.
        let mut escaped = false;
        let end = rest.char_indices().find(|&(_, c)| {
            let is_end = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            is_end
        })?;
        return (end.0 + 1 == rest.len())
            .then(|| (name.to_ascii_lowercase(), rest[..end.0].to_owned()));
    }
    is_token(value).then(|| (name.to_ascii_lowercase(), value.to_owned()))
}

fn any_address() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "10.0.0.1",
        "10.9.8.7",
        "192.0.2.7",
        "6.6.6.6",
        "2001:db8::1",
        "2001:db9::1",
        "unknown",
        "_hidden",
        "::ffff:10.0.0.4",
        "::ffff:6.6.6.6",
        "1.2.3",
        "01.2.3.4",
    ];
    (prop::sample::select(KNOWN).prop_map(str::to_owned), "(:[0-9]{0,6}|:_[a.]?|)", 0..4u8)
        .prop_map(|(ip, port, form)| match form {
            0 | 1 => ip,
            2 if ip.contains(':') => format!("[{ip}]{port}"),
            2 => format!("{ip}{port}"),
            _ => format!("[{ip}]"),
        })
}

fn any_list() -> impl Strategy<Value = String> {
    let space = prop::sample::select(&["", " ", "\t", ""][..]);
    let member = (space.clone(), any_address(), space).prop_map(|(a, ip, b)| format!("{a}{ip}{b}"));
    prop::collection::vec(prop_oneof![8 => member, 1 => Just(String::new())], 0..5)
        .prop_map(|members| members.join(","))
}

fn any_element() -> impl Strategy<Value = String> {
    let quoted = any_address().prop_map(|ip| format!("\"{ip}\""));
    let value = prop_oneof![any_address(), quoted, "\"[ -~]{0,6}\"?", "[a-z.=]{0,3}"];
    let name = prop::sample::select(&["for", "For", "by", "proto", "host", "f r", ""][..]);
    let equals = prop_oneof![12 => Just("="), 1 => Just(" ="), 1 => Just("")];
    let pair =
        (name, equals, value).prop_map(|(name, equals, value)| format!("{name}{equals}{value}"));
    let usual = any_address().prop_map(|ip| format!("for=\"{ip}\""));
    let semicolon = prop::sample::select(&[";", "; ", ";;", " ; "][..]);
    (prop::collection::vec(prop_oneof![pair, usual], 0..4), semicolon)
        .prop_map(|(pairs, semicolon)| pairs.join(semicolon))
}

fn any_forwarded() -> impl Strategy<Value = String> {
    prop::collection::vec(any_element(), 0..4).prop_map(|elements| elements.join(", "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn x_forwarded_for_is_what_the_model_says(lines in prop::collection::vec(any_list(), 0..4)) {
        expect_model(ForwardedField::XForwardedFor, &lines);
    }

    #[test]
    fn forwarded_is_what_the_model_says(lines in prop::collection::vec(any_forwarded(), 0..4)) {
        expect_model(ForwardedField::Forwarded, &lines);
    }
}

fn expect_model(field: ForwardedField, lines: &[String]) {
    let proxy = PeerAddress::ip(address("10.0.0.1"), 1);
    let texts: Vec<_> = lines.iter().map(String::as_str).collect();
    let expected = model(field, lines).map_or(proxy.address(), Some);
    assert_eq!(client_from(proxy, field, &texts).address(), expected, "{lines:?}");
    let choice = u8::from(field == ForwardedField::Forwarded);
    forwarded(&[&[choice], texts.join("\0").as_bytes()].concat());
}
