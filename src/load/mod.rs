//! The load client `uringload`: what it is asked for, what it found, and how that is shown.

#![forbid(unsafe_code)]

pub mod report;
pub mod sweep;
