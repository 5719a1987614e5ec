//! How bytes come: `Recv`, `RecvMany`, their buffers, and `Cancel`.

use super::rig::{Needs, Rig, Tester, fixed_bytes};
use uringstatic::engine::{Engine, Errno, Kind, Op, Slot, Token};

const SLOT: Slot = Slot(1);

pub(crate) fn a_receive_waits_and_completes_once<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let peer = tester.connected(SLOT);
    let receive = tester.push(Op::Recv { slot: SLOT });
    tester.nothing_completes();
    tester.rig.write(peer, b"one");
    let received = tester.next(receive);
    assert!(!received.more);
    assert_eq!(tester.take(received), b"one");
    tester.rig.write(peer, b"two");
    tester.nothing_completes();
    let receive = tester.push(Op::Recv { slot: SLOT });
    let received = tester.next(receive);
    assert_eq!(tester.take(received), b"two");
    tester.rig.finish(peer);
    assert_eq!(tester.result(Op::Recv { slot: SLOT }), Ok(0));
}

pub(crate) fn a_receive_of_many_goes_on_to_the_end<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let peer = tester.connected(SLOT);
    let receive = tester.push(Op::RecvMany { slot: SLOT });
    for bytes in [&b"one"[..], b"two", b"three"] {
        tester.nothing_completes();
        tester.rig.write(peer, bytes);
        let mut came = Vec::new();
        while came.len() < bytes.len() {
            let received = tester.next(receive);
            assert!(received.more, "{received:?}");
            came.extend(tester.take(received));
        }
        assert_eq!(came, bytes);
    }
    tester.rig.finish(peer);
    assert_eq!(tester.last(receive), Ok(0));
    tester.nothing_completes();
}

pub(crate) fn a_receive_of_many_is_ended_by_a_reset<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    tester.broken(SLOT);
    let receive = tester.push(Op::RecvMany { slot: SLOT });
    assert_eq!(tester.last(receive), Err(Errno(libc::ECONNRESET)));
}

pub(crate) fn a_long_run_comes_in_order<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs { buffers: 8, buffer_bytes: 64 });
    let peer = tester.connected(SLOT);
    let sent = fixed_bytes(10_000);
    let mut receive = tester.push(Op::RecvMany { slot: SLOT });
    for piece in sent.chunks(1000) {
        tester.rig.write(peer, piece);
    }
    tester.rig.finish(peer);
    let mut came = Vec::new();
    loop {
        let received = tester.next(receive);
        if received.result == Err(Errno(libc::ENOBUFS)) {
            receive = tester.push(Op::RecvMany { slot: SLOT });
            continue;
        }
        if received.result == Ok(0) {
            assert!(!received.more);
            break;
        }
        came.extend(tester.take(received));
        if !received.more {
            receive = tester.push(Op::RecvMany { slot: SLOT });
        }
    }
    assert!(came == sent, "{} bytes came of {}", came.len(), sent.len());
}

pub(crate) fn without_buffers_a_receive_ends<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs { buffers: 2, buffer_bytes: 64 });
    let peer = tester.connected(SLOT);
    let sent = fixed_bytes(300);
    let receive = tester.push(Op::RecvMany { slot: SLOT });
    tester.rig.write(peer, &sent);
    let mut came = Vec::new();
    let mut held = Vec::new();
    loop {
        let received = tester.next(receive);
        if received.buffer.is_none() {
            assert_eq!(received.result, Err(Errno(libc::ENOBUFS)));
            assert!(!received.more);
            break;
        }
        let (bytes, buffer) = tester.bytes(received);
        came.extend(bytes);
        held.push(buffer);
    }
    assert_eq!(held.len(), 2, "all buffers were used");
    assert_eq!(tester.result(Op::Recv { slot: SLOT }), Err(Errno(libc::ENOBUFS)));

    for buffer in held {
        tester.rig.ring().give_back(buffer);
    }
    while came.len() < sent.len() {
        let receive = tester.push(Op::Recv { slot: SLOT });
        let received = tester.next(receive);
        came.extend(tester.take(received));
    }
    assert_eq!(came, sent);
}

pub(crate) fn a_cancelled_receive_says_so<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let peer = tester.connected(SLOT);
    for op in [Op::Recv { slot: SLOT }, Op::RecvMany { slot: SLOT }] {
        let receive = tester.push(op);
        tester.nothing_completes();
        assert_eq!(tester.result(Op::Cancel { target: receive }), Ok(0));
        assert_eq!(tester.last(receive), Err(Errno(libc::ECANCELED)));
    }
    tester.rig.write(peer, b"later");
    tester.nothing_completes();
    let receive = tester.push(Op::Recv { slot: SLOT });
    let received = tester.next(receive);
    assert_eq!(tester.take(received), b"later");
}

pub(crate) fn what_had_arrived_may_come_before_the_cancel<G: Rig>(
    make: impl Fn(Needs) -> Tester<G>,
) {
    let mut tester = make(Needs::default());
    let peer = tester.connected(SLOT);
    let receive = tester.push(Op::RecvMany { slot: SLOT });
    tester.nothing_completes();
    tester.rig.write(peer, b"first");
    let cancel = tester.push(Op::Cancel { target: receive });
    let mut came = Vec::new();
    let last = loop {
        let received = tester.next(receive);
        if received.buffer.is_some() {
            came.extend(tester.take(received));
        }
        if !received.more {
            break received;
        }
    };
    assert!(tester.last(cancel).is_ok() || last.result.is_ok());
    if came.is_empty() {
        let receive = tester.push(Op::Recv { slot: SLOT });
        let received = tester.next(receive);
        came.extend(tester.take(received));
    }
    assert_eq!(came, b"first", "a cancel loses no bytes");
}

pub(crate) fn a_cancel_of_nothing_says_so<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    tester.connected(SLOT);
    let target = Token::new(Kind::Recv, 7, SLOT.0);
    assert_eq!(tester.result(Op::Cancel { target }), Err(Errno(libc::ENOENT)));
}

pub(crate) fn a_discard_takes_no_more_than_was_asked<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let peer = tester.connected(SLOT);
    tester.rig.write(peer, b"dropped and kept");
    let mut left = 8;
    while left > 0 {
        let discard = tester.push(Op::Discard { slot: SLOT, len: left });
        let count = tester.last(discard).expect("bytes have come");
        assert!((1..=left).contains(&count), "{count} of {left}");
        left -= count;
    }
    let mut kept = Vec::new();
    while kept.len() < 8 {
        let receive = tester.push(Op::Recv { slot: SLOT });
        let received = tester.next(receive);
        kept.extend(tester.take(received));
    }
    assert_eq!(kept, b"and kept");
}

pub(crate) fn a_discard_waits_and_sees_the_end<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let peer = tester.connected(SLOT);
    let discard = tester.push(Op::Discard { slot: SLOT, len: 100 });
    tester.nothing_completes();
    tester.rig.write(peer, b"x");
    assert_eq!(tester.last(discard), Ok(1));
    tester.rig.finish(peer);
    assert_eq!(tester.result(Op::Discard { slot: SLOT, len: 100 }), Ok(0));
}

pub(crate) fn a_discard_sees_a_reset<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    tester.broken(SLOT);
    let result = tester.result(Op::Discard { slot: SLOT, len: 100 });
    assert_eq!(result, Err(Errno(libc::ECONNRESET)));
}
