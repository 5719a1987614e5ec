//! The figures of a load against servers that lose responses, delay them or refuse requests: the
//! rate, the books, the latencies, and the reasons of failures.

use super::{RESPONSE, command, json_file, load, misbehave, report, request};
use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use uringstatic::load::report::Run;

/// A server that calls `answer` for each request with its number, from 1, over all connections.
fn numbered(answer: impl Fn(&mut TcpStream, u64) + Send + Sync + 'static) -> String {
    let number = AtomicU64::new(0);
    misbehave(move |mut stream| {
        let _ = stream.set_nodelay(true);
        while request(&mut stream) {
            answer(&mut stream, number.fetch_add(1, Ordering::Relaxed) + 1);
        }
    })
}

/// A server that never answers its 50th request.
fn loses_one() -> String {
    numbered(|stream, number| {
        if number == 50 {
            // Until the client gives up.
            let _ = stream.peek(&mut [0]);
        } else {
            let _ = stream.write_all(RESPONSE);
        }
    })
}

fn slow(delay: Duration) -> String {
    numbered(move |stream, _| {
        std::thread::park_timeout(delay);
        let _ = stream.write_all(RESPONSE);
    })
}

/// The rate is that of the requests in time over the time in which requests were made.
fn assert_rate(run: &Run, seconds: f64) {
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let expected = run.requests_in_time as f64 / seconds;
    let rate = run.rate.expect("requests were answered in time");
    assert!((rate - expected).abs() < 0.02 * expected, "{rate} for {expected}: {run:?}");
    assert!((run.seconds - seconds).abs() < 0.02 * seconds, "{run:?}");
}

fn assert_books(run: &Run) {
    assert_eq!(run.due, run.sent + run.not_sent, "{run:?}");
    assert_eq!(run.sent, run.requests + run.failed + run.outstanding, "{run:?}");
}

#[test]
fn a_lost_response_does_not_change_the_rate() {
    for words in [
        &["-c", "4", "-d", "1s"][..],
        &["-c", "4", "-d", "1s", "--rate", "200"],
        &["-c", "4", "-d", "1s", "--rate", "200", "--processes", "2"],
    ] {
        let begun = Instant::now();
        let (output, run) = load(&[words, &["--grace", "700ms"]].concat(), &loses_one());
        assert!(begun.elapsed() < Duration::from_secs(8), "--grace ends the wait, not --timeout");
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        assert_rate(&run, 1.0);
        assert_books(&run);
        assert_eq!((run.outstanding, run.failed), (1, 0), "{words:?}: {run:?}");
        assert!((0.65..0.9).contains(&run.finishing_seconds), "{words:?}: {run:?}");
        // It counts with the time that it waited.
        assert_eq!(run.response_us.count, run.requests + 1, "{words:?}");
        assert_eq!(run.response_us.unanswered, 1);
        assert!(run.response_us.max > Some(700_000.0), "{words:?}: {:?}", run.response_us);
        let text = String::from_utf8(output.stdout).expect("figures are UTF-8");
        assert!(text.contains("finishing") && text.contains(" s, 1 outstanding"), "{text}");
    }
}

#[test]
fn an_open_loop_lasts_as_long_as_its_rate_says() {
    for (words, requests, seconds) in [
        (&["--rate", "1", "-d", "500ms"][..], 1, 0.5),
        (&["--rate", "10", "-n", "5"], 5, 0.5),
        (&["--rate", "4", "-d", "1s"], 4, 1.0),
        (&["--rate", "10", "-d", "450ms"], 5, 0.45),
    ] {
        let (output, run) = load(&[words, &["-c", "2"]].concat(), &slow(Duration::ZERO));
        assert!(output.status.success(), "{words:?}: {output:?}");
        assert_eq!((run.requests, run.requests_in_time), (requests, requests), "{words:?}");
        assert_rate(&run, seconds);
        assert!(!run.rate_missed, "{words:?}: {run:?}");
        assert_eq!(run.short, seconds < 1.0, "{words:?}");
    }
}

#[test]
fn responses_after_the_end_count_but_not_in_the_rate() {
    let words = ["-c", "20", "-d", "1s", "--rate", "10"];
    let (output, run) = load(&words, &slow(Duration::from_millis(450)));
    assert!(output.status.success(), "{output:?}");
    // Of those due at 0, 100 ... 900 ms, the last five are answered after a second.
    assert_eq!((run.requests, run.sent, run.outstanding), (10, 10, 0), "{run:?}");
    assert!((4..=6).contains(&run.requests_in_time), "{run:?}");
    assert_eq!(run.rate_held, Some(10.0));
    assert_rate(&run, 1.0);
    assert!(run.finishing_seconds > 0.2, "{run:?}");
}

#[test]
fn a_timeout_counts_with_at_least_its_limit() {
    let url = numbered(|stream, number| {
        if number.is_multiple_of(3) {
            std::thread::park_timeout(Duration::from_secs(2));
        }
        let _ = stream.write_all(RESPONSE);
    });
    let words = ["-c", "60", "-n", "60", "--rate", "60", "--timeout", "400ms"];
    let (_, run) = load(&words, &url);
    assert_books(&run);
    assert_eq!(run.failures.get("reply_timed_out"), Some(&20), "{run:?}");
    assert_eq!((run.response_us.count, run.response_us.unanswered), (60, 20));
    assert!(run.response_us.p90 >= Some(400_000.0), "{:?}", run.response_us);
    assert!(run.response_us.p50 < Some(200_000.0), "{:?}", run.response_us);
    let (_, run) = load(&["-c", "2", "-n", "4", "--timeout", "300ms"], &loses_all());
    assert!(run.response_us.min >= Some(300_000.0), "{:?}", run.response_us);
}

fn loses_all() -> String {
    misbehave(|mut stream| while request(&mut stream) {})
}

#[test]
fn requests_that_no_connection_could_send_are_not_sent_and_the_rate_is_missed() {
    let words = ["-c", "2", "-d", "1s", "--rate", "50"];
    let (output, run) = load(&words, &slow(Duration::from_millis(500)));
    assert_eq!(output.status.code(), Some(1));
    assert_books(&run);
    assert_eq!((run.due, run.failed), (50, 0), "{run:?}");
    assert!(run.sent <= 6 && run.rate_missed, "{run:?}");
    assert!(run.rate_held <= Some(6.0), "{run:?}");
    let text = String::from_utf8(output.stdout).expect("figures are UTF-8");
    assert!(text.contains(" of 50 per second; 4"), "{text}");
    assert!(text.contains("were due and never sent"), "{text}");
    // They waited: the latencies are not those of the sent ones alone.
    assert_eq!(run.response_us.count, 50);
    // With a number of requests, all are sent, if late.
    let words = ["-c", "1", "-n", "6", "--rate", "20"];
    let (output, run) = load(&words, &slow(Duration::from_millis(200)));
    assert_eq!((run.sent, run.requests, run.rate_missed), (6, 6, true), "{run:?}");
    assert_eq!(output.status.code(), Some(1));
    let words = [&words[..], &["--allow-missed-rate"]].concat();
    let (output, run) = load(&words, &slow(Duration::from_millis(200)));
    assert_eq!((output.status.code(), run.rate_missed), (Some(0), true), "{run:?}");
}

#[test]
fn figures_without_a_measurement_are_null_and_empty() {
    let csv = json_file().with_extension("csv");
    let path = csv.to_str().expect("the path is UTF-8");
    let words = ["-c", "1", "-d", "300ms", "--csv", path];
    let url = misbehave(|mut stream| {
        while request(&mut stream) {
            let _ = stream.write_all(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let (output, report) = report(&words, &url);
    assert_eq!(output.status.code(), Some(1));
    let run = &report["runs"][0];
    assert!(run["error_us"]["p99"].as_f64() > Some(0.0), "{run}");
    for figure in ["min", "mean", "p50", "p90", "p99", "p99_9", "max"] {
        assert!(run["response_us"][figure].is_null(), "{figure}: {run}");
    }
    let text = std::fs::read_to_string(&csv).expect("the CSV was written");
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    let of = |name: &str| {
        lines[1][lines[0].iter().position(|&known| known == name).expect("the column exists")]
    };
    assert_eq!(of("response_us_p99"), "");
    assert_eq!(of("statuses"), format!("503={}", of("wrong_status")));
}

#[test]
fn a_load_that_measures_nothing_says_so_and_fails() {
    for words in [
        &["-c", "2", "--warmup", "200ms", "-d", "100ms", "--timeout", "1s"][..],
        &["-c", "2", "-d", "1us"],
    ] {
        let (output, run) = load(words, &slow(Duration::from_millis(600)));
        assert_eq!((run.requests, run.failed), (0, 0), "{words:?}: {run:?}");
        assert_eq!(output.status.code(), Some(1), "{words:?}: {output:?}");
        let text = String::from_utf8(output.stdout).expect("figures are UTF-8");
        assert!(text.contains("NOTHING WAS MEASURED"), "{words:?}: {text}");
    }
}

#[test]
fn statuses_and_the_first_failure_are_shown() {
    let url = numbered(|stream, number| {
        let busy = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\n\x01usy";
        let _ = stream.write_all(if number.is_multiple_of(4) { busy } else { RESPONSE });
    });
    let (output, run) = load(&["-c", "2", "-n", "40"], &url);
    assert_eq!(run.statuses, [(200, 30), (503, 10)].into());
    assert_eq!((run.error_us.count, run.response_us.count), (10, 30));
    let text = String::from_utf8(output.stdout).expect("figures are UTF-8");
    assert!(text.contains("200 × 30, 503 × 10"), "{text}");
    let bytes = r"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\n\x01usy";
    assert!(text.contains(&format!("wrong status; the response: \"{bytes}\"")), "{text}");
    let first = run.first_failure.expect("a request failed");
    assert_eq!((first.kind.as_str(), first.bytes.as_str()), ("wrong_status", bytes));
    // In pieces, and long.
    let url = misbehave(|mut stream| {
        let _ = stream.set_nodelay(true);
        if request(&mut stream) {
            for byte in b"HTTP/1.1 200 OK\r\nX: " {
                let _ = stream.write_all(&[*byte]);
            }
            let _ = stream.write_all(&[b'y'; 1000]);
        }
    });
    let (_, run) = load(&["-c", "1", "-n", "1"], &url);
    let first = run.first_failure.expect("the response was short");
    assert_eq!((first.kind.as_str(), first.cut), ("short", true));
    assert!(first.bytes.starts_with(r"HTTP/1.1 200 OK\r\nX: yyy"), "{}", first.bytes);
    assert_eq!(first.bytes.len(), 256 + 2, "a line end is two bytes, and four characters");
}

#[test]
fn an_interrupted_load_says_what_it_waits_for_and_ends_within_a_second() {
    for signals in [1, 2] {
        let (sender, receiver) = std::sync::mpsc::channel();
        let url = misbehave(move |mut stream| {
            while request(&mut stream) {
                let _ = sender.send(());
            }
        });
        let mut client = command(&["-d", "60s", "-c", "3"], &json_file(), &url);
        let client = client.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let client = client.expect("the load client runs");
        (0..3).for_each(|_| receiver.recv().expect("the client sends requests"));
        let begun = Instant::now();
        for _ in 0..signals {
            let kill = Command::new("kill").args(["-INT", &client.id().to_string()]).status();
            assert!(kill.expect("kill(1) exists").success());
        }
        let output = client.wait_with_output().expect("the load client ends");
        assert!(begun.elapsed() < Duration::from_secs(5), "not the timeout of 30 s");
        assert_eq!(output.status.code(), Some(130));
        let text = String::from_utf8(output.stdout).expect("figures are UTF-8");
        assert!(text.contains(", 3 outstanding") && !text.contains("DIED"), "{text}");
        let said = String::from_utf8(output.stderr).expect("messages are UTF-8");
        assert!(said.contains("waiting for 3 responses"), "{said}");
        assert!(!said.contains("worker"), "{said}");
    }
}

#[test]
fn lists_of_rates_and_repetitions_make_a_run_each() {
    let words =
        ["-c", "1,2", "--rate", "50,100", "--repeat", "2", "-n", "5", "--allow-missed-rate"];
    let words = [&words[..], &["--label", "a name"]].concat();
    let (output, report) = report(&words, &slow(Duration::ZERO));
    assert!(output.status.success(), "{output:?}");
    assert_eq!(report["label"], "a name");
    let runs = report["runs"].as_array().expect("runs are a list");
    let of = |run: &serde_json::Value| (run["rate_asked"].as_f64(), run["connections"].as_u64());
    let runs: Vec<_> = runs.iter().map(of).collect();
    let expected: Vec<_> = [(50.0, 1), (50.0, 2), (100.0, 1), (100.0, 2)]
        .into_iter()
        .flat_map(|(rate, connections)| [(Some(rate), Some(connections)); 2])
        .collect();
    assert_eq!(runs, expected);
}
