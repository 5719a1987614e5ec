//! The files of the slots: in the ring's table or in the process's.

use std::os::fd::RawFd;

/// Where the files of the slots are.
pub(super) enum Files {
    /// In the ring's table (`IORING_REGISTER_FILES`), at the slot's index.
    Direct,
    /// In the process's table: the descriptor of each slot, or -1.
    Ordinary(Box<[RawFd]>),
}

/// The `user_data` of an entry that closes a listening socket, which is no token's.
pub(super) const LISTENER_CLOSED: u64 = u64::MAX;
