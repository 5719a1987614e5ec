//! Finding the end of a request head that arrives in pieces, in time linear in its bytes.
//!
//! Lines end in CRLF, and this module enforces it: RFC 9112 2.2 allows a recipient to accept a bare
//! line feed, as `httparse` does, but two parsers that disagree on line ends are what request
//! smuggling needs. Bytes that can't become a valid head are refused before the head is complete.

use super::grammar::{TOKEN, is, is_forbidden};
use super::limits::{EMPTY_LINES_MAX, METHOD_BYTES_MAX, TARGET_BYTES_MAX};
use super::reject::RejectStatus;
use super::request_line::{RequestLine, first_line};
use std::ops::Range;

/// The progress in an incomplete head, so that no byte is scanned twice. The default is the
/// beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Offset of the request line, after empty lines.
    pub(super) start: u32,
    /// Offset of the line that is being scanned.
    line: u32,
    /// Number of bytes scanned for line feeds.
    scanned: u32,
    /// Length of the method; 0 until its end is known.
    method: u32,
    empty_lines: u8,
    line_is_checked: bool,
}

impl Scan {
    /// Whether nothing has been scanned, and `bytes` begin with a request line, not with an empty
    /// line before it.
    pub(super) fn is_at_request_line(&self, bytes: &[u8]) -> bool {
        self.scanned == 0 && !matches!(bytes.first(), Some(b'\r' | b'\n'))
    }

    /// The range of the head without the empty lines before it, or `None` if it isn't complete.
    pub(super) fn find(
        &mut self,
        bytes: &[u8],
        head_bytes_max: usize,
    ) -> Result<Option<Range<usize>>, RejectStatus> {
        let before = self.scanned as usize;
        match self.find_end(bytes, head_bytes_max) {
            Ok(Some(end)) if end > head_bytes_max => Err(self.too_large(bytes)),
            Ok(Some(end)) => Ok(Some(self.start as usize..end)),
            Ok(None) => {
                self.check_incomplete(bytes, before, head_bytes_max)?;
                Ok(None)
            }
            // An error in the request line precedes one in a later line, and so does its status.
            Err(status) => Err(self.check_line(bytes).err().unwrap_or(status)),
        }
    }

    fn find_end(&mut self, bytes: &[u8], limit: usize) -> Result<Option<usize>, RejectStatus> {
        // One byte beyond the limit is enough to exceed it.
        let bytes = &bytes[..bytes.len().min(limit + 1)];
        while let Some(found) = memchr::memchr(b'\n', &bytes[self.scanned as usize..]) {
            let feed = self.scanned as usize + found;
            if feed == 0 || bytes[feed - 1] != b'\r' {
                return Err(RejectStatus::BadRequest);
            }
            let line_is_empty = feed - 1 == self.line as usize;
            let next = offset(feed + 1);
            if line_is_empty && self.line != self.start {
                return Ok(Some(feed + 1));
            }
            if line_is_empty {
                // RFC 9112 2.2: a server ignores at least one empty line before a request line.
                self.empty_lines += 1;
                if self.empty_lines > EMPTY_LINES_MAX {
                    return Err(RejectStatus::BadRequest);
                }
                self.start = next;
            }
            self.line = next;
            self.scanned = next;
        }
        self.scanned = offset(bytes.len());
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
            self.check_partial_line(bytes, before)?;
        }
        // The new bytes, and the one before them: it may be the CR of a line end.
        let new = &bytes[before.saturating_sub(1).max(self.start as usize).min(bytes.len())..];
        let bare_return = memchr::memchr_iter(b'\r', new)
            .any(|at| new.get(at + 1).is_some_and(|&next| next != b'\n'));
        if bare_return || new.iter().any(|&octet| is_forbidden(octet)) {
            return Err(RejectStatus::BadRequest);
        }
        if bytes.len() > head_bytes_max { Err(self.too_large(bytes)) } else { Ok(()) }
    }

    /// The status of a head over its limit, by the line in which the limit lies.
    fn too_large(&self, bytes: &[u8]) -> RejectStatus {
        if self.line > self.start {
            self.parse_line(bytes).err().unwrap_or(RejectStatus::FieldsTooLarge)
        } else {
            RejectStatus::UriTooLong
        }
    }

    /// Checks the request line once, as soon as it is complete.
    fn check_line(&mut self, bytes: &[u8]) -> Result<(), RejectStatus> {
        if self.line_is_checked || self.line == self.start {
            return Ok(());
        }
        self.line_is_checked = true;
        self.parse_line(bytes)
    }

    fn parse_line(&self, bytes: &[u8]) -> Result<(), RejectStatus> {
        RequestLine::parse(first_line(&bytes[self.start as usize..])).map(drop)
    }

    /// Checks the new bytes of an incomplete request line.
    fn check_partial_line(&mut self, bytes: &[u8], before: usize) -> Result<(), RejectStatus> {
        let start = self.start as usize;
        if self.method == 0 {
            for (at, &octet) in bytes.iter().enumerate().skip(before.max(start)) {
                match octet {
                    b' ' if at > start => {
                        self.method = offset(at - start);
                        break;
                    }
                    // Perhaps the first half of an empty line.
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

fn offset(position: usize) -> u32 {
    u32::try_from(position).expect("a head has at most 64 KiB")
}

/// A space, `HTTP/1.1` and CRLF: the bytes of a request line after its target.
const VERSION_BYTES: usize = " HTTP/1.1\r\n".len();
