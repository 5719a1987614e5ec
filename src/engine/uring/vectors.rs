//! The vectors of sends that gather two spans, each in its place until the kernel has copied it.

use libc::{c_void, iovec, msghdr};

/// As many vectors as the submission queue has entries.
///
/// The kernel copies a vector when it takes the entry that points to it. Entries are taken in
/// their order, and the queue never holds more than there are places: so when an entry's place
/// comes round again, that entry has been taken.
pub(super) struct Vectors(Box<[Vector]>);

/// A vector of two pieces, and the message that sendmsg(2) wants around it.
pub(super) struct Vector {
    pieces: [iovec; PIECES],
    message: msghdr,
}

impl Vectors {
    pub(super) fn new(entries: usize) -> Self {
        Self((0..entries).map(|_| Vector::empty()).collect())
    }

    /// The place of the entry with this number, counted from the start.
    pub(super) fn at(&mut self, number: u64) -> &mut Vector {
        let places = self.0.len() as u64;
        let place = usize::try_from(number % places).expect("less than the places");
        &mut self.0[place]
    }
}

impl Vector {
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
            // Only read from, though the type is that of receives, too.
            iov_base: piece.as_ptr().cast_mut().cast::<c_void>(),
            iov_len: piece.len(),
        });
    }

    /// For an entry that names the pieces itself.
    pub(super) fn pieces(&self) -> (*const u8, u32) {
        (self.pieces.as_ptr().cast(), PIECES as u32)
    }

    /// For an entry of sendmsg(2).
    pub(super) fn message(&mut self) -> *const msghdr {
        self.message.msg_iov = self.pieces.as_mut_ptr();
        &raw const self.message
    }
}

const PIECES: usize = 2;
