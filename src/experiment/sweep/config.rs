//! The file of a sweep: parses TOML into checked [`Settings`]. Pure: a missing program is noticed
//! only when it is started.
//!
//! ```toml
//! rounds = 3                    # repetitions of everything; default 1
//! requests = 100000             # per point; default 100000
//! concurrency = [10, 100]       # numbers of connections
//! time_max = "60s"              # longest load of a point; default 60s. All durations are a text
//!                               # with a unit, or a number of seconds: 60, 0.5
//! client_cpu = 1                # core of the load client; default: any
//! start_timeout = "10s"         # until a server answers; default 10s
//! stop_timeout = "15s"          # from SIGTERM to SIGKILL; default 15s
//!
//! [[load]]
//! name = "close"
//! options = ["--ab"]            # of the load client
//! requests = 10000              # overrides the value above; time_max likewise
//!
//! [[server]]
//! name = "a"
//! command = ["bin/a", "--port={port}", "--threads={concurrency}"]  # or a line for the shell
//! environment = { THREADS = "{concurrency}" }
//! folder = "../.."              # relative to the folder of this file, the default
//! path = "/index.html"          # to request; default /
//! cpu = 0                       # core of the server; default: any
//! start_timeout = "30s"
//! stop_timeout = 5
//!
//! [[server]]                    # one that runs already: neither started nor stopped
//! name = "b"
//! url = "http://127.0.0.1:8080/"
//! pid = "/run/b.pid"            # its process, or a file with its number; without it, CPU time and
//!                               # memory are not known
//! ```

mod check;
mod file_duration;
#[cfg(test)]
mod tests;

use super::results::{LoadSettings, ServerSettings, Settings};
use super::shell::ShellCommand;
use crate::load::options::{self, LoadOptions};
use file_duration::FileDuration;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

/// Settings of the command line that override those of the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Number of rounds.
    pub rounds: Option<NonZeroU32>,
    /// Requests per point, for every load.
    pub requests: Option<NonZeroU64>,
    /// Longest duration of a point, for every load.
    pub time_max: Option<Duration>,
    /// Numbers of connections; those of the file if empty.
    pub concurrency: Vec<NonZeroU32>,
    /// Options for the load client, appended to those of the file.
    pub options: Vec<String>,
}

/// Parses the text of a sweep's file.
///
/// # Errors
/// The complaint, with the key that it is about.
pub fn parse(text: &str, overrides: Overrides) -> Result<Settings, String> {
    let file: SweepFile = toml::from_str(text).map_err(|error| error.to_string())?;
    let settings = file.fill_in(overrides)?;
    check::list("concurrency", &settings.concurrency)?;
    check::names("load", settings.loads.iter().map(|load| &load.name))?;
    check::names("server", settings.servers.iter().map(|server| &server.name))?;
    for load in &settings.loads {
        load.options.iter().try_for_each(|option| check::option(&load.name, option))?;
    }
    for server in &settings.servers {
        check::server(server).map_err(|why| format!("server {:?}: {why}", server.name))?;
    }
    Ok(settings)
}

/// Checks the options of all loads with the parser of the load client.
///
/// # Errors
/// The load, its options and the complaint of the parser.
pub fn check_options(settings: &Settings) -> Result<(), String> {
    for load in &settings.loads {
        let checked = parse_by_client(ANY_URL, &load.options).and_then(|options| {
            match options.runs().len() {
                1 => Ok(()),
                runs => Err(format!(
                    "they make {runs} runs, and a point is one run: use `rounds`, or a [[load]] \
                     for each rate"
                )),
            }
        });
        checked.map_err(|why| {
            format!("load {:?}: options: {}: {why}", load.name, load.options.join(" "))
        })?;
    }
    Ok(())
}

/// How long the load client waits for responses after its last request, with these options.
pub(super) fn grace(options: &[String]) -> Duration {
    let parsed = parse_by_client(ANY_URL, options).or_else(|_| parse_by_client(ANY_URL, &[]));
    parsed.expect("a load needs no options").grace
}

/// The options as the load client parses them, or its complaint.
fn parse_by_client(url: &str, options: &[String]) -> Result<LoadOptions, String> {
    let own = ["uringload", url].map(str::to_owned);
    options::parse(own.iter().chain(options)).map_err(|error| {
        let text = error.to_string();
        let first = text.split("\n\n").next().unwrap_or_default();
        first.trim_start_matches("error: ").trim().to_owned()
    })
}

/// Replaces the placeholders `{port}` and `{concurrency}`.
#[must_use]
pub fn fill(template: &str, port: u16, concurrency: u32) -> String {
    template.replace(PORT, &port.to_string()).replace(CONCURRENCY, &concurrency.to_string())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SweepFile {
    rounds: Option<NonZeroU32>,
    requests: Option<NonZeroU64>,
    concurrency: Vec<NonZeroU32>,
    time_max: Option<FileDuration>,
    client_cpu: Option<u32>,
    start_timeout: Option<FileDuration>,
    stop_timeout: Option<FileDuration>,
    load: Vec<FileLoad>,
    server: Vec<FileServer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLoad {
    name: String,
    #[serde(default)]
    options: Vec<String>,
    requests: Option<NonZeroU64>,
    time_max: Option<FileDuration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileServer {
    name: String,
    command: Option<CommandWords>,
    url: Option<String>,
    pid: Option<ProcessOrFile>,
    path: Option<String>,
    environment: Option<BTreeMap<String, String>>,
    folder: Option<String>,
    cpu: Option<u32>,
    start_timeout: Option<FileDuration>,
    stop_timeout: Option<FileDuration>,
}

/// A command: a list of words, or a line for the shell.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a command is a string, or a list of strings")]
enum CommandWords {
    Line(String),
    List(Vec<String>),
}

/// A process by its number, or by a file that has it.
#[derive(Deserialize)]
#[serde(untagged, expecting = "pid is the number of a process, or the path of a file that has it")]
enum ProcessOrFile {
    Number(NonZeroU32),
    File(String),
}

impl SweepFile {
    fn fill_in(self, overrides: Overrides) -> Result<Settings, String> {
        let requests = self.requests.map_or(REQUESTS, NonZeroU64::get);
        let time_max = self.time_max.unwrap_or(TIME_MAX);
        let timeouts = DefaultTimeouts {
            start: self.start_timeout.unwrap_or(START_TIMEOUT),
            stop: self.stop_timeout.unwrap_or(STOP_TIMEOUT),
        };
        let load = |load: FileLoad| LoadSettings {
            name: load.name,
            options: [load.options, overrides.options.clone()].concat(),
            requests: overrides.requests.or(load.requests).map_or(requests, NonZeroU64::get),
            time_max_seconds: overrides
                .time_max
                .map(FileDuration)
                .or(load.time_max)
                .unwrap_or(time_max)
                .as_seconds(),
        };
        let concurrency = match overrides.concurrency {
            list if list.is_empty() => self.concurrency,
            list => list,
        };
        let server = |server: FileServer| {
            let name = server.name.clone();
            server.fill_in(timeouts).map_err(|why| format!("server {name:?}: {why}"))
        };
        Ok(Settings {
            rounds: overrides.rounds.or(self.rounds).map_or(1, NonZeroU32::get),
            concurrency: concurrency.into_iter().map(NonZeroU32::get).collect(),
            client_cpu: self.client_cpu,
            loads: self.load.into_iter().map(load).collect(),
            servers: self.server.into_iter().map(server).collect::<Result<_, _>>()?,
        })
    }
}

/// The defaults of all servers.
#[derive(Clone, Copy)]
struct DefaultTimeouts {
    start: FileDuration,
    stop: FileDuration,
}

impl FileServer {
    fn fill_in(self, timeouts: DefaultTimeouts) -> Result<ServerSettings, String> {
        self.check_keys()?;
        let command = match self.command {
            None => ShellCommand { words: Vec::new(), stays: false },
            Some(CommandWords::List(words)) => ShellCommand { words, stays: false },
            // Without a program there is nothing to run, which the check of the words refuses.
            Some(CommandWords::Line(line)) if line.trim().is_empty() => {
                ShellCommand { words: vec![line], stays: false }
            }
            Some(CommandWords::Line(line)) => ShellCommand::new(&line),
        };
        Ok(ServerSettings {
            name: self.name,
            command: command.words,
            shell_stays: command.stays,
            url: self.url,
            pid: self.pid.map(|pid| match pid {
                ProcessOrFile::Number(number) => number.to_string(),
                ProcessOrFile::File(path) => path,
            }),
            path: self.path.unwrap_or_else(|| "/".to_owned()),
            environment: self.environment.unwrap_or_default(),
            folder: self.folder.unwrap_or_else(|| ".".to_owned()),
            cpu: self.cpu,
            start_timeout_seconds: self.start_timeout.unwrap_or(timeouts.start).as_seconds(),
            stop_timeout_seconds: self.stop_timeout.unwrap_or(timeouts.stop).as_seconds(),
        })
    }

    /// Refuses keys that don't belong together: a server is started, or runs already.
    fn check_keys(&self) -> Result<(), String> {
        let of_command = [
            ("path", self.path.is_some()),
            ("environment", self.environment.is_some()),
            ("folder", self.folder.is_some()),
            ("cpu", self.cpu.is_some()),
            ("start_timeout", self.start_timeout.is_some()),
            ("stop_timeout", self.stop_timeout.is_some()),
        ];
        match (&self.command, &self.url) {
            (None, None) => Err("command: missing; write the command that starts the server, or \
                                 the url of one that runs already"
                .to_owned()),
            (Some(_), Some(_)) => Err(format!(
                "url: a server with a command is requested at http://127.0.0.1:{PORT}/; write \
                 path for another path, or leave out the command of a server that runs already"
            )),
            (Some(_), None) if self.pid.is_some() => {
                Err("pid: a server with a command has the process that was started".to_owned())
            }
            (Some(_), None) => Ok(()),
            (None, Some(_)) => match of_command.iter().find(|(_, is_set)| *is_set) {
                Some(("path", _)) => Err("path: write it as a part of the url".to_owned()),
                Some((key, _)) => Err(format!(
                    "{key}: a server with a url runs already, so it is not started or stopped"
                )),
                None => Ok(()),
            },
        }
    }
}

/// A URL to parse options with.
const ANY_URL: &str = "http://127.0.0.1:10001/";
const PORT: &str = "{port}";
const CONCURRENCY: &str = "{concurrency}";
const REQUESTS: u64 = 100_000;
const TIME_MAX: FileDuration = FileDuration(Duration::from_secs(60));
const START_TIMEOUT: FileDuration = FileDuration(Duration::from_secs(10));
const STOP_TIMEOUT: FileDuration = FileDuration(Duration::from_secs(15));
