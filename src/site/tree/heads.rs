//! What all heads of a status have in common, and the responses that are the same for every path,
//! each with its date. They are copied into a connection's block when they are needed, so no ring
//! reads them and the date may change at any time.

use crate::http::request::Persistence;
use crate::http::response::{DATE_BYTES, date_offset, write_date, write_head};
use crate::site::rendered::{Prebuilt, write_plain};
use std::ops::Range;

/// The beginnings of heads, and whole responses.
#[derive(Debug)]
pub(super) struct Heads {
    text: Vec<u8>,
    fronts: [[Range<usize>; Persistence::ALL.len()]; STATUSES.len()],
    responses: Vec<[Response; Persistence::ALL.len()]>,
    /// Where in the text dates lie.
    dates: Vec<usize>,
    /// The second they say.
    unix_seconds: u64,
}

/// A response that is the same for every path.
#[derive(Clone, Debug)]
struct Response {
    /// Without the empty line.
    head: Range<usize>,
    /// Where the body ends, which lies behind that line.
    end: usize,
}

/// The statuses that responses with a file or a `Location` can have, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status(u8);

impl Status {
    pub(super) const OK: Self = Self(0);
    pub(super) const PARTIAL_CONTENT: Self = Self(1);
    pub(super) const NOT_MODIFIED: Self = Self(2);
    pub(super) const NOT_FOUND: Self = Self(3);
    pub(super) const PERMANENT_REDIRECT: Self = Self(4);

    /// Which it is, if it's one of them.
    pub(super) fn of(code: u16) -> Option<Self> {
        let index = STATUSES.iter().position(|&known| known == code)?;
        Some(Self(u8::try_from(index).expect("they are few")))
    }
}

impl Heads {
    /// `has_fallback`: what is a 404 would have been a page for who asks for one.
    pub(super) fn new(has_fallback: bool) -> Self {
        let mut heads = Self {
            text: Vec::new(),
            fronts: Default::default(),
            responses: Vec::new(),
            dates: Vec::new(),
            unix_seconds: 0,
        };
        for (index, status) in STATUSES.into_iter().enumerate() {
            for persistence in Persistence::ALL {
                let front = heads.front_of(status, persistence);
                heads.fronts[index][persistence as usize] = front;
            }
        }
        for which in Prebuilt::ALL {
            // Those of a page follow from it, here from files: what stands in their place is never
            // sent.
            let by_accept = has_fallback && which == Prebuilt::NotFound;
            let own = if by_accept { &[NOSNIFF, BY_ACCEPT][..] } else { &[NOSNIFF] };
            let response = |persistence| heads.response_of(which, own, persistence);
            let responses = Persistence::ALL.map(response);
            heads.responses.push(responses);
        }
        heads.write_dates(0);
        heads
    }

    fn front_of(&mut self, status: u16, persistence: Persistence) -> Range<usize> {
        let at = self.text.len();
        write_head(&mut self.text, status, [NOSNIFF], persistence).expect(VECTOR);
        // The empty line comes behind the other fields.
        self.text.truncate(self.text.len() - LINE_END);
        self.dates.push(at + date_offset(status));
        at..self.text.len()
    }

    fn response_of(
        &mut self,
        which: Prebuilt,
        own: &[(&str, &str)],
        persistence: Persistence,
    ) -> Response {
        let at = self.text.len();
        let status = which.status();
        write_plain(&mut self.text, which, own, persistence);
        self.dates.push(at + date_offset(status));
        let head_end = memchr::memmem::find(&self.text[at..], b"\r\n\r\n").expect("a head ends");
        Response { head: at..at + head_end + LINE_END, end: self.text.len() }
    }

    /// Brings the dates up to this second.
    pub(super) fn tick(&mut self, unix_seconds: u64) {
        if self.unix_seconds != unix_seconds {
            self.write_dates(unix_seconds);
        }
    }

    fn write_dates(&mut self, unix_seconds: u64) {
        self.unix_seconds = unix_seconds;
        let mut date = [0; DATE_BYTES];
        write_date(&mut date, unix_seconds);
        for &at in &self.dates {
            self.text[at..at + DATE_BYTES].copy_from_slice(&date);
        }
    }

    /// The status line and the fields that all responses have, without the empty line.
    pub(super) fn front(&self, status: Status, persistence: Persistence) -> &[u8] {
        &self.text[self.fronts[status.0 as usize][persistence as usize].clone()]
    }

    /// A response that is the same for every path: its head without the empty line, and its body.
    pub(super) fn response(&self, which: Prebuilt, persistence: Persistence) -> (&[u8], &[u8]) {
        let Response { head, end } = &self.responses[which as usize][persistence as usize];
        (&self.text[head.clone()], &self.text[head.end + LINE_END..*end])
    }

    /// The most bytes of a front.
    pub(super) fn front_bytes_max(&self) -> usize {
        self.fronts.iter().flatten().map(ExactSizeIterator::len).max().unwrap_or(0)
    }

    /// The most bytes of a response.
    pub(super) fn response_bytes_max(&self) -> usize {
        let responses = self.responses.iter().flatten();
        responses.map(|response| response.end - response.head.start).max().unwrap_or(0)
    }
}

const STATUSES: [u16; 11] = [200, 206, 304, 404, 308, 301, 302, 303, 307, 410, 451];
/// Browsers shall not guess another type than the one that is said.
const NOSNIFF: (&str, &str) = ("X-Content-Type-Options", "nosniff");
const BY_ACCEPT: (&str, &str) = ("Vary", "Accept");
const LINE_END: usize = "\r\n".len();
const VECTOR: &str = "writing to a vector does not fail";
