//! The choice between the engines, with filters of system calls in the place of a container's: what
//! serves, what is said about it, and what remains an error.

use crate::common::filter::{RING_CALLS, with_filter, without_rings};
use crate::common::{Exit, Server};
use seccompiler::SeccompAction;
use std::process::{Command, Stdio};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// The line about the engine among those before the ready line.
fn said(server: &Server) -> Vec<&str> {
    let about_engine = |line: &&String| line.contains(": engine ");
    server.messages.iter().filter(about_engine).map(String::as_str).collect()
}

/// The engine of the ready line.
fn engine_of(server: &Server) -> &str {
    let (_, rest) = server.ready.split_once(" connections; ").expect("the limit is there");
    rest.split("; ").nth(1).expect("the engine follows the number of workers")
}

/// `auto`, unless an option chooses another one: a variable may choose for all tests.
fn with_auto<'a>(options: &[&'a str]) -> Vec<&'a str> {
    let auto = ["--engine", "auto"];
    if options.contains(&"--engine") { options.to_vec() } else { [options, &auto].concat() }
}

/// Starts a server, has it answer, and ends it. Returns the lines about its engine.
fn serves_by(engine: &str, options: &[&str]) -> Vec<String> {
    let server = Server::start(&with_auto(options));
    let is_it = engine_of(&server).split(' ').next() == Some(engine);
    assert!(is_it, "{engine}, {options:?}: {}", server.ready);
    assert_eq!(server.ask(GET).status, 200, "{options:?}");
    let said = said(&server).into_iter().map(str::to_owned).collect();
    let totals = server.end();
    assert!(totals.contains("1 requests"), "{totals}");
    said
}

fn fails(options: &[&str]) -> Exit {
    let exit = Server::run(&[&["--listen", "127.0.0.1:0"], &with_auto(options)[..]].concat());
    assert_eq!(exit.code, Some(1), "{options:?}: {}", exit.text);
    exit
}

#[test]
fn io_uring_serves_without_a_word_where_it_is_available() {
    for options in [&[][..], &["--single-process"], &["--engine", "io_uring"]] {
        assert_eq!(serves_by("io_uring", options), [""; 0]);
    }
}

#[test]
fn epoll_serves_where_a_filter_refuses_a_ring_and_the_reason_is_said() {
    for (errno, name) in [(libc::ENOSYS, "ENOSYS"), (libc::EPERM, "EPERM")] {
        for options in [&[][..], &["--single-process"], &["--workers", "2"], &["--no-lockdown"]] {
            let said = without_rings(errno, || serves_by("epoll", options));
            let expected = format!(
                "uringstatic: engine epoll: io_uring_setup is refused by a seccomp filter ({name})"
            );
            assert_eq!(said, [expected], "{options:?}");
        }
    }
}

#[test]
fn a_filter_may_refuse_any_call_of_a_ring() {
    let refused = SeccompAction::Errno(libc::EACCES.unsigned_abs());
    for (call, name) in [(RING_CALLS[1], "io_uring_register"), (RING_CALLS[2], "io_uring_enter")] {
        let said = with_filter(&[call], refused.clone(), || serves_by("epoll", &[]));
        let expected =
            format!("uringstatic: engine epoll: {name} is refused by a seccomp filter (EACCES)");
        assert_eq!(said, [expected]);
    }
}

#[test]
fn a_filter_that_kills_kills_the_trial_only() {
    let expected =
        "uringstatic: engine epoll: a seccomp filter kills a process that uses io_uring (SIGSYS)";
    for call in RING_CALLS {
        let serves = || serves_by("epoll", &["--single-process"]);
        assert_eq!(with_filter(&[call], SeccompAction::KillProcess, serves), [expected]);
    }
    let said = with_filter(&RING_CALLS, SeccompAction::KillProcess, || serves_by("epoll", &[]));
    assert_eq!(said, [expected]);
    // Without a trial there is nothing to kill.
    let serves = || serves_by("epoll", &["--engine", "epoll"]);
    assert_eq!(with_filter(&RING_CALLS, SeccompAction::KillProcess, serves), [""; 0]);
}

#[test]
fn a_want_of_memory_or_of_descriptors_is_an_error_with_its_remedy() {
    for options in [&[][..], &["--single-process"]] {
        let exit = without_rings(libc::ENOMEM, || fails(options));
        assert!(exit.text.contains("(errno 12)"), "{}", exit.text);
        assert!(exit.text.contains("LimitMEMLOCK") && exit.text.contains("a lower --spawn"));
        assert!(!exit.text.contains("epoll"), "{}", exit.text);
        let exit = without_rings(libc::ENFILE, || fails(options));
        assert!(exit.text.contains("`ulimit -n`"), "{}", exit.text);
    }
}

#[test]
fn an_engine_that_is_asked_for_is_not_replaced() {
    for options in [&["--engine", "io_uring"][..], &["--engine", "io_uring", "--single-process"]] {
        let exit = without_rings(libc::ENOSYS, || fails(options));
        assert!(exit.text.contains("creating an io_uring (errno 38)"), "{}", exit.text);
        assert!(exit.text.contains("--engine auto or --engine epoll serves"), "{}", exit.text);
    }
}

#[test]
fn a_step_before_the_engine_fails_where_it_has_to_be_taken() {
    // Only root changes its groups.
    if !uringstatic::os::privileges::is_root() {
        return;
    }
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let exit = with_filter(&[libc::SYS_setgroups], refused, || fails(&["--user", "nobody"]));
    assert!(exit.text.contains("giving up privileges"), "{}", exit.text);
    assert!(!exit.text.contains("engine"), "{}", exit.text);
}

#[test]
fn a_new_generation_has_the_engine_of_the_old_one_without_another_trial() {
    without_rings(libc::ENOSYS, || {
        let mut server = Server::start(&with_auto(&["--reload-grace", "0s"]));
        assert_eq!(said(&server).len(), 1);
        server.signal("HUP");
        server.await_line("reloaded: generation 2 serves");
        assert_eq!(server.ask(GET).status, 200);
        assert_eq!(said(&server).len(), 1, "{:?}", server.messages);
        server.end();
    });
}

#[test]
fn quiet_leaves_the_reason_out() {
    without_rings(libc::ENOSYS, || {
        // Nothing says that the server is ready, so that its end is what can be awaited.
        let exit = fails(&["--quiet", "--page", "/no/such/page"]);
        assert!(!exit.text.contains("epoll"), "{}", exit.text);
    });
}

#[test]
fn a_feature_of_a_ring_cannot_be_disabled_on_epoll() {
    let without = ["--without", "multishot-recv"];
    let exit = Server::run(&[&["--engine", "epoll"][..], &without].concat());
    assert_eq!(exit.code, Some(2), "{}", exit.text);
    assert!(exit.text.contains("no effect with --engine epoll"), "{}", exit.text);
    without_rings(libc::ENOSYS, || {
        let server = Server::start(&with_auto(&without));
        let line = "uringstatic: --without multishot-recv has no effect: engine epoll has no such \
                    feature";
        assert!(server.messages.iter().any(|it| it == line), "{:?}", server.messages);
        server.end();
    });
}

/// The JSON that a subcommand prints, and its exit status.
fn report(options: &[&str]) -> (serde_json::Value, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uringstatic"));
    let output = command.args(options).stdin(Stdio::null()).output().expect("it was built");
    let json = serde_json::from_slice(&output.stdout);
    (json.unwrap_or_else(|why| panic!("{options:?}: {why}: {output:?}")), output.status.code())
}

#[test]
fn reports_name_the_engine_and_the_reason() {
    let check = |report: &serde_json::Value, name: &str| {
        let checks = report["checks"].as_array().expect("there are checks");
        checks.iter().find(|check| check["name"] == name).expect("the check exists").clone()
    };
    let (doctor, _) = report(&["doctor", "--json", "--spawn", "100"]);
    assert_eq!(check(&doctor, "engine")["found"], "auto: io_uring", "{doctor:#}");
    let (lockdown, _) = report(&["lockdown", "--json"]);
    assert_eq!((&lockdown["engine"], &lockdown["engine_why"]), (&"io_uring".into(), &().into()));

    let why = "io_uring_setup is refused by a seccomp filter (ENOSYS)";
    without_rings(libc::ENOSYS, || {
        let (lockdown, _) = report(&["lockdown", "--json"]);
        assert_eq!((&lockdown["engine"], &lockdown["engine_why"]), (&"epoll".into(), &why.into()));
        let (doctor, code) = report(&["doctor", "--json", "--spawn", "100"]);
        let engine = check(&doctor, "engine");
        assert_eq!(engine["status"], "warning");
        assert_eq!(engine["found"], format!("auto: epoll, as {why}"));
        assert_eq!(check(&doctor, "ring")["status"], "warning");
        assert_eq!((&doctor["status"], code), (&"warning".into(), Some(0)), "{doctor:#}");
        let required = ["doctor", "--json", "--spawn", "100", "--engine", "io_uring"];
        let (doctor, code) = report(&required);
        assert_eq!((&doctor["status"], code), (&"fault".into(), Some(1)), "{doctor:#}");
    });
    with_filter(&RING_CALLS, SeccompAction::KillProcess, || {
        let (doctor, code) = report(&["doctor", "--json", "--spawn", "100"]);
        let found = check(&doctor, "ring")["found"].clone();
        assert!(found.as_str().is_some_and(|it| it.contains("kills a process")), "{doctor:#}");
        assert_eq!(code, Some(0), "{doctor:#}");
    });
}
