//! Records that are written and read again, and words that no writer has written.

use super::*;
use crate::http::request::Method;
use crate::telemetry::record::Nanos;
use httparse::Header;
use proptest::prelude::*;

/// The words of a place.
pub(in crate::telemetry) fn words() -> Vec<AtomicU64> {
    (0..RECORD_WORDS_MAX).map(|_| AtomicU64::new(0)).collect()
}

pub(in crate::telemetry) fn record(status: u16, bytes: u64) -> ResponseRecord {
    ResponseRecord {
        method: Method::Get,
        status,
        count: 1,
        bytes,
        head_bytes: 100,
        first_byte: Nanos(1_000_000),
        last_byte: Nanos(3_500_000),
        is_whole: true,
    }
}

/// Writes a record and returns its words.
fn written(record: &ResponseRecord, line: &[u8], fields: &[(&str, &[u8])]) -> Vec<u64> {
    let words = words();
    let peer = PeerAddress::ip([192, 0, 2, 7].into(), 4711);
    write_connection(&words, peer, ListenerKind::Health, 3);
    let head = [line, b"\r\n\r\n"].concat();
    let fields: Vec<Header<'_>> =
        fields.iter().map(|&(name, value)| Header { name, value }).collect();
    let begun = ResponseRecord { bytes: 0, last_byte: record.first_byte, ..*record };
    write_request(&words, &begun, RequestHead { bytes: &head, fields: &fields }, 7);
    let len = write_end(&words, record, 7);
    words[..len].iter().map(|word| word.load(Ordering::Relaxed)).collect()
}

#[test]
fn record_is_read_as_it_was_written() {
    let fields = [("Host", &b"a"[..]), ("user-agent", b"curl/8"), ("REFERER", b"http://a/")];
    let words = written(&record(206, 1100), b"\r\nGET /a HTTP/1.1", &fields);
    let mut copy = RecordCopy::default();
    let entry = copy.decode(words.iter().copied());
    assert_eq!(entry.line, b"GET /a HTTP/1.1");
    assert_eq!((entry.referer, entry.agent), (&b"http://a/"[..], &b"curl/8"[..]));
    assert_eq!((entry.is_cut, entry.is_whole, entry.count), (false, true, 1));
    assert_eq!((entry.status, entry.bytes, entry.head_bytes, entry.worker), (206, 1100, 100, 3));
    assert_eq!(entry.peer.to_string(), "192.0.2.7");
    assert_eq!(entry.listener, ListenerKind::Health);
    assert_eq!((entry.first_byte_ns, entry.duration_ns), (1_000_007, 2_500_000));
    assert_eq!(words.len(), FIXED_WORDS + 2 + 2 + 1, "only what is there is copied");
}

#[test]
fn addresses_of_both_families_and_of_sockets_without_one_are_kept() {
    for peer in [
        PeerAddress::Unknown,
        PeerAddress::Unix,
        PeerAddress::ip([255, 0, 0, 1].into(), 65_535),
        PeerAddress::ip("2001:db8::1:2".parse().unwrap(), 1),
    ] {
        let place = words();
        write_connection(&place, peer, ListenerKind::Public, u32::MAX);
        let mut copy = RecordCopy::default();
        let entry = copy.decode(place.iter().map(|word| word.load(Ordering::Relaxed)));
        assert_eq!((entry.peer, entry.worker), (peer, u32::MAX));
    }
}

#[test]
fn texts_share_the_room_and_a_request_line_has_most_of_it() {
    let long = vec![b'x'; 1000];
    let lens = |line: usize, referer: usize, agent: usize| {
        let fields = [("Referer", &long[..referer]), ("User-Agent", &long[..agent])];
        let words = written(&record(200, 0), &long[..line], &fields);
        assert!(words.len() <= RECORD_WORDS_MAX);
        let mut copy = RecordCopy::default();
        let entry = copy.decode(words.iter().copied());
        assert_eq!(entry.is_cut, entry.line.len() < line);
        (entry.line.len(), entry.referer.len(), entry.agent.len())
    };
    assert_eq!(lens(1000, 0, 0), (432, 0, 0));
    assert_eq!(lens(10, 1000, 0), (10, 416, 0));
    assert_eq!(lens(10, 0, 1000), (10, 0, 416));
    assert_eq!(lens(10, 1000, 1000), (10, 64, 352));
    assert_eq!(lens(1000, 1000, 1000), (256, 64, 112));
    assert_eq!(lens(256, 64, 112), (256, 64, 112));
    assert_eq!(lens(1000, 60, 100), (432 - 64 - 104, 60, 100));
    assert_eq!(LINE_BYTES_MIN, 256);
}

proptest! {
    /// A hostile writer gets an entry whose parts are within their bounds, or none of its words.
    #[test]
    fn any_words_are_an_entry_within_its_bounds(
        words in prop::collection::vec(any::<u64>(), 0..80),
        sizes in any::<[u16; 3]>(),
    ) {
        let mut words = words;
        if let [first, second, ..] = &mut words[..] {
            *first = *first & 0xffff_ffff_ffff | u64::from(sizes[0] % 600) << 48;
            *second = u64::from(sizes[1] % 600) | u64::from(sizes[2] % 600) << 16;
        }
        let mut copy = RecordCopy::default();
        let entry = copy.decode(words.into_iter());
        prop_assert!((1..=COUNT_MAX).contains(&entry.count));
        let texts = entry.line.len() + entry.referer.len() + entry.agent.len();
        prop_assert!(texts <= TEXT_BYTES);
    }
}
