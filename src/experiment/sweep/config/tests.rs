//! The file of a sweep: defaults, overrides, and what is refused.

use super::check::option as check_option;
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
fn defaults_complete_a_minimal_file() {
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
fn documented_example_is_valid() {
    let source = include_str!("../config.rs");
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
    assert_eq!((server.path.as_str(), &server.url, &server.pid), ("/index.html", &None, &None));
    let running = &settings.servers[1];
    assert_eq!((running.command.len(), running.pid.as_deref()), (0, Some("/run/b.pid")));
    assert_eq!(running.url.as_deref(), Some("http://127.0.0.1:8080/"));
}

#[test]
fn durations_are_seconds_or_texts_with_a_unit() {
    let with = |value: &str| {
        let head = format!("time_max = {value}\nstart_timeout = {value}\n{LEAST}\n");
        let text = head.replace("\"close\"", &format!("\"close\"\ntime_max = {value}"));
        read(&format!("{text}stop_timeout = {value}\n"))
    };
    for (value, seconds) in [
        ("60", 60.0),
        ("0.5", 0.5),
        ("1e3", 1000.0),
        ("86400", 86_400.0),
        ("1e-12", 1e-9),
        ("\"60s\"", 60.0),
        ("\"500ms\"", 0.5),
    ] {
        let settings = with(value).unwrap();
        let server = &settings.servers[0];
        let found = [
            settings.loads[0].time_max_seconds,
            server.start_timeout_seconds,
            server.stop_timeout_seconds,
        ];
        assert!(found.iter().all(|it| (it - seconds).abs() < 1e-15), "{value}: {found:?}");
    }
    for (value, complaint) in [
        ("\"60\"", "the unit is missing; write 60s or 60ms"),
        ("0", "the duration must be longer than zero"),
        ("-1", "the duration must be longer than zero"),
        ("-0.0", "the duration must be longer than zero"),
        ("\"0s\"", "the duration must be longer than zero"),
        ("86401", "the duration must be one day (86400 seconds) at most"),
        ("inf", "the duration must be one day (86400 seconds) at most"),
        ("nan", "nan is no number of seconds"),
        ("\"soon\"", "write a duration as 500ms, 10s or 1m30s"),
        ("true", "expected a duration: a number of seconds (60, 0.5) or a text (\"60s\""),
        ("[60]", "expected a duration"),
    ] {
        let found = with(value).err().unwrap_or_default();
        assert!(found.contains(complaint), "{value}: {found}");
        // The line of the file, with its key.
        assert!(found.contains(&format!("time_max = {value}")), "{value}: {found}");
    }
}

#[test]
fn a_server_is_started_or_runs_already() {
    let server = |keys: &str| {
        let text = LEAST.replacen("command = \"serve {port}\"", keys, 1);
        read(&text).map(|mut settings| settings.servers.remove(0))
    };
    let running = server("url = 'http://[::1]:8080/a?b'\npid = 7").unwrap();
    assert_eq!(
        (running.url.as_deref(), running.pid.as_deref()),
        (Some("http://[::1]:8080/a?b"), Some("7"))
    );
    let started = server("command = 'serve {port}'\npath = '/a?b'").unwrap();
    assert_eq!((started.url, started.path.as_str()), (None, "/a?b"));
    for (keys, complaint) in [
        ("", "command: missing; write the command that starts the server, or the url of one"),
        ("command = 'a {port}'\nurl = 'http://b/'", "url: a server with a command is requested at"),
        ("command = 'a {port}'\npid = 7", "pid: a server with a command has the process"),
        ("command = 'a {port}'\npath = 'b'", "path: \"b\" doesn't begin with a slash"),
        ("command = 'a {port}'\npath = '/a b'", "path: ' ' can't be in a path; write it as %XX"),
        ("command = 'a {port}'\npath = '/a#b'", "path: '#' can't be in a path"),
        ("url = 'http://b/'\npath = '/'", "path: write it as a part of the url"),
        ("url = 'http://b/'\ncpu = 0", "cpu: a server with a url runs already"),
        ("url = 'http://b/'\nstop_timeout = 5", "stop_timeout: a server with a url"),
        ("url = 'http://127.0.0.1:{port}/'", "url: {port} is for commands; write the port"),
        ("url = 'b:80'", "url: "),
        ("url = 'http:///'", "url: "),
    ] {
        let found = server(keys).err().unwrap_or_default();
        assert!(found.contains("server \"a\": ") && found.contains(complaint), "{keys}: {found}");
    }
    let found = server("url = 'http://b/'\npid = true").err().unwrap_or_default();
    assert!(found.contains("pid is the number of a process, or the path of a file"), "{found}");
}

#[test]
fn command_line_overrides_the_file() {
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
fn placeholders_are_replaced() {
    assert_eq!(fill("a{port}b{concurrency}{port}", 80, 5), "a80b580");
}

#[test]
fn invalid_settings_are_refused_with_their_key() {
    for (old, new, complaint) in [
        ("concurrency = [10, 20]", "", "missing field `concurrency`"),
        ("[10, 20]", "[]", "concurrency: the list is empty"),
        ("[10, 20]", "[10, 20, 10]", "concurrency: 10 occurs twice"),
        ("[10, 20]", "[0]", "expected a nonzero u32"),
        ("[10, 20]", "[10]\nround = 1", "unknown field `round`"),
        ("[10, 20]", "[10]\nrounds = 0", "rounds = 0"),
        ("[10, 20]", "[10]\ntime_max = \"60\"", "the unit is missing; write 60s or 60ms"),
        ("[10, 20]", "[10]\nclient_cpu = -1", "client_cpu = -1"),
        ("\"close\"", "\"close\"\nopts = []", "unknown field `opts`"),
        ("\"close\"", "\"\"", "load: name: \"\" is empty"),
        ("[[load]]", "[[load]]\nname = \"close\"\n[[load]]", "load: name: \"close\" occurs twice"),
        (
            "\"close\"",
            "\"close\"\noptions = [\"--close\", \"-c10\"]",
            "load \"close\": options: \"-c10\": use `concurrency` instead",
        ),
        (
            "\"close\"",
            "\"close\"\noptions = [\"--warmup=1s\"]",
            "load \"close\": options: \"--warmup=1s\": the CPU time of the warm-up would count",
        ),
        ("\"a\"", "\"a\"\nport = 1", "unknown field `port`"),
        ("\"serve {port}\"", "5", "a command is a string, or a list of strings"),
        ("\"serve {port}\"", "[]", "server \"a\": command: the program is missing"),
        ("\"serve {port}\"", "\" \"", "server \"a\": command: the program is missing"),
        (
            "\"serve {port}\"",
            "\"serve {port}\"\nenvironment = { A = \"{ports}\" }",
            "server \"a\": environment: unknown placeholder {ports}; use {port} or \
                 {concurrency}",
        ),
        (
            "serve {port}",
            "serve",
            "server \"a\": command: neither the command nor the environment has {port}",
        ),
        (
            "serve {port}",
            "serve {port} ${home} {threads}",
            "server \"a\": command: unknown placeholder {threads}; use {port} or {concurrency}",
        ),
    ] {
        let text = LEAST.replacen(old, new, 1);
        assert_ne!(text, LEAST, "{old}");
        let found = read(&text).err().unwrap_or_default();
        assert!(found.contains(complaint), "{new}: {found}");
    }
}

#[test]
fn options_are_checked_by_the_load_clients_parser() {
    let with = |options: &str| {
        let text = LEAST.replacen("\"close\"", &format!("\"close\"\noptions = {options}"), 1);
        check_options(&read(&text).unwrap()).err().unwrap_or_default()
    };
    assert_eq!(with(r#"["--ab", "--source", "127.0.0.2-127.0.0.20"]"#), "");
    for (options, complaint) in [
        (r#"["--bogus"]"#, "load \"close\": options: --bogus: unexpected argument '--bogus'"),
        (r#"["--close", "--timeout=5"]"#, "--timeout=5: invalid value '5' for '--timeout"),
        (r#"["--close", "--pipeline", "2"]"#, "can't be combined with --pipeline"),
        (r#"["http://a/"]"#, "load \"close\": options: http://a/: "),
        (r#"["--rate=5,6"]"#, "--rate=5,6: they make 2 runs, and a point is one run: use `rounds`"),
        (r#"["--repeat", "3"]"#, "they make 3 runs"),
        (r#"["--help"]"#, "load \"close\": options: --help: "),
    ] {
        let found = with(options);
        assert!(found.contains(complaint), "{options}: {found}");
    }
}

#[test]
fn only_options_that_the_sweep_sets_are_refused() {
    for option in ["--close", "--no-json", "--header=-c", "x", "--connect-rate=5", "--ab"] {
        assert_eq!(check_option("a", option), Ok(()));
    }
    for option in ["-n", "-n5", "--requests=5", "-d", "--duration", "--json=a", "--quiet"] {
        assert!(check_option("a", option).is_err(), "{option}");
    }
}
