//! The kernel and the permission to create rings.

use super::*;

#[test]
fn a_kernel_of_2017_is_too_old_and_has_small_limits() {
    let facts = linux_4_12();
    expect(&facts, "kernel", Severity::Fault, "Linux 4.12.14", "uname -r");
    expect(&facts, "io_uring_disabled", Severity::Ok, "no such setting before Linux 6.6", "");
    expect(&facts, "ring", Severity::Fault, "Function not implemented (os error 38)", "uname -r");
    expect(
        &facts,
        "somaxconn",
        Severity::Warning,
        "128: lowers",
        "sysctl -w net.core.somaxconn=4096",
    );
    expect(
        &facts,
        "locked_memory",
        Severity::Fault,
        "64 KiB; 336 KiB",
        "prlimit --pid $$ --memlock",
    );
    // Value 2 came with Linux 4.19.
    expect(
        &facts,
        "tcp_tw_reuse",
        Severity::Warning,
        "0: off",
        "sysctl -w net.ipv4.tcp_tw_reuse=1",
    );
    assert_eq!(check_of(&facts, "tcp_tw_reuse").fixes.len(), 1);
}

#[test]
fn rhel_10_forbids_rings_to_all_users() {
    let facts = rhel_10();
    let hint = "sysctl -w kernel.io_uring_disabled=0";
    expect(&facts, "io_uring_disabled", Severity::Fault, "2: no user", hint);
    expect(&facts, "ring", Severity::Fault, "refused: Operation not permitted", hint);
    expect(&facts, "seccomp", Severity::Ok, "0: no filter", "");
    assert_eq!(examine(&SERVE, &facts).status, Severity::Fault);
}

#[test]
fn members_of_io_uring_group_may_create_rings() {
    let mut facts = MachineFacts { io_uring_disabled: Ok(1), ..linux_6_18() };
    let name = "io_uring_disabled";
    // Capabilities are given up before the ring is created.
    facts.process = Ok(ProcessStatus { capabilities: u64::MAX, ..user() });
    expect(&facts, name, Severity::Fault, "this user may not create", "kernel.io_uring_group=1000");
    facts.io_uring_group = Ok(27);
    expect(&facts, name, Severity::Ok, "1: allowed as a member of group 27", "");
    // Root of a user namespace has no capability that counts here.
    facts.process = Ok(ProcessStatus {
        capabilities: u64::MAX,
        is_in_first_user_namespace: false,
        groups: vec![0],
        ..user()
    });
    facts.smallest_ring = Err(Errno(libc::EPERM));
    let hint = "sysctl -w kernel.io_uring_group=$(id -g USER)";
    expect(&facts, name, Severity::Fault, "1: this user may not create rings", hint);
    expect(&facts, "ring", Severity::Fault, "refused", hint);
    // -1 stands for no group, so nobody is a member.
    facts.io_uring_group = Ok(-1);
    facts.process = Ok(ProcessStatus { groups: vec![-1], ..user() });
    expect(&facts, name, Severity::Fault, "1: this user", "");
}

#[test]
fn root_is_rated_as_the_user_it_becomes() {
    let name = "io_uring_disabled";
    let with = |group| MachineFacts {
        io_uring_disabled: Ok(1),
        io_uring_group: Ok(group),
        process: Ok(root()),
        ..linux_6_18()
    };
    let refused = |group, hint| {
        expect(&with(group), name, Severity::Fault, "becomes user 65534, group 65534", hint);
        expect(&with(group), name, Severity::Fault, "", "sysctl -w kernel.io_uring_disabled=0");
    };
    refused(-1, "sysctl -w kernel.io_uring_group=65534");
    refused(27, "uringstatic --user 65534:27");
    refused(0, "uringstatic --allow-root");
    expect(&with(65_534), name, Severity::Ok, "becomes a member of group 65534", "");
    // The doctor itself may create rings, so a failure is the filter's.
    let filtered = MachineFacts {
        smallest_ring: Err(Errno(libc::EPERM)),
        process: Ok(ProcessStatus { seccomp: Some(2), ..root() }),
        ..with(27)
    };
    expect(&filtered, "seccomp", Severity::Fault, "refuses io_uring", "");
}

#[test]
fn the_default_profile_of_a_container_refuses_rings() {
    let facts = in_docker();
    let hint = "docker run --security-opt seccomp=unconfined";
    expect(&facts, "seccomp", Severity::Fault, "2: a filter, which refuses io_uring", hint);
    expect(&facts, "ring", Severity::Fault, "refused: Operation not permitted", hint);
    expect(&facts, "io_uring_disabled", Severity::Ok, "0: every user", "");
    let hint = "docker run --sysctl net.core.somaxconn=4096";
    expect(&facts, "somaxconn", Severity::Warning, "128: lowers", hint);
    assert_eq!(examine(&SERVE, &facts).container.as_deref(), Some("docker"));

    for errno in [libc::ENOSYS, libc::EACCES] {
        let facts = MachineFacts { smallest_ring: Err(Errno(errno)), ..in_docker() };
        expect(&facts, "seccomp", Severity::Fault, "refuses", fix_of_filter());
    }
    let facts = MachineFacts { container: Some(Container::Podman), ..in_docker() };
    expect(&facts, "seccomp", Severity::Fault, "refuses", "podman run --security-opt");
    let facts = MachineFacts { container: Some(Container::Kubernetes), ..in_docker() };
    expect(&facts, "seccomp", Severity::Fault, "refuses", "seccompProfile: {type: Localhost");
    let hint = "sysctls: [{name: net.core.somaxconn, value: \"4096\"}]";
    expect(&facts, "somaxconn", Severity::Warning, "128", hint);
    // Without a container, the filter may come from a systemd unit.
    let facts = MachineFacts { container: None, ..in_docker() };
    expect(&facts, "seccomp", Severity::Fault, "refuses", "SystemCallFilter=io_uring_setup");
    // The filter permits it.
    let facts = MachineFacts { smallest_ring: Ok(()), ring: Ok(Features::ALL), ..in_docker() };
    expect(&facts, "seccomp", Severity::Ok, "2: a filter, which permits io_uring", "");
    // The setting forbids it anyway, on the host.
    let facts = MachineFacts { io_uring_disabled: Ok(2), ..in_docker() };
    expect(&facts, "seccomp", Severity::Warning, "not known while io_uring_disabled", "");
    let disabled = check_of(&facts, "io_uring_disabled");
    assert!(disabled.fixes[0].place.contains("host"), "{disabled:?}");
}

fn fix_of_filter() -> &'static str {
    "docker run --security-opt seccomp=unconfined"
}

#[test]
fn the_ring_check_names_the_cause_and_missing_features() {
    let ring =
        |facts: &MachineFacts, status, found, hint| expect(facts, "ring", status, found, hint);
    let facts = |smallest| MachineFacts { smallest_ring: Err(Errno(smallest)), ..linux_6_18() };
    ring(&facts(libc::ENOSYS), Severity::Fault, "not implemented", "zgrep IO_URING");
    ring(&facts(libc::EPERM), Severity::Fault, "not permitted", "dmesg");
    let not_built =
        MachineFacts { io_uring_disabled: missing("io_uring_disabled"), ..facts(libc::ENOSYS) };
    expect(
        &not_built,
        "io_uring_disabled",
        Severity::Warning,
        "not known: there is no /proc",
        "zgrep",
    );

    let refusal = |what: &str| Err(Refusal { what: what.to_owned(), hint: "do this".to_owned() });
    let facts = |what: &str| MachineFacts { ring: refusal(what), ..linux_6_18() };
    ring(&facts("no memory"), Severity::Fault, "no memory; do this", "");
    let poor = MachineFacts { locked_memory: limits(65536, 65536), ..facts("no memory") };
    ring(&poor, Severity::Fault, "no memory", "prlimit --pid $$ --memlock");
    let poor = MachineFacts { smallest_ring: Err(Errno(libc::ENOMEM)), ..poor };
    ring(&poor, Severity::Fault, "no memory", "prlimit --pid $$ --memlock");
    // RHEL 9 has the system calls, but not every operation of 6.1.
    let rhel_9 = MachineFacts { release: Ok("5.14.0-503.el9.x86_64".into()), ..facts("too old") };
    ring(&rhel_9, Severity::Fault, "too old", "uname -r");

    let lacking = Features { direct_descriptors: false, ..Features::ALL };
    let lacking = Features { task_run: TaskRun::Cooperative, ..lacking };
    let facts = MachineFacts { ring: Ok(lacking), ..linux_6_18() };
    ring(&facts, Severity::Warning, "without deferred task run, direct descriptors", "");
    let lacking = Features { send_vector: false, ..lacking };
    let facts = MachineFacts { ring: Ok(lacking), ..linux_6_18() };
    ring(&facts, Severity::Warning, "direct descriptors, vectored send", "");
    // The normal state before Linux 6.17, which only a newer kernel changes.
    let facts =
        MachineFacts { ring: Ok(Features { send_vector: false, ..Features::ALL }), ..linux_6_18() };
    ring(&facts, Severity::Ok, "created, but without vectored send", "");
    let workload = Workload { spawn: 32_481, ..SERVE };
    let finding = find(&examine(&workload, &linux_6_18()), "ring");
    assert_eq!(finding.status, Severity::Fault);
    assert_eq!(finding.fixes[0].command, "uringstatic --spawn 32481 --workers 2");
    let shared = Workload { workers: 2, ..workload };
    assert_eq!(find(&examine(&shared, &linux_6_18()), "ring").status, Severity::Ok);
    let too_many = Workload { spawn: 64_962, ..shared };
    let finding = find(&examine(&too_many, &linux_6_18()), "ring");
    assert!(finding.found.contains("32481 for each worker"), "{finding:?}");
    assert_eq!(finding.fixes[0].command, "uringstatic --spawn 64962 --workers 3");
}

#[test]
fn an_unknown_release_or_process_status_is_a_warning() {
    let facts = MachineFacts { release: Ok("weird".to_owned()), ..linux_6_18() };
    expect(&facts, "kernel", Severity::Warning, "Linux weird", "uname -r");
    let facts = MachineFacts { release: missing("kernel/osrelease"), ..linux_6_18() };
    expect(
        &facts,
        "kernel",
        Severity::Warning,
        "not known: there is no /proc/sys",
        "cat /proc/sys",
    );
    let facts = MachineFacts { process: missing("status"), ..linux_6_18() };
    expect(&facts, "seccomp", Severity::Warning, "not known", "cat");
}
