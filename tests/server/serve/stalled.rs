//! Standard error is a full pipe without a reader: neither the start nor the exit may wait for it.

use crate::common::{
    Client, GET_CLOSE, PAGE, PATIENCE, TemporaryFile, TemporaryFolder, assert_same_bytes, pattern,
};
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use uringstatic::os::poll::{PIPE_BUF, wait_writable};
use uringstatic::os::privileges::is_root;

#[test]
fn a_full_standard_error_does_not_block_the_start() {
    let (_reader, stderr) = full_pipe();
    Program::start(&stderr).serves();
}

#[test]
fn a_full_standard_error_does_not_block_the_exit() {
    let (reader, mut stderr) = std::io::pipe().expect("descriptors are free");
    let mut program = Program::start(&stderr);
    let mut ready = String::new();
    BufReader::new(&reader).read_line(&mut ready).expect("it is text");
    assert!(ready.contains("ready on "), "{ready}");
    fill(&mut stderr);
    program.signal("TERM");
    let status = program.ended();
    assert_eq!(status.code(), Some(0), "{status}");
}

#[test]
fn a_signal_ends_a_report_into_a_full_pipe() {
    let (_reader, stdout) = full_pipe();
    let child = Command::new(env!("CARGO_BIN_EXE_uringstatic"))
        .arg("lockdown")
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::null())
        .spawn()
        .expect("the program was built");
    let mut program = Program { child, socket: TemporaryFile::vacant("sock") };
    // Only root may read proc_pid_wchan(5); without it, the signal may come before the write.
    let wchan = format!("/proc/{}/wchan", program.child.id());
    if std::fs::read_to_string(&wchan).is_ok_and(|name| name != "0") {
        until(|| std::fs::read_to_string(&wchan).ok().filter(|name| name.ends_with("pipe_write")));
    }
    program.signal("TERM");
    let status = program.ended();
    assert_eq!(status.signal(), Some(libc::SIGTERM), "{status}");
}

#[test]
fn a_signal_ends_the_reading_of_a_site() {
    // Compressing this with `best` takes minutes.
    let text: Vec<u8> = pattern(10_000_000).iter().map(|byte| b'a' + byte % 16).collect();
    let site = TemporaryFolder::with(&[("a.txt", &text)]);
    let (_reader, stderr) = std::io::pipe().expect("descriptors are free");
    let options = ["--root", site.path(), "--compress", "best", "--single-process"];
    let mut program = Program::start_with(&stderr, &options);
    // Files are read and compressed in threads.
    let threads = format!("/proc/{}/task", program.child.id());
    until(|| (count(&threads) > 1).then_some(()));
    program.signal("TERM");
    let status = program.ended();
    assert_eq!(status.signal(), Some(libc::SIGTERM), "{status}");
}

fn count(folder: &str) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

#[test]
fn dropped_messages_are_counted_in_the_next_one() {
    let (mut reader, stderr) = full_pipe();
    let mut program = Program::start_with(&stderr, &["--single-process"]);
    // The ready line is written before the first turn, so it was dropped by now.
    program.serves();
    while wait_writable(stderr.as_fd(), Duration::ZERO).is_ok_and(|writable| !writable) {
        reader.read_exact(&mut [0; PIPE_BUF]).expect("the pipe is full");
    }
    program.signal("TERM");
    let status = program.ended();
    assert_eq!(status.code(), Some(0), "{status}");
    drop((stderr, program));
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("it is text");
    let line = text.trim_start_matches(FILLER);
    assert!(line.starts_with("uringstatic: served "), "{line}");
    assert!(line.contains("errors: none [1 earlier message was dropped: "), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
}

#[test]
fn a_usage_error_exits_2_with_a_full_standard_error() {
    let (_reader, stderr) = full_pipe();
    let mut program = Program::start_with(&stderr, &["--no-such-option"]);
    let status = program.ended();
    assert_eq!(status.code(), Some(2), "{status}");
}

const FILLER: char = '.';

/// A pipe without room for one more byte.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().expect("descriptors are free");
    fill(&mut writer);
    (reader, writer)
}

fn fill(pipe: &mut PipeWriter) {
    while wait_writable(pipe.as_fd(), Duration::ZERO).expect("no handler runs") {
        pipe.write_all(&[FILLER as u8; PIPE_BUF]).expect("it has room");
    }
}

/// The program, listening on a socket file, as the ready line with a port would be unread.
struct Program {
    child: Child,
    socket: TemporaryFile,
}

impl Program {
    fn start(stderr: &PipeWriter) -> Self {
        Self::start_with(stderr, &[])
    }

    fn start_with(stderr: &PipeWriter, options: &[&str]) -> Self {
        let socket = TemporaryFile::vacant("sock");
        // With a user, a start as root prints no recommendation.
        let user: &[&str] = if is_root() { &["--user", "54321"] } else { &[] };
        let child = Command::new(env!("CARGO_BIN_EXE_uringstatic"))
            .args(["--listen", &format!("unix:{}", socket.path())])
            .args(user)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr.try_clone().expect("descriptors are free"))
            .spawn()
            .expect("the program was built");
        Self { child, socket }
    }

    fn serves(&self) {
        until(|| UnixStream::connect(&self.socket.0).ok());
        let mut client = Client::connect(&format!("unix:{}", self.socket.path()));
        client.send(GET_CLOSE);
        assert_same_bytes(&client.response().body, PAGE);
        client.ended();
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status().expect("there is a shell");
        assert!(status.success(), "{kill}");
    }

    fn ended(&mut self) -> ExitStatus {
        until(|| self.child.try_wait().expect("it is our child"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail if the program has ended, when there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Polls until there is a value.
fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "it did not happen within {PATIENCE:?}");
        Client::pause(Duration::from_millis(5));
    }
}
