//! Parsers of the server's own option values: the status of a page, an origin, the longest head,
//! the lowest rate. Pure: text in, a value or a sentence about the accepted forms out.

use crate::value_parsers::size;

/// Parses the status of a page (`--status`): a final status whose response has content (RFC 9110,
/// section 15) and doesn't depend on the request.
pub(super) fn status(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(204 | 205 | 304) => Err(format!("a response with status {text} can't carry a page")),
        Ok(206 | 416) => Err(format!(
            "status {text} answers a range request; the server sends it where it applies"
        )),
        Ok(100..=199) => Err(format!(
            "status {text} is interim: a final response follows it, so it can't carry a page"
        )),
        Ok(code @ 200..=599) => Ok(code),
        _ => Err("a status is a number from 200 to 599".to_owned()),
    }
}

/// Parses an origin (`--cors`) as browsers write it: scheme, host and port in lower case (RFC 6454
/// 6.2), or an asterisk. Another text would match no `Origin`.
pub(super) fn origin(text: &str) -> Result<String, String> {
    if text == "*" {
        return Ok(text.to_owned());
    }
    let Some((scheme, host)) = text.split_once("://") else {
        return Err("write * or an origin, as in https://app.example".to_owned());
    };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c));
    let is_host = !host.is_empty()
        && host
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._:[]".contains(c));
    if is_scheme && is_host {
        Ok(text.to_owned())
    } else {
        Err("an origin is a scheme, a host and possibly a port, in lower case and without a path, \
             as in https://app.example:8443"
            .to_owned())
    }
}

/// Parses the longest request head (`--max-head`) into bytes: 1k to 64k.
pub(super) fn head_bytes(text: &str) -> Result<u32, String> {
    let bytes = size(text)?;
    u32::try_from(bytes)
        .ok()
        .filter(|bytes| (HEAD_BYTES_MIN..=HEAD_BYTES_MAX).contains(bytes))
        .ok_or_else(|| format!("{bytes} bytes is not within 1k to 64k (1024 to 65536 bytes)"))
}

/// Parses a minimum rate (`--min-rate`) in bytes per second: 0 to 1m.
pub(super) fn rate(text: &str) -> Result<u32, String> {
    let bytes = size(text)?;
    u32::try_from(bytes)
        .ok()
        .filter(|&bytes| bytes <= RATE_MAX)
        .ok_or_else(|| format!("{bytes} bytes per second is not within 0 to 1m"))
}

/// The field that `--cors` sets.
pub(super) const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";
const HEAD_BYTES_MIN: u32 = 1024;
const HEAD_BYTES_MAX: u32 = 64 * 1024;

/// A higher minimum would disconnect ordinary mobile clients.
const RATE_MAX: u32 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_have_the_form_of_the_field_that_browsers_send() {
        for text in ["*", "https://a.example", "http://[::1]:80", "http://localhost:3000"] {
            assert_eq!(origin(text).as_deref(), Ok(text));
        }
        for text in ["", "null", "a.example", "https://", "https://a.example/", "HTTPS://a", "*.a"]
        {
            assert!(origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_status_that_cannot_carry_a_page_is_refused() {
        for code in [200, 203, 207, 301, 404, 503, 599] {
            assert_eq!(status(&code.to_string()), Ok(code));
        }
        for (text, hint) in [
            ("204", "can't carry a page"),
            ("205", "can't carry a page"),
            ("304", "can't carry a page"),
            ("206", "answers a range request"),
            ("416", "answers a range request"),
            ("100", "is interim"),
            ("199", "is interim"),
            ("99", "from 200 to 599"),
            ("600", "from 200 to 599"),
            ("65736", "from 200 to 599"),
            ("ok", "from 200 to 599"),
            ("", "from 200 to 599"),
        ] {
            let message = status(text).unwrap_err();
            assert!(message.contains(hint), "{text}: {message}");
        }
    }

    #[test]
    fn a_head_size_is_1k_to_64k_with_binary_units() {
        for (text, expected) in [
            ("1k", 1024),
            ("1024", 1024),
            ("16k", 16384),
            ("16K", 16384),
            ("16KiB", 16384),
            ("16kib", 16384),
            ("12345", 12345),
            ("64k", 65536),
        ] {
            assert_eq!(head_bytes(text), Ok(expected), "{text}");
        }
        for (text, hint) in [
            ("0", "0 bytes is not within 1k to 64k"),
            ("1023", "1023 bytes is not within"),
            ("65537", "65537 bytes is not within"),
            ("65k", "66560 bytes is not within"),
            ("1m", "1048576 bytes is not within"),
            ("1MiB", "1048576 bytes is not within"),
            ("99999999999999999999k", "is not within"),
            ("16kb", "write a number of bytes, or one of KiB (16k)"),
            ("16 k", "write a number of bytes"),
            ("1.5k", "write a number of bytes"),
            ("+16k", "write a number of bytes"),
            ("k", "write a number of bytes"),
            ("", "write a number of bytes"),
        ] {
            let message = head_bytes(text).unwrap_err();
            assert!(message.contains(hint), "{text}: {message}");
        }
    }
}
