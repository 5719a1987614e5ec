//! The refusal of a request, and its status.

/// The response to bytes that are no valid request. The connection closes after it, since the end
/// of the request isn't known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The status of the response.
    pub status: RejectStatus,
    /// The method was HEAD, so that the response has no content (RFC 9110 9.3.2).
    pub head: bool,
}

/// The statuses that parsing a request can lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectStatus {
    /// 400 (Bad Request): the grammar, the host or the framing is invalid.
    BadRequest,
    /// 414 (URI Too Long): the target exceeds
    /// [`TARGET_BYTES_MAX`](super::request::TARGET_BYTES_MAX).
    UriTooLong,
    /// 417 (Expectation Failed): `Expect` has a member other than `100-continue` (RFC 9110 10.1.1).
    ExpectationFailed,
    /// 431 (Request Header Fields Too Large, RFC 6585 5): the fields are too many or too long.
    FieldsTooLarge,
    /// 501 (Not Implemented): the method is too long, or a transfer coding is unknown (RFC 9112
    /// 6.1).
    NotImplemented,
    /// 505 (HTTP Version Not Supported): the major version isn't 1.
    VersionNotSupported,
}
