//! Rules of `Accept`, `Watch`, their cancellation, and `stop_listening`.

use super::rig::{Needs, Peer, Read, Rig, Tester};
use uringstatic::engine::{Engine, Errno, Op, Slot};
use uringstatic::peer_address::PeerAddress;

pub(crate) fn accept_waits_and_opens_its_slot<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let slot = Slot(2);
    let accept = tester.push(Op::Accept { listener: 1, slot });
    tester.expect_no_completion();
    let peer = tester.rig.connect(1);
    tester.last(accept).expect("a peer has connected");
    tester.rig.write(peer, b"here");
    let receive = tester.push(Op::Recv { slot });
    let received = tester.next(receive);
    assert_eq!(tester.take(received), b"here");
}

pub(crate) fn each_accept_takes_one_connection<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let accepts = [0, 1, 2].map(|slot| tester.push(Op::Accept { listener: 0, slot: Slot(slot) }));
    tester.expect_no_completion();
    for connected in 1..=accepts.len() {
        tester.rig.connect(0);
        tester.let_time_pass();
        let done = accepts.iter().filter(|&&accept| tester.has(accept));
        assert_eq!(done.count(), connected, "one accept completes for each connection");
    }
    for accept in accepts {
        tester.last(accept).expect("a peer has connected");
    }
}

pub(crate) fn each_accept_has_the_address_of_its_peer<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::peers());
    // In flight together: an engine with one place for all addresses would mix them up.
    let accept = |slot| Op::Accept { listener: 0, slot: Slot(slot) };
    let mut waiting = Vec::from([0, 1, 2].map(|slot| (Slot(slot), tester.push(accept(slot)))));
    tester.expect_no_completion();
    let mut opened = Vec::new();
    while !waiting.is_empty() {
        let peer = tester.rig.connect(0);
        tester.let_time_pass();
        let place = waiting.iter().position(|&(_, accept)| tester.has(accept));
        let (slot, accept) = waiting.remove(place.expect("one accept has completed"));
        tester.last(accept).expect("a peer has connected");
        opened.push((slot, peer));
    }
    for (slot, peer) in opened {
        expect_address(&mut tester, slot, peer);
    }
}

pub(crate) fn reused_slot_has_the_address_of_its_last_peer<G: Rig>(
    make: impl Fn(Needs) -> Tester<G>,
) {
    let mut tester = make(Needs::peers());
    let slot = Slot(3);
    let accept = Op::Accept { listener: 1, slot };
    let cancelled = tester.push(accept);
    tester.expect_no_completion();
    assert_eq!(tester.result(Op::Cancel { target: cancelled }), Ok(0));
    assert_eq!(tester.last(cancelled), Err(Errno(libc::ECANCELED)));
    for _ in 0..3 {
        let peer = tester.rig.connect(1);
        tester.result(accept).expect("a connection is in the accept queue");
        expect_address(&mut tester, slot, peer);
        tester.result(Op::Close { slot }).expect("the slot is open");
    }
}

pub(crate) fn peers_are_unknown_unless_they_are_wanted<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    tester.connected(Slot(0));
    assert_eq!(tester.rig.engine().peer(Slot(0)), PeerAddress::Unknown);
}

/// Accepts on an engine of the test's own.
pub(crate) fn accept_has_the_address_of_its_peer(
    rig: impl Rig,
    is_expected: fn(PeerAddress) -> bool,
) {
    let mut tester = Tester::new(rig);
    let peer = tester.connected(Slot(1));
    expect_address(&mut tester, Slot(1), peer);
    let found = tester.rig.engine().peer(Slot(1));
    assert!(is_expected(found), "{found:?}");
}

fn expect_address<G: Rig>(tester: &mut Tester<G>, slot: Slot, peer: Peer) {
    let expected = tester.rig.address(peer);
    assert_eq!(tester.rig.engine().peer(slot), expected, "{slot:?}");
}

pub(crate) fn watch_waits_and_accepts_nothing<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let watch = tester.push(Op::Watch { listener: 0 });
    tester.expect_no_completion();
    tester.rig.connect(0);
    tester.last(watch).expect("a connection is in the accept queue");
    tester.rig.connect(0);
    tester.expect_no_completion();
    tester.result(Op::Accept { listener: 0, slot: Slot(0) }).expect("the watch accepted nothing");
    tester.result(Op::Accept { listener: 0, slot: Slot(1) }).expect("nor the second connection");
}

pub(crate) fn watch_reports_an_earlier_connection<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    tester.rig.connect(1);
    tester.result(Op::Watch { listener: 1 }).expect("a connection is in the accept queue");
}

pub(crate) fn cancelled_accept_takes_no_connection<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let accept = tester.push(Op::Accept { listener: 0, slot: Slot(0) });
    tester.expect_no_completion();
    assert_eq!(tester.result(Op::Cancel { target: accept }), Ok(0));
    assert_eq!(tester.last(accept), Err(Errno(libc::ECANCELED)));
    let peer = tester.rig.connect(0);
    tester.expect_no_completion();
    assert_eq!(tester.rig.read(peer), Read::Nothing);
    tester
        .result(Op::Accept { listener: 0, slot: Slot(0) })
        .expect("the connection is still in the accept queue");
}

pub(crate) fn accept_pushed_with_its_cancel_tries_once<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let try_once = |tester: &mut Tester<G>| {
        let accept = tester.push(Op::Accept { listener: 0, slot: Slot(0) });
        let cancel = tester.push(Op::Cancel { target: accept });
        let _found_or_not = tester.last(cancel);
        tester.last(accept)
    };
    assert_eq!(try_once(&mut tester), Err(Errno(libc::ECANCELED)), "it doesn't wait");
    tester.rig.connect(0);
    try_once(&mut tester).expect("a connection is in the accept queue");
}

pub(crate) fn cancelled_watch_gets_ecanceled<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let watch = tester.push(Op::Watch { listener: 0 });
    tester.expect_no_completion();
    assert_eq!(tester.result(Op::Cancel { target: watch }), Ok(0));
    assert_eq!(tester.last(watch), Err(Errno(libc::ECANCELED)));
    tester.rig.connect(0);
    tester.expect_no_completion();
    tester.result(Op::Watch { listener: 0 }).expect("a connection is in the accept queue");
}

pub(crate) fn stopped_listener_refuses_and_resets<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let accept = tester.push(Op::Accept { listener: 0, slot: Slot(0) });
    let watch = tester.push(Op::Watch { listener: 0 });
    tester.expect_no_completion();
    for target in [accept, watch] {
        assert_eq!(tester.result(Op::Cancel { target }), Ok(0));
        assert_eq!(tester.last(target), Err(Errno(libc::ECANCELED)));
    }
    assert_eq!(tester.rig.engine().stop_listening(0), Ok(()));
    tester.expect_no_completion();
    assert!(tester.rig.refuses(0));

    let first = tester.rig.connect(1);
    tester.result(Op::Accept { listener: 1, slot: Slot(0) }).expect("the other listener is open");
    let waiting = tester.rig.connect(1);
    assert_eq!(tester.rig.engine().stop_listening(1), Ok(()));
    assert_eq!(tester.read(waiting, usize::MAX), (Vec::new(), Read::Reset));
    tester.rig.write(first, b"here");
    let receive = tester.push(Op::Recv { slot: Slot(0) });
    let received = tester.next(receive);
    assert_eq!(tester.take(received), b"here", "an accepted connection outlives its listener");
}
