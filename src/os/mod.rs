//! The kernel's interfaces other than `io_uring`: sockets, files, processes, signals, limits, and
//! the mechanisms of the sandbox.
//!
//! Unsafe code is here and in [`crate::engine::uring`] only. Each unsafe block states the invariant
//! it relies on and who upholds it. Every function here is safe to call, and none takes an address.
#![allow(unsafe_code, reason = "system calls")]
// The C interface uses integers of many sizes; the values that are cast are small and constant.
#![allow(clippy::cast_possible_truncation, reason = "small constants")]

pub mod beneath;
pub mod channel;
pub mod children;
pub mod fork;
pub mod inherited;
pub mod landlock;
pub mod lock;
pub mod log_file;
pub mod net;
pub mod pages;
pub mod poll;
pub mod privileges;
pub mod proc;
pub mod process;
pub mod reaping;
pub mod seccomp;
pub mod service_manager;
pub mod shared;
pub mod signal;
pub mod terminal;
pub mod trial;

pub(crate) mod call;
pub(crate) mod mapping;
pub mod memory;
mod user_database;
