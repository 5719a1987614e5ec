//! A connection: its socket, what is known of its readiness, and the operations that wait for it.

use crate::engine::{Completion, Errno, Slot, Token};
use crate::error::errno_of;
use crate::os::net::OwnedSocket;
use crate::peer_address::PeerAddress;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::net::sockopt;
use std::os::fd::OwnedFd;

/// The connection in a slot.
pub(super) struct EpollConnection {
    pub(super) socket: OwnedSocket,
    /// The address of its peer, if the engine takes note of addresses.
    pub(super) peer: PeerAddress,
    registered: Registered,
    /// A receive may find bytes, the end or an error: an edge is reported once, so this is
    /// remembered until a receive has taken everything.
    pub(super) readable: bool,
    /// The peer has ended or reset the connection. That is reported once, perhaps together with
    /// bytes, so there is something to receive until the end has been received.
    pub(super) ended: bool,
    /// A send may find room.
    pub(super) writable: bool,
    pub(super) receive: Option<PendingReceive>,
    /// [`crate::engine::Op::Writable`].
    pub(super) awaits_room: Option<Token>,
    /// [`crate::engine::Op::Connect`].
    pub(super) connect: Option<Token>,
    /// The wake-up in which it received last.
    pub(super) received_in: u64,
    pub(super) in_list: InList,
}

/// The list of the engine that contains a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InList {
    Nowhere,
    /// Those that may receive.
    Ready,
    /// Those that have to be registered in order to learn when they may receive.
    ToRegister,
}

/// The events that are reported of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Registered {
    Nothing,
    Receiving,
    /// Also that it is writable, since its buffer was full once.
    Everything,
}

/// A receive that has not completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PendingReceive {
    pub(super) token: Token,
    pub(super) form: ReceiveForm,
}

/// The operation that a receive belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReceiveForm {
    Once,
    Many,
    Discard(u32),
}

impl EpollConnection {
    /// A connection that was accepted from this peer.
    pub(super) fn accepted(socket: OwnedSocket, peer: PeerAddress) -> Self {
        Self { peer, ..Self::new(socket) }
    }

    /// A connection of which nothing is known, so both directions are tried.
    pub(super) fn new(socket: OwnedSocket) -> Self {
        Self {
            socket,
            peer: PeerAddress::Unknown,
            registered: Registered::Nothing,
            readable: true,
            ended: false,
            writable: true,
            receive: None,
            awaits_room: None,
            connect: None,
            received_in: 0,
            in_list: InList::Nowhere,
        }
    }

    /// A socket whose connection is being established.
    pub(super) fn connecting(socket: OwnedSocket, token: Token) -> Self {
        let connect = Some(token);
        Self { readable: false, writable: false, connect, ..Self::new(socket) }
    }

    pub(super) fn is_registered(&self) -> bool {
        self.registered != Registered::Nothing
    }

    /// Has the kernel report bytes, the end and errors.
    pub(super) fn register(&mut self, epoll: &OwnedFd, slot: Slot) -> Result<(), Errno> {
        if !self.is_registered() {
            epoll::add(epoll, &self.socket, data_of(slot), RECEIVING).map_err(errno)?;
            self.registered = Registered::Receiving;
        }
        Ok(())
    }

    /// Has the kernel also report that the socket is writable. It reports the present state, too,
    /// so no edge is missed.
    pub(super) fn register_all(&mut self, epoll: &OwnedFd, slot: Slot) -> Result<(), Errno> {
        let flags = RECEIVING | EventFlags::OUT;
        match self.registered {
            Registered::Nothing => epoll::add(epoll, &self.socket, data_of(slot), flags),
            Registered::Receiving => epoll::modify(epoll, &self.socket, data_of(slot), flags),
            Registered::Everything => Ok(()),
        }
        .map_err(errno)?;
        self.registered = Registered::Everything;
        Ok(())
    }

    /// Takes note of a report. Returns the completion of a connect or of a wait for room.
    pub(super) fn report(&mut self, flags: EventFlags) -> Option<Completion> {
        let failed = flags.intersects(EventFlags::ERR | EventFlags::HUP);
        self.ended |= failed || flags.contains(EventFlags::RDHUP);
        self.readable |= self.ended || flags.contains(EventFlags::IN);
        if !failed && !flags.contains(EventFlags::OUT) {
            return None;
        }
        self.writable = true;
        if let Some(token) = self.connect.take() {
            let outcome = match sockopt::socket_error(&self.socket) {
                Ok(Ok(())) => Ok(0),
                Ok(Err(error)) | Err(error) => Err(errno(error)),
            };
            return Some(completion(token, outcome));
        }
        let token = self.awaits_room.take()?;
        Some(completion(token, Ok(0)))
    }
}

/// The only completion of an operation without a buffer.
pub(super) fn completion(token: Token, result: Result<u32, Errno>) -> Completion {
    Completion { token, result, more: false, buffer: None }
}

pub(super) fn errno(error: rustix::io::Errno) -> Errno {
    Errno(error.raw_os_error())
}

/// The errno of an error of the standard library.
pub(super) fn errno_of_io(error: &std::io::Error) -> Errno {
    Errno(errno_of(error))
}

fn data_of(slot: Slot) -> EventData {
    EventData::new_u64(u64::from(slot.0))
}

const RECEIVING: EventFlags = EventFlags::IN.union(EventFlags::RDHUP).union(EventFlags::ET);
