//! uringstatic: a static HTTP server for one core, on `io_uring`, and the client that loads it.
//!
//! # One request through the server
//!
//! 1. An accept completes: the connection is in a slot that was reserved for it ([`server`], its
//!    gate), and a receive is armed.
//! 2. Bytes arrive in a buffer that the ring picked. The server hands them to the connection's
//!    state machine ([`conn`]), which reads them where they lie ([`http`]): incomplete, a request,
//!    or something to refuse.
//! 3. [`site`] names the bytes that answer it: spans of the fixed buffer, built at start; of a
//!    file's reply, the head is copied together from pieces first.
//! 4. The server pushes one send of those. It runs to its end when it is submitted; if it took
//!    everything it posts no completion, and the connection is back at step 2. If it fell short,
//!    the rest waits until the socket is writable.
//! 5. A reply that ends its connection is linked to the close. The slot is free when that has
//!    completed, which lets the gate accept the next.
//!
//! # One request of the load client
//!
//! A parent ([`load::run`]) starts workers, which are processes with a ring each. In a worker,
//! [`load::schedule`] says when a request is due, [`load::client`] gives it to a free connection,
//! sends it from its fixed buffer, reads the reply ([`http::reply`]) and counts what came of it in
//! shared words ([`load::tally`]), which the parent reads while it runs.
//!
//! # Who knows what
//!
//! - [`ring`]: the trait and its words (operations, tokens, completions). Knows nothing else.
//! - [`sys`]: the ring on the kernel, and all other system calls; the only unsafe code. Knows
//!   `ring`.
//! - [`sim`]: the ring without a kernel, with faults, peers and judges. Knows `ring`, and drives
//!   `server` and `load::client`.
//! - [`http`]: bytes to requests and replies, and back. Knows nothing else.
//! - [`site`]: what is served. Knows `http`, and of `ring` its spans.
//! - [`conn`]: one connection as a state machine. Knows `http`, `site`, `stats`, and spans.
//! - [`server`]: slots, the cap, deadlines, the end. Knows `conn`, `ring`, `site`, `stats` and
//!   `timers`, and no byte of HTTP.
//! - [`say`]: lines for people, which nobody need read.
//! - [`tree`]: reads the folder that is served, at start. Knows `site`, `http` and `cli`.
//! - [`start`]: from options to a server that is ready. Knows all rooms of the server, and `sys`.
//! - [`lockdown`]: what the process gives up before it serves. Names `sys` to do it.
//! - [`timers`]: deadlines of slots, in constant time. [`stats`]: what is counted.
//! - [`cli`]: the command line of the server. Knows of `http` how hosts are written.
//! - [`load`]: the load client and the sweep. Knows `http`, `ring`, `timers` and `cli`; its outer
//!   parts (`run`, `worker`, `files`, `sweep`) also name `sys`.
//! - [`doctor`]: what of a machine stands in the way. Names `sys` to gather facts.
//!
//! The same [`server::Server`] and the same [`load::client::Client`] run on either ring: they are
//! generic over [`ring::Ring`] and name no other. Apart from `load`'s outer parts, `tree`,
//! `doctor`, `start` and `lockdown`, only programs, tests and benches name `sys`.

#![deny(unsafe_code)]

pub mod cli;
pub mod conn;
pub mod doctor;
pub mod http;
pub mod load;
pub mod lockdown;
pub mod ring;
pub mod say;
pub mod server;
pub mod sim;
pub mod site;
pub mod start;
pub mod stats;
pub mod sys;
pub mod timers;
pub mod tree;
