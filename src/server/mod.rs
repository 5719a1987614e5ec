//! The server: one loop over one engine. It knows slots, the connection limit, timeouts and
//! completions; it knows no byte of HTTP, no address of its own and no descriptor.
//!
//! A turn of the loop waits once, handles every completion, handles expired timeouts, arms accepts
//! and receives that have become possible, and pushes their entries for the next wait. `exchange`,
//! `sending` and `ending` have the operations of one connection, `accepting` has the way in, and
//! `long_sends` the order in which connections send.

mod accepting;
mod acceptor;
mod config;
mod connection;
mod ending;
mod exchange;
mod lingering;
mod long_sends;
mod observing;
mod rate;
mod reporting;
mod sending;
mod supervision;
pub mod timeouts;
mod worker;

pub use config::{HEALTH_SLOTS, LISTENERS_MAX, ProxiedListeners, ServerConfig, accepts_for};
pub use supervision::{Supervision, Usage};
pub use worker::{RETIRE, Server, TRY_ACCEPTS, Turn, WITHOUT_EFFECT};
