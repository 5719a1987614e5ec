//! One page for every path: its responses, built at start in one fixed buffer.
//!
//! The image of the buffer is the page. Its scratch has two *rendered copies* of every response,
//! which differ in their `Date` alone, and a block for each slot, for heads that are made for one
//! request. A response is a span of the buffer. To change the date, the copy of which no span is
//! in flight is rewritten and then served from: bytes that the engine may still read never change.

#[cfg(test)]
mod tests;

use super::answer::{Answer, PendingResponse, ScratchPlace};
use super::layout::Layout;
use super::page::{self, Page};
use super::rendered::{Composed, PageFields, Prebuilt, compose};
use crate::bytes::{Span, Spans};
use crate::http::conditional::{Selection, Validators, select};
use crate::http::request::{Persistence, Request};
use crate::http::response::{DATE_BYTES, date_text, write_date, write_head};
use std::io::{self, Write};
use std::ops::DerefMut;

/// The responses, as spans of the fixed buffer that [`Single::build`] fills.
#[derive(Debug)]
pub(super) struct Single {
    page: Page,
    etag: String,
    last_modified_text: Option<String>,
    layout: Layout,
    body: Span,
    composed: Composed,
    rendered_copies: [RenderedResponses; 2],
    current: usize,
    /// The time of the latest tick, in seconds since the Unix epoch.
    now: u64,
    blocks_at: u64,
    block_bytes: u32,
}

/// One copy of every response, its date, and how many sends of its spans are in flight.
#[derive(Clone, Copy, Debug)]
struct RenderedResponses {
    at: u64,
    unix_seconds: u64,
    in_flight: u32,
}

impl Single {
    /// As [`Site::build`](super::Site::build).
    pub(super) fn build<M: DerefMut<Target = [u8]>>(
        page: Page,
        body_bytes: u64,
        slots: u32,
        zeroed: impl FnOnce(usize) -> io::Result<M>,
        read: impl FnOnce(&mut [u8]) -> io::Result<()>,
    ) -> io::Result<(Self, M)> {
        let last_modified_text = page.last_modified.map(date_text);
        let last_modified = last_modified_text.as_deref();
        // The entity tag is known only when the page has been read to its place, and everything
        // else lies behind the page: lengths are taken from a draft with a tag of equal length.
        let draft_etag = page::etag(&[]);
        let draft =
            compose(&PageFields { page: &page, body_bytes, etag: &draft_etag, last_modified });
        let copy_bytes = draft.bytes.len() as u64;
        let first_at = Layout::new(body_bytes, 0).scratch().offset;
        let second_at = (first_at + copy_bytes).next_multiple_of(u64::from(ALIGNMENT));
        let blocks_at = (second_at + copy_bytes).next_multiple_of(u64::from(ALIGNMENT));
        let page_head = draft.response(Prebuilt::Page, Persistence::Keep).head_bytes;
        let block_bytes = (page_head + PART_HEAD_EXTRA).next_multiple_of(ALIGNMENT);
        // Zeroed memory comes untouched from the kernel: a block costs nothing until it is used.
        let total = blocks_at + u64::from(slots) * u64::from(block_bytes);
        let layout = Layout::new(body_bytes, total - first_at);
        let body = layout.image();
        let mut buffer = zeroed(layout.buffer_bytes())?;
        read(&mut buffer[body.range()])?;
        let etag = page::etag(&buffer[body.range()]);
        let composed = compose(&PageFields { page: &page, body_bytes, etag: &etag, last_modified });
        assert_eq!(composed.bytes.len() as u64, copy_bytes, "the draft has the same lengths");
        for at in [first_at, second_at] {
            composed.place(&mut buffer, at, body);
        }
        let rendered = |at| RenderedResponses { at, unix_seconds: 0, in_flight: 0 };
        let mut site = Self {
            etag,
            last_modified_text,
            layout,
            body,
            composed: composed.without_bytes(),
            rendered_copies: [rendered(first_at), rendered(second_at)],
            current: 0,
            now: 0,
            blocks_at,
            block_bytes,
            page,
        };
        site.write_dates(1, 0, &mut buffer);
        site.write_dates(0, 0, &mut buffer);
        Ok((site, buffer))
    }

    /// Renders the date anew, unless the copy that would be written is in flight.
    pub(super) fn tick(&mut self, unix_seconds: u64, fixed: &mut [u8]) {
        self.now = unix_seconds;
        if self.rendered_copies[self.current].unix_seconds == unix_seconds {
            return;
        }
        let other = 1 - self.current;
        if self.rendered_copies[other].in_flight == 0 {
            self.write_dates(other, unix_seconds, fixed);
            self.current = other;
        }
    }

    fn write_dates(&mut self, rendered: usize, unix_seconds: u64, fixed: &mut [u8]) {
        let rendered = &mut self.rendered_copies[rendered];
        assert_eq!(rendered.in_flight, 0, "a date would change under a send");
        rendered.unix_seconds = unix_seconds;
        let mut date = [0; DATE_BYTES];
        write_date(&mut date, unix_seconds);
        for offset in self.composed.dates() {
            let place = Span { offset: rendered.at + u64::from(offset), len: DATE_BYTES as u64 };
            fixed[place.range()].copy_from_slice(&date);
        }
    }

    /// As [`Site::mark_in_flight`](super::Site::mark_in_flight).
    pub(super) fn mark_in_flight(&mut self, spans: Spans) {
        for rendered in self.copies_of(spans).into_iter().flatten() {
            self.rendered_copies[rendered].in_flight += 1;
        }
    }

    /// As [`Site::mark_sent`](super::Site::mark_sent).
    pub(super) fn mark_sent(&mut self, spans: Spans) {
        for rendered in self.copies_of(spans).into_iter().flatten() {
            let in_flight = &mut self.rendered_copies[rendered].in_flight;
            *in_flight =
                in_flight.checked_sub(1).expect("a span was returned that wasn't in flight");
        }
    }

    /// The rendered copies that contain the spans: after a short send, the beginning of the rest
    /// may be in a block.
    fn copies_of(&self, spans: Spans) -> [Option<usize>; 2] {
        [spans.first, spans.then].map(|span| {
            let is_there = span.len > 0;
            is_there.then(|| self.copy_of(span)).flatten()
        })
    }

    fn copy_of(&self, span: Span) -> Option<usize> {
        if span.offset < self.rendered_copies[0].at || span.offset >= self.blocks_at {
            return None;
        }
        Some(usize::from(span.offset >= self.rendered_copies[1].at))
    }

    /// The response to a GET or HEAD, the same for every target.
    pub(super) fn choose(&self, request: &Request<'_, '_>) -> Answer {
        if !request.selective || self.page.status != 200 {
            return Answer::Whole(Prebuilt::Page);
        }
        let etag = self.etag.as_bytes();
        let validators = Validators { etag, last_modified: self.page.last_modified };
        let length = self.body.len;
        match select(request.method, request.fields, &validators, Some(length)) {
            Selection::Full => Answer::Whole(Prebuilt::Page),
            Selection::NotModified => Answer::Whole(Prebuilt::NotModified),
            Selection::PreconditionFailed => Answer::Whole(Prebuilt::PreconditionFailed),
            Selection::Unsatisfiable => Answer::Whole(Prebuilt::RangeNotSatisfiable),
            Selection::Partial { first, last } => Answer::Part { first, last },
        }
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    /// Only the page itself has copies, and only for connections of HTTP/1.1 that persist.
    pub(super) fn copies_in_a_row(&self, pending: &PendingResponse) -> u32 {
        match pending {
            PendingResponse {
                answer: Answer::Whole(Prebuilt::Page),
                persistence: Persistence::Keep,
                head_only: false,
            } => self.composed.copies,
            _ => 1,
        }
    }

    /// A response that was built at start; without its body for HEAD.
    pub(super) fn prebuilt(
        &self,
        which: Prebuilt,
        persistence: Persistence,
        head_only: bool,
    ) -> Spans {
        let response = self.composed.response(which, persistence);
        let offset = self.rendered_copies[self.current].at + u64::from(response.at);
        let len = u64::from(if head_only { response.head_bytes } else { response.bytes });
        let then = match which {
            Prebuilt::Page if !self.composed.inline && !head_only => self.body,
            _ => Span::default(),
        };
        Spans { first: Span { offset, len }, then }
    }

    /// As [`Site::output`](super::Site::output).
    pub(super) fn output(
        &self,
        pending: PendingResponse,
        scratch: ScratchPlace,
        fixed: &mut [u8],
    ) -> Spans {
        let PendingResponse { answer, persistence, head_only } = pending;
        match answer {
            Answer::Whole(which) => self.prebuilt(which, persistence, head_only),
            Answer::Part { first, last } => self.part((first, last), persistence, scratch, fixed),
            Answer::BuiltIn(_)
            | Answer::FileResponse(_)
            | Answer::Redirection(_)
            | Answer::Live(_) => {
                unreachable!("a single page has no files and no redirects")
            }
        }
    }

    /// A 206 with bytes `first` to `last` of the page. Its head is written into the slot's block,
    /// of which nothing may be in flight.
    pub(super) fn part(
        &self,
        (first, last): (u64, u64),
        persistence: Persistence,
        scratch: ScratchPlace,
        fixed: &mut [u8],
    ) -> Spans {
        assert!(first <= last && last < self.body.len, "bytes {first} to {last} of the page");
        let mut length = [0; 20];
        let length = format_into(&mut length, format_args!("{}", last - first + 1));
        let mut range = [0; 80];
        let total = self.body.len;
        let range = format_into(&mut range, format_args!("bytes {first}-{last}/{total}"));
        let fields = PageFields {
            page: &self.page,
            body_bytes: self.body.len,
            etag: &self.etag,
            last_modified: self.last_modified_text.as_deref(),
        };
        let block = self.block(scratch);
        let mut rest = &mut fixed[block.range()];
        write_head(&mut rest, 206, fields.of_part(length, range), persistence)
            .expect("a block has room for the head of a part");
        let head = Span { offset: block.offset, len: block.len - rest.len() as u64 };
        let date = block.after(date_offset_of_part()).range().start;
        write_date(&mut fixed[date..date + DATE_BYTES], self.now);
        Spans {
            first: head,
            then: Span { offset: self.body.offset + first, len: last - first + 1 },
        }
    }

    /// As [`Site::keep`](super::Site::keep): the rendered copy may be rewritten before the rest is
    /// sent, so a head that was cut before the end of its date goes on from the slot's block.
    pub(super) fn keep(&self, left: Spans, scratch: ScratchPlace, fixed: &mut [u8]) -> Spans {
        let Some(rendered) = self.copy_of(left.first) else { return left };
        if left.first.len == 0 {
            return left;
        }
        let place = left.first.offset - self.rendered_copies[rendered].at;
        let place = u32::try_from(place).expect("a rendered copy is far below 4 GiB");
        let cut = self.composed.cut(place);
        if cut.sent == 0 || cut.sent >= cut.date_end {
            return left;
        }
        let head_left = u64::from(cut.head_left);
        assert!(left.then.len == 0 || left.first.len == head_left, "heads of large pages");
        let block = self.block(scratch);
        assert!(head_left <= block.len, "a block has room for every head");
        let head = Span { len: head_left, ..left.first };
        fixed.copy_within(head.range(), block.range().start);
        let first = Span { offset: block.offset, len: head_left };
        let rest = left.first.after(head_left);
        Spans { first, then: if rest.len > 0 { rest } else { left.then } }
    }

    fn block(&self, scratch: ScratchPlace) -> Span {
        let len = u64::from(self.block_bytes);
        Span { offset: self.blocks_at + u64::from(scratch.slot()) * len, len }
    }
}

/// Formats without allocating.
fn format_into<'a>(out: &'a mut [u8], text: std::fmt::Arguments<'_>) -> &'a str {
    let room = out.len();
    let mut rest = &mut *out;
    rest.write_fmt(text).expect("numbers of 64 bits have room");
    let used = room - rest.len();
    std::str::from_utf8(&out[..used]).expect("formatted text is UTF-8")
}

fn date_offset_of_part() -> u64 {
    const { "HTTP/1.1 206 Partial Content\r\nDate: ".len() as u64 }
}

/// The most bytes that `Content-Range` and longer numbers add to the head of the page.
const PART_HEAD_EXTRA: u32 = 128;
/// Rendered copies and blocks begin on a cache line.
const ALIGNMENT: u32 = 64;
