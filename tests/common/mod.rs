//! Tools of the tests that run the program: start it, end it, and exchange raw bytes with it. Knows
//! how a response is framed, and nothing of how the server works.
//!
//! If a test fails while its [`Server`] runs, the command line and the output of the server are
//! printed.

#![allow(dead_code, unused_imports, reason = "each test program uses a part of it")]
#![allow(clippy::print_stderr, reason = "a failing test shows what the server wrote")]

pub(crate) mod bytes;
pub(crate) mod connections;
pub(crate) mod files;
pub(crate) mod filter;
pub(crate) mod passed;
pub(crate) mod processes;
pub(crate) mod requests;

pub(crate) use bytes::{assert_same_bytes, pattern};
pub(crate) use files::{TemporaryFile, TemporaryFolder};
use processes::{Process, until};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The running program; dropping this kills it.
pub(crate) struct Server {
    child: Child,
    command: String,
    lines: Receiver<String>,
    /// The addresses of the ready line: `127.0.0.1:PORT`, `[::1]:PORT` or `unix:PATH`.
    pub(crate) addresses: Vec<String>,
    /// The lines on stderr before the ready line.
    pub(crate) messages: Vec<String>,
    /// The ready line.
    pub(crate) ready: String,
}

/// How the program ended.
pub(crate) struct Exit {
    /// The exit code; `None` if a signal ended the program.
    pub(crate) code: Option<i32>,
    /// Standard error since the ready line, or since the start if there was none.
    pub(crate) text: String,
}

impl Server {
    /// Starts the program on a free port and waits until it is ready.
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::start_on(&["127.0.0.1:0"], options)
    }

    /// Starts the program on these addresses and waits until it is ready.
    pub(crate) fn start_on(addresses: &[&str], options: &[&str]) -> Self {
        Self::start_by(&[], addresses, options)
    }

    /// Starts the program through another command (`strace`, `sh -c ...`), which has to end in an
    /// exec of the arguments that follow its own.
    pub(crate) fn start_by(wrapper: &[&str], addresses: &[&str], options: &[&str]) -> Self {
        let program = env!("CARGO_BIN_EXE_uringstatic");
        Self::start_program(&[wrapper, &[program]].concat(), addresses, options)
    }

    /// Starts the program that these words name, the last of which is its path.
    pub(crate) fn start_program(words: &[&str], addresses: &[&str], options: &[&str]) -> Self {
        let listen = addresses.iter().flat_map(|address| ["--listen", address]);
        Self::spawn(words, listen.chain(options.iter().copied()), []).ready()
    }

    /// Waits for the ready line.
    fn ready(mut self) -> Self {
        let server = &mut self;
        let ready = loop {
            let line = server.line().expect("the program is ready before it ends");
            if line.contains("ready on ") {
                break line;
            }
            server.messages.push(line);
        };
        let (_, rest) = ready.split_once("ready on ").unwrap_or_else(|| panic!("{ready}"));
        let (urls, _) = rest.split_once(" with ").expect("the page follows the addresses");
        server.addresses = urls
            .split(' ')
            .map(|url| url.trim_start_matches("http://").trim_end_matches('/').to_owned())
            .collect();
        server.ready = ready;
        self
    }

    /// The process ID of the service: of its supervisor, unless it is a single process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The workers in the order of their numbers; those of an older generation come first.
    pub(crate) fn workers(&self) -> Vec<Process> {
        let children = Process::children_of(self.id()).into_iter();
        let mut workers: Vec<_> = children
            .filter(|process| process.worker_number().is_some() && !process.is_zombie())
            .collect();
        workers.sort_by_key(Process::worker_number);
        workers
    }

    /// The only worker with a number, once there is one.
    pub(crate) fn worker(&self, number: u32) -> u32 {
        until("there is one worker of that number", || {
            let mut workers =
                self.workers().into_iter().filter(|it| it.worker_number() == Some(number));
            let worker = workers.next()?;
            workers.next().is_none().then_some(worker.pid)
        })
    }

    /// The only loader, once there is one.
    pub(crate) fn loader(&self) -> u32 {
        until("there is one loader", || {
            let children = Process::children_of(self.id()).into_iter();
            let is_loader = |it: &Process| {
                let is_auxiliary = ["uringstatic-log", "uringstatic-adm"].contains(&&*it.name);
                it.worker_number().is_none() && !is_auxiliary && !it.is_zombie()
            };
            let mut loaders = children.filter(is_loader);
            let loader = loaders.next()?;
            loaders.next().is_none().then_some(loader.pid)
        })
    }

    /// The next line of stderr that has this text; those before it are kept in `messages`.
    pub(crate) fn await_line(&mut self, text: &str) -> String {
        loop {
            let line = self.line().unwrap_or_else(|| panic!("the program ended without: {text}"));
            self.messages.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// A line of stderr, or `None` at its end.
    pub(crate) fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line and no end within {PATIENCE:?}"),
        }
    }

    /// Connects to the first address.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(&self.addresses[0])
    }

    /// The response to one request on a new connection.
    pub(crate) fn ask(&self, request: impl AsRef<[u8]>) -> Response {
        let mut client = self.connect();
        client.send(request);
        client.response()
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status().expect("there is a shell");
        assert!(status.success(), "{kill}");
    }

    /// Waits until the program ends.
    pub(crate) fn wait(mut self) -> Exit {
        let mut text = String::new();
        while let Some(line) = self.line() {
            text.push_str(&line);
            text.push('\n');
        }
        Exit { code: self.child.wait().expect("the program can be waited for").code(), text }
    }

    /// Ends the program with SIGTERM and returns its totals.
    pub(crate) fn end(self) -> String {
        self.signal("TERM");
        let exit = self.wait();
        assert_eq!(exit.code, Some(0), "{}", exit.text);
        exit.text
    }

    /// Runs the program with options that make it end by itself.
    pub(crate) fn run(options: &[&str]) -> Exit {
        Self::spawn(&[env!("CARGO_BIN_EXE_uringstatic")], options.iter().copied(), []).wait()
    }

    /// The started program, and its lines on stderr as they come. The streams are its standard
    /// input and output, which are /dev/null otherwise.
    fn spawn<'a>(
        words: &[&'a str],
        options: impl Iterator<Item = &'a str>,
        streams: impl IntoIterator<Item = OwnedFd>,
    ) -> Self {
        let mut streams = streams.into_iter();
        let mut stream = || streams.next().map_or_else(Stdio::null, Stdio::from);
        let mut words = words.to_vec();
        words.extend(options);
        if !ENGINE.is_empty() && !words.iter().any(|word| HAS_NO_CHOICE.contains(word)) {
            words.extend(["--engine", ENGINE.as_str()]);
        }
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .stdin(stream())
            .stdout(stream())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program was built");
        let stderr = child.stderr.take().expect("stderr is piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let line = line.expect("stderr is text");
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let (command, ready) = (words.join(" "), String::new());
        Self { child, command, lines, addresses: Vec::new(), messages: Vec::new(), ready }
    }
}

/// The engine of the servers under test, unless a test chooses it; that of the program if empty.
static ENGINE: LazyLock<String> =
    LazyLock::new(|| std::env::var("URINGSTATIC_TEST_ENGINE").unwrap_or_default());
/// Options by which a test chooses the engine, the features of a ring among them, and the
/// subcommand that needs none.
const HAS_NO_CHOICE: [&str; 9] = [
    "check",
    "--engine",
    "defer-taskrun",
    "coop-taskrun",
    "direct-descriptors",
    "multishot-recv",
    "silent-send",
    "linked-close",
    "vectored-send",
];

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail after `wait`, when there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server of the failing test: {}", self.command);
            // Killed, the program holds the pipe no longer, so the lines come to an end. A child
            // that inherited the pipe doesn't keep them open for longer than this.
            let more = std::iter::from_fn(|| self.lines.recv_timeout(Duration::from_secs(1)).ok());
            for line in self.messages.iter().chain([&self.ready]).cloned().chain(more) {
                eprintln!("  {line}");
            }
        }
    }
}

/// A connection to the program.
pub(crate) struct Client {
    socket: Socket,
    /// Bytes that were received and not yet taken.
    received: Vec<u8>,
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A parsed response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    /// The status code.
    pub(crate) status: u16,
    /// The status line and the field lines.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The value of a field; fails if the field occurs more than once.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.head.lines().skip(1).filter_map(|line| {
            let (key, value) = line.split_once(": ").expect("a field has a colon");
            key.eq_ignore_ascii_case(name).then_some(value)
        });
        let value = values.next();
        assert_eq!(values.next(), None, "{name} occurs twice in {}", self.head);
        value
    }

    /// Whether the response has `Connection: close`.
    pub(crate) fn closes(&self) -> bool {
        self.field("Connection") == Some("close")
    }
}

impl Client {
    /// Connects to an address as [`Server::addresses`] has them.
    pub(crate) fn connect(address: &str) -> Self {
        let socket = if let Some(path) = address.strip_prefix("unix:") {
            Socket::Unix(UnixStream::connect(path).expect("the server listens"))
        } else {
            let stream = TcpStream::connect(address).expect("the server listens");
            stream.set_nodelay(true).expect("TCP has the option");
            Socket::Tcp(stream)
        };
        let mut client = Self { socket, received: Vec::new() };
        client.set_patience(PATIENCE);
        client
    }

    fn set_patience(&mut self, patience: Duration) {
        let patience = Some(patience);
        match &self.socket {
            Socket::Tcp(s) => s.set_read_timeout(patience).and(s.set_write_timeout(patience)),
            Socket::Unix(s) => s.set_read_timeout(patience).and(s.set_write_timeout(patience)),
        }
        .expect("sockets have timeouts");
    }

    /// Sends bytes; fails if the server has closed.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the server has not closed");
    }

    /// Sends bytes to a server that may have closed.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        match &mut self.socket {
            Socket::Tcp(stream) => stream.write_all(bytes.as_ref()),
            Socket::Unix(stream) => stream.write_all(bytes.as_ref()),
        }
    }

    /// Another handle on the same connection, for a thread that sends.
    pub(crate) fn sender(&self) -> Self {
        let socket = match &self.socket {
            Socket::Tcp(stream) => Socket::Tcp(stream.try_clone().expect("a descriptor is free")),
            Socket::Unix(stream) => Socket::Unix(stream.try_clone().expect("a descriptor is free")),
        };
        Self { socket, received: Vec::new() }
    }

    /// Ends the stream in the direction of the server (shutdown(2) with `SHUT_WR`).
    pub(crate) fn half_close(&mut self) {
        match &self.socket {
            Socket::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Socket::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
        .expect("the connection is open");
    }

    /// A read on a socket with a timeout isn't restarted after a signal or a stop (signal(7)).
    fn read(&mut self, place: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let outcome = match &mut self.socket {
                Socket::Tcp(stream) => stream.read(place),
                Socket::Unix(stream) => stream.read(place),
            };
            if !outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::Interrupted) {
                return outcome;
            }
        }
    }

    /// Receives at least one byte; false at the end of the stream.
    fn receive(&mut self) -> bool {
        self.try_receive().expect("bytes or an end arrive in time")
    }

    fn try_receive(&mut self) -> std::io::Result<bool> {
        let mut place = [0; 16_384];
        let count = self.read(&mut place)?;
        self.received.extend_from_slice(&place[..count]);
        Ok(count > 0)
    }

    /// Whether a request is answered with the status 200; otherwise the connection has ended,
    /// before a byte of the response.
    pub(crate) fn is_served(&mut self) -> bool {
        assert!(self.received.is_empty(), "a response is in progress");
        let has_begun = self.try_send(GET).is_ok()
            && match self.try_receive() {
                Ok(has_bytes) => has_bytes,
                Err(error) => {
                    assert!(error.kind() == ErrorKind::ConnectionReset, "{error}");
                    false
                }
            };
        has_begun && self.response().status == 200
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        while self.received.len() < count {
            assert!(self.receive(), "the stream ends after {} bytes", self.received.len());
        }
        let rest = self.received.split_off(count);
        std::mem::replace(&mut self.received, rest)
    }

    /// The next response, to a request other than HEAD.
    pub(crate) fn response(&mut self) -> Response {
        let (status, head) = self.head();
        let mut response = Response { status, head, body: Vec::new() };
        if !matches!(status, 204 | 304) {
            let length = response.field("Content-Length").expect("a body has its length");
            response.body = self.take(length.parse().expect("a length is a number"));
        }
        response
    }

    /// The next response to HEAD.
    pub(crate) fn response_to_head(&mut self) -> Response {
        let (status, head) = self.head();
        Response { status, head, body: Vec::new() }
    }

    fn head(&mut self) -> (u16, String) {
        let end = loop {
            if let Some(end) = self.received.windows(4).position(|w| w == b"\r\n\r\n") {
                break end;
            }
            let so_far = String::from_utf8_lossy(&self.received).into_owned();
            assert!(self.receive(), "the stream ends in a head: {so_far:?}");
        };
        let head = String::from_utf8(self.take(end + 4)).expect("heads are text");
        let rest =
            head.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("no response: {head:?}"));
        (rest[..3].parse().expect("a status is a number"), head.trim_end().to_owned())
    }

    /// Awaits the end of the stream; fails if bytes arrive before it.
    pub(crate) fn ended(&mut self) {
        let more = !self.received.is_empty() || self.receive();
        assert!(
            !more,
            "bytes before the end of the stream: {:?}",
            String::from_utf8_lossy(&self.received)
        );
    }

    /// Waits, for a client that is slow on purpose.
    pub(crate) fn pause(duration: Duration) {
        let (_silent, ours) = UnixStream::pair().expect("a descriptor is free");
        let mut ours = Self { socket: Socket::Unix(ours), received: Vec::new() };
        assert!(ours.is_quiet_for(duration));
    }

    /// Whether neither bytes nor an end of the stream arrive for this long.
    pub(crate) fn is_quiet_for(&mut self, duration: Duration) -> bool {
        self.set_patience(duration);
        let mut place = [0; 16_384];
        let outcome = self.read(&mut place);
        self.set_patience(PATIENCE);
        match outcome {
            Ok(count) => {
                self.received.extend_from_slice(&place[..count]);
                false
            }
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
                true
            }
        }
    }
}

/// The result of an action and the time it took.
pub(crate) fn timed<T>(action: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let value = action();
    (value, start.elapsed())
}

/// A request that leaves the connection open.
pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
/// A request after whose response the server closes.
pub(crate) const GET_CLOSE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
/// The built-in page.
pub(crate) const PAGE: &[u8] = include_bytes!("../../src/site/page.html");
/// A wait of this length fails the test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
