//! Whether a client asks for a page, by `Accept` (RFC 9110 12.5.1).

use super::coding::weight;
use super::grammar::trim;
use httparse::Header;

/// Whether `text/html` itself is among what is accepted. Browsers name it when somebody goes to a
/// page, and not when a page loads something: that is `*/*`, which doesn't count here.
#[must_use]
pub fn names_html(fields: &[Header<'_>]) -> bool {
    let mut accepts = fields.iter().filter(|field| field.name.eq_ignore_ascii_case("Accept"));
    accepts.any(|field| Pieces { rest: Some(field.value), sign: b',' }.any(is_html))
}

/// One media range with its parameters, of which the weight is the only one that counts.
fn is_html(range: &[u8]) -> bool {
    let mut pieces = Pieces { rest: Some(range), sign: b';' };
    let is_named = pieces.next().is_some_and(|name| name.eq_ignore_ascii_case(b"text/html"));
    let is_weight = |piece: &&[u8]| matches!(piece, [b'q' | b'Q', b'=', ..]);
    // A weight that isn't one says nothing, so the range isn't taken.
    is_named && pieces.find(is_weight).is_none_or(|piece| weight(piece).is_some_and(|w| w > 0))
}

/// The pieces of a text between signs, without the spaces around them. A sign within quotes is a
/// part of its piece.
struct Pieces<'a> {
    rest: Option<&'a [u8]>,
    sign: u8,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let mut quoted = false;
        let mut escaped = false;
        let end = rest.iter().position(|&octet| {
            match octet {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ => return octet == self.sign && !quoted,
            }
            false
        });
        let end = end.unwrap_or(rest.len());
        self.rest = rest.get(end + 1..);
        Some(trim(&rest[..end]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(values: &[&str]) -> bool {
        let field = |value: &&'_ str| (*value).as_bytes().to_vec();
        let values: Vec<_> = values.iter().map(field).collect();
        let fields: Vec<_> = values.iter().map(|value| Header { name: "accept", value }).collect();
        names_html(&fields)
    }

    #[test]
    fn a_page_is_asked_for_by_name() {
        for value in [
            // Firefox, Chromium, Safari.
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            "*/*, TEXT/HTML",
            "text/html;q=0.001",
            "text/html ; level=1 ; Q=0.5",
            "a/b;c=\"d,e\\\",\", text/html",
            "text/html;level=\"q=0\"",
            "text/html;q=0, text/html",
        ] {
            assert!(named(&[value]), "{value}");
        }
        for value in [
            "",
            "*/*",
            "text/*",
            "text/html;q=0",
            "text/html; level=1; q=0.000",
            "text/html;q=x",
            "text/html;q=2",
            "text/htmlx",
            "xtext/html",
            "text/html x",
            "a/b;c=text/html",
            "a/b;c=\", text/html\"",
            "application/xhtml+xml",
            "text/css,*/*;q=0.1",
        ] {
            assert!(!named(&[value]), "{value}");
        }
        assert!(named(&["a/b", "text/html"]) && !named(&[]));
    }
}
