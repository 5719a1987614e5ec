//! What is made of reports: comparisons, merged reports, the search for the highest rate, and the
//! start at a set time.

use super::{RESPONSE, command, json_file, misbehave, request};
use crate::common;
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use uringstatic::load::report::LoadReport;

/// A server that takes this time for each request, each connection by itself.
fn slow(time: Duration) -> String {
    misbehave(move |mut stream| {
        let _ = stream.set_nodelay(true);
        while request(&mut stream) {
            std::thread::park_timeout(time);
            let _ = stream.write_all(RESPONSE);
        }
    })
}

/// Makes a load that writes its report, and returns its file.
fn measured(words: &[&str], url: &str) -> PathBuf {
    let json = json_file();
    let output = command(words, &json, url).output().expect("the load client starts");
    assert!(output.status.success(), "{words:?}: {output:?}");
    json
}

/// Runs a subcommand of the load client on these files.
fn subcommand(words: &[&str], files: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uringload"));
    command.args(words).args(files).stdin(Stdio::null());
    command.output().expect("the load client starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is text")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("the output is JSON")
}

#[test]
fn a_slower_server_differs_and_a_single_run_does_not_tell() {
    let (fast, slow) = (slow(Duration::from_millis(2)), slow(Duration::from_millis(10)));
    let load = |url: &str, label: &str, repeat: &str| {
        measured(&["-c", "2", "-n", "40", "--repeat", repeat, "--label", label], url)
    };
    let before = load(&fast, "before", "4");
    let after = load(&slow, "after", "4");
    let svg = json_file().with_extension("svg");
    let words = ["compare", "--svg", svg.to_str().expect("the path is text")];
    let output = subcommand(&words, &[&before, &after]);
    assert!(output.status.success(), "{output:?}");
    let table = text(&output.stdout);
    assert!(table.starts_with("2 connections, 4 and 4 runs\n"), "{table}");
    let picture = std::fs::read_to_string(svg).expect("the chart is written");
    assert!(picture.contains(">before<") && picture.contains(">after<"));

    let output = subcommand(&["compare", "--json", "-"], &[&before, &after]);
    let comparison = json(&text(&output.stdout));
    assert_eq!(comparison["schema"], "uringload-compare/1");
    for figure in ["rate", "p50_us"] {
        let figures = comparison["settings"][0]["figures"].as_array().expect("there are figures");
        let found = figures.iter().find(|found| found["figure"] == figure).expect("all are there");
        assert_eq!(found["sides"][1]["verdict"], "differs", "{found}");
        assert_eq!(found["sides"][1]["values"].as_array().map(Vec::len), Some(4), "{found}");
    }

    let one = [load(&fast, "", "1"), load(&slow, "", "1")];
    let table = text(&subcommand(&["compare"], &[&one[0], &one[1]]).stdout);
    let of = |name: &str| {
        let mut rows = table.lines().skip_while(|line| !line.starts_with(name));
        rows.nth(1).expect("each figure has two rows").to_owned()
    };
    assert!(of("rate").ends_with("one run each"), "{table}");
    assert!(of("p50").ends_with("differs in one run each"), "{table}");
}

#[test]
fn merged_counts_are_those_of_the_server() {
    let server = common::Server::start(&[]);
    let url = format!("http://{}/", server.addresses[0]);
    let words = ["-c", "10", "-n", "3000"];
    let reports = [measured(&words, &url), measured(&words, &url), measured(&words, &url)];
    let totals = server.end();
    assert!(totals.contains(" 9000 requests"), "{totals}");

    let paths: Vec<&Path> = reports.iter().map(PathBuf::as_path).collect();
    let output = subcommand(&["merge", "--json", "-"], &paths);
    assert!(output.status.success(), "{output:?}");
    // One after another, as the clients were.
    assert!(text(&output.stderr).contains("use --start-at"), "{output:?}");
    let merged: LoadReport = serde_json::from_str(&text(&output.stdout)).expect("it is a report");
    let run = &merged.runs[0];
    assert_eq!((run.connections, run.requests, run.response_us.count), (30, 9000, 9000));
    assert_eq!(run.statuses.get(&200), Some(&9000));
    assert_eq!(merged.load, "GET HTTP/1.1, 3000 requests, by 3 clients");
    assert!(text(&subcommand(&["merge"], &paths).stdout).contains("requests        9000 in "));
}

#[test]
fn a_full_disk_fails_a_comparison_and_a_merge_behind_their_files() {
    let url = slow(Duration::ZERO);
    let reports =
        [measured(&["-n", "2", "-c", "1"], &url), measured(&["-n", "2", "-c", "1"], &url)];
    for command in ["compare", "merge"] {
        for output in [None, Some("-"), Some("/dev/full"), Some("a file")] {
            let json = json_file();
            let mut client = Command::new(env!("CARGO_BIN_EXE_uringload"));
            client.arg(command).args(&reports);
            match output {
                Some("a file") => client.arg("--json").arg(&json),
                Some(path) => client.args(["--json", path]),
                None => &mut client,
            };
            let full = std::fs::File::options().write(true).open("/dev/full").expect("it exists");
            let ended = client.stdout(full).output().expect("the load client starts");
            let said = text(&ended.stderr);
            assert_eq!(ended.status.code(), Some(1), "{command} {output:?}: {said}");
            assert!(said.contains("No space left on device"), "{command} {output:?}: {said}");
            assert_eq!(json.exists(), output == Some("a file"), "{command} {output:?}");
        }
    }
}

#[test]
fn what_is_no_report_is_refused_by_name_and_reason() {
    let file = |content: &str| {
        let path = json_file();
        std::fs::write(&path, content).expect("the file is written");
        path
    };
    let older = file("{\"schema\": \"uringload/1\", \"runs\": []}");
    let sweep = file("{\"schema\": \"uringload-sweep/1\"}");
    let plain = file("requests 3\n");
    let missing = PathBuf::from("/nonexistent.json");
    for (path, reason) in [
        (&older, "it has the schema uringload/1, whose rates include the wait for late responses"),
        (&sweep, "its schema is \"uringload-sweep/1\", not uringload/2"),
        (&plain, "expected value at line 1 column 1"),
        (&missing, "No such file or directory"),
    ] {
        for command in ["compare", "merge"] {
            let output = subcommand(&[command], &[path]);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{command}: {said}");
            assert!(said.contains(path.to_str().expect("the path is text")), "{said}");
            assert!(said.contains(reason), "{command}: {said}");
        }
    }
}

/// Four connections that take 10 ms for each request hold 400 requests per second at most.
#[test]
fn limit_is_below_what_the_server_can_bear() {
    let url = slow(Duration::from_millis(10));
    let json = json_file();
    let words = ["--find-limit", "--slo", "200ms@p90", "-c", "4", "--rate", "50", "-d", "300ms"];
    let output = command(&words, &json, &url).output().expect("the load client starts");
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}");
    let report = std::fs::read_to_string(json).expect("the report is written");
    let report: LoadReport = serde_json::from_str(&report).expect("it is a report");
    let limit = report.limit.expect("the report has the limit");
    let (passed, failed) =
        (limit.passed.expect("a rate passed"), limit.failed.expect("one failed"));
    assert!(limit.confirmed && limit.objective == "200ms@p90", "{limit:?}");
    assert!(passed < 420.0 && passed < failed && failed <= passed * 1.05 + 1e-9, "{limit:?}");
    let at = |rate: f64| report.runs.iter().filter(move |run| run.rate_asked == Some(rate)).count();
    assert!(at(passed) >= 2 && at(failed) >= 2, "both ends of the bracket have two runs");
    assert!(said.contains("50 per second passes: p90 was "), "{said}");
    assert!(said.contains("per second holds 200ms@p90"), "{said}");
}

#[test]
fn load_begins_at_its_time_or_not_at_all() {
    let url = slow(Duration::ZERO);
    let at = |ahead: Duration| {
        let at = SystemTime::now() + ahead;
        let since_1970 = at.duration_since(UNIX_EPOCH).expect("it is after 1970");
        (humantime::format_rfc3339_millis(at).to_string(), since_1970.as_secs_f64())
    };
    let (time, expected) = at(Duration::from_millis(700));
    let report = measured(&["-n", "3", "-c", "1", "--start-at", &time], &url);
    let report = std::fs::read_to_string(report).expect("the report is written");
    let report: LoadReport = serde_json::from_str(&report).expect("it is a report");
    let started = report.runs[0].started_at.expect("the report has its start");
    assert!(started >= expected - 0.002, "{started}, {expected}");

    let json = json_file();
    let passed = ["-n", "3", "--start-at", "2001-01-01T00:00:00Z"];
    let output = command(&passed, &json, &url).output().expect("the load client starts");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("starting at 2001-01-01T00:00:00Z: that time has passed"), "{said}");
}
