//! Pages that are rendered while the server runs, for a listener that answers questions about a
//! service.
//!
//! A page is rendered by its source, at most once a second, and copied into the block of the slot
//! whose request it answers. Nothing in flight is ever written to, however slowly a client reads,
//! and a slow client delays no rendering. Errors of HTTP and other methods have the responses of a
//! `Single`.

use super::answer::{Answer, LiveAnswer, LivePage, PendingResponse, ScratchPlace};
use super::layout::Layout;
use super::page::Page;
use super::rendered::Prebuilt;
use super::single::Single;
use crate::bytes::{Span, Spans};
use crate::http::request::{Persistence, Request, Target};
use crate::http::response::{DATE_BYTES, date_offset, write_date, write_head};
use std::fmt;
use std::io;
use std::ops::DerefMut;

/// Where pages come from.
pub trait LiveSource: fmt::Debug {
    /// Renders all pages anew. Called before the requests of a turn are answered, at most once a
    /// second.
    fn render(&mut self);

    /// The response to a GET or HEAD for a path; `None` if there is no page.
    fn choose(&self, path: &[u8], request: &Request<'_, '_>) -> Option<LiveAnswer>;

    /// The content of a page, as it was rendered last.
    fn content(&self, page: LivePage) -> LiveContent<'_>;

    /// The length of the longest content, in bytes.
    fn bytes_max(&self) -> usize;
}

/// The content of a page, and its media type.
#[derive(Clone, Copy, Debug)]
pub struct LiveContent<'a> {
    /// The value of `Content-Type`.
    pub media_type: &'a str,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// The pages of a source, and the responses to all other requests.
#[derive(Debug)]
pub(super) struct LiveSite {
    source: Box<dyn LiveSource>,
    errors: Single,
    /// The time of the latest rendering, in seconds since the Unix epoch.
    rendered: u64,
    blocks_at: u64,
    block_bytes: u64,
}

impl LiveSite {
    /// As [`Site::build_live`](super::Site::build_live).
    pub(super) fn build<M: DerefMut<Target = [u8]>>(
        source: Box<dyn LiveSource>,
        slots: u32,
        zeroed: impl FnOnce(usize) -> io::Result<M>,
    ) -> io::Result<(Self, M)> {
        let block_bytes = (source.bytes_max() + HEAD_BYTES_MAX) as u64;
        let mut blocks_at = 0;
        // The blocks lie behind the buffer of the other responses. Zeroed memory comes untouched
        // from the kernel, so that a block costs nothing until it is used.
        let with_blocks = |len: usize| {
            blocks_at = len as u64;
            let blocks = usize::try_from(block_bytes * u64::from(slots)).expect("slots are few");
            zeroed(len + blocks)
        };
        let (errors, buffer) = Single::build(Page::built_in(), 0, slots, with_blocks, |_| Ok(()))?;
        Ok((Self { source, errors, rendered: 0, blocks_at, block_bytes }, buffer))
    }

    pub(super) fn layout(&self) -> Layout {
        self.errors.layout()
    }

    pub(super) fn tick(&mut self, unix_seconds: u64, fixed: &mut [u8]) {
        self.errors.tick(unix_seconds, fixed);
        if self.rendered != unix_seconds {
            self.rendered = unix_seconds;
            self.source.render();
        }
    }

    pub(super) fn errors_mut(&mut self) -> &mut Single {
        &mut self.errors
    }

    /// The response to a GET or HEAD.
    pub(super) fn choose(&self, request: &Request<'_, '_>) -> Answer {
        let page = match request.target {
            Target::Origin { path, .. } | Target::Absolute { path, .. } => {
                self.source.choose(path, request)
            }
            Target::Asterisk | Target::Authority => None,
        };
        page.map_or(Answer::Whole(Prebuilt::NotFound), Answer::Live)
    }

    /// As [`Site::output`](super::Site::output).
    pub(super) fn output(
        &self,
        pending: PendingResponse,
        scratch: ScratchPlace,
        fixed: &mut [u8],
    ) -> Spans {
        let Answer::Live(answer) = pending.answer else {
            return self.errors.output(pending, scratch, fixed);
        };
        let offset = self.blocks_at + u64::from(scratch.slot()) * self.block_bytes;
        let block = Span { offset, len: self.block_bytes };
        let content = self.source.content(answer.page);
        let place = &mut fixed[block.range()];
        let head = self.write_head(place, answer.status, content, pending.persistence);
        let body = if pending.head_only { &[][..] } else { content.bytes };
        place[head..head + body.len()].copy_from_slice(body);
        Spans::from(Span { len: (head + body.len()) as u64, ..block })
    }

    /// Writes the head of a response, and returns its length.
    fn write_head(
        &self,
        place: &mut [u8],
        status: u16,
        content: LiveContent<'_>,
        persistence: Persistence,
    ) -> usize {
        let room = place.len();
        let mut rest = &mut *place;
        let length = content.bytes.len().to_string();
        let fields = [
            ("Content-Type", content.media_type),
            ("Content-Length", &length),
            ("Cache-Control", "no-store"),
            ("Vary", "Accept"),
            ("X-Content-Type-Options", "nosniff"),
        ];
        write_head(&mut rest, status, fields, persistence).expect("a block has room for a head");
        let head = room - rest.len();
        let date = date_offset(status);
        write_date(&mut place[date..date + DATE_BYTES], self.rendered);
        head
    }

    pub(super) fn keep(&self, left: Spans, scratch: ScratchPlace, fixed: &mut [u8]) -> Spans {
        // A page and its head are in the slot's block already.
        self.errors.keep(left, scratch, fixed)
    }
}

/// The most bytes of a head, whose fields are known but for a media type and a number.
const HEAD_BYTES_MAX: usize = 1024;
