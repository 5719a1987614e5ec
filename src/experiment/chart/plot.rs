//! One plot: axes, lines, marks, and the names at the ends of the lines. Sizes are in pixels; the
//! position within the figure is known only when it is drawn.

use super::axis::Axis;
use super::data::{Measure, Panel, Scale, Series};
use super::svg::{Svg, shortened, width};
use crate::experiment::numbers::{compact, duration};
use std::fmt::Write as _;

mod draw;

/// A panel with its values in ascending order, and its axes.
#[derive(Clone, Debug)]
pub(super) struct Plot<'a> {
    panel: &'a Panel,
    lines: Vec<Line<'a>>,
    x: Axis,
    y: Axis,
}

/// The drawable points of a series.
#[derive(Clone, Debug)]
struct Line<'a> {
    series: &'a Series,
    /// Ascending by x; all numbers are finite and within [`VALUE_MAX`].
    points: Vec<(f64, Option<Measure>)>,
}

/// The rectangle of a plot in its figure.
pub(super) struct Cell {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    /// Width of the labels of the y axis.
    pub(super) left: f64,
    /// Width of the names.
    pub(super) right: f64,
    /// Height between the axes, without titles and x labels.
    pub(super) height: f64,
}

impl<'a> Plot<'a> {
    /// A panel with one tick of the x axis at each measured value.
    pub(super) fn measured(panel: &'a Panel) -> Self {
        Self::new(panel, Axis::measured, compact)
    }

    /// A panel over time, on a linear x axis.
    pub(super) fn over_time(panel: &'a Panel) -> Self {
        Self::new(panel, |times| Axis::round(Scale::Linear, times, compact), compact)
    }

    /// A panel over percentiles, with x as 1 / (1 - p) and y in microseconds.
    pub(super) fn percentiles(panel: &'a Panel) -> Self {
        Self::new(panel, Axis::percentiles, duration)
    }

    fn new(panel: &'a Panel, x: fn(&[f64]) -> Axis, form: fn(f64) -> String) -> Self {
        let lines: Vec<Line> = panel.series.iter().map(Line::new).collect();
        let points = || lines.iter().flat_map(|line| line.points.iter());
        let xs: Vec<f64> = points().map(|point| point.0).collect();
        let ys: Vec<f64> = points()
            .filter_map(|point| point.1)
            .flat_map(|measure| [measure.low, measure.value, measure.high])
            .collect();
        let (x, y) = (x(&xs), Axis::round(panel.y_scale, &ys, form));
        Self { panel, lines, x, y }
    }

    pub(super) fn series(&self) -> impl Iterator<Item = &'a Series> {
        self.lines.iter().map(|line| line.series)
    }

    pub(super) fn has_misses(&self) -> bool {
        self.lines.iter().any(|line| line.points.iter().any(|point| point.1.is_none()))
    }

    pub(super) fn has_losses(&self) -> bool {
        let measures = self.lines.iter().flat_map(|line| line.points.iter()).filter_map(|p| p.1);
        measures.into_iter().any(|measure| measure.has_losses)
    }

    pub(super) fn has_spreads(&self) -> bool {
        let measures = self.lines.iter().flat_map(|line| line.points.iter()).filter_map(|p| p.1);
        measures.into_iter().any(|measure| measure.low < measure.high)
    }

    /// Width of the labels of the y axis.
    pub(super) fn left(&self) -> f64 {
        let labels = self.y.ticks.iter().map(|tick| width(&tick.label, TICK_SIZE));
        labels.fold(0.0, f64::max) + 12.0
    }

    /// Width of the names, at most [`NAMES_SHARE_MAX`] of the width of the plot.
    pub(super) fn right(&self, plot_width: f64) -> f64 {
        let names = self.series().map(|series| width(&series.name, NAME_SIZE));
        (NAME_X + names.fold(0.0, f64::max)).min(plot_width * NAMES_SHARE_MAX)
    }

    /// Height between the axes: at least one line of text for each name.
    pub(super) fn height(&self) -> f64 {
        self.lines.iter().map(|_| NAME_LINE).sum::<f64>().max(HEIGHT_MIN)
    }

    /// The plot as text: titles, and the range of each line.
    pub(super) fn description(&self) -> String {
        let Panel { title, x_title, y_title, .. } = self.panel;
        let mut text = format!("{title} ({y_title}) over {x_title}:");
        for line in &self.lines {
            let measures = || line.points.iter().filter_map(|point| point.1);
            let low = measures().map(|measure| measure.value).reduce(f64::min);
            let high = measures().map(|measure| measure.value).reduce(f64::max);
            let range = match (low, high) {
                (Some(low), Some(high)) if low < high => {
                    format!("{} to {}", compact(low), compact(high))
                }
                (Some(only), _) => compact(only),
                (None, _) => "no result".into(),
            };
            write!(text, " {}, {range};", line.series.name)
                .expect("writing to a string does not fail");
        }
        text.pop();
        text.push('.');
        text
    }
}

impl<'a> Line<'a> {
    fn new(series: &'a Series) -> Self {
        let mut points: Vec<(f64, Option<Measure>)> = (series.points.iter())
            .filter_map(|point| Some((bounded(point.x)?, point.y.and_then(bounded_measure))))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self { series, points }
    }
}

/// The value, if it is finite and within [`VALUE_MAX`]; 0 below [`VALUE_MIN`].
fn bounded(value: f64) -> Option<f64> {
    let size = value.abs();
    if size < VALUE_MIN { Some(0.0) } else { (size <= VALUE_MAX).then_some(value) }
}

fn bounded_measure(measure: Measure) -> Option<Measure> {
    let value = bounded(measure.value)?;
    let low = bounded(measure.low).map_or(value, |low| low.min(value));
    let high = bounded(measure.high).map_or(value, |high| high.max(value));
    Some(Measure { value, low, high, ..measure })
}

impl Cell {
    /// Height of a cell whose plot has this height between its axes.
    pub(super) fn height(between_axes: f64) -> f64 {
        HEAD + between_axes + FOOT
    }
}

/// Smaller values count as 0.
const VALUE_MIN: f64 = 1e-12;

/// Larger values count as missing: no measurement yields them, and their squares could overflow.
const VALUE_MAX: f64 = 1e18;

/// Height of the titles above the axes.
const HEAD: f64 = 56.0;

/// Height of the ticks and the title below the x axis.
const FOOT: f64 = 46.0;

/// Lowest height between the axes.
const HEIGHT_MIN: f64 = 236.0;

/// Largest share of a plot's width for the names.
const NAMES_SHARE_MAX: f64 = 0.42;

const TITLE_SIZE: f64 = 16.0;

const TICK_SIZE: f64 = 13.0;

const NAME_SIZE: f64 = 14.0;

const NAME_LINE: f64 = 18.0;

/// Distance from the right end of the axes to a name; a leader and a mark are between them.
const NAME_X: f64 = 38.0;
