//! Ranges of the buffer that an engine sends from.
//!
//! A [`Span`] is named by a site and sent by an engine, and neither knows the other. Offsets and
//! lengths have 64 bits: a site may be larger than 4 GiB.

use std::ops::Range;

/// A range of the fixed buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
}

impl Span {
    /// The span that is left after its first `count` bytes.
    ///
    /// # Panics
    /// If it has fewer bytes.
    #[must_use]
    pub fn after(self, count: u64) -> Self {
        assert!(count <= self.len, "{count} bytes taken of a span of {}", self.len);
        Self { offset: self.offset + count, len: self.len - count }
    }

    /// The span's place in the fixed buffer.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "addresses have 64 bits, see below")]
    pub fn range(self) -> Range<usize> {
        self.offset as usize..(self.offset + self.len) as usize
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
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(self) -> u64 {
        self.first.len + self.then.len
    }

    /// What is left after their first `count` bytes.
    ///
    /// # Panics
    /// If they have fewer bytes.
    #[must_use]
    pub fn after(self, count: u64) -> Self {
        match count.checked_sub(self.first.len) {
            None => Self { first: self.first.after(count), then: self.then },
            Some(count) => Self { first: self.then.after(count), then: Span::default() },
        }
    }

    /// The first of their bytes, at most so many.
    #[must_use]
    pub fn up_to(self, bytes_max: u64) -> Self {
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

/// The largest page of Linux's ports, and a multiple of every other: parts of a buffer that begin
/// on one share no page with another part.
pub const PAGE_BYTES_MAX: u64 = 64 * 1024;

const _: () = assert!(size_of::<usize>() == size_of::<u64>(), "io_uring needs 64-bit addresses");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_beyond_4_gib_are_taken_piece_by_piece() {
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
