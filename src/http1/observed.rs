//! What an observer is told of the responses of a connection.

use super::runs::RunRecords;
use crate::telemetry::record::{Nanos, Observation, ResponsePlace, ResponseRecord};

/// The record of the response under way. Without an observer, nothing is recorded.
#[derive(Debug, Default)]
pub(super) struct Observed {
    /// When the head that is to come, or is being received, began.
    head_began: Nanos,
    /// Of a run, that of the response that the socket is taking.
    record: Option<ResponseRecord>,
    place: ResponsePlace,
}

impl Observed {
    /// A response begins, with a record that has no bytes yet.
    pub(super) fn begin(&mut self, record: ResponseRecord) {
        (self.record, self.place) = (Some(record), ResponsePlace::Slot);
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
            observer.ended(*slot, self.place, record);
            self.record = None;
        } else {
            observer.progressed(*slot, self.place, record);
        }
    }

    /// The socket took bytes of a run: of the responses in order.
    pub(super) fn took_of_run(
        &mut self,
        count: u32,
        (run, records): (u32, &mut RunRecords),
        observation: &mut Observation<'_>,
    ) {
        let Observation { observer: Some(observer), slot, submitted, .. } = observation else {
            return;
        };
        let mut count = u64::from(count);
        while let Some(record) = &mut self.record {
            let left = u64::from(records.first_bytes) - record.bytes;
            if count < left {
                if count > 0 {
                    record.took(count, *submitted);
                    observer.progressed(*slot, self.place, record);
                }
                return;
            }
            count -= left;
            record.took(left, *submitted);
            record.is_whole = true;
            observer.ended(*slot, self.place, record);
            self.go_on(run, records);
        }
    }

    /// The socket took bytes after the end of the connection was decided.
    pub(super) fn took_late(&mut self, count: u32, observation: &Observation<'_>) {
        if let Some(record) = &mut self.record {
            record.took(count.into(), observation.submitted);
        }
    }

    /// The connection has ended.
    pub(super) fn end(
        &mut self,
        mut run: Option<(u32, &mut RunRecords)>,
        observation: &mut Observation<'_>,
    ) {
        let (Some(observer), slot) = (&mut observation.observer, observation.slot) else { return };
        while let Some(record) = self.record {
            observer.ended(slot, self.place, &record);
            match &mut run {
                Some((run, records)) => self.go_on(*run, records),
                None => self.record = None,
            }
        }
    }

    /// Goes on with the next response of a run, if there is one.
    fn go_on(&mut self, run: u32, records: &mut RunRecords) {
        let next = self.record.and_then(|record| records.next(record.first_byte));
        self.record = next.map(|(number, record)| {
            self.place = ResponsePlace::in_run(run, number);
            record
        });
    }
}

#[cfg(test)]
pub(super) mod tests;
