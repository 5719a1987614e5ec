//! What a server tells its observer: accepts, turns, and the ends of responses that the protocol
//! doesn't see.

use super::acceptor::Class;
use super::worker::Server;
use crate::bytes::Payload;
use crate::engine::{Engine, Nanos, Slot};
use crate::http1::Input;
use crate::telemetry::record::{ListenerKind, Observer};

impl<E: Engine> Server<E> {
    /// Has all responses from now on observed. To be called before the first turn.
    pub fn observe(&mut self, observer: Box<dyn Observer>) {
        self.observing.observer = Some(observer);
        self.runs.keep_records();
    }

    /// Whether no connection has a run of responses: so it is once the server has ended.
    pub fn are_runs_free(&self) -> bool {
        self.runs.are_free(&self.site)
    }

    pub(super) fn observe_accept(&mut self, slot: Slot) {
        let Some(observer) = &mut self.observing.observer else { return };
        let listener = match self.connections[slot.0 as usize].class {
            Class::Public => ListenerKind::Public,
            Class::Health => ListenerKind::Health,
        };
        observer.accepted(slot.0, self.engine.peer(slot), listener);
    }

    /// The turn is over but for the wait.
    pub(super) fn observe_turn(&mut self) {
        let Some(observer) = &mut self.observing.observer else { return };
        let is_first = self.observing.submitted == Nanos(0);
        self.observing.submitted = self.engine.read_clock();
        if !is_first {
            observer.turned(self.now, self.observing.submitted);
        }
    }

    /// Bytes of a send that was in flight when the server decided to end the connection.
    pub(super) fn observe_late_bytes(&mut self, slot: Slot, count: u32) {
        let connection = &mut self.connections[slot.0 as usize];
        if self.observing.observer.is_some() && !connection.socket.is_open() {
            let mut observation = self.observing.of(slot, self.now);
            connection.conn.took_late(count, &mut self.runs, &mut observation);
        }
    }

    /// A send whose only completion is that of the close took all bytes.
    pub(super) fn observe_send_close(&mut self, slot: Slot, payload: Payload) {
        if self.observing.observer.is_some() {
            let count = u32::try_from(payload.len()).expect("a send has less than 4 GiB");
            self.handle(slot, |_| Input::Taken(count));
        }
    }

    /// A connection has ended, and with it the responses under way.
    pub(super) fn end_responses(&mut self, slot: Slot) {
        let mut observation = self.observing.of(slot, self.now);
        let connection = &mut self.connections[slot.0 as usize];
        connection.conn.end(&mut self.runs, &mut observation);
    }

    /// The server ends with these connections.
    pub(super) fn end_observations(&mut self) {
        for key in 0..self.config.slots() {
            if self.connections.contains(key as usize) {
                self.end_responses(Slot(key));
            }
        }
    }
}
