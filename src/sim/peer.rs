//! A peer: goes through its plan on the pretend network and keeps what it receives.

use super::event_queue::Due;
use super::network::{LinkId, Read};
use super::plan::{Plan, Reader, Step};
use super::responses::{self, Found, Response};
use super::ring::SimRing;
use crate::engine::Nanos;

/// A peer and how far it has come.
#[derive(Debug)]
pub(super) struct Peer {
    /// What it does.
    pub plan: Plan,
    /// Its connection.
    pub link: Option<LinkId>,
    /// The responses that came whole and are right.
    pub responses: Vec<Response>,
    /// When the last byte of each request was sent, and when each response was whole.
    pub sent_at: Vec<Nanos>,
    /// When each response was whole.
    pub responded_at: Vec<Nanos>,
    /// How the connection ended, as this peer sees it, and when.
    pub end: Option<(End, Nanos)>,
    /// The network broke its connection.
    pub harmed: bool,
    /// What is wrong with what it received.
    pub complaint: Option<String>,
    /// Everything it received.
    pub received: Vec<u8>,
    step: usize,
    sent: usize,
    /// When it may go on, if it waits for time to pass.
    paused_until: Option<Nanos>,
    read_is_due: bool,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The server ended it.
    Server,
    /// It was broken.
    Reset,
    /// The peer ended it.
    Peer,
}

impl Peer {
    /// A peer that has done nothing yet.
    #[must_use]
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            plan,
            link: None,
            responses: Vec::new(),
            sent_at: Vec::new(),
            responded_at: Vec::new(),
            end: None,
            harmed: false,
            complaint: None,
            received: Vec::new(),
            step: 0,
            sent: 0,
            paused_until: None,
            read_is_due: false,
        }
    }

    /// Whether it got a response that says there will be no other.
    #[must_use]
    pub(super) fn was_told_the_end(&self) -> bool {
        self.responses.last().is_some_and(|response| response.closes)
    }

    /// Behind the last byte of the responses that came whole.
    #[must_use]
    pub(super) fn responses_end(&self) -> usize {
        self.responses.last().map_or(0, |response| response.end)
    }

    /// Reads as many whole responses as have come.
    fn digest(&mut self, page: &[u8], now: Nanos) {
        while self.complaint.is_none() && self.responses_end() < self.received.len() {
            let number = self.responses.len();
            if self.was_told_the_end() {
                self.complaint = Some(format!(
                    "bytes after the last response, number {number}: {:?}, then {:?}",
                    self.responses.last(),
                    String::from_utf8_lossy(
                        &self.received[self.responses_end()..]
                            [..40.min(self.received.len() - self.responses_end())]
                    )
                ));
                return;
            }
            let Some(expected) = self.plan.expected.get(number) else {
                self.complaint = Some("bytes that answer no request".to_owned());
                return;
            };
            match responses::read(&self.received, self.responses_end(), expected, page) {
                Ok(Found::Partial) => return,
                Ok(Found::Whole(response)) => {
                    self.responses.push(response);
                    self.responded_at.push(now);
                }
                Err(why) => self.complaint = Some(format!("response {number}: {why}")),
            }
        }
    }

    fn note_sent(&mut self, count: usize, now: Nanos) {
        self.sent += count;
        while self
            .plan
            .expected
            .get(self.sent_at.len())
            .is_some_and(|expected| expected.end <= self.sent)
        {
            self.sent_at.push(now);
        }
    }
}

impl SimRing {
    /// Adds a peer, which connects when its plan says.
    pub(super) fn add_peer(&mut self, plan: Plan) {
        let number = u32::try_from(self.peers.len()).expect("few peers");
        self.events.enter(Nanos(plan.start_ns), Due::Write(number));
        self.peers.push(Peer::new(plan));
    }

    /// A peer goes on with its steps as far as it can.
    pub(super) fn peer_writes(&mut self, number: u32) {
        let index = number as usize;
        if self.peers[index].link.is_none() {
            let plan = &self.peers[index].plan;
            let link = self.network.connect(plan.listener, plan.window);
            self.trace(|| format!("peer {number} connects as {link:?}"));
            self.peers[index].link = Some(link);
        }
        while self.peers[index].end.is_none() && self.peer_steps(number) {}
    }

    /// One step; says whether another may follow at once.
    fn peer_steps(&mut self, number: u32) -> bool {
        let now = self.time();
        let peer = &mut self.peers[number as usize];
        let link = peer.link.expect("it has connected");
        let Some(&step) = peer.plan.steps.get(peer.step) else {
            peer.end = Some((End::Peer, now));
            self.network.peer_closes(link);
            return false;
        };
        match step {
            Step::Pause(nanos) => match peer.paused_until {
                Some(until) if until > now => return false,
                Some(_) => peer.paused_until = None,
                None => {
                    let until = Nanos(now.0 + nanos);
                    peer.paused_until = Some(until);
                    self.events.enter(until, Due::Write(number));
                    return false;
                }
            },
            Step::Send(upto) if peer.sent < upto => {
                let count = self.network.peer_sends(link, &peer.plan.bytes[peer.sent..upto]);
                peer.note_sent(count, now);
                return count > 0;
            }
            Step::Await(count) if peer.responses.len() < count && !peer.was_told_the_end() => {
                return false;
            }
            Step::Send(_) | Step::Await(_) => {}
            Step::Finish => self.network.peer_finishes(link),
            Step::Reset => {
                peer.end = Some((End::Peer, now));
                self.network.resets(link);
                return false;
            }
            Step::AwaitEnd => return false,
            Step::Close => {
                peer.end = Some((End::Peer, now));
                self.network.peer_closes(link);
                return false;
            }
        }
        self.peers[number as usize].step += 1;
        true
    }

    /// A peer reads once, and goes on with what waited for it.
    pub(super) fn peer_reads(&mut self, number: u32) {
        let now = self.time();
        let page = self.page.clone();
        let peer = &mut self.peers[number as usize];
        peer.read_is_due = false;
        if peer.end.is_some() {
            return;
        }
        let link = peer.link.expect("it has connected");
        let max = match peer.plan.reader {
            Reader::Eager => usize::MAX,
            Reader::Slow { bytes, .. } => bytes,
            Reader::Never => 4096,
        };
        match self.network.peer_reads(link, max) {
            Read::Bytes(bytes) => {
                peer.received.extend(bytes);
                peer.digest(&page, now);
            }
            Read::Nothing => {}
            Read::End => {
                peer.end = Some((End::Server, now));
                self.network.peer_closes(link);
            }
            Read::Reset => peer.end = Some((End::Reset, now)),
        }
        self.peer_writes(number);
    }

    /// Something changed on a link: its peer may have something to do.
    pub(super) fn peer_hears(&mut self, link: LinkId) {
        let Some(number) = self.peers.iter().position(|peer| peer.link == Some(link)) else {
            return;
        };
        let state = self.network.link(link);
        let (news, room, broken) = (state.has_news(), state.takes_bytes(), state.is_reset());
        let over = broken || state.user_is_closed();
        let latency = match self.peers[number].plan.reader {
            Reader::Eager => self.random.below(200_000),
            Reader::Slow { every_ns, .. } => every_ns,
            // It notices the end all the same.
            Reader::Never if over => 0,
            Reader::Never => u64::MAX,
        };
        let now = self.time();
        let peer = &mut self.peers[number];
        if peer.end.is_some() {
            return;
        }
        let due = u32::try_from(number).expect("few peers");
        if news && latency < u64::MAX && !std::mem::replace(&mut peer.read_is_due, true) {
            self.events.enter(Nanos(now.0 + latency), Due::Read(due));
        }
        if matches!(peer.plan.steps.get(peer.step), Some(Step::Send(_))) && room {
            self.events.enter(Nanos(now.0 + 1), Due::Write(due));
        }
    }

    /// The network broke a link; its peer is expected nothing more.
    pub(super) fn peer_is_harmed(&mut self, link: LinkId) {
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.link == Some(link)) {
            peer.harmed = true;
        }
    }
}
