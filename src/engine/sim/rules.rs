//! The rules that the user of an engine has to keep, checked by the simulated engine: which
//! operations may be in flight together, and that nothing is left behind.

use super::SimEngine;
use crate::engine::{Nanos, Op, Slot, Token};

impl SimEngine {
    /// The first rule that was broken, if any was.
    #[must_use]
    pub fn violation(&self) -> Option<&str> {
        self.violations.first().map(String::as_str)
    }

    /// Checks, after a turn of the user, that it kept the rules and no receive buffer.
    ///
    /// # Errors
    /// The first broken rule.
    pub fn check_turn(&self) -> Result<(), String> {
        if let Some(violation) = self.violation() {
            return Err(violation.to_owned());
        }
        match self.buffers.handed_out() {
            0 => Ok(()),
            handed_out => {
                Err(format!("{handed_out} receive buffers were not given back after a turn"))
            }
        }
    }

    /// Checks, after the user's end, that all slots and buffers are free.
    ///
    /// # Errors
    /// The entries that are not free.
    pub fn check_end(&self) -> Result<(), String> {
        if self.occupied() > 0 {
            return Err(format!("{} slots are open after the end", self.occupied()));
        }
        if !self.buffers.all_free() {
            return Err("receive buffers are in use after the end".to_owned());
        }
        Ok(())
    }

    pub(super) fn violate(&mut self, what: String) {
        self.trace(|| format!("VIOLATION {what}"));
        self.violations.push(what);
    }

    /// Checks an entry at its submission against the operations in flight.
    pub(super) fn check_submission(&mut self, token: Token, op: Op) {
        if let Op::Accept { listener, .. } | Op::Watch { listener } = op
            && self.sockets.listener(listener).is_none()
        {
            self.violate(format!("{token:?} names listener {listener}, which is closed"));
        }
        let Some((slot, wanted)) = slot_use(op) else { return };
        if slot.0 as usize >= self.sockets.slots.len() {
            return self.violate(format!("{token:?} names {slot:?}, beyond the last slot"));
        }
        match (op, self.sockets.of(slot)) {
            (Op::Accept { .. } | Op::Connect { .. }, Some(_)) => {
                self.violate(format!("{token:?} would replace the connection of {slot:?}"));
            }
            (Op::Accept { .. } | Op::Connect { .. }, None) | (_, Some(_)) => {}
            (_, None) => self.violate(format!("{token:?} names {slot:?}, which is closed")),
        }
        let clash = self.pending.ops.values().find(|pending| {
            let Some((other, used)) = slot_use(pending.op) else { return false };
            let closes = wanted == Use::Closes || used == Use::Closes;
            let twice = wanted == used && wanted != Use::Other;
            let fills = matches!(pending.op, Op::Accept { .. } | Op::Connect { .. });
            let is_linked =
                matches!(op, Op::SendClose { .. }) || matches!(pending.op, Op::SendClose { .. });
            other == slot && (closes || twice || fills || is_linked)
        });
        if let Some(pending) = clash {
            self.violate(format!("{token:?} submitted with {:?} in flight", pending.token));
        }
        let same = self.pending.ops.values().any(|pending| pending.token == token);
        if same && !matches!(op, Op::Cancel { .. }) {
            self.violate(format!("{token:?} is in flight twice"));
        }
    }

    /// Checks that no operation on a listener is in flight when its descriptor is closed.
    pub(super) fn check_listener_is_unused(&mut self, closing: u32) {
        let uses = |op: Op| match op {
            Op::Accept { listener, .. } | Op::Watch { listener } => listener == closing,
            _ => false,
        };
        let in_flight = self.pending.ops.values().map(|pending| (pending.token, pending.op));
        let mut all = in_flight.chain(self.submission.entries.iter().copied());
        if let Some((token, _)) = all.find(|&(_, op)| uses(op)) {
            self.violate(format!("listener {closing} closed with {token:?} in flight"));
        }
        if self.sockets.listener(closing).is_none() {
            self.violate(format!("listener {closing} closed twice"));
        }
    }

    /// Checks that no work depends on the completion of a silent send, which ends no wait: bytes
    /// that were received during such a send are parsed only after it, so the next wait must not
    /// last.
    pub(super) fn check_lazy_sends(&mut self, deadline: Option<Nanos>) {
        let would_wait = deadline.is_none_or(|deadline| deadline > self.clock.woken);
        if self.polls_lazy_sends && self.lazy.overtaken && would_wait {
            self.violate("bytes received during a lazy send would wait for a later event".into());
        }
        self.lazy.overtaken = false;
        self.lazy.slots.clear();
    }

    /// Checks, when the completion of a send is popped, that its bytes are still the same.
    pub(super) fn check_payload(&mut self, id: u64) {
        let pending = &self.pending.ops[&id];
        let payload = match pending.op {
            Op::Send { payload, .. } => payload,
            Op::SendClose { spans, .. } => spans.into(),
            _ => return,
        };
        if self.bytes_of(payload) != pending.payload {
            self.violate(format!("{payload:?} changed while {:?} was in flight", pending.token));
        }
    }
}

/// The effect of an operation on its slot, by which two operations exclude each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Receives,
    Sends,
    Closes,
    Other,
}

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
