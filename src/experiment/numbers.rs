//! Numbers as text in tables and charts: short, or with commas between thousands.

use crate::load::show::unit_of_us;

/// A value with commas and a fixed number of decimals: `12,500.00`.
pub(super) fn fixed(value: f64, decimals: usize) -> String {
    with_commas(&format!("{value:.decimals$}"))
}

/// A value with commas and at most three decimals, as in `10,000`; in short form below 1,000 and
/// from 10^9.
pub(super) fn grouped(value: f64) -> String {
    if (1e3..1e9).contains(&value.abs()) { with_commas(&trimmed(value, 3)) } else { compact(value) }
}

/// A rate: a whole number from 100 on, and three significant digits below, so that low rates keep
/// their digits.
pub(super) fn per_second(rate: f64) -> String {
    match rate.abs() {
        size if size >= 99.95 => fixed(rate, 0),
        size if size >= 9.995 => trimmed(rate, 1),
        size if size >= 0.995 => trimmed(rate, 2),
        _ => trimmed(rate, 3),
    }
}

/// A value in short form: `20k`, `1.5M`, `2e-5`.
pub(super) fn compact(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0".into()
    } else if !(1e-3..1e10).contains(&size) {
        let exponent = (size.log10() + 1e-9).floor();
        let mantissa = trimmed(value / 10_f64.powf(exponent), 2);
        format!("{mantissa}e{exponent}")
    } else if size >= 1e9 {
        trimmed(value / 1e9, 3) + "G"
    } else if size >= 1e6 {
        trimmed(value / 1e6, 3) + "M"
    } else if size >= 1e3 {
        trimmed(value / 1e3, 3) + "k"
    } else {
        trimmed(value, 4)
    }
}

/// A duration of microseconds in a suitable unit: `1.5 ms`.
pub(super) fn duration(us: f64) -> String {
    if us == 0.0 {
        return "0".into();
    }
    let (divisor, unit) = unit_of_us(us);
    format!("{} {unit}", grouped(us / divisor))
}

/// A value without trailing zeros after the decimal point, and without a negative zero.
pub(super) fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".into() } else { text.into() }
}

/// Inserts commas between the thousands of a decimal number.
fn with_commas(number: &str) -> String {
    let whole = number.find('.').unwrap_or(number.len());
    let mut text = String::new();
    for (place, character) in number.char_indices() {
        let is_boundary = place > 0 && place < whole && (whole - place).is_multiple_of(3);
        if is_boundary && !text.ends_with('-') {
            text.push(',');
        }
        text.push(character);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_decimals_have_commas_between_thousands() {
        for (value, decimals, text) in [
            (0.0, 0, "0"),
            (999.4, 0, "999"),
            (1000.0, 0, "1,000"),
            (123_456.789, 2, "123,456.79"),
            (1_234_567.0, 1, "1,234,567.0"),
            (-123_456.0, 0, "-123,456"),
        ] {
            assert_eq!(fixed(value, decimals), text);
        }
    }

    #[test]
    fn low_rates_keep_their_digits() {
        for (rate, text) in [
            (0.0, "0"),
            (0.0333, "0.033"),
            (0.5, "0.5"),
            (2.354, "2.35"),
            (9.999, "10"),
            (48.27, "48.3"),
            (3697.2, "3,697"),
        ] {
            assert_eq!(per_second(rate), text);
        }
    }

    #[test]
    fn numbers_are_short_or_grouped() {
        for (value, short, long) in [
            (0.0, "0", "0"),
            (0.25, "0.25", "0.25"),
            (64.0, "64", "64"),
            (1000.0, "1k", "1,000"),
            (12_500.0, "12.5k", "12,500"),
            (-123_456.0, "-123.456k", "-123,456"),
            (1e6, "1M", "1,000,000"),
            (2e9, "2G", "2G"),
            (1e12, "1e12", "1e12"),
            (2e-5, "2e-5", "2e-5"),
        ] {
            assert_eq!(compact(value), short);
            assert_eq!(grouped(value), long);
        }
    }

    #[test]
    fn durations_have_a_suitable_unit() {
        assert_eq!(
            [0.0, 50.0, 1500.0, 2e6, 5e9].map(duration),
            ["0", "50 µs", "1.5 ms", "2 s", "5,000 s"]
        );
    }
}
