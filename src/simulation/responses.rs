//! A parser of responses that shares no code with the server, and their comparison with the
//! expected ones.

/// The response that a request has to get.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "facts of their own, in any combination")]
pub(super) struct ExpectedResponse {
    /// The index behind the request in the bytes that the peer sends.
    pub(super) end: usize,
    pub(super) statuses: &'static [u16],
    pub(super) content: ExpectedContent,
    /// The request is HEAD.
    pub(super) head_only: bool,
    /// The server closes the connection after the response, and announces it (to HTTP/1.1).
    pub(super) closes: bool,
    /// The announcement is missing: the server sees only after the response that the chunked body
    /// is too long.
    pub(super) unannounced: bool,
    /// The request has a body: the server responds before all of it has arrived.
    pub(super) has_body: bool,
}

impl ExpectedResponse {
    /// Any content on a persistent connection; no status is correct yet.
    pub(super) fn any(end: usize) -> Self {
        Self {
            end,
            statuses: &[],
            content: ExpectedContent::Any,
            head_only: false,
            closes: false,
            unannounced: false,
            has_body: false,
        }
    }

    /// Whether the right response has bytes by which one page differs from another.
    pub(super) fn has_page_bytes(&self) -> bool {
        let has_bytes = matches!(self.content, ExpectedContent::Page { from, to } if from < to);
        has_bytes && !self.head_only
    }
}

/// The content that a response has to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExpectedContent {
    /// These bytes of the page, `to` excluded.
    Page { from: usize, to: usize },
    /// Any, such as the explanation of an error.
    Any,
    /// None; `Content-Length` is absent or that of another response (RFC 9110, section 8.6).
    Empty,
}

/// A complete response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReceivedResponse {
    pub(super) status: u16,
    /// It has `Connection: close`.
    pub(super) closes: bool,
    /// `Date`, in seconds since the Unix epoch.
    pub(super) date: u64,
    /// The index behind its last byte.
    pub(super) end: usize,
}

/// The outcome of reading a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseRead {
    /// Bytes are missing; those that are there are correct.
    Incomplete,
    Complete(ReceivedResponse),
}

/// Reads the response that begins at `start`.
///
/// # Errors
/// The difference from the expected response.
pub(super) fn read(
    bytes: &[u8],
    start: usize,
    expected: &ExpectedResponse,
    page: &[u8],
) -> Result<ResponseRead, String> {
    let rest = &bytes[start..];
    let opening = &rest[..rest.len().min(9)];
    if opening != &b"HTTP/1.1 "[..opening.len()] {
        return Err(format!("a response begins with {:?}", text(rest)));
    }
    let Some(head_len) = rest.windows(4).position(|four| four == b"\r\n\r\n") else {
        if rest.len() > HEAD_MAX {
            return Err("a head without an end".to_owned());
        }
        return Ok(ResponseRead::Incomplete);
    };
    let head = std::str::from_utf8(&rest[..head_len]).map_err(|_| "a head that is not UTF-8")?;
    let (status, fields) = read_head(head)?;
    let late = status == 408 || status == 400;
    if !expected.statuses.contains(&status) && !late {
        return Err(format!("status {status} instead of one of {:?}", expected.statuses));
    }
    let right = expected.statuses.contains(&status);
    let closes = fields.connection.is_some_and(|value| value.eq_ignore_ascii_case("close"));
    if right && expected.closes && !expected.unannounced && !closes {
        return Err(format!("the last response has no Connection: close: {head:?}"));
    }
    let date = fields.date.ok_or("a response without Date")?;
    let content = if right { expected.content } else { ExpectedContent::Any };
    let length = fields.length.map(str::parse::<usize>).transpose().map_err(|e| e.to_string())?;
    let bodiless = (right && expected.head_only) || status == 304 || status == 204;
    let (announced, body) = match content {
        ExpectedContent::Page { from, to } => (Some(to - from), &page[from..to]),
        ExpectedContent::Any | ExpectedContent::Empty => (length, &[][..]),
    };
    if length != announced || (length.is_none() && !bodiless) {
        return Err(format!("Content-Length {length:?} instead of {announced:?}"));
    }
    let body_len = if bodiless { 0 } else { announced.unwrap_or(0) };
    let got = &rest[head_len + 4..];
    let got = &got[..got.len().min(body_len)];
    if matches!(content, ExpectedContent::Page { .. }) && got != &body[..got.len()] {
        return Err("the content differs from the page".to_owned());
    }
    if got.len() < body_len {
        return Ok(ResponseRead::Incomplete);
    }
    let end = start + head_len + 4 + body_len;
    Ok(ResponseRead::Complete(ReceivedResponse { status, closes, date, end }))
}

#[derive(Default)]
struct HeadFields<'a> {
    length: Option<&'a str>,
    connection: Option<&'a str>,
    date: Option<u64>,
}

fn read_head(head: &str) -> Result<(u16, HeadFields<'_>), String> {
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or("");
    let status = first.get(9..12).and_then(|digits| digits.parse().ok());
    let status = status.ok_or_else(|| format!("malformed status line {first:?}"))?;
    let mut fields = HeadFields::default();
    for line in lines {
        let (name, value) =
            line.split_once(": ").ok_or_else(|| format!("malformed field line {line:?}"))?;
        let place = match &*name.to_ascii_lowercase() {
            "content-length" => &mut fields.length,
            "connection" => &mut fields.connection,
            "date" => {
                if fields.date.replace(read_date(value)?).is_some() {
                    return Err("two Date fields".to_owned());
                }
                continue;
            }
            _ => continue,
        };
        if place.replace(value).is_some() {
            return Err(format!("two {name} fields"));
        }
    }
    Ok((status, fields))
}

/// Parses an IMF-fixdate (RFC 9110, section 5.6.7), such as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn read_date(value: &str) -> Result<u64, String> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let wrong = || format!("malformed date {value:?}");
    let number = |range: std::ops::Range<usize>| -> Result<u64, String> {
        value.get(range).and_then(|digits| digits.parse().ok()).ok_or_else(wrong)
    };
    if value.len() != 29 || !value.ends_with(" GMT") {
        return Err(wrong());
    }
    let month = value.get(8..11).and_then(|name| MONTHS.find(name)).ok_or_else(wrong)? / 3;
    let (day, year) = (number(5..7)?, number(12..16)?);
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let years: u64 = (1970..year).map(|year| 365 + u64::from(leap(year))).sum();
    let days = years + lengths[..month].iter().sum::<u64>() + day - 1;
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][(days % 7) as usize];
    if !value.starts_with(weekday) {
        return Err(wrong());
    }
    Ok(days * 86_400 + number(17..19)? * 3600 + number(20..22)? * 60 + number(23..25)?)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned()
}

/// An upper bound of the heads in a simulation, in bytes.
const HEAD_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_of_rfc_9110_is_parsed() {
        assert_eq!(read_date("Sun, 06 Nov 1994 08:49:37 GMT"), Ok(784_111_777));
        assert!(read_date("Mon, 06 Nov 1994 08:49:37 GMT").is_err());
    }
}
