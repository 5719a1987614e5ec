//! Properties of the request parser that hold for arbitrary bytes. The fuzz targets call them, and
//! the tests over the corpora.

use super::body::{BodyProgress, RequestBody};
use super::framing::Framing;
use super::reject::{Reject, RejectStatus};
use super::request::{FieldBuffer, Parsed, parse};
use super::scan::Scan;

/// The part of a parser's outcome that two parses must agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeadOutcome {
    Partial,
    Request { head_len: usize, framing: Framing },
    Reject { status: RejectStatus, head: bool },
}

/// Asserts that a head has the same outcome however it is split, whether it is parsed at once or
/// its end is found first, and for a pipelined request whether its field lines are parsed or taken
/// from the one before it; that the outcome of a valid head depends on its own bytes only; and that
/// a refusal isn't revoked by further bytes. The first two bytes of `data` choose the split.
///
/// # Panics
/// If an assertion fails.
pub fn head(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first_chunk::<2>() else { return };
    let at_once = outcome_of(bytes, &mut Scan::default());
    let at = usize::from(u16::from_le_bytes(*choice)) % (bytes.len() + 1);
    let mut scan = Scan::default();
    let first = outcome_of(&bytes[..at], &mut scan);
    let split = match first {
        HeadOutcome::Partial => outcome_of(bytes, &mut scan),
        HeadOutcome::Request { .. } | HeadOutcome::Reject { .. } => first,
    };
    assert!(agree(at_once, split), "at once: {at_once:?}, split at {at}: {split:?}");
    let by_byte = byte_by_byte(bytes);
    assert!(agree(at_once, by_byte), "at once: {at_once:?}, byte by byte: {by_byte:?}");
    for limit in [HEAD_BYTES_MAX, at] {
        one_pass(bytes, limit);
        one_pass(&bytes[..at], limit);
        other_target(bytes, limit);
    }
    if let HeadOutcome::Request { head_len, framing } = at_once {
        let own = outcome_of(&bytes[..head_len], &mut Scan::default());
        assert_eq!(own, at_once, "the outcome depends on bytes after the head");
        let before = outcome_of(&bytes[..head_len - 1], &mut Scan::default());
        assert_eq!(before, HeadOutcome::Partial, "the head was complete before its last byte");
        body(framing, &bytes[head_len..], at);
    }
}

/// Asserts that a head that is parsed at once has the outcome of one whose end is found first, to
/// the last field and status.
pub(super) fn one_pass(bytes: &[u8], limit: usize) {
    let [mut fields, mut first, mut rest] = std::array::from_fn(|_| FieldBuffer::new());
    let at_once = parse(bytes, &mut Scan::default(), limit, &mut fields);
    let end_first = match Scan::default().find(bytes, limit) {
        Ok(None) => Parsed::Partial,
        Ok(Some(range)) => {
            // Once a byte has been scanned, `parse` finds the end first.
            let mut scan = Scan::default();
            match parse(&bytes[..1], &mut scan, limit, &mut first) {
                Parsed::Partial => parse(&bytes[..range.end], &mut scan, limit, &mut rest),
                refusal => refusal,
            }
        }
        Err(status) => {
            let Parsed::Reject(reject) = at_once else { panic!("{at_once:?}, not {status:?}") };
            Parsed::Reject(Reject { status, ..reject })
        }
    };
    match (at_once, end_first) {
        (Parsed::Partial, Parsed::Partial) => {}
        (Parsed::Request(one), Parsed::Request(other)) => assert_eq!(one, other),
        (Parsed::Reject(one), Parsed::Reject(other)) => assert_eq!(one, other),
        (one, other) => panic!("at once: {one:?}, its end first: {other:?}"),
    }
}

/// Asserts that a request which is taken for another one with its own target is what parsing makes
/// of it. `bytes` may be several heads.
pub(super) fn other_target(bytes: &[u8], limit: usize) {
    let [mut fields, mut fields_of_next] = std::array::from_fn(|_| FieldBuffer::new());
    let Parsed::Request(first) = parse(bytes, &mut Scan::default(), limit, &mut fields) else {
        return;
    };
    let rest = &bytes[first.head_len..];
    if let Some(next) = first.with_target_of(rest, limit) {
        let parsed = parse(rest, &mut Scan::default(), limit, &mut fields_of_next);
        let Parsed::Request(parsed) = parsed else { panic!("{next:?}, but {parsed:?}") };
        assert_eq!(next, parsed);
    }
}

/// Asserts that a body ends at the same byte with the same outcome however it is split.
fn body(framing: Framing, bytes: &[u8], at: usize) {
    let (used, progress) = RequestBody::new(framing).advance(bytes);
    assert!(used <= bytes.len());
    let at = at % (bytes.len() + 1);
    let mut split = RequestBody::new(framing);
    let (mut total, mut last) = split.advance(&bytes[..at]);
    if last == BodyProgress::More {
        assert_eq!(total, at, "an incomplete body consumes all bytes");
        let (more, progress) = split.advance(&bytes[at..]);
        (total, last) = (total + more, progress);
    }
    assert_eq!((total, last), (used, progress), "split at {at}");
}

fn byte_by_byte(bytes: &[u8]) -> HeadOutcome {
    let mut scan = Scan::default();
    let mut outcome = HeadOutcome::Partial;
    for len in 1..=bytes.len() {
        outcome = outcome_of(&bytes[..len], &mut scan);
        if outcome != HeadOutcome::Partial {
            break;
        }
    }
    outcome
}

/// Whether two outcomes agree. The limit that a head exceeds first may depend on the split, and so
/// may the status; the refusal may not.
fn agree(one: HeadOutcome, other: HeadOutcome) -> bool {
    let is_limit = |outcome| {
        matches!(
            outcome,
            HeadOutcome::Reject {
                status: RejectStatus::FieldsTooLarge
                    | RejectStatus::UriTooLong
                    | RejectStatus::NotImplemented,
                ..
            }
        )
    };
    let refused = |outcome| matches!(outcome, HeadOutcome::Reject { .. });
    one == other || (refused(one) && refused(other) && (is_limit(one) || is_limit(other)))
}

fn outcome_of(bytes: &[u8], scan: &mut Scan) -> HeadOutcome {
    match parse(bytes, scan, HEAD_BYTES_MAX, &mut FieldBuffer::new()) {
        Parsed::Partial => HeadOutcome::Partial,
        Parsed::Request(request) => {
            assert!(request.head_len <= bytes.len());
            HeadOutcome::Request { head_len: request.head_len, framing: request.framing }
        }
        Parsed::Reject(reject) => HeadOutcome::Reject { status: reject.status, head: reject.head },
    }
}

const HEAD_BYTES_MAX: usize = 16 * 1024;

/// A model of [`super::path::decode`] that is simple instead of fast: it works segment by segment
/// and allocates. `None` stands for [`Unnameable`](super::path::Unnameable).
#[must_use]
pub fn path_by_segments(path: &[u8]) -> Option<Vec<u8>> {
    let Some(path) = path.strip_prefix(b"/") else {
        return path.is_empty().then(|| b"/".to_vec());
    };
    let segments: Vec<&[u8]> = path.split(|&octet| octet == b'/').collect();
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        let name = percent_decoded(segment)?;
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

fn percent_decoded(segment: &[u8]) -> Option<Vec<u8>> {
    let mut name = Vec::new();
    let mut rest = segment;
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
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
