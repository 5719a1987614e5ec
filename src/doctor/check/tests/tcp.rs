//! TCP Fast Open and orphans.

use super::*;

#[test]
fn client_fast_open_is_a_warning() {
    let with = |value| MachineFacts { tcp_fastopen: Ok(value), ..linux_6_18() };
    let rate = |value, status, found, hint| {
        expect(&with(value), "tcp_fastopen", status, found, hint);
    };
    rate(1, Severity::Warning, "1: a send can connect", "sysctl -w net.ipv4.tcp_fastopen=2");
    rate(3, Severity::Warning, "3: a send can connect", "net.ipv4.tcp_fastopen=2");
    // Bits of servers are kept.
    rate(0x403, Severity::Warning, "1027: a send can connect", "net.ipv4.tcp_fastopen=1026");
    rate(0, Severity::Ok, "0: no send connects", "");
    rate(2, Severity::Ok, "2: no send connects", "");
    let docker = in_docker();
    expect(
        &docker,
        "tcp_fastopen",
        Severity::Warning,
        "1: ",
        "docker run --sysctl net.ipv4.tcp_fast",
    );
    let unknown = MachineFacts { tcp_fastopen: missing("tcp_fastopen"), ..linux_6_18() };
    expect(&unknown, "tcp_fastopen", Severity::Warning, "not known", "");
}

#[test]
fn orphans_of_all_connections_must_fit_number_and_memory() {
    let with = |most, pressure_mib: u64| MachineFacts {
        tcp_max_orphans: Ok(most),
        tcp_memory: Ok([0, pressure_mib << 20, pressure_mib << 21]),
        ..linux_6_18()
    };
    let rate = |facts: &MachineFacts, status, found, hint| {
        expect(facts, "tcp_orphans", status, found, hint);
    };
    // 5000 times 64 KiB is 312.5 MiB.
    rate(&with(5000, 313), Severity::Ok, "5000 slow readers leave about 312 MiB", "");
    rate(&with(5000, 312), Severity::Warning, "under memory pressure from 312 MiB", "--spawn 4992");
    rate(&with(4999, 313), Severity::Warning, "at most 4999; ", "tcp_max_orphans=10000");
    rate(&with(4999, 313), Severity::Warning, "limited to 626 MiB", "uringstatic --spawn 4999");
    let hidden = MachineFacts { tcp_max_orphans: missing("tcp_max_orphans"), ..linux_6_18() };
    rate(&hidden, Severity::Ok, "only the first network namespace has the settings", "");
}
