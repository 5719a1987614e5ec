//! The access log as an operator has it: its lines, its rotation, and what the deaths of processes,
//! a stalled reader and a full disk do to it.

use crate::common::processes::{Process, signal, until};
use crate::common::requests::{ask, serve};
use crate::common::{Client, GET, Server, TemporaryFile, TemporaryFolder, pattern};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A log in a folder of its own.
struct Log {
    folder: TemporaryFolder,
}

impl Log {
    fn new() -> Self {
        Self { folder: TemporaryFolder::with(&[]) }
    }

    fn path(&self) -> PathBuf {
        Path::new(self.folder.path()).join("access.log")
    }

    fn start(&self, options: &[&str]) -> Server {
        let path = self.path();
        let path = path.to_str().expect("it is text");
        Server::start(&[&["--access-log", path], options].concat())
    }

    /// The lines, once there are so many.
    fn lines(&self, count: usize) -> Vec<String> {
        lines_of(&self.path(), count)
    }

    /// The same of JSON.
    fn objects(&self, count: usize) -> Vec<Value> {
        let object = |line: &String| serde_json::from_str(line).expect("a line is an object");
        self.lines(count).iter().map(object).collect()
    }
}

fn lines_of(path: &Path, count: usize) -> Vec<String> {
    until("the lines are written", || {
        let text = std::fs::read_to_string(path).ok()?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (lines.len() >= count && text.ends_with('\n')).then_some(lines)
    })
}

fn logger(server: &Server) -> u32 {
    until("there is a logger", || {
        let children = Process::children_of(server.id()).into_iter();
        let mut loggers = children.filter(|it| it.name == "uringstatic-log" && !it.is_zombie());
        loggers.next().map(|logger| logger.pid)
    })
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\nUser-Agent: test\r\n\r\n")
}

#[test]
fn each_request_has_a_line_in_the_combined_format() {
    let log = Log::new();
    let server = log.start(&[]);
    server.ask(get("/a?b"));
    server.ask("GET / HTTP/1.1\r\nHost: a\r\nReferer: http://r/\r\nRange: bytes=0-9\r\n\r\n");
    let mut client = server.connect();
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.response_to_head();
    server.ask("no request\r\n\r\n");
    let lines = log.lines(4);
    let parts: Vec<&str> =
        lines.iter().map(|line| line.split_once("] ").expect("the time has an end").1).collect();
    assert_eq!(parts[0], "\"GET /a?b HTTP/1.1\" 200 4675 \"-\" \"test\"");
    assert_eq!(parts[1], "\"GET / HTTP/1.1\" 206 10 \"http://r/\" \"-\"");
    assert_eq!(parts[2], "\"HEAD / HTTP/1.1\" 200 0 \"-\" \"-\"");
    assert!(parts[3].starts_with("\"no request\" 400 "), "{}", parts[3]);
    assert!(lines.iter().all(|line| line.starts_with("127.0.0.1 - - [")), "{lines:?}");
    server.end();
    assert_eq!(log.lines(4).len(), 4);
}

#[test]
fn pipelined_requests_have_a_line_each() {
    let log = Log::new();
    let server = log.start(&[]);
    let mut client = server.connect();
    let targets: Vec<String> = (0..50).map(|number| format!("/{}", number / 20)).collect();
    client.send(targets.iter().map(|target| get(target)).collect::<String>());
    for _ in &targets {
        assert_eq!(client.response().status, 200);
    }
    let lines = log.lines(50);
    let found: Vec<&str> = lines.iter().map(|line| line.split(' ').nth(6).unwrap()).collect();
    assert_eq!(found, targets);
    let bytes: Vec<&str> = lines.iter().map(|line| line.split(' ').nth(9).unwrap()).collect();
    assert_eq!(bytes, ["4675"; 50]);
    let totals = server.end();
    assert!(totals.contains(" 50 requests, "), "{totals}");
}

#[test]
fn hostile_octets_forge_neither_a_line_nor_a_terminal_sequence() {
    for format in ["combined", "json"] {
        let log = Log::new();
        let server = log.start(&["--log-format", format]);
        let agent = "x\" 200 1 \"-\" \"\\\",\"status\":1,\u{9b}2J\u{e9}\tz";
        server.ask(format!("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: {agent}\r\n\r\n"));
        server.ask("GET /\x1b]0;title\x07 HTTP/1.1\r\nHost: a\r\n\r\n");
        server.ask("GET /\r127.0.0.1 - - [forged] HTTP/1.1\r\nHost: a\r\n\r\n");
        let lines = log.lines(3);
        server.end();
        assert_eq!(log.lines(3).len(), 3, "{lines:?}");
        let bytes: Vec<u8> = lines.concat().into_bytes();
        assert!(bytes.iter().all(|octet| (0x20..0x7f).contains(octet)), "{lines:?}");
        if format == "json" {
            let object: Value = serde_json::from_str(&lines[0]).expect("it is an object");
            let expected = "x\\x22 200 1 \\x22-\\x22 \\x22\\x5C\\x22,\\x22status\\x22:1,\
                            \\xC2\\x9B2J\\xC3\\xA9\\x09z";
            assert_eq!((&object["status"], &object["user_agent"]), (&200.into(), &expected.into()));
        } else {
            assert_eq!(lines[0].matches('"').count(), 6, "{lines:?}");
        }
    }
}

#[test]
fn sigusr1_opens_the_file_anew_for_logrotate() {
    let log = Log::new();
    let mut server = log.start(&[]);
    let rotated = log.path().with_extension("log.1");
    server.ask(get("/before"));
    log.lines(1);
    for round in 0..3 {
        std::fs::rename(log.path(), &rotated).expect("the folder is ours");
        server.signal("USR1");
        until("the new file is there", || log.path().exists().then_some(()));
        // The logger gets the descriptor a moment after the supervisor has made the file.
        let target = format!("/after{round}");
        until("a line is in the new file", || {
            server.ask(get(&target));
            std::fs::read_to_string(log.path()).ok().filter(|text| text.contains(&target))
        });
    }
    // A folder that isn't there any more is no reason to stop: the old file goes on.
    let moved = format!("{}-moved", log.folder.path());
    std::fs::rename(log.folder.path(), &moved).expect("it is ours");
    server.signal("USR1");
    let line = server.await_line("the old file stays in use");
    assert!(line.contains("access.log"), "{line}");
    server.ask(get("/still"));
    until("the old file goes on", || {
        let text = std::fs::read_to_string(Path::new(&moved).join("access.log")).ok()?;
        text.contains("/still").then_some(())
    });
    std::fs::rename(&moved, log.folder.path()).expect("it is ours");
    server.end();
}

#[test]
fn death_of_a_worker_loses_none_of_its_records() {
    let folder = TemporaryFolder::with(&[("large.bin", &pattern(20 << 20)), ("a.txt", b"a")]);
    let log = Log::new();
    let path = log.path();
    let path = path.to_str().expect("it is text");
    let server = serve(&folder, &["--access-log", path, "--log-format", "json"]);
    for round in 1..=5 {
        let mut slow = server.connect();
        slow.send(get(&format!("/large.bin?{round}")));
        slow.take(1 << 20);
        let mut client = server.connect();
        for number in 0..20 {
            client.send(get(&format!("/a.txt?{round}-{number}")));
            client.response();
        }
        let worker = server.worker(0);
        signal("KILL", worker.into());
        until("it is replaced", || (server.worker(0) != worker).then_some(()));
        let objects = log.objects(22 * (round - 1) + 21);
        let of_round = |object: &&Value| {
            let target = object["target"].as_str().expect("each has one");
            target.contains(&format!("?{round}-")) || target.ends_with(&format!("?{round}"))
        };
        let found: Vec<&Value> = objects.iter().filter(of_round).collect();
        assert_eq!(found.len(), 21, "each request has one line: {found:?}");
        let large = found.iter().find(|it| it["target"] == format!("/large.bin?{round}")).unwrap();
        assert_eq!((&large["complete"], &large["status"]), (&Value::Bool(false), &200.into()));
        let bytes = large["bytes"].as_u64().expect("a number");
        assert!((1 << 20..20 << 20).contains(&bytes), "{large}");
        ask(&server, "GET", "/a.txt", "");
        log.lines(22 * round);
    }
    server.end();
}

#[test]
fn death_of_the_logger_loses_no_line() {
    let log = Log::new();
    let mut server = log.start(&[]);
    let mut client = server.connect();
    for round in 0..6 {
        for number in 0..200 {
            client.send(get(&format!("/{round}-{number}")));
            client.response();
        }
        signal("KILL", logger(&server).into());
        server.await_line("the logger process ended");
        for number in 200..400 {
            client.send(get(&format!("/{round}-{number}")));
            client.response();
        }
    }
    server.end();
    let text = std::fs::read_to_string(log.path()).expect("it is a file");
    for round in 0..6 {
        for number in 0..400 {
            let request = format!("\"GET /{round}-{number} HTTP/1.1\" 200 4675 \"-\" \"test\"\n");
            assert!(text.contains(&request), "{request}");
        }
    }
}

/// Requests that fill a ring: with 512 bytes a record, 8192 of them.
fn fill_ring(server: &Server) -> usize {
    let mut client = server.connect();
    let long = "x".repeat(500);
    let rounds = 100;
    for round in 0..rounds {
        let requests: String =
            (0..100).map(|number| get(&format!("/{round}-{number}?{long}"))).collect();
        let mut sender = client.sender();
        std::thread::scope(|scope| {
            scope.spawn(move || sender.send(requests));
            for _ in 0..100 {
                assert_eq!(client.response().status, 200);
            }
        });
    }
    rounds * 100
}

fn metric(admin: &str, name: &str) -> usize {
    let mut client = Client::connect(admin);
    client.send("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let response = client.response();
    let text = String::from_utf8_lossy(&response.body).into_owned();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{name} is in {text}")).parse().expect("it is a number")
}

#[test]
fn stalled_reader_stops_no_request_and_what_it_misses_is_counted() {
    let pipe = TemporaryFile::vacant("pipe");
    assert!(Command::new("mkfifo").arg(pipe.path()).status().is_ok_and(|it| it.success()));
    // Opening it for reading alone would wait for the server.
    let mut reader = File::options().read(true).write(true).open(pipe.path()).expect("it is ours");
    let admin = TemporaryFile::vacant("sock");
    let address = format!("unix:{}", admin.path());
    let server = Server::start(&["--access-log", pipe.path(), "--admin", &address]);
    let sent = fill_ring(&server);
    let dropped = until("requests without a line are counted", || {
        let dropped = metric(&address, "uringstatic_access_log_dropped_records_total");
        (dropped > 0).then_some(dropped)
    });
    let mut log = Vec::new();
    let mut place = vec![0; 1 << 16];
    while String::from_utf8_lossy(&log).lines().count() < sent - dropped {
        let count = reader.read(&mut place).expect("the pipe is open");
        log.extend_from_slice(&place[..count]);
    }
    server.ask(get("/after"));
    while !log.windows(6).any(|part| part == b"/after") {
        let count = reader.read(&mut place).expect("the pipe is open");
        log.extend_from_slice(&place[..count]);
    }
    let lines = String::from_utf8_lossy(&log).lines().count();
    assert_eq!(lines + dropped, sent + 1, "each request has a line or is counted");
    drop(reader);
    server.end();
}

#[test]
fn service_ends_although_nobody_reads_its_log() {
    let pipe = TemporaryFile::vacant("pipe");
    assert!(Command::new("mkfifo").arg(pipe.path()).status().is_ok_and(|it| it.success()));
    let _reader = File::options().read(true).write(true).open(pipe.path()).expect("it is ours");
    let server = Server::start(&["--access-log", pipe.path()]);
    fill_ring(&server);
    let totals = server.end();
    assert!(totals.contains(" 10000 requests, "), "{totals}");
}

#[test]
fn full_disk_is_reported_once_and_stops_no_request() {
    let mut server = Server::start(&["--access-log", "/dev/full"]);
    server.ask(GET);
    let line = server.await_line("writing the access log");
    assert!(line.contains("No space left on device"), "{line}");
    for _ in 0..100 {
        assert_eq!(server.ask(GET).status, 200);
    }
    let exit = server.end();
    assert!(!exit.contains("writing the access log"), "{exit}");
    assert!(exit.contains(" 101 requests, "), "{exit}");
}

#[test]
fn lines_go_to_standard_output() {
    let server = Command::new(env!("CARGO_BIN_EXE_uringstatic"))
        .args(["--listen", "127.0.0.1:0", "--access-log", "-", "--log-format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut server = server.expect("the program was built");
    let mut messages = String::new();
    let mut stderr = server.stderr.take().expect("it is a pipe");
    let address = loop {
        let mut place = [0; 4096];
        let count = stderr.read(&mut place).expect("it is open");
        assert!(count > 0, "{messages}");
        messages.push_str(&String::from_utf8_lossy(&place[..count]));
        if let Some((_, rest)) = messages.split_once("ready on http://") {
            break rest.split('/').next().expect("a part").to_owned();
        }
    };
    let mut client = Client::connect(&address);
    client.send(get("/out"));
    client.response();
    signal("TERM", server.id().into());
    let mut text = String::new();
    let mut stdout = server.stdout.take().expect("it is a pipe");
    stdout.read_to_string(&mut text).expect("it is text");
    assert!(server.wait().expect("it ends").success());
    let object: Value = serde_json::from_str(&text).expect("it is one line");
    assert_eq!((&object["target"], &object["schema"]), (&"/out".into(), &SCHEMA.into()));
}

const SCHEMA: &str = "uringstatic-access/1";

#[test]
fn log_of_either_format_can_be_replayed() {
    for format in ["combined", "json"] {
        let log = Log::new();
        let server = log.start(&["--log-format", format]);
        for target in ["/a", "/b?c=%22", "/~d'(e)|;f=/..%2f", "/a"] {
            server.ask(get(target));
        }
        server.ask("broken\r\n\r\n");
        // A target that is cut in the log isn't the one that was requested.
        server.ask(get(&format!("/{}", "x".repeat(1000))));
        let lines = log.lines(6).join("\n");
        server.end();
        let replayed = Log::new();
        let server = replayed.start(&["--log-format", format]);
        let load = Command::new(env!("CARGO_BIN_EXE_uringload"))
            .args(["-c", "1", "--replay"])
            .arg(log.path())
            .arg(format!("http://{}/", server.addresses[0]))
            .output();
        let load = load.expect("the program was built");
        let said = String::from_utf8_lossy(&load.stderr).into_owned()
            + &String::from_utf8_lossy(&load.stdout);
        assert!(load.status.success(), "{said}");
        let second = replayed.lines(4);
        server.end();
        assert_eq!(replayed.lines(4).len(), 4, "{said}\n{second:?}\n{lines}");
        let target = |line: &str| match format {
            "json" => {
                let object: Value = serde_json::from_str(line).expect("an object");
                object["target"].as_str().unwrap_or_default().to_owned()
            }
            _ => line.split(' ').nth(6).unwrap_or_default().to_owned(),
        };
        let first: Vec<String> = lines.lines().take(4).map(target).collect();
        let second: Vec<String> = second.iter().map(|line| target(line)).collect();
        assert_eq!(second, first, "{said}");
    }
}
