//! [`KernelEngine`] for epoll: how the programs create it, and the permissions that a sandbox has
//! to leave it.

use super::connection::{errno, errno_of_io};
use super::core::{Epoll, SIGNALS};
use super::listeners::AcceptOps;
use super::pool::ReceivePool;
use crate::engine::Errno;
use crate::engine::kernel::clock::EngineClock;
use crate::engine::kernel::dial::Dial;
use crate::engine::kernel::{
    Capabilities, EngineError, EngineKind, KernelEngine, Parts, Remedy, Requirements, Restriction,
    Role,
};
use crate::os::net::{Listener, PeerPlace};
use crate::os::seccomp::{Call, Condition};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use std::collections::VecDeque;
use std::ffi::c_long;
use std::os::fd::{AsFd, AsRawFd};

/// Nothing has to be prepared.
pub struct EpollPreparation;

impl KernelEngine for Epoll {
    type Preparation = EpollPreparation;

    const FEATURES: &'static [&'static str] = &[];

    const CONNECTIONS_MAX: u32 = SLOTS_MAX;

    fn prepare(requirements: &Requirements<'_>) -> Result<EpollPreparation, EngineError> {
        let slots = requirements.slots;
        if slots > SLOTS_MAX {
            let why = format!("the most is {SLOTS_MAX}");
            let step = format!("making room for {slots} connections");
            return Err(EngineError::new(step, why, Remedy::FewerConnections(SLOTS_MAX)));
        }
        Ok(EpollPreparation)
    }

    fn create(_preparation: EpollPreparation, parts: Parts) -> Result<Self, EngineError> {
        let Parts { slots, role, fixed, buffers, held, restricted: _, wants_peers } = parts;
        let (listeners, signals, dial) = match role {
            Role::Server { listeners, signals } => (listeners, Some(signals), None),
            Role::Client(to) => (Vec::new(), None, Some(Dial::new(to)?)),
        };
        let failed = |what: &str, Errno(number)| {
            let error = std::io::Error::from_raw_os_error(number);
            EngineError::new(format!("{what} (errno {number})"), error, Remedy::Unknown)
        };
        let epoll = epoll::create(CreateFlags::CLOEXEC)
            .map_err(|error| failed("creating an epoll instance", errno(error)))?;
        for listener in &listeners {
            // Another worker may take the connection for which this one was woken.
            listener
                .set_blocking(false)
                .map_err(|error| failed("making a listener non-blocking", errno_of_io(&error)))?;
        }
        if let Some(signals) = &signals {
            // Each operation asks for one report.
            let (data, flags) = (EventData::new_u64(SIGNALS), EventFlags::ONESHOT);
            epoll::add(&epoll, signals, data, flags)
                .map_err(|error| failed("registering the descriptor of signals", errno(error)))?;
        }
        let room = slots as usize;
        Ok(Self {
            instance: epoll,
            connections: (0..slots).map(|_| None).collect(),
            queues: listeners.iter().map(|_| AcceptOps::new(slots)).collect(),
            listeners,
            dial,
            signals,
            signal: None,
            fixed,
            pool: ReceivePool::new(buffers),
            peer_place: wants_peers.then(|| Box::new(PeerPlace::EMPTY)),
            discarded: vec![0; DISCARDED_AT_ONCE].into_boxed_slice(),
            _held: held,
            outcomes: VecDeque::with_capacity(room * COMPLETIONS_PER_SLOT + SPARE),
            is_urgent: false,
            ready: VecDeque::with_capacity(room),
            ready_later: VecDeque::with_capacity(room),
            to_register: Vec::with_capacity(room),
            events: Vec::with_capacity(EVENTS),
            wake_ups: 0,
            may_have_slept: false,
            clock: EngineClock::start(),
            restriction: Restriction::SystemCallsOnly,
        })
    }

    fn kind(&self) -> EngineKind {
        EngineKind::Epoll
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { recv_many: true, send_close: true, accepts_max: ACCEPTS_MAX }
    }

    fn description(&self) -> String {
        "epoll".to_owned()
    }

    fn restriction(&self) -> &Restriction {
        &self.restriction
    }

    fn needed_calls(&self) -> Vec<Call> {
        let epoll = self.instance.as_raw_fd();
        let signals = self.signals.as_ref().map(|signals| signals.as_fd().as_raw_fd());
        let on = |fd: i32, words| Condition::equals(0, u64::from(fd.unsigned_abs()), words);
        let call = |number: c_long, name, only, why| Call { number, name, only, why };
        let mut calls = vec![
            call(
                libc::SYS_epoll_pwait,
                "epoll_pwait",
                vec![on(epoll, "the engine's instance"), Condition::zero(4, "no signal mask")],
                "waits for readiness",
            ),
            call(
                libc::SYS_epoll_ctl,
                "epoll_ctl",
                vec![on(epoll, "the engine's instance")],
                "asks for reports about a socket",
            ),
            call(libc::SYS_accept4, "accept4", self.accept_conditions(), "accepts a connection"),
            call(
                libc::SYS_recvfrom,
                "recvfrom",
                vec![],
                "receives requests; without conditions, so that the kernel remembers the verdict",
            ),
            call(
                libc::SYS_writev,
                "writev",
                vec![],
                "sends responses; it can pass no descriptors and connect nothing",
            ),
            call(
                libc::SYS_sendto,
                "sendto",
                vec![
                    Condition::zero(4, "no address"),
                    Condition::no_bits_but(3, SEND_FLAGS, "flags MORE, NOSIGNAL"),
                ],
                "sends a response that another one follows",
            ),
            call(
                libc::SYS_shutdown,
                "shutdown",
                vec![Condition::equals(1, SHUT_WR, "the sending side")],
                "ends a connection so that the client can read its last response",
            ),
            call(libc::SYS_close, "close", vec![], "closes a connection"),
        ];
        calls.extend(signals.map(|fd| {
            let only = vec![on(fd, "the descriptor of signals")];
            call(libc::SYS_read, "read", only, "reads the signal to end")
        }));
        calls
    }

    fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    fn keep_socket_files(&mut self) {
        self.listeners.iter_mut().for_each(Listener::keep_file);
    }

    fn base_ns(&self) -> u64 {
        self.clock.base_ns()
    }
}

impl Epoll {
    /// The conditions on accept4(2): it writes addresses nowhere, or to the engine's one place.
    fn accept_conditions(&self) -> Vec<Condition> {
        let [address, len] = match &self.peer_place {
            None => [Condition::zero(1, "no address"), Condition::zero(2, "no length")],
            Some(place) => {
                let (address, len) = PeerPlace::pointers(std::ptr::from_ref(&**place).cast_mut());
                let (address, len) = (address.addr() as u64, len.addr() as u64);
                let words = "the engine's place for an address";
                let of_len = "the place for its length";
                [Condition::address(1, address, words), Condition::address(2, len, of_len)]
            }
        };
        vec![address, len, Condition::equals(3, ACCEPT_FLAGS, "flags CLOEXEC, NONBLOCK")]
    }
}

/// An accept costs nothing before there is a connection, and several in a row share one wait.
const ACCEPTS_MAX: u32 = 32;
/// As many descriptors as a process may have by default (`fs.nr_open`, proc(5)).
const SLOTS_MAX: u32 = 1 << 20;
/// The most reports that one wait returns; others are returned by the next one.
const EVENTS: usize = 512;
/// The most completions of a connection in one turn: a receive, a send, cancellations of these, and
/// a close.
const COMPLETIONS_PER_SLOT: usize = 4;
/// Completions of listeners and signals.
const SPARE: usize = 256;
/// The most bytes that are discarded at once. TCP writes none of them (`MSG_TRUNC`, tcp(7)), so
/// this memory stays untouched.
const DISCARDED_AT_ONCE: usize = 1 << 20;
const SEND_FLAGS: u32 = (libc::MSG_MORE | libc::MSG_NOSIGNAL).cast_unsigned();
const ACCEPT_FLAGS: u64 = (libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK).cast_unsigned() as u64;
const SHUT_WR: u64 = libc::SHUT_WR as u64;
