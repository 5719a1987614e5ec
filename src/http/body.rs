//! The body of a request, which this server discards: its end is found in whatever pieces it
//! arrives, so that the next request can be parsed.

use super::chunks::Chunks;
use super::framing::Framing;

pub use super::chunks::BodyProgress;
pub use super::limits::{
    BODY_BYTES_MAX, CHUNK_SIZE_DIGITS_MAX, EXTENSION_BYTES_MAX, TRAILER_BYTES_MAX,
};

/// A request body, as far as it hasn't arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestBody(Remaining);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remaining {
    /// Bytes left of a body with `Content-Length`.
    Length(u64),
    Chunks(Chunks),
    TooLong,
}

impl RequestBody {
    /// A body of which no byte has arrived.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::None => Remaining::Length(0),
            Framing::Length(length) if length > BODY_BYTES_MAX => Remaining::TooLong,
            Framing::Length(length) => Remaining::Length(length),
            Framing::Chunked => Remaining::Chunks(Chunks::default()),
        })
    }

    /// Whether `Content-Length` exceeds [`BODY_BYTES_MAX`]. A body in chunks turns out to be too
    /// long only in [`advance`](Self::advance).
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.0 == Remaining::TooLong
    }

    /// Whether the body is complete without another byte. A body in chunks isn't before its last
    /// byte was passed to [`advance`](Self::advance), which reports the end.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0 == Remaining::Length(0)
    }

    /// Consumes bytes up to the end of the body. Returns how many, and the progress.
    pub fn advance(&mut self, bytes: &[u8]) -> (usize, BodyProgress) {
        match &mut self.0 {
            Remaining::Length(rest) => {
                let count = bytes.len().min(usize::try_from(*rest).unwrap_or(usize::MAX));
                *rest -= count as u64;
                (count, if *rest == 0 { BodyProgress::Done } else { BodyProgress::More })
            }
            Remaining::Chunks(chunks) => chunks.advance(bytes, BODY_BYTES_MAX, &mut |_| {}),
            Remaining::TooLong => (0, BodyProgress::TooLong),
        }
    }
}
