//! What a process was given when it was started: descriptors and the environment.

use super::call::checked;
use crate::error::Failure;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// Opens what takes the place of standard input and output.
///
/// # Errors
/// If there is no `/dev/null`.
pub fn open_nothing() -> Result<File, Failure> {
    let opened = File::options().read(true).write(true).open("/dev/null");
    opened.map_err(|why| Failure::new("opening /dev/null", why, "`ls -l /dev/null`; mknod(1)"))
}

/// Closes every descriptor but these and standard error, and puts `nothing` in the place of
/// standard input and output, so that no connection ever gets their numbers.
///
/// # Errors
/// If the kernel refuses (`close_range(2)`, Linux 5.9).
pub fn keep_only(keep: &[RawFd], nothing: File) -> io::Result<()> {
    for standard in [libc::STDIN_FILENO, libc::STDOUT_FILENO] {
        // SAFETY: dup2 takes numbers only; nobody uses what had this one, as neither is read or
        // written from here on.
        checked(unsafe { libc::dup2(nothing.as_raw_fd(), standard) })?;
    }
    drop(nothing);
    let mut keep = keep.to_vec();
    keep.sort_unstable();
    let mut first = libc::STDERR_FILENO + 1;
    for fd in keep {
        close_between(first, fd - 1)?;
        first = fd + 1;
    }
    close_between(first, RawFd::MAX)
}

/// Whether descriptors could be closed: closes one that nobody can have.
///
/// # Errors
/// Why not.
pub fn can_close() -> io::Result<()> {
    close_between(RawFd::MAX, RawFd::MAX)
}

fn close_between(first: RawFd, last: RawFd) -> io::Result<()> {
    if first > last {
        return Ok(());
    }
    let (first, last, flags) = (i64::from(first), i64::from(last), 0i64);
    // SAFETY: it takes numbers only. What this process still uses is kept by its caller, so what
    // is closed was inherited, and belongs to nobody here.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if closed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

unsafe extern "C" {
    /// The environment (environ(7)).
    static mut environ: *mut *mut libc::c_char;
}

/// Clears the environment: not only is it not found any more, its bytes are overwritten, as it may
/// hold secrets that were meant for somebody else.
///
/// There must be no other thread, and nobody may hold a part of it.
pub fn clear_environment() {
    // SAFETY: it is one word, and no other thread changes it.
    let mut entry = unsafe { environ };
    while !entry.is_null() {
        // SAFETY: the list has an entry here: it ends with a null, which was not reached yet.
        let text = unsafe { entry.read() };
        if text.is_null() {
            break;
        }
        // SAFETY: an entry is a string that ends in a zero.
        let len = unsafe { libc::strlen(text) };
        // SAFETY: those bytes are the process's own to write, and nobody else holds them.
        unsafe { text.write_bytes(0, len) };
        // SAFETY: it was not the last of the list.
        entry = unsafe { entry.add(1) };
    }
    // SAFETY: no other thread reads or changes the environment.
    unsafe { libc::clearenv() };
}
