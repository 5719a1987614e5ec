//! A stand-in for the engine on epoll(7).

#![allow(clippy::unimplemented, reason = "a stand-in")]

use super::kernel::{Capabilities, EngineError, KernelEngine, Parts, Requirements, Restriction};
use super::{BufferId, Completion, Engine, Errno, Full, Memory, Nanos, Op, Received, Token};
use crate::os::net::Listener;
use crate::os::seccomp::Call;

/// The engine.
pub struct Epoll(());
/// Facts.
pub struct EpollPreparation(());

impl KernelEngine for Epoll {
    type Preparation = EpollPreparation;
    const FEATURES: &'static [&'static str] = &[];
    const CONNECTIONS_MAX: u32 = 1 << 20;
    fn prepare(_: &Requirements<'_>) -> Result<EpollPreparation, EngineError> {
        Ok(EpollPreparation(()))
    }
    fn create(_: EpollPreparation, _: Parts) -> Result<Self, EngineError> {
        Err(EngineError::new(
            "creating an epoll instance",
            "it isn't written yet",
            super::kernel::Remedy::Unknown,
        ))
    }
    fn capabilities(&self) -> Capabilities {
        unimplemented!()
    }
    fn description(&self) -> String {
        unimplemented!()
    }
    fn restriction(&self) -> &Restriction {
        unimplemented!()
    }
    fn needed_calls(&self) -> Vec<Call> {
        unimplemented!()
    }
    fn listeners(&self) -> &[Listener] {
        unimplemented!()
    }
    fn keep_socket_files(&mut self) {
        unimplemented!()
    }
    fn base_ns(&self) -> u64 {
        unimplemented!()
    }
}

impl Engine for Epoll {
    fn push(&mut self, _: Token, _: Op) -> Result<(), Full> {
        unimplemented!()
    }
    fn submit_and_wait(&mut self, _: Option<Nanos>) -> Result<(), Errno> {
        unimplemented!()
    }
    fn stop_listening(&mut self, _: u32) -> Result<(), Full> {
        unimplemented!()
    }
    fn pop(&mut self) -> Option<Completion> {
        unimplemented!()
    }
    fn memory(&mut self, _: Option<Received>) -> Memory<'_> {
        unimplemented!()
    }
    fn give_back(&mut self, _: BufferId) {
        unimplemented!()
    }
    fn now(&self) -> Nanos {
        unimplemented!()
    }
    fn unix_seconds(&self) -> u64 {
        unimplemented!()
    }
}
