//! Times of logs, as nanoseconds since 1970 in UTC.

/// `28/Nov/2026:03:33:12 +0000`, the time of the common log format.
pub(in crate::load::targets) fn of_common_log(text: &str) -> Option<i128> {
    let (date, clock) = text.split_once(':')?;
    let [day, month, year] = parts(date, '/')?;
    let (month, _) = (1..).zip(MONTHS).find(|&(_, name)| name == month)?;
    let (clock, zone) = clock.split_once(' ')?;
    at(number(year, 4)?, month, number(day, 2)?, clock, zone)
}

/// `2026-11-28T03:33:12.5Z` (RFC 3339), and the forms of ISO 8601 in which a space stands for the
/// `T`, a comma for the point, or the offset has no colon. A time without an offset is in UTC.
pub(in crate::load::targets) fn of_iso_8601(text: &str) -> Option<i128> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = parts(date, '-')?;
    let end = rest.find(['Z', 'z', '+', '-', ' ']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(end);
    at(number(year, 4)?, number(month, 2)?, number(day, 2)?, clock, zone.trim_ascii())
}

/// A number of seconds, milliseconds, microseconds or nanoseconds since 1970. The unit follows from
/// the size: seconds have 10 digits from 2001 to 2286.
#[allow(clippy::cast_possible_truncation, reason = "a double has microseconds over a century")]
pub(in crate::load::targets) fn of_number(value: f64) -> Option<i128> {
    let unit = match value {
        v if !v.is_finite() || v < 0.0 => return None,
        v if v < 1e11 => 1e6,
        v if v < 1e14 => 1e3,
        v if v < 1e17 => 1.0,
        v if v < 1e20 => 1e-3,
        _ => return None,
    };
    Some((value * unit).round() as i128 * 1000)
}

fn at(year: u32, month: u32, day: u32, clock: &str, zone: &str) -> Option<i128> {
    let [hour, minute, second] = parts(clock, ':')?;
    let (second, fraction) = second.split_once(['.', ',']).unwrap_or((second, ""));
    let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
    // Second 60 is a leap second.
    if !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + i64::from(hour * 3600 + minute * 60 + second);
    Some(i128::from(seconds - offset(zone)?) * 1_000_000_000 + i128::from(nanos(fraction)?))
}

/// Days since 1970 in the Gregorian calendar. Years are counted from March, so that the leap day is
/// the last of a year.
fn days(year: u32, month: u32, day: u32) -> i64 {
    let (year, month) =
        if month > 2 { (year, month - 3) } else { (year.saturating_sub(1), month + 9) };
    let of_years = year * 365 + year / 4 - year / 100 + year / 400;
    i64::from(of_years + (153 * month + 2) / 5 + day - 1) - DAYS_TO_1970
}

/// Days from 1 March of the year 0 to 1 January 1970.
const DAYS_TO_1970: i64 = 719_468;

/// The offset of a zone in seconds: `Z`, `+01:00`, `-0730`; UTC if it is empty.
fn offset(zone: &str) -> Option<i64> {
    let (sign, digits) = match zone.as_bytes() {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', ..] => (1, &zone[1..]),
        [b'-', ..] => (-1, &zone[1..]),
        _ => return None,
    };
    let digits = digits.replace(':', "");
    let (hours, minutes) = match digits.len() {
        2 => (number(&digits, 2)?, 0),
        4 if digits.is_ascii() => (number(&digits[..2], 2)?, number(&digits[2..], 2)?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * i64::from(hours * 3600 + minutes * 60))
}

/// The digits behind the point, as nanoseconds; more than nine are cut.
fn nanos(fraction: &str) -> Option<u32> {
    if !fraction.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    Some(digits.fold(0, |value, digit| value * 10 + u32::from(digit - b'0')))
}

fn parts(text: &str, separator: char) -> Option<[&str; 3]> {
    let mut parts = text.split(separator);
    let three = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(three)
}

/// A number of at most so many digits.
fn number(text: &str, digits_max: usize) -> Option<u32> {
    let is_number =
        (1..=digits_max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().expect("it has few digits"))
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The seconds are those of `date -u -d ... +%s` of the GNU coreutils.
    #[test]
    fn times_of_all_forms_are_the_same() {
        let expected = Some(1_795_836_792_000_000_000);
        assert_eq!(of_common_log("28/Nov/2026:03:33:12 +0000"), expected);
        assert_eq!(of_common_log("28/Nov/2026:05:03:12 +0130"), expected);
        for text in ["2026-11-28T03:33:12Z", "2026-11-28 03:33:12", "2026-11-27T20:33:12.000-07:00"]
        {
            assert_eq!(of_iso_8601(text), expected, "{text}");
        }
        for number in [1_795_836_792.0, 1_795_836_792_000.0, 1_795_836_792_000_000.0] {
            assert_eq!(of_number(number), expected, "{number}");
        }
        assert_eq!(of_iso_8601("1970-01-01T00:00:00.25Z"), Some(250_000_000));
        assert_eq!(of_iso_8601("2000-02-29T00:00:00Z"), Some(951_782_400_000_000_000));
        assert_eq!(of_number(1_795_836_792.125), Some(1_795_836_792_125_000_000));
        for wrong in
            ["2026-13-01T00:00:00Z", "2026-11-28T24:00:00Z", "2026-11-28T03:33:12+1", "x", ""]
        {
            assert_eq!(of_iso_8601(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_time_or_none(text in "\\PC{0,40}", digits in "[0-9/:T. +-]{0,30}") {
            for text in [text, digits] {
                let _ = (of_common_log(&text), of_iso_8601(&text));
            }
        }

        /// `httpdate` is an implementation of the calendar by others.
        #[test]
        fn times_agree_with_httpdate(seconds in 0u64..4_000_000_000) {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            let text = httpdate::fmt_http_date(time);
            let words: Vec<&str> = text.split(' ').collect();
            let common = format!("{}/{}/{}:{} +0000", words[1], words[2], words[3], words[4]);
            prop_assert_eq!(of_common_log(&common), Some(i128::from(seconds) * 1_000_000_000));
        }
    }
}
