//! The two parts of a site's buffer, and the memory of runs in the second.

use super::answer::ScratchPlace;
use crate::bytes::{PAGE_BYTES_MAX, Span, SpanList, Spans};

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

/// Positions of the memory of runs in the scratch.
///
/// A *run* is up to [`RUN_RESPONSES_MAX`] responses to pipelined requests of one connection that
/// are sent as one. The first has its head in the scratch of its slot, and each that follows has it
/// in the memory of the run, behind the head before. In front of them is the list of all spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunLayout {
    first_at: u64,
    count: u32,
    run_bytes: u32,
    /// The most bytes that a response takes while it is assembled.
    response_bytes_max: u32,
    /// The part of them in which the head is assembled.
    block_bytes: u32,
}

impl RunLayout {
    /// The memory of runs for `slots` connections, from this offset on. A response is assembled in
    /// a block and a tail.
    #[must_use]
    pub(super) fn new(first_at: u64, slots: u32, block_bytes: u32, tail_bytes: u32) -> Self {
        let first_at = first_at.next_multiple_of(RUN_ALIGNMENT.into());
        let response_bytes_max = block_bytes + tail_bytes;
        let heads = ((RUN_RESPONSES_MAX - 2) * block_bytes).min(HEADS_BYTES_MAX);
        let list = u32::try_from(SpanList::BYTES).expect("a list is short");
        let run_bytes = (list + heads + response_bytes_max).next_multiple_of(RUN_ALIGNMENT);
        let count = slots.min(RUNS_MAX);
        Self { first_at, count, run_bytes, response_bytes_max, block_bytes }
    }

    /// The number of runs that there is memory for.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The same memory with fewer runs.
    pub(super) fn limited_to(self, count: u32) -> Self {
        Self { count: self.count.min(count), ..self }
    }

    /// The offset behind the last run.
    pub(super) fn end(&self) -> u64 {
        self.first_at + u64::from(self.count) * u64::from(self.run_bytes)
    }

    /// The list of a run, empty.
    #[must_use]
    pub fn list(&self, run: u32) -> SpanList {
        SpanList::at(self.start(run))
    }

    /// The place for another response of a run whose responses `used` so many bytes, if it has
    /// room for any response there is.
    #[must_use]
    pub fn place(&self, run: u32, used: u32) -> Option<ScratchPlace> {
        let room = u64::from(self.run_bytes) - SpanList::BYTES - u64::from(used);
        (room >= self.response_bytes_max.into()).then_some(ScratchPlace::Run { run, used })
    }

    /// The bytes that a run uses once a response with these spans, which was assembled behind the
    /// first `used` ones, is a part of it.
    #[must_use]
    pub fn used_with(&self, run: u32, used: u32, spans: Spans) -> u32 {
        let (start, end) = (self.heads_at(run), self.start(run) + u64::from(self.run_bytes));
        let [first, then] = [spans.first, spans.then].map(|Span { offset, len }| {
            let is_own = len > 0 && (start..end).contains(&offset);
            if is_own { u32::try_from(offset + len - start).expect("a run is small") } else { 0 }
        });
        used.max(first).max(then)
    }

    /// The block and the tail of a place in a run.
    pub(super) fn block_and_tail(&self, run: u32, used: u32) -> [Span; 2] {
        let offset = self.heads_at(run) + u64::from(used);
        let block = Span { offset, len: self.block_bytes.into() };
        let len = u64::from(self.response_bytes_max) - block.len;
        [block, Span { offset: offset + block.len, len }]
    }

    fn start(&self, run: u32) -> u64 {
        assert!(run < self.count, "run {run} of {}", self.count);
        self.first_at + u64::from(run) * u64::from(self.run_bytes)
    }

    fn heads_at(&self, run: u32) -> u64 {
        self.start(run) + SpanList::BYTES
    }
}

/// The most runs that are under way at a time. While there are more connections with pipelined
/// requests, the others get one response at a time.
pub const RUNS_MAX: u32 = 512;
/// The most responses of a run.
pub const RUN_RESPONSES_MAX: u32 = SpanList::SPANS_MAX / 2;
/// Memory for the heads of a run, beyond the room for one response of any length; heads are far
/// shorter than the longest one there could be.
const HEADS_BYTES_MAX: u32 = 64 * 1024;
/// Runs begin on a page of the usual size, so that each touches as few as can be.
const RUN_ALIGNMENT: u32 = 4096;
