//! The receive buffers, which all connections share.

use crate::engine::BufferId;
use crate::engine::kernel::ReceiveBuffers;
use std::ops::Range;

/// Receive buffers of one size. The last one that came back is used first, so that few of them
/// circulate and stay in the processor's cache.
pub(super) struct ReceivePool {
    bytes: Box<[u8]>,
    size: usize,
    free: Vec<BufferId>,
    lent: Box<[bool]>,
}

impl ReceivePool {
    pub(super) fn new(buffers: ReceiveBuffers) -> Self {
        let (count, size) = (usize::from(buffers.count), buffers.bytes as usize);
        Self {
            bytes: vec![0; count * size].into_boxed_slice(),
            size,
            free: (0..buffers.count).rev().map(BufferId).collect(),
            lent: vec![false; count].into_boxed_slice(),
        }
    }

    /// The buffer that would be used next, and its memory.
    pub(super) fn next(&mut self) -> Option<(BufferId, &mut [u8])> {
        let &id = self.free.last()?;
        let range = self.range(id, self.size);
        Some((id, &mut self.bytes[range]))
    }

    /// Lends the buffer that [`ReceivePool::next`] returned.
    pub(super) fn lend(&mut self, id: BufferId) {
        assert_eq!(self.free.pop(), Some(id), "only the next buffer is lent");
        self.lent[usize::from(id.0)] = true;
    }

    /// The first `len` bytes of a lent buffer.
    pub(super) fn received(&self, id: BufferId, len: u32) -> &[u8] {
        assert!(self.lent[usize::from(id.0)], "buffer {} is not lent", id.0);
        &self.bytes[self.range(id, len as usize)]
    }

    pub(super) fn give_back(&mut self, id: BufferId) {
        let lent = &mut self.lent[usize::from(id.0)];
        assert!(std::mem::replace(lent, false), "buffer {} was given back twice", id.0);
        self.free.push(id);
    }

    fn range(&self, id: BufferId, len: usize) -> Range<usize> {
        assert!(len <= self.size, "{len} bytes of a buffer of {}", self.size);
        let start = usize::from(id.0) * self.size;
        start..start + len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> ReceivePool {
        ReceivePool::new(ReceiveBuffers { count: 2, bytes: 4 })
    }

    fn lend(pool: &mut ReceivePool, bytes: [u8; 4]) -> BufferId {
        let (id, memory) = pool.next().expect("a buffer is free");
        memory.copy_from_slice(&bytes);
        pool.lend(id);
        id
    }

    #[test]
    fn lent_buffers_keep_their_bytes_until_they_come_back() {
        let mut pool = pool();
        let (first, then) = (lend(&mut pool, *b"abcd"), lend(&mut pool, *b"efgh"));
        assert!(pool.next().is_none());
        assert_eq!((pool.received(first, 2), pool.received(then, 4)), (&b"ab"[..], &b"efgh"[..]));
        pool.give_back(first);
        assert_eq!(lend(&mut pool, *b"ijkl"), first);
        assert_eq!(pool.received(then, 1), b"e");
    }

    #[test]
    #[should_panic(expected = "given back twice")]
    fn a_buffer_that_comes_back_twice_panics() {
        let mut pool = pool();
        let id = lend(&mut pool, *b"abcd");
        pool.give_back(id);
        pool.give_back(id);
    }
}
