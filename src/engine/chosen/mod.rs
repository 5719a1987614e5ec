//! The engine that the programs use: that on `io_uring` or that on epoll(7), by one decision for
//! all processes of a program. No other module chooses one.

mod choice;
mod trial;

pub use choice::{Decision, EngineChoice};
pub use trial::{TRIAL, UndecidedError};

use super::epoll::Epoll;
use super::kernel::{
    Capabilities, EngineError, EngineKind, KernelEngine, Parts, Requirements, Restriction,
};
use super::uring::Uring;
use super::{BufferId, Completion, Engine, Errno, Full, Memory, Nanos, Op, Received, Slot, Token};
use crate::os::net::Listener;
use crate::os::seccomp::Call;
use crate::peer_address::PeerAddress;

/// An engine of either kind. A call of it costs a comparison more than one of the engine itself.
#[allow(clippy::large_enum_variant, reason = "a process has one of them")]
pub enum Chosen {
    /// On `io_uring`.
    IoUring(Uring),
    /// On epoll(7).
    Epoll(Epoll),
}

/// The preparation of an engine of either kind.
pub enum ChosenPreparation {
    /// For [`Chosen::IoUring`].
    IoUring(<Uring as KernelEngine>::Preparation),
    /// For [`Chosen::Epoll`].
    Epoll(<Epoll as KernelEngine>::Preparation),
}

/// Evaluates an expression for the engine of either kind.
macro_rules! either {
    ($chosen:expr, $engine:ident => $call:expr) => {
        match $chosen {
            Chosen::IoUring($engine) => $call,
            Chosen::Epoll($engine) => $call,
        }
    };
}

impl Chosen {
    /// The features of [`KernelEngine::FEATURES`] that an engine of this kind has.
    #[must_use]
    pub fn features_of(kind: EngineKind) -> &'static [&'static str] {
        match kind {
            EngineKind::IoUring => Uring::FEATURES,
            EngineKind::Epoll => Epoll::FEATURES,
        }
    }

    /// The most connections that one engine of this kind carries.
    #[must_use]
    pub fn connections_max(kind: EngineKind) -> u32 {
        match kind {
            EngineKind::IoUring => Uring::CONNECTIONS_MAX,
            EngineKind::Epoll => Epoll::CONNECTIONS_MAX,
        }
    }
}

impl KernelEngine for Chosen {
    type Preparation = ChosenPreparation;

    /// Those of the ring: the other engine has none.
    const FEATURES: &'static [&'static str] = Uring::FEATURES;

    /// That of the kind that carries more; [`Chosen::connections_max`] has that of each.
    const CONNECTIONS_MAX: u32 = if Uring::CONNECTIONS_MAX > Epoll::CONNECTIONS_MAX {
        Uring::CONNECTIONS_MAX
    } else {
        Epoll::CONNECTIONS_MAX
    };

    fn prepare(requirements: &Requirements<'_>) -> Result<ChosenPreparation, EngineError> {
        Ok(match requirements.kind {
            EngineKind::IoUring => ChosenPreparation::IoUring(Uring::prepare(requirements)?),
            EngineKind::Epoll => ChosenPreparation::Epoll(Epoll::prepare(requirements)?),
        })
    }

    fn create(preparation: ChosenPreparation, parts: Parts) -> Result<Self, EngineError> {
        Ok(match preparation {
            ChosenPreparation::IoUring(ring) => Self::IoUring(Uring::create(ring, parts)?),
            ChosenPreparation::Epoll(epoll) => Self::Epoll(Epoll::create(epoll, parts)?),
        })
    }

    fn kind(&self) -> EngineKind {
        either!(self, engine => engine.kind())
    }

    fn capabilities(&self) -> Capabilities {
        either!(self, engine => engine.capabilities())
    }

    fn description(&self) -> String {
        either!(self, engine => engine.description())
    }

    fn restriction(&self) -> &Restriction {
        either!(self, engine => engine.restriction())
    }

    fn needed_calls(&self) -> Vec<Call> {
        either!(self, engine => engine.needed_calls())
    }

    fn listeners(&self) -> &[Listener] {
        either!(self, engine => engine.listeners())
    }

    fn keep_socket_files(&mut self) {
        either!(self, engine => engine.keep_socket_files());
    }

    fn base_ns(&self) -> u64 {
        either!(self, engine => engine.base_ns())
    }
}

impl Engine for Chosen {
    #[inline]
    fn push(&mut self, token: Token, op: Op) -> Result<(), Full> {
        either!(self, engine => engine.push(token, op))
    }

    #[inline]
    fn submit_and_wait(&mut self, deadline: Option<Nanos>) -> Result<(), Errno> {
        either!(self, engine => engine.submit_and_wait(deadline))
    }

    #[inline]
    fn stop_listening(&mut self, listener: u32) -> Result<(), Full> {
        either!(self, engine => engine.stop_listening(listener))
    }

    #[inline]
    fn pop(&mut self) -> Option<Completion> {
        either!(self, engine => engine.pop())
    }

    #[inline]
    fn memory(&mut self, received: Option<Received>) -> Memory<'_> {
        either!(self, engine => engine.memory(received))
    }

    #[inline]
    fn give_back(&mut self, buffer: BufferId) {
        either!(self, engine => engine.give_back(buffer));
    }

    #[inline]
    fn peer(&self, slot: Slot) -> PeerAddress {
        either!(self, engine => engine.peer(slot))
    }

    #[inline]
    fn now(&self) -> Nanos {
        either!(self, engine => engine.now())
    }

    #[inline]
    fn read_clock(&self) -> Nanos {
        either!(self, engine => engine.read_clock())
    }

    #[inline]
    fn unix_seconds(&self) -> u64 {
        either!(self, engine => engine.unix_seconds())
    }
}
