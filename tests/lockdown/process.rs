//! The attacked process: its start, and the outcome of its attempt.

use crate::attempts;
use crate::common::{Server, TemporaryFile};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use uringstatic::cli::{self, ServerCommand};
use uringstatic::os::net::sends_connect;
use uringstatic::os::privileges::is_root;
use uringstatic::sandbox::Layer;
use uringstatic::start::{Started, start};

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

/// Starts a serving process that makes an attempt, and returns the outcome.
pub(crate) fn attempt(name: &str, without: &[&str]) -> Outcome {
    attempt_by(&[], name, without)
}

/// The same, started by another program with these words.
fn attempt_by(words: &[&str], name: &str, without: &[&str]) -> Outcome {
    let mut child = spawn(words, name, without);
    let mut text = String::new();
    let mut lines = BufReader::new(child.stderr.take().expect("stderr is piped"));
    while let Ok(1..) = lines.read_line(&mut text) {
        if text.ends_with("outside\n") {
            let outcome = attempts::from_outside(child.id());
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

fn spawn(words: &[&str], name: &str, without: &[&str]) -> Child {
    let program = std::env::current_exe().expect("it has a path");
    let words = [words, &["sh"]].concat();
    Command::new(words[0])
        .args(&words[1..])
        .args(["-c", &format!("exec {INHERITED}</etc/passwd; exec \"$0\"")])
        .arg(program)
        .env(ATTEMPT, name)
        .env(WITHOUT, without.join(","))
        .env(SECRET, "a secret")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("there is a shell")
}

/// Starts to serve, and makes the attempt instead of the first turn.
pub(crate) fn be_attacked(name: &str) -> ! {
    let without = std::env::var(WITHOUT).expect("it's given");
    let any = ["--listen", "127.0.0.1:0"];
    let words = [&["uringstatic"][..], &any, &any, &["--spawn", "8", "--quiet"]].concat();
    let mut argv: Vec<OsString> = words.into_iter().map(Into::into).collect();
    for layer in without.split(',').filter(|layer| !layer.is_empty()) {
        argv.extend(["--without".into(), layer.into()]);
    }
    let Ok(ServerCommand::Serve(settings)) = cli::parse(argv) else {
        panic!("the options are right")
    };
    let prepared = attempts::Prepared::new();
    let Started { mut server, lockdown: _, .. } =
        start(&settings).unwrap_or_else(|failure| panic!("{failure}"));
    let answer = attempts::make(name, server.ring_mut(), &prepared);
    if let Err(errno) = answer {
        eprintln!("errno {errno}");
    }
    uringstatic::os::process::end(u8::from(answer.is_err()));
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
];

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
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

const ANY: &str = "127.0.0.1:0";

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
    let found = attempt_by(ISOLATED, "connect by fast open", &["listeners"]);
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
        let found = attempts::user_of(server.id());
        let advises = server.messages.iter().any(|line| line.contains("`--user NAME`"));
        server.end();
        ensure(found == uid, || format!("{options:?}: it serves as {found}"))?;
        ensure(advises == (uid == 65_534), || format!("{options:?}: advice is {advises}"))?;
    }
    Ok("as nobody, as who is named, and as root if allowed".to_owned())
}

fn abort() -> Result<String, String> {
    let mut child = spawn(&[], "abort", &[]);
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
    ensure(value["schema"] == "uringstatic-lockdown/1", || json.clone())?;
    let layers = value["layers"].as_array().ok_or_else(|| json.clone())?;
    let is_on = |layer: &serde_json::Value| {
        layer["on"] == true || layer["layer"] == "listeners" && !is_filtered
    };
    ensure(layers.len() == Layer::ALL.len() && layers.iter().all(is_on), || json.clone())?;
    // docs/generate makes the tables of docs/security.md from these entries.
    let entries = layers.iter().flat_map(|layer| layer["allows"].as_array().into_iter().flatten());
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
    let is_off = text.lines().any(|line| line.starts_with("off  landlock"));
    ensure(code == Some(1) && is_off, || format!("{code:?}: {text}"))?;
    Ok("on, off and why".to_owned())
}
