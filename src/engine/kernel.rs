//! What an engine on a kernel has besides [`Engine`]: how it is made, what it is capable of, and
//! what a sandbox has to leave it. The start of the program and the sandbox are written against
//! [`KernelEngine`], and name no engine of their own.

use crate::engine::Engine;
use crate::error::Failure;
use crate::os::net::Listener;
use crate::os::pages::Pages;
use crate::os::seccomp::Call;
use crate::os::signal::Signals;
use std::os::fd::RawFd;

/// An engine that a process makes for itself, and keeps when it gives up everything else.
pub trait KernelEngine: Engine + Sized {
    /// What is found out and decided before the process gives up its privileges and files.
    type Preparation;

    /// The names of the features that it can do without, for the option `--without`.
    const FEATURES: &'static [&'static str];

    /// Checks that an engine can carry so many slots, raises the limits that it needs raised, and
    /// reads what its error messages need. Of [`Self::FEATURES`], those in `without` are not used.
    ///
    /// # Errors
    /// If no engine can carry so many slots.
    fn prepare(slots: u32, without: &[&str]) -> Result<Self::Preparation, Failure>;

    /// Makes the engine. It keeps the privileges of its maker, who has given them up.
    ///
    /// # Errors
    /// If the kernel lacks it, refuses it, or has no memory for it.
    fn create(preparation: Self::Preparation, parts: Parts) -> Result<Self, Failure>;

    /// What the server may ask of it.
    fn capabilities(&self) -> Capabilities;

    /// Its name and the features in use, as the ready line has them.
    fn description(&self) -> String;

    /// What the kernel refuses it.
    fn restriction(&self) -> &Restriction;

    /// The system calls that it makes, as the filter of system calls has to let them through.
    fn needed_calls(&self) -> Vec<Call>;

    /// The descriptors that it works with, besides those of connections.
    fn descriptors(&self) -> Vec<RawFd>;

    /// The sockets it accepts from.
    fn listeners(&self) -> &[Listener];

    /// Leaves the files of Unix sockets in place when it ends.
    fn keep_socket_files(&mut self);
}

/// What an engine is made from.
pub struct Parts {
    /// How many slots it has.
    pub slots: u32,
    /// The sockets it accepts from.
    pub listeners: Vec<Listener>,
    /// Where it reads the signals that ask for the end.
    pub signals: Signals,
    /// The buffer that responses are sent from.
    pub fixed: Pages,
    /// Whether the kernel is to refuse every operation that no [`crate::engine::Op`] needs.
    pub restricted: bool,
}

/// Operations that not every engine offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// [`crate::engine::Op::RecvMany`].
    pub recv_many: bool,
    /// [`crate::engine::Op::SendClose`].
    pub send_close: bool,
}

/// Whether the kernel refuses operations that an engine has no use for.
#[derive(Clone, Debug)]
pub enum Restriction {
    /// Not asked for.
    NotWanted,
    /// In force.
    InForce {
        /// What is left, in a few words.
        summary: String,
        /// What is left, each with a reason.
        permissions: Vec<Permission>,
    },
    /// The kernel would not, for this reason.
    Refused(String),
}

/// An operation, or a variant of operations, that an engine may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The kernel's name for it.
    pub name: String,
    /// Why the engine needs it.
    pub purpose: String,
}
