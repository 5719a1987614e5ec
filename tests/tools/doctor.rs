//! `uringstatic doctor` on this machine, compared with `/proc` and with the server's own start.

use serde_json::Value;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_uringstatic");

#[test]
fn text_has_a_line_per_check_and_no_colour_in_a_pipe() {
    let output = run(&["doctor", "--load"]);
    let text = String::from_utf8(output.stdout).expect("output is UTF-8");
    let names =
        ["kernel", "seccomp", "ring", "open_files", "somaxconn", "local_ports", "conntrack"];
    for name in names {
        let is_there = |line: &str| {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("ok" | "warning" | "fault") => words.next() == Some(name),
                // Below the finding that it follows from.
                Some("therefore") => words.next() == Some(&format!("{name}:")),
                _ => false,
            }
        };
        assert!(text.lines().any(is_there), "{name} is missing: {text}");
    }
    assert!(!text.contains('\x1b'), "{text}");
    assert!(text.contains("for --spawn 5000 --backlog 4096 --load"), "{text}");
}

#[test]
fn json_has_its_schema_and_the_values_of_proc() {
    let output = run(&["doctor", "--json", "--spawn", "10", "--backlog", "1", "--load"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("output is JSON");
    assert_eq!(report["schema"], "uringstatic-doctor/1");
    let purpose = &report["purpose"];
    assert_eq!((&purpose["spawn"], &purpose["backlog"]), (&10.into(), &1.into()));
    assert_eq!(purpose["load"], true);
    assert_eq!(purpose["workers"], 1);
    let is_fault = report["status"] == "fault";
    assert_eq!(output.status.code(), Some(i32::from(is_fault)), "{report:#}");
    for (name, setting) in [
        ("kernel", "kernel/osrelease"),
        ("somaxconn", "net/core/somaxconn"),
        ("tcp_max_syn_backlog", "net/ipv4/tcp_max_syn_backlog"),
        ("tcp_tw_reuse", "net/ipv4/tcp_tw_reuse"),
    ] {
        let value =
            std::fs::read_to_string(format!("/proc/sys/{setting}")).expect("the setting exists");
        let check = check(&report, name);
        let found = check["found"].as_str().expect("output is UTF-8");
        assert!(found.contains(value.trim()), "{name}: {value}: {check:#}");
        assert!(check["why"].as_str().is_some_and(|why| why.ends_with('.')), "{check:#}");
    }
}

#[test]
fn the_server_fails_to_start_where_the_doctor_finds_a_fault() {
    // 100 files don't suffice for 5000 connections; 200 suffice for 5.
    for (limit, spawn, is_enough) in [(100, "5000", false), (200, "5", true)] {
        let doctor = limited(limit, &["doctor", "--json", "--spawn", spawn]);
        let report: Value = serde_json::from_slice(&doctor.stdout).expect("output is JSON");
        let files = check(&report, "open_files");
        assert_eq!(files["status"] == "ok", is_enough, "{files:#}");
        assert!(is_enough || doctor.status.code() == Some(1), "{report:#}");
    }
    let text = limited(100, &["doctor"]);
    assert_eq!(text.status.code(), Some(1));
    let text = String::from_utf8(text.stdout).expect("output is UTF-8");
    assert!(text.contains("hard limit 100; 5128 needed"), "{text}");
    assert!(
        text.contains("fix: ") && text.contains("sudo prlimit --pid $$ --nofile=5128"),
        "{text}"
    );
    let server = limited(100, &["--listen", "127.0.0.1:0"]);
    assert_eq!(server.status.code(), Some(1));
    let text = String::from_utf8(server.stderr).expect("output is UTF-8");
    assert!(text.contains("5128 open files: the hard limit is 100"), "{text}");
}

#[test]
fn a_sufficient_limit_of_locked_memory_is_no_fault() {
    // 336 KiB suffice for a ring for 5000 connections, but not for another ring beside it. The
    // kernel counts by user, so the test needs a user without other processes, which only root can
    // become.
    if !uringstatic::os::privileges::is_root() {
        return;
    }
    let shell = "ulimit -l 336 && exec \"$0\" \"$@\"";
    for user in 54_400..54_410 {
        let mut command = Command::new("sh");
        command.args(["-c", shell, PROGRAM, "doctor", "--json", "--spawn", "5000"]);
        let output = command.uid(user).gid(user).stdin(Stdio::null()).output();
        let output = output.expect("there is a shell");
        let report: Value = serde_json::from_slice(&output.stdout).expect("output is JSON");
        assert_ne!(check(&report, "ring")["status"], "fault", "{report:#}");
        assert_ne!(check(&report, "locked_memory")["status"], "fault", "{report:#}");
    }
}

#[test]
fn the_verdict_on_the_sandbox_is_that_of_the_program() {
    let as_user = |user: Option<u32>, options: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(options).stdin(Stdio::null());
        user.map(|id| command.uid(id).gid(id));
        let output = command.output().expect("the program was built");
        serde_json::from_slice::<Value>(&output.stdout).expect("output is JSON")
    };
    // Only root can become another user, to whom the kernel refuses the filter of sockets.
    let user = uringstatic::os::privileges::is_root().then_some(54_411);
    for user in [None, user] {
        for engine in ["auto", "epoll"] {
            let record = as_user(user, &["lockdown", "--json", "--engine", engine]);
            let report = as_user(user, &["doctor", "--json", "--engine", engine]);
            let finding = check(&report, "lockdown");
            let word = record["lockdown"].as_str().expect("the word is text");
            let found = finding["found"].as_str().expect("output is UTF-8");
            assert!(found.starts_with(word), "{word}: {finding:#}");
            assert_eq!(finding["status"] == "ok", word == "full", "{finding:#}");
            for process in record["processes"].as_array().expect("it is a list") {
                for layer in process["layers"].as_array().expect("it is a list") {
                    let why = layer["why"].as_str().expect("the reason is text");
                    assert!(layer["complete"] == true || found.contains(why), "{why}: {found}");
                    let abi = why.split(':').next().expect("a split has a first part");
                    assert!(layer["layer"] != "landlock" || word != "full" || found.contains(abi));
                }
            }
        }
    }
}

#[test]
fn settings_that_cannot_be_seen_are_not_known() {
    // A mount needs root, and subset=pid Linux 5.8.
    let script = "mount -t proc -o subset=pid proc /proc && exec \"$0\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, PROGRAM, "doctor", "--load", "--json"]);
    let output = command.stdin(Stdio::null()).output().expect("util-linux has unshare");
    let Ok(report) = serde_json::from_slice::<Value>(&output.stdout) else {
        assert!(!uringstatic::os::privileges::is_root(), "{output:?}");
        return;
    };
    for name in [
        "kernel",
        "io_uring_disabled",
        "somaxconn",
        "tcp_max_syn_backlog",
        "tcp_orphans",
        "tcp_fastopen",
        "tcp_syncookies",
        "local_ports",
        "tcp_tw_reuse",
        "conntrack",
    ] {
        let finding = check(&report, name);
        assert_eq!(finding["status"], "warning", "{finding:#}");
        let found = finding["found"].as_str().expect("output is UTF-8");
        assert!(found.starts_with("not known: /proc/sys/"), "{finding:#}");
        assert_eq!(finding["cause"], "proc", "{finding:#}");
    }
    assert_eq!(check(&report, "proc")["status"], "warning");
}

#[test]
fn one_limit_is_one_finding_with_one_remedy() {
    let text = limited(256, &["doctor", "--spawn", "5000"]);
    let text = String::from_utf8(text.stdout).expect("output is UTF-8");
    assert_eq!(text.matches("--nofile=5128").count(), 1, "{text}");
    assert!(text.contains("1 fault, "), "{text}");
}

#[test]
fn the_number_of_workers_is_part_of_the_workload() {
    let run = |workers: &str| {
        let output = run(&["doctor", "--json", "--spawn", "100", "--workers", workers]);
        serde_json::from_slice::<Value>(&output.stdout).expect("output is JSON")
    };
    let report = run("3");
    assert_eq!(report["purpose"]["workers"], 3);
    let found = |report: &Value, name: &str| check(report, name)["found"].to_string();
    assert!(found(&report, "open_files").contains("162 needed by each worker"), "{report:#}");
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    assert_eq!(run("auto")["purpose"]["workers"], cores);
}

#[test]
fn locked_memory_is_rated_for_root_too() {
    if !uringstatic::os::privileges::is_root() {
        return;
    }
    let output = run(&["doctor", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("output is JSON");
    let memory = check(&report, "locked_memory");
    assert!(!memory["found"].as_str().is_some_and(|text| text.contains("root")), "{memory:#}");
}

#[test]
fn wrong_options_exit_with_2_and_the_usage() {
    for wrong in [
        &["doctor", "--no-such-option"][..],
        &["doctor", "--spawn", "0"],
        &["doctor", "--listen", "127.0.0.1:0"],
        &["doctor", "doctor"],
        &["--spawn", "5", "doctor"],
        &["--json"],
        &["--load"],
        &["doctors"],
    ] {
        let output = run(wrong);
        let text = String::from_utf8(output.stderr).expect("output is UTF-8");
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {text}");
        assert!(text.starts_with("error: ") && text.contains("Usage: "), "{wrong:?}: {text}");
        assert!(output.stdout.is_empty(), "{wrong:?}");
    }
}

fn run(options: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(options).stdin(Stdio::null()).output().expect("the program was built")
}

/// Runs the program with this hard limit of open files.
fn limited(files: u32, options: &[&str]) -> Output {
    let shell = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &shell, PROGRAM]).args(options).stdin(Stdio::null());
    command.output().expect("there is a shell")
}

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().expect("checks are an array");
    checks.iter().find(|check| check["name"] == name).expect("the check exists")
}
