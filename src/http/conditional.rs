//! Preconditions (RFC 9110 13) and, through `range`, byte ranges (RFC 9110 14): which response a
//! GET or HEAD gets whose representation was found.

use super::grammar::trim_ows;
use super::method::Method;
use super::range::{self, RangeOutcome};
use httparse::Header;

/// The validators of a representation (RFC 9110 8.8).
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// A strong entity tag with its quotes (RFC 9110 8.8.3).
    pub etag: &'a [u8],
    /// The modification time in seconds since the Unix epoch (RFC 9110 8.8.2).
    pub last_modified: Option<u64>,
}

/// The response that preconditions and range select.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// 200 with the full representation.
    Full,
    /// 304 (RFC 9110 15.4.5).
    NotModified,
    /// 412 (RFC 9110 15.5.13).
    PreconditionFailed,
    /// 206 (RFC 9110 15.3.7) with the bytes from `first` to `last`.
    Partial {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte, which is included.
        last: u64,
    },
    /// 416 (RFC 9110 15.5.17).
    Unsatisfiable,
}

/// Evaluates the preconditions in the order of RFC 9110 13.2.2, then `Range` over a representation
/// of `length` bytes; without a length, `Range` is ignored. Only for a response that would be a 200
/// otherwise (RFC 9110 13.2.1).
///
/// # Examples
///
/// ```
/// use httparse::Header;
/// use uringstatic::http::conditional::{Selection, Validators, select};
/// use uringstatic::http::request::Method;
///
/// let validators = Validators { etag: b"\"v1\"", last_modified: None };
/// let select = |name, value| {
///     select(Method::Get, &[Header { name, value }], &validators, Some(1000))
/// };
/// assert_eq!(select("If-None-Match", b"\"v1\""), Selection::NotModified);
/// assert_eq!(select("If-Match", b"\"v0\""), Selection::PreconditionFailed);
/// assert_eq!(select("Range", b"bytes=-100"), Selection::Partial { first: 900, last: 999 });
/// ```
#[must_use]
pub fn select(
    method: Method,
    fields: &[Header<'_>],
    validators: &Validators<'_>,
    length: Option<u64>,
) -> Selection {
    if has(fields, "If-Match") {
        if !any_tag_matches(fields, "If-Match", validators.etag, Comparison::Strong) {
            return Selection::PreconditionFailed;
        }
    } else if let (Some(date), Some(modified)) =
        (date_of(fields, "If-Unmodified-Since"), validators.last_modified)
        && modified > date
    {
        return Selection::PreconditionFailed;
    }
    if has(fields, "If-None-Match") {
        if any_tag_matches(fields, "If-None-Match", validators.etag, Comparison::Weak) {
            return Selection::NotModified;
        }
    } else if let (Some(date), Some(modified)) =
        (date_of(fields, "If-Modified-Since"), validators.last_modified)
        && modified <= date
    {
        return Selection::NotModified;
    }
    match (method, length, only(fields, "Range")) {
        (Method::Get, Some(length), Some(value)) if if_range_holds(fields, validators) => {
            match range::select(value, length) {
                RangeOutcome::Ignored => Selection::Full,
                RangeOutcome::Satisfiable { first, last } => Selection::Partial { first, last },
                RangeOutcome::Unsatisfiable => Selection::Unsatisfiable,
            }
        }
        _ => Selection::Full,
    }
}

/// The comparison of entity tags (RFC 9110 8.8.3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

fn all<'f>(fields: &'f [Header<'_>], name: &'static str) -> impl Iterator<Item = &'f [u8]> {
    let named = move |field: &&Header<'_>| field.name.eq_ignore_ascii_case(name);
    fields.iter().filter(named).map(|field| field.value)
}

fn has(fields: &[Header<'_>], name: &'static str) -> bool {
    all(fields, name).next().is_some()
}

/// The value of a singleton field; `None` if it is absent or repeated.
fn only<'f>(fields: &'f [Header<'_>], name: &'static str) -> Option<&'f [u8]> {
    let mut values = all(fields, name);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// A date in one of the three formats of RFC 9110 5.6.7; a field with another value is ignored (RFC
/// 9110 13.1.3 and 13.1.4).
fn date_of(fields: &[Header<'_>], name: &'static str) -> Option<u64> {
    parse_date(only(fields, name)?)
}

fn parse_date(value: &[u8]) -> Option<u64> {
    let time = httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()?;
    Some(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs())
}

/// Whether `If-Range` is absent or matches (RFC 9110 13.1.5), by strong comparison: a weak tag
/// never equals ours, and a date must be the same.
fn if_range_holds(fields: &[Header<'_>], validators: &Validators<'_>) -> bool {
    match only(fields, "If-Range") {
        None => !has(fields, "If-Range"),
        Some(value) if value.first() == Some(&b'"') => value == validators.etag,
        Some(value) => {
            let date = parse_date(value);
            date.is_some() && date == validators.last_modified
        }
    }
}

/// Whether the list of entity tags, which may extend over several field lines, contains `etag` or
/// is `*` (RFC 9110 13.1.1 and 13.1.2).
fn any_tag_matches(
    fields: &[Header<'_>],
    name: &'static str,
    etag: &[u8],
    comparison: Comparison,
) -> bool {
    only(fields, name) == Some(b"*")
        || all(fields, name).any(|list| list_matches(list, etag, comparison))
}

fn list_matches(list: &[u8], etag: &[u8], comparison: Comparison) -> bool {
    let mut rest = trim_ows(list);
    // A tag may contain commas, so that the list can't be split at them.
    while !rest.is_empty() {
        let (weak, quoted) = match rest.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        if rest.first() == Some(&b',') {
            rest = trim_ows(&rest[1..]);
            continue;
        }
        let Some(end) = end_of_tag(quoted) else { return false };
        if &quoted[..end] == etag && (comparison == Comparison::Weak || !weak) {
            return true;
        }
        rest = trim_ows(&quoted[end..]);
        if !matches!(rest.first(), None | Some(b',')) {
            return false;
        }
    }
    false
}

/// The length of the `opaque-tag` that the text begins with (RFC 9110 8.8.3).
fn end_of_tag(text: &[u8]) -> Option<usize> {
    let inside = text.strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', inside)?;
    // `etagc`, which includes `obs-text`.
    let is_tag_octet =
        |&octet: &u8| octet == 0x21 || (0x23..=0x7e).contains(&octet) || octet > 0x7f;
    inside[..end].iter().all(is_tag_octet).then_some(end + 2)
}
