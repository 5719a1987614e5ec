//! The effect of each operation of a simulated engine on the network.

use super::SimEngine;
use super::accept_queue::AcceptWaiter;
use super::faults::{EngineMark, Fault};
use super::ids::SocketId;
use super::in_flight::{CompletionParts, EngineEvent, OpState, PendingOp, PendingOps};
use super::network::{Network, RECEIVE_WINDOW, SocketRead, Windows};
use crate::bytes::Payload;
use crate::engine::{BufferId, Errno, Kind, Nanos, Op, Slot, Token};
use crate::peer_address::PeerAddress;

impl SimEngine {
    /// Attempts an operation. The first attempt of an accept is followed at once by that of a
    /// cancel submitted with it: the kernel tries the entries of a submission one after the other,
    /// and waits for nothing in between.
    pub(super) fn begin_attempt(&mut self, id: u64, network: &mut Network) {
        let Some(PendingOp { token, op, state, .. }) = self.pending.ops.get(&id) else { return };
        let is_new_accept = matches!((op, state), (Op::Accept { .. }, OpState::Due));
        let cancel = Op::Cancel { target: *token };
        self.attempt(id, network);
        if !is_new_accept {
            return;
        }
        let is_due = |(_, it): &(&u64, &PendingOp)| it.op == cancel && it.state == OpState::Due;
        if let Some((&cancel, _)) = self.pending.ops.iter().find(is_due) {
            self.attempt(cancel, network);
        }
    }

    /// Lets an operation have its effect, or parks it.
    pub(super) fn attempt(&mut self, id: u64, network: &mut Network) {
        let Some(pending) = self.pending.ops.get(&id) else { return };
        match pending.state {
            OpState::Due | OpState::Woken => {}
            OpState::Parked | OpState::Done => return,
        }
        let token = pending.token;
        match pending.op {
            Op::Accept { listener, slot } => self.accept(id, listener, slot, network),
            Op::Watch { listener } if self.has_pending(listener, network) => {
                self.faults.counters.count_mark(EngineMark::WatchFired);
                self.complete(id, Ok(1));
            }
            Op::Signal => match self.signals.pop_first() {
                Some(number) => self.complete(id, Ok(number)),
                None => self.pending.park(id),
            },
            Op::Watch { .. } => self.pending.park(id),
            Op::Cancel { target } => self.cancel(id, target, network),
            Op::Connect { slot, .. } => self.connect(id, slot, network),
            Op::Recv { slot }
            | Op::Discard { slot, .. }
            | Op::RecvMany { slot }
            | Op::Send { slot, .. }
            | Op::SendClose { slot, .. }
            | Op::Writable { slot }
            | Op::Shutdown { slot }
            | Op::Close { slot } => {
                if let Some(socket) = self.sockets.of(slot) {
                    self.attempt_on(id, slot, socket, network);
                } else {
                    self.violate(format!("{token:?} took effect on {slot:?}, which is closed"));
                    self.complete(id, Err(Errno(libc::EBADF)));
                }
            }
        }
    }

    fn attempt_on(&mut self, id: u64, slot: Slot, socket: SocketId, network: &mut Network) {
        match self.pending.ops[&id].op {
            Op::Recv { .. } => self.receive(id, slot, socket, network),
            Op::RecvMany { .. } => self.receive_many(id, slot, socket, network),
            Op::Discard { len, .. } => self.discard(id, socket, len, network),
            Op::Send { payload, .. } => {
                let result = self.send(id, slot, socket, payload.len(), network);
                if let (Payload::List(list), Ok(count)) = (payload, result) {
                    let is_whole = u64::from(count) == list.len();
                    let mark = if is_whole { EngineMark::ListSent } else { EngineMark::ListShort };
                    self.faults.counters.count_mark(mark);
                }
                self.complete(id, result);
            }
            Op::SendClose { spans, .. } => {
                let result = self.send(id, slot, socket, spans.len(), network);
                if result.map(u64::from) == Ok(spans.len()) {
                    self.faults.counters.count_mark(EngineMark::SendClose);
                    self.close(slot, network);
                    let token = Some(self.pending.ops[&id].token.with_kind(Kind::Close));
                    self.complete_with(id, Ok(0), CompletionParts { token, ..Default::default() });
                } else {
                    self.complete(id, result);
                }
            }
            Op::Writable { .. } if network.is_writable(socket) => {
                self.faults.counters.count_mark(EngineMark::Waited);
                self.complete(id, Ok(POLLOUT));
            }
            Op::Writable { .. } => self.pending.park(id),
            Op::Shutdown { .. } => {
                let is_reset = network.socket(socket).is_reset();
                network.finish(socket);
                self.complete(id, if is_reset { Err(Errno(libc::ENOTCONN)) } else { Ok(0) });
            }
            Op::Close { .. } => {
                self.close(slot, network);
                self.complete(id, Ok(0));
            }
            Op::Accept { .. }
            | Op::Watch { .. }
            | Op::Cancel { .. }
            | Op::Connect { .. }
            | Op::Signal => unreachable!("these need no open slot"),
        }
    }

    fn has_pending(&self, listener: u32, network: &Network) -> bool {
        self.sockets.listener(listener).is_some_and(|listener| network.has_pending(listener))
    }

    fn accept(&mut self, id: u64, listener: u32, slot: Slot, network: &mut Network) {
        for (fault, errno) in ACCEPT_FAULTS {
            if self.strikes(fault) {
                return self.complete(id, Err(Errno(errno)));
            }
        }
        let Some(listener) = self.sockets.listener(listener) else {
            return self.complete(id, Err(Errno(libc::EBADF)));
        };
        let engine = *self.number.get_or_insert_with(|| network.add_engine());
        match network.accept_for(engine, listener) {
            None => {
                self.pending.park(id);
                network.wait(listener, AcceptWaiter { engine, op: id });
            }
            Some(socket) if self.strikes(Fault::AcceptAborted) => {
                self.break_connection(socket, network);
                network.close(socket);
                self.complete(id, Err(Errno(libc::ECONNABORTED)));
            }
            Some(socket) => {
                let peer = network.peer(socket);
                let peer = if self.wants_peers { peer } else { PeerAddress::Unknown };
                if self.sockets.open(slot, socket, peer).is_some() {
                    self.violate(format!("an accept replaced the connection of {slot:?}"));
                }
                self.trace(|| format!("{slot:?} is {socket:?}"));
                self.complete(id, Ok(0));
            }
        }
    }

    fn connect(&mut self, id: u64, slot: Slot, network: &mut Network) {
        let windows = Windows {
            connecting: self.random.pick(&[RECEIVE_WINDOW, 4096, 1000]),
            accepted: self.random.pick(&[RECEIVE_WINDOW, 4096, 1000]),
        };
        for (fault, errno) in CONNECT_FAULTS {
            if self.strikes(fault) {
                // A failed connect leaves a socket behind, which the user has to close.
                let socket = network.connect_unanswered(windows);
                network.reset(socket);
                self.sockets.open(slot, socket, PeerAddress::Unknown);
                return self.complete(id, Err(Errno(errno)));
            }
        }
        if self.strikes(Fault::ConnectLost) {
            let socket = network.connect_unanswered(windows);
            self.sockets.open(slot, socket, PeerAddress::Unknown);
            return self.pending.park(id);
        }
        let target = self.sockets.next_target().expect("an engine that connects has a target");
        let socket = network.connect(target, windows);
        self.trace(|| format!("{slot:?} is {socket:?}"));
        self.sockets.open(slot, socket, PeerAddress::Unknown);
        let refused = network.socket(socket).is_reset();
        self.complete(id, if refused { Err(Errno(libc::ECONNREFUSED)) } else { Ok(0) });
    }

    /// Resets a connection by a fault of the network.
    fn break_connection(&mut self, socket: SocketId, network: &mut Network) {
        self.trace(|| format!("{socket:?} is broken by the network"));
        network.break_connection(socket);
    }

    fn break_by_chance(&mut self, socket: SocketId, network: &mut Network) {
        if self.strikes(Fault::Reset) {
            self.break_connection(socket, network);
        }
    }

    fn free_buffer(&mut self) -> Option<BufferId> {
        if self.strikes(Fault::NoBuffers) {
            return None;
        }
        let free = self.buffers.free_buffer();
        if free.is_none() {
            self.faults.counters.count_mark(EngineMark::PoolEmpty);
        }
        free
    }

    /// The faults of a receive.
    fn hinder_receive(&mut self, socket: SocketId, network: &mut Network) {
        self.break_by_chance(socket, network);
        if self.sockets.connects() && self.strikes(Fault::Silence) {
            self.trace(|| format!("{socket:?} falls silent"));
            network.silence(socket);
        }
        if self.sockets.connects() && self.strikes(Fault::Straggler) {
            let delay = self.random.between(1_000_000_000, 25_000_000_000);
            self.trace(|| format!("{socket:?} falls silent for {delay} ns"));
            network.silence(socket);
            let at = Nanos(self.clock.current.0 + delay);
            self.pending.events.schedule(at, EngineEvent::Hear(socket));
        }
    }

    /// How many bytes a receive takes of `len` that it could take: usually all.
    fn draw_len(&mut self, len: usize) -> usize {
        match self.random.below(4) {
            0..=2 => len,
            _ => self.random.count(1, len),
        }
    }

    /// Receives into a buffer.
    fn fill(&mut self, slot: Slot, socket: SocketId, network: &mut Network) -> Filled {
        let Some(buffer) = self.free_buffer() else {
            self.sockets.set_out_of_buffers(slot, network.socket(socket).unread() > 0);
            return Filled::Last(Err(Errno(libc::ENOBUFS)));
        };
        let max = self.draw_len(self.buffers.buffer_bytes());
        match network.receive(socket, max) {
            SocketRead::Bytes(bytes) => {
                let len = u32::try_from(bytes.len()).expect("a buffer is small");
                self.buffers.fill(buffer, bytes);
                Filled::Bytes { len, buffer }
            }
            SocketRead::Nothing => Filled::Nothing,
            SocketRead::End => Filled::Last(Ok(0)),
            SocketRead::Reset => Filled::Last(Err(Errno(libc::ECONNRESET))),
        }
    }

    fn receive(&mut self, id: u64, slot: Slot, socket: SocketId, network: &mut Network) {
        self.hinder_receive(socket, network);
        match self.fill(slot, socket, network) {
            Filled::Nothing => self.pending.park(id),
            Filled::Last(result) => self.complete(id, result),
            Filled::Bytes { len, buffer } => {
                let parts = CompletionParts { buffer: Some(buffer), ..Default::default() };
                self.complete_with(id, Ok(len), parts);
            }
        }
    }

    fn receive_many(&mut self, id: u64, slot: Slot, socket: SocketId, network: &mut Network) {
        self.hinder_receive(socket, network);
        loop {
            match self.fill(slot, socket, network) {
                Filled::Nothing => return self.pending.park(id),
                Filled::Last(result) => return self.complete(id, result),
                Filled::Bytes { len, buffer } => {
                    let more = !self.strikes(Fault::ReceiveEnds);
                    let parts = CompletionParts { more, buffer: Some(buffer), token: None };
                    self.complete_with(id, Ok(len), parts);
                    if !more {
                        return;
                    }
                }
            }
        }
    }

    fn discard(&mut self, id: u64, socket: SocketId, len: u32, network: &mut Network) {
        self.hinder_receive(socket, network);
        let max = self.draw_len(len as usize);
        match network.receive(socket, max) {
            SocketRead::Bytes(bytes) => {
                self.faults.counters.count_mark(EngineMark::Discarded);
                self.complete(id, Ok(u32::try_from(bytes.len()).expect("at most `len`")));
            }
            SocketRead::Nothing => self.pending.park(id),
            SocketRead::End => self.complete(id, Ok(0)),
            SocketRead::Reset => self.complete(id, Err(Errno(libc::ECONNRESET))),
        }
    }

    fn send(
        &mut self,
        id: u64,
        slot: Slot,
        socket: SocketId,
        bytes: u64,
        network: &mut Network,
    ) -> Result<u32, Errno> {
        self.waits.answered(slot, bytes);
        self.break_by_chance(socket, network);
        let is_reset = network.socket(socket).is_reset();
        if !is_reset && self.strikes(Fault::SendAgain) {
            return Err(Errno(libc::EAGAIN));
        }
        let mut max = usize::try_from(bytes).expect("a small page");
        if max > 1 && self.strikes(Fault::ShortSend) {
            max = self.random.count(1, max - 1);
        }
        match network.send(socket, &self.pending.ops[&id].payload, max) {
            Ok(count) => {
                let count = u32::try_from(count).expect("at most the bytes of the send");
                self.waits.took(count);
                Ok(count)
            }
            Err(_) if is_reset && self.random.chance(300) => Err(Errno(libc::EPIPE)),
            Err(errno) => Err(errno),
        }
    }

    fn close(&mut self, slot: Slot, network: &mut Network) {
        let Some(open) = self.sockets.close(slot) else { return };
        self.trace(|| format!("{:?} leaves {slot:?}", open.socket));
        if open.out_of_buffers {
            network.note_abandoned(open.socket);
        }
        network.close(open.socket);
    }

    fn cancel(&mut self, id: u64, target: Token, network: &mut Network) {
        let not_done =
            |(_, op): &(&u64, &PendingOp)| op.token == target && op.state != OpState::Done;
        if let Some((&fresh, pending)) = self.pending.ops.iter().find(not_done)
            && pending.state == OpState::Due
            && matches!(pending.op, Op::Accept { .. } | Op::Connect { .. })
        {
            // The kernel tries both when they are submitted, which was before the cancel.
            self.attempt(fresh, network);
        }
        let found = self.pending.ops.iter().find(not_done);
        let Some((&victim, pending)) = found else {
            return self.complete(id, Err(Errno(libc::ENOENT)));
        };
        let is_ready = match (pending.op, pending.state) {
            (Op::Recv { slot } | Op::RecvMany { slot } | Op::Discard { slot, .. }, _) => {
                self.sockets.of(slot).is_some_and(|socket| network.is_readable(socket))
            }
            // An accept that waits is out of reach of connections for which others were woken.
            (Op::Accept { .. }, OpState::Parked) => false,
            (Op::Accept { listener, .. } | Op::Watch { listener }, _) => {
                self.has_pending(listener, network)
            }
            _ => false,
        };
        if is_ready && self.strikes(Fault::CancelLost) {
            self.pending.get_mut(victim).state = OpState::Due;
            self.attempt(victim, network);
            if self.pending.ops.get(&victim).is_none_or(|op| op.state == OpState::Done) {
                let errno = self.random.pick(&[libc::ENOENT, libc::EALREADY]);
                return self.complete(id, Err(Errno(errno)));
            }
        }
        self.end_wait_of_accept(victim, network);
        let cancel_is_first = self.random.chance(500);
        if cancel_is_first {
            self.complete(id, Ok(0));
        }
        self.complete(victim, Err(Errno(libc::ECANCELED)));
        if !cancel_is_first {
            self.complete(id, Ok(0));
        }
    }

    /// Ends the wait of an accept that is cancelled. A wake-up that it had is lost: the connection
    /// stays in the queue, and no other accept is woken for it.
    fn end_wait_of_accept(&mut self, id: u64, network: &mut Network) {
        let pending = &self.pending.ops[&id];
        let (Op::Accept { listener, .. }, Some(engine)) = (pending.op, self.number) else { return };
        let was_woken = pending.state == OpState::Woken;
        if was_woken && self.has_pending(listener, network) {
            self.faults.counters.count_mark(EngineMark::WakeUpLost);
        }
        if let Some(listener) = self.sockets.listener(listener) {
            network.forget(listener, AcceptWaiter { engine, op: id });
        }
    }

    /// Whether an accept was woken for a connection and has not tried to take it yet.
    #[must_use]
    pub fn has_woken_accept(&self) -> bool {
        self.pending.ops.values().any(|pending| pending.state == OpState::Woken)
    }

    /// Ends the process of the engine, at any moment: what is in flight has no effect any more. The
    /// sockets are open until [`SimEngine::close_all`], as the kernel dismantles a ring some
    /// milliseconds after the end of its process.
    pub fn die(&mut self, network: &mut Network) {
        self.trace(|| "the process ends".to_owned());
        let ops = self.pending.ops.values();
        let woken = ops.filter(|pending| pending.state == OpState::Woken);
        let lost = woken.filter(|pending| match pending.op {
            Op::Accept { listener, .. } => self.has_pending(listener, network),
            _ => false,
        });
        for _ in 0..lost.count() {
            self.faults.counters.count_mark(EngineMark::WakeUpLostByDeath);
        }
        if let Some(engine) = self.number {
            network.forget_engine(engine);
        }
        for open in self.sockets.slots.iter().flatten() {
            network.note_orphaned(open.socket);
        }
        self.pending = PendingOps::default();
        self.signals.clear();
    }

    /// Closes all sockets and listeners of a process that has ended.
    pub fn close_all(&mut self, network: &mut Network) {
        for slot in self.sockets.slots.iter_mut().filter_map(Option::take) {
            network.close(slot.socket);
        }
        for listener in self.sockets.close_listeners() {
            network.close_listener(listener);
        }
    }
}

/// The outcome of a receive into a buffer.
enum Filled {
    Nothing,
    Bytes {
        len: u32,
        buffer: BufferId,
    },
    /// The result of a last completion, without bytes.
    Last(Result<u32, Errno>),
}

/// The event of poll(2).
const POLLOUT: u32 = 4;
const CONNECT_FAULTS: [(Fault, i32); 2] =
    [(Fault::NoLocalPort, libc::EADDRNOTAVAIL), (Fault::ConnectRefused, libc::ECONNREFUSED)];
const ACCEPT_FAULTS: [(Fault, i32); 3] = [
    (Fault::AcceptEmfile, libc::EMFILE),
    (Fault::AcceptEnfile, libc::ENFILE),
    (Fault::AcceptNobufs, libc::ENOBUFS),
];
