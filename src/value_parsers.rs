//! Parsers of option values that several rooms share: durations and byte counts. Pure: text
//! in, a value or a sentence about the accepted forms out.

use std::time::Duration;

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

/// Parses a number of bytes with an optional binary unit: 1k is 1024. A number too large for 64
/// bits becomes the largest one, which the caller's own bound refuses.
pub(crate) fn size(text: &str) -> Result<u64, String> {
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

const SIZE_FORMS: &str = "write a number of bytes, or one of KiB (16k), MiB (1m) or GiB (1g)";

#[cfg(test)]
mod tests {
    use super::*;

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
}
