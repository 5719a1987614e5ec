//! Gathers the facts: reads files and limits, creates a ring and closes it. Rates nothing and
//! changes no setting. Its only effect that outlasts it is in the connection tracking table, which
//! keeps the entries of the probe's datagrams for half a minute.

use super::facts::{
    Container, Fact, LoadFacts, MachineFacts, ProcessStatus, Refusal, SandboxFacts, UnknownCause,
    UnknownFact, is_killed,
};
use super::{Workload, parse};
use crate::engine::chosen::Decision;
use crate::engine::uring::probe::{self, Features, Obstacles, locked_bytes};
use crate::engine::uring::unavailable::RingUnavailable;
use crate::engine::uring::{RECEIVE_BUFFER_BYTES, RECEIVE_BUFFERS, Setup, Uring};
use crate::engine::{Engine, Errno, Nanos};
use crate::error::Failure;
use crate::os::proc::Proc;
use crate::os::process;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;

impl MachineFacts {
    /// Gathers all facts, besides the engine that `auto` comes to and the sandbox, which is entered
    /// when it is asked for ([`super::enter_sandbox`]); those about load generation only if the
    /// workload includes it.
    #[must_use]
    pub fn gather(
        workload: &Workload,
        auto: Result<Decision, String>,
        sandbox: impl FnOnce() -> Result<SandboxFacts, String>,
    ) -> Self {
        let open_files = Ok(process::open_files());
        let locked_memory = Ok(process::locked_memory());
        // After the limits were read, because creating the ring raises them.
        let ring = server_ring(workload, &auto);
        // Last, and only if the larger ring failed: the kernel counts the memory of a closed ring
        // for some milliseconds longer, and the server's ring might not fit beside it.
        let smallest_ring = match &ring {
            Ok(_) => Ok(()),
            Err(_) if is_killed(&auto) => Err(Errno(libc::ENOSYS)),
            Err(_) => probe::smallest_ring(),
        };
        // After the rings above: this one waits for the memory of those that were closed.
        let sandbox = sandbox();
        Self {
            release: setting("kernel.osrelease", |text| Some(text.trim().to_owned())),
            io_uring_disabled: setting("kernel.io_uring_disabled", parse::number),
            io_uring_group: setting("kernel.io_uring_group", parse::number),
            process: process_status(),
            container: container(),
            auto,
            smallest_ring,
            ring,
            sandbox,
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
    setting_of(Proc::system(), name, parse)
}

fn setting_of<T>(proc: Proc, name: &str, parse: impl FnOnce(&str) -> Option<T>) -> Fact<T> {
    let path = proc.sysctl_path(name);
    let absence = || absence(&proc.sysctl_path(""), &path);
    parsed(&path.to_string_lossy(), proc.sysctl(name), parse, absence)
}

/// Why there is no file at this path below `/proc/sys`: the nearest folder above it tells whether
/// the kernel's settings can be seen. The folder of a part that isn't loaded is absent, too
/// (`net/netfilter`), and no folder of `/proc/sys` is empty unless something covers it.
fn absence(settings: &Path, path: &Path) -> UnknownCause {
    let above = path.ancestors().skip(1).take_while(|&folder| folder != settings);
    for folder in above {
        match fs::read_dir(folder) {
            Ok(mut entries) => {
                let is_empty = entries.next().is_none();
                return if is_empty { UnknownCause::Hidden } else { UnknownCause::Missing };
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return UnknownCause::Unreadable(error.to_string()),
        }
    }
    UnknownCause::Hidden
}

fn parsed<T>(
    path: &str,
    text: io::Result<String>,
    parse: impl FnOnce(&str) -> Option<T>,
    absence: impl FnOnce() -> UnknownCause,
) -> Fact<T> {
    let unknown = |cause| UnknownFact { path: path.to_owned(), cause };
    let text = text.map_err(|error| match error.kind() {
        ErrorKind::NotFound => unknown(absence()),
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
    let parse = |status: &str| parse::process_status(status, is_first);
    parsed("/proc/self/status", status, parse, || UnknownCause::Hidden)
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
fn server_ring(workload: &Workload, auto: &Result<Decision, String>) -> Result<Features, Refusal> {
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
        wants_peers: false,
        obstacles: Obstacles::read(),
    })
    .map_err(Failure::from)?;
    // A seccomp filter may allow io_uring_setup(2) and refuse io_uring_enter(2).
    ring.submit_and_wait(Some(Nanos(0))).map_err(|errno| Refusal {
        what: format!("waiting on the ring (errno {}): {errno}", errno.0),
        hint: String::new(),
    })?;
    Ok(ring.features())
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
        governors: governors(Path::new("/sys/devices/system/cpu")),
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

/// The governors of the CPUs in a folder like `/sys/devices/system/cpu`. It lists each CPU, so a
/// machine without governors is told from one whose `/sys` can't be seen.
fn governors(cpus: &Path) -> Fact<Vec<String>> {
    let path = cpus.join("cpu0").join(GOVERNOR);
    let unknown = |cause| UnknownFact { path: path.to_string_lossy().into_owned(), cause };
    let unreadable = |error: io::Error| unknown(UnknownCause::Unreadable(error.to_string()));
    let mut governors: Vec<String> = Vec::new();
    let mut sees_a_cpu = false;
    for entry in fs::read_dir(cpus).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        sees_a_cpu |= entry.file_name() == "cpu0";
        match fs::read_to_string(entry.path().join(GOVERNOR)) {
            Ok(text) => governors.push(text.trim().to_owned()),
            Err(error) => match error.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => {}
                _ => return Err(unreadable(error)),
            },
        }
    }
    governors.sort();
    match (governors.is_empty(), sees_a_cpu) {
        (false, _) => Ok(governors),
        (true, true) => Err(unknown(UnknownCause::Missing)),
        (true, false) => Err(unreadable(ErrorKind::NotFound.into())),
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
    fn absence_of_a_setting_is_known_only_if_its_neighbours_are_seen() {
        let folder = std::env::temp_dir().join(format!("uringstatic-proc-{}", std::process::id()));
        let cause = |name: &str| {
            let proc = Proc::at(&folder);
            setting_of(proc, name, parse::number::<u64>).unwrap_err().cause
        };
        // As subset=pid has it, and as a cover of /proc/sys/net has it.
        assert_eq!(cause("kernel.io_uring_disabled"), UnknownCause::Hidden);
        fs::create_dir_all(folder.join("sys/net")).unwrap();
        assert_eq!(cause("kernel.io_uring_disabled"), UnknownCause::Hidden);
        assert_eq!(cause("net.netfilter.nf_conntrack_count"), UnknownCause::Hidden);
        fs::create_dir_all(folder.join("sys/net/core")).unwrap();
        assert_eq!(cause("net.netfilter.nf_conntrack_count"), UnknownCause::Missing);
        fs::write(folder.join("sys/net/core/somaxconn"), "128").unwrap();
        assert_eq!(cause("net.core.no_such"), UnknownCause::Missing);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn absence_of_governors_is_known_only_if_a_cpu_is_seen() {
        let folder = std::env::temp_dir().join(format!("uringstatic-cpu-{}", std::process::id()));
        let cause = || governors(&folder).unwrap_err().cause;
        assert!(matches!(cause(), UnknownCause::Unreadable(_)));
        fs::create_dir_all(folder.join("cpufreq")).unwrap();
        assert!(matches!(cause(), UnknownCause::Unreadable(_)));
        let file = folder.join("cpu0").join(GOVERNOR);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        assert_eq!(cause(), UnknownCause::Missing);
        fs::create_dir(&file).unwrap();
        assert!(matches!(cause(), UnknownCause::Unreadable(_)));
        fs::remove_dir(&file).unwrap();
        fs::write(&file, "powersave\n").unwrap();
        assert_eq!(governors(&folder), Ok(vec!["powersave".to_owned()]));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn facts_of_every_linux_machine_are_known_here() {
        let (workers, engine) = (1, EngineChoice::Auto);
        let workload = Workload { spawn: 10, backlog: 10, workers, engine, load: true };
        let not_tried = || "not tried".to_owned();
        let facts = MachineFacts::gather(&workload, Err(not_tried()), || Err(not_tried()));
        assert!(facts.release.is_ok() && facts.process.is_ok(), "{facts:?}");
        assert!(facts.open_files.is_ok() && facts.somaxconn.is_ok(), "{facts:?}");
        let load = facts.load.expect("the workload includes load");
        assert!(load.port_range.is_ok() && load.tcp_tw_reuse.is_ok(), "{load:?}");
    }
}
