//! Limits and queues.

use super::*;

#[test]
fn open_files_need_a_sufficient_hard_limit() {
    let with = |soft, hard| MachineFacts { open_files: limits(soft, hard), ..linux_6_18() };
    let files =
        |facts: &MachineFacts, status, hint| expect(facts, "open_files", status, "5128", hint);
    files(&with(1024, 5128), Severity::Ok, "");
    files(&with(1024, Limit::NONE), Severity::Ok, "");
    files(&with(1024, 5127), Severity::Fault, "sudo prlimit --pid $$ --nofile=5128");
    files(&with(1024, 5127), Severity::Fault, "LimitNOFILE=5128");
    files(&with(1024, 1024), Severity::Fault, "uringstatic --spawn 896");
    let finding = check_of(&with(100, 100), "open_files");
    assert!(finding.found.contains("soft limit 100, hard limit 100; 5128 needed"), "{finding:?}");
    assert!(!finding.fixes.iter().any(|fix| fix.command.contains("--spawn")), "{finding:?}");
    let bounded = MachineFacts { nr_open: Ok(4096), ..with(1024, 4096) };
    assert_eq!(check_of(&bounded, "open_files").fixes[0].command, "sysctl -w fs.nr_open=5128");
    let contained = MachineFacts { container: Some(Container::Docker), ..with(1024, 4096) };
    files(&contained, Severity::Fault, "docker run --ulimit nofile=5128:5128");
    let malformed = UnknownFact {
        path: "the limit".to_owned(),
        cause: UnknownCause::Unreadable("no".to_owned()),
    };
    let malformed = MachineFacts { open_files: Err(malformed), ..linux_6_18() };
    expect(&malformed, "open_files", Severity::Warning, "unknown: reading the limit: no", "");
}

#[test]
fn locked_memory_counts_before_5_12_and_since_6_14() {
    let with = |release: &str, soft_kib: u64, hard_kib: u64| MachineFacts {
        release: Ok(release.to_owned()),
        locked_memory: limits(soft_kib * 1024, hard_kib * 1024),
        ..linux_6_18()
    };
    let memory = |facts: &MachineFacts, status, found, hint| {
        expect(facts, "locked_memory", status, found, hint);
    };
    for release in ["5.11.0", "6.14.0", "6.18.44-fc"] {
        memory(&with(release, 64, 64), Severity::Fault, "64 KiB; 336 KiB needed", "LimitMEMLOCK=");
        memory(&with(release, 335, 8192), Severity::Ok, "hard limit 8192 KiB", "");
        memory(&with(release, 335, 335), Severity::Fault, "335 KiB", "--memlock=688128");
        memory(&with(release, 336, 336), Severity::Warning, "336 KiB", "--memlock=688128");
        memory(&with(release, 672, 672), Severity::Ok, "672 KiB", "");
        memory(&with(release, 8192, 8192), Severity::Ok, "8192 KiB", "");
    }
    for release in ["5.12.0", "6.1.0-13-amd64", "6.13.9"] {
        memory(&with(release, 64, 64), Severity::Ok, "doesn't count", "");
    }
    // CAP_IPC_LOCK is given up before the ring is created; CAP_SYS_RESOURCE raises the limit first.
    let as_process = |process| MachineFacts { process: Ok(process), ..with("6.18.0", 64, 64) };
    let root_with = |capabilities| ProcessStatus { capabilities, ..root() };
    memory(
        &as_process(root_with(1 << 14)),
        Severity::Fault,
        "336 KiB needed",
        "LimitMEMLOCK=688128",
    );
    memory(&as_process(root()), Severity::Warning, "which raises the limit", "LimitMEMLOCK=688128");
    let rootless = ProcessStatus { is_in_first_user_namespace: false, ..root() };
    memory(&as_process(rootless), Severity::Fault, "336", "");
    let unlimited = limits(Limit::NONE, Limit::NONE);
    let facts = MachineFacts { locked_memory: unlimited, ..linux_6_18() };
    memory(&facts, Severity::Ok, "no limit; 336 KiB needed", "");
}

#[test]
fn the_syn_backlog_matters_only_without_syn_cookies() {
    let with = |cookies, size, somaxconn| MachineFacts {
        tcp_syncookies: Ok(cookies),
        tcp_max_syn_backlog: Ok(size),
        somaxconn: Ok(somaxconn),
        ..linux_6_18()
    };
    let rate = |facts: &MachineFacts, status, found, hint| {
        expect(facts, "tcp_max_syn_backlog", status, found, hint);
    };
    rate(&with(1, 128, 4096), Severity::Ok, "128, without effect because tcp_syncookies is 1", "");
    rate(&with(2, 128, 4096), Severity::Ok, "without effect", "");
    rate(&with(0, 2048, 4096), Severity::Warning, "room for 1537 new peers", "tcp_syncookies=1");
    rate(&with(0, 2048, 4096), Severity::Warning, "4096", "tcp_max_syn_backlog=5462");
    rate(&with(0, 5462, 4096), Severity::Ok, "room for 4098 new peers", "");
    rate(&with(0, 5457, 4096), Severity::Warning, "room for 4094 new peers", "");
    // somaxconn already lowers the backlog.
    rate(&with(0, 2048, 128), Severity::Ok, "room for 1537", "");
    let unknown = MachineFacts { tcp_syncookies: missing("tcp_syncookies"), ..with(0, 128, 4096) };
    rate(&unknown, Severity::Warning, "tcp_syncookies is unknown", "");

    let cookies = |value| with(value, 2048, 4096);
    expect(&cookies(0), "tcp_syncookies", Severity::Warning, "0: off", "tcp_syncookies=1");
    expect(&cookies(1), "tcp_syncookies", Severity::Ok, "1: when the backlog is full", "");
    expect(&cookies(2), "tcp_syncookies", Severity::Warning, "2: for every", "tcp_syncookies=1");
    expect(&with(1, 2048, 4096), "somaxconn", Severity::Ok, "4096, enough for --backlog", "");
    expect(&with(1, 2048, 4095), "somaxconn", Severity::Warning, "4095: lowers --backlog 4096", "");
}
