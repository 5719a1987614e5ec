//! The text formats of metrics: Prometheus' 0.0.4 and OpenMetrics 1.0
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>,
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>).
//!
//! Samples are the same in both, so that a scraper that changes the format finds the same series.
//! They differ in the names of families: that of a counter has no `_total` in OpenMetrics, that of
//! an `info` no `_info`.

use super::histogram::HistogramLayout;
use std::fmt::{Display, Write};

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format.
    Prometheus,
    /// OpenMetrics.
    OpenMetrics,
}

impl Format {
    /// The media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricType {
    /// It only grows; the names of its samples end in `_total`.
    Counter,
    /// A number of the moment.
    Gauge,
    /// Counts of buckets.
    Histogram,
    /// Labels that describe the program, with the value 1; the names end in `_info`.
    Info,
}

/// An exposition that is being written.
#[derive(Debug)]
pub struct Exposition<'a> {
    out: &'a mut String,
    format: Format,
}

/// Labels of a sample: names and values.
pub type Labels<'l> = &'l [(&'l str, &'l dyn Display)];

impl<'a> Exposition<'a> {
    /// An empty one, in the place of what `out` has.
    pub fn begin(out: &'a mut String, format: Format) -> Self {
        out.clear();
        Self { out, format }
    }

    /// Begins a family of samples. `name` is that of the samples, without the suffixes of a
    /// histogram.
    pub fn family(&mut self, name: &str, kind: MetricType, help: &str) {
        let (name, kind) = match (self.format, kind) {
            (Format::OpenMetrics, MetricType::Counter) => (without(name, "_total"), "counter"),
            (Format::OpenMetrics, MetricType::Info) => (without(name, "_info"), "info"),
            (Format::Prometheus, MetricType::Counter) => (name, "counter"),
            (_, MetricType::Gauge) | (Format::Prometheus, MetricType::Info) => (name, "gauge"),
            (_, MetricType::Histogram) => (name, "histogram"),
        };
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// Adds a sample.
    pub fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.out.push_str(name);
        self.labels(labels);
        self.push(format_args!(" {value}\n"));
    }

    /// Adds the samples of a histogram, from the words of its layout.
    pub fn histogram(&mut self, name: &str, layout: &HistogramLayout, words: &[u64]) {
        let mut count: u64 = 0;
        for (nth, bucket) in layout.buckets(words).iter().enumerate() {
            count = count.saturating_add(*bucket);
            let bound = layout.bounds_ns.get(nth);
            let bound = bound.map_or("+Inf".to_owned(), |&bound| bound_text(bound));
            self.push(format_args!("{name}_bucket{{le=\"{bound}\"}} {count}\n"));
        }
        let sum = seconds(layout.sum_ns(words));
        self.push(format_args!("{name}_sum {sum}\n{name}_count {count}\n"));
    }

    /// Ends it.
    pub fn end(self) {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
    }

    fn labels(&mut self, labels: Labels<'_>) {
        let mut before = '{';
        for (name, value) in labels {
            self.push(format_args!("{before}{name}=\""));
            for character in value.to_string().chars() {
                match character {
                    '\\' => self.out.push_str("\\\\"),
                    '"' => self.out.push_str("\\\""),
                    '\n' => self.out.push_str("\\n"),
                    other => self.out.push(other),
                }
            }
            self.out.push('"');
            before = ',';
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
    }

    fn push(&mut self, piece: std::fmt::Arguments<'_>) {
        self.out.write_fmt(piece).expect("a String takes every byte");
    }
}

/// Nanoseconds in seconds.
#[expect(clippy::cast_precision_loss, reason = "a sample is a float; 2^53 ns are 104 days")]
#[must_use]
pub fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// Milliseconds in seconds, with the digits of both.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since the epoch have 41 bits")]
#[must_use]
pub fn seconds_of_ms(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1e3
}

/// A bound as both formats write it: with a point, as OpenMetrics demands of whole numbers.
fn bound_text(bound_ns: u64) -> String {
    let bound = seconds(bound_ns);
    if bound.fract() == 0.0 { format!("{bound:.1}") } else { bound.to_string() }
}

fn without<'n>(name: &'n str, suffix: &str) -> &'n str {
    name.strip_suffix(suffix).expect("the name of the type has its suffix")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: HistogramLayout =
        HistogramLayout { first: 0, bounds_ns: &[250_000, 1_000_000_000] };

    fn exposition(format: Format) -> String {
        let mut out = "what was there before".to_owned();
        let mut text = Exposition::begin(&mut out, format);
        text.family("a_total", MetricType::Counter, "Help.");
        text.sample("a_total", &[("b", &"c\"\\\nd"), ("e", &1)], 2);
        text.family("b_info", MetricType::Info, "Help.");
        text.sample("b_info", &[], 1);
        text.family("c", MetricType::Histogram, "Help.");
        text.histogram("c", &LAYOUT, &[1, 2, 3, 1_500_000_000]);
        text.end();
        out
    }

    #[test]
    fn both_formats_have_the_same_samples_and_names_of_families_of_their_own() {
        let samples = "c_bucket{le=\"0.00025\"} 1\nc_bucket{le=\"1.0\"} 3\n\
                       c_bucket{le=\"+Inf\"} 6\nc_sum 1.5\nc_count 6\n";
        assert_eq!(
            exposition(Format::Prometheus),
            format!(
                "# HELP a_total Help.\n# TYPE a_total counter\na_total{{b=\"c\\\"\\\\\\nd\",\
                 e=\"1\"}} 2\n# HELP b_info Help.\n# TYPE b_info gauge\nb_info 1\n# HELP c Help.\n\
                 # TYPE c histogram\n{samples}"
            )
        );
        assert_eq!(
            exposition(Format::OpenMetrics),
            format!(
                "# HELP a Help.\n# TYPE a counter\na_total{{b=\"c\\\"\\\\\\nd\",e=\"1\"}} 2\n\
                 # HELP b Help.\n# TYPE b info\nb_info 1\n# HELP c Help.\n# TYPE c histogram\n\
                 {samples}# EOF\n"
            )
        );
    }
}
