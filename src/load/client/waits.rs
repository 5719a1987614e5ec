//! What connections of the client wait for.

use crate::timers::Kinds;

/// What a connection is waiting for, as far as deadlines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// The server to accept it.
    Connect,
    /// The responses to what was sent.
    Response,
    /// The server to close after its last response.
    Linger,
}

impl Kinds for Wait {
    const ALL: &'static [Self] = &[Self::Connect, Self::Response, Self::Linger];

    fn index(self) -> usize {
        self as usize
    }
}
