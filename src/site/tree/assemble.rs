//! The assembly of a response in the block of its place: prepared pieces are copied one behind the
//! other. Composed field lines are at the beginning of the block already, and move behind the
//! front of the head.

use super::Tree;
use super::chosen::{BuiltInResponse, FileResponse, Redirection, Select};
use super::composer::Composition;
use super::heads::StatusIndex;
use super::lines::{ETAG, LAST_MODIFIED, LENGTH, coding_line, validators_bytes};
use super::rows::{Representation, SiteFile};
use crate::bytes::{Span, Spans};
use crate::http::request::Persistence;
use crate::http::response::{DATE_BYTES, write_date};
use crate::site::{Answer, PendingResponse, Prebuilt, ScratchPlace};

impl Tree {
    /// Writes the head of the chosen response into the block of a place; the body of a response to
    /// HEAD is left out. Of `fixed`, only the scratch is written to.
    pub fn output(
        &self,
        pending: PendingResponse,
        scratch: ScratchPlace,
        fixed: &mut [u8],
    ) -> Spans {
        let PendingResponse { answer, persistence, head_only } = pending;
        let (image, own) = self.parts(fixed);
        let span = self.block(scratch);
        let mut head = HeadWriter { block: &mut own[self.in_scratch(span)], used: 0 };
        let mut then = match answer {
            Answer::Whole(prebuilt) => {
                let (front, body) = self.heads.response(prebuilt, persistence);
                head.put(front);
                self.put_own_lines(prebuilt, &mut head);
                head.put(b"\r\n");
                head.put(if head_only { b"" } else { body });
                Span::default()
            }
            Answer::BuiltIn(BuiltInResponse { prebuilt, fields }) => {
                let (front, body) = self.heads.response(prebuilt, persistence);
                head.begin(front, fields, 0);
                head.put(b"\r\n");
                head.put(if head_only { b"" } else { body });
                Span::default()
            }
            Answer::FileResponse(response) => {
                self.put_file_head(&response, persistence, head_only, image, &mut head)
            }
            Answer::Redirection(Redirection { status, location_bytes, by_language, fields }) => {
                let front = self.heads.front(status, persistence);
                if let Some(fields) = fields {
                    head.begin(front, fields, 0);
                } else {
                    head.put(front);
                    head.put(NOSNIFF);
                    head.put(if by_language { BY_LANGUAGE } else { b"" });
                }
                head.put(b"Location: ");
                Span { len: u64::from(location_bytes), ..self.tail(scratch) }
            }
            Answer::Part { .. } | Answer::Live(_) => unreachable!("a tree doesn't choose it"),
        };
        let len = head.used as u64;
        if let Answer::Redirection(_) = answer {
            let end = self.in_scratch(then).end;
            own[end..end + NO_CONTENT.len()].copy_from_slice(NO_CONTENT);
            then.len += NO_CONTENT.len() as u64;
        }
        Spans { first: Span { len, ..span }, then }
    }

    /// Writes the head of a response with a file, and returns the span that follows in the image:
    /// the content, and the end of the head where it lies before it.
    fn put_file_head(
        &self,
        response: &FileResponse,
        persistence: Persistence,
        head_only: bool,
        image: &[u8],
        head: &mut HeadWriter<'_>,
    ) -> Span {
        let representation = &self.representations[response.representation as usize];
        let Representation { body, lines_bytes } = *representation;
        let content = |span: Span| if head_only { Span::default() } else { span };
        match response.select {
            Select::Whole => {
                self.begin_file_head(response, response.status, persistence, head);
                if response.status == StatusIndex::OK && lines_bytes > 0 {
                    let lines_bytes = u64::from(lines_bytes);
                    let len = lines_bytes + content(body).len;
                    return Span { offset: body.offset - lines_bytes, len };
                }
                let SiteFile { first, codings, .. } = response.target.file;
                head.put(coding_line(codings.get(response.representation - first)));
                head.put(LENGTH);
                head.put_number(body.len);
                head.put(b"\r\n");
                if response.status == StatusIndex::OK {
                    self.put_validators(response, image, head);
                }
                head.put(b"\r\n");
                content(body)
            }
            Select::Part(first, last) => {
                self.begin_file_head(response, StatusIndex::PARTIAL_CONTENT, persistence, head);
                head.put(LENGTH);
                head.put_number(last - first + 1);
                head.put(b"\r\nContent-Range: bytes ");
                head.put_number(first);
                head.put(b"-");
                head.put_number(last);
                head.put(b"/");
                head.put_number(body.len);
                head.put(b"\r\n");
                self.put_validators(response, image, head);
                head.put(b"\r\n");
                content(Span { offset: body.offset + first, len: last - first + 1 })
            }
            Select::NotModified => {
                self.begin_file_head(response, StatusIndex::NOT_MODIFIED, persistence, head);
                self.put_validators(response, image, head);
                head.put(b"\r\n");
                Span::default()
            }
            Select::Unsatisfiable | Select::PreconditionFailed | Select::NotAcceptable => {
                let prebuilt = response.select.built_in().expect("these are built in");
                let (front, body) = self.heads.response(prebuilt, persistence);
                if let Some(fields) = response.fields {
                    head.begin(front, fields, 0);
                } else {
                    head.put(front);
                    self.put_own_lines(prebuilt, head);
                }
                if response.select == Select::Unsatisfiable {
                    head.put(b"Content-Range: bytes */");
                    head.put_number(representation.body.len);
                    head.put(b"\r\n");
                }
                head.put(b"\r\n");
                head.put(if head_only { b"" } else { body });
                Span::default()
            }
        }
    }

    /// Writes the front of a head and the fields of a file.
    fn begin_file_head(
        &self,
        response: &FileResponse,
        status: StatusIndex,
        persistence: Persistence,
        head: &mut HeadWriter<'_>,
    ) {
        let front = self.heads.front(status, persistence);
        let is_short = status == StatusIndex::NOT_MODIFIED;
        if let Some(fields) = response.fields {
            head.begin(front, fields, if is_short { fields.kept_at } else { 0 });
            return;
        }
        let fields = &self.field_blocks[response.target.fields.index()];
        head.put(front);
        head.put(if is_short { &fields.text[fields.kept_at..] } else { &fields.text });
        head.put(if response.by_language { BY_LANGUAGE } else { b"" });
    }

    /// Writes the lines of a prebuilt response that rules can change, for a site without rules.
    fn put_own_lines(&self, prebuilt: Prebuilt, head: &mut HeadWriter<'_>) {
        head.put(NOSNIFF);
        match prebuilt {
            Prebuilt::NotFound => {
                // A navigation gets the fallback instead, and a rule may be for another language.
                head.put(if self.fallback.is_some() { BY_ACCEPT } else { b"" });
                head.put(if self.redirects.have_languages() { BY_LANGUAGE } else { b"" });
            }
            Prebuilt::NotAcceptable => head.put(BY_CODING),
            _ => {}
        }
    }

    /// Writes `ETag` and `Last-Modified`: a copy of the lines before the body, if there are any.
    fn put_validators(&self, response: &FileResponse, image: &[u8], head: &mut HeadWriter<'_>) {
        let modified = self.modified[response.target.file.id.index()];
        let Representation { body, lines_bytes } =
            self.representations[response.representation as usize];
        if lines_bytes > 0 {
            let end = body.range().start;
            let start = end - validators_bytes(modified.is_some());
            head.put(&image[start..end - b"\r\n".len()]);
            return;
        }
        head.put(ETAG);
        head.put(self.tag(response.representation, modified.is_some(), image));
        head.put(b"\r\n");
        if let Some(modified) = modified {
            let mut date = [0; DATE_BYTES];
            write_date(&mut date, modified.get());
            head.put(LAST_MODIFIED);
            head.put(&date);
            head.put(b"\r\n");
        }
    }
}

/// Writes a head from the beginning of a block on.
struct HeadWriter<'a> {
    block: &'a mut [u8],
    used: usize,
}

impl HeadWriter<'_> {
    /// Writes the front of a head, and behind it the composed lines from `from` on, which are at
    /// the beginning of the block.
    fn begin(&mut self, front: &[u8], fields: Composition, from: u32) {
        assert_eq!(self.used, 0, "composed lines would be overwritten");
        let lines = from as usize..fields.bytes as usize;
        self.used = front.len() + lines.len();
        self.block.copy_within(lines, front.len());
        self.block[..front.len()].copy_from_slice(front);
    }

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
}

/// Keeps browsers from guessing another media type than `Content-Type`.
const NOSNIFF: &[u8] = b"X-Content-Type-Options: nosniff\r\n";
const BY_ACCEPT: &[u8] = b"Vary: Accept\r\n";
const BY_CODING: &[u8] = b"Vary: Accept-Encoding\r\n";
/// The field of a response that was chosen by the preferred language; `Vary` may have several lines
/// (RFC 9110 5.3).
const BY_LANGUAGE: &[u8] = b"Vary: Accept-Language\r\n";
/// The end of a head behind the value of `Location`.
const NO_CONTENT: &[u8] = b"\r\nContent-Length: 0\r\n\r\n";
