//! Why the server could not start, in three parts that a person needs: what failed, why, and what
//! mends it.

use std::fmt;
use std::io;

/// A failure to start; the program prints it and exits with 1.
#[derive(Debug)]
pub struct Failure {
    /// What was tried, and on what.
    pub what: String,
    /// Why it failed, as the system says it.
    pub why: String,
    /// The command or setting that mends it.
    pub hint: String,
}

impl Failure {
    /// A failure with its reason and remedy.
    pub fn new(what: impl Into<String>, why: impl fmt::Display, hint: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.to_string(), hint: hint.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)?;
        if !self.hint.is_empty() {
            write!(f, "\n  {}", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// The error number of an I/O error, 0 if it has none.
pub(super) fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(0)
}
