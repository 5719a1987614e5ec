//! The client's half: bytes to whole responses, of one connection. Knows no socket, no clock and no
//! request but whether it was HEAD.
//!
//! ```text
//!             interim response
//!               ┌───────┐
//!               ▼       │            ┌─ Length ──────┐
//!  new ───►    Head ────┴── final ───┼─ Chunked ─────┼──► Whole ──► Head again
//!                                    └─ UntilClose ──┘    (UntilClose: at the stream's end)
//!  anywhere ──► Malformed, for good
//! ```
//!
//! An incomplete head is the only thing that is kept, and only until it is complete.

pub use super::chunks::{CHUNK_SIZE_DIGITS_MAX, EXTENSION_BYTES_MAX, TRAILER_BYTES_MAX};

use super::chunks::{self, Chunks};
use head::{Framing, Head};
use std::fmt;

mod head;
pub mod properties;
#[cfg(test)]
mod tests;

/// The longest head of a response, in bytes; interim responses have their own.
pub const HEAD_BYTES_MAX: u32 = 64 * 1024;
/// The most fields in a head.
pub const FIELDS_MAX: usize = 100;
/// The most interim responses (1xx) before a final one.
pub const INTERIM_MAX: u8 = 16;

/// How far the responses of one connection have been read.
#[derive(Debug)]
pub struct ResponseParser(State);

/// What was asked for, as far as it decides where the response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// HEAD: the response has no body, whatever its fields say (RFC 9112 6.3).
    Head,
    /// Any other method but CONNECT.
    Other,
}

/// What bytes have led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All of them were taken, and the response isn't whole.
    More,
    /// A final response is whole; behind the bytes that were taken, the next one begins.
    Whole(CompleteResponse),
    /// They are no response, and neither is what follows. How many were taken says nothing.
    Malformed(Malformed),
}

/// A whole response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompleteResponse {
    /// The status: three digits, of which the first isn't 1. One that isn't between 200 and 599
    /// is to be taken for a server's error (RFC 9110 15).
    pub status: u16,
    /// Whether another request may follow on the connection (RFC 9112 9.3).
    pub persists: bool,
    /// How long the content was, without the framing of chunks.
    pub body_bytes: u64,
    /// How long the head was, interim responses before it included.
    pub head_bytes: u32,
}

/// What the end of the stream means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It came between responses.
    Between,
    /// It ends a response that goes on until then.
    Whole(CompleteResponse),
    /// It cuts a response short.
    Short,
}

/// Why bytes are no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// They don't begin with `HTTP/1.`.
    NotHttp,
    /// A line of the head ends in a line feed alone.
    BareLineFeed,
    /// The head is longer than [`HEAD_BYTES_MAX`].
    HeadTooLong,
    /// The status line isn't valid.
    StatusLine,
    /// A field isn't valid.
    Field,
    /// There are more than [`FIELDS_MAX`].
    TooManyFields,
    /// 101: no upgrade was asked for.
    Upgrade,
    /// There are more than [`INTERIM_MAX`] interim responses.
    TooManyInterim,
    /// A content length isn't a number.
    Length,
    /// Two content lengths differ.
    TwoLengths,
    /// The transfer codings aren't valid, or `chunked` is there twice.
    Codings,
    /// Transfer codings in HTTP/1.0, which has none (RFC 9112 6.1).
    CodingsInHttp10,
    /// Transfer codings and a content length (RFC 9112 6.3).
    CodingsAndLength,
    /// The framing of chunks isn't valid, or exceeds a bound.
    Chunks,
}

#[derive(Debug)]
enum State {
    /// Before a head, or in one.
    Head { begun: Vec<u8>, interim: Interim },
    /// In content of known length, of which so many bytes are left.
    Length { response: CompleteResponse, left: u64 },
    /// In chunks.
    Chunked { response: CompleteResponse, chunks: Chunks },
    /// In content that goes on until the stream ends.
    UntilClose { response: CompleteResponse },
    /// It can't be read any further.
    Malformed(Malformed),
}

/// The interim responses before the head that is next.
#[derive(Clone, Copy, Debug, Default)]
struct Interim {
    count: u8,
    bytes: u32,
}

// A load client has tens of thousands of these.
const _: () = assert!(size_of::<ResponseParser>() <= 56);

impl ResponseParser {
    /// For a connection on which nothing has come.
    #[must_use]
    pub fn new() -> Self {
        Self(State::Head { begun: Vec::new(), interim: Interim::default() })
    }

    /// Takes bytes up to the end of the response that is next; says how many. Content goes to
    /// `content`, in its order and without the framing of chunks.
    pub fn read(
        &mut self,
        asked: Asked,
        bytes: &[u8],
        content: &mut impl FnMut(&[u8]),
    ) -> (usize, Progress) {
        let used = self.read_heads(asked, bytes);
        let (more, progress) = self.read_content(&bytes[used..], content);
        (used + more, progress)
    }

    /// How many of the next bytes are content that needn't be looked at; 0 if that isn't known.
    #[must_use]
    pub fn skippable(&self) -> u64 {
        match &self.0 {
            State::Length { left, .. } => *left,
            State::Chunked { chunks, .. } => chunks.data_left(),
            State::Head { .. } | State::UntilClose { .. } | State::Malformed(_) => 0,
        }
    }

    /// So many of the [`skippable`](Self::skippable) bytes have come, and were not looked at.
    pub fn skipped(&mut self, count: u64) -> Progress {
        let skippable = self.skippable();
        assert!(count <= skippable, "only known content is skipped: {count} of {skippable}");
        match &mut self.0 {
            State::Length { left, .. } => *left -= count,
            State::Chunked { chunks, .. } => chunks.pass(count),
            State::Head { .. } | State::UntilClose { .. } | State::Malformed(_) => {}
        }
        let (_, progress) = self.read_content(&[], &mut |_| {});
        progress
    }

    /// The stream has ended. What comes now would be another connection's.
    pub fn end(&mut self) -> End {
        match std::mem::take(self).0 {
            State::Head { begun, interim } if begun.is_empty() && interim.count == 0 => {
                End::Between
            }
            State::UntilClose { response } => End::Whole(response),
            State::Head { .. }
            | State::Length { .. }
            | State::Chunked { .. }
            | State::Malformed(_) => End::Short,
        }
    }

    /// Whether a byte of the response that is next has come.
    #[must_use]
    pub fn begun(&self) -> bool {
        match &self.0 {
            State::Head { begun, interim } => !begun.is_empty() || interim.count > 0,
            State::Length { .. }
            | State::Chunked { .. }
            | State::UntilClose { .. }
            | State::Malformed(_) => true,
        }
    }

    /// Takes bytes up to the end of a final head.
    fn read_heads(&mut self, asked: Asked, bytes: &[u8]) -> usize {
        let mut used = 0;
        while let State::Head { begun, interim } = &mut self.0 {
            let left = &bytes[used..];
            let end = match head::find_end(begun, left) {
                Ok(Some(end)) => end,
                Ok(None) => {
                    begun.extend_from_slice(left);
                    return bytes.len();
                }
                Err(malformed) => {
                    self.0 = State::Malformed(malformed);
                    break;
                }
            };
            used += end;
            // Nearly every head comes as a whole, and is read where it lies.
            let head = if begun.is_empty() {
                &left[..end]
            } else {
                begun.extend_from_slice(&left[..end]);
                begun
            };
            self.0 = interim.then(asked, head).unwrap_or_else(State::Malformed);
        }
        used
    }

    /// Takes content up to its end.
    fn read_content(&mut self, bytes: &[u8], content: &mut impl FnMut(&[u8])) -> (usize, Progress) {
        match &mut self.0 {
            State::Head { .. } => (0, Progress::More),
            State::Malformed(malformed) => (0, Progress::Malformed(*malformed)),
            State::UntilClose { response } => {
                if !bytes.is_empty() {
                    content(bytes);
                }
                response.body_bytes += bytes.len() as u64;
                (bytes.len(), Progress::More)
            }
            State::Length { response, left } => {
                let count = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                if count > 0 {
                    content(&bytes[..count]);
                }
                *left -= count as u64;
                if *left > 0 {
                    return (count, Progress::More);
                }
                let response = *response;
                (count, self.whole(response))
            }
            State::Chunked { response, chunks } => match chunks.advance(bytes, u64::MAX, content) {
                (used, chunks::Progress::More) => (used, Progress::More),
                (used, chunks::Progress::Done) => {
                    let response = CompleteResponse { body_bytes: chunks.content(), ..*response };
                    (used, self.whole(response))
                }
                (used, chunks::Progress::TooLong | chunks::Progress::Malformed) => {
                    self.0 = State::Malformed(Malformed::Chunks);
                    (used, Progress::Malformed(Malformed::Chunks))
                }
            },
        }
    }

    fn whole(&mut self, response: CompleteResponse) -> Progress {
        *self = Self::new();
        Progress::Whole(response)
    }
}

impl Default for ResponseParser {
    fn default() -> Self {
        Self::new()
    }
}

impl Interim {
    /// What a head leads to.
    fn then(self, asked: Asked, head: &[u8]) -> Result<State, Malformed> {
        let head_len = u32::try_from(head.len()).expect("a head within its limit");
        let bytes = self.bytes + head_len;
        Ok(match head::decide(asked, head)? {
            Head::Interim if self.count == INTERIM_MAX => return Err(Malformed::TooManyInterim),
            Head::Interim => {
                let interim = Self { count: self.count + 1, bytes };
                State::Head { begun: Vec::new(), interim }
            }
            Head::Final { status, persists, framing } => {
                let response =
                    CompleteResponse { status, persists, body_bytes: 0, head_bytes: bytes };
                match framing {
                    Framing::Length(length) => State::Length {
                        response: CompleteResponse { body_bytes: length, ..response },
                        left: length,
                    },
                    Framing::Chunked => State::Chunked { response, chunks: Chunks::default() },
                    Framing::UntilClose => State::UntilClose {
                        response: CompleteResponse { persists: false, ..response },
                    },
                }
            }
        })
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self {
            Self::NotHttp => "it doesn't begin with HTTP/1.",
            Self::BareLineFeed => "a line of the head ends in a line feed alone",
            Self::HeadTooLong => {
                return write!(f, "the head is longer than {HEAD_BYTES_MAX} bytes");
            }
            Self::StatusLine => "the status line isn't valid",
            Self::Field => "a field of the head isn't valid",
            Self::TooManyFields => return write!(f, "the head has more than {FIELDS_MAX} fields"),
            Self::Upgrade => "101 (Switching Protocols), and no upgrade was asked for",
            Self::TooManyInterim => return write!(f, "more than {INTERIM_MAX} interim responses"),
            Self::Length => "the content length isn't a number",
            Self::TwoLengths => "two content lengths differ",
            Self::Codings => "the transfer codings aren't valid",
            Self::CodingsInHttp10 => "transfer codings in HTTP/1.0",
            Self::CodingsAndLength => "both transfer codings and a content length",
            Self::Chunks => "the chunks aren't valid",
        };
        f.write_str(why)
    }
}

impl std::error::Error for Malformed {}
