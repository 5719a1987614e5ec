//! The additions of an engine on a kernel to [`Engine`]: how it is created, which optional
//! operations it offers, and which permissions a sandbox has to leave it. The programs and the
//! sandbox are written against [`KernelEngine`] and name no concrete engine.

pub(super) mod clock;
pub mod dial;

use crate::engine::{Engine, Errno};
use crate::error::Failure;
use crate::os::net::Listener;
use crate::os::pages::Pages;
use crate::os::seccomp::Call;
use crate::os::signal::Signals;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// An engine that a process creates for itself and still uses in its sandbox.
pub trait KernelEngine: Engine + Sized {
    /// Facts and decisions from the time before the process gives up its privileges and files.
    type Preparation;

    /// The names of the features that are optional, for the operator to switch off.
    const FEATURES: &'static [&'static str];

    /// The most connections that one engine carries.
    const CONNECTIONS_MAX: u32;

    /// Checks that an engine can carry so many connections, raises the limits that it needs raised,
    /// and collects the facts for its error messages.
    ///
    /// # Errors
    /// If there are more slots than [`Self::CONNECTIONS_MAX`].
    fn prepare(requirements: &Requirements<'_>) -> Result<Self::Preparation, EngineError>;

    /// Creates the engine. It keeps the credentials of the process at this time, so privileges are
    /// given up before.
    ///
    /// # Errors
    /// If the kernel lacks it, refuses it, or has no memory for it.
    fn create(preparation: Self::Preparation, parts: Parts) -> Result<Self, EngineError>;

    /// The kernel interface that it is built on.
    fn kind(&self) -> EngineKind;

    /// The optional operations that it offers.
    fn capabilities(&self) -> Capabilities;

    /// Its kind's name and the features in use, for the ready line.
    fn description(&self) -> String;

    /// The operations that the kernel refuses it.
    fn restriction(&self) -> &Restriction;

    /// The system calls that it makes, for the sandbox's filter.
    fn needed_calls(&self) -> Vec<Call>;

    /// The sockets that it accepts from.
    fn listeners(&self) -> &[Listener];

    /// Leaves the files of Unix sockets in place when the engine is dropped.
    fn keep_socket_files(&mut self);

    /// The value of the monotonic clock, the same for all processes, at the engine's time 0, in
    /// nanoseconds.
    fn base_ns(&self) -> u64;
}

/// The kernel interface that an engine is built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EngineKind {
    /// Completions of `io_uring(7)`, from Linux 6.1 on.
    #[serde(rename = "io_uring")]
    IoUring,
    /// Readiness by `epoll(7)`, for kernels and containers that refuse the other.
    #[serde(rename = "epoll")]
    Epoll,
}

impl EngineKind {
    /// The kernel's name for it, which is that of options, messages and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        }
    }
}

/// The properties of an engine that are known before a process gives anything up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirements<'a> {
    /// The kind, which a concrete engine has already.
    pub kind: EngineKind,
    /// The number of slots.
    pub slots: u32,
    /// The receive buffers.
    pub buffers: ReceiveBuffers,
    /// Features that will not be used, by their names in [`KernelEngine::FEATURES`]. An engine
    /// ignores the names of others.
    pub without: &'a [&'a str],
}

/// The parts that an engine is created from.
pub struct Parts {
    /// The number of slots.
    pub slots: u32,
    /// The direction of connections.
    pub role: Role,
    /// The buffer that [`crate::engine::Op::Send`] sends from.
    pub fixed: Pages,
    /// The receive buffers, as in [`Requirements`].
    pub buffers: ReceiveBuffers,
    /// A descriptor to hold until the connections are closed, at the latest. The end of a process
    /// precedes the end of its sockets, if an engine in the kernel has them.
    pub held: Option<OwnedFd>,
    /// Whether the kernel should refuse every operation that no [`crate::engine::Op`] needs.
    pub restricted: bool,
    /// Whether accepts take note of the addresses of peers ([`Engine::peer`]).
    pub wants_peers: bool,
}

/// The direction in which an engine's connections are opened.
pub enum Role {
    /// Connections are accepted.
    Server {
        /// The sockets to accept from.
        listeners: Vec<Listener>,
        /// The source of [`crate::engine::Op::Signal`].
        signals: Signals,
    },
    /// Connections are opened.
    Client(Destination),
}

/// The addresses of a client's connections.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The server's address.
    pub target: ConnectTarget,
    /// The local IP addresses to connect from; if empty, the kernel chooses one. A Unix socket has
    /// none.
    pub sources: Vec<IpAddr>,
    /// Whether segments are sent at once (`TCP_NODELAY`, tcp(7)): for requests of several segments,
    /// the last of which must not wait for the acknowledgement of the others.
    pub no_delay: bool,
}

/// The address that a client connects to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConnectTarget {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix socket, at most 107 bytes (unix(7)).
    Unix(PathBuf),
    /// The name of a Unix socket in the abstract namespace, without the leading zero byte: at most
    /// 107 bytes, none of which has a meaning (unix(7)).
    Abstract(String),
}

impl fmt::Display for ConnectTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix:@{name}"),
        }
    }
}

/// The receive buffers, which all connections of an engine share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveBuffers {
    /// Their number, a power of two.
    pub count: u16,
    /// The size of each, in bytes.
    pub bytes: u32,
}

impl ReceiveBuffers {
    /// A server's: enough for the completions of one wait (measured: about 40 requests at
    /// saturation, and bursts). One holds 16 pipelined requests of a browser's size.
    pub const SERVER: Self = Self { count: 512, bytes: 4096 };
}

/// Operations that not every engine offers, and how they are best used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// [`crate::engine::Op::RecvMany`].
    pub recv_many: bool,
    /// [`crate::engine::Op::SendClose`].
    pub send_close: bool,
    /// The most accepts in flight on one listener that are of use: enough for the connections that
    /// arrive between two waits.
    pub accepts_max: u32,
}

/// Whether the kernel refuses the operations that an engine doesn't use.
#[derive(Clone, Debug)]
pub enum Restriction {
    /// No restriction was requested.
    NotRequested,
    /// In force.
    InForce {
        /// The permitted operations, in a few words.
        summary: String,
        /// The permitted operations, each with its purpose.
        permissions: Vec<Permission>,
    },
    /// The kernel refused to restrict the engine, for this reason.
    Refused(String),
    /// The engine has no operations but system calls, which the sandbox's filter restricts.
    SystemCallsOnly,
}

/// An operation, or a variant of operations, that an engine may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The kernel's name for it.
    pub name: String,
    /// Why the engine needs it.
    pub purpose: String,
}

/// Why there is no engine.
#[derive(Debug)]
pub struct EngineError {
    /// The step that failed: `creating an io_uring (errno 12)`.
    pub step: String,
    /// The remedy, to which programs add the names of their options.
    pub remedy: Remedy,
    /// The name of the system call that failed; empty if the step is none.
    pub call: &'static str,
    source: Box<dyn Error + Send + Sync>,
}

impl EngineError {
    /// The failure of a step.
    pub fn new(
        step: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
        remedy: Remedy,
    ) -> Self {
        Self { step: step.into(), remedy, call: "", source: source.into() }
    }

    /// The same failure, as that of a system call of this name.
    #[must_use]
    pub fn of_call(self, call: &'static str) -> Self {
        Self { call, ..self }
    }

    /// The error number of the kernel, if the kernel refused the step.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        let of_call = |error: &io::Error| error.raw_os_error().map(Errno);
        let of_engine = || self.source.downcast_ref::<Errno>().copied();
        self.source.downcast_ref().and_then(of_call).or_else(of_engine)
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Error for EngineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let hint = error.remedy.to_string();
        Self::new(error.step, error.source, hint)
    }
}

/// A remedy for the operator, without the names of options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// None is known.
    Unknown,
    /// At most this many connections for one engine.
    FewerConnections(u32),
    /// A higher limit of locked memory, more memory, or fewer connections.
    MoreMemory,
    /// A setting or a container's filter must permit it; the text describes those found.
    Permission(String),
    /// A newer kernel; the text names the version.
    NewerKernel(String),
    /// Another one, in words.
    Other(String),
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => Ok(()),
            Self::FewerConnections(max) => {
                write!(f, "use at most {max} connections for each process")
            }
            Self::MoreMemory => f.write_str(
                "the limit of locked memory, which counts all processes of the user, or the \
                 memory of the control group is too low: `ulimit -l`, LimitMEMLOCK= in a systemd \
                 unit, --ulimit memlock=-1 for a container (root is no exception, as it is given \
                 up first), or fewer connections",
            ),
            Self::Permission(text) | Self::NewerKernel(text) | Self::Other(text) => {
                f.write_str(text)
            }
        }
    }
}
