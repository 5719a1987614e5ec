//! Rules of `Send`, `SendClose` and `Writable`.

use super::rig::{Needs, Read, Rig, Tester};
use std::time::Duration;
use uringstatic::bytes::{Payload, Span, SpanList, Spans};
use uringstatic::engine::{Engine, Errno, Kind, Nanos, Op, Slot, Token};

const SLOT: Slot = Slot(3);

fn send(span: Span) -> Op {
    Op::Send { slot: SLOT, payload: span.into(), more: false, lazy: false }
}

fn all_bytes<G: Rig>() -> Span {
    Span { offset: 0, len: u64::from(G::LARGE) }
}

/// The bytes of a span of the fixed buffer.
fn bytes_of<G: Rig>(tester: &mut Tester<G>, span: Span) -> Vec<u8> {
    tester.rig.engine().memory(None).fixed[span.range()].to_vec()
}

/// Sends until the connection has no room; returns the number of bytes taken.
fn fill<G: Rig>(tester: &mut Tester<G>) -> u64 {
    let mut left = all_bytes::<G>();
    loop {
        match tester.result(send(left)) {
            Ok(count) => {
                assert!(0 < count && u64::from(count) < left.len, "{count} of {left:?} were taken");
                left = left.after(u64::from(count));
            }
            Err(errno) => {
                assert_eq!(errno, Errno(libc::EAGAIN));
                return left.offset;
            }
        }
    }
}

pub(crate) fn send_arrives_complete<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let peer = tester.connected(SLOT);
    let span = Span { offset: 100, len: 5000 };
    assert_eq!(tester.result(send(span)), Ok(5000));
    let expected = bytes_of(&mut tester, span);
    assert_eq!(tester.read(peer, 5000).0, expected);
    tester.expect_no_completion();
}

pub(crate) fn spans_arrive_in_order<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let peer = tester.connected(SLOT);
    let spans = [(40, 10), (0, 700), (9000, 1)].map(|(offset, len)| Span { offset, len });
    let mut expected = Vec::new();
    for (span, more) in spans.into_iter().zip([true, true, false]) {
        let op = Op::Send { slot: SLOT, payload: span.into(), more, lazy: false };
        assert_eq!(tester.result(op), Ok(u32::try_from(span.len).expect("small")));
        expected.extend(bytes_of(&mut tester, span));
    }
    assert_eq!(tester.read(peer, expected.len()).0, expected);
}

pub(crate) fn two_spans_are_sent_as_one<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let span = |offset, len| Span { offset, len };
    for (first, then) in [
        (span(40, 200), span(900, 5000)),
        (span(900, 5000), span(40, 1)),
        (span(0, 0), span(7, 300)),
        (span(7, 300), span(0, 0)),
        (span(50, 100), span(60, 100)),
    ] {
        let spans = Spans { first, then };
        let expected = [bytes_of(&mut tester, first), bytes_of(&mut tester, then)].concat();
        let peer = tester.connected(SLOT);
        let op = Op::Send { slot: SLOT, payload: spans.into(), more: false, lazy: false };
        assert_eq!(tester.result(op), Ok(u32::try_from(spans.len()).expect("small")), "{spans:?}");
        assert_eq!(tester.read(peer, expected.len()).0, expected);
        let sent = tester.push(Op::SendClose { slot: SLOT, spans });
        tester.last(sent.with_kind(Kind::Close)).expect("all bytes were taken");
        tester.expect_stream(peer, &expected);
    }
}

pub(crate) fn short_send_of_two_spans_counts_both<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    for first in [1, 1000, G::LARGE - 1] {
        let mut tester = make(Needs::large());
        let peer = tester.connected(SLOT);
        let spans = Spans {
            first: Span { offset: 0, len: u64::from(first) },
            then: Span { offset: u64::from(first), len: u64::from(G::LARGE - first) },
        };
        let sent = tester.push(Op::SendClose { slot: SLOT, spans });
        let count = tester.last(sent).expect("some bytes were taken");
        assert!(0 < count && count < G::LARGE, "{count} bytes were taken");
        tester.expect_no_completion();
        let expected = bytes_of(&mut tester, Span { offset: 0, len: u64::from(count) });
        assert!(tester.read(peer, count as usize).0 == expected, "the bytes taken have arrived");
    }
}

/// A list of these spans in the last bytes of the fixed buffer.
fn list_of<G: Rig>(tester: &mut Tester<G>, spans: &[Span]) -> SpanList {
    let fixed = tester.rig.engine().memory(None).fixed;
    let mut list = SpanList::at(fixed.len() as u64 - SpanList::BYTES);
    for &span in spans {
        list.push(span, fixed);
    }
    list
}

fn send_list(list: SpanList, lazy: bool) -> Op {
    Op::Send { slot: SLOT, payload: list.into(), more: false, lazy }
}

pub(crate) fn list_of_spans_is_sent_as_one<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let peer = tester.connected(SLOT);
    for (count, more) in [(32, false), (1, false), (9, true), (2, false), (32, true)] {
        let span = |index: u64| Span { offset: (index * 7919) % 40_000, len: 1 + index * 10 };
        let spans: Vec<_> = (0..count).map(span).collect();
        let list = list_of(&mut tester, &spans);
        let op = Op::Send { slot: SLOT, payload: list.into(), more, lazy: false };
        let expected: Vec<_> = spans.iter().flat_map(|&it| bytes_of(&mut tester, it)).collect();
        assert_eq!(tester.result(op).map(|count| count as usize), Ok(expected.len()));
        assert_eq!(tester.read(peer, expected.len()).0, expected);
    }
}

pub(crate) fn short_send_of_a_list_goes_on_at_the_byte<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::large());
    let peer = tester.connected(SLOT);
    // Each span ends where the next one begins, but one, so that no two of them share an entry.
    let end = u64::from(G::LARGE) - SpanList::BYTES;
    let len = end / u64::from(SpanList::SPANS_MAX);
    let spans: Vec<_> = (0..u64::from(SpanList::SPANS_MAX))
        .map(|index| Span { offset: index * len + 1, len: len - 1 })
        .collect();
    let mut list = list_of(&mut tester, &spans);
    let expected: Vec<_> = spans.iter().flat_map(|&it| bytes_of(&mut tester, it)).collect();
    let (mut read, mut taken, mut shorts) = (Vec::new(), 0, 0);
    while list.len() > 0 {
        match tester.result(send_list(list, false)) {
            Ok(count) => {
                shorts += u32::from(u64::from(count) < list.len());
                taken += count as usize;
                list = list.after(count, tester.rig.engine().memory(None).fixed);
            }
            Err(errno) => {
                assert_eq!(errno, Errno(libc::EAGAIN));
                let writable = tester.push(Op::Writable { slot: SLOT });
                let unread = taken - read.len();
                read.extend(tester.read(peer, unread).0);
                tester.last(writable).expect("the socket has room again");
            }
        }
    }
    assert!(shorts > 0, "a send fell short");
    read.extend(tester.read(peer, taken - read.len()).0);
    assert!(read == expected, "every byte arrives once and in order");
}

pub(crate) fn lazy_send_ends_no_wait<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let peer = tester.connected(SLOT);
    let receive = tester.push(Op::RecvMany { slot: SLOT });
    tester.expect_no_completion();
    let (first, then) = (Span { offset: 5, len: 100 }, Span { offset: 900, len: 200 });
    let expected = [bytes_of(&mut tester, first), bytes_of(&mut tester, then)].concat();
    let list = list_of(&mut tester, &[first, then]);
    for payload in [Payload::from(Spans { first, then }), list.into()] {
        let sent = tester.push(Op::Send { slot: SLOT, payload, more: false, lazy: true });
        assert_eq!(tester.read(peer, 300).0, expected, "it is sent before a wait");
        tester.rig.write(peer, b"next");
        let received = tester.next(receive);
        assert_eq!(tester.take(received), b"next");
        assert!(tester.has(sent), "its completion comes with the wake-up");
        assert_eq!(tester.last(sent), Ok(300));
    }
}

pub(crate) fn send_without_room_is_short_then_eagain<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::large());
    let peer = tester.connected(SLOT);
    let taken = fill(&mut tester);
    assert!(taken > 0 && taken < u64::from(G::LARGE));
    let writable = tester.push(Op::Writable { slot: SLOT });
    tester.expect_no_completion();
    let expected = bytes_of(&mut tester, all_bytes::<G>());
    let (mut read, _) = tester.read(peer, usize::try_from(taken).expect("it fits the buffer"));
    tester.last(writable).expect("the socket has room again");
    let mut left = all_bytes::<G>().after(taken);
    while left.len > 0 {
        match tester.result(send(left)) {
            Ok(count) => left = left.after(u64::from(count)),
            Err(errno) => {
                assert_eq!(errno, Errno(libc::EAGAIN));
                let writable = tester.push(Op::Writable { slot: SLOT });
                let unread = usize::try_from(left.offset).expect("a small buffer") - read.len();
                read.extend(tester.read(peer, unread).0);
                tester.last(writable).expect("the socket has room again");
            }
        }
    }
    read.extend(tester.read(peer, expected.len() - read.len()).0);
    assert!(read == expected, "every byte arrives once and in order");
}

pub(crate) fn wait_for_room_can_be_cancelled<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::large());
    tester.connected(SLOT);
    fill(&mut tester);
    let writable = tester.push(Op::Writable { slot: SLOT });
    tester.expect_no_completion();
    assert_eq!(tester.result(Op::Cancel { target: writable }), Ok(0));
    assert_eq!(tester.last(writable), Err(Errno(libc::ECANCELED)));
}

pub(crate) fn send_on_a_reset_connection_fails<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    tester.open_and_reset(SLOT);
    let errno =
        tester.result(send(Span { offset: 0, len: 100 })).expect_err("the connection is reset");
    assert!([libc::ECONNRESET, libc::EPIPE].contains(&errno.0), "{errno:?}");
}

pub(crate) fn wait_for_room_ends_with_a_reset<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::large());
    let peer = tester.connected(SLOT);
    fill(&mut tester);
    let writable = tester.push(Op::Writable { slot: SLOT });
    tester.expect_no_completion();
    tester.rig.reset(peer);
    let _ = tester.last(writable);
}

pub(crate) fn send_close_closes_after_all_bytes<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    for round in 0..3 {
        let peer = tester.connected(SLOT);
        let span = Span { offset: round * 50, len: 6000 };
        let sent = tester.push(Op::SendClose { slot: SLOT, spans: span.into() });
        tester.last(sent.with_kind(Kind::Close)).expect("all bytes were taken");
        let expected = bytes_of(&mut tester, span);
        tester.expect_stream(peer, &expected);
        tester.expect_no_completion();
    }
}

pub(crate) fn short_send_close_does_not_close<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::large());
    let peer = tester.connected(SLOT);
    let sent = tester.push(Op::SendClose { slot: SLOT, spans: all_bytes::<G>().into() });
    let count = tester.last(sent).expect("some bytes were taken");
    assert!(0 < count && count < G::LARGE, "{count} bytes were taken");
    tester.expect_no_completion();
    let (read, last) = tester.read(peer, count as usize);
    assert_eq!(last, Read::Nothing, "the slot is open");
    let expected = bytes_of(&mut tester, Span { offset: 0, len: u64::from(count) });
    assert!(read == expected, "the bytes taken have arrived");

    let rest = Span { offset: 7, len: 1000 };
    let sent = tester.push(Op::SendClose { slot: SLOT, spans: rest.into() });
    tester.last(sent.with_kind(Kind::Close)).expect("the socket has room again");
    let expected = bytes_of(&mut tester, rest);
    tester.expect_stream(peer, &expected);
}

/// Its bytes may wait for the close that follows (`MSG_MORE`), but for nothing else.
pub(crate) fn send_close_waits_for_no_timer<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let span = |offset, len| Span { offset, len };
    for spans in [Spans::from(span(9, 1)), Spans { first: span(40, 200), then: span(900, 5000) }] {
        let expected = [spans.first, spans.then].map(|span| bytes_of(&mut tester, span)).concat();
        expect_without_timer(|| {
            let peer = tester.connected(SLOT);
            let begun = tester.rig.engine().read_clock();
            let sent = tester.push(Op::SendClose { slot: SLOT, spans });
            tester.expect_stream(peer, &expected);
            let taken = time_since(begun, &mut tester);
            tester.last(sent.with_kind(Kind::Close)).expect("all bytes were taken");
            taken
        });
    }
}

/// No byte of it waits for the rest, which the socket had no room for.
pub(crate) fn short_send_close_waits_for_no_timer<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::large());
    expect_without_timer(|| {
        let peer = tester.connected(SLOT);
        let sent = tester.push(Op::SendClose { slot: SLOT, spans: all_bytes::<G>().into() });
        let count = tester.last(sent).expect("some bytes were taken");
        let begun = tester.rig.engine().read_clock();
        assert_eq!(tester.read(peer, count as usize).1, Read::Nothing, "the slot is open");
        let taken = time_since(begun, &mut tester);
        tester.result(Op::Close { slot: SLOT }).expect("the slot is open");
        taken
    });
}

fn time_since<G: Rig>(begun: Nanos, tester: &mut Tester<G>) -> Duration {
    Duration::from_nanos(tester.rig.engine().read_clock().0 - begun.0)
}

/// Tries until something takes less time than the timer that sends bytes which wait for more, after
/// 200 ms (tcp(7), `TCP_CORK`). A busy machine may take as long, but not each time.
fn expect_without_timer(attempt: impl FnMut() -> Duration) {
    let mut attempts = std::iter::repeat_with(attempt).take(10);
    assert!(attempts.any(|taken| taken < Duration::from_millis(150)), "bytes waited for a timer");
}

pub(crate) fn failed_send_close_does_not_close<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    tester.open_and_reset(SLOT);
    let span = Span { offset: 0, len: 100 };
    let sent = tester.push(Op::SendClose { slot: SLOT, spans: span.into() });
    let errno = tester.last(sent).expect_err("the connection is reset");
    assert!([libc::ECONNRESET, libc::EPIPE].contains(&errno.0), "{errno:?}");
    tester.expect_no_completion();
    tester.result(Op::Close { slot: SLOT }).expect("the slot is still open");
    assert_eq!(sent, Token::new(Kind::Send, 7, SLOT.0));
}
