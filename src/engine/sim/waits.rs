//! How long requests wait while others are answered, in bytes instead of time: what a kernel sends
//! to others takes as long as its copying does, and a simulated send takes no time.

use crate::engine::Slot;

/// Counts the bytes that are sent between the arrival of a request and its answer.
#[derive(Debug)]
pub(super) struct Waits {
    /// Bytes that sockets have taken since the start.
    sent: u64,
    /// Of each slot, that number when the latest bytes arrived that no send has followed.
    since: Box<[Option<u64>]>,
    longest: u64,
}

impl Waits {
    pub(super) fn new(slots: u32) -> Self {
        Self { sent: 0, since: vec![None; slots as usize].into_boxed_slice(), longest: 0 }
    }

    /// A completion reports bytes from the peer of a slot.
    pub(super) fn arrived(&mut self, slot: Slot) {
        self.since[slot.0 as usize] = Some(self.sent);
    }

    /// A send of `len` bytes is attempted on a slot. Only short ones are answers that must not wait
    /// for long.
    pub(super) fn answered(&mut self, slot: Slot, len: u64) {
        if let Some(since) = self.since[slot.0 as usize].take()
            && len <= SHORT_BYTES
        {
            self.longest = self.longest.max(self.sent - since);
        }
    }

    /// A socket has taken bytes.
    pub(super) fn took(&mut self, bytes: u32) {
        self.sent += u64::from(bytes);
    }

    pub(super) fn longest(&self) -> u64 {
        self.longest
    }
}

/// A page of a site, with its head.
const SHORT_BYTES: u64 = 16 * 1024;
