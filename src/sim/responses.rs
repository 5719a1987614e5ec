//! Reading responses as a client does, apart from all code that writes them, and comparing them
//! with what is expected.

/// What a request has to be answered with.
#[derive(Clone, Debug)]
pub(super) struct ExpectedResponse {
    /// Where the request ends in what the peer sends.
    pub end: usize,
    /// The statuses that are right.
    pub statuses: &'static [u16],
    /// The content, if it is known in every byte.
    pub body: Content,
    /// The request was HEAD.
    pub head_only: bool,
    /// No response may follow, and the response says so (if it is 1.1).
    pub closes: bool,
    /// But it doesn't say so: its chunked body turns out to be too long after it.
    pub unannounced: bool,
}

/// What a response's content has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A part of the page.
    Page {
        /// First byte.
        from: usize,
        /// Behind the last byte.
        to: usize,
    },
    /// An explanation that is not known, of some length.
    Any,
    /// None at all, with no `Content-Length`, or with that of another response.
    Empty,
}

/// A response that came whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Response {
    /// Its status.
    pub status: u16,
    /// It says that the connection ends.
    pub closes: bool,
    /// `Date`, in seconds since the Unix epoch.
    pub date: u64,
    /// Behind its last byte.
    pub end: usize,
}

/// What the bytes from some place on are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The beginning of a response that is right so far.
    Partial,
    /// A response that is right.
    Whole(Response),
}

/// Reads the response that begins at `start`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(
    bytes: &[u8],
    start: usize,
    expected: &ExpectedResponse,
    page: &[u8],
) -> Result<Found, String> {
    let rest = &bytes[start..];
    let opening = &rest[..rest.len().min(9)];
    if opening != &b"HTTP/1.1 "[..opening.len()] {
        return Err(format!("a response begins with {:?}", text(rest)));
    }
    let Some(head_len) = rest.windows(4).position(|four| four == b"\r\n\r\n") else {
        if rest.len() > HEAD_MAX {
            return Err("a head without end".to_owned());
        }
        return Ok(Found::Partial);
    };
    let head = std::str::from_utf8(&rest[..head_len]).map_err(|_| "a head that is no text")?;
    let (status, fields) = read_head(head)?;
    let late = status == 408 || status == 400;
    if !expected.statuses.contains(&status) && !late {
        return Err(format!("status {status} where one of {:?} is expected", expected.statuses));
    }
    let right = expected.statuses.contains(&status);
    let closes = fields.connection.is_some_and(|value| value.eq_ignore_ascii_case("close"));
    if right && expected.closes && !expected.unannounced && !closes {
        return Err(format!("a last response doesn't say so: {head:?}"));
    }
    let date = fields.date.ok_or("a response without Date")?;
    let content = if right { expected.body } else { Content::Any };
    let length = fields.length.map(str::parse::<usize>).transpose().map_err(|e| e.to_string())?;
    let bodiless = (right && expected.head_only) || status == 304 || status == 204;
    let (announced, body) = match content {
        Content::Page { from, to } => (Some(to - from), &page[from..to]),
        Content::Any | Content::Empty => (length, &[][..]),
    };
    if length != announced || (length.is_none() && !bodiless) {
        return Err(format!("Content-Length {length:?} where {announced:?} is expected"));
    }
    let body_len = if bodiless { 0 } else { announced.unwrap_or(0) };
    let got = &rest[head_len + 4..];
    let got = &got[..got.len().min(body_len)];
    if matches!(content, Content::Page { .. }) && got != &body[..got.len()] {
        return Err("the content is not that of the page".to_owned());
    }
    if got.len() < body_len {
        return Ok(Found::Partial);
    }
    let end = start + head_len + 4 + body_len;
    Ok(Found::Whole(Response { status, closes, date, end }))
}

#[derive(Default)]
struct Fields<'a> {
    length: Option<&'a str>,
    connection: Option<&'a str>,
    date: Option<u64>,
}

fn read_head(head: &str) -> Result<(u16, Fields<'_>), String> {
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or("");
    let status = first.get(9..12).and_then(|digits| digits.parse().ok());
    let status = status.ok_or_else(|| format!("a status line {first:?}"))?;
    let mut fields = Fields::default();
    for line in lines {
        let (name, value) = line.split_once(": ").ok_or_else(|| format!("a field {line:?}"))?;
        let place = match &*name.to_ascii_lowercase() {
            "content-length" => &mut fields.length,
            "connection" => &mut fields.connection,
            "date" => {
                if fields.date.replace(read_date(value)?).is_some() {
                    return Err("two dates".to_owned());
                }
                continue;
            }
            _ => continue,
        };
        if place.replace(value).is_some() {
            return Err(format!("{name} twice"));
        }
    }
    Ok((status, fields))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, counted by hand.
fn read_date(value: &str) -> Result<u64, String> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let wrong = || format!("a date {value:?}");
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

/// Heads here are far shorter.
const HEAD_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_standard() {
        assert_eq!(read_date("Sun, 06 Nov 1994 08:49:37 GMT"), Ok(784_111_777));
        assert!(read_date("Mon, 06 Nov 1994 08:49:37 GMT").is_err());
    }
}
