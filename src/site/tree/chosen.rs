//! The responses that a tree can choose, as far as they are not built at start.

use super::composer::Composition;
use super::heads::StatusIndex;
use super::rows::RouteTarget;
use crate::site::rendered::Prebuilt;

/// A response with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileResponse {
    pub(super) target: RouteTarget,
    pub(super) representation: u32,
    pub(super) status: StatusIndex,
    pub(super) select: Select,
    pub(super) origin: TargetOrigin,
    /// Whether the choice depends on the preferred language of the request.
    pub(super) by_language: bool,
    /// The fields, unless they are those of the target; then `by_language` is part of them.
    pub(super) fields: Option<Composition>,
}

/// The reason why a file answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TargetOrigin {
    /// The requested path leads to it.
    Route,
    /// A rewrite leads to it.
    Rule,
    /// It is the fallback or a `404.html`.
    Missing,
}

/// The part of a representation that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Select {
    Whole,
    /// The offsets of the first and the last byte, both included.
    Part(u64, u64),
    NotModified,
    Unsatisfiable,
    PreconditionFailed,
    NotAcceptable,
}

impl Select {
    /// The built-in response that is sent instead of the file.
    pub(super) fn built_in(self) -> Option<Prebuilt> {
        match self {
            Self::Whole | Self::Part(..) | Self::NotModified => None,
            Self::Unsatisfiable => Some(Prebuilt::RangeNotSatisfiable),
            Self::PreconditionFailed => Some(Prebuilt::PreconditionFailed),
            Self::NotAcceptable => Some(Prebuilt::NotAcceptable),
        }
    }
}

/// A built-in response with composed fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltInResponse {
    pub(super) prebuilt: Prebuilt,
    pub(super) fields: Composition,
}

/// A redirect whose `Location` lies in the slot's tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirection {
    pub(super) status: StatusIndex,
    pub(super) location_bytes: u32,
    /// Whether the choice depends on the preferred language of the request.
    pub(super) by_language: bool,
    /// The fields, unless they are those of every response; then `by_language` is part of them.
    pub(super) fields: Option<Composition>,
}

impl FileResponse {
    /// Whether fields for it lie in the scratch memory of a slot.
    pub(in crate::site) fn is_composed(&self) -> bool {
        self.fields.is_some()
    }

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
