//! Clients that check every byte of every response while the processes of the service come and go,
//! and the load client beside them.

use crate::common::{GET, GET_CLOSE, PATIENCE, TemporaryFile};
use crate::watch::breathe;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// How a client uses its connections.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Habit {
    /// One request after the other on a connection.
    KeptAlive,
    /// A connection for each request.
    Fresh,
    /// [`PIPELINED`] requests at a time.
    Pipelined,
    /// A connection for each request, whose long response is read in small pieces. It may end long
    /// after its generation has retired, so that its head could not announce the end.
    Slow,
}

impl Habit {
    pub(crate) const ALL: [Self; 4] = [Self::KeptAlive, Self::Fresh, Self::Pipelined, Self::Slow];
}

/// What the clients may be sent: the same path has different content in different generations.
pub(crate) struct Contents {
    /// For `/`.
    pub(crate) pages: Vec<Vec<u8>>,
    /// For `/large.bin`.
    pub(crate) large: Vec<Vec<u8>>,
}

/// What a client, or several of them, have seen.
#[derive(Debug, Default)]
pub(crate) struct Testimony {
    /// Whole responses, each the content of one generation.
    pub(crate) served: u64,
    /// Connections that ended after a response with `Connection: close` that the client had not
    /// asked for.
    pub(crate) announced: u64,
    /// Requests that got no whole response.
    pub(crate) failures: Vec<Failure>,
    /// The longest time of a request that was served.
    pub(crate) longest: Duration,
}

/// A request that got no whole response.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The client's port.
    pub(crate) port: u16,
    pub(crate) why: String,
}

impl Testimony {
    fn add(mut self, other: Self) -> Self {
        self.served += other.served;
        self.announced += other.announced;
        self.failures.extend(other.failures);
        self.longest = self.longest.max(other.longest);
        self
    }

    pub(crate) fn assert_no_failures(&self) {
        let Some(first) = self.failures.first() else { return };
        panic!("{} requests failed, the first one: {}", self.failures.len(), first.why);
    }
}

/// Stops the clients when it is dropped, also if the attack fails.
pub(crate) struct StopAtEnd<'a>(pub(crate) &'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Running clients.
pub(crate) struct Witnesses<'scope>(Vec<ScopedJoinHandle<'scope, Testimony>>);

impl<'scope> Witnesses<'scope> {
    /// Starts this many clients of each habit, which go on until `stop` is set.
    pub(crate) fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        address: SocketAddr,
        contents: &'env Contents,
        habits: &[(Habit, usize)],
        stop: &'env AtomicBool,
    ) -> Self {
        let all = habits.iter().flat_map(|&(habit, count)| std::iter::repeat_n(habit, count));
        let run = |habit| scope.spawn(move || Witness::new(habit, address, contents).run(stop));
        Self(all.map(run).collect())
    }

    /// Waits until all have ended.
    pub(crate) fn end(self) -> Testimony {
        let all = self.0.into_iter().map(|thread| thread.join().expect("every byte is right"));
        all.fold(Testimony::default(), Testimony::add)
    }
}

struct Witness<'a> {
    habit: Habit,
    address: SocketAddr,
    contents: &'a Contents,
    seen: Testimony,
}

impl<'a> Witness<'a> {
    fn new(habit: Habit, address: SocketAddr, contents: &'a Contents) -> Self {
        Self { habit, address, contents, seen: Testimony::default() }
    }

    fn run(mut self, stop: &AtomicBool) -> Testimony {
        let mut line = None;
        while !stop.load(Ordering::Relaxed) {
            let mut open = match line.take().map_or_else(|| Line::open(self.address), Ok) {
                Ok(line) => line,
                Err(error) => {
                    self.failed(0, &error);
                    breathe(AGAIN);
                    continue;
                }
            };
            match self.ask(&mut open) {
                Ok(true) => line = Some(open),
                Ok(false) => {}
                Err(error) => self.failed(open.port, &error),
            }
        }
        self.seen
    }

    fn failed(&mut self, port: u16, error: &Error) {
        let is_left = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        assert!(!is_left, "{:?}: no response within {PATIENCE:?}", self.habit);
        let why = format!("{:?}, port {port}: {error}", self.habit);
        self.seen.failures.push(Failure { port, why });
    }

    /// The next exchange; whether the connection persists.
    fn ask(&mut self, line: &mut Line) -> Result<bool> {
        let start = Instant::now();
        let (requests, contents, pace) = match self.habit {
            Habit::KeptAlive => (GET.to_owned(), &self.contents.pages, None),
            Habit::Fresh => (GET_CLOSE.to_owned(), &self.contents.pages, None),
            Habit::Pipelined => (GET.repeat(PIPELINED), &self.contents.pages, None),
            Habit::Slow => {
                (GET_CLOSE.replace(" / ", " /large.bin "), &self.contents.large, Some(PACE))
            }
        };
        line.stream.write_all(requests.as_bytes())?;
        let count = if matches!(self.habit, Habit::Pipelined) { PIPELINED } else { 1 };
        for _ in 0..count {
            let (body, closes) = line.response(pace)?;
            let is_of_one = contents.contains(&body);
            assert!(is_of_one, "{:?}: {} bytes of no generation", self.habit, body.len());
            self.seen.served += 1;
            self.seen.longest = self.seen.longest.max(start.elapsed());
            if closes {
                // Requests behind it get no response, and may be sent again.
                let was_asked = matches!(self.habit, Habit::Fresh | Habit::Slow);
                self.seen.announced += u64::from(!was_asked);
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A connection.
struct Line {
    stream: TcpStream,
    port: u16,
    received: Vec<u8>,
}

impl Line {
    fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let port = stream.local_addr()?.port();
        Ok(Self { stream, port, received: Vec::new() })
    }

    /// The body of the next response, and whether the connection ends with it.
    fn response(&mut self, pace: Option<Duration>) -> Result<(Vec<u8>, bool)> {
        let end = loop {
            if let Some(end) = self.received.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            self.receive(pace)?;
        };
        let head = String::from_utf8_lossy(&self.received[..end]).into_owned();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length: usize = length.and_then(|text| text.parse().ok()).expect("it has a length");
        while self.received.len() < end + length {
            self.receive(pace)?;
        }
        let rest = self.received.split_off(end + length);
        let body = std::mem::replace(&mut self.received, rest).split_off(end);
        Ok((body, head.contains("\r\nConnection: close\r\n")))
    }

    fn receive(&mut self, pace: Option<Duration>) -> Result<()> {
        let mut bytes = [0; 16_384];
        if let Some(pace) = pace {
            breathe(pace);
        }
        let count = self.stream.read(&mut bytes)?;
        if count == 0 {
            let count = self.received.len();
            let why = format!("the stream ends after {count} bytes of a response");
            return Err(Error::new(ErrorKind::UnexpectedEof, why));
        }
        self.received.extend_from_slice(&bytes[..count]);
        Ok(())
    }
}

/// The load client, until it is stopped.
pub(crate) struct Load {
    name: String,
    child: Child,
    report: TemporaryFile,
}

/// The counts of the load client.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LoadCounts {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
}

impl Load {
    pub(crate) fn start(address: SocketAddr, options: &[&str]) -> Self {
        let report = TemporaryFile::vacant("json");
        let child = Command::new(env!("CARGO_BIN_EXE_uringload"))
            .args(options)
            .args(["--duration", "10m", "--processes", "1", "--quiet", "--json", report.path()])
            .arg(format!("http://{address}/"))
            .stdout(Stdio::null())
            .spawn()
            .expect("the load client was built");
        Self { name: options.join(" "), child, report }
    }

    /// Ends the load; fails if a request has failed.
    pub(crate) fn end(self) -> LoadCounts {
        let (name, counts, failures) = self.finish();
        assert_eq!(counts.failed, 0, "uringload {name}: {failures}");
        assert!(counts.requests > 0, "uringload {name}: there was no load");
        counts
    }

    fn finish(mut self) -> (String, LoadCounts, String) {
        crate::common::processes::signal("INT", self.child.id().into());
        self.child.wait().expect("it can be waited for");
        let text = std::fs::read_to_string(&self.report.0).expect("an interrupted load reports");
        let report: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        let run = &report["runs"][0];
        let count = |key: &str| run[key].as_u64().expect("counts are numbers");
        let counts = LoadCounts { requests: count("requests"), failed: count("failed") };
        (std::mem::take(&mut self.name), counts, run["failures"].to_string())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // Both fail after `finish`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PIPELINED: usize = 8;
/// The time until a client whose connection was refused tries again.
const AGAIN: Duration = Duration::from_millis(5);
/// The time between two pieces of 16 KiB.
const PACE: Duration = Duration::from_millis(2);
