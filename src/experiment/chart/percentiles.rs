//! Panels of percentiles: distributions of latencies as lines, on the axis of `HdrHistogram`.

use super::data::{DataPoint, Panel, Scale, Series};
use crate::load::report::Latency;

/// A panel with a line for each named distribution.
pub(super) fn panel(title: &str, lines: &[(String, &Latency)]) -> Panel {
    let series = |(name, latency): &(String, &Latency)| Series {
        name: name.clone(),
        points: points(latency),
    };
    let series: Vec<Series> = lines.iter().map(series).collect();
    Panel {
        title: title.into(),
        x_title: "percentile of the requests".into(),
        y_title: "from the request to the end of its response".into(),
        y_scale: latency_scale(&series),
        series,
    }
}

/// Latencies over 1 / (1 - p). The 100th percentile, where x would be infinite, is drawn at the
/// number of requests.
fn points(latency: &Latency) -> Vec<DataPoint> {
    if latency.count == 0 {
        return vec![DataPoint::missing(1.0)];
    }
    let Latency { min, p50, p90, p99, p99_9, max, .. } = *latency;
    let summary = [(0.0, min), (50.0, p50), (90.0, p90), (99.0, p99), (99.9, p99_9), (100.0, max)];
    let summary: Vec<_> =
        summary.iter().filter_map(|&(percentile, figure)| Some((percentile, figure?))).collect();
    let all = if latency.percentiles.is_empty() { &summary } else { &latency.percentiles };
    let x_max = approximately(latency.count).max(1.0);
    let x = |percentile: f64| (1.0 / (1.0 - percentile.clamp(0.0, 100.0) / 100.0)).min(x_max);
    all.iter().map(|&(percentile, latency)| DataPoint::at(x(percentile), latency)).collect()
}

/// Logarithmic if most latencies would be indistinguishable from 0 on a linear scale.
fn latency_scale(series: &[Series]) -> Scale {
    let values = || {
        let points = series.iter().flat_map(|series| series.points.iter());
        points.filter_map(|point| point.y).map(|measure| measure.value).filter(|&us| us > 0.0)
    };
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(0.0, f64::max);
    if high > low * LINEAR_RATIO_MAX { Scale::Log } else { Scale::Linear }
}

/// A count as a coordinate.
pub(super) fn approximately(count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "coordinates are rounded to two decimals")]
    let approximation = count as f64;
    approximation
}

/// Up to this ratio of the highest to the lowest latency, the axis is linear.
const LINEAR_RATIO_MAX: f64 = 20.0;
