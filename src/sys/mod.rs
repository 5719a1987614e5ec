//! The kernel: the only place with unsafe code. Rings, sockets, signals, limits of the process.
//!
//! Each unsafe block states the invariant it stands on. No function here is unsafe to call, and
//! none takes an address.
#![allow(unsafe_code)]
// The C interface counts in whatever integers it likes; what is cast is small and constant.
#![allow(clippy::cast_possible_truncation)]

pub mod belongings;
pub mod beneath;
pub mod buffers;
pub mod children;
pub mod dial;
pub mod failure;
pub mod landlock;
pub mod lock;
pub mod net;
pub mod poll;
pub mod privileges;
pub mod probe;
pub mod process;
pub mod seccomp;
pub mod shared;
pub mod signal;
pub mod uring;
mod vectors;

mod call;
