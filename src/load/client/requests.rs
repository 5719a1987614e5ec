//! The bytes that a client sends: the requests of a table, and a header for each slot.

use crate::bytes::Span;
use crate::load::targets::table::RequestTable;

/// A table and the layout of the fixed buffer that it is sent from.
///
/// ```text
///   a single request:   request request ... request | headers     (as many as are pipelined)
///   several:            request 0 | request 1 | ... | headers
/// ```
#[derive(Clone, Debug)]
pub struct RequestBuffer {
    table: RequestTable,
    /// The content of the fixed buffer, until it is taken.
    fixed: Vec<u8>,
    /// Where the headers begin.
    headers_at: u64,
    /// The length of a header; 0 without headers.
    header_bytes: u64,
    /// How many copies of a single request follow one another.
    copies: u32,
}

impl RequestBuffer {
    /// The layout of a table of which `pipeline` requests are sent together, with one header for
    /// each slot or none. All headers have the same length.
    #[must_use]
    pub fn new(table: RequestTable, pipeline: u32, headers: &[Vec<u8>]) -> Self {
        let copies = if table.distinct() == 1 { pipeline } else { 1 };
        let mut fixed = table.bytes().repeat(copies as usize);
        let headers_at = fixed.len() as u64;
        let header_bytes = headers.first().map_or(0, Vec::len) as u64;
        assert!(headers.iter().all(|header| header.len() as u64 == header_bytes));
        fixed.extend(headers.iter().flatten());
        Self { table, fixed, headers_at, header_bytes, copies }
    }

    /// The content of the engine's fixed buffer.
    #[must_use]
    pub fn fixed(&self) -> Vec<u8> {
        self.fixed.clone()
    }

    /// The most bytes that are sent together.
    #[must_use]
    pub fn batch_bytes(&self, pipeline: u32) -> usize {
        self.table.longest() * pipeline as usize
    }

    /// The table.
    pub(super) fn table(&self) -> &RequestTable {
        &self.table
    }

    /// Frees what only the creation of the engine and the schedule needs; returns the times at
    /// which requests are due.
    pub(super) fn take_times(&mut self) -> Vec<u64> {
        self.fixed = Vec::new();
        self.table.take_due_ns()
    }

    /// The header of a slot; `None` without headers.
    pub(super) fn header(&self, slot: u32) -> Option<Span> {
        let place = self.headers_at + u64::from(slot) * self.header_bytes;
        (self.header_bytes > 0).then_some(Span { offset: place, len: self.header_bytes })
    }

    /// The bytes of at most `count` requests from the one with this number on, and how many they
    /// are: one, unless all requests are the same.
    pub(super) fn next(&self, number: u64, count: u32) -> (Span, u32) {
        let span = self.table.span(self.table.request(number));
        if self.table.distinct() > 1 {
            return (span, 1);
        }
        let count = count.min(self.copies);
        (Span { len: span.len * u64::from(count), ..span }, count)
    }
}
