//! Simulated machines, and the findings on each.

mod engine;
mod kernel;
mod limits;
mod load;
mod sandbox;
mod tcp;

use super::*;
use crate::doctor::facts::{LayerFact, LoadFacts, ProcessStatus, Refusal, SandboxFacts};
use crate::engine::Errno;
use crate::engine::chosen::{Decision, EngineChoice};
use crate::engine::kernel::EngineKind;
use crate::engine::uring::probe::{Features, TaskRun};
use crate::os::process::Limit;

/// By `io_uring`, without which nothing is served.
const SERVE: Workload =
    Workload { spawn: 5000, backlog: 4096, workers: 1, engine: EngineChoice::IoUring, load: false };
const LOAD: Workload = Workload { load: true, ..SERVE };

#[test]
fn debian_12_with_its_defaults_only_lacks_tcp_fastopen_off() {
    let report = examine(&LOAD, &debian_12());
    // The default of every kernel, but a complete sandbox needs bit 0 off.
    let advised = |finding: &&Finding| ["tcp_fastopen", "lockdown"].contains(&&*finding.name);
    let effects = report.findings.iter().filter(|finding| finding.cause.is_some());
    let effects: Vec<_> = effects.map(|it| (&*it.name, it.cause.as_deref())).collect();
    assert_eq!(effects, [("lockdown", Some("tcp_fastopen"))]);
    for finding in report.findings.iter().filter(|finding| !advised(finding)) {
        assert_eq!((finding.status, &finding.fixes), (Severity::Ok, &vec![]), "{finding:?}");
    }
    assert_eq!(report.status, Severity::Warning);
    let names: Vec<_> = report.findings.iter().map(|finding| finding.name.as_str()).collect();
    let expected = "kernel io_uring_disabled seccomp ring engine lockdown open_files locked_memory \
                    somaxconn tcp_max_syn_backlog tcp_orphans tcp_fastopen tcp_syncookies \
                    local_ports tcp_tw_reuse conntrack cpu_governor";
    assert_eq!(names.join(" "), expected);
    let mut facts = debian_12();
    facts.load = None;
    assert_eq!(examine(&SERVE, &facts).findings.len(), 12);
}

#[test]
fn every_finding_has_a_reason_and_commands_of_one_line() {
    for facts in [debian_12(), linux_4_12(), rhel_10(), in_docker(), linux_6_18()] {
        for finding in examine(&LOAD, &facts).findings {
            assert!(finding.why.ends_with('.') && finding.why.len() > 60, "{finding:?}");
            assert!(!finding.found.is_empty() && !finding.found.contains('\n'), "{finding:?}");
            for fix in finding.fixes {
                let is_one_line = !fix.command.is_empty() && !fix.command.contains('\n');
                assert!(is_one_line && !fix.command.contains("tw_recycle"), "{fix:?}");
            }
        }
    }
}

/// Linux 6.1 with default settings on hardware, as an unprivileged user.
fn debian_12() -> MachineFacts {
    let load = LoadFacts {
        tcp_tw_reuse_delay_ms: missing("net/ipv4/tcp_tw_reuse_delay"),
        governors: Ok(vec!["performance".to_owned(); 8]),
        conntrack_count: missing("net/netfilter/nf_conntrack_count"),
        conntrack_max: missing("net/netfilter/nf_conntrack_max"),
        loopback_is_tracked: None,
        ..load()
    };
    MachineFacts {
        release: Ok("6.1.0-13-amd64".to_owned()),
        io_uring_disabled: missing("kernel/io_uring_disabled"),
        io_uring_group: missing("kernel/io_uring_group"),
        load: Some(load),
        ..linux_6_18()
    }
}

/// SUSE's 4.12 with the limits of its time.
fn linux_4_12() -> MachineFacts {
    let load = LoadFacts {
        tcp_tw_reuse: Ok(0),
        ..debian_12().load.expect("Debian 12 is checked for load")
    };
    MachineFacts {
        release: Ok("4.12.14-122-default".to_owned()),
        smallest_ring: Err(Errno(libc::ENOSYS)),
        ring: Err(Refusal { what: "no ring".to_owned(), hint: String::new() }),
        locked_memory: limits(65_536, 65_536),
        somaxconn: Ok(128),
        load: Some(load),
        ..debian_12()
    }
}

/// A virtual machine with a current kernel, as an unprivileged user.
fn linux_6_18() -> MachineFacts {
    MachineFacts {
        release: Ok("6.18.44".to_owned()),
        io_uring_disabled: Ok(0),
        io_uring_group: Ok(-1),
        process: Ok(user()),
        container: None,
        auto: Ok(Decision { kind: EngineKind::IoUring, why: None }),
        smallest_ring: Ok(()),
        ring: Ok(Features::ALL),
        sandbox: Ok(partial()),
        open_files: limits(1024, 1_048_576),
        nr_open: Ok(1_048_576),
        locked_memory: limits(8 << 20, 8 << 20),
        somaxconn: Ok(4096),
        tcp_max_syn_backlog: Ok(2048),
        tcp_syncookies: Ok(1),
        tcp_fastopen: Ok(1),
        tcp_max_orphans: Ok(32_768),
        // 8 GB of memory.
        tcp_memory: Ok([382_152 << 10, 509_536 << 10, 764_304 << 10]),
        load: Some(load()),
    }
}

/// The sandbox of a server on `io_uring` where a send can open a connection.
fn partial() -> SandboxFacts {
    let mut sandbox = full();
    sandbox.lockdown = "partial".to_owned();
    for layer in sandbox.layers.iter_mut().filter(|layer| layer.name == "listeners") {
        layer.is_complete = false;
        layer.why = "answers are dropped, except some".to_owned();
    }
    sandbox
}

/// A complete one.
fn full() -> SandboxFacts {
    let layer = |name: &str, why: &str| LayerFact {
        name: name.to_owned(),
        is_complete: true,
        why: why.to_owned(),
    };
    let common = || {
        vec![
            layer("listeners", "no send opens a connection"),
            layer("privileges", "user 1000"),
            layer("landlock", "ABI 7: opening files; except some"),
            layer("seccomp", "the system calls of a list fail"),
        ]
    };
    let layers = [common(), common(), vec![layer("ring", "3 operations")]].concat();
    SandboxFacts { lockdown: "full".to_owned(), layers }
}

fn rhel_10() -> MachineFacts {
    MachineFacts {
        release: Ok("6.12.0-55.9.1.el10_0.x86_64".to_owned()),
        io_uring_disabled: Ok(2),
        smallest_ring: Err(Errno(libc::EPERM)),
        ring: Err(Refusal { what: "no ring".to_owned(), hint: String::new() }),
        ..linux_6_18()
    }
}

fn in_docker() -> MachineFacts {
    MachineFacts {
        process: Ok(ProcessStatus { seccomp: Some(2), capabilities: 0xa804_25fb, ..user() }),
        container: Some(Container::Docker),
        smallest_ring: Err(Errno(libc::EPERM)),
        ring: Err(Refusal { what: "no ring".to_owned(), hint: String::new() }),
        somaxconn: Ok(128),
        ..linux_6_18()
    }
}

fn load() -> LoadFacts {
    LoadFacts {
        port_range: Ok((32768, 60999)),
        reserved_ports: Ok(Vec::new()),
        tcp_tw_reuse: Ok(2),
        tcp_tw_reuse_delay_ms: Ok(1000),
        tcp_timestamps: Ok(1),
        conntrack_count: Ok(0),
        conntrack_max: Ok(262_144),
        loopback_is_tracked: Some(false),
        governors: missing("governor"),
    }
}

fn user() -> ProcessStatus {
    ProcessStatus {
        is_root: false,
        seccomp: Some(0),
        capabilities: 0,
        groups: vec![27, 1000],
        is_in_first_user_namespace: true,
    }
}

fn root() -> ProcessStatus {
    ProcessStatus { is_root: true, capabilities: u64::MAX, groups: vec![0], ..user() }
}

fn with_load(change: impl FnOnce(LoadFacts) -> LoadFacts) -> MachineFacts {
    MachineFacts { load: Some(change(load())), ..linux_6_18() }
}

#[allow(clippy::unnecessary_wraps, reason = "it is a fact")]
fn limits(soft: u64, hard: u64) -> crate::doctor::facts::Fact<Limit> {
    Ok(Limit { soft, hard })
}

fn missing<T>(name: &str) -> crate::doctor::facts::Fact<T> {
    Err(UnknownFact { path: format!("/proc/sys/{name}"), cause: UnknownCause::Missing })
}

fn check_of(facts: &MachineFacts, name: &str) -> Finding {
    find(&examine(&LOAD, facts), name)
}

/// The names of the findings that follow from this one.
fn effects(report: &DoctorReport, cause: &str) -> Vec<String> {
    let follow = report.findings.iter().filter(|it| it.cause.as_deref() == Some(cause));
    follow.map(|finding| finding.name.clone()).collect()
}

fn hidden<T>(name: &str) -> crate::doctor::facts::Fact<T> {
    Err(UnknownFact { path: format!("/proc/sys/{name}"), cause: UnknownCause::Hidden })
}

fn find(report: &DoctorReport, name: &str) -> Finding {
    report.findings.iter().find(|finding| finding.name == name).expect("the check exists").clone()
}

/// Asserts the severity, a part of the finding, and a part of one of the fixes.
fn expect(facts: &MachineFacts, name: &str, status: Severity, found: &str, hint: &str) {
    let finding = check_of(facts, name);
    assert_eq!(finding.status, status, "{finding:?}");
    assert!(finding.found.contains(found), "lacks {found:?}: {finding:?}");
    if !hint.is_empty() {
        let cause = finding.cause.as_ref().map(|cause| check_of(facts, cause));
        let fixes = cause.map_or(finding.fixes.clone(), |cause| cause.fixes);
        let has = fixes.iter().any(|fix| fix.command.contains(hint));
        assert!(has, "lacks {hint:?}: {finding:?}");
    }
    if status == Severity::Ok {
        assert!(finding.fixes.is_empty(), "{finding:?}");
    }
}
