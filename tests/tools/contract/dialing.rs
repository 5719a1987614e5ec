//! Rules of `Connect`.

use super::kernel::Kernel;
use super::rig::{Needs, Read, Rig, Tester};
use uringstatic::bytes::Span;
use uringstatic::engine::kernel::KernelEngine;
use uringstatic::engine::{Errno, Op, Slot};

const SLOT: Slot = Slot(2);

pub(crate) fn connect_reaches_a_listener<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    let mut tester = make(Needs::default());
    let (result, peer) = tester.connect(SLOT);
    result.expect("the target listens");
    let peer = peer.expect("the target accepts it");
    let span = Span { offset: 0, len: 5 };
    assert_eq!(
        tester.result(Op::Send { slot: SLOT, payload: span.into(), more: false, lazy: false }),
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

pub(crate) fn discard_after_connect_takes_at_most_its_length<G: Rig>(
    make: impl Fn(Needs) -> Tester<G>,
) {
    let mut tester = make(Needs::default());
    let peer = tester.connect(SLOT).1.expect("the target listens");
    tester.rig.write(peer, b"dropped and kept");
    tester.let_time_pass();
    let mut left = 8;
    while left > 0 {
        let discarded = tester.result(Op::Discard { slot: SLOT, len: left });
        left = left.checked_sub(discarded.expect("bytes have arrived")).expect("at most `len`");
    }
    let mut kept = Vec::new();
    while kept.len() < 8 {
        let receive = tester.push(Op::Recv { slot: SLOT });
        let received = tester.next(receive);
        kept.extend(tester.take(received));
    }
    assert_eq!(kept, b"and kept");
    tester.rig.finish(peer);
    assert_eq!(tester.result(Op::Discard { slot: SLOT, len: 8 }), Ok(0));
}

/// connect(2): a Unix socket's full backlog refuses a connection that doesn't wait. A blocking
/// connect would wait for room instead.
pub(crate) fn full_backlog_of_a_unix_socket_gets_eagain<E: KernelEngine>(kernel: Kernel<E>) {
    let mut tester = Tester::new(kernel);
    tester.rig.limit_backlog();
    assert_eq!(tester.result(Op::Connect { slot: Slot(0), source: 0 }), Ok(0));
    let second = Op::Connect { slot: Slot(1), source: 0 };
    assert_eq!(tester.result(second), Err(Errno(libc::EAGAIN)));
    tester.result(Op::Close { slot: Slot(1) }).expect("a failed connect leaves an open slot");
    tester.rig.answer().expect("the first connection is in the backlog");
    assert_eq!(tester.result(second), Ok(0));
}

pub(crate) fn missing_file_of_a_unix_socket_gets_enoent<E: KernelEngine>(kernel: Kernel<E>) {
    let mut tester = Tester::new(kernel);
    tester.rig.remove_target();
    let connect = Op::Connect { slot: SLOT, source: 0 };
    assert_eq!(tester.result(connect), Err(Errno(libc::ENOENT)));
    tester.result(Op::Close { slot: SLOT }).expect("a failed connect leaves an open slot");
}
