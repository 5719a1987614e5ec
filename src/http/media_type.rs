//! Media types (RFC 9110 8.3.1): the grammar of `--content-type`, and the type of a file by its
//! name and its octets.
//!
//! The parser is our own because the one of the `mime` crate (0.3.18) has another grammar. It
//! refuses whitespace before a semicolon, tabs, an empty quoted string and an escaped quote, all of
//! which RFC 9110 5.6.3, 5.6.4 and 5.6.6 allow, and it accepts a semicolon at the end and octets
//! beyond ASCII between quotes. The table is our own because the crate `mime_guess` (2.0.5) has the
//! types of 2020: `application/node` for `.cjs`, `audio/x-pn-realaudio-plugin` for `.rpm`, none for
//! `.jxl` and `.usdz`.

mod octets;
mod table;

use super::grammar::{after_quoted_string, is_token, is_token_char};
pub use octets::{OctetsKind, OctetsScan};

/// The media type of a file by its name, whose extension counts in any case, and by the kind of its
/// octets:
///
/// - Text has `charset=utf-8` if it is UTF-8. Otherwise it has no charset, which would take
///   precedence over what the file says itself (HTML 13.2.3.2; RFC 7303 3.2).
/// - A file without an extension is JSON, text or octets, by what it is.
/// - `.ts` and `.mts` are TypeScript if they are text, else streams (ISO/IEC 13818-1).
///   TypeScript is `text/plain`: no type is registered for it, browsers show this one, and Deno
///   goes by the extension then.
///
/// # Examples
///
/// ```
/// use uringstatic::http::media_type::{OctetsKind, of_file};
///
/// assert_eq!(of_file(b"index.HTML", OctetsKind::Text), "text/html; charset=utf-8");
/// assert_eq!(of_file(b"index.html", OctetsKind::OtherText), "text/html");
/// assert_eq!(of_file(b"apple-app-site-association", OctetsKind::Json), "application/json");
/// ```
#[must_use]
pub fn of_file(name: &[u8], kind: OctetsKind) -> String {
    let essence = match extension(name) {
        None => match kind {
            OctetsKind::Json => return JSON.to_owned(),
            kind if kind.is_text() => PLAIN,
            _ => OCTETS,
        },
        Some(extension) => match table::of_extension(&extension) {
            Some(STREAM) if is_ambiguous(&extension) && kind.is_text() => PLAIN,
            Some(essence) => essence,
            None => OCTETS,
        },
    };
    // SVG compressed with gzip isn't text.
    let is_text = is_text(essence) && !name.to_ascii_lowercase().ends_with(b".svgz");
    if is_text && kind.is_utf8() { format!("{essence}; charset=utf-8") } else { essence.to_owned() }
}

/// The kind of a file's octets; [`OctetsKind::Unread`] if the media type doesn't depend on it.
#[must_use]
pub fn kind_of(name: &[u8], octets: &[u8]) -> OctetsKind {
    if !depends_on_octets(name) {
        return OctetsKind::Unread;
    }
    octets::kind_of(octets, extension(name).is_none())
}

/// Whether the media type of a file with this name depends on its octets.
#[must_use]
pub fn depends_on_octets(name: &[u8]) -> bool {
    let of = |kind| of_file(name, kind);
    of(OctetsKind::Text) != of(OctetsKind::Binary)
}

/// The extension of a file in lower case; none if its name has no dot but at its begin or end.
fn extension(name: &[u8]) -> Option<String> {
    let name = name.rsplit(|&octet| octet == b'/').next().unwrap_or(name);
    let dot = memchr::memrchr(b'.', name).filter(|&dot| dot > 0)?;
    let extension = String::from_utf8_lossy(&name[dot + 1..]).to_ascii_lowercase();
    (!extension.is_empty()).then_some(extension)
}

/// Whether an extension stands for TypeScript, too.
fn is_ambiguous(extension: &str) -> bool {
    matches!(extension, "ts" | "mts")
}

/// Whether files of this type are text. JSON, XML and scripts are, whatever their main type.
fn is_text(essence: &str) -> bool {
    let (main, sub) = essence.split_once('/').unwrap_or_default();
    main == "text"
        || matches!(essence, JSON | "application/xml")
        || sub.ends_with("+json")
        || sub.ends_with("+xml")
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

const PLAIN: &str = "text/plain";
const JSON: &str = "application/json";
const OCTETS: &str = "application/octet-stream";
/// Streams of films, in pieces for HLS for instance (RFC 8216).
const STREAM: &str = "video/mp2t";

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
            // RFC 9239 6.
            ("app.mjs", "text/javascript; charset=utf-8"),
            ("app.cjs", "text/javascript; charset=utf-8"),
            ("app.js.map", "application/json; charset=utf-8"),
            ("data.json", "application/json; charset=utf-8"),
            // RFC 7763 2.
            ("README.md", "text/markdown; charset=utf-8"),
            ("picture.svg", "image/svg+xml; charset=utf-8"),
            ("picture.svgz", "image/svg+xml"),
            // RFC 8081 4.4.
            ("letters.OTF", "font/otf"),
            ("letters.woff", "font/woff"),
            ("letters.woff2", "font/woff2"),
            ("rows.ndjson", "application/x-ndjson"),
            ("page.xhtml", "application/xhtml+xml; charset=utf-8"),
            ("feed.xml", "text/xml; charset=utf-8"),
            // Web Application Manifest, 5.
            ("site.webmanifest", "application/manifest+json; charset=utf-8"),
            ("picture.png", "image/png"),
            ("picture.avif", "image/avif"),
            ("picture.jxl", "image/jxl"),
            ("picture.heic", "image/heic"),
            ("chair.usdz", "model/vnd.usdz+zip"),
            ("chair.glb", "model/gltf-binary"),
            ("chair.stl", "model/stl"),
            ("chair.obj", "model/obj"),
            ("paper.pdf", "application/pdf"),
            ("module.wasm", "application/wasm"),
            ("vpn.mobileconfig", "application/x-apple-aspen-config"),
            ("app.apk", "application/vnd.android.package-archive"),
            ("tool.rpm", "application/x-redhat-package-manager"),
            ("what.unheard-of", "application/octet-stream"),
        ] {
            assert_eq!(of_file(name.as_bytes(), OctetsKind::Unread), expected, "{name}");
        }
    }

    #[test]
    fn octets_decide_the_charset_and_the_type_without_an_extension() {
        use OctetsKind::{Binary, ControlledText, Json, OtherText, Text};
        for (name, kind, expected) in [
            ("a.html", OtherText, "text/html"),
            ("a.html", ControlledText, "text/html; charset=utf-8"),
            ("feed.xml", OtherText, "text/xml"),
            ("a.css", Binary, "text/css"),
            ("a.json", OtherText, "application/json"),
            ("a.png", Text, "image/png"),
            ("apple-app-site-association", Json, "application/json"),
            (".well-known/matrix/server", Json, "application/json"),
            ("v1.2/LICENSE", Text, "text/plain; charset=utf-8"),
            ("CNAME", Text, "text/plain; charset=utf-8"),
            ("README", OtherText, "text/plain"),
            ("tool", Binary, "application/octet-stream"),
            ("tool", ControlledText, "application/octet-stream"),
            (".hidden", Text, "text/plain; charset=utf-8"),
            ("end.", Text, "text/plain; charset=utf-8"),
            ("", Text, "text/plain; charset=utf-8"),
            ("mod.ts", Text, "text/plain; charset=utf-8"),
            ("mod.MTS", Text, "text/plain; charset=utf-8"),
            ("part.ts", Binary, "video/mp2t"),
            ("part.m2ts", Text, "video/mp2t"),
        ] {
            assert_eq!(of_file(name.as_bytes(), kind), expected, "{name} {kind:?}");
        }
        for (name, depends) in
            [("a.html", true), ("a.ts", true), ("LICENSE", true), ("a.png", false), ("a.x", false)]
        {
            assert_eq!(depends_on_octets(name.as_bytes()), depends, "{name}");
        }
        assert_eq!(kind_of(b"a.png", b"{}"), OctetsKind::Unread, "needless work is left out");
        assert_eq!(kind_of(b"a.json", b"{}"), OctetsKind::Text);
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
