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
    assert!(finding.found.contains("132 by the supervisor"), "{finding:?}");
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
    expect(&malformed, "open_files", Severity::Warning, "not known: reading the limit: no", "");
}

#[test]
fn workers_share_the_open_files_of_connections() {
    let rate = |spawn, workers, hard| {
        let workload = Workload { spawn, workers, ..SERVE };
        let facts = MachineFacts { open_files: limits(1024, hard), ..linux_6_18() };
        find(&examine(&workload, &facts), "open_files")
    };
    assert_eq!(rate(5000, 4, 1378).status, Severity::Ok);
    let finding = rate(5000, 4, 1377);
    assert_eq!(finding.status, Severity::Fault);
    assert!(finding.found.contains("1378 needed by each worker, 144 by the supervisor"));
    let fix = &finding.fixes.last().expect("it has some").command;
    assert_eq!(fix, "uringstatic --spawn 4996 --workers 4");
    // A supervisor of many workers that have few connections each.
    assert_eq!(rate(256, 256, 1152).status, Severity::Ok);
    let finding = rate(256, 256, 1151);
    assert_eq!(finding.status, Severity::Fault);
    let fewer = |fix: &Fix| fix.command.contains("--spawn");
    assert!(!finding.fixes.iter().any(fewer), "fewer connections don't help: {finding:?}");
}

#[test]
fn locked_memory_counts_for_each_worker_and_twice_in_a_reload() {
    let rate = |workers, hard_kib: u64| {
        let workload = Workload { workers, ..SERVE };
        let hard = hard_kib * 1024;
        let facts = MachineFacts { locked_memory: limits(hard, hard), ..linux_6_18() };
        find(&examine(&workload, &facts), "locked_memory")
    };
    let one = rate(1, 500);
    assert_eq!(one.status, Severity::Warning);
    assert!(one.found.contains("336 KiB needed by 1 worker, 672 KiB during a reload"), "{one:?}");
    assert!(one.found.contains("the server starts, and a reload fails"), "{one:?}");
    // Each of 4 workers carries 1250 connections: 144 KiB.
    let demand = "576 KiB needed by 4 workers, 1152 KiB during a reload";
    for (hard, status) in
        [(575, Severity::Fault), (576, Severity::Warning), (1151, Severity::Warning)]
    {
        let finding = rate(4, hard);
        assert_eq!(finding.status, status, "{finding:?}");
        assert!(finding.found.contains(demand), "{finding:?}");
        let has_fix = finding.fixes.iter().any(|fix| fix.command == "LimitMEMLOCK=1179648");
        assert!(has_fix, "{finding:?}");
    }
    assert_eq!(rate(4, 1152).status, Severity::Ok);
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
    memory(
        &as_process(root()),
        Severity::Warning,
        "the server may raise the limit",
        "LimitMEMLOCK=688128",
    );
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
    rate(&unknown, Severity::Warning, "tcp_syncookies is not known", "");

    let cookies = |value| with(value, 2048, 4096);
    expect(&cookies(0), "tcp_syncookies", Severity::Warning, "0: off", "tcp_syncookies=1");
    expect(&cookies(1), "tcp_syncookies", Severity::Ok, "1: when the backlog is full", "");
    expect(&cookies(2), "tcp_syncookies", Severity::Warning, "2: for every", "tcp_syncookies=1");
    expect(&with(1, 2048, 4096), "somaxconn", Severity::Ok, "4096, enough for --backlog", "");
    expect(&with(1, 2048, 4095), "somaxconn", Severity::Warning, "4095: lowers --backlog 4096", "");
}
