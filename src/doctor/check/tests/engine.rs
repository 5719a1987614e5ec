//! The engine that is chosen on each machine, and what its choice makes of the other findings.

use super::*;
use crate::engine::uring::probe::Obstacles;
use crate::engine::uring::unavailable::RingUnavailable;

const AUTO: Workload = Workload { engine: EngineChoice::Auto, ..SERVE };
const EPOLL: Workload = Workload { engine: EngineChoice::Epoll, ..SERVE };

/// The facts of a machine on which `auto` falls back.
fn falls_back(facts: MachineFacts, why: RingUnavailable) -> MachineFacts {
    MachineFacts { auto: Ok(Decision { kind: EngineKind::Epoll, why: Some(why) }), ..facts }
}

fn refused(facts: MachineFacts) -> MachineFacts {
    let why = RingUnavailable::by_errno("io_uring_setup", Errno(libc::EPERM), &Obstacles::read());
    falls_back(facts, why.expect("EPERM is a refusal"))
}

#[test]
fn a_refused_ring_is_a_warning_for_auto_and_a_fault_where_it_is_required() {
    for facts in [refused(in_docker()), refused(rhel_10())] {
        let report = examine(&AUTO, &facts);
        assert_eq!(report.status, Severity::Warning, "{report:?}");
        let engine = find(&report, "engine");
        assert_eq!(engine.status, Severity::Warning);
        assert!(
            engine.found.starts_with("auto: epoll, as io_uring_setup is refused"),
            "{engine:?}"
        );
        assert!(engine.why.contains("system call") && engine.why.contains("CPU time"));
        // The remedy is still said.
        let ring = find(&report, "ring");
        assert_eq!(ring.status, Severity::Warning);
        let cause = find(&report, &ring.cause.expect("a filter or a setting refuses it"));
        assert!(!cause.fixes.is_empty(), "{cause:?}");
        let required = examine(&SERVE, &facts);
        assert_eq!(required.status, Severity::Fault);
        assert!(find(&required, "engine").found.starts_with("io_uring is not available: "));
    }
}

#[test]
fn an_engine_on_epoll_needs_no_ring() {
    let old = falls_back(linux_4_12(), RingUnavailable::OldKernel((4, 12)));
    let report = examine(&EPOLL, &old);
    for name in ["kernel", "io_uring_disabled", "seccomp", "ring", "engine", "locked_memory"] {
        let finding = find(&report, name);
        assert_eq!((finding.status, finding.fixes.len()), (Severity::Ok, 0), "{finding:?}");
    }
    // More connections than a ring carries.
    let many = Workload { spawn: 100_000, ..EPOLL };
    assert_eq!(find(&examine(&many, &linux_6_18()), "engine").status, Severity::Ok);
    let auto = examine(&AUTO, &old);
    assert_eq!(find(&auto, "kernel").status, Severity::Warning);
    let found = find(&auto, "engine").found;
    assert!(found.contains("epoll, as io_uring needs Linux 6.1 or later"), "{found}");
}

#[test]
fn a_filter_that_kills_is_found_without_being_killed() {
    let facts = falls_back(
        MachineFacts {
            smallest_ring: Err(Errno(libc::ENOSYS)),
            ring: Err(Refusal { what: RingUnavailable::Killed.to_string(), hint: String::new() }),
            ..in_docker()
        },
        RingUnavailable::Killed,
    );
    assert!(facts.filter_kills());
    let report = examine(&AUTO, &facts);
    let ring = find(&report, "ring");
    assert!(ring.found.contains("kills a process"), "{ring:?}");
    assert!(find(&report, "seccomp").found.contains("a filter, which refuses io_uring"));
}

#[test]
fn a_ring_without_memory_stays_a_fault() {
    let facts = MachineFacts {
        smallest_ring: Err(Errno(libc::ENOMEM)),
        ring: Err(Refusal { what: "no memory".to_owned(), hint: String::new() }),
        locked_memory: limits(65_536, 65_536),
        ..linux_6_18()
    };
    let report = examine(&AUTO, &facts);
    assert_eq!(find(&report, "engine").found, "auto: io_uring");
    assert_eq!(find(&report, "ring").status, Severity::Fault);
    assert_eq!(find(&report, "locked_memory").status, Severity::Fault);
}

#[test]
fn no_decision_is_a_fault() {
    let facts = MachineFacts { auto: Err("no process can be started".to_owned()), ..linux_6_18() };
    let engine = find(&examine(&AUTO, &facts), "engine");
    assert_eq!(engine.status, Severity::Fault);
    assert!(engine.found.contains("no process can be started"), "{engine:?}");
}
