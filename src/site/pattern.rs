//! Patterns over decoded paths, in the syntax of `_redirects` and `_headers`.
//!
//! `/blog/:year/*` has a placeholder, which matches octets of one segment, and a splat, which
//! matches anything. A placeholder begins at a colon before a letter, anywhere in the path, and
//! ends before the next octet that isn't a letter, digit or `_`, as on Cloudflare Pages
//! ("Placeholders" of its `_headers` and `_redirects`). A pattern has at most one splat, so one
//! comparison from the end and one from the front of a path decide whether it matches.

mod captures;
mod host;
mod segment;

pub use captures::{CAPTURES_MAX, Captures};
pub use host::{HostPattern, host_of, split_host};
pub(super) use segment::Segment;

use crate::http::path;
use std::fmt;

/// A pattern over decoded paths.
///
/// ```
/// use uringstatic::site::pattern::Pattern;
///
/// let pattern = Pattern::parse("/blog/:year-:month/*").expect("a valid pattern");
/// let captures = pattern.matches(b"/blog/2010-03/a/b").expect("a matching path");
/// assert_eq!(captures.values(), [&b"2010"[..], b"03", b"a/b"]);
/// assert!(pattern.matches(b"/about").is_none());
/// ```
#[derive(Clone, Debug)]
pub struct Pattern {
    /// The parts before the segment of the splat, or all parts.
    pub(super) front: Box<[Part]>,
    /// The splat and what follows it; `None` without a splat.
    pub(super) splat: Option<Splat>,
    /// The names of the captures, in the order of the pattern.
    pub(super) names: Box<[Box<str>]>,
}

/// A part of a pattern. A literal stands before each segment, and ends with its slash.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// These octets, which may extend over several segments.
    Literal(Box<[u8]>),
    /// A segment with placeholders.
    Segment(Segment),
}

/// A splat, the placeholders in its segment, and the parts behind it.
#[derive(Clone, Debug)]
pub(super) struct Splat {
    /// The placeholders in its segment before it: `/:name.html*`.
    pub(super) before: Option<Segment>,
    /// The placeholders in its segment behind it: `/*.:hash.js`.
    pub(super) behind: Option<Segment>,
    /// The parts behind both.
    pub(super) back: Box<[Part]>,
}

impl Splat {
    /// Whether it ends the pattern, and matches the rest of every path.
    pub(super) fn is_last(&self) -> bool {
        self.behind.is_none() && self.back.is_empty()
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
            Self::WrongHost(host) => write!(
                f,
                "{host:?} is no host: write a name, an address, or a name with :name or * in it, \
                 before a path that begins with a slash"
            ),
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
        let Some(at) = memchr::memchr(b'*', decoded) else {
            let front = PartsBuilder::parse(without_slash(decoded), &mut names)?.finished();
            return Ok(Self { front, splat: None, names: names.into() });
        };
        let behind = &decoded[at + 1..];
        if behind.contains(&b'*') {
            return Err(PatternError::TwoSplats);
        }
        let mut front = PartsBuilder::parse(&decoded[..at], &mut names)?;
        let before = front.open_segment();
        add_name(SPLAT, &mut names)?;
        let behind = if behind == b"/" { b"" } else { without_slash(behind) };
        let mut back = PartsBuilder::parse(behind, &mut names)?;
        back.end_segment();
        let behind = back.first.take();
        let splat = Splat { before, behind, back: back.finished() };
        Ok(Self { front: front.finished(), splat: Some(splat), names: names.into() })
    }

    /// The captures of a decoded path if it matches. A slash at the end of the path makes no
    /// difference, but belongs to the capture of a splat at the end. That splat matches nothing,
    /// too, even without the slash before it: `/blog/*` matches `/blog`.
    #[must_use]
    pub fn matches<'p>(&self, path: &'p [u8]) -> Option<Captures<'p>> {
        let mut captures = Captures::default();
        let Some(splat) = &self.splat else {
            let rest = match_front(&self.front, without_slash(path), &mut captures)?;
            return rest.is_empty().then_some(captures);
        };
        if !splat.is_last() {
            let path = without_slash(path);
            let mut reversed = Captures::default();
            let end = match_back(splat, path, &mut reversed)?;
            captures = self.match_to_splat(splat, &path[..end])?;
            captures.add_reversed(&reversed);
            return Some(captures);
        }
        self.match_to_splat(splat, path).or_else(|| self.matches_without_its_end(path))
    }

    /// The captures of the parts before the splat, and of the splat, which matches the rest.
    fn match_to_splat<'p>(&self, splat: &Splat, path: &'p [u8]) -> Option<Captures<'p>> {
        let mut captures = Captures::default();
        let mut rest = match_front(&self.front, path, &mut captures)?;
        if let Some(before) = &splat.before {
            let taken = before.matches_front(&rest[..segment_bytes(rest)], &mut captures)?;
            rest = &rest[taken..];
        }
        captures.add(rest);
        Some(captures)
    }

    /// The path of a pattern without placeholders, without a slash at its end.
    #[must_use]
    pub fn exact(&self) -> Option<&[u8]> {
        match (&*self.front, &self.splat) {
            ([Part::Literal(path)], None) => Some(path),
            _ => None,
        }
    }

    /// A path that the pattern matches, with a value for each capture by its index. Values of
    /// placeholders have an octet at least, and no slash.
    #[must_use]
    pub fn filled(&self, value: &dyn Fn(usize) -> Vec<u8>) -> Vec<u8> {
        let mut filler = Filler { path: Vec::new(), next: 0, value };
        filler.put_parts(&self.front);
        if let Some(Splat { before, behind, back }) = &self.splat {
            filler.put_open_segment(before.as_ref());
            filler.put_capture();
            filler.put_open_segment(behind.as_ref());
            filler.put_parts(back);
        }
        filler.path
    }

    /// The names of the captures, in the order of the pattern.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// Whether a capture, by its index, is that of the splat.
    #[must_use]
    pub fn is_splat(&self, capture: usize) -> bool {
        self.names.get(capture).is_some_and(|name| &**name == SPLAT)
    }

    /// The texts of the pattern between slashes and placeholders that are whole segments.
    pub(super) fn literal_segments(&self) -> impl Iterator<Item = &[u8]> {
        let back = self.splat.iter().flat_map(|splat| &*splat.back);
        let literals = self.front.iter().chain(back).filter_map(|part| match part {
            Part::Literal(text) => Some(&**text),
            Part::Segment(_) => None,
        });
        literals.flat_map(|text| text.split(|&octet| octet == b'/')).filter(|text| !text.is_empty())
    }

    /// `/blog` for `/blog/*`.
    fn matches_without_its_end<'p>(&self, path: &'p [u8]) -> Option<Captures<'p>> {
        let has_names = self.splat.as_ref().is_some_and(|splat| splat.before.is_some());
        let (last, parts) = self.front.split_last().filter(|_| !has_names)?;
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

/// Fills in the captures of a pattern, one after the other.
struct Filler<'a> {
    path: Vec<u8>,
    next: usize,
    value: &'a dyn Fn(usize) -> Vec<u8>,
}

impl Filler<'_> {
    fn put_parts(&mut self, parts: &[Part]) {
        for part in parts {
            match part {
                Part::Literal(text) => self.path.extend_from_slice(text),
                Part::Segment(segment) => self.put_segment(segment),
            }
        }
    }

    fn put_open_segment(&mut self, segment: Option<&Segment>) {
        if let Some(segment) = segment {
            self.put_segment(segment);
        }
    }

    fn put_segment(&mut self, segment: &Segment) {
        self.path.extend_from_slice(segment.prefix());
        for text in segment.texts() {
            self.put_capture();
            self.path.extend_from_slice(text);
        }
    }

    fn put_capture(&mut self) {
        let value = (self.value)(self.next);
        self.path.extend_from_slice(&value);
        self.next += 1;
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

/// Collects the parts of a text.
#[derive(Default)]
struct PartsBuilder {
    parts: Vec<Part>,
    /// The octets since the last part, up to the first placeholder of their segment.
    literal: Vec<u8>,
    /// The texts behind the placeholders of the present segment.
    texts: Vec<Vec<u8>>,
    /// The segment that the text begins within, if it has placeholders.
    first: Option<Segment>,
}

impl PartsBuilder {
    /// Splits a text from [`decode_but_signs`] at its slashes and placeholders.
    fn parse(text: &[u8], names: &mut Vec<Box<str>>) -> Result<Self, PatternError> {
        let mut builder = Self::default();
        let mut at = 0;
        while at < text.len() {
            if let Some(name) = name_at(text, at) {
                add_name(name, names)?;
                builder.texts.push(Vec::new());
                at += 1 + name.len();
                continue;
            }
            let (octet, len) = unescape(&text[at..]);
            // No escape encodes a slash.
            if octet == b'/' {
                builder.end_segment();
            }
            builder.texts.last_mut().unwrap_or(&mut builder.literal).push(octet);
            at += len;
        }
        Ok(builder)
    }

    /// Ends a segment with placeholders.
    fn end_segment(&mut self) {
        let is_first = self.parts.is_empty() && !self.literal.contains(&b'/');
        if let Some(segment) = self.open_segment() {
            if is_first {
                self.first = Some(segment);
            } else {
                self.parts.push(Part::Segment(segment));
            }
        }
    }

    /// The last segment, if it has placeholders; the text before it becomes a part.
    fn open_segment(&mut self) -> Option<Segment> {
        if self.texts.is_empty() {
            return None;
        }
        let start = memchr::memrchr(b'/', &self.literal).map_or(0, |at| at + 1);
        let prefix = self.literal.split_off(start);
        self.end_literal();
        Some(Segment::new(&prefix, &std::mem::take(&mut self.texts)))
    }

    fn end_literal(&mut self) {
        if !self.literal.is_empty() {
            self.parts.push(Part::Literal(std::mem::take(&mut self.literal).into()));
        }
    }

    fn finished(mut self) -> Box<[Part]> {
        self.end_segment();
        self.end_literal();
        self.parts.into()
    }
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
    for part in parts {
        match part {
            Part::Literal(literal) => path = path.strip_prefix(&**literal)?,
            Part::Segment(segment) => {
                let (own, rest) = path.split_at(segment_bytes(path));
                if !segment.matches(own, captures) {
                    return None;
                }
                path = rest;
            }
        }
    }
    Some(path)
}

/// Length of the first segment.
fn segment_bytes(path: &[u8]) -> usize {
    memchr::memchr(b'/', path).unwrap_or(path.len())
}

/// The end of a path's part before all that follows a splat. The captures are found from the end
/// on.
fn match_back<'p>(splat: &Splat, path: &'p [u8], reversed: &mut Captures<'p>) -> Option<usize> {
    let mut rest = path;
    let segment_start = |rest: &[u8]| memchr::memrchr(b'/', rest).map_or(0, |at| at + 1);
    for part in splat.back.iter().rev() {
        match part {
            Part::Literal(literal) => rest = rest.strip_suffix(&**literal)?,
            Part::Segment(segment) => {
                let (before, own) = rest.split_at(segment_start(rest));
                let mut captures = Captures::default();
                if !segment.matches(own, &mut captures) {
                    return None;
                }
                reversed.add_reversed(&captures);
                rest = before;
            }
        }
    }
    let Some(segment) = &splat.behind else { return Some(rest.len()) };
    let start = segment_start(rest);
    Some(start + segment.matches_back(&rest[start..], reversed)?)
}

const SPLAT: &str = "splat";

#[cfg(test)]
mod tests;
