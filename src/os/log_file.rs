//! The output of a log: a file that is appended to, or a stream that another process reads.

use super::poll::{PIPE_BUF, wait_writable};
use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::io::{DupFlags, dup3, fcntl_dupfd_cloexec};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// An output. Writing to it waits for nothing but a file system.
#[derive(Debug)]
pub struct LogFile {
    fd: OwnedFd,
    kind: LogFileKind,
}

/// The kind of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFileKind {
    /// A regular file.
    Regular,
    /// A pipe, a terminal, a socket or another device: its reader may be stalled.
    Stream,
}

impl LogFile {
    /// Opens a file to append to, and creates it if there is none, with permissions for its owner
    /// and to read for its group. A FIFO needs a reader.
    ///
    /// # Errors
    /// Those of open(2); `ENXIO` for a FIFO without a reader.
    pub fn open(path: &Path) -> io::Result<Self> {
        // O_NONBLOCK: opening a FIFO would wait for a reader.
        let flags = OFlags::WRONLY
            | OFlags::APPEND
            | OFlags::CREATE
            | OFlags::NONBLOCK
            | OFlags::NOCTTY
            | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP;
        Self::of(rustix::fs::open(path, flags, mode)?)
    }

    /// The standard output of this process, by a descriptor of its own.
    ///
    /// # Errors
    /// If it is closed, or no descriptor is free.
    pub fn standard_output() -> io::Result<Self> {
        // As in fork(2) with pipes, descriptors up to 2 belong to the standard streams.
        Self::of(fcntl_dupfd_cloexec(io::stdout(), 3)?)
    }

    /// An output by its descriptor.
    ///
    /// # Errors
    /// If the descriptor can't be examined.
    pub fn of(fd: OwnedFd) -> io::Result<Self> {
        let kind = match FileType::from_raw_mode(fstat(&fd)?.st_mode) {
            FileType::RegularFile => LogFileKind::Regular,
            _ => LogFileKind::Stream,
        };
        Ok(Self { fd, kind })
    }

    /// The kind of this output.
    #[must_use]
    pub fn kind(&self) -> LogFileKind {
        self.kind
    }

    /// Takes the place of this output: the number of the descriptor stays the same.
    ///
    /// # Errors
    /// If the new descriptor can't be duplicated; the output is then the old one.
    pub fn replace(&mut self, new: &OwnedFd, kind: LogFileKind) -> io::Result<()> {
        dup3(new, &mut self.fd, DupFlags::CLOEXEC)?;
        self.kind = kind;
        Ok(())
    }

    /// Writes bytes from the front of `bytes`, and returns how many were taken.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if the reader of a stream is stalled, and those of write(2).
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = match self.kind {
            LogFileKind::Regular => bytes,
            LogFileKind::Stream => {
                if !wait_writable(self.fd.as_fd(), Duration::ZERO)? {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                // A pipe that is writable takes so many without waiting (pipe(7)).
                &bytes[..bytes.len().min(PIPE_BUF)]
            }
        };
        Ok(rustix::io::write(&self.fd, bytes)?)
    }
}

impl LogFileKind {
    /// The kind as a byte of a message.
    #[must_use]
    pub fn to_byte(self) -> u8 {
        match self {
            Self::Regular => 0,
            Self::Stream => 1,
        }
    }

    /// The kind of a byte; of an unknown one the kind that is treated with more care.
    #[must_use]
    pub fn of_byte(byte: u8) -> Self {
        if byte == 0 { Self::Regular } else { Self::Stream }
    }
}

impl AsFd for LogFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<LogFile> for OwnedFd {
    fn from(file: LogFile) -> Self {
        file.fd
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn file_is_created_for_its_owner_and_group_and_appended_to() {
        let folder = std::env::temp_dir().join(format!("uringstatic-log-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("access.log");
        let mut file = LogFile::open(&path).unwrap();
        assert_eq!(file.kind(), LogFileKind::Regular);
        assert_eq!(file.write(b"one\n").unwrap(), 4);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0);
        fs::rename(&path, folder.join("access.log.1")).unwrap();
        file.write(b"two\n").unwrap();
        let number = file.as_fd().as_raw_fd();
        let new = LogFile::open(&path).unwrap().into();
        file.replace(&new, LogFileKind::Regular).unwrap();
        assert_eq!(file.as_fd().as_raw_fd(), number);
        file.write(b"three\n").unwrap();
        assert_eq!(fs::read(folder.join("access.log.1")).unwrap(), b"one\ntwo\n");
        assert_eq!(fs::read(&path).unwrap(), b"three\n");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn stalled_stream_takes_no_byte_and_does_not_block() {
        let (reader, writer) = io::pipe().unwrap();
        let file = LogFile::of(writer.into()).unwrap();
        assert_eq!(file.kind(), LogFileKind::Stream);
        let mut written = 0;
        let error = loop {
            match file.write(&[b'x'; 10_000]) {
                Ok(count) => written += count,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(written >= PIPE_BUF);
        drop(reader);
        assert_eq!(file.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
