//! From the path of a request target to the name of a file, and back for `Location`:
//! percent-encoding is decoded once (RFC 3986 2.4), and dot segments are removed (RFC 3986 5.2.4).
//!
//! A decoded path begins with a slash and has no `.` or `..` segment, so that no join of it with a
//! folder leads above the folder.

use super::grammar::{self, HEX, PATH};

/// A path that can't name a file: it doesn't begin with a slash, or it has a NUL, a percent sign
/// without two hexadecimal digits, or an encoded slash, which is a separator to some programs and
/// part of a name to others (RFC 3986 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unnameable;

/// Decodes a path and removes its dot segments, into `scratch` where that changes anything.
///
/// An empty path is the root (RFC 9110 4.2.3). Empty segments are kept: `//` is not `/`.
///
/// # Errors
/// [`Unnameable`], which lists the reasons.
///
/// # Panics
/// If `scratch` is shorter than the path.
///
/// # Examples
///
/// ```
/// use uringstatic::http::path::{Unnameable, decode};
///
/// let mut scratch = [0; 64];
/// assert_eq!(decode(b"/a/../b%20c", &mut scratch), Ok(&b"/b c"[..]));
/// assert_eq!(decode(b"/a%2Fb", &mut scratch), Err(Unnameable));
/// ```
pub fn decode<'a>(path: &'a [u8], scratch: &'a mut [u8]) -> Result<&'a [u8], Unnameable> {
    if path.is_empty() {
        return Ok(b"/");
    }
    let encoded = memchr::memchr2(b'%', 0, path).is_some();
    // Most paths have neither, and are returned as they are.
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

/// Decodes percent-encoding into `out`; returns the number of octets written.
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

/// Removes `.` and `..` segments of a path that begins with a slash, in place; returns the new
/// length.
fn remove_dot_segments(path: &mut [u8]) -> usize {
    let mut written = 0;
    let mut read = 0;
    while read < path.len() {
        // A segment includes the slash before it.
        let end = memchr::memchr(b'/', &path[read + 1..]).map_or(path.len(), |at| read + 1 + at);
        let is_last = end == path.len();
        match &path[read + 1..end] {
            b"." | b".." => {
                if path[read + 1..end].len() == 2 {
                    // Above the root is the root (RFC 3986 5.2.4, step 2C).
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

/// Writes a decoded path into `out` as a URI has it, with other octets than `pchar` and `/`
/// percent-encoded. Returns its length, or `None` if it doesn't fit.
pub fn encode(path: &[u8], out: &mut [u8]) -> Option<usize> {
    encode_except(path, |octet| grammar::is(octet, PATH), out)
}

/// Writes octets as they may stand in a query between the signs that divide it: `&`, `=`, `+` and
/// `;` are percent-encoded, too. Returns its length, or `None` if it doesn't fit.
pub fn encode_in_query(octets: &[u8], out: &mut [u8]) -> Option<usize> {
    encode_except(octets, |octet| grammar::is(octet, PATH) && !b"&=+;".contains(&octet), out)
}

/// Writes octets as one segment of a path has them: as [`encode`], and with slashes
/// percent-encoded. Returns its length, or `None` if it doesn't fit.
pub fn encode_segment(octets: &[u8], out: &mut [u8]) -> Option<usize> {
    encode_except(octets, |octet| grammar::is(octet, PATH) && octet != b'/', out)
}

/// The octets of a name or a value in a query as forms encode it: `+` is a space, and a percent
/// sign without two digits stands for itself (URL standard, `application/x-www-form-urlencoded`).
pub fn unescape_form(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (&octet, behind) = rest.split_first()?;
        rest = behind;
        Some(match (octet, behind) {
            (b'+', _) => b' ',
            (b'%', [high, low, others @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = others;
                    high << 4 | low
                }
                _ => octet,
            },
            _ => octet,
        })
    })
}

/// Writes the query of a request target into `out` by the grammar of RFC 3986 3.4: octets that
/// browsers leave unencoded against it are percent-encoded, but for `%`, which is copied whatever
/// follows it, so that nothing is encoded twice. Returns its length, or `None` if it doesn't fit.
pub fn encode_query(query: &[u8], out: &mut [u8]) -> Option<usize> {
    encode_except(query, is_query_octet, out)
}

/// The length in bytes of a query as [`encode_query`] writes it.
#[must_use]
pub fn query_bytes(query: &[u8]) -> usize {
    query.len() + 2 * query.iter().filter(|&&octet| !is_query_octet(octet)).count()
}

fn is_query_octet(octet: u8) -> bool {
    grammar::is(octet, PATH) || matches!(octet, b'?' | b'%')
}

fn encode_except(octets: &[u8], is_kept: impl Fn(u8) -> bool, out: &mut [u8]) -> Option<usize> {
    let mut written = 0;
    for &octet in octets {
        if is_kept(octet) {
            *out.get_mut(written)? = octet;
            written += 1;
        } else {
            let triplet = out.get_mut(written..written + 3)?;
            triplet.copy_from_slice(&[b'%', digit_of(octet >> 4), digit_of(octet & 15)]);
            written += 3;
        }
    }
    Some(written)
}

fn digit_of(half: u8) -> u8 {
    b"0123456789ABCDEF"[half as usize]
}

/// The last segment of a path: the octets after its last slash.
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
    fn paths_that_name_no_file_are_refused() {
        for path in ["/%2f", "/a%2Fb", "/%00", "/%", "/%1", "/%g0", "/a%2", "a", "%2e", "%"] {
            assert_eq!(decoded(path.as_bytes()), Err(Unnameable), "{path}");
        }
    }

    #[test]
    fn encode_inverts_decode() {
        let mut out = [0; 64];
        let len = encode("/ä b%/c?d#".as_bytes(), &mut out).expect("room");
        assert_eq!(&out[..len], b"/%C3%A4%20b%25/c%3Fd%23");
        assert_eq!(encode(b"/abc", &mut out[..3]), None);
        assert_eq!(encode(b"/\xff", &mut out[..3]), None);
    }

    #[test]
    fn query_octets_outside_rfc_3986_are_encoded() {
        let mut out = [0; 64];
        let query = b"a=%5B1]&b[]={x|y}?\\^`/:&c=50%&%zz%";
        let expected = b"a=%5B1%5D&b%5B%5D=%7Bx%7Cy%7D?%5C%5E%60/:&c=50%&%zz%";
        assert_eq!(encode_query(query, &mut out), Some(expected.len()));
        assert_eq!(&out[..expected.len()], expected);
        assert_eq!(query_bytes(query), expected.len());
        assert_eq!(encode_query(query, &mut out[..expected.len() - 1]), None);
    }

    proptest! {
        #[test]
        fn decode_agrees_with_the_model(path in "/?((%2[eEfF]|%[0-9a-f]{2}|%|[./a]){0,3}/?){0,6}") {
            let model = path_by_segments(path.as_bytes()).ok_or(Unnameable);
            prop_assert_eq!(decoded(path.as_bytes()), model);
        }

        #[test]
        fn decoded_paths_stay_below_the_root(path in prop::collection::vec(any::<u8>(), 0..40)) {
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
