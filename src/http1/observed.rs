//! What an observer is told of the responses of a connection.

use crate::telemetry::record::{Nanos, Observation, ResponseRecord};

/// The record of the response under way. Without an observer, nothing is recorded.
#[derive(Debug, Default)]
pub(super) struct Observed {
    /// When the head that is to come, or is being received, began.
    head_began: Nanos,
    record: Option<ResponseRecord>,
}

impl Observed {
    /// A response begins, with a record that has no bytes yet.
    pub(super) fn begin(&mut self, record: ResponseRecord) {
        self.record = Some(record);
    }

    /// When the head of the response under way began.
    pub(super) fn head_began(&self) -> Nanos {
        self.head_began
    }

    /// The first byte of a head is here.
    pub(super) fn head_begins(&mut self, observation: &Observation<'_>) {
        self.head_began = observation.woken;
    }

    /// The socket took bytes, with the last of the response if it `is_whole`.
    pub(super) fn took(&mut self, count: u32, is_whole: bool, observation: &mut Observation<'_>) {
        let Observation { observer: Some(observer), slot, submitted, .. } = observation else {
            return;
        };
        let Some(record) = &mut self.record else { return };
        record.took(count.into(), *submitted);
        record.is_whole = is_whole;
        if is_whole {
            observer.ended(*slot, record);
            self.record = None;
        } else {
            observer.progressed(*slot, record);
        }
    }

    pub(super) fn took_late(&mut self, count: u32, observation: &Observation<'_>) {
        if let Some(record) = &mut self.record {
            record.took(count.into(), observation.submitted);
        }
    }

    /// The connection has ended.
    pub(super) fn end(&mut self, observation: &mut Observation<'_>) {
        if let (Some(record), Some(observer)) = (self.record.take(), &mut observation.observer) {
            observer.ended(observation.slot, &record);
        }
    }
}

#[cfg(test)]
mod tests;
