//! Terminal output: the progress line of a run, and its figures at the end.

use super::client::LINGER;
use super::counters::{Count, Counters, LatencyKind};
use super::options::LoadOptions;
use super::report::{FailureKind, Latency, Run, failure_text};
use super::run::RunProgress;
use crate::engine::kernel::EngineKind;
use crate::text::paragraph;
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Write;
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
    pub fn new(options: &LoadOptions, connections: u32) -> Self {
        let bar = if options.quiet { ProgressBar::hidden() } else { ProgressBar::new(1000) };
        let template = "{prefix:>6} connections [{bar:20}] {msg}";
        let style = ProgressStyle::with_template(template).expect("the template is valid");
        bar.set_style(style.progress_chars("=> "));
        bar.set_prefix(connections.to_string());
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
        self.bar.set_message(format!(
            "{rate:.0}/s, p50 {}, p99 {}, {failed} failed, {} left",
            time(latency.p50),
            time(latency.p99),
            humantime::format_duration(Duration::from_secs(eta.ceil() as u64)),
        ));
    }

    /// Removes the line.
    pub fn end(self) {
        self.bar.finish_and_clear();
    }
}

/// The figures of a run as lines of text.
#[must_use]
pub fn figures(run: &Run, engine: EngineKind, options: &LoadOptions) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| push_line(&mut text, name, value);
    line("connections", &run.connections.to_string());
    let interrupted = if run.interrupted { "; interrupted" } else { "" };
    line(
        "requests",
        &format!(
            "{} in {:.2} s, {:.0} per second{interrupted}",
            run.requests, run.seconds, run.rate
        ),
    );
    line("failed", &failures(run));
    if run.failures.contains_key(FailureKind::NoLocalPort.name()) {
        text.push_str(&paragraph(&" ".repeat(NAME_WIDTH), NAME_WIDTH, PORT_HINT, COLUMNS));
    }
    let mut line = |name: &str, value: &str| push_line(&mut text, name, value);
    line("received", &bytes(run));
    if run.lingered > 0 {
        let first = format!("{:<NAME_WIDTH$}", "left open");
        text.push_str(&paragraph(&first, NAME_WIDTH, &lingered(run), COLUMNS));
    }
    let mut line = |name: &str, value: &str| push_line(&mut text, name, value);
    line("connecting", &latency(&run.connect_us));
    line("response", &latency(&run.response_us));
    line("client", &client(run, engine));
    if options.ab {
        line("as ab counts", &as_ab_counts(run));
    }
    text
}

fn push_line(text: &mut String, name: &str, value: &str) {
    writeln!(text, "{name:<NAME_WIDTH$}{value}").expect("writing to a string does not fail");
}

/// The width of the names before the figures.
const NAME_WIDTH: usize = 16;
/// The width to which sentences are wrapped.
const COLUMNS: usize = 100;
/// The remedies for a lack of local ports, which is a failure of the client's machine.
const PORT_HINT: &str = "no local port: all local ports towards this server were in use. Use more \
    addresses (--source 127.0.0.2-127.0.0.20), more ports (sysctl -w \
    net.ipv4.ip_local_port_range='10240 65535'), reuse ports sooner (sysctl -w \
    net.ipv4.tcp_tw_reuse=1), or use fewer: a smaller -c, no --close";

/// The connections that the server should have closed.
fn lingered(run: &Run) -> String {
    format!(
        "{} {} left open by the server after `Connection: close` or HTTP/1.0; the client closed \
         each after {} s, so the rate is too low",
        run.lingered,
        if run.lingered == 1 { "connection was" } else { "connections were" },
        LINGER.as_secs()
    )
}

fn failures(run: &Run) -> String {
    if run.failed == 0 {
        return "0".to_owned();
    }
    let kinds: Vec<_> = run
        .failures
        .iter()
        .map(|(kind, count)| format!("{} {count}", failure_text(kind)))
        .collect();
    format!("{} ({})", run.failed, kinds.join(", "))
}

#[allow(clippy::cast_precision_loss, reason = "megabytes are printed with one decimal")]
fn bytes(run: &Run) -> String {
    let megabytes = run.bytes as f64 / 1e6;
    let rate = if run.seconds > 0.0 { megabytes / run.seconds } else { 0.0 };
    format!("{megabytes:.1} MB, {rate:.1} MB per second, over {} connections", run.connects)
}

fn latency(latency: &Latency) -> String {
    if latency.count == 0 {
        return "none".to_owned();
    }
    format!(
        "min {}, p50 {}, p90 {}, p99 {}, p99.9 {}, max {}",
        time(latency.min),
        time(latency.p50),
        time(latency.p90),
        time(latency.p99),
        time(latency.p99_9),
        time(latency.max)
    )
}

fn client(run: &Run, engine: EngineKind) -> String {
    let mut text = format!(
        "{} {} on {}, {:.2} s of CPU, the busiest {:.0} % of its time",
        run.processes,
        if run.processes == 1 { "process" } else { "processes" },
        engine.name(),
        run.client_cpu_seconds,
        run.client_busiest * 100.0
    );
    if run.died > 0 {
        write!(text, "; {} DIED", run.died).expect("writing to a string does not fail");
    }
    if run.client_was_the_limit {
        text.push_str(
            "\n                THE CLIENT WAS SATURATED: these figures are its own, not the \
                       server's; use more --processes",
        );
    }
    text
}

/// The failures as `ab` would count them. `ab` counts a connection that breaks within a response up
/// to three times: as an exception, as a receive error, and as a wrong length.
fn as_ab_counts(run: &Run) -> String {
    let sum = |kinds: &[FailureKind]| -> u64 {
        kinds.iter().filter_map(|kind| run.failures.get(kind.name())).sum()
    };
    let connect = sum(&[
        FailureKind::ConnectRefused,
        FailureKind::ConnectTimedOut,
        FailureKind::ConnectFailed,
        FailureKind::NoLocalPort,
    ]);
    let broken = sum(&[FailureKind::ResetBeforeResponse, FailureKind::ResetWithinResponse]);
    let length = broken + sum(&[FailureKind::Short, FailureKind::WrongBytes]);
    format!(
        "Failed requests: {} (Connect: {connect}, Receive: {broken}, Length: {length}, \
         Exceptions: {broken})\n                ab counts a broken connection up to three times; \
         the line `failed` counts each failure once",
        connect + broken + length + broken
    )
}

/// A duration of microseconds with three significant digits or so.
fn time(micros: f64) -> String {
    let (divisor, unit) = unit_of_us(micros);
    let decimals = if divisor > 1.0 { 2 } else { 0 };
    format!("{:.decimals$} {unit}", micros / divisor)
}

/// The unit in which a duration of microseconds is shown, and its length in microseconds.
#[must_use]
pub fn unit_of_us(micros: f64) -> (f64, &'static str) {
    match micros.abs() {
        size if size >= 1e6 => (1e6, "s"),
        size if size >= 1e3 => (1e3, "ms"),
        _ => (1.0, "µs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::options;

    #[test]
    fn times_are_shown_in_a_suitable_unit() {
        assert_eq!(time(0.0), "0 µs");
        assert_eq!(time(999.4), "999 µs");
        assert_eq!(time(1234.0), "1.23 ms");
        assert_eq!(time(2_500_000.0), "2.50 s");
    }

    fn shown(run: &Run) -> String {
        let words = ["uringload", "http://a/"];
        let options = options::parse(words).expect("the options are valid");
        figures(run, EngineKind::Epoll, &options)
    }

    #[test]
    fn figures_name_remedies_open_connections_and_interruptions() {
        let failures = |kind: &str| [(kind.to_owned(), 2)].into();
        let run = Run { failed: 2, failures: failures("no_local_port"), ..Run::default() };
        for hint in ["--source", "net.ipv4.ip_local_port_range", "tcp_tw_reuse=1", "smaller -c"] {
            assert!(shown(&run).contains(hint), "{}", shown(&run));
        }
        let run = Run { failed: 2, failures: failures("short"), ..Run::default() };
        assert!(!shown(&run).contains("--source") && !shown(&run).contains("left open"));
        let run = Run { lingered: 1, ..Run::default() };
        assert!(shown(&run).contains("1 connection was left open by the server"));
        assert!(shown(&run).contains("0 processes on epoll, "));
        let run = Run { interrupted: true, ..Run::default() };
        assert!(shown(&run).contains("interrupted"));
    }

    #[test]
    fn ab_counts_one_reset_as_three_failures() {
        let run = Run {
            failed: 3,
            failures: [("reset_before_reply".into(), 2), ("connect_refused".into(), 1)].into(),
            ..Run::default()
        };
        let text = as_ab_counts(&run);
        assert!(
            text.starts_with(
                "Failed requests: 7 (Connect: 1, Receive: 2, Length: 2, Exceptions: 2)"
            )
        );
        assert_eq!(failures(&run), "3 (connect refused 1, reset before reply 2)");
    }
}
