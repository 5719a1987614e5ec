//! Limits and queues.

use super::*;

#[test]
fn open_files_are_compared_with_the_hard_limit() {
    let with = |soft, hard| Facts { open_files: limits(soft, hard), ..linux_6_18() };
    let files = |facts: &Facts, status, hint| judged(facts, "open_files", status, "5128", hint);
    files(&with(1024, 5128), Status::Ok, "");
    files(&with(1024, Limit::NONE), Status::Ok, "");
    files(&with(1024, 5127), Status::Fault, "sudo prlimit --pid $$ --nofile=5128");
    files(&with(1024, 5127), Status::Fault, "LimitNOFILE=5128");
    files(&with(1024, 1024), Status::Fault, "uringstatic --spawn 896");
    let check = check_of(&with(100, 100), "open_files");
    assert!(check.found.contains("soft limit 100, hard limit 100; 5128 needed"), "{check:?}");
    assert!(!check.hint.iter().any(|remedy| remedy.command.contains("--spawn")), "{check:?}");
    let bounded = Facts { nr_open: Ok(4096), ..with(1024, 4096) };
    assert_eq!(check_of(&bounded, "open_files").hint[0].command, "sysctl -w fs.nr_open=5128");
    let contained = Facts { container: Some(Container::Docker), ..with(1024, 4096) };
    files(&contained, Status::Fault, "docker run --ulimit nofile=5128:5128");
    let strange = Unread { path: "the limit".to_owned(), why: Why::Unreadable("no".to_owned()) };
    let strange = Facts { open_files: Err(strange), ..linux_6_18() };
    judged(&strange, "open_files", Status::Warning, "not known: reading the limit: no", "");
}

#[test]
fn locked_memory_counts_on_old_and_on_new_kernels() {
    let with = |release: &str, soft_kib: u64, hard_kib: u64| Facts {
        release: Ok(release.to_owned()),
        locked_memory: limits(soft_kib * 1024, hard_kib * 1024),
        ..linux_6_18()
    };
    let memory = |facts: &Facts, status, found, hint| {
        judged(facts, "locked_memory", status, found, hint);
    };
    for release in ["5.11.0", "6.14.0", "6.18.44-fc"] {
        memory(&with(release, 64, 64), Status::Fault, "64 KiB; 336 KiB needed", "LimitMEMLOCK=");
        memory(&with(release, 335, 8192), Status::Ok, "hard limit 8192 KiB", "");
        memory(&with(release, 335, 335), Status::Fault, "335 KiB", "--memlock=688128");
        memory(&with(release, 336, 336), Status::Warning, "336 KiB", "--memlock=688128");
        memory(&with(release, 672, 672), Status::Ok, "672 KiB", "");
        memory(&with(release, 8192, 8192), Status::Ok, "8192 KiB", "");
    }
    for release in ["5.12.0", "6.1.0-13-amd64", "6.13.9"] {
        memory(&with(release, 64, 64), Status::Ok, "doesn't count", "");
    }
    // CAP_IPC_LOCK is given up before the ring is made; CAP_SYS_RESOURCE raises the limit first.
    let as_who = |identity| Facts { identity: Ok(identity), ..with("6.18.0", 64, 64) };
    let root_with = |capabilities| Identity { capabilities, ..root() };
    memory(&as_who(root_with(1 << 14)), Status::Fault, "336 KiB needed", "LimitMEMLOCK=688128");
    memory(&as_who(root()), Status::Warning, "which raises it", "LimitMEMLOCK=688128");
    let rootless = Identity { is_in_first_user_namespace: false, ..root() };
    memory(&as_who(rootless), Status::Fault, "336", "");
    let unlimited = limits(Limit::NONE, Limit::NONE);
    let facts = Facts { locked_memory: unlimited, ..linux_6_18() };
    memory(&facts, Status::Ok, "no limit; 336 KiB needed", "");
}

#[test]
fn the_syn_backlog_counts_without_cookies_only() {
    let with = |cookies, size, somaxconn| Facts {
        tcp_syncookies: Ok(cookies),
        tcp_max_syn_backlog: Ok(size),
        somaxconn: Ok(somaxconn),
        ..linux_6_18()
    };
    let judge = |facts: &Facts, status, found, hint| {
        judged(facts, "tcp_max_syn_backlog", status, found, hint);
    };
    judge(&with(1, 128, 4096), Status::Ok, "128, without effect as tcp_syncookies is 1", "");
    judge(&with(2, 128, 4096), Status::Ok, "without effect", "");
    judge(&with(0, 2048, 4096), Status::Warning, "room for 1537 new peers", "tcp_syncookies=1");
    judge(&with(0, 2048, 4096), Status::Warning, "4096", "tcp_max_syn_backlog=5462");
    judge(&with(0, 5462, 4096), Status::Ok, "room for 4098 new peers", "");
    judge(&with(0, 5457, 4096), Status::Warning, "room for 4094 new peers", "");
    // somaxconn has lowered the backlog already.
    judge(&with(0, 2048, 128), Status::Ok, "room for 1537", "");
    let unknown = Facts { tcp_syncookies: missing("tcp_syncookies"), ..with(0, 128, 4096) };
    judge(&unknown, Status::Warning, "tcp_syncookies isn't known", "");

    let cookies = |value| with(value, 2048, 4096);
    judged(&cookies(0), "tcp_syncookies", Status::Warning, "0: off", "tcp_syncookies=1");
    judged(&cookies(1), "tcp_syncookies", Status::Ok, "1: when the backlog is full", "");
    judged(&cookies(2), "tcp_syncookies", Status::Warning, "2: for every", "tcp_syncookies=1");
    judged(&with(1, 2048, 4096), "somaxconn", Status::Ok, "4096, so that --backlog", "");
    judged(&with(1, 2048, 4095), "somaxconn", Status::Warning, "4095: lowers --backlog 4096", "");
}
