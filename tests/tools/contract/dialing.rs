//! Rules of `Connect`.

use super::rig::{Needs, Read, Rig, Tester};
use uringstatic::bytes::Span;
use uringstatic::engine::{Errno, Op, Slot};

const SLOT: Slot = Slot(2);

pub(crate) fn connect_reaches_a_listener<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let (result, peer) = tester.connect(SLOT);
    result.expect("the target listens");
    let peer = peer.expect("the target accepts it");
    let span = Span { offset: 0, len: 5 };
    assert_eq!(
        tester.result(Op::Send { slot: SLOT, spans: span.into(), more: false, lazy: false }),
        Ok(5)
    );
    assert_eq!(tester.read(peer, 5).0.len(), 5);
    tester.rig.write(peer, b"back");
    let receive = tester.push(Op::Recv { slot: SLOT });
    let received = tester.next(receive);
    assert_eq!(tester.take(received), b"back");
}

pub(crate) fn connect_without_a_listener_is_refused<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    tester.rig.stop_answering();
    let (result, _) = tester.connect(SLOT);
    assert_eq!(result, Err(Errno(libc::ECONNREFUSED)));
    tester.result(Op::Close { slot: SLOT }).expect("a failed connect leaves an open slot");
}

pub(crate) fn closed_slot_can_be_connected_again<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let (_, first) = tester.connect(SLOT);
    let first = first.expect("the target listens");
    tester.result(Op::Close { slot: SLOT }).expect("no operation is in flight on it");
    assert_eq!(tester.read(first, 1), (Vec::new(), Read::End));
    let (result, second) = tester.connect(SLOT);
    result.expect("the target listens");
    tester.rig.finish(second.expect("the target listens"));
    assert_eq!(tester.result(Op::Recv { slot: SLOT }), Ok(0));
}
