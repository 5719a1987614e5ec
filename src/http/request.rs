//! The head of a request: from bytes to [`Parsed::Partial`], to a [`Request`] that is valid in
//! every part, or to a [`Reject`] with the status that fits.
//!
//! ```text
//!  bytes ─► scan ───────► httparse ────► request_line ─► fields ─────► Request
//!           end of head,  field lines    method, target, host, framing,
//!           line ends     (fast path)    version         persistence
//! ```

pub use super::framing::Framing;
pub use super::limits::{EMPTY_LINES_MAX, FIELDS_MAX, METHOD_BYTES_MAX, TARGET_BYTES_MAX};
pub use super::method::Method;
pub use super::persistence::Persistence;
pub use super::reject::{Reject, RejectStatus};
pub use super::scan::Scan;
pub use super::target::Target;

use super::fields;
use super::request_line::{RequestLine, first_line};
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
#[derive(Clone, Copy, Debug)]
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
    fields: &'f mut FieldBuffer<'b>,
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
        return Err(status_of_error(head, outcome.err()));
    };
    if len != head.len() {
        return Err(RejectStatus::BadRequest);
    }
    let line = RequestLine::check(method, target.as_bytes(), version == 0)?;
    combine(&line, parsed.headers)
}

/// Parses a head in HTTP/1.2 or later as HTTP/1.1: a minor version changes no rule that this server
/// applies (RFC 9110 2.5).
fn parse_later_version<'f, 'b>(
    head: &'b [u8],
    fields: &'f mut [Header<'b>],
) -> Result<Request<'f, 'b>, RejectStatus> {
    let first = first_line(head);
    let line = RequestLine::parse(first)?;
    match httparse::parse_headers(&head[first.len() + LINE_END..], fields) {
        Ok(httparse::Status::Complete((_, fields))) => combine(&line, fields),
        Err(httparse::Error::TooManyHeaders) => Err(RejectStatus::FieldsTooLarge),
        Ok(httparse::Status::Partial) | Err(_) => Err(RejectStatus::BadRequest),
    }
}

fn combine<'f, 'b>(
    line: &RequestLine<'b>,
    fields: &'f [Header<'b>],
) -> Result<Request<'f, 'b>, RejectStatus> {
    let semantics = fields::interpret(fields, line.is_http10)?;
    Ok(Request {
        head_len: 0,
        method: line.method,
        target: line.target,
        // RFC 9112 3.2.2: the host of an absolute target replaces the one of `Host`.
        authority: line.authority.or(semantics.host),
        persistence: semantics.persistence,
        framing: semantics.framing,
        expects_continue: semantics.expects_continue,
        selective: semantics.selective,
        fields,
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
