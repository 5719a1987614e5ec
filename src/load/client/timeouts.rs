//! The timeouts of a client connection.

use super::plan::ClientPlan;
use crate::timers::Kinds;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientTimeout {
    /// Until the server accepts the connection.
    Connect,
    /// Until the responses to a batch are complete.
    Response,
    /// Until the server closes, after its last response.
    Linger,
    /// Until the next attempt to connect, after one that failed.
    Retry(Backoff),
    /// Until the next request of a slot, after a response.
    Think,
}

/// The pause after a failed attempt to connect, which grows with the number of failures in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Backoff(u8);

impl Backoff {
    /// The pause after one more failure.
    pub(super) fn longer(self) -> Self {
        Self((self.0 + 1).min(Self::LONGEST))
    }

    fn pause(self) -> Duration {
        Self::FIRST * 2_u32.pow(self.0.into())
    }

    const FIRST: Duration = Duration::from_millis(1);
    /// 256 ms.
    const LONGEST: u8 = 8;
}

impl ClientTimeout {
    /// Its length.
    pub(super) fn length(self, plan: &ClientPlan) -> Duration {
        match self {
            Self::Connect => Duration::from_nanos(plan.connect_timeout_ns),
            Self::Response => Duration::from_nanos(plan.response_timeout_ns),
            Self::Linger => LINGER,
            Self::Retry(backoff) => backoff.pause(),
            Self::Think => Duration::from_nanos(plan.think_ns),
        }
    }
}

impl Kinds for ClientTimeout {
    const ALL: &'static [Self] = &[
        Self::Connect,
        Self::Response,
        Self::Linger,
        Self::Retry(Backoff(0)),
        Self::Retry(Backoff(1)),
        Self::Retry(Backoff(2)),
        Self::Retry(Backoff(3)),
        Self::Retry(Backoff(4)),
        Self::Retry(Backoff(5)),
        Self::Retry(Backoff(6)),
        Self::Retry(Backoff(7)),
        Self::Retry(Backoff(8)),
        Self::Think,
    ];

    fn index(self) -> usize {
        match self {
            Self::Connect => 0,
            Self::Response => 1,
            Self::Linger => 2,
            Self::Retry(Backoff(level)) => 3 + usize::from(level),
            Self::Think => 12,
        }
    }
}

/// How long a server may take to close after its last response.
pub const LINGER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timeout_is_found_at_its_index() {
        for (index, timeout) in ClientTimeout::ALL.iter().enumerate() {
            assert_eq!(timeout.index(), index);
        }
    }

    #[test]
    fn pauses_double_up_to_a_quarter_of_a_second() {
        let mut backoff = Backoff::default();
        for millis in [1, 2, 4, 8, 16, 32, 64, 128, 256, 256, 256] {
            assert_eq!(backoff.pause(), Duration::from_millis(millis));
            backoff = backoff.longer();
        }
    }
}
