//! Heads of responses. They are rendered at start, except heads of partial content (206), which are
//! written into the block of a connection without an allocation.

use super::persistence::Persistence;
use std::io::Write;

/// The length of a date in bytes (IMF-fixdate, RFC 9110 5.6.7).
pub const DATE_BYTES: usize = 29;

/// Writes a time as an IMF-fixdate, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
///
/// # Panics
/// If `out` hasn't [`DATE_BYTES`] bytes, or the year hasn't four digits.
pub fn write_date(out: &mut [u8], unix_seconds: u64) {
    assert_eq!(out.len(), DATE_BYTES);
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(unix_seconds);
    let mut rest = out;
    write!(rest, "{}", httpdate::HttpDate::from(time)).expect("an IMF-fixdate has 29 bytes");
    assert!(rest.is_empty(), "an IMF-fixdate has 29 bytes");
}

/// A time as an IMF-fixdate, for heads that are rendered at start.
#[must_use]
pub fn date_text(unix_seconds: u64) -> String {
    let mut text = [0; DATE_BYTES];
    write_date(&mut text, unix_seconds);
    String::from_utf8_lossy(&text).into_owned()
}

/// Writes the beginning of a head, after which the date stands.
fn open(out: &mut impl Write, status: u16) -> std::io::Result<()> {
    write!(out, "HTTP/1.1 {status} {}\r\nDate: ", reason(status))
}

/// The offset of the date in a head with this status.
#[must_use]
pub fn date_offset(status: u16) -> usize {
    let mut out = Vec::new();
    open(&mut out, status).expect("writing to a vector does not fail");
    out.len()
}

/// Writes a head: status line, `Date` (zeros, which [`write_date`] replaces), `Server`, the fields
/// given, `Connection` if `persistence` needs it (RFC 9112 9.3 and 9.6), and the empty line.
///
/// # Errors
/// If `out` has too little room.
pub fn write_head<'a>(
    out: &mut impl Write,
    status: u16,
    fields: impl IntoIterator<Item = (&'a str, &'a str)>,
    persistence: Persistence,
) -> std::io::Result<()> {
    open(out, status)?;
    out.write_all(&[0; DATE_BYTES])?;
    out.write_all(b"\r\nServer: uringstatic\r\n")?;
    for (name, value) in fields {
        write!(out, "{name}: {value}\r\n")?;
    }
    out.write_all(match persistence {
        Persistence::Keep => b"\r\n",
        Persistence::KeepHttp10 => b"Connection: keep-alive\r\n\r\n",
        Persistence::Close => b"Connection: close\r\n\r\n",
    })
}

/// Whether a 304 has this field if the corresponding 200 has it (RFC 9110 15.4.5). Validators and
/// date are written separately. `X-Content-Type-Options` is no field of that list, but then no
/// response lacks it.
#[must_use]
pub fn is_kept_by_not_modified(name: &str) -> bool {
    const KEPT: [&str; 5] =
        ["Cache-Control", "Content-Location", "Expires", "Vary", "X-Content-Type-Options"];
    KEPT.iter().any(|kept| kept.eq_ignore_ascii_case(name))
}

/// The reason phrase of a status code in the IANA registry; empty for an unregistered code, which
/// the grammar allows (RFC 9112 4).
#[must_use]
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_format_of_rfc_9110_5_6_7() {
        assert_eq!(date_text(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date_text(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date_text(951_827_696), "Tue, 29 Feb 2000 12:34:56 GMT");
    }

    #[test]
    fn date_offset_points_at_the_date() {
        let mut head = Vec::new();
        let fields = [("Content-Length", "5")];
        write_head(&mut head, 200, fields, Persistence::Close).expect("room");
        let at = date_offset(200);
        write_date(&mut head[at..at + DATE_BYTES], 784_111_777);
        assert_eq!(
            String::from_utf8(head).expect("text"),
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: uringstatic\r\n\
             Content-Length: 5\r\nConnection: close\r\n\r\n"
        );
    }
}
