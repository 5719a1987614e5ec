//! The possessions of a process that precede it: inherited descriptors and the environment.

use super::process::{ThreadsError, await_single_thread};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::stdio::{dup2_stdin, dup2_stdout};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// Opens `/dev/null`, for [`replace_standard_streams`].
///
/// # Errors
/// If there is no `/dev/null`.
pub fn open_null() -> io::Result<File> {
    File::options().read(true).write(true).open("/dev/null")
}

/// Makes standard input and output `/dev/null`. Their numbers stay in use, so that no connection
/// is ever mistaken for a standard stream.
///
/// # Errors
/// The errors of dup2(2).
pub fn replace_standard_streams(null: &File) -> io::Result<()> {
    dup2_stdin(null)?;
    Ok(dup2_stdout(null)?)
}

/// The descriptors that this process inherited, besides the standard streams. They are closed when
/// this is dropped.
#[derive(Debug, Default)]
pub struct InheritedDescriptors(Vec<OwnedFd>);

impl InheritedDescriptors {
    /// Takes ownership of them. A second call finds none.
    ///
    /// A descriptor without `FD_CLOEXEC` must be an inherited one: execve(2) closes those with the
    /// flag, and every descriptor that this process opens has it from the start (std sets it, and
    /// so do this crate and rustix by their callers' flags; no code clears it except in a forked
    /// child, whose flags are its own). So no value of this program owns such a descriptor, and a
    /// safe function may close it, which wouldn't hold of "all descriptors but those on a list".
    ///
    /// # Errors
    /// If `/proc/self/fd` can't be read.
    pub fn take() -> io::Result<Self> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        let mut inherited = Vec::new();
        for entry in fs::read_dir("/proc/self/fd")? {
            let number = entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok());
            inherited.extend(number.filter(|&number| is_inherited(number)));
        }
        if TAKEN.swap(true, Ordering::Relaxed) {
            return Ok(Self::default());
        }
        // SAFETY: the descriptor is open and no value of this process owns it, as explained above;
        // it is taken once (`TAKEN`).
        let own = |number| unsafe { OwnedFd::from_raw_fd(number) };
        Ok(Self(inherited.into_iter().map(own).collect()))
    }

    /// Takes the one with this number out, if there is one; it gets `FD_CLOEXEC` again.
    pub fn claim(&mut self, number: RawFd) -> Option<OwnedFd> {
        let place = self.0.iter().position(|fd| fd.as_raw_fd() == number)?;
        let fd = self.0.swap_remove(place);
        // Fails only for a number that is not open.
        let _ = fcntl_setfd(&fd, FdFlags::CLOEXEC);
        Some(fd)
    }

    /// Leaves them open until the process ends.
    pub fn leave_open(self) {
        std::mem::forget(self);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

fn is_inherited(number: RawFd) -> bool {
    // SAFETY: fcntl with F_GETFD takes numbers only and changes nothing; a number that is not open
    // (any more) is EBADF.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    number > libc::STDERR_FILENO && flags != -1 && flags & libc::FD_CLOEXEC == 0
}

unsafe extern "C" {
    /// The environment (environ(7)).
    static mut environ: *mut *mut libc::c_char;
}

/// Clears the environment and overwrites its bytes, because it may hold secrets that other programs
/// were meant to get.
///
/// This is sound as a safe function because it checks its precondition, that no other thread can
/// read the environment meanwhile. After it returns there is nothing to misread: `std::env` gives
/// copies, and only unsafe code could have kept a pointer of getenv(3).
///
/// # Errors
/// If the process has another thread, or `/proc` can't be read.
pub fn clear_environment() -> Result<(), ThreadsError> {
    await_single_thread()?;
    // SAFETY: this reads one word, which no other thread changes, as there is none (checked above).
    let mut entry = unsafe { environ };
    while !entry.is_null() {
        // SAFETY: the list ends with a null pointer (environ(7)), which wasn't reached yet.
        let text = unsafe { entry.read() };
        if text.is_null() {
            break;
        }
        // SAFETY: an entry is a string that ends with a zero byte (environ(7)).
        let len = unsafe { libc::strlen(text) };
        // SAFETY: these bytes are writable memory of this process (the stack's top, or the heap
        // after setenv(3)), and no reference to them exists: see the comment of this function.
        unsafe { text.write_bytes(0, len) };
        // SAFETY: the entry was not the null pointer that ends the list.
        entry = unsafe { entry.add(1) };
    }
    // SAFETY: there is no other thread that reads or changes the environment (checked above).
    unsafe { libc::clearenv() };
    Ok(())
}
