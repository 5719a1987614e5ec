//! A request head: bytes to `Partial`, a [`Request`] that is right in every part, or a [`Reject`]
//! with its exact status.

pub use super::method::Method;
pub use super::scan::Scan;
pub use super::target::Target;

use super::{fields, grammar, target};
use httparse::Header;
use std::mem::MaybeUninit;

/// The longest request target, in bytes.
pub const TARGET_BYTES_MAX: usize = 8 * 1024;
/// The longest method, in bytes; a longer one is not implemented by anybody (RFC 9112 3).
pub const METHOD_BYTES_MAX: usize = 64;
/// The most fields in a head.
pub const FIELDS_MAX: usize = 100;
/// The most empty lines before a request line.
pub const EMPTY_LINES_MAX: u8 = 4;

/// Room for the fields of one head, on the caller's stack.
pub struct Fields<'b> {
    usual: [MaybeUninit<Header<'b>>; FIELDS_MAX],
    /// For minor versions that `httparse` doesn't know.
    later: Option<[Header<'b>; FIELDS_MAX]>,
}

impl Fields<'_> {
    /// Costs nothing: no field is initialised before it is parsed.
    #[must_use]
    pub fn new() -> Self {
        Self { usual: [const { MaybeUninit::uninit() }; FIELDS_MAX], later: None }
    }
}

impl Default for Fields<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// What bytes amount to.
#[derive(Debug)]
pub enum Parsed<'f, 'b> {
    /// The head isn't complete.
    Partial,
    /// A request; its body, if any, follows the head.
    Request(Request<'f, 'b>),
    /// No request: the connection ends after the response.
    Reject(Reject),
}

/// A request whose head is valid.
#[derive(Clone, Copy, Debug)]
pub struct Request<'f, 'b> {
    /// How many bytes it takes, empty lines before it included.
    pub head_len: usize,
    /// The method.
    pub method: Method,
    /// What is asked for.
    pub target: Target<'b>,
    /// The host, and the port if it names one: of an absolute target, or else of `Host`, which a
    /// request of HTTP/1.0 may lack (RFC 9112, 3.2.2 and 3.3).
    pub authority: Option<&'b [u8]>,
    /// Whether the connection persists.
    pub persistence: Persistence,
    /// The body that follows.
    pub framing: Framing,
    /// The peer waits for a 100 (Continue) before it sends the body.
    pub expects_continue: bool,
    /// There are preconditions or a range to look at.
    pub selective: bool,
    /// All fields.
    pub fields: &'f [Header<'b>],
}

/// Whether a connection persists after a response (RFC 9112 9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// As HTTP/1.1 does unless told otherwise.
    Keep,
    /// As an HTTP/1.0 client asked; the response must say so.
    KeepHttp10,
    /// It doesn't.
    Close,
}

impl Persistence {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Keep, Self::KeepHttp10, Self::Close];
}

/// The framing of a body (RFC 9112 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// Why bytes are no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The status of the response.
    pub status: RejectStatus,
    /// The method was HEAD: the response has no body.
    pub head: bool,
}

/// The status of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectStatus {
    /// 400.
    BadRequest,
    /// 414.
    UriTooLong,
    /// 417.
    ExpectationFailed,
    /// 431.
    FieldsTooLarge,
    /// 501.
    NotImplemented,
    /// 505.
    VersionNotSupported,
}

/// Parses a head. `bytes` is everything received from the request's first byte on; when more has
/// come after [`Parsed::Partial`], call it again with the same bytes, the new ones behind them,
/// and the same `scan`, which is reset when the head is complete.
pub fn parse<'f, 'b>(
    bytes: &'b [u8],
    scan: &mut Scan,
    head_bytes_max: usize,
    fields: &'f mut Fields<'b>,
) -> Parsed<'f, 'b> {
    let outcome = match scan.find(bytes, head_bytes_max) {
        Ok(None) => return Parsed::Partial,
        Ok(Some(range)) => {
            let end = range.end;
            parse_head(&bytes[range], fields).map(|request| Request { head_len: end, ..request })
        }
        Err(status) => Err(status),
    };
    let Scan { start, .. } = std::mem::take(scan);
    match outcome {
        Ok(request) => Parsed::Request(request),
        Err(status) => {
            let head = bytes[start as usize..].starts_with(b"HEAD ");
            Parsed::Reject(Reject { status, head })
        }
    }
}

fn parse_head<'f, 'b>(
    head: &'b [u8],
    fields: &'f mut Fields<'b>,
) -> Result<Request<'f, 'b>, RejectStatus> {
    let mut parsed = httparse::Request::new(&mut []);
    let outcome = parsed.parse_with_uninit_headers(head, &mut fields.usual);
    if outcome == Err(httparse::Error::Version) {
        let fields = fields.later.insert([httparse::EMPTY_HEADER; FIELDS_MAX]);
        return parse_later_version(head, fields);
    }
    let (Ok(httparse::Status::Complete(len)), Some(method), Some(target), Some(version)) =
        (outcome, parsed.method, parsed.path, parsed.version)
    else {
        return Err(explain(head, outcome.err()));
    };
    if len != head.len() {
        return Err(RejectStatus::BadRequest);
    }
    let line = RequestLine::check(method, target.as_bytes(), version == 0)?;
    complete(&line, parsed.headers)
}

/// HTTP/1.2 and later are HTTP/1.1 with another number (RFC 9110 2.5).
fn parse_later_version<'f, 'b>(
    head: &'b [u8],
    fields: &'f mut [Header<'b>],
) -> Result<Request<'f, 'b>, RejectStatus> {
    let first = first_line(head);
    let line = check_request_line(first)?;
    match httparse::parse_headers(&head[first.len() + LINE_END..], fields) {
        Ok(httparse::Status::Complete((_, fields))) => complete(&line, fields),
        Err(httparse::Error::TooManyHeaders) => Err(RejectStatus::FieldsTooLarge),
        Ok(httparse::Status::Partial) | Err(_) => Err(RejectStatus::BadRequest),
    }
}

fn complete<'f, 'b>(
    line: &RequestLine<'b>,
    fields: &'f [Header<'b>],
) -> Result<Request<'f, 'b>, RejectStatus> {
    let decided = fields::decide(fields, line.is_http10)?;
    Ok(Request {
        head_len: 0,
        method: line.method,
        target: line.target,
        authority: line.authority.or(decided.host),
        persistence: decided.persistence,
        framing: decided.framing,
        expects_continue: decided.expects_continue,
        selective: decided.selective,
        fields,
    })
}

/// What is wrong with a head that `httparse` refuses: the request line is looked at first.
fn explain(head: &[u8], error: Option<httparse::Error>) -> RejectStatus {
    match (check_request_line(first_line(head)), error) {
        (Err(status), _) => status,
        (Ok(_), Some(httparse::Error::TooManyHeaders)) => RejectStatus::FieldsTooLarge,
        (Ok(_), _) => RejectStatus::BadRequest,
    }
}

/// A request line that is right in every part.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestLine<'b> {
    method: Method,
    target: Target<'b>,
    /// Of an absolute target.
    authority: Option<&'b [u8]>,
    is_http10: bool,
}

impl<'b> RequestLine<'b> {
    fn check(method: &str, target: &'b [u8], is_http10: bool) -> Result<Self, RejectStatus> {
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
}

/// The first line of bytes in which every line feed ends a line, without its line end.
pub(super) fn first_line(bytes: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |feed| feed.saturating_sub(1));
    &bytes[..end]
}

/// Looks at a request line by itself, without its line end.
pub(super) fn check_request_line(line: &[u8]) -> Result<RequestLine<'_>, RejectStatus> {
    // First, since it's known first of a line that comes in pieces.
    if line.iter().any(|&octet| octet == b'\r' || grammar::is_forbidden(octet)) {
        return Err(RejectStatus::BadRequest);
    }
    let mut parts = line.split(|&octet| octet == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(RejectStatus::BadRequest);
    };
    let method = std::str::from_utf8(method).ok().filter(|name| grammar::is_token(name.as_bytes()));
    let method = method.ok_or(RejectStatus::BadRequest)?;
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
    RequestLine::check(method, target, minor == b'0')
}

const LINE_END: usize = "\r\n".len();
