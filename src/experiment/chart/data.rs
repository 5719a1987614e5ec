//! The data of a chart: panels of series of points. Independent of drawing.

use crate::experiment::spread::Spread;

/// The content of a chart with several panels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Experiment {
    /// The heading of the chart.
    pub title: String,
    /// The panels from left to right, then down.
    pub panels: Vec<Panel>,
    /// Paragraphs below the panels, as on machine and method.
    pub notes: Vec<String>,
}

/// Lines over one x axis: a logarithmic one with ticks at the measured values, or a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// The heading of the panel.
    pub title: String,
    /// The quantity on the x axis.
    pub x_title: String,
    /// The quantity on the y axis, with its unit.
    pub y_title: String,
    /// The scale of the y axis.
    pub y_scale: Scale,
    /// The lines; lines of equal name have equal styles in all panels of an [`Experiment`].
    pub series: Vec<Series>,
}

/// The scale of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Linear, including 0.
    Linear,
    /// Logarithmic; if a value is 0, the lower end is a 0 that is not to scale.
    Log,
    /// Logarithmic, always with a 0 at the lower end.
    LogFromZero,
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The label at the end of the line.
    pub name: String,
    /// The points, in any order.
    pub points: Vec<DataPoint>,
}

/// One point of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DataPoint {
    /// A point whose x is not finite is not drawn.
    pub x: f64,
    /// `None` for a missing result, which is drawn as a gap in the line and a cross.
    pub y: Option<Measure>,
}

/// A measured value. A value that is not finite or beyond 10^18 counts as missing; a negative one
/// is drawn as 0 on a logarithmic axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measure {
    /// The value that the line passes through.
    pub value: f64,
    /// The lowest value of the rounds; `value` itself without a range.
    pub low: f64,
    /// The highest value of the rounds.
    pub high: f64,
    /// Whether requests were lost in the measurement, which a hollow mark shows.
    pub has_losses: bool,
}

impl DataPoint {
    /// A point without a range.
    #[must_use]
    pub fn at(x: f64, value: f64) -> Self {
        Self { x, y: Some(Measure::from(value)) }
    }

    /// A point without a result.
    #[must_use]
    pub fn missing(x: f64) -> Self {
        Self { x, y: None }
    }
}

impl From<Spread> for Measure {
    fn from(Spread { median, min, max }: Spread) -> Self {
        Self { value: median, low: min, high: max, has_losses: false }
    }
}

impl From<f64> for Measure {
    fn from(value: f64) -> Self {
        Self { value, low: value, high: value, has_losses: false }
    }
}
