//! The responses of one connection, parsed for a client (RFC 9112 4 to 7). This module knows no
//! socket and no clock, and of a request only whether its method was HEAD.
//!
//! ```text
//!             interim response
//!               ┌───────┐
//!               ▼       │            ┌─ Length ──────┐
//!  new ───►    Head ────┴── final ───┼─ Chunked ─────┼──► complete ──► Head again
//!                                    └─ UntilClose ──┘    (UntilClose: at the end of the stream)
//!  any state ──► Malformed, for good
//! ```
//!
//! Only an incomplete head is copied, and only until it is complete.

pub use super::limits::{
    CHUNK_SIZE_DIGITS_MAX, EXTENSION_BYTES_MAX, FIELDS_MAX, HEAD_BYTES_MAX, INTERIM_MAX,
    TRAILER_BYTES_MAX,
};
pub use outcome::{CompleteResponse, MalformedResponse, RequestKind, ResponseProgress, StreamEnd};

use super::chunks::{BodyProgress, Chunks};
use head::{ResponseFraming, ResponseHead};

mod head;
mod outcome;
pub mod properties;
#[cfg(test)]
mod tests;

/// A parser for the responses of one connection.
///
/// # Examples
///
/// ```
/// use uringstatic::http::response_parser::{RequestKind, ResponseParser, ResponseProgress};
///
/// let mut parser = ResponseParser::new();
/// let mut content = Vec::new();
/// let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 ...";
/// let (used, progress) =
///     parser.read(RequestKind::Other, bytes, &mut |part| content.extend_from_slice(part));
/// let ResponseProgress::Complete(response) = progress else { panic!("{progress:?}") };
/// assert_eq!((response.status, response.body_bytes, response.persists), (200, 2, true));
/// assert_eq!((&content[..], &bytes[used..]), (&b"hi"[..], &b"HTTP/1.1 ..."[..]));
/// ```
#[derive(Debug)]
pub struct ResponseParser(ParserState);

#[derive(Debug)]
enum ParserState {
    /// Before a head, or in one, of which `begun` has arrived.
    Head { begun: Vec<u8>, interim: Interim },
    /// In content of known length, with the number of bytes left.
    Length { response: CompleteResponse, left: u64 },
    /// In chunked content.
    Chunked { response: CompleteResponse, chunks: Chunks },
    /// In content that extends to the end of the stream.
    UntilClose { response: CompleteResponse },
    /// After bytes that are no response: no later byte can be interpreted.
    Malformed(MalformedResponse),
}

/// The interim responses before the next head.
#[derive(Clone, Copy, Debug, Default)]
struct Interim {
    count: u8,
    bytes: u32,
}

// A load client has tens of thousands of parsers.
const _: () = assert!(size_of::<ResponseParser>() <= 56);

impl ResponseParser {
    /// A parser for a connection from which no byte has arrived.
    #[must_use]
    pub fn new() -> Self {
        Self(ParserState::Head { begun: Vec::new(), interim: Interim::default() })
    }

    /// Consumes bytes up to the end of the next response. Returns how many, and the progress.
    /// Content is passed to `content` in order, without the framing of chunks.
    pub fn read(
        &mut self,
        request: RequestKind,
        bytes: &[u8],
        content: &mut impl FnMut(&[u8]),
    ) -> (usize, ResponseProgress) {
        let used = self.read_heads(request, bytes);
        let (more, progress) = self.read_content(&bytes[used..], content);
        (used + more, progress)
    }

    /// The number of next bytes that are certainly content, so that [`skipped`](Self::skipped) can
    /// replace [`read`](Self::read) for them.
    #[must_use]
    pub fn skippable(&self) -> u64 {
        match &self.0 {
            ParserState::Length { left, .. } => *left,
            ParserState::Chunked { chunks, .. } => chunks.data_left(),
            ParserState::Head { .. }
            | ParserState::UntilClose { .. }
            | ParserState::Malformed(_) => 0,
        }
    }

    /// Advances by `count` bytes of content that arrived and were discarded unread.
    ///
    /// # Panics
    /// If `count` exceeds [`skippable`](Self::skippable).
    pub fn skipped(&mut self, count: u64) -> ResponseProgress {
        let skippable = self.skippable();
        assert!(count <= skippable, "only known content is skipped: {count} of {skippable}");
        match &mut self.0 {
            ParserState::Length { left, .. } => *left -= count,
            ParserState::Chunked { chunks, .. } => chunks.pass(count),
            ParserState::Head { .. }
            | ParserState::UntilClose { .. }
            | ParserState::Malformed(_) => {}
        }
        let (_, progress) = self.read_content(&[], &mut |_| {});
        progress
    }

    /// Handles the end of the stream and resets the parser for another connection.
    pub fn end(&mut self) -> StreamEnd {
        match std::mem::take(self).0 {
            ParserState::Head { begun, interim } if begun.is_empty() && interim.count == 0 => {
                StreamEnd::BetweenResponses
            }
            ParserState::UntilClose { response } => StreamEnd::Complete(response),
            ParserState::Head { .. }
            | ParserState::Length { .. }
            | ParserState::Chunked { .. }
            | ParserState::Malformed(_) => StreamEnd::Truncated,
        }
    }

    /// Whether a byte of the next response has arrived.
    #[must_use]
    pub fn begun(&self) -> bool {
        match &self.0 {
            ParserState::Head { begun, interim } => !begun.is_empty() || interim.count > 0,
            ParserState::Length { .. }
            | ParserState::Chunked { .. }
            | ParserState::UntilClose { .. }
            | ParserState::Malformed(_) => true,
        }
    }

    /// Consumes bytes up to the end of a final head.
    fn read_heads(&mut self, request: RequestKind, bytes: &[u8]) -> usize {
        let mut used = 0;
        while let ParserState::Head { begun, interim } = &mut self.0 {
            let left = &bytes[used..];
            let end = match head::find_end(begun, left) {
                Ok(Some(end)) => end,
                Ok(None) => {
                    begun.extend_from_slice(left);
                    return bytes.len();
                }
                Err(malformed) => {
                    self.0 = ParserState::Malformed(malformed);
                    break;
                }
            };
            used += end;
            // Nearly every head arrives in one piece and is parsed without a copy.
            let head = if begun.is_empty() {
                &left[..end]
            } else {
                begun.extend_from_slice(&left[..end]);
                begun
            };
            self.0 = interim.state_after(request, head).unwrap_or_else(ParserState::Malformed);
        }
        used
    }

    /// Consumes content up to its end.
    fn read_content(
        &mut self,
        bytes: &[u8],
        content: &mut impl FnMut(&[u8]),
    ) -> (usize, ResponseProgress) {
        match &mut self.0 {
            ParserState::Head { .. } => (0, ResponseProgress::More),
            ParserState::Malformed(malformed) => (0, ResponseProgress::Malformed(*malformed)),
            ParserState::UntilClose { response } => {
                if !bytes.is_empty() {
                    content(bytes);
                }
                response.body_bytes += bytes.len() as u64;
                (bytes.len(), ResponseProgress::More)
            }
            ParserState::Length { response, left } => {
                let count = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                if count > 0 {
                    content(&bytes[..count]);
                }
                *left -= count as u64;
                if *left > 0 {
                    return (count, ResponseProgress::More);
                }
                let response = *response;
                (count, self.complete(response))
            }
            ParserState::Chunked { response, chunks } => {
                match chunks.advance(bytes, u64::MAX, content) {
                    (used, BodyProgress::More) => (used, ResponseProgress::More),
                    (used, BodyProgress::Done) => {
                        let response =
                            CompleteResponse { body_bytes: chunks.content(), ..*response };
                        (used, self.complete(response))
                    }
                    (used, BodyProgress::TooLong | BodyProgress::Malformed) => {
                        let malformed = MalformedResponse::Chunks;
                        self.0 = ParserState::Malformed(malformed);
                        (used, ResponseProgress::Malformed(malformed))
                    }
                }
            }
        }
    }

    fn complete(&mut self, response: CompleteResponse) -> ResponseProgress {
        *self = Self::new();
        ResponseProgress::Complete(response)
    }
}

impl Default for ResponseParser {
    fn default() -> Self {
        Self::new()
    }
}

impl Interim {
    /// The state that a complete head leads to.
    fn state_after(
        self,
        request: RequestKind,
        head: &[u8],
    ) -> Result<ParserState, MalformedResponse> {
        let head_len = u32::try_from(head.len()).expect("a head within its limit");
        let bytes = self.bytes + head_len;
        Ok(match head::interpret(request, head)? {
            ResponseHead::Interim if self.count == INTERIM_MAX => {
                return Err(MalformedResponse::TooManyInterim);
            }
            ResponseHead::Interim => {
                let interim = Self { count: self.count + 1, bytes };
                ParserState::Head { begun: Vec::new(), interim }
            }
            ResponseHead::Final { status, persists, framing } => {
                let response =
                    CompleteResponse { status, persists, body_bytes: 0, head_bytes: bytes };
                match framing {
                    ResponseFraming::Length(length) => ParserState::Length {
                        response: CompleteResponse { body_bytes: length, ..response },
                        left: length,
                    },
                    ResponseFraming::Chunked => {
                        ParserState::Chunked { response, chunks: Chunks::default() }
                    }
                    ResponseFraming::UntilClose => ParserState::UntilClose {
                        response: CompleteResponse { persists: false, ..response },
                    },
                }
            }
        })
    }
}
