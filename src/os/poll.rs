//! Waiting for a limited time until one descriptor is ready (poll(2)).

use rustix::event::{PollFd, PollFlags, Timespec};
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// Waits until a read would not block: there is data, the end of the stream or an error. Returns
/// false if the time is over first.
///
/// # Errors
/// `EINTR` if a signal handler ran.
pub fn wait_readable(fd: BorrowedFd<'_>, time: Duration) -> io::Result<bool> {
    wait(fd, PollFlags::IN, time)
}

/// Waits until a write would not block. For a pipe this means a write of up to [`PIPE_BUF`] bytes,
/// as long as no other process writes to the pipe in between (pipe(7)). Returns false if the time
/// is over first.
///
/// # Errors
/// `EINTR` if a signal handler ran.
pub fn wait_writable(fd: BorrowedFd<'_>, time: Duration) -> io::Result<bool> {
    wait(fd, PollFlags::OUT, time)
}

/// Waits until a read from any of these descriptors would not block, or until the time is over;
/// without a time there is no end.
///
/// # Errors
/// `EINTR` if a signal handler ran.
pub fn wait_any_readable(fds: &[BorrowedFd<'_>], time: Option<Duration>) -> io::Result<bool> {
    let mut entries: Vec<_> =
        fds.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    Ok(rustix::event::poll(&mut entries, time.map(timespec).as_ref())? > 0)
}

/// Waits until a read from the first descriptor or a write to the second would not block, or until
/// the time is over. Returns whether the first is readable.
///
/// # Errors
/// `EINTR` if a signal handler ran.
pub fn wait_readable_or_writable(
    readable: Option<BorrowedFd<'_>>,
    writable: Option<BorrowedFd<'_>>,
    time: Duration,
) -> io::Result<bool> {
    let mut entries = Vec::with_capacity(2);
    entries.extend(readable.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
    entries.extend(writable.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::OUT)));
    rustix::event::poll(&mut entries, Some(&timespec(time)))?;
    Ok(readable.is_some() && !entries[0].revents().is_empty())
}

/// The largest write to a pipe that is atomic, and that fits into a pipe which poll(2) calls
/// writable.
pub const PIPE_BUF: usize = libc::PIPE_BUF;

/// rustix makes the call `ppoll` without a signal mask on every 64-bit architecture; the filter of
/// system calls permits exactly that.
fn wait(fd: BorrowedFd<'_>, events: PollFlags, time: Duration) -> io::Result<bool> {
    Ok(rustix::event::poll(&mut [PollFd::from_borrowed_fd(fd, events)], Some(&timespec(time)))?
        == 1)
}

/// A duration as ppoll(2) takes it; one that is too long becomes the longest.
pub(super) fn timespec(time: Duration) -> Timespec {
    Timespec::try_from(time).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 })
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
