//! What is known of the machine, and what could not be found out. Judges nothing.

use crate::engine::Errno;
use crate::engine::uring::probe::Features;
use crate::error::Failure;
use crate::os::process::Limit;
use std::fmt;

/// What was read, or why it wasn't.
pub type Reading<T> = Result<T, Unread>;

/// A file that told nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// The file, or what stands for it.
    pub path: String,
    /// Why it told nothing.
    pub why: Why,
}

/// Why a file told nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It isn't there: an older kernel, a part that isn't built in, a hidden `/proc`.
    Missing,
    /// It can't be read.
    Unreadable(String),
    /// It has this text, which is no format we know.
    Strange(String),
}

impl Unread {
    /// Whether there is no such file.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.why == Why::Missing
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match &self.why {
            Why::Missing => write!(f, "not known: there is no {path}"),
            Why::Unreadable(error) => write!(f, "not known: reading {path}: {error}"),
            Why::Strange(text) => write!(f, "not known: {path} says {text:?}"),
        }
    }
}

/// Everything that the checks judge.
#[derive(Debug)]
pub struct Facts {
    /// The kernel's release, as `uname -r` has it.
    pub release: Reading<String>,
    /// `kernel.io_uring_disabled`, Linux 6.6.
    pub io_uring_disabled: Reading<u64>,
    /// `kernel.io_uring_group`, -1 for none.
    pub io_uring_group: Reading<i64>,
    /// What the process is and may do.
    pub identity: Reading<Identity>,
    /// The container this seems to be.
    pub container: Option<Container>,
    /// Whether the smallest ring could be made and used; so it is if the server's own was.
    pub smallest_ring: Result<(), Errno>,
    /// The features of the server's own ring, made and entered once.
    pub ring: Result<Features, Refusal>,
    /// What of the lockdown this kernel can do.
    pub lockdown: Lockdown,
    /// How many files may be open.
    pub open_files: Reading<Limit>,
    /// `fs.nr_open`, above which no hard limit can be set.
    pub nr_open: Reading<u64>,
    /// How many bytes may be locked.
    pub locked_memory: Reading<Limit>,
    /// `net.core.somaxconn`.
    pub somaxconn: Reading<u64>,
    /// `net.ipv4.tcp_max_syn_backlog`.
    pub tcp_max_syn_backlog: Reading<u64>,
    /// `net.ipv4.tcp_syncookies`.
    pub tcp_syncookies: Reading<u64>,
    /// `net.ipv4.tcp_fastopen`, a set of bits.
    pub tcp_fastopen: Reading<u64>,
    /// `net.ipv4.tcp_max_orphans`; only the first network namespace has it, for all.
    pub tcp_max_orphans: Reading<u64>,
    /// `net.ipv4.tcp_mem` in bytes: low, pressure, most. As above.
    pub tcp_memory: Reading<[u64; 3]>,
    /// What matters to a machine that makes load, if that was asked for.
    pub load: Option<Load>,
}

/// The layers of the lockdown that a kernel may lack, each with why it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lockdown {
    /// Landlock, by the version of its interface.
    pub landlock: Result<u32, String>,
    /// Restrictions of a ring; `None` if there was none to be restricted.
    pub ring: Option<Result<(), String>>,
    /// Filters that kill the process.
    pub seccomp: Result<(), String>,
}

/// What `/proc/self/status` says of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Whether it is root, so that a server becomes somebody else.
    pub is_root: bool,
    /// The seccomp mode; a kernel without seccomp has no such line.
    pub seccomp: Option<u64>,
    /// The effective capabilities, a bit for each.
    pub capabilities: u64,
    /// The group of the file system and all others.
    pub groups: Vec<i64>,
    /// Whether capabilities count before the whole system, which they do in the first user
    /// namespace only (`user_namespaces(7)`).
    pub is_in_first_user_namespace: bool,
}

impl Identity {
    /// Whether the kernel's `capable()` grants it.
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

/// Who seems to run this container. A hint only: the remedy is worded by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// Docker, by `/.dockerenv`.
    Docker,
    /// Podman, by `/run/.containerenv`.
    Podman,
    /// Kubernetes, by its environment variables.
    Kubernetes,
}

impl Container {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Kubernetes => "kubernetes",
        }
    }
}

/// Why the server's ring could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What was tried, and how it failed.
    pub what: String,
    /// What the one who tried advises.
    pub hint: String,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { what: format!("{}: {}", failure.what, failure.why), hint: failure.hint }
    }
}

/// What matters to a machine that makes load.
#[derive(Debug)]
pub struct Load {
    /// `net.ipv4.ip_local_port_range`: the first and the last.
    pub port_range: Reading<(u16, u16)>,
    /// `net.ipv4.ip_local_reserved_ports`: ranges that are left out.
    pub reserved_ports: Reading<Vec<(u16, u16)>>,
    /// `net.ipv4.tcp_tw_reuse`.
    pub tcp_tw_reuse: Reading<u64>,
    /// `net.ipv4.tcp_tw_reuse_delay` in milliseconds, Linux 6.14.
    pub tcp_tw_reuse_delay_ms: Reading<u64>,
    /// `net.ipv4.tcp_timestamps`.
    pub tcp_timestamps: Reading<u64>,
    /// Entries of the connection tracking table in this network namespace.
    pub conntrack_count: Reading<u64>,
    /// How many it may have; 0 is no limit.
    pub conntrack_max: Reading<u64>,
    /// Whether datagrams over loopback made entries in it; `None` if that could not be tried.
    pub loopback_is_tracked: Option<bool>,
    /// The governor of each CPU.
    pub governors: Reading<Vec<String>>,
}
