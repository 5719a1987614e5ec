//! A figure: a title, rows of plots side by side, and notes below. Places the plots, independent of
//! their content.

use super::plot::{Cell, Plot};
use super::style;
use super::svg::{Anchor, Frame, Svg, wrapped};
use std::fmt::Write as _;

/// The content of a figure.
pub(super) struct Figure<'a> {
    pub(super) title: &'a str,
    pub(super) notes: Vec<String>,
    /// The plots of a row share its width evenly.
    pub(super) rows: Vec<&'a [Plot<'a>]>,
    pub(super) styles: StyleScope,
}

/// The scope within which lines of the same name have the same style.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StyleScope {
    /// A name has the same style in all plots.
    Figure,
    /// Each plot assigns styles by itself, as its names are its own.
    Plot,
}

impl Figure<'_> {
    /// The figure as the text of an SVG file.
    pub(super) fn draw(&self) -> String {
        let mut svg = Svg::default();
        let mut y = MARGIN;
        for line in wrapped(self.title, TITLE_SIZE, WIDTH - 2.0 * MARGIN) {
            y += TITLE_LINE;
            svg.text("title", Anchor::Start, (MARGIN, y - 7.0), &line);
        }
        for row in &self.rows {
            y = self.draw_row(&mut svg, row, y + ROW_GAP);
        }
        y = self.draw_notes(&mut svg, y) + MARGIN;

        let mut paper = Svg::default();
        paper.rectangle("paper", 0.0, 0.0, WIDTH, y);
        let title = if self.title.trim().is_empty() { "A chart" } else { self.title };
        paper.followed_by(&svg).finish(&Frame {
            width: WIDTH,
            height: y,
            title,
            description: &self.description(),
            sheet: &style::sheet(),
        })
    }

    /// Draws a row whose upper edge is `y`; returns its lower edge.
    fn draw_row(&self, svg: &mut Svg, row: &[Plot], y: f64) -> f64 {
        let columns: f64 = row.iter().map(|_| 1.0).sum();
        // A last row with fewer plots keeps the columns of the others.
        let columns = if self.rows.len() > 1 && self.rows[0].len() == 2 { 2.0 } else { columns };
        let width = (WIDTH - 2.0 * MARGIN - COLUMN_GAP * (columns - 1.0)) / columns;
        let left = self.plots().map(Plot::left).fold(0.0, f64::max);
        let right = row.iter().map(|plot| plot.right(width)).fold(0.0, f64::max);
        let height = row.iter().map(Plot::height).fold(0.0, f64::max);
        let mut x = MARGIN;
        for plot in row {
            let names = match self.styles {
                StyleScope::Figure => names(self.plots()),
                StyleScope::Plot => names(std::iter::once(plot)),
            };
            plot.draw(svg, &Cell { x, y, width, left, right, height }, &names);
            x += width + COLUMN_GAP;
        }
        y + Cell::height(height)
    }

    fn draw_notes(&self, svg: &mut Svg, mut y: f64) -> f64 {
        let mut notes = Vec::new();
        if self.plots().any(Plot::has_misses) {
            notes.push(CROSSES);
        }
        if self.plots().any(Plot::has_spreads) {
            notes.push(SPREADS);
        }
        if self.plots().any(Plot::has_losses) {
            notes.push(LOSSES);
        }
        notes.extend(self.notes.iter().map(String::as_str));
        y += if notes.is_empty() { 0.0 } else { NOTES_GAP };
        for note in notes {
            for line in wrapped(note, NOTE_SIZE, WIDTH - 2.0 * MARGIN) {
                y += NOTE_LINE;
                svg.text("note", Anchor::Start, (MARGIN, y), &line);
            }
        }
        y
    }

    fn plots(&self) -> impl Iterator<Item = &Plot<'_>> {
        self.rows.iter().flat_map(|row| row.iter())
    }

    /// The figure as text, for screen readers.
    fn description(&self) -> String {
        let mut text = String::new();
        for plot in self.plots() {
            let separator = if text.is_empty() { "" } else { " " };
            write!(text, "{separator}{}", plot.description())
                .expect("writing to a string does not fail");
        }
        text
    }
}

/// The distinct names of all lines; the index of a name determines its style.
fn names<'a>(plots: impl Iterator<Item = &'a Plot<'a>>) -> Vec<&'a str> {
    let mut names = Vec::new();
    for series in plots.flat_map(Plot::series) {
        if !names.contains(&series.name.as_str()) {
            names.push(series.name.as_str());
        }
    }
    names
}

const CROSSES: &str = "A cross marks a missing result; its height has no meaning.";

const LOSSES: &str = "A hollow mark shows that requests were lost: without a correct response, or \
                      never sent.";

const SPREADS: &str = "A pale bar spans the lowest to the highest value of the rounds.";

/// At the width of a README, 830 pixels, a text of size 14 is nearly 11 pixels high.
const WIDTH: f64 = 1080.0;

const MARGIN: f64 = 22.0;

const TITLE_SIZE: f64 = 20.0;

const TITLE_LINE: f64 = 27.0;

const ROW_GAP: f64 = 14.0;

const COLUMN_GAP: f64 = 26.0;

const NOTES_GAP: f64 = 8.0;

const NOTE_SIZE: f64 = 13.0;

const NOTE_LINE: f64 = 19.0;
