//! The end of a load: the moment at which requests cease to be made, and the wait for the responses
//! that are still to come.
//!
//! ```text
//!   making ──► finishing ──► given up
//!     │           │             └─ what has no response yet is outstanding
//!     │           └─ at most the grace; nothing new is sent
//!     └─ to the end of the duration, or to the last request of a number
//! ```

use super::Client;
use super::connection::ClientPhase;
use super::shared::MakingEnd;
use crate::engine::{Engine, Nanos, Slot};
use crate::load::counters::Count;
use crate::load::schedule::Claim;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl<E: Engine> Client<'_, E> {
    /// Sends no more requests. Outstanding responses are still awaited, for `grace` at most.
    pub fn stop(&mut self, grace: Duration) {
        self.begin(self.now);
        self.schedule.stop();
        self.dialing.stop();
        let grace_ns = u64::try_from(grace.as_nanos()).unwrap_or(u64::MAX);
        let plan = &mut self.shared.plan;
        plan.grace_ns = plan.grace_ns.min(grace_ns);
        self.give_up_at = self.give_up_at.map(|at| at.min(self.now.plus(grace)));
    }

    /// Begins the schedule, unless it has begun.
    pub(super) fn begin(&mut self, start: Nanos) {
        self.schedule.begin(start);
        let since = self.schedule.measured_since().expect("the schedule has begun");
        self.shared.counters.set(Count::MeasuredSince, self.shared.base_ns + since.0);
        self.last_connected = self.last_connected.max(start);
    }

    /// Follows the time: ends the making of requests, and later the wait for responses.
    pub(super) fn follow_time(&mut self) {
        self.shared.deadline = self.schedule.duration_end();
        if self.shared.ending.is_none() {
            self.end_making();
        }
        if self.give_up_at.is_some_and(|at| at <= self.now) {
            self.give_up_responses();
        }
    }

    /// When [`Self::follow_time`] has to be called next, if nothing else happens.
    pub(super) fn next_phase(&self) -> Option<Nanos> {
        match self.shared.ending {
            // Requests of a number may be sent after the planned end.
            None => self.schedule.planned_end().filter(|&end| end > self.now),
            Some(_) => self.give_up_at,
        }
    }

    fn end_making(&mut self) {
        let planned = self.schedule.planned_end();
        let (end, until) = if self.schedule.is_out_of_time(self.now) {
            // The turn may be late, but requests and responses are judged by the planned end.
            (MakingEnd::Time, planned.unwrap_or(self.now).min(self.now))
        } else if self.unsent_batches == 0 && self.schedule.peek(self.now) == Claim::Over {
            (MakingEnd::Number, planned.unwrap_or_default().max(self.last_sent))
        } else {
            return;
        };
        if end == MakingEnd::Time {
            self.withdraw_unsent();
        }
        self.shared.ending = Some(end);
        self.shared.making.fetch_sub(1, Ordering::Relaxed);
        self.shared.counters.set(Count::MadeUntil, self.shared.base_ns + until.0);
        self.wake_resting();
        self.give_up_at = Some(until.plus(Duration::from_nanos(self.shared.plan.grace_ns)));
        self.assign_due();
    }

    /// Ends the pauses of slots, for which no request will be due.
    fn wake_resting(&mut self) {
        for key in 0..self.shared.plan.connections {
            let connection = &mut self.connections[key as usize];
            if std::mem::take(&mut connection.rests)
                && matches!(connection.phase, ClientPhase::Open | ClientPhase::Closed)
            {
                self.timers.disarm(Slot(key));
                self.idle(Slot(key));
            }
        }
    }

    /// Takes back the requests that no connection could send.
    fn withdraw_unsent(&mut self) {
        for key in 0..self.shared.plan.connections {
            let slot = Slot(key);
            if self.connections[key as usize].is_unsent() {
                self.withdraw(slot);
            }
        }
        let connections = &self.connections;
        self.dialing.retain(|slot| connections[slot.0 as usize].left > 0);
        let end = self.schedule.planned_end().unwrap_or(self.now).min(self.now);
        while let Some((due, counts)) = self.schedule.claim_missed(end) {
            self.shared.due(1, counts);
            self.shared.not_sent(due, counts, self.now);
        }
    }

    /// Takes the unsent batch of a slot back. In an open loop, it was due all the same.
    pub(super) fn withdraw(&mut self, slot: Slot) {
        let connection = &mut self.connections[slot.0 as usize];
        if self.schedule.is_open_loop() {
            self.shared.not_sent(connection.since, connection.counts, self.now);
        }
        connection.left = 0;
        connection.is_to_send = false;
        self.unsent_batches -= 1;
        match connection.phase {
            ClientPhase::Connecting => {
                let entry = connection.socket.cancel_connect();
                self.push(entry);
                self.end(slot);
            }
            ClientPhase::Handshaking => self.end(slot),
            ClientPhase::Closed => {
                self.timers.disarm(slot);
                self.idle(slot);
            }
            ClientPhase::Open => self.idle(slot),
            ClientPhase::AwaitClose | ClientPhase::Ending => {}
        }
    }

    /// Counts all requests without a response as outstanding, and ends their connections.
    fn give_up_responses(&mut self) {
        self.give_up_at = None;
        for key in 0..self.shared.plan.connections {
            let slot = Slot(key);
            let connection = &mut self.connections[key as usize];
            let left = connection.give_up();
            for _ in 0..left {
                self.shared.outstanding(connection.since, connection.counts, self.now);
            }
            match connection.phase {
                ClientPhase::Handshaking | ClientPhase::Open | ClientPhase::AwaitClose => {
                    self.end(slot);
                }
                ClientPhase::Connecting => {
                    let entry = connection.socket.cancel_connect();
                    self.push(entry);
                    self.end(slot);
                }
                // It was to send its batch again. Without one, it is out of service already.
                ClientPhase::Closed if left > 0 => {
                    self.timers.disarm(slot);
                    self.idle(slot);
                }
                ClientPhase::Closed | ClientPhase::Ending => {}
            }
        }
        self.dialing.retain(|_| false);
        self.assign_due();
    }
}
