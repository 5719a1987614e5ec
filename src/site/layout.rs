//! The two parts of a site's buffer.

use crate::bytes::{PAGE_BYTES_MAX, Span};

/// Where image and scratch lie in a buffer that begins on a page.
///
/// The image is the bodies: built at start and never written to afterwards. The scratch is all
/// that a worker writes: heads with a date, and the memory in which heads are put together. The
/// scratch begins on a page of its own, so that the image's pages stay shared between processes
/// that are forked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    image: Span,
    scratch: Span,
}

impl Layout {
    /// An image of so many bytes, and this much scratch.
    #[must_use]
    pub fn new(image_bytes: u64, scratch_bytes: u64) -> Self {
        let offset = image_bytes.next_multiple_of(PAGE_BYTES_MAX);
        let scratch = Span { offset, len: scratch_bytes };
        Self { image: Span { offset: 0, len: image_bytes }, scratch }
    }

    /// What is never written to.
    #[must_use]
    pub fn image(self) -> Span {
        self.image
    }

    /// What a worker writes.
    #[must_use]
    pub fn scratch(self) -> Span {
        self.scratch
    }

    /// How many bytes the buffer has.
    #[must_use]
    pub fn buffer_bytes(self) -> usize {
        self.scratch.range().end
    }
}
