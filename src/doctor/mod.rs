//! What one has to find out by hand before serving, or before making load: each fact of the
//! machine judged as ok, a warning or a fault, with why it matters and what mends it.
//!
//! ```text
//! Purpose ──► Facts::gather ──► examine ──► Report ──► text or JSON
//!             reads, asks,      pure,        facts of the machine
//!             changes nothing   a table      in a person's words
//! ```
//!
//! The judgements hold for Linux 4.12 to 6.18; each cites the version in which a fact changed. The
//! doctor knows the ring and the limits as the server does, and nothing of HTTP.

#![forbid(unsafe_code)]

mod check;
pub mod facts;
mod gather;
mod parse;
mod report;

pub use check::examine;
pub use facts::Facts;
pub use report::{Check, Remedy, Report, SCHEMA, Status};

use crate::os::process::OPEN_FILES_RESERVE;
use serde::{Deserialize, Serialize};

/// What the machine is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purpose {
    /// Most connections open at once.
    pub spawn: u32,
    /// Most connections that wait to be accepted.
    pub backlog: u32,
    /// Whether load is made here, too.
    pub load: bool,
}

impl Purpose {
    /// How many files the server would have open.
    #[must_use]
    pub fn files_needed(&self) -> u64 {
        u64::from(self.spawn) + OPEN_FILES_RESERVE
    }
}
