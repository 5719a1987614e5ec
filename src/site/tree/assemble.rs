//! The assembly of a response in the block of its slot: prepared pieces are copied one behind the
//! other.

use super::Tree;
use super::chosen::{FileResponse, Redirection, Select};
use super::heads::StatusIndex;
use super::rows::{Representation, RouteTarget};
use crate::bytes::{Span, Spans};
use crate::http::coding::Coding;
use crate::http::request::Persistence;
use crate::site::{Answer, PendingResponse, Prebuilt, ScratchIndex};

impl Tree {
    /// Writes the head of the chosen response into the slot's block; the body of a response to HEAD
    /// is left out. Of `fixed`, only the scratch is written to.
    pub fn output(
        &self,
        pending: PendingResponse,
        scratch: ScratchIndex,
        fixed: &mut [u8],
    ) -> Spans {
        let PendingResponse { answer, persistence, head_only } = pending;
        let own = self.scratch_of(fixed);
        let span = self.block(scratch);
        let mut head = HeadWriter { block: &mut own[self.in_scratch(span)], used: 0 };
        let mut then = match answer {
            Answer::Whole(prebuilt) => {
                let (front, body) = self.heads.response(prebuilt, persistence);
                head.put(front);
                head.put(b"\r\n");
                head.put(if head_only { b"" } else { body });
                Span::default()
            }
            Answer::FileResponse(response) => {
                self.put_file_head(&response, persistence, head_only, &mut head)
            }
            Answer::Redirection(Redirection { status, location_bytes, by_language }) => {
                head.put(self.heads.front(status, persistence));
                head.put(if by_language { BY_LANGUAGE } else { b"" });
                head.put(b"Location: ");
                Span { len: u64::from(location_bytes), ..self.tail(scratch) }
            }
            Answer::Part { .. } => unreachable!("only a single page has this answer"),
        };
        let len = head.used as u64;
        if let Answer::Redirection(_) = answer {
            let end = self.in_scratch(then).end;
            own[end..end + NO_CONTENT.len()].copy_from_slice(NO_CONTENT);
            then.len += NO_CONTENT.len() as u64;
        } else if head_only {
            then = Span::default();
        }
        Spans { first: Span { len, ..span }, then }
    }

    /// Writes the head of a response with a file, and returns the span of its content.
    fn put_file_head(
        &self,
        response: &FileResponse,
        persistence: Persistence,
        head_only: bool,
        head: &mut HeadWriter<'_>,
    ) -> Span {
        let representation = &self.representations[response.representation as usize];
        let fields = &self.field_blocks[response.target.fields.index()];
        let by_language = if response.by_language { BY_LANGUAGE } else { b"" };
        match response.select {
            Select::Whole => {
                head.put(self.heads.front(response.status, persistence));
                head.put(&fields.text);
                head.put(by_language);
                head.put_coding(representation.coding);
                head.put(b"Content-Length: ");
                match representation.digits_len as usize {
                    0 => head.put_number(representation.body.len),
                    len => head.put(&representation.digits[..len]),
                }
                head.put(b"\r\n");
                if response.status == StatusIndex::OK {
                    head.put(b"Accept-Ranges: bytes\r\n");
                    self.put_validators(response.target, representation, head);
                }
                head.put(b"\r\n");
                representation.body
            }
            Select::Part(first, last) => {
                head.put(self.heads.front(StatusIndex::PARTIAL_CONTENT, persistence));
                head.put(&fields.text);
                head.put(by_language);
                head.put(b"Content-Length: ");
                head.put_number(last - first + 1);
                head.put(b"\r\nContent-Range: bytes ");
                head.put_number(first);
                head.put(b"-");
                head.put_number(last);
                head.put(b"/");
                head.put_number(representation.body.len);
                head.put(b"\r\n");
                self.put_validators(response.target, representation, head);
                head.put(b"\r\n");
                Span { offset: representation.body.offset + first, len: last - first + 1 }
            }
            Select::NotModified => {
                head.put(self.heads.front(StatusIndex::NOT_MODIFIED, persistence));
                head.put(&fields.text[fields.kept_at..]);
                head.put(by_language);
                self.put_validators(response.target, representation, head);
                head.put(b"\r\n");
                Span::default()
            }
            Select::Unsatisfiable => {
                let (front, body) = self.heads.response(Prebuilt::RangeNotSatisfiable, persistence);
                head.put(front);
                head.put(b"Content-Range: bytes */");
                head.put_number(representation.body.len);
                head.put(b"\r\n\r\n");
                head.put(if head_only { b"" } else { body });
                Span::default()
            }
        }
    }

    fn put_validators(
        &self,
        target: RouteTarget,
        representation: &Representation,
        head: &mut HeadWriter<'_>,
    ) {
        head.put(b"ETag: ");
        head.put(&representation.tag);
        let resource = &self.resources[target.file.id.index()];
        if resource.modified.is_some() {
            head.put(b"\r\nLast-Modified: ");
            head.put(&resource.modified_text);
        }
        head.put(b"\r\n");
    }
}

/// Writes a head from the beginning of a block on.
struct HeadWriter<'a> {
    block: &'a mut [u8],
    used: usize,
}

impl HeadWriter<'_> {
    fn put(&mut self, piece: &[u8]) {
        self.block[self.used..self.used + piece.len()].copy_from_slice(piece);
        self.used += piece.len();
    }

    /// Writes a number in decimal.
    fn put_number(&mut self, number: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = number;
        loop {
            at -= 1;
            digits[at] = b'0' + u8::try_from(rest % 10).expect("a digit");
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.put(&digits[at..]);
    }

    fn put_coding(&mut self, coding: Coding) {
        self.put(match coding {
            Coding::Identity => b"",
            Coding::Gzip => b"Content-Encoding: gzip\r\n",
            Coding::Zstd => b"Content-Encoding: zstd\r\n",
            Coding::Brotli => b"Content-Encoding: br\r\n",
        });
    }
}

/// The field of a response that was chosen by the preferred language; `Vary` may have several lines
/// (RFC 9110 5.3).
const BY_LANGUAGE: &[u8] = b"Vary: Accept-Language\r\n";
/// The end of a head behind the value of `Location`.
const NO_CONTENT: &[u8] = b"\r\nContent-Length: 0\r\n\r\n";
