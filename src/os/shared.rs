//! Counters in memory that several processes share: one mapping of an anonymous file
//! (`memfd_create(2)`), whose descriptor a parent passes on to its children.

use super::mapping::{MappedAccess, Mapping};
use crate::error::Failure;
use rustix::fs::{
    MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, ftruncate, memfd_create,
};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::AtomicU64;

/// Shared 64-bit counters, all zero at first.
pub struct SharedCounters {
    fd: OwnedFd,
    part: CounterPart,
}

/// A part of shared counters, which this process can write to or only read. Another process may
/// have other parts.
#[derive(Debug)]
pub struct CounterPart {
    mapping: Mapping,
    count: usize,
}

impl CounterPart {
    fn map(
        fd: BorrowedFd<'_>,
        first: usize,
        count: usize,
        access: MappedAccess,
    ) -> io::Result<Self> {
        Ok(Self { mapping: Mapping::shared(fd, bytes(first), bytes(count), access)?, count })
    }

    /// All counters behind a descriptor that was inherited from the process which created them. It
    /// is open for reading, so nothing can be written through the mapping, which outlives it.
    ///
    /// # Errors
    /// If it isn't a descriptor of counters, or there are fewer of them.
    pub fn inherited_read_only(file: &File, count: usize) -> Result<Self, Failure> {
        let map = || {
            ensure_fixed(file, count)?;
            Self::map(file.as_fd(), 0, count, MappedAccess::ReadOnly)
        };
        map().map_err(|error| explain(count, &error))
    }

    /// The counters. If they are read-only, a write is SIGSEGV; loads of 64 bits write nothing on
    /// any 64-bit machine (`std::sync::atomic`).
    #[must_use]
    pub fn counters(&self) -> &[AtomicU64] {
        let start = self.mapping.start().cast().as_ptr();
        // SAFETY: the mapping is page-aligned and has `count` words, for which any bits are a
        // value; it lives as long as `self`. Every process accesses them by atomic operations only.
        unsafe { std::slice::from_raw_parts(start, self.count) }
    }
}

impl SharedCounters {
    /// New counters in a file of this name, which is for proc(5) only. A child process gets at them
    /// if it is started with their descriptor
    /// ([`Process::start_with`](super::children::Process::start_with)).
    ///
    /// # Errors
    /// If there is no memory or no descriptor for them.
    pub fn new(name: &str, count: usize) -> Result<Self, Failure> {
        let create = || -> io::Result<Self> {
            let fd = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
            ftruncate(&fd, bytes(count) as u64)?;
            fcntl_add_seals(&fd, FIXED_SIZE)?;
            Self::map(fd, count)
        };
        create().map_err(|error| explain(count, &error))
    }

    /// The counters that another process created, by the number of the descriptor inherited from
    /// it.
    ///
    /// The file is opened again (`/proc/self/fd`, proc(5)): a mere number doesn't prove that no
    /// other value of this process owns the descriptor. The seals prove that it is a memory file
    /// whose size is fixed, so that no access can be beyond its end (SIGBUS).
    ///
    /// # Errors
    /// If there is no such descriptor, or it isn't one of counters, or has fewer of them.
    pub fn inherited(fd: RawFd, count: usize) -> Result<Self, Failure> {
        let open = || -> io::Result<Self> {
            let file =
                File::options().read(true).write(true).open(format!("/proc/self/fd/{fd}"))?;
            ensure_fixed(&file, count)?;
            Self::map(file.into(), count)
        };
        open().map_err(|error| explain(count, &error))
    }

    fn map(fd: OwnedFd, count: usize) -> io::Result<Self> {
        let part = CounterPart::map(fd.as_fd(), 0, count, MappedAccess::ReadWrite)?;
        Ok(Self { fd, part })
    }

    /// A mapping of `count` counters from `first` on, a multiple of [`COUNTERS_PER_PAGE`], that
    /// outlives this value.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn part(&self, first: usize, count: usize) -> io::Result<CounterPart> {
        CounterPart::map(self.fd.as_fd(), first, count, MappedAccess::ReadWrite)
    }

    /// A mapping of all of them through which nothing can be written, even if the process changes
    /// the protection of its memory (mprotect(2)): the file is opened again, for reading.
    ///
    /// # Errors
    /// If there is no memory or no descriptor for it, or no `/proc`.
    pub fn read_only(&self) -> io::Result<CounterPart> {
        CounterPart::map(self.open_read_only()?.as_fd(), 0, self.part.count, MappedAccess::ReadOnly)
    }

    /// A descriptor of the file by which nothing can be written, for a child process that only
    /// reads ([`CounterPart::inherited_read_only`]).
    ///
    /// # Errors
    /// If there is no descriptor for it, or no `/proc`.
    pub fn open_read_only(&self) -> io::Result<File> {
        File::open(format!("/proc/self/fd/{}", self.number()))
    }

    /// The number of the descriptor, for the command line of a child process.
    #[must_use]
    pub fn number(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> &[AtomicU64] {
        self.part.counters()
    }
}

impl AsFd for SharedCounters {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn bytes(count: usize) -> usize {
    count * size_of::<u64>()
}

/// The number of counters in a page of 4 KiB.
pub const COUNTERS_PER_PAGE: usize = 4096 / size_of::<u64>();

/// The file can neither shrink nor grow any more (fcntl(2)).
const FIXED_SIZE: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

/// Checks that a file has so many counters and keeps its size, so that no access is beyond its end
/// (SIGBUS).
fn ensure_fixed(file: &File, count: usize) -> io::Result<()> {
    let is_fixed = fcntl_get_seals(file).is_ok_and(|seals| seals.contains(FIXED_SIZE));
    if is_fixed && file.metadata()?.len() >= bytes(count) as u64 {
        return Ok(());
    }
    Err(io::Error::from_raw_os_error(libc::EINVAL))
}

fn explain(count: usize, error: &io::Error) -> Failure {
    let kilobytes = bytes(count) / 1024;
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
    fn two_mappings_share_their_counters() {
        let counters = SharedCounters::new("test", 1000).expect("there is memory");
        let copy = counters.fd.try_clone().expect("there are descriptors");
        let other = SharedCounters::map(copy, 1000).expect("there is memory");
        counters.counters()[999].store(7, Ordering::Relaxed);
        assert_eq!(other.counters()[999].load(Ordering::Relaxed), 7);
        assert_eq!(other.counters()[998].load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_descriptor_that_is_not_of_enough_counters_is_refused() {
        assert!(SharedCounters::inherited(-1, 1).is_err());
        let counters = SharedCounters::new("test", 1).expect("there is memory");
        assert!(SharedCounters::inherited(counters.number(), 2).is_err(), "the file is smaller");
        let unsealed = memfd_create("unsealed", MemfdFlags::CLOEXEC).expect("there is memory");
        ftruncate(&unsealed, 4096).expect("there is memory");
        assert!(SharedCounters::inherited(unsealed.as_raw_fd(), 1).is_err(), "it could shrink");
    }

    #[test]
    fn inherited_counters_own_a_descriptor_of_their_own() {
        let counters = SharedCounters::new("test", 10).expect("there is memory");
        let other = SharedCounters::inherited(counters.number(), 10).expect("it is open");
        assert_ne!(counters.number(), other.number());
        counters.counters()[9].store(7, Ordering::Relaxed);
        assert_eq!(other.counters()[9].load(Ordering::Relaxed), 7);
        drop(other);
        assert!(counters.fd.try_clone().is_ok(), "the first descriptor is still open");
    }
    #[test]
    fn parts_and_read_only_counters_show_the_same_memory() {
        let counters = SharedCounters::new("test", 2 * COUNTERS_PER_PAGE).expect("there is memory");
        let part = counters.part(COUNTERS_PER_PAGE, 3).expect("there is memory");
        let all = counters.read_only().expect("there is memory");
        part.counters()[2].store(7, Ordering::Relaxed);
        drop(counters);
        assert_eq!(all.counters()[COUNTERS_PER_PAGE + 2].load(Ordering::Relaxed), 7);
        assert_eq!(all.counters().len(), 2 * COUNTERS_PER_PAGE);
        assert_eq!(part.counters().len(), 3);
    }
}
