//! The responses that a tree can choose, as far as they are not built at start.

use super::heads::StatusIndex;
use super::rows::RouteTarget;

/// A response with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileResponse {
    pub(super) target: RouteTarget,
    pub(super) representation: u32,
    pub(super) status: StatusIndex,
    pub(super) select: Select,
}

/// The part of a representation that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Select {
    Whole,
    /// The offsets of the first and the last byte, both included.
    Part(u64, u64),
    NotModified,
    Unsatisfiable,
}

/// A redirect whose `Location` lies in the slot's tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirection {
    pub(super) status: StatusIndex,
    pub(super) location_bytes: u32,
}
