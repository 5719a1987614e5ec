//! Charts of loads as SVG text: what a chart can show, and the three figures there are. Knows
//! [`Report`] and otherwise no result: whoever has results turns them into [`Panel`]s.
//!
//! ```text
//!   Experiment ─┐                ┌─ axis:  values to places, and where ticks belong
//!               ├─► figure ─► plot ─ apart: names and crosses that must not overlap
//!   Report ─────┘                └─ style: colours, dashes and marks of a line
//!                                └─ svg:   escaped text, numbers, widths of words
//! ```
//!
//! A picture follows the reader's light or dark scheme and paints its own background, because a
//! page and its reader can disagree about the scheme. The same data always give the same text.

mod apart;
mod axis;
mod figure;
mod plot;
mod runs;
mod style;
mod svg;
#[cfg(test)]
mod tests;

use crate::load::report::Report;
use figure::{Figure, Looks};
use plot::Plot;

/// The figure of an experiment: its panels, two to a row.
#[must_use]
pub fn experiment(experiment: &Experiment) -> String {
    let plots: Vec<Plot> = experiment.panels.iter().map(Plot::measured).collect();
    let figure = Figure {
        title: &experiment.title,
        notes: experiment.notes.clone(),
        rows: plots.chunks(2).collect(),
        looks: Looks::InTheFigure,
    };
    figure.draw()
}

/// The figure of something that was watched for a while: its panels below each other, each x a
/// time, which is divided evenly.
#[must_use]
pub fn over_time(experiment: &Experiment) -> String {
    let plots: Vec<Plot> = experiment.panels.iter().map(Plot::over_time).collect();
    let figure = Figure {
        title: &experiment.title,
        notes: experiment.notes.clone(),
        rows: plots.chunks(1).collect(),
        looks: Looks::InEachPlot,
    };
    figure.draw()
}

/// The figure of one report: the latencies of its runs and, if there are several, their rates and
/// failures.
#[must_use]
pub fn load(report: &Report) -> String {
    runs::draw(report)
}

/// What the figure of an experiment shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Experiment {
    /// Stands above all.
    pub title: String,
    /// From left to right, then down.
    pub panels: Vec<Panel>,
    /// What a reader must know beside it; each is a paragraph below the panels.
    pub notes: Vec<String>,
}

/// Lines over one x axis: logarithmic, with its ticks where something was measured, or a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// What it is about.
    pub title: String,
    /// What x is.
    pub x_title: String,
    /// What y is, with its unit.
    pub y_title: String,
    /// How y is divided.
    pub y_scale: Scale,
    /// The lines; one of the same name looks the same in all panels of a figure.
    pub series: Vec<Series>,
}

/// How an axis is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly, from 0.
    Linear,
    /// By powers of ten. If a value is 0, 0 has a place of its own at the lower end.
    Log,
    /// The same, and 0 always has its place.
    LogFromZero,
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Stands at the end of the line.
    pub name: String,
    /// In any order.
    pub points: Vec<Point>,
}

/// Where a line was measured, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// A point whose x is not finite is left out.
    pub x: f64,
    /// `None` if nothing came of it: a gap in the line and a cross.
    pub y: Option<Measure>,
}

/// What was measured. One that is not finite, or beyond 10^18, counts as none; a negative one has
/// no place on a logarithmic axis and is shown as 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measure {
    /// What the line goes through.
    pub value: f64,
    /// The lowest of the repetitions; the value itself if there is no spread.
    pub low: f64,
    /// The highest.
    pub high: f64,
}

impl Point {
    /// A point without a spread.
    #[must_use]
    pub fn at(x: f64, value: f64) -> Self {
        Self { x, y: Some(Measure::from(value)) }
    }

    /// A place where nothing came of it.
    #[must_use]
    pub fn missing(x: f64) -> Self {
        Self { x, y: None }
    }
}

impl From<f64> for Measure {
    fn from(value: f64) -> Self {
        Self { value, low: value, high: value }
    }
}
