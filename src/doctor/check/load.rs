//! What bends the figures of a load test on the machine that makes the load.

use super::{Check, Remedy, Scope, sysctl, version};
use crate::doctor::Purpose;
use crate::doctor::facts::{Container, Facts, Load};

/// `net.ipv4.ip_local_port_range`, without `ip_local_reserved_ports`.
pub(super) fn local_ports(purpose: &Purpose, facts: &Facts, load: &Load) -> Check {
    const NAME: &str = "local_ports";
    let why = |ports: u64| {
        format!(
            "From one address there can be as many connections to one server as ports; one that \
             the client closes keeps its port for {TIME_WAIT_S} s (TIME-WAIT, fixed in the \
             kernel), which is {} new connections a second unless tcp_tw_reuse helps.",
            ports / TIME_WAIT_S
        )
    };
    let (first, last) = match &load.port_range {
        Ok(range) => *range,
        Err(unread) => return Check::unread(NAME, unread, why(PORTS_DEFAULT)),
    };
    // Reserved ports are only left out of the automatic choice; unknown ones count as none.
    let reserved = load.reserved_ports.as_ref().map_or(0, |ranges| {
        let overlap = |&(from, to): &(u16, u16)| {
            let (from, to) = (from.max(first), to.min(last));
            if from <= to { u64::from(to - from) + 1 } else { 0 }
        };
        ranges.iter().map(overlap).sum()
    });
    let ports = (u64::from(last - first) + 1).saturating_sub(reserved);
    let less = if reserved > 0 { format!(" ({reserved} are reserved)") } else { String::new() };
    let found = format!("{first} to {last}: {ports} ports{less}");
    let check = Check::ok(NAME, found, why(ports));
    if ports >= u64::from(purpose.spawn).max(PORTS_MANY) {
        return check;
    }
    // Above the server's own port, and of different parity as the kernel prefers it.
    check.warning(sysctl(facts, Scope::Network, "net.ipv4.ip_local_port_range", "'10240 65535'"))
}

/// `net.ipv4.tcp_tw_reuse`: 0 off, 1 everywhere, 2 (Linux 4.19, and the default since) loopback
/// only. It needs timestamps (`tcp_twsk_unique`).
pub(super) fn tcp_tw_reuse(facts: &Facts, load: &Load) -> Check {
    const NAME: &str = "tcp_tw_reuse";
    const SETTING: &str = "net.ipv4.tcp_tw_reuse";
    let why = "With it a client uses a port in TIME-WAIT again after a second, not a minute; 2 \
               (the default since Linux 4.19) does so to 127.0.0.0/8 and ::1 only. The \
               tcp_tw_recycle of old guides is gone since 4.12.";
    let value = match &load.tcp_tw_reuse {
        Ok(value) => *value,
        Err(unread) => return Check::unread(NAME, unread, why),
    };
    let after = match load.tcp_tw_reuse_delay_ms {
        Ok(milliseconds) => format!(", after {milliseconds} ms"),
        // Before Linux 6.14 it is always a second.
        Err(_) => String::new(),
    };
    let check = |found: String| Check::ok(NAME, found, why);
    if value == 0 {
        let mut hint = sysctl(facts, Scope::Network, SETTING, "1");
        if version(facts).is_some_and(|version| version >= (4, 19)) {
            let mut loopback = sysctl(facts, Scope::Network, SETTING, "2");
            loopback[0].place.push_str("; enough for load over loopback");
            hint.splice(0..0, loopback);
        }
        return check("0: off".to_owned()).warning(hint);
    }
    if load.tcp_timestamps == Ok(0) {
        let hint = sysctl(facts, Scope::Network, "net.ipv4.tcp_timestamps", "1");
        return check(format!("{value}, without effect as tcp_timestamps is 0")).warning(hint);
    }
    match value {
        2 => check(format!("2: over loopback{after}")),
        _ => check(format!("{value}: everywhere{after}")),
    }
}

/// `nf_conntrack` (Documentation/networking/nf_conntrack-sysctl.rst).
pub(super) fn conntrack(purpose: &Purpose, facts: &Facts, load: &Load) -> Check {
    const NAME: &str = "conntrack";
    let why = "Where a firewall tracks connections, each costs time and an entry until two \
               minutes after its end, and when the table is full, packets are dropped.";
    let count = match &load.conntrack_count {
        Ok(count) => *count,
        Err(unread) if unread.is_missing() => {
            return Check::ok(NAME, "nf_conntrack isn't loaded", why);
        }
        Err(unread) => return Check::unread(NAME, unread, why),
    };
    // 0 is no limit; where only the host may see it, the host knows.
    let max = load.conntrack_max.as_ref().map_or(0, |max| *max);
    let table = match max {
        0 => format!("{count} entries"),
        max => format!("{count} of {max} entries"),
    };
    let check = |rest: &str| Check::ok(NAME, format!("{table}; {rest}"), why);
    let wanted = count + CONNTRACK_TIMES * u64::from(purpose.spawn);
    let larger = || {
        let size = wanted.next_power_of_two().max(2 * max).to_string();
        sysctl(facts, Scope::Machine, "net.netfilter.nf_conntrack_max", &size)
    };
    let untracked = || {
        Remedy::new(
            "iptables -t raw -I OUTPUT -o lo -j CT --notrack",
            "as root: no tracking over loopback; the same with ip6tables for ::1",
        )
    };
    let is_full = max > 0 && count >= max;
    let is_small = max > 0 && max < wanted;
    match load.loopback_is_tracked {
        _ if is_full => check("the table is full").fault(larger()),
        Some(true) => {
            let mut hint = vec![untracked()];
            if is_small {
                hint.extend(larger());
            }
            check("loopback is tracked").warning(hint)
        }
        _ if count > 0 && is_small => check("too few for this load").warning(larger()),
        Some(false) => check("loopback isn't tracked"),
        None => check("whether loopback is tracked could not be tried").warning(vec![untracked()]),
    }
}

/// The governor of the CPUs' frequency (Documentation/admin-guide/pm/cpufreq.rst).
pub(super) fn governor(facts: &Facts, load: &Load) -> Check {
    const NAME: &str = "cpu_governor";
    let why = "With `performance` the clock rate is the highest there is. `powersave` keeps the \
               lowest (but with intel_pstate and amd-pstate it follows the load), `userspace` what \
               was set; all others follow the load, so that two runs of one test differ.";
    let governors = match &load.governors {
        Ok(governors) => governors,
        Err(unread) if unread.is_missing() => {
            return Check::ok(
                NAME,
                "none here, as in most virtual machines: the host's rules",
                why,
            );
        }
        Err(unread) => return Check::unread(NAME, unread, why),
    };
    let mut kinds = governors.clone();
    kinds.dedup();
    let count = |kind: &String| governors.iter().filter(|&other| other == kind).count();
    let found: Vec<String> =
        kinds.iter().map(|kind| format!("{kind} on {} CPUs", count(kind))).collect();
    let check = Check::ok(NAME, found.join(", "), why);
    if kinds == ["performance"] {
        return check;
    }
    let place = match facts.container {
        None => "as root",
        Some(Container::Docker | Container::Podman | Container::Kubernetes) => {
            "as root, on the container's host"
        }
    };
    check.warning(vec![Remedy::new(
        "echo performance | tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
        place,
    )])
}

/// `TCP_TIMEWAIT_LEN`; `tcp_fin_timeout` is about another state.
const TIME_WAIT_S: u64 = 60;
/// 32768 to 60999, the default since Linux 4.2.
const PORTS_DEFAULT: u64 = 28_232;
/// The default again, as a few that are reserved don't make a range narrow.
const PORTS_MANY: u64 = 28_000;
/// A table has room for each connection, and for those that have ended meanwhile.
const CONNTRACK_TIMES: u64 = 2;
