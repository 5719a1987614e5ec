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
    /// The end of a request body.
    Body,
    /// The peer to take a response. The deadline is only that of the next look at its rate.
    Response,
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
    /// For [`Wait::Body`].
    pub body: Duration,
    /// For [`Wait::Response`].
    pub response: Duration,
    /// For [`Wait::Linger`].
    pub linger: Duration,
}

impl Kinds for Wait {
    const ALL: &'static [Self] =
        &[Self::Head, Self::Idle, Self::Body, Self::Response, Self::Linger];

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
            Wait::Body => self.body,
            Wait::Response => self.response,
            Wait::Linger => self.linger,
        }
    }
}
