//! What must hold for any bytes at all: the fuzzers call these, and the tests over their corpora.

use super::body::{Body, Progress};
use super::request::{Fields, Framing, Parsed, RejectStatus, Scan, parse};

/// What is compared of two parses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Partial,
    Request { head_len: usize, framing: Framing },
    Reject { status: RejectStatus, head: bool },
}

/// The same head gives the same decision however it is split, a request is what its own bytes
/// say, and what is refused stays refused when more comes. The first two bytes choose the split.
///
/// # Panics
/// If that isn't so.
pub fn head(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first_chunk::<2>() else { return };
    let whole = outcome_of(bytes, &mut Scan::default());
    let at = usize::from(u16::from_le_bytes(*choice)) % (bytes.len() + 1);
    let mut scan = Scan::default();
    let first = outcome_of(&bytes[..at], &mut scan);
    let split = match first {
        Outcome::Partial => outcome_of(bytes, &mut scan),
        Outcome::Request { .. } | Outcome::Reject { .. } => first,
    };
    assert!(agree(whole, split), "whole: {whole:?}, split at {at}: {split:?}");
    let by_byte = byte_by_byte(bytes);
    assert!(agree(whole, by_byte), "whole: {whole:?}, byte by byte: {by_byte:?}");
    if let Outcome::Request { head_len, framing } = whole {
        let own = outcome_of(&bytes[..head_len], &mut Scan::default());
        assert_eq!(own, whole, "a head is what its own bytes say");
        let before = outcome_of(&bytes[..head_len - 1], &mut Scan::default());
        assert_eq!(before, Outcome::Partial, "a head isn't complete before its last byte");
        body(framing, &bytes[head_len..], at);
    }
}

/// A body ends at the same place with the same result however it is split.
fn body(framing: Framing, bytes: &[u8], at: usize) {
    let mut whole = Body::new(framing);
    let (used, progress) = whole.advance(bytes);
    assert!(used <= bytes.len());
    let at = at % (bytes.len() + 1);
    let mut split = Body::new(framing);
    let (mut total, mut last) = split.advance(&bytes[..at]);
    if last == Progress::More {
        assert_eq!(total, at, "what is given is taken while the body goes on");
        let (more, progress) = split.advance(&bytes[at..]);
        (total, last) = (total + more, progress);
    }
    assert_eq!((total, last), (used, progress), "split at {at}");
}

fn byte_by_byte(bytes: &[u8]) -> Outcome {
    let mut scan = Scan::default();
    let mut outcome = Outcome::Partial;
    for len in 1..=bytes.len() {
        outcome = outcome_of(&bytes[..len], &mut scan);
        if outcome != Outcome::Partial {
            break;
        }
    }
    outcome
}

/// Which limit is noticed first may depend on how much came at once; that a head is refused may
/// not.
fn agree(one: Outcome, other: Outcome) -> bool {
    let is_limit = |outcome| {
        matches!(
            outcome,
            Outcome::Reject {
                status: RejectStatus::FieldsTooLarge
                    | RejectStatus::UriTooLong
                    | RejectStatus::NotImplemented,
                ..
            }
        )
    };
    let refused = |outcome| matches!(outcome, Outcome::Reject { .. });
    one == other || (refused(one) && refused(other) && (is_limit(one) || is_limit(other)))
}

fn outcome_of(bytes: &[u8], scan: &mut Scan) -> Outcome {
    match parse(bytes, scan, HEAD_BYTES_MAX, &mut Fields::new()) {
        Parsed::Partial => Outcome::Partial,
        Parsed::Request(request) => {
            assert!(request.head_len <= bytes.len());
            Outcome::Request { head_len: request.head_len, framing: request.framing }
        }
        Parsed::Reject(reject) => Outcome::Reject { status: reject.status, head: reject.head },
    }
}

const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What [`super::path::decode`] says, segment by segment and as slowly as it can be said; `None` if
/// the path names nothing.
#[must_use]
pub fn path_by_segments(path: &[u8]) -> Option<Vec<u8>> {
    let Some(path) = path.strip_prefix(b"/") else {
        return path.is_empty().then(|| b"/".to_vec());
    };
    let segments: Vec<&[u8]> = path.split(|&octet| octet == b'/').collect();
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        let name = unescaped(segment)?;
        let is_last = index == segments.len() - 1;
        match &*name {
            b".." => {
                kept.pop();
            }
            b"." => {}
            _ => {
                kept.push(name);
                continue;
            }
        }
        if is_last {
            kept.push(Vec::new());
        }
    }
    Some(kept.iter().flat_map(|name| [b"/", &name[..]].concat()).collect())
}

fn unescaped(segment: &[u8]) -> Option<Vec<u8>> {
    let mut name = Vec::new();
    let mut rest = segment;
    while let Some((&octet, behind)) = rest.split_first() {
        rest = behind;
        if octet != b'%' {
            name.push(octet);
            continue;
        }
        let digits = rest.get(..2).filter(|two| two.iter().all(u8::is_ascii_hexdigit))?;
        name.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = &rest[2..];
    }
    (!name.contains(&b'/') && !name.contains(&0)).then_some(name)
}
