//! Finding the facts: reads files, asks for limits, makes a ring and lets it go. Judges nothing
//! and changes no setting; what it does is over when it returns, but for the entries that a
//! firewall keeps for half a minute of the datagrams that ask whether it does.

use super::facts::{Container, Facts, Identity, Load, Lockdown, Reading, Refusal, Unread, Why};
use super::{Purpose, parse};
use crate::engine::kernel::Restriction;
use crate::engine::uring::probe::{self, Features, Obstacles, locked_bytes};
use crate::engine::uring::{RECEIVE_BUFFER_BYTES, RECEIVE_BUFFERS, Setup, Uring};
use crate::engine::{Engine, Nanos};
use crate::error::Failure;
use crate::os::proc::Proc;
use crate::os::process;
use crate::os::{landlock, seccomp};
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;

impl Facts {
    /// Everything there is to know here, for this purpose.
    #[must_use]
    pub fn gather(purpose: &Purpose) -> Self {
        let open_files = Ok(process::open_files());
        let locked_memory = Ok(process::locked_memory());
        // After the limits were read, as it raises them.
        let (ring, restriction) = match servers_ring(purpose) {
            Ok((features, restriction)) => (Ok(features), Some(restriction)),
            Err(refusal) => (Err(refusal), None),
        };
        // Only now and only if need be: the kernel counts the memory of a ring that is closed for
        // some milliseconds more, and the server's might no longer fit beside it.
        let smallest_ring = if ring.is_ok() { Ok(()) } else { probe::smallest_ring() };
        Self {
            release: setting("kernel.osrelease", |text| Some(text.trim().to_owned())),
            io_uring_disabled: setting("kernel.io_uring_disabled", parse::number),
            io_uring_group: setting("kernel.io_uring_group", parse::number),
            identity: identity(),
            container: container(),
            smallest_ring,
            ring,
            lockdown: Lockdown {
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
            load: purpose.load.then(load),
        }
    }
}

/// What `sysctl` calls by this name.
fn setting<T>(name: &str, parse: impl FnOnce(&str) -> Option<T>) -> Reading<T> {
    let path = Proc::system().sysctl_path(name);
    parsed(&path.to_string_lossy(), Proc::system().sysctl(name), parse)
}

fn parsed<T>(
    path: &str,
    text: io::Result<String>,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Reading<T> {
    let unread = |why| Unread { path: path.to_owned(), why };
    let text = text.map_err(|error| match error.kind() {
        ErrorKind::NotFound => unread(Why::Missing),
        _ => unread(Why::Unreadable(error.to_string())),
    })?;
    parse(&text).ok_or_else(|| {
        let start = text.trim().chars().take(STRANGE_CHARS_MAX).collect();
        unread(Why::Strange(start))
    })
}

fn identity() -> Reading<Identity> {
    // The first user namespace has a number of its own (PROC_USER_INIT_INO).
    let namespace = fs::read_link("/proc/self/ns/user");
    let is_first = namespace.is_ok_and(|name| name == Path::new("user:[4026531837]"));
    let status = Proc::system().read("self/status");
    parsed("/proc/self/status", status, |status| parse::identity(status, is_first))
}

fn container() -> Option<Container> {
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        return Some(Container::Kubernetes);
    }
    let marks = [("/run/.containerenv", Container::Podman), ("/.dockerenv", Container::Docker)];
    marks.iter().find(|(path, _)| Path::new(path).exists()).map(|&(_, container)| container)
}

/// Makes the ring that the server would make, enters it once, and lets it go.
fn servers_ring(purpose: &Purpose) -> Result<(Features, Result<(), String>), Refusal> {
    // As the server does; if it can't, the checks of open files and locked memory say so.
    let _ = process::raise_open_files(purpose.files_needed(), "--spawn");
    process::raise_locked_memory(locked_bytes(purpose.spawn, RECEIVE_BUFFERS));
    let mut ring = Uring::new(Setup {
        dial: None,
        spawn: purpose.spawn,
        listeners: Vec::new(),
        signals: None,
        // Entries of sends are about two bytes.
        fixed: vec![0; 2].into(),
        features: Features::ALL,
        buffers: RECEIVE_BUFFERS,
        buffer_bytes: RECEIVE_BUFFER_BYTES,
        restricted: true,
        obstacles: Obstacles::read(),
    })
    .map_err(Failure::from)?;
    // A filter may let a ring be made and refuse io_uring_enter(2).
    ring.submit_and_wait(Some(Nanos(0))).map_err(|errno| Refusal {
        what: format!("waiting on the ring (errno {}): {errno}", errno.0),
        hint: String::new(),
    })?;
    let restriction = match ring.restriction() {
        Restriction::InForce { .. } => Ok(()),
        Restriction::Refused(why) => Err(why.clone()),
        Restriction::NotRequested => Err("nobody asked for it".to_owned()),
    };
    Ok((ring.features(), restriction))
}

fn load() -> Load {
    let conntrack_count = setting(CONNTRACK_COUNT, parse::number);
    Load {
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

/// Whether connection tracking sees what goes over loopback: sends single datagrams from many
/// ports and looks at the count of entries. That the module is there says little: since Linux
/// 4.10 it tracks a network namespace only once a rule there asks for it.
fn loopback_is_tracked(before: u64) -> io::Result<Option<bool>> {
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let to = receiver.local_addr()?;
    for _ in 0..DATAGRAMS {
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.send_to(b"?", to)?;
    }
    let after: Reading<u64> = setting(CONNTRACK_COUNT, parse::number);
    // A part is enough, as others' entries end meanwhile.
    Ok(after.ok().map(|after| after >= before + DATAGRAMS / 2))
}

fn governors() -> Reading<Vec<String>> {
    const CPUS: &str = "/sys/devices/system/cpu";
    let unread = |why| Unread { path: format!("{CPUS}/cpu0/cpufreq/scaling_governor"), why };
    let entries = fs::read_dir(CPUS).map_err(|error| unread(Why::Unreadable(error.to_string())))?;
    let mut governors: Vec<String> = entries
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join(GOVERNOR)).ok())
        .map(|text| text.trim().to_owned())
        .collect();
    governors.sort();
    if governors.is_empty() { Err(unread(Why::Missing)) } else { Ok(governors) }
}

const CONNTRACK_COUNT: &str = "net.netfilter.nf_conntrack_count";
const DATAGRAMS: u64 = 64;
const GOVERNOR: &str = "cpufreq/scaling_governor";
const STRANGE_CHARS_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_tells_nothing_says_why() {
        let why = |name: &str| setting(name, parse::number::<u64>).unwrap_err().why;
        assert_eq!(why("kernel.no_such_setting"), Why::Missing);
        assert!(matches!(why("kernel"), Why::Unreadable(_)));
        assert!(matches!(why("kernel.ostype"), Why::Strange(text) if text == "Linux"));
    }

    #[test]
    fn this_machine_tells_what_every_machine_has() {
        let facts = Facts::gather(&Purpose { spawn: 10, backlog: 10, load: true });
        assert!(facts.release.is_ok() && facts.identity.is_ok(), "{facts:?}");
        assert!(facts.open_files.is_ok() && facts.somaxconn.is_ok(), "{facts:?}");
        let load = facts.load.expect("it was asked for");
        assert!(load.port_range.is_ok() && load.tcp_tw_reuse.is_ok(), "{load:?}");
    }
}
