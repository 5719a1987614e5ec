//! What the fields of requests and of responses mean alike: the options of a connection, transfer
//! codings, lengths. What follows from them is for either to say.

use super::grammar;

/// The members of a list (RFC 9110 5.6.1), empty ones included.
pub(super) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&octet| octet == b',').map(grammar::trim)
}

/// The options of a connection that decide whether it persists (RFC 9112 9.3).
#[derive(Clone, Copy, Default)]
pub(super) struct Options {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
}

impl Options {
    /// Reads one field, of which there may be several.
    pub(super) fn read(&mut self, value: &[u8]) {
        for option in members(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }
}

/// The transfer codings, in their order (RFC 9112 6.1).
#[derive(Clone, Copy, Default)]
pub(super) enum Codings {
    #[default]
    None,
    /// `chunked` comes last, and once.
    Chunked,
    /// One that isn't known here comes before `chunked`, which comes last.
    OtherChunked,
    /// None is `chunked`.
    Other,
    /// `chunked` comes before another.
    NotLast,
    Bad,
}

impl Codings {
    /// Applies the next one.
    pub(super) fn add(&mut self, coding: &[u8]) {
        let name = coding.split(|&octet| octet == b';').next().unwrap_or(coding);
        let chunked = grammar::trim(name).eq_ignore_ascii_case(b"chunked");
        *self = match self {
            _ if !grammar::is_token(grammar::trim(name)) => Self::Bad,
            // It has no parameters (RFC 9112 7.1).
            _ if chunked && name.len() < coding.len() => Self::Bad,
            Self::None if chunked => Self::Chunked,
            Self::Other if chunked => Self::OtherChunked,
            Self::None | Self::Other => Self::Other,
            Self::Chunked | Self::OtherChunked | Self::NotLast if !chunked => Self::NotLast,
            // It is applied once (RFC 9112 6.1).
            Self::Chunked | Self::OtherChunked | Self::NotLast | Self::Bad => Self::Bad,
        };
    }
}

/// A number of digits only; `None` if there is anything else, or it is too large.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, octet| {
        let digit = octet.is_ascii_digit().then(|| u64::from(octet - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
