//! The observer of a server.

use crate::engine::{Nanos, Slot};
use crate::telemetry::record::{Observation, Observer};
use std::time::Duration;

/// The observer, and the times that it needs.
#[derive(Default)]
pub(super) struct Observing {
    pub(super) observer: Option<Box<dyn Observer>>,
    /// When the latest wait began: the sockets have taken what they take of the sends before it.
    pub(super) submitted: Nanos,
    /// Whether a send was pushed in this turn whose completion causes no wake-up.
    pub(super) sent_lazily: bool,
}

impl Observing {
    /// The part of one connection.
    pub(super) fn of(&mut self, slot: Slot, woken: Nanos) -> Observation<'_> {
        let Self { observer, submitted, .. } = self;
        let (observer, submitted) = (observer.as_deref_mut(), *submitted);
        Observation { observer, slot: slot.0, woken, submitted }
    }

    /// When the next wait has to end, so that the record of a response isn't late.
    pub(super) fn deadline(&self, now: Nanos) -> Option<Nanos> {
        (self.observer.is_some() && self.sent_lazily).then(|| now.plus(OBSERVED_WITHIN))
    }
}

/// The longest wait behind a send whose completion causes no wake-up.
const OBSERVED_WITHIN: Duration = Duration::from_millis(100);
