//! What each operation does on the pretend network, and the rules for asking for it.

use super::faults::{Fault, Mark};
use super::flight::{Phase, Posted, With};
use super::network::{Handshake, LinkId, Read};
use super::ring::SimRing;
use crate::bytes::Spans;
use crate::engine::{BufferId, Errno, Kind, Op, Slot, Token};

/// What an operation does to its slot, as far as two of them exclude each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Receives,
    Sends,
    Closes,
    Other,
}

impl SimRing {
    /// Checks the rules for pushing an entry, against what was not popped yet.
    pub(super) fn check_submission(&mut self, token: Token, op: Op) {
        if let Op::Accept { listener, .. } | Op::Watch { listener } = op
            && self.network.is_closed(listener)
        {
            self.violate(format!("{token:?} is about listener {listener}, which is closed"));
        }
        let Some((slot, wanted)) = slot_use(op) else { return };
        if slot.0 as usize >= self.slots.len() {
            return self.violate(format!("{token:?} names {slot:?}, beyond the cap"));
        }
        match (op, self.link_of(slot)) {
            (Op::Accept { .. } | Op::Connect { .. }, Some(_)) => {
                self.violate(format!("{token:?} is to fill {slot:?}, which is taken"));
            }
            (Op::Accept { .. } | Op::Connect { .. }, None) | (_, Some(_)) => {}
            (_, None) => self.violate(format!("{token:?} on {slot:?}, which is empty")),
        }
        let clash = self.flights.values().find(|flight| {
            let Some((other, used)) = slot_use(flight.op) else { return false };
            let closes = wanted == Use::Closes || used == Use::Closes;
            let twice = wanted == used && wanted != Use::Other;
            let fills = matches!(flight.op, Op::Accept { .. } | Op::Connect { .. });
            let link =
                matches!(op, Op::SendClose { .. }) || matches!(flight.op, Op::SendClose { .. });
            other == slot && (closes || twice || fills || link)
        });
        if let Some(flight) = clash {
            let what = format!("{token:?} pushed while {:?} is in flight", flight.token);
            self.violate(what);
        }
        let same = self.flights.values().any(|flight| flight.token == token);
        if same && !matches!(op, Op::Cancel { .. }) {
            self.violate(format!("{token:?} is in flight twice"));
        }
    }

    /// Checks that nothing is in flight on a listener that is about to be closed.
    pub(super) fn check_listener_is_unused(&mut self, closing: u32) {
        let uses = |op: Op| match op {
            Op::Accept { listener, .. } | Op::Watch { listener } => listener == closing,
            _ => false,
        };
        let in_flight = self.flights.values().map(|flight| (flight.token, flight.op));
        let mut all = in_flight.chain(self.queue.iter().copied());
        if let Some((token, _)) = all.find(|&(_, op)| uses(op)) {
            self.violate(format!("listener {closing} closed while {token:?} is in flight"));
        }
        if self.network.is_closed(closing) {
            self.violate(format!("listener {closing} closed twice"));
        }
    }

    /// Lets an operation have its effect, or parks it.
    pub(super) fn attempt(&mut self, id: u64) {
        let Some(flight) = self.flights.get(&id) else { return };
        match flight.phase {
            Phase::Due => {}
            Phase::Parked | Phase::Over => return,
        }
        let token = flight.token;
        match flight.op {
            Op::Accept { listener, slot } => self.accept(id, listener, slot),
            Op::Watch { listener } if self.network.has_pending(listener) => {
                self.faults.counters.note(Mark::WatchFired);
                self.done(id, Ok(1));
            }
            Op::Signal => match self.signals.pop_front() {
                Some(number) => self.done(id, Ok(number)),
                None => self.park(id),
            },
            Op::Watch { .. } => self.park(id),
            Op::Cancel { target } => self.cancel(id, target),
            Op::Connect { slot, .. } => self.connect(id, slot),
            Op::Recv { slot }
            | Op::Discard { slot, .. }
            | Op::RecvMany { slot }
            | Op::Send { slot, .. }
            | Op::SendClose { slot, .. }
            | Op::Writable { slot }
            | Op::Shutdown { slot }
            | Op::Close { slot } => {
                if let Some(link) = self.link_of(slot) {
                    self.attempt_on(id, slot, link);
                } else {
                    self.violate(format!("{token:?} took effect on {slot:?}, which is empty"));
                    self.done(id, Err(Errno(libc::EBADF)));
                }
            }
        }
    }

    fn attempt_on(&mut self, id: u64, slot: Slot, link: LinkId) {
        match self.flights[&id].op {
            Op::Recv { .. } => self.receive(id, link),
            Op::RecvMany { .. } => self.receive_many(id, link),
            Op::Discard { len, .. } => self.discard(id, link, len),
            Op::Send { spans, .. } => {
                let result = self.send(id, link, spans);
                self.done(id, result);
            }
            Op::SendClose { spans, .. } => {
                let result = self.send(id, link, spans);
                if result.map(u64::from) == Ok(spans.len()) {
                    self.faults.counters.note(Mark::SendClose);
                    self.close(slot, link);
                    let token = self.flights[&id].token.with_kind(Kind::Close);
                    self.post(id, Ok(0), Posted { token: Some(token), ..Posted::default() });
                } else {
                    self.done(id, result);
                }
            }
            Op::Writable { .. } if self.network.writable(link) => {
                self.faults.counters.note(Mark::Waited);
                self.done(id, Ok(4));
            }
            Op::Writable { .. } => self.park(id),
            Op::Shutdown { .. } => {
                let broken = self.network.link(link).is_reset();
                self.network.user_finishes(link);
                let result = if broken { Err(Errno(libc::ENOTCONN)) } else { Ok(0) };
                self.done(id, result);
            }
            Op::Close { .. } => {
                self.close(slot, link);
                self.done(id, Ok(0));
            }
            Op::Accept { .. }
            | Op::Watch { .. }
            | Op::Cancel { .. }
            | Op::Connect { .. }
            | Op::Signal => unreachable!("these are not on a connection"),
        }
    }

    fn done(&mut self, id: u64, result: Result<u32, Errno>) {
        self.post(id, result, Posted::default());
    }

    fn park(&mut self, id: u64) {
        self.flights.get_mut(&id).expect("it is being tried").phase = Phase::Parked;
    }

    fn accept(&mut self, id: u64, listener: u32, slot: Slot) {
        for (fault, errno) in ACCEPT_FAULTS {
            if self.faults.strikes(fault, &mut self.random) {
                return self.done(id, Err(Errno(errno)));
            }
        }
        match self.network.accepts(listener) {
            Err(errno) => self.done(id, Err(errno)),
            Ok(None) => self.park(id),
            Ok(Some(link)) if self.faults.strikes(Fault::AcceptAborted, &mut self.random) => {
                self.harm(link);
                self.done(id, Err(Errno(libc::ECONNABORTED)));
            }
            Ok(Some(link)) => {
                if self.slots[slot.0 as usize].replace(link).is_some() {
                    self.violate(format!("an accept replaced what was in {slot:?}"));
                }
                self.trace(|| format!("{slot:?} is {link:?}"));
                self.done(id, Ok(0));
            }
        }
    }

    /// Begins a link, or looks how far one that was begun has come.
    fn connect(&mut self, id: u64, slot: Slot) {
        let Some(link) = self.link_of(slot) else { return self.begin_connect(id, slot) };
        match self.network.link(link).handshake() {
            Handshake::Begun => self.park(id),
            Handshake::Done => self.done(id, Ok(0)),
            Handshake::Refused => self.done(id, Err(Errno(libc::ECONNREFUSED))),
        }
    }

    fn begin_connect(&mut self, id: u64, slot: Slot) {
        let window = self.random.pick(&[64 * 1024, 4096, 1000]);
        let link = self.network.begin(window, Handshake::Begun);
        self.trace(|| format!("{slot:?} is {link:?}"));
        self.slots[slot.0 as usize] = Some(link);
        for (fault, errno) in CONNECT_FAULTS {
            if self.faults.strikes(fault, &mut self.random) {
                self.network.refuses(link);
                return self.done(id, Err(Errno(errno)));
            }
        }
        if !self.faults.strikes(Fault::ConnectLost, &mut self.random) {
            self.network.dials(link);
        }
        self.park(id);
    }

    /// Breaks a link that did nothing wrong.
    fn harm(&mut self, link: LinkId) {
        self.trace(|| format!("{link:?} is broken by the network"));
        self.network.resets(link);
        self.peer_is_harmed(link);
    }

    /// A buffer to receive into, unless there is none.
    fn take_buffer(&mut self) -> Option<BufferId> {
        if self.faults.strikes(Fault::NoBuffers, &mut self.random) {
            return None;
        }
        let free = self.buffers.iter().position(|buffer| buffer.with == With::Ring);
        if free.is_none() {
            self.faults.counters.note(Mark::PoolEmpty);
        }
        free.map(|id| BufferId(u16::try_from(id).expect("buffers are counted by u16")))
    }

    /// How much a receive takes of so much: mostly all, sometimes less.
    fn at_most(&mut self, len: usize) -> usize {
        match self.random.below(4) {
            0..=2 => len,
            _ => self.random.count(1, len),
        }
    }

    /// Reads into a buffer; `Err` is a result without bytes, `None` that nothing came.
    fn fill(&mut self, link: LinkId) -> Option<Result<(u32, BufferId), Result<u32, Errno>>> {
        let Some(id) = self.take_buffer() else {
            self.network.user_starves(link);
            return Some(Err(Err(Errno(libc::ENOBUFS))));
        };
        let max = self.at_most(self.buffer_bytes);
        match self.network.user_reads(link, max) {
            Read::Bytes(bytes) => {
                let len = u32::try_from(bytes.len()).expect("a buffer is small");
                let buffer = &mut self.buffers[usize::from(id.0)];
                buffer.bytes = bytes;
                buffer.with = With::Completion;
                Some(Ok((len, id)))
            }
            Read::Nothing => None,
            Read::End => Some(Err(Ok(0))),
            Read::Reset => Some(Err(Err(Errno(libc::ECONNRESET)))),
        }
    }

    fn receive(&mut self, id: u64, link: LinkId) {
        if self.faults.strikes(Fault::Reset, &mut self.random) {
            self.harm(link);
        }
        match self.fill(link) {
            None => self.park(id),
            Some(Err(result)) => self.done(id, result),
            Some(Ok((len, buffer))) => {
                let with = Posted { buffer: Some(buffer), ..Posted::default() };
                self.post(id, Ok(len), with);
            }
        }
    }

    fn discard(&mut self, id: u64, link: LinkId, len: u32) {
        if self.faults.strikes(Fault::Reset, &mut self.random) {
            self.harm(link);
        }
        let max = self.at_most(len as usize);
        match self.network.user_reads(link, max) {
            Read::Bytes(bytes) => {
                self.faults.counters.note(Mark::Discarded);
                self.done(id, Ok(u32::try_from(bytes.len()).expect("no more than was asked")));
            }
            Read::Nothing => self.park(id),
            Read::End => self.done(id, Ok(0)),
            Read::Reset => self.done(id, Err(Errno(libc::ECONNRESET))),
        }
    }

    fn receive_many(&mut self, id: u64, link: LinkId) {
        if self.faults.strikes(Fault::Reset, &mut self.random) {
            self.harm(link);
        }
        loop {
            match self.fill(link) {
                None => return self.park(id),
                Some(Err(result)) => return self.done(id, result),
                Some(Ok((len, buffer))) => {
                    let more = !self.faults.strikes(Fault::ReceiveEnds, &mut self.random);
                    self.post(id, Ok(len), Posted { more, buffer: Some(buffer), token: None });
                    if !more {
                        return;
                    }
                }
            }
        }
    }

    fn send(&mut self, id: u64, link: LinkId, spans: Spans) -> Result<u32, Errno> {
        if self.faults.strikes(Fault::Reset, &mut self.random) {
            self.harm(link);
        }
        let broken = self.network.link(link).is_reset();
        if !broken && self.faults.strikes(Fault::SendAgain, &mut self.random) {
            return Err(Errno(libc::EAGAIN));
        }
        let mut max = usize::try_from(spans.len()).expect("a small page");
        if max > 1 && self.faults.strikes(Fault::ShortSend, &mut self.random) {
            max = self.random.count(1, max - 1);
        }
        let bytes = std::mem::take(&mut self.flights.get_mut(&id).expect("it is tried").copy);
        let result = self.network.user_sends(link, &bytes, max);
        self.flights.get_mut(&id).expect("it is tried").copy = bytes;
        match result {
            Ok(count) => Ok(u32::try_from(count).expect("not above the spans")),
            Err(_) if broken && self.random.chance(300) => Err(Errno(libc::EPIPE)),
            Err(errno) => Err(errno),
        }
    }

    fn close(&mut self, slot: Slot, link: LinkId) {
        self.trace(|| format!("{link:?} leaves {slot:?}"));
        self.network.user_closes(link);
        self.slots[slot.0 as usize] = None;
    }

    fn cancel(&mut self, id: u64, target: Token) {
        let found = self
            .flights
            .iter()
            .find(|(_, flight)| flight.token == target && flight.phase != Phase::Over);
        let Some((&victim, flight)) = found else {
            return self.done(id, Err(Errno(libc::ENOENT)));
        };
        let readable = match flight.op {
            Op::Recv { slot } | Op::RecvMany { slot } | Op::Discard { slot, .. } => {
                self.link_of(slot).is_some_and(|link| self.network.readable(link))
            }
            Op::Accept { listener, .. } | Op::Watch { listener } => {
                self.network.has_pending(listener)
            }
            _ => false,
        };
        if readable && self.faults.strikes(Fault::CancelLost, &mut self.random) {
            self.flights.get_mut(&victim).expect("it was found").phase = Phase::Due;
            self.attempt(victim);
            if self.flights.get(&victim).is_none_or(|flight| flight.phase == Phase::Over) {
                let errno = self.random.pick(&[libc::ENOENT, libc::EALREADY]);
                return self.done(id, Err(Errno(errno)));
            }
        }
        let first = self.random.chance(500);
        if first {
            self.done(id, Ok(0));
        }
        self.done(victim, Err(Errno(libc::ECANCELED)));
        if !first {
            self.done(id, Ok(0));
        }
    }
}

/// The slot an operation is about, and what it does to it.
fn slot_use(op: Op) -> Option<(Slot, Use)> {
    match op {
        Op::Accept { slot, .. } | Op::Connect { slot, .. } | Op::Shutdown { slot } => {
            Some((slot, Use::Other))
        }
        Op::Recv { slot } | Op::RecvMany { slot } | Op::Discard { slot, .. } => {
            Some((slot, Use::Receives))
        }
        Op::Send { slot, .. } | Op::SendClose { slot, .. } | Op::Writable { slot } => {
            Some((slot, Use::Sends))
        }
        Op::Close { slot } => Some((slot, Use::Closes)),
        Op::Watch { .. } | Op::Cancel { .. } | Op::Signal => None,
    }
}

const CONNECT_FAULTS: [(Fault, i32); 2] =
    [(Fault::NoLocalPort, libc::EADDRNOTAVAIL), (Fault::ConnectRefused, libc::ECONNREFUSED)];
const ACCEPT_FAULTS: [(Fault, i32); 3] = [
    (Fault::AcceptEmfile, libc::EMFILE),
    (Fault::AcceptEnfile, libc::ENFILE),
    (Fault::AcceptNobufs, libc::ENOBUFS),
];
