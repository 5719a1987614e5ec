//! SIGTERM and SIGINT as something to read: blocked for delivery, received by signalfd(2).

use super::call::checked;
use super::failure::Failure;
use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// SIGTERM and SIGINT of this process, as something to read.
pub struct Signals(File);

impl Signals {
    /// Waits for a signal; says whether one came within this time. It is taken.
    #[must_use]
    pub fn wait(&self, time: Duration) -> bool {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let millis = i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: poll reads and writes one pollfd, and is given one.
        let ready = checked(unsafe { libc::poll(&raw mut poll, 1, millis) });
        matches!(ready, Ok(1)) && self.read().is_ok()
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
    let mut set = no_signals();
    for signal in [libc::SIGTERM, libc::SIGINT] {
        // SAFETY: the set is initialised and the signal numbers are valid.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
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

const SIGNALFD_FLAGS: libc::c_int = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;

/// The empty set.
pub(super) fn no_signals() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set it is given.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the set was initialised by the line above.
    unsafe { set.assume_init() }
}
