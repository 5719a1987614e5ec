//! Finding the end of a head that arrives in pieces, at a cost of one look at each byte.
//!
//! Lines end in CRLF, and this is where that is enforced: a line feed alone, which `httparse`
//! would accept, is refused here. So is what can never become a head, before it is complete.

use super::grammar::{TOKEN, is, is_forbidden};
use super::request::{
    EMPTY_LINES_MAX, METHOD_BYTES_MAX, RejectStatus, TARGET_BYTES_MAX, check_request_line,
    first_line,
};
use std::ops::Range;

/// How far the bytes of an incomplete head have been looked at. The default is: not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Where the request line begins, behind empty lines.
    pub(super) start: u32,
    /// Where the line begins that is looked at.
    line: u32,
    /// How many bytes have been looked at.
    seen: u32,
    /// How long the method is, if its end has been seen.
    method: u32,
    empty_lines: u8,
    line_is_checked: bool,
}

impl Scan {
    /// Where the head lies, without empty lines before it, or `None` if it isn't complete.
    pub(super) fn find(
        &mut self,
        bytes: &[u8],
        head_bytes_max: usize,
    ) -> Result<Option<Range<usize>>, RejectStatus> {
        let before = self.seen as usize;
        match self.find_end(bytes, head_bytes_max) {
            Ok(Some(end)) if end > head_bytes_max => Err(self.too_large(bytes)),
            Ok(Some(end)) => Ok(Some(self.start as usize..end)),
            Ok(None) => {
                self.check_incomplete(bytes, before, head_bytes_max)?;
                Ok(None)
            }
            // What is wrong with the request line was wrong before the rest came.
            Err(status) => Err(self.check_line(bytes).err().unwrap_or(status)),
        }
    }

    fn find_end(&mut self, bytes: &[u8], limit: usize) -> Result<Option<usize>, RejectStatus> {
        // What lies beyond the limit is of no interest.
        let bytes = &bytes[..bytes.len().min(limit + 1)];
        while let Some(found) = memchr::memchr(b'\n', &bytes[self.seen as usize..]) {
            let feed = self.seen as usize + found;
            if feed == 0 || bytes[feed - 1] != b'\r' {
                return Err(RejectStatus::BadRequest);
            }
            let line_is_empty = feed - 1 == self.line as usize;
            let next = small(feed + 1);
            if line_is_empty && self.line != self.start {
                return Ok(Some(feed + 1));
            }
            if line_is_empty {
                // RFC 9112 2.2: empty lines before a request line are ignored, some of them.
                self.empty_lines += 1;
                if self.empty_lines > EMPTY_LINES_MAX {
                    return Err(RejectStatus::BadRequest);
                }
                self.start = next;
            }
            self.line = next;
            self.seen = next;
        }
        self.seen = small(bytes.len());
        Ok(None)
    }

    fn check_incomplete(
        &mut self,
        bytes: &[u8],
        before: usize,
        head_bytes_max: usize,
    ) -> Result<(), RejectStatus> {
        if self.line > self.start {
            self.check_line(bytes)?;
        } else {
            self.check_begun_line(bytes, before)?;
        }
        // The last byte looked at before may have been the CR of a line end.
        let new = &bytes[before.saturating_sub(1).max(self.start as usize).min(bytes.len())..];
        let bare_return = memchr::memchr_iter(b'\r', new)
            .any(|at| new.get(at + 1).is_some_and(|&next| next != b'\n'));
        if bare_return || new.iter().any(|&octet| is_forbidden(octet)) {
            return Err(RejectStatus::BadRequest);
        }
        if bytes.len() > head_bytes_max { Err(self.too_large(bytes)) } else { Ok(()) }
    }

    fn too_large(&self, bytes: &[u8]) -> RejectStatus {
        if self.line > self.start {
            self.check_line_again(bytes).err().unwrap_or(RejectStatus::FieldsTooLarge)
        } else {
            RejectStatus::UriTooLong
        }
    }

    /// Looks at a request line that is complete, once.
    fn check_line(&mut self, bytes: &[u8]) -> Result<(), RejectStatus> {
        if self.line_is_checked || self.line == self.start {
            return Ok(());
        }
        self.line_is_checked = true;
        self.check_line_again(bytes)
    }

    fn check_line_again(&self, bytes: &[u8]) -> Result<(), RejectStatus> {
        check_request_line(first_line(&bytes[self.start as usize..])).map(drop)
    }

    /// Looks at the new bytes of a request line that isn't complete.
    fn check_begun_line(&mut self, bytes: &[u8], before: usize) -> Result<(), RejectStatus> {
        let start = self.start as usize;
        if self.method == 0 {
            for (at, &octet) in bytes.iter().enumerate().skip(before.max(start)) {
                match octet {
                    b' ' if at > start => {
                        self.method = small(at - start);
                        break;
                    }
                    // It may be the first half of an empty line.
                    b'\r' if at == start && bytes.len() == at + 1 => {}
                    _ if is(octet, TOKEN) => {}
                    _ => return Err(RejectStatus::BadRequest),
                }
            }
        }
        let method = match self.method {
            0 => bytes.len() - start,
            method => method as usize,
        };
        if method > METHOD_BYTES_MAX {
            return Err(RejectStatus::NotImplemented);
        }
        let target = bytes.len() - start - self.method as usize;
        if target > TARGET_BYTES_MAX + 1 + VERSION_BYTES {
            return Err(RejectStatus::UriTooLong);
        }
        Ok(())
    }
}

fn small(position: usize) -> u32 {
    u32::try_from(position).expect("a head has at most 64 KiB")
}

/// A space, `HTTP/1.1`, and a line end: what may follow a target of the longest kind.
const VERSION_BYTES: usize = 11;
