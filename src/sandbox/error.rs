//! Why the sandbox can't be entered.

use super::layer::Layer;
use crate::engine::kernel::EngineError;
use crate::error::Failure;
use crate::os::landlock::LandlockError;
use crate::os::privileges::{GiveUpError, UnknownName};
use crate::os::process::ThreadsError;
use crate::os::seccomp::FilterError;
use std::error::Error;
use std::fmt;
use std::io;

/// The step that failed. The programs add the names of their options.
#[derive(Debug)]
pub enum SandboxError {
    /// The user or group to become doesn't exist.
    UnknownAccount {
        /// The account, as it was named.
        text: String,
        /// The unknown part of it.
        error: UnknownName,
    },
    /// The account to become is root, or in root's group, which wasn't permitted.
    RootAccount {
        /// The account, as it was named.
        text: String,
    },
    /// `/dev/null` can't be opened.
    NullDevice(io::Error),
    /// The inherited descriptors can't be listed.
    Descriptors(io::Error),
    /// The folders in which files may be read or removed can't be opened.
    Exceptions(io::Error),
    /// The process is not known to have a single thread.
    Threads(ThreadsError),
    /// A privilege can't be given up.
    Privileges(GiveUpError),
    /// The kernel supports Landlock but refused the ruleset.
    Landlock(LandlockError),
    /// The filter of system calls can't be built or was refused.
    Filter(FilterError),
    /// There is no engine.
    Engine(EngineError),
    /// A layer is missing or incomplete, and all of them are required.
    Incomplete {
        /// The layer.
        layer: Layer,
        /// The reason.
        why: String,
    },
    /// A step of the program itself, or the reception of signals.
    Program(Failure),
}

impl fmt::Display for SandboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownAccount { error, .. } => error.fmt(f),
            Self::RootAccount { .. } => f.write_str("it is root, or in root's group"),
            Self::NullDevice(error) | Self::Descriptors(error) | Self::Exceptions(error) => {
                error.fmt(f)
            }
            Self::Threads(error) => error.fmt(f),
            Self::Privileges(error) => error.fmt(f),
            Self::Landlock(error) => error.fmt(f),
            Self::Filter(error) => error.fmt(f),
            Self::Engine(error) => error.fmt(f),
            Self::Incomplete { why, .. } => f.write_str(why),
            Self::Program(failure) => failure.fmt(f),
        }
    }
}

impl Error for SandboxError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::UnknownAccount { error, .. } => Some(error),
            Self::NullDevice(error) | Self::Descriptors(error) | Self::Exceptions(error) => {
                Some(error)
            }
            Self::Threads(error) => Some(error),
            Self::Privileges(error) => Some(error),
            Self::Landlock(error) => Some(error),
            Self::Filter(error) => Some(error),
            Self::Engine(error) => Some(error),
            Self::Program(failure) => Some(failure),
            Self::RootAccount { .. } | Self::Incomplete { .. } => None,
        }
    }
}

impl From<ThreadsError> for SandboxError {
    fn from(error: ThreadsError) -> Self {
        Self::Threads(error)
    }
}

impl From<GiveUpError> for SandboxError {
    fn from(error: GiveUpError) -> Self {
        Self::Privileges(error)
    }
}

impl From<EngineError> for SandboxError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<Failure> for SandboxError {
    fn from(failure: Failure) -> Self {
        Self::Program(failure)
    }
}
