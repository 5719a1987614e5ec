//! Waiting for a limited time until one descriptor is ready (poll(2)).

use super::call::checked;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::time::Duration;

/// Waits until a read would not block: there is data, the end of the stream or an error. False if
/// the time is over first.
///
/// # Errors
/// `EINTR` if a signal handler ran.
pub fn wait_readable(fd: BorrowedFd<'_>, time: Duration) -> io::Result<bool> {
    wait(fd, libc::POLLIN, time)
}

/// Waits until a write would not block. For a pipe this means a write of up to [`PIPE_BUF`] bytes,
/// as long as no other process writes to the pipe in between (pipe(7)). False if the time is over
/// first.
///
/// # Errors
/// `EINTR` if a signal handler ran.
pub fn wait_writable(fd: BorrowedFd<'_>, time: Duration) -> io::Result<bool> {
    wait(fd, libc::POLLOUT, time)
}

/// The largest write to a pipe that is atomic, and that fits into a pipe which poll(2) calls
/// writable.
pub const PIPE_BUF: usize = libc::PIPE_BUF;

/// `ppoll` and not `poll`, which some architectures lack, so that a system call filter needs one
/// entry on all of them.
fn wait(fd: BorrowedFd<'_>, events: libc::c_short, time: Duration) -> io::Result<bool> {
    let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
    let time = libc::timespec {
        tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: time.subsec_nanos().into(),
    };
    // SAFETY: ppoll reads and writes one pollfd and reads one timespec, both of which live until
    // it returns; a null signal mask leaves the mask as it is.
    let ready = unsafe { libc::ppoll(&raw mut entry, 1, &raw const time, ptr::null()) };
    Ok(checked(ready)? == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;

    #[test]
    fn a_pipe_is_writable_until_it_is_full_and_readable_until_it_is_empty() {
        let (mut reader, mut writer) = io::pipe().unwrap();
        assert!(!wait_readable(reader.as_fd(), Duration::ZERO).unwrap());
        let mut written = 0;
        while wait_writable(writer.as_fd(), Duration::ZERO).unwrap() {
            writer.write_all(&[0; PIPE_BUF]).unwrap();
            written += PIPE_BUF;
        }
        assert!(written >= PIPE_BUF);
        reader.read_exact(&mut vec![0; written]).unwrap();
        assert!(wait_writable(writer.as_fd(), Duration::ZERO).unwrap());
        assert!(!wait_readable(reader.as_fd(), Duration::from_millis(1)).unwrap());
        drop(writer);
        assert!(wait_readable(reader.as_fd(), Duration::ZERO).unwrap(), "the end can be read");
    }
}
