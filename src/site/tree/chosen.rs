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
    /// Whether the choice depends on the preferred language of the request.
    pub(super) by_language: bool,
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
    /// Whether the choice depends on the preferred language of the request.
    pub(super) by_language: bool,
}

impl FileResponse {
    /// The same response, chosen by the preferred language of the request.
    pub(in crate::site) fn varying_by_language(self) -> Self {
        Self { by_language: true, ..self }
    }
}

impl Redirection {
    /// The same redirect, chosen by the preferred language of the request.
    pub(in crate::site) fn varying_by_language(self) -> Self {
        Self { by_language: true, ..self }
    }
}
