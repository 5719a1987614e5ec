//! Texts with placeholders for captures: targets of rules and values of fields.

use super::pattern::{Captures, Pattern, PatternError, decode_but_signs, name_at, unescape};
use crate::http::path;

/// A text with placeholders for the captures of a pattern.
#[derive(Clone, Debug)]
pub struct Template {
    pieces: Box<[Piece]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(Box<[u8]>),
    /// A capture of a path, by its index.
    Capture(usize, Escaping),
    /// A capture of a query, by its index, which is decoded first.
    QueryCapture(usize, Escaping),
}

/// The encoding of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escaping {
    /// None.
    Plain,
    /// Percent-encoding for the path of a URI. Decoding has lost which octets the request had
    /// escaped: to a rule, as to the name of a file, `%26` and `&` are equal.
    Path,
    /// Percent-encoding for a value in a query, separators (`&`, `=`) included.
    Query,
}

/// The use of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateKind {
    /// A `Location`. Unknown placeholders are refused.
    Location,
    /// A path to be looked up: decoded, without dot segments. Unknown placeholders are refused.
    Path,
    /// The value of a field. Unknown placeholders are text, since values have colons.
    Value,
}

impl Template {
    /// Parses a template for a pattern. `:splat` is the capture of its splat.
    ///
    /// # Errors
    /// [`PatternError::UnknownName`], [`PatternError::Unnameable`] or [`PatternError::NameInHost`].
    pub fn parse(text: &str, pattern: &Pattern, kind: TemplateKind) -> Result<Self, PatternError> {
        Self::parse_with(text, pattern, &[], &[], kind)
    }

    /// The same, with names of parts of a host and of parameters of a query, whose values follow
    /// the captures of the pattern in this order.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse).
    pub fn parse_with(
        text: &str,
        pattern: &Pattern,
        host_names: &[&str],
        query_names: &[&str],
        kind: TemplateKind,
    ) -> Result<Self, PatternError> {
        let plain_names = || pattern.names().chain(host_names.iter().copied());
        let plain_count = plain_names().count();
        let piece = |name: &str, escaping: Escaping| {
            let in_query = || query_names.iter().position(|known| *known == name);
            plain_names()
                .position(|known| known == name)
                .map(|index| Piece::Capture(index, escaping))
                .or_else(|| Some(Piece::QueryCapture(plain_count + in_query()?, escaping)))
        };
        let decoded = match kind {
            TemplateKind::Path => decode_but_signs(text)?,
            TemplateKind::Location | TemplateKind::Value => text.as_bytes().to_vec(),
        };
        let text = &*decoded;
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut escaping = match kind {
            TemplateKind::Path => Escaping::Plain,
            TemplateKind::Location | TemplateKind::Value => Escaping::Path,
        };
        let mut at = match kind {
            TemplateKind::Location => host_end(text)?,
            TemplateKind::Path | TemplateKind::Value => 0,
        };
        literal.extend_from_slice(&text[..at]);
        while at < text.len() {
            let name = name_at(text, at);
            let known = name.and_then(|name| piece(name, escaping));
            match (name, known) {
                (Some(name), Some(piece)) => {
                    if !literal.is_empty() {
                        pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
                    }
                    pieces.push(piece);
                    at += 1 + name.len();
                }
                (Some(name), None) if kind != TemplateKind::Value => {
                    return Err(PatternError::UnknownName(name.to_owned()));
                }
                _ => {
                    let (octet, len) = match kind {
                        TemplateKind::Path => unescape(&text[at..]),
                        TemplateKind::Location | TemplateKind::Value => (text[at], 1),
                    };
                    escaping = match (kind, octet) {
                        (TemplateKind::Location, b'?') => Escaping::Query,
                        (TemplateKind::Location, b'#') => Escaping::Path,
                        _ => escaping,
                    };
                    literal.push(octet);
                    at += len;
                }
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.into()));
        }
        Ok(Self { pieces: pieces.into() })
    }

    /// A template without placeholders, of a text as it is.
    #[must_use]
    pub fn literal(text: &[u8]) -> Self {
        Self { pieces: [Piece::Literal(text.into())].into() }
    }

    /// The text of a template without placeholders.
    #[must_use]
    pub fn fixed(&self) -> Option<&[u8]> {
        match &*self.pieces {
            [] => Some(b""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Writes the text with the captures filled in and returns its length in bytes; `None` if `out`
    /// is too short.
    #[must_use]
    pub fn write(&self, captures: &Captures<'_>, out: &mut [u8]) -> Option<usize> {
        let mut written = 0;
        for piece in &self.pieces {
            let room = &mut out[written..];
            written += match piece {
                Piece::Literal(text) => copy(text, room)?,
                Piece::Capture(index, how) => {
                    let value = captures.values()[*index];
                    match how {
                        Escaping::Plain => copy(value, room)?,
                        Escaping::Path => path::encode(value, room)?,
                        Escaping::Query => path::encode_in_query(value, room)?,
                    }
                }
                Piece::QueryCapture(index, how) => {
                    decode_into(captures.values()[*index], *how, room)?
                }
            };
        }
        Some(written)
    }
}

/// The end of the authority of a URI with a scheme; 0 for a path.
///
/// A placeholder in it would let each request choose the host: the value `@evil.example` turns the
/// text before it into userinfo, and `.evil.example` into the beginning of another name. A whole
/// label (`https://:name.good.example/`) is refused, too: under some names anyone can register a
/// host, and clients have decoded separators in a host (CVE-2022-27780).
fn host_end(text: &[u8]) -> Result<usize, PatternError> {
    let Some(start) = memchr::memmem::find(text, b"://").map(|at| at + 3) else { return Ok(0) };
    if text.starts_with(b"/") {
        return Ok(0);
    }
    let is_end = |octet: &u8| matches!(octet, b'/' | b'?' | b'#');
    let end = text[start..].iter().position(is_end).map_or(text.len(), |len| start + len);
    // The colons of an IPv6 address in brackets begin no placeholder.
    let mut colons = match text[start..end].iter().position(|&octet| octet == b']') {
        Some(bracket) if text[start] == b'[' => start + bracket..end,
        _ => start..end,
    };
    match colons.find_map(|at| name_at(&text[..end], at)) {
        Some(name) => Err(PatternError::NameInHost(name.to_owned())),
        None => Ok(end),
    }
}

/// Writes the value of a parameter. It is one segment of a path: its slashes are percent-encoded.
fn decode_into(value: &[u8], how: Escaping, out: &mut [u8]) -> Option<usize> {
    let mut written = 0;
    for octet in path::unescape_form(value) {
        let room = &mut out[written..];
        written += match how {
            Escaping::Plain => copy(&[octet], room)?,
            Escaping::Path => path::encode_segment(&[octet], room)?,
            Escaping::Query => path::encode_in_query(&[octet], room)?,
        };
    }
    Some(written)
}

fn copy(text: &[u8], out: &mut [u8]) -> Option<usize> {
    out.get_mut(..text.len())?.copy_from_slice(text);
    Some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(template: &str, path: &str, kind: TemplateKind) -> String {
        let pattern = Pattern::parse("/:lang/*").expect("a pattern");
        let captures = pattern.matches(path.as_bytes()).expect("a matching path");
        let template = Template::parse(template, &pattern, kind).expect("a template");
        let mut out = [0; 64];
        let len = template.write(&captures, &mut out).expect("64 bytes suffice");
        String::from_utf8_lossy(&out[..len]).into_owned()
    }

    #[test]
    fn captures_are_filled_in_percent_encoded() {
        let location = |template| written(template, "/de/ä b", TemplateKind::Location);
        assert_eq!(
            location("https://x.example:80/:splat?l=:lang"),
            "https://x.example:80/%C3%A4%20b?l=de"
        );
        assert_eq!(location("/%3Alang"), "/%3Alang");
        let pattern = Pattern::parse("/:lang/*").expect("a pattern");
        let captures = pattern.matches(b"/a/b").expect("a matching path");
        let template = |text, kind| Template::parse(text, &pattern, kind);
        let missing = template("/:year", TemplateKind::Location).err();
        assert_eq!(missing, Some(PatternError::UnknownName("year".to_owned())));
        let kept = template("a :year", TemplateKind::Value).expect("literal");
        assert_eq!(kept.fixed(), Some(&b"a :year"[..]));
        let tight = template("/:splat", TemplateKind::Location).expect("a template");
        assert_eq!(tight.write(&captures, &mut [0; 1]), None);
    }

    #[test]
    fn capture_in_a_query_has_its_separators_encoded() {
        let location =
            |template| written(template, "/x/a&b=c+d;e%f#g?h/i:", TemplateKind::Location);
        let encoded = "a%26b%3Dc%2Bd%3Be%25f%23g%3Fh/i:";
        assert_eq!(location("/?q=:splat"), format!("/?q={encoded}"));
        assert_eq!(
            location("/?q=:splat&x#:splat"),
            format!("/?q={encoded}&x#a&b=c+d;e%25f%23g%3Fh/i:")
        );
        assert_eq!(location("/:splat"), "/a&b=c+d;e%25f%23g%3Fh/i:");
    }

    #[test]
    fn path_of_a_rewrite_is_decoded() {
        let path = |template| written(template, "/de/%41 b", TemplateKind::Path);
        assert_eq!(path("/a%20b%C3%A4/../%3Alang/%2a%25/:lang"), "/:lang/*%/de");
        assert_eq!(path("/:splat"), "/%41 b", "captures are decoded already");
        let pattern = Pattern::parse("/a").expect("a pattern");
        let wrong = Template::parse("/a%2Fb", &pattern, TemplateKind::Path).err();
        assert_eq!(wrong, Some(PatternError::Unnameable));
    }
}
