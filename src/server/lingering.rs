//! How long the input of a client is dropped after its last response (RFC 9112 9.6).
//!
//! A close that bytes precede unread, or follow, answers them with a reset, and a reset destroys
//! the part of the response that the client hasn't read. So the server ends its side of the stream
//! and drops bytes until the client has ended the other. Not their number bounds that, but time:
//! [`SILENCE_MAX`] without a byte, [`LINGER_MAX`] in all, and less while another connection waits
//! for the slot, at whatever rate the bytes arrive: the connection has had its response, and others
//! that use their slots would lose theirs before it.

use crate::engine::Nanos;
use std::time::Duration;

/// The time since the socket has taken the last response of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lingering {
    since: Nanos,
}

impl Lingering {
    /// Of a connection whose last response has just been taken.
    pub(super) fn new(now: Nanos) -> Self {
        Self { since: now }
    }

    /// Whether bytes that arrive now let the time without a byte start anew, as they do unless it
    /// would then end behind [`LINGER_MAX`].
    pub(super) fn may_go_on(self, now: Nanos) -> bool {
        now.plus(SILENCE_MAX) <= self.since.plus(LINGER_MAX)
    }

    /// Whether the response was sent so lately that it may still be on its way. Until it has
    /// arrived, the connection keeps its slot although another one waits for it.
    pub(super) fn is_new(self, now: Nanos) -> bool {
        now < self.since.plus(KEPT_MIN)
    }
}

/// The longest time without a byte from the client, and the length of
/// [`Timeout::Linger`](crate::http1::Timeout::Linger).
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(2);
/// The longest time in all.
pub(super) const LINGER_MAX: Duration = Duration::from_secs(30);
/// The least time if another connection waits for the slot: several round trips.
const KEPT_MIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Nanos {
        Nanos(ms * 1_000_000)
    }

    /// When a client that sends a byte every `every_ms` milliseconds is given up, in milliseconds
    /// from the last response on.
    fn given_up_after(every_ms: u64) -> u64 {
        let lingering = Lingering::new(at(0));
        let mut armed = at(0);
        for ms in 1.. {
            if armed.plus(SILENCE_MAX) <= at(ms) {
                return ms;
            }
            if ms % every_ms == 0 && lingering.may_go_on(at(ms)) {
                armed = at(ms);
            }
        }
        unreachable!("the time has an end")
    }

    #[test]
    fn silence_of_two_seconds_and_thirty_seconds_in_all_are_the_limits() {
        assert_eq!(given_up_after(60_000), 2000, "silence");
        assert_eq!(given_up_after(2000), 2000, "the byte is too late");
        for every_ms in [1, 1000, 1999] {
            let ms = given_up_after(every_ms);
            assert!((28_000..=30_000).contains(&ms), "a byte every {every_ms} ms: {ms} ms");
        }
    }

    #[test]
    fn response_has_a_second_to_arrive() {
        let lingering = Lingering::new(at(5000));
        assert!(lingering.is_new(at(5999)) && !lingering.is_new(at(6000)));
    }
}
