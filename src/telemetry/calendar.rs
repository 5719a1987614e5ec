//! Times in the lines of the log, in UTC: no time zone has to be read, and no hour exists twice.

/// A second, as both formats write it. Made once for all lines of a second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Second {
    unix: u64,
    common: [u8; COMMON_BYTES],
    rfc_3339: [u8; RFC_3339_BYTES],
}

impl Default for Second {
    fn default() -> Self {
        Self::of(0)
    }
}

impl Second {
    /// A time in seconds since the Unix epoch; the last one of the year 9999 stands for all later
    /// ones, which have no such text.
    pub(super) fn of(unix: u64) -> Self {
        let seconds = unix.min(LAST);
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = date(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let name = MONTHS[usize::try_from(month - 1).expect("there are 12 months")];
        let common = format!("{day:02}/{name}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000");
        let rfc_3339 = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
        Self {
            unix,
            common: common.as_bytes().try_into().expect("each part has its width"),
            rfc_3339: rfc_3339.as_bytes().try_into().expect("each part has its width"),
        }
    }

    /// Becomes another second.
    pub(super) fn become_second(&mut self, unix: u64) {
        if unix != self.unix {
            *self = Self::of(unix);
        }
    }

    /// As in the common log format: `28/Nov/2026:03:33:12 +0000`.
    pub(super) fn common(&self) -> &[u8] {
        &self.common
    }

    /// As in RFC 3339, without fraction and offset: `2026-11-28T03:33:12`.
    pub(super) fn rfc_3339(&self) -> &[u8] {
        &self.rfc_3339
    }
}

/// Year, month and day of the days since 1970-01-01, in the proleptic Gregorian calendar. Years
/// begin in March here, so that the day that only leap years have is the last of a year.
fn date(days: u64) -> (u64, u64, u64) {
    /// From 0000-03-01 to 1970-01-01.
    const TO_EPOCH: u64 = 719_468;
    const ERA_DAYS: u64 = 146_097;
    let days = days + TO_EPOCH;
    let (era, day_of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // The months from March on have 31, 30, 31, 30, 31 days in turn: 153 in five.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (400 * era + year_of_era + u64::from(month <= 2), month, day)
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const COMMON_BYTES: usize = 26;
const RFC_3339_BYTES: usize = 19;
/// 9999-12-31T23:59:59.
const LAST: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::response::date_text;
    use proptest::prelude::*;

    #[test]
    fn known_seconds_have_their_texts() {
        // `date -u -d @SECONDS`.
        for (unix, common, rfc_3339) in [
            (0, "01/Jan/1970:00:00:00 +0000", "1970-01-01T00:00:00"),
            (951_782_400, "29/Feb/2000:00:00:00 +0000", "2000-02-29T00:00:00"),
            (1_795_836_792, "28/Nov/2026:03:33:12 +0000", "2026-11-28T03:33:12"),
            (4_107_542_399, "28/Feb/2100:23:59:59 +0000", "2100-02-28T23:59:59"),
            (4_107_542_400, "01/Mar/2100:00:00:00 +0000", "2100-03-01T00:00:00"),
            (LAST, "31/Dec/9999:23:59:59 +0000", "9999-12-31T23:59:59"),
            (u64::MAX, "31/Dec/9999:23:59:59 +0000", "9999-12-31T23:59:59"),
        ] {
            let second = Second::of(unix);
            assert_eq!(String::from_utf8_lossy(second.common()), common);
            assert_eq!(String::from_utf8_lossy(second.rfc_3339()), rfc_3339);
        }
    }

    proptest! {
        /// The Date of responses is made by another crate.
        #[test]
        fn dates_agree_with_imf_fixdate(unix in 0..LAST) {
            let imf = date_text(unix);
            let expected = format!(
                "{}/{}/{}:{} +0000", &imf[5..7], &imf[8..11], &imf[12..16], &imf[17..25]
            );
            let second = Second::of(unix);
            prop_assert_eq!(String::from_utf8_lossy(second.common()), expected);
        }
    }
}
