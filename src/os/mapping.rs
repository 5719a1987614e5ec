//! A memory mapping with one owner (mmap(2)): the base of [`Pages`](super::pages::Pages), of
//! [`SharedCounters`](super::shared::SharedCounters) and of the engine's receive buffers.
//!
//! A mapping hands out raw pointers only. A module that makes references from them ensures that
//! these borrow the value which owns the mapping.

use super::call::checked;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr::NonNull;

/// Readable and writable memory, unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

/// The permitted accesses to a mapping of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MappedAccess {
    ReadWrite,
    ReadOnly,
}

impl Mapping {
    pub(crate) const EMPTY: Self = Self { start: NonNull::dangling(), len: 0 };

    /// Private, zeroed memory. A page takes physical memory from the first write to it.
    ///
    /// # Errors
    /// `ENOMEM` if the system promises no more memory, or the address space is exhausted.
    pub(crate) fn anonymous(len: usize) -> io::Result<Self> {
        if len == 0 {
            return Ok(Self::EMPTY);
        }
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        Self::map(len, MappedAccess::ReadWrite, flags, (-1, 0))
    }

    /// `len` bytes of a file from `offset` on, a multiple of the page size, shared with every other
    /// mapping of it.
    ///
    /// # Errors
    /// The errors of mmap(2): `EINVAL` if `len` is 0, `EACCES` if the descriptor isn't open for
    /// this access.
    pub(crate) fn shared(
        file: BorrowedFd<'_>,
        offset: usize,
        len: usize,
        access: MappedAccess,
    ) -> io::Result<Self> {
        Self::map(len, access, libc::MAP_SHARED, (file.as_raw_fd(), offset))
    }

    fn map(
        len: usize,
        access: MappedAccess,
        flags: libc::c_int,
        (fd, offset): (RawFd, usize),
    ) -> io::Result<Self> {
        let protection = match access {
            MappedAccess::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
            MappedAccess::ReadOnly => libc::PROT_READ,
        };
        let offset = libc::off_t::try_from(offset).expect("a file is smaller than 8 EiB");
        let any = std::ptr::null_mut();
        // SAFETY: without MAP_FIXED the kernel chooses an address range that is not in use, so no
        // existing memory changes.
        let start = unsafe { libc::mmap(any, len, protection, flags, fd, offset) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).expect("mmap returns null only on request");
        Ok(Self { start, len })
    }

    /// The address of the first byte: page-aligned, but dangling if the mapping is empty.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// The address of a byte.
    ///
    /// # Panics
    /// If the offset is beyond the end.
    pub(crate) fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset < self.len, "offset {offset} of a mapping of {}", self.len);
        // SAFETY: the offset is within the mapping (asserted above).
        unsafe { self.start.as_ptr().add(offset) }
    }

    /// Unmaps everything from `len` on, a multiple of the page size.
    pub(crate) fn truncate(&mut self, len: usize) {
        if len < self.len {
            let (end, bytes) = (self.at(len), self.len - len);
            self.len = len;
            unmap(end, bytes);
        }
    }

    /// Gives up ownership: the memory stays mapped until the process ends.
    pub(crate) fn leak(&mut self) {
        self.len = 0;
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.len > 0 {
            unmap(self.start.as_ptr(), self.len);
        }
    }
}

/// Unmaps whole pages, which a [`Mapping`] owned until now.
fn unmap(start: *mut u8, len: usize) {
    // SAFETY: `truncate` and `drop` pass pages of a mapping that they have exclusively, and every
    // reference into it borrows the owner of the mapping (the rule of this module).
    let returned = unsafe { libc::munmap(start.cast(), len) };
    checked(returned).expect("unmapping mapped pages can't fail");
}

// SAFETY: a mapping belongs to the process, not to a thread, and is unmapped by its one owner.
unsafe impl Send for Mapping {}
// SAFETY: a shared reference gives addresses only; accesses are the business of their users.
unsafe impl Sync for Mapping {}
