//! The operations on connections and signals: what is tried at once, and what waits for readiness.

use super::connection::{
    EpollConnection, InList, PendingReceive, ReceiveForm, completion, errno, errno_of_io,
};
use super::core::{Epoll, EpollOutcome, SIGNALS};
use super::listeners::Cancelled;
use crate::bytes::{Payload, SpanList, Spans};
use crate::engine::{Completion, Errno, Kind, Slot, Token};
use crate::os::net::OwnedSocket;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fs::OFlags;
use rustix::net::{RecvFlags, SendFlags};
use std::io::IoSlice;

impl Epoll {
    pub(super) fn receive(&mut self, slot: Slot, token: Token, form: ReceiveForm) {
        let Some(connection) = &mut self.connections[slot.0 as usize] else {
            return self.complete(token, Err(Errno(libc::EBADF)));
        };
        connection.receive = Some(PendingReceive { token, form });
        self.note_ready(slot);
    }

    /// Queues a connection that may receive, or that has to be registered in order to learn when.
    /// One that has received since the last wake-up waits for the next one, so that a peer that
    /// sends without a pause doesn't keep the others waiting.
    pub(super) fn note_ready(&mut self, slot: Slot) {
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
    pub(super) fn try_to_receive(&mut self, slot: Slot) -> Option<Completion> {
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
    pub(super) fn register(&mut self) {
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

    /// Sends as much as the socket takes without waiting. A plain writev(2) unless more follows:
    /// the kernel remembers that the sandbox permits it whatever its arguments (seccomp(2), since
    /// Linux 5.11), and it can't pass descriptors.
    pub(super) fn send(&mut self, slot: Slot, payload: Payload, more: bool) -> Result<u32, Errno> {
        let connection = self.connections[slot.0 as usize].as_mut().ok_or(Errno(libc::EBADF))?;
        let sent = match (payload, more) {
            (Payload::Spans(spans), false) => write_spans(&connection.socket, spans, &self.fixed),
            (Payload::List(list), false) => write_list(&connection.socket, list, &self.fixed),
            (payload, true) => send_with_more(&connection.socket, payload, &self.fixed),
        };
        connection.writable = match sent {
            Ok(count) => count as u64 == payload.len(),
            // After another error there is nothing to wait for.
            Err(error) => error != rustix::io::Errno::AGAIN,
        };
        let count = sent.map_err(errno)?;
        Ok(u32::try_from(count).expect("a send has less than 4 GiB"))
    }

    pub(super) fn await_room(&mut self, slot: Slot, token: Token) {
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

    pub(super) fn connect(&mut self, token: Token, slot: Slot, source: u32) {
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

    pub(super) fn cancel(&mut self, token: Token, target: Token) {
        let in_queue = match target.kind() {
            Kind::Accept => self
                .queues
                .iter_mut()
                .map(|queue| queue.cancel(target))
                .find(|&outcome| outcome != Cancelled::NotFound),
            Kind::Watch => Some(self.queues[target.index() as usize].cancel(target)),
            _ => None,
        };
        if in_queue == Some(Cancelled::TriesOnce) {
            return self.complete(token, Ok(0));
        }
        let is_found = match target.kind() {
            Kind::Accept | Kind::Watch => in_queue == Some(Cancelled::Ended),
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

    /// Asks for one report. It comes at once if a signal is pending.
    pub(super) fn await_signal(&mut self, token: Token) {
        let Some(signals) = &self.signals else {
            return self.complete(token, Err(Errno(libc::EBADF)));
        };
        let (data, flags) = (EventData::new_u64(SIGNALS), EventFlags::IN | EventFlags::ONESHOT);
        match epoll::modify(&self.instance, signals, data, flags) {
            Ok(()) => self.signal = Some(token),
            Err(error) => self.complete(token, Err(errno(error))),
        }
    }

    pub(super) fn receive_signal(&mut self) {
        let (Some(token), Some(signals)) = (self.signal.take(), &self.signals) else { return };
        let result = signals.read().map_err(|error| errno_of_io(&error));
        self.outcomes.push_back(EpollOutcome::Done(completion(token, result)));
    }
}

fn write_spans(socket: &OwnedSocket, spans: Spans, fixed: &[u8]) -> rustix::io::Result<usize> {
    let (first, then) = (&fixed[spans.first.range()], &fixed[spans.then.range()]);
    match (first, then) {
        (one, []) | ([], one) => rustix::io::writev(socket, &[IoSlice::new(one)]),
        (first, then) => rustix::io::writev(socket, &[IoSlice::new(first), IoSlice::new(then)]),
    }
}

fn write_list(socket: &OwnedSocket, list: SpanList, fixed: &[u8]) -> rustix::io::Result<usize> {
    let mut pieces = [IoSlice::new(&[]); SpanList::SPANS_MAX as usize];
    let mut count = 0;
    for span in list.spans(fixed) {
        pieces[count] = IoSlice::new(&fixed[span.range()]);
        count += 1;
    }
    rustix::io::writev(socket, &pieces[..count])
}

/// Sends the ranges one by one, as writev(2) has no flags.
fn send_with_more(
    socket: &OwnedSocket,
    payload: Payload,
    fixed: &[u8],
) -> rustix::io::Result<usize> {
    let mut sent = 0;
    for span in payload.spans(fixed).filter(|span| span.len > 0) {
        match rustix::net::send(socket, &fixed[span.range()], MORE) {
            Ok(count) => {
                sent += count;
                if (count as u64) < span.len {
                    break;
                }
            }
            Err(error) if sent == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(sent)
}

/// More bytes follow at once (`MSG_MORE`, send(2)).
const MORE: SendFlags = SendFlags::MORE.union(SendFlags::NOSIGNAL);
