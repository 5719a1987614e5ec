//! The engine: operations in, readiness from the kernel, completions out.

use super::connection::{
    EpollConnection, InList, PendingReceive, ReceiveForm, completion, errno, errno_of_io,
};
use super::listeners::AcceptOps;
use super::pool::ReceivePool;
use crate::bytes::Spans;
use crate::engine::kernel::Restriction;
use crate::engine::kernel::clock::EngineClock;
use crate::engine::kernel::dial::Dial;
use crate::engine::{
    BufferId, Completion, Engine, Errno, Full, Kind, Memory, Nanos, Op, Received, Slot, Token,
};
use crate::os::net::{Listener, OwnedSocket};
use crate::os::pages::Pages;
use crate::os::signal::Signals;
use rustix::event::Timespec;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::fs::OFlags;
use rustix::net::{RecvFlags, SendFlags, Shutdown, SocketFlags};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::time::Duration;

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
    /// Where [`Op::Discard`] has bytes copied to, if the socket can't discard them.
    pub(super) discarded: Box<[u8]>,
    /// Closed with the process, about when its connections are.
    pub(super) _held: Option<OwnedFd>,
    pub(super) completions: VecDeque<Completion>,
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
    pub(super) clock: EngineClock,
    pub(super) restriction: Restriction,
}

impl Engine for Epoll {
    fn push(&mut self, token: Token, op: Op) -> Result<(), Full> {
        match op {
            Op::Accept { listener, slot } => {
                self.queues[listener as usize].accepts.push_back((token, slot));
            }
            Op::Watch { listener } => self.queues[listener as usize].watch = Some(token),
            Op::Connect { slot, source } => self.connect(token, slot, source),
            Op::Recv { slot } => self.receive(slot, token, ReceiveForm::Once),
            Op::RecvMany { slot } => self.receive(slot, token, ReceiveForm::Many),
            Op::Discard { slot, len } => self.receive(slot, token, ReceiveForm::Discard(len)),
            Op::Send { slot, spans, more, lazy } => {
                let result = self.send(slot, spans, more);
                let is_complete = result.is_ok_and(|sent| u64::from(sent) == spans.len());
                self.is_urgent |= !(lazy && is_complete);
                self.completions.push_back(completion(token, result));
            }
            Op::SendClose { slot, spans } => match self.send(slot, spans, false) {
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
        self.ready.append(&mut self.ready_later);
        let is_due = self.is_urgent || !self.ready.is_empty();
        self.wait(if is_due { Some(self.clock.now()) } else { deadline })?;
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
        if let Some(completion) = self.completions.pop_front() {
            return Some(completion);
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

    fn now(&self) -> Nanos {
        self.clock.now()
    }

    fn unix_seconds(&self) -> u64 {
        self.clock.unix_seconds()
    }
}

impl Epoll {
    /// Queues the only completion of an operation, for the next wake-up.
    fn complete(&mut self, token: Token, result: Result<u32, Errno>) {
        self.completions.push_back(completion(token, result));
        self.is_urgent = true;
    }

    /// Makes a system call on the socket of a slot.
    fn on_socket<T>(
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
            self.accept_from(index as usize);
        } else {
            self.report_connection(Slot(index), flags);
        }
    }

    fn report_connection(&mut self, slot: Slot, flags: EventFlags) {
        let Some(connection) = &mut self.connections[slot.0 as usize] else { return };
        let completed = connection.report(flags);
        self.completions.extend(completed);
        self.note_ready(slot);
    }

    // Listeners.

    /// Completes accepts, each with a connection, and the watch if there is no accept.
    fn accept_from(&mut self, index: usize) {
        let (listener, queue) = (&self.listeners[index], &mut self.queues[index]);
        if queue.accepts.is_empty()
            && let Some(token) = queue.watch.take()
        {
            self.completions.push_back(completion(token, Ok(0)));
        }
        while let Some(&(token, slot)) = queue.accepts.front() {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let result = match rustix::net::accept_with(listener.socket(), flags) {
                // There is no other connection, or another worker was faster.
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return,
                Ok(socket) => {
                    self.connections[slot.0 as usize] =
                        Some(EpollConnection::new(OwnedSocket::new(socket)));
                    Ok(0)
                }
                Err(error) => Err(errno(error)),
            };
            queue.accepts.pop_front();
            queue.count();
            self.completions.push_back(completion(token, result));
        }
    }

    // Receiving.

    fn receive(&mut self, slot: Slot, token: Token, form: ReceiveForm) {
        let Some(connection) = &mut self.connections[slot.0 as usize] else {
            return self.complete(token, Err(Errno(libc::EBADF)));
        };
        connection.receive = Some(PendingReceive { token, form });
        self.note_ready(slot);
    }

    /// Queues a connection that may receive, or that has to be registered in order to learn when.
    /// One that has received since the last wake-up waits for the next one, so that a peer that
    /// sends without a pause doesn't keep the others waiting.
    fn note_ready(&mut self, slot: Slot) {
        let Some(connection) = &mut self.connections[slot.0 as usize] else { return };
        if connection.receive.is_none() || connection.in_list != InList::Nowhere {
            return;
        }
        if connection.readable {
            let is_first = connection.received_in != self.wake_ups;
            let queue = if is_first { &mut self.ready } else { &mut self.ready_later };
            queue.push_back(slot);
            connection.in_list = InList::Ready;
        } else if !connection.is_registered() {
            self.to_register.push(slot);
            connection.in_list = InList::ToRegister;
        }
    }

    /// Receives once, if the connection still is to receive. The bytes go to a buffer that is
    /// taken now, after earlier ones have come back.
    fn try_to_receive(&mut self, slot: Slot) -> Option<Completion> {
        let connection = self.connections[slot.0 as usize].as_mut()?;
        connection.in_list = InList::Nowhere;
        let PendingReceive { token, form } = connection.receive?;
        if !connection.readable {
            return None;
        }
        connection.received_in = self.wake_ups;
        let (outcome, capacity, lent) = match form {
            ReceiveForm::Discard(len) => {
                let place = &mut self.discarded[..];
                let len = place.len().min(len as usize);
                let flags = RecvFlags::TRUNC;
                let received = rustix::net::recv(&connection.socket, &mut place[..len], flags);
                (received.map(|(_, count)| count), len, None)
            }
            ReceiveForm::Once | ReceiveForm::Many => {
                let Some((id, place)) = self.pool.next() else {
                    connection.receive = None;
                    return Some(completion(token, Err(Errno(libc::ENOBUFS))));
                };
                let capacity = place.len();
                let received = rustix::net::recv(&connection.socket, place, RecvFlags::empty());
                (received.map(|(_, count)| count), capacity, Some(id))
            }
        };
        let received = match outcome {
            // Nothing has arrived since the last receive.
            Err(rustix::io::Errno::AGAIN) => {
                connection.readable = false;
                self.note_ready(slot);
                return None;
            }
            Ok(count) => Ok(count),
            Err(error) => Err(errno(error)),
        };
        let count = received.unwrap_or(0);
        // Fewer bytes than asked for: the socket is empty (epoll(7)), unless its end is to come.
        connection.readable = count == capacity || connection.ended;
        let more = form == ReceiveForm::Many && count > 0;
        if !more {
            connection.receive = None;
        }
        let buffer = lent.filter(|_| count > 0);
        if let Some(id) = buffer {
            self.pool.lend(id);
        }
        self.note_ready(slot);
        let result = received.map(|count| u32::try_from(count).expect("a buffer is smaller"));
        Some(Completion { token, result, more, buffer })
    }

    /// Registers the connections whose first receive has to wait.
    fn register(&mut self) {
        while let Some(slot) = self.to_register.pop() {
            let Some(connection) = &mut self.connections[slot.0 as usize] else { continue };
            connection.in_list = InList::Nowhere;
            if connection.receive.is_none() {
                continue;
            }
            if let Err(error) = connection.register(&self.instance, slot)
                && let Some(PendingReceive { token, .. }) = connection.receive.take()
            {
                self.complete(token, Err(error));
            }
        }
    }

    // Sending.

    /// Sends as much as the socket takes without waiting. A plain writev(2) unless more follows:
    /// the kernel remembers that the sandbox permits it whatever its arguments (seccomp(2), since
    /// Linux 5.11), and it can't pass descriptors.
    fn send(&mut self, slot: Slot, spans: Spans, more: bool) -> Result<u32, Errno> {
        let (first, then) = (&self.fixed[spans.first.range()], &self.fixed[spans.then.range()]);
        let connection = self.connections[slot.0 as usize].as_mut().ok_or(Errno(libc::EBADF))?;
        let socket = &connection.socket;
        let sent = match (first, then, more) {
            (one, [], false) | ([], one, false) => rustix::io::writev(socket, &[IoSlice::new(one)]),
            (first, then, false) => {
                rustix::io::writev(socket, &[IoSlice::new(first), IoSlice::new(then)])
            }
            (one, [], true) | ([], one, true) => rustix::net::send(socket, one, MORE),
            (first, then, true) => match rustix::net::send(socket, first, MORE) {
                Ok(count) if count == first.len() => {
                    let then = rustix::net::send(socket, then, MORE);
                    Ok(count + then.unwrap_or(0))
                }
                short => short,
            },
        };
        connection.writable = match sent {
            Ok(count) => count as u64 == spans.len(),
            // After another error there is nothing to wait for.
            Err(error) => error != rustix::io::Errno::AGAIN,
        };
        let count = sent.map_err(errno)?;
        Ok(u32::try_from(count).expect("a send has less than 4 GiB"))
    }

    fn await_room(&mut self, slot: Slot, token: Token) {
        let Some(connection) = &mut self.connections[slot.0 as usize] else {
            return self.complete(token, Err(Errno(libc::EBADF)));
        };
        if connection.writable {
            return self.complete(token, Ok(0));
        }
        connection.awaits_room = Some(token);
        if let Err(error) = connection.register_all(&self.instance, slot) {
            connection.awaits_room = None;
            self.complete(token, Err(error));
        }
    }

    // Connecting.

    fn connect(&mut self, token: Token, slot: Slot, source: u32) {
        if let Err(error) = self.begin_to_connect(token, slot, source) {
            self.complete(token, Err(error));
        }
    }

    fn begin_to_connect(&mut self, token: Token, slot: Slot, source: u32) -> Result<(), Errno> {
        let dial = self.dial.as_ref().ok_or(Errno(libc::EDESTADDRREQ))?;
        let socket = dial.socket(source).map_err(|error| errno_of_io(&error))?;
        rustix::fs::fcntl_setfl(&socket, OFlags::NONBLOCK).map_err(errno)?;
        let outcome = rustix::net::connect(&socket, dial.target());
        let mut connection = EpollConnection::connecting(OwnedSocket::new(socket), token);
        match outcome {
            Err(rustix::io::Errno::INPROGRESS) => connection.register_all(&self.instance, slot)?,
            outcome => {
                connection = EpollConnection::new(connection.socket);
                self.complete(token, outcome.map(|()| 0).map_err(errno));
            }
        }
        self.connections[slot.0 as usize] = Some(connection);
        Ok(())
    }

    // Cancellation.

    fn cancel(&mut self, token: Token, target: Token) {
        let is_found = match target.kind() {
            Kind::Accept => self.queues.iter_mut().any(|queue| queue.cancel(target)),
            Kind::Watch => self.queues[target.index() as usize].cancel(target),
            Kind::Signal => self.signal.take_if(|it| *it == target).is_some(),
            kind => match &mut self.connections[target.index() as usize] {
                Some(connection) => match kind {
                    Kind::Recv => connection.receive.take_if(|it| it.token == target).is_some(),
                    Kind::Writable => connection.awaits_room.take_if(|it| *it == target).is_some(),
                    Kind::Connect => connection.connect.take_if(|it| *it == target).is_some(),
                    // The others complete when they are pushed.
                    _ => false,
                },
                None => false,
            },
        };
        if is_found {
            self.complete(target, Err(Errno(libc::ECANCELED)));
        }
        self.complete(token, if is_found { Ok(0) } else { Err(Errno(libc::ENOENT)) });
    }

    // Signals.

    /// Asks for one report. It comes at once if a signal is pending.
    fn await_signal(&mut self, token: Token) {
        let Some(signals) = &self.signals else {
            return self.complete(token, Err(Errno(libc::EBADF)));
        };
        let (data, flags) = (EventData::new_u64(SIGNALS), EventFlags::IN | EventFlags::ONESHOT);
        match epoll::modify(&self.instance, signals, data, flags) {
            Ok(()) => self.signal = Some(token),
            Err(error) => self.complete(token, Err(errno(error))),
        }
    }

    fn receive_signal(&mut self) {
        let (Some(token), Some(signals)) = (self.signal.take(), &self.signals) else { return };
        let result = signals.read().map_err(|error| errno_of_io(&error));
        self.completions.push_back(completion(token, result));
    }
}

/// A timeout for `epoll_pwait(2)`, which counts milliseconds in 31 bits.
fn timeout_of(time: Duration) -> Timespec {
    let millis = u32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX);
    let millis = i64::from(millis.min(i32::MAX.unsigned_abs()));
    Timespec { tv_sec: millis / 1000, tv_nsec: millis % 1000 * 1_000_000 }
}

/// More bytes follow at once (`MSG_MORE`, send(2)).
const MORE: SendFlags = SendFlags::MORE.union(SendFlags::NOSIGNAL);

/// The data of a report, which for a connection is its slot.
pub(super) const SIGNALS: u64 = u64::MAX;
/// The data of a report about a listener, with its index.
const LISTENERS: u64 = 1 << 32;
