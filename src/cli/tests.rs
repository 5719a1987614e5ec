//! Complete command lines of `uringstatic`.

use super::*;
use crate::http::forwarded::{ForwardedField, ForwardingOptions, TrustedProxy};
use crate::os::net::Endpoint;
use crate::sandbox::options::AccountOptions;
use crate::sandbox::{Layer, SandboxMode};
use crate::site::build::RootOptions;
use crate::start::workers::{CpuList, WorkerCount};
use crate::start::{AdminOptions, ListenAddress, SocketOptions};
use crate::telemetry::options::{AccessLogOptions, LogFormat};
use clap::ValueEnum;
use std::time::Duration;

#[test]
fn the_declaration_passes_debug_assert() {
    ServerCommandLine::command().debug_assert();
}

#[test]
fn every_option_has_its_documented_default() {
    let expected = StartSettings {
        spawn: 5000,
        listen: vec![tcp("127.0.0.1:10001")],
        socket: SocketOptions::default(),
        page: None,
        root: None,
        root_options: RootOptions::default(),
        content_type: None,
        status: 200,
        headers: Vec::new(),
        cors: None,
        allowed_hosts: Vec::new(),
        backlog: 4096,
        head_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(60),
        body_timeout: Duration::from_secs(30),
        send_timeout: Duration::from_secs(30),
        min_rate: 240,
        health_listen: None,
        log: AccessLogOptions::default(),
        forwarding: ForwardingOptions::default(),
        admin: AdminOptions::default(),
        drain_delay: Duration::ZERO,
        drain_timeout: Duration::from_secs(10),
        head_bytes_max: 16 * 1024,
        workers: WorkerCount::Count(1),
        cpu: None,
        worker_timeout: Duration::from_secs(10),
        reload_grace: Duration::from_secs(2),
        single_process: false,
        engine: EngineChoice::Auto,
        lockdown: LockdownOptions {
            mode: SandboxMode::On,
            no_lockdown: false,
            account: AccountOptions::default(),
        },
        quiet: false,
        without: Vec::new(),
    };
    assert_eq!(config(&[]), expected);
    assert_eq!(StartSettings::default(), expected);
}

#[test]
fn each_option_sets_its_own_field() {
    type Change = fn(&mut StartSettings);
    let cases: &[(&[&str], Change)] = &[
        (&["--spawn", "1"], |c| c.spawn = 1),
        (&["--spawn=4294967295"], |c| c.spawn = u32::MAX),
        (&["--listen", "[::1]:80"], |c| c.listen = vec![tcp("[::1]:80")]),
        (&["--page", "down.html"], |c| c.page = Some("down.html".into())),
        (&["--root", "public"], |c| c.root = Some("public".into())),
        (&["--content-type", "text/plain"], |c| c.content_type = Some("text/plain".into())),
        (&["--status", "503"], |c| c.status = 503),
        (&["--header", "A: b"], |c| c.headers = vec![("A".into(), "b".into())]),
        (&["--cors", "*"], |c| c.cors = Some("*".into())),
        (&["--cors", "https://a.example:8443"], |c| c.cors = Some("https://a.example:8443".into())),
        (&["--allowed-hosts", "a.example,[::1]:80"], |c| {
            c.allowed_hosts = ["a.example", "[::1]:80"].map(|host| host.parse().unwrap()).into();
        }),
        (&["--listen", "unix:a", "--socket-mode", "0660", "--socket-group", "web"], |c| {
            c.listen = vec![Endpoint::Unix("a".into()).into()];
            c.socket.socket_mode = Some(0o660);
            c.socket.socket_group = Some("web".to_owned());
        }),
        (&["--backlog", "1"], |c| c.backlog = 1),
        (&["--backlog", "2147483647"], |c| c.backlog = 2_147_483_647),
        (&["--head-timeout", "1s"], |c| c.head_timeout = Duration::from_secs(1)),
        (&["--idle-timeout", "2s"], |c| c.idle_timeout = Duration::from_secs(2)),
        (&["--body-timeout", "5s"], |c| c.body_timeout = Duration::from_secs(5)),
        (&["--send-timeout", "3s"], |c| c.send_timeout = Duration::from_secs(3)),
        (&["--min-rate", "0"], |c| c.min_rate = 0),
        (&["--min-rate", "1m"], |c| c.min_rate = 1 << 20),
        (&["--health-listen", "127.0.0.1:9"], |c| {
            c.health_listen = Some(tcp("127.0.0.1:9"));
        }),
        (&["--access-log", "-"], |c| c.log.access_log = Some("-".into())),
        (&["--access-log", "a", "--log-format", "json"], |c| {
            c.log = AccessLogOptions { access_log: Some("a".into()), log_format: LogFormat::Json };
        }),
        (&["--admin", "unix:admin"], |c| c.admin.admin = Some(Endpoint::Unix("admin".into()))),
        (&["--drain-delay", "6s"], |c| c.drain_delay = Duration::from_secs(6)),
        (&["--drain-timeout", "4s"], |c| c.drain_timeout = Duration::from_secs(4)),
        (&["--max-head", "8k"], |c| c.head_bytes_max = 8192),
        (&["--workers", "2"], |c| c.workers = WorkerCount::Count(2)),
        (&["--workers", "auto"], |c| c.workers = WorkerCount::Auto),
        (&["--worker-timeout", "0s"], |c| c.worker_timeout = Duration::ZERO),
        (&["--reload-grace", "0s"], |c| c.reload_grace = Duration::ZERO),
        (&["--single-process"], |c| c.single_process = true),
        (&["--engine", "io_uring"], |c| c.engine = EngineChoice::IoUring),
        (&["--engine", "epoll"], |c| c.engine = EngineChoice::Epoll),
        (&["--cpu", "1,3-4"], |c| c.cpu = Some(CpuList(vec![1, 3, 4]))),
        (&["--cpu", "0"], |c| c.cpu = Some(CpuList(vec![0]))),
        (&["--cpu", "1023"], |c| c.cpu = Some(CpuList(vec![1023]))),
        (&["--lockdown", "require"], |c| c.lockdown.mode = SandboxMode::Require),
        (&["--no-lockdown"], |c| c.lockdown.no_lockdown = true),
        (&["--user", "www-data:web"], |c| c.lockdown.account.user = Some("www-data:web".into())),
        (&["--allow-root"], |c| c.lockdown.account.allow_root = true),
        (&["--quiet"], |c| c.quiet = true),
        (&["--without", "silent-send"], |c| c.without = vec![Feature::Engine("silent-send")]),
    ];
    for (argv, change) in cases {
        let mut expected = config(&[]);
        change(&mut expected);
        assert_eq!(config(argv), expected, "{argv:?}");
    }
}

#[test]
fn options_about_proxies_set_their_fields() {
    let parsed = config(&["--listen", "[::1]:80,proxy", "--listen", "unix:a,proxy"]);
    let of_proxies = |address| ListenAddress { is_for_proxies: true, ..address };
    let unix = ListenAddress::from(Endpoint::Unix("a".into()));
    assert_eq!(parsed.listen, [tcp("[::1]:80"), unix].map(of_proxies));
    let logged = ["--access-log", "-", "--trusted-proxies", "10.0.0.0/8,unix:"];
    let network = TrustedProxy::Network { address: [10, 0, 0, 0].into(), bits: 8 };
    let mut expected = ForwardingOptions {
        trusted_proxies: vec![network, TrustedProxy::Unix],
        forwarded_field: ForwardedField::XForwardedFor,
    };
    assert_eq!(config(&logged).forwarding, expected);
    expected.forwarded_field = ForwardedField::Forwarded;
    let named = [&logged[..], &["--forwarded-field", "forwarded"]].concat();
    assert_eq!(config(&named).forwarding, expected);
}

#[test]
fn a_usage_error_names_the_option_and_the_remedy() {
    let cases: &[(&[&str], &[&str])] = &[
        (&["--spawn", "0"], &["--spawn <N>", "0 is not in 1.."]),
        (&["--spawn", "many"], &["--spawn <N>", "many"]),
        (&["--spawn", "4294967296"], &["--spawn <N>", "4294967296 is not in 1.."]),
        (&["--spawn", "1", "--spawn", "2"], &["--spawn <N>", "cannot be used multiple times"]),
        (&["--listen", "127.0.0.1"], &["--listen <ADDR:PORT>", "write 127.0.0.1:10001"]),
        (&["--listen", "unix:a", "--listen", "unix:a"], &["--listen unix:a is given twice"]),
        (&["--trusted-proxies", "::1"], &["--access-log <FILE>"]),
        (&["--access-log", "-", "--forwarded-field", "forwarded"], &["--trusted-proxies <CIDR>"]),
        (&["--trusted-proxies", "10.0.0.1/8"], &["--trusted-proxies <CIDR>", "10.0.0.0/8"]),
        (&["--page", ""], &["--page <FILE>", "value is required"]),
        (&["--content-type", "html"], &["--content-type <TYPE>", "as in text/html"]),
        (&["--status", "204"], &["--status <CODE>", "can't carry a page"]),
        (&["--socket-mode", "0o660", "--listen", "unix:a"], &["--socket-mode <MODE>", "as 0660"]),
        (&["--socket-mode", "0660"], &["--socket-mode", "one with --listen unix:PATH"]),
        (&["--socket-group", "web"], &["--socket-group", "one with --listen unix:PATH"]),
        (&["--header", "Date: now"], &["--header <HEADER>", "the server sets it itself"]),
        (&["--header", "Basic-Auth: a:b"], &["--header <HEADER>", "_headers"]),
        (&["--cors", "a.example"], &["--cors <ORIGIN>", "https://app.example"]),
        (&["--cors", "https://a.example/"], &["--cors <ORIGIN>", "without a path"]),
        (
            &["--cors", "*", "--header", "access-control-allow-origin: *"],
            &["--cors", "--header", "Access-Control-Allow-Origin"],
        ),
        (&["--header", "Content-Type: a/b"], &["--header <HEADER>", "use --content-type"]),
        (&["--allowed-hosts", "a,http://b"], &["--allowed-hosts <HOST>", "without a scheme"]),
        (&["--backlog", "0"], &["--backlog <N>", "0 is not in 1..=2147483647"]),
        (&["--backlog", "2147483648"], &["--backlog <N>", "is not in 1..=2147483647"]),
        (&["--engine", "aio"], &["--engine <ENGINE>", "auto, io_uring, epoll"]),
        (&["--engine", "epoll", "--without", "silent-send"], &["no effect with --engine epoll"]),
        (&["--head-timeout", "5"], &["--head-timeout <DURATION>", "write 5s or 5ms"]),
        (&["--idle-timeout", "0s"], &["--idle-timeout <DURATION>", "longer than zero"]),
        (&["--min-rate", "2m"], &["--min-rate <BYTES>", "not within 0 to 1m"]),
        (&["--send-timeout", "2d"], &["--send-timeout <DURATION>", "one day"]),
        (&["--drain-delay", "0"], &["--drain-delay <DURATION>", "write 0s or 0ms"]),
        (&["--drain-timeout", "x"], &["--drain-timeout <DURATION>", "as 500ms, 10s or 1m30s"]),
        (&["--max-head", "1m"], &["--max-head <SIZE>", "not within 1k to 64k"]),
        (&["--cpu", "1024"], &["--cpu <LIST>", "from 0 to 1023"]),
        (&["--workers", "0"], &["--workers <N>", "from 1 to 256"]),
        (&["--workers", "3", "--spawn", "2"], &["--workers 3", "--spawn 3 or more"]),
        (&["--workers", "2", "--single-process"], &["--workers <N>", "--single-process"]),
        (&["--without", "luck"], &["--without <FEATURE>", "defer-taskrun", "defer-accept"]),
        (&["--generate", "csh"], &["--generate <KIND>", "man, bash, zsh, fish, elvish"]),
        (&["--generate", "man", "--quiet"], &["--generate <KIND>", "cannot be used with"]),
        (&["--lisen", "unix:a"], &["--lisen", "--listen"]),
        (&["page.html"], &["unexpected argument 'page.html'", "Usage: uringstatic [OPTIONS]"]),
        (&["docter"], &["unrecognized subcommand 'docter'", "'doctor'"]),
        (&["--spawn", "5", "doctor"], &["'doctor' cannot be used with '--spawn <N>'"]),
        (&["--quiet", "doctor"], &["'doctor' cannot be used with '--quiet'"]),
        (&["--generate", "man", "doctor"], &["'doctor' cannot be used with '--generate <KIND>'"]),
        (&["doctor", "--page", "a"], &["unexpected argument '--page'", "uringstatic doctor"]),
        (&["doctor", "--spawn", "0"], &["--spawn <N>", "0 is not in 1..", "uringstatic doctor"]),
        (&["doctor", "--backlog", "x"], &["--backlog <N>", "uringstatic doctor"]),
        (&["doctor", "doctor"], &["unexpected argument 'doctor'"]),
    ];
    for (argv, hints) in cases {
        let error = run(argv).unwrap_err();
        let text = error.to_string();
        for hint in *hints {
            assert!(text.contains(hint), "{argv:?} lacks {hint:?}:\n{text}");
        }
        assert_eq!((error.exit_code(), error.use_stderr()), (2, true), "{argv:?}");
    }
}

#[test]
fn the_doctor_has_its_own_options_and_the_server_s_defaults() {
    let doctor = |options: &[&str]| match run(&[&["doctor"], options].concat()) {
        Ok(ServerCommand::Doctor(doctor)) => doctor,
        other => panic!("{options:?}: {other:?}"),
    };
    let engine = EngineChoice::Auto;
    let workload = Workload { spawn: 5000, backlog: 4096, workers: 1, engine, load: false };
    let workers = WorkerCount::Count(1);
    assert_eq!(doctor(&[]), DoctorArgs { workload, workers, json: false });
    let argv = ["--json", "--spawn", "20000", "--load", "--backlog=1", "--workers=auto"];
    let loaded = Workload { spawn: 20_000, backlog: 1, load: true, ..workload };
    let workers = WorkerCount::Auto;
    assert_eq!(doctor(&argv), DoctorArgs { workload: loaded, workers, json: true });
    assert_eq!(doctor(&["--workers", "7"]).workload(), Workload { workers: 7, ..workload });
    let few = doctor(&["--workers", "7", "--spawn", "3"]).workload();
    assert_eq!((few.workers, few.spawn), (3, 3), "a worker has a connection");
    let served = config(&[]);
    assert_eq!((served.spawn, served.backlog), (workload.spawn, workload.backlog));
    let help = run(&["doctor", "--help"]).unwrap_err();
    assert_eq!((help.exit_code(), help.use_stderr()), (0, false));
    assert!(help.to_string().contains("uringstatic-doctor/1"), "{help}");
}

#[test]
fn repeated_options_keep_their_order() {
    let argv = ["--listen", "[::1]:80", "--listen", "unix:/a", "--header", "B: 2", "--header"];
    let config = config(&[&argv[..], &["A: 1"]].concat());
    assert_eq!(config.listen, [tcp("[::1]:80"), Endpoint::Unix("/a".into()).into()]);
    assert_eq!(config.headers, [("B", "2"), ("A", "1")].map(|(n, v)| (n.into(), v.into())));
}

#[test]
fn headers_over_8_kib_in_all_are_refused() {
    let header = format!("A: {}", "b".repeat(5000));
    assert_eq!(config(&["--header", &header]).headers.len(), 1);
    let error = run(&["--header", &header, "--header", &header]).unwrap_err();
    assert!(error.to_string().contains("have 10010 bytes, and 8192 are allowed"), "{error}");
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn disabled_features_are_listed_once_and_in_order() {
    let without = |names: &[&str]| {
        config(&names.iter().flat_map(|&name| ["--without", name]).collect::<Vec<_>>()).without
    };
    assert_eq!(without(&["defer-taskrun"]), [Feature::Engine("defer-taskrun")]);
    assert_eq!(
        without(&["openat2", "ring", "openat2"]),
        [Feature::Openat2, Feature::Layer(Layer::Engine)]
    );
    let names: Vec<_> = Feature::value_variants().iter().map(|&feature| name_of(feature)).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    assert_eq!(without(&names), Feature::value_variants());
    assert_eq!(names.join(" "), ALL_FEATURES);
}

#[test]
fn help_and_version_go_to_stdout() {
    for argv in [["--help"], ["-h"], ["--version"], ["-V"]] {
        let error = run(&argv).unwrap_err();
        assert_eq!((error.exit_code(), error.use_stderr()), (0, false), "{argv:?}");
    }
    let version = run(&["--version"]).unwrap_err().to_string();
    assert_eq!(version, concat!("uringstatic ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn help_shows_every_option_and_the_examples() {
    for argv in [["--help"], ["-h"]] {
        let help = run(&argv).unwrap_err().to_string();
        for option in VISIBLE_OPTIONS {
            assert!(help.contains(option), "{option} is missing:\n{help}");
        }
        assert!(help.contains("uringstatic --spawn 5000\n"), "{help}");
        assert!(help.contains("--status 503 --header 'Retry-After: 600'\n"), "{help}");
        assert!(!help.contains("--without"), "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
}

#[test]
fn the_examples_in_the_help_parse() {
    let words = ["--page", "down.html", "--status", "503", "--header", "Retry-After: 600"];
    assert_eq!(config(&words).headers, [("Retry-After".to_owned(), "600".to_owned())]);
    assert_eq!(config(&["--spawn", "5000"]), config(&[]));
    let listen = config(&["--listen", "unix:/run/uringstatic.sock"]).listen;
    assert_eq!(listen, [Endpoint::Unix("/run/uringstatic.sock".into()).into()]);
}

#[test]
fn generated_texts_name_the_options() {
    for (kind, start) in [
        ("man", ".ie"),
        ("bash", "_uringstatic()"),
        ("zsh", "#compdef uringstatic"),
        ("fish", "# Print an optspec"),
        ("elvish", "\nuse builtin"),
        ("powershell", "\nusing namespace"),
    ] {
        let Ok(ServerCommand::Print(bytes)) = run(&["--generate", kind]) else {
            panic!("{kind} prints nothing");
        };
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with(start), "{kind}: {text}");
        let drain = if kind == "man" { r"\-\-drain\-timeout" } else { "drain-timeout" };
        assert!(text.contains(drain), "{kind}: {text}");
        for word in ["doctor", "json"] {
            assert!(text.contains(word), "{kind} lacks {word}: {text}");
        }
    }
}

fn run(options: &[&str]) -> Result<ServerCommand, clap::Error> {
    parse([&["uringstatic"], options].concat())
}

fn config(options: &[&str]) -> StartSettings {
    match run(options) {
        Ok(ServerCommand::Serve(settings)) => *settings,
        Ok(other) => panic!("{options:?}: {other:?}"),
        Err(error) => panic!("{options:?}: {error}"),
    }
}

fn tcp(text: &str) -> ListenAddress {
    Endpoint::Tcp(text.parse().unwrap()).into()
}

fn name_of(feature: Feature) -> String {
    feature.to_possible_value().unwrap().get_name().to_owned()
}

const ALL_FEATURES: &str = "defer-taskrun coop-taskrun direct-descriptors multishot-recv \
                            silent-send linked-close vectored-send defer-accept openat2 \
                            listeners privileges environment descriptors landlock ring seccomp";

const VISIBLE_OPTIONS: [&str; 21] = [
    "--engine <ENGINE>",
    "--spawn <N>",
    "--listen <ADDR:PORT>",
    "--page <FILE>",
    "--content-type <TYPE>",
    "--status <CODE>",
    "--header <HEADER>",
    "--backlog <N>",
    "--head-timeout <DURATION>",
    "--idle-timeout <DURATION>",
    "--body-timeout <DURATION>",
    "--send-timeout <DURATION>",
    "--min-rate <BYTES>",
    "--health-listen <ADDR:PORT>",
    "--drain-delay <DURATION>",
    "--drain-timeout <DURATION>",
    "--max-head <SIZE>",
    "--cpu <LIST>",
    "--quiet",
    "--generate <KIND>",
    "--version",
];
