//! Charts of loads as SVG text. Callers convert their results into [`Panel`]s; only the chart of a
//! [`LoadReport`] is built here.
//!
//! ```text
//!   Experiment ──┐                ┌─ axis:  positions of values and ticks
//!                ├─► figure ─► plot ─ apart: distances between names
//!   LoadReport ──┘                ├─ style: colours, dashes and marks of lines
//!                                 └─ svg:   escaped text, coordinates, widths of text
//! ```
//!
//! A chart follows the reader's light or dark scheme (`prefers-color-scheme`) and paints its own
//! background, because the page around it may use the other scheme. Equal data give equal text.

mod apart;
mod axis;
mod data;
mod figure;
mod percentiles;
mod plot;
mod runs;
mod style;
mod svg;
#[cfg(test)]
mod tests;

use crate::load::report::{Latency, LoadReport};
pub use data::{DataPoint, Experiment, Measure, Panel, Scale, Series};
use figure::{Figure, StyleScope};
use plot::Plot;

/// The chart of an experiment as SVG, with two panels per row.
#[must_use]
pub fn experiment(experiment: &Experiment) -> String {
    draw(experiment, Plot::measured, 2, StyleScope::Figure)
}

/// The chart of values over time as SVG: one panel per row, each with a linear x axis.
#[must_use]
pub fn over_time(experiment: &Experiment) -> String {
    draw(experiment, Plot::over_time, 1, StyleScope::Plot)
}

/// The chart of distributions of latencies as SVG, each panel with its title and its named lines,
/// one panel per row.
#[must_use]
pub fn distributions(
    title: &str,
    panels: &[(String, Vec<(String, &Latency)>)],
    notes: Vec<String>,
) -> String {
    let panels: Vec<Panel> =
        panels.iter().map(|(title, lines)| percentiles::panel(title, lines)).collect();
    let plots: Vec<Plot> = panels.iter().map(Plot::percentiles).collect();
    Figure { title, notes, rows: plots.chunks(1).collect(), styles: StyleScope::Figure }.draw()
}

fn draw<'a>(
    experiment: &'a Experiment,
    plot: fn(&'a Panel) -> Plot<'a>,
    columns: usize,
    styles: StyleScope,
) -> String {
    let plots: Vec<Plot> = experiment.panels.iter().map(plot).collect();
    let (title, notes) = (experiment.title.as_str(), experiment.notes.clone());
    Figure { title, notes, rows: plots.chunks(columns).collect(), styles }.draw()
}

/// The chart of one report as SVG: the latencies of its runs and, for several runs, their rates and
/// failures.
#[must_use]
pub fn load(report: &LoadReport) -> String {
    runs::draw(report)
}
