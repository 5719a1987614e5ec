//! Machines that generate load.

use super::*;

#[test]
fn local_ports_bound_the_connections_of_a_client() {
    let with = |range, reserved: &[(u16, u16)]| {
        let reserved_ports = Ok(reserved.to_vec());
        with_load(|load| LoadFacts { port_range: Ok(range), reserved_ports, ..load })
    };
    let ports = |facts: &MachineFacts, status, found, hint| {
        expect(facts, "local_ports", status, found, hint);
    };
    let hint = "sysctl -w net.ipv4.ip_local_port_range='10240 65535'";
    ports(&with((32768, 60999), &[]), Severity::Ok, "28232 ports", "");
    let why = check_of(&with((32768, 60999), &[]), "local_ports").why;
    assert!(why.contains("which allows 470 new connections per second"), "{why}");
    ports(&with((1024, 65535), &[]), Severity::Ok, "64512 ports", "");
    ports(&with((40000, 44999), &[]), Severity::Warning, "40000 to 44999: 5000 ports", hint);
    ports(&with((5, 5), &[]), Severity::Warning, "1 ports", hint);
    let some = [(80, 90), (32000, 32769), (60999, 65535)];
    ports(&with((32768, 60999), &some), Severity::Ok, "28229 ports (3 are reserved)", "");
    ports(&with((32768, 60999), &[(1, 65535)]), Severity::Warning, ": 0 ports", hint);
    let many = Workload { spawn: 30_000, ..LOAD };
    let finding = find(&examine(&many, &with((32768, 60999), &[])), "local_ports");
    assert_eq!(finding.status, Severity::Warning);
    let malformed =
        with_load(|load| LoadFacts { port_range: missing("ip_local_port_range"), ..load });
    ports(&malformed, Severity::Warning, "not known", "cat /proc/sys/ip_local_port_range");
}

#[test]
fn tcp_tw_reuse_needs_timestamps() {
    let with = |value, timestamps| {
        with_load(|load| LoadFacts {
            tcp_tw_reuse: Ok(value),
            tcp_timestamps: Ok(timestamps),
            ..load
        })
    };
    let reuse = |facts: &MachineFacts, status, found, hint| {
        expect(facts, "tcp_tw_reuse", status, found, hint);
    };
    reuse(&with(2, 1), Severity::Ok, "2: over loopback, after 1000 ms", "");
    reuse(&with(1, 1), Severity::Ok, "1: everywhere", "");
    reuse(&with(0, 1), Severity::Warning, "0: off", "sysctl -w net.ipv4.tcp_tw_reuse=2");
    reuse(&with(0, 1), Severity::Warning, "0: off", "sysctl -w net.ipv4.tcp_tw_reuse=1");
    reuse(
        &with(2, 0),
        Severity::Warning,
        "2, without effect",
        "sysctl -w net.ipv4.tcp_timestamps=1",
    );
    let older = |load| LoadFacts { tcp_tw_reuse_delay_ms: missing("tcp_tw_reuse_delay"), ..load };
    assert_eq!(check_of(&with_load(older), "tcp_tw_reuse").found, "2: over loopback");
}

#[test]
fn connection_tracking_is_rated_by_its_table_and_loopback() {
    let with = |count, max, tracked| {
        with_load(|load| LoadFacts {
            conntrack_count: Ok(count),
            conntrack_max: Ok(max),
            loopback_is_tracked: tracked,
            ..load
        })
    };
    let table = |facts: &MachineFacts, status, found, hint| {
        expect(facts, "conntrack", status, found, hint);
    };
    let hint = "iptables -t raw -I OUTPUT -o lo -j CT --notrack";
    let larger = "sysctl -w net.netfilter.nf_conntrack_max=";
    table(&with(0, 262_144, Some(false)), Severity::Ok, "0 of 262144 entries; loopback isn't", "");
    table(&with(64, 262_144, Some(true)), Severity::Warning, "loopback is tracked", hint);
    assert_eq!(check_of(&with(64, 262_144, Some(true)), "conntrack").fixes.len(), 1);
    table(&with(64, 8192, Some(true)), Severity::Warning, "loopback is tracked", larger);
    table(&with(64, 8192, Some(false)), Severity::Warning, "too few", larger);
    table(&with(0, 8192, Some(false)), Severity::Ok, "loopback isn't", "");
    table(&with(64, 0, Some(false)), Severity::Ok, "64 entries; loopback isn't", "");
    let full = "sysctl -w net.netfilter.nf_conntrack_max=131072";
    table(&with(65_536, 65_536, None), Severity::Fault, "65536 of 65536 entries", full);
    table(
        &with(10, 262_144, None),
        Severity::Warning,
        "the probe for tracking over loopback failed",
        hint,
    );
}

#[test]
fn any_governor_but_performance_is_a_warning() {
    let with = |governors: &[&str]| {
        let governors = governors.iter().map(ToString::to_string).collect();
        with_load(|load| LoadFacts { governors: Ok(governors), ..load })
    };
    let hint = "echo performance | tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor";
    let rate = |facts: &MachineFacts, status, found, hint| {
        expect(facts, "cpu_governor", status, found, hint);
    };
    rate(&with(&["performance"; 2]), Severity::Ok, "performance on 2 CPUs", "");
    let why = check_of(&with(&["performance"]), "cpu_governor").why;
    assert!(
        why.contains("`powersave` keeps the lowest") && why.contains("`userspace` keeps a set one")
    );
    rate(&with(&["schedutil"; 4]), Severity::Warning, "schedutil on 4 CPUs", hint);
    let mixed = ["performance", "performance", "powersave"];
    rate(&with(&mixed), Severity::Warning, "performance on 2 CPUs, powersave on 1 CPUs", hint);
}
