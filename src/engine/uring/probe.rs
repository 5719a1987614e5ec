//! Creating a ring with the best set of features that the kernel has, and explaining refusals.

use crate::engine::Errno;
use crate::engine::kernel::{EngineError, Remedy};
use crate::error::errno_of;
use crate::os::proc::{Proc, values};
use crate::os::process::kernel_version;
use io_uring::{IoUring, Probe, opcode};
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

/// The optional features of a ring, which depend on the kernel and on the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "features are independent of each other")]
pub struct Features {
    /// When the kernel runs the completion work of the task.
    pub task_run: TaskRun,
    /// Connections are in the ring's own table of files, not in the process's.
    pub direct_descriptors: bool,
    /// One receive stays armed over many requests.
    pub recv_many: bool,
    /// A send that succeeds posts no completion if it is lazy ([`crate::engine::Op::Send`]).
    pub silent_send: bool,
    /// The last response of a connection and its close are one linked pair of entries.
    pub send_close: bool,
    /// A head and a body in separate places are sent by a vectored send
    /// (`IORING_SEND_VECTORIZED`, Linux 6.17) instead of sendmsg(2).
    pub send_vector: bool,
}

impl Features {
    /// Every feature; a current kernel has them all.
    pub const ALL: Self = Self {
        task_run: TaskRun::Deferred,
        direct_descriptors: true,
        recv_many: true,
        silent_send: true,
        send_close: true,
        send_vector: true,
    };
}

impl Features {
    /// The names of the features that are in use, or of those that are not. A task run other than
    /// the deferred one is a fallback.
    pub fn names_of(self, in_use: bool) -> impl Iterator<Item = &'static str> {
        let features = [
            (self.task_run == TaskRun::Deferred, TaskRun::Deferred.name()),
            (self.direct_descriptors, "direct descriptors"),
            (self.recv_many, "multishot receive"),
            (self.silent_send, "silent send"),
            (self.send_close, "linked close"),
            (self.send_vector, "vectored send"),
        ];
        features.into_iter().filter(move |(on, _)| *on == in_use).map(|(_, name)| name)
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.task_run.name())?;
        for name in self.names_of(true).filter(|&name| name != self.task_run.name()) {
            write!(f, ", {name}")?;
        }
        Ok(())
    }
}

/// When the completion work of the task runs (`io_uring_setup(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskRun {
    /// Only within a wait: `SINGLE_ISSUER` and `DEFER_TASKRUN`, Linux 6.1. Of all features this one
    /// makes the largest measured difference.
    Deferred,
    /// At the next system call: `COOP_TASKRUN`, Linux 5.19.
    Cooperative,
    /// At once, by interrupting the task.
    Interrupting,
}

impl TaskRun {
    fn name(self) -> &'static str {
        match self {
            Self::Deferred => "deferred task run",
            Self::Cooperative => "cooperative task run",
            Self::Interrupting => "interrupting task run",
        }
    }
}

/// The most connections that the completion queue of one ring carries.
pub const SPAWN_MAX: u32 = (CQ_ENTRIES_MAX - CQ_RESERVE) / 2;

/// The kernel's limit (`IORING_MAX_CQ_ENTRIES`, twice 32,768).
const CQ_ENTRIES_MAX: u32 = 65_536;
/// For the receive buffers that multishot receives may fill at once, listeners and signals.
const CQ_RESERVE: u32 = 576;
const SQ_ENTRIES_MAX: u32 = 1024;
/// The oldest supported kernel: it has multishot receive and buffer rings.
pub const KERNEL_MIN: (u32, u32) = (6, 1);

/// The oldest kernel that knows `IORING_SEND_VECTORIZED`.
const SEND_VECTOR_KERNEL: (u32, u32) = (6, 17);

/// `struct io_rings`, which precedes the entries of the completion queue.
const RINGS_BYTES: u64 = 64;
const CQE_BYTES: u64 = 16;
const SQE_BYTES: u64 = 64;
/// `struct io_uring_buf`.
const BUF_BYTES: u64 = 16;
/// The smallest page size; on machines with larger pages the kernel counts more.
const PAGE_BYTES: u64 = 4096;

/// Checks that one ring can carry this number of connections.
///
/// # Errors
/// If there are more than [`SPAWN_MAX`].
pub fn check_connections(connections: u32) -> Result<(), EngineError> {
    if connections <= SPAWN_MAX {
        return Ok(());
    }
    let step = format!("creating an io_uring for {connections} connections");
    let why = format!("a completion queue has at most {CQ_ENTRIES_MAX} entries");
    Err(EngineError::new(step, why, Remedy::FewerConnections(SPAWN_MAX)))
}

/// Creates the ring for `spawn` connections. `features` are those that may be used, and afterwards
/// those in use. A `disabled` ring accepts no entry until it is enabled.
pub(super) fn ring(
    spawn: u32,
    features: &mut Features,
    disabled: bool,
    obstacles: &Obstacles,
) -> Result<IoUring, EngineError> {
    check_connections(spawn)?;
    let cq = cq_entries(spawn);
    loop {
        match patiently(|| build(cq, features.task_run, disabled)) {
            Ok(ring) => {
                check_operations(&ring)?;
                features.send_vector &= kernel_version() >= SEND_VECTOR_KERNEL;
                return Ok(ring);
            }
            Err(error) if errno_of(&error) == libc::EINVAL => match features.task_run {
                TaskRun::Deferred => features.task_run = TaskRun::Cooperative,
                TaskRun::Cooperative => features.task_run = TaskRun::Interrupting,
                TaskRun::Interrupting => return Err(explain(error, obstacles)),
            },
            Err(error) => return Err(explain(error, obstacles)),
        }
    }
}

/// Creates something that locks memory, and repeats the attempt for a while if there is none: the
/// ring of a process that has ended still counts for some milliseconds, which matters to a server
/// that replaces another.
pub(super) fn patiently<T>(mut create: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let started = Instant::now();
    loop {
        match create() {
            Err(error) if errno_of(&error) == libc::ENOMEM && started.elapsed() < RETRY => {
                std::thread::sleep(RETRY_PAUSE);
            }
            outcome => return outcome,
        }
    }
}

const RETRY: Duration = Duration::from_secs(1);
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// The size of the completion queue: two completions for each connection, and the reserve.
fn cq_entries(spawn: u32) -> u32 {
    (2 * spawn + CQ_RESERVE).next_power_of_two().min(CQ_ENTRIES_MAX)
}

/// The bytes of a ring and its buffer ring that the kernel counts as locked memory of the user, on
/// kernels that count: both queues and the ring of buffers, but not the `buffers` themselves. Linux
/// 6.18 refuses the ring if the limit is one page less.
#[must_use]
pub fn locked_bytes(spawn: u32, buffers: u16) -> u64 {
    let cq = u64::from(cq_entries(spawn.min(SPAWN_MAX)));
    let sq = u64::from(SQ_ENTRIES_MAX).min(cq);
    let queues = RINGS_BYTES + cq * CQE_BYTES + sq * size_of::<u32>() as u64;
    [queues, sq * SQE_BYTES, u64::from(buffers) * BUF_BYTES]
        .into_iter()
        .map(|bytes| bytes.next_multiple_of(PAGE_BYTES))
        .sum()
}

/// Checks that `io_uring` is available at all: creates the smallest ring, without flags, and makes
/// each of the three system calls once, as a filter may refuse any of them.
///
/// # Errors
/// The kernel's.
pub fn smallest_ring() -> Result<(), Errno> {
    let errno = |error: io::Error| Errno(errno_of(&error));
    let ring = IoUring::new(1).map_err(errno)?;
    ring.submitter().submit().map_err(errno)?;
    match ring.submitter().register_probe(&mut Probe::new()).map_err(errno) {
        // Linux 5.6 is the first with this registration.
        Err(Errno(libc::EINVAL)) | Ok(()) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn build(cq: u32, task_run: TaskRun, disabled: bool) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    // A faulty entry must not delay the entries after it (Linux 5.18).
    builder.dontfork().setup_cqsize(cq).setup_submit_all();
    if disabled {
        builder.setup_r_disabled();
    }
    match task_run {
        TaskRun::Deferred => builder.setup_single_issuer().setup_defer_taskrun(),
        TaskRun::Cooperative => builder.setup_coop_taskrun().setup_taskrun_flag(),
        TaskRun::Interrupting => &mut builder,
    };
    builder.build(SQ_ENTRIES_MAX.min(cq))
}

fn check_operations(ring: &IoUring) -> Result<(), EngineError> {
    let mut probe = Probe::new();
    let failed = |error: io::Error| {
        EngineError::new("querying the kernel's io_uring operations", error, Remedy::Unknown)
            .of_call(REGISTER)
    };
    ring.submitter().register_probe(&mut probe).map_err(failed)?;
    match OPERATIONS.iter().find(|&&(code, _)| !probe.is_supported(code)) {
        None if kernel_version() >= KERNEL_MIN => Ok(()),
        None => Err(too_old(&"multishot receive and buffer rings need a later one")),
        Some((_, name)) => Err(too_old(&format_args!("the operation {name} is missing"))),
    }
}

/// The kernel's name of an operation.
pub(super) fn operation_name(code: u8) -> &'static str {
    let known = OPERATIONS.iter().find(|&&(known, _)| known == code);
    known.map_or("unknown", |&(_, name)| name)
}

/// The operations in use by servers and clients (`IORING_OP_*`).
const OPERATIONS: [(u8, &str); 9] = [
    (opcode::Accept::CODE, "ACCEPT"),
    (opcode::AsyncCancel::CODE, "ASYNC_CANCEL"),
    (opcode::Close::CODE, "CLOSE"),
    (opcode::Connect::CODE, "CONNECT"),
    (opcode::PollAdd::CODE, "POLL_ADD"),
    (opcode::Recv::CODE, "RECV"),
    (opcode::Send::CODE, "SEND"),
    (opcode::SendMsg::CODE, "SENDMSG"),
    (opcode::Shutdown::CODE, "SHUTDOWN"),
];

fn too_old(why: &dyn fmt::Display) -> EngineError {
    let (major, minor) = kernel_version();
    let remedy = "run Linux 6.1 or later (`uname -r` shows the version)".to_owned();
    EngineError::new(
        format!("using io_uring on Linux {major}.{minor}"),
        format!("the kernel is too old: {why}"),
        Remedy::NewerKernel(remedy),
    )
}

/// The system calls by which a ring is created and prepared.
const SETUP: &str = "io_uring_setup";
pub(super) const REGISTER: &str = "io_uring_register";

/// The settings that may forbid a ring. They are read before a process denies itself files.
#[derive(Clone, Debug)]
pub struct Obstacles {
    /// `kernel.io_uring_disabled`.
    pub(super) sysctl: Option<String>,
    /// The seccomp mode of the process.
    pub(super) seccomp: Option<String>,
}

impl Obstacles {
    /// Reads them from `/proc`.
    #[must_use]
    pub fn read() -> Self {
        let proc = Proc::system();
        let status = proc.read("self/status").unwrap_or_default();
        Self {
            sysctl: proc.sysctl("kernel.io_uring_disabled").ok(),
            seccomp: values(&status, "Seccomp").next().map(str::to_owned),
        }
    }
}

/// The kernel's refusal with the settings that may cause it: ENOSYS and EPERM have several causes
/// each.
fn explain(error: io::Error, obstacles: &Obstacles) -> EngineError {
    let Obstacles { sysctl, seccomp } = obstacles;
    // A loader and its workers have the filter of their supervisor, so that only its absence proves
    // anything.
    let filter = if seccomp.as_deref() == Some("0") { "" } else { BY_FILTER };
    let remedy = match errno_of(&error) {
        // No setting and no filter would have to permit it (io_uring came with Linux 5.1).
        libc::ENOSYS if kernel_version() < KERNEL_MIN => return too_old(&error),
        libc::EPERM | libc::ENOSYS | libc::EACCES => Remedy::Permission(format!(
            "kernel.io_uring_disabled is {} (0 permits everyone, 1 only root and the group of \
             kernel.io_uring_group, 2 no one: `sysctl -w kernel.io_uring_disabled=0` as root)\
             {filter}; `uringstatic doctor` tells which setting refuses it",
            sysctl.as_deref().unwrap_or("missing"),
        )),
        libc::ENOMEM => Remedy::MoreMemory,
        libc::EMFILE | libc::ENFILE => {
            Remedy::Other("too many files are open: `ulimit -n`".to_owned())
        }
        _ if kernel_version() < KERNEL_MIN => return too_old(&error),
        _ => Remedy::Unknown,
    };
    let step = format!("creating an io_uring (errno {})", errno_of(&error));
    EngineError::new(step, error, remedy).of_call(SETUP)
}

const BY_FILTER: &str = "; a seccomp filter may refuse it, too: containers have one by default, so \
                         run them with a profile that permits io_uring, as in --security-opt \
                         seccomp=FILE";

/// The kernel's refusal of the receive buffers.
pub(super) fn explain_buffers(error: io::Error) -> EngineError {
    let remedy = match errno_of(&error) {
        libc::ENOMEM => Remedy::MoreMemory,
        _ => Remedy::NewerKernel("run Linux 6.1 or later".to_owned()),
    };
    EngineError::new("registering receive buffers", error, remedy).of_call(REGISTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_remedy_of_their_cause() {
        let none = Obstacles { sysctl: None, seccomp: None };
        let remedy = |errno| explain(io::Error::from_raw_os_error(errno), &none).remedy;
        assert!(check_connections(SPAWN_MAX).is_ok());
        let too_many = check_connections(SPAWN_MAX + 1).expect_err("too many");
        assert_eq!(too_many.remedy, Remedy::FewerConnections(SPAWN_MAX));
        assert_eq!(remedy(libc::ENOMEM), Remedy::MoreMemory);
        let Remedy::Permission(text) = remedy(libc::EPERM) else { panic!("EPERM is permission") };
        assert!(text.contains("io_uring_disabled is missing"), "{text}");
        assert!(text.contains("a seccomp filter may refuse it"), "{text}");
        let unfiltered = Obstacles { sysctl: Some("2".into()), seccomp: Some("0".into()) };
        let error = explain(io::Error::from_raw_os_error(libc::EPERM), &unfiltered);
        let Remedy::Permission(text) = error.remedy else { panic!("EPERM is permission") };
        assert!(text.contains("io_uring_disabled is 2") && !text.contains("filter"), "{text}");
    }

    #[test]
    fn locked_memory_is_counted_in_pages() {
        // As an unprivileged user on Linux 6.18: `prlimit --memlock=344064` starts the server with
        // 5000 connections, and 339968, a page less, doesn't.
        assert_eq!(locked_bytes(5000, 512), 344_064);
        assert_eq!(locked_bytes(1, 512), 98_304);
        assert_eq!(locked_bytes(SPAWN_MAX, 512), locked_bytes(u32::MAX, 512));
    }
}
