//! [`Engine`](crate::engine::Engine) on the kernel's `io_uring`: operations become submission queue
//! entries, and names of buffers become addresses, here and nowhere else.
//!
//! Memory that the kernel may access while an operation is in flight lives as long as the ring: the
//! fixed buffer and the receive buffers are owned by [`Uring`], which ends every operation before
//! it frees them.

#![allow(unsafe_code, reason = "the ring is memory shared with the kernel")]
// The C interface uses integers of many sizes; the values that are cast are small and constant.
#![allow(clippy::cast_possible_truncation, reason = "small constants")]

mod buffers;
mod construct;
mod entries;
mod files;
mod peers;
pub mod probe;
mod restrict;
mod ring;
#[cfg(debug_assertions)]
mod submit_raw;
pub mod unavailable;
mod vectors;

pub use ring::{Setup, Uring};

use crate::engine::kernel::ReceiveBuffers;

/// The number of a server's receive buffers.
pub const RECEIVE_BUFFERS: u16 = ReceiveBuffers::SERVER.count;
/// The size of each, in bytes.
pub const RECEIVE_BUFFER_BYTES: u32 = ReceiveBuffers::SERVER.bytes;
