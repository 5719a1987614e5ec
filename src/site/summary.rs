//! What a rendered response is, read from its own bytes: no table could disagree with them.

use super::Site;
use crate::bytes::Spans;
use memchr::memmem;

/// The status of a response and the length of its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseSummary {
    /// The status code.
    pub status: u16,
    /// The length of the head in bytes, its empty line included.
    pub head_bytes: u32,
}

impl Site {
    /// The summary of a whole response, as [`Site::output`] returned it.
    #[must_use]
    pub fn summary(spans: Spans, fixed: &[u8]) -> ResponseSummary {
        let first = &fixed[spans.first.range()];
        let digit = |place: usize| first.get(place).map_or(0, |octet| octet.wrapping_sub(b'0'));
        let status = STATUS_AT.fold(0, |code, place| 10 * code + u16::from(digit(place)));
        let has_separate_content = spans.then.len > 0 && first.ends_with(HEAD_END);
        let head_bytes = if has_separate_content {
            first.len()
        } else if let Some(place) = memmem::find(first, HEAD_END) {
            place + HEAD_END.len()
        } else {
            // The end of the head lies elsewhere: a `Location`, or the lines of a body.
            let then = &fixed[spans.then.range()];
            let end = memmem::find(then, HEAD_END).map(|place| place + HEAD_END.len());
            first.len() + end.unwrap_or(then.len())
        };
        ResponseSummary { status, head_bytes: u32::try_from(head_bytes).unwrap_or(u32::MAX) }
    }
}

/// The digits of the status code behind `HTTP/1.1 `.
const STATUS_AT: std::ops::Range<usize> = 9..12;
const HEAD_END: &[u8] = b"\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::Span;

    fn summary(first: &str, then: &str) -> (u16, u32) {
        let fixed = [first.as_bytes(), then.as_bytes()].concat();
        let len = |text: &str| text.len() as u64;
        let first = Span { offset: 0, len: len(first) };
        let then = Span { offset: first.len, len: len(then) };
        let ResponseSummary { status, head_bytes } = Site::summary(Spans { first, then }, &fixed);
        (status, head_bytes)
    }

    #[test]
    fn status_and_length_are_those_of_the_head() {
        let head = "HTTP/1.1 404 Not Found\r\nDate: x\r\n\r\n";
        assert_eq!(summary(head, ""), (404, 35), "a response to HEAD");
        assert_eq!(summary(&format!("{head}gone\r\n\r\n"), ""), (404, 35), "content behind it");
        assert_eq!(summary(head, "a\r\n\r\nfile"), (404, 35), "content elsewhere");
        let redirect = "HTTP/1.1 308 Permanent Redirect\r\nLocation: ";
        assert_eq!(summary(redirect, "/a\r\nContent-Length: 0\r\n\r\n"), (308, 68));
        let front = "HTTP/1.1 200 OK\r\nDate: x\r\n";
        assert_eq!(summary(front, "ETag: a\r\n\r\na\r\n\r\nfile"), (200, 37), "lines of a body");
    }
}
