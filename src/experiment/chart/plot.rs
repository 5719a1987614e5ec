//! One plot: axes, lines, marks, and the names at the ends of the lines. Knows pixels, but not
//! where in the figure it is until it is drawn.

use super::axis::Axis;
use super::svg::{Svg, compact, shortened, width};
use super::{Measure, Panel, Scale, Series};
use std::fmt::Write as _;

mod draw;

/// A panel whose values are in order, with its axes.
#[derive(Clone, Debug)]
pub(super) struct Plot<'a> {
    panel: &'a Panel,
    lines: Vec<Line<'a>>,
    x: Axis,
    y: Axis,
}

/// What can be drawn of a series.
#[derive(Clone, Debug)]
struct Line<'a> {
    series: &'a Series,
    /// Ascending by x; all numbers are finite and of a size that arithmetic bears.
    points: Vec<(f64, Option<Measure>)>,
}

/// The place for a plot in a figure.
pub(super) struct Cell {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    /// What the labels of the y axis take of the width.
    pub(super) left: f64,
    /// What the names take.
    pub(super) right: f64,
    /// The height between the axes, without what stands above and below.
    pub(super) height: f64,
}

impl<'a> Plot<'a> {
    /// A panel whose x axis has its ticks where something was measured.
    pub(super) fn measured(panel: &'a Panel) -> Self {
        Self::new(panel, Axis::measured, compact)
    }

    /// A panel over a time.
    pub(super) fn over_time(panel: &'a Panel) -> Self {
        Self::new(panel, |times| Axis::round(Scale::Linear, times, compact), compact)
    }

    /// A panel over percentiles, whose x are 1 / (1 - p), with y in microseconds.
    pub(super) fn percentiles(panel: &'a Panel) -> Self {
        Self::new(panel, Axis::percentiles, super::svg::duration)
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

    pub(super) fn has_spreads(&self) -> bool {
        let measures = self.lines.iter().flat_map(|line| line.points.iter()).filter_map(|p| p.1);
        measures.into_iter().any(|measure| measure.low < measure.high)
    }

    /// The width that the labels of the y axis need.
    pub(super) fn left(&self) -> f64 {
        let labels = self.y.ticks.iter().map(|tick| width(&tick.label, TICK_SIZE));
        labels.fold(0.0, f64::max) + 12.0
    }

    /// The width that the names need, or as much of it as a plot of this width can give.
    pub(super) fn right(&self, plot_width: f64) -> f64 {
        let names = self.series().map(|series| width(&series.name, NAME_SIZE));
        (NAME_X + names.fold(0.0, f64::max)).min(plot_width * NAMES_SHARE_MAX)
    }

    /// The height between the axes: all names must have a line of their own.
    pub(super) fn height(&self) -> f64 {
        self.lines.iter().map(|_| NAME_LINE).sum::<f64>().max(HEIGHT_MIN)
    }

    /// The plot in words.
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
            .filter_map(|point| Some((tame(point.x)?, point.y.and_then(tame_measure))))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self { series, points }
    }
}

/// The value, if it is finite and of a size that somebody could have measured.
fn tame(value: f64) -> Option<f64> {
    let size = value.abs();
    if size < VALUE_MIN { Some(0.0) } else { (size <= VALUE_MAX).then_some(value) }
}

fn tame_measure(measure: Measure) -> Option<Measure> {
    let value = tame(measure.value)?;
    let low = tame(measure.low).map_or(value, |low| low.min(value));
    let high = tame(measure.high).map_or(value, |high| high.max(value));
    Some(Measure { value, low, high })
}

impl Cell {
    /// The height of a cell whose plot has that height between its axes.
    pub(super) fn height(between_axes: f64) -> f64 {
        HEAD + between_axes + FOOT
    }
}

/// What is closer to 0 counts as 0.
const VALUE_MIN: f64 = 1e-12;

/// What is further from 0 has not been measured by anybody.
const VALUE_MAX: f64 = 1e18;

/// Above the axes: the titles.
const HEAD: f64 = 56.0;

/// Below the axes: the ticks and the title of the x axis.
const FOOT: f64 = 46.0;

/// So low a plot still shows what goes up and what goes down.
const HEIGHT_MIN: f64 = 236.0;

/// The names get at most this share of a plot's width.
const NAMES_SHARE_MAX: f64 = 0.42;

const TITLE_SIZE: f64 = 16.0;

const TICK_SIZE: f64 = 13.0;

const NAME_SIZE: f64 = 14.0;

const NAME_LINE: f64 = 18.0;

/// From the right end of the axes to a name: a leader and a mark go before it.
const NAME_X: f64 = 38.0;
