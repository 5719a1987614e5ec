//! Numbers as text for people.

/// A duration of microseconds with three significant digits; of those below 100 µs, with fewer.
pub(super) fn time(micros: f64) -> String {
    let (divisor, unit) = unit_of_us(micros);
    let number = micros / divisor;
    let decimals = match number.abs() {
        _ if divisor <= 1.0 => 0,
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        _ => 2,
    };
    format!("{number:.decimals$} {unit}")
}

/// The unit in which a duration of microseconds is shown, and its length in microseconds.
#[must_use]
pub fn unit_of_us(micros: f64) -> (f64, &'static str) {
    match micros.abs() {
        size if size >= 1e6 => (1e6, "s"),
        size if size >= 1e3 => (1e3, "ms"),
        _ => (1.0, "µs"),
    }
}

/// A rate: a whole number from 100 on, and three significant digits or so below.
pub(super) fn per_second(rate: f64) -> String {
    let decimals = match rate.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.995 => 2,
        _ => 3,
    };
    let text = format!("{rate:.decimals$}");
    if decimals == 0 {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_a_suitable_unit() {
        assert_eq!(time(0.0), "0 µs");
        assert_eq!(time(999.4), "999 µs");
        assert_eq!(time(1234.0), "1.23 ms");
        assert_eq!(time(12_345.0), "12.3 ms");
        assert_eq!(time(500_170.0), "500 ms");
        assert_eq!(time(2_500_000.0), "2.50 s");
    }

    #[test]
    fn low_rates_keep_their_digits() {
        for (rate, text) in [
            (0.0, "0"),
            (0.5, "0.5"),
            (0.0333, "0.033"),
            (2.354, "2.35"),
            (9.999, "10"),
            (48.27, "48.3"),
            (550.4, "550"),
            (3697.2, "3697"),
        ] {
            assert_eq!(per_second(rate), text, "{rate}");
        }
    }
}
