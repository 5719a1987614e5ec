//! Made-up machines, and what the doctor has to say of each.

mod kernel;
mod limits;
mod load;
mod tcp;

use super::*;
use crate::doctor::facts::{Identity, Load, Lockdown, Refusal, Why};
use crate::engine::Errno;
use crate::engine::uring::probe::{Features, TaskRun};
use crate::os::process::Limit;

const SERVE: Purpose = Purpose { spawn: 5000, backlog: 4096, load: false };
const LOAD: Purpose = Purpose { load: true, ..SERVE };

#[test]
fn debian_12_with_its_defaults_is_in_order() {
    let report = examine(&LOAD, &debian_12());
    // A default of every kernel, which a lockdown without a way round it does without.
    let advised = |check: &&Check| check.name == "tcp_fastopen";
    for check in report.checks.iter().filter(|check| !advised(check)) {
        assert_eq!((check.status, &check.hint), (Status::Ok, &vec![]), "{check:?}");
    }
    assert_eq!(report.status, Status::Warning);
    let names: Vec<_> = report.checks.iter().map(|check| check.name.as_str()).collect();
    let expected = "kernel io_uring_disabled seccomp ring lockdown open_files locked_memory \
                    somaxconn tcp_max_syn_backlog tcp_orphans tcp_fastopen tcp_syncookies \
                    local_ports tcp_tw_reuse conntrack cpu_governor";
    assert_eq!(names.join(" "), expected);
    let mut facts = debian_12();
    facts.load = None;
    assert_eq!(examine(&SERVE, &facts).checks.len(), 11);
}

#[test]
fn every_check_says_why_in_a_sentence_and_keeps_commands_in_one_line() {
    for facts in [debian_12(), linux_4_12(), rhel_10(), in_docker(), linux_6_18()] {
        for check in examine(&LOAD, &facts).checks {
            assert!(check.why.ends_with('.') && check.why.len() > 60, "{check:?}");
            assert!(!check.found.is_empty() && !check.found.contains('\n'), "{check:?}");
            for remedy in check.hint {
                let is_whole = !remedy.command.is_empty() && !remedy.command.contains('\n');
                assert!(is_whole && !remedy.command.contains("tw_recycle"), "{remedy:?}");
            }
        }
    }
}

/// Linux 6.1 as installed, on hardware, as a user, for load.
fn debian_12() -> Facts {
    let load = Load {
        tcp_tw_reuse_delay_ms: missing("net/ipv4/tcp_tw_reuse_delay"),
        governors: Ok(vec!["performance".to_owned(); 8]),
        conntrack_count: missing("net/netfilter/nf_conntrack_count"),
        conntrack_max: missing("net/netfilter/nf_conntrack_max"),
        loopback_is_tracked: None,
        ..load()
    };
    Facts {
        release: Ok("6.1.0-13-amd64".to_owned()),
        io_uring_disabled: missing("kernel/io_uring_disabled"),
        io_uring_group: missing("kernel/io_uring_group"),
        load: Some(load),
        ..linux_6_18()
    }
}

/// SUSE's 4.12, with limits as they were.
fn linux_4_12() -> Facts {
    let load = Load { tcp_tw_reuse: Ok(0), ..debian_12().load.expect("there is one") };
    Facts {
        release: Ok("4.12.14-122-default".to_owned()),
        smallest_ring: Err(Errno(libc::ENOSYS)),
        ring: Err(Refusal { what: "no ring".to_owned(), hint: String::new() }),
        locked_memory: limits(65_536, 65_536),
        somaxconn: Ok(128),
        load: Some(load),
        ..debian_12()
    }
}

/// A virtual machine with a current kernel, as a user.
fn linux_6_18() -> Facts {
    Facts {
        release: Ok("6.18.44".to_owned()),
        io_uring_disabled: Ok(0),
        io_uring_group: Ok(-1),
        identity: Ok(user()),
        container: None,
        smallest_ring: Ok(()),
        ring: Ok(Features::ALL),
        lockdown: Lockdown { landlock: Ok(7), ring: Some(Ok(())), seccomp: Ok(()) },
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

fn rhel_10() -> Facts {
    Facts {
        release: Ok("6.12.0-55.9.1.el10_0.x86_64".to_owned()),
        io_uring_disabled: Ok(2),
        smallest_ring: Err(Errno(libc::EPERM)),
        ring: Err(Refusal { what: "no ring".to_owned(), hint: String::new() }),
        ..linux_6_18()
    }
}

fn in_docker() -> Facts {
    Facts {
        identity: Ok(Identity { seccomp: Some(2), capabilities: 0xa804_25fb, ..user() }),
        container: Some(Container::Docker),
        smallest_ring: Err(Errno(libc::EPERM)),
        ring: Err(Refusal { what: "no ring".to_owned(), hint: String::new() }),
        somaxconn: Ok(128),
        ..linux_6_18()
    }
}

fn load() -> Load {
    Load {
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

fn user() -> Identity {
    Identity {
        is_root: false,
        seccomp: Some(0),
        capabilities: 0,
        groups: vec![27, 1000],
        is_in_first_user_namespace: true,
    }
}

fn root() -> Identity {
    Identity { is_root: true, capabilities: u64::MAX, groups: vec![0], ..user() }
}

fn with_load(change: impl FnOnce(Load) -> Load) -> Facts {
    Facts { load: Some(change(load())), ..linux_6_18() }
}

#[allow(clippy::unnecessary_wraps, reason = "it stands for a reading")]
fn limits(soft: u64, hard: u64) -> crate::doctor::facts::Reading<Limit> {
    Ok(Limit { soft, hard })
}

fn missing<T>(name: &str) -> crate::doctor::facts::Reading<T> {
    Err(Unread { path: format!("/proc/sys/{name}"), why: Why::Missing })
}

fn check_of(facts: &Facts, name: &str) -> Check {
    find(&examine(&LOAD, facts), name)
}

fn find(report: &Report, name: &str) -> Check {
    report.checks.iter().find(|check| check.name == name).expect("there is such a check").clone()
}

/// Asserts a judgement, a part of what was found, and a part of one of the remedies.
fn judged(facts: &Facts, name: &str, status: Status, found: &str, hint: &str) {
    let check = check_of(facts, name);
    assert_eq!(check.status, status, "{check:?}");
    assert!(check.found.contains(found), "lacks {found:?}: {check:?}");
    if !hint.is_empty() {
        let has = check.hint.iter().any(|remedy| remedy.command.contains(hint));
        assert!(has, "lacks {hint:?}: {check:?}");
    }
    if status == Status::Ok {
        assert!(check.hint.is_empty(), "{check:?}");
    }
}
