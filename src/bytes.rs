//! Ranges of the fixed buffer, from which an engine sends.
//!
//! A [`Span`] is chosen by a site and sent by an engine, and neither knows the other. Offsets and
//! lengths have 64 bits: a site may be larger than 4 GiB.

use std::ops::Range;

/// A range of the fixed buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte in the fixed buffer.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
}

impl Span {
    /// The span without its first `count` bytes.
    ///
    /// # Panics
    /// If the span is shorter.
    #[must_use]
    pub fn after(self, count: u64) -> Self {
        assert!(count <= self.len, "{count} bytes taken of a span of {}", self.len);
        Self { offset: self.offset + count, len: self.len - count }
    }

    /// The same range as an index into the fixed buffer.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "addresses have 64 bits, see below")]
    pub fn range(self) -> Range<usize> {
        self.offset as usize..(self.offset + self.len) as usize
    }
}

/// Two ranges of the fixed buffer that are sent as one, the second behind the first: a head and a
/// body. Either may be empty.
///
/// ```
/// use uringstatic::bytes::{Span, Spans};
///
/// let head = Span { offset: 100, len: 20 };
/// let body = Span { offset: 0, len: 50 };
/// let response = Spans { first: head, then: body };
/// assert_eq!(response.len(), 70);
///
/// // The socket took 30 bytes: the head, and 10 bytes of the body.
/// let left = response.after(30);
/// assert_eq!(left, Spans::from(Span { offset: 10, len: 40 }));
/// assert_eq!(left.up_to(16).len(), 16);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    /// The range that is sent first.
    pub first: Span,
    /// The range that is sent behind it.
    pub then: Span,
}

impl Spans {
    /// Length of both ranges in bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a response is never empty")]
    pub fn len(self) -> u64 {
        self.first.len + self.then.len
    }

    /// The spans without their first `count` bytes.
    ///
    /// # Panics
    /// If they are shorter.
    #[must_use]
    pub fn after(self, count: u64) -> Self {
        match count.checked_sub(self.first.len) {
            None => Self { first: self.first.after(count), then: self.then },
            Some(count) => Self { first: self.then.after(count), then: Span::default() },
        }
    }

    /// The first `bytes_max` bytes of the spans, or all if they are shorter.
    #[must_use]
    pub fn up_to(self, bytes_max: u64) -> Self {
        if self.len() <= bytes_max {
            return self;
        }
        let first = Span { len: self.first.len.min(bytes_max), ..self.first };
        let then = Span { len: self.then.len.min(bytes_max - first.len), ..self.then };
        Self { first, then }
    }

    /// A run of `count` copies, which lie in the buffer one behind the other.
    ///
    /// # Panics
    /// If `count` is over 1 and the second range isn't empty: then no copy follows the first.
    #[must_use]
    pub fn repeated(self, count: u32) -> Self {
        assert!(count == 1 || self.then.len == 0, "{count} copies of {self:?}");
        Self { first: Span { len: self.first.len * u64::from(count), ..self.first }, ..self }
    }
}

impl From<Span> for Spans {
    fn from(first: Span) -> Self {
        Self { first, then: Span::default() }
    }
}

/// The largest page size of Linux's ports, and a multiple of every other: parts of a buffer that
/// are aligned to it share no page.
pub const PAGE_BYTES_MAX: u64 = 64 * 1024;

const _: () = assert!(size_of::<usize>() == size_of::<u64>(), "io_uring needs 64-bit addresses");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_beyond_4_gib_are_taken_in_pieces() {
        let body = Span { offset: 3 << 30, len: 5 << 30 };
        let mut left = Spans { first: Span { offset: 9 << 30, len: 100 }, then: body };
        let mut taken = Vec::new();
        while left.len() > 0 {
            let piece = left.up_to(1 << 30);
            taken.push((piece.first.range(), piece.then.range()));
            left = left.after(piece.len());
        }
        assert_eq!(taken.len(), 6);
        assert_eq!(taken[0], (9 << 30..(9 << 30) + 100, 3 << 30..(4 << 30) - 100));
        assert_eq!(taken[1].0, (4 << 30) - 100..(5 << 30) - 100);
        assert_eq!(taken[5].0, (8 << 30) - 100..8 << 30);
    }
}
