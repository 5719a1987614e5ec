//! One byte range of a `Range` field (RFC 9110 14.1.2 and 14.2).

use super::grammar::{decimal, trim_ows};

/// The meaning of a `Range` value for a representation of known length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RangeOutcome {
    /// Another unit, an invalid range or a list of ranges: the response is the one without `Range`.
    Ignored,
    /// The bytes from `first` to `last`, both included.
    Satisfiable { first: u64, last: u64 },
    /// No byte of the representation is in the range.
    Unsatisfiable,
}

/// Evaluates a `Range` value. RFC 9110 14.2 requires to ignore an unknown unit, and permits to
/// ignore the field; a list of ranges would need `multipart/byteranges`.
///
/// The range of an empty representation is ignored, too: no 206 can have an empty range (RFC 9110
/// 14.4), though a suffix range is satisfiable (14.1.2). The response is then the empty 200 in all
/// cases, as nginx has it, and not 416, at which players and downloads give up.
pub(super) fn select(value: &[u8], length: u64) -> RangeOutcome {
    if length == 0 {
        return RangeOutcome::Ignored;
    }
    let Some(set) = range_set(value) else { return RangeOutcome::Ignored };
    let Some(dash) = memchr::memchr(b'-', set) else { return RangeOutcome::Ignored };
    let (first, last) = (&set[..dash], &set[dash + 1..]);
    match (first.is_empty(), last.is_empty()) {
        (true, true) => RangeOutcome::Ignored,
        (true, false) => suffix(last, length),
        (false, true) => from(first, u64::MAX, length),
        (false, false) => match saturating(last) {
            Some(last) => from(first, last, length),
            None => RangeOutcome::Ignored,
        },
    }
}

/// The text after `bytes=`. Names of units are case-insensitive (RFC 9110 14.1).
fn range_set(value: &[u8]) -> Option<&[u8]> {
    let equals = memchr::memchr(b'=', value)?;
    let (unit, set) = (&value[..equals], trim_ows(&value[equals + 1..]));
    unit.eq_ignore_ascii_case(b"bytes").then_some(set)
}

/// `suffix-range`: the last bytes.
fn suffix(last: &[u8], length: u64) -> RangeOutcome {
    match saturating(last) {
        None => RangeOutcome::Ignored,
        Some(0) => RangeOutcome::Unsatisfiable,
        Some(count) => {
            let first = length.saturating_sub(count);
            RangeOutcome::Satisfiable { first, last: length - 1 }
        }
    }
}

/// `int-range`: the bytes from an offset on.
fn from(first: &[u8], last: u64, length: u64) -> RangeOutcome {
    match saturating(first) {
        None => RangeOutcome::Ignored,
        Some(first) if last < first => RangeOutcome::Ignored,
        Some(first) if first >= length => RangeOutcome::Unsatisfiable,
        Some(first) => RangeOutcome::Satisfiable { first, last: last.min(length - 1) },
    }
}

/// `1*DIGIT`; a number over 64 bits lies beyond every representation, and becomes the greatest.
fn saturating(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| decimal(text).unwrap_or(u64::MAX))
}
