//! The beginnings of heads by status, and the responses that don't depend on the path, each with
//! its date. They are copied into a connection's block for each response, so the kernel never
//! reads them and their dates may change at any time.

use crate::http::request::Persistence;
use crate::http::response::{DATE_BYTES, date_offset, write_date, write_head};
use crate::site::rendered::{Prebuilt, write_plain};
use std::ops::Range;

/// The beginnings of heads, and prebuilt responses.
#[derive(Debug)]
pub(super) struct Heads {
    text: Vec<u8>,
    fronts: [[Range<usize>; Persistence::ALL.len()]; STATUSES.len()],
    responses: Vec<[PrebuiltRanges; Persistence::ALL.len()]>,
    /// Offsets of the dates in `text`.
    dates: Vec<usize>,
    /// The second of these dates.
    unix_seconds: u64,
}

/// Positions of a prebuilt response in `text`.
#[derive(Clone, Debug)]
struct PrebuiltRanges {
    /// The head without its empty line.
    head: Range<usize>,
    /// End of the body, which begins behind the empty line.
    end: usize,
}

/// Index in [`STATUSES`] of the status of a response with a file or a `Location`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StatusIndex(u8);

impl StatusIndex {
    pub(super) const OK: Self = Self(0);
    pub(super) const PARTIAL_CONTENT: Self = Self(1);
    pub(super) const NOT_MODIFIED: Self = Self(2);
    pub(super) const NOT_FOUND: Self = Self(3);
    pub(super) const PERMANENT_REDIRECT: Self = Self(4);

    /// The index of a status code; none for other codes than [`STATUSES`].
    pub(super) fn of(code: u16) -> Option<Self> {
        let index = STATUSES.iter().position(|&known| known == code)?;
        Some(Self(u8::try_from(index).expect("there are fewer than 256")))
    }
}

impl Heads {
    pub(super) fn new() -> Self {
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
        for prebuilt in Prebuilt::ALL {
            // Responses with the one page are never sent from a tree, whose files take their place.
            let response = |persistence| heads.response_of(prebuilt, persistence);
            let responses = Persistence::ALL.map(response);
            heads.responses.push(responses);
        }
        heads.write_dates(0);
        heads
    }

    fn front_of(&mut self, status: u16, persistence: Persistence) -> Range<usize> {
        let at = self.text.len();
        // Every 200 with a file has it (RFC 9110 14.3).
        let ranges = (status == 200).then_some(("Accept-Ranges", "bytes"));
        write_head(&mut self.text, status, ranges, persistence).expect(VECTOR);
        // The fields of the file follow, then the empty line.
        self.text.truncate(self.text.len() - LINE_END);
        self.dates.push(at + date_offset(status));
        at..self.text.len()
    }

    fn response_of(&mut self, prebuilt: Prebuilt, persistence: Persistence) -> PrebuiltRanges {
        let at = self.text.len();
        let status = prebuilt.status();
        write_plain(&mut self.text, prebuilt, persistence);
        self.dates.push(at + date_offset(status));
        let head_end = memchr::memmem::find(&self.text[at..], b"\r\n\r\n").expect("a head ends");
        PrebuiltRanges { head: at..at + head_end + LINE_END, end: self.text.len() }
    }

    /// Updates the dates to this second.
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

    /// The status line, date and server, without the empty line.
    pub(super) fn front(&self, status: StatusIndex, persistence: Persistence) -> &[u8] {
        &self.text[self.fronts[status.0 as usize][persistence as usize].clone()]
    }

    /// A prebuilt response: its head without the empty line and without the fields that rules can
    /// change, and its body.
    pub(super) fn response(&self, prebuilt: Prebuilt, persistence: Persistence) -> (&[u8], &[u8]) {
        let PrebuiltRanges { head, end } = &self.responses[prebuilt as usize][persistence as usize];
        (&self.text[head.clone()], &self.text[head.end + LINE_END..*end])
    }

    pub(super) fn front_bytes_max(&self) -> usize {
        self.fronts.iter().flatten().map(ExactSizeIterator::len).max().unwrap_or(0)
    }

    pub(super) fn response_bytes_max(&self) -> usize {
        let responses = self.responses.iter().flatten();
        responses.map(|response| response.end - response.head.start).max().unwrap_or(0)
    }
}

const STATUSES: [u16; 11] = [200, 206, 304, 404, 308, 301, 302, 303, 307, 410, 451];
const LINE_END: usize = "\r\n".len();
const VECTOR: &str = "writing to a vector doesn't fail";
