//! The iovec arrays of sends that gather two spans, each kept until the kernel has copied it.

use libc::{c_void, iovec, msghdr};

/// As many arrays as the submission queue has entries.
///
/// The kernel copies an array when it takes the entry that points to it. It takes entries in order,
/// and the queue never contains more entries than there are places here, so an entry has been taken
/// when its place is used again.
pub(super) struct Vectors(Box<[SendVector]>);

/// An array of two iovecs, and a message header for sendmsg(2) that points to it.
pub(super) struct SendVector {
    pieces: [iovec; PIECES],
    message: msghdr,
}

impl Vectors {
    pub(super) fn new(entries: usize) -> Self {
        Self((0..entries).map(|_| SendVector::empty()).collect())
    }

    /// The place for the entry with this number, counted from the ring's start.
    pub(super) fn at(&mut self, number: u64) -> &mut SendVector {
        let places = self.0.len() as u64;
        let place =
            usize::try_from(number % places).expect("a remainder is below the number of places");
        &mut self.0[place]
    }
}

impl SendVector {
    fn empty() -> Self {
        let piece = iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Self {
            pieces: [piece; PIECES],
            message: msghdr {
                msg_name: std::ptr::null_mut(),
                msg_namelen: 0,
                msg_iov: std::ptr::null_mut(),
                msg_iovlen: PIECES,
                msg_control: std::ptr::null_mut(),
                msg_controllen: 0,
                msg_flags: 0,
            },
        }
    }

    pub(super) fn set(&mut self, pieces: [&[u8]; PIECES]) {
        self.pieces = pieces.map(|piece| iovec {
            // A send only reads; the type is mutable because receives share it.
            iov_base: piece.as_ptr().cast_mut().cast::<c_void>(),
            iov_len: piece.len(),
        });
    }

    /// The address and number of the iovecs, for a vectored send.
    pub(super) fn pieces(&self) -> (*const u8, u32) {
        (self.pieces.as_ptr().cast(), PIECES as u32)
    }

    /// The address of the header, for sendmsg(2).
    pub(super) fn message(&mut self) -> *const msghdr {
        self.message.msg_iov = self.pieces.as_mut_ptr();
        &raw const self.message
    }
}

const PIECES: usize = 2;
