//! `--admin`: metrics, probes and the status, whatever the service is busy with and whatever a
//! client of the admin listener does.

use crate::common::processes::{Process, signal, until};
use crate::common::{Client, GET, Response, Server, TemporaryFile};
use serde_json::Value;
use std::collections::HashMap;

/// A server and the address of its admin listener.
struct Observed {
    server: Server,
    admin: String,
}

impl Observed {
    fn start(options: &[&str]) -> Self {
        Self::start_with("127.0.0.1:0", options)
    }

    fn start_with(address: &str, options: &[&str]) -> Self {
        let server = Server::start(&[&["--admin", address], options].concat());
        let (_, rest) = server.ready.split_once("; admin on ").expect("the ready line has it");
        let (place, _) = rest.split_once(';').expect("more follows");
        let admin = place.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Self { server, admin }
    }

    fn connect(&self) -> Client {
        Client::connect(&self.admin)
    }

    fn ask(&self, path: &str) -> Response {
        self.ask_with(path, "")
    }

    /// The response to a GET with further field lines.
    fn ask_with(&self, path: &str, fields: &str) -> Response {
        let mut client = self.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        client.response()
    }

    fn metrics(&self) -> Metrics {
        let response = self.ask("/metrics");
        assert_eq!(response.status, 200);
        Metrics::parse(&text(&response))
    }

    fn status(&self) -> Value {
        let response = self.ask("/status");
        assert_eq!(response.field("Content-Type"), Some("application/json"));
        serde_json::from_slice(&response.body).expect("it is JSON")
    }

    /// Polls the metrics until a series has this value.
    fn await_value(&self, series: &str, value: f64) -> Metrics {
        until(&format!("{series} {value}"), || {
            let metrics = self.metrics();
            (metrics.of(series).to_bits() == value.to_bits()).then_some(metrics)
        })
    }

    fn admin_process(&self) -> Option<u32> {
        let children = Process::children_of(self.server.id()).into_iter();
        let mut found = children.filter(|it| it.name == "uringstatic-adm" && !it.is_zombie());
        found.next().map(|it| it.pid)
    }
}

fn text(response: &Response) -> String {
    String::from_utf8(response.body.clone()).expect("it is text")
}

/// The samples of one scrape.
struct Metrics(HashMap<String, f64>);

impl Metrics {
    fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let parse = |line: &str| {
            let (series, value) = line.rsplit_once(' ').expect("a value follows");
            (series.to_owned(), value.parse().expect("a value is a number"))
        };
        Self(samples.map(parse).collect())
    }

    /// The value of a series; 0 if there is none.
    fn of(&self, series: &str) -> f64 {
        self.0.get(series).copied().unwrap_or(0.0)
    }

    /// The sum of all series of a name.
    fn sum(&self, name: &str) -> f64 {
        let of_name = |series: &str| series.split('{').next() == Some(name);
        self.0.iter().filter(|(series, _)| of_name(series)).map(|(_, value)| value).sum()
    }

    /// Fails if a counter, or a part of a histogram, is lower than it was before.
    fn assert_not_before(&self, earlier: &Self) {
        let grows = |series: &str| {
            let name = series.split('{').next().unwrap_or_default();
            ["_total", "_bucket", "_sum", "_count"].iter().any(|suffix| name.ends_with(suffix))
        };
        for (series, value) in earlier.0.iter().filter(|(series, _)| grows(series)) {
            assert!(self.of(series) >= *value, "{series}: {} after {value}", self.of(series));
        }
    }
}

const REQUESTS: &str = "uringstatic_http_requests_total";
const DURATIONS: &str = "uringstatic_http_request_duration_seconds_count";

#[test]
fn probes_and_metrics_are_answered_while_connections_hold_all_slots() {
    let observed = Observed::start(&["--spawn", "3", "--head-timeout", "1m"]);
    let mut holders: Vec<_> = (0..3).map(|_| observed.server.connect()).collect();
    for holder in &mut holders {
        holder.send("GET / HTTP/1.1\r\n");
    }
    let metrics = observed.await_value("uringstatic_connections_active", 3.0);
    assert_eq!(metrics.of("uringstatic_connections_limit").to_bits(), 3f64.to_bits());
    for _ in 0..20 {
        assert_eq!((observed.ask("/live").status, observed.ask("/ready").status), (200, 200));
    }
    until("the status has them", || {
        (observed.status()["connections"]["active"] == 3).then_some(())
    });
    for holder in &mut holders {
        holder.send("Host: a\r\n\r\n");
        assert_eq!(holder.response().status, 200);
    }
    observed.await_value(DURATIONS, 3.0);
}

#[test]
fn requests_of_each_method_and_code_are_counted_and_those_for_metrics_are_not() {
    let observed = Observed::start(&["--workers", "2"]);
    let ask = |request: &str| {
        let mut client = observed.server.connect();
        client.send(request);
        client.response_to_head().status
    };
    for (request, status) in [
        (GET.to_owned(), 200),
        (GET.replace("GET", "HEAD"), 200),
        (GET.replace("GET", "POST"), 405),
        (GET.replace("GET", "PROPFIND"), 405),
        (GET.replace("GET", "EVIL\u{7f}"), 400),
        (GET.replace("GET", "UNHEARD"), 501),
        (GET.replace("\r\n\r\n", "\r\nRange: bytes=0-9\r\n\r\n"), 206),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
    ] {
        assert_eq!(ask(&request), status, "{request}");
    }
    let mut client = observed.server.connect();
    client.send(GET.repeat(5));
    for _ in 0..5 {
        client.response();
    }
    let metrics = observed.await_value(DURATIONS, 13.0);
    for (labels, count) in [
        ("method=\"GET\",code=\"200\"", 6.0),
        ("method=\"HEAD\",code=\"200\"", 1.0),
        ("method=\"GET\",code=\"206\"", 1.0),
        ("method=\"other\",code=\"405\"", 2.0),
        ("method=\"other\",code=\"400\"", 2.0),
        ("method=\"other\",code=\"501\"", 1.0),
    ] {
        let found = metrics.of(&format!("{REQUESTS}{{{labels}}}"));
        assert!((found - count).abs() < 0.5, "{labels}: {found}");
    }
    assert!((metrics.sum(REQUESTS) - 13.0).abs() < 0.5, "{}", metrics.sum(REQUESTS));
    let totals = observed.server.end();
    assert!(totals.contains(", 13 requests, "), "{totals}");
    let bytes = metrics.of("uringstatic_http_response_bytes_total");
    assert!(totals.contains(&format!(", {bytes} bytes sent, ")), "{bytes}: {totals}");
}

#[test]
fn a_drain_shows_in_ready_and_status_and_the_probe_of_life_goes_on() {
    let observed = Observed::start(&["--drain-timeout", "1m", "--head-timeout", "1m"]);
    let mut holder = observed.server.connect();
    holder.send("GET / HTTP/1.1\r\n");
    observed.await_value("uringstatic_connections_active", 1.0);
    assert_eq!(observed.ask("/ready").status, 200);
    observed.server.signal("TERM");
    until("the drain is announced", || (observed.ask("/ready").status == 503).then_some(()));
    assert_eq!(observed.ask("/live").status, 200);
    until("the status has it", || (observed.status()["state"] == "draining").then_some(()));
    until("it isn't ready", || (observed.status()["ready"] == false).then_some(()));
    holder.send("Host: a\r\n\r\n");
    assert_eq!(holder.response().status, 200);
    drop(holder);
    let exit = observed.server.wait();
    assert_eq!(exit.code, Some(0), "{}", exit.text);
}

#[test]
fn a_failed_reload_shows_in_status_and_metrics_until_one_succeeds() {
    let page = TemporaryFile::with("txt", b"old");
    let mut observed = Observed::start(&["--page", page.path()]);
    observed.await_value("uringstatic_reload_last_successful", 1.0);
    let moved = TemporaryFile::vacant("txt");
    std::fs::rename(&page.0, &moved.0).expect("the file is ours");
    observed.server.signal("HUP");
    observed.server.await_line("not reloaded");
    let metrics = observed.await_value("uringstatic_reload_last_successful", 0.0);
    let failures = metrics.of("uringstatic_reloads_total{outcome=\"failure\"}");
    assert!((failures - 1.0).abs() < 0.5 && observed.ask("/ready").status == 200);
    let status = until("the status has the failure", || {
        let status = observed.status();
        (status["reload"]["failed"] == 1).then_some(status)
    });
    let error = status["reload"]["error"].as_str().expect("it has an error");
    assert!(error.contains("reading the page"), "{error}");
    assert_eq!(status["generation"], 1);
    std::fs::rename(&moved.0, &page.0).expect("the file is ours");
    observed.server.signal("HUP");
    observed.server.await_line("reloaded");
    let metrics = observed.await_value("uringstatic_reload_last_successful", 1.0);
    assert!((metrics.of("uringstatic_generation") - 3.0).abs() < 0.5, "the second was abandoned");
    until("the error is gone", || {
        (observed.status()["reload"]["error"] == Value::Null).then_some(())
    });
    observed.server.end();
}

#[test]
fn counters_only_grow_while_workers_crash_and_generations_change() {
    let mut observed = Observed::start(&["--workers", "2", "--reload-grace", "0s"]);
    let mut sent = 0;
    let mut ask = |server: &Server, times: u32| {
        for _ in 0..times {
            assert_eq!(server.ask(GET).status, 200);
        }
        sent += times;
        f64::from(sent)
    };
    let mut latest = observed.metrics();
    for round in 1..=3 {
        let sent = ask(&observed.server, 50);
        let metrics = observed.await_value(DURATIONS, sent);
        metrics.assert_not_before(&latest);
        signal("ABRT", observed.server.worker(round % 2).into());
        observed.server.await_line("is replaced");
        let sent = ask(&observed.server, 50);
        let after = observed.await_value(DURATIONS, sent);
        after.assert_not_before(&metrics);
        observed.server.signal("HUP");
        observed.server.await_line("reloaded");
        latest = observed.await_value("uringstatic_generations", 1.0);
        latest.assert_not_before(&after);
        assert!((latest.sum(REQUESTS) - sent).abs() < 0.5, "{}", latest.sum(REQUESTS));
        let restarts = latest.of("uringstatic_worker_restarts_total");
        assert!((restarts - f64::from(round)).abs() < 0.5, "{restarts}");
    }
    observed.await_value("uringstatic_worker_up{worker=\"1\"}", 1.0);
}

#[test]
fn a_killed_admin_process_is_replaced_and_the_service_notices_nothing() {
    let mut observed = Observed::start(&[]);
    let mut client = observed.server.connect();
    assert!(client.is_served());
    let killed = observed.admin_process().expect("it runs");
    signal("KILL", killed.into());
    let line = observed.server.await_line("the admin process ended");
    assert!(line.contains("SIGKILL") && line.contains("it is replaced"), "{line}");
    assert!(client.is_served());
    let metrics = observed.await_value(DURATIONS, 2.0);
    assert!((metrics.sum(REQUESTS) - 2.0).abs() < 0.5);
    assert_ne!(observed.admin_process(), Some(killed));
    let totals = observed.server.end();
    assert!(!totals.contains("lost"), "{totals}");
}

#[test]
fn openmetrics_is_sent_to_a_client_that_prefers_it() {
    let observed = Observed::start(&[]);
    let open = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";
    let response = observed.ask_with("/metrics", open);
    let media_type = response.field("Content-Type").expect("it has one");
    assert!(media_type.starts_with("application/openmetrics-text; version=1.0.0"), "{media_type}");
    assert_eq!(response.field("Vary"), Some("Accept"));
    assert!(text(&response).ends_with("\n# EOF\n"));
    let response = observed.ask_with("/metrics", "Accept: */*\r\n");
    let media_type = response.field("Content-Type").expect("it has one");
    assert!(media_type.starts_with("text/plain; version=0.0.4"), "{media_type}");
    assert!(!text(&response).contains("# EOF"));
}

#[test]
fn a_socket_file_serves_metrics_and_is_removed_at_the_end() {
    let file = TemporaryFile::vacant("sock");
    let observed = Observed::start_with(&format!("unix:{}", file.path()), &[]);
    assert_eq!(observed.admin, format!("unix:{}", file.path()));
    assert_eq!(observed.ask("/ready").status, 200);
    observed.server.end();
    assert!(!file.0.exists());
}

#[test]
fn other_paths_and_methods_are_refused_and_heads_have_no_body() {
    let observed = Observed::start(&[]);
    for path in ["/", "/metrics/", "/metricsx", "/..", "/live/../metrics", "/%6cive", "//live", "*"]
    {
        assert_eq!(observed.ask(path).status, if path == "*" { 400 } else { 404 }, "{path}");
    }
    for path in ["/metrics?x=1", "http://a/metrics"] {
        assert_eq!(observed.ask(path).status, 200, "{path}");
    }
    let answer = |request: &str| {
        let mut client = observed.connect();
        client.send(request);
        client.response_to_head().status
    };
    for (request, status) in [
        ("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 405),
        ("DELETE /live HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("OPTIONS /status HTTP/1.1\r\nHost: a\r\n\r\n", 204),
        ("NONSENSE /live HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        ("GET /live HTTP/1.1\r\n\r\n", 400),
        ("\x16\x03\x01\x02\r\n\r\n", 400),
        ("GET /live HTTP/3.0\r\nHost: a\r\n\r\n", 505),
    ] {
        assert_eq!(answer(request), status, "{request}");
    }
    assert_eq!(
        answer(&format!("GET /live HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n", "x".repeat(20_000))),
        431
    );
    let mut client = observed.connect();
    client.send("HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2));
    let first = client.response_to_head();
    assert!(first.field("Content-Length").is_some_and(|length| length.len() > 3), "{}", first.head);
    assert_eq!(client.response_to_head().status, 200, "no body precedes the second head");
}

#[test]
fn slow_and_silent_clients_of_the_admin_listener_make_room() {
    let observed = Observed::start(&[]);
    let mut slow: Vec<_> = (0..40).map(|_| observed.connect()).collect();
    for (nth, client) in slow.iter_mut().enumerate() {
        match nth % 3 {
            // A head that doesn't end.
            0 => client.send("GET /live HTTP/1.1\r\nHo"),
            // Requests whose responses are never read; the server may have closed by then.
            1 => drop(client.try_send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(300))),
            _ => {}
        }
    }
    for _ in 0..10 {
        assert_eq!((observed.ask("/live").status, observed.ask("/metrics").status), (200, 200));
    }
    drop(slow);
    assert_eq!(observed.ask("/ready").status, 200);
    assert!(observed.server.connect().is_served());
    let totals = observed.server.end();
    assert!(totals.contains("served 1 connections, 1 requests, "), "{totals}");
}

#[test]
fn responses_that_are_read_slowly_are_those_that_were_made() {
    // More bytes than sockets buffer: many listeners make the page long.
    let options: Vec<_> = (0..60).flat_map(|_| ["--listen", "127.0.0.1:0"]).collect();
    let observed = Observed::start(&options);
    let mut slow = observed.connect();
    slow.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(400));
    let first = slow.take(20);
    assert_eq!(first, b"HTTP/1.1 200 OK\r\nDat");
    // Other pages are made while a response waits for room.
    for _ in 0..100 {
        assert_eq!(observed.ask("/status").status, 200);
    }
    take_until(&mut slow, b"\r\n\r\n");
    take_until(&mut slow, b"\nprocess_start_time_seconds ");
    take_until(&mut slow, b"\n");
    for _ in 1..400 {
        let metrics = Metrics::parse(&text(&slow.response()));
        assert!(metrics.of("process_start_time_seconds") > 0.0);
    }
}

/// Takes the next bytes up to the end of this text.
fn take_until(client: &mut Client, text: &[u8]) {
    let mut taken = Vec::new();
    while !taken.ends_with(text) {
        taken.extend(client.take(1));
    }
}

#[test]
fn an_address_that_is_in_use_fails_the_start_with_the_option() {
    let observed = Observed::start(&[]);
    let exit = Server::run(&["--listen", "127.0.0.1:0", "--admin", &observed.admin]);
    assert_eq!(exit.code, Some(1), "{}", exit.text);
    assert!(exit.text.contains("--admin"), "{}", exit.text);
}
