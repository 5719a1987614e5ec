//! The two parts of a site's buffer.

use crate::bytes::{PAGE_BYTES_MAX, Span};

/// Positions of image and scratch in a buffer that begins on a page.
///
/// The image holds the bodies: it is built at start and never written to afterwards. The scratch
/// is all memory that a worker writes: heads with a date, and the memory in which heads are
/// assembled. The scratch begins on a page of its own, so that the image's pages stay shared
/// between processes that are forked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    image: Span,
    scratch: Span,
}

impl Layout {
    /// A layout with an image and a scratch of these lengths, in bytes.
    #[must_use]
    pub fn new(image_bytes: u64, scratch_bytes: u64) -> Self {
        let offset = image_bytes.next_multiple_of(PAGE_BYTES_MAX);
        let scratch = Span { offset, len: scratch_bytes };
        Self { image: Span { offset: 0, len: image_bytes }, scratch }
    }

    /// The bytes that no worker writes to.
    #[must_use]
    pub fn image(self) -> Span {
        self.image
    }

    /// The bytes that a worker writes to.
    #[must_use]
    pub fn scratch(self) -> Span {
        self.scratch
    }

    /// Length of the buffer, padding between its parts included.
    #[must_use]
    pub fn buffer_bytes(self) -> usize {
        self.scratch.range().end
    }
}
