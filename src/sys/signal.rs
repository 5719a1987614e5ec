//! SIGTERM and SIGINT as something to read: blocked for delivery, received by signalfd(2).

use super::call::checked;
use super::failure::Failure;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};

/// Blocks SIGTERM and SIGINT and opens a descriptor that reads them; SIGPIPE is ignored.
///
/// Call it before any thread is started, so that all inherit the mask.
///
/// # Errors
/// If the kernel refuses a signalfd (no descriptors left).
pub fn signals_to_end() -> Result<OwnedFd, Failure> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set it is given.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the set was initialised by the line above.
    let mut set = unsafe { set.assume_init() };
    for signal in [libc::SIGTERM, libc::SIGINT] {
        // SAFETY: the set is initialised and the signal numbers are valid.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    // SAFETY: the set is initialised; a null old set is allowed.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
    // SAFETY: SIG_IGN is a valid disposition for SIGPIPE.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    // SAFETY: the set is initialised; -1 asks for a new descriptor.
    let opened = checked(unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC) });
    let fd = opened.map_err(|error| {
        Failure::new("opening a descriptor for signals", error, "raise the limit of open files")
    })?;
    // SAFETY: signalfd returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
