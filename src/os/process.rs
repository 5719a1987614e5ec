//! This process and its kernel: limits, threads, cores, allocator, clocks, version.

use super::proc::Proc;
use crate::error::Failure;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use std::ffi::CString;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// Descriptors besides those of connections: standard streams, at most 64 listeners, the engine,
/// signals, and some to spare.
pub const OPEN_FILES_RESERVE: u64 = 128;

/// A limit of the process (`getrlimit(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The limit in force, which the process may raise up to `hard`. [`Limit::NONE`] is no limit.
    pub soft: u64,
    /// The bound that only a privileged process may raise.
    pub hard: u64,
}

impl Limit {
    /// The value that means no limit.
    pub const NONE: u64 = libc::RLIM_INFINITY;

    fn of(resource: Resource) -> Self {
        let Rlimit { current, maximum } = getrlimit(resource);
        Self { soft: current.unwrap_or(Self::NONE), hard: maximum.unwrap_or(Self::NONE) }
    }

    fn set(self, resource: Resource) -> io::Result<()> {
        let value = |limit| Some(limit).filter(|&limit| limit != Self::NONE);
        let limit = Rlimit { current: value(self.soft), maximum: value(self.hard) };
        Ok(setrlimit(resource, limit)?)
    }
}

/// How many files may be open (`RLIMIT_NOFILE`).
#[must_use]
pub fn open_files() -> Limit {
    Limit::of(Resource::Nofile)
}

/// How many bytes of memory may be locked (`RLIMIT_MEMLOCK`).
#[must_use]
pub fn locked_memory() -> Limit {
    Limit::of(Resource::Memlock)
}

/// Raises the limit of locked memory towards `needed` bytes, as far as this process may. Failure is
/// no error here: not every kernel counts, and not for every user, so only creating the engine
/// shows whether the limit is high enough.
pub fn raise_locked_memory(needed: u64) {
    let Limit { soft, hard } = locked_memory();
    // The kernel counts the sum over all processes of the user, so more than `needed` is better.
    for hard in [Limit::NONE, hard.max(needed), hard] {
        if (Limit { soft: soft.max(hard), hard }).set(Resource::Memlock).is_ok() {
            return;
        }
    }
}

/// Raises the soft limit of open files to the hard one, which must be at least `needed`.
///
/// `demand` names the option or constant that requires the files, for the hint to lower it.
///
/// # Errors
/// If the hard limit is below `needed`.
pub fn raise_open_files(needed: u64, demand: &str) -> Result<(), Failure> {
    let what = || format!("making room for {needed} open files");
    let Limit { hard, .. } = open_files();
    if hard < needed {
        return Err(Failure::new(
            what(),
            format!("the hard limit is {hard}"),
            format!(
                "lower {demand}, or raise the limit: `ulimit -Hn {needed}` as root, \
                 LimitNOFILE={needed} in a systemd unit, --ulimit nofile={needed} for a container"
            ),
        ));
    }
    let raised = Limit { soft: hard, hard }.set(Resource::Nofile);
    raised.map_err(|error| Failure::new(what(), error, "raise the limit with `ulimit -n`"))
}

/// Why a process is not known to have a single thread.
#[derive(Debug)]
pub enum ThreadsError {
    /// `/proc/self/task` can't be read.
    Unreadable(io::Error),
    /// The process has this number of threads, still after a second.
    Several(usize),
}

impl fmt::Display for ThreadsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "reading /proc/self/task: {error}"),
            Self::Several(count) => write!(f, "the process has {count} threads"),
        }
    }
}

impl std::error::Error for ThreadsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable(error) => Some(error),
            Self::Several(_) => None,
        }
    }
}

/// Waits until this process has a single thread. A joined thread is gone for the thread that joined
/// it a little earlier than for the kernel.
///
/// # Errors
/// If there is another thread still after a second, or `/proc` can't be read.
pub fn await_single_thread() -> Result<(), ThreadsError> {
    let started = Instant::now();
    loop {
        let count = count_threads()?;
        if count == 1 {
            return Ok(());
        }
        if started.elapsed() > SINGLE_THREAD_WITHIN {
            return Err(ThreadsError::Several(count));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The number of threads at this moment, among them those that are ending.
///
/// # Errors
/// If `/proc` can't be read.
pub(super) fn count_threads() -> Result<usize, ThreadsError> {
    Proc::system().entries("self/task").map_err(ThreadsError::Unreadable)
}

/// The folder of `/proc` that lists this process's threads, for a process that will be permitted to
/// list this folder only. While it is open, [`await_single_thread`] comes to the same folder: the
/// kernel makes another one of the same path when it has forgotten this one, and permissions by
/// Landlock are those of the folder, not of the path.
pub struct ThreadFolder(File);

impl ThreadFolder {
    /// Opens it.
    ///
    /// # Errors
    /// If there is no `/proc`.
    pub fn open() -> io::Result<Self> {
        Ok(Self(File::open("/proc/self/task")?))
    }
}

impl AsFd for ThreadFolder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

const SINGLE_THREAD_WITHIN: Duration = Duration::from_secs(1);

/// Pins this thread to a core.
///
/// # Errors
/// `EINVAL` if there is no such core, or this process may not use it.
pub fn pin_to_core(core: u32) -> io::Result<()> {
    Ok(sched_setaffinity(None, &set_of_core(core)?)?)
}

/// The set that contains one core.
///
/// # Errors
/// `EINVAL` if the number is beyond the size of a set, which is also the error of
/// `sched_setaffinity(2)` for a core that doesn't exist.
pub(super) fn set_of_core(core: u32) -> io::Result<CpuSet> {
    if core as usize >= CpuSet::MAX_CPU {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut set = CpuSet::new();
    set.set(core as usize);
    Ok(set)
}

/// The cores that this process may use, lowest first.
#[must_use]
pub fn cores() -> Vec<u32> {
    let Ok(set) = sched_getaffinity(None) else { return vec![0] };
    (0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).map(|core| core as u32).collect()
}

/// Makes all threads that start from now on allocate from the main arena: glibc can return its
/// freed memory to the kernel, while other arenas keep their last chunk (glibc 2.36,
/// `malloc_trim`).
pub fn use_one_arena() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt sets a number of the allocator under the allocator's own lock (mallopt(3)).
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Returns freed memory to the kernel. The allocator would keep it for similar requests, but what
/// the start of a server needs is not needed again.
pub fn release_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim works on the allocator's own lists under its locks (malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The size of a page of memory, in bytes.
#[must_use]
pub fn page_bytes() -> u64 {
    rustix::param::page_size() as u64
}

/// Names this process for ps(1) and top(1), up to 15 bytes.
pub fn set_name(name: &str) {
    if let Ok(name) = CString::new(name) {
        // A name that the kernel refuses has no other effect.
        let _ = rustix::thread::set_name(&name);
    }
}

/// Ends the process at once without running the exit handlers of libraries, which make system calls
/// that a sandboxed process may not make.
pub fn end(code: u8) -> ! {
    // SAFETY: _exit takes a number and doesn't return.
    unsafe { libc::_exit(code.into()) }
}

/// The monotonic clock, which is the same for all processes, in nanoseconds.
#[must_use]
pub fn monotonic_ns() -> u64 {
    read_clock(ClockId::Monotonic)
}

/// The time of day, in nanoseconds since the Unix epoch; 0 before it.
#[must_use]
pub fn unix_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// CPU time that this process has used, in nanoseconds.
#[must_use]
pub fn cpu_ns() -> u64 {
    read_clock(ClockId::ProcessCPUTime)
}

fn read_clock(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// The version of the running kernel: major and minor. It comes from uname(2), so that no file is
/// read for it.
#[must_use]
pub fn kernel_version() -> (u32, u32) {
    parse_version(&rustix::system::uname().release().to_string_lossy())
}

/// Major and minor of a release as `uname -r` prints it, 0 where there is no number.
#[must_use]
pub fn parse_version(release: &str) -> (u32, u32) {
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_strings_of_distributions_are_parsed() {
        assert_eq!(parse_version("6.18.44-fc-v595\n"), (6, 18));
        assert_eq!(parse_version("6.1.0-13-amd64"), (6, 1));
        assert_eq!(parse_version("5.15"), (5, 15));
        assert_eq!(parse_version("weird"), (0, 0));
    }

    #[test]
    fn the_running_kernel_has_a_version() {
        assert!(kernel_version() > (2, 6));
    }
}
