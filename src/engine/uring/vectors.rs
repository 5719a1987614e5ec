//! The iovec arrays of sends that gather several spans, each kept until the kernel has copied it.
//!
//! The kernel copies an array when it takes the entry that points to it, and it takes entries in
//! order.

use crate::bytes::SpanList;
use libc::{c_void, iovec, msghdr};

/// The arrays of sends of two spans: as many as the submission queue has entries.
///
/// The queue never contains more entries than there are places here, so an entry has been taken
/// when its place is used again.
pub(super) struct Vectors(Box<[SendVector<2>]>);

/// The arrays of sends of a list of spans. There are fewer of them than entries, because they are
/// large and each such send is a long one.
pub(super) struct ListVectors {
    places: Box<[SendVector<{ SpanList::SPANS_MAX as usize }>]>,
    /// How many are in use, from the first on.
    used: usize,
    /// The number of the entry that used the last of them.
    last: u64,
}

/// An array of iovecs, and a message header for sendmsg(2) that points to it.
pub(super) struct SendVector<const N: usize> {
    pieces: [iovec; N],
    count: usize,
    message: msghdr,
}

impl Vectors {
    pub(super) fn new(entries: usize) -> Self {
        Self((0..entries).map(|_| SendVector::empty()).collect())
    }

    /// The place for the entry with this number, counted from the ring's start.
    pub(super) fn at(&mut self, number: u64) -> &mut SendVector<2> {
        let places = self.0.len() as u64;
        let place =
            usize::try_from(number % places).expect("a remainder is below the number of places");
        &mut self.0[place]
    }
}

impl ListVectors {
    pub(super) fn new() -> Self {
        Self { places: (0..LISTS).map(|_| SendVector::empty()).collect(), used: 0, last: 0 }
    }

    /// Whether there is a place for one more entry, when the kernel has taken the first `taken` of
    /// all entries.
    pub(super) fn has_room(&mut self, taken: u64) -> bool {
        if self.last < taken {
            self.used = 0;
        }
        self.used < self.places.len()
    }

    /// A place for the entry with this number, if [`ListVectors::has_room`].
    pub(super) fn take(
        &mut self,
        number: u64,
    ) -> &mut SendVector<{ SpanList::SPANS_MAX as usize }> {
        let place = &mut self.places[self.used];
        (self.used, self.last) = (self.used + 1, number);
        place
    }
}

impl<const N: usize> SendVector<N> {
    fn empty() -> Self {
        let piece = iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Self {
            pieces: [piece; N],
            count: 0,
            message: msghdr {
                msg_name: std::ptr::null_mut(),
                msg_namelen: 0,
                msg_iov: std::ptr::null_mut(),
                msg_iovlen: 0,
                msg_control: std::ptr::null_mut(),
                msg_controllen: 0,
                msg_flags: 0,
            },
        }
    }

    /// # Panics
    /// If there are more than `N` pieces.
    pub(super) fn set<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>) {
        self.count = 0;
        for piece in pieces {
            self.pieces[self.count] = iovec {
                // A send only reads; the type is mutable because receives share it.
                iov_base: piece.as_ptr().cast_mut().cast::<c_void>(),
                iov_len: piece.len(),
            };
            self.count += 1;
        }
    }

    /// The address and number of the iovecs, for a vectored send.
    pub(super) fn pieces(&self) -> (*const u8, u32) {
        (self.pieces.as_ptr().cast(), u32::try_from(self.count).expect("at most N"))
    }

    /// The address of the header, for sendmsg(2).
    pub(super) fn message(&mut self) -> *const msghdr {
        self.message.msg_iov = self.pieces.as_mut_ptr();
        self.message.msg_iovlen = self.count;
        &raw const self.message
    }
}

/// Enough that a turn of the server with more of them has sent some megabytes.
const LISTS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_of_a_list_is_used_again_once_its_entry_was_taken() {
        let mut lists = ListVectors::new();
        assert!(lists.has_room(0));
        let first: *const _ = lists.take(0);
        for number in 1..LISTS as u64 {
            assert!(lists.has_room(0), "entry {number}");
            assert_ne!(&raw const *lists.take(number), first);
        }
        for taken in 0..LISTS as u64 {
            assert!(!lists.has_room(taken), "the last entry is not taken");
        }
        assert!(lists.has_room(LISTS as u64));
        assert_eq!(&raw const *lists.take(70), first);
    }
}
