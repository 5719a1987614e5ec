//! The progress line of a run.

use super::numbers::{per_second, time};
use crate::load::counters::{Count, Counters, LatencyKind};
use crate::load::options::{LoadOptions, RunSettings};
use crate::load::run::RunProgress;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// The progress line of a run.
pub struct Live {
    bar: ProgressBar,
    /// Requests at the previous update, and its time in seconds.
    last: (u64, f64),
    requests: Option<u64>,
    seconds: Option<f64>,
}

impl Live {
    /// A line on standard error; hidden with `--quiet` or if standard error is no terminal.
    #[must_use]
    pub fn new(options: &LoadOptions, run: &RunSettings) -> Self {
        let bar = if options.quiet { ProgressBar::hidden() } else { ProgressBar::new(1000) };
        let template = "{prefix:>6} connections [{bar:20}] {msg}";
        let style = ProgressStyle::with_template(template).expect("the template is valid");
        bar.set_style(style.progress_chars("=> "));
        bar.set_prefix(run.connections.to_string());
        let seconds = options
            .duration()
            .map(|duration| (duration + options.warmup.unwrap_or_default()).as_secs_f64());
        Self { bar, last: (0, 0.0), requests: options.requests, seconds }
    }

    /// Updates rate, latencies, failures and remaining time.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the bar has a thousand steps"
    )]
    pub fn show(&mut self, progress: &RunProgress<'_>) {
        if self.bar.is_hidden() {
            return;
        }
        let requests: u64 =
            progress.all_counters.iter().map(|counters| counters.get(Count::Requests)).sum();
        let failed: u64 = progress.all_counters.iter().map(Counters::failed).sum();
        let connects: u64 = progress.all_counters.iter().map(Counters::connects_failed).sum();
        let done = [
            self.requests.map(|all| (requests + failed) as f64 / all as f64),
            self.seconds.map(|all| progress.seconds / all),
        ];
        let done = done.into_iter().flatten().fold(0.0, f64::max).clamp(0.0, 1.0);
        let seconds = (progress.seconds - self.last.1).max(1e-9);
        let rate = requests.saturating_sub(self.last.0) as f64 / seconds;
        self.last = (requests, progress.seconds);
        let latency = Counters::latency(progress.all_counters, LatencyKind::Response);
        let eta = if done > 0.0 { progress.seconds * (1.0 - done) / done } else { 0.0 };
        self.bar.set_position((done * 1000.0) as u64);
        let quantile = |figure: Option<f64>| figure.map_or("none".to_owned(), time);
        let connects = match connects {
            0 => String::new(),
            count => format!("{count} connects failed, "),
        };
        self.bar.set_message(format!(
            "{}/s, p50 {}, p99 {}, {failed} failed, {connects}{} left",
            per_second(rate),
            quantile(latency.p50),
            quantile(latency.p99),
            humantime::format_duration(Duration::from_secs(eta.ceil() as u64)),
        ));
    }

    /// Removes the line.
    pub fn end(self) {
        self.bar.finish_and_clear();
    }
}
