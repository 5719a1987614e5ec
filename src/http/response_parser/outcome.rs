//! The results of parsing responses, and their errors.

use crate::http::limits::{FIELDS_MAX, HEAD_BYTES_MAX, INTERIM_MAX};
use std::fmt;

/// The method of a request, as far as it decides where the response ends (RFC 9112 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// HEAD: the response has no content, whatever its fields are.
    Head,
    /// Any other method but CONNECT, after which the connection isn't HTTP.
    Other,
}

/// The progress after a call with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseProgress {
    /// All bytes were consumed, and the response isn't complete.
    More,
    /// A final response is complete. The bytes that weren't consumed belong to the next one.
    Complete(CompleteResponse),
    /// The bytes are no response, nor are any later ones. The number consumed has no meaning.
    Malformed(MalformedResponse),
}

/// A complete final response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompleteResponse {
    /// The status, from 0 to 999, but no 1xx. One outside 200 to 599 counts as a 5xx (RFC 9110 15).
    pub status: u16,
    /// Whether the connection can carry another request (RFC 9112 9.3).
    pub persists: bool,
    /// The length of the content in bytes, without the framing of chunks.
    pub body_bytes: u64,
    /// The length of the head in bytes, with those of interim responses before it.
    pub head_bytes: u32,
}

/// The meaning of the end of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// No byte of another response had arrived.
    BetweenResponses,
    /// A response whose content extends to the end of the stream is complete (RFC 9112 6.3).
    Complete(CompleteResponse),
    /// The current response is incomplete (RFC 9112 8).
    Truncated,
}

/// The reason why bytes are no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MalformedResponse {
    /// The bytes don't begin with `HTTP/1.`.
    NotHttp,
    /// A line of the head ends with a line feed without a carriage return.
    BareLineFeed,
    /// The head exceeds [`HEAD_BYTES_MAX`].
    HeadTooLong,
    /// The status line is invalid (RFC 9112 4).
    StatusLine,
    /// A field line is invalid (RFC 9112 5).
    Field,
    /// The head has more than [`FIELDS_MAX`] field lines.
    TooManyFields,
    /// The status is 101, but no request of this client asks for an upgrade (RFC 9110 7.8).
    Upgrade,
    /// More than [`INTERIM_MAX`] interim responses precede the final one.
    TooManyInterim,
    /// A `Content-Length` isn't a number of at most 64 bits.
    Length,
    /// Two values of `Content-Length` differ (RFC 9112 6.3).
    TwoLengths,
    /// `Transfer-Encoding` is invalid, or `chunked` was applied twice (RFC 9112 6.1).
    Codings,
    /// `Transfer-Encoding` in HTTP/1.0, which doesn't define it (RFC 9112 6.1).
    CodingsInHttp10,
    /// Both `Transfer-Encoding` and `Content-Length` (RFC 9112 6.3).
    CodingsAndLength,
    /// The chunked coding is invalid or exceeds a bound.
    Chunks,
}

impl fmt::Display for MalformedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self {
            Self::NotHttp => "it doesn't begin with HTTP/1.",
            Self::BareLineFeed => "a line of the head ends with a line feed alone",
            Self::HeadTooLong => {
                return write!(f, "the head is longer than {HEAD_BYTES_MAX} bytes");
            }
            Self::StatusLine => "the status line is invalid",
            Self::Field => "a field line of the head is invalid",
            Self::TooManyFields => {
                return write!(f, "the head has more than {FIELDS_MAX} field lines");
            }
            Self::Upgrade => "the status is 101 (Switching Protocols) without a request to upgrade",
            Self::TooManyInterim => {
                return write!(
                    f,
                    "more than {INTERIM_MAX} interim responses precede the final one"
                );
            }
            Self::Length => "Content-Length is not a number",
            Self::TwoLengths => "two values of Content-Length differ",
            Self::Codings => "Transfer-Encoding is invalid",
            Self::CodingsInHttp10 => "HTTP/1.0 has no Transfer-Encoding",
            Self::CodingsAndLength => "it has both Transfer-Encoding and Content-Length",
            Self::Chunks => "the chunked coding is invalid",
        };
        f.write_str(why)
    }
}

impl std::error::Error for MalformedResponse {}
