//! The timeouts of a client connection.

use crate::timers::Kinds;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientTimeout {
    /// Until the server accepts the connection.
    Connect,
    /// Until the responses to a batch are complete.
    Response,
    /// Until the server closes, after its last response.
    Linger,
}

impl Kinds for ClientTimeout {
    const ALL: &'static [Self] = &[Self::Connect, Self::Response, Self::Linger];

    fn index(self) -> usize {
        self as usize
    }
}
