//! The file of a sweep: TOML in, checked [`Settings`] out. Pure; whether a program exists shows
//! when it is started.
//!
//! ```toml
//! rounds = 3                    # how often everything is measured; 1 unless said
//! requests = 100000             # a point, unless a load says otherwise
//! concurrency = [10, 100]       # numbers of connections
//! time_max = "60s"              # longest load, unless a load says otherwise
//! client_cpu = 1                # core of the load client; any unless said
//! start_timeout = "10s"         # until a server answers, unless it says otherwise
//! stop_timeout = "15s"          # from SIGTERM to SIGKILL, unless it says otherwise
//!
//! [[load]]
//! name = "close"
//! options = ["--ab"]            # of the load client
//! requests = 10000              # instead of the above; also time_max
//!
//! [[server]]
//! name = "a"
//! command = ["bin/a", "--port={port}", "--threads={concurrency}"]  # or a line for the shell
//! environment = { THREADS = "{concurrency}" }
//! folder = "../.."              # from this file's folder, which it is unless said
//! cpu = 0                       # core of the server; any unless said
//! start_timeout = "30s"
//! stop_timeout = "5s"
//! ```

use super::results::{Load, Server, Settings};
use crate::load::options;
use crate::value_parsers as value;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

/// What the command line says instead of the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Rounds.
    pub rounds: Option<NonZeroU32>,
    /// Requests a point, of every load.
    pub requests: Option<NonZeroU64>,
    /// The longest load, of every load.
    pub time_max: Option<Duration>,
    /// Numbers of connections; none for those of the file.
    pub concurrency: Vec<NonZeroU32>,
    /// Options for the load client, beside those of the file.
    pub options: Vec<String>,
}

/// Reads the text of a sweep's file.
///
/// # Errors
/// What is wrong, and where.
pub fn parse(text: &str, overrides: Overrides) -> Result<Settings, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    let settings = file.fill_in(overrides);
    check_list("concurrency", &settings.concurrency)?;
    check_names("load", settings.loads.iter().map(|load| &load.name))?;
    check_names("server", settings.servers.iter().map(|server| &server.name))?;
    for load in &settings.loads {
        load.options.iter().try_for_each(|option| check_option(&load.name, option))?;
    }
    settings.servers.iter().try_for_each(check_server)?;
    Ok(settings)
}

/// Checks the options of all loads as the load client itself will.
///
/// # Errors
/// Which load has which wrong option.
pub fn check_options(settings: &Settings) -> Result<(), String> {
    for load in &settings.loads {
        let own = ["uringload", "http://127.0.0.1:10001/"].map(str::to_owned);
        let words = own.iter().chain(&load.options);
        let why = match options::parse(words) {
            Ok(_) => continue,
            Err(error) => {
                let text = error.to_string();
                let first = text.split("\n\n").next().unwrap_or_default();
                first.trim_start_matches("error: ").trim().to_owned()
            }
        };
        let options = load.options.join(" ");
        return Err(format!("load {:?}: options: {options}: {why}", load.name));
    }
    Ok(())
}

/// Puts in what is known only when a server is started.
#[must_use]
pub fn fill(template: &str, port: u16, concurrency: u32) -> String {
    template.replace(PORT, &port.to_string()).replace(CONCURRENCY, &concurrency.to_string())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rounds: Option<NonZeroU32>,
    requests: Option<NonZeroU64>,
    concurrency: Vec<NonZeroU32>,
    #[serde(default, deserialize_with = "duration")]
    time_max: Option<Duration>,
    client_cpu: Option<u32>,
    #[serde(default, deserialize_with = "duration")]
    start_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    stop_timeout: Option<Duration>,
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
    #[serde(default, deserialize_with = "duration")]
    time_max: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileServer {
    name: String,
    command: Words,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    folder: Option<String>,
    cpu: Option<u32>,
    #[serde(default, deserialize_with = "duration")]
    start_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    stop_timeout: Option<Duration>,
}

/// A command: its words, or a line for the shell.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a command is a string, or a list of strings")]
enum Words {
    Line(String),
    List(Vec<String>),
}

impl File {
    fn fill_in(self, overrides: Overrides) -> Settings {
        let requests = self.requests.map_or(REQUESTS, NonZeroU64::get);
        let time_max = self.time_max.unwrap_or(TIME_MAX);
        let start_timeout = self.start_timeout.unwrap_or(START_TIMEOUT);
        let stop_timeout = self.stop_timeout.unwrap_or(STOP_TIMEOUT);
        let load = |load: FileLoad| Load {
            name: load.name,
            options: [load.options, overrides.options.clone()].concat(),
            requests: overrides.requests.or(load.requests).map_or(requests, NonZeroU64::get),
            time_max_seconds: overrides
                .time_max
                .or(load.time_max)
                .unwrap_or(time_max)
                .as_secs_f64(),
        };
        let server = |server: FileServer| Server {
            name: server.name,
            command: match server.command {
                // So that the signals reach the program and not a shell.
                Words::Line(line) if line.trim().is_empty() => Vec::new(),
                Words::Line(line) => vec!["sh".into(), "-c".into(), format!("exec {line}")],
                Words::List(words) => words,
            },
            environment: server.environment,
            folder: server.folder.unwrap_or_else(|| ".".to_owned()),
            cpu: server.cpu,
            start_timeout_seconds: server.start_timeout.unwrap_or(start_timeout).as_secs_f64(),
            stop_timeout_seconds: server.stop_timeout.unwrap_or(stop_timeout).as_secs_f64(),
        };
        let concurrency = match overrides.concurrency {
            list if list.is_empty() => self.concurrency,
            list => list,
        };
        Settings {
            rounds: overrides.rounds.or(self.rounds).map_or(1, NonZeroU32::get),
            concurrency: concurrency.into_iter().map(NonZeroU32::get).collect(),
            client_cpu: self.client_cpu,
            loads: self.load.into_iter().map(load).collect(),
            servers: self.server.into_iter().map(server).collect(),
        }
    }
}

fn duration<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    value::duration(&text).map(Some).map_err(serde::de::Error::custom)
}

fn check_list(key: &str, list: &[u32]) -> Result<(), String> {
    if list.is_empty() {
        return Err(format!("{key}: the list is empty"));
    }
    let again = list.iter().enumerate().find(|(place, value)| list[..*place].contains(value));
    again.map_or(Ok(()), |(_, value)| Err(format!("{key}: {value} is there twice")))
}

fn check_names<'a>(key: &str, names: impl Iterator<Item = &'a String>) -> Result<(), String> {
    let names: Vec<_> = names.collect();
    if names.is_empty() {
        return Err(format!("{key}: there is none"));
    }
    for (place, name) in names.iter().enumerate() {
        if name.trim().is_empty() || name.contains(['\n', '|']) {
            return Err(format!("{key}: name: {name:?} can't be a name in a table"));
        }
        if names[..place].contains(name) {
            return Err(format!("{key}: name: {name:?} is there twice"));
        }
    }
    Ok(())
}

/// Refuses what the sweep itself tells the load client, and what would spoil its figures.
fn check_option(load: &str, option: &str) -> Result<(), String> {
    let is = |short: &str, long: &str| {
        let name = option.split_once('=').map_or(option, |(name, _)| name);
        name == long
            || (!short.is_empty() && option.starts_with(short) && !option.starts_with("--"))
    };
    let why = if is("-c", "--connections") {
        "that is what concurrency is for"
    } else if is("-n", "--requests") {
        "that is what requests is for"
    } else if is("-d", "--duration") {
        "that is what time_max is for"
    } else if is("", "--json") || is("", "--quiet") {
        "the sweep says that itself"
    } else if is("", "--warmup") {
        "the server's CPU time would count, and the requests not"
    } else {
        return Ok(());
    };
    Err(format!("load {load:?}: options: {option:?}: {why}"))
}

fn check_server(server: &Server) -> Result<(), String> {
    let fail = |what: String| Err(format!("server {:?}: {what}", server.name));
    if server.command.first().is_none_or(|program| program.trim().is_empty()) {
        return fail("command: there is no program".to_owned());
    }
    let words = server.command.iter().map(|word| ("command", word));
    let texts =
        || words.clone().chain(server.environment.values().map(|text| ("environment", text)));
    if !texts().any(|(_, text)| text.contains(PORT)) {
        return fail(format!("command: neither it nor the environment has {PORT}"));
    }
    let unknown = |(key, text): (&'static str, &String)| {
        unknown_placeholder(text).map(|word| (key, word.to_owned()))
    };
    match texts().find_map(unknown) {
        Some((key, word)) => {
            fail(format!("{key}: {word} is not known; {PORT} and {CONCURRENCY} are"))
        }
        None => Ok(()),
    }
}

/// A word in braces that is none of ours. `${word}` is the shell's.
fn unknown_placeholder(text: &str) -> Option<&str> {
    text.match_indices('{').find_map(|(start, _)| {
        let end = start + text[start..].find('}')? + 1;
        let word = &text[start + 1..end - 1];
        let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
        let is_ours = [PORT, CONCURRENCY].contains(&&text[start..end]);
        (is_word && !is_ours && !text[..start].ends_with('$')).then(|| &text[start..end])
    })
}

const PORT: &str = "{port}";
const CONCURRENCY: &str = "{concurrency}";
const REQUESTS: u64 = 100_000;
const TIME_MAX: Duration = Duration::from_secs(60);
const START_TIMEOUT: Duration = Duration::from_secs(10);
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = r#"
concurrency = [10, 20]
[[load]]
name = "close"
[[server]]
name = "a"
command = "serve {port}"
"#;

    fn read(text: &str) -> Result<Settings, String> {
        parse(text, Overrides::default())
    }

    #[test]
    fn the_least_is_filled_in() {
        let settings = read(LEAST).unwrap();
        assert_eq!((settings.rounds, settings.client_cpu), (1, None));
        assert_eq!(settings.concurrency, [10, 20]);
        let load = &settings.loads[0];
        assert_eq!((load.requests, load.time_max_seconds), (100_000, 60.0));
        let server = &settings.servers[0];
        assert_eq!(server.command, ["sh", "-c", "exec serve {port}"]);
        assert_eq!(server.folder, ".");
        assert_eq!((server.start_timeout_seconds, server.stop_timeout_seconds), (10.0, 15.0));
    }

    #[test]
    fn what_the_documentation_shows_is_read() {
        let source = include_str!("config.rs");
        let lines = source.lines().skip_while(|line| *line != "//! ```toml").skip(1);
        let text: Vec<_> = lines
            .take_while(|line| *line != "//! ```")
            .map(|line| line.trim_start_matches("//!").trim_start())
            .collect();
        let settings = read(&text.join("\n")).unwrap();
        assert_eq!((settings.rounds, settings.client_cpu), (3, Some(1)));
        assert_eq!(settings.loads[0].options, ["--ab"]);
        assert_eq!(settings.loads[0].requests, 10_000);
        let server = &settings.servers[0];
        assert_eq!(server.command[1], "--port={port}");
        assert_eq!(server.environment["THREADS"], "{concurrency}");
        assert_eq!((server.folder.as_str(), server.cpu), ("../..", Some(0)));
        assert_eq!((server.start_timeout_seconds, server.stop_timeout_seconds), (30.0, 5.0));
    }

    #[test]
    fn the_command_line_has_the_last_word() {
        let overrides = Overrides {
            rounds: NonZeroU32::new(7),
            requests: NonZeroU64::new(8),
            time_max: Some(Duration::from_secs(6)),
            concurrency: vec![NonZeroU32::new(9).unwrap()],
            options: vec!["--timeout=5s".to_owned()],
        };
        let text = LEAST.replace("[[server]]", "requests = 9\ntime_max = \"9s\"\n[[server]]");
        let settings = parse(&text, overrides).unwrap();
        assert_eq!((settings.rounds, settings.loads[0].requests), (7, 8));
        assert_eq!(settings.concurrency, [9]);
        assert_eq!(settings.loads[0].options, ["--timeout=5s"]);
        assert!((settings.loads[0].time_max_seconds - 6.0).abs() < 1e-9);
    }

    #[test]
    fn placeholders_are_filled() {
        assert_eq!(fill("a{port}b{concurrency}{port}", 80, 5), "a80b580");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_key() {
        for (old, new, complaint) in [
            ("concurrency = [10, 20]", "", "missing field `concurrency`"),
            ("[10, 20]", "[]", "concurrency: the list is empty"),
            ("[10, 20]", "[10, 20, 10]", "concurrency: 10 is there twice"),
            ("[10, 20]", "[0]", "expected a nonzero u32"),
            ("[10, 20]", "[10]\nround = 1", "unknown field `round`"),
            ("[10, 20]", "[10]\nrounds = 0", "rounds = 0"),
            ("[10, 20]", "[10]\ntime_max = \"60\"", "the unit is missing; write 60s or 60ms"),
            ("[10, 20]", "[10]\nclient_cpu = -1", "client_cpu = -1"),
            ("\"close\"", "\"close\"\nopts = []", "unknown field `opts`"),
            ("\"close\"", "\"\"", "load: name: \"\" can't be a name in a table"),
            (
                "[[load]]",
                "[[load]]\nname = \"close\"\n[[load]]",
                "load: name: \"close\" is there twice",
            ),
            (
                "\"close\"",
                "\"close\"\noptions = [\"--close\", \"-c10\"]",
                "load \"close\": options: \"-c10\": that is what concurrency is for",
            ),
            (
                "\"close\"",
                "\"close\"\noptions = [\"--warmup=1s\"]",
                "load \"close\": options: \"--warmup=1s\": the server's CPU time would count, and \
                 the requests not",
            ),
            ("\"a\"", "\"a\"\nport = 1", "unknown field `port`"),
            ("\"serve {port}\"", "5", "a command is a string, or a list of strings"),
            ("\"serve {port}\"", "[]", "server \"a\": command: there is no program"),
            ("\"serve {port}\"", "\" \"", "server \"a\": command: there is no program"),
            (
                "\"serve {port}\"",
                "\"serve {port}\"\nenvironment = { A = \"{ports}\" }",
                "server \"a\": environment: {ports} is not known; {port} and {concurrency} are",
            ),
            (
                "serve {port}",
                "serve",
                "server \"a\": command: neither it nor the environment has {port}",
            ),
            (
                "serve {port}",
                "serve {port} ${home} {threads}",
                "server \"a\": command: {threads} is not known; {port} and {concurrency} are",
            ),
        ] {
            let text = LEAST.replacen(old, new, 1);
            assert_ne!(text, LEAST, "{old}");
            let found = read(&text).err().unwrap_or_default();
            assert!(found.contains(complaint), "{new}: {found}");
        }
    }

    #[test]
    fn the_load_client_reads_the_options() {
        let with = |options: &str| {
            let text = LEAST.replacen("\"close\"", &format!("\"close\"\noptions = {options}"), 1);
            check_options(&read(&text).unwrap()).err().unwrap_or_default()
        };
        assert_eq!(with(r#"["--ab", "--source", "127.0.0.2-127.0.0.20"]"#), "");
        for (options, complaint) in [
            (r#"["--bogus"]"#, "load \"close\": options: --bogus: unexpected argument '--bogus'"),
            (r#"["--close", "--timeout=5"]"#, "--timeout=5: invalid value '5' for '--timeout"),
            (r#"["--close", "--pipeline", "2"]"#, "can't be had with --pipeline"),
            (r#"["http://a/"]"#, "load \"close\": options: http://a/: "),
            (r#"["--help"]"#, "load \"close\": options: --help: "),
        ] {
            let found = with(options);
            assert!(found.contains(complaint), "{options}: {found}");
        }
    }

    #[test]
    fn options_that_only_look_alike_are_left_alone() {
        for option in ["--close", "--no-json", "--header=-c", "x", "--connect-rate=5", "--ab"] {
            assert_eq!(check_option("a", option), Ok(()));
        }
        for option in ["-n", "-n5", "--requests=5", "-d", "--duration", "--json=a", "--quiet"] {
            assert!(check_option("a", option).is_err(), "{option}");
        }
    }
}
