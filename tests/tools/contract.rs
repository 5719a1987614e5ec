//! One suite for all engines: the rules of [`uringstatic::engine::Engine`], checked on the
//! simulated engine, on epoll, and on `io_uring` with each set of features. A failure names engine
//! and rule.

mod dialing;
mod ending;
mod kernel;
mod listening;
mod receiving;
mod rig;
mod sending;
mod shared;
mod simulated;

use crate::common::TemporaryFile;
use kernel::{Kernel, Target};
use rig::{Needs, Rig, Tester};
use simulated::Simulated;
use std::net::Ipv6Addr;
use uringstatic::engine::epoll::Epoll;
use uringstatic::engine::kernel::KernelEngine;
use uringstatic::engine::uring::probe::{Features, TaskRun};
use uringstatic::engine::{Op, Slot};
use uringstatic::os::net::Endpoint;
use uringstatic::peer_address::PeerAddress;

/// Names the engine and the rule if the rule panics.
struct CheckedRule<'a> {
    engine: &'a str,
    rule: &'a str,
}

impl Drop for CheckedRule<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the engine \"{}\" breaks the rule {}", self.engine, self.rule);
        }
    }
}

/// Checks rules, each on an engine of its own.
macro_rules! check_rules {
    ($engine:expr, $make:expr, [$($rule:path),* $(,)?]) => {
        $({
            let _checked = CheckedRule { engine: $engine, rule: stringify!($rule) };
            $rule($make);
        })*
    };
}

/// All rules.
fn suite<G: Rig>(engine: &str, make: impl Fn(Needs) -> Tester<G>) {
    client_suite(engine, &make);
    suite_of_accepting(engine, make);
}

/// All rules but those of connecting.
fn suite_of_accepting<G: Rig>(engine: &str, make: impl Fn(Needs) -> Tester<G>) {
    check_rules!(
        engine,
        &make,
        [
            receiving::discard_takes_at_most_its_length,
            receiving::discard_waits_and_reports_the_end,
            receiving::discard_reports_a_reset,
        ]
    );
    server_suite(engine, make);
}

/// The rules of connecting.
fn client_suite<G: Rig>(engine: &str, make: impl Fn(Needs) -> Tester<G>) {
    check_rules!(
        engine,
        &make,
        [
            dialing::connect_reaches_a_listener,
            dialing::connect_without_a_listener_is_refused,
            dialing::closed_slot_can_be_connected_again,
            dialing::discard_after_connect_takes_at_most_its_length,
        ]
    );
}

/// The rules of the operations of a server.
fn server_suite<G: Rig>(engine: &str, make: impl Fn(Needs) -> Tester<G>) {
    check_rules!(
        engine,
        &make,
        [
            listening::accept_waits_and_opens_its_slot,
            listening::each_accept_takes_one_connection,
            listening::each_accept_has_the_address_of_its_peer,
            listening::reused_slot_has_the_address_of_its_last_peer,
            listening::peers_are_unknown_unless_they_are_wanted,
            listening::watch_waits_and_accepts_nothing,
            listening::watch_reports_an_earlier_connection,
            listening::cancelled_accept_takes_no_connection,
            listening::accept_pushed_with_its_cancel_tries_once,
            listening::cancelled_watch_gets_ecanceled,
            listening::stopped_listener_refuses_and_resets,
            receiving::receive_waits_and_completes_once,
            receiving::multishot_receive_continues_to_the_end,
            receiving::multishot_receive_ends_with_a_reset,
            receiving::long_stream_arrives_in_order,
            receiving::receive_without_buffers_gets_enobufs,
            receiving::cancelled_receive_gets_ecanceled,
            receiving::cancel_loses_no_received_bytes,
            receiving::cancel_without_a_target_gets_enoent,
            sending::send_arrives_complete,
            sending::spans_arrive_in_order,
            sending::two_spans_are_sent_as_one,
            sending::short_send_of_two_spans_counts_both,
            sending::list_of_spans_is_sent_as_one,
            sending::short_send_of_a_list_goes_on_at_the_byte,
            sending::lazy_send_ends_no_wait,
            sending::send_without_room_is_short_then_eagain,
            sending::wait_for_room_can_be_cancelled,
            sending::send_on_a_reset_connection_fails,
            sending::wait_for_room_ends_with_a_reset,
            sending::send_close_closes_after_all_bytes,
            sending::send_close_waits_for_no_timer,
            sending::short_send_close_does_not_close,
            sending::short_send_close_waits_for_no_timer,
            sending::failed_send_close_does_not_close,
            ending::shutdown_ends_only_the_sending_side,
            ending::shutdown_of_a_reset_connection_completes,
            ending::close_frees_the_slot,
            ending::deadline_ends_a_wait,
            ending::full_queue_loses_no_entry,
            ending::clocks_advance,
        ]
    );
}

fn kernel_suite(engine: &str, features: Features) {
    suite(engine, |needs| Tester::new(Kernel::uring(needs, features)));
    let restricted = format!("{engine}, restricted");
    server_suite(&restricted, |needs| Tester::new(Kernel::restricted_uring(needs, features)));
}

#[test]
fn simulated_engine_keeps_the_contract() {
    for seed in 0..20 {
        let engine = format!("simulated, seed {seed}");
        suite(&engine, |needs| Tester::new(Simulated::new(needs, seed)));
    }
}

#[test]
fn epoll_keeps_the_contract() {
    client_suite("epoll", |needs| Tester::new(Kernel::connecting_epoll(needs, Target::tcp())));
    suite_of_accepting("epoll", |needs| Tester::new(Kernel::accepting_epoll(needs)));
}

#[test]
fn engines_connect_to_unix_sockets() {
    let ordinary = Features { direct_descriptors: false, ..Features::ALL };
    let targets =
        [("unix", Target::unix as fn() -> Target), ("abstract", Target::in_abstract_namespace)];
    for (kind, target) in targets {
        client_suite(&format!("epoll, {kind}"), |needs| {
            Tester::new(Kernel::connecting_epoll(needs, target()))
        });
        for features in [Features::ALL, ordinary] {
            client_suite(&format!("io_uring, {kind}, {features:?}"), |needs| {
                Tester::new(Kernel::connecting_uring(needs, features, target()))
            });
        }
    }
    let needs = Needs::default();
    let epoll = || Kernel::connecting_epoll(needs, Target::unix());
    dialing::full_backlog_of_a_unix_socket_gets_eagain(epoll());
    dialing::missing_file_of_a_unix_socket_gets_enoent(epoll());
    for features in [Features::ALL, ordinary] {
        let uring = || Kernel::connecting_uring(needs, features, Target::unix());
        dialing::full_backlog_of_a_unix_socket_gets_eagain(uring());
        dialing::missing_file_of_a_unix_socket_gets_enoent(uring());
    }
}

#[test]
fn io_uring_keeps_the_contract() {
    kernel_suite("io_uring", Features::ALL);
}

#[test]
fn io_uring_with_cooperative_task_run_keeps_the_contract() {
    let features = Features { task_run: TaskRun::Cooperative, ..Features::ALL };
    kernel_suite("io_uring, cooperative task run", features);
}

#[test]
fn io_uring_with_interrupting_task_run_keeps_the_contract() {
    let features = Features { task_run: TaskRun::Interrupting, ..Features::ALL };
    kernel_suite("io_uring, interrupting task run", features);
}

#[test]
fn io_uring_with_ordinary_descriptors_keeps_the_contract() {
    let features = Features { direct_descriptors: false, ..Features::ALL };
    kernel_suite("io_uring, ordinary descriptors", features);
}

#[test]
fn io_uring_without_vectored_sends_keeps_the_contract() {
    let features = Features { send_vector: false, ..Features::ALL };
    kernel_suite("io_uring, no vectored sends", features);
}

#[test]
fn io_uring_without_silent_sends_keeps_the_contract() {
    let features = Features { silent_send: false, ..Features::ALL };
    kernel_suite("io_uring, no silent sends", features);
}

#[test]
fn peers_have_addresses_of_the_family_of_their_listener() {
    let ordinary = Features { direct_descriptors: false, ..Features::ALL };
    let is_v6 = |found: PeerAddress| found.address().is_some_and(|ip| ip.is_ipv6());
    let is_unix = |found| found == PeerAddress::Unix;
    let v6 = || Endpoint::Tcp((Ipv6Addr::LOCALHOST, 0).into());
    let unix = || Endpoint::Unix(TemporaryFile::vacant("listener").path().into());
    for features in [Features::ALL, ordinary] {
        listening::accept_has_the_address_of_its_peer(
            Kernel::uring_on(&v6(), Needs::peers(), features),
            is_v6,
        );
        listening::accept_has_the_address_of_its_peer(
            Kernel::uring_on(&unix(), Needs::peers(), features),
            is_unix,
        );
    }
    listening::accept_has_the_address_of_its_peer(Kernel::epoll_on(&v6(), Needs::peers()), is_v6);
    listening::accept_has_the_address_of_its_peer(
        Kernel::epoll_on(&unix(), Needs::peers()),
        is_unix,
    );
}

/// A worker that was taken over can have addresses written nowhere else.
#[test]
fn accept4_may_write_to_one_place_of_an_engine_on_epoll_alone() {
    let places = |kernel: &mut Kernel<Epoll>| {
        let calls = kernel.engine().needed_calls();
        let accept = calls.iter().find(|call| call.name == "accept4").expect("it accepts");
        let of = |argument| accept.only.iter().find(|it| it.argument == argument);
        let all_bits = [1, 2].map(|argument| of(argument).expect("each has a condition"));
        all_bits.map(|condition| {
            assert_eq!(condition.mask, u64::MAX);
            condition.value
        })
    };
    assert_eq!(places(&mut Kernel::accepting_epoll(Needs::default())), [0, 0]);
    let mut tester = Tester::new(Kernel::accepting_epoll(Needs::peers()));
    let [address, len] = places(&mut tester.rig);
    assert_eq!(len, address + 28, "a struct sockaddr_in6, then its length");
    tester.connected(Slot(0));
    tester.connected(Slot(1));
    assert_eq!(places(&mut tester.rig), [address, len], "they stay where they are");
}

#[test]
fn socket_of_another_process_stays_open_after_stop_listening() {
    fn check<E: KernelEngine>(kernel: Kernel<E>) {
        let mut tester = Tester::new(kernel);
        let other = tester.rig.share(0);
        let accept = tester.push(Op::Accept { listener: 0, slot: Slot(0) });
        tester.expect_no_completion();
        tester.result(Op::Cancel { target: accept }).expect("no peer has connected");
        tester.rig.engine().stop_listening(0).expect("the queue has room");
        tester.last(accept).expect_err("it is cancelled");
        let _peer = tester.rig.connect(0);
        tester.expect_no_completion();
        other.set_nonblocking(true).expect("a socket can be non-blocking");
        other.accept().expect("the connection is in the accept queue");
    }
    check(Kernel::restricted_uring(Needs::default(), Features::ALL));
    check(Kernel::accepting_epoll(Needs::default()));
}
