//! How connections end, `Shutdown` and `Close`; deadlines, and a queue that is full.

use super::rig::{Needs, Read, Rig, Tester};
use std::collections::HashSet;
use std::time::Duration;
use uringstatic::bytes::Span;
use uringstatic::engine::{Engine, Errno, Full, Kind, Op, Slot, Token};

const SLOT: Slot = Slot(0);

pub(crate) fn a_shutdown_ends_the_sending_side_alone<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let peer = tester.connected(SLOT);
    let span = Span { offset: 0, len: 500 };
    let expected = tester.rig.ring().memory(None).fixed[span.range()].to_vec();
    let send = Op::Send { slot: SLOT, spans: span.into(), more: false, lazy: false };
    assert_eq!(tester.result(send), Ok(500));
    tester.result(Op::Shutdown { slot: SLOT }).expect("it is connected");
    tester.reads_to_the_end(peer, &expected);
    tester.rig.write(peer, b"still");
    let receive = tester.push(Op::Recv { slot: SLOT });
    let received = tester.next(receive);
    assert_eq!(tester.take(received), b"still");
    assert_eq!(tester.result(send), Err(Errno(libc::EPIPE)));
}

pub(crate) fn a_shutdown_of_a_broken_connection_completes<G: Rig>(
    make: impl Fn(Needs) -> Tester<G>,
) {
    let mut tester = make(Needs::default());
    tester.broken(SLOT);
    assert_eq!(tester.result(Op::Shutdown { slot: SLOT }), Err(Errno(libc::ENOTCONN)));
}

pub(crate) fn a_close_frees_the_slot<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let first = tester.connected(SLOT);
    tester.result(Op::Close { slot: SLOT }).expect("nothing is in flight");
    tester.reads_to_the_end(first, b"");
    let second = tester.connected(SLOT);
    assert_eq!(tester.rig.read(second), Read::Nothing);
    tester.rig.write(second, b"mine");
    let receive = tester.push(Op::Recv { slot: SLOT });
    let received = tester.next(receive);
    assert_eq!(tester.take(received), b"mine");
}

pub(crate) fn a_deadline_ends_a_wait<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let until = tester.rig.ring().now().plus(Duration::from_millis(5));
    while tester.rig.ring().now() < until {
        tester.rig.ring().submit_and_wait(Some(until)).expect("the ring is usable");
        assert_eq!(tester.rig.ring().pop(), None);
    }
    tester.rig.connect(0);
    let watch = tester.push(Op::Watch { listener: 0 });
    let now = tester.rig.ring().now();
    tester.wait(Some(now));
    tester.last(watch).expect("it was submitted though no time was left");
}

pub(crate) fn a_full_queue_loses_nothing<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let target = Token::new(Kind::Recv, 0, 0);
    let mut waiting = HashSet::new();
    for number in 0..3000 {
        let token = Token::new(Kind::Cancel, number, 0);
        while tester.rig.ring().push(token, Op::Cancel { target }) == Err(Full) {
            assert_ne!(number, 0, "an empty queue is not full");
            tester.wait(None);
        }
        waiting.insert(token);
    }
    for token in waiting {
        assert_eq!(tester.last(token), Err(Errno(libc::ENOENT)));
    }
    tester.nothing_completes();
}

pub(crate) fn time_goes_on<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let (start, seconds) = (tester.rig.ring().now(), tester.rig.ring().unix_seconds());
    let until = start.plus(Duration::from_millis(1050));
    while tester.rig.ring().now() < until {
        tester.wait(Some(until));
    }
    assert!(tester.rig.ring().unix_seconds() > seconds);
    let now = tester.rig.ring().now();
    assert!(now < start.plus(Duration::from_secs(5)), "{now:?}");
}
