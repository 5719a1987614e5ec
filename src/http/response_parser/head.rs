//! The head of a response: where it ends, and what it decides (RFC 9112 4, 6.3 and 9.3).

use super::{Asked, FIELDS_MAX, HEAD_BYTES_MAX, Malformed};
use crate::http::message::{Codings, Options, decimal, members};
use httparse::{Header, ParserConfig, Response, Status};
use std::mem::MaybeUninit;

/// What a head says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Head {
    /// Another one follows it.
    Interim,
    Final {
        status: u16,
        persists: bool,
        framing: Framing,
    },
}

/// Where the content ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// Where in `new` the head ends that began with `begun`, which was looked at before. Lines end in
/// CRLF, and this is where that is enforced: `httparse` would accept a line feed alone.
pub(super) fn find_end(begun: &[u8], new: &[u8]) -> Result<Option<usize>, Malformed> {
    let is_start = new.starts_with(START) && begun.is_empty();
    if !is_start && begun.len() < START.len() {
        // What isn't HTTP is known at once: it may never send a line end.
        let mut octets = begun.iter().chain(new).zip(START);
        if octets.any(|(octet, expected)| octet != expected) {
            return Err(Malformed::NotHttp);
        }
    }
    let octet = |at: usize| if at < begun.len() { begun[at] } else { new[at - begun.len()] };
    let room = HEAD_BYTES_MAX as usize - begun.len();
    for feed in memchr::memchr_iter(b'\n', &new[..new.len().min(room)]) {
        // There is an octet before it, and one before that: the start has no line feed.
        let at = begun.len() + feed;
        if octet(at - 1) != b'\r' {
            return Err(Malformed::BareLineFeed);
        }
        if octet(at - 2) == b'\n' {
            return Ok(Some(feed + 1));
        }
    }
    if new.len() > room { Err(Malformed::HeadTooLong) } else { Ok(None) }
}

/// What a complete head decides.
pub(super) fn decide(asked: Asked, head: &[u8]) -> Result<Head, Malformed> {
    let StatusLine { minor, status } = StatusLine::parse(head)?;
    let seen = Seen::read(head).or_else(|malformed| match amend(head) {
        Some(amended) => Seen::read(&amended),
        None => Err(malformed),
    })?;
    if status == 101 {
        return Err(Malformed::Upgrade);
    }
    if (100..200).contains(&status) {
        return Ok(Head::Interim);
    }
    let is_http10 = minor == b'0';
    // In the order of RFC 9112 6.3: what has no content has none whatever its fields say.
    let framing = match (asked, status) {
        (Asked::Head, _) | (Asked::Other, 204 | 304) => Framing::Length(0),
        (Asked::Other, _) => seen.framing(is_http10)?,
    };
    let Options { close, keep_alive } = seen.options;
    let persists = !close && (!is_http10 || keep_alive);
    Ok(Head::Final { status, persists, framing })
}

/// The first line, but for its reason phrase, which means nothing.
struct StatusLine {
    minor: u8,
    status: u16,
}

impl StatusLine {
    fn parse(head: &[u8]) -> Result<Self, Malformed> {
        // The space behind the status is there even if the reason isn't (RFC 9112 4).
        let [minor, b' ', status @ .., b' '] = &head.get(START.len()..REASON).unwrap_or_default()
        else {
            return Err(Malformed::StatusLine);
        };
        match decimal(status).and_then(|status| u16::try_from(status).ok()) {
            Some(status) if minor.is_ascii_digit() => Ok(Self { minor: *minor, status }),
            Some(_) | None => Err(Malformed::StatusLine),
        }
    }
}

/// What the fields say of the connection and the content.
#[derive(Default)]
struct Seen {
    options: Options,
    codings: Codings,
    lengths: Lengths,
}

/// The content lengths.
#[derive(Clone, Copy, Default)]
enum Lengths {
    #[default]
    None,
    /// One, or the same several times, as RFC 9110 8.6 allows to accept.
    One(u64),
    Bad(Malformed),
}

impl Seen {
    fn read(head: &[u8]) -> Result<Self, Malformed> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut response = Response::new(&mut []);
        let outcome = ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            head,
            &mut fields,
        );
        match outcome {
            Ok(Status::Complete(len)) if len == head.len() => {}
            Err(httparse::Error::TooManyHeaders) => return Err(Malformed::TooManyFields),
            Err(httparse::Error::Status | httparse::Error::Version) => {
                return Err(Malformed::StatusLine);
            }
            Ok(_) | Err(_) => return Err(Malformed::Field),
        }
        let mut seen = Self::default();
        for field in response.headers {
            seen.field(field);
        }
        Ok(seen)
    }

    fn field(&mut self, field: &Header<'_>) {
        let is = |name| field.name.eq_ignore_ascii_case(name);
        // By length first, as most fields are of no interest here.
        match field.name.len() {
            10 if is("Connection") => self.options.read(field.value),
            14 if is("Content-Length") => {
                members(field.value).for_each(|length| self.lengths.add(length));
            }
            17 if is("Transfer-Encoding") => {
                // Empty members mean nothing (RFC 9110 5.6.1.2), but a list has one that isn't.
                let mut codings = members(field.value).filter(|coding| !coding.is_empty());
                self.codings.add(codings.next().unwrap_or_default());
                codings.for_each(|coding| self.codings.add(coding));
            }
            _ => {}
        }
    }

    /// Where content ends if there may be some (RFC 9112 6.3, from its third rule on).
    fn framing(&self, is_http10: bool) -> Result<Framing, Malformed> {
        match (self.codings, self.lengths) {
            (Codings::None, Lengths::None) => Ok(Framing::UntilClose),
            (Codings::None, Lengths::One(length)) => Ok(Framing::Length(length)),
            (Codings::None, Lengths::Bad(malformed)) => Err(malformed),
            (_, Lengths::One(_) | Lengths::Bad(_)) => Err(Malformed::CodingsAndLength),
            (_, Lengths::None) if is_http10 => Err(Malformed::CodingsInHttp10),
            (Codings::Chunked | Codings::OtherChunked, Lengths::None) => Ok(Framing::Chunked),
            (Codings::Other | Codings::NotLast, Lengths::None) => Ok(Framing::UntilClose),
            (Codings::Bad, Lengths::None) => Err(Malformed::Codings),
        }
    }
}

impl Lengths {
    fn add(&mut self, length: &[u8]) {
        *self = match (*self, decimal(length)) {
            (Self::Bad(malformed), _) => Self::Bad(malformed),
            (_, None) => Self::Bad(Malformed::Length),
            (Self::One(before), Some(length)) if before != length => {
                Self::Bad(Malformed::TwoLengths)
            }
            (Self::None | Self::One(_), Some(length)) => Self::One(length),
        };
    }
}

/// A head that `httparse` refuses and a client reads all the same, in the form that both accept:
/// HTTP/1.2 and later are HTTP/1.1 with another number (RFC 9110 2.5), and a line end before a
/// space continues a field's line (RFC 9112 5.2). `None` if there is nothing of the kind.
fn amend(head: &[u8]) -> Option<Vec<u8>> {
    let mut amended = head.to_vec();
    if head[START.len()] > b'1' {
        amended[START.len()] = b'1';
    }
    // What follows the status line begins a field: it continues nothing.
    for feed in memchr::memchr_iter(b'\n', head).skip(1) {
        if matches!(head.get(feed + 1), Some(b' ' | b'\t')) {
            amended[feed - 1..=feed].fill(b' ');
        }
    }
    (amended != head).then_some(amended)
}

const START: &[u8] = b"HTTP/1.";
/// Where the reason phrase begins.
const REASON: usize = "HTTP/1.1 200 ".len();
