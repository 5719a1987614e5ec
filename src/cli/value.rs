//! Option values that are numbers with a meaning: a status, a duration, a size.

use std::time::Duration;

/// Reads `--status`.
pub(super) fn status(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(204 | 205 | 304) => Err(format!("a response with status {text} can't carry a page")),
        Ok(206 | 416) => Err(format!(
            "status {text} answers a request for a range; the server sends it by itself when due"
        )),
        Ok(100..=199) => {
            Err(format!("status {text} announces another response, and can't carry a page"))
        }
        Ok(code @ 200..=599) => Ok(code),
        _ => Err("a status is a number from 200 to 599".to_owned()),
    }
}

/// Reads a timeout: more than nothing, at most a day, always with a unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("the unit is missing; write {text}s or {text}ms"));
    }
    let duration = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write a duration as 500ms, 10s or 1m30s"))?;
    if duration.is_zero() {
        return Err("the duration must be longer than zero".to_owned());
    }
    if duration > DURATION_MAX {
        return Err("the duration can be one day (1d) at most".to_owned());
    }
    Ok(duration)
}

/// Reads `--max-head`, in bytes.
pub(super) fn head_bytes(text: &str) -> Result<u32, String> {
    let bytes = size(text)?;
    u32::try_from(bytes)
        .ok()
        .filter(|bytes| (HEAD_BYTES_LEAST..=HEAD_BYTES_MOST).contains(bytes))
        .ok_or_else(|| format!("{bytes} bytes is not within 1k to 64k (1024 to 65536 bytes)"))
}

/// Reads `--site-bytes`.
pub(super) fn site_bytes(text: &str) -> Result<u64, String> {
    let bytes = size(text)?;
    if bytes == 0 {
        return Err("the limit must be one byte at least".to_owned());
    }
    Ok(bytes)
}

/// Reads `--min-rate`, in bytes a second.
pub(super) fn rate(text: &str) -> Result<u32, String> {
    let bytes = size(text)?;
    u32::try_from(bytes)
        .ok()
        .filter(|&bytes| bytes <= RATE_MOST)
        .ok_or_else(|| format!("{bytes} bytes a second is not within 0 to 1m"))
}

/// Reads an option that is on or off.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("write on or off".to_owned()),
    }
}

/// A count of bytes, with or without a binary unit.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(digits);
    let unit_bytes: u64 = match unit.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" | "kib" => 1024,
        "m" | "mib" => 1024 * 1024,
        "g" | "gib" => 1024 * 1024 * 1024,
        _ => return Err(SIZE.to_owned()),
    };
    let count: u64 = match count.parse() {
        Ok(count) => count,
        Err(_) if count.is_empty() => return Err(SIZE.to_owned()),
        Err(_) => u64::MAX,
    };
    Ok(count.saturating_mul(unit_bytes))
}

const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Beyond this a least rate would refuse ordinary mobile connections.
const RATE_MOST: u32 = 1024 * 1024;

const HEAD_BYTES_LEAST: u32 = 1024;

const HEAD_BYTES_MOST: u32 = 64 * 1024;

const SIZE: &str =
    "write a number of bytes, or of KiB as in 16k, of MiB as in 1m, or of GiB as in 1g";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_can_carry_a_page() {
        for code in [200, 203, 207, 301, 404, 503, 599] {
            assert_eq!(status(&code.to_string()), Ok(code));
        }
        for (text, hint) in [
            ("204", "can't carry a page"),
            ("205", "can't carry a page"),
            ("304", "can't carry a page"),
            ("206", "answers a request for a range"),
            ("416", "answers a request for a range"),
            ("100", "announces another response"),
            ("199", "announces another response"),
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
    fn a_duration_has_a_unit_and_bounds() {
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
    fn a_head_has_a_size_within_bounds() {
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
            ("16kb", "write a number of bytes, or of KiB as in 16k"),
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
