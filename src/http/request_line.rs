//! The request line: method, target and version (RFC 9112 3), valid in every part or refused with
//! the status that fits.

use super::grammar;
use super::limits::{METHOD_BYTES_MAX, TARGET_BYTES_MAX};
use super::method::Method;
use super::reject::RejectStatus;
use super::target::{self, Target};

/// A valid request line.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestLine<'b> {
    pub(super) method: Method,
    pub(super) target: Target<'b>,
    /// The authority of a target in absolute form.
    pub(super) authority: Option<&'b [u8]>,
    pub(super) is_http10: bool,
}

impl<'b> RequestLine<'b> {
    /// Checks the parts of a line that was split and whose version is 1.x.
    pub(super) fn check(
        method: &str,
        target: &'b [u8],
        is_http10: bool,
    ) -> Result<Self, RejectStatus> {
        if method.len() > METHOD_BYTES_MAX {
            return Err(RejectStatus::NotImplemented);
        }
        if target.len() > TARGET_BYTES_MAX {
            return Err(RejectStatus::UriTooLong);
        }
        let parsed = target::parse(method, target).ok_or(RejectStatus::BadRequest)?;
        let authority = match parsed {
            Target::Absolute { .. } => Some(target::authority(target)),
            Target::Origin { .. } | Target::Authority | Target::Asterisk => None,
        };
        Ok(Self { method: Method::of(method), target: parsed, authority, is_http10 })
    }

    /// Parses a line without its line end.
    pub(super) fn parse(line: &'b [u8]) -> Result<Self, RejectStatus> {
        // Checked first because `scan` reports it first for a line that arrives in pieces.
        if line.iter().any(|&octet| octet == b'\r' || grammar::is_forbidden(octet)) {
            return Err(RejectStatus::BadRequest);
        }
        let mut parts = line.split(|&octet| octet == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(RejectStatus::BadRequest);
        };
        if !grammar::is_token(method) {
            return Err(RejectStatus::BadRequest);
        }
        let method = std::str::from_utf8(method).expect("a token is ASCII");
        let (major, minor) = match version {
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                (*major, *minor)
            }
            _ => return Err(RejectStatus::BadRequest),
        };
        if major != b'1' {
            return Err(RejectStatus::VersionNotSupported);
        }
        Self::check(method, target, minor == b'0')
    }
}

/// The first line of bytes in which every line ends in CRLF, without its line end.
pub(super) fn first_line(bytes: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |feed| feed.saturating_sub(1));
    &bytes[..end]
}
