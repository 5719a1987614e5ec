//! Loads with several targets and the other ways to use connections: what arrives at the server is
//! exactly what was asked for, on both engines and with several workers.

use super::{RESPONSE, assert_only_failure, command, json_file, load, misbehave};
use crate::common::{Server, TemporaryFile, TemporaryFolder};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use uringstatic::load::report::Run;

const ENGINES: [&str; 2] = ["io_uring", "epoll"];

/// What a recording server has seen.
#[derive(Default)]
struct Seen {
    /// Request lines in the order of their arrival.
    lines: Vec<String>,
    /// Number of requests of each connection.
    connections: Vec<usize>,
    /// Bytes before the first request of each connection.
    headers: Vec<Vec<u8>>,
}

/// A server that records requests and answers them; HEAD without content.
fn record(header_bytes: usize) -> (String, Arc<Mutex<Seen>>) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let shared = seen.clone();
    let url = misbehave(move |stream| serve(&shared, stream, header_bytes));
    (url, seen)
}

fn serve(seen: &Mutex<Seen>, mut stream: impl Read + Write, header_bytes: usize) {
    let mut header = vec![0; header_bytes];
    if stream.read_exact(&mut header).is_err() {
        return;
    }
    let number = {
        let mut seen = seen.lock().expect("no thread panics");
        seen.headers.push(header);
        seen.connections.push(0);
        seen.connections.len() - 1
    };
    while let Some(Head { line, closes }) = request_head(&mut stream) {
        let head = line.starts_with("HEAD ");
        let mut seen = seen.lock().expect("no thread panics");
        seen.connections[number] += 1;
        let fails = line.contains("/missing");
        seen.lines.push(line);
        drop(seen);
        let content = if head { &RESPONSE[..RESPONSE.len() - 5] } else { RESPONSE };
        let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        let _ = stream.write_all(if fails { missing } else { content });
        if closes {
            return;
        }
    }
}

struct Head {
    line: String,
    /// Whether the client asks for the end of the connection.
    closes: bool,
}

/// The head of the next request, which has no content.
fn request_head(stream: &mut impl Read) -> Option<Head> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    let text = String::from_utf8(bytes).expect("requests are ASCII");
    let line = text.lines().next().unwrap_or_default().to_owned();
    Some(Head { line, closes: text.contains("Connection: close") })
}

fn count<'a>(lines: impl IntoIterator<Item = &'a String>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry(line.as_str()).or_default() += 1;
    }
    counts
}

fn assert_clean(run: &Run, requests: u64) {
    assert_eq!((run.requests, run.failed, run.died), (requests, 0, 0), "{run:?}");
    assert_eq!((run.due, run.sent, run.outstanding), (requests, requests, 0), "{run:?}");
}

#[test]
fn options_that_the_server_of_a_list_cannot_have_are_refused() {
    let list = json_file().with_extension("urls");
    for (line, words, hint) in [
        ("unix:/nonexistent:/", &["--source", "127.0.0.1"][..], "a Unix socket doesn't have"),
        ("http://127.0.0.1:9/", &["--insecure"], "are for https"),
    ] {
        std::fs::write(&list, line).expect("the list is written");
        let output = Command::new(env!("CARGO_BIN_EXE_uringload"))
            .args(words)
            .args(["-n", "1", "--urls"])
            .arg(&list)
            .output()
            .expect("the program was built");
        let said = String::from_utf8(output.stderr).expect("errors are UTF-8");
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(hint), "{said}");
    }
}

#[test]
fn weights_of_a_list_are_exact() {
    let list = TemporaryFile::with("urls", b"/a weight=3\nHEAD /b\n/c weight=6 # six\n");
    let comment = load_error(&["--urls", list.path(), "-n", "1"], "http://127.0.0.1:9/");
    assert!(comment.contains("line 3: \"#\" follows the URL"), "{comment}");
    let list = TemporaryFile::with("urls", b"/a weight=3\nHEAD /b\n# c\n/c weight=6\n");
    for engine in ENGINES {
        for more in [
            &["-c", "1"][..],
            &["-c", "7", "--processes", "3"],
            &["-c", "4", "--pipeline", "5", "--processes", "2"],
            &["-c", "2", "--shuffle"],
            &["-c", "2", "--close"],
            &["-c", "2", "--rate", "5000", "--allow-missed-rate"],
        ] {
            let (url, seen) = record(0);
            let words = [&["--urls", list.path(), "-n", "500", "--engine", engine], more].concat();
            let (output, run) = load(&words, &url);
            assert!(output.status.success(), "{words:?}: {output:?}");
            assert_clean(&run, 500);
            let seen = seen.lock().expect("no thread panics");
            let expected =
                [("GET /a HTTP/1.1", 150), ("GET /c HTTP/1.1", 300), ("HEAD /b HTTP/1.1", 50)];
            assert_eq!(count(&seen.lines), expected.into(), "{words:?}");
            let targets: Vec<_> =
                run.targets.iter().map(|it| (it.target.as_str(), it.requests, it.failed)).collect();
            assert_eq!(targets, [("GET /a", 150, 0), ("HEAD /b", 50, 0), ("GET /c", 300, 0)]);
        }
    }
}

/// The message of a load that doesn't begin.
fn load_error(words: &[&str], url: &str) -> String {
    let output = command(words, &json_file(), url).output().expect("the load client starts");
    assert_eq!(output.status.code(), Some(1), "{words:?}: {output:?}");
    String::from_utf8(output.stderr).expect("messages are text")
}

#[test]
fn one_connection_replays_a_log_in_its_order() {
    let log = "a - - [28/Nov/2026:03:33:12 +0000] \"GET /one HTTP/1.1\" 200 5\n\
               a - - [28/Nov/2026:03:33:12 +0000] \"-\" 400 0\n\
               a - - [28/Nov/2026:03:33:11 +0000] \"HEAD /two?x=\\x22 HTTP/1.0\" 200 5\n\
               {\"method\":\"POST\",\"target\":\"/three\",\"time\":\"2026-11-28T03:33:13Z\"}\n\
               a - - [28/Nov/2026:03:33:12 +0000] \"GET /one HTTP/1.1\" 200 5\n";
    let log = TemporaryFile::with("log", log.as_bytes());
    for engine in ENGINES {
        for (more, order) in [
            (&[][..], [0, 1, 2, 0]),
            (&["--pipeline", "3"], [0, 1, 2, 0]),
            // By time, which sorts neighbours.
            (&["--speed", "1000"], [1, 0, 0, 2]),
        ] {
            let (url, seen) = record(0);
            let words = [&["--replay", log.path(), "-c", "1", "--engine", engine], more].concat();
            let (output, run) = load(&words, &url);
            assert!(output.status.success(), "{words:?}: {output:?}");
            assert_clean(&run, 4);
            let lines = ["GET /one HTTP/1.1", "HEAD /two?x=\" HTTP/1.1", "POST /three HTTP/1.1"];
            let expected = order.map(|index: usize| lines[index]);
            assert_eq!(seen.lock().expect("no thread panics").lines, expected, "{words:?}");
            let said = String::from_utf8(output.stderr).expect("messages are text");
            assert!(said.contains("1 of 5 lines skipped; the first is line 2: \"-\" is"), "{said}");
            assert!(said.contains("1 requests of a method with content"), "{said}");
        }
    }
}

#[test]
fn replay_counts_equal_those_of_the_server() {
    let line = |number| format!("a \"GET /?{} HTTP/1.1\" 200 0", number % 300);
    let log = (0..1000).map(line).collect::<Vec<_>>().join("\n");
    let log = TemporaryFile::with("log", log.as_bytes());
    for engine in ENGINES {
        for (more, requests) in [
            (&["-c", "20", "--processes", "3"][..], 1000),
            (&["-c", "20", "--pipeline", "16"], 1000),
            (&["-c", "20", "-n", "2500", "--requests-per-connection", "7"], 2500),
            (&["-c", "5", "--rate", "20000", "--allow-missed-rate", "--shuffle"], 1000),
        ] {
            let server = Server::start(&[]);
            let words = [&["--replay", log.path(), "--engine", engine], more].concat();
            let (output, run) = load(&words, &format!("http://{}/", server.addresses[0]));
            assert!(output.status.success(), "{words:?}: {output:?}");
            assert_clean(&run, requests);
            assert_eq!((run.targets_distinct, run.targets.len()), (300, 20));
            let totals = server.end();
            assert!(totals.contains(&format!(" {requests} requests")), "{words:?}: {totals}");
        }
    }
}

#[test]
fn timed_replay_keeps_the_times_of_its_log() {
    let line = |millis: u32| {
        format!("{{\"ts\":1000.{millis:03},\"method\":\"GET\",\"uri\":\"/{millis}\"}}\n")
    };
    let log = TemporaryFile::with("log", (line(0) + &line(200) + &line(600)).as_bytes());
    for engine in ENGINES {
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let shared = arrived.clone();
        let url = misbehave(move |mut stream| {
            while request_head(&mut stream).is_some() {
                shared.lock().expect("no thread panics").push(Instant::now());
                let _ = stream.write_all(RESPONSE);
            }
        });
        let words = ["--replay", log.path(), "--speed", "0.5", "-c", "4", "--engine", engine];
        let (output, run) = load(&[&words[..], &["--processes", "2"]].concat(), &url);
        assert!(output.status.success(), "{output:?}");
        assert_clean(&run, 3);
        let arrived = arrived.lock().expect("no thread panics");
        // Late is possible on a machine with other work, early is not.
        assert!(arrived[1] - arrived[0] >= Duration::from_millis(390), "{engine}");
        assert!(arrived[2] - arrived[0] >= Duration::from_millis(1190), "{engine}");
        assert!(run.seconds >= 1.19, "{run:?}");
    }
}

#[test]
fn failing_and_slow_targets_are_named() {
    let list = TemporaryFile::with("urls", b"/fine weight=2\n/missing\n");
    let (url, _seen) = record(0);
    let (output, run) = load(&["--urls", list.path(), "-n", "90", "-c", "3"], &url);
    assert_eq!(output.status.code(), Some(1));
    assert_only_failure(&run, "wrong_status", 30);
    assert_eq!((run.targets[0].requests, run.targets[1].failed), (60, 30));
    assert_eq!(run.targets[1].mean_us, None);
    let text = String::from_utf8(output.stdout).expect("figures are text");
    assert!(text.contains("slowest         GET /fine: mean "), "{text}");
    assert!(text.contains("failing         GET /missing: 30 of 30 requests failed"), "{text}");
}

#[test]
fn lists_are_read_from_standard_input_and_results_written_to_standard_output() {
    let (url, seen) = record(0);
    let mut client = Command::new(env!("CARGO_BIN_EXE_uringload"))
        .args(["--urls", "-", "-n", "4", "-c", "1", "--json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the load client starts");
    let list = format!("{url}x\n/y\n");
    client.stdin.take().expect("it is piped").write_all(list.as_bytes()).expect("it reads");
    let output = client.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("standard output has JSON alone");
    assert_eq!(report["runs"][0]["requests"], 4);
    assert_eq!(report["url"], format!("{url}x"));
    assert_eq!(seen.lock().expect("no thread panics").lines.len(), 4);
}

#[test]
fn a_full_disk_fails_the_load() {
    let (url, _seen) = record(0);
    for more in [&[][..], &["--json", "-"], &["--json", "/dev/full", "--quiet"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("it exists");
        let output = Command::new(env!("CARGO_BIN_EXE_uringload"))
            .args(["-n", "2", "-c", "1"])
            .args(more)
            .arg(&url)
            .stdout(full)
            .output()
            .expect("the load client starts");
        let said = String::from_utf8(output.stderr).expect("messages are text");
        assert_eq!(output.status.code(), Some(1), "{more:?}: {said}");
        assert!(said.contains("No space left on device"), "{more:?}: {said}");
    }
}

#[test]
fn connections_are_closed_after_their_number_of_requests() {
    for engine in ENGINES {
        for (more, connections) in [
            (&["-c", "1"][..], vec![3; 10]),
            // A batch is cut at the end of a connection.
            (&["-c", "1", "--pipeline", "2"], vec![3; 10]),
            (&["-c", "1", "--rate", "2000", "--allow-missed-rate"], vec![3; 10]),
        ] {
            let (url, seen) = record(0);
            let words = ["--requests-per-connection", "3", "-n", "30", "--engine", engine];
            let (output, run) = load(&[&words[..], more].concat(), &url);
            assert!(output.status.success(), "{output:?}");
            assert_clean(&run, 30);
            let seen = seen.lock().expect("no thread panics");
            let used: Vec<_> =
                seen.connections.iter().copied().filter(|&requests| requests > 0).collect();
            assert_eq!(used, connections, "{engine} {more:?}");
        }
    }
}

#[test]
fn think_time_passes_between_a_response_and_the_next_request() {
    for engine in ENGINES {
        for more in [&[][..], &["--requests-per-connection", "1"], &["--close"]] {
            let (url, _seen) = record(0);
            let words = ["-c", "2", "-n", "8", "--think-time", "100ms", "--engine", engine];
            let (output, run) = load(&[&words[..], more].concat(), &url);
            assert!(output.status.success(), "{output:?}");
            assert_clean(&run, 8);
            // Four requests on each connection, three pauses.
            assert!(run.seconds >= 0.3, "{engine} {more:?}: {run:?}");
            assert!(run.response_us.max < Some(100_000.0), "{engine} {more:?}: {run:?}");
        }
        // A pause doesn't delay the end.
        let (url, _seen) = record(0);
        let begun = Instant::now();
        let words = ["-c", "2", "-d", "500ms", "--think-time", "1m", "--engine", engine];
        let (output, run) = load(&words, &url);
        assert!(output.status.success(), "{output:?}");
        assert_clean(&run, 2);
        assert!(begun.elapsed() < Duration::from_secs(20) && run.finishing_seconds < 0.4);
    }
}

#[test]
fn each_connection_begins_with_a_proxy_header() {
    for engine in ENGINES {
        for (kind, len) in [("tcp", 28), ("local", 16), ("unix", 232)] {
            let (url, seen) = record(len);
            let words = ["-c", "3", "-n", "30", "--requests-per-connection", "5"];
            let option = format!("--proxy-protocol={kind}");
            let more = [option.as_str(), "--engine", engine, "--pipeline", "2"];
            let (output, run) = load(&[&words[..], &more].concat(), &url);
            assert!(output.status.success(), "{output:?}");
            assert_clean(&run, 30);
            let seen = seen.lock().expect("no thread panics");
            assert_eq!(seen.lines.len(), 30);
            for header in &seen.headers {
                assert!(header.starts_with(b"\r\n\r\n\0\r\nQUIT\n"), "{header:?}");
            }
            if kind == "tcp" {
                let address = url.trim_start_matches("http://").trim_end_matches('/');
                let port = address.rsplit_once(':').expect("it has a port").1;
                let port: u16 = port.parse().expect("it is a number");
                assert!(seen.headers.iter().all(|header| header[26..] == port.to_be_bytes()));
            }
        }
    }
}

#[test]
fn loads_go_through_unix_sockets() {
    for engine in ENGINES {
        let file = TemporaryFile::vacant("load");
        let server = Server::start_on(&[&format!("unix:{}", file.path())], &[]);
        let words = ["-c", "20", "-n", "3000", "--engine", engine, "--pipeline", "4"];
        let url = format!("unix:{}:/?x", file.path());
        let (output, run) = load(&words, &url);
        assert!(output.status.success(), "{output:?}");
        assert_clean(&run, 3000);
        let totals = server.end();
        assert!(totals.contains(" 3000 requests"), "{totals}");
        let (output, run) = load(&["-n", "1", "--connect-timeout", "300ms"], &url);
        assert_eq!(output.status.code(), Some(1));
        assert!(run.connect_failures.contains_key("connect_refused"), "{run:?}");
    }
}

#[test]
fn long_responses_of_unix_sockets_are_skipped_to_the_byte() {
    let content = vec![b'x'; 300_000];
    let folder = TemporaryFolder::with(&[("big", &content)]);
    for engine in ENGINES {
        let file = TemporaryFile::vacant("load");
        let listen = format!("unix:{}", file.path());
        let server = Server::start_on(&[&listen], &["--root", folder.path()]);
        let words = ["-c", "4", "-n", "200", "--engine", engine];
        let (output, run) = load(&words, &format!("{listen}:/big"));
        assert!(output.status.success(), "{output:?}");
        assert_clean(&run, 200);
        assert!(run.bytes > 200 * 300_000, "{run:?}");
        drop(server);
    }
}
