//! The descriptors of a simulated engine: its slots, its listeners and the targets of its connects.

use super::ids::{ListenerId, SocketId};
use super::network::Changes;
use crate::engine::{Op, Slot};
use crate::peer_address::PeerAddress;

/// The sockets behind the descriptors of an engine.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) slots: Vec<Option<OpenSlot>>,
    /// Each until its descriptor is closed.
    listeners: Vec<Option<ListenerId>>,
    targets: Vec<ListenerId>,
    connects: usize,
}

/// A slot with a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenSlot {
    pub(super) socket: SocketId,
    /// The address of the peer, if it was accepted and addresses are wanted.
    pub(super) peer: PeerAddress,
    /// Bytes had arrived when a receive found no buffer, and none was armed since.
    pub(super) out_of_buffers: bool,
}

impl Sockets {
    pub(super) fn new(slots: u32, listeners: &[ListenerId], targets: Vec<ListenerId>) -> Self {
        Self {
            slots: vec![None; slots as usize],
            listeners: listeners.iter().copied().map(Some).collect(),
            targets,
            connects: 0,
        }
    }

    pub(super) fn of(&self, slot: Slot) -> Option<SocketId> {
        self.slots.get(slot.0 as usize).copied().flatten().map(|open| open.socket)
    }

    /// Puts a socket into a slot; returns the one that it replaces.
    pub(super) fn open(
        &mut self,
        slot: Slot,
        socket: SocketId,
        peer: PeerAddress,
    ) -> Option<OpenSlot> {
        self.slots[slot.0 as usize].replace(OpenSlot { socket, peer, out_of_buffers: false })
    }

    pub(super) fn close(&mut self, slot: Slot) -> Option<OpenSlot> {
        self.slots[slot.0 as usize].take()
    }

    pub(super) fn set_out_of_buffers(&mut self, slot: Slot, out_of_buffers: bool) {
        if let Some(Some(open)) = self.slots.get_mut(slot.0 as usize) {
            open.out_of_buffers = out_of_buffers;
        }
    }

    /// The listener with this index, unless its descriptor is closed.
    pub(super) fn listener(&self, index: u32) -> Option<ListenerId> {
        self.listeners.get(index as usize).copied().flatten()
    }

    /// Whether an operation may wait for one of these changes.
    pub(super) fn is_concerned(&self, op: Op, changes: &Changes) -> bool {
        match op {
            Op::Watch { listener } => {
                self.listener(listener).is_some_and(|id| changes.listeners.contains(&id))
            }
            Op::Recv { slot }
            | Op::RecvMany { slot }
            | Op::Discard { slot, .. }
            | Op::Writable { slot } => {
                self.of(slot).is_some_and(|socket| changes.sockets.contains(&socket))
            }
            // An accept is woken by name: [`Changes::woken`].
            Op::Accept { .. }
            | Op::Connect { .. }
            | Op::Send { .. }
            | Op::SendClose { .. }
            | Op::Shutdown { .. }
            | Op::Cancel { .. }
            | Op::Close { .. }
            | Op::Signal => false,
        }
    }

    /// Closes the descriptors that are left.
    pub(super) fn close_listeners(&mut self) -> Vec<ListenerId> {
        self.listeners.iter_mut().filter_map(Option::take).collect()
    }

    pub(super) fn close_listener(&mut self, index: u32) -> Option<ListenerId> {
        self.listeners.get_mut(index as usize)?.take()
    }

    /// Whether the engine is a client's.
    pub(super) fn connects(&self) -> bool {
        !self.targets.is_empty()
    }

    /// The listener that the next connect goes to: the targets take turns.
    pub(super) fn next_target(&mut self) -> Option<ListenerId> {
        let target = self.targets.get(self.connects % self.targets.len().max(1)).copied();
        self.connects += 1;
        target
    }
}
