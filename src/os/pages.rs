//! Memory for a buffer that starts on a page boundary.
//!
//! An allocator stores its own words in front of a large block, so that the buffer shares its first
//! page with them. A mapping starts and ends on page boundaries; forked processes share its pages
//! until one of them writes to them.

use super::mapping::Mapping;
use crate::bytes::PAGE_BYTES_MAX;
use std::io;
use std::ops::{Deref, DerefMut};

/// An anonymous, private mapping, zeroed at first. A page takes memory from the first write to it.
#[derive(Debug)]
pub struct Pages {
    /// At least `len` bytes.
    mapping: Mapping,
    len: usize,
}

impl Pages {
    /// Zeroed memory.
    ///
    /// # Errors
    /// If the system promises no more memory, or the process has no address space for it.
    pub fn zeroed(len: usize) -> io::Result<Self> {
        Ok(Self { mapping: Mapping::anonymous(len)?, len })
    }

    /// Shortens the buffer and returns the pages after its new end to the system.
    ///
    /// # Panics
    /// If the buffer is shorter than `len`.
    pub fn truncate(&mut self, len: usize) {
        assert!(len <= self.len, "a buffer of {} bytes truncated to {len}", self.len);
        self.mapping.truncate(len.next_multiple_of(PAGE_BYTES_MAX as usize));
        self.len = len;
    }
}

impl Default for Pages {
    fn default() -> Self {
        Self { mapping: Mapping::EMPTY, len: 0 }
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
        // SAFETY: the mapping has `len` initialised bytes (mmap zeroes them), and lives as long as
        // `self`, which the slice borrows.
        unsafe { std::slice::from_raw_parts(self.mapping.start().as_ptr(), self.len) }
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; `self` owns the mapping and is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.mapping.start().as_ptr(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = PAGE_BYTES_MAX as usize;

    #[test]
    fn pages_are_aligned_zeroed_and_keep_their_bytes_when_truncated() {
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
    fn a_petabyte_is_an_error_and_zero_bytes_are_not() {
        assert!(Pages::zeroed(1 << 50).is_err());
        assert!(Pages::zeroed(0).expect("no memory is always available").is_empty());
    }
}
