//! A static HTTP server on `io_uring`, and the client that loads it.
//!
//! # The life of one request in the server
//!
//! 1. An accept completes. Its connection has a slot, which [`server`] reserved before the accept
//!    was submitted; a receive is armed.
//! 2. Bytes arrive in a buffer that the engine chose. The server passes them to the connection's
//!    state machine ([`http1`]), which parses them in place ([`http`]): an incomplete head, a
//!    request, or an error.
//! 3. [`site`] chooses the bytes of the response: spans of one buffer that was filled at start. For
//!    a file, the head is first assembled from prepared pieces in the slot's own part of that
//!    buffer.
//! 4. The server submits one send of these spans. The send never waits. If the socket takes all
//!    bytes, no completion is posted and the connection is back at step 2. If the socket takes
//!    fewer, the rest is sent when the socket has room.
//! 5. The last send of a connection is linked to its close. The completion of the close frees the
//!    slot, so that the next connection can be accepted.
//!
//! # The life of one request in the load client
//!
//! [`load::run`] starts worker processes, each with an engine of its own. In a worker,
//! [`load::schedule`] decides when a request is due and [`load::client`] assigns it to a free
//! connection, sends it, parses the response ([`http::response_parser`]) and adds the outcome to
//! counters in shared memory ([`load::counters`]), which the parent reads while the load runs.
//!
//! # The rooms
//!
//! Imports run one way; `tests/tidy.rs` has the table and checks it.
//!
//! - [`http`]: RFC 9110 and 9112 as pure functions. Imports nothing.
//! - [`bytes`]: ranges of the buffer that is sent from. Imports nothing.
//! - [`engine`]: the trait of a completion engine and its vocabulary (operations, tokens,
//!   completions); [`engine::uring`] implements it on `io_uring`, and
//!   [`engine::chosen`] names the one that the programs run on.
//! - [`site`]: the responses, and the choice among them. [`site::build`] makes a site of a folder.
//! - [`http1`]: one server connection as a state machine without I/O.
//! - [`server`]: one worker: slots, the connection limit, timeouts, the drain.
//! - [`start`]: from settings to a server that is ready.
//! - [`sandbox`]: what the process gives up before it serves.
//! - [`os`]: all other system calls. Unsafe code is here and in [`engine::uring`] alone.
//! - [`error`]: a failure, its cause, and a hint for the operator.
//! - [`doctor`]: checks of the machine.
//! - [`load`]: the load client. [`experiment`]: sweeps of servers over loads, and charts.
//! - [`sim`]: an engine without a kernel, with faults, peers and checkers. It runs the same
//!   [`server::Server`] and [`load::client::Client`] as the programs.
//! - [`cli`]: command lines. [`timers`]: deadlines of slots in constant time. [`stats`]: counters.

pub mod bytes;
pub mod cli;
pub mod doctor;
pub mod engine;
pub mod error;
pub mod experiment;
pub mod http;
pub mod http1;
pub mod load;
pub mod os;
pub mod sandbox;
pub mod server;
pub mod sim;
pub mod site;
pub mod start;
pub mod stats;
pub mod timers;
