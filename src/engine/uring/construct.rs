//! [`KernelEngine`] for the ring: how the programs create it, and the permissions that a sandbox
//! has to leave it.

use super::probe::{Features, Obstacles, SPAWN_MAX, TaskRun, check_connections, locked_bytes};
use super::ring::{Setup, Uring};
use crate::engine::kernel::dial::Dial;
use crate::engine::kernel::{
    Capabilities, EngineError, EngineKind, KernelEngine, Parts, Remedy, Requirements, Restriction,
    Role,
};
use crate::os::net::Listener;
use crate::os::process;
use crate::os::seccomp::{Call, Condition};

/// Facts and decisions from the time before the ring is created.
pub struct UringPreparation {
    features: Features,
    obstacles: Obstacles,
}

impl KernelEngine for Uring {
    type Preparation = UringPreparation;

    const FEATURES: &'static [&'static str] = &[
        DEFER_TASKRUN,
        COOP_TASKRUN,
        DIRECT_DESCRIPTORS,
        MULTISHOT_RECV,
        SILENT_SEND,
        LINKED_CLOSE,
        VECTORED_SEND,
    ];

    const CONNECTIONS_MAX: u32 = SPAWN_MAX;

    fn prepare(requirements: &Requirements<'_>) -> Result<UringPreparation, EngineError> {
        let Requirements { slots, buffers, without, .. } = *requirements;
        check_connections(slots)?;
        process::raise_locked_memory(locked_bytes(slots, buffers.count));
        Ok(UringPreparation { features: features(without), obstacles: Obstacles::read() })
    }

    fn create(preparation: UringPreparation, parts: Parts) -> Result<Self, EngineError> {
        let UringPreparation { features, obstacles } = preparation;
        let Parts { slots, role, fixed, buffers, restricted, held, wants_peers } = parts;
        let (listeners, signals, dial) = match role {
            Role::Server { listeners, signals } => (listeners, Some(signals), None),
            Role::Client(to) => (Vec::new(), None, Some(Dial::new(to)?)),
        };
        for listener in &listeners {
            // An accept in the background waits only on a blocking socket.
            listener.set_blocking(true).map_err(|error| {
                EngineError::new("making a listener blocking", error, Remedy::Unknown)
            })?;
        }
        Self::new(Setup {
            spawn: slots,
            listeners,
            dial,
            signals,
            fixed,
            features,
            buffers: buffers.count,
            buffer_bytes: buffers.bytes,
            held,
            restricted,
            wants_peers,
            obstacles,
        })
    }

    fn kind(&self) -> EngineKind {
        EngineKind::IoUring
    }

    fn capabilities(&self) -> Capabilities {
        let Features { recv_many, send_close, .. } = self.features();
        Capabilities { recv_many, send_close, accepts_max: ACCEPTS_MAX }
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
            why: "submits operations and waits for completions: all of the serving",
        };
        let read = self.signals_fd().and_then(|fd| u64::try_from(fd).ok()).map(|fd| Call {
            number: libc::SYS_read,
            name: "read",
            only: vec![Condition::equals(0, fd, "the descriptor of signals")],
            why: "reads the signal to end",
        });
        std::iter::once(enter).chain(read).collect()
    }

    fn listeners(&self) -> &[Listener] {
        self.listeners()
    }

    fn keep_socket_files(&mut self) {
        self.keep_socket_files();
    }

    fn base_ns(&self) -> u64 {
        self.base_ns()
    }
}

/// All features except those in `without`; `defer-taskrun` requires `coop-taskrun`.
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
/// Sockets in the ring's own table; the fallback is descriptors of the process.
const DIRECT_DESCRIPTORS: &str = "direct-descriptors";
/// One receive entry for many completions; the fallback is one completion per entry.
const MULTISHOT_RECV: &str = "multishot-recv";
/// Sends that post no completion if they succeed; the fallback is one for every send.
const SILENT_SEND: &str = "silent-send";
/// A close linked to the last send; the fallback is a close after the send's completion.
const LINKED_CLOSE: &str = "linked-close";
/// Sends of a head and a body in separate places; the fallback is sendmsg(2).
const VECTORED_SEND: &str = "vectored-send";

/// Measured with 10,000 connections at once: with 4 the 99th percentile of the response time is
/// half of that with 1, and with 16 hardly less; but with 16 a connection costs a tenth more,
/// because hardly any accept succeeds at once.
const ACCEPTS_MAX: u32 = 4;

/// `IORING_ENTER_GETEVENTS` and `_EXT_ARG` of `linux/io_uring.h`.
const ENTER_FLAGS: u32 = 1 | 1 << 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_can_be_switched_off() {
        assert_eq!(features(&[]), Features::ALL);
        let by_name = Uring::FEATURES.iter().map(|name| (name, features(&[name])));
        for (name, features) in by_name {
            assert_ne!(features, Features::ALL, "{name}");
        }
        assert_eq!(features(&["defer-taskrun"]).task_run, TaskRun::Cooperative);
        assert_eq!(features(&["coop-taskrun"]).task_run, TaskRun::Interrupting);
    }
}
