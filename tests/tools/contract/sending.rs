//! How bytes go: `Send`, `SendClose`, `Writable`.

use super::rig::{Needs, Read, Rig, Tester};
use uringstatic::bytes::{Span, Spans};
use uringstatic::engine::{Engine, Errno, Kind, Op, Slot, Token};

const SLOT: Slot = Slot(3);

fn send(span: Span) -> Op {
    Op::Send { slot: SLOT, spans: span.into(), more: false, lazy: false }
}

fn whole<G: Rig>() -> Span {
    Span { offset: 0, len: u64::from(G::LARGE) }
}

/// The bytes of a span.
fn bytes_of<G: Rig>(tester: &mut Tester<G>, span: Span) -> Vec<u8> {
    tester.rig.ring().memory(None).fixed[span.range()].to_vec()
}

/// Sends until the connection takes no more; says how much it took.
fn fill<G: Rig>(tester: &mut Tester<G>) -> u64 {
    let mut left = whole::<G>();
    loop {
        match tester.result(send(left)) {
            Ok(count) => {
                assert!(0 < count && u64::from(count) < left.len, "{count} of {left:?} found room");
                left = left.after(u64::from(count));
            }
            Err(errno) => {
                assert_eq!(errno, Errno(libc::EAGAIN));
                return left.offset;
            }
        }
    }
}

pub(crate) fn a_send_arrives_whole<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let peer = tester.connected(SLOT);
    let span = Span { offset: 100, len: 5000 };
    assert_eq!(tester.result(send(span)), Ok(5000));
    let expected = bytes_of(&mut tester, span);
    assert_eq!(tester.read(peer, 5000).0, expected);
    tester.nothing_completes();
}

pub(crate) fn spans_arrive_in_order<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let peer = tester.connected(SLOT);
    let spans = [(40, 10), (0, 700), (9000, 1)].map(|(offset, len)| Span { offset, len });
    let mut expected = Vec::new();
    for (span, more) in spans.into_iter().zip([true, true, false]) {
        let op = Op::Send { slot: SLOT, spans: span.into(), more, lazy: false };
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
        let whole = Op::Send { slot: SLOT, spans, more: false, lazy: false };
        assert_eq!(
            tester.result(whole),
            Ok(u32::try_from(spans.len()).expect("small")),
            "{spans:?}"
        );
        assert_eq!(tester.read(peer, expected.len()).0, expected);
        let sent = tester.push(Op::SendClose { slot: SLOT, spans });
        tester.last(sent.with_kind(Kind::Close)).expect("all was taken");
        tester.reads_to_the_end(peer, &expected);
    }
}

pub(crate) fn two_spans_can_be_cut_anywhere<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    for first in [1, 1000, G::LARGE - 1] {
        let mut tester = make(Needs::default());
        let peer = tester.connected(SLOT);
        let spans = Spans {
            first: Span { offset: 0, len: u64::from(first) },
            then: Span { offset: u64::from(first), len: u64::from(G::LARGE - first) },
        };
        let sent = tester.push(Op::SendClose { slot: SLOT, spans });
        let count = tester.last(sent).expect("some found room");
        assert!(0 < count && count < G::LARGE, "{count} found room");
        tester.nothing_completes();
        let expected = bytes_of(&mut tester, Span { offset: 0, len: u64::from(count) });
        assert!(tester.read(peer, count as usize).0 == expected, "what was taken has come");
    }
}

pub(crate) fn a_lazy_send_ends_no_wait<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let peer = tester.connected(SLOT);
    let receive = tester.push(Op::RecvMany { slot: SLOT });
    tester.nothing_completes();
    let (first, then) = (Span { offset: 5, len: 100 }, Span { offset: 900, len: 200 });
    let spans = Spans { first, then };
    let sent = tester.push(Op::Send { slot: SLOT, spans, more: false, lazy: true });
    let expected = [bytes_of(&mut tester, first), bytes_of(&mut tester, then)].concat();
    assert_eq!(tester.read(peer, 300).0, expected, "it is sent though nobody waits for it");
    tester.rig.write(peer, b"next");
    let received = tester.next(receive);
    assert_eq!(tester.take(received), b"next");
    assert!(tester.has(sent), "it comes at the latest with what ends the next wait");
    assert_eq!(tester.last(sent), Ok(300));
}

pub(crate) fn a_send_takes_what_there_is_room_for<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let peer = tester.connected(SLOT);
    let taken = fill(&mut tester);
    assert!(taken > 0 && taken < u64::from(G::LARGE));
    let writable = tester.push(Op::Writable { slot: SLOT });
    tester.nothing_completes();
    let expected = bytes_of(&mut tester, whole::<G>());
    let (mut read, _) = tester.read(peer, usize::try_from(taken).expect("it fits the buffer"));
    tester.last(writable).expect("there is room again");
    let mut left = whole::<G>().after(taken);
    while left.len > 0 {
        match tester.result(send(left)) {
            Ok(count) => left = left.after(u64::from(count)),
            Err(errno) => {
                assert_eq!(errno, Errno(libc::EAGAIN));
                let writable = tester.push(Op::Writable { slot: SLOT });
                let unread = usize::try_from(left.offset).expect("a small buffer") - read.len();
                read.extend(tester.read(peer, unread).0);
                tester.last(writable).expect("there is room again");
            }
        }
    }
    read.extend(tester.read(peer, expected.len() - read.len()).0);
    assert!(read == expected, "every byte came once and in order");
}

pub(crate) fn a_wait_for_room_can_be_cancelled<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    tester.connected(SLOT);
    fill(&mut tester);
    let writable = tester.push(Op::Writable { slot: SLOT });
    tester.nothing_completes();
    assert_eq!(tester.result(Op::Cancel { target: writable }), Ok(0));
    assert_eq!(tester.last(writable), Err(Errno(libc::ECANCELED)));
}

pub(crate) fn a_send_to_a_broken_connection_fails<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    tester.broken(SLOT);
    let errno = tester.result(send(Span { offset: 0, len: 100 })).expect_err("it is broken");
    assert!([libc::ECONNRESET, libc::EPIPE].contains(&errno.0), "{errno:?}");
}

pub(crate) fn a_wait_for_room_ends_when_it_breaks<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let peer = tester.connected(SLOT);
    fill(&mut tester);
    let writable = tester.push(Op::Writable { slot: SLOT });
    tester.nothing_completes();
    tester.rig.reset(peer);
    let _ = tester.last(writable);
}

pub(crate) fn send_close_closes<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    for round in 0..3 {
        let peer = tester.connected(SLOT);
        let span = Span { offset: round * 50, len: 6000 };
        let sent = tester.push(Op::SendClose { slot: SLOT, spans: span.into() });
        tester.last(sent.with_kind(Kind::Close)).expect("all was taken");
        let expected = bytes_of(&mut tester, span);
        tester.reads_to_the_end(peer, &expected);
        tester.nothing_completes();
    }
}

pub(crate) fn send_close_without_room_does_not_close<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let peer = tester.connected(SLOT);
    let sent = tester.push(Op::SendClose { slot: SLOT, spans: whole::<G>().into() });
    let count = tester.last(sent).expect("some found room");
    assert!(0 < count && count < G::LARGE, "{count} found room");
    tester.nothing_completes();
    let (read, last) = tester.read(peer, count as usize);
    assert_eq!(last, Read::Nothing, "it is not closed");
    let expected = bytes_of(&mut tester, Span { offset: 0, len: u64::from(count) });
    assert!(read == expected, "what was taken has come");

    let rest = Span { offset: 7, len: 1000 };
    let sent = tester.push(Op::SendClose { slot: SLOT, spans: rest.into() });
    tester.last(sent.with_kind(Kind::Close)).expect("there is room again");
    let expected = bytes_of(&mut tester, rest);
    tester.reads_to_the_end(peer, &expected);
}

pub(crate) fn send_close_on_a_broken_connection_does_not_close<G: Rig>(
    make: impl Fn(Needs) -> Tester<G>,
) {
    let mut tester = make(Needs::default());
    tester.broken(SLOT);
    let span = Span { offset: 0, len: 100 };
    let sent = tester.push(Op::SendClose { slot: SLOT, spans: span.into() });
    let errno = tester.last(sent).expect_err("it is broken");
    assert!([libc::ECONNRESET, libc::EPIPE].contains(&errno.0), "{errno:?}");
    tester.nothing_completes();
    tester.result(Op::Close { slot: SLOT }).expect("the slot was still open");
    assert_eq!(sent, Token::new(Kind::Send, 7, SLOT.0));
}
