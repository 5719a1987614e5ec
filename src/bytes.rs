//! Ranges of the buffer that an engine sends from.
//!
//! A [`Span`] is named by a site and sent by an engine, and neither knows the other. Offsets and
//! lengths have 64 bits: a site may be larger than 4 GiB.

use std::ops::Range;

/// A range of the fixed buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub offset: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Span {
    /// The span that is left after its first `count` bytes.
    ///
    /// # Panics
    /// If it has fewer bytes.
    #[must_use]
    pub fn after(self, count: u32) -> Self {
        assert!(count <= self.len, "{count} bytes taken of a span of {}", self.len);
        Self { offset: self.offset + count, len: self.len - count }
    }

    /// The span's place in the fixed buffer.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.offset as usize..self.offset as usize + self.len as usize
    }
}

/// Two ranges of the fixed buffer, sent one behind the other as if they were one: a head and a
/// body. Either may be empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    /// Sent first.
    pub first: Span,
    /// Sent behind it.
    pub then: Span,
}

impl Spans {
    /// Number of bytes.
    ///
    /// # Panics
    /// If they are 2^32 or more: then one was named that the buffer can't have.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(self) -> u32 {
        self.first.len + self.then.len
    }

    /// What is left after their first `count` bytes.
    ///
    /// # Panics
    /// If they have fewer bytes.
    #[must_use]
    pub fn after(self, count: u32) -> Self {
        match count.checked_sub(self.first.len) {
            None => Self { first: self.first.after(count), then: self.then },
            Some(count) => Self { first: self.then.after(count), then: Span::default() },
        }
    }

    /// The first of their bytes, at most so many.
    #[must_use]
    pub fn up_to(self, bytes_max: u32) -> Self {
        let first = Span { len: self.first.len.min(bytes_max), ..self.first };
        let then = Span { len: self.then.len.min(bytes_max - first.len), ..self.then };
        Self { first, then }
    }
}

impl From<Span> for Spans {
    fn from(first: Span) -> Self {
        Self { first, then: Span::default() }
    }
}
