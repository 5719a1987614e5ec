//! Progress of a sweep: a bar on a terminal, otherwise one line per point.

use super::harness::Point;
use super::output::indented;
use super::results::Measurement;
use crate::experiment::numbers::per_second;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};

/// The form in which progress is printed.
pub enum Show {
    /// A bar with the remaining time, on a terminal.
    Bar(ProgressBar),
    /// One line per point, in a log.
    Lines,
    /// No output (`--quiet`).
    Nothing,
}

impl Show {
    /// Chooses the form by standard error; `done` of the `planned` points are measured already.
    #[must_use]
    pub fn new(quiet: bool, planned: u64, done: u64) -> Self {
        if quiet {
            return Self::Nothing;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Lines;
        }
        let style = ProgressStyle::with_template(TEMPLATE).expect("the template is valid");
        let bar = ProgressBar::new(planned).with_style(style).with_position(done);
        // Points of an earlier call took no time in this one.
        bar.reset_eta();
        bar.enable_steady_tick(std::time::Duration::from_secs(1));
        Self::Bar(bar)
    }

    /// Shows the point that is being measured.
    pub fn begin(&self, point: &Point<'_>) {
        if let Self::Bar(bar) = self {
            bar.set_message(title(
                point.round,
                &point.load.name,
                point.connections,
                &point.server.name,
            ));
        }
    }

    /// Prints a measurement and advances the bar.
    pub fn end(&self, measurement: &Measurement) {
        self.tell(&with_output(measurement));
        if let Self::Bar(bar) = self {
            bar.inc(1);
        }
    }

    /// Prints a message, unless the sweep is quiet.
    pub fn tell(&self, text: &str) {
        match self {
            Self::Bar(bar) => bar.println(text),
            // EPIPE, when the reader of a log is gone, is no reason to end the sweep.
            Self::Lines => drop(writeln!(std::io::stderr(), "{text}")),
            Self::Nothing => {}
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn title(round: u32, load: &str, connections: u32, server: &str) -> String {
    format!("round {round}, {load}, {connections} connections, {server}")
}

/// A measurement as one line of text.
fn line(measurement: &Measurement) -> String {
    let Measurement { round, load, connections, server, .. } = measurement;
    let mut text = title(*round, load, *connections, server);
    if let Some(run) = &measurement.run {
        let rate = run
            .rate
            .map_or("no rate".to_owned(), |rate| format!("{} requests/s", per_second(rate)));
        let p99 = run.response_us.p99;
        let p99 = p99.map_or("none".to_owned(), |p99| format!("{:.2} ms", p99 / 1e3));
        text.extend([format!(": {rate}, {} of {} failed, p99 {p99}", run.lost(), run.due)]);
    }
    if let Some(cpu) = measurement.cpu_us {
        text.extend([format!(", {cpu:.2} µs of CPU")]);
    }
    if let Some(note) = &measurement.note {
        let separator = if measurement.run.is_some() { "; " } else { ": " };
        text.extend([separator, note]);
    }
    text
}

/// The line of a measurement and, of a server that failed, what it printed last.
fn with_output(measurement: &Measurement) -> String {
    let output = measurement.output.as_deref().unwrap_or_default();
    format!("{}\n{}", line(measurement), indented(output, INDENT)).trim_end().to_owned()
}

/// Before each line of a server's output.
const INDENT: &str = "    | ";
const TEMPLATE: &str = "{pos}/{len} [{elapsed_precise}, {eta} left] {wide_bar} {msg}";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::sweep::tests::{measured, not_started};

    #[test]
    fn line_has_figures_or_the_reason_for_their_absence() {
        let mut measurement = measured(2, "close", 10, "a", 1234.7);
        let figures = "round 2, close, 10 connections, a: 1,235 requests/s, 0 of 100 failed, \
                       p99 5.00 ms, 7.00 µs of CPU";
        assert_eq!(line(&measurement), figures);
        measurement.note = Some("slow".to_owned());
        assert_eq!(line(&measurement), format!("{figures}; slow"));
        // What was not measured is no 0, and what was lost counts.
        let run = measurement.run.as_mut().unwrap();
        (run.rate, run.response_us.p99) = (None, None);
        (run.failed, run.outstanding, run.not_sent) = (1, 2, 3);
        (measurement.cpu_us, measurement.note) = (None, None);
        let none = "round 2, close, 10 connections, a: no rate, 6 of 100 failed, p99 none";
        assert_eq!(line(&measurement), none);
        let silent = "round 1, close, 10 connections, a: did not start";
        assert_eq!(line(&not_started(1, "close", 10, "a")), silent);
    }

    #[test]
    fn output_of_a_failed_server_follows_its_line() {
        let mut failed = not_started(1, "close", 10, "a");
        let silent = "round 1, close, 10 connections, a: did not start";
        assert_eq!(with_output(&failed), silent);
        failed.output = Some("no such option\nusage: a".to_owned());
        let expected = format!("{silent}\n    | no such option\n    | usage: a");
        assert_eq!(with_output(&failed), expected);
    }

    #[test]
    fn template_is_valid() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
