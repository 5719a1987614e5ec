//! How long each timeout of a connection is, in the server.

use crate::http1::Timeout;
use crate::timers::Kinds;
use std::time::Duration;

/// The length of each [`Timeout`].
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For [`Timeout::Head`].
    pub head: Duration,
    /// For [`Timeout::Idle`].
    pub idle: Duration,
    /// For [`Timeout::Body`].
    pub body: Duration,
    /// For [`Timeout::Response`]: how often the rate is checked at which a client takes a response.
    pub response: Duration,
    /// For [`Timeout::Linger`].
    pub linger: Duration,
}

impl Kinds for Timeout {
    const ALL: &'static [Self] =
        &[Self::Head, Self::Idle, Self::Body, Self::Response, Self::Linger];

    fn index(self) -> usize {
        self as usize
    }
}

impl Timeouts {
    /// The length of one timeout.
    #[must_use]
    pub fn of(&self, timeout: Timeout) -> Duration {
        match timeout {
            Timeout::Head => self.head,
            Timeout::Idle => self.idle,
            Timeout::Body => self.body,
            Timeout::Response => self.response,
            Timeout::Linger => self.linger,
        }
    }
}
