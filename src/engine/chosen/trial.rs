//! The trial of `io_uring`: an engine is created and entered once, in a child process, which a
//! filter of system calls may kill.

use super::Chosen;
use crate::engine::kernel::{EngineError, EngineKind, ReceiveBuffers, Remedy, Requirements};
use crate::engine::{Engine, Errno, Nanos};
use crate::os::fork::ForkError;
use crate::os::reaping::ProcessEnd;
use crate::os::trial::{TrialEnd, in_child};
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// The engine of a trial, as small as it gets.
pub const TRIAL: Requirements<'static> = Requirements {
    kind: EngineKind::IoUring,
    slots: 1,
    buffers: ReceiveBuffers::SERVER,
    without: &[],
};

/// The outcome of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trial {
    /// There was an engine, and it waited.
    Succeeded,
    /// The kernel refused a system call.
    Refused {
        /// Its name.
        call: String,
        /// Its error.
        errno: Errno,
    },
    /// The kernel lacks something, in words.
    Lacking(String),
    /// A filter killed the process for a system call (`SIGSYS`).
    Killed,
    /// A step failed that says nothing about `io_uring`.
    Failed,
}

/// Why nothing was decided.
#[derive(Debug)]
pub enum UndecidedError {
    /// There is no child process.
    NoChild(ForkError),
    /// The child ended without an outcome.
    Ended(ProcessEnd),
    /// The child hung.
    TimedOut,
}

impl fmt::Display for UndecidedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoChild(error) => write!(f, "no process can be started for it: {error}"),
            Self::Ended(end) => write!(f, "the process that tried it ended: {end}"),
            Self::TimedOut => write!(
                f,
                "the process that tried it hung for {} s and was killed",
                TRIAL_LIMIT.as_secs()
            ),
        }
    }
}

impl Error for UndecidedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NoChild(error) => Some(error),
            Self::Ended(_) | Self::TimedOut => None,
        }
    }
}

/// A multiple of the longest wait of a creation, for memory that another ring still has (1 s).
const TRIAL_LIMIT: Duration = Duration::from_secs(10);

/// Makes a trial in a child process, or in this one if it has several threads.
pub(super) fn try_in_child(
    create: impl FnOnce() -> Result<Option<Chosen>, EngineError>,
) -> Result<Trial, UndecidedError> {
    // The child takes its copy of the closure; without a child, this process has its own.
    let mut create = Some(create);
    let ended = in_child(TRIAL_LIMIT, || create.take().map_or(Trial::Failed, attempt).to_bytes());
    match ended {
        Ok(TrialEnd::Reported(report)) => Ok(Trial::from_bytes(&report).unwrap_or(Trial::Failed)),
        Ok(TrialEnd::Ended(ProcessEnd::Killed(libc::SIGSYS))) => Ok(Trial::Killed),
        Ok(TrialEnd::Ended(end)) => Err(UndecidedError::Ended(end)),
        Ok(TrialEnd::TimedOut) => Err(UndecidedError::TimedOut),
        Err(ForkError::Threads(_)) => Ok(create.take().map_or(Trial::Failed, attempt)),
        Err(error) => Err(UndecidedError::NoChild(error)),
    }
}

/// Creates the engine and waits until a time that has passed, so that each of its system calls was
/// made.
fn attempt(create: impl FnOnce() -> Result<Option<Chosen>, EngineError>) -> Trial {
    match create() {
        Ok(None) => Trial::Failed,
        Ok(Some(mut engine)) => match engine.submit_and_wait(Some(Nanos(0))) {
            Ok(()) => Trial::Succeeded,
            Err(errno) => Trial::Refused { call: "io_uring_enter".to_owned(), errno },
        },
        Err(error) => match (error.errno(), &error.remedy) {
            (Some(errno), _) => Trial::Refused { call: error.call.to_owned(), errno },
            (None, Remedy::NewerKernel(_)) => Trial::Lacking(error.to_string()),
            (None, _) => Trial::Failed,
        },
    }
}

impl Trial {
    /// The report of the child: a letter, and what belongs to it.
    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Succeeded => b"s".to_vec(),
            Self::Failed => b"f".to_vec(),
            Self::Killed => b"k".to_vec(),
            Self::Lacking(what) => [b"l", what.as_bytes()].concat(),
            Self::Refused { call, errno } => {
                [&b"r"[..], &errno.0.to_le_bytes(), call.as_bytes()].concat()
            }
        }
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (&letter, rest) = bytes.split_first()?;
        Some(match letter {
            b's' => Self::Succeeded,
            b'f' => Self::Failed,
            b'k' => Self::Killed,
            b'l' => Self::Lacking(text(rest)),
            b'r' => {
                let (errno, call) = rest.split_first_chunk()?;
                Self::Refused { call: text(call), errno: Errno(i32::from_le_bytes(*errno)) }
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_survives_the_pipe() {
        for trial in [
            Trial::Succeeded,
            Trial::Failed,
            Trial::Killed,
            Trial::Lacking("an operation is missing".to_owned()),
            Trial::Refused { call: "io_uring_register".to_owned(), errno: Errno(libc::EPERM) },
        ] {
            assert_eq!(Trial::from_bytes(&trial.to_bytes()), Some(trial));
        }
        for bytes in [&b""[..], b"x", b"r\x01"] {
            assert_eq!(Trial::from_bytes(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn an_error_without_a_number_says_nothing_unless_it_is_the_kernels_age() {
        let of = |remedy| attempt(|| Err(EngineError::new("using it", "too old", remedy)));
        assert_eq!(of(Remedy::Unknown), Trial::Failed);
        let newer = Remedy::NewerKernel("run Linux 6.1".to_owned());
        assert_eq!(of(newer), Trial::Lacking("too old".to_owned()));
    }
}
