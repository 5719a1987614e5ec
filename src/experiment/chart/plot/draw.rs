//! Draws a plot from back to front: grid, ranges, lines, marks, names.

use super::super::apart::apart;
use super::super::style::{self, Style};
use super::super::svg::Anchor;
use super::super::svg::Number;
use super::*;

/// The area between the axes; converts positions of the axes to pixels.
struct Area<'a> {
    plot: &'a Plot<'a>,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

/// A point of a line in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
enum DrawnPoint {
    /// A value, and the ends of its range.
    Mark {
        x: f64,
        y: f64,
        low: f64,
        high: f64,
        has_losses: bool,
    },
    Cross {
        x: f64,
        y: f64,
    },
}

impl DrawnPoint {
    fn position(self) -> (f64, f64) {
        match self {
            Self::Mark { x, y, .. } | Self::Cross { x, y } => (x, y),
        }
    }
}

impl Plot<'_> {
    /// Draws the plot. The index of a series' name in `names` determines the style of its line.
    pub(in super::super) fn draw(&self, svg: &mut Svg, cell: &Cell, names: &[&str]) {
        let area = Area {
            plot: self,
            left: cell.x + cell.left,
            right: cell.x + cell.width - cell.right,
            top: cell.y + HEAD,
            bottom: cell.y + HEAD + cell.height,
        };
        self.draw_titles(svg, cell, &area);
        area.draw_x_axis(svg);
        if self.lines.iter().all(|line| line.points.is_empty()) {
            let middle = f64::midpoint(area.left, area.right);
            let at = (middle, f64::midpoint(area.top, area.bottom));
            svg.text("quiet", Anchor::Middle, at, "no results");
        } else {
            area.draw_y_axis(svg);
        }
        let styles: Vec<Style> = (self.series())
            .map(|series| names.iter().position(|name| *name == series.name))
            .map(|index| Style::new(index.expect("`names` has the names of all series")))
            .collect();
        let places = area.places();
        for (&style, places) in styles.iter().zip(&places) {
            draw_line(svg, style, places);
        }
        for (&style, places) in styles.iter().zip(&places) {
            draw_marks(svg, style, places);
        }
        area.draw_names(svg, &styles, &places, cell.x + cell.width);
    }

    fn draw_titles(&self, svg: &mut Svg, cell: &Cell, area: &Area) {
        let mut draw = |class: &str, anchor, at: (f64, f64), text: &str, size: f64, room: f64| {
            let short = shortened(text, size, room);
            let title = short.as_ref().map(|_| text);
            svg.titled_text(class, anchor, at, short.as_deref().unwrap_or(text), title);
        };
        let Panel { title, x_title, y_title, .. } = self.panel;
        let at = |y| (cell.x, cell.y + y);
        draw("panel", Anchor::Start, at(17.0), title, TITLE_SIZE, cell.width);
        draw("quiet", Anchor::Start, at(38.0), y_title, TICK_SIZE, cell.width);
        let (middle, y) = (f64::midpoint(area.left, area.right), area.bottom + 39.0);
        // Centred below the axis, the title may extend to the nearer edge of the cell.
        let room = 2.0 * (middle - cell.x).min(cell.x + cell.width - middle);
        draw("quiet", Anchor::Middle, (middle, y), x_title, TICK_SIZE, room);
    }
}

impl Area<'_> {
    fn x(&self, place: f64) -> f64 {
        self.left + INSET_X + place * (self.right - self.left - 2.0 * INSET_X)
    }

    fn y(&self, place: f64) -> f64 {
        self.bottom - INSET_Y - place * (self.bottom - self.top - 2.0 * INSET_Y)
    }

    fn draw_y_axis(&self, svg: &mut Svg) {
        let axis = &self.plot.y;
        for tick in &axis.ticks {
            let y = self.y(tick.place);
            svg.path(
                "grid",
                &format!("M{} {}H{}", Number(self.left), Number(y), Number(self.right)),
            );
            svg.text("tick", Anchor::End, (self.left - 8.0, y + 4.5), &tick.label);
        }
        for &place in &axis.minor {
            let (x, y) = (Number(self.left - 3.0), Number(self.y(place)));
            svg.path("axis", &format!("M{x} {y}h3"));
        }
        // A break in the axis shows that the distance to 0 is not to scale.
        let (x, low, high) = (Number(self.left), Number(self.bottom), Number(self.top));
        let Some(broken) = axis.broken() else {
            return svg.path("axis", &format!("M{x} {low}V{high}"));
        };
        let middle = self.y(broken / 2.0);
        let (below, above) = (Number(middle + 3.0), Number(middle - 3.0));
        svg.path("axis", &format!("M{x} {low}V{below}m-5 2.5l10-5M{x} {high}V{above}m-5 2.5l10-5"));
    }

    fn draw_x_axis(&self, svg: &mut Svg) {
        let (left, right, bottom) = (Number(self.left), Number(self.right), Number(self.bottom));
        svg.path("axis", &format!("M{left} {bottom}H{right}"));
        let ticks = &self.plot.x.ticks;
        for tick in ticks {
            svg.path("axis", &format!("M{} {bottom}v5", Number(self.x(tick.place))));
        }
        let overlap = |labels: &[(f64, &str)]| {
            labels.windows(2).any(|pair| self.labels_overlap(pair[0], pair[1]))
        };
        let long: Vec<(f64, &str)> =
            ticks.iter().map(|tick| (tick.place, tick.label.as_str())).collect();
        let labels = if overlap(&long) {
            // Labels are dropped from the low end, as the highest loads matter most.
            let mut kept: Vec<(f64, &str)> = Vec::new();
            for tick in ticks.iter().rev() {
                let label = (tick.place, tick.short.as_str());
                if kept.last().is_none_or(|&last| !self.labels_overlap(label, last)) {
                    kept.push(label);
                }
            }
            kept
        } else {
            long
        };
        for (place, label) in labels {
            let at = (self.x(place), self.bottom + 19.0);
            svg.text("tick", Anchor::Middle, at, label);
        }
    }

    fn labels_overlap(&self, (left, a): (f64, &str), (right, b): (f64, &str)) -> bool {
        let half = f64::midpoint(width(a, TICK_SIZE), width(b, TICK_SIZE));
        self.x(right) - self.x(left) < half + 4.0
    }

    /// The points of all lines in pixels. A cross is level with the last value of its line, or
    /// moved from there as little as needed to avoid marks and other crosses.
    fn places(&self) -> Vec<Vec<DrawnPoint>> {
        let mut all: Vec<Vec<DrawnPoint>> =
            self.plot.lines.iter().map(|line| self.along(line)).collect();
        let (mut marks, mut crosses) = (Vec::new(), Vec::new());
        for (line, places) in all.iter().enumerate() {
            for (at, place) in places.iter().enumerate() {
                match *place {
                    DrawnPoint::Mark { x, y, .. } => marks.push((x, y)),
                    DrawnPoint::Cross { x, y } => crosses.push((line, at, x, y)),
                }
            }
        }
        let mut taken = marks;
        for (line, at, x, y) in crosses {
            let column = taken.iter().filter(|other| (other.0 - x).abs() < CROSS_GAP);
            let y = self.free_level(y, &column.map(|other| other.1).collect::<Vec<f64>>());
            taken.push((x, y));
            all[line][at] = DrawnPoint::Cross { x, y };
        }
        all
    }

    /// The free y nearest to the wanted one; the wanted one itself if none is free.
    fn free_level(&self, wanted: f64, taken: &[f64]) -> f64 {
        let (top, bottom) = (self.y(1.0), self.y(0.0));
        let is_free = |y: &f64| {
            (top..=bottom).contains(y)
                && taken.iter().all(|other| (other - y).abs() > CROSS_GAP - 0.1)
        };
        // The nearest free y is the wanted one or adjacent to a taken one.
        let beside = taken.iter().flat_map(|other| [other - CROSS_GAP, other + CROSS_GAP]);
        let mut levels: Vec<f64> = beside.chain([wanted]).filter(is_free).collect();
        levels.sort_by(|a, b| (a - wanted).abs().total_cmp(&(b - wanted).abs()));
        levels.first().copied().unwrap_or(wanted)
    }

    fn along(&self, line: &Line) -> Vec<DrawnPoint> {
        let value_y = |value: f64| self.y(self.plot.y.place(value));
        let mut measures = line.points.iter().filter_map(|point| point.1);
        let mut level = measures.next().map_or(self.y(0.0), |first| value_y(first.value));
        let mut places = Vec::new();
        for &(x, measure) in &line.points {
            let x = self.x(self.plot.x.place(x));
            places.push(match measure {
                Some(Measure { value, low, high, has_losses }) => {
                    level = value_y(value);
                    let (low, high) = (value_y(low), value_y(high));
                    DrawnPoint::Mark { x, y: level, low, high, has_losses }
                }
                None => DrawnPoint::Cross { x, y: level },
            });
        }
        places
    }

    /// Draws the names to the right of the axes, each as near as possible to the end of its line.
    fn draw_names(&self, svg: &mut Svg, styles: &[Style], all: &[Vec<DrawnPoint>], edge: f64) {
        let nothing = (self.x(0.0), self.y(0.0));
        let ends: Vec<(f64, f64)> = (all.iter())
            .map(|places| places.last().map_or(nothing, |place| place.position()))
            .collect();
        let wanted: Vec<f64> = ends.iter().map(|end| end.1).collect();
        let half = NAME_LINE / 2.0;
        let lines = apart(&wanted, NAME_LINE, self.top + half, self.bottom - half);
        for (((style, line), end), y) in styles.iter().zip(&self.plot.lines).zip(&ends).zip(lines) {
            let colour = style.colour();
            let has_end = !line.points.is_empty();
            if has_end {
                let (x, elbow) = (Number(end.0 + 7.0), Number(self.right + 3.0));
                let (level, to) = (Number(end.1), Number(self.right + 17.0));
                let shape = format!("M{x} {level}H{elbow}L{to} {}", Number(y));
                svg.path(&format!("leader {colour}"), &shape);
            }
            svg.path(&format!("mark {colour}"), &style.mark(self.right + 25.0, y));
            let name = line.series.name.as_str();
            let x = self.right + NAME_X;
            let short = shortened(name, NAME_SIZE, edge - x);
            let title = short.as_ref().map(|_| name);
            let text = short.as_deref().unwrap_or(name);
            let class = format!("name {colour}");
            svg.titled_text(&class, Anchor::Start, (x, y + 5.0), text, title);
        }
    }
}

/// Draws a line, with gaps at missing results, and its ranges.
fn draw_line(svg: &mut Svg, style: Style, places: &[DrawnPoint]) {
    let (mut shape, mut spreads) = (String::new(), String::new());
    let mut last: Option<(f64, f64)> = None;
    for (at, place) in places.iter().enumerate() {
        let DrawnPoint::Mark { x, y, low, high, .. } = *place else {
            last = None;
            continue;
        };
        if low - high > 0.5 {
            push(&mut spreads, 'M', (x, low));
            push(&mut spreads, 'V', (high, high));
        }
        let is_near = last.is_some_and(|last| (x - last.0).abs().max((y - last.1).abs()) < 0.4);
        let has_next = matches!(places.get(at + 1), Some(DrawnPoint::Mark { .. }));
        if is_near && has_next {
            continue;
        }
        push(&mut shape, if last.is_some() { 'L' } else { 'M' }, (x, y));
        last = Some((x, y));
    }
    if !spreads.is_empty() {
        svg.path(&format!("spread {}", style.colour()), &spreads);
    }
    if shape.contains('L') {
        svg.path(&format!("line {} {}", style.colour(), style.dash()), &shape);
    }
}

/// Draws marks and crosses; a line of more than [`MARKS_MAX`] points has marks at intervals.
fn draw_marks(svg: &mut Svg, style: Style, places: &[DrawnPoint]) {
    let is_dense = places.len() > MARKS_MAX;
    let mut last = f64::NEG_INFINITY;
    for (at, place) in places.iter().enumerate() {
        match *place {
            DrawnPoint::Mark { x, y, has_losses, .. } => {
                // A loss is never left out.
                let is_near = is_dense && x - last < MARKS_GAP && at + 1 < places.len();
                if is_near && !has_losses {
                    continue;
                }
                last = x;
                let class = if has_losses { "mark hollow" } else { "mark" };
                svg.path(&format!("{class} {}", style.colour()), &style.mark(x, y));
            }
            DrawnPoint::Cross { x, y } => {
                let shape = style::cross(x, y);
                svg.path("halo", &shape);
                svg.path(&format!("cross {}", style.colour()), &shape);
            }
        }
    }
}

/// Appends a command to a path; `V` has only one coordinate.
fn push(shape: &mut String, step: char, (x, y): (f64, f64)) {
    let (x, y) = (Number(x), Number(y));
    let result = match step {
        'V' => write!(shape, "V{y}"),
        _ => write!(shape, "{step}{x} {y}"),
    };
    result.expect("writing to a string does not fail");
}

/// Distance from the axes to the outermost values, so that the axis doesn't hide a line at 0.
const INSET_X: f64 = 14.0;

const INSET_Y: f64 = 10.0;

/// Least distance of a cross from marks and other crosses.
const CROSS_GAP: f64 = 12.0;

/// Up to this number of points, each has a mark.
const MARKS_MAX: usize = 16;

/// Distance of marks on lines with more points.
const MARKS_GAP: f64 = 60.0;
