//! Memory for a buffer that begins on a page of its own.
//!
//! An allocator puts its own words before a large block, so that a buffer shares its first page
//! with them. A mapping begins and ends with a page, which processes that are forked share until
//! one of them writes to it.

use crate::bytes::PAGE_BYTES_MAX;
use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// An anonymous, private mapping, zeroed at first. A page takes memory from the first write to it.
#[derive(Debug)]
pub struct Pages {
    start: NonNull<u8>,
    len: usize,
    /// How many bytes are mapped from the start on.
    mapped: usize,
}

impl Pages {
    /// Zeroed memory.
    ///
    /// # Errors
    /// If the system promises no more memory, or the process has no address space for it.
    pub fn zeroed(len: usize) -> io::Result<Self> {
        if len == 0 {
            return Ok(Self::default());
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no memory
        // that exists.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).expect("mmap returns no null but on request");
        Ok(Self { start, len, mapped: len })
    }

    /// Gives the pages behind the first `len` bytes back.
    ///
    /// # Panics
    /// If there are fewer bytes.
    pub fn truncate(&mut self, len: usize) {
        assert!(len <= self.len, "{len} bytes are left of {}", self.len);
        let kept = len.next_multiple_of(PAGE_BYTES_MAX as usize);
        if kept < self.mapped {
            // SAFETY: the offset is within the mapping (checked).
            let end = unsafe { self.start.add(kept) };
            unmap(end, self.mapped - kept);
            self.mapped = kept;
        }
        self.len = len;
    }
}

/// Unmaps whole pages of a mapping that nothing refers to.
fn unmap(start: NonNull<u8>, len: usize) {
    // SAFETY: the callers own these pages, and slices into them borrow the `Pages` that they hold
    // mutably.
    let returned = unsafe { libc::munmap(start.as_ptr().cast(), len) };
    super::call::checked(returned).expect("unmapping what was mapped can't fail");
}

impl Default for Pages {
    /// No memory.
    fn default() -> Self {
        Self { start: NonNull::dangling(), len: 0, mapped: 0 }
    }
}

impl From<Vec<u8>> for Pages {
    /// A copy. Like a vector it ends the process if there is no memory.
    fn from(bytes: Vec<u8>) -> Self {
        let mut pages = Self::zeroed(bytes.len()).expect("there is memory for a copy");
        pages.copy_from_slice(&bytes);
        pages
    }
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `len` bytes are mapped and initialised, and live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if self.mapped > 0 {
            unmap(self.start, self.mapped);
        }
    }
}

// SAFETY: the mapping has one owner and no ties to a thread, as a `Vec<u8>`.
unsafe impl Send for Pages {}
// SAFETY: shared references only read.
unsafe impl Sync for Pages {}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = PAGE_BYTES_MAX as usize;

    #[test]
    fn pages_are_whole_and_zeroed() {
        let mut pages = Pages::zeroed(3 * PAGE + 5).expect("there is memory");
        assert_eq!(pages.as_ptr().addr() % 4096, 0);
        assert!(pages.iter().all(|&byte| byte == 0));
        pages.fill(7);
        for len in [3 * PAGE, PAGE + 1, 1, 0] {
            pages.truncate(len);
            assert!(pages.len() == len && pages.iter().all(|&byte| byte == 7));
        }
    }

    #[test]
    fn memory_that_no_machine_has_is_an_error() {
        assert!(Pages::zeroed(1 << 50).is_err());
        assert!(Pages::zeroed(0).expect("nothing is always there").is_empty());
    }
}
