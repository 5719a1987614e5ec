//! The properties of forwarding fields that hold for arbitrary values. The fuzz target calls
//! [`forwarded`], and the tests over its corpus.

use super::{ForwardedField, ForwardingOptions};
use crate::peer_address::PeerAddress;
use httparse::Header;

/// Asserts, of lines that a client may have sent, that they don't matter unless the peer is
/// trusted; that no line matters to the left of what a trusted proxy has appended, on a line of its
/// own or, for `X-Forwarded-For`, on the same line; and that the outcome is the peer or an address
/// which is in the text. The first byte of `data` chooses the field, and zero bytes end lines.
///
/// # Panics
/// If an assertion fails.
pub fn forwarded(data: &[u8]) {
    let Some((&choice, values)) = data.split_first() else { return };
    let (forwarded_field, name) = match choice & 1 {
        0 => (ForwardedField::XForwardedFor, "x-forwarded-for"),
        _ => (ForwardedField::Forwarded, "FORWARDED"),
    };
    let trusted_proxies = PROXIES.map(|text| text.parse().expect("it is a network")).to_vec();
    let options = ForwardingOptions { trusted_proxies, forwarded_field };
    let lines: Vec<Header<'_>> =
        values.split(|&octet| octet == 0).map(|value| Header { name, value }).collect();
    let proxy = PeerAddress::ip([10, 0, 0, 1].into(), 4711);
    let stranger = PeerAddress::ip([192, 0, 2, 1].into(), 4711);
    assert_eq!(options.client(stranger, &lines), stranger);
    let nobody = ForwardingOptions { trusted_proxies: Vec::new(), forwarded_field };
    assert_eq!(nobody.client(proxy, &lines), proxy, "without trusted proxies nobody is trusted");

    let client = options.client(proxy, &lines);
    assert!(client == proxy || matches!(client, PeerAddress::Ip { .. }), "{client:?}");

    // What the proxy appends, of a client that isn't trusted.
    let appended = match forwarded_field {
        ForwardedField::XForwardedFor => &b"192.0.2.9"[..],
        ForwardedField::Forwarded => b"for=192.0.2.9",
    };
    let found = PeerAddress::ip([192, 0, 2, 9].into(), 0);
    let own_line = [&lines[..], &[Header { name, value: appended }]].concat();
    assert_eq!(options.client(proxy, &own_line), found);
    let Some((last, before)) = lines.split_last() else { return };
    let same = [last.value, b", ", appended].concat();
    let same_line = [before, &[Header { name, value: &same }]].concat();
    let client = options.client(proxy, &same_line);
    match forwarded_field {
        ForwardedField::XForwardedFor => assert_eq!(client, found),
        // The client may have made the line one that says nothing.
        ForwardedField::Forwarded => assert!(client == found || client == proxy, "{client:?}"),
    }
}

const PROXIES: [&str; 2] = ["10.0.0.0/8", "2001:db8::/32"];
