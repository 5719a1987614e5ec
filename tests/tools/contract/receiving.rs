//! Rules of `Recv`, `RecvMany`, `Discard`, of the receive buffers, and of `Cancel`.

use super::rig::{Needs, Rig, Tester, fixed_bytes};
use uringstatic::engine::{Engine, Errno, Kind, Op, Slot, Token};

const SLOT: Slot = Slot(1);

pub(crate) fn receive_waits_and_completes_once<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let peer = tester.connected(SLOT);
    let receive = tester.push(Op::Recv { slot: SLOT });
    tester.expect_no_completion();
    tester.rig.write(peer, b"one");
    let received = tester.next(receive);
    assert!(!received.more);
    assert_eq!(tester.take(received), b"one");
    tester.rig.write(peer, b"two");
    tester.expect_no_completion();
    let receive = tester.push(Op::Recv { slot: SLOT });
    let received = tester.next(receive);
    assert_eq!(tester.take(received), b"two");
    tester.rig.finish(peer);
    assert_eq!(tester.result(Op::Recv { slot: SLOT }), Ok(0));
}

pub(crate) fn multishot_receive_continues_to_the_end<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let peer = tester.connected(SLOT);
    let receive = tester.push(Op::RecvMany { slot: SLOT });
    for bytes in [&b"one"[..], b"two", b"three"] {
        tester.expect_no_completion();
        tester.rig.write(peer, bytes);
        let mut received_bytes = Vec::new();
        while received_bytes.len() < bytes.len() {
            let received = tester.next(receive);
            assert!(received.more, "{received:?}");
            received_bytes.extend(tester.take(received));
        }
        assert_eq!(received_bytes, bytes);
    }
    tester.rig.finish(peer);
    assert_eq!(tester.last(receive), Ok(0));
    tester.expect_no_completion();
}

pub(crate) fn multishot_receive_ends_with_a_reset<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    tester.open_and_reset(SLOT);
    let receive = tester.push(Op::RecvMany { slot: SLOT });
    assert_eq!(tester.last(receive), Err(Errno(libc::ECONNRESET)));
}

pub(crate) fn long_stream_arrives_in_order<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs { buffers: 8, buffer_bytes: 64, ..Needs::default() });
    let peer = tester.connected(SLOT);
    let sent = fixed_bytes(10_000);
    let mut receive = tester.push(Op::RecvMany { slot: SLOT });
    for piece in sent.chunks(1000) {
        tester.rig.write(peer, piece);
    }
    tester.rig.finish(peer);
    let mut received_bytes = Vec::new();
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
        received_bytes.extend(tester.take(received));
        if !received.more {
            receive = tester.push(Op::RecvMany { slot: SLOT });
        }
    }
    assert!(received_bytes == sent, "{} of {} bytes arrived", received_bytes.len(), sent.len());
}

pub(crate) fn receive_without_buffers_gets_enobufs<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs { buffers: 2, buffer_bytes: 64, ..Needs::default() });
    let peer = tester.connected(SLOT);
    let sent = fixed_bytes(300);
    let receive = tester.push(Op::RecvMany { slot: SLOT });
    tester.rig.write(peer, &sent);
    let mut received_bytes = Vec::new();
    let mut held = Vec::new();
    loop {
        let received = tester.next(receive);
        if received.buffer.is_none() {
            assert_eq!(received.result, Err(Errno(libc::ENOBUFS)));
            assert!(!received.more);
            break;
        }
        let (bytes, buffer) = tester.bytes(received);
        received_bytes.extend(bytes);
        held.push(buffer);
    }
    assert_eq!(held.len(), 2, "every buffer is used");
    assert_eq!(tester.result(Op::Recv { slot: SLOT }), Err(Errno(libc::ENOBUFS)));

    for buffer in held {
        tester.rig.engine().give_back(buffer);
    }
    while received_bytes.len() < sent.len() {
        let receive = tester.push(Op::Recv { slot: SLOT });
        let received = tester.next(receive);
        received_bytes.extend(tester.take(received));
    }
    assert_eq!(received_bytes, sent);
}

pub(crate) fn cancelled_receive_gets_ecanceled<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let peer = tester.connected(SLOT);
    for op in [Op::Recv { slot: SLOT }, Op::RecvMany { slot: SLOT }] {
        let receive = tester.push(op);
        tester.expect_no_completion();
        assert_eq!(tester.result(Op::Cancel { target: receive }), Ok(0));
        assert_eq!(tester.last(receive), Err(Errno(libc::ECANCELED)));
    }
    tester.rig.write(peer, b"later");
    tester.expect_no_completion();
    let receive = tester.push(Op::Recv { slot: SLOT });
    let received = tester.next(receive);
    assert_eq!(tester.take(received), b"later");
}

pub(crate) fn cancel_loses_no_received_bytes<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let peer = tester.connected(SLOT);
    let receive = tester.push(Op::RecvMany { slot: SLOT });
    tester.expect_no_completion();
    tester.rig.write(peer, b"first");
    let cancel = tester.push(Op::Cancel { target: receive });
    let mut received_bytes = Vec::new();
    let last = loop {
        let received = tester.next(receive);
        if received.buffer.is_some() {
            received_bytes.extend(tester.take(received));
        }
        if !received.more {
            break received;
        }
    };
    assert!(tester.last(cancel).is_ok() || last.result.is_ok());
    if received_bytes.is_empty() {
        let receive = tester.push(Op::Recv { slot: SLOT });
        let received = tester.next(receive);
        received_bytes.extend(tester.take(received));
    }
    assert_eq!(received_bytes, b"first", "a cancel loses no bytes");
}

pub(crate) fn cancel_without_a_target_gets_enoent<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    tester.connected(SLOT);
    let target = Token::new(Kind::Recv, 7, SLOT.0);
    assert_eq!(tester.result(Op::Cancel { target }), Err(Errno(libc::ENOENT)));
}

pub(crate) fn discard_takes_at_most_its_length<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let peer = tester.connected(SLOT);
    tester.rig.write(peer, b"dropped and kept");
    let mut left = 8;
    while left > 0 {
        let discard = tester.push(Op::Discard { slot: SLOT, len: left });
        let count = tester.last(discard).expect("bytes have arrived");
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

pub(crate) fn discard_waits_and_reports_the_end<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let peer = tester.connected(SLOT);
    let discard = tester.push(Op::Discard { slot: SLOT, len: 100 });
    tester.expect_no_completion();
    tester.rig.write(peer, b"x");
    assert_eq!(tester.last(discard), Ok(1));
    tester.rig.finish(peer);
    assert_eq!(tester.result(Op::Discard { slot: SLOT, len: 100 }), Ok(0));
}

pub(crate) fn discard_reports_a_reset<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    tester.open_and_reset(SLOT);
    let result = tester.result(Op::Discard { slot: SLOT, len: 100 });
    assert_eq!(result, Err(Errno(libc::ECONNRESET)));
}
