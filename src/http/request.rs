//! The head of a request: from bytes to [`Parsed::Partial`], to a [`Request`] that is valid in
//! every part, or to a [`Reject`] with the status that fits.
//!
//! ```text
//!  bytes ─► httparse ─────► request_line ─► fields ─────► Request
//!             field lines,  method, target, host, framing,
//!             line ends     version         persistence
//!           │ incomplete or invalid
//!           ▼
//!           scan ─────────► Partial or Reject
//!             end of head,
//!             line ends
//! ```
//!
//! A head that arrives whole, as nearly every head does, is read once. Only a head that isn't
//! complete is scanned for its end: that costs no more than its bytes, however many pieces they
//! arrive in, and it is parsed when the end is there.

pub use super::framing::Framing;
pub use super::limits::{EMPTY_LINES_MAX, FIELDS_MAX, METHOD_BYTES_MAX, TARGET_BYTES_MAX};
pub use super::method::Method;
pub use super::persistence::Persistence;
pub use super::reject::{Reject, RejectStatus};
pub use super::scan::Scan;
pub use super::target::Target;

use super::request_line::{RequestLine, first_line};
use super::{fields, grammar, target};
use httparse::Header;
use std::mem::MaybeUninit;

/// Memory for the field lines of one head, on the stack of the caller.
pub struct FieldBuffer<'b> {
    usual: [MaybeUninit<Header<'b>>; FIELDS_MAX],
    /// For minor versions that `httparse` doesn't know.
    later: Option<[Header<'b>; FIELDS_MAX]>,
}

impl FieldBuffer<'_> {
    /// A buffer of [`FIELDS_MAX`] entries. None is initialised before a field line is parsed into
    /// it, so that this costs nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { usual: [const { MaybeUninit::uninit() }; FIELDS_MAX], later: None }
    }
}

impl Default for FieldBuffer<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// The outcome of [`parse`].
#[derive(Debug)]
pub enum Parsed<'f, 'b> {
    /// The head isn't complete, and valid so far.
    Partial,
    /// A valid head; the body, if there is one, follows it.
    Request(Request<'f, 'b>),
    /// An invalid head: the connection closes after the response.
    Reject(Reject),
}

/// A request with a valid head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'f, 'b> {
    /// The length of the head in bytes, empty lines before it included.
    pub head_len: usize,
    /// The method.
    pub method: Method,
    /// The request target, not decoded.
    pub target: Target<'b>,
    /// The host, with the port if there is one: of a target in absolute form, or else of `Host`,
    /// which a request in HTTP/1.0 may lack (RFC 9112 3.2.2 and 3.3).
    pub authority: Option<&'b [u8]>,
    /// Whether the connection persists after the response.
    pub persistence: Persistence,
    /// The framing of the body.
    pub framing: Framing,
    /// The client may wait for 100 (Continue) before it sends the body (RFC 9110 10.1.1).
    pub expects_continue: bool,
    /// The head has a precondition or `Range`, which
    /// [`conditional::select`](super::conditional::select) evaluates.
    pub selective: bool,
    /// All field lines, in their order.
    pub fields: &'f [Header<'b>],
    /// The bytes of the head behind the target; empty for minor versions that `httparse` doesn't
    /// know.
    pub after_target: &'b [u8],
}

impl<'b> Request<'_, 'b> {
    /// The request at the start of `bytes`, if both are GET and differ in nothing but their targets
    /// in origin form, as pipelined requests of a client do. One comparison then replaces parsing
    /// the field lines, which are those of this request. `None` says nothing about `bytes`.
    #[must_use]
    pub fn with_target_of(&self, bytes: &'b [u8], head_bytes_max: usize) -> Option<Self> {
        let (Method::Get, Target::Origin { .. }) = (self.method, self.target) else { return None };
        let line = bytes.strip_prefix(b"GET ")?;
        let end = grammar::find(b' ', &line[..line.len().min(TARGET_BYTES_MAX + 1)])?;
        let (target, after_target) = line.split_at(end);
        if self.after_target.is_empty() || !after_target.starts_with(self.after_target) {
            return None;
        }
        let head_len = bytes.len() - after_target.len() + self.after_target.len();
        let target = target::parse("GET", target)?;
        let is_origin = matches!(target, Target::Origin { .. });
        let request = Self { head_len, target, ..*self };
        (is_origin && head_len <= head_bytes_max).then_some(request)
    }
}

/// Parses a request head.
///
/// `bytes` begins with the first byte of the request. After [`Parsed::Partial`], the next call
/// needs the same bytes with the new ones appended, and the same `scan`. Any other outcome resets
/// `scan`. A head longer than `head_bytes_max` is refused.
///
/// # Examples
///
/// ```
/// use uringstatic::http::request::{FieldBuffer, Method, Parsed, Persistence, Scan, Target, parse};
///
/// let bytes = b"GET /a?b HTTP/1.1\r\nHost: example.org\r\n\r\n";
/// let mut scan = Scan::default();
/// let mut fields = FieldBuffer::new();
/// assert!(matches!(parse(&bytes[..30], &mut scan, 16 * 1024, &mut fields), Parsed::Partial));
///
/// let mut fields = FieldBuffer::new();
/// let Parsed::Request(request) = parse(bytes, &mut scan, 16 * 1024, &mut fields) else {
///     panic!("the head is valid")
/// };
/// assert_eq!(request.method, Method::Get);
/// assert_eq!(request.target, Target::Origin { path: b"/a", query: Some(b"b") });
/// assert_eq!(request.authority, Some(&b"example.org"[..]));
/// assert_eq!(request.persistence, Persistence::Keep);
/// assert_eq!(request.head_len, bytes.len());
/// ```
pub fn parse<'f, 'b>(
    bytes: &'b [u8],
    scan: &mut Scan,
    head_bytes_max: usize,
    fields: &'f mut FieldBuffer<'b>,
) -> Parsed<'f, 'b> {
    let outcome = match parse_head(bytes, scan, head_bytes_max, fields) {
        Ok(None) => return Parsed::Partial,
        Ok(Some(request)) => Ok(request),
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

/// The request at the start of `bytes`, or `None` if its head isn't complete.
fn parse_head<'f, 'b>(
    bytes: &'b [u8],
    scan: &mut Scan,
    head_bytes_max: usize,
    fields: &'f mut FieldBuffer<'b>,
) -> Result<Option<Request<'f, 'b>>, RejectStatus> {
    let FieldBuffer { usual, later } = fields;
    let at_once = scan.is_at_request_line(bytes);
    let mut head = &bytes[..bytes.len().min(head_bytes_max)];
    if !at_once {
        let Some(range) = scan.find(bytes, head_bytes_max)? else { return Ok(None) };
        head = &bytes[range];
    }
    let mut parsed = httparse::Request::new(&mut []);
    let outcome = parsed.parse_with_uninit_headers(head, usual);
    if let (Ok(httparse::Status::Complete(len)), Some(method), Some(target), Some(version)) =
        (outcome, parsed.method, parsed.path, parsed.version)
        && lines_end_in_crlf(&head[..len], parsed.headers)
    {
        let line = RequestLine::check(method, target.as_bytes(), version == 0)?;
        let target_at = target.as_ptr().addr() - head.as_ptr().addr();
        let after_target = &head[target_at + target.len()..len];
        let request = combine(&line, parsed.headers, scan.start as usize + len)?;
        return Ok(Some(Request { after_target, ..request }));
    }
    if at_once {
        let Some(range) = scan.find(bytes, head_bytes_max)? else { return Ok(None) };
        head = &bytes[range];
    }
    if outcome == Err(httparse::Error::Version) {
        let fields = later.insert([httparse::EMPTY_HEADER; FIELDS_MAX]);
        return parse_later_version(head, fields, scan.start as usize + head.len()).map(Some);
    }
    Err(status_of_error(head, outcome.err()))
}

/// Whether every line of a head that `httparse` accepts ends in CRLF, and not in the bare line feed
/// that it accepts as well (see [`scan`](super::scan)). The head has no line feeds but those before
/// its field names and the two at its end: no other part of it may contain one.
fn lines_end_in_crlf(head: &[u8], fields: &[Header<'_>]) -> bool {
    let follows_crlf = |field: &Header<'_>| {
        let at = field.name.as_ptr().addr() - head.as_ptr().addr();
        head[..at].ends_with(b"\r\n")
    };
    head.ends_with(b"\r\n\r\n") && fields.iter().all(follows_crlf)
}

/// Parses a head in HTTP/1.2 or later as HTTP/1.1: a minor version changes no rule that this server
/// applies (RFC 9110 2.5).
fn parse_later_version<'f, 'b>(
    head: &'b [u8],
    fields: &'f mut [Header<'b>],
    head_len: usize,
) -> Result<Request<'f, 'b>, RejectStatus> {
    let first = first_line(head);
    let line = RequestLine::parse(first)?;
    match httparse::parse_headers(&head[first.len() + LINE_END..], fields) {
        Ok(httparse::Status::Complete((_, fields))) => combine(&line, fields, head_len),
        Err(httparse::Error::TooManyHeaders) => Err(RejectStatus::FieldsTooLarge),
        Ok(httparse::Status::Partial) | Err(_) => Err(RejectStatus::BadRequest),
    }
}

fn combine<'f, 'b>(
    line: &RequestLine<'b>,
    fields: &'f [Header<'b>],
    head_len: usize,
) -> Result<Request<'f, 'b>, RejectStatus> {
    let semantics = fields::interpret(fields, line.is_http10)?;
    Ok(Request {
        head_len,
        method: line.method,
        target: line.target,
        // RFC 9112 3.2.2: the host of an absolute target replaces the one of `Host`.
        authority: line.authority.or(semantics.host),
        persistence: semantics.persistence,
        framing: semantics.framing,
        expects_continue: semantics.expects_continue,
        selective: semantics.selective,
        fields,
        after_target: b"",
    })
}

/// The status for a head that `httparse` refuses. An error in the request line has precedence.
fn status_of_error(head: &[u8], error: Option<httparse::Error>) -> RejectStatus {
    match (RequestLine::parse(first_line(head)), error) {
        (Err(status), _) => status,
        (Ok(_), Some(httparse::Error::TooManyHeaders)) => RejectStatus::FieldsTooLarge,
        (Ok(_), _) => RejectStatus::BadRequest,
    }
}

const LINE_END: usize = "\r\n".len();
