//! Media types (RFC 9110 8.3.1): the grammar of `--content-type`, and the type that a file name
//! suggests.
//!
//! The parser is our own because the one of the `mime` crate (0.3.18, which `mime_guess` brings
//! along) has another grammar. It refuses whitespace before a semicolon, tabs, an empty quoted
//! string and an escaped quote, all of which RFC 9110 5.6.3, 5.6.4 and 5.6.6 allow, and it accepts
//! a semicolon at the end and octets beyond ASCII between quotes.

use super::grammar::{after_quoted_string, is_token, is_token_char};
use mime_guess::{Mime, mime};
use std::ffi::OsStr;
use std::path::Path;

/// The media type that a file name suggests by its extension, with `charset=utf-8` for text. The
/// file isn't read.
///
/// # Examples
///
/// ```
/// use uringstatic::http::media_type::of_path;
///
/// assert_eq!(of_path("site/index.html".as_ref()), "text/html; charset=utf-8");
/// assert_eq!(of_path("unknown".as_ref()), "application/octet-stream");
/// ```
#[must_use]
pub fn of_path(page: &Path) -> String {
    let extension = page.extension().and_then(OsStr::to_str).unwrap_or_default();
    if let Some((_, own)) = OWN_GUESSES.iter().find(|(of, _)| extension.eq_ignore_ascii_case(of)) {
        return (*own).to_owned();
    }
    let guess = mime_guess::from_path(page).first_or_octet_stream();
    let essence = guess.essence_str();
    if is_text(&guess) { format!("{essence}; charset=utf-8") } else { essence.to_owned() }
}

/// Parses a media type and returns it as written, but for outer spaces.
///
/// RFC 9110 5.6.6 allows empty parameters, as in `text/html;`. They are refused: the operator most
/// likely lost something.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    let text = text.trim_matches(' ');
    if text.len() > MEDIA_TYPE_BYTES_MAX {
        return Err(format!("a media type can have {MEDIA_TYPE_BYTES_MAX} bytes here"));
    }
    let (essence, parameters) = text.split_at(text.find(';').unwrap_or(text.len()));
    let (main, sub) = essence.trim_end_matches(OWS).split_once('/').unwrap_or_default();
    if !is_token(main.as_bytes()) || !is_token(sub.as_bytes()) {
        return Err("write a type, a slash and a subtype, as in text/html".to_owned());
    }
    let mut rest = parameters.trim_start_matches(OWS);
    while let Some(after) = rest.strip_prefix(';') {
        rest = after_parameter(after.trim_start_matches(OWS))
            .ok_or_else(|| PARAMETER.to_owned())?
            .trim_start_matches(OWS);
    }
    if rest.is_empty() { Ok(text.to_owned()) } else { Err(PARAMETER.to_owned()) }
}

/// The text after the parameter that it begins with (RFC 9110 5.6.6).
fn after_parameter(text: &str) -> Option<&str> {
    let (name, rest) = text.split_once('=')?;
    if !is_token(name.as_bytes()) {
        return None;
    }
    if rest.starts_with('"') {
        return after_quoted_string(rest);
    }
    let end = rest.find(|c| !is_token_char(c)).unwrap_or(rest.len());
    (end > 0).then(|| &rest[end..])
}

/// Whether files of this type are text, which is served as UTF-8.
fn is_text(guess: &Mime) -> bool {
    let sub = guess.subtype();
    let is_named = [mime::JAVASCRIPT, mime::JSON, mime::XML].contains(&sub);
    let is_suffixed = [mime::JSON, mime::XML].map(Some).contains(&guess.suffix());
    guess.type_() == mime::TEXT || is_named || is_suffixed
}

/// Extensions for which `mime_guess` has an outdated type (RFC 8081 4.4.3 registers `font/otf`),
/// none, or one that [`is_text`] would take for text: SVG compressed with gzip isn't.
const OWN_GUESSES: [(&str, &str); 3] =
    [("otf", "font/otf"), ("ndjson", "application/x-ndjson"), ("svgz", "image/svg+xml")];

const OWS: [char; 2] = [' ', '\t'];

const MEDIA_TYPE_BYTES_MAX: usize = 256;

const PARAMETER: &str = "after the subtype only parameters may follow, as in '; charset=utf-8'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extension_suggests_the_type() {
        for (name, expected) in [
            ("index.html", "text/html; charset=utf-8"),
            ("/a.b/INDEX.HTML", "text/html; charset=utf-8"),
            ("notes.txt", "text/plain; charset=utf-8"),
            ("style.css", "text/css; charset=utf-8"),
            ("app.js", "text/javascript; charset=utf-8"),
            ("data.json", "application/json; charset=utf-8"),
            ("picture.svg", "image/svg+xml; charset=utf-8"),
            ("picture.svgz", "image/svg+xml"),
            ("letters.OTF", "font/otf"),
            ("rows.ndjson", "application/x-ndjson"),
            ("page.xhtml", "application/xhtml+xml; charset=utf-8"),
            ("feed.xml", "text/xml; charset=utf-8"),
            ("picture.png", "image/png"),
            ("paper.pdf", "application/pdf"),
            ("module.wasm", "application/wasm"),
            ("what.unheard-of", "application/octet-stream"),
            ("html", "application/octet-stream"),
            ("", "application/octet-stream"),
        ] {
            assert_eq!(of_path(Path::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn guesses_are_valid_media_types() {
        for name in ["a.html", "a.svg", "a.tar.gz", "a"] {
            let guess = of_path(Path::new(name));
            assert_eq!(parse(&guess), Ok(guess));
        }
    }

    #[test]
    fn valid_media_types_are_returned_as_written() {
        for text in [
            "text/html",
            "text/html; charset=utf-8",
            "text/html;charset=utf-8",
            "text/html \t;\t charset=utf-8 ; x=1",
            "multipart/mixed; boundary=\"a b;\\\" /\"",
            "application/vnd.example+json;q=\"\"",
        ] {
            assert_eq!(parse(text), Ok(text.to_owned()));
        }
        assert_eq!(parse(" text/html "), Ok("text/html".to_owned()));
    }

    #[test]
    fn errors_show_an_example() {
        let long = format!("text/{}", "a".repeat(MEDIA_TYPE_BYTES_MAX));
        for (text, hint) in [
            ("", "as in text/html"),
            ("html", "as in text/html"),
            ("/html", "as in text/html"),
            ("text/", "as in text/html"),
            ("text/html/x", "as in text/html"),
            ("text /html", "as in text/html"),
            ("text/html charset=utf-8", "as in text/html"),
            ("text/html\r\nX: 1", "as in text/html"),
            ("text/html, text/plain", "as in text/html"),
            ("text/hätml", "as in text/html"),
            ("text/html;", "as in '; charset=utf-8'"),
            ("text/html; charset", "as in '; charset=utf-8'"),
            ("text/html; charset=", "as in '; charset=utf-8'"),
            ("text/html; charset = utf-8", "as in '; charset=utf-8'"),
            ("text/html; =utf-8", "as in '; charset=utf-8'"),
            ("text/html; charset=utf-8 x", "as in '; charset=utf-8'"),
            ("text/html; charset=utf-8\r\nX: 1", "as in '; charset=utf-8'"),
            ("text/html; a=\"b", "as in '; charset=utf-8'"),
            ("text/html; a=\"b\\", "as in '; charset=utf-8'"),
            ("text/html; a=\"b\nc\"", "as in '; charset=utf-8'"),
            ("text/html; a=\"b\\\nc\"", "as in '; charset=utf-8'"),
            ("text/html; a=\"ü\"", "as in '; charset=utf-8'"),
            ("text/html; a=\"b\"c", "as in '; charset=utf-8'"),
            (&long, "256 bytes"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(hint), "{text:?}: {message}");
        }
    }
}
