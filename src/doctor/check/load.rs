//! Settings that distort the figures of a load test on the machine that generates the load.

use super::{Finding, Fix, Scope, sysctl, version};
use crate::doctor::Workload;
use crate::doctor::facts::{Container, LoadFacts, MachineFacts};

/// `net.ipv4.ip_local_port_range`, without `ip_local_reserved_ports`.
pub(super) fn local_ports(workload: &Workload, facts: &MachineFacts, load: &LoadFacts) -> Finding {
    const NAME: &str = "local_ports";
    let why = |ports: u64| {
        format!(
            "Each connection from one address to one server needs a local port. A connection \
             that the client closes keeps its port for {TIME_WAIT_S} s (TIME-WAIT, a constant of \
             the kernel), which allows {} new connections per second unless tcp_tw_reuse helps.",
            ports / TIME_WAIT_S
        )
    };
    let (first, last) = match &load.port_range {
        Ok(range) => *range,
        Err(unknown) => return Finding::unknown(NAME, unknown, why(PORTS_DEFAULT)),
    };
    // The kernel skips reserved ports when it chooses one. Linux before 2.6.35 lacks the list.
    let ranges = match &load.reserved_ports {
        Ok(ranges) => &ranges[..],
        Err(unknown) if unknown.is_missing() => &[],
        Err(unknown) => return Finding::unknown(NAME, unknown, why(PORTS_DEFAULT)),
    };
    let reserved: u64 = {
        let overlap = |&(from, to): &(u16, u16)| {
            let (from, to) = (from.max(first), to.min(last));
            if from <= to { u64::from(to - from) + 1 } else { 0 }
        };
        ranges.iter().map(overlap).sum()
    };
    let ports = (u64::from(last - first) + 1).saturating_sub(reserved);
    let less = if reserved > 0 { format!(" ({reserved} are reserved)") } else { String::new() };
    let found = format!("{first} to {last}: {ports} ports{less}");
    let finding = Finding::ok(NAME, found, why(ports));
    if ports >= u64::from(workload.spawn).max(PORTS_MANY) {
        return finding;
    }
    // Begins above the server's port; the kernel prefers ends of different parity.
    finding.warning(sysctl(facts, Scope::Network, "net.ipv4.ip_local_port_range", "'10240 65535'"))
}

/// `net.ipv4.tcp_tw_reuse`: 0 off, 1 on, 2 on for loopback only (the default since Linux 4.19). It
/// needs timestamps (`tcp_twsk_unique`).
pub(super) fn tcp_tw_reuse(facts: &MachineFacts, load: &LoadFacts) -> Finding {
    const NAME: &str = "tcp_tw_reuse";
    const SETTING: &str = "net.ipv4.tcp_tw_reuse";
    let why = "With this setting a client reuses a port in TIME-WAIT after a second instead of a \
               minute; 2 (the default since Linux 4.19) applies to 127.0.0.0/8 and ::1 only. \
               tcp_tw_recycle, which old guides mention, was removed in 4.12.";
    let value = match &load.tcp_tw_reuse {
        Ok(value) => *value,
        Err(unknown) => return Finding::unknown(NAME, unknown, why),
    };
    let after = match load.tcp_tw_reuse_delay_ms {
        Ok(milliseconds) => format!(", after {milliseconds} ms"),
        // Before Linux 6.14 the delay is always a second.
        Err(_) => String::new(),
    };
    let finding = |found: String| Finding::ok(NAME, found, why);
    if value == 0 {
        let mut fixes = sysctl(facts, Scope::Network, SETTING, "1");
        if version(facts).is_some_and(|version| version >= (4, 19)) {
            let mut loopback = sysctl(facts, Scope::Network, SETTING, "2");
            loopback[0].place.push_str("; suffices for load over loopback");
            fixes.splice(0..0, loopback);
        }
        return finding("0: off".to_owned()).warning(fixes);
    }
    if let Err(unknown) = &load.tcp_timestamps {
        return Finding::unknown(NAME, unknown, why);
    }
    if load.tcp_timestamps == Ok(0) {
        let fixes = sysctl(facts, Scope::Network, "net.ipv4.tcp_timestamps", "1");
        return finding(format!("{value}, without effect as tcp_timestamps is 0")).warning(fixes);
    }
    match value {
        2 => finding(format!("2: over loopback{after}")),
        _ => finding(format!("{value}: everywhere{after}")),
    }
}

/// `nf_conntrack` (Documentation/networking/nf_conntrack-sysctl.rst).
pub(super) fn conntrack(workload: &Workload, facts: &MachineFacts, load: &LoadFacts) -> Finding {
    const NAME: &str = "conntrack";
    let why = "If a firewall tracks connections, each costs time, and an entry until two minutes \
               after its end; while the table is full, packets are dropped.";
    let count = match &load.conntrack_count {
        Ok(count) => *count,
        Err(unknown) if unknown.is_missing() => {
            return Finding::ok(NAME, "nf_conntrack isn't loaded", why);
        }
        Err(unknown) => return Finding::unknown(NAME, unknown, why),
    };
    // 0 is no limit. In a container the limit may be visible on the host only.
    let max = match &load.conntrack_max {
        Ok(max) => *max,
        Err(unknown) if unknown.is_missing() => 0,
        Err(unknown) => return Finding::unknown(NAME, unknown, why),
    };
    let table = match (max, &load.conntrack_max) {
        (0, Err(_)) => format!("{count} entries, of a number that only the host shows"),
        (0, Ok(_)) => format!("{count} entries"),
        _ => format!("{count} of {max} entries"),
    };
    let finding = |rest: &str| Finding::ok(NAME, format!("{table}; {rest}"), why);
    let wanted = count + CONNTRACK_TIMES * u64::from(workload.spawn);
    let larger = || {
        let size = wanted.next_power_of_two().max(2 * max).to_string();
        sysctl(facts, Scope::Machine, "net.netfilter.nf_conntrack_max", &size)
    };
    let untracked = || {
        Fix::new(
            "iptables -t raw -I OUTPUT -o lo -j CT --notrack",
            "as root; exempts loopback; the same with ip6tables for ::1",
        )
    };
    let is_full = max > 0 && count >= max;
    let is_small = max > 0 && max < wanted;
    match load.loopback_is_tracked {
        _ if is_full => finding("the table is full").fault(larger()),
        Some(true) => {
            let mut fixes = vec![untracked()];
            if is_small {
                fixes.extend(larger());
            }
            finding("loopback is tracked").warning(fixes)
        }
        _ if count > 0 && is_small => finding("too few for this workload").warning(larger()),
        Some(false) => finding("loopback isn't tracked"),
        None => finding("the probe for tracking over loopback failed").warning(vec![untracked()]),
    }
}

/// The governor of the CPUs' frequency (Documentation/admin-guide/pm/cpufreq.rst).
pub(super) fn governor(facts: &MachineFacts, load: &LoadFacts) -> Finding {
    const NAME: &str = "cpu_governor";
    let why = "`performance` keeps the highest clock rate, `powersave` keeps the lowest (but \
               follows the load with intel_pstate and amd-pstate), `userspace` keeps a set one; \
               all others follow the load, so two runs of one test differ.";
    let governors = match &load.governors {
        Ok(governors) => governors,
        Err(unknown) if unknown.is_missing() => {
            return Finding::ok(
                NAME,
                "none here, as in most virtual machines; the host's governor applies",
                why,
            );
        }
        Err(unknown) => return Finding::unknown(NAME, unknown, why),
    };
    let mut kinds = governors.clone();
    kinds.dedup();
    let count = |kind: &String| governors.iter().filter(|&other| other == kind).count();
    let found: Vec<String> =
        kinds.iter().map(|kind| format!("{kind} on {} CPUs", count(kind))).collect();
    let finding = Finding::ok(NAME, found.join(", "), why);
    if kinds == ["performance"] {
        return finding;
    }
    let place = match facts.container {
        None => "as root",
        Some(Container::Docker | Container::Podman | Container::Kubernetes) => {
            "as root, on the container's host"
        }
    };
    finding.warning(vec![Fix::new(
        "echo performance | tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
        place,
    )])
}

/// `TCP_TIMEWAIT_LEN`; `tcp_fin_timeout` is about another state.
const TIME_WAIT_S: u64 = 60;
/// 32768 to 60999, the default since Linux 4.2.
const PORTS_DEFAULT: u64 = 28_232;
/// About the default range, with room for a few reserved ports.
const PORTS_MANY: u64 = 28_000;
/// Entries per connection: its own, and that of an ended one.
const CONNTRACK_TIMES: u64 = 2;
