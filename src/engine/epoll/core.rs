//! The engine: operations in, readiness from the kernel, completions out.

use super::connection::{EpollConnection, ReceiveForm, completion, errno, errno_of_io};
use super::listeners::AcceptOps;
use super::pool::ReceivePool;
use crate::engine::kernel::Restriction;
use crate::engine::kernel::clock::EngineClock;
use crate::engine::kernel::dial::Dial;
use crate::engine::{
    BufferId, Completion, Engine, Errno, Full, Kind, Memory, Nanos, Op, Received, Slot, Token,
};
use crate::os::net::{Listener, OwnedSocket, PeerPlace, accept_with_peer};
use crate::os::pages::Pages;
use crate::os::signal::Signals;
use crate::peer_address::PeerAddress;
use rustix::event::Timespec;
use rustix::event::epoll::{self, Event, EventFlags};
use rustix::net::{Shutdown, SocketFlags};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// The next thing to be popped.
pub(super) enum EpollOutcome {
    Done(Completion),
    /// A connection was reported on the listener with this index.
    Reported(usize),
}

/// An epoll instance, and the operations that wait for its reports.
pub struct Epoll {
    pub(super) instance: OwnedFd,
    pub(super) connections: Box<[Option<EpollConnection>]>,
    pub(super) listeners: Vec<Listener>,
    /// The operations on each listener.
    pub(super) queues: Vec<AcceptOps>,
    pub(super) dial: Option<Dial>,
    pub(super) signals: Option<Signals>,
    pub(super) signal: Option<Token>,
    pub(super) fixed: Pages,
    pub(super) pool: ReceivePool,
    /// Where accept4(2) writes the address of a peer, if addresses are wanted. It stays where it
    /// is: the sandbox's filter compares its address.
    pub(super) peer_place: Option<Box<PeerPlace>>,
    /// Where [`Op::Discard`] has bytes copied to, if the socket can't discard them.
    pub(super) discarded: Box<[u8]>,
    /// Closed with the process, about when its connections are.
    pub(super) _held: Option<OwnedFd>,
    pub(super) outcomes: VecDeque<EpollOutcome>,
    /// Whether a completion among them must not wait for a report.
    pub(super) is_urgent: bool,
    /// Connections that may receive now.
    pub(super) ready: VecDeque<Slot>,
    /// Connections that may receive after the next wake-up, having received since the last one.
    pub(super) ready_later: VecDeque<Slot>,
    pub(super) to_register: Vec<Slot>,
    pub(super) events: Vec<Event>,
    /// The number of wake-ups.
    pub(super) wake_ups: u64,
    /// Whether the last wait may have slept, so that a connection may have woken this worker.
    pub(super) may_have_slept: bool,
    pub(super) clock: EngineClock,
    pub(super) restriction: Restriction,
}

impl Engine for Epoll {
    fn push(&mut self, token: Token, op: Op) -> Result<(), Full> {
        match op {
            Op::Accept { listener, slot } => {
                self.queues[listener as usize].push(token, slot);
            }
            Op::Watch { listener } => self.queues[listener as usize].watch = Some(token),
            Op::Connect { slot, source } => self.connect(token, slot, source),
            Op::Recv { slot } => self.receive(slot, token, ReceiveForm::Once),
            Op::RecvMany { slot } => self.receive(slot, token, ReceiveForm::Many),
            Op::Discard { slot, len } => self.receive(slot, token, ReceiveForm::Discard(len)),
            Op::Send { slot, payload, more, lazy } => {
                let result = self.send(slot, payload, more);
                let is_complete = result.is_ok_and(|sent| u64::from(sent) == payload.len());
                self.is_urgent |= !(lazy && is_complete);
                self.outcomes.push_back(EpollOutcome::Done(completion(token, result)));
            }
            Op::SendClose { slot, spans } => match self.send(slot, spans.into(), false) {
                Ok(sent) if u64::from(sent) == spans.len() => {
                    self.connections[slot.0 as usize] = None;
                    self.complete(token.with_kind(Kind::Close), Ok(0));
                }
                result => self.complete(token, result),
            },
            Op::Writable { slot } => self.await_room(slot, token),
            Op::Shutdown { slot } => {
                let result = self.on_socket(slot, |connection| {
                    rustix::net::shutdown(&connection.socket, Shutdown::Write)
                });
                self.complete(token, result.map(|()| 0));
            }
            Op::Cancel { target } => self.cancel(token, target),
            Op::Close { slot } => {
                self.connections[slot.0 as usize] = None;
                self.complete(token, Ok(0));
            }
            Op::Signal => self.await_signal(token),
        }
        Ok(())
    }

    fn submit_and_wait(&mut self, deadline: Option<Nanos>) -> Result<(), Errno> {
        self.register();
        for (index, queue) in self.queues.iter_mut().enumerate() {
            queue.update(&self.instance, &self.listeners[index], LISTENERS | index as u64)?;
        }
        self.try_to_accept_once();
        self.ready.append(&mut self.ready_later);
        let now = self.clock.now();
        let is_due = self.is_urgent || !self.ready.is_empty();
        let deadline = if is_due { Some(now) } else { deadline };
        self.may_have_slept = deadline.is_none_or(|deadline| deadline > now);
        self.wait(deadline)?;
        self.is_urgent = false;
        self.wake_ups += 1;
        self.clock.read();
        let mut events = std::mem::take(&mut self.events);
        for event in events.drain(..) {
            self.report(event.data.u64(), event.flags);
        }
        self.events = events;
        Ok(())
    }

    fn stop_listening(&mut self, listener: u32) -> Result<(), Full> {
        let index = listener as usize;
        // If the registration stayed, its reports would find no operation.
        let _ = self.queues[index].unregister(&self.instance, &self.listeners[index]);
        drop(self.listeners[index].take_socket().map(OwnedSocket::new));
        Ok(())
    }

    fn pop(&mut self) -> Option<Completion> {
        while let Some(outcome) = self.outcomes.pop_front() {
            let completion = match outcome {
                EpollOutcome::Done(completion) => Some(completion),
                EpollOutcome::Reported(listener) => self.try_reported(listener),
            };
            if completion.is_some() {
                return completion;
            }
        }
        while let Some(slot) = self.ready.pop_front() {
            if let Some(completion) = self.try_to_receive(slot) {
                return Some(completion);
            }
        }
        None
    }

    fn memory(&mut self, received: Option<Received>) -> Memory<'_> {
        let received = match received {
            Some(Received { buffer, len }) => self.pool.received(buffer, len),
            None => &[],
        };
        Memory { received, fixed: &mut self.fixed }
    }

    fn give_back(&mut self, buffer: BufferId) {
        self.pool.give_back(buffer);
    }

    fn peer(&self, slot: Slot) -> PeerAddress {
        let connection = self.connections[slot.0 as usize].as_ref();
        connection.map_or(PeerAddress::Unknown, |connection| connection.peer)
    }

    fn now(&self) -> Nanos {
        self.clock.now()
    }

    fn read_clock(&self) -> Nanos {
        self.clock.elapsed()
    }

    fn unix_seconds(&self) -> u64 {
        self.clock.unix_seconds()
    }
}

impl Epoll {
    /// Queues the only completion of an operation, for the next wake-up.
    pub(super) fn complete(&mut self, token: Token, result: Result<u32, Errno>) {
        self.outcomes.push_back(EpollOutcome::Done(completion(token, result)));
        self.is_urgent = true;
    }

    /// Makes a system call on the socket of a slot.
    pub(super) fn on_socket<T>(
        &mut self,
        slot: Slot,
        call: impl FnOnce(&mut EpollConnection) -> rustix::io::Result<T>,
    ) -> Result<T, Errno> {
        match &mut self.connections[slot.0 as usize] {
            Some(connection) => call(connection).map_err(errno),
            None => Err(Errno(libc::EBADF)),
        }
    }

    /// Waits for reports, which are then in `events`.
    fn wait(&mut self, deadline: Option<Nanos>) -> Result<(), Errno> {
        let left = deadline.map(|deadline| deadline.0.saturating_sub(self.clock.now().0));
        let timeout = left.map(|nanos| timeout_of(Duration::from_nanos(nanos)));
        let place = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.instance, place, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(errno(error)),
        }
    }

    /// A registered descriptor is ready.
    fn report(&mut self, data: u64, flags: EventFlags) {
        if data == SIGNALS {
            self.receive_signal();
            return;
        }
        let (is_listener, index) = (data & LISTENERS != 0, data & !LISTENERS);
        let index = u32::try_from(index).expect("the data is that of a registration");
        if is_listener {
            self.outcomes.push_back(EpollOutcome::Reported(index as usize));
        } else {
            self.report_connection(Slot(index), flags);
        }
    }

    fn report_connection(&mut self, slot: Slot, flags: EventFlags) {
        let Some(connection) = &mut self.connections[slot.0 as usize] else { return };
        let completed = connection.report(flags);
        self.outcomes.extend(completed.map(EpollOutcome::Done));
        self.note_ready(slot);
    }

    /// Completes an accept with a connection, or a watch if there is no accept, on a listener that
    /// was reported. This happens when it is popped, because a signal that was reported before may
    /// have cancelled the accepts: then the next generation of workers gets the connection.
    fn try_reported(&mut self, index: usize) -> Option<Completion> {
        let queue = &mut self.queues[index];
        if queue.accepts.is_empty() {
            return queue.watch.take().map(|token| completion(token, Ok(0)));
        }
        let (token, slot) = queue.next_accept()?;
        // None: there is no other connection, or another worker was faster.
        let result = self.accept(index, slot)?;
        let queue = &mut self.queues[index];
        queue.accepted(self.may_have_slept);
        if queue.next_accept().is_some() {
            self.outcomes.push_front(EpollOutcome::Reported(index));
        }
        Some(completion(token, result))
    }

    /// Accepts a connection into a slot, unless none is waiting.
    fn accept(&mut self, index: usize, slot: Slot) -> Option<Result<u32, Errno>> {
        let socket = self.listeners[index].socket();
        let accepted = match &mut self.peer_place {
            Some(place) => accept_with_peer(&socket, place).map_err(|error| errno_of_io(&error)),
            None => rustix::net::accept_with(socket, ACCEPTED)
                .map(|socket| (OwnedSocket::new(socket), PeerAddress::Unknown))
                .map_err(errno),
        };
        match accepted {
            Err(Errno(libc::EAGAIN | libc::EINTR)) => None,
            Ok((socket, peer)) => {
                let connection = EpollConnection::accepted(socket, peer);
                self.connections[slot.0 as usize] = Some(connection);
                Some(Ok(0))
            }
            Err(errno) => Some(Err(errno)),
        }
    }

    /// Tries the accepts that were pushed together with their cancellation.
    fn try_to_accept_once(&mut self) {
        for index in 0..self.queues.len() {
            while let Some((token, slot)) = self.queues[index].attempts.pop_front() {
                let result = self.accept(index, slot).unwrap_or(Err(Errno(libc::ECANCELED)));
                self.complete(token, result);
            }
        }
    }
}

/// A timeout for `epoll_pwait(2)`, which counts milliseconds in 31 bits.
fn timeout_of(time: Duration) -> Timespec {
    let millis = u32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX);
    let millis = i64::from(millis.min(i32::MAX.unsigned_abs()));
    Timespec { tv_sec: millis / 1000, tv_nsec: millis % 1000 * 1_000_000 }
}

/// The flags of an accepted socket.
const ACCEPTED: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);
/// The data of a report, which for a connection is its slot.
pub(super) const SIGNALS: u64 = u64::MAX;
/// The data of a report about a listener, with its index.
const LISTENERS: u64 = 1 << 32;
