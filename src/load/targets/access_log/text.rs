//! Lines in the common log format, the combined one, and those that put fields before or behind:
//!
//! ```text
//!   127.0.0.1 - - [28/Nov/2026:03:33:12 +0000] "GET /a HTTP/1.1" 200 5 "-" "curl/8"
//! ```

use super::{LogEntry, of_request_line, time};

/// The request is the first quoted field behind the time, or of the line if it has no time.
pub(super) fn parse(line: &[u8]) -> Result<LogEntry, String> {
    let (time_ns, rest) = find_time(line);
    let quoted = rest
        .iter()
        .position(|&octet| octet == b'"')
        .ok_or("it has no quoted request, and is no JSON object")?;
    let request = unescaped(&rest[quoted + 1..])?;
    Ok(LogEntry { request: of_request_line(&request)?, time_ns })
}

/// The time in brackets, and the line behind it. User names may have brackets, too.
fn find_time(line: &[u8]) -> (Option<i128>, &[u8]) {
    let opens = line.iter().enumerate().filter(|&(_, &octet)| octet == b'[');
    for (place, _) in opens {
        let inside = &line[place + 1..];
        let Some(end) = inside.iter().take(TIME_BYTES_MAX).position(|&octet| octet == b']') else {
            continue;
        };
        let text = std::str::from_utf8(&inside[..end]).unwrap_or_default();
        if let Some(time) = time::of_common_log(text).or_else(|| time::of_iso_8601(text)) {
            return (Some(time), &inside[end + 1..]);
        }
    }
    (None, line)
}

/// A text without a quote, without its escapes.
pub(super) fn unescaped_text(text: &[u8]) -> Result<Vec<u8>, String> {
    unescaped(&[text, b"\""].concat())
}

/// A quoted field up to its closing quote, without the escapes of Apache (`\"`, `\\`, `\n`, `\xHH`)
/// and nginx (`\xHH`).
fn unescaped(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut field = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    loop {
        match rest.next().ok_or("its quoted request has no end")? {
            b'"' => return Ok(field),
            b'\\' => field.push(match rest.next() {
                Some(octet @ (b'"' | b'\\' | b'/')) => octet,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(b'v') => 11,
                Some(b'x' | b'X') => hex(rest.next(), rest.next()).ok_or(UNKNOWN_ESCAPE)?,
                _ => return Err(UNKNOWN_ESCAPE.to_owned()),
            }),
            octet => field.push(octet),
        }
    }
}

fn hex(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |octet: u8| char::from(octet).to_digit(16);
    let value = digit(high?)? * 16 + digit(low?)?;
    Some(u8::try_from(value).expect("two digits are a byte"))
}

const UNKNOWN_ESCAPE: &str = "its quoted request has a backslash that begins no known escape";
/// More than any of the known forms has.
const TIME_BYTES_MAX: usize = 40;
