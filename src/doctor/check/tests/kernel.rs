//! The kernel, and whether it lets us have a ring.

use super::*;

#[test]
fn a_kernel_of_2017() {
    let facts = linux_4_12();
    judged(&facts, "kernel", Status::Fault, "Linux 4.12.14", "uname -r");
    judged(&facts, "io_uring_disabled", Status::Ok, "no such setting before Linux 6.6", "");
    judged(&facts, "ring", Status::Fault, "Function not implemented (os error 38)", "uname -r");
    judged(
        &facts,
        "somaxconn",
        Status::Warning,
        "128: lowers",
        "sysctl -w net.core.somaxconn=4096",
    );
    judged(&facts, "locked_memory", Status::Fault, "64 KiB; 336 KiB", "prlimit --pid $$ --memlock");
    // The kernel has no value 2 yet.
    judged(&facts, "tcp_tw_reuse", Status::Warning, "0: off", "sysctl -w net.ipv4.tcp_tw_reuse=1");
    assert_eq!(check_of(&facts, "tcp_tw_reuse").hint.len(), 1);
}

#[test]
fn rhel_10_forbids_rings_to_everybody() {
    let facts = rhel_10();
    let hint = "sysctl -w kernel.io_uring_disabled=0";
    judged(&facts, "io_uring_disabled", Status::Fault, "2: nobody", hint);
    judged(&facts, "ring", Status::Fault, "refused: Operation not permitted", hint);
    judged(&facts, "seccomp", Status::Ok, "0: no filter", "");
    assert_eq!(examine(&SERVE, &facts).status, Status::Fault);
}

#[test]
fn a_group_may_be_let_in() {
    let mut facts = Facts { io_uring_disabled: Ok(1), ..linux_6_18() };
    let name = "io_uring_disabled";
    // A capability is given up before the ring is made.
    facts.identity = Ok(Identity { capabilities: u64::MAX, ..user() });
    judged(&facts, name, Status::Fault, "this user may make no", "kernel.io_uring_group=1000");
    facts.io_uring_group = Ok(27);
    judged(&facts, name, Status::Ok, "1: allowed, as a member of group 27", "");
    // Root within a user namespace is nobody in particular.
    facts.identity = Ok(Identity {
        capabilities: u64::MAX,
        is_in_first_user_namespace: false,
        groups: vec![0],
        ..user()
    });
    facts.smallest_ring = Err(Errno(libc::EPERM));
    let hint = "sysctl -w kernel.io_uring_group=$(id -g USER)";
    judged(&facts, name, Status::Fault, "1: this user may make no ring", hint);
    judged(&facts, "ring", Status::Fault, "refused", hint);
    // No group is -1, and nobody is in it.
    facts.io_uring_group = Ok(-1);
    facts.identity = Ok(Identity { groups: vec![-1], ..user() });
    judged(&facts, name, Status::Fault, "1: this user", "");
}

#[test]
fn root_is_judged_as_who_it_becomes() {
    let name = "io_uring_disabled";
    let with = |group| Facts {
        io_uring_disabled: Ok(1),
        io_uring_group: Ok(group),
        identity: Ok(root()),
        ..linux_6_18()
    };
    let refused = |group, hint| {
        judged(&with(group), name, Status::Fault, "becomes user 65534, group 65534", hint);
        judged(&with(group), name, Status::Fault, "", "sysctl -w kernel.io_uring_disabled=0");
    };
    refused(-1, "sysctl -w kernel.io_uring_group=65534");
    refused(27, "uringstatic --user 65534:27");
    refused(0, "uringstatic --allow-root");
    judged(&with(65_534), name, Status::Ok, "becomes a member of group 65534", "");
    // The doctor itself may make one, so a filter is to blame for what it can't.
    let filtered = Facts {
        smallest_ring: Err(Errno(libc::EPERM)),
        identity: Ok(Identity { seccomp: Some(2), ..root() }),
        ..with(27)
    };
    judged(&filtered, "seccomp", Status::Fault, "refuses io_uring", "");
}

#[test]
fn layers_of_the_lockdown_may_be_missing() {
    let with = |change: fn(&mut Lockdown)| {
        let mut facts = linux_6_18();
        change(&mut facts.lockdown);
        facts
    };
    let judge = |facts: &Facts, status, found, hint| judged(facts, "lockdown", status, found, hint);
    let all = "privileges, Landlock (ABI 7), restricted rings, seccomp filters that kill";
    judge(&linux_6_18(), Status::Ok, all, "");
    let absent = with(|lockdown| lockdown.landlock = Err("not chosen".to_owned()));
    judge(&absent, Status::Warning, "without Landlock: not chosen", "/security/lsm");
    let absent = with(|lockdown| lockdown.ring = Some(Err("EINVAL".to_owned())));
    judge(&absent, Status::Warning, "without restricted rings: EINVAL", "");
    let absent = with(|lockdown| lockdown.ring = None);
    judge(&absent, Status::Warning, "restricted rings: not known", "");
    let absent = with(|lockdown| lockdown.seccomp = Err("no filters".to_owned()));
    judge(&absent, Status::Warning, "without seccomp: no filters", "");
}

#[test]
fn a_container_with_the_default_profile() {
    let facts = in_docker();
    let hint = "docker run --security-opt seccomp=unconfined";
    judged(&facts, "seccomp", Status::Fault, "2: a filter, which refuses io_uring", hint);
    judged(&facts, "ring", Status::Fault, "refused: Operation not permitted", hint);
    judged(&facts, "io_uring_disabled", Status::Ok, "0: everybody", "");
    let hint = "docker run --sysctl net.core.somaxconn=4096";
    judged(&facts, "somaxconn", Status::Warning, "128: lowers", hint);
    assert_eq!(examine(&SERVE, &facts).container.as_deref(), Some("docker"));

    for errno in [libc::ENOSYS, libc::EACCES] {
        let facts = Facts { smallest_ring: Err(Errno(errno)), ..in_docker() };
        judged(&facts, "seccomp", Status::Fault, "refuses", mend_of_filter());
    }
    let facts = Facts { container: Some(Container::Podman), ..in_docker() };
    judged(&facts, "seccomp", Status::Fault, "refuses", "podman run --security-opt");
    let facts = Facts { container: Some(Container::Kubernetes), ..in_docker() };
    judged(&facts, "seccomp", Status::Fault, "refuses", "seccompProfile: {type: Localhost");
    let hint = "sysctls: [{name: net.core.somaxconn, value: \"4096\"}]";
    judged(&facts, "somaxconn", Status::Warning, "128", hint);
    // A unit of systemd has filters, too.
    let facts = Facts { container: None, ..in_docker() };
    judged(&facts, "seccomp", Status::Fault, "refuses", "SystemCallFilter=io_uring_setup");
    // The filter allows it.
    let facts = Facts { smallest_ring: Ok(()), ring: Ok(Features::ALL), ..in_docker() };
    judged(&facts, "seccomp", Status::Ok, "2: a filter, which doesn't stand in the way", "");
    // The setting forbids it anyway, on the host.
    let facts = Facts { io_uring_disabled: Ok(2), ..in_docker() };
    judged(&facts, "seccomp", Status::Warning, "ask again when io_uring_disabled", "");
    let disabled = check_of(&facts, "io_uring_disabled");
    assert!(disabled.hint[0].place.contains("host"), "{disabled:?}");
}

fn mend_of_filter() -> &'static str {
    "docker run --security-opt seccomp=unconfined"
}

#[test]
fn a_ring_that_is_refused_or_lacks_something() {
    let ring = |facts: &Facts, status, found, hint| judged(facts, "ring", status, found, hint);
    let facts = |smallest| Facts { smallest_ring: Err(Errno(smallest)), ..linux_6_18() };
    ring(&facts(libc::ENOSYS), Status::Fault, "not implemented", "zgrep IO_URING");
    ring(&facts(libc::EPERM), Status::Fault, "not permitted", "dmesg");
    let not_built =
        Facts { io_uring_disabled: missing("io_uring_disabled"), ..facts(libc::ENOSYS) };
    judged(&not_built, "io_uring_disabled", Status::Warning, "not known: there is no /proc", "cat");

    let refusal = |what: &str| Err(Refusal { what: what.to_owned(), hint: "do this".to_owned() });
    let facts = |what: &str| Facts { ring: refusal(what), ..linux_6_18() };
    ring(&facts("no memory"), Status::Fault, "no memory; do this", "");
    let poor = Facts { locked_memory: limits(65536, 65536), ..facts("no memory") };
    ring(&poor, Status::Fault, "no memory", "prlimit --pid $$ --memlock");
    let poor = Facts { smallest_ring: Err(Errno(libc::ENOMEM)), ..poor };
    ring(&poor, Status::Fault, "no memory", "prlimit --pid $$ --memlock");
    // RHEL 9 has the calls, but not all that 6.1 has.
    let rhel_9 = Facts { release: Ok("5.14.0-503.el9.x86_64".into()), ..facts("too old") };
    ring(&rhel_9, Status::Fault, "too old", "uname -r");

    let lacking = Features { direct_descriptors: false, ..Features::ALL };
    let lacking = Features { task_run: TaskRun::Cooperative, ..lacking };
    let facts = Facts { ring: Ok(lacking), ..linux_6_18() };
    ring(&facts, Status::Warning, "without deferred task run, direct descriptors", "");
    let purpose = Purpose { spawn: 32_481, ..SERVE };
    let check = find(&examine(&purpose, &linux_6_18()), "ring");
    assert_eq!(check.status, Status::Fault);
    assert_eq!(check.hint[0].command, "uringstatic --spawn 32480");
}

#[test]
fn a_strange_release_is_a_warning() {
    let facts = Facts { release: Ok("weird".to_owned()), ..linux_6_18() };
    judged(&facts, "kernel", Status::Warning, "Linux weird", "uname -r");
    let facts = Facts { release: missing("kernel/osrelease"), ..linux_6_18() };
    judged(&facts, "kernel", Status::Warning, "not known: there is no /proc/sys", "cat /proc/sys");
    let facts = Facts { identity: missing("status"), ..linux_6_18() };
    judged(&facts, "seccomp", Status::Warning, "not known", "cat");
}
