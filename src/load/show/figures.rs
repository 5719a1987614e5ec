//! The figures of a run as lines of text.

use super::numbers::{per_second, time};
use super::targets;
use crate::load::client::LINGER;
use crate::load::report::{FailureKind, FirstFailure, Latency, Run, failure_text};
use crate::text::paragraph;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};

/// The figures of a run as lines of text: of a client on this engine, and on demand as `ab` counts.
#[must_use]
pub fn figures(run: &Run, engine: &str, as_ab: bool) -> String {
    let mut lines = Lines(String::new());
    lines.push("connections", &run.connections);
    lines.push("requests", &requests(run));
    if let (Some(asked), Some(held)) = (run.rate_asked, run.rate_held) {
        lines.push("rate", &held_rate(run, asked, held));
    }
    if run.outstanding > 0 || run.finishing_seconds >= FINISHING_SECONDS_MIN {
        lines.push("finishing", &finishing(run));
    }
    lines.push("failed", &failures(run.failed, &run.failures));
    if run.connects_failed > 0 {
        let connects = failures(run.connects_failed, &run.connect_failures);
        lines.push("not connected", &format!("{connects}; repeated after pauses"));
    }
    if run.connect_failures.contains_key(FailureKind::NoLocalPort.name()) {
        lines.push("", &PORT_HINT);
    }
    if let Some(first) = &run.first_failure {
        lines.push("first failure", &first_failure(first));
    }
    if !run.statuses.is_empty() {
        let statuses = run.statuses.iter().map(|(status, count)| format!("{status} × {count}"));
        lines.push("statuses", &statuses.collect::<Vec<_>>().join(", "));
    }
    lines.push("received", &bytes(run));
    if run.lingered > 0 {
        lines.push("left open", &lingered(run));
    }
    lines.push("connecting", &latency(&run.connect_us));
    if run.handshake_us.count > 0 {
        lines.push("TLS handshake", &latency(&run.handshake_us));
    }
    lines.push("response", &latency(&run.response_us));
    if run.error_us.count > 0 {
        lines.push("wrong response", &latency(&run.error_us));
    }
    for (name, value) in targets::lines(run) {
        lines.push(name, &value);
    }
    lines.push("client", &client(run, engine));
    if run.client_was_the_limit {
        lines.push("", &SATURATED);
    }
    if as_ab {
        lines.push("as ab counts", &as_ab_counts(run));
    }
    if run.due == 0 {
        lines.push("", &NOTHING_MEASURED);
    }
    lines.0
}

/// Lines with a name each, wrapped.
struct Lines(String);

impl Lines {
    fn push(&mut self, name: &str, value: &dyn Display) {
        let first = format!("{name:<NAME_WIDTH$}");
        self.0.push_str(&paragraph(&first, NAME_WIDTH, &value.to_string(), COLUMNS));
    }
}

fn requests(run: &Run) -> String {
    let rate = match run.rate {
        Some(rate) => format!("{} per second", per_second(rate)),
        None => "too few for a rate".to_owned(),
    };
    let mut text = format!("{} in {:.2} s, {rate}", run.requests, run.seconds);
    if run.short && run.rate.is_some() {
        text.push_str(" (a rough figure: less than a second)");
    }
    if run.interrupted {
        text.push_str("; interrupted");
    }
    text
}

/// The rate that was asked for, and the one that was held.
fn held_rate(run: &Run, asked: f64, held: f64) -> String {
    let mut text = format!("held {} of {} per second", per_second(held), per_second(asked));
    if run.not_sent > 0 {
        let (were, are) =
            if run.not_sent == 1 { ("request was", "it") } else { ("requests were", "they") };
        write!(
            text,
            "; {} {were} due and never sent, as no connection was free for {are}: use a larger -c",
            run.not_sent
        )
        .expect("writing to a string does not fail");
    }
    text
}

fn finishing(run: &Run) -> String {
    let mut text = format!("{:.2} s, {} outstanding", run.finishing_seconds, run.outstanding);
    if run.outstanding > 0 && !run.interrupted {
        text.push_str(" (had no response by then; --grace waits longer)");
    }
    text
}

fn failures(count: u64, kinds: &BTreeMap<String, u64>) -> String {
    if count == 0 {
        return "0".to_owned();
    }
    let kinds: Vec<_> =
        kinds.iter().map(|(kind, count)| format!("{} {count}", failure_text(kind))).collect();
    format!("{count} ({})", kinds.join(", "))
}

fn first_failure(first: &FirstFailure) -> String {
    let kind = failure_text(&first.kind);
    if !first.reason.is_empty() {
        return format!("{kind}: {}", first.reason);
    }
    match (first.bytes.is_empty(), first.cut) {
        (true, _) => kind,
        (false, false) => format!("{kind}; the response: \"{}\"", first.bytes),
        (false, true) => format!("{kind}; the response begins: \"{}\"", first.bytes),
    }
}

#[allow(clippy::cast_precision_loss, reason = "megabytes are printed with one decimal")]
fn bytes(run: &Run) -> String {
    let megabytes = run.bytes as f64 / 1e6;
    let rate = match run.bytes_rate {
        Some(rate) => format!(", {:.1} MB per second", rate / 1e6),
        None => String::new(),
    };
    format!("{megabytes:.1} MB{rate}, over {} connections", run.connects)
}

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

fn latency(latency: &Latency) -> String {
    let figures = [
        ("min", latency.min),
        ("p50", latency.p50),
        ("p90", latency.p90),
        ("p99", latency.p99),
        ("p99.9", latency.p99_9),
        ("max", latency.max),
    ];
    let figures: Vec<_> = figures
        .iter()
        .filter_map(|(name, figure)| Some(format!("{name} {}", time((*figure)?))))
        .collect();
    let mut text = if figures.is_empty() { "none".to_owned() } else { figures.join(", ") };
    match latency.unanswered {
        0 => {}
        1 => text.push_str("; 1 of them had no response and counts with the time that it waited"),
        count => write!(
            text,
            "; {count} of them had no response and count with the time that they waited"
        )
        .expect("writing to a string does not fail"),
    }
    text
}

fn client(run: &Run, engine: &str) -> String {
    let mut text = format!(
        "{} {} on {}, {:.2} s of CPU, the busiest {:.0} % of its time",
        run.processes,
        if run.processes == 1 { "process" } else { "processes" },
        engine,
        run.client_cpu_seconds,
        run.client_busiest * 100.0
    );
    if run.died > 0 {
        write!(text, "; {} DIED", run.died).expect("writing to a string does not fail");
    }
    text
}

/// The failures as `ab` would count them. `ab` counts a connection that breaks within a response up
/// to three times: as an exception, as a receive error, and as a wrong length.
fn as_ab_counts(run: &Run) -> String {
    let sum = |kinds: &[FailureKind]| -> u64 {
        kinds.iter().filter_map(|kind| run.failures.get(kind.name())).sum()
    };
    let connect = run.connects_failed;
    let broken = sum(&[FailureKind::ResetBeforeResponse, FailureKind::ResetWithinResponse]);
    let length = broken + sum(&[FailureKind::Short, FailureKind::WrongBytes]);
    format!(
        "Failed requests: {} (Connect: {connect}, Receive: {broken}, Length: {length}, \
         Exceptions: {broken}). ab counts a broken connection up to three times; the line \
         `failed` counts each failure once",
        connect + broken + length + broken
    )
}

/// The width of the names before the figures.
const NAME_WIDTH: usize = 16;
/// The width to which sentences are wrapped.
const COLUMNS: usize = 100;
/// A shorter wait for the last responses isn't worth a line.
const FINISHING_SECONDS_MIN: f64 = 0.1;
/// The remedies for a lack of local ports, which is a failure of the client's machine.
const PORT_HINT: &str = "no local port: all local ports towards this server were in use. Use more \
    addresses (--source 127.0.0.2-127.0.0.20), more ports (sysctl -w \
    net.ipv4.ip_local_port_range='10240 65535'), reuse ports sooner (sysctl -w \
    net.ipv4.tcp_tw_reuse=1), or use fewer: a smaller -c, no --close";
const SATURATED: &str = "THE CLIENT WAS SATURATED: these figures are its own, not the server's; \
    use more --processes";
const NOTHING_MEASURED: &str = "NOTHING WAS MEASURED: no request was sent that counts. A request \
    counts if it is sent after --warmup and within -d, and needs a connection";

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(run: &Run) -> String {
        figures(run, "epoll", false)
    }

    #[test]
    fn figures_name_remedies_open_connections_and_interruptions() {
        let failures = |kind: &str| [(kind.to_owned(), 2)].into();
        let run = Run {
            connects_failed: 2,
            connect_failures: failures("no_local_port"),
            ..Run::default()
        };
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
    fn figures_that_were_not_measured_are_not_shown_as_zero() {
        let text = shown(&Run::default());
        assert!(text.contains("response        none\n"), "{text}");
        assert!(text.contains("too few for a rate"), "{text}");
        assert!(text.contains("NOTHING WAS MEASURED"), "{text}");
        assert!(!text.contains("0 µs"), "{text}");
    }

    #[test]
    fn stragglers_and_a_missed_rate_are_shown_beside_the_rate() {
        let run = Run {
            due: 200,
            sent: 12,
            not_sent: 188,
            requests: 11,
            outstanding: 1,
            seconds: 4.0,
            finishing_seconds: 2.0,
            rate: Some(2.75),
            rate_asked: Some(50.0),
            rate_held: Some(3.0),
            rate_missed: true,
            statuses: [(200, 11)].into(),
            ..Run::default()
        };
        let text = shown(&run);
        for part in [
            "requests        11 in 4.00 s, 2.75 per second\n",
            "rate            held 3 of 50 per second; 188 requests were due and never sent",
            "finishing       2.00 s, 1 outstanding",
            "statuses        200 × 11\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn the_first_failure_is_shown_with_its_response() {
        let first = FirstFailure {
            kind: "wrong_status".into(),
            bytes: "HTTP/1.1 503 Busy\\r\\n".into(),
            cut: false,
            reason: String::new(),
        };
        let run = Run { first_failure: Some(first), ..Run::default() };
        let expected = "first failure   wrong status; the response: \"HTTP/1.1 503 Busy\\r\\n\"\n";
        assert!(shown(&run).contains(expected), "{}", shown(&run));
        let reason = "the server's bytes are not TLS".to_owned();
        let first = FirstFailure { kind: "tls_failed".into(), reason, ..FirstFailure::default() };
        let run = Run { first_failure: Some(first), ..Run::default() };
        let expected = "first failure   tls failed: the server's bytes are not TLS\n";
        assert!(shown(&run).contains(expected), "{}", shown(&run));
    }

    #[test]
    fn ab_counts_one_reset_as_three_failures() {
        let run = Run {
            failed: 2,
            failures: [("reset_before_reply".into(), 2)].into(),
            connects_failed: 1,
            connect_failures: [("connect_refused".into(), 1)].into(),
            ..Run::default()
        };
        let text = as_ab_counts(&run);
        assert!(
            text.starts_with(
                "Failed requests: 7 (Connect: 1, Receive: 2, Length: 2, Exceptions: 2)"
            )
        );
        assert_eq!(failures(run.failed, &run.failures), "2 (reset before reply 2)");
    }
}
