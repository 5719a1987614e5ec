//! What people see: the live line while a load runs, and its figures at the end.

use super::client::LINGER;
use super::counters::{Count, Counters, Span};
use super::options::Options;
use super::report::{Kind, Latency, Run};
use super::run::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Write;
use std::time::Duration;

/// The live line of a run.
pub struct Live {
    bar: ProgressBar,
    /// Requests at the last look, and when that was, in seconds.
    last: (u64, f64),
    requests: Option<u64>,
    seconds: Option<f64>,
}

impl Live {
    /// A line on standard error, if that is a terminal and `options` don't ask for quiet.
    #[must_use]
    pub fn new(options: &Options, connections: u32) -> Self {
        let bar = if options.quiet { ProgressBar::hidden() } else { ProgressBar::new(1000) };
        let template = "{prefix:>6} connections [{bar:20}] {msg}";
        let style = ProgressStyle::with_template(template).expect("the template is right");
        bar.set_style(style.progress_chars("=> "));
        bar.set_prefix(connections.to_string());
        let seconds = options
            .duration()
            .map(|duration| (duration + options.warmup.unwrap_or_default()).as_secs_f64());
        Self { bar, last: (0, 0.0), requests: options.requests, seconds }
    }

    /// Shows how far it is.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a bar has a thousand steps"
    )]
    pub fn show(&mut self, progress: &Progress<'_>) {
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
        let latency = Counters::latency(progress.all_counters, Span::Response);
        let eta = if done > 0.0 { progress.seconds * (1.0 - done) / done } else { 0.0 };
        self.bar.set_position((done * 1000.0) as u64);
        self.bar.set_message(format!(
            "{rate:.0}/s, p50 {}, p99 {}, {failed} failed, {} left",
            time(latency.p50),
            time(latency.p99),
            humantime::format_duration(Duration::from_secs(eta.ceil() as u64)),
        ));
    }

    /// Takes the line away.
    pub fn end(self) {
        self.bar.finish_and_clear();
    }
}

/// The figures of a run.
#[must_use]
pub fn figures(run: &Run, options: &Options) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        writeln!(text, "{name:<16}{value}").expect("writing to a string does not fail");
    };
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
    for hint in mends(run) {
        line("", &hint);
    }
    line("received", &bytes(run));
    if run.lingered > 0 {
        line("waited", &lingered(run));
    }
    line("connecting", &latency(&run.connect_us));
    line("response", &latency(&run.response_us));
    line("client", &client(run));
    if options.ab {
        line("as ab counts", &as_ab_counts(run));
    }
    text
}

/// What is to be done about failures that are not the server's.
fn mends(run: &Run) -> Vec<String> {
    let has = |kind: Kind| run.failures.contains_key(kind.name());
    if !has(Kind::NoLocalPort) {
        return Vec::new();
    }
    [
        "no local port: all ports of the local addresses were taken towards this server. More of",
        "them: --source A-B with more addresses (127.0.0.2-127.0.0.20), or",
        "sysctl -w net.ipv4.ip_local_port_range='10240 65535'; sooner again:",
        "sysctl -w net.ipv4.tcp_tw_reuse=1; or fewer: a smaller -c, and no --close",
    ]
    .map(str::to_owned)
    .into()
}

/// What was lost to a server that doesn't close.
fn lingered(run: &Run) -> String {
    format!(
        "{} {} not closed by the server after the last response, though that was agreed \
         (Connection: close,\n{:16}or HTTP/1.0); the client waited {} s for each, so the rate says \
         little",
        run.lingered,
        if run.lingered == 1 { "connection was" } else { "connections were" },
        "",
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
        .map(|(kind, count)| format!("{} {count}", kind.replace('_', " ")))
        .collect();
    format!("{} ({})", run.failed, kinds.join(", "))
}

#[allow(clippy::cast_precision_loss, reason = "megabytes have one digit behind the point")]
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

fn client(run: &Run) -> String {
    let mut text = format!(
        "{} {}, {:.2} s of CPU, the busiest {:.0} % of its time",
        run.processes,
        if run.processes == 1 { "process" } else { "processes" },
        run.client_cpu_seconds,
        run.client_busiest * 100.0
    );
    if run.died > 0 {
        write!(text, "; {} DIED", run.died).expect("writing to a string does not fail");
    }
    if run.client_was_the_limit {
        text.push_str(
            "\n                THE CLIENT WAS THE LIMIT: these are its figures, not the \
                       server's; give it more --processes",
        );
    }
    text
}

/// The line of failures that ab would print. It counts a connection that breaks within a response
/// up to three times: for the error, for the read, and for the length.
fn as_ab_counts(run: &Run) -> String {
    let sum = |kinds: &[Kind]| -> u64 {
        kinds.iter().filter_map(|kind| run.failures.get(kind.name())).sum()
    };
    let connect =
        sum(&[Kind::ConnectRefused, Kind::ConnectTimedOut, Kind::ConnectFailed, Kind::NoLocalPort]);
    let broken = sum(&[Kind::ResetBeforeResponse, Kind::ResetWithinResponse]);
    let length = broken + sum(&[Kind::Short, Kind::WrongBytes]);
    format!(
        "Failed requests: {} (Connect: {connect}, Receive: {broken}, Length: {length}, \
         Exceptions: {broken})\n                ab counts one broken connection up to three \
         times; above, each failure stands once",
        connect + broken + length + broken
    )
}

/// A time given in microseconds, with a unit that suits it.
fn time(micros: f64) -> String {
    if micros < 1000.0 {
        format!("{micros:.0} us")
    } else if micros < 1e6 {
        format!("{:.2} ms", micros / 1e3)
    } else {
        format!("{:.2} s", micros / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::options;

    #[test]
    fn times_have_three_digits_or_so() {
        assert_eq!(time(0.0), "0 us");
        assert_eq!(time(999.4), "999 us");
        assert_eq!(time(1234.0), "1.23 ms");
        assert_eq!(time(2_500_000.0), "2.50 s");
    }

    fn shown(run: &Run) -> String {
        let words = ["uringload", "http://a/"];
        let options = options::parse(words).expect("it is a load");
        figures(run, &options)
    }

    #[test]
    fn what_can_be_mended_is_said_with_what_mends_it() {
        let failures = |kind: &str| [(kind.to_owned(), 2)].into();
        let run = Run { failed: 2, failures: failures("no_local_port"), ..Run::default() };
        for hint in ["--source", "net.ipv4.ip_local_port_range", "tcp_tw_reuse=1", "smaller -c"] {
            assert!(shown(&run).contains(hint), "{}", shown(&run));
        }
        let run = Run { failed: 2, failures: failures("short"), ..Run::default() };
        assert!(!shown(&run).contains("--source") && !shown(&run).contains("waited"));
        let run = Run { lingered: 1, ..Run::default() };
        assert!(shown(&run).contains("1 connection was not closed by the server"));
        let run = Run { interrupted: true, ..Run::default() };
        assert!(shown(&run).contains("interrupted"));
    }

    #[test]
    fn one_reset_is_three_failures_for_ab() {
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
