//! Failures as the programs print them: what failed, why, and how to fix it.

use std::fmt;
use std::io;

/// A failure that ends a program with exit status 1. `Display` writes "what: why", and the hint, if
/// there is one, on a second, indented line.
///
/// The room that fails knows the first two parts. A hint that names an option is added where the
/// options are known, by [`Failure::with_hint`].
///
/// ```
/// use uringstatic::error::Failure;
///
/// let cause = std::io::Error::from_raw_os_error(98); // EADDRINUSE
/// let failure = Failure::caused("binding 127.0.0.1:80", cause).with_hint("stop the other server");
/// assert_eq!(
///     failure.to_string(),
///     "binding 127.0.0.1:80: Address already in use (os error 98)\n  stop the other server"
/// );
/// assert!(std::error::Error::source(&failure).is_some());
/// ```
#[derive(Debug)]
pub struct Failure {
    /// The step that failed, and on what: `binding 127.0.0.1:80`.
    pub what: String,
    /// The cause, such as the system's error message.
    pub why: String,
    /// A command or setting that fixes it; empty if none is known.
    pub hint: String,
    /// The error behind `why`, for callers that match on it.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Failure {
    /// A failure without a source.
    pub fn new(what: impl Into<String>, why: impl fmt::Display, hint: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.to_string(), hint: hint.into(), source: None }
    }

    /// A failure without a hint, whose cause is another error.
    pub fn caused(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let source = source.into();
        let why = source.to_string();
        Self { what: what.into(), why, hint: String::new(), source: Some(source) }
    }

    /// The same failure with this hint.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
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

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// The error number of an I/O error, 0 if it has none.
pub(super) fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(0)
}
