//! The steps into the sandbox without a server: for a report, and to try an engine.

use super::error::SandboxError;
use super::record::{SandboxConfig, SandboxMode};
use super::steps::{Program, Sandbox};
use crate::engine::kernel::{KernelEngine, Requirements};
use crate::error::Failure;
use crate::os::inherited::InheritedDescriptors;
use crate::os::landlock::Hierarchy;
use crate::os::net::Listener;
use crate::os::pages::Pages;
use crate::os::privileges::Account;

/// Creates an engine as a worker does: as its user, after the steps of its loader and its own. The
/// descriptors, the environment and the system calls are kept, so that the process can report the
/// outcome. It can serve nothing.
///
/// # Errors
/// If a step fails. A missing layer is none, even if the configuration requires all of them.
pub fn create_engine<E: KernelEngine>(
    config: &SandboxConfig,
    account: Option<Account>,
    requirements: &Requirements<'_>,
) -> Result<E, SandboxError> {
    let preparation = E::prepare(requirements)?;
    let config = tolerant(config.clone());
    let mut sandbox = Sandbox::prepare(config, account, InheritedDescriptors::default())?;
    sandbox.rehearse();
    sandbox.enter(&mut Empty, Vec::new(), requirements.slots, preparation)
}

/// The configuration with which a missing layer doesn't end a rehearsal.
pub(super) fn tolerant(mut config: SandboxConfig) -> SandboxConfig {
    if config.mode == SandboxMode::Require {
        config.mode = SandboxMode::On;
    }
    config
}

/// A program that serves nothing.
pub(super) struct Empty;

impl<E> Program<E> for Empty {
    type Loaded = ();
    type Assembled = E;

    fn open(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn hierarchies(&self) -> Vec<Hierarchy<'_>> {
        Vec::new()
    }

    fn read(&mut self) -> Result<((), Pages), Failure> {
        // The engine derives its restrictions from operations on the first two bytes.
        Ok(((), vec![0; 2].into()))
    }

    fn listen(&mut self, _: &[Listener]) -> Result<(), Failure> {
        Ok(())
    }

    fn assemble(&mut self, engine: E, (): ()) -> E {
        engine
    }
}
