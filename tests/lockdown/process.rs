//! The attacked process: its start, and the outcome of its attempt.

use crate::attempts::{self, Attacked};
use crate::common::{Server, TemporaryFile};
use crate::{service, trial};
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use uringstatic::cli::{self, ServerCommand};
use uringstatic::engine::kernel::EngineKind;
use uringstatic::http::request::Request;
use uringstatic::os::channel::Channel;
use uringstatic::os::inherited::InheritedDescriptors;
use uringstatic::os::net::{Endpoint, Listener, listen, sends_connect};
use uringstatic::os::privileges::is_root;
use uringstatic::os::signal;
use uringstatic::sandbox::calls::LoggerDescriptors;
use uringstatic::sandbox::{Layer, ProcessKind, SupervisorTasks};
use uringstatic::site::live::{LiveContent, LiveSource};
use uringstatic::site::{LiveAnswer, LivePage};
use uringstatic::start::settings::StartSettings;
use uringstatic::start::{self, OpenSockets, Started};

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It succeeded, against the sandbox.
    Succeeded,
    /// An error number.
    Refused(i32),
    /// The kernel killed the process for a system call.
    Killed,
    /// Any other end, which is a bug of the test.
    Other(String),
}

/// The environment variable that names the attempt.
pub(crate) const ATTEMPT: &str = "LOCKDOWN_ATTEMPT";
/// An environment variable that the process must not keep.
pub(crate) const SECRET: &str = "LOCKDOWN_SECRET";
/// A descriptor of a readable file that the process must not keep.
pub(crate) const INHERITED: i32 = 7;
const WITHOUT: &str = "LOCKDOWN_WITHOUT";

/// The line by which a process asks to be looked at from outside.
pub(crate) const LOOK: &str = "look at its privileges\n";
const KIND: &str = "LOCKDOWN_PROCESS";
const ENGINE: &str = "LOCKDOWN_ENGINE";
/// The environment variable that names the folder of [`Ground`].
pub(crate) const FOLDER: &str = "LOCKDOWN_FOLDER";

/// A folder with a root and a file outside of it, all of which anybody may read and write; removed
/// at the end.
pub(crate) struct Ground(PathBuf);

impl Ground {
    pub(crate) fn new() -> Self {
        let folder = Self::folder(std::process::id());
        let root = folder.join("root");
        fs::create_dir_all(&root).expect("there is a folder for temporary files");
        for file in ["outside", "root/inside"] {
            fs::write(folder.join(file), file).expect("it is this test's");
        }
        symlink("../outside", root.join("link")).expect("it is this test's");
        for (path, mode) in
            [("", 0o755), ("outside", 0o666), ("root", 0o777), ("root/inside", 0o666)]
        {
            let permissions = fs::Permissions::from_mode(mode);
            fs::set_permissions(folder.join(path), permissions).expect("it is this test's");
        }
        Self(folder)
    }

    fn folder(process: u32) -> PathBuf {
        std::env::temp_dir().join(format!("uringstatic-lockdown-{process}"))
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process in its sandbox that makes an attempt.
#[derive(Clone, Copy)]
pub(crate) struct Attack<'a> {
    pub(crate) kind: ProcessKind,
    pub(crate) name: &'a str,
    /// That of the workers.
    pub(crate) engine: EngineKind,
    /// The layers that are left out.
    pub(crate) without: &'a [&'a str],
    /// The words of another program that starts it.
    pub(crate) wrapper: &'a [&'a str],
}

impl<'a> Attack<'a> {
    pub(crate) fn new(kind: ProcessKind, name: &'a str) -> Self {
        Self { kind, name, engine: EngineKind::IoUring, without: &[], wrapper: &[] }
    }

    /// Starts the process, and returns the outcome of its attempt.
    pub(crate) fn outcome(self) -> Outcome {
        let mut child = self.spawn();
        let mut text = String::new();
        let mut lines = BufReader::new(child.stderr.take().expect("stderr is piped"));
        while let Ok(1..) = lines.read_line(&mut text) {
            if text.ends_with(LOOK) {
                let outcome = attempts::from_outside(child.id(), self.kind);
                child.kill().expect("it waits");
                child.wait().expect("it can be waited for");
                return outcome;
            }
        }
        lines.read_to_string(&mut text).expect("stderr is text");
        let status = child.wait().expect("it can be waited for");
        let answer = text.lines().rev().find_map(|line| line.strip_prefix("errno "));
        match (status.code(), status.signal(), answer) {
            (_, Some(libc::SIGSYS), _) => Outcome::Killed,
            (Some(0), _, _) => Outcome::Succeeded,
            (_, _, Some(errno)) => Outcome::Refused(errno.parse().expect("a number follows")),
            _ => Outcome::Other(format!("{status}: {text}")),
        }
    }

    fn spawn(self) -> Child {
        let program = std::env::current_exe().expect("it has a path");
        let folder = Ground::folder(std::process::id());
        // A file for the attempt to remove one.
        let removed = folder.join(format!("root/of-{}", std::process::id()));
        fs::write(removed, "").expect("it is this test's");
        let words = [self.wrapper, &["sh"]].concat();
        Command::new(words[0])
            .args(&words[1..])
            .args(["-c", &format!("exec {INHERITED}</etc/passwd; exec \"$0\"")])
            .arg(program)
            .env(ATTEMPT, self.name)
            .env(WITHOUT, self.without.join(","))
            .env(KIND, self.kind.name())
            .env(ENGINE, self.engine.name())
            .env(FOLDER, folder)
            .env(SECRET, "a secret")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("there is a shell")
    }
}

/// Becomes a process of the service, and makes the attempt instead of its work.
pub(crate) fn be_attacked(name: &str) -> ! {
    let variable = |name: &str| std::env::var(name).expect("it's given");
    let (without, kind) = (variable(WITHOUT), variable(KIND));
    let root = Path::new(&variable(FOLDER)).join("root");
    let any = ["--listen", "127.0.0.1:0"];
    let engine = variable(ENGINE);
    let engine = ["--engine", &engine];
    let words = [&["uringstatic"][..], &any, &any, &engine, &["--spawn", "8", "--quiet"]].concat();
    let mut argv: Vec<OsString> = words.into_iter().map(Into::into).collect();
    if kind == ProcessKind::Loader.name() {
        argv.extend(["--root".into(), root.into()]);
    }
    for layer in without.split(',').filter(|layer| !layer.is_empty()) {
        argv.extend(["--without".into(), layer.into()]);
    }
    let Ok(ServerCommand::Serve(settings)) = cli::parse(argv) else {
        panic!("the options are right")
    };
    match kind.as_str() {
        "supervisor" => attack_supervisor(name, &settings),
        "loader" => attack_loader(name, &settings),
        "admin" => attack_admin(name, &settings),
        "logger" => attack_logger(name, &settings),
        _ => attack_worker(name, &settings),
    }
}

/// Tells the outcome of an attempt. The sandbox permits no more, so that nothing may be dropped.
fn end(answer: Result<(), i32>) -> ! {
    if let Err(errno) = answer {
        eprintln!("errno {errno}");
    }
    uringstatic::os::process::end(u8::from(answer.is_err()));
}

fn attack_supervisor(name: &str, settings: &StartSettings) -> ! {
    let mut inherited = InheritedDescriptors::take().expect("there is /proc");
    let prepared = attempts::Prepared::new();
    let OpenSockets { settings, listeners, .. } =
        start::open_sockets(settings, &mut inherited).unwrap_or_else(|failure| panic!("{failure}"));
    let program = std::env::current_exe().expect("it has a path");
    let tasks = SupervisorTasks {
        program: &program,
        becomes_other: is_root(),
        listeners: &listeners,
        log: None,
    };
    start::enter_supervision(&settings, tasks, inherited)
        .and_then(|_| start::start_listening(&settings, &listeners))
        .unwrap_or_else(|failure| panic!("{failure}"));
    end(attempts::make(name, Attacked::Other(&listeners), &prepared))
}

fn attack_loader(name: &str, settings: &StartSettings) -> ! {
    let mut inherited = InheritedDescriptors::take().expect("there is /proc");
    let prepared = attempts::Prepared::new();
    let (listeners, _loaded) = start::open_sockets(settings, &mut inherited)
        .and_then(|OpenSockets { settings, listeners, .. }| {
            let settings = &settings;
            start::start_listening(settings, &listeners)?;
            let share = |listener: &Listener| listener.share().expect("there are descriptors");
            let shared = listeners.iter().map(share).collect();
            let account = start::look_up_account(settings)?;
            Ok((listeners, start::load(settings, shared, account, inherited, None)?))
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    end(attempts::make(name, Attacked::Other(&listeners), &prepared))
}

fn attack_worker(name: &str, settings: &StartSettings) -> ! {
    let prepared = attempts::Prepared::new();
    let Started { mut server, .. } =
        start::start(settings).unwrap_or_else(|failure| panic!("{failure}"));
    end(attempts::make(name, Attacked::Worker(server.engine_mut()), &prepared))
}

/// Pages that say nothing.
#[derive(Debug)]
struct NoPages;

impl LiveSource for NoPages {
    fn render(&mut self) {}

    fn choose(&self, _: &[u8], _: &Request<'_, '_>) -> Option<LiveAnswer> {
        None
    }

    fn content(&self, _: LivePage) -> LiveContent<'_> {
        LiveContent { media_type: "text/plain", bytes: b"" }
    }

    fn bytes_max(&self) -> usize {
        0
    }
}

fn attack_admin(name: &str, settings: &StartSettings) -> ! {
    let mut inherited = InheritedDescriptors::take().expect("there is /proc");
    let prepared = attempts::Prepared::new();
    let (mut server, _sandbox) = start::open_sockets(settings, &mut inherited)
        .and_then(|OpenSockets { settings, listeners, .. }| {
            let settings = &settings;
            start::start_listening(settings, &listeners)?;
            let account = start::look_up_account(settings)?;
            let signals = signal::receive(&[libc::SIGIO])?;
            let sockets = (listeners, signals);
            start::serve_live(settings, account, inherited, sockets, Box::new(NoPages), || ())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    end(attempts::make(name, Attacked::Worker(server.engine_mut()), &prepared))
}

fn attack_logger(name: &str, settings: &StartSettings) -> ! {
    let mut inherited = InheritedDescriptors::take().expect("there is /proc");
    let prepared = attempts::Prepared::new();
    let (channel, _supervisor) = Channel::pair().expect("there are descriptors");
    let output = fs::File::create("/dev/null").expect("there is /dev");
    let descriptors =
        LoggerDescriptors { channel: channel.as_fd().as_raw_fd(), output: output.as_raw_fd() };
    let (listeners, _sandbox) = start::open_sockets(settings, &mut inherited)
        .and_then(|OpenSockets { settings, listeners, .. }| {
            let settings = &settings;
            start::start_listening(settings, &listeners)?;
            let account = start::look_up_account(settings)?;
            let sandbox = start::confine_logger(settings, account, inherited, descriptors)?;
            Ok((listeners, sandbox))
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    end(attempts::make(name, Attacked::Logger(&channel, &listeners), &prepared))
}

/// Checks besides those of the table, by name.
pub(crate) type Check = fn() -> Result<String, String>;
pub(crate) const CHECKS: &[(&str, Check)] = &[
    ("the ready line lists the layers that are off", ready_line),
    ("a missing layer is reported, and can be required", missing_layers),
    ("root serves only with --allow-root", root_on_purpose),
    ("uringstatic lockdown reports every layer", list_for_auditors),
    ("no send connects without fast open", no_fast_open),
    ("a failed assertion ends the process by SIGABRT", abort),
    ("a worker can write to its own page of the scoreboard only", service::scoreboard),
    ("an admin process can only read the scoreboard, and has no file open", service::admin),
    ("a worker has the sockets and its engine open, and no file", service::descriptors),
    ("a supervisor gets its loaders to serve as every user", service::users),
    ("a trial in a child process leaves this one as it is", trial::ends),
];

pub(crate) fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// Has the program that the words behind these name run in a network namespace of its own, in which
/// no send opens a connection; only root may make one.
const ISOLATED: &[&str] = &[
    "unshare",
    "--net",
    "sh",
    "-c",
    "echo 2 > /proc/sys/net/ipv4/tcp_fastopen && ip link set lo up && exec \"$0\" \"$@\"",
];

/// Whether the kernel lets this user attach the filter of the layer `listeners`.
pub(crate) fn can_drop_answers() -> bool {
    let any = Endpoint::Tcp(([127, 0, 0, 1], 0).into());
    listen(&any, 1, false).is_ok_and(|listener| listener.drop_answers().is_ok())
}

fn can_isolate() -> bool {
    let true_program = [ISOLATED, &["true"]].concat();
    let mut command = Command::new(true_program[0]);
    command.args(&true_program[1..]).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A user of the test's own, so that a start as root gives no advice.
fn own_user() -> &'static [&'static str] {
    if is_root() { &["--user", "54321"] } else { &[] }
}

/// The lines before the ready line, and the ready line.
fn last_word(words: &[&str], address: &str, options: &[&str]) -> (Vec<String>, String) {
    let user = if options.contains(&"--allow-root") { &[] } else { own_user() };
    let server = Server::start_by(words, &[address], &[user, options].concat());
    let messages = server.messages.clone();
    let ready = server.ready.clone();
    server.end();
    (messages, ready)
}

pub(crate) const ANY: &str = "127.0.0.1:0";

fn ready_line() -> Result<String, String> {
    let socket = TemporaryFile::vacant("sock");
    let unix = format!("unix:{}", socket.path());
    let here = if sends_connect() { "partial (listeners)" } else { "full" };
    let mut cases: Vec<(&[&str], &str, &[&str], &str)> = vec![
        (&[], &unix, &[], "full"),
        (&[], &unix, &["--lockdown", "require"], "full"),
        (&[], &unix, &["--without", "seccomp"], "partial (seccomp)"),
        (&[], ANY, &["--no-lockdown", "--allow-root"], "off"),
        (&[], ANY, &["--lockdown=off", "--allow-root"], "off"),
    ];
    // Some kernels let only root attach a filter.
    if is_root() {
        cases.push((&[], ANY, &[], here));
    }
    let can_isolate = can_isolate();
    // Where the filter of system calls sees every send, the sysctl isn't needed.
    let epoll = ["--engine", "epoll"];
    let required = ["--engine", "epoll", "--lockdown", "require"];
    let unfiltered = ["--engine", "epoll", "--without", "seccomp"];
    cases.extend([(&[][..], ANY, &epoll[..], "full"), (&[], ANY, &required, "full")]);
    if is_root() {
        let lacks =
            if sends_connect() { "partial (listeners, seccomp)" } else { "partial (seccomp)" };
        cases.push((&[], ANY, &unfiltered, lacks));
    }
    if can_isolate {
        cases.push((ISOLATED, ANY, &[], "full"));
        cases.push((ISOLATED, ANY, &["--lockdown", "require"], "full"));
    }
    for (words, address, options, words_of_it) in cases {
        let (messages, ready) = last_word(words, address, options);
        let is_right = ready.ends_with(&format!("; lockdown {words_of_it}"));
        ensure(is_right, || format!("{address} {options:?}: {ready}"))?;
        let is_left_out = options.contains(&"--without");
        ensure(messages.is_empty() != is_left_out, || format!("{options:?}: {messages:?}"))?;
    }
    let namespace = if can_isolate { "" } else { "; not in a network namespace of its own here" };
    Ok(format!("full, partial or off{namespace}"))
}

fn missing_layers() -> Result<String, String> {
    let socket = TemporaryFile::vacant("sock");
    let unix = format!("unix:{}", socket.path());
    let layers = Layer::ALL.map(Layer::name);
    for layer in layers {
        let (messages, _) = last_word(&[], &unix, &["--without", layer]);
        let expected = format!("uringstatic: not locked down by {layer}: excluded by --without");
        ensure(messages == [expected], || format!("{layer}: {messages:?}"))?;
        let exit = Server::run(&["--listen", &unix, "--lockdown=require", "--without", layer]);
        let is_named = exit.text.contains(&format!("locking down: {layer}: "));
        ensure(exit.code == Some(1) && is_named, || format!("{layer}: {}", exit.text))?;
    }
    if sends_connect() {
        let exit = Server::run(&["--listen", ANY, "--lockdown=require"]);
        let is_told = exit.text.contains("locking down: listeners: ")
            && exit.text.contains("`sysctl -w net.ipv4.tcp_fastopen=2`");
        ensure(exit.code == Some(1) && is_told, || format!("{:?}: {}", exit.code, exit.text))?;
    }
    Ok(format!("{} layers, each by itself", layers.len()))
}

/// The advised sysctl has its effect even without the layer.
fn no_fast_open() -> Result<String, String> {
    if !cfg!(debug_assertions) || !can_isolate() {
        return Ok("left out: it takes a debug build and a network namespace".to_owned());
    }
    let attack = Attack::new(ProcessKind::Worker, "connect by fast open by the ring");
    let found = Attack { without: &["listeners"], wrapper: ISOLATED, ..attack }.outcome();
    ensure(found == Outcome::Refused(libc::EOPNOTSUPP), || format!("it comes to {found:?}"))?;
    Ok(format!("{found:?}"))
}

fn root_on_purpose() -> Result<String, String> {
    let exit = Server::run(&["--listen", "127.0.0.1:0", "--user", "root"]);
    let is_told = exit.code == Some(1) && exit.text.contains("--allow-root");
    ensure(is_told, || format!("{:?}: {}", exit.code, exit.text))?;
    let exit = Server::run(&["--listen", "127.0.0.1:0", "--user", "nobody at all"]);
    let is_told = exit.code == Some(1) && exit.text.contains("getent passwd");
    ensure(is_told, || format!("{:?}: {}", exit.code, exit.text))?;
    if !is_root() {
        return Ok("not root here, so not more than that".to_owned());
    }
    for (options, uid) in [
        (&[][..], 65_534),
        (&["--no-lockdown"], 65_534),
        (&["--user", "54321:12345"], 54_321),
        (&["--user", "54321:12345", "--no-lockdown"], 54_321),
        (&["--allow-root"], 0),
    ] {
        let server = Server::start(options);
        let [worker] = service::workers_of(&server)[..] else {
            return Err("one worker serves".to_owned());
        };
        let found = attempts::user_of(worker);
        let advises = server.messages.iter().any(|line| line.contains("`--user NAME`"));
        server.end();
        ensure(found == uid, || format!("{options:?}: it serves as {found}"))?;
        ensure(advises == (uid == 65_534), || format!("{options:?}: advice is {advises}"))?;
    }
    Ok("as nobody, as who is named, and as root if allowed".to_owned())
}

fn abort() -> Result<String, String> {
    let mut child = Attack::new(ProcessKind::Worker, "abort").spawn();
    let status = child.wait().expect("it can be waited for");
    ensure(status.signal() == Some(libc::SIGABRT), || status.to_string())?;
    Ok("SIGABRT, not SIGSYS".to_owned())
}

fn list_for_auditors() -> Result<String, String> {
    let list = |words: &[&str], options: &[&str]| {
        let program = [words, &[env!("CARGO_BIN_EXE_uringstatic"), "lockdown"]].concat();
        let output = Command::new(program[0]).args(&program[1..]).args(options).output();
        let output = output.expect("the program was built");
        (output.status.code(), String::from_utf8(output.stdout).expect("it is text"))
    };
    let has_way_round = sends_connect() && !can_isolate();
    let words = if can_isolate() { ISOLATED } else { &[] };
    let (code, json) = list(words, &["--json"]);
    ensure(code == Some(i32::from(has_way_round)), || format!("{code:?}: {json}"))?;
    let is_filtered = is_root() || !has_way_round;
    let value: serde_json::Value = serde_json::from_str(&json).map_err(|why| why.to_string())?;
    ensure(value["schema"] == "uringstatic-lockdown/2", || json.clone())?;
    let processes = value["processes"].as_array().ok_or_else(|| json.clone())?;
    let layers = |process: &serde_json::Value| process["layers"].as_array().cloned();
    let of_all: Vec<_> = processes.iter().filter_map(layers).collect();
    let counts: Vec<_> = of_all.iter().map(Vec::len).collect();
    ensure(counts == [6, 6, Layer::ALL.len(), Layer::ALL.len(), 6], || json.clone())?;
    let is_on = |layer: &serde_json::Value| {
        layer["on"] == true || layer["layer"] == "listeners" && !is_filtered
    };
    ensure(of_all.iter().flatten().all(is_on), || json.clone())?;
    // docs/generate makes the tables of docs/security.md from these entries.
    let lists = of_all.iter().flatten().flat_map(|layer| [&layer["allows"], &layer["refuses"]]);
    let entries = lists.flat_map(|list| list.as_array().into_iter().flatten());
    let is_explained = |entry: &serde_json::Value| {
        ["name", "why"].iter().all(|field| entry[field].as_str().is_some_and(|it| !it.is_empty()))
    };
    ensure(entries.clone().count() > 0 && entries.clone().all(is_explained), || json.clone())?;
    let (code, text) = list(&[], &[]);
    let state = if sends_connect() { "part" } else { "on  " };
    let is_said = text.lines().any(|line| line.starts_with(&format!("{state} listeners")));
    ensure(is_said || !is_filtered, || text.clone())?;
    ensure(code == Some(i32::from(sends_connect())), || format!("{code:?}: {text}"))?;
    let (code, text) = list(&[], &["--without", "landlock"]);
    let is_off = text.lines().filter(|line| line.starts_with("off  landlock")).count() == 5;
    ensure(code == Some(1) && is_off, || format!("{code:?}: {text}"))?;
    Ok("on, off and why".to_owned())
}
