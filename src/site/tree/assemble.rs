//! Putting a response together in a slot's block: pieces made at start are copied, one behind the
//! other.

use super::build::RouteTarget;
use super::heads::Status;
use super::{FileResponse, Redirection, Representation, Select, Tree};
use crate::bytes::{Span, Spans};
use crate::http::coding::Coding;
use crate::http::request::Persistence;
use crate::site::{Answer, PendingResponse, Prebuilt, ScratchIndex};

/// A block while it is filled.
struct Block<'a> {
    place: &'a mut [u8],
    used: usize,
}

impl Block<'_> {
    fn put(&mut self, piece: &[u8]) {
        self.place[self.used..self.used + piece.len()].copy_from_slice(piece);
        self.used += piece.len();
    }

    /// A number in decimal.
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
}

impl Tree {
    /// The response that was chosen, in the slot's block; without its body for HEAD.
    pub fn output(
        &self,
        pending: PendingResponse,
        scratch: ScratchIndex,
        fixed: &mut [u8],
    ) -> Spans {
        let PendingResponse { answer, persistence, head_only } = pending;
        let span = self.block(scratch);
        let mut block = Block { place: &mut fixed[span.range()], used: 0 };
        let mut then = match answer {
            Answer::Whole(which) => {
                let (head, body) = self.heads.response(which, persistence);
                block.put(head);
                block.put(b"\r\n");
                block.put(if head_only { b"" } else { body });
                Span::default()
            }
            Answer::FileResponse(found) => {
                self.put_found(&found, persistence, head_only, &mut block)
            }
            Answer::Redirection(Redirection { status, location_bytes }) => {
                block.put(self.heads.front(status, persistence));
                block.put(b"Location: ");
                Span { len: u64::from(location_bytes), ..self.tail(scratch) }
            }
            Answer::Part { .. } => unreachable!("a tree says it otherwise"),
        };
        let len = block.used as u64;
        if let Answer::Redirection(_) = answer {
            let end = then.range().end;
            fixed[end..end + EMPTY.len()].copy_from_slice(EMPTY);
            then.len += EMPTY.len() as u64;
        } else if head_only {
            then = Span::default();
        }
        Spans { first: Span { len, ..span }, then }
    }

    /// Puts the head, and says what the body is.
    fn put_found(
        &self,
        found: &FileResponse,
        persistence: Persistence,
        head_only: bool,
        block: &mut Block<'_>,
    ) -> Span {
        let representation = &self.representations[found.representation as usize];
        match found.select {
            Select::Whole => {
                block.put(self.heads.front(found.status, persistence));
                block.put(&self.blocks[found.leaf.fields.index()].text);
                block.put_coding(representation.coding);
                block.put(b"Content-Length: ");
                match representation.digits_len as usize {
                    0 => block.put_number(representation.body.len),
                    len => block.put(&representation.digits[..len]),
                }
                block.put(b"\r\n");
                if found.status == Status::OK {
                    block.put(b"Accept-Ranges: bytes\r\n");
                    self.put_validators(found.leaf, representation, block);
                }
                block.put(b"\r\n");
                representation.body
            }
            Select::Part(first, last) => {
                block.put(self.heads.front(Status::PARTIAL_CONTENT, persistence));
                block.put(&self.blocks[found.leaf.fields.index()].text);
                block.put(b"Content-Length: ");
                block.put_number(last - first + 1);
                block.put(b"\r\nContent-Range: bytes ");
                block.put_number(first);
                block.put(b"-");
                block.put_number(last);
                block.put(b"/");
                block.put_number(representation.body.len);
                block.put(b"\r\n");
                self.put_validators(found.leaf, representation, block);
                block.put(b"\r\n");
                Span { offset: representation.body.offset + first, len: last - first + 1 }
            }
            Select::NotModified => {
                block.put(self.heads.front(Status::NOT_MODIFIED, persistence));
                let fields = &self.blocks[found.leaf.fields.index()];
                block.put(&fields.text[fields.kept_at..]);
                self.put_validators(found.leaf, representation, block);
                block.put(b"\r\n");
                Span::default()
            }
            Select::Unsatisfiable => {
                let (head, body) = self.heads.response(Prebuilt::RangeNotSatisfiable, persistence);
                block.put(head);
                block.put(b"Content-Range: bytes */");
                block.put_number(representation.body.len);
                block.put(b"\r\n\r\n");
                block.put(if head_only { b"" } else { body });
                Span::default()
            }
        }
    }

    fn put_validators(
        &self,
        leaf: RouteTarget,
        representation: &Representation,
        block: &mut Block<'_>,
    ) {
        block.put(b"ETag: ");
        block.put(&representation.tag);
        let resource = &self.resources[leaf.file.id.index()];
        if resource.modified.is_some() {
            block.put(b"\r\nLast-Modified: ");
            block.put(&resource.modified_text);
        }
        block.put(b"\r\n");
    }
}

impl Block<'_> {
    fn put_coding(&mut self, coding: Coding) {
        self.put(match coding {
            Coding::Identity => b"",
            Coding::Gzip => b"Content-Encoding: gzip\r\n",
            Coding::Zstd => b"Content-Encoding: zstd\r\n",
            Coding::Brotli => b"Content-Encoding: br\r\n",
        });
    }
}

/// Behind a `Location`: what it leads to says the rest.
const EMPTY: &[u8] = b"\r\nContent-Length: 0\r\n\r\n";
