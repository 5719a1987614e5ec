//! Making a ring with the best set of features the kernel has, and saying why if there is none.

use crate::engine::Errno;
use crate::error::{Failure, errno_of};
use crate::os::process::kernel_version;
use io_uring::{IoUring, Probe, opcode};
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

/// The features of the ring that a newer kernel, or a flag, may decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "features are there or not, each by itself")]
pub struct Features {
    /// When the kernel runs the completion work of this task.
    pub task_run: TaskRun,
    /// Connections live in the ring's own table, not in the process's.
    pub direct_descriptors: bool,
    /// A receive stays armed over many requests.
    pub recv_many: bool,
    /// A send that took all posts no completion where nothing waits for it.
    pub silent_send: bool,
    /// A response after which nothing can come is sent and closed by one linked pair.
    pub send_close: bool,
    /// A head and a body that lie apart are sent by an entry that names their places itself
    /// (`IORING_SEND_VECTORIZED`, Linux 6.17), not by one of sendmsg(2).
    pub send_vector: bool,
}

impl Features {
    /// Everything a current kernel has.
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

/// When completion work of this task runs (`io_uring_setup(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskRun {
    /// Only when we wait: `SINGLE_ISSUER` and `DEFER_TASKRUN`, Linux 6.1. Measured to matter most.
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
/// For the receive buffers a multishot may fill at once, listeners and signals.
const CQ_RESERVE: u32 = 576;
const SQ_ENTRIES_MAX: u32 = 1024;
/// The oldest kernel that has all we need: multishot receive and buffer rings.
pub const KERNEL_MIN: (u32, u32) = (6, 1);

/// The oldest kernel that knows `IORING_SEND_VECTORIZED`.
const SEND_VECTOR_KERNEL: (u32, u32) = (6, 17);

/// `struct io_rings`, which stands before the entries of the completion queue.
const RINGS_BYTES: u64 = 64;
const CQE_BYTES: u64 = 16;
const SQE_BYTES: u64 = 64;
/// `struct io_uring_buf`.
const BUF_BYTES: u64 = 16;
/// The smallest page; where pages are larger, more is counted.
const PAGE_BYTES: u64 = 4096;

/// Who makes a ring: the words for what is too much are those of its command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// It accepts connections.
    Server,
    /// It makes them.
    Client,
}

impl Maker {
    /// Whether one ring can carry so many connections.
    ///
    /// # Errors
    /// If there are more than [`SPAWN_MAX`].
    pub fn check_connections(self, connections: u32) -> Result<(), Failure> {
        if connections <= SPAWN_MAX {
            return Ok(());
        }
        let (what, hint) = match self {
            Self::Server => (
                format!("making a ring for --spawn {connections}"),
                format!("use --spawn {SPAWN_MAX} or less, and a second server for the rest"),
            ),
            Self::Client => (
                format!("making a ring for {connections} connections of one process"),
                format!("use more --processes, or -c {SPAWN_MAX} or less for each"),
            ),
        };
        let why = format!("a completion queue has at most {CQ_ENTRIES_MAX} entries");
        Err(Failure::new(what, why, hint))
    }

    /// What it does to have a smaller ring.
    fn less(self) -> &'static str {
        match self {
            Self::Server => "a lower --spawn",
            Self::Client => "a lower -c or more --processes",
        }
    }

    /// How a group that may make rings is had.
    fn group(self) -> &'static str {
        match self {
            Self::Server => "the group of kernel.io_uring_group, for --user",
            Self::Client => "the group of kernel.io_uring_group",
        }
    }
}

/// Makes the ring for `spawn` connections; `features` says what may be used and returns what is.
/// With `disabled` it takes no entry until it is enabled.
pub(super) fn ring(
    spawn: u32,
    features: &mut Features,
    disabled: bool,
    maker: Maker,
    obstacles: &Obstacles,
) -> Result<IoUring, Failure> {
    maker.check_connections(spawn)?;
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
                TaskRun::Interrupting => return Err(explain(&error, maker, obstacles)),
            },
            Err(error) => return Err(explain(&error, maker, obstacles)),
        }
    }
}

/// Makes something that locks memory; where there is none, tries again for a while, as the ring of
/// a process that has ended is counted for some milliseconds longer, and a server may follow
/// another.
pub(super) fn patiently<T>(mut make: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let started = Instant::now();
    loop {
        match make() {
            Err(error) if errno_of(&error) == libc::ENOMEM && started.elapsed() < RETRY => {
                std::thread::sleep(RETRY_PAUSE);
            }
            outcome => return outcome,
        }
    }
}

const RETRY: Duration = Duration::from_secs(1);
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// Two completions a connection, and the reserve.
fn cq_entries(spawn: u32) -> u32 {
    (2 * spawn + CQ_RESERVE).next_power_of_two().min(CQ_ENTRIES_MAX)
}

/// How many bytes of a ring with so many receive buffers the kernel counts as locked memory of
/// its user, on kernels that count them: both queues and the ring of buffers, but not the buffers.
/// On Linux 6.18 a limit of a page less refuses the ring.
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

/// Whether `io_uring` answers at all: makes the smallest ring, without any flag, and makes each of
/// its system calls once, as a filter may refuse any of the three.
///
/// # Errors
/// What the kernel answers.
pub fn smallest_ring() -> Result<(), Errno> {
    let errno = |error: io::Error| Errno(errno_of(&error));
    let ring = IoUring::new(1).map_err(errno)?;
    ring.submitter().submit().map_err(errno)?;
    match ring.submitter().register_probe(&mut Probe::new()).map_err(errno) {
        // Before Linux 5.6 there is nothing to ask.
        Err(Errno(libc::EINVAL)) | Ok(()) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn build(cq: u32, task_run: TaskRun, disabled: bool) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    // One bad entry must not hold back those behind it (Linux 5.18).
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

fn check_operations(ring: &IoUring) -> Result<(), Failure> {
    let mut probe = Probe::new();
    let what = "asking the kernel for its io_uring operations";
    ring.submitter().register_probe(&mut probe).map_err(|error| Failure::new(what, error, ""))?;
    match OPERATIONS.iter().find(|&&(code, _)| !probe.is_supported(code)) {
        None if kernel_version() >= KERNEL_MIN => Ok(()),
        None => Err(too_old(&"multishot receive and buffer rings need it")),
        Some((_, name)) => Err(too_old(&format_args!("the operation {name} is missing"))),
    }
}

/// The kernel's name of an operation.
pub(super) fn operation_name(code: u8) -> &'static str {
    let known = OPERATIONS.iter().find(|&&(known, _)| known == code);
    known.map_or("unknown", |&(_, name)| name)
}

/// The operations that servers and clients use (`IORING_OP_*`).
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

fn too_old(why: &dyn fmt::Display) -> Failure {
    let (major, minor) = kernel_version();
    Failure::new(
        format!("using io_uring on Linux {major}.{minor}"),
        format!("the kernel is too old: {why}"),
        "run Linux 6.1 or later (`uname -r` shows the version)",
    )
}

/// What may refuse a ring: to be read before a process denies itself files.
#[derive(Clone, Debug)]
pub struct Obstacles {
    /// `kernel.io_uring_disabled`.
    sysctl: Option<String>,
    /// The seccomp mode of the process.
    seccomp: Option<String>,
}

impl Obstacles {
    /// Reads them from `/proc`.
    #[must_use]
    pub fn read() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mode = |line: &str| line.strip_prefix("Seccomp:").map(|mode| mode.trim().to_owned());
        Self {
            sysctl: first_line("/proc/sys/kernel/io_uring_disabled"),
            seccomp: status.lines().find_map(mode),
        }
    }
}

/// ENOSYS and EPERM are both ambiguous, so everything that may refuse a ring is shown.
fn explain(error: &io::Error, maker: Maker, obstacles: &Obstacles) -> Failure {
    let Obstacles { sysctl, seccomp } = obstacles;
    let hint = match errno_of(error) {
        libc::EPERM | libc::ENOSYS | libc::EACCES => format!(
            "kernel.io_uring_disabled is {} (0 allows everybody, 1 root and {}, 2 nobody: \
             `sysctl -w kernel.io_uring_disabled=0` as root); Seccomp is {} in /proc/self/status \
             (2 means a filter: containers refuse io_uring by default, so run them with a profile \
             that allows it, as in --security-opt seccomp=FILE)",
            sysctl.as_deref().unwrap_or("not there"),
            maker.group(),
            seccomp.as_deref().unwrap_or("not there"),
        ),
        libc::ENOMEM => more_memory(maker),
        libc::EMFILE | libc::ENFILE => "too many files are open: `ulimit -n`".to_owned(),
        _ if kernel_version() < KERNEL_MIN => return too_old(error),
        _ => String::new(),
    };
    Failure::new(format!("making an io_uring (errno {})", errno_of(error)), error, hint)
}

/// Why the kernel would not have receive buffers.
pub(super) fn explain_buffers(error: &io::Error, maker: Maker) -> Failure {
    let hint = match errno_of(error) {
        libc::ENOMEM => more_memory(maker),
        _ => "run Linux 6.1 or later".to_owned(),
    };
    Failure::new("registering receive buffers", error, hint)
}

fn more_memory(maker: Maker) -> String {
    format!(
        "the limit of locked memory, which counts what all processes of that user have, or the \
         memory of the control group is too low: `ulimit -l`, LimitMEMLOCK= in a systemd unit, \
         --ulimit memlock=-1 for a container (root is no exception, as it is given up first), \
         or {}",
        maker.less()
    )
}

fn first_line(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_is_told_in_its_own_words() {
        let none = Obstacles { sysctl: None, seccomp: None };
        let no_memory = io::Error::from_raw_os_error(libc::ENOMEM);
        for (maker, own, other) in
            [(Maker::Server, "--spawn", "--processes"), (Maker::Client, "--processes", "--spawn")]
        {
            assert!(maker.check_connections(SPAWN_MAX).is_ok());
            let too_many = maker.check_connections(SPAWN_MAX + 1).expect_err("too many");
            for text in [too_many.to_string(), explain(&no_memory, maker, &none).to_string()] {
                assert!(text.contains(own) && !text.contains(other), "{maker:?}: {text}");
            }
        }
        let forbidden = io::Error::from_raw_os_error(libc::EPERM);
        assert!(!explain(&forbidden, Maker::Client, &none).hint.contains("--user"));
    }

    #[test]
    fn locked_memory_is_counted_by_the_page() {
        // As an unprivileged user on Linux 6.18: `prlimit --memlock=344064` starts the server with
        // 5000 connections, and 339968, a page less, doesn't.
        assert_eq!(locked_bytes(5000, 512), 344_064);
        assert_eq!(locked_bytes(1, 512), 98_304);
        assert_eq!(locked_bytes(SPAWN_MAX, 512), locked_bytes(u32::MAX, 512));
    }
}
