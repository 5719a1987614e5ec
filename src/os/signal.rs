//! Signals by a descriptor: blocked, and received from a signalfd(2).

use super::call::checked;
use super::poll::wait_readable;
use crate::error::Failure;
use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// A descriptor from which some signals of this process are read.
pub struct Signals(File);

impl Signals {
    /// Waits for a signal and consumes it; returns false if none arrived within this time.
    #[must_use]
    pub fn wait(&self, time: Duration) -> bool {
        matches!(wait_readable(self.0.as_fd(), time), Ok(true)) && self.read().is_ok()
    }

    /// Consumes the next signal and returns its number.
    ///
    /// # Errors
    /// `EAGAIN` if no signal is pending.
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
/// It must be called before any thread is started, so that all threads inherit the mask.
///
/// # Errors
/// If the kernel refuses a signalfd (no descriptors left).
pub fn signals_to_end() -> Result<Signals, Failure> {
    receive(&ENDING)
}

/// As [`signals_to_end`], for these signals.
///
/// # Errors
/// If the kernel refuses a signalfd (no descriptors left).
pub fn receive(signals: &[libc::c_int]) -> Result<Signals, Failure> {
    block(signals);
    let set = set_of(signals);
    // SAFETY: the set is initialised; -1 requests a new descriptor (signalfd(2)).
    let opened = checked(unsafe { libc::signalfd(-1, &raw const set, SIGNALFD_FLAGS) });
    let fd = opened.map_err(|error| {
        Failure::new("opening a descriptor for signals", error, "raise the limit of open files")
    })?;
    // SAFETY: signalfd returned a new descriptor, which no other value owns.
    Ok(Signals(File::from(unsafe { OwnedFd::from_raw_fd(fd) })))
}

/// Blocks signals, which then are pending until they are received or unblocked; SIGPIPE is ignored.
pub fn block(signals: &[libc::c_int]) {
    for &signal in signals {
        // Shells start background commands with SIGINT ignored, which programs inherit (POSIX, 2.12
        // Signals and Error Handling). Blocked signals are received regardless of the disposition,
        // but it matters after `unblock_signals`.
        // SAFETY: SIG_DFL is a valid disposition, and installs no handler.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let set = set_of(signals);
    // SAFETY: the set is initialised; a null pointer for the old set is allowed (sigprocmask(2)).
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
    // SAFETY: SIG_IGN is a valid disposition for SIGPIPE, and installs no handler.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Unblocks SIGTERM and SIGINT after [`signals_to_end`], once [`Signals`] is no longer read: a
/// pending signal ends the process at once, and so does the next one.
pub fn unblock_signals() {
    let set = set_of(&ENDING);
    // SAFETY: the set is initialised; a null pointer for the old set is allowed (sigprocmask(2)).
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut()) };
}

/// # Panics
/// If there is no such signal.
fn set_of(signals: &[libc::c_int]) -> libc::sigset_t {
    let mut set = no_signals();
    for &signal in signals {
        assert!((1..=libc::SIGRTMAX()).contains(&signal), "signal {signal}");
        // SAFETY: the set is initialised and the number is that of a signal (checked above).
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    set
}

/// The signals that request the end of the process.
pub const ENDING: [libc::c_int; 2] = [libc::SIGTERM, libc::SIGINT];

const SIGNALFD_FLAGS: libc::c_int = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;

pub(super) fn no_signals() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset writes the set, which is borrowed mutably for the call.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: sigemptyset has initialised the set.
    unsafe { set.assume_init() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The masks of signals that this thread blocks and that the process ignores (proc(5)).
    fn masks() -> [u64; 2] {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        ["SigBlk:", "SigIgn:"].map(|name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            u64::from_str_radix(line.trim(), 16).unwrap()
        })
    }

    #[test]
    fn ending_signals_are_blocked_until_unblocked_and_never_ignored() {
        let ending = ENDING.iter().fold(0, |bits, signal| bits | 1 << (signal - 1));
        let _signals = signals_to_end().unwrap();
        let [blocked, _] = masks();
        assert_eq!(blocked & ending, ending);
        unblock_signals();
        let [blocked, ignored] = masks();
        assert_eq!((blocked | ignored) & ending, 0);
    }
}
