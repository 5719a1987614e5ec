//! Words of memory that several processes read and write: one mapping of an anonymous file
//! (`memfd_create(2)`), which child processes inherit by its descriptor.

use super::call::checked;
use crate::error::Failure;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// Shared words, all zero at first.
pub struct Words {
    fd: OwnedFd,
    start: NonNull<AtomicU64>,
    count: usize,
}

impl Words {
    /// New words, whose descriptor is inherited by the processes that are started from now on.
    ///
    /// # Errors
    /// If there is no memory or no descriptor for them.
    pub fn new(count: usize) -> Result<Self, Failure> {
        let name = c"uringload";
        // SAFETY: the name is a C string; no flag, so that the descriptor is inherited.
        let made = checked(unsafe { libc::memfd_create(name.as_ptr(), 0) });
        let fd = made.map_err(|error| explain(count, &error))?;
        // SAFETY: memfd_create returned a new descriptor that nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let bytes = libc::off_t::try_from(count * size_of::<u64>()).unwrap_or(libc::off_t::MAX);
        // SAFETY: ftruncate takes numbers only.
        checked(unsafe { libc::ftruncate(fd.as_raw_fd(), bytes) })
            .map_err(|error| explain(count, &error))?;
        Self::map(fd, count).map_err(|error| explain(count, &error))
    }

    /// The words another process made, by the number of the descriptor inherited from it.
    ///
    /// The file is opened again (proc(5), `/proc/self/fd`), since a mere number doesn't prove that
    /// nothing else in this process owns the descriptor.
    ///
    /// # Errors
    /// If there is no such descriptor, or it has fewer words.
    pub fn inherited(fd: RawFd, count: usize) -> Result<Self, Failure> {
        let path = format!("/proc/self/fd/{fd}");
        let file = File::options().read(true).write(true).open(path);
        let file = file.map_err(|error| explain(count, &error))?;
        let bytes = file.metadata().map_err(|error| explain(count, &error))?.len();
        // A page beyond the end of the file would be SIGBUS.
        if bytes < (count * size_of::<u64>()) as u64 {
            let error = io::Error::from_raw_os_error(libc::EINVAL);
            return Err(explain(count, &error));
        }
        Self::map(file.into(), count).map_err(|error| explain(count, &error))
    }

    fn map(fd: OwnedFd, count: usize) -> io::Result<Self> {
        assert!(count > 0, "a mapping has words");
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let bytes = count * size_of::<u64>();
        let null = std::ptr::null_mut();
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory that exists.
        let start =
            unsafe { libc::mmap(null, bytes, protection, libc::MAP_SHARED, fd.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).expect("mmap returns no null but on request");
        Ok(Self { fd, start, count })
    }

    /// The descriptor to pass on.
    #[must_use]
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// The words.
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, has `count` words for which any bits are a value,
        // lives as long as `self`, and is written by atomic operations only, in every process.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        let bytes = self.count * size_of::<u64>();
        // SAFETY: the mapping is ours, and slices into it borrow `self`.
        let returned = unsafe { libc::munmap(self.start.as_ptr().cast(), bytes) };
        checked(returned).expect("unmapping what was mapped can't fail");
    }
}

fn explain(count: usize, error: &io::Error) -> Failure {
    let kilobytes = count * size_of::<u64>() / 1024;
    Failure::new(
        format!("sharing {kilobytes} KiB of memory between processes"),
        error,
        "free memory, or raise the memory limit of the control group",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn two_mappings_have_the_same_words() {
        let words = Words::new(1000).expect("there is memory");
        let copy = words.fd.try_clone().expect("there are descriptors");
        let other = Words::map(copy, 1000).expect("there is memory");
        words.words()[999].store(7, Ordering::Relaxed);
        assert_eq!(other.words()[999].load(Ordering::Relaxed), 7);
        assert_eq!(other.words()[998].load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_is_no_mapping_is_refused() {
        assert!(Words::inherited(-1, 1).is_err());
        let words = Words::new(1).expect("there is memory");
        assert!(Words::inherited(words.fd(), 2).is_err(), "the file is smaller");
    }

    #[test]
    fn inherited_words_have_a_descriptor_of_their_own() {
        let words = Words::new(10).expect("there is memory");
        let other = Words::inherited(words.fd(), 10).expect("the descriptor is open");
        assert_ne!(words.fd(), other.fd());
        words.words()[9].store(7, Ordering::Relaxed);
        assert_eq!(other.words()[9].load(Ordering::Relaxed), 7);
        drop(other);
        assert!(words.fd.try_clone().is_ok(), "it is open still");
    }
}
