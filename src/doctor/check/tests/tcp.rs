//! Connections opened by a send, and orphans.

use super::*;

#[test]
fn a_send_that_connects_is_advised_against() {
    let with = |value| Facts { tcp_fastopen: Ok(value), ..linux_6_18() };
    let judge = |value, status, found, hint| {
        judged(&with(value), "tcp_fastopen", status, found, hint);
    };
    judge(1, Status::Warning, "1: a send can connect", "sysctl -w net.ipv4.tcp_fastopen=2");
    judge(3, Status::Warning, "3: a send can connect", "net.ipv4.tcp_fastopen=2");
    // What servers have set stays.
    judge(0x403, Status::Warning, "1027: a send can connect", "net.ipv4.tcp_fastopen=1026");
    judge(0, Status::Ok, "0: no send connects", "");
    judge(2, Status::Ok, "2: no send connects", "");
    let docker = in_docker();
    judged(
        &docker,
        "tcp_fastopen",
        Status::Warning,
        "1: ",
        "docker run --sysctl net.ipv4.tcp_fast",
    );
    let unknown = Facts { tcp_fastopen: missing("tcp_fastopen"), ..linux_6_18() };
    judged(&unknown, "tcp_fastopen", Status::Warning, "not known", "");
}

#[test]
fn orphans_of_one_round_of_slow_readers_fit_the_number_and_the_memory() {
    let with = |most, pressure_mib: u64| Facts {
        tcp_max_orphans: Ok(most),
        tcp_memory: Ok([0, pressure_mib << 20, pressure_mib << 21]),
        ..linux_6_18()
    };
    let judge = |facts: &Facts, status, found, hint| {
        judged(facts, "tcp_orphans", status, found, hint);
    };
    // 5000 times 64 KiB is 312.5 MiB.
    judge(&with(5000, 313), Status::Ok, "5000 slow readers leave some 312 MiB", "");
    judge(&with(5000, 312), Status::Warning, "short of memory from 312 MiB", "--spawn 4992");
    judge(&with(4999, 313), Status::Warning, "at most 4999; ", "tcp_max_orphans=10000");
    judge(&with(4999, 313), Status::Warning, "may have 626 MiB", "uringstatic --spawn 4999");
    let hidden = Facts { tcp_max_orphans: missing("tcp_max_orphans"), ..linux_6_18() };
    judge(&hidden, Status::Ok, "the first network namespace has the settings", "");
}
