//! A pretend network: listeners with their backlogs, and links between the ring's user (a server
//! or a client) and its peers.
//!
//! Both sides' calls are here: the user's as the simulated ring makes them, the peers' as a
//! script or a test does. Nothing takes time; whoever calls decides when. Knows no operation and
//! no HTTP.

use crate::engine::Errno;
use std::collections::{BTreeSet, VecDeque};

/// One connection, from its connect to the end of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkId(pub u32);

/// Everything that is connected or listens.
#[derive(Debug, Default)]
pub struct Network {
    links: Vec<Link>,
    listeners: Vec<Backlog>,
    /// Links on which something changed since they were last asked for.
    touched: BTreeSet<LinkId>,
    /// Listeners on which something changed.
    with_pending: BTreeSet<u32>,
    /// Links that the user dialed and nobody has heard of.
    dialed: VecDeque<LinkId>,
}

/// A listener and who waits at it.
#[derive(Debug, Default)]
struct Backlog {
    waiting: VecDeque<LinkId>,
    closed: bool,
}

/// Both directions of a connection.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "facts of their own, in any combination")]
pub struct Link {
    to_user: VecDeque<u8>,
    to_peer: VecDeque<u8>,
    /// How many bytes the direction to the peer holds.
    window: usize,
    peer: Side,
    user: Side,
    handshake: Handshake,
    /// Broken: neither side gets anything through.
    reset: bool,
    /// How many bytes the user has received.
    pub received: usize,
    /// The user has accepted it.
    pub accepted: bool,
    /// A receive found bytes but no buffer, and none was armed since.
    pub starved: bool,
    /// The user closed while bytes waited for which a receive had found no buffer.
    pub abandoned: bool,
}

/// How far a side has closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Open,
    /// Sends no more.
    Finished,
    /// Reads no more either.
    Closed,
}

/// How far the beginning of a link has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// Nobody has answered.
    Begun,
    /// It is established.
    Done,
    /// It was refused.
    Refused,
}

/// What a read gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// Bytes.
    Bytes(Vec<u8>),
    /// Nothing now.
    Nothing,
    /// The other side will send no more.
    End,
    /// The connection is broken.
    Reset,
}

impl Network {
    /// A network with so many listeners.
    #[must_use]
    pub fn new(listeners: u32) -> Self {
        let listeners = (0..listeners).map(|_| Backlog::default()).collect();
        Self { listeners, ..Self::default() }
    }

    /// A link.
    #[must_use]
    pub fn link(&self, id: LinkId) -> &Link {
        &self.links[id.0 as usize]
    }

    fn touch(&mut self, id: LinkId) -> &mut Link {
        self.touched.insert(id);
        &mut self.links[id.0 as usize]
    }

    /// The links and the listeners on which something changed since the last time.
    pub fn take_changes(&mut self) -> (BTreeSet<LinkId>, BTreeSet<u32>) {
        (std::mem::take(&mut self.touched), std::mem::take(&mut self.with_pending))
    }

    // What peers do.

    /// Connects; `window` is how many bytes this peer takes without reading them.
    pub fn connect(&mut self, listener: u32, window: usize) -> LinkId {
        let id = self.begin(window, Handshake::Done);
        let backlog = &mut self.listeners[listener as usize];
        if backlog.closed {
            self.links[id.0 as usize].reset = true;
        } else {
            backlog.waiting.push_back(id);
        }
        self.with_pending.insert(listener);
        id
    }

    /// Begins a link; `window` is how many bytes the peer takes without reading them.
    pub fn begin(&mut self, window: usize, handshake: Handshake) -> LinkId {
        let id = LinkId(u32::try_from(self.links.len()).expect("few links"));
        self.links.push(Link {
            to_user: VecDeque::new(),
            to_peer: VecDeque::new(),
            window,
            peer: Side::Open,
            user: Side::Open,
            handshake,
            reset: false,
            received: 0,
            accepted: false,
            starved: false,
            abandoned: false,
        });
        self.touch(id);
        id
    }

    /// A link that the user dialed, if there is one of which nobody has heard.
    pub fn take_dialed(&mut self) -> Option<LinkId> {
        self.dialed.pop_front()
    }

    /// Answers a link that the user began.
    pub fn answers(&mut self, id: LinkId) {
        self.touch(id).handshake = Handshake::Done;
    }

    /// Refuses a link that the user began.
    pub fn refuses(&mut self, id: LinkId) {
        let link = self.touch(id);
        link.handshake = Handshake::Refused;
        link.reset = true;
    }

    /// Sends what there is room for; says how much that was.
    pub fn peer_sends(&mut self, id: LinkId, bytes: &[u8]) -> usize {
        let link = self.link(id);
        if link.reset {
            return bytes.len();
        }
        if link.user == Side::Closed && !bytes.is_empty() {
            // Nobody will read it: the answer is a reset, which also destroys what the peer has
            // not read yet (RFC 9112 9.6).
            self.resets(id);
            return bytes.len();
        }
        let room = link.room_for_peer().min(bytes.len());
        if room > 0 {
            self.touch(id).to_user.extend(&bytes[..room]);
        }
        room
    }

    /// Reads up to so many bytes.
    pub fn peer_reads(&mut self, id: LinkId, max: usize) -> Read {
        let link = self.link(id);
        if !link.to_peer.is_empty() {
            let count = max.min(link.to_peer.len());
            let link = self.touch(id);
            return Read::Bytes(link.to_peer.drain(..count).collect());
        }
        match (link.reset, link.user) {
            (true, _) => Read::Reset,
            (false, Side::Open) => Read::Nothing,
            (false, Side::Finished | Side::Closed) => Read::End,
        }
    }

    /// The peer sends no more.
    pub fn peer_finishes(&mut self, id: LinkId) {
        let link = self.touch(id);
        if link.peer == Side::Open {
            link.peer = Side::Finished;
        }
    }

    /// The peer closes both directions.
    pub fn peer_closes(&mut self, id: LinkId) {
        let link = self.touch(id);
        link.peer = Side::Closed;
        link.to_peer.clear();
    }

    /// The link breaks; what was not read is lost.
    pub fn resets(&mut self, id: LinkId) {
        let link = self.touch(id);
        link.reset = true;
        link.to_peer.clear();
        link.to_user.clear();
    }

    // What the user of the ring does.

    /// Lets somebody hear of a link that was begun.
    pub fn dials(&mut self, id: LinkId) {
        self.dialed.push_back(id);
    }

    /// Accepts who has waited longest.
    ///
    /// # Errors
    /// `EINVAL` when the listener is closed.
    pub fn accepts(&mut self, listener: u32) -> Result<Option<LinkId>, Errno> {
        let backlog = &mut self.listeners[listener as usize];
        if backlog.closed {
            return Err(Errno(libc::EINVAL));
        }
        let Some(id) = backlog.waiting.pop_front() else { return Ok(None) };
        self.touch(id).accepted = true;
        Ok(Some(id))
    }

    /// Whether a poll of the listener is told something.
    #[must_use]
    pub fn has_pending(&self, listener: u32) -> bool {
        let backlog = &self.listeners[listener as usize];
        backlog.closed || !backlog.waiting.is_empty()
    }

    /// Closes a listener: connections in its backlog are reset.
    pub fn close_listener(&mut self, listener: u32) {
        let backlog = &mut self.listeners[listener as usize];
        backlog.closed = true;
        for id in std::mem::take(&mut backlog.waiting) {
            self.resets(id);
        }
        self.with_pending.insert(listener);
    }

    /// Receives up to so many bytes.
    pub fn user_reads(&mut self, id: LinkId, max: usize) -> Read {
        let link = self.link(id);
        if !link.to_user.is_empty() {
            let count = max.min(link.to_user.len());
            let link = self.touch(id);
            link.received += count;
            return Read::Bytes(link.to_user.drain(..count).collect());
        }
        match (link.reset, link.peer) {
            (true, _) => Read::Reset,
            (false, Side::Open) => Read::Nothing,
            (false, Side::Finished | Side::Closed) => Read::End,
        }
    }

    /// A receive is armed.
    pub fn user_receives(&mut self, id: LinkId) {
        self.links[id.0 as usize].starved = false;
    }

    /// A receive finds no buffer.
    pub fn user_starves(&mut self, id: LinkId) {
        let link = &mut self.links[id.0 as usize];
        link.starved = !link.to_user.is_empty();
    }

    /// Whether a receive would complete.
    #[must_use]
    pub fn readable(&self, id: LinkId) -> bool {
        let link = self.link(id);
        !link.to_user.is_empty() || link.reset || link.peer != Side::Open
    }

    /// Sends up to `max` bytes without waiting.
    ///
    /// # Errors
    /// `EAGAIN` without room, `EPIPE` or `ECONNRESET` when it is broken.
    pub fn user_sends(&mut self, id: LinkId, bytes: &[u8], max: usize) -> Result<usize, Errno> {
        let link = &mut self.links[id.0 as usize];
        if link.reset {
            return Err(Errno(libc::ECONNRESET));
        }
        match (link.user, link.peer) {
            (Side::Finished | Side::Closed, _) => return Err(Errno(libc::EPIPE)),
            (Side::Open, Side::Closed) => {
                // The first send to a peer that is gone is taken, and answered with a reset.
                self.touch(id).reset = true;
                return Ok(bytes.len().min(max));
            }
            (Side::Open, Side::Open | Side::Finished) => {}
        }
        let room = link.window.saturating_sub(link.to_peer.len());
        let count = room.min(bytes.len()).min(max);
        if count == 0 && !bytes.is_empty() {
            return Err(Errno(libc::EAGAIN));
        }
        self.touch(id).to_peer.extend(&bytes[..count]);
        Ok(count)
    }

    /// Whether a poll for writing is told something.
    #[must_use]
    pub fn writable(&self, id: LinkId) -> bool {
        let link = self.link(id);
        let room = link.window.saturating_sub(link.to_peer.len());
        link.reset || link.peer == Side::Closed || room * 3 >= link.window
    }

    /// Shuts down the user's sending side.
    pub fn user_finishes(&mut self, id: LinkId) {
        let link = self.touch(id);
        if link.user == Side::Open {
            link.user = Side::Finished;
        }
    }

    /// Whether a listener was closed.
    #[must_use]
    pub fn is_closed(&self, listener: u32) -> bool {
        self.listeners[listener as usize].closed
    }

    /// Closes the user's side; with bytes unread, that is a reset (RFC 1122 4.2.2.13).
    pub fn user_closes(&mut self, id: LinkId) {
        let link = self.touch(id);
        link.user = Side::Closed;
        if !link.to_user.is_empty() {
            link.abandoned = link.starved;
            self.resets(id);
        }
    }
}

impl Link {
    /// Whether the link is broken.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        self.reset
    }

    /// How far its beginning has come.
    #[must_use]
    pub fn handshake(&self) -> Handshake {
        self.handshake
    }

    /// How many bytes the peer may send right now.
    #[must_use]
    pub fn room_for_peer(&self) -> usize {
        RECEIVE_WINDOW.saturating_sub(self.to_user.len())
    }

    /// Whether the peer may still send.
    #[must_use]
    pub fn peer_is_open(&self) -> bool {
        self.peer == Side::Open
    }

    /// Whether the peer may send more right now.
    #[must_use]
    pub fn takes_bytes(&self) -> bool {
        self.reset || self.user == Side::Closed || self.room_for_peer() > 0
    }

    /// Whether the user has closed.
    #[must_use]
    pub fn user_is_closed(&self) -> bool {
        self.user == Side::Closed
    }

    /// Whether nothing will come of it any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.reset || (self.user == Side::Closed && self.peer != Side::Open)
    }

    /// Whether the peer would read anything but nothing.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.reset || !self.to_peer.is_empty() || self.user != Side::Open
    }
}

/// How many bytes the direction to the user holds.
const RECEIVE_WINDOW: usize = 64 * 1024;
