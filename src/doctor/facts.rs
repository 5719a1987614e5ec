//! The facts of a machine, each known or unknown with a cause. No fact is rated here.

use crate::engine::Errno;
use crate::engine::chosen::Decision;
use crate::engine::uring::probe::Features;
use crate::engine::uring::unavailable::RingUnavailable;
use crate::error::Failure;
use crate::os::process::Limit;
use std::fmt;

/// A value, or the reason why it is unknown.
pub type Fact<T> = Result<T, UnknownFact>;

/// A value that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFact {
    /// The file that should have it, or a name such as "the limit of open files".
    pub path: String,
    /// Why the file has no value.
    pub cause: UnknownCause,
}

/// Why a file has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnknownCause {
    /// No such file in a folder that can be listed: an older kernel, or a part that isn't built in
    /// or loaded.
    Missing,
    /// None of the settings can be seen: `/proc` has the processes only (`subset=pid`, proc(5)), or
    /// a folder of `/proc/sys` is covered by an empty one. That says nothing about the setting.
    Hidden,
    /// The error of reading it.
    Unreadable(String),
    /// The beginning of its text, which has an unknown format.
    Malformed(String),
}

impl UnknownFact {
    /// Whether the file doesn't exist, although it could be seen if it did.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.cause == UnknownCause::Missing
    }
}

impl fmt::Display for UnknownFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match &self.cause {
            UnknownCause::Missing => write!(f, "not known: there is no {path}"),
            UnknownCause::Hidden => write!(f, "not known: {path} can't be seen here"),
            UnknownCause::Unreadable(error) => write!(f, "not known: reading {path}: {error}"),
            UnknownCause::Malformed(text) => write!(f, "not known: {path} contains {text:?}"),
        }
    }
}

/// Everything that the checks rate.
#[derive(Debug)]
pub struct MachineFacts {
    /// The kernel's release, as `uname -r` prints it.
    pub release: Fact<String>,
    /// `kernel.io_uring_disabled`, Linux 6.6.
    pub io_uring_disabled: Fact<u64>,
    /// `kernel.io_uring_group`, -1 for none.
    pub io_uring_group: Fact<i64>,
    /// User, groups, capabilities and seccomp mode of this process.
    pub process: Fact<ProcessStatus>,
    /// The container runtime, if this seems to be a container.
    pub container: Option<Container>,
    /// The engine that a server without options would have, or why it would have none.
    pub auto: Result<Decision, String>,
    /// Whether the smallest ring could be created and used. `Ok` without a trial if `ring` is.
    pub smallest_ring: Result<(), Errno>,
    /// The features of a ring like the server's, created and entered once.
    pub ring: Result<Features, Refusal>,
    /// The sandbox of a server on this machine, or why none could be entered.
    pub sandbox: Result<SandboxFacts, String>,
    /// `RLIMIT_NOFILE`.
    pub open_files: Fact<Limit>,
    /// `fs.nr_open`, the upper bound of the hard limit.
    pub nr_open: Fact<u64>,
    /// `RLIMIT_MEMLOCK` in bytes.
    pub locked_memory: Fact<Limit>,
    /// `net.core.somaxconn`.
    pub somaxconn: Fact<u64>,
    /// `net.ipv4.tcp_max_syn_backlog`.
    pub tcp_max_syn_backlog: Fact<u64>,
    /// `net.ipv4.tcp_syncookies`.
    pub tcp_syncookies: Fact<u64>,
    /// `net.ipv4.tcp_fastopen`, a set of bits.
    pub tcp_fastopen: Fact<u64>,
    /// `net.ipv4.tcp_max_orphans`: one for all network namespaces, visible in the first only.
    pub tcp_max_orphans: Fact<u64>,
    /// `net.ipv4.tcp_mem` in bytes: low, pressure, high. Visible like `tcp_max_orphans`.
    pub tcp_memory: Fact<[u64; 3]>,
    /// Facts about load generation, if [`super::Workload::load`] is set.
    pub load: Option<LoadFacts>,
}

/// The states of the layers of all processes of a server, as the program entered them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxFacts {
    /// `full`, `partial` or `off`, as the server's record has it.
    pub lockdown: String,
    /// The layers, in their order, each once for each kind of process.
    pub layers: Vec<LayerFact>,
}

/// One layer of one kind of process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerFact {
    /// Its name, as in the list of `uringstatic lockdown`.
    pub name: String,
    /// Whether it is in force without a known way around it.
    pub is_complete: bool,
    /// Its effect, or why it isn't in force or complete.
    pub why: String,
}

/// The part of `/proc/self/status` that decides whether this process may create a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessStatus {
    /// Whether any of the real, effective and saved user IDs is 0: such a server changes its user.
    pub is_root: bool,
    /// The seccomp mode; `None` on a kernel without seccomp.
    pub seccomp: Option<u64>,
    /// The effective capabilities, one bit each.
    pub capabilities: u64,
    /// The supplementary groups and, last, the file system group.
    pub groups: Vec<i64>,
    /// Whether capabilities count system-wide, which they do in the first user namespace only
    /// (`user_namespaces(7)`).
    pub is_in_first_user_namespace: bool,
}

impl MachineFacts {
    /// Whether a filter kills a process for the system calls of a ring.
    #[must_use]
    pub fn filter_kills(&self) -> bool {
        is_killed(&self.auto)
    }
}

/// Whether the trial of `io_uring` was killed.
pub(super) fn is_killed(auto: &Result<Decision, String>) -> bool {
    auto.as_ref().is_ok_and(|decision| decision.why == Some(RingUnavailable::Killed))
}

impl ProcessStatus {
    /// Whether the kernel's `capable()` grants the capability.
    #[must_use]
    pub fn may(&self, capability: Capability) -> bool {
        self.is_in_first_user_namespace && self.capabilities >> (capability as u32) & 1 == 1
    }
}

/// A capability, by its number (`capabilities(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// `CAP_SYS_ADMIN`
    SysAdmin = 21,
    /// `CAP_SYS_RESOURCE`
    SysResource = 24,
}

/// The container runtime, as far as it can be guessed. Only the wording of fixes depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// Docker, recognised by `/.dockerenv`.
    Docker,
    /// Podman, recognised by `/run/.containerenv`.
    Podman,
    /// Kubernetes, recognised by its environment variables.
    Kubernetes,
}

impl Container {
    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Kubernetes => "kubernetes",
        }
    }
}

/// Why the server's ring could not be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The step that failed, and its error.
    pub what: String,
    /// The engine's advice; may be empty.
    pub hint: String,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { what: format!("{}: {}", failure.what, failure.why), hint: failure.hint }
    }
}

/// Facts that matter to a machine that generates load.
#[derive(Debug)]
pub struct LoadFacts {
    /// `net.ipv4.ip_local_port_range`: first and last.
    pub port_range: Fact<(u16, u16)>,
    /// `net.ipv4.ip_local_reserved_ports`: ranges, first and last.
    pub reserved_ports: Fact<Vec<(u16, u16)>>,
    /// `net.ipv4.tcp_tw_reuse`.
    pub tcp_tw_reuse: Fact<u64>,
    /// `net.ipv4.tcp_tw_reuse_delay` in milliseconds, Linux 6.14.
    pub tcp_tw_reuse_delay_ms: Fact<u64>,
    /// `net.ipv4.tcp_timestamps`.
    pub tcp_timestamps: Fact<u64>,
    /// Entries of the connection tracking table in this network namespace.
    pub conntrack_count: Fact<u64>,
    /// The most entries; 0 for no limit.
    pub conntrack_max: Fact<u64>,
    /// Whether datagrams over loopback created entries; `None` if the trial failed.
    pub loopback_is_tracked: Option<bool>,
    /// The frequency governor of each CPU.
    pub governors: Fact<Vec<String>>,
}
