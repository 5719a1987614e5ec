//! The load client as a process: its counts against those of the server, and each kind of failure
//! against a server that misbehaves on purpose.

mod figures;
mod reports;
mod targets;

use crate::common;
use seccompiler::SeccompAction;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use uringstatic::load::report::{LoadReport, Run};

/// Runs the load client and returns the first run of its report.
fn load(words: &[&str], url: &str) -> (Output, Run) {
    let (output, report) = report(words, url);
    let report: LoadReport =
        serde_json::from_value(report).expect("the JSON has the schema of a report");
    (output, report.runs[0].clone())
}

/// Runs the load client and returns its report as plain JSON.
fn report(words: &[&str], url: &str) -> (Output, Value) {
    let json = json_file();
    let output = command(words, &json, url).output().expect("the load client starts");
    let text = std::fs::read_to_string(&json).unwrap_or_else(|error| {
        panic!("{words:?}: {error}: {}", String::from_utf8_lossy(&output.stderr))
    });
    (output, serde_json::from_str(&text).expect("the report is JSON"))
}

fn json_file() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("load-{number}.json"))
}

fn command(words: &[&str], json: &Path, url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uringload"));
    command.args(words).arg("--json").arg(json).arg(url);
    command
}

/// A server that runs `script` on each connection, until the test process ends.
fn misbehave(script: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("the listener has an address");
    let script = Arc::new(script);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let script = script.clone();
            std::thread::spawn(move || script(stream));
        }
    });
    format!("http://{address}/")
}

/// Reads one request head; returns false at the end of the stream.
fn request(stream: &mut TcpStream) -> bool {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => bytes.push(byte[0]),
            _ => return false,
        }
    }
    true
}

/// Resets a connection by closing it with unread bytes (RFC 1122 4.2.2.13).
fn reset(stream: TcpStream) {
    let _ = stream.peek(&mut [0]);
    drop(stream);
}

fn assert_only_failure(run: &Run, kind: &str, count: u64) {
    assert_eq!(run.failures.get(kind), Some(&count), "{:?}", run.failures);
    assert_eq!(run.failed, count, "{:?}", run.failures);
}

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn the_client_falls_back_to_epoll_and_says_why() {
    let server = common::Server::start(&[]);
    let url = format!("http://{}/", server.addresses[0]);
    let words = ["-c", "50", "-n", "20000", "--processes", "2"];
    let by = |engine: &[&str], expected: &str| {
        let (output, report) = report(&[&words[..], engine].concat(), &url);
        assert!(output.status.success(), "{engine:?}: {output:?}");
        assert_eq!(report["engine"], expected, "{engine:?}");
        assert_eq!(report["runs"][0]["requests"], 20_000, "{engine:?}");
        let figures = String::from_utf8(output.stdout).expect("figures are text");
        assert!(figures.contains(&format!("2 processes on {expected}, ")), "{figures}");
        String::from_utf8(output.stderr).expect("messages are text")
    };
    assert_eq!(by(&[], "io_uring"), "");
    assert_eq!(by(&["--engine", "epoll"], "epoll"), "");
    let said = common::filter::without_rings(libc::EPERM, || by(&[], "epoll"));
    let reason = "uringload: engine epoll: io_uring_setup is refused by a seccomp filter (EPERM)\n";
    assert_eq!(said, reason);
    let totals = server.end();
    assert!(totals.contains(" 60000 requests"), "{totals}");
}

#[test]
fn an_engine_that_is_asked_for_is_not_replaced_by_the_client() {
    let words = ["-n", "1", "--engine", "io_uring", "http://127.0.0.1:9/"];
    let output = common::filter::without_rings(libc::ENOSYS, || {
        Command::new(env!("CARGO_BIN_EXE_uringload")).args(words).output()
    });
    let output = output.expect("the load client starts");
    let said = String::from_utf8(output.stderr).expect("messages are text");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("--engine auto or --engine epoll makes the load"), "{said}");
}

/// With glibc, fork(3) is clone(2), while `posix_spawn(3)`, by which the test starts the client, is
/// clone3(2).
#[test]
fn limit_on_processes_is_named_by_the_client() {
    let start = |words: &[&str]| {
        let mut client = Command::new(env!("CARGO_BIN_EXE_uringload"));
        client.args(["-n", "1", "http://127.0.0.1:9/"]).args(words);
        let limited = SeccompAction::Errno(libc::EAGAIN.unsigned_abs());
        let output = common::filter::with_filter(&[libc::SYS_clone], limited, || client.output());
        let output = output.expect("the load client starts");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).expect("messages are text")
    };
    for (words, failed) in [
        (&["--engine", "epoll"][..], "starting worker 0: Resource temporarily unavailable"),
        (&[], "trying io_uring (--engine auto): no process can be started for it: Resource"),
    ] {
        let said = start(words);
        assert!(said.contains(failed) && said.contains("raise `ulimit -u`"), "{said}");
    }
}

#[test]
fn client_and_server_count_the_same_requests() {
    for (words, per_connection) in [
        (&["-c", "50"][..], 0),
        (&["-c", "50", "--close"], 1),
        (&["-c", "50", "--ab"], 1),
        (&["-c", "50", "--http1.0"], 0),
        (&["-c", "50", "--pipeline", "16"], 0),
        (&["-c", "50", "--method", "HEAD"], 0),
        (&["-c", "50", "--processes", "2"], 0),
        (&["-c", "50", "--body", "0123456789", "--method", "POST", "--status", "405"], 0),
        (&["-c", "20", "--source", "127.0.0.2-127.0.0.9"], 0),
    ] {
        let server = common::Server::start(&[]);
        let words = [words, &["-n", "20000"]].concat();
        let (output, run) = load(&words, &format!("http://{}/", server.addresses[0]));
        assert!(output.status.success(), "{words:?}: {output:?}");
        assert_eq!((run.requests, run.failed, run.died), (20_000, 0, 0), "{words:?}");
        assert_eq!(run.response_us.count, 20_000);
        assert_eq!(run.connect_us.count, run.connects);
        if per_connection > 0 {
            assert_eq!(run.connects, 20_000, "{words:?}");
        }
        let totals = server.end();
        assert!(totals.contains(" 20000 requests"), "{words:?}: {totals}");
    }
}

#[test]
fn one_different_byte_fails_every_request() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/site/page.html");
    let page = page.to_str().expect("a path of text");
    let server = common::Server::start(&[]);
    let (output, run) =
        load(&["-n", "500", "--expect", page], &format!("http://{}/", server.addresses[0]));
    assert!(output.status.success(), "{run:?}");
    let other = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("other.html");
    let mut bytes = std::fs::read(page).expect("the page is there");
    *bytes.last_mut().expect("it has bytes") ^= 1;
    std::fs::write(&other, bytes).expect("the folder is writable");
    let (output, run) = load(
        &["-n", "500", "--expect", other.to_str().expect("text")],
        &format!("http://{}/", server.addresses[0]),
    );
    assert_eq!(output.status.code(), Some(1));
    assert_only_failure(&run, "wrong_bytes", 500);
}

#[test]
fn skipped_content_of_long_responses_is_counted() {
    let page = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("long.html");
    std::fs::write(&page, vec![b'x'; 300_000]).expect("the folder is writable");
    let server = common::Server::start(&["--page", page.to_str().expect("text")]);
    let (output, run) =
        load(&["-n", "2000", "-c", "8"], &format!("http://{}/", server.addresses[0]));
    assert!(output.status.success(), "{run:?}");
    assert_eq!(run.requests, 2000);
    assert!(run.bytes > 2000 * 300_000, "{} bytes", run.bytes);
    let path = page.to_str().expect("text");
    let (_, run) = load(
        &["-n", "200", "-c", "8", "--expect", path],
        &format!("http://{}/", server.addresses[0]),
    );
    assert_eq!((run.requests, run.failed), (200, 0));
}

#[test]
fn each_failure_is_counted_under_its_kind() {
    let answer = |bytes: &'static [u8]| {
        misbehave(move |mut stream| {
            if request(&mut stream) {
                let _ = stream.write_all(bytes);
            }
        })
    };
    let number = ["-n", "30", "-c", "3", "--timeout", "300ms"];
    for (kind, url) in [
        ("reset_before_reply", misbehave(reset)),
        ("short", answer(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello")),
        ("short", answer(b"")),
        ("short", answer(b"HTTP/1.1 200 OK\r\nConte")),
        ("wrong_bytes", answer(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhello")),
        ("malformed", answer(b"SSH-2.0-OpenSSH\r\n")),
        ("malformed", answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n")),
        ("wrong_status", answer(b"HTTP/1.0 404 No\r\nContent-Length: 5\r\n\r\nhello")),
        ("reply_timed_out", misbehave(|mut stream| while request(&mut stream) {})),
    ] {
        let (output, run) = load(&number, &url);
        assert_eq!(output.status.code(), Some(1), "{kind}");
        assert_eq!(run.requests, 0, "{kind}: {run:?}");
        assert_only_failure(&run, kind, 30);
    }
}

#[test]
fn reset_within_a_response_differs_from_reset_before_it() {
    let url = misbehave(|mut stream| {
        let _ = stream.write_all(&RESPONSE[..20]);
        // Waits for the request, and leaves it unread, so that closing resets.
        let _ = stream.peek(&mut [0]);
    });
    let (_, run) = load(&["-n", "20", "-c", "2"], &url);
    let within = run.failures.get("reset_within_reply").copied().unwrap_or(0);
    let before = run.failures.get("reset_before_reply").copied().unwrap_or(0);
    assert_eq!(within + before, 20, "{:?}", run.failures);
    assert!(within > 0, "{:?}", run.failures);
}

#[test]
fn closed_port_counts_as_connection_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address: SocketAddr = listener.local_addr().expect("it is bound");
    drop(listener);
    let words = ["-n", "50", "-c", "5", "--connect-timeout", "500ms"];
    let (output, run) = load(&words, &format!("http://{address}/"));
    assert_eq!(output.status.code(), Some(1));
    // Attempts cost no request. The pauses between them grow to 256 ms, so there are few.
    let attempts = run.connect_failures.get("connect_refused").copied().unwrap_or(0);
    assert_eq!(run.connects_failed, attempts, "{run:?}");
    assert!((10..=60).contains(&attempts), "{run:?}");
    assert_eq!((run.due, run.sent, run.requests, run.failed), (0, 0, 0, 0), "{run:?}");
}

#[test]
fn all_framings_are_parsed_byte_by_byte() {
    for bytes in [
        &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"[..],
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        RESPONSE,
    ] {
        let url = misbehave(move |mut stream| {
            // One write per byte, so that the client parses fragments.
            while request(&mut stream) {
                for byte in bytes {
                    let _ = stream.write_all(&[*byte]);
                }
            }
        });
        let (_, run) = load(&["-n", "40", "-c", "2"], &url);
        assert_eq!((run.requests, run.failed, run.connects), (40, 0, 2), "{run:?}");
    }
    let url = misbehave(|mut stream| {
        request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello");
    });
    let (_, run) = load(&["-n", "40", "-c", "2"], &url);
    assert_eq!((run.requests, run.failed, run.connects), (40, 0, 40), "{run:?}");
}

#[test]
fn open_loop_shows_a_stall_that_a_closed_loop_hides() {
    // Stalls once, for a second, on all connections.
    let stalling = &|| {
        let begun = std::sync::OnceLock::<Instant>::new();
        misbehave(move |mut stream| {
            while request(&mut stream) {
                let since = begun.get_or_init(Instant::now).elapsed();
                let (from, until) = (Duration::from_millis(500), Duration::from_millis(1500));
                if (from..until).contains(&since) {
                    std::thread::park_timeout(until.saturating_sub(since));
                }
                let _ = stream.write_all(RESPONSE);
            }
        })
    };
    let (open, closed) = std::thread::scope(|scope| {
        let open = ["-c", "4", "-d", "10s", "--rate", "200"];
        let open = scope.spawn(move || load(&open, &stalling()).1);
        let (_, closed) = load(&["-c", "4", "-d", "10s"], &stalling());
        (open.join().expect("the open loop completes"), closed)
    });
    // A tenth of the open loop's requests were due during the stall, but only one per connection of
    // the closed loop's.
    assert!(open.response_us.p99 > Some(500_000.0), "{:?}", open.response_us);
    assert!(closed.response_us.p99 < Some(200_000.0), "{:?}", closed.response_us);
    assert_eq!((open.failed, closed.failed), (0, 0));
    assert_eq!((open.requests, open.response_us.count), (2000, 2000));
}

#[test]
fn unusable_outputs_and_sources_are_refused_before_the_load() {
    for (words, complaint) in [
        (&["--json", "/nowhere/out.json"][..], "opening /nowhere/out.json: No such file"),
        (&["-c", "1,2", "--hgrm", "/nowhere/a.b"], "opening /nowhere/a-1.b: No such file"),
        (&["--source", "::1-::2"], "no address that can be reached from --source"),
        (&["--source", "192.0.2.7"], "`ip address`"),
    ] {
        let server = common::Server::start(&[]);
        let output = Command::new(env!("CARGO_BIN_EXE_uringload"))
            .args(words)
            .args(["-n", "5", &format!("http://{}/", server.addresses[0])])
            .output()
            .expect("the program was built");
        assert_eq!(output.status.code(), Some(1));
        let message = String::from_utf8(output.stderr).expect("errors are UTF-8");
        assert!(message.contains(complaint), "{message}");
        assert!(server.end().contains("served 0 connections"), "{words:?}");
    }
}

/// A server that sends bytes after its response: together with it, or 20 ms later.
fn with_trailing_bytes(content: usize, late: bool, closes: bool) -> String {
    let mut response = format!("HTTP/1.1 200 OK\r\nContent-Length: {content}\r\n\r\n").into_bytes();
    response.resize(response.len() + content, b'x');
    let extra = b"and so on";
    if !late {
        response.extend(extra);
    }
    misbehave(move |mut stream| {
        let _ = stream.set_nodelay(true);
        while request(&mut stream) {
            let _ = stream.write_all(&response);
            if late {
                std::thread::park_timeout(Duration::from_millis(20));
                let _ = stream.write_all(extra);
            }
            if closes {
                return;
            }
        }
    })
}

#[test]
fn bytes_after_a_response_are_one_failure_at_any_time() {
    let number = &["-n", "40", "-c", "4"][..];
    for content in [5, 300_000] {
        for late in [false, true] {
            // The only response of the connection is the wrong one.
            let words = [number, &["--close"]].concat();
            let (_, run) = load(&words, &with_trailing_bytes(content, late, true));
            assert_eq!(run.requests, 0, "{content} {late} {run:?}");
            assert_only_failure(&run, "wrong_bytes", 40);
            // After the next request, the same bytes are a malformed response to it.
            let (_, run) = load(number, &with_trailing_bytes(content, late, false));
            let of = |kind| run.failures.get(kind).copied().unwrap_or(0);
            assert_eq!(run.requests + run.failed, 40, "{content} {late} {run:?}");
            assert_eq!(of("wrong_bytes") + of("malformed"), run.failed, "{run:?}");
            // Each connection has at most one correct response and one failure, except the last
            // four, which the client closes before the bytes arrive.
            assert!(run.requests <= run.failed + 4, "{content} {late} {run:?}");
        }
    }
}

#[test]
fn warmup_requests_bytes_and_connections_do_not_count() {
    let url = &misbehave(|mut stream| {
        while request(&mut stream) {
            let _ = stream.write_all(RESPONSE);
        }
    });
    let words = ["-n", "20", "-c", "2", "--warmup", "200ms"];
    let (_, run) = load(&words, url);
    let bytes = 20 * RESPONSE.len() as u64;
    assert_eq!((run.requests, run.failed, run.bytes), (20, 0, bytes), "{run:?}");
    assert_eq!((run.connects, run.connect_us.count), (0, 0), "connections of the warm-up");
    let url = &misbehave(|mut stream| {
        request(&mut stream);
        let _ = stream.write_all(RESPONSE);
    });
    let (_, run) = load(&[&words[..], &["--close"]].concat(), url);
    assert_eq!((run.requests, run.failed, run.bytes), (20, 0, bytes), "{run:?}");
    assert_eq!((run.connects, run.connect_us.count), (20, 20));
}

#[test]
fn connections_left_open_by_the_server_are_reported() {
    let url = misbehave(|mut stream| {
        while request(&mut stream) {
            let _ = stream.write_all(RESPONSE);
        }
    });
    let (output, report) = report(&["-n", "6", "-c", "3", "--close"], &url);
    assert!(output.status.success(), "{report}");
    assert_eq!(report["runs"][0]["lingered"], 6, "{report}");
    let figures = String::from_utf8(output.stdout).expect("figures are UTF-8");
    assert!(figures.contains("6 connections were left open by the server"), "{figures}");
}

#[test]
fn interrupted_load_writes_its_report_and_exits_with_130() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let url = misbehave(move |mut stream| {
        while request(&mut stream) {
            let _ = sender.send(());
            let _ = stream.write_all(RESPONSE);
        }
    });
    let json = json_file();
    let mut client = command(&["-d", "60s", "-c", "1,2"], &json, &url);
    let mut client = client.stdout(Stdio::piped()).spawn().expect("the load client runs");
    receiver.recv().expect("the client sends a request");
    let killed = Command::new("kill").args(["-INT", &client.id().to_string()]).status();
    assert!(killed.expect("kill(1) exists").success());
    let status = client.wait().expect("the load client ends");
    let text = std::fs::read_to_string(&json).expect("the report was written");
    let report: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(report["runs"].as_array().map(Vec::len), Some(1), "{report}");
    assert_eq!(report["runs"][0]["interrupted"], true, "{report}");
    assert_eq!(status.code(), Some(130));
}

#[test]
fn too_many_connections_per_process_are_wrong_usage() {
    let output = Command::new(env!("CARGO_BIN_EXE_uringload"))
        .args(["-c", "10,40000", "--processes", "1", "-n", "5", "http://127.0.0.1:9/"])
        .output()
        .expect("the program was built");
    let message = String::from_utf8(output.stderr).expect("errors are UTF-8");
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("-c 40000") && message.contains("--processes 2"), "{message}");
    assert!(!message.contains("--spawn"), "{message}");
}
