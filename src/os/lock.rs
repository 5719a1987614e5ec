//! A lock on a file or a folder, for one process at a time; the kernel takes it off when its holder
//! is gone, however that ended.

use super::call::checked;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

/// A lock that is held (`flock(2)`). Programs that are started don't inherit it.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "it is locked as long as it is open")] File);

impl Lock {
    /// Takes the lock, unless somebody holds it.
    ///
    /// # Errors
    /// If there is no such file, or its file system has no locks.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        // `File::try_lock` would be this, and needs Rust 1.89.
        let file = File::open(path)?;
        // SAFETY: flock takes numbers only, and the descriptor is open.
        let locked = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
        match checked(locked) {
            Ok(_) => Ok(Some(Self(file))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_holder_at_a_time() {
        let folder = std::env::temp_dir().join(format!("uringload-lock-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let held = Lock::take(&folder).unwrap();
        assert!(held.is_some());
        assert!(Lock::take(&folder).unwrap().is_none());
        drop(held);
        assert!(Lock::take(&folder).unwrap().is_some());
        std::fs::remove_dir(&folder).unwrap();
        assert!(Lock::take(&folder).is_err());
    }
}
