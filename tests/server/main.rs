//! The server as a program on the real kernel: raw bytes over real sockets, folders as sites, rules
//! in files, folders that an attacker changes while they are read, and the processes of the
//! service.
//!
//! One program for all of these, as each costs a build and a link of its own. `cargo test --test
//! server serve::` runs the tests of one file.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "shown if a test fails")]

#[path = "../common/mod.rs"]
mod common;

mod access_log;
mod admin;
mod conditions;
mod engine;
mod fields;
mod files;
mod protection;
mod proxied;
mod rules;
mod serve;
mod service;
mod site;
mod start_files;
