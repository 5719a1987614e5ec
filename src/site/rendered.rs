//! One rendered copy: every response that can be built at start, one behind the other, and the
//! offset of each.

use super::field_class::{FieldClass, ResponseKind};
use super::page::Page;
use crate::bytes::Span;
use crate::http::request::Persistence;
use crate::http::response::{DATE_BYTES, date_offset, is_kept_by_not_modified, reason, write_head};
use std::fmt::Write;

/// A response that is built at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prebuilt {
    /// The page.
    Page,
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
    /// 416.
    RangeNotSatisfiable,
    /// 204 to OPTIONS.
    Allow,
    /// 400.
    BadRequest,
    /// 401.
    Unauthorized,
    /// 405.
    MethodNotAllowed,
    /// 404.
    NotFound,
    /// 406.
    NotAcceptable,
    /// 408.
    RequestTimeout,
    /// 414.
    UriTooLong,
    /// 417.
    ExpectationFailed,
    /// 421.
    Misdirected,
    /// 431.
    FieldsTooLarge,
    /// 501.
    NotImplemented,
    /// 505.
    VersionNotSupported,
    /// 200 to a health check.
    Healthy,
    /// 503 to a health check during the drain and the delay before it.
    Draining,
}

impl Prebuilt {
    /// All of them, in their order in a rendered copy.
    pub const ALL: [Self; 19] = [
        Self::Page,
        Self::NotModified,
        Self::PreconditionFailed,
        Self::RangeNotSatisfiable,
        Self::Allow,
        Self::BadRequest,
        Self::Unauthorized,
        Self::MethodNotAllowed,
        Self::NotFound,
        Self::NotAcceptable,
        Self::RequestTimeout,
        Self::UriTooLong,
        Self::ExpectationFailed,
        Self::Misdirected,
        Self::FieldsTooLarge,
        Self::NotImplemented,
        Self::VersionNotSupported,
        Self::Healthy,
        Self::Draining,
    ];

    /// The status code; for a page, that of a page without its own.
    pub(super) fn status(self) -> u16 {
        match self {
            Self::Page | Self::Healthy => 200,
            Self::NotModified => 304,
            Self::PreconditionFailed => 412,
            Self::RangeNotSatisfiable => 416,
            Self::Allow => 204,
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::MethodNotAllowed => 405,
            Self::NotFound => 404,
            Self::NotAcceptable => 406,
            Self::RequestTimeout => 408,
            Self::UriTooLong => 414,
            Self::ExpectationFailed => 417,
            Self::Misdirected => 421,
            Self::FieldsTooLarge => 431,
            Self::NotImplemented => 501,
            Self::VersionNotSupported => 505,
            Self::Draining => 503,
        }
    }

    /// Whether the response answers a valid request for the site, so that it has the fields that
    /// the operator adds: neither an error of framing nor a health check.
    pub(super) fn is_about_the_site(self) -> bool {
        match self {
            Self::Page
            | Self::NotModified
            | Self::PreconditionFailed
            | Self::RangeNotSatisfiable
            | Self::Allow
            | Self::Unauthorized
            | Self::MethodNotAllowed
            | Self::NotFound
            | Self::NotAcceptable => true,
            Self::BadRequest
            | Self::RequestTimeout
            | Self::UriTooLong
            | Self::ExpectationFailed
            | Self::Misdirected
            | Self::FieldsTooLarge
            | Self::NotImplemented
            | Self::VersionNotSupported
            | Self::Healthy
            | Self::Draining => false,
        }
    }

    /// The sentence in the body of an error; `None` for responses that are no error page.
    fn explanation(self) -> Option<&'static str> {
        match self {
            Self::Page | Self::NotModified | Self::Allow | Self::Healthy | Self::Draining => None,
            Self::PreconditionFailed => Some("The page is not as the request requires."),
            Self::RangeNotSatisfiable => Some("The range lies beyond the end of the page."),
            Self::BadRequest => Some("The request is not valid HTTP."),
            Self::Unauthorized => Some("This page needs a user name and a password."),
            Self::MethodNotAllowed => Some("Only GET, HEAD and OPTIONS are answered here."),
            Self::NotFound => Some("There is nothing here by this name."),
            Self::NotAcceptable => Some("It is not there in a content coding that is accepted."),
            Self::RequestTimeout => Some("The request did not arrive in time."),
            Self::UriTooLong => Some("The request target is too long."),
            Self::ExpectationFailed => Some("The expectation of the request can't be met."),
            Self::Misdirected => Some("This server does not answer for the host of the request."),
            Self::FieldsTooLarge => Some("The head of the request is too large."),
            Self::NotImplemented => {
                Some("The method or transfer coding of the request is not known here.")
            }
            Self::VersionNotSupported => Some("Only HTTP/1.x is spoken here."),
        }
    }
}

/// The values from which the fields of heads are made.
pub(super) struct PageFields<'a> {
    pub(super) page: &'a Page,
    pub(super) body_bytes: u64,
    pub(super) etag: &'a str,
    pub(super) last_modified: Option<&'a str>,
}

impl<'a> PageFields<'a> {
    /// The fields of a response with the page.
    fn of_page(&self, length: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        // Validators and ranges belong to a 200, whose content is the selected representation.
        let selected = self.page.status == 200;
        let content = [("Content-Type", &*self.page.content_type), ("Content-Length", length)];
        content
            .into_iter()
            .chain(selected.then_some(("Accept-Ranges", "bytes")))
            .chain(self.validators().filter(move |_| selected))
            .chain(self.added())
    }

    /// The fields of a response with a part of the page.
    pub(super) fn of_part(
        &self,
        length: &'a str,
        range: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let content = [
            ("Content-Type", &*self.page.content_type),
            ("Content-Length", length),
            ("Content-Range", range),
        ];
        content.into_iter().chain(self.validators()).chain(self.added())
    }

    /// The fields of a 304: those of the 200 that a cache needs (RFC 9110 15.4.5).
    fn of_not_modified(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.validators().chain(self.added().filter(|(name, _)| is_kept_by_not_modified(name)))
    }

    fn validators(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let modified = self.last_modified.map(|text| ("Last-Modified", text));
        [("ETag", self.etag)].into_iter().chain(modified)
    }

    fn added(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.page.headers.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The added fields of a built-in response, which don't describe the page.
    fn added_to(&self, which: Prebuilt) -> Vec<(&'a str, &'a str)> {
        if !which.is_about_the_site() {
            return Vec::new();
        }
        let permitted = |&(name, value): &(&str, &str)| {
            ResponseKind::BuiltIn.permits(FieldClass::of(name, Some(value)), true)
        };
        let mut added: Vec<_> = self.added().filter(permitted).collect();
        let has = |name: &str| added.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        if which == Prebuilt::Allow && has(ALLOW_ORIGIN) && !has(ALLOW_METHODS.0) {
            added.push(ALLOW_METHODS);
        }
        added
    }
}

/// The place of a response in a rendered copy.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Placement {
    pub(super) at: u32,
    pub(super) head_bytes: u32,
    /// Bytes of the head, and of the body if it lies behind the head.
    pub(super) bytes: u32,
    date_at: u32,
}

/// The bytes of a rendered copy, and the places in them.
#[derive(Debug)]
pub(super) struct Composed {
    /// The bytes, with zeros for dates and for the page; empty once they are in the fixed buffer.
    pub(super) bytes: Vec<u8>,
    responses: [[Placement; Persistence::ALL.len()]; Prebuilt::ALL.len()],
    /// How many copies of the page for persistent connections lie one behind the other.
    pub(super) copies: u32,
    /// Whether the page lies behind each of its heads, instead of once in the image.
    pub(super) inline: bool,
}

/// A response that a short send has cut.
pub(super) struct Cut {
    /// Bytes of the response that were sent.
    pub(super) sent: u32,
    /// Offset of the end of its date.
    pub(super) date_end: u32,
    /// Bytes of its head that are left.
    pub(super) head_left: u32,
}

impl Composed {
    pub(super) fn response(&self, which: Prebuilt, persistence: Persistence) -> Placement {
        self.responses[which as usize][persistence as usize]
    }

    /// Copies the bytes to `at` in the fixed buffer, and the page behind its heads.
    pub(super) fn place(&self, buffer: &mut [u8], at: u64, body: Span) {
        let start = usize::try_from(at).expect("addresses have 64 bits");
        buffer[start..start + self.bytes.len()].copy_from_slice(&self.bytes);
        for (response, copy) in self.all_responses() {
            if self.inline && response.bytes > response.head_bytes && self.is_page(response) {
                let to = response.at + copy * response.bytes + response.head_bytes;
                buffer.copy_within(body.range(), start + to as usize);
            }
        }
    }

    pub(super) fn without_bytes(self) -> Self {
        Self { bytes: Vec::new(), ..self }
    }

    /// The offsets of all dates.
    pub(super) fn dates(&self) -> impl Iterator<Item = u32> {
        self.all_responses()
            .map(|(response, copy)| response.at + copy * response.bytes + response.date_at)
    }

    /// The response at an offset in the rendered copy, as cut there.
    pub(super) fn cut(&self, place: u32) -> Cut {
        let found = self.responses.iter().flatten().rfind(|response| response.at <= place);
        let response = found.expect("the first response lies at 0");
        let sent = (place - response.at) % response.bytes;
        Cut {
            sent,
            date_end: response.date_at + u32::try_from(DATE_BYTES).expect("29 bytes"),
            head_left: response.head_bytes.saturating_sub(sent),
        }
    }

    fn is_page(&self, response: Placement) -> bool {
        self.responses[Prebuilt::Page as usize].iter().any(|page| page.at == response.at)
    }

    /// Every response with the index of its copy.
    fn all_responses(&self) -> impl Iterator<Item = (Placement, u32)> {
        self.responses.iter().flatten().enumerate().flat_map(|(index, response)| {
            let copies = if index == 0 { self.copies } else { 1 };
            (0..copies).map(|copy| (*response, copy))
        })
    }
}

/// Builds all responses, one after another.
pub(super) fn compose(fields: &PageFields<'_>) -> Composed {
    let mut composed = Composed {
        bytes: Vec::new(),
        responses: Default::default(),
        copies: 1,
        inline: fields.body_bytes <= INLINE_BYTES_MAX,
    };
    for which in Prebuilt::ALL {
        for persistence in Persistence::ALL {
            let at = position(&composed.bytes);
            let status = if which == Prebuilt::Page { fields.page.status } else { which.status() };
            let body = plain_body(which);
            write_fields(&mut composed.bytes, which, fields, body.len(), persistence);
            let head_bytes = position(&composed.bytes) - at;
            composed.bytes.extend_from_slice(body.as_bytes());
            let mut bytes = position(&composed.bytes) - at;
            if which == Prebuilt::Page && composed.inline {
                bytes += u32::try_from(fields.body_bytes).expect("an inline page is small");
                if persistence == Persistence::Keep {
                    composed.copies = (ROW_BYTES_MAX / bytes).clamp(1, ROW_MAX);
                    let one = composed.bytes.clone();
                    for copy in 1..composed.copies {
                        composed.bytes.resize((copy * bytes) as usize, 0);
                        composed.bytes.extend_from_slice(&one);
                    }
                }
                let copies = if persistence == Persistence::Keep { composed.copies } else { 1 };
                composed.bytes.resize((at + copies * bytes) as usize, 0);
            }
            let date_at = u32::try_from(date_offset(status)).expect("a status line is short");
            composed.responses[which as usize][persistence as usize] =
                Placement { at, head_bytes, bytes, date_at };
        }
    }
    composed
}

fn write_fields(
    out: &mut Vec<u8>,
    which: Prebuilt,
    fields: &PageFields<'_>,
    body_bytes: usize,
    persistence: Persistence,
) {
    let page_length = fields.body_bytes.to_string();
    let written = match which {
        Prebuilt::Page => {
            write_head(out, fields.page.status, fields.of_page(&page_length), persistence)
        }
        Prebuilt::NotModified => write_head(out, 304, fields.of_not_modified(), persistence),
        Prebuilt::RangeNotSatisfiable => {
            let range = format!("bytes */{}", fields.body_bytes);
            let mut added = vec![("Content-Range", &*range)];
            added.extend(fields.added_to(which));
            return write_plain_head(out, which, &added, body_bytes, persistence);
        }
        _ => {
            let added = fields.added_to(which);
            return write_plain_head(out, which, &added, body_bytes, persistence);
        }
    };
    written.expect(VECTOR);
}

/// Writes a response that doesn't depend on the site.
pub(super) fn write_plain(out: &mut Vec<u8>, which: Prebuilt, persistence: Persistence) {
    let body = plain_body(which);
    write_plain_head(out, which, &[], body.len(), persistence);
    out.extend_from_slice(body.as_bytes());
}

fn write_plain_head(
    out: &mut Vec<u8>,
    which: Prebuilt,
    added: &[(&str, &str)],
    body_bytes: usize,
    persistence: Persistence,
) {
    let length = body_bytes.to_string();
    let content = |media_type| [("Content-Type", media_type), ("Content-Length", &*length)];
    let (content, own): (_, &[_]) = match which {
        Prebuilt::Allow => (None, &[ALLOW]),
        Prebuilt::MethodNotAllowed => (Some(content(ERROR_TYPE)), &[ALLOW]),
        Prebuilt::Unauthorized => (Some(content(ERROR_TYPE)), &[CHALLENGE, NO_STORE]),
        Prebuilt::Healthy | Prebuilt::Draining => (Some(content(HEALTH_TYPE)), &[NO_STORE]),
        Prebuilt::Page
        | Prebuilt::NotModified
        | Prebuilt::PreconditionFailed
        | Prebuilt::RangeNotSatisfiable
        | Prebuilt::BadRequest
        | Prebuilt::NotAcceptable
        | Prebuilt::NotFound
        | Prebuilt::RequestTimeout
        | Prebuilt::UriTooLong
        | Prebuilt::ExpectationFailed
        | Prebuilt::Misdirected
        | Prebuilt::FieldsTooLarge
        | Prebuilt::NotImplemented
        | Prebuilt::VersionNotSupported => (Some(content(ERROR_TYPE)), &[]),
    };
    let fields = content.into_iter().flatten().chain(own.iter().copied());
    let fields = fields.chain(added.iter().copied());
    write_head(out, which.status(), fields, persistence).expect(VECTOR);
}

/// The body of a response that doesn't depend on the site; empty for others.
fn plain_body(which: Prebuilt) -> String {
    let mut body = String::new();
    match which {
        Prebuilt::Healthy => body.push_str("ok\n"),
        Prebuilt::Draining => body.push_str("draining\n"),
        _ => {}
    }
    if let Some(explanation) = which.explanation() {
        let status = which.status();
        let title = reason(status);
        write!(
            body,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
             <title>{status} {title}</title></head>\n\
             <body><h1>{status} {title}</h1><p>{explanation}</p></body>\n</html>\n"
        )
        .expect("writing to a string does not fail");
    }
    body
}

fn position(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a rendered copy is far below 4 GiB")
}

/// The charset asks for user names and passwords in UTF-8, as `_headers` has them (RFC 7617 2.1).
const CHALLENGE: (&str, &str) =
    ("WWW-Authenticate", "Basic realm=\"protected\", charset=\"UTF-8\"");
const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";
const ALLOW_METHODS: (&str, &str) = ("Access-Control-Allow-Methods", "GET, HEAD");
const NO_STORE: (&str, &str) = ("Cache-Control", "no-store");
const HEALTH_TYPE: &str = "text/plain; charset=utf-8";
const VECTOR: &str = "writing to a vector does not fail";
const ALLOW: (&str, &str) = ("Allow", "GET, HEAD, OPTIONS");
const ERROR_TYPE: &str = "text/html; charset=utf-8";
/// A larger page lies in the buffer once, and is sent behind its head from there.
const INLINE_BYTES_MAX: u64 = 64 * 1024;
/// The most copies of a response in a row.
const ROW_MAX: u32 = 32;
/// The most bytes of those copies.
const ROW_BYTES_MAX: u32 = 256 * 1024;
