//! The pool of runs, and what observers are told of their responses. A *run* is the responses to
//! pipelined requests of one connection that are sent as one;
//! [`RunLayout`](crate::site::layout::RunLayout) has the positions of their heads.

use crate::http::request::Method;
use crate::site::Site;
use crate::site::layout::RUN_RESPONSES_MAX;
use crate::telemetry::record::{Nanos, ResponseRecord};

/// The runs of a server, of which connections borrow one at a time.
#[derive(Debug)]
pub struct Runs {
    /// Those that no connection has; the last one to come back is the next to be borrowed, since
    /// its memory is in the cache.
    free: Vec<u32>,
    /// What observers are told of the responses of each run; empty without one.
    records: Box<[RunRecords]>,
}

/// The responses of a run behind the one that the socket is taking, for an observer.
#[derive(Clone, Debug)]
pub(super) struct RunRecords {
    /// The length of the response that the socket is taking.
    pub(super) first_bytes: u32,
    /// Those behind it, from `next` to `count`.
    following: [Following; RUN_RESPONSES_MAX as usize - 1],
    next: u32,
    count: u32,
}

/// A response of a run that the socket has not begun to take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Following {
    pub(super) method: Method,
    pub(super) status: u16,
    pub(super) head_bytes: u32,
    /// The length of the response.
    pub(super) bytes: u32,
}

impl Runs {
    /// The runs of a site.
    #[must_use]
    pub fn new(site: &Site) -> Self {
        let count = site.run_layout().map_or(0, |layout| layout.count());
        Self { free: (0..count).rev().collect(), records: Box::default() }
    }

    /// No runs: all responses are sent one by one, or in rows of copies.
    #[must_use]
    pub fn none() -> Self {
        Self { free: Vec::new(), records: Box::default() }
    }

    /// Makes room for what observers are told. To be called while no run is borrowed.
    pub fn keep_records(&mut self) {
        self.records = vec![RunRecords::EMPTY; self.free.len()].into_boxed_slice();
    }

    /// Whether no connection has a run.
    #[must_use]
    pub fn are_free(&self, site: &Site) -> bool {
        site.run_layout().is_none_or(|layout| self.free.len() == layout.count() as usize)
    }

    /// Takes a run out of the pool, unless all are borrowed.
    pub(super) fn borrow(&mut self) -> Option<u32> {
        self.free.pop()
    }

    pub(super) fn give_back(&mut self, run: u32) {
        self.free.push(run);
    }

    /// The records of a run, for an observer.
    pub(super) fn records(&mut self, run: u32) -> &mut RunRecords {
        assert!(!self.records.is_empty(), "`keep_records` comes before the first observed run");
        &mut self.records[run as usize]
    }
}

impl RunRecords {
    const EMPTY: Self = Self {
        first_bytes: 0,
        following: [Following { method: Method::Get, status: 0, head_bytes: 0, bytes: 0 };
            RUN_RESPONSES_MAX as usize - 1],
        next: 0,
        count: 0,
    };

    /// Begins a run whose first response has so many bytes.
    pub(super) fn begin(&mut self, first_bytes: u32) {
        (self.first_bytes, self.next, self.count) = (first_bytes, 0, 0);
    }

    pub(super) fn add(&mut self, response: Following) {
        self.following[self.count as usize] = response;
        self.count += 1;
    }

    /// Makes the next response the one that the socket is taking. Returns its number among those
    /// behind the first, and its record.
    pub(super) fn next(&mut self, first_byte: Nanos) -> Option<(u32, ResponseRecord)> {
        let number = self.next;
        (number < self.count).then(|| {
            let following = self.following[number as usize];
            (self.next, self.first_bytes) = (number + 1, following.bytes);
            (number, following.record(first_byte))
        })
    }
}

impl Following {
    pub(super) fn record(self, first_byte: Nanos) -> ResponseRecord {
        let Self { method, status, head_bytes, .. } = self;
        ResponseRecord {
            method,
            status,
            count: 1,
            bytes: 0,
            head_bytes,
            first_byte,
            last_byte: first_byte,
            is_whole: false,
        }
    }
}
