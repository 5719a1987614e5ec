//! One byte range of a `Range` field (RFC 9110 14.1.2, 14.2).

use super::conditional::Selection;
use super::grammar::trim;
use super::message::decimal;

/// What a `Range` value selects of `length` bytes. Anything but one valid byte range is ignored,
/// which the RFC allows and says to do where the unit or the syntax is not known.
pub(super) fn select(value: &[u8], length: u64) -> Selection {
    let Some(set) = range_set(value) else { return Selection::Whole };
    let Some(dash) = memchr::memchr(b'-', set) else { return Selection::Whole };
    let (first, last) = (&set[..dash], &set[dash + 1..]);
    match (first.is_empty(), last.is_empty()) {
        (true, true) => Selection::Whole,
        (true, false) => suffix(last, length),
        (false, true) => from(first, u64::MAX, length),
        (false, false) => match saturating(last) {
            Some(last) => from(first, last, length),
            None => Selection::Whole,
        },
    }
}

fn range_set(value: &[u8]) -> Option<&[u8]> {
    let equals = memchr::memchr(b'=', value)?;
    let (unit, set) = (&value[..equals], trim(&value[equals + 1..]));
    unit.eq_ignore_ascii_case(b"bytes").then_some(set)
}

fn suffix(last: &[u8], length: u64) -> Selection {
    match saturating(last) {
        None => Selection::Whole,
        Some(count) if count == 0 || length == 0 => Selection::Unsatisfiable,
        Some(count) => Selection::Partial { first: length.saturating_sub(count), last: length - 1 },
    }
}

fn from(first: &[u8], last: u64, length: u64) -> Selection {
    match saturating(first) {
        None => Selection::Whole,
        Some(first) if last < first => Selection::Whole,
        Some(first) if first >= length => Selection::Unsatisfiable,
        Some(first) => Selection::Partial { first, last: last.min(length - 1) },
    }
}

/// Digits only; a number too large for us lies beyond every end.
fn saturating(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| decimal(text).unwrap_or(u64::MAX))
}
