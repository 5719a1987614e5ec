//! What the fields of a head decide: the host, the framing of the body, whether the connection
//! persists, what is expected (RFC 9112 6, RFC 9110 7.2, 7.6.1, 10.1.1).

use super::message::{Codings, Options, decimal, members};
use super::request::{Framing, Persistence, RejectStatus};
use super::target;
use httparse::Header;

/// What was decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decided<'b> {
    /// The value of `Host`.
    pub(super) host: Option<&'b [u8]>,
    pub(super) persistence: Persistence,
    pub(super) framing: Framing,
    pub(super) expects_continue: bool,
    pub(super) selective: bool,
}

/// Reads all fields of a request of HTTP/1.0 or later.
pub(super) fn decide<'b>(
    fields: &[Header<'b>],
    is_http10: bool,
) -> Result<Decided<'b>, RejectStatus> {
    let mut seen = Seen::default();
    for field in fields {
        seen.field(field);
    }
    seen.decide(is_http10)
}

/// What has been seen so far. Refusals come at the end, so that they have an order.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own, in any combination")]
struct Seen<'b> {
    hosts: u32,
    host: Option<&'b [u8]>,
    host_is_bad: bool,
    length: Option<u64>,
    length_is_bad: bool,
    codings: Codings,
    options: Options,
    expects_continue: bool,
    expects_other: bool,
    selective: bool,
}

impl<'b> Seen<'b> {
    fn field(&mut self, field: &Header<'b>) {
        let is = |name| field.name.eq_ignore_ascii_case(name);
        // By length first, as most fields are of no interest here.
        match field.name.len() {
            4 if is("Host") => {
                self.hosts += 1;
                self.host = Some(field.value);
                self.host_is_bad |= !target::is_host_field(field.value);
            }
            5 if is("Range") => self.selective = true,
            6 if is("Expect") => {
                // A list (RFC 9110 10.1.1), whose empty members mean nothing (5.6.1.2).
                for expectation in members(field.value).filter(|member| !member.is_empty()) {
                    let is_known = expectation.eq_ignore_ascii_case(b"100-continue");
                    self.expects_continue |= is_known;
                    self.expects_other |= !is_known;
                }
            }
            8 if is("If-Match") || is("If-Range") => self.selective = true,
            10 if is("Connection") => self.options.read(field.value),
            13 if is("If-None-Match") => self.selective = true,
            14 if is("Content-Length") => {
                let repeated = self.length.is_some();
                self.length = decimal(field.value);
                self.length_is_bad |= repeated || self.length.is_none();
            }
            17 if is("If-Modified-Since") => self.selective = true,
            17 if is("Transfer-Encoding") => {
                for coding in members(field.value) {
                    self.codings.add(coding);
                }
            }
            19 if is("If-Unmodified-Since") => self.selective = true,
            _ => {}
        }
    }

    fn decide(self, is_http10: bool) -> Result<Decided<'b>, RejectStatus> {
        let host_is_missing = self.hosts == 0 && !is_http10;
        if self.host_is_bad || self.hosts > 1 || host_is_missing || self.length_is_bad {
            return Err(RejectStatus::BadRequest);
        }
        let framing = match (self.codings, self.length) {
            (Codings::None, None) => Framing::None,
            (Codings::None, Some(length)) => Framing::Length(length),
            // Both together is how requests are smuggled (RFC 9112 6.1), and HTTP/1.0 has no
            // transfer codings.
            (Codings::Bad | Codings::NotLast, _) | (_, Some(_)) => {
                return Err(RejectStatus::BadRequest);
            }
            (_, None) if is_http10 => return Err(RejectStatus::BadRequest),
            (Codings::Chunked, None) => Framing::Chunked,
            (Codings::Other | Codings::OtherChunked, None) => {
                return Err(RejectStatus::NotImplemented);
            }
        };
        if self.expects_other && !is_http10 {
            return Err(RejectStatus::ExpectationFailed);
        }
        let persistence = match (is_http10, self.options.close, self.options.keep_alive) {
            (_, true, _) | (true, false, false) => Persistence::Close,
            (true, false, true) => Persistence::KeepHttp10,
            (false, false, _) => Persistence::Keep,
        };
        Ok(Decided {
            host: self.host,
            persistence,
            framing,
            expects_continue: self.expects_continue && !is_http10,
            selective: self.selective,
        })
    }
}
