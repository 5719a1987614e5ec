//! Parsers of option values that several rooms share: durations, byte counts, switches, and the
//! status of a page. Pure: text in, a value or a sentence about the accepted forms out.

use std::time::Duration;

/// Parses the status of a page (`--status`): a final status whose response has content (RFC 9110,
/// section 15) and doesn't depend on the request.
pub(crate) fn status(text: &str) -> Result<u16, String> {
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

/// Parses a duration with a unit (`500ms`, `10s`, `1m30s`), longer than zero and at most a day.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let duration = delay(text)?;
    if duration.is_zero() {
        return Err("the duration must be longer than zero".to_owned());
    }
    Ok(duration)
}

/// Parses a delay, which is a duration or zero (`0s`).
pub(crate) fn delay(text: &str) -> Result<Duration, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("the unit is missing; write {text}s or {text}ms"));
    }
    let duration = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write a duration as 500ms, 10s or 1m30s"))?;
    if duration > DURATION_MAX {
        return Err("the duration must be one day (1d) at most".to_owned());
    }
    Ok(duration)
}

/// Parses the longest request head (`--max-head`) into bytes: 1k to 64k.
pub(crate) fn head_bytes(text: &str) -> Result<u32, String> {
    let bytes = size(text)?;
    u32::try_from(bytes)
        .ok()
        .filter(|bytes| (HEAD_BYTES_MIN..=HEAD_BYTES_MAX).contains(bytes))
        .ok_or_else(|| format!("{bytes} bytes is not within 1k to 64k (1024 to 65536 bytes)"))
}

/// Parses the most bytes of a site (`--site-bytes`), at least one.
pub(crate) fn site_bytes(text: &str) -> Result<u64, String> {
    let bytes = size(text)?;
    if bytes == 0 {
        return Err("the limit must be at least one byte".to_owned());
    }
    Ok(bytes)
}

/// Parses a minimum rate (`--min-rate`) in bytes per second: 0 to 1m.
pub(crate) fn rate(text: &str) -> Result<u32, String> {
    let bytes = size(text)?;
    u32::try_from(bytes)
        .ok()
        .filter(|&bytes| bytes <= RATE_MAX)
        .ok_or_else(|| format!("{bytes} bytes per second is not within 0 to 1m"))
}

/// Parses `on` or `off`.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("write on or off".to_owned()),
    }
}

/// Parses a number of bytes with an optional binary unit: 1k is 1024. A number too large for 64
/// bits becomes the largest one, which the caller's own bound refuses.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(digits);
    let unit_bytes: u64 = match unit.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" | "kib" => 1024,
        "m" | "mib" => 1024 * 1024,
        "g" | "gib" => 1024 * 1024 * 1024,
        _ => return Err(SIZE_FORMS.to_owned()),
    };
    let count: u64 = match count.parse() {
        Ok(count) => count,
        Err(_) if count.is_empty() => return Err(SIZE_FORMS.to_owned()),
        Err(_) => u64::MAX,
    };
    Ok(count.saturating_mul(unit_bytes))
}

/// listen(2) takes an int.
pub(crate) const BACKLOG_MAX: i64 = i32::MAX as i64;

const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// A higher minimum would disconnect ordinary mobile clients.
const RATE_MAX: u32 = 1024 * 1024;

const HEAD_BYTES_MIN: u32 = 1024;

const HEAD_BYTES_MAX: u32 = 64 * 1024;

const SIZE_FORMS: &str = "write a number of bytes, or one of KiB (16k), MiB (1m) or GiB (1g)";

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_duration_needs_a_unit_and_ends_at_one_day() {
        for (text, expected) in [
            ("10s", Duration::from_secs(10)),
            ("1m30s", Duration::from_secs(90)),
            ("1m 30s", Duration::from_secs(90)),
            ("500ms", Duration::from_millis(500)),
            ("1ns", Duration::from_nanos(1)),
            ("1d", DURATION_MAX),
            ("24h", DURATION_MAX),
        ] {
            assert_eq!(duration(text), Ok(expected), "{text}");
        }
        for (text, hint) in [
            ("10", "the unit is missing; write 10s or 10ms"),
            ("0", "the unit is missing"),
            ("0s", "longer than zero"),
            ("1d1ns", "one day (1d) at most"),
            ("9999999999999999999999s", "write a duration as"),
            ("2y", "one day (1d) at most"),
            ("", "write a duration as 500ms, 10s or 1m30s"),
            ("-1s", "write a duration as"),
            ("ten s", "write a duration as"),
            ("10 parsecs", "write a duration as"),
        ] {
            let message = duration(text).unwrap_err();
            assert!(message.contains(hint), "{text}: {message}");
        }
    }

    #[test]
    fn a_delay_may_be_zero_but_needs_a_unit() {
        for (text, expected) in [
            ("0s", Duration::ZERO),
            ("0ms", Duration::ZERO),
            ("500ms", Duration::from_millis(500)),
            ("1d", DURATION_MAX),
        ] {
            assert_eq!(delay(text), Ok(expected), "{text}");
        }
        for (text, hint) in [
            ("0", "the unit is missing; write 0s or 0ms"),
            ("1d1ns", "one day (1d) at most"),
            ("-1s", "write a duration as"),
        ] {
            let message = delay(text).unwrap_err();
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
