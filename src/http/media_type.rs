//! Media types (RFC 9110, section 8.3.1): the grammar of `--content-type`, and a guess by name.

use std::ffi::OsStr;
use std::path::Path;

use mime_guess::{Mime, mime};

use super::grammar::{is_token, is_token_char};

/// The media type that a page's name suggests; its file is not read.
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

/// Reads one `--content-type`, without its outer spaces.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    let text = text.trim_matches(' ');
    if text.len() > MEDIA_TYPE_BYTES_MAX {
        return Err(format!("a media type can have {MEDIA_TYPE_BYTES_MAX} bytes here"));
    }
    let (essence, parameters) = text.split_at(text.find(';').unwrap_or(text.len()));
    let (main, sub) = essence.trim_end_matches(WHITESPACE).split_once('/').unwrap_or_default();
    if !is_token(main.as_bytes()) || !is_token(sub.as_bytes()) {
        return Err("write a type, a slash and a subtype, as in text/html".to_owned());
    }
    let mut rest = parameters.trim_start_matches(WHITESPACE);
    while let Some(after) = rest.strip_prefix(';') {
        rest = after_parameter(after.trim_start_matches(WHITESPACE))
            .ok_or_else(|| PARAMETER.to_owned())?
            .trim_start_matches(WHITESPACE);
    }
    if rest.is_empty() { Ok(text.to_owned()) } else { Err(PARAMETER.to_owned()) }
}

/// What follows the parameter that `text` begins with.
fn after_parameter(text: &str) -> Option<&str> {
    let (name, rest) = text.split_once('=')?;
    if !is_token(name.as_bytes()) {
        return None;
    }
    if let Some(quoted) = rest.strip_prefix('"') {
        return after_quoted(quoted);
    }
    let end = rest.find(|c| !is_token_char(c)).unwrap_or(rest.len());
    (end > 0).then(|| &rest[end..])
}

/// What follows the closing quote. Only ASCII is taken; a backslash quotes the next character.
fn after_quoted(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Some(chars.as_str()),
            '\\' => chars.next().filter(|&quoted| is_quotable(quoted)).map(drop)?,
            _ if is_quotable(c) => {}
            _ => return None,
        }
    }
    None
}

fn is_quotable(c: char) -> bool {
    c == '\t' || c == ' ' || c.is_ascii_graphic()
}

/// Whether a page of this type is text, which we take to be UTF-8.
fn is_text(guess: &Mime) -> bool {
    let sub = guess.subtype();
    let is_named = [mime::JAVASCRIPT, mime::JSON, mime::XML].contains(&sub);
    let is_suffixed = [mime::JSON, mime::XML].map(Some).contains(&guess.suffix());
    guess.type_() == mime::TEXT || is_named || is_suffixed
}

/// Extensions that are registered otherwise (RFC 8081 4.4.3, for the first), or not text by
/// themselves.
const OWN_GUESSES: [(&str, &str); 3] =
    [("otf", "font/otf"), ("ndjson", "application/x-ndjson"), ("svgz", "image/svg+xml")];

const WHITESPACE: [char; 2] = [' ', '\t'];

const MEDIA_TYPE_BYTES_MAX: usize = 256;

const PARAMETER: &str = "after the subtype only parameters may follow, as in '; charset=utf-8'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_suggests_a_type() {
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
    fn a_guess_keeps_to_the_grammar() {
        for name in ["a.html", "a.svg", "a.tar.gz", "a"] {
            let guess = of_path(Path::new(name));
            assert_eq!(parse(&guess), Ok(guess));
        }
    }

    #[test]
    fn a_media_type_is_kept_as_written() {
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
    fn an_error_says_what_to_write() {
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
