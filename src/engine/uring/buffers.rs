//! The receive buffers: memory that the kernel receives into through a provided-buffer ring
//! (`io_uring_register_buf_ring(3)`, Linux 5.19).
//!
//! A buffer belongs either to the kernel, which may write to it at any time, or to the program, to
//! which a completion delivered it. `delivered` records which, and every transition asserts it.

use crate::engine::BufferId;
use crate::os::mapping::Mapping;
use io_uring::IoUring;
use io_uring::types::BufRingEntry;
use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

/// The buffer group that entries name to receive into these buffers.
pub(super) const GROUP: u16 = 0;

/// Receive buffers of one size, and the ring by which they are returned to the kernel.
pub(super) struct Buffers {
    entries: Mapping,
    bytes: Mapping,
    size: u32,
    delivered: Box<[bool]>,
    tail: u16,
}

impl Buffers {
    /// Maps `count` buffers (a power of two) of `size` bytes and gives all to the kernel.
    pub(super) fn register(ring: &IoUring, count: u16, size: u32) -> io::Result<Self> {
        assert!(count.is_power_of_two(), "{count} buffers: the kernel requires a power of two");
        let entries = Mapping::anonymous(usize::from(count) * size_of::<BufRingEntry>())?;
        let bytes = Mapping::anonymous(usize::from(count) * size as usize)?;
        let address = entries.start().as_ptr() as u64;
        // SAFETY: the mapping is page-aligned, has `count` entries, and outlives every operation:
        // `Uring` owns it and cancels all operations before it is unmapped (`Uring::drop`).
        unsafe {
            ring.submitter().register_buf_ring_with_flags(address, count, GROUP, 0)?;
        }
        let delivered = vec![true; usize::from(count)].into_boxed_slice();
        let mut buffers = Self { entries, bytes, size, delivered, tail: 0 };
        for id in 0..count {
            buffers.give_back(BufferId(id));
        }
        Ok(buffers)
    }

    /// Records that a completion delivered a buffer.
    pub(super) fn deliver(&mut self, id: BufferId) {
        let delivered = &mut self.delivered[usize::from(id.0)];
        assert!(!*delivered, "buffer {} was delivered twice", id.0);
        *delivered = true;
    }

    /// The first `len` bytes of a delivered buffer.
    pub(super) fn received(&self, id: BufferId, len: u32) -> &[u8] {
        assert!(self.delivered[usize::from(id.0)], "buffer {} belongs to the kernel", id.0);
        assert!(len <= self.size, "{len} bytes received into a buffer of {}", self.size);
        let start = usize::from(id.0) * self.size as usize;
        // SAFETY: the buffer is within the mapping and initialised, by mmap or by the kernel. It is
        // delivered (asserted above), so the kernel doesn't write to it until `give_back`, which
        // takes `&mut self` and so can't be called while this slice is borrowed.
        unsafe { std::slice::from_raw_parts(self.bytes.at(start), len as usize) }
    }

    /// Returns a buffer to the kernel.
    pub(super) fn give_back(&mut self, id: BufferId) {
        let delivered = &mut self.delivered[usize::from(id.0)];
        assert!(std::mem::replace(delivered, false), "buffer {} was given back twice", id.0);
        let start = usize::from(id.0) * self.size as usize;
        let index = usize::from(self.tail) & (self.delivered.len() - 1);
        let place = self.entry(index);
        // SAFETY: `place` is an aligned entry within the mapping. The kernel reads it only after
        // the tail, stored below, has passed it, and has consumed its previous content, because
        // there are as many places as buffers. `&mut self` makes this the only writer. (The tail
        // itself overlaps a field of entry 0 that `set_addr`, `set_len` and `set_bid` don't write.)
        let entry = unsafe { &mut *place };
        entry.set_addr(self.bytes.at(start) as u64);
        entry.set_len(self.size);
        entry.set_bid(id.0);
        self.tail = self.tail.wrapping_add(1);
        let base = self.entry(0);
        // SAFETY: `base` is the start of the registered ring, which contains the tail.
        let tail = unsafe { BufRingEntry::tail(base) };
        // SAFETY: the tail is an aligned u16 in the mapping that `self` owns; the kernel may read
        // it at any time, so the access is atomic.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    #[allow(clippy::cast_ptr_alignment, reason = "mappings are page-aligned, entries of 16 bytes")]
    fn entry(&self, index: usize) -> *mut BufRingEntry {
        self.entries.at(index * size_of::<BufRingEntry>()).cast()
    }

    /// Keeps the memory mapped for good, because operations that could not be ended may access it.
    pub(super) fn leak(&mut self) {
        self.entries.leak();
        self.bytes.leak();
    }
}
