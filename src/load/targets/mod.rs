//! The requests of a load with several targets: read from a list of URLs (`--urls`) or an access
//! log (`--replay`), put into an order, and laid out as a table of bytes. Reads lines from a given
//! reader and sends nothing.
//!
//! ```text
//!   lines ─► urls::read / access_log::read ─► RequestList ─► order ─► RequestTable ─► client
//! ```
//!
//! Each distinct request is stored once; the order is a sequence of numbers of 4 bytes, and a
//! timed replay has 8 more bytes per entry. With the bounds below, a table takes at most 120 MB of
//! numbers and [`REQUEST_BYTES_MAX`] of requests.

pub mod access_log;
mod lines;
pub mod order;
pub mod table;
pub mod urls;

use std::collections::HashMap;
use std::fmt;

/// A method and a request target, which a request can carry as they are: the method is a token, the
/// target has only visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MethodAndTarget {
    /// The method (RFC 9110 9.1).
    pub method: String,
    /// The request target as it is sent (RFC 9112 3.2).
    pub target: String,
}

impl fmt::Display for MethodAndTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.target)
    }
}

/// Distinct requests, and the order in which they are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestList {
    /// Each method and target once, in the order of their first appearance.
    pub requests: Vec<MethodAndTarget>,
    /// Indices of `requests`: one cycle of the load.
    pub sequence: Vec<u32>,
    /// The time of each entry of `sequence` after the first, in nanoseconds, ascending; empty
    /// unless the requests have times.
    pub due_ns: Vec<u64>,
}

/// Numbers distinct requests.
#[derive(Default)]
struct Numbering {
    requests: Vec<MethodAndTarget>,
    numbers: HashMap<MethodAndTarget, u32>,
    bytes: usize,
}

impl Numbering {
    /// The number of a request; `None` if the distinct requests would take more than
    /// [`REQUEST_BYTES_MAX`].
    fn number(&mut self, request: MethodAndTarget) -> Option<u32> {
        if let Some(&number) = self.numbers.get(&request) {
            return Some(number);
        }
        self.bytes += request.method.len() + request.target.len();
        if self.bytes > REQUEST_BYTES_MAX {
            return None;
        }
        let number = u32::try_from(self.requests.len()).expect("each has a byte or more");
        self.requests.push(request.clone());
        self.numbers.insert(request, number);
        Some(number)
    }
}

/// Why a list can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListError {
    /// The number of the line from 1; `None` if the list as a whole is wrong.
    pub line: Option<u64>,
    /// The reason and the remedy.
    pub why: String,
}

impl ListError {
    fn of_line(line: u64, why: impl Into<String>) -> Self {
        Self { line: Some(line), why: why.into() }
    }

    fn of_list(why: impl Into<String>) -> Self {
        Self { line: None, why: why.into() }
    }
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.why),
            None => f.write_str(&self.why),
        }
    }
}

impl std::error::Error for ListError {}

/// The most entries of a sequence: ten million requests of a log.
pub const ENTRIES_MAX: usize = 10_000_000;
/// The most bytes of distinct requests, which the fixed buffer of each worker holds (64 MiB).
pub const REQUEST_BYTES_MAX: usize = 64 << 20;
/// The longest line of a list or a log, in bytes.
pub const LINE_BYTES_MAX: usize = 64 << 10;
