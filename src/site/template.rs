//! Texts with places for what a pattern captured: where a rule leads, and values of fields.

use super::pattern::{Captures, Malformed, Pattern, decode_but_signs, name_at, unescape};
use crate::http::path;

/// A text with places for what a pattern captures.
#[derive(Clone, Debug)]
pub struct Template {
    pieces: Box<[Piece]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(Box<[u8]>),
    /// The capture of this number.
    Capture(usize, Written),
}

/// How a capture is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// As it is.
    Plain,
    /// As it may stand in the path of a URI. Which of its octets were escaped when it was asked
    /// for is gone: a rule sees a path as a file's name is seen, in which `%26` and `&` are one.
    Path,
    /// As it may stand in a query, between the signs that divide one.
    Query,
}

/// What a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A URI. A name that the pattern hasn't is refused.
    Location,
    /// A path to be looked up: decoded, its dot segments removed. Names are as in a URI.
    Path,
    /// A value of a field. A name that the pattern hasn't is text: values have colons.
    Value,
}

impl Template {
    /// Reads a template for a pattern. `:splat` is what its splat stood for.
    ///
    /// # Errors
    /// [`Malformed::UnknownName`], [`Malformed::Unnameable`] or [`Malformed::NameInHost`].
    pub fn parse(text: &str, pattern: &Pattern, purpose: Purpose) -> Result<Self, Malformed> {
        let decoded = match purpose {
            Purpose::Path => decode_but_signs(text)?,
            Purpose::Location | Purpose::Value => text.as_bytes().to_vec(),
        };
        let text = &*decoded;
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut written = match purpose {
            Purpose::Path => Written::Plain,
            Purpose::Location | Purpose::Value => Written::Path,
        };
        let mut at = match purpose {
            Purpose::Location => host_end(text)?,
            Purpose::Path | Purpose::Value => 0,
        };
        literal.extend_from_slice(&text[..at]);
        while at < text.len() {
            let name = name_at(text, at);
            let known = name.and_then(|name| pattern.names.iter().position(|n| &**n == name));
            match (name, known) {
                (Some(name), Some(index)) => {
                    if !literal.is_empty() {
                        pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
                    }
                    pieces.push(Piece::Capture(index, written));
                    at += 1 + name.len();
                }
                (Some(name), None) if purpose != Purpose::Value => {
                    return Err(Malformed::UnknownName(name.to_owned()));
                }
                _ => {
                    let (octet, len) = match purpose {
                        Purpose::Path => unescape(&text[at..]),
                        Purpose::Location | Purpose::Value => (text[at], 1),
                    };
                    written = match (purpose, octet) {
                        (Purpose::Location, b'?') => Written::Query,
                        (Purpose::Location, b'#') => Written::Path,
                        _ => written,
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

    /// The text, if nothing is put into it.
    #[must_use]
    pub fn fixed(&self) -> Option<&[u8]> {
        match &*self.pieces {
            [] => Some(b""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Writes the text with the captures put in; says how long it became, or `None` if it doesn't
    /// fit.
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
                        Written::Plain => copy(value, room)?,
                        Written::Path => path::encode(value, room)?,
                        Written::Query => path::encode_in_query(value, room)?,
                    }
                }
            };
        }
        Some(written)
    }
}

/// Where the host of a URI with a scheme ends, and its port; 0 if it has none, as a path has.
///
/// A placeholder there would let each request choose the host, whatever stands around it: a value
/// of `@evil.example` makes what is before it a user's name, and `.evil.example` the beginning of
/// another name. Not even a whole label is left to it (`https://:name.good.example/`): hosts end in
/// names under which anybody may have one, and clients have decoded separators in a host
/// (CVE-2022-27780).
fn host_end(text: &[u8]) -> Result<usize, Malformed> {
    let Some(start) = memchr::memmem::find(text, b"://").map(|at| at + 3) else { return Ok(0) };
    if text.starts_with(b"/") {
        return Ok(0);
    }
    let is_end = |octet: &u8| matches!(octet, b'/' | b'?' | b'#');
    let end = text[start..].iter().position(is_end).map_or(text.len(), |len| start + len);
    // The colons of an IPv6 address, which stands in brackets, begin no placeholder.
    let mut colons = match text[start..end].iter().position(|&octet| octet == b']') {
        Some(bracket) if text[start] == b'[' => start + bracket..end,
        _ => start..end,
    };
    match colons.find_map(|at| name_at(&text[..end], at)) {
        Some(name) => Err(Malformed::NameInHost(name.to_owned())),
        None => Ok(end),
    }
}

fn copy(text: &[u8], out: &mut [u8]) -> Option<usize> {
    out.get_mut(..text.len())?.copy_from_slice(text);
    Some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(template: &str, path: &str, purpose: Purpose) -> String {
        let pattern = Pattern::parse("/:lang/*").expect("a pattern");
        let captures = pattern.matches(path.as_bytes()).expect("it matches");
        let template = Template::parse(template, &pattern, purpose).expect("a template");
        let mut out = [0; 64];
        let len = template.write(&captures, &mut out).expect("room");
        String::from_utf8_lossy(&out[..len]).into_owned()
    }

    #[test]
    fn a_template_takes_what_was_captured() {
        let location = |template| written(template, "/de/ä b", Purpose::Location);
        assert_eq!(
            location("https://x.example:80/:splat?l=:lang"),
            "https://x.example:80/%C3%A4%20b?l=de"
        );
        assert_eq!(location("/%3Alang"), "/%3Alang");
        let pattern = Pattern::parse("/:lang/*").expect("a pattern");
        let captures = pattern.matches(b"/a/b").expect("it matches");
        let template = |text, purpose| Template::parse(text, &pattern, purpose);
        let missing = template("/:year", Purpose::Location).err();
        assert_eq!(missing, Some(Malformed::UnknownName("year".to_owned())));
        let kept = template("a :year", Purpose::Value).expect("literal");
        assert_eq!(kept.fixed(), Some(&b"a :year"[..]));
        let tight = template("/:splat", Purpose::Location).expect("known");
        assert_eq!(tight.write(&captures, &mut [0; 1]), None);
    }

    #[test]
    fn what_is_put_into_a_query_does_not_divide_it() {
        let location = |template| written(template, "/x/a&b=c+d;e%f#g?h/i:", Purpose::Location);
        let encoded = "a%26b%3Dc%2Bd%3Be%25f%23g%3Fh/i:";
        assert_eq!(location("/?q=:splat"), format!("/?q={encoded}"));
        assert_eq!(
            location("/?q=:splat&x#:splat"),
            format!("/?q={encoded}&x#a&b=c+d;e%25f%23g%3Fh/i:")
        );
        assert_eq!(location("/:splat"), "/a&b=c+d;e%25f%23g%3Fh/i:");
    }

    #[test]
    fn a_path_to_be_looked_up_is_decoded() {
        let path = |template| written(template, "/de/%41 b", Purpose::Path);
        assert_eq!(path("/a%20b%C3%A4/../%3Alang/%2a%25/:lang"), "/:lang/*%/de");
        assert_eq!(path("/:splat"), "/%41 b", "it was decoded before");
        let pattern = Pattern::parse("/a").expect("a pattern");
        let wrong = Template::parse("/a%2Fb", &pattern, Purpose::Path).err();
        assert_eq!(wrong, Some(Malformed::Unnameable));
    }
}
