//! A lock on a file or a folder that one process at a time can hold. The kernel releases it when
//! its holder has ended, however that came about.

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::path::Path;

/// A lock that is held (`flock(2)`). Programs that child processes execute don't inherit it.
#[derive(Debug)]
pub struct Lock(File);

impl Drop for Lock {
    /// Closing the file doesn't suffice: a child process that has not yet executed its program has
    /// a copy of the descriptor, and with it the lock.
    fn drop(&mut self) {
        // A failure leaves the lock to the end of the process.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

impl Lock {
    /// Takes the lock, or returns `None` if another process holds it.
    ///
    /// # Errors
    /// If there is no such file, or its file system has no locks.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        // `File::try_lock` does the same from Rust 1.89 on.
        let file = File::open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self(file))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_lock_is_free_although_a_child_has_its_descriptor() {
        let folder = std::env::temp_dir().join(format!("uringload-copy-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let lock = Lock::take(&folder).unwrap().expect("nothing else locks it");
        let copy = lock.0.try_clone().unwrap();
        drop(lock);
        assert!(Lock::take(&folder).unwrap().is_some());
        drop(copy);
        std::fs::remove_dir(&folder).unwrap();
    }

    #[test]
    fn a_lock_has_one_holder_at_a_time() {
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
