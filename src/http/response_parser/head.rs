//! The head of a response: its end, its status line, and what its field lines decide (RFC 9112 4,
//! 6.3 and 9.3).

use super::outcome::{MalformedResponse, RequestKind};
use crate::http::framing::TransferCodings;
use crate::http::grammar::{decimal, list_members};
use crate::http::limits::{FIELDS_MAX, HEAD_BYTES_MAX};
use crate::http::persistence::{ConnectionOptions, Persistence};
use httparse::{Header, ParserConfig, Response, Status};
use std::mem::MaybeUninit;

/// The meaning of a head.
#[derive(Clone, Copy, Debug)]
pub(super) enum ResponseHead {
    /// 1xx but 101: another head follows (RFC 9110 15.2).
    Interim,
    Final {
        status: u16,
        persists: bool,
        framing: ResponseFraming,
    },
}

/// The end of the content (RFC 9112 6.3).
#[derive(Clone, Copy, Debug)]
pub(super) enum ResponseFraming {
    Length(u64),
    Chunked,
    UntilClose,
}

/// The offset in `new` after a head that began with `begun`, which was scanned before; `None` if
/// the head isn't complete. Lines must end in CRLF; `httparse` would accept a bare line feed.
pub(super) fn find_end(begun: &[u8], new: &[u8]) -> Result<Option<usize>, MalformedResponse> {
    let is_start = new.starts_with(START) && begun.is_empty();
    if !is_start && begun.len() < START.len() {
        // Another protocol is refused at its first wrong byte: a line feed may never come.
        let mut octets = begun.iter().chain(new).zip(START);
        if octets.any(|(octet, expected)| octet != expected) {
            return Err(MalformedResponse::NotHttp);
        }
    }
    let octet = |at: usize| if at < begun.len() { begun[at] } else { new[at - begun.len()] };
    let room = HEAD_BYTES_MAX as usize - begun.len();
    for feed in memchr::memchr_iter(b'\n', &new[..new.len().min(room)]) {
        // Two octets precede the line feed at least, as `START` was found and has none.
        let at = begun.len() + feed;
        if octet(at - 1) != b'\r' {
            return Err(MalformedResponse::BareLineFeed);
        }
        if octet(at - 2) == b'\n' {
            return Ok(Some(feed + 1));
        }
    }
    if new.len() > room { Err(MalformedResponse::HeadTooLong) } else { Ok(None) }
}

/// Interprets a complete head.
pub(super) fn interpret(
    request: RequestKind,
    head: &[u8],
) -> Result<ResponseHead, MalformedResponse> {
    let StatusLine { minor, status } = StatusLine::parse(head)?;
    let fields = ResponseFields::parse(head).or_else(|malformed| match normalize(head) {
        Some(normal) => ResponseFields::parse(&normal),
        None => Err(malformed),
    })?;
    if status == 101 {
        return Err(MalformedResponse::Upgrade);
    }
    if (100..200).contains(&status) {
        return Ok(ResponseHead::Interim);
    }
    let is_http10 = minor == b'0';
    // In the order of RFC 9112 6.3: HEAD, 204 and 304 have no content, whatever their fields are.
    let framing = match (request, status) {
        (RequestKind::Head, _) | (RequestKind::Other, 204 | 304) => ResponseFraming::Length(0),
        (RequestKind::Other, _) => fields.framing(is_http10)?,
    };
    let persists = fields.options.persistence(is_http10) != Persistence::Close;
    Ok(ResponseHead::Final { status, persists, framing })
}

/// The status line without its reason phrase, which a client ignores (RFC 9112 4).
struct StatusLine {
    minor: u8,
    status: u16,
}

impl StatusLine {
    fn parse(head: &[u8]) -> Result<Self, MalformedResponse> {
        // The space after the status is required even if the reason phrase is empty (RFC 9112 4).
        let [minor, b' ', status @ .., b' '] = &head.get(START.len()..REASON).unwrap_or_default()
        else {
            return Err(MalformedResponse::StatusLine);
        };
        match decimal(status).and_then(|status| u16::try_from(status).ok()) {
            Some(status) if minor.is_ascii_digit() => Ok(Self { minor: *minor, status }),
            Some(_) | None => Err(MalformedResponse::StatusLine),
        }
    }
}

/// The facts collected from field lines.
#[derive(Default)]
struct ResponseFields {
    options: ConnectionOptions,
    codings: TransferCodings,
    lengths: Lengths,
}

/// The values of `Content-Length`.
#[derive(Clone, Copy, Default)]
enum Lengths {
    #[default]
    None,
    /// One value, or equal ones, which RFC 9110 8.6 allows to accept.
    One(u64),
    Bad(MalformedResponse),
}

impl ResponseFields {
    fn parse(head: &[u8]) -> Result<Self, MalformedResponse> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut response = Response::new(&mut []);
        let outcome = ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            head,
            &mut fields,
        );
        match outcome {
            Ok(Status::Complete(len)) if len == head.len() => {}
            Err(httparse::Error::TooManyHeaders) => return Err(MalformedResponse::TooManyFields),
            Err(httparse::Error::Status | httparse::Error::Version) => {
                return Err(MalformedResponse::StatusLine);
            }
            Ok(_) | Err(_) => return Err(MalformedResponse::Field),
        }
        let mut collected = Self::default();
        for field in response.headers {
            collected.add(field);
        }
        Ok(collected)
    }

    fn add(&mut self, field: &Header<'_>) {
        let is = |name| field.name.eq_ignore_ascii_case(name);
        // The length of the name decides first: most field lines don't matter here.
        match field.name.len() {
            10 if is("Connection") => self.options.add(field.value),
            14 if is("Content-Length") => {
                list_members(field.value).for_each(|length| self.lengths.add(length));
            }
            17 if is("Transfer-Encoding") => {
                // Empty members are ignored, but a list must have one that isn't empty (RFC 9110
                // 5.6.1.2).
                let mut codings = list_members(field.value).filter(|coding| !coding.is_empty());
                self.codings.add(codings.next().unwrap_or_default());
                codings.for_each(|coding| self.codings.add(coding));
            }
            _ => {}
        }
    }

    /// The framing of a response that can have content (RFC 9112 6.3, rules 3 to 8).
    fn framing(&self, is_http10: bool) -> Result<ResponseFraming, MalformedResponse> {
        match (self.codings, self.lengths) {
            (TransferCodings::None, Lengths::None) => Ok(ResponseFraming::UntilClose),
            (TransferCodings::None, Lengths::One(length)) => Ok(ResponseFraming::Length(length)),
            (TransferCodings::None, Lengths::Bad(malformed)) => Err(malformed),
            (_, Lengths::One(_) | Lengths::Bad(_)) => Err(MalformedResponse::CodingsAndLength),
            (_, Lengths::None) if is_http10 => Err(MalformedResponse::CodingsInHttp10),
            (TransferCodings::Chunked | TransferCodings::OtherChunked, Lengths::None) => {
                Ok(ResponseFraming::Chunked)
            }
            (TransferCodings::Other | TransferCodings::NotLast, Lengths::None) => {
                Ok(ResponseFraming::UntilClose)
            }
            (TransferCodings::Bad, Lengths::None) => Err(MalformedResponse::Codings),
        }
    }
}

impl Lengths {
    fn add(&mut self, length: &[u8]) {
        *self = match (*self, decimal(length)) {
            (Self::Bad(malformed), _) => Self::Bad(malformed),
            (_, None) => Self::Bad(MalformedResponse::Length),
            (Self::One(before), Some(length)) if before != length => {
                Self::Bad(MalformedResponse::TwoLengths)
            }
            (Self::None | Self::One(_), Some(length)) => Self::One(length),
        };
    }
}

/// Rewrites a valid head that `httparse` refuses into an equivalent one that it accepts: HTTP/1.2
/// and later as HTTP/1.1 (RFC 9110 2.5), and a line fold (`obs-fold`) as spaces, which RFC 9112 5.2
/// asks of user agents. `None` if the head has neither.
fn normalize(head: &[u8]) -> Option<Vec<u8>> {
    let mut normal = head.to_vec();
    if head[START.len()] > b'1' {
        normal[START.len()] = b'1';
    }
    // A fold can't follow the status line, which isn't a field line.
    for feed in memchr::memchr_iter(b'\n', head).skip(1) {
        if matches!(head.get(feed + 1), Some(b' ' | b'\t')) {
            normal[feed - 1..=feed].fill(b' ');
        }
    }
    (normal != head).then_some(normal)
}

const START: &[u8] = b"HTTP/1.";
/// The offset of the reason phrase.
const REASON: usize = "HTTP/1.1 200 ".len();
