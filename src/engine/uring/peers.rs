//! The addresses of peers: a place in memory for each slot, which the kernel fills when it accepts
//! a connection.
//!
//! A place belongs either to the kernel, which may access it at any time, or to the program. `lent`
//! records which, and every access asserts it:
//!
//! ```text
//!   program ── lend, before the entry is pushed ──► kernel
//!      ▲                                              │
//!      └──── take_back, with the last completion ◄────┘
//! ```

use crate::engine::Slot;
use crate::os::mapping::Mapping;
use crate::os::net::PeerPlace;
use crate::peer_address::PeerAddress;
use std::io;

/// The addresses of the peers of all slots.
pub(super) struct Peers {
    /// A [`PeerPlace`] for each slot. No reference to one is ever made.
    places: Mapping,
    lent: Box<[bool]>,
}

impl Peers {
    /// Places for `slots` connections, of 32 bytes each.
    pub(super) fn new(slots: u32) -> io::Result<Self> {
        let places = Mapping::anonymous(slots as usize * size_of::<PeerPlace>())?;
        Ok(Self { places, lent: vec![false; slots as usize].into_boxed_slice() })
    }

    /// The addresses in a slot's place, for the entry of an accept. That is pushed only between
    /// [`Peers::lend`] and [`Peers::take_back`].
    pub(super) fn pointers(&self, slot: Slot) -> (*mut libc::sockaddr, *mut libc::socklen_t) {
        PeerPlace::pointers(self.place(slot))
    }

    /// Gives a slot's place to the kernel.
    pub(super) fn lend(&mut self, slot: Slot) {
        let lent = &mut self.lent[slot.0 as usize];
        assert!(!std::mem::replace(lent, true), "two accepts are in flight into {slot:?}");
        // SAFETY: the place is aligned and within the mapping, which `self` owns. No accept into
        // the slot was in flight (asserted above), so the kernel doesn't access it before the entry
        // that is pushed next.
        unsafe { self.place(slot).write(PeerPlace::EMPTY) };
    }

    /// Takes a slot's place back: the last completion of the accept has arrived.
    pub(super) fn take_back(&mut self, slot: Slot) {
        let lent = &mut self.lent[slot.0 as usize];
        assert!(std::mem::replace(lent, false), "no accept is in flight into {slot:?}");
    }

    /// The address of the peer that was accepted into a slot last.
    pub(super) fn of(&self, slot: Slot) -> PeerAddress {
        assert!(!self.lent[slot.0 as usize], "the place of {slot:?} belongs to the kernel");
        // SAFETY: the place is aligned, within the mapping and initialised, by mmap(2) at least;
        // any bytes are a valid `PeerPlace`. It isn't lent (asserted above), so the kernel doesn't
        // write to it until `lend`, which takes `&mut self`.
        let place = unsafe { self.place(slot).read() };
        place.decode()
    }

    /// Keeps the memory mapped for good, because operations that could not be ended may access it.
    pub(super) fn leak(&mut self) {
        self.places.leak();
    }

    #[allow(clippy::cast_ptr_alignment, reason = "mappings are page-aligned, places of 32 bytes")]
    fn place(&self, slot: Slot) -> *mut PeerPlace {
        const { assert!(size_of::<PeerPlace>().is_multiple_of(align_of::<PeerPlace>())) };
        self.places.at(slot.0 as usize * size_of::<PeerPlace>()).cast()
    }
}
