//! The receive buffers: memory lent to the kernel through a provided-buffer ring
//! (`io_uring_register_buf_ring(3)`, Linux 5.19).
//!
//! A buffer is with the kernel (it may write at any time) or lent to us by a completion (it
//! doesn't), never both: `lent` says which, and every crossing asserts it.

use crate::engine::BufferId;
use crate::os::call::checked;
use io_uring::IoUring;
use io_uring::types::BufRingEntry;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

/// The group id that entries name to receive into these buffers.
pub(super) const GROUP: u16 = 0;

/// Receive buffers of one size, and the ring through which they go back to the kernel.
pub(super) struct Buffers {
    entries: Mapping,
    bytes: Mapping,
    size: u32,
    lent: Box<[bool]>,
    tail: u16,
}

impl Buffers {
    /// Maps `count` buffers (a power of two) of `size` bytes and hands all to the ring.
    pub(super) fn register(ring: &IoUring, count: u16, size: u32) -> io::Result<Self> {
        assert!(count.is_power_of_two(), "{count} buffers: the kernel wants a power of two");
        let entries = Mapping::new(usize::from(count) * size_of::<BufRingEntry>())?;
        let bytes = Mapping::new(usize::from(count) * size as usize)?;
        let address = entries.start.as_ptr() as u64;
        // SAFETY: the mapping is page-aligned, holds `count` entries, and outlives the ring
        // (`Uring::drop` ends every operation before either goes).
        unsafe {
            ring.submitter().register_buf_ring_with_flags(address, count, GROUP, 0)?;
        }
        let lent = vec![true; usize::from(count)].into_boxed_slice();
        let mut buffers = Self { entries, bytes, size, lent, tail: 0 };
        for id in 0..count {
            buffers.give_back(BufferId(id));
        }
        Ok(buffers)
    }

    /// Notes that a completion lent us a buffer.
    pub(super) fn lend(&mut self, id: BufferId) {
        let lent = &mut self.lent[usize::from(id.0)];
        assert!(!*lent, "buffer {} was delivered while we still had it", id.0);
        *lent = true;
    }

    /// The first `len` bytes of a buffer that is lent to us.
    pub(super) fn received(&self, id: BufferId, len: u32) -> &[u8] {
        assert!(self.lent[usize::from(id.0)], "buffer {} is with the kernel", id.0);
        assert!(len <= self.size, "{len} bytes received into a buffer of {}", self.size);
        let start = usize::from(id.0) * self.size as usize;
        // SAFETY: the buffer lies within the mapping, was zeroed by mmap or written by the
        // kernel, and the kernel does not write to it while it is lent to us (asserted).
        unsafe { std::slice::from_raw_parts(self.bytes.at(start), len as usize) }
    }

    /// Returns a buffer to the kernel.
    pub(super) fn give_back(&mut self, id: BufferId) {
        let lent = &mut self.lent[usize::from(id.0)];
        assert!(std::mem::replace(lent, false), "buffer {} was given back twice", id.0);
        let start = usize::from(id.0) * self.size as usize;
        let index = usize::from(self.tail) & (self.lent.len() - 1);
        let place = self.entry(index);
        // SAFETY: `place` is an aligned entry within the mapping; the kernel reads it only after
        // the tail below has passed it, and has consumed what stood there, as there are as many
        // places as buffers. We are the only writer.
        let entry = unsafe { &mut *place };
        entry.set_addr(self.bytes.at(start) as u64);
        entry.set_len(self.size);
        entry.set_bid(id.0);
        self.tail = self.tail.wrapping_add(1);
        let base = self.entry(0);
        // SAFETY: `base` is the start of the registered ring, where the tail lies.
        let tail = unsafe { BufRingEntry::tail(base) };
        // SAFETY: the tail is an aligned u16 in memory we own, read by the kernel at any time.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    #[allow(clippy::cast_ptr_alignment, reason = "mappings are page-aligned, entries of 16 bytes")]
    fn entry(&self, index: usize) -> *mut BufRingEntry {
        self.entries.at(index * size_of::<BufRingEntry>()).cast()
    }

    /// Never unmaps the memory: for a ring whose operations could not be ended.
    pub(super) fn leak(&mut self) {
        self.entries.len = 0;
        self.bytes.len = 0;
    }
}

/// Anonymous, zeroed memory that is unmapped when dropped.
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

impl Mapping {
    fn new(len: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no
        // memory that exists.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).expect("mmap returns no null but on request");
        Ok(Self { start, len })
    }

    fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset < self.len, "offset {offset} of a mapping of {}", self.len);
        // SAFETY: the offset lies within the mapping (asserted).
        unsafe { self.start.as_ptr().add(offset) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.len == 0 {
            return;
        }
        // SAFETY: the mapping is ours, and nothing refers to it any more: slices into it borrow
        // `Buffers`, and `Uring::drop` has ended every operation of the kernel.
        let returned = unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
        checked(returned).expect("unmapping what was mapped can't fail");
    }
}
