//! The properties of a PROXY header that hold for arbitrary bytes. The fuzz target calls
//! [`proxy_header`], and the tests over its corpus.

use super::{PROXY_HEADER_BYTES_MAX, ParsedProxyHeader, parse};

/// Asserts that bytes have the same outcome however they are split on arrival: each beginning of
/// them is incomplete until the outcome is certain, and the outcome stays the same from then on;
/// that it is certain after [`PROXY_HEADER_BYTES_MAX`] bytes; and that it depends on no byte behind
/// the header.
///
/// # Panics
/// If an assertion fails.
pub fn proxy_header(bytes: &[u8]) {
    let at_once = parse(bytes);
    let mut beginnings = (0..bytes.len()).map(|len| (len, parse(&bytes[..len])));
    let certain = beginnings.find(|(_, outcome)| *outcome != ParsedProxyHeader::Partial);
    if let Some((certain_at, outcome)) = certain {
        assert_eq!(outcome, at_once, "it was certain after {certain_at} bytes");
        for (len, later) in beginnings {
            assert_eq!(later, at_once, "it changes at {len} bytes");
        }
    }
    match at_once {
        ParsedProxyHeader::Partial => assert!(bytes.len() < PROXY_HEADER_BYTES_MAX),
        ParsedProxyHeader::Complete { len, .. } => {
            assert!(len <= bytes.len().min(PROXY_HEADER_BYTES_MAX));
            assert_eq!(parse(&bytes[..len]), at_once, "it depends on bytes behind the header");
            assert_eq!(parse(&bytes[..len - 1]), ParsedProxyHeader::Partial);
        }
        ParsedProxyHeader::Invalid => assert!(!bytes.is_empty()),
    }
}
