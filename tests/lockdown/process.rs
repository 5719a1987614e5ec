//! The process that is attacked: how it is started, and how an attempt of its ends.

use crate::attempts;
use crate::common::Server;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use uringstatic::cli::{self, Command as Asked};
use uringstatic::lockdown::Layer;
use uringstatic::start::{Started, start};

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It did what it was not to do.
    Succeeded,
    /// An error number.
    Refused(i32),
    /// The kernel killed the process for a system call.
    Killed,
    /// Anything else, which is a mistake of the test.
    Other(String),
}

/// Names the attempt, in the environment of the process that makes it.
pub(crate) const ATTEMPT: &str = "LOCKDOWN_ATTEMPT";
/// A part of the environment that the process was not meant to keep.
pub(crate) const SECRET: &str = "LOCKDOWN_SECRET";
/// A descriptor that the process was not meant to inherit: of a file that it could read.
pub(crate) const INHERITED: i32 = 7;
const WITHOUT: &str = "LOCKDOWN_WITHOUT";

/// Starts a serving process that makes an attempt, and says what came of it.
pub(crate) fn attempt(name: &str, without: &[&str]) -> Outcome {
    let mut child = spawn(name, without);
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

fn spawn(name: &str, without: &[&str]) -> Child {
    let program = std::env::current_exe().expect("it has a path");
    Command::new("sh")
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

/// Serves, and makes the attempt instead of the first turn.
pub(crate) fn be_attacked(name: &str) -> ! {
    let without = std::env::var(WITHOUT).expect("it's given");
    let any = ["--listen", "127.0.0.1:0"];
    let words = [&["uringstatic"][..], &any, &any, &["--spawn", "8", "--quiet"]].concat();
    let mut argv: Vec<OsString> = words.into_iter().map(Into::into).collect();
    for layer in without.split(',').filter(|layer| !layer.is_empty()) {
        argv.extend(["--without".into(), layer.into()]);
    }
    let Ok(Asked::Serve(config)) = cli::parse(argv) else { panic!("the options are right") };
    let prepared = attempts::Prepared::new();
    let Started { mut server, lockdown: _ } =
        start(&config).unwrap_or_else(|failure| panic!("{failure}"));
    let answer = attempts::make(name, server.ring_mut(), &prepared);
    if let Err(errno) = answer {
        eprintln!("errno {errno}");
    }
    uringstatic::sys::process::end(u8::from(answer.is_err()));
}

/// What is checked beside the table, by its name.
pub(crate) type Check = fn() -> Result<String, String>;
pub(crate) const CHECKS: &[(&str, Check)] = &[
    ("the ready line says what is in force", ready_line),
    ("a layer that is missing is said, and may be required", missing_layers),
    ("root is not served as on purpose, unless allowed", root_on_purpose),
    ("the list for auditors", list_for_auditors),
    ("an assertion ends it as anywhere", abort),
];

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// The last line before it ends, having started with these options.
fn last_word(options: &[&str]) -> (Vec<String>, String) {
    let server = Server::start(options);
    let said = server.said.clone();
    let ready = server.ready.clone();
    server.end();
    (said, ready)
}

fn ready_line() -> Result<String, String> {
    for (options, word) in [
        (&[][..], "full"),
        (&["--lockdown", "require"], "full"),
        (&["--without", "seccomp"], "partial"),
        (&["--no-lockdown", "--allow-root"], "off"),
        (&["--lockdown=off", "--allow-root"], "off"),
    ] {
        let (said, ready) = last_word(options);
        ensure(ready.ends_with(&format!("; lockdown {word}")), || format!("{options:?}: {ready}"))?;
        ensure(said.is_empty() == (word != "partial"), || format!("{options:?}: {said:?}"))?;
    }
    Ok("full, partial or off".to_owned())
}

fn missing_layers() -> Result<String, String> {
    let layers = Layer::ALL.map(Layer::name);
    for layer in layers {
        let (said, _) = last_word(&["--without", layer]);
        let expected = format!("uringstatic: not locked down by {layer}: --without");
        ensure(said == [expected], || format!("{layer}: {said:?}"))?;
        let options = ["--listen", "127.0.0.1:0", "--lockdown=require", "--without", layer];
        let exit = Server::run(&options);
        let is_named = exit.text.contains(&format!("locking down: {layer}: "));
        ensure(exit.code == Some(1) && is_named, || format!("{layer}: {}", exit.text))?;
    }
    Ok(format!("{} layers, each by itself", layers.len()))
}

fn root_on_purpose() -> Result<String, String> {
    let exit = Server::run(&["--listen", "127.0.0.1:0", "--user", "root"]);
    let is_told = exit.code == Some(1) && exit.text.contains("--allow-root");
    ensure(is_told, || format!("{:?}: {}", exit.code, exit.text))?;
    let exit = Server::run(&["--listen", "127.0.0.1:0", "--user", "nobody at all"]);
    let is_told = exit.code == Some(1) && exit.text.contains("getent passwd");
    ensure(is_told, || format!("{:?}: {}", exit.code, exit.text))?;
    if !uringstatic::sys::privileges::is_root() {
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
        server.end();
        ensure(found == uid, || format!("{options:?}: it serves as {found}"))?;
    }
    Ok("as nobody, as who is named, and as root if allowed".to_owned())
}

fn abort() -> Result<String, String> {
    let mut child = spawn("abort", &[]);
    let status = child.wait().expect("it can be waited for");
    ensure(status.signal() == Some(libc::SIGABRT), || status.to_string())?;
    Ok("SIGABRT, not SIGSYS".to_owned())
}

fn list_for_auditors() -> Result<String, String> {
    let list = |options: &[&str]| {
        let program = env!("CARGO_BIN_EXE_uringstatic");
        let output = Command::new(program).arg("lockdown").args(options).output();
        let output = output.expect("the program was built");
        (output.status.code(), String::from_utf8(output.stdout).expect("it is text"))
    };
    let (code, json) = list(&["--json"]);
    ensure(code == Some(0), || format!("{code:?}: {json}"))?;
    let value: serde_json::Value = serde_json::from_str(&json).map_err(|why| why.to_string())?;
    ensure(value["schema"] == "uringstatic-lockdown/1", || json.clone())?;
    let layers = value["layers"].as_array().ok_or_else(|| json.clone())?;
    let is_on = |layer: &serde_json::Value| layer["on"] == true;
    ensure(layers.len() == Layer::ALL.len() && layers.iter().all(is_on), || json.clone())?;
    // What the README has for each entry is what the program says of it.
    let readme = include_str!("../../README.md");
    for entry in layers.iter().flat_map(|layer| layer["allows"].as_array().into_iter().flatten()) {
        let (name, why) = (entry["name"].as_str(), entry["why"].as_str());
        let (name, why) = (name.unwrap_or_default(), why.unwrap_or_default());
        let told =
            readme.lines().any(|line| line.contains(&format!("`{name}`")) && line.contains(why));
        ensure(told, || format!("the README lacks {name}: {why}"))?;
    }
    let (code, text) = list(&["--without", "landlock"]);
    let is_off = text.lines().any(|line| line.starts_with("off  landlock"));
    ensure(code == Some(1) && is_off, || format!("{code:?}: {text}"))?;
    Ok("on, off and why; the README has the same".to_owned())
}
