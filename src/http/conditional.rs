//! Preconditions and ranges: what of a representation a GET or HEAD gets (RFC 9110 13 and 14).

use super::grammar::trim;
use super::range;
use super::request::Method;
use httparse::Header;

/// What identifies the version of a representation.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// A strong entity tag, quotes included.
    pub etag: &'a [u8],
    /// When it was last modified, in seconds since the Unix epoch.
    pub last_modified: Option<u64>,
}

/// What the response is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The whole representation.
    Whole,
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
    /// 206 with the bytes from `first` to `last`.
    Partial {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte, included.
        last: u64,
    },
    /// 416.
    Unsatisfiable,
}

/// Evaluates the preconditions in the order of RFC 9110 13.2.2, then the range of so many bytes;
/// without a length, ranges are not looked at. Only for what would otherwise be answered with 200.
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
            range::select(value, length)
        }
        _ => Selection::Whole,
    }
}

/// How entity tags are compared (RFC 9110 8.8.3.2).
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

/// The value of a field that may occur once, and does.
fn only<'f>(fields: &'f [Header<'_>], name: &'static str) -> Option<&'f [u8]> {
    let mut values = all(fields, name);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// A date in any of the three formats; one that isn't valid is as if it weren't there.
fn date_of(fields: &[Header<'_>], name: &'static str) -> Option<u64> {
    parse_date(only(fields, name)?)
}

fn parse_date(value: &[u8]) -> Option<u64> {
    let time = httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()?;
    Some(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs())
}

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

/// Whether a list of entity tags, which may be spread over several fields, has ours or is `*`.
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
    let mut rest = trim(list);
    // Tags are quoted and may contain commas, so the list is walked, not split.
    while !rest.is_empty() {
        let (weak, quoted) = match rest.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        if rest.first() == Some(&b',') {
            rest = trim(&rest[1..]);
            continue;
        }
        let Some(end) = end_of_tag(quoted) else { return false };
        if &quoted[..end] == etag && (comparison == Comparison::Weak || !weak) {
            return true;
        }
        rest = trim(&quoted[end..]);
        if !matches!(rest.first(), None | Some(b',')) {
            return false;
        }
    }
    false
}

/// How long the quoted tag is that the text begins with.
fn end_of_tag(text: &[u8]) -> Option<usize> {
    let inside = text.strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', inside)?;
    let is_tag_octet =
        |&octet: &u8| octet == 0x21 || (0x23..=0x7e).contains(&octet) || octet > 0x7f;
    inside[..end].iter().all(is_tag_octet).then_some(end + 2)
}
