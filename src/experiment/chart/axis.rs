//! Axes: the position of a value, and the ticks. Positions are from 0 to 1, independent of pixels.

use super::data::Scale;
use crate::experiment::numbers::{compact, grouped};

/// One axis, with its ends chosen by the data.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    division: Division,
    /// The labelled ticks, ascending.
    pub(super) ticks: Vec<Tick>,
    /// Positions of ticks without a label.
    pub(super) minor: Vec<f64>,
}

/// A tick and its label.
#[derive(Clone, Debug)]
pub(super) struct Tick {
    pub(super) place: f64,
    pub(super) label: String,
    /// A label for axes without room for the long ones.
    pub(super) short: String,
}

#[derive(Clone, Copy, Debug)]
enum Division {
    Linear {
        low: f64,
        high: f64,
    },
    /// The ends as exponents of ten, and the share of the axis between 0 and the lower end.
    Log {
        low: f64,
        high: f64,
        zero: f64,
    },
}

impl Axis {
    /// An axis for these values, with round ends and with labels by `form`.
    pub(super) fn round(scale: Scale, values: &[f64], form: fn(f64) -> String) -> Self {
        match scale {
            Scale::Linear => Self::linear(values, form),
            Scale::Log => Self::log(values, values.iter().any(|&value| value <= 0.0), form),
            Scale::LogFromZero => Self::log(values, true, form),
        }
    }

    /// A logarithmic axis with one tick at each of these values.
    pub(super) fn measured(values: &[f64]) -> Self {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        values.dedup();
        let (mut low, mut high) = log_ends(&values).unwrap_or((0.0, 1.0));
        if low >= high {
            (low, high) = (low - 0.5, high + 0.5);
        }
        let zero = values.first().is_some_and(|&value| value <= 0.0);
        let mut axis = Self::divided(Division::log(low, high, zero));
        axis.ticks = (values.iter())
            .map(|&value| axis.tick_with(value, grouped(value), compact(value)))
            .collect();
        axis.ticks.dedup_by(|a, b| a.place <= b.place);
        axis
    }

    /// A logarithmic axis of percentiles as `HdrHistogram` plots them: x is 1 / (1 - p), so each
    /// further nine takes the same width.
    pub(super) fn percentiles(values: &[f64]) -> Self {
        let (_, high) = log_ends(values).unwrap_or((0.0, 1.0));
        let high = high.max(1.0);
        let mut axis = Self::divided(Division::log(0.0, high, false));
        for (value, label) in [(1.0, "0 %"), (2.0, "50 %"), (10.0, "90 %"), (100.0, "99 %")] {
            if value <= 10_f64.powf(high + GRAIN) {
                axis.ticks.push(axis.tick_with(value, label.into(), label.into()));
            }
        }
        let (mut exponent, mut label) = (3.0, String::from("99.9"));
        while exponent <= high + GRAIN {
            let text = format!("{label} %");
            axis.ticks.push(axis.tick_with(10_f64.powf(exponent), text.clone(), text));
            (exponent, label) = (exponent + 1.0, label + "9");
        }
        axis
    }

    /// The position of a value, clamped to the ends.
    pub(super) fn place(&self, value: f64) -> f64 {
        let place = match self.division {
            Division::Linear { low, high } => (value - low) / (high - low),
            Division::Log { .. } if value <= 0.0 => 0.0,
            Division::Log { low, high, zero } => {
                zero + (1.0 - zero) * ((value.log10() - low) / (high - low)).clamp(0.0, 1.0)
            }
        };
        place.clamp(0.0, 1.0)
    }

    /// The end of the part of a logarithmic axis that leads to 0, which is not to scale.
    pub(super) fn broken(&self) -> Option<f64> {
        match self.division {
            Division::Linear { .. } => None,
            Division::Log { zero, .. } => (zero > 0.0).then_some(zero),
        }
    }

    fn divided(division: Division) -> Self {
        Self { division, ticks: Vec::new(), minor: Vec::new() }
    }

    fn linear(values: &[f64], form: fn(f64) -> String) -> Self {
        let low = values.iter().copied().fold(0.0, f64::min);
        let high = values.iter().copied().fold(0.0, f64::max);
        let high = if low < high { high } else { 1.0 };
        let step = round_up((high - low) / LINEAR_STEPS);
        let (first, last) = ((low / step).floor(), (high / step - GRAIN).ceil());
        let mut axis = Self::divided(Division::Linear { low: first * step, high: last * step });
        let mut count = first;
        while count <= last {
            axis.ticks.push(axis.tick(count * step, form));
            count += 1.0;
        }
        axis
    }

    fn log(values: &[f64], has_zero: bool, form: fn(f64) -> String) -> Self {
        let (low, high) = log_ends(values).unwrap_or((0.0, 0.0));
        let (mut low, mut high) = (round_exponent_down(low), round_exponent_up(high));
        if has_zero {
            high = high.max(low + 1.0);
        } else if high - low < GRAIN {
            low = round_exponent_down(low - 3.0 * GRAIN);
            high = round_exponent_up(high + 3.0 * GRAIN);
        }
        let mut axis = Self::divided(Division::log(low, high, has_zero));
        if has_zero {
            axis.ticks.push(axis.tick(0.0, form));
        }
        let decades = high - low;
        let every = (decades / LOG_TICKS_MAX).ceil();
        let mut exponent = low.floor();
        while exponent <= high + GRAIN {
            for mantissa in 1..=9_u32 {
                let at = exponent + f64::from(mantissa).log10();
                if at < low - GRAIN || at > high + GRAIN {
                    continue;
                }
                let is_labelled = match mantissa {
                    1 => (exponent / every).fract() == 0.0,
                    2 | 5 => decades <= DECADES_OF_THREE_TICKS,
                    _ => false,
                };
                let value = f64::from(mantissa) * 10_f64.powf(exponent);
                if is_labelled {
                    axis.ticks.push(axis.tick(value, form));
                } else if every <= 1.0 {
                    axis.minor.push(axis.place(value));
                }
            }
            exponent += 1.0;
        }
        axis
    }

    fn tick(&self, value: f64, form: fn(f64) -> String) -> Tick {
        self.tick_with(value, form(value), form(value))
    }

    fn tick_with(&self, value: f64, label: String, short: String) -> Tick {
        Tick { place: self.place(value), label, short }
    }
}

impl Division {
    fn log(low: f64, high: f64, has_zero: bool) -> Self {
        Self::Log { low, high, zero: if has_zero { ZERO_SHARE } else { 0.0 } }
    }
}

/// The logarithms of the lowest and of the highest positive value.
fn log_ends(values: &[f64]) -> Option<(f64, f64)> {
    let positive = || values.iter().copied().filter(|&value| value > 0.0);
    let low = positive().reduce(f64::min)?;
    let high = positive().reduce(f64::max)?;
    Some((low.log10(), high.log10()))
}

/// Rounds up to 1, 2 or 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let mantissas = [1.0, 2.0, 5.0];
    let mantissa = mantissas.into_iter().find(|mantissa| mantissa * power >= value * (1.0 - GRAIN));
    mantissa.unwrap_or(10.0) * power
}

/// Rounds the logarithm of a value up to that of 1, 2 or 5 times a power of ten.
fn round_exponent_up(exponent: f64) -> f64 {
    let steps = [0.0, 2_f64.log10(), 5_f64.log10()].map(|step| exponent.floor() + step);
    steps.into_iter().find(|&step| step >= exponent - GRAIN).unwrap_or(exponent.floor() + 1.0)
}

fn round_exponent_down(exponent: f64) -> f64 {
    let floor = (exponent + GRAIN).floor();
    let steps = [5_f64.log10(), 2_f64.log10()].map(|step| floor + step);
    steps.into_iter().find(|&step| step <= exponent + GRAIN).unwrap_or(floor)
}

/// Approximate number of steps of a linear axis.
const LINEAR_STEPS: f64 = 5.0;

/// Most labelled powers of ten of a logarithmic axis.
const LOG_TICKS_MAX: f64 = 6.0;

/// Up to this number of powers of ten, 2 and 5 times each power have labels, too.
const DECADES_OF_THREE_TICKS: f64 = 3.2;

/// Share of a logarithmic axis between 0 and its lower end.
const ZERO_SHARE: f64 = 0.13;

/// Tolerance for comparing logarithms and rounded steps.
const GRAIN: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn linear_axis_starts_at_zero_and_has_round_ends() {
        for (values, expected) in [
            (&[16_500.0, 19_400.0][..], vec!["0", "5k", "10k", "15k", "20k"]),
            (&[20_000.0], vec!["0", "5k", "10k", "15k", "20k"]),
            (&[0.3], vec!["0", "0.1", "0.2", "0.3"]),
            (&[0.0], vec!["0", "0.2", "0.4", "0.6", "0.8", "1"]),
            (&[], vec!["0", "0.2", "0.4", "0.6", "0.8", "1"]),
            (&[-1.0, 3.0], vec!["-1", "0", "1", "2", "3"]),
        ] {
            let axis = Axis::round(Scale::Linear, values, compact);
            assert_eq!(labels(&axis), expected, "{values:?}");
        }
    }

    #[test]
    fn logarithmic_axis_has_ticks_at_powers_of_ten_and_more_over_few_decades() {
        for (values, expected) in [
            (&[7.0, 28_000.0][..], vec!["10", "100", "1k", "10k"]),
            (&[22.0, 90.0], vec!["20", "50", "100"]),
            (&[100.0], vec!["50", "100", "200"]),
            (&[1e-12, 1e18], vec!["1e-10", "1e-5", "1", "100k", "1e10", "1e15"]),
            (&[0.0, 3.0, 100_000.0], vec!["0", "10", "100", "1k", "10k", "100k"]),
            (&[0.0], vec!["0", "1", "2", "5", "10"]),
            (&[], vec!["0.5", "1", "2"]),
        ] {
            let axis = Axis::round(Scale::Log, values, compact);
            assert_eq!(labels(&axis), expected, "{values:?}");
            assert!(axis.ticks.is_sorted_by(|a, b| a.place < b.place), "{values:?}");
        }
    }

    #[test]
    fn zero_is_below_the_smallest_value() {
        let axis = Axis::round(Scale::LogFromZero, &[1.0, 100.0], compact);
        assert_eq!(axis.place(0.0).to_bits(), 0_f64.to_bits());
        assert!((axis.place(1.0) - ZERO_SHARE).abs() < GRAIN);
        assert!((axis.place(100.0) - 1.0).abs() < GRAIN);
        assert_eq!(axis.broken(), Some(ZERO_SHARE));
    }

    #[test]
    fn measured_axis_has_one_tick_per_value() {
        let axis = Axis::measured(&[10_000.0, 10.0, 100.0, 10.0]);
        assert_eq!(labels(&axis), ["10", "100", "10,000"]);
        let places: Vec<f64> = axis.ticks.iter().map(|tick| tick.place).collect();
        for (place, expected) in places.into_iter().zip([0.0, 1.0 / 3.0, 1.0]) {
            assert!((place - expected).abs() < GRAIN);
        }
        let alone = Axis::measured(&[64.0]);
        assert!((alone.ticks[0].place - 0.5).abs() < GRAIN);
    }

    #[test]
    fn each_nine_of_a_percentile_has_the_same_width() {
        let axis = Axis::percentiles(&[1.0, 100_000.0]);
        let expected = ["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"];
        assert_eq!(labels(&axis), expected);
        assert!((axis.place(1000.0) - 0.6).abs() < GRAIN);
    }
}
