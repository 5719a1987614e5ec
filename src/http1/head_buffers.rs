//! Memory for bytes that were received and can't be parsed yet: incomplete heads, and requests that
//! arrived while a response was under way. A connection owns a block only while it has such bytes.

use super::last_head::LastHead;

/// A pool of blocks for all connections.
///
/// Returned blocks are kept and reused, the last one first, so that nothing is allocated while the
/// number of connections with a block is steady. After a burst, [`HeadBuffers::release`] frees the
/// surplus.
#[derive(Debug)]
pub struct HeadBuffers {
    free: Vec<Vec<u8>>,
    block_bytes: usize,
    /// Blocks that connections own.
    used: usize,
    /// The largest value of `used` since the last release.
    used_max: usize,
    /// How many bytes may still be kept beyond one block for a connection, in total.
    spare_bytes: usize,
    pub(super) last_head: LastHead,
}

/// No room is left for more bytes of this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrun;

impl HeadBuffers {
    /// A pool for `slots` connections. A block has `block_bytes`, the length of the longest head.
    #[must_use]
    pub fn new(slots: u32, block_bytes: u32) -> Self {
        let spare_bytes = (slots as usize * block_bytes as usize / SPARE_SHARE).max(SPARE_MIN);
        let mut free = Vec::with_capacity(slots as usize);
        // The first blocks are allocated at the start; untouched memory costs nothing.
        free.resize_with(FIRST_BLOCKS.min(slots as usize), || {
            Vec::with_capacity(block_bytes as usize)
        });
        let block_bytes = block_bytes as usize;
        let last_head = LastHead::new();
        Self { free, block_bytes, used: 0, used_max: 0, spare_bytes, last_head }
    }

    /// Appends bytes to those that a connection keeps.
    ///
    /// # Errors
    /// [`Overrun`] if they exceed a block and the common spare is used up.
    pub fn add(&mut self, kept: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Overrun> {
        if bytes.is_empty() {
            return Ok(());
        }
        if kept.capacity() == 0 {
            *kept = self.free.pop().unwrap_or_else(|| Vec::with_capacity(self.block_bytes));
            self.used += 1;
            self.used_max = self.used_max.max(self.used);
        }
        let needed = kept.len() + bytes.len();
        if needed > kept.capacity() {
            let grown = needed.next_power_of_two();
            let more = grown - kept.capacity();
            self.spare_bytes = self.spare_bytes.checked_sub(more).ok_or(Overrun)?;
            kept.reserve_exact(grown - kept.len());
            // The allocator may return more than was requested; all of it is accounted for.
            let extra = kept.capacity() - grown;
            self.spare_bytes = self.spare_bytes.saturating_sub(extra);
        }
        kept.extend_from_slice(bytes);
        Ok(())
    }

    /// Empties `kept` and returns its block to the pool.
    pub fn give_back(&mut self, kept: &mut Vec<u8>) {
        let mut block = std::mem::take(kept);
        self.used -= usize::from(block.capacity() > 0);
        match block.capacity() {
            0 => {}
            capacity if capacity > self.block_bytes => {
                self.spare_bytes += capacity - self.block_bytes;
            }
            _ => {
                block.clear();
                self.free.push(block);
            }
        }
    }

    /// Whether more blocks are free than the pool keeps permanently.
    #[must_use]
    pub fn has_surplus(&self) -> bool {
        self.free.len() > FIRST_BLOCKS
    }

    /// Frees the blocks that were not needed since the last release; returns whether any were
    /// freed.
    pub fn release(&mut self) -> bool {
        let wanted = self.used_max.max(FIRST_BLOCKS);
        self.used_max = self.used;
        let kept = wanted.saturating_sub(self.used);
        let is_surplus = self.free.len() > kept;
        self.free.truncate(kept);
        is_surplus
    }

    /// The size of a block, at which a connection should receive no more.
    #[must_use]
    pub fn block_bytes(&self) -> usize {
        self.block_bytes
    }
}

/// Blocks that are kept permanently.
const FIRST_BLOCKS: usize = 32;
/// The spare is 1/4 of the size of all blocks: bursts beyond a block are rare and short.
const SPARE_SHARE: usize = 4;
/// The least spare in bytes, because one burst may be as large as a socket's receive buffer.
const SPARE_MIN: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returned_block_is_reused() {
        let mut head_buffers = HeadBuffers::new(2, 64);
        let mut kept = Vec::new();
        head_buffers.add(&mut kept, b"abc").expect("room");
        let place = kept.as_ptr();
        head_buffers.give_back(&mut kept);
        assert_eq!(kept.capacity(), 0, "an idle connection owns no block");
        head_buffers.add(&mut kept, b"d").expect("room");
        assert_eq!((kept.as_ptr(), &*kept), (place, &b"d"[..]));
    }

    #[test]
    fn blocks_of_a_burst_are_freed_by_the_second_release() {
        let slots = 200;
        let mut head_buffers = HeadBuffers::new(slots, 64);
        let mut kept: Vec<Vec<u8>> = (0..slots).map(|_| Vec::new()).collect();
        for (number, kept) in kept.iter_mut().enumerate() {
            head_buffers.add(kept, b"abc").expect("room");
            assert!(!head_buffers.has_surplus(), "all of {number} are in use");
        }
        for kept in &mut kept[..150] {
            head_buffers.give_back(kept);
        }
        assert!(
            head_buffers.has_surplus() && !head_buffers.release(),
            "all were needed a moment ago"
        );
        assert!(head_buffers.release(), "and are not needed now");
        assert_eq!(head_buffers.free.len(), 0, "50 are in use, more than are kept permanently");
        for kept in &mut kept {
            head_buffers.give_back(kept);
        }
        head_buffers.release();
        head_buffers.release();
        assert_eq!(head_buffers.free.len(), FIRST_BLOCKS);
        assert!(!head_buffers.has_surplus());
    }

    #[test]
    fn spare_is_bounded_and_restored() {
        let mut head_buffers = HeadBuffers::new(1, 64);
        let spare = head_buffers.spare_bytes;
        let mut kept = Vec::new();
        head_buffers.add(&mut kept, &vec![1; 1 << 20]).expect("room");
        assert!(head_buffers.spare_bytes < spare);
        assert_eq!(head_buffers.add(&mut kept, &vec![1; spare]), Err(Overrun));
        head_buffers.give_back(&mut kept);
        assert_eq!(head_buffers.spare_bytes, spare);
    }
}
