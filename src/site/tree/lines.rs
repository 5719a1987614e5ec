//! The field lines that a body decides by itself: coding, length and validators.
//!
//! They lie in the image right before the body, with the empty line at their end, so that a 200
//! needs no copy of them: it is a front with the fields of the path, and one span with the rest.
//!
//! ```text
//! block of the slot                     image
//! HTTP/1.1 200 OK … Content-Type: …     Content-Length: … ETag: … Last-Modified: … ⏎  body
//! ```

use crate::http::coding::Coding;
use crate::http::response::{DATE_BYTES, write_date};
use crate::site::tag::{TAG_BYTES, Tag};

/// The values of the lines of a body, besides its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLines {
    /// Its content coding.
    pub coding: Coding,
    /// Its length in bytes.
    pub len: u64,
    /// The time of its file's last modification, in seconds since the Unix epoch.
    pub modified: Option<u64>,
}

impl BodyLines {
    /// Length of the lines in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let digits = self.len.checked_ilog10().map_or(1, |exponent| exponent as usize + 1);
        let length = LENGTH.len() + digits + LINE_END.len();
        coding_line(self.coding).len() + length + validators_bytes(self.modified.is_some())
    }

    /// Writes the lines to `out`, which has exactly their length.
    ///
    /// # Panics
    /// If it has another length.
    pub fn write(&self, tag: &Tag, out: &mut [u8]) {
        let mut rest = out;
        let mut put = |piece: &[u8]| {
            let (place, behind) = std::mem::take(&mut rest).split_at_mut(piece.len());
            place.copy_from_slice(piece);
            rest = behind;
        };
        put(coding_line(self.coding));
        put(LENGTH);
        put(self.len.to_string().as_bytes());
        put(LINE_END);
        put(ETAG);
        put(tag);
        put(LINE_END);
        if let Some(modified) = self.modified {
            let mut date = [0; DATE_BYTES];
            write_date(&mut date, modified);
            put(LAST_MODIFIED);
            put(&date);
            put(LINE_END);
        }
        put(LINE_END);
        assert!(rest.is_empty(), "the place has the length of the lines");
    }
}

/// Bytes from the tag's line to the end of a body's lines, the empty line included.
pub(super) fn validators_bytes(has_date: bool) -> usize {
    let date = LAST_MODIFIED.len() + DATE_BYTES + LINE_END.len();
    ETAG.len() + TAG_BYTES + LINE_END.len() + if has_date { date } else { 0 } + LINE_END.len()
}

/// The line of a content coding; empty for identity.
pub(super) fn coding_line(coding: Coding) -> &'static [u8] {
    match coding {
        Coding::Identity => b"",
        Coding::Gzip => b"Content-Encoding: gzip\r\n",
        Coding::Zstd => b"Content-Encoding: zstd\r\n",
        Coding::Brotli => b"Content-Encoding: br\r\n",
    }
}

pub(super) const LENGTH: &[u8] = b"Content-Length: ";
pub(super) const ETAG: &[u8] = b"ETag: ";
pub(super) const LAST_MODIFIED: &[u8] = b"Last-Modified: ";
const LINE_END: &[u8] = b"\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_length_that_is_reserved_for_them() {
        let tag = [b'"'; TAG_BYTES];
        for len in [0, 9, 10, 99_999, 100_000, u64::MAX] {
            for coding in Coding::ALL {
                for modified in [None, Some(784_111_777)] {
                    let lines = BodyLines { coding, len, modified };
                    let mut out = vec![0; lines.bytes()];
                    lines.write(&tag, &mut out);
                    assert!(u8::try_from(out.len()).is_ok(), "a representation has the length");
                    let text = String::from_utf8(out).expect("lines are text");
                    assert!(text.contains(&format!("Content-Length: {len}\r\n")), "{text}");
                    let validators = &text[text.len() - validators_bytes(modified.is_some())..];
                    assert!(validators.starts_with("ETag: ") && text.ends_with("\r\n\r\n"));
                }
            }
        }
    }
}
