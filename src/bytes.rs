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

/// A list of ranges of the fixed buffer that are sent as one, in this order.
///
/// The list lies in the buffer itself, so that an operation names it as it names bytes to send. Its
/// memory must not change while a send of it is in flight.
///
/// ```
/// use uringstatic::bytes::{Span, SpanList};
///
/// let mut fixed = vec![0; 4096];
/// let mut list = SpanList::at(1024);
/// for (offset, len) in [(0, 20), (500, 100), (20, 30)] {
///     list.push(Span { offset, len }, &mut fixed);
/// }
/// assert_eq!((list.len(), list.spans(&fixed).count()), (150, 3));
///
/// // The socket took 30 bytes: the first range, and 10 bytes of the second.
/// let left = list.after(30, &mut fixed);
/// let spans: Vec<_> = left.spans(&fixed).collect();
/// assert_eq!(spans, [Span { offset: 510, len: 90 }, Span { offset: 20, len: 30 }]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanList {
    /// Offset of the first entry in the fixed buffer.
    offset: u64,
    count: u32,
    /// Length of all ranges in bytes.
    bytes: u32,
}

impl SpanList {
    /// The most ranges of a list.
    pub const SPANS_MAX: u32 = 32;
    /// The memory of a list in bytes.
    pub const BYTES: u64 = SPAN_BYTES * Self::SPANS_MAX as u64;

    /// An empty list, whose entries will be written from this offset on.
    #[must_use]
    pub fn at(offset: u64) -> Self {
        Self { offset, count: 0, bytes: 0 }
    }

    /// Length of all ranges in bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a list that is sent is never empty")]
    pub fn len(self) -> u64 {
        self.bytes.into()
    }

    /// Appends a range. An empty one has no entry, and one that follows the last in the buffer
    /// shares its entry.
    ///
    /// # Panics
    /// If there are more than [`SpanList::SPANS_MAX`] ranges, or 4 GiB in total.
    pub fn push(&mut self, span: Span, fixed: &mut [u8]) {
        if span.len == 0 {
            return;
        }
        let len = u32::try_from(span.len).expect("a list has less than 4 GiB");
        self.bytes = self.bytes.checked_add(len).expect("a list has less than 4 GiB");
        if let Some(last) = self.count.checked_sub(1) {
            let entry = self.entry(last, fixed);
            let Span { offset, len } = read_entry(entry);
            if offset + len == span.offset {
                write_entry(entry, Span { offset, len: len + span.len });
                return;
            }
        }
        assert!(self.count < Self::SPANS_MAX, "a list has room for {} ranges", Self::SPANS_MAX);
        write_entry(self.entry(self.count, fixed), span);
        self.count += 1;
    }

    /// The ranges, none of which is empty.
    pub fn spans(self, fixed: &[u8]) -> impl Iterator<Item = Span> {
        let entries = Span { offset: self.offset, len: SPAN_BYTES * u64::from(self.count) };
        let (entries, _) = fixed[entries.range()].as_chunks();
        entries.iter().map(read_entry)
    }

    /// The list without its first `count` bytes.
    ///
    /// # Panics
    /// If it is shorter.
    #[must_use]
    pub fn after(mut self, count: u32, fixed: &mut [u8]) -> Self {
        assert!(count <= self.bytes, "{count} bytes taken of a list of {}", self.bytes);
        self.bytes -= count;
        let mut taken = u64::from(count);
        while taken > 0 {
            let entry = self.entry(0, fixed);
            let span = read_entry(entry);
            if taken < span.len {
                write_entry(entry, span.after(taken));
                break;
            }
            taken -= span.len;
            self.offset += SPAN_BYTES;
            self.count -= 1;
        }
        self
    }

    fn entry(self, index: u32, fixed: &mut [u8]) -> &mut SpanEntry {
        let offset = self.offset + SPAN_BYTES * u64::from(index);
        let place = &mut fixed[Span { offset, len: SPAN_BYTES }.range()];
        place.try_into().expect("an entry has this length")
    }
}

/// A range in the memory of a list: its offset and its length.
type SpanEntry = [u8; 16];
const SPAN_BYTES: u64 = size_of::<SpanEntry>() as u64;

fn read_entry(entry: &SpanEntry) -> Span {
    let number = u128::from_ne_bytes(*entry);
    Span { offset: low_half(number), len: low_half(number >> 64) }
}

fn write_entry(entry: &mut SpanEntry, Span { offset, len }: Span) {
    *entry = (u128::from(offset) | u128::from(len) << 64).to_ne_bytes();
}

#[allow(clippy::cast_possible_truncation, reason = "the low 64 bits are wanted")]
fn low_half(number: u128) -> u64 {
    number as u64
}

/// The bytes of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// One or two ranges.
    Spans(Spans),
    /// Any number of ranges.
    List(SpanList),
}

impl Payload {
    /// Their number.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a response is never empty")]
    pub fn len(self) -> u64 {
        match self {
            Self::Spans(spans) => spans.len(),
            Self::List(list) => list.len(),
        }
    }

    /// The ranges in order, of which some may be empty.
    pub fn spans(self, fixed: &[u8]) -> impl Iterator<Item = Span> {
        let (two, list) = match self {
            Self::Spans(Spans { first, then }) => ([first, then], SpanList::at(0)),
            Self::List(list) => ([Span::default(); 2], list),
        };
        two.into_iter().chain(list.spans(fixed))
    }
}

impl From<Span> for Payload {
    fn from(span: Span) -> Self {
        Self::Spans(span.into())
    }
}

impl From<Spans> for Payload {
    fn from(spans: Spans) -> Self {
        Self::Spans(spans)
    }
}

impl From<SpanList> for Payload {
    fn from(list: SpanList) -> Self {
        Self::List(list)
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
    fn list_is_taken_at_any_byte() {
        let spans = [(100, 5), (40, 1), (300, 20), (0, 9)];
        let spans = spans.map(|(offset, len)| Span { offset, len });
        let bytes = |spans: &mut dyn Iterator<Item = Span>| -> Vec<usize> {
            spans.flat_map(Span::range).collect()
        };
        let expected = bytes(&mut spans.into_iter());
        for first in 0..=35 {
            for second in 0..=35 - first {
                let mut fixed = vec![0; 1024];
                let mut list = SpanList::at(512);
                for span in spans {
                    list.push(span, &mut fixed);
                }
                let left = list.after(first, &mut fixed).after(second, &mut fixed);
                let taken = (first + second) as usize;
                assert_eq!(left.len(), 35 - taken as u64);
                assert_eq!(bytes(&mut left.spans(&fixed)), expected[taken..]);
            }
        }
    }

    #[test]
    fn neighbours_share_an_entry_and_empty_spans_have_none() {
        let mut fixed = vec![0; 1024];
        let mut list = SpanList::at(0);
        for (offset, len) in [(600, 10), (610, 0), (610, 5), (700, 1), (615, 2)] {
            list.push(Span { offset, len }, &mut fixed);
        }
        let spans: Vec<_> = list.spans(&fixed).map(|span| (span.offset, span.len)).collect();
        assert_eq!(spans, [(600, 15), (700, 1), (615, 2)]);
        assert_eq!(list.len(), 18);
    }

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
