//! The choice of a response, from [`Site::choose`](super::Site::choose) to
//! [`Site::output`](super::Site::output).

use super::rendered::Prebuilt;
use super::tree::chosen::{BuiltInResponse, FileResponse, Redirection};
use crate::http::request::Persistence;

/// The choice of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A response that was built at start.
    Whole(Prebuilt),
    /// A built-in response of a tree with fields that depend on the request.
    BuiltIn(BuiltInResponse),
    /// A range of the single page.
    Part {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte.
        last: u64,
    },
    /// A file of a tree, or the outcome of its preconditions and ranges.
    FileResponse(FileResponse),
    /// A redirect of a tree.
    Redirection(Redirection),
    /// A page that was rendered while the server runs.
    Live(LiveAnswer),
}

/// The number of a page, whose meaning its source knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LivePage(pub u8);

/// A page as the answer to a request, with its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveAnswer {
    /// The page.
    pub page: LivePage,
    /// The status code, with content.
    pub status: u16,
}

impl Answer {
    /// Whether every request with the same head has this answer, unless the server drains, and the
    /// answer refers to no scratch memory.
    #[must_use]
    pub(crate) fn follows_from_head(&self) -> bool {
        match self {
            Self::Whole(which) => *which == Prebuilt::Page,
            Self::FileResponse(response) => !response.is_composed(),
            Self::BuiltIn(_) | Self::Part { .. } | Self::Redirection(_) | Self::Live(_) => false,
        }
    }

    /// The same answer, chosen by the preferred language of the request: the response has
    /// `Vary: Accept-Language` (RFC 9110 12.5.5). A built-in 404 has it whenever rules have
    /// languages.
    #[must_use]
    pub(super) fn varying_by_language(self) -> Self {
        match self {
            Self::FileResponse(response) => Self::FileResponse(response.varying_by_language()),
            Self::Redirection(redirection) => Self::Redirection(redirection.varying_by_language()),
            Self::Whole(_) | Self::BuiltIn(_) | Self::Part { .. } | Self::Live(_) => self,
        }
    }
}

/// A choice, and the form in which it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingResponse {
    /// The choice.
    pub answer: Answer,
    /// Whether the connection persists after it.
    pub persistence: Persistence,
    /// Whether the content is left out, for HEAD.
    pub head_only: bool,
}

impl PendingResponse {
    /// The same response with `Connection: close`.
    #[must_use]
    pub fn closing(self) -> Self {
        Self { persistence: Persistence::Close, ..self }
    }
}

/// The scratch memory into which the head of a response is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScratchPlace {
    /// That of a slot, which is enough for one response at a time.
    Slot(u32),
    /// That of a run behind its first `used` bytes ([`RunLayout`](super::layout::RunLayout)).
    Run {
        /// The run.
        run: u32,
        /// The bytes that the responses before this one use.
        used: u32,
    },
}

impl ScratchPlace {
    /// The slot.
    ///
    /// # Panics
    /// If it is a place in a run, which only a tree has.
    pub(super) fn slot(self) -> u32 {
        match self {
            Self::Slot(slot) => slot,
            Self::Run { .. } => unreachable!("only a tree has runs"),
        }
    }
}

/// The state of the connection on which a request arrived.
#[derive(Debug)]
pub struct RequestContext<'a> {
    /// The scratch memory for the response, of which nothing is in flight.
    pub scratch: ScratchPlace,
    /// The fixed buffer.
    pub fixed: &'a mut [u8],
    /// Whether the server drains or is about to: health checks then get 503.
    pub draining: bool,
}
