//! Rules of `Shutdown` and `Close`, of deadlines, of a full submission queue and of the clocks.

use super::rig::{Needs, Read, Rig, Tester};
use std::collections::HashSet;
use std::time::Duration;
use uringstatic::bytes::Span;
use uringstatic::engine::{Engine, Errno, Full, Kind, Op, Slot, Token};

const SLOT: Slot = Slot(0);

pub(crate) fn shutdown_ends_only_the_sending_side<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let peer = tester.connected(SLOT);
    let span = Span { offset: 0, len: 500 };
    let expected = tester.rig.engine().memory(None).fixed[span.range()].to_vec();
    let send = Op::Send { slot: SLOT, payload: span.into(), more: false, lazy: false };
    assert_eq!(tester.result(send), Ok(500));
    tester.result(Op::Shutdown { slot: SLOT }).expect("it is connected");
    tester.expect_stream(peer, &expected);
    tester.rig.write(peer, b"still");
    let receive = tester.push(Op::Recv { slot: SLOT });
    let received = tester.next(receive);
    assert_eq!(tester.take(received), b"still");
    assert_eq!(tester.result(send), Err(Errno(libc::EPIPE)));
}

pub(crate) fn shutdown_of_a_reset_connection_completes<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    tester.open_and_reset(SLOT);
    assert_eq!(tester.result(Op::Shutdown { slot: SLOT }), Err(Errno(libc::ENOTCONN)));
}

pub(crate) fn close_frees_the_slot<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let first = tester.connected(SLOT);
    tester.result(Op::Close { slot: SLOT }).expect("no operation is in flight");
    tester.expect_stream(first, b"");
    let second = tester.connected(SLOT);
    assert_eq!(tester.rig.read(second), Read::Nothing);
    tester.rig.write(second, b"mine");
    let receive = tester.push(Op::Recv { slot: SLOT });
    let received = tester.next(receive);
    assert_eq!(tester.take(received), b"mine");
}

pub(crate) fn deadline_ends_a_wait<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let until = tester.rig.engine().now().plus(Duration::from_millis(5));
    while tester.rig.engine().now() < until {
        tester.rig.engine().submit_and_wait(Some(until)).expect("the engine is usable");
        assert_eq!(tester.rig.engine().pop(), None);
    }
    tester.rig.connect(0);
    let watch = tester.push(Op::Watch { listener: 0 });
    let now = tester.rig.engine().now();
    tester.wait(Some(now));
    tester.last(watch).expect("a passed deadline still submits");
}

pub(crate) fn full_queue_loses_no_entry<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let target = Token::new(Kind::Recv, 0, 0);
    let mut waiting = HashSet::new();
    for number in 0..3000 {
        let token = Token::new(Kind::Cancel, number, 0);
        while tester.rig.engine().push(token, Op::Cancel { target }) == Err(Full) {
            assert_ne!(number, 0, "an empty queue has room");
            tester.wait(None);
        }
        waiting.insert(token);
    }
    for token in waiting {
        assert_eq!(tester.last(token), Err(Errno(libc::ENOENT)));
    }
    tester.expect_no_completion();
}

pub(crate) fn clocks_advance<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let (start, seconds) = (tester.rig.engine().now(), tester.rig.engine().unix_seconds());
    let until = start.plus(Duration::from_millis(1050));
    while tester.rig.engine().now() < until {
        tester.wait(Some(until));
    }
    assert!(tester.rig.engine().unix_seconds() > seconds);
    let now = tester.rig.engine().now();
    assert!(now < start.plus(Duration::from_secs(5)), "{now:?}");
}
