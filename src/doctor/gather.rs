//! Gathers the facts: reads files and limits, creates a ring and closes it. Rates nothing and
//! changes no setting. Its only effect that outlasts it is in the connection tracking table, which
//! keeps the entries of the probe's datagrams for half a minute.

use super::facts::{
    Container, Fact, LoadFacts, MachineFacts, ProcessStatus, Refusal, SandboxSupport, UnknownCause,
    UnknownFact, is_killed,
};
use super::{Workload, parse};
use crate::engine::chosen::Decision;
use crate::engine::kernel::Restriction;
use crate::engine::uring::probe::{self, Features, Obstacles, locked_bytes};
use crate::engine::uring::unavailable::RingUnavailable;
use crate::engine::uring::{RECEIVE_BUFFER_BYTES, RECEIVE_BUFFERS, Setup, Uring};
use crate::engine::{Engine, Errno, Nanos};
use crate::error::Failure;
use crate::os::proc::Proc;
use crate::os::process;
use crate::os::{landlock, seccomp};
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;

impl MachineFacts {
    /// Gathers all facts, besides the engine that `auto` comes to; those about load generation only
    /// if the workload includes it.
    #[must_use]
    pub fn gather(workload: &Workload, auto: Result<Decision, String>) -> Self {
        let open_files = Ok(process::open_files());
        let locked_memory = Ok(process::locked_memory());
        // After the limits were read, because creating the ring raises them.
        let (ring, restriction) = match server_ring(workload, &auto) {
            Ok((features, restriction)) => (Ok(features), Some(restriction)),
            Err(refusal) => (Err(refusal), None),
        };
        // Last, and only if the larger ring failed: the kernel counts the memory of a closed ring
        // for some milliseconds longer, and the server's ring might not fit beside it.
        let smallest_ring = match &ring {
            Ok(_) => Ok(()),
            Err(_) if is_killed(&auto) => Err(Errno(libc::ENOSYS)),
            Err(_) => probe::smallest_ring(),
        };
        Self {
            release: setting("kernel.osrelease", |text| Some(text.trim().to_owned())),
            io_uring_disabled: setting("kernel.io_uring_disabled", parse::number),
            io_uring_group: setting("kernel.io_uring_group", parse::number),
            process: process_status(),
            container: container(),
            auto,
            smallest_ring,
            ring,
            sandbox: SandboxSupport {
                landlock: landlock::version(),
                ring: restriction,
                seccomp: seccomp::check(),
            },
            open_files,
            nr_open: setting("fs.nr_open", parse::number),
            locked_memory,
            somaxconn: setting("net.core.somaxconn", parse::number),
            tcp_max_syn_backlog: setting("net.ipv4.tcp_max_syn_backlog", parse::number),
            tcp_syncookies: setting("net.ipv4.tcp_syncookies", parse::number),
            tcp_fastopen: setting("net.ipv4.tcp_fastopen", parse::number),
            tcp_max_orphans: setting("net.ipv4.tcp_max_orphans", parse::number),
            tcp_memory: setting("net.ipv4.tcp_mem", parse::three_numbers)
                .map(|pages| pages.map(|pages: u64| pages.saturating_mul(process::page_bytes()))),
            load: workload.load.then(load_facts),
        }
    }
}

/// The setting that `sysctl(8)` knows by this name.
fn setting<T>(name: &str, parse: impl FnOnce(&str) -> Option<T>) -> Fact<T> {
    let path = Proc::system().sysctl_path(name);
    parsed(&path.to_string_lossy(), Proc::system().sysctl(name), parse)
}

fn parsed<T>(
    path: &str,
    text: io::Result<String>,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Fact<T> {
    let unknown = |cause| UnknownFact { path: path.to_owned(), cause };
    let text = text.map_err(|error| match error.kind() {
        ErrorKind::NotFound => unknown(UnknownCause::Missing),
        _ => unknown(UnknownCause::Unreadable(error.to_string())),
    })?;
    parse(&text).ok_or_else(|| {
        let start = text.trim().chars().take(MALFORMED_CHARS_MAX).collect();
        unknown(UnknownCause::Malformed(start))
    })
}

fn process_status() -> Fact<ProcessStatus> {
    // The inode of the first user namespace is fixed (PROC_USER_INIT_INO, linux/proc_ns.h).
    let namespace = fs::read_link("/proc/self/ns/user");
    let is_first = namespace.is_ok_and(|name| name == Path::new("user:[4026531837]"));
    let status = Proc::system().read("self/status");
    parsed("/proc/self/status", status, |status| parse::process_status(status, is_first))
}

fn container() -> Option<Container> {
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        return Some(Container::Kubernetes);
    }
    let marks = [("/run/.containerenv", Container::Podman), ("/.dockerenv", Container::Docker)];
    marks.iter().find(|(path, _)| Path::new(path).exists()).map(|&(_, container)| container)
}

/// Creates a ring like the server's, enters it once, and closes it, unless a filter would kill this
/// process for that.
fn server_ring(
    workload: &Workload,
    auto: &Result<Decision, String>,
) -> Result<(Features, Result<(), String>), Refusal> {
    if is_killed(auto) {
        let what = RingUnavailable::Killed.to_string();
        return Err(Refusal { what, hint: String::new() });
    }
    // As the server does. A failure shows in the checks of open files and locked memory.
    let _ = process::raise_open_files(workload.files_needed(), "--spawn");
    process::raise_locked_memory(locked_bytes(workload.worker_spawn(), RECEIVE_BUFFERS));
    let mut ring = Uring::new(Setup {
        dial: None,
        spawn: workload.worker_spawn(),
        listeners: Vec::new(),
        signals: None,
        // The probe for send features submits sends of up to two bytes.
        fixed: vec![0; 2].into(),
        features: Features::ALL,
        buffers: RECEIVE_BUFFERS,
        buffer_bytes: RECEIVE_BUFFER_BYTES,
        held: None,
        restricted: true,
        obstacles: Obstacles::read(),
    })
    .map_err(Failure::from)?;
    // A seccomp filter may allow io_uring_setup(2) and refuse io_uring_enter(2).
    ring.submit_and_wait(Some(Nanos(0))).map_err(|errno| Refusal {
        what: format!("waiting on the ring (errno {}): {errno}", errno.0),
        hint: String::new(),
    })?;
    let restriction = match ring.restriction() {
        Restriction::InForce { .. } | Restriction::SystemCallsOnly => Ok(()),
        Restriction::Refused(why) => Err(why.clone()),
        Restriction::NotRequested => Err("not requested".to_owned()),
    };
    Ok((ring.features(), restriction))
}

fn load_facts() -> LoadFacts {
    let conntrack_count = setting(CONNTRACK_COUNT, parse::number);
    LoadFacts {
        port_range: setting("net.ipv4.ip_local_port_range", parse::port_range),
        reserved_ports: setting("net.ipv4.ip_local_reserved_ports", parse::port_list),
        tcp_tw_reuse: setting("net.ipv4.tcp_tw_reuse", parse::number),
        tcp_tw_reuse_delay_ms: setting("net.ipv4.tcp_tw_reuse_delay", parse::number),
        tcp_timestamps: setting("net.ipv4.tcp_timestamps", parse::number),
        loopback_is_tracked: conntrack_count
            .as_ref()
            .ok()
            .and_then(|&before| loopback_is_tracked(before).ok()?),
        conntrack_count,
        conntrack_max: setting("net.netfilter.nf_conntrack_max", parse::number),
        governors: governors(),
    }
}

/// Whether connection tracking covers loopback: sends one datagram from each of many ports and
/// compares the number of entries. A loaded module proves little: since Linux 4.10 it tracks a
/// network namespace only if a rule there needs it.
fn loopback_is_tracked(before: u64) -> io::Result<Option<bool>> {
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let to = receiver.local_addr()?;
    for _ in 0..DATAGRAMS {
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.send_to(b"?", to)?;
    }
    let after: Fact<u64> = setting(CONNTRACK_COUNT, parse::number);
    // Half of the datagrams suffice, because entries of other flows expire meanwhile.
    Ok(after.ok().map(|after| after >= before + DATAGRAMS / 2))
}

fn governors() -> Fact<Vec<String>> {
    const CPUS: &str = "/sys/devices/system/cpu";
    let path = format!("{CPUS}/cpu0/{GOVERNOR}");
    let entries = fs::read_dir(CPUS).map_err(|error| UnknownFact {
        path: path.clone(),
        cause: UnknownCause::Unreadable(error.to_string()),
    })?;
    let mut governors: Vec<String> = entries
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join(GOVERNOR)).ok())
        .map(|text| text.trim().to_owned())
        .collect();
    governors.sort();
    if governors.is_empty() {
        Err(UnknownFact { path, cause: UnknownCause::Missing })
    } else {
        Ok(governors)
    }
}

const CONNTRACK_COUNT: &str = "net.netfilter.nf_conntrack_count";
const DATAGRAMS: u64 = 64;
const GOVERNOR: &str = "cpufreq/scaling_governor";
const MALFORMED_CHARS_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::chosen::EngineChoice;

    #[test]
    fn an_unknown_fact_has_its_cause() {
        let cause = |name: &str| setting(name, parse::number::<u64>).unwrap_err().cause;
        assert_eq!(cause("kernel.no_such_setting"), UnknownCause::Missing);
        assert!(matches!(cause("kernel"), UnknownCause::Unreadable(_)));
        assert_eq!(cause("kernel.ostype"), UnknownCause::Malformed("Linux".to_owned()));
    }

    #[test]
    fn facts_of_every_linux_machine_are_known_here() {
        let (workers, engine) = (1, EngineChoice::Auto);
        let workload = Workload { spawn: 10, backlog: 10, workers, engine, load: true };
        let facts = MachineFacts::gather(&workload, Err("not tried".to_owned()));
        assert!(facts.release.is_ok() && facts.process.is_ok(), "{facts:?}");
        assert!(facts.open_files.is_ok() && facts.somaxconn.is_ok(), "{facts:?}");
        let load = facts.load.expect("the workload includes load");
        assert!(load.port_range.is_ok() && load.tcp_tw_reuse.is_ok(), "{load:?}");
    }
}
