//! The names of sockets, listeners and engines on a simulated network.

/// One end of a connection, from its connect to the end of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SocketId(pub u32);

impl SocketId {
    /// The socket at the other end: sockets are numbered in pairs.
    #[must_use]
    pub fn remote(self) -> Self {
        Self(self.0 ^ 1)
    }
}

/// A listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListenerId(pub u32);

/// The number of an engine among those that accept on one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EngineNumber(pub u32);
