//! The peers of a world: each goes through its plan on the network.

use super::peer::{ConnectionEnd, PeerState};
use super::peer_plan::{PeerPlan, PeerStep, ReadPace};
use crate::engine::sim::{
    Changes, EventQueue, ListenerId, Network, RECEIVE_WINDOW, Random, SocketId, SocketRead, Windows,
};
use crate::engine::{Errno, Nanos};
use std::collections::BTreeMap;
use std::rc::Rc;

/// All peers, with their events.
#[derive(Debug)]
pub(super) struct Crowd {
    pub(super) peers: Vec<PeerState>,
    by_socket: BTreeMap<SocketId, u32>,
    /// The listeners, in the order in which plans count them.
    listeners: Vec<ListenerId>,
    /// The pages that responses are compared with, of the same length; those to one connection
    /// have the same page.
    pages: Vec<Rc<[u8]>>,
    events: EventQueue<PeerEvent>,
    random: Random,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PeerEvent {
    /// The peer with this number goes on with its steps.
    Act(u32),
    /// The peer with this number receives.
    Read(u32),
}

impl Crowd {
    pub(super) fn new(listeners: Vec<ListenerId>, page: Vec<u8>, random: Random) -> Self {
        Self {
            peers: Vec::new(),
            by_socket: BTreeMap::new(),
            listeners,
            pages: vec![Rc::from(page)],
            events: EventQueue::default(),
            random,
        }
    }

    /// Adds a page that responses may have from now on.
    pub(super) fn add_page(&mut self, page: Vec<u8>) {
        self.pages.push(Rc::from(page));
    }

    /// Adds a peer, which connects at the time in its plan.
    pub(super) fn add(&mut self, plan: PeerPlan) {
        let number = u32::try_from(self.peers.len()).expect("few peers");
        self.events.schedule(Nanos(plan.start_ns), PeerEvent::Act(number));
        self.peers.push(PeerState::new(plan));
    }

    /// Whether the connection of every peer has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.peers.iter().all(|peer| peer.end.is_some())
    }

    /// The numbers of the peers whose connections have not ended.
    pub(super) fn unfinished(&self) -> Vec<usize> {
        let peers = self.peers.iter().enumerate();
        peers.filter(|(_, peer)| peer.end.is_none()).map(|(number, _)| number).collect()
    }

    /// Checks that no peer has received a wrong byte.
    ///
    /// # Errors
    /// The first peer's error.
    pub(super) fn check(&self) -> Result<(), String> {
        for (number, peer) in self.peers.iter().enumerate() {
            if let Some(error) = &peer.error {
                return Err(format!("peer {number}: {error}"));
            }
        }
        Ok(())
    }

    /// The time of the next event.
    pub(super) fn next_event_at(&self) -> Option<Nanos> {
        self.events.next_at()
    }

    /// Lets the next event happen, if its time has come.
    pub(super) fn run_next(&mut self, now: Nanos, network: &mut Network) {
        match self.events.take_due(now) {
            Some(PeerEvent::Act(number)) => self.act(number, now, network),
            Some(PeerEvent::Read(number)) => self.read(number, now, network),
            None => {}
        }
    }

    /// Schedules what peers do about changes on their connections.
    pub(super) fn notify(&mut self, changes: &Changes, now: Nanos, network: &Network) {
        for &socket in &changes.sockets {
            if let Some(&number) = self.by_socket.get(&socket) {
                self.notify_peer(number, socket, now, network);
            }
        }
    }

    fn notify_peer(&mut self, number: u32, socket: SocketId, now: Nanos, network: &Network) {
        self.schedule_read(number, socket, now, network);
        let peer = &mut self.peers[number as usize];
        if peer.end.is_some() {
            return;
        }
        let sends = matches!(peer.plan.steps.get(peer.step), Some(PeerStep::Send(_)));
        if sends && network.takes_bytes(socket) {
            self.events.schedule(Nanos(now.0 + 1), PeerEvent::Act(number));
        }
    }

    /// Has a peer receive soon, if there is anything to receive and its pace permits that.
    fn schedule_read(&mut self, number: u32, socket: SocketId, now: Nanos, network: &Network) {
        let peer = &mut self.peers[number as usize];
        let delay = match peer.plan.pace {
            ReadPace::Eager => Some(self.random.below(200_000)),
            ReadPace::Slow { every_ns, .. } => Some(every_ns),
            ReadPace::BetweenSends => match peer.plan.steps.get(peer.step) {
                Some(PeerStep::Send(_) | PeerStep::Pause(_)) => None,
                _ => Some(self.random.below(200_000)),
            },
            // Such a peer still notices the end of its connection.
            ReadPace::Never => network.is_over(socket).then_some(0),
        };
        if let Some(delay) = delay
            && peer.end.is_none()
            && network.is_readable(socket)
            && !std::mem::replace(&mut peer.read_is_scheduled, true)
        {
            self.events.schedule(Nanos(now.0 + delay), PeerEvent::Read(number));
        }
    }

    /// Takes the steps of a peer as far as possible.
    fn act(&mut self, number: u32, now: Nanos, network: &mut Network) {
        let peer = &mut self.peers[number as usize];
        if peer.socket.is_none() {
            let windows = Windows { connecting: peer.plan.window, accepted: RECEIVE_WINDOW };
            let socket = network.connect(self.listeners[peer.plan.listener as usize], windows);
            peer.socket = Some(socket);
            self.by_socket.insert(socket, number);
        }
        while self.peers[number as usize].end.is_none() && self.take_step(number, now, network) {}
        let peer = &self.peers[number as usize];
        if let (ReadPace::BetweenSends, Some(socket)) = (peer.plan.pace, peer.socket) {
            self.schedule_read(number, socket, now, network);
        }
    }

    /// Takes one step; returns whether the next one may follow at once.
    fn take_step(&mut self, number: u32, now: Nanos, network: &mut Network) -> bool {
        let peer = &mut self.peers[number as usize];
        let socket = peer.socket.expect("it has connected");
        let step = peer.plan.steps.get(peer.step).copied().unwrap_or(PeerStep::Close);
        match step {
            PeerStep::Pause(nanos) => match peer.paused_until {
                Some(until) if until > now => return false,
                Some(_) => peer.paused_until = None,
                None => {
                    let until = Nanos(now.0 + nanos);
                    peer.paused_until = Some(until);
                    self.events.schedule(until, PeerEvent::Act(number));
                    return false;
                }
            },
            PeerStep::Send(end) if peer.sent < end => {
                let bytes = &peer.plan.bytes[peer.sent..end];
                let count = match network.send(socket, bytes, usize::MAX) {
                    Ok(count) => count,
                    Err(Errno(libc::EAGAIN)) => 0,
                    // On a broken connection, the steps go on as if the bytes were sent.
                    Err(_) => bytes.len(),
                };
                peer.note_sent(count, now);
                return count > 0;
            }
            PeerStep::AwaitResponses(count)
                if peer.responses.len() < count && !peer.has_last_response() =>
            {
                return false;
            }
            PeerStep::Send(_) | PeerStep::AwaitResponses(_) => {}
            PeerStep::Finish => network.finish(socket),
            PeerStep::Reset => {
                peer.end = Some((ConnectionEnd::Peer, now));
                network.reset(socket);
                return false;
            }
            PeerStep::AwaitEnd => return false,
            PeerStep::Close => {
                peer.end = Some((ConnectionEnd::Peer, now));
                network.close(socket);
                return false;
            }
        }
        peer.step += 1;
        true
    }

    /// Receives once for a peer, and takes the steps that were waiting for it.
    fn read(&mut self, number: u32, now: Nanos, network: &mut Network) {
        let peer = &mut self.peers[number as usize];
        peer.read_is_scheduled = false;
        if peer.end.is_some() {
            return;
        }
        let socket = peer.socket.expect("it has connected");
        let max = match peer.plan.pace {
            ReadPace::Eager | ReadPace::BetweenSends => usize::MAX,
            ReadPace::Slow { bytes, .. } => bytes,
            ReadPace::Never => 4096,
        };
        match network.receive(socket, max) {
            SocketRead::Bytes(bytes) => peer.take_bytes(&bytes, &self.pages, now),
            SocketRead::Nothing => {}
            SocketRead::End => {
                peer.end = Some((ConnectionEnd::Server, now));
                network.close(socket);
            }
            SocketRead::Reset => peer.end = Some((ConnectionEnd::Reset, now)),
        }
        self.act(number, now, network);
    }
}
