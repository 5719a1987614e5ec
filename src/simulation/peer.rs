//! The state of a simulated peer: its progress in its plan, and the responses it received.

use super::peer_plan::PeerPlan;
use super::responses::{self, ReceivedResponse, ResponseRead};
use crate::engine::Nanos;
use crate::engine::sim::SocketId;
use std::rc::Rc;

/// A peer and its progress.
#[derive(Debug)]
pub(super) struct PeerState {
    pub(super) plan: PeerPlan,
    /// Its connection, once it has connected.
    pub(super) socket: Option<SocketId>,
    /// The complete responses, all of them as expected.
    pub(super) responses: Vec<ReceivedResponse>,
    /// When the first byte of each request was sent.
    pub(super) begun_at: Vec<Nanos>,
    /// When the last byte of each request was sent.
    pub(super) sent_at: Vec<Nanos>,
    /// When the first byte of each response was received, also of one that isn't complete.
    pub(super) response_begun_at: Vec<Nanos>,
    /// When the last byte of each response was received.
    pub(super) responded_at: Vec<Nanos>,
    /// How the connection ended, as the peer sees it, and when.
    pub(super) end: Option<(ConnectionEnd, Nanos)>,
    /// The first error in the bytes it received.
    pub(super) error: Option<String>,
    /// Which of several pages its responses have, by its index.
    pub(super) served_page: Option<usize>,
    /// All bytes it received.
    pub(super) received: Vec<u8>,
    /// The index of its step.
    pub(super) step: usize,
    /// How many bytes it has sent.
    pub(super) sent: usize,
    /// When its pause ends, if it has begun one.
    pub(super) paused_until: Option<Nanos>,
    pub(super) read_is_scheduled: bool,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionEnd {
    /// The server closed it.
    Server,
    /// It was reset.
    Reset,
    /// The peer closed or reset it.
    Peer,
}

impl PeerState {
    /// A peer at the first step of its plan.
    #[must_use]
    pub(super) fn new(plan: PeerPlan) -> Self {
        Self {
            plan,
            socket: None,
            responses: Vec::new(),
            begun_at: Vec::new(),
            sent_at: Vec::new(),
            response_begun_at: Vec::new(),
            responded_at: Vec::new(),
            end: None,
            error: None,
            served_page: None,
            received: Vec::new(),
            step: 0,
            sent: 0,
            paused_until: None,
            read_is_scheduled: false,
        }
    }

    /// Whether the latest response has `Connection: close`.
    #[must_use]
    pub(super) fn has_last_response(&self) -> bool {
        self.responses.last().is_some_and(|response| response.closes)
    }

    /// The index behind the last byte of the complete responses.
    #[must_use]
    pub(super) fn responses_end(&self) -> usize {
        self.responses.last().map_or(0, |response| response.end)
    }

    /// Takes received bytes and parses the responses that they complete.
    pub(super) fn take_bytes(&mut self, bytes: &[u8], pages: &[Rc<[u8]>], now: Nanos) {
        self.received.extend(bytes);
        while self.error.is_none() && self.responses_end() < self.received.len() {
            let (start, number) = (self.responses_end(), self.responses.len());
            if self.has_last_response() {
                let rest = &self.received[start..];
                let text = String::from_utf8_lossy(&rest[..rest.len().min(40)]);
                let last = self.responses.last();
                self.error = Some(format!("bytes after the last response {last:?}: {text:?}"));
                return;
            }
            if number >= self.plan.expected.len() {
                self.error = Some(format!("response {number} has no request"));
                return;
            }
            if self.response_begun_at.len() == number {
                self.response_begun_at.push(now);
            }
            match self.read(start, pages) {
                Ok(ResponseRead::Incomplete) => return,
                Ok(ResponseRead::Complete(response)) => {
                    self.responses.push(response);
                    self.responded_at.push(now);
                }
                Err(why) => self.error = Some(format!("response {number}: {why}")),
            }
        }
    }

    /// Reads the response that begins at `start`: with the page of the responses before it, or with
    /// the only one of several pages that it agrees with.
    fn read(&mut self, start: usize, pages: &[Rc<[u8]>]) -> Result<ResponseRead, String> {
        let expected = &self.plan.expected[self.responses.len()];
        let candidates = match self.served_page {
            Some(page) => page..page + 1,
            None => 0..pages.len(),
        };
        let mut error = None;
        for number in candidates {
            match responses::read(&self.received, start, expected, &pages[number]) {
                Ok(read) => {
                    let is_complete = matches!(read, ResponseRead::Complete(_));
                    if is_complete && expected.has_page_bytes() {
                        self.served_page = Some(number);
                    }
                    return Ok(read);
                }
                Err(why) => error = Some(why),
            }
        }
        Err(error.expect("there is a page"))
    }

    /// Notes that more bytes of the plan were sent.
    pub(super) fn note_sent(&mut self, count: usize, now: Nanos) {
        self.sent += count;
        let ends = self.plan.expected.iter().map(|expected| expected.end);
        let complete = ends.clone().filter(|&end| end <= self.sent).count();
        let begun = [0].into_iter().chain(ends).filter(|&start| start < self.sent).count();
        self.begun_at.resize(begun.max(self.begun_at.len()), now);
        self.sent_at.resize(complete.max(self.sent_at.len()), now);
    }
}
