//! The simulated network: listening sockets with their accept queues, and connected sockets.
//!
//! ```text
//!   connect ──► accept queue ──► accept          one connection, two sockets:
//!                (of a listener, whichever       a ── bytes ──► receive queue of b
//!                 engines have its descriptor)   receive queue of a ◄── bytes ── b
//! ```
//!
//! Both sockets of a connection are alike: an engine or a simulated peer has them. A call takes no
//! time; the caller decides when it happens. Knows no operation, no engine and no HTTP.

use super::accept_queue::{AcceptQueue, AcceptWaiter};
use super::ids::{EngineNumber, ListenerId, SocketId};
use crate::engine::Errno;
use crate::peer_address::PeerAddress;
use std::collections::{BTreeSet, VecDeque};

/// All sockets of a simulation.
#[derive(Debug, Default)]
pub struct Network {
    sockets: Vec<SimSocket>,
    listeners: Vec<AcceptQueue>,
    changes: Changes,
    established: u64,
    engines: u32,
    accepted: u32,
    accepted_max: u32,
}

/// Sockets and listeners whose state changed since the last [`Network::take_changes`].
#[derive(Debug, Default)]
pub struct Changes {
    /// Both ends of each connection that changed.
    pub sockets: BTreeSet<SocketId>,
    /// Listeners with a new connection, or closed.
    pub listeners: BTreeSet<ListenerId>,
    /// The accepts that are woken, one for each new connection.
    pub(super) woken: Vec<AcceptWaiter>,
}

/// One end of a connection.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts, in any combination")]
pub struct SimSocket {
    receive_queue: VecDeque<u8>,
    /// How many bytes the receive queue holds.
    capacity: usize,
    closed: Closed,
    reset: bool,
    received: usize,
    broken_by_fault: bool,
    abandoned: bool,
    /// Nothing arrives at this socket any more.
    silent: bool,
    acceptor: Option<EngineNumber>,
}

/// Which directions a socket has closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closed {
    Neither,
    Sending,
    Both,
}

/// The capacities of the receive queues of a connection's two sockets, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    /// Of the socket that connects.
    pub connecting: usize,
    /// Of the socket that is accepted.
    pub accepted: usize,
}

/// The outcome of a receive that doesn't wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketRead {
    /// Bytes, at least one.
    Bytes(Vec<u8>),
    /// Nothing has arrived (`EAGAIN`).
    Nothing,
    /// End of stream: the other end has shut down its sending side.
    End,
    /// The connection is reset (`ECONNRESET`).
    Reset,
}

impl Network {
    /// A new listening socket with one descriptor.
    pub fn listen(&mut self) -> ListenerId {
        let id = ListenerId(u32::try_from(self.listeners.len()).expect("few listeners"));
        self.listeners.push(AcceptQueue::new());
        id
    }

    /// Adds a descriptor of a listening socket, as a fork does.
    pub fn share_listener(&mut self, listener: ListenerId) {
        self.listeners[listener.0 as usize].descriptors += 1;
    }

    /// Closes one descriptor of a listening socket. With the last one, the socket is closed, and
    /// the connections in its accept queue are reset (listen(2)).
    pub fn close_listener(&mut self, listener: ListenerId) {
        let queue = &mut self.listeners[listener.0 as usize];
        queue.descriptors = queue.descriptors.saturating_sub(1);
        if queue.descriptors == 0 {
            for id in queue.take_all() {
                self.reset(id);
            }
        }
        self.changes.listeners.insert(listener);
    }

    /// Whether the accept queue of a listener has a connection.
    #[must_use]
    pub fn has_pending(&self, listener: ListenerId) -> bool {
        self.first_pending(listener).is_some()
    }

    /// The first connection in the accept queue of a listener.
    #[must_use]
    pub fn first_pending(&self, listener: ListenerId) -> Option<SocketId> {
        self.listeners[listener.0 as usize].first()
    }

    /// Takes the first connection from the accept queue of a listener.
    pub fn accept(&mut self, listener: ListenerId) -> Option<SocketId> {
        let id = self.listeners[listener.0 as usize].take()?;
        self.touch(id);
        Some(id)
    }

    /// Takes the first connection for an engine, whose process has it until [`Network::close`].
    pub(super) fn accept_for(
        &mut self,
        engine: EngineNumber,
        listener: ListenerId,
    ) -> Option<SocketId> {
        let id = self.accept(listener)?;
        self.socket_mut(id).acceptor = Some(engine);
        self.accepted += 1;
        self.accepted_max = self.accepted_max.max(self.accepted);
        Some(id)
    }

    /// The most sockets at one time that engines had accepted and not closed.
    #[must_use]
    pub fn accepted_max(&self) -> u32 {
        self.accepted_max
    }

    /// The number of a further engine that accepts.
    pub(super) fn add_engine(&mut self) -> EngineNumber {
        self.engines += 1;
        EngineNumber(self.engines)
    }

    /// Has an accept wait for the next connection that no earlier one waits for.
    pub(super) fn wait(&mut self, listener: ListenerId, waiter: AcceptWaiter) {
        self.listeners[listener.0 as usize].wait(waiter);
    }

    /// Ends the wait of an accept.
    pub(super) fn forget(&mut self, listener: ListenerId, gone: AcceptWaiter) {
        self.listeners[listener.0 as usize].forget(|waiter| waiter == gone);
    }

    /// Ends the waits of all accepts of an engine.
    pub(super) fn forget_engine(&mut self, engine: EngineNumber) {
        for queue in &mut self.listeners {
            queue.forget(|waiter| waiter.engine == engine);
        }
    }

    /// Connects a new socket to a listener. If the listener is closed, the connection is refused,
    /// and the new socket is reset.
    pub fn connect(&mut self, listener: ListenerId, windows: Windows) -> SocketId {
        let id = self.connect_unanswered(windows);
        let queue = &mut self.listeners[listener.0 as usize];
        if queue.descriptors == 0 {
            self.reset(id);
        } else {
            self.changes.woken.extend(queue.add(id.remote()));
            self.established += 1;
        }
        self.changes.listeners.insert(listener);
        id
    }

    /// A new socket whose SYN is lost: no listener hears of it.
    pub fn connect_unanswered(&mut self, windows: Windows) -> SocketId {
        let id = SocketId(u32::try_from(self.sockets.len()).expect("few sockets"));
        self.sockets.push(SimSocket::new(windows.connecting));
        self.sockets.push(SimSocket::new(windows.accepted));
        self.touch(id);
        id
    }

    /// How many connections have come into an accept queue.
    #[must_use]
    pub fn established(&self) -> u64 {
        self.established
    }

    /// The state of a socket.
    #[must_use]
    pub fn socket(&self, id: SocketId) -> &SimSocket {
        &self.sockets[id.0 as usize]
    }

    /// The address of the socket at the other end of a connection: each connecting socket has one
    /// of its own, of one family after the other. Unix sockets have no name.
    #[must_use]
    pub fn peer(&self, id: SocketId) -> PeerAddress {
        let number = id.0 / 2;
        let [_, high, middle, low] = number.to_be_bytes();
        let port = u16::from_be_bytes([middle, low]);
        match number % 3 {
            0 => PeerAddress::ip([10, high, middle, low].into(), port),
            1 => {
                let [a, b] = [u16::from(high), u16::from_be_bytes([middle, low])];
                PeerAddress::ip([0x2001, 0xdb8, 0, 0, 0, 0, a, b].into(), port)
            }
            _ => PeerAddress::Unix,
        }
    }

    /// The sockets and listeners that changed since the last call.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Sends up to `max` bytes without waiting.
    ///
    /// # Errors
    /// `EAGAIN` without room, `EPIPE` after [`Network::finish`], `ECONNRESET` after a reset.
    pub fn send(&mut self, id: SocketId, bytes: &[u8], max: usize) -> Result<usize, Errno> {
        if self.socket(id).reset {
            return Err(Errno(libc::ECONNRESET));
        }
        if self.socket(id).closed != Closed::Neither {
            return Err(Errno(libc::EPIPE));
        }
        if self.socket(id.remote()).closed == Closed::Both {
            // The first send to a closed socket is taken. The answer is a reset, which also
            // destroys unread bytes (RFC 9112, section 9.6).
            self.reset(id);
            return Ok(bytes.len().min(max));
        }
        let count = self.room(id).min(bytes.len()).min(max);
        if count == 0 && !bytes.is_empty() {
            return Err(Errno(libc::EAGAIN));
        }
        self.touch(id);
        self.socket_mut(id.remote()).receive_queue.extend(&bytes[..count]);
        Ok(count)
    }

    /// Receives up to `max` bytes without waiting.
    pub fn receive(&mut self, id: SocketId, max: usize) -> SocketRead {
        let socket = self.socket(id);
        if socket.silent {
            return SocketRead::Nothing;
        }
        if !socket.receive_queue.is_empty() {
            let count = max.min(socket.receive_queue.len());
            self.touch(id);
            let socket = self.socket_mut(id);
            socket.received += count;
            return SocketRead::Bytes(socket.receive_queue.drain(..count).collect());
        }
        match (socket.reset, self.socket(id.remote()).closed) {
            (true, _) => SocketRead::Reset,
            (false, Closed::Neither) => SocketRead::Nothing,
            (false, Closed::Sending | Closed::Both) => SocketRead::End,
        }
    }

    /// How many bytes a send would take.
    #[must_use]
    pub fn room(&self, id: SocketId) -> usize {
        let remote = self.socket(id.remote());
        remote.capacity.saturating_sub(remote.receive_queue.len())
    }

    /// Whether a receive would return something other than [`SocketRead::Nothing`].
    #[must_use]
    pub fn is_readable(&self, id: SocketId) -> bool {
        let socket = self.socket(id);
        let has_end = socket.reset || self.socket(id.remote()).closed != Closed::Neither;
        !socket.silent && (has_end || !socket.receive_queue.is_empty())
    }

    /// What was sent to a silent socket arrives.
    pub fn hear(&mut self, id: SocketId) {
        self.socket_mut(id).silent = false;
        self.touch(id);
    }

    /// From now on, nothing arrives at a socket.
    pub fn silence(&mut self, id: SocketId) {
        self.socket_mut(id).silent = true;
    }

    /// Whether a poll for `POLLOUT` would complete: with a third of the queue free, as in Linux
    /// (`sk_stream_is_writeable`), or after a failure.
    #[must_use]
    pub fn is_writable(&self, id: SocketId) -> bool {
        let remote = self.socket(id.remote());
        self.socket(id).reset
            || remote.closed == Closed::Both
            || self.room(id) * 3 >= remote.capacity
    }

    /// Whether a send would return something other than `EAGAIN`.
    #[must_use]
    pub fn takes_bytes(&self, id: SocketId) -> bool {
        self.socket(id).reset
            || self.socket(id.remote()).closed == Closed::Both
            || self.room(id) > 0
    }

    /// Whether the other end has closed, or the connection is reset.
    #[must_use]
    pub fn is_over(&self, id: SocketId) -> bool {
        self.socket(id).reset || self.socket(id.remote()).closed == Closed::Both
    }

    /// Shuts down the sending side (shutdown(2) with `SHUT_WR`).
    pub fn finish(&mut self, id: SocketId) {
        self.touch(id);
        let socket = self.socket_mut(id);
        if socket.closed == Closed::Neither {
            socket.closed = Closed::Sending;
        }
    }

    /// Closes a socket; with unread bytes, that resets the connection (RFC 1122, 4.2.2.13).
    pub fn close(&mut self, id: SocketId) {
        self.touch(id);
        let socket = self.socket_mut(id);
        let is_first = std::mem::replace(&mut socket.closed, Closed::Both) != Closed::Both;
        let was_accepted = is_first && socket.acceptor.is_some();
        if !socket.receive_queue.is_empty() {
            self.reset(id);
        }
        self.accepted -= u32::from(was_accepted);
    }

    /// Resets a connection; unread bytes of both directions are lost.
    pub fn reset(&mut self, id: SocketId) {
        self.touch(id);
        for end in [id, id.remote()] {
            let socket = self.socket_mut(end);
            socket.reset = true;
            socket.receive_queue.clear();
        }
    }

    /// Resets a connection because of a fault: neither end is to blame.
    pub fn break_connection(&mut self, id: SocketId) {
        self.reset(id);
        for end in [id, id.remote()] {
            self.socket_mut(end).broken_by_fault = true;
        }
    }

    /// Notes that the process which has a socket has ended: the other end is not to blame for what
    /// it misses.
    pub(super) fn note_orphaned(&mut self, id: SocketId) {
        self.socket_mut(id).broken_by_fault = true;
    }

    /// Notes that a socket is about to be closed while its unread bytes wait for a receive buffer.
    pub(super) fn note_abandoned(&mut self, id: SocketId) {
        let socket = self.socket_mut(id);
        socket.abandoned = !socket.receive_queue.is_empty();
    }

    fn socket_mut(&mut self, id: SocketId) -> &mut SimSocket {
        &mut self.sockets[id.0 as usize]
    }

    fn touch(&mut self, id: SocketId) {
        self.changes.sockets.extend([id, id.remote()]);
    }
}

impl SimSocket {
    fn new(capacity: usize) -> Self {
        Self {
            receive_queue: VecDeque::new(),
            capacity,
            closed: Closed::Neither,
            reset: false,
            received: 0,
            broken_by_fault: false,
            abandoned: false,
            silent: false,
            acceptor: None,
        }
    }

    /// The engine that accepted the connection.
    #[must_use]
    pub fn acceptor(&self) -> Option<EngineNumber> {
        self.acceptor
    }

    /// Whether the connection is reset.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        self.reset
    }

    /// How many bytes have been received from this socket.
    #[must_use]
    pub fn received(&self) -> usize {
        self.received
    }

    /// How many bytes have arrived and were not received.
    #[must_use]
    pub fn unread(&self) -> usize {
        self.receive_queue.len()
    }

    /// Whether a fault reset the connection, or ended the process that had it.
    #[must_use]
    pub fn is_broken_by_fault(&self) -> bool {
        self.broken_by_fault
    }

    /// Whether an engine closed it while bytes had arrived, a receive had failed for want of a
    /// buffer, and none was armed again.
    #[must_use]
    pub fn was_abandoned(&self) -> bool {
        self.abandoned
    }
}

/// The capacity of the receive queue of an accepted socket, in bytes.
pub const RECEIVE_WINDOW: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: Windows = Windows { connecting: 10, accepted: 10 };

    #[test]
    fn accept_queue_outlives_all_descriptors_but_the_last() {
        let mut network = Network::default();
        let listener = network.listen();
        network.share_listener(listener);
        network.close_listener(listener);
        let first = network.connect(listener, WINDOWS);
        assert_eq!(network.accept(listener), Some(first.remote()));
        let queued = network.connect(listener, WINDOWS);
        network.close_listener(listener);
        assert!(network.socket(queued).is_reset() && !network.socket(first).is_reset());
        let late = network.connect(listener, WINDOWS);
        assert!(network.socket(late).is_reset());
    }

    #[test]
    fn close_with_unread_bytes_resets() {
        let mut network = Network::default();
        let listener = network.listen();
        let client = network.connect(listener, WINDOWS);
        assert_eq!(network.send(client, &[1; 12], usize::MAX), Ok(10));
        assert_eq!(network.send(client, b"x", usize::MAX), Err(Errno(libc::EAGAIN)));
        assert_eq!(network.receive(client.remote(), 9), SocketRead::Bytes(vec![1; 9]));
        network.close(client.remote());
        assert_eq!(network.receive(client, 1), SocketRead::Reset);
    }
}
