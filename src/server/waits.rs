//! What connections wait for, and how long.

use crate::timers::Kinds;
use std::time::Duration;

/// What a connection is waiting for, as far as deadlines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A request head to be complete.
    Head,
    /// The next request on a connection that persists.
    Idle,
    /// The next bytes of a request body, or room for the next bytes of a reply.
    Progress,
    /// The peer to close after us.
    Linger,
}

/// How long each kind of wait may last.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For [`Wait::Head`].
    pub head: Duration,
    /// For [`Wait::Idle`].
    pub idle: Duration,
    /// For [`Wait::Progress`].
    pub progress: Duration,
    /// For [`Wait::Linger`].
    pub linger: Duration,
}

impl Kinds for Wait {
    const ALL: &'static [Self] = &[Self::Head, Self::Idle, Self::Progress, Self::Linger];

    fn index(self) -> usize {
        self as usize
    }
}

impl Limits {
    /// How long this wait may last.
    #[must_use]
    pub fn of(&self, wait: Wait) -> Duration {
        match wait {
            Wait::Head => self.head,
            Wait::Idle => self.idle,
            Wait::Progress => self.progress,
            Wait::Linger => self.linger,
        }
    }
}
