//! Patterns over decoded paths, in the syntax of `_redirects` and `_headers`.
//!
//! `/blog/:year/*` has a placeholder, which matches one segment, and a splat, which matches
//! anything. A pattern has at most one splat, so one comparison from the front and one from the end
//! of a path decide whether it matches.

mod host;

pub use host::{HostPattern, host_of, split_host};

use crate::http::path;
use memchr::memmem::FinderRev;
use std::fmt;

/// A pattern over decoded paths.
///
/// ```
/// use uringstatic::site::pattern::Pattern;
///
/// let pattern = Pattern::parse("/blog/:year/*").expect("a valid pattern");
/// let captures = pattern.matches(b"/blog/2010/03/a").expect("a matching path");
/// assert_eq!(captures.values(), [&b"2010"[..], b"03/a"]);
/// assert!(pattern.matches(b"/about").is_none());
/// ```
#[derive(Clone, Debug)]
pub struct Pattern {
    /// The parts before the splat, or all parts.
    pub(super) front: Box<[Part]>,
    /// The parts after the splat; `None` without a splat.
    pub(super) back: Option<Box<[Part]>>,
    /// The names of the captures, in the order of the pattern.
    pub(super) names: Box<[Box<str>]>,
}

#[derive(Clone, Debug)]
pub(super) enum Part {
    /// These octets.
    Literal(Box<[u8]>),
    /// One non-empty segment, or its part before the text that follows in the pattern.
    Segment,
    /// The part of a segment before the last occurrence of a text, where a splat continues the
    /// segment: `/:name.html*`. The text is the next part, and the last one before the splat.
    SegmentBefore(FinderRev<'static>),
}

impl Part {
    /// The text at the end of a segment before this part.
    pub(super) fn end_of_segment(&self) -> &[u8] {
        let Self::Literal(text) = self else { return b"" };
        &text[..memchr::memchr(b'/', text).unwrap_or(text.len())]
    }
}

/// The parts of a path that the placeholders and the splat of a pattern match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Captures<'p> {
    values: [&'p [u8]; CAPTURES_MAX],
    count: usize,
}

impl<'p> Captures<'p> {
    /// The captured values, in the order of the pattern.
    #[must_use]
    pub fn values(&self) -> &[&'p [u8]] {
        &self.values[..self.count]
    }

    fn add(&mut self, value: &'p [u8]) {
        self.values[self.count] = value;
        self.count += 1;
    }
}

/// The reason why a text is no pattern, or no template for a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// The text doesn't begin with a slash.
    NoSlash,
    /// The text has a malformed escape, or one of a slash or a NUL.
    Unnameable,
    /// The text has a question mark or a number sign, which end a path.
    NotOfPath(char),
    /// The text has two splats.
    TwoSplats,
    /// The text has more than [`CAPTURES_MAX`] placeholders.
    TooManyNames,
    /// Two placeholders have the same name.
    SameName(String),
    /// The template has a placeholder that the pattern doesn't have.
    UnknownName(String),
    /// The template has a placeholder in the host of a URI, or directly after it.
    NameInHost(String),
    /// The host before the path is malformed.
    WrongHost(String),
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSlash => f.write_str("a path begins with a slash"),
            Self::Unnameable => f.write_str(
                "an escape is malformed: each is % and two hexadecimal digits, and none encodes a \
                 slash or a NUL",
            ),
            Self::NotOfPath(sign) => write!(
                f,
                "no path has {sign}, so the pattern can never match: queries and fragments are \
                 not compared, and the character itself is written %{:02X}",
                u32::from(*sign)
            ),
            Self::TwoSplats => f.write_str("at most one * is allowed"),
            Self::TooManyNames => write!(f, "at most {CAPTURES_MAX} placeholders are allowed"),
            Self::SameName(name) => write!(f, "there are two placeholders :{name}"),
            Self::UnknownName(name) => {
                write!(f, "the pattern has no :{name} (for a colon, write %3A)")
            }
            Self::WrongHost(host) => write!(f, "{host} is no host"),
            Self::NameInHost(name) => write!(
                f,
                ":{name} is part of the host, so each request could choose the host that it is \
                 sent to; write the host in full and a slash before the first placeholder, as in \
                 https://good.example/:{name}"
            ),
        }
    }
}

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// The reason why the text is no pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if !text.starts_with('/') {
            return Err(PatternError::NoSlash);
        }
        if let Some(sign) = text.chars().find(|sign| matches!(sign, '?' | '#')) {
            return Err(PatternError::NotOfPath(sign));
        }
        let decoded = decode_but_signs(text)?;
        let decoded = &*decoded;
        let mut names = Vec::new();
        let (front, back) = match memchr::memchr(b'*', decoded) {
            None => (parts(without_slash(decoded), &mut names)?, None),
            Some(at) => {
                let behind = &decoded[at + 1..];
                if behind.contains(&b'*') {
                    return Err(PatternError::TwoSplats);
                }
                let front = parts(&decoded[..at], &mut names)?;
                add_name(SPLAT, &mut names)?;
                let behind = if behind == b"/" { b"" } else { without_slash(behind) };
                (before_splat(front), Some(parts(behind, &mut names)?))
            }
        };
        Ok(Self { front, back, names: names.into() })
    }

    /// The captures of a decoded path if it matches. A slash at the end of the path makes no
    /// difference, but belongs to the capture of a splat at the end. That splat matches nothing,
    /// too, even without the slash before it: `/blog/*` matches `/blog`.
    #[must_use]
    pub fn matches<'p>(&self, path: &'p [u8]) -> Option<Captures<'p>> {
        let mut captures = Captures::default();
        let Some(back) = &self.back else {
            let rest = match_front(&self.front, without_slash(path), &mut captures)?;
            return rest.is_empty().then_some(captures);
        };
        if back.is_empty() {
            if let Some(rest) = match_front(&self.front, path, &mut captures) {
                captures.add(rest);
                return Some(captures);
            }
            return self.matches_without_its_end(path);
        }
        let rest = match_front(&self.front, without_slash(path), &mut captures)?;
        let mut behind = [&[][..]; CAPTURES_MAX];
        let (splat, count) = match_back(back, rest, &mut behind)?;
        captures.add(splat);
        // `match_back` found the last capture first.
        behind[..count].iter().rev().for_each(|value| captures.add(value));
        Some(captures)
    }

    /// The path of a pattern without placeholders, without a slash at its end.
    #[must_use]
    pub fn exact(&self) -> Option<&[u8]> {
        match (&*self.front, &self.back) {
            ([Part::Literal(path)], None) => Some(path),
            _ => None,
        }
    }

    /// `/blog` for `/blog/*`.
    fn matches_without_its_end<'p>(&self, path: &'p [u8]) -> Option<Captures<'p>> {
        let (last, parts) = self.front.split_last()?;
        let Part::Literal(literal) = last else { return None };
        let literal = literal.strip_suffix(b"/")?;
        let mut captures = Captures::default();
        let rest = match_front(parts, path, &mut captures)?;
        // `/*` has no shorter path.
        let matches = rest == literal && !path.is_empty();
        captures.add(b"");
        matches.then_some(captures)
    }
}

/// A path without the slash at its end, as patterns without a splat compare it; `/` stays.
#[must_use]
pub fn without_slash(path: &[u8]) -> &[u8] {
    match path.strip_suffix(b"/") {
        Some(shorter) if !shorter.is_empty() => shorter,
        _ => path,
    }
}

/// Decodes a path in which `*` and `:` have a meaning: their escapes are kept, and so is that of
/// the percent sign, so that [`unescape`] can distinguish them from decoded octets.
pub(super) fn decode_but_signs(text: &str) -> Result<Vec<u8>, PatternError> {
    let mut kept = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&octet, behind)) = rest.split_first() {
        kept.push(octet);
        rest = behind;
        if octet == b'%' && is_sign(&behind[..behind.len().min(2)]) {
            // Decoding removes these digits again.
            kept.extend_from_slice(b"25");
        }
    }
    let mut scratch = vec![0; kept.len()];
    let decoded = path::decode(&kept, &mut scratch);
    decoded.map(<[u8]>::to_vec).map_err(|path::Unnameable| PatternError::Unnameable)
}

/// The first octet of a text from [`decode_but_signs`], and the length of its escape there.
pub(super) fn unescape(text: &[u8]) -> (u8, usize) {
    match text {
        [b'%', b'2', b'5', ..] => (b'%', 3),
        [b'%', b'2', ..] => (b'*', 3),
        [b'%', ..] => (b':', 3),
        _ => (text[0], 1),
    }
}

/// Whether these digits encode a percent sign, an asterisk or a colon.
fn is_sign(digits: &[u8]) -> bool {
    [b"25", b"2A", b"3A"].iter().any(|sign| digits.eq_ignore_ascii_case(*sign))
}

/// Splits a text at its placeholders.
fn parts(text: &[u8], names: &mut Vec<Box<str>>) -> Result<Box<[Part]>, PatternError> {
    let mut parts = Vec::new();
    let mut literal = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let behind_slash = at > 0 && text[at - 1] == b'/';
        match name_at(text, at) {
            Some(name) if behind_slash => {
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal).into()));
                }
                parts.push(Part::Segment);
                add_name(name, names)?;
                at += 1 + name.len();
            }
            _ => {
                let (octet, len) = unescape(&text[at..]);
                literal.push(octet);
                at += len;
            }
        }
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal.into()));
    }
    Ok(parts.into())
}

/// Adapts the parts before a splat, whose last text may end within a segment.
fn before_splat(mut parts: Box<[Part]>) -> Box<[Part]> {
    if let [.., segment @ Part::Segment, Part::Literal(text)] = &mut *parts
        && memchr::memchr(b'/', text).is_none()
    {
        *segment = Part::SegmentBefore(FinderRev::new(&**text).into_owned());
    }
    parts
}

fn add_name(name: &str, names: &mut Vec<Box<str>>) -> Result<(), PatternError> {
    if names.iter().any(|known| &**known == name) {
        return Err(PatternError::SameName(name.to_owned()));
    }
    if names.len() == CAPTURES_MAX {
        return Err(PatternError::TooManyNames);
    }
    names.push(name.into());
    Ok(())
}

/// The name of the placeholder at an index: a colon, a letter, then letters, digits and `_`.
pub(super) fn name_at(text: &[u8], at: usize) -> Option<&str> {
    let name = text.get(at..)?.strip_prefix(b":")?;
    let is_name = |octet: &u8| octet.is_ascii_alphanumeric() || *octet == b'_';
    let len = name.iter().position(|octet| !is_name(octet)).unwrap_or(name.len());
    let begins = name.first().is_some_and(u8::is_ascii_alphabetic);
    begins.then(|| std::str::from_utf8(&name[..len]).expect("letters and digits are ASCII"))
}

/// The rest of a path after the parts of a pattern.
fn match_front<'p>(
    parts: &[Part],
    mut path: &'p [u8],
    captures: &mut Captures<'p>,
) -> Option<&'p [u8]> {
    for (index, part) in parts.iter().enumerate() {
        match part {
            Part::Literal(literal) => path = path.strip_prefix(&**literal)?,
            Part::Segment => {
                let segment = &path[..segment_bytes(path)];
                let end = parts.get(index + 1).map_or(&[][..], Part::end_of_segment);
                let value = if end.is_empty() { segment } else { segment.strip_suffix(end)? };
                if value.is_empty() {
                    return None;
                }
                captures.add(value);
                path = &path[value.len()..];
            }
            Part::SegmentBefore(finder) => {
                let near = &path[..path.len().min(SEGMENT_BYTES_MAX + 1)];
                let segment = &near[..segment_bytes(near)];
                if segment.len() > SEGMENT_BYTES_MAX {
                    return None;
                }
                let len = finder.rfind(segment).filter(|&len| len > 0)?;
                captures.add(&path[..len]);
                path = &path[len..];
            }
        }
    }
    Some(path)
}

/// Length of the first segment.
fn segment_bytes(path: &[u8]) -> usize {
    memchr::memchr(b'/', path).unwrap_or(path.len())
}

/// The rest of a path before the parts of a pattern, and the number of captures, of which the last
/// comes first.
fn match_back<'p>(
    parts: &[Part],
    mut path: &'p [u8],
    captures: &mut [&'p [u8]],
) -> Option<(&'p [u8], usize)> {
    let mut count = 0;
    for part in parts.iter().rev() {
        match part {
            Part::Literal(literal) => path = path.strip_suffix(&**literal)?,
            Part::Segment => {
                let start = memchr::memrchr(b'/', path).map_or(0, |at| at + 1);
                if start == path.len() {
                    return None;
                }
                captures[count] = &path[start..];
                count += 1;
                path = &path[..start];
            }
            Part::SegmentBefore(_) => unreachable!("this part stands before a splat"),
        }
    }
    Some((path, count))
}

/// Most placeholders of a pattern, its splat included.
pub const CAPTURES_MAX: usize = 8;
const SPLAT: &str = "splat";
/// Longest segment that is searched for a text (`/:name.html*`): the longest name of a file
/// (`NAME_MAX`, limits.h). Without this bound, each such rule costs a search of the whole path.
const SEGMENT_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn captured(pattern: &str, path: &str) -> Option<Vec<String>> {
        let pattern = Pattern::parse(pattern).expect("a pattern");
        let captures = pattern.matches(path.as_bytes())?;
        let text = |value: &&[u8]| String::from_utf8_lossy(value).into_owned();
        Some(captures.values().iter().map(text).collect())
    }

    #[test]
    fn patterns_match_paths_and_capture_values() {
        let found = |values: &[&str]| Some(values.iter().map(|v| (*v).to_owned()).collect());
        for (pattern, path, expected) in [
            ("/a", "/a", found(&[])),
            ("/a", "/a/", found(&[])),
            ("/a/", "/a", found(&[])),
            ("/", "/", found(&[])),
            ("/a", "/ab", None),
            ("/a", "/A", None),
            ("/a%20b", "/a b", found(&[])),
            ("/*", "/", found(&[""])),
            ("/*", "/a/b", found(&["a/b"])),
            ("/a/*", "/a", found(&[""])),
            ("/a/*", "/a/", found(&[""])),
            ("/a/*", "/a/b/", found(&["b/"])),
            ("/a/*", "/ab", None),
            ("/a*", "/ab", found(&["b"])),
            ("/*.js", "/x/y.js", found(&["x/y"])),
            ("/*.js", "/x/y.css", None),
            ("/a/*/z", "/a/b/c/z", found(&["b/c"])),
            ("/a/*/z", "/a/z", None),
            ("/:year/:month", "/2010/03", found(&["2010", "03"])),
            ("/:year/:month", "/2010/", None),
            ("/:year/:month", "/2010/03/01", None),
            ("/:name.html", "/a.b.html", found(&["a.b"])),
            ("/:name.html", "/.html", None),
            ("/:name.x*", "/q.x.xy/z", found(&["q.x", "y/z"])),
            ("/:name.x*", "/.xy", None),
            ("/x/:id/*", "/x/7/a/b", found(&["7", "a/b"])),
            ("/x/:id/*", "/x/7", found(&["7", ""])),
            ("/*/by/:who", "/a/b/by/me", found(&["a/b", "me"])),
            ("/*/:a/:b", "/1/2/3/4", found(&["1/2", "3", "4"])),
            ("/a:b", "/a:b", found(&[])),
            ("/%2A", "/*", found(&[])),
            ("/%2a", "/x", None),
            ("/%2a/*", "/*/x", found(&["x"])),
            ("/%3Aname", "/:name", found(&[])),
            ("/%3aname", "/x", None),
            ("/%253Aname", "/%3Aname", found(&[])),
            ("/%25", "/%", found(&[])),
            ("/a/%2E%2e/b%25%2A", "/b%*", found(&[])),
            ("/:1", "/:1", found(&[])),
        ] {
            assert_eq!(captured(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn segments_over_255_bytes_are_not_searched() {
        for (bytes, expected) in [(255, Some("y")), (256, None)] {
            let path = format!("/{}.xy", "a".repeat(bytes - 3));
            let splat = captured("/:name.x*", &path).and_then(|mut values| values.pop());
            assert_eq!(splat.as_deref(), expected, "{bytes}");
        }
    }

    #[test]
    fn malformed_patterns_are_refused_with_a_reason() {
        for (text, expected) in [
            ("a", PatternError::NoSlash),
            ("/%2f", PatternError::Unnameable),
            ("/a?b", PatternError::NotOfPath('?')),
            ("/a#b", PatternError::NotOfPath('#')),
            ("/*/*", PatternError::TwoSplats),
            ("/:a/:a", PatternError::SameName("a".to_owned())),
            ("/:a/:b/:c/:d/:e/:f/:g/:h/:i", PatternError::TooManyNames),
            ("/:splat/*", PatternError::SameName("splat".to_owned())),
        ] {
            assert_eq!(Pattern::parse(text).err(), Some(expected), "{text}");
        }
    }

    proptest! {
        /// Compares with every division of a path.
        #[test]
        fn splat_matches_anything(
            front in "/[ab/]{0,3}",
            back in "[ab/]{0,3}",
            path in "/[ab/]{0,6}",
        ) {
            let pattern = Pattern::parse(&format!("{front}*{back}"));
            let Ok(pattern) = pattern else { return Ok(()) };
            let (front, mut back) = (front.as_bytes(), back.as_bytes());
            let whole = path.as_bytes();
            let mut path = whole;
            if back == b"/" {
                back = b"";
            }
            let without_end = front.strip_suffix(b"/").filter(|path| !path.is_empty());
            let shorter = back.is_empty() && without_end == Some(path);
            if !back.is_empty() {
                back = without_slash(back);
                path = without_slash(path);
            }
            let divided = path.len() >= front.len() + back.len()
                && path.starts_with(front)
                && path.ends_with(back);
            prop_assert_eq!(pattern.matches(whole).is_some(), divided || shorter);
        }
    }
}
