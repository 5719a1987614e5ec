//! Errors in the operator's files and options, each with its place.

use super::escape::escape_controls;
use std::fmt;

/// An error in a file of the root or in an option. `Display` writes the place and the reason:
/// `_redirects:3: /a leads to itself`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    place: String,
    line: Option<u32>,
    why: String,
}

impl Problem {
    /// An error in a line of a file; lines are counted from 1.
    #[must_use]
    pub fn at(file: &str, line: u32, why: String) -> Self {
        Self { place: file.to_owned(), line: Some(line), why }
    }

    /// An error in a whole file, or in an option.
    #[must_use]
    pub fn of(place: &str, why: String) -> Self {
        Self { place: place.to_owned(), line: None, why }
    }
}

impl Problem {
    /// The number of its line, unless it is in a whole file or an option.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        self.line
    }

    /// The same error with another reason behind the first.
    #[must_use]
    pub fn and(mut self, why: &str) -> Self {
        self.why = format!("{}; {why}", self.why);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, line, why } = self;
        match line {
            Some(line) => write!(f, "{place}:{line}: {}", escape_controls(why)),
            None => write!(f, "{place}: {}", escape_controls(why)),
        }
    }
}
