//! The path of a request target as a name of something: percent-encoding decoded once, dot
//! segments removed (RFC 3986 5.2.4), and back again for `Location`.
//!
//! What comes out begins with a slash and has no `.` or `..` segment, so it names nothing above
//! the root, whatever it is joined with.

use super::grammar::{self, HEX, PATH};

/// A path that names nothing: an escape that isn't two hexadecimal digits, an encoded slash (which
/// would be a separator to some and a letter to others), or a NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unnameable;

/// Decodes a path and removes its dot segments. `scratch` is used where that changes anything.
///
/// An empty path is the root (RFC 9110 4.2.3). Empty segments are kept: `//` is not `/`.
///
/// # Errors
/// [`Unnameable`].
///
/// # Panics
/// If `scratch` is shorter than the path.
pub fn decode<'a>(path: &'a [u8], scratch: &'a mut [u8]) -> Result<&'a [u8], Unnameable> {
    if path.is_empty() {
        return Ok(b"/");
    }
    let encoded = memchr::memchr2(b'%', 0, path).is_some();
    // Most paths have neither, and are used where they lie.
    let dotted = || memchr::memchr_iter(b'.', path).any(|at| at > 0 && path[at - 1] == b'/');
    if !encoded && path[0] == b'/' && !dotted() {
        return Ok(path);
    }
    let len = decode_escapes(path, scratch)?;
    if len == 0 || scratch[0] != b'/' {
        return Err(Unnameable);
    }
    let len = remove_dot_segments(&mut scratch[..len]);
    Ok(&scratch[..len])
}

/// Writes the octets of `path` into `out`, and says how many they are.
fn decode_escapes(path: &[u8], out: &mut [u8]) -> Result<usize, Unnameable> {
    let mut written = 0;
    let mut octets = path.iter();
    while let Some(&octet) = octets.next() {
        let octet = if octet == b'%' {
            let mut digit = || octets.next().and_then(|&digit| hex(digit)).ok_or(Unnameable);
            let octet = digit()? << 4 | digit()?;
            if octet == b'/' {
                return Err(Unnameable);
            }
            octet
        } else {
            octet
        };
        if octet == 0 {
            return Err(Unnameable);
        }
        out[written] = octet;
        written += 1;
    }
    Ok(written)
}

/// Removes `.` and `..` segments of a path that begins with a slash, in place; says how long it is
/// then.
fn remove_dot_segments(path: &mut [u8]) -> usize {
    let mut written = 0;
    let mut read = 0;
    while read < path.len() {
        // Each segment is taken with the slash before it.
        let end = memchr::memchr(b'/', &path[read + 1..]).map_or(path.len(), |at| read + 1 + at);
        let is_last = end == path.len();
        match &path[read + 1..end] {
            b"." | b".." => {
                if path[read + 1..end].len() == 2 {
                    // The root has nothing above it.
                    written = memchr::memrchr(b'/', &path[..written]).unwrap_or(0);
                }
                if is_last {
                    path[written] = b'/';
                    written += 1;
                }
            }
            _ => {
                path.copy_within(read..end, written);
                written += end - read;
            }
        }
        read = end;
    }
    written
}

fn hex(digit: u8) -> Option<u8> {
    if !grammar::is(digit, HEX) {
        return None;
    }
    Some(match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    })
}

/// Writes a decoded path as it may stand in a URI; what may not is percent-encoded. Says how long
/// it became, or `None` if it doesn't fit.
pub fn encode(path: &[u8], out: &mut [u8]) -> Option<usize> {
    encode_all_but(path, |octet| grammar::is(octet, PATH), out)
}

/// Writes octets as they may stand in a query between the signs that divide it: `&`, `=`, `+` and
/// `;` are percent-encoded, too. Says how long it became, or `None` if it doesn't fit.
pub fn encode_in_query(octets: &[u8], out: &mut [u8]) -> Option<usize> {
    encode_all_but(octets, |octet| grammar::is(octet, PATH) && !b"&=+;".contains(&octet), out)
}

/// Writes a query that was asked for as RFC 3986 has it: what clients leave as it is against that
/// is percent-encoded. Says how long it became, or `None` if it doesn't fit.
pub fn encode_query(query: &[u8], out: &mut [u8]) -> Option<usize> {
    encode_all_but(query, stands_in_query, out)
}

/// How long a query is as [`encode_query`] writes it.
#[must_use]
pub fn query_bytes(query: &[u8]) -> usize {
    query.len() + 2 * query.iter().filter(|&&octet| !stands_in_query(octet)).count()
}

fn stands_in_query(octet: u8) -> bool {
    // A percent sign begins an escape, since the target was valid.
    grammar::is(octet, PATH) || matches!(octet, b'?' | b'%')
}

fn encode_all_but(octets: &[u8], may: impl Fn(u8) -> bool, out: &mut [u8]) -> Option<usize> {
    let mut written = 0;
    for &octet in octets {
        if may(octet) {
            *out.get_mut(written)? = octet;
            written += 1;
        } else {
            let place = out.get_mut(written..written + 3)?;
            place.copy_from_slice(&[b'%', digit_of(octet >> 4), digit_of(octet & 15)]);
            written += 3;
        }
    }
    Some(written)
}

fn digit_of(half: u8) -> u8 {
    b"0123456789ABCDEF"[half as usize]
}

/// The last segment of a path: what is behind its last slash.
#[must_use]
pub fn last_segment(path: &[u8]) -> &[u8] {
    memchr::memrchr(b'/', path).map_or(path, |at| &path[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::properties::path_by_segments;
    use proptest::prelude::*;

    fn decoded(path: &[u8]) -> Result<Vec<u8>, Unnameable> {
        let mut scratch = vec![0; path.len()];
        decode(path, &mut scratch).map(<[u8]>::to_vec)
    }

    #[test]
    fn paths_are_decoded_once() {
        for (path, expected) in [
            ("", "/"),
            ("/", "/"),
            ("/a/b.html", "/a/b.html"),
            ("/a%20b", "/a b"),
            ("/%61%2e%62", "/a.b"),
            ("/%2561", "/%61"),
            ("/./a", "/a"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/..", "/"),
            ("/../../etc/passwd", "/etc/passwd"),
            ("/a/%2e%2e/b", "/b"),
            ("/a/.%2E/b", "/b"),
            ("/...", "/..."),
            ("/.well-known/x", "/.well-known/x"),
            ("//", "//"),
            ("/a//../b", "/a/b"),
            ("/%c3%a4", "/ä"),
        ] {
            assert_eq!(decoded(path.as_bytes()), Ok(expected.as_bytes().to_vec()), "{path}");
        }
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for path in ["/%2f", "/a%2Fb", "/%00", "/%", "/%1", "/%g0", "/a%2", "a", "%2e", "%"] {
            assert_eq!(decoded(path.as_bytes()), Err(Unnameable), "{path}");
        }
    }

    #[test]
    fn encoding_is_undone_by_decoding() {
        let mut out = [0; 64];
        let len = encode("/ä b%/c?d#".as_bytes(), &mut out).expect("room");
        assert_eq!(&out[..len], b"/%C3%A4%20b%25/c%3Fd%23");
        assert_eq!(encode(b"/abc", &mut out[..3]), None);
        assert_eq!(encode(b"/\xff", &mut out[..3]), None);
    }

    #[test]
    fn a_query_is_encoded_where_it_must_be() {
        let mut out = [0; 64];
        let query = b"a=%5B1]&b[]={x|y}?\\^`/:";
        let expected = b"a=%5B1%5D&b%5B%5D=%7Bx%7Cy%7D?%5C%5E%60/:";
        assert_eq!(encode_query(query, &mut out), Some(expected.len()));
        assert_eq!(&out[..expected.len()], expected);
        assert_eq!(query_bytes(query), expected.len());
        assert_eq!(encode_query(query, &mut out[..expected.len() - 1]), None);
    }

    proptest! {
        #[test]
        fn the_model_agrees(path in "/?((%2[eEfF]|%[0-9a-f]{2}|%|[./a]){0,3}/?){0,6}") {
            let model = path_by_segments(path.as_bytes()).ok_or(Unnameable);
            prop_assert_eq!(decoded(path.as_bytes()), model);
        }

        #[test]
        fn nothing_leads_above_the_root(path in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(name) = decoded(&path) {
                prop_assert_eq!(name.first(), Some(&b'/'));
                let mut segments = name.split(|&octet| octet == b'/');
                prop_assert!(segments.all(|segment| segment != b"." && segment != b".."));
                let mut encoded = vec![0; name.len() * 3];
                let len = encode(&name, &mut encoded).expect("room for three octets each");
                prop_assert_eq!(decoded(&encoded[..len]), Ok(name));
            }
        }
    }
}
