//! The sandbox, and findings that have one cause.

use super::*;
use Severity::{Fault, Ok as Fine, Warning};

fn with(change: fn(&mut SandboxFacts)) -> MachineFacts {
    let mut sandbox = full();
    change(&mut sandbox);
    MachineFacts { sandbox: Ok(sandbox), tcp_fastopen: Ok(2), ..linux_6_18() }
}

/// Has a layer be missing from a process.
fn lose(sandbox: &mut SandboxFacts, name: &str, why: &str) {
    let layer = sandbox.layers.iter_mut().find(|layer| layer.name == name);
    let layer = layer.expect("the sandbox has the layer");
    (layer.is_complete, layer.why) = (false, why.to_owned());
    sandbox.lockdown = "partial".to_owned();
}

#[test]
fn the_sandbox_is_rated_by_the_record_of_the_program() {
    let all = "full: listeners, privileges, landlock (ABI 7), ring, seccomp";
    expect(&with(|_| {}), "lockdown", Fine, all, "");
    let absent = with(|it| lose(it, "landlock", "not among the modules"));
    expect(&absent, "lockdown", Warning, "partial (landlock): not among", "/security/lsm");
    let absent = with(|it| lose(it, "seccomp", "no filters"));
    expect(&absent, "lockdown", Warning, "partial (seccomp): no filters", "");
    let absent = with(|it| {
        lose(it, "seccomp", "no filters");
        lose(it, "landlock", "not built in");
    });
    let found = "partial (landlock, seccomp): not built in; no filters";
    expect(&absent, "lockdown", Warning, found, "/security/lsm");
    let failed = MachineFacts { sandbox: Err("no user nobody".to_owned()), ..linux_6_18() };
    expect(&failed, "lockdown", Warning, "not known: no user nobody", "");
}

#[test]
fn a_listener_that_can_connect_is_the_finding_about_fast_open() {
    let unprivileged = MachineFacts { sandbox: Ok(partial()), ..linux_6_18() };
    let report = examine(&SERVE, &unprivileged);
    let lockdown = find(&report, "lockdown");
    // Its two processes have the same reason.
    assert_eq!(lockdown.found, "partial (listeners): answers are dropped, except some");
    assert_eq!((lockdown.status, lockdown.cause.as_deref()), (Warning, Some("tcp_fastopen")));
    expect(&unprivileged, "tcp_fastopen", Warning, "1: a send", "net.ipv4.tcp_fastopen=2");
    // With another missing layer it is a finding of its own, which names both.
    let mut both = partial();
    lose(&mut both, "seccomp", "no filters");
    let both = MachineFacts { sandbox: Ok(both), ..linux_6_18() };
    assert_eq!(check_of(&both, "lockdown").cause, None);
    // The filter of the engine on epoll stops such sends.
    let epoll = MachineFacts { sandbox: Ok(full()), ..linux_6_18() };
    expect(&epoll, "tcp_fastopen", Fine, "1: the server's own sends can't connect", "");
}

#[test]
fn one_cause_is_one_finding() {
    let report = |facts: &MachineFacts| examine(&SERVE, facts);
    let no_sandbox = || Err("no ring".to_owned());
    let rhel = report(&MachineFacts { sandbox: no_sandbox(), ..rhel_10() });
    assert_eq!(effects(&rhel, "io_uring_disabled"), ["ring", "lockdown"]);
    let docker = report(&MachineFacts { sandbox: no_sandbox(), ..in_docker() });
    assert_eq!(effects(&docker, "seccomp"), ["ring", "lockdown"]);
    let old = report(&MachineFacts { sandbox: no_sandbox(), ..linux_4_12() });
    assert_eq!(effects(&old, "kernel"), ["ring", "lockdown"]);
    let refusal = Refusal { what: "no memory".to_owned(), hint: String::new() };
    let memory = report(&MachineFacts {
        locked_memory: limits(0, 0),
        ring: Err(refusal),
        sandbox: no_sandbox(),
        ..linux_6_18()
    });
    assert_eq!(effects(&memory, "locked_memory"), ["ring", "lockdown"]);
    let files = report(&MachineFacts {
        open_files: limits(256, 256),
        ring: Ok(Features { direct_descriptors: false, ..Features::ALL }),
        ..linux_6_18()
    });
    assert_eq!(effects(&files, "open_files"), ["ring"]);
    let ring = find(&files, "ring");
    assert_eq!((ring.status, ring.fixes.len()), (Warning, 0));
    for report in [rhel, docker, old, memory, files] {
        let ring_causes = report.findings.iter().filter(|it| it.cause.is_none());
        let faults = ring_causes.filter(|it| it.status == Fault).count();
        assert!(faults <= 2, "{report:?}");
    }
    // The fall-back of the engine has the same cause.
    let why = crate::engine::uring::unavailable::RingUnavailable::Killed;
    let auto = Ok(Decision { kind: EngineKind::Epoll, why: Some(why) });
    let process = ProcessStatus { seccomp: Some(2), ..user() };
    let facts = MachineFacts { auto, process: Ok(process), ..rhel_10() };
    let auto = Workload { engine: EngineChoice::Auto, ..SERVE };
    let report = examine(&auto, &MachineFacts { io_uring_disabled: Ok(0), ..facts });
    assert_eq!(effects(&report, "seccomp"), ["ring", "engine"]);
    // SYN cookies have a check of their own with --load.
    let no_cookies = MachineFacts { tcp_syncookies: Ok(0), ..linux_6_18() };
    assert_eq!(effects(&examine(&LOAD, &no_cookies), "tcp_syncookies"), ["tcp_max_syn_backlog"]);
    let serves = MachineFacts { load: None, ..no_cookies };
    assert_eq!(find(&examine(&SERVE, &serves), "tcp_max_syn_backlog").cause, None);
}

#[test]
fn settings_that_cannot_be_seen_are_not_known_and_one_finding() {
    let load = LoadFacts {
        port_range: hidden("a"),
        reserved_ports: hidden("b"),
        tcp_tw_reuse: hidden("c"),
        tcp_tw_reuse_delay_ms: hidden("d"),
        tcp_timestamps: hidden("e"),
        conntrack_count: hidden("f"),
        conntrack_max: hidden("g"),
        loopback_is_tracked: None,
        governors: hidden("h"),
    };
    let facts = MachineFacts {
        release: hidden("i"),
        io_uring_disabled: hidden("j"),
        io_uring_group: hidden("k"),
        process: hidden("l"),
        nr_open: hidden("m"),
        somaxconn: hidden("n"),
        tcp_max_syn_backlog: hidden("o"),
        tcp_syncookies: hidden("p"),
        tcp_fastopen: hidden("q"),
        tcp_max_orphans: hidden("r"),
        tcp_memory: hidden("s"),
        load: Some(load),
        ..linux_6_18()
    };
    let report = examine(&LOAD, &facts);
    let names = "kernel io_uring_disabled seccomp lockdown somaxconn tcp_max_syn_backlog \
                 tcp_orphans tcp_fastopen tcp_syncookies local_ports tcp_tw_reuse conntrack \
                 cpu_governor";
    assert_eq!(effects(&report, "proc").join(" "), names);
    for name in names.split(' ').filter(|&name| name != "lockdown") {
        let finding = find(&report, name);
        assert_eq!((finding.status, finding.fixes.len()), (Warning, 0), "{finding:?}");
        assert!(finding.found.starts_with("not known: "), "{finding:?}");
    }
    let warnings = report.findings.iter().filter(|it| it.cause.is_none() && it.status == Warning);
    assert_eq!(warnings.map(|it| &*it.name).collect::<Vec<_>>(), ["proc"]);
}

#[test]
fn a_setting_that_only_a_part_of_the_check_needs_is_not_assumed() {
    let unreadable = || UnknownFact {
        path: "/proc/sys/a".to_owned(),
        cause: UnknownCause::Unreadable("denied".to_owned()),
    };
    let rate = |facts: MachineFacts, name| {
        expect(&facts, name, Warning, "not known: reading /proc/sys/a: denied", "cat /proc/sys/a");
    };
    rate(with_load(|load| LoadFacts { tcp_timestamps: Err(unreadable()), ..load }), "tcp_tw_reuse");
    rate(with_load(|load| LoadFacts { conntrack_max: Err(unreadable()), ..load }), "conntrack");
    rate(with_load(|load| LoadFacts { reserved_ports: Err(unreadable()), ..load }), "local_ports");
}
