//! Limits and placement of this process: open files, the core it runs on, the kernel it runs on.

use super::call::checked;
use crate::error::Failure;
use std::io;
use std::mem::MaybeUninit;

/// Files open beside the connections: standard streams, listeners (64 at most), the ring, signals,
/// and some to spare.
pub const OPEN_FILES_RESERVE: u64 = 128;

/// A limit of the process (`getrlimit(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What holds now; the process may raise it up to `hard`. [`Limit::NONE`] is no limit.
    pub soft: u64,
    /// What only a privileged process may raise.
    pub hard: u64,
}

impl Limit {
    /// The value that means no limit.
    pub const NONE: u64 = libc::RLIM_INFINITY;
}

/// How many files may be open.
///
/// # Errors
/// If the system does not say.
pub fn open_files() -> io::Result<Limit> {
    // SAFETY: getrlimit writes one rlimit, and is given one.
    limit(|place| unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, place) })
}

/// How many bytes of memory may be locked.
///
/// # Errors
/// If the system does not say.
pub fn locked_memory() -> io::Result<Limit> {
    // SAFETY: getrlimit writes one rlimit, and is given one.
    limit(|place| unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, place) })
}

/// Raises the limit of locked memory as far as it may, towards `needed` bytes. It is for others
/// to find out whether that was enough: not every kernel counts, and not for every user.
pub fn raise_locked_memory(needed: u64) {
    let Ok(Limit { soft, hard }) = locked_memory() else { return };
    // What counts is what all processes of a user have.
    for hard in [Limit::NONE, hard.max(needed), hard] {
        let limit = libc::rlimit { rlim_cur: soft.max(hard), rlim_max: hard };
        // SAFETY: setrlimit reads one rlimit, and is given one.
        if checked(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) }).is_ok() {
            return;
        }
    }
}

/// Waits until this process has no thread but this one. One that was joined is gone for its
/// joiner a little earlier than for the kernel.
///
/// # Errors
/// If there still is another after a second, or nobody says.
pub fn be_alone() -> Result<(), Failure> {
    let started = std::time::Instant::now();
    loop {
        let what = "waiting to be the only thread, for what is given up to be given up by all";
        let threads = std::fs::read_dir("/proc/self/task").map_err(|error| {
            let hint = "mount /proc (`mount -t proc proc /proc`), or use --no-lockdown";
            Failure::new(what, format!("/proc/self/task: {error}"), hint)
        })?;
        let count = threads.count();
        if count == 1 {
            return Ok(());
        }
        if started.elapsed() > ALONE_WITHIN {
            let hint = "report it, and use --no-lockdown until it's mended";
            return Err(Failure::new(what, format!("there are {count}"), hint));
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

const ALONE_WITHIN: std::time::Duration = std::time::Duration::from_secs(1);

fn limit(ask: impl FnOnce(&mut libc::rlimit) -> libc::c_int) -> io::Result<Limit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    checked(ask(&mut limit))?;
    Ok(Limit { soft: limit.rlim_cur, hard: limit.rlim_max })
}

/// Makes sure that `needed` files can be open, raising the soft limit to the hard one.
///
/// `option` is what asks for so many.
///
/// # Errors
/// If the hard limit is lower than that.
pub fn raise_open_files(needed: u64, option: &str) -> Result<(), Failure> {
    let what = || format!("making room for {needed} open files");
    let Limit { hard, .. } = open_files().map_err(|error| Failure::new(what(), error, ""))?;
    if hard < needed {
        return Err(Failure::new(
            what(),
            format!("the hard limit is {hard}"),
            format!(
                "lower {option}, or raise the limit: `ulimit -Hn {needed}` as root, \
                 LimitNOFILE={needed} in a systemd unit, --ulimit nofile={needed} for a container"
            ),
        ));
    }
    let limit = libc::rlimit { rlim_cur: hard, rlim_max: hard };
    // SAFETY: setrlimit reads one rlimit, and is given one.
    checked(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })
        .map_err(|error| Failure::new(what(), error, "raise the limit with `ulimit -n`"))?;
    Ok(())
}

/// Keeps this thread on one core.
///
/// # Errors
/// If there is no such core, or this process may not use it.
pub fn run_on_core(core: u32) -> Result<(), Failure> {
    let fail = |why: &dyn std::fmt::Display| {
        Failure::new(
            format!("staying on core {core} (--cpu)"),
            why,
            "`taskset -pc $$` shows the cores this process may use",
        )
    };
    let set = only_core(core).map_err(|error| fail(&error))?;
    // SAFETY: the set is initialised and its size is given.
    checked(unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) })
        .map_err(|error| fail(&error))?;
    Ok(())
}

/// The set of one core.
///
/// # Errors
/// `EINVAL` if no set has such a core, as `sched_setaffinity(2)` says of one that is not there.
pub(super) fn only_core(core: u32) -> io::Result<libc::cpu_set_t> {
    let index = core as usize;
    if index >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut set = no_cores();
    // SAFETY: the index is below CPU_SETSIZE.
    unsafe { libc::CPU_SET(index, &mut set) };
    Ok(set)
}

fn no_cores() -> libc::cpu_set_t {
    // SAFETY: a cpu_set_t is an array of integers, for which zero is a value: the empty set.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// The cores this process may use, lowest first.
#[must_use]
pub fn cores() -> Vec<u32> {
    let mut set = no_cores();
    // SAFETY: the set is ours and its size is given.
    let asked = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    if asked == -1 {
        return vec![0];
    }
    (0..libc::CPU_SETSIZE as usize)
        // SAFETY: the number is below CPU_SETSIZE.
        .filter(|&core| unsafe { libc::CPU_ISSET(core, &set) })
        .map(|core| core as u32)
        .collect()
}

/// Has threads that are started from now on allocate where this one does: what they free can then
/// be given back, whose own arenas keep their last chunk (glibc 2.36, `malloc_trim`).
pub fn use_one_arena() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets a number of the allocator, under its lock (mallopt(3)).
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Gives memory that was freed back to the kernel, which the allocator would keep for more of the
/// same: what a start needs is not needed again.
pub fn release_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it works on the allocator's own lists, under its locks, and takes a plain number
    // (malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The size of a page of memory.
#[must_use]
pub fn page_bytes() -> u64 {
    // SAFETY: sysconf takes a number only.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).expect("every system has a page size (sysconf(3))")
}

/// Ends the process at once, without what libraries have to do at an end: their destructors make
/// system calls that one which is locked down may not make.
pub fn end(code: u8) -> ! {
    // SAFETY: it takes a number and doesn't return.
    unsafe { libc::_exit(code.into()) }
}

/// The monotonic clock, the same for all processes, in nanoseconds.
#[must_use]
pub fn monotonic_ns() -> u64 {
    read_clock(libc::CLOCK_MONOTONIC)
}

/// CPU time this process has used, in nanoseconds.
#[must_use]
pub fn cpu_ns() -> u64 {
    read_clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn read_clock(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime writes one timespec, and is given one.
    checked(unsafe { libc::clock_gettime(clock, &raw mut time) })
        .expect("Linux has had these clocks since 2.6.12");
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// The version of the running kernel: major and minor. No file is read for it.
#[must_use]
pub fn kernel_version() -> (u32, u32) {
    let mut names = MaybeUninit::<libc::utsname>::uninit();
    // SAFETY: uname writes one utsname, and is given one.
    if checked(unsafe { libc::uname(names.as_mut_ptr()) }).is_err() {
        return (0, 0);
    }
    // SAFETY: uname succeeded, so it was written.
    let names = unsafe { names.assume_init_ref() };
    let release = names.release.iter().take_while(|&&c| c != 0);
    #[allow(clippy::cast_sign_loss, reason = "c_char is signed on some machines only")]
    parse_version(&release.map(|&c| char::from(c as u8)).collect::<String>())
}

/// Major and minor of a release as `uname -r` writes it, 0 where there is no number.
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
    fn versions_are_read_as_distributions_write_them() {
        assert_eq!(parse_version("6.18.44-fc-v595\n"), (6, 18));
        assert_eq!(parse_version("6.1.0-13-amd64"), (6, 1));
        assert_eq!(parse_version("5.15"), (5, 15));
        assert_eq!(parse_version("weird"), (0, 0));
    }

    #[test]
    fn this_kernel_has_a_version() {
        assert!(kernel_version() > (2, 6));
    }
}
