//! The choice of a kind: what the operator asks for, and what is decided.

use super::Chosen;
use super::trial::{Trial, UndecidedError, try_in_child};
use crate::engine::kernel::{EngineError, EngineKind};
use crate::engine::uring::probe::Obstacles;
use crate::engine::uring::unavailable::RingUnavailable;
use serde::{Deserialize, Serialize};

/// The engine that an operator asks for (`--engine`). The comments on variants are help texts.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
pub enum EngineChoice {
    /// `io_uring` where it is available, epoll where not
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// `io_uring`, or a failure to start
    #[value(name = "io_uring")]
    #[serde(rename = "io_uring")]
    IoUring,
    /// epoll, which every kernel and every container permits
    #[serde(rename = "epoll")]
    Epoll,
}

/// The kind of the engines of a program, and the reason for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The kind.
    pub kind: EngineKind,
    /// Why it isn't `io_uring`, if [`EngineChoice::Auto`] was asked for and it isn't.
    pub why: Option<RingUnavailable>,
}

impl EngineChoice {
    /// The kind that is asked for, if it is one.
    #[must_use]
    pub fn kind(self) -> Option<EngineKind> {
        match self {
            Self::Auto => None,
            Self::IoUring => Some(EngineKind::IoUring),
            Self::Epoll => Some(EngineKind::Epoll),
        }
    }

    /// The value of the option.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.kind().map_or("auto", EngineKind::name)
    }

    /// Decides for a kind. [`EngineChoice::Auto`] has a child process create an engine on
    /// `io_uring` as the processes that will need one do, as their user and with what they give up,
    /// and make each of its system calls. The outcome is epoll only if the kernel is too old or
    /// refuses one of the calls, or a filter kills for it. Any other failure is for the real
    /// creation to report, with its remedy.
    ///
    /// `create` creates the engine of [`super::TRIAL`]; `None` stands for a failure of an earlier
    /// step. It runs in this process if that has several threads.
    ///
    /// # Errors
    /// If there is no child, or the child ended in another way or not in time.
    pub fn decide(
        self,
        create: impl FnOnce() -> Result<Option<Chosen>, EngineError>,
    ) -> Result<Decision, UndecidedError> {
        if let Some(kind) = self.kind() {
            return Ok(Decision { kind, why: None });
        }
        if let Some(too_old) = RingUnavailable::by_version() {
            return Ok(Decision::epoll(too_old));
        }
        Ok(Decision::of(try_in_child(create)?, &Obstacles::read()))
    }
}

impl From<EngineKind> for EngineChoice {
    fn from(kind: EngineKind) -> Self {
        match kind {
            EngineKind::IoUring => Self::IoUring,
            EngineKind::Epoll => Self::Epoll,
        }
    }
}

impl Decision {
    /// The message about a kind that `auto` fell back to.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        let why = self.why.as_ref()?;
        Some(format!("engine {}: {why}", self.kind.name()))
    }

    fn epoll(why: RingUnavailable) -> Self {
        Self { kind: EngineKind::Epoll, why: Some(why) }
    }

    /// The decision that follows from a trial of `io_uring`.
    fn of(trial: Trial, obstacles: &Obstacles) -> Self {
        let why = match trial {
            Trial::Succeeded | Trial::Failed => None,
            Trial::Killed => Some(RingUnavailable::Killed),
            Trial::Lacking(what) => Some(RingUnavailable::Lacking(what)),
            Trial::Refused { call, errno } => RingUnavailable::by_errno(&call, errno, obstacles),
        };
        why.map_or(Self { kind: EngineKind::IoUring, why: None }, Self::epoll)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Errno;

    #[test]
    fn only_an_unavailable_ring_leads_to_epoll() {
        let kind = |trial: Trial| Decision::of(trial, &Obstacles::read()).kind;
        let refused = |errno| Trial::Refused { call: "io_uring_setup".into(), errno: Errno(errno) };
        for errno in [libc::ENOSYS, libc::EPERM, libc::EACCES, libc::EINVAL] {
            assert_eq!(kind(refused(errno)), EngineKind::Epoll, "{errno}");
        }
        for errno in [libc::ENOMEM, libc::EMFILE, libc::ENFILE, libc::EAGAIN] {
            assert_eq!(kind(refused(errno)), EngineKind::IoUring, "{errno}");
        }
        assert_eq!(kind(Trial::Killed), EngineKind::Epoll);
        assert_eq!(kind(Trial::Lacking("an operation is missing".into())), EngineKind::Epoll);
        assert_eq!(kind(Trial::Succeeded), EngineKind::IoUring);
        assert_eq!(kind(Trial::Failed), EngineKind::IoUring);
    }

    #[test]
    fn an_explicit_kind_is_taken_without_a_trial() {
        for kind in [EngineKind::IoUring, EngineKind::Epoll] {
            let decided = EngineChoice::from(kind).decide(|| panic!("there is no trial"));
            let decided = decided.expect("it was asked for");
            assert_eq!((decided.kind, decided.message()), (kind, None));
        }
    }

    #[test]
    fn several_threads_try_the_engine_in_their_own_process() {
        let tried = std::cell::Cell::new(false);
        // A test runs in a thread of its own.
        let decided = EngineChoice::Auto.decide(|| {
            tried.set(true);
            Err(EngineError::new(
                "creating it",
                std::io::Error::from_raw_os_error(libc::EPERM),
                crate::engine::kernel::Remedy::Unknown,
            )
            .of_call("io_uring_enter"))
        });
        let decided = decided.expect("nothing is started");
        assert!(tried.get() || matches!(decided.why, Some(RingUnavailable::OldKernel(_))));
        assert_eq!(decided.kind, EngineKind::Epoll);
        let message = decided.message().expect("it fell back");
        assert!(message.starts_with("engine epoll: io_uring_enter is refused"), "{message}");
    }
}
