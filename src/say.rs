//! What the programs tell people. That nobody reads it is no reason to stop, so unlike `println!`
//! and `eprintln!` these never panic: whoever read a pipe may be gone long before its writer. A
//! line is one write, so that it is not torn by another process's.

use std::fmt::Display;
use std::io::Write;

/// Writes a line of results to standard output.
pub fn out(text: impl Display) {
    let _ = std::io::stdout().write_all(format!("{text}\n").as_bytes());
}

/// Writes a line about what happens to standard error.
pub fn err(text: impl Display) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}
