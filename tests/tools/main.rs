//! The other programs (the load client, sweeps, the doctor), and the parts of the library that have
//! tests of their own: both engines under one contract, and the corpora of the fuzz targets.
//!
//! One program for all of these, as each costs a build and a link of its own. `cargo test --test
//! tools load::` runs the tests of one file.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "all of these are tests"
)]

#[path = "../common/mod.rs"]
mod common;

mod contract;
mod corpus;
mod doctor;
mod load;
mod sweep;
mod tls;
