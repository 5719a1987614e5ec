//! One writer and one reader on a part, and parts with words that neither has written.

use super::super::access_record::tests::record;
use super::super::access_record::{
    RecordCopy, copy_connection, write_connection, write_end, write_request,
};
use super::super::record::{ListenerKind, RequestHead};
use super::*;
use crate::peer_address::PeerAddress;
use proptest::prelude::*;

pub(in crate::telemetry) fn part(slots: u32) -> Vec<AtomicU64> {
    (0..part_words(slots)).map(|_| AtomicU64::new(0)).collect()
}

/// Begins a response on a slot.
pub(in crate::telemetry) fn begin(
    part: &[AtomicU64],
    writer: &mut RingWriter,
    slot: u32,
    line: &str,
) {
    let place = place_of(part, slot, ResponsePlace::Slot);
    write_connection(place, PeerAddress::Unix, ListenerKind::Public, 0);
    write_request(place, &record(200, 0), RequestHead::invalid(line.as_bytes()), 0);
    writer.begin(part, slot, ResponsePlace::Slot);
}

/// Ends it.
pub(in crate::telemetry) fn end(part: &[AtomicU64], writer: &mut RingWriter, slot: u32) {
    let len = write_end(place_of(part, slot, ResponsePlace::Slot), &record(200, 150), 0);
    writer.end(part, slot, ResponsePlace::Slot, len);
}

/// Reads everything, and takes it out of the ring.
fn lines(part: &[AtomicU64], reader: &mut RingReader) -> Vec<String> {
    let mut lines = Vec::new();
    let mut copy = RecordCopy::default();
    let mut used = reader.used(part);
    while let Some(words) = reader.next(part, &mut used) {
        lines.push(String::from_utf8_lossy(copy.decode(words).line).into_owned());
    }
    reader.commit(part);
    lines
}

#[test]
fn records_arrive_in_their_order_around_the_end_of_the_ring() {
    let part = part(3);
    let (mut writer, mut reader) = (RingWriter::new(&part), RingReader::new(&part));
    let mut total = 0;
    for round in 0..200_u32 {
        let sent: Vec<String> =
            (0..500_usize).map(|number| format!("{round} {number:>0$}", number % 300)).collect();
        for (number, line) in sent.iter().enumerate() {
            let slot = u32::try_from(number % 3).unwrap();
            begin(&part, &mut writer, slot, line);
            end(&part, &mut writer, slot);
        }
        assert_eq!(lines(&part, &mut reader), sent, "round {round}");
        total += sent.len();
    }
    assert!(writer.tail > 2 * RING_WORDS as u64, "{total} records go around more than once");
    assert_eq!(dropped(&part), 0);
}

#[test]
fn full_ring_drops_and_counts_and_goes_on_when_there_is_room() {
    let part = part(1);
    let (mut writer, mut reader) = (RingWriter::new(&part), RingReader::new(&part));
    let mut sent = 0_u64;
    while dropped(&part) < 10 {
        begin(&part, &mut writer, 0, "GET / HTTP/1.1");
        end(&part, &mut writer, 0);
        sent += 1;
    }
    let kept = lines(&part, &mut reader).len() as u64;
    assert_eq!(kept + dropped(&part), sent);
    assert_eq!(kept, RING_WORDS as u64 / 12, "each takes twelve words");
    begin(&part, &mut writer, 0, "next");
    end(&part, &mut writer, 0);
    assert_eq!(lines(&part, &mut reader), ["next"]);
    assert_eq!(dropped(&part), 10);
}

#[test]
fn records_of_a_writer_that_has_ended_are_recovered_once() {
    let part = part(4);
    let mut writer = RingWriter::new(&part);
    for slot in 0..3 {
        begin(&part, &mut writer, slot, &format!("slot {slot}"));
    }
    end(&part, &mut writer, 1);
    assert_eq!(RingWriter::recover(&part), 2);
    assert_eq!(RingWriter::recover(&part), 0, "the places are free now");
    let mut reader = RingReader::new(&part);
    assert_eq!(lines(&part, &mut reader), ["slot 1", "slot 0", "slot 2"]);
    let mut next = RingWriter::new(&part);
    begin(&part, &mut next, 3, "next worker");
    end(&part, &mut next, 3);
    assert_eq!(lines(&part, &mut reader), ["next worker"]);
}

#[test]
fn record_whose_writer_ended_between_ring_and_place_is_not_recovered_again() {
    let part = part(2);
    let mut writer = RingWriter::new(&part);
    begin(&part, &mut writer, 0, "first");
    end(&part, &mut writer, 0);
    begin(&part, &mut writer, 0, "second");
    let serial = place_of(&part, 0, ResponsePlace::Slot)[SERIAL].load(Ordering::Relaxed);
    end(&part, &mut writer, 0);
    // The last store of `end` did not happen.
    place_of(&part, 0, ResponsePlace::Slot)[SERIAL].store(serial, Ordering::Relaxed);
    assert_eq!(RingWriter::recover(&part), 0);
    let mut reader = RingReader::new(&part);
    assert_eq!(lines(&part, &mut reader), ["first", "second"]);
}

#[test]
fn reader_goes_on_behind_the_last_commit_of_the_reader_before() {
    let part = part(1);
    let (mut writer, mut reader) = (RingWriter::new(&part), RingReader::new(&part));
    for line in ["a", "b"] {
        begin(&part, &mut writer, 0, line);
        end(&part, &mut writer, 0);
    }
    let mut used = reader.used(&part);
    assert!(reader.next(&part, &mut used).is_some());
    reader.commit(&part);
    assert!(reader.next(&part, &mut used).is_some(), "it is read, but not committed");
    assert_eq!(lines(&part, &mut RingReader::new(&part)), ["b"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a hostile worker writes, reader, supervisor and the next worker go on: a bounded
    /// number of records is read, and those of the next worker arrive.
    #[test]
    fn any_words_in_a_part_stop_neither_side(
        header in prop::collection::vec((0usize..10, any::<u64>()), 0..12),
        near in prop::collection::vec((0usize..10, 0u64..3_000_000), 0..12),
        ring in prop::collection::vec((0usize..600, any::<u64>()), 0..60),
        places in prop::collection::vec((0usize..128, any::<u64>()), 0..60),
    ) {
        let part = part(2);
        let mut reader = RingReader::new(&part);
        let places = places.into_iter().map(|(at, word)| (PLACES_AT + at, word));
        let ring = ring.into_iter().map(|(at, word)| (HEADER_WORDS + at, word));
        for (at, word) in ring.chain(places).chain(header).chain(near) {
            part[at].store(word, Ordering::Relaxed);
        }
        RingWriter::recover(&part);
        for _ in 0..2 {
            let read = lines(&part, &mut reader).len();
            prop_assert!(read <= RING_WORDS / FIXED_WORDS + 1);
        }
        let mut next = RingWriter::new(&part);
        begin(&part, &mut next, 1, "next worker");
        end(&part, &mut next, 1);
        prop_assert_eq!(lines(&part, &mut reader), ["next worker"]);
    }
}

#[test]
fn records_of_a_run_are_recovered_with_the_client_of_its_slot() {
    let part = part(3);
    let mut writer = RingWriter::new(&part);
    begin(&part, &mut writer, 2, "first");
    for number in [0, 14, 15] {
        let place = ResponsePlace::Run(number);
        let words = place_of(&part, 2, place);
        copy_connection(words, place_of(&part, 2, ResponsePlace::Slot));
        let line = format!("number {number}");
        write_request(words, &record(200, 0), RequestHead::invalid(line.as_bytes()), 0);
        writer.begin(&part, 2, place);
    }
    let len = write_end(place_of(&part, 2, ResponsePlace::Run(14)), &record(200, 150), 0);
    writer.end(&part, 2, ResponsePlace::Run(14), len);
    assert_eq!(RingWriter::recover(&part), 3);
    assert_eq!(RingWriter::recover(&part), 0);
    let mut reader = RingReader::new(&part);
    let (mut copy, mut used) = (RecordCopy::default(), reader.used(&part));
    let mut lines = Vec::new();
    while let Some(words) = reader.next(&part, &mut used) {
        let entry = copy.decode(words);
        assert_eq!(entry.peer, PeerAddress::Unix);
        lines.push(String::from_utf8_lossy(entry.line).into_owned());
    }
    assert_eq!(lines, ["number 14", "first", "number 0", "number 15"]);
}
