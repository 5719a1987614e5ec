//! SIGTERM and SIGINT as something to read: blocked for delivery, received by signalfd(2), until
//! they are unblocked again so that the next one ends the process by itself.

use super::call::checked;
use super::poll::wait_readable;
use crate::error::Failure;
use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// SIGTERM and SIGINT of this process, as something to read.
pub struct Signals(File);

impl Signals {
    /// Waits for a signal; says whether one came within this time. It is taken.
    #[must_use]
    pub fn wait(&self, time: Duration) -> bool {
        matches!(wait_readable(self.0.as_fd(), time), Ok(true)) && self.read().is_ok()
    }
}

impl Signals {
    /// Takes the next signal and returns its number.
    ///
    /// # Errors
    /// `EAGAIN` if there is none.
    pub fn read(&self) -> io::Result<u32> {
        let mut record = [0; size_of::<libc::signalfd_siginfo>()];
        (&self.0).read_exact(&mut record)?;
        // `ssi_signo` comes first (signalfd(2)).
        let [a, b, c, d, ..] = record;
        Ok(u32::from_ne_bytes([a, b, c, d]))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Blocks SIGTERM and SIGINT and opens a descriptor that reads them; SIGPIPE is ignored.
///
/// Call it before any thread is started, so that all inherit the mask.
///
/// # Errors
/// If the kernel refuses a signalfd (no descriptors left).
pub fn signals_to_end() -> Result<Signals, Failure> {
    for signal in ENDING {
        // A shell has SIGINT ignored in what it runs in the background, and programs inherit that
        // (POSIX, 2.12 Signals and Error Handling). Blocked signals are read all the same, and
        // after `unblock_signals` the disposition counts again.
        // SAFETY: the default is a valid disposition for both, and installs no handler.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let set = ending_signals();
    // SAFETY: the set is initialised; a null old set is allowed.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
    // SAFETY: SIG_IGN is a valid disposition for SIGPIPE.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    // SAFETY: the set is initialised; -1 asks for a new descriptor.
    let opened = checked(unsafe { libc::signalfd(-1, &raw const set, SIGNALFD_FLAGS) });
    let fd = opened.map_err(|error| {
        Failure::new("opening a descriptor for signals", error, "raise the limit of open files")
    })?;
    // SAFETY: signalfd returned a new descriptor that nobody else owns.
    Ok(Signals(File::from(unsafe { OwnedFd::from_raw_fd(fd) })))
}

/// Unblocks SIGTERM and SIGINT after [`signals_to_end`]: one that is pending ends the process at
/// once, and so does the next one. For the time when nobody reads them any more.
pub fn unblock_signals() {
    let set = ending_signals();
    // SAFETY: the set is initialised; a null old set is allowed.
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut()) };
}

fn ending_signals() -> libc::sigset_t {
    let mut set = no_signals();
    for signal in ENDING {
        // SAFETY: the set is initialised and the signal numbers are valid.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    set
}

/// The signals that ask for the end.
const ENDING: [libc::c_int; 2] = [libc::SIGTERM, libc::SIGINT];

const SIGNALFD_FLAGS: libc::c_int = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;

/// The empty set.
pub(super) fn no_signals() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set it is given.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the set was initialised by the line above.
    unsafe { set.assume_init() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The signals that this thread blocks, and those that the process ignores (proc(5)).
    fn masks() -> [u64; 2] {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        ["SigBlk:", "SigIgn:"].map(|name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            u64::from_str_radix(line.trim(), 16).unwrap()
        })
    }

    #[test]
    fn signals_are_blocked_until_they_are_unblocked_and_never_ignored() {
        let ending = ENDING.iter().fold(0, |bits, signal| bits | 1 << (signal - 1));
        let _signals = signals_to_end().unwrap();
        let [blocked, _] = masks();
        assert_eq!(blocked & ending, ending);
        unblock_signals();
        let [blocked, ignored] = masks();
        assert_eq!((blocked | ignored) & ending, 0);
    }
}
