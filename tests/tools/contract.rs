//! One suite for both engines: what [`uringstatic::engine::Engine`] promises, kept by the simulated
//! ring and by the kernel's with each set of features.

mod dialing;
mod ending;
mod kernel;
mod listening;
mod receiving;
mod rig;
mod sending;
mod simulated;

use kernel::Kernel;
use rig::{Needs, Rig, Tester};
use simulated::Simulated;
use uringstatic::engine::Engine;
use uringstatic::engine::uring::probe::{Features, TaskRun};

/// Every rule, each on a ring of its own.
fn suite<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    dialing::a_connect_reaches_who_listens(&make);
    dialing::a_connect_where_nobody_listens_is_refused(&make);
    dialing::a_slot_is_connected_again_after_its_close(&make);
    receiving::a_discard_takes_no_more_than_was_asked(&make);
    receiving::a_discard_waits_and_sees_the_end(&make);
    receiving::a_discard_sees_a_reset(&make);
    suite_of_a_server(make);
}

/// The rules of what a server does.
fn suite_of_a_server<G: Rig>(make: impl Fn(Needs) -> Tester<G>) {
    listening::an_accept_waits_and_fills_its_slot(&make);
    listening::of_several_accepts_each_takes_one(&make);
    listening::a_watch_waits_and_accepts_nothing(&make);
    listening::a_watch_sees_who_waited_before(&make);
    listening::a_cancelled_accept_leaves_who_comes(&make);
    listening::a_cancelled_watch_says_so(&make);
    listening::a_listener_that_was_stopped_refuses(&make);
    receiving::a_receive_waits_and_completes_once(&make);
    receiving::a_receive_of_many_goes_on_to_the_end(&make);
    receiving::a_receive_of_many_is_ended_by_a_reset(&make);
    receiving::a_long_run_comes_in_order(&make);
    receiving::without_buffers_a_receive_ends(&make);
    receiving::a_cancelled_receive_says_so(&make);
    receiving::what_had_arrived_may_come_before_the_cancel(&make);
    receiving::a_cancel_of_nothing_says_so(&make);
    sending::a_send_arrives_whole(&make);
    sending::spans_arrive_in_order(&make);
    sending::two_spans_are_sent_as_one(&make);
    sending::two_spans_can_be_cut_anywhere(&make);
    sending::a_lazy_send_ends_no_wait(&make);
    sending::a_send_takes_what_there_is_room_for(&make);
    sending::a_wait_for_room_can_be_cancelled(&make);
    sending::a_send_to_a_broken_connection_fails(&make);
    sending::a_wait_for_room_ends_when_it_breaks(&make);
    sending::send_close_closes(&make);
    sending::send_close_without_room_does_not_close(&make);
    sending::send_close_on_a_broken_connection_does_not_close(&make);
    ending::a_shutdown_ends_the_sending_side_alone(&make);
    ending::a_shutdown_of_a_broken_connection_completes(&make);
    ending::a_close_frees_the_slot(&make);
    ending::a_deadline_ends_a_wait(&make);
    ending::a_full_queue_loses_nothing(&make);
    ending::time_goes_on(&make);
}

fn kernel_suite(features: Features) {
    suite(|needs| Tester::new(Kernel::new(needs, features)));
    suite_of_a_server(|needs| Tester::new(Kernel::restricted(needs, features)));
}

#[test]
fn the_simulated_ring() {
    for seed in 0..20 {
        suite(|needs| Tester::new(Simulated::new(needs, seed)));
    }
}

#[test]
fn the_kernels_ring_with_all_features() {
    kernel_suite(Features::ALL);
}

#[test]
fn the_kernels_ring_with_cooperative_task_run() {
    kernel_suite(Features { task_run: TaskRun::Cooperative, ..Features::ALL });
}

#[test]
fn the_kernels_ring_with_interrupting_task_run() {
    kernel_suite(Features { task_run: TaskRun::Interrupting, ..Features::ALL });
}

#[test]
fn the_kernels_ring_with_ordinary_descriptors() {
    kernel_suite(Features { direct_descriptors: false, ..Features::ALL });
}

#[test]
fn the_kernels_ring_without_vectored_sends() {
    kernel_suite(Features { send_vector: false, ..Features::ALL });
}

#[test]
fn the_kernels_ring_with_loud_sends() {
    kernel_suite(Features { silent_send: false, ..Features::ALL });
}

#[test]
fn a_socket_that_another_process_holds_goes_on_listening() {
    let mut tester = Tester::new(Kernel::restricted(Needs::default(), Features::ALL));
    let other = tester.rig.share(0);
    tester.rig.ring().stop_listening(0).expect("the queue has room");
    tester.nothing_completes();
    let _peer = tester.rig.connect(0);
    other.set_nonblocking(true).expect("a socket can be made not to wait");
    other.accept().expect("the connection is in the backlog");
}
