//! Where the body of a message ends: the outcome for requests, and the transfer codings that decide
//! it for requests and responses (RFC 9112 6).

use super::grammar;

/// The framing of a request body (RFC 9112 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Neither `Content-Length` nor `Transfer-Encoding`: the request has no body.
    None,
    /// `Content-Length`, in bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// The transfer codings of a message in the order in which they were applied (RFC 9112 6.1).
#[derive(Clone, Copy, Default)]
pub(super) enum TransferCodings {
    #[default]
    None,
    /// `chunked` alone.
    Chunked,
    /// `chunked` once and last, after an unknown coding.
    OtherChunked,
    /// Unknown codings only.
    Other,
    /// `chunked` before an unknown coding.
    NotLast,
    /// A coding that isn't a token, `chunked` with parameters, or `chunked` twice.
    Bad,
}

impl TransferCodings {
    /// Appends one member of `Transfer-Encoding`.
    pub(super) fn add(&mut self, coding: &[u8]) {
        let name = coding.split(|&octet| octet == b';').next().unwrap_or(coding);
        let chunked = grammar::trim_ows(name).eq_ignore_ascii_case(b"chunked");
        *self = match self {
            _ if !grammar::is_token(grammar::trim_ows(name)) => Self::Bad,
            // `chunked` has no parameters (RFC 9112 7.1).
            _ if chunked && name.len() < coding.len() => Self::Bad,
            Self::None if chunked => Self::Chunked,
            Self::Other if chunked => Self::OtherChunked,
            Self::None | Self::Other => Self::Other,
            Self::Chunked | Self::OtherChunked | Self::NotLast if !chunked => Self::NotLast,
            // `chunked` must not be applied more than once (RFC 9112 6.1).
            Self::Chunked | Self::OtherChunked | Self::NotLast | Self::Bad => Self::Bad,
        };
    }
}
