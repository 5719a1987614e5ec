//! The receive buffers of a simulated engine.

use crate::engine::{BufferId, Received};

/// The buffers, each with its holder.
#[derive(Debug)]
pub(super) struct BufferPool {
    buffers: Vec<ReceiveBuffer>,
    buffer_bytes: usize,
}

#[derive(Clone, Debug)]
struct ReceiveBuffer {
    bytes: Vec<u8>,
    holder: Holder,
}

/// Where a buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// Free for a receive.
    Engine,
    /// Filled; its completion was not popped.
    Completion,
    /// Handed out to the user of the engine.
    User,
}

impl BufferPool {
    pub(super) fn new(buffers: u16, buffer_bytes: u32) -> Self {
        let buffer = ReceiveBuffer { bytes: Vec::new(), holder: Holder::Engine };
        let buffers = vec![buffer; usize::from(buffers)];
        Self { buffers, buffer_bytes: buffer_bytes as usize }
    }

    /// The size of one buffer.
    pub(super) fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    /// A buffer for the next receive.
    pub(super) fn free_buffer(&self) -> Option<BufferId> {
        let free = self.buffers.iter().position(|buffer| buffer.holder == Holder::Engine);
        free.map(|id| BufferId(u16::try_from(id).expect("buffers are counted by u16")))
    }

    pub(super) fn fill(&mut self, id: BufferId, bytes: Vec<u8>) {
        self.buffers[usize::from(id.0)] = ReceiveBuffer { bytes, holder: Holder::Completion };
    }

    pub(super) fn hand_out(&mut self, id: BufferId) {
        self.buffers[usize::from(id.0)].holder = Holder::User;
    }

    /// Takes a buffer back; false if it was not handed out.
    pub(super) fn give_back(&mut self, id: BufferId) -> bool {
        let holder = &mut self.buffers[usize::from(id.0)].holder;
        std::mem::replace(holder, Holder::Engine) == Holder::User
    }

    /// The bytes of a buffer in use.
    pub(super) fn bytes(&self, received: Received) -> &[u8] {
        let buffer = &self.buffers[usize::from(received.buffer.0)];
        assert_eq!(buffer.holder, Holder::User, "only a buffer in use is read");
        &buffer.bytes[..received.len as usize]
    }

    /// How many buffers are handed out to the user.
    pub(super) fn handed_out(&self) -> usize {
        self.buffers.iter().filter(|buffer| buffer.holder == Holder::User).count()
    }

    /// Whether no buffer is in use.
    pub(super) fn all_free(&self) -> bool {
        self.buffers.iter().all(|buffer| buffer.holder == Holder::Engine)
    }
}
