//! The servers of a sweep: commands as lines for the shell, servers that run already, and what is
//! said of those that fail.

use super::*;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Stdio};

#[test]
fn a_full_disk_fails_a_sweep_behind_its_results() {
    let sweep = Sweep::new(&format!(
        r#"
        requests = 2
        concurrency = [1]
        [[load]]
        name = "close"
        [[server]]
        name = "a"
        command = ["{PROGRAM}", "--listen", "127.0.0.1:{{port}}"]
        "#
    ));
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_uringload"))
        .arg("sweep")
        .arg(sweep.path("sweep.toml"))
        .arg("--out")
        .arg(sweep.path("out"))
        .args(["--client", CLIENT])
        .stdout(full)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("to standard output: No space left on device"), "{said}");
    assert!(said.contains("results.md in "), "{said}");
    assert_eq!(sweep.results().measurements.len(), 1, "{said}");
    assert!(sweep.files().contains(&"results.md".to_owned()), "{said}");
}

#[test]
fn every_line_of_the_shell_starts_a_server_that_is_measured_and_ends_by_sigterm() {
    let listen = "--listen 127.0.0.1:{port}";
    let sweep = Sweep::new(&format!(
        r#"
        requests = 6
        concurrency = [3]
        [[load]]
        name = "close"
        [[server]]
        name = "with a variable"
        command = "WHERE=127.0.0.1:{{port}} sh -c 'exec {PROGRAM} --listen $WHERE'"
        [[server]]
        name = "in a folder"
        command = "cd {{here}}/below && ./link {listen}"
        [[server]]
        name = "with exec"
        command = "cd {{here}}/below; exec ./link {listen}"
        [[server]]
        name = "in a pipe"
        command = "{PROGRAM} {listen} 2>&1 | tee {{here}}/said-in-a-pipe"
        [[server]]
        name = "in the background"
        command = "{PROGRAM} {listen} 2> {{here}}/said-in-the-background & wait"
        [[server]]
        name = "in a condition"
        command = "if true; then {PROGRAM} {listen} 2> {{here}}/said-in-a-condition; fi"
        "#
    ));
    fs::create_dir(sweep.path("below")).unwrap();
    std::os::unix::fs::symlink(PROGRAM, sweep.path("below/link")).unwrap();
    assert_eq!(sweep.run().unwrap(), SweepEnd::Clean);
    for measurement in &sweep.results().measurements {
        assert_eq!(measurement.outcome, PointOutcome::Measured, "{measurement:?}");
        assert_eq!(measurement.note, None, "{measurement:?}");
        assert!(measurement.memory_bytes.unwrap() > 1 << 20, "{measurement:?}");
        assert!(measurement.cpu_us.unwrap() > 1.0, "{measurement:?}");
        let name = measurement.server.replace(' ', "-");
        let said = fs::read_to_string(sweep.path(&format!("said-{name}"))).unwrap_or_default();
        let exits: &[&str] = match name.as_str() {
            // `tee` has no handler.
            "in-a-pipe" => &["exit 143"],
            // `wait` is interrupted by the signal, or returns with the status of a server that has
            // ended before the shell is scheduled.
            "in-the-background" => &["exit 143", "exit 0"],
            _ => &["exit 0"],
        };
        assert!(exits.contains(&measurement.exit.as_deref().unwrap()), "{measurement:?}");
        // The shell has waited for its end.
        assert!(
            said.is_empty() || name == "in-a-pipe" || said.contains("served"),
            "{name}: {said}"
        );
    }
}

#[test]
fn servers_that_run_already_are_measured_and_left_running() {
    let (mut server, port) = started_server();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sweep = Sweep::new(&format!(
        r#"
        requests = 6
        concurrency = [3]
        [[load]]
        name = "close"
        options = ["--log", "{{here}}/log"]
        [[server]]
        name = "known"
        url = "http://127.0.0.1:{port}/"
        pid = {pid}
        [[server]]
        name = "by a file"
        url = "http://127.0.0.1:{port}/"
        pid = "pid-file"
        [[server]]
        name = "unknown"
        url = "http://localhost:{port}/a?b"
        [[server]]
        name = "closed"
        url = "http://{closed}/"
        [[server]]
        name = "gone"
        url = "http://127.0.0.1:{port}/"
        pid = "nowhere"
        "#,
        pid = server.0.id(),
    ));
    fs::write(sweep.path("pid-file"), format!("{}\n", server.0.id())).unwrap();
    assert_eq!(sweep.run().unwrap(), SweepEnd::Troubled);
    let results = sweep.results();
    let [known, by_file, unknown, closed_one, gone] = results.measurements.as_slice() else {
        panic!("{results:?}")
    };
    for measurement in [known, by_file] {
        assert_eq!(measurement.outcome, PointOutcome::Measured, "{measurement:?}");
        assert!(measurement.cpu_us.unwrap() > 1.0, "{measurement:?}");
        assert!(measurement.memory_bytes.unwrap() > 1 << 20, "{measurement:?}");
        assert_eq!(measurement.exit, None);
    }
    assert!(unknown.run.is_some(), "{unknown:?}");
    assert_eq!((unknown.cpu_seconds, unknown.cpu_us, unknown.memory_bytes), (None, None, None));
    let log = fs::read_to_string(sweep.path("log")).unwrap();
    assert!(log.lines().nth(2).unwrap().ends_with(&format!(" http://localhost:{port}/a?b")));
    let note = format!("does not run: no response from http://{closed}/");
    assert_eq!(
        (closed_one.outcome, closed_one.note.as_ref()),
        (PointOutcome::NotStarted, Some(&note))
    );
    let path = sweep.path("nowhere");
    let note = format!("does not run: pid: {}: No such file or directory", path.display());
    assert!(gone.note.as_ref().unwrap().starts_with(&note), "{gone:?}");
    let table = fs::read_to_string(sweep.path("out/results.md")).unwrap();
    assert!(table.contains("| 3 | unknown | 12 | 0 |  |"), "no CPU time is a gap: {table}");
    assert!(server.0.try_wait().unwrap().is_none(), "the server is running");
}

#[test]
fn the_path_of_a_server_is_requested() {
    let sweep = Sweep::new(&format!(
        r#"
        requests = 2
        concurrency = [3]
        [[load]]
        name = "close"
        options = ["--log", "{{here}}/log"]
        [[server]]
        name = "a"
        command = ["{PROGRAM}", "--listen", "127.0.0.1:{{port}}"]
        path = "/a.html?b"
        "#
    ));
    assert_eq!(sweep.run().unwrap(), SweepEnd::Clean);
    let log = fs::read_to_string(sweep.path("log")).unwrap();
    assert!(log.trim_end().ends_with("/a.html?b") && log.contains(" http://127.0.0.1:"), "{log}");
}

#[test]
fn what_was_not_measured_is_a_gap_and_no_zero() {
    let sweep = Sweep::new(&format!(
        r#"
        requests = 2
        concurrency = [3]
        [[load]]
        name = "close"
        options = ["--lose"]
        [[server]]
        name = "a"
        command = ["{PROGRAM}", "--listen", "127.0.0.1:{{port}}"]
        "#
    ));
    let output = program(&sweep).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("a: no rate, 2 of 2 failed, p99 none"), "{text}");
    assert_eq!(output.status.code(), Some(1), "lost requests are no success");
    let results = sweep.results();
    let row = row(&results, "close", "a", 3);
    assert_eq!((row.rate, row.p50_us, row.p99_us, row.cpu_us), (None, None, None, None));
    let table = fs::read_to_string(sweep.path("out/results.md")).unwrap();
    let cells = "| 3 | a |  | 2 of 2: 2 not sent |  |  |  | ";
    assert!(table.contains(cells), "{table}");
}

#[test]
fn what_a_failed_server_printed_is_shown() {
    let sweep = Sweep::new(
        r#"
        concurrency = [3]
        [[load]]
        name = "close"
        [[server]]
        name = "refuses"
        command = "echo no licence for {port}; echo usage: a >&2; exit 4"
        "#,
    );
    let output = program(&sweep).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let line = "round 1, close, 3 connections, refuses: did not start: ended with exit 4\n    \
                | no licence for ";
    assert!(text.contains(line) && text.contains("\n    | usage: a\n"), "{text}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("## Output of servers that failed\n"), "{table}");
    assert!(table.contains("\n    usage: a\n"), "{table}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn an_interruption_does_not_wait_for_a_server_that_ignores_sigterm() {
    let sweep = Sweep::new(&format!(
        r#"
        requests = 2
        concurrency = [3]
        stop_timeout = "1h"
        [[load]]
        name = "close"
        [[server]]
        name = "stubborn"
        command = """sh -c 'trap "echo > {{here}}/pipe" TERM
            {PROGRAM} --listen 127.0.0.1:{{port}} &
            while :; do wait; done'"""
        "#
    ));
    // The server itself interrupts the sweep when it is told to end.
    let pipe = sweep.make_pipe();
    assert_eq!(run(&sweep.args(), pipe.as_fd()).unwrap(), SweepEnd::Interrupted);
    assert_eq!(sweep.results().measurements, [], "the point is to be repeated");
}

#[test]
fn an_interrupted_sweep_says_what_it_waits_for() {
    let sweep = Sweep::new(&format!(
        r#"
        requests = 2
        concurrency = [3, 4, 5]
        [[load]]
        name = "close"
        options = ["--log", "{{here}}/log", "--hang", "{{here}}/pipe"]
        [[server]]
        name = "a"
        command = ["{PROGRAM}", "--listen", "127.0.0.1:{{port}}"]
        "#
    ));
    let mut pipe = sweep.make_pipe();
    let child = program(&sweep).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // The third load has started, and never ends.
    pipe.read_exact(&mut [0]).unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("uringload: interrupted; waiting for the server \"a\" to end"), "{text}");
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert_eq!(sweep.results().measurements.len(), 2);
}

#[test]
fn a_server_that_never_answers_does_not_hold_an_interrupted_sweep() {
    // The kernel accepts, and nothing answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let sweep = Sweep::new(&format!(
        "concurrency = [3]\nstart_timeout = '1h'\n[[load]]\nname = 'a'\n[[server]]\nname = 'b'\n\
         url = 'http://{}/'\n",
        listener.local_addr().unwrap()
    ));
    let (mut ours, interrupts) = UnixStream::pair().unwrap();
    std::thread::scope(|scope| {
        let sweeping = scope.spawn(|| run(&sweep.args(), interrupts.as_fd()).unwrap());
        let (_silent, _) = listener.accept().unwrap();
        ours.write_all(b"!").unwrap();
        assert_eq!(sweeping.join().unwrap(), SweepEnd::Interrupted);
    });
}

/// The program, with the sweep and the substitute for the load client.
fn program(sweep: &Sweep) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uringload"));
    command.args(["sweep", "--client", CLIENT, "--out"]).arg(sweep.path("out"));
    command.arg(sweep.path("sweep.toml")).stdin(Stdio::null());
    command
}

/// A server, ended when dropped.
struct RunningServer(Child);

impl Drop for RunningServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that runs on a port of its own choice, and that port.
fn started_server() -> (RunningServer, u16) {
    let mut command = Command::new(PROGRAM);
    command.args(["--listen", "127.0.0.1:0"]).stdin(Stdio::null()).stderr(Stdio::piped());
    let mut server = command.spawn().unwrap();
    let lines = BufReader::new(server.stderr.take().unwrap()).lines();
    let ready = lines.map(Result::unwrap).find(|line| line.contains("ready on")).unwrap();
    let after = ready.split("127.0.0.1:").nth(1).unwrap();
    let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    (RunningServer(server), after[..digits].parse().unwrap())
}
