//! A static HTTP server on `io_uring` or epoll(7), and a client that loads it.
//!
//! The library has everything but the `main` functions. Its entry points are [`start`], which makes
//! a server from settings and is also how another program embeds it, and [`load::run`], which runs
//! a load. [`service::run`] has such servers in processes of their own, which it reloads and
//! replaces. The server and the client drive an [`engine`]: a pair of queues, operations in and
//! completions out, with the kernel behind it or, in tests, a simulation ([`engine::sim`]).
//!
//! # One request in the server
//!
//! ```text
//!   accept ──► receive ──► parse ──► choose ──► send ──► close
//!   server     engine      http1     site       engine   server
//!                 ▲        http        │           │
//!                 └────────────────────┴───────────┘  the connection persists
//! ```
//!
//! 1. **Accept.** An accept completes. The connection has a slot, which [`server`] reserved before
//!    it submitted the accept; a receive is armed.
//! 2. **Receive.** Bytes arrive in a buffer that the engine chose, and the server passes them to
//!    the state machine of the connection ([`http1`]).
//! 3. **Parse.** The state machine parses the bytes in place ([`http`]) into a request, an error,
//!    or an incomplete head. Only an incomplete head is copied.
//! 4. **Choose.** [`site`] chooses the response: spans of one buffer that was filled at start. The
//!    head of a file's response is first assembled, from prepared pieces, in the slot's own block
//!    of that buffer.
//! 5. **Send.** The server submits one send of these spans. The send never waits. If the socket
//!    takes all bytes, no completion is posted and the connection is back at step 2. Otherwise the
//!    rest follows when the socket is writable.
//! 6. **Close.** The last send of a connection is linked to its close. The completion of the close
//!    frees the slot for the next accept.
//!
//! # One request in the load client
//!
//! [`load::run`] starts worker processes, each with an engine of its own. In a worker,
//! [`load::schedule`] decides when a request is due. [`load::client`] assigns it to a free
//! connection, sends it, parses the response ([`http::response_parser`]) and adds the outcome to
//! counters in shared memory ([`load::counters`]), which the parent process reads while the load
//! runs.
//!
//! # The modules
//!
//! Imports run one way; `tests/tidy/imports.rs` has the table and checks it.
//!
//! | module | content |
//! |---|---|
//! | [`http`] | RFC 9110 and RFC 9112 as pure functions; imports nothing |
//! | [`http1`] | one server connection as a state machine without I/O |
//! | [`site`] | the prepared responses and the choice among them; [`site::build`] reads a folder |
//! | [`server`] | one worker: slots, the connection limit, timeouts, the drain |
//! | [`engine`] | the trait of an engine and its vocabulary |
//! | [`engine::uring`], [`engine::epoll`] | the engines on `io_uring` and on epoll(7) |
//! | [`engine::chosen`] | the choice between them, and the programs' engine, which is either |
//! | [`service`] | the supervisor, the loader and the workers: reloads, replacements, one limit |
//! | [`telemetry`] | the records of responses, and their readers |
//! | [`start`] | from settings to a server that is ready |
//! | [`sandbox`] | what the process gives up before it serves |
//! | [`os`] | all other system calls; unsafe code is here and in [`engine::uring`] only |
//! | [`telemetry`] | what operators learn about a running service: its metrics and its status |
//! | [`doctor`] | checks of the machine |
//! | [`image`] | container images of the program and a site |
//! | [`healthcheck`] | the health of a running service, asked from beside it |
//! | [`load`], [`experiment`] | the load client; sweeps of servers over loads, and charts |
//! | [`engine::sim`] | an engine without a kernel, its faults, and the simulated network |
//! | [`simulation`] | worlds of servers, load clients and peers in virtual time, with checkers |
//! | [`cli`] | the command lines of both programs |
//! | [`error`], [`text`] | failures and reports as the programs print them |
//! | [`socket`] | the operations in flight on one socket, for the server and the load client |
//! | [`bytes`], [`timers`], [`stats`] | spans of a buffer; deadlines of slots; counters |
//! | [`peer_address`] | the address of a connection's peer |
//!
//! The simulation runs the same [`server::Server`] and [`load::client::Client`] as the programs.

pub mod bytes;
pub mod cli;
pub mod doctor;
pub mod engine;
pub mod error;
pub mod experiment;
pub mod healthcheck;
pub mod http;
pub mod http1;
pub mod image;
pub mod load;
pub mod os;
pub mod peer_address;
pub mod sandbox;
pub mod server;
pub mod service;
pub mod simulation;
pub mod site;
pub mod socket;
pub mod start;
pub mod stats;
pub mod telemetry;
pub mod text;
pub mod timers;
mod value_parsers;
