//! The effect of the field lines of a request: host, framing, persistence and expectation (RFC 9110
//! 7.2, 7.6.1 and 10.1.1, RFC 9112 6).

use super::framing::{Framing, TransferCodings};
use super::grammar::{decimal, list_members};
use super::limits::CONTENT_LENGTH_MAX;
use super::persistence::{ConnectionOptions, Persistence};
use super::reject::RejectStatus;
use super::target;
use httparse::Header;

/// The meaning of the field lines that concern the message itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldSemantics<'b> {
    /// The value of `Host`.
    pub(super) host: Option<&'b [u8]>,
    pub(super) persistence: Persistence,
    pub(super) framing: Framing,
    pub(super) expects_continue: bool,
    pub(super) selective: bool,
}

/// Interprets all field lines of a request in HTTP/1.x.
pub(super) fn interpret<'b>(
    fields: &[Header<'b>],
    is_http10: bool,
) -> Result<FieldSemantics<'b>, RejectStatus> {
    let mut collected = RequestFields::default();
    for field in fields {
        collected.add(field);
    }
    collected.interpret(is_http10)
}

/// The facts collected from field lines. They are judged after the last line, so that the status of
/// a refusal doesn't depend on the order of the lines.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own, in any combination")]
struct RequestFields<'b> {
    hosts: u32,
    host: Option<&'b [u8]>,
    host_is_bad: bool,
    length: Option<u64>,
    length_is_bad: bool,
    codings: TransferCodings,
    options: ConnectionOptions,
    expects_continue: bool,
    expects_other: bool,
    selective: bool,
}

impl<'b> RequestFields<'b> {
    fn add(&mut self, field: &Header<'b>) {
        let is = |name| field.name.eq_ignore_ascii_case(name);
        // The length of the name decides first: most field lines don't matter here.
        match field.name.len() {
            4 if is("Host") => {
                self.hosts += 1;
                self.host = Some(field.value);
                self.host_is_bad |= !target::is_host_field(field.value);
            }
            5 if is("Range") => self.selective = true,
            6 if is("Expect") => {
                // A list (RFC 9110 10.1.1), of which empty members are ignored (5.6.1.2).
                for expectation in list_members(field.value).filter(|member| !member.is_empty()) {
                    let is_known = expectation.eq_ignore_ascii_case(b"100-continue");
                    self.expects_continue |= is_known;
                    self.expects_other |= !is_known;
                }
            }
            8 if is("If-Match") || is("If-Range") => self.selective = true,
            10 if is("Connection") => self.options.add(field.value),
            13 if is("If-None-Match") => self.selective = true,
            14 if is("Content-Length") => {
                // Repeated lengths are refused even if equal, as RFC 9110 8.6 permits.
                let repeated = self.length.is_some();
                self.length = decimal(field.value).filter(|&length| length <= CONTENT_LENGTH_MAX);
                self.length_is_bad |= repeated || self.length.is_none();
            }
            17 if is("If-Modified-Since") => self.selective = true,
            17 if is("Transfer-Encoding") => {
                for coding in list_members(field.value) {
                    self.codings.add(coding);
                }
            }
            19 if is("If-Unmodified-Since") => self.selective = true,
            _ => {}
        }
    }

    fn interpret(self, is_http10: bool) -> Result<FieldSemantics<'b>, RejectStatus> {
        // HTTP/1.1 requires exactly one valid `Host` (RFC 9112 3.2).
        let host_is_missing = self.hosts == 0 && !is_http10;
        if self.host_is_bad || self.hosts > 1 || host_is_missing || self.length_is_bad {
            return Err(RejectStatus::BadRequest);
        }
        let framing = match (self.codings, self.length) {
            (TransferCodings::None, None) => Framing::None,
            (TransferCodings::None, Some(length)) => Framing::Length(length),
            // A message with both fields may be request smuggling (RFC 9112 6.1 and 11.2), and
            // HTTP/1.0 has no transfer codings.
            (TransferCodings::Bad | TransferCodings::NotLast, _) | (_, Some(_)) => {
                return Err(RejectStatus::BadRequest);
            }
            (_, None) if is_http10 => return Err(RejectStatus::BadRequest),
            (TransferCodings::Chunked, None) => Framing::Chunked,
            (TransferCodings::Other | TransferCodings::OtherChunked, None) => {
                return Err(RejectStatus::NotImplemented);
            }
        };
        // A server ignores `100-continue` in HTTP/1.0 (RFC 9110 10.1.1), and here any expectation.
        if self.expects_other && !is_http10 {
            return Err(RejectStatus::ExpectationFailed);
        }
        Ok(FieldSemantics {
            host: self.host,
            persistence: self.options.persistence(is_http10),
            framing,
            expects_continue: self.expects_continue && !is_http10,
            selective: self.selective,
        })
    }
}
