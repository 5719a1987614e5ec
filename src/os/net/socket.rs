//! Calls on sockets that all kinds of listeners and the connecting client make.

use super::endpoint::{Endpoint, ListenError};
use crate::error::errno_of;
use crate::os::call::checked;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// A socket that is closed by close(2) alone. In builds with debug assertions the standard
/// library's type makes a second system call, fcntl(2), which a sandbox would have to permit.
pub(crate) struct OwnedSocket(ManuallyDrop<OwnedFd>);

impl OwnedSocket {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self(ManuallyDrop::new(fd))
    }
}

impl AsFd for OwnedSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for OwnedSocket {
    fn drop(&mut self) {
        // SAFETY: this value owns the descriptor, which nothing uses or closes after it.
        unsafe { libc::close(self.0.as_raw_fd()) };
    }
}

/// A stream socket that child processes don't inherit.
pub(crate) fn stream_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    Ok(socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

pub(super) fn start_listening(fd: &impl AsFd, backlog: u32) -> io::Result<()> {
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    Ok(rustix::net::listen(fd, backlog)?)
}

/// Sets an option whose value is an int, and which rustix doesn't offer.
pub(crate) fn set_option(fd: &impl AsFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let len = size_of_val(&value) as libc::socklen_t;
    let value = (&raw const value).cast();
    // SAFETY: `value` points to an int of `len` bytes, which lives until the call returns.
    checked(unsafe { libc::setsockopt(fd.as_fd().as_raw_fd(), level, name, value, len) })?;
    Ok(())
}

/// The value of an option that is an int, and which rustix doesn't offer.
pub(super) fn get_option(fd: &impl AsFd, level: i32, name: i32) -> io::Result<i32> {
    let mut value: i32 = 0;
    let mut len = size_of_val(&value) as libc::socklen_t;
    let (place, len) = ((&raw mut value).cast(), &raw mut len);
    // SAFETY: `place` is an int of `len` bytes, and both are borrowed mutably for the call.
    checked(unsafe { libc::getsockopt(fd.as_fd().as_raw_fd(), level, name, place, len) })?;
    Ok(value)
}

/// The state of a TCP socket (`TCP_INFO`, tcp(7)).
pub(super) fn tcp_info(fd: &impl AsFd) -> io::Result<libc::tcp_info> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut len = size_of_val(&info) as libc::socklen_t;
    let (level, name) = (libc::IPPROTO_TCP, libc::TCP_INFO);
    let (place, len) = (info.as_mut_ptr().cast(), &raw mut len);
    // SAFETY: `place` has `len` bytes, of which the kernel writes as many as it knows at most, and
    // both are borrowed mutably for the call.
    checked(unsafe { libc::getsockopt(fd.as_fd().as_raw_fd(), level, name, place, len) })?;
    // SAFETY: the structure consists of integers, for which zeros and what the kernel wrote are
    // values.
    Ok(unsafe { info.assume_init() })
}

/// Repeats an attempt for [`RETRY`] while it fails because the address is in use.
pub(super) fn until_free<T>(
    endpoint: &Endpoint,
    attempt: impl Fn() -> io::Result<T>,
) -> Result<T, ListenError> {
    let started = Instant::now();
    loop {
        match attempt() {
            Err(error) if errno_of(&error) == libc::EADDRINUSE && started.elapsed() < RETRY => {
                std::thread::sleep(RETRY_PAUSE);
            }
            Err(error) => return Err(ListenError { endpoint: endpoint.clone(), error }),
            Ok(value) => return Ok(value),
        }
    }
}

/// How long binding to an address in use is repeated.
pub const RETRY: Duration = Duration::from_secs(1);
const RETRY_PAUSE: Duration = Duration::from_millis(10);
