//! A request's body, found to its end and dropped, in whatever pieces it comes.

use super::chunks::Chunks;
use super::request::Framing;

pub use super::chunks::{CHUNK_SIZE_DIGITS_MAX, EXTENSION_BYTES_MAX, Progress, TRAILER_BYTES_MAX};

/// The longest body that is dropped in order to keep the connection, in bytes of content.
pub const BODY_BYTES_MAX: u64 = 64 * 1024;

/// How far a body has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body(State);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes are left of a body of known length.
    Length(u64),
    Chunks(Chunks),
    TooLong,
}

impl Body {
    /// A body of which nothing has come yet.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::None => State::Length(0),
            Framing::Length(length) if length > BODY_BYTES_MAX => State::TooLong,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunks(Chunks::default()),
        })
    }

    /// Whether its length, known from the head, is over [`BODY_BYTES_MAX`].
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.0 == State::TooLong
    }

    /// Whether nothing of it is left to come, as far as is known without another byte.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0 == State::Length(0)
    }

    /// Takes bytes up to the end of the body; says how many.
    pub fn advance(&mut self, bytes: &[u8]) -> (usize, Progress) {
        match &mut self.0 {
            State::Length(rest) => {
                let count = bytes.len().min(usize::try_from(*rest).unwrap_or(usize::MAX));
                *rest -= count as u64;
                (count, if *rest == 0 { Progress::Done } else { Progress::More })
            }
            State::Chunks(chunks) => chunks.advance(bytes, BODY_BYTES_MAX, &mut |_| {}),
            State::TooLong => (0, Progress::TooLong),
        }
    }
}
