//! How connections get in: `Accept`, `Watch`, and the end of both.

use super::rig::{Needs, Read, Rig, Tester};
use uringstatic::engine::{Engine, Errno, Op, Slot};

pub(crate) fn an_accept_waits_and_fills_its_slot<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let slot = Slot(2);
    let accept = tester.push(Op::Accept { listener: 1, slot });
    tester.nothing_completes();
    let peer = tester.rig.connect(1);
    tester.last(accept).expect("somebody connected");
    tester.rig.write(peer, b"here");
    let receive = tester.push(Op::Recv { slot });
    let received = tester.next(receive);
    assert_eq!(tester.take(received), b"here");
}

pub(crate) fn of_several_accepts_each_takes_one<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let accepts = [0, 1, 2].map(|slot| tester.push(Op::Accept { listener: 0, slot: Slot(slot) }));
    tester.nothing_completes();
    for connected in 1..=accepts.len() {
        tester.rig.connect(0);
        tester.pass();
        let done = accepts.iter().filter(|&&accept| tester.has(accept));
        assert_eq!(done.count(), connected, "one completes for each that connects");
    }
    for accept in accepts {
        tester.last(accept).expect("somebody connected");
    }
}

pub(crate) fn a_watch_waits_and_accepts_nothing<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let watch = tester.push(Op::Watch { listener: 0 });
    tester.nothing_completes();
    tester.rig.connect(0);
    tester.last(watch).expect("somebody waits");
    tester.rig.connect(0);
    tester.nothing_completes();
    tester.result(Op::Accept { listener: 0, slot: Slot(0) }).expect("the watch accepted nobody");
    tester.result(Op::Accept { listener: 0, slot: Slot(1) }).expect("nor the second");
}

pub(crate) fn a_watch_sees_who_waited_before<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    tester.rig.connect(1);
    tester.result(Op::Watch { listener: 1 }).expect("somebody waits");
}

pub(crate) fn a_cancelled_accept_leaves_who_comes<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let accept = tester.push(Op::Accept { listener: 0, slot: Slot(0) });
    tester.nothing_completes();
    assert_eq!(tester.result(Op::Cancel { target: accept }), Ok(0));
    assert_eq!(tester.last(accept), Err(Errno(libc::ECANCELED)));
    let peer = tester.rig.connect(0);
    tester.nothing_completes();
    assert_eq!(tester.rig.read(peer), Read::Nothing);
    tester.result(Op::Accept { listener: 0, slot: Slot(0) }).expect("it waits still");
}

pub(crate) fn a_cancelled_watch_says_so<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let watch = tester.push(Op::Watch { listener: 0 });
    tester.nothing_completes();
    assert_eq!(tester.result(Op::Cancel { target: watch }), Ok(0));
    assert_eq!(tester.last(watch), Err(Errno(libc::ECANCELED)));
    tester.rig.connect(0);
    tester.nothing_completes();
    tester.result(Op::Watch { listener: 0 }).expect("a connection is in the backlog");
}

pub(crate) fn a_listener_that_was_stopped_refuses<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let accept = tester.push(Op::Accept { listener: 0, slot: Slot(0) });
    let watch = tester.push(Op::Watch { listener: 0 });
    tester.nothing_completes();
    for target in [accept, watch] {
        assert_eq!(tester.result(Op::Cancel { target }), Ok(0));
        assert_eq!(tester.last(target), Err(Errno(libc::ECANCELED)));
    }
    assert_eq!(tester.rig.ring().stop_listening(0), Ok(()));
    tester.nothing_completes();
    assert!(tester.rig.refuses(0));

    let first = tester.rig.connect(1);
    tester.result(Op::Accept { listener: 1, slot: Slot(0) }).expect("the other one goes on");
    let waiting = tester.rig.connect(1);
    assert_eq!(tester.rig.ring().stop_listening(1), Ok(()));
    assert_eq!(tester.read(waiting, usize::MAX), (Vec::new(), Read::Reset));
    tester.rig.write(first, b"here");
    let receive = tester.push(Op::Recv { slot: Slot(0) });
    let received = tester.next(receive);
    assert_eq!(tester.take(received), b"here", "an accepted connection outlives its listener");
}
