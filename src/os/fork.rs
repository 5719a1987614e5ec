//! Copies of this process (clone(2)): one as its sibling, a child of the same parent
//! (`CLONE_PARENT`), and one as its child.

use super::process::{ThreadsError, await_single_thread, count_threads};
use std::fmt;
use std::io;

/// The two processes after [`fork_sibling`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForkSide {
    /// The process that called it.
    Original {
        /// The ID of the copy.
        copy: u32,
    },
    /// The copy.
    Copy,
}

/// Why there is no copy.
#[derive(Debug)]
pub enum ForkError {
    /// The process is not known to have a single thread.
    Threads(ThreadsError),
    /// The kernel's refusal: no memory, or no more processes.
    Refused(io::Error),
}

impl fmt::Display for ForkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Threads(error) => error.fmt(f),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ForkError {}

/// Copies this process. The copy has the same parent, which reaps it; its memory is shared until
/// either process writes to it, and its descriptors are those of the original.
///
/// A process with several threads is refused, because the copy would have the calling thread only,
/// and for ever the locks that the other ones held (fork(2)). With one thread the copy is as valid
/// a process as the original. libc's handlers of a fork don't run; libc needs none of them in a
/// process whose locks are free. It has cached the thread ID of the original, which glibc uses for
/// locks of several threads and musl for abort(3): that ends by the sandbox's SIGSYS there.
///
/// # Errors
/// If the process has another thread, or the kernel refuses the copy.
pub fn fork_sibling() -> Result<ForkSide, ForkError> {
    await_single_thread().map_err(ForkError::Threads)?;
    clone_without_threads(libc::CLONE_PARENT | libc::SIGCHLD)
}

/// Copies this process, as [`fork_sibling`] does, into a child. Its end sends no signal, so that it
/// is reaped also where SIGCHLD is ignored, by a wait for it alone (`__WALL`, wait(2)): no other
/// part of the program notices the child.
///
/// # Errors
/// If the process has another thread at this moment, or the kernel refuses the copy.
pub(super) fn fork_child() -> Result<ForkSide, ForkError> {
    match count_threads().map_err(ForkError::Threads)? {
        1 => clone_without_threads(0),
        several => Err(ForkError::Threads(ThreadsError::Several(several))),
    }
}

/// The callers have checked that there is a single thread.
fn clone_without_threads(flags: libc::c_int) -> Result<ForkSide, ForkError> {
    let flags = libc::c_long::from(flags);
    let none: libc::c_long = 0;
    // SAFETY: without CLONE_VM the copy has memory of its own, and with a stack of 0 it continues
    // on its copy of this stack (clone(2)). No other thread exists whose locks could stay taken
    // (checked by the callers, all of which are in this file). The arguments after the flags are 0,
    // whatever their order on the machine.
    let answer = unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) };
    match u32::try_from(answer) {
        Err(_) => Err(ForkError::Refused(io::Error::last_os_error())),
        Ok(0) => Ok(ForkSide::Copy),
        Ok(copy) => Ok(ForkSide::Original { copy }),
    }
}
