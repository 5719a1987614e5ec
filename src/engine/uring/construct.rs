//! [`KernelEngine`] for the ring: how a server's ring is made, and what a sandbox leaves it.

use super::probe::{Features, Maker, Obstacles, TaskRun, locked_bytes};
use super::{RECEIVE_BUFFER_BYTES, RECEIVE_BUFFERS, Setup, Uring};
use crate::engine::kernel::{Capabilities, KernelEngine, Parts, Restriction};
use crate::error::Failure;
use crate::os::net::Listener;
use crate::os::process;
use crate::os::seccomp::{Call, Condition};
use std::os::fd::RawFd;

/// What is known before the ring is made.
pub struct Preparation {
    features: Features,
    obstacles: Obstacles,
}

impl KernelEngine for Uring {
    type Preparation = Preparation;

    const FEATURES: &'static [&'static str] = &[
        DEFER_TASKRUN,
        COOP_TASKRUN,
        DIRECT_DESCRIPTORS,
        MULTISHOT_RECV,
        SILENT_SEND,
        LINKED_CLOSE,
        VECTORED_SEND,
    ];

    fn prepare(slots: u32, without: &[&str]) -> Result<Preparation, Failure> {
        Maker::Server.check_connections(slots)?;
        process::raise_locked_memory(locked_bytes(slots, RECEIVE_BUFFERS));
        Ok(Preparation { features: features(without), obstacles: Obstacles::read() })
    }

    fn create(preparation: Preparation, parts: Parts) -> Result<Self, Failure> {
        let Preparation { features, obstacles } = preparation;
        let Parts { slots, listeners, signals, fixed, restricted } = parts;
        Self::new(Setup {
            spawn: slots,
            listeners,
            dial: None,
            signals: Some(signals),
            fixed,
            features,
            buffers: RECEIVE_BUFFERS,
            buffer_bytes: RECEIVE_BUFFER_BYTES,
            restricted,
            obstacles,
        })
    }

    fn capabilities(&self) -> Capabilities {
        let Features { recv_many, send_close, .. } = self.features();
        Capabilities { recv_many, send_close }
    }

    fn description(&self) -> String {
        format!("io_uring with {}", self.features())
    }

    fn restriction(&self) -> &Restriction {
        self.restriction()
    }

    fn needed_calls(&self) -> Vec<Call> {
        let enter = Call {
            number: libc::SYS_io_uring_enter,
            name: "io_uring_enter",
            only: vec![Condition::no_bits_but(3, ENTER_FLAGS, "flags GETEVENTS, EXT_ARG")],
            why: "submits operations and waits for completions: all of the work",
        };
        let read = self.signals_fd().and_then(|fd| u64::try_from(fd).ok()).map(|fd| Call {
            number: libc::SYS_read,
            name: "read",
            only: vec![Condition::equals(0, fd, "the descriptor of signals")],
            why: "reads the signal that asks for the end",
        });
        std::iter::once(enter).chain(read).collect()
    }

    fn descriptors(&self) -> Vec<RawFd> {
        self.descriptors()
    }

    fn listeners(&self) -> &[Listener] {
        self.listeners()
    }

    fn keep_socket_files(&mut self) {
        self.keep_socket_files();
    }
}

/// All features but those that are named; without `coop-taskrun`, there is no `defer-taskrun`.
fn features(without: &[&str]) -> Features {
    let with = |name| !without.contains(&name);
    Features {
        task_run: match (with(DEFER_TASKRUN), with(COOP_TASKRUN)) {
            (true, true) => TaskRun::Deferred,
            (false, true) => TaskRun::Cooperative,
            (_, false) => TaskRun::Interrupting,
        },
        direct_descriptors: with(DIRECT_DESCRIPTORS),
        recv_many: with(MULTISHOT_RECV),
        silent_send: with(SILENT_SEND),
        send_close: with(LINKED_CLOSE),
        send_vector: with(VECTORED_SEND),
    }
}

/// `IORING_SETUP_DEFER_TASKRUN`; the fallback is `IORING_SETUP_COOP_TASKRUN`.
const DEFER_TASKRUN: &str = "defer-taskrun";
/// `IORING_SETUP_COOP_TASKRUN`; the fallback is no flag.
const COOP_TASKRUN: &str = "coop-taskrun";
/// Sockets in the ring's own table; the fallback is ordinary descriptors.
const DIRECT_DESCRIPTORS: &str = "direct-descriptors";
/// One receive entry for many completions; the fallback is one receive per entry.
const MULTISHOT_RECV: &str = "multishot-recv";
/// Sends that post no completion when they succeed; the fallback is one for every send.
const SILENT_SEND: &str = "silent-send";
/// A close linked to the last send; the fallback is a close after the send's completion.
const LINKED_CLOSE: &str = "linked-close";
/// Sends that name a head and a body themselves; the fallback is an entry of sendmsg(2).
const VECTORED_SEND: &str = "vectored-send";

/// `IORING_ENTER_GETEVENTS` and `_EXT_ARG` of `linux/io_uring.h`.
const ENTER_FLAGS: u32 = 1 | 1 << 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_named_feature_is_left_out() {
        assert_eq!(features(&[]), Features::ALL);
        let by_name = Uring::FEATURES.iter().map(|name| (name, features(&[name])));
        for (name, features) in by_name {
            assert_ne!(features, Features::ALL, "{name}");
        }
        assert_eq!(features(&["defer-taskrun"]).task_run, TaskRun::Cooperative);
        assert_eq!(features(&["coop-taskrun"]).task_run, TaskRun::Interrupting);
    }
}
