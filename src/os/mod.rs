//! The kernel: the only place with unsafe code. Rings, sockets, signals, limits of the process.
//!
//! Each unsafe block states the invariant it stands on. No function here is unsafe to call, and
//! none takes an address.
#![allow(unsafe_code, reason = "system calls")]
// The C interface counts in whatever integers it likes; what is cast is small and constant.
#![allow(clippy::cast_possible_truncation, reason = "small constants")]

pub mod beneath;
pub mod children;
pub mod inherited;
pub mod landlock;
pub mod lock;
pub mod net;
pub mod pages;
pub mod poll;
pub mod privileges;
pub mod process;
pub mod seccomp;
pub mod shared;
pub mod signal;
pub mod terminal;

pub(crate) mod call;
