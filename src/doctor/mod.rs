//! Checks of the machine before it serves or generates load: each fact is rated as ok, a warning
//! or a fault, with the reason and the ways to fix it.
//!
//! ```text
//! Workload ──► MachineFacts::gather ──► examine ──► DoctorReport ──► text or JSON
//!              reads and probes,        pure:       findings with
//!              changes nothing          a table,    fixes, one for
//!                                       causes      each cause
//! ```
//!
//! The ratings hold for Linux 4.12 to 6.18; each cites the version in which the kernel's behaviour
//! changed. The doctor creates a ring and reads limits as the server does; it knows no HTTP, and is
//! told which engine the server would choose. The sandbox is rated by the list that the program
//! makes of its own ([`enter_sandbox`]), so that a started server reports the same.

#![forbid(unsafe_code)]

mod check;
pub mod facts;
mod gather;
mod parse;
mod report;
mod sandbox;

pub use check::examine;
pub use facts::MachineFacts;
pub use report::{DoctorReport, Finding, Fix, SCHEMA, Severity};
pub use sandbox::enter_sandbox;

use crate::engine::chosen::EngineChoice;
use crate::os::process::OPEN_FILES_RESERVE;
use crate::value_parsers::BACKLOG_MAX;
use serde::{Deserialize, Serialize};

/// The load that the machine is checked for. The comments on fields are help texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
pub struct Workload {
    /// Connections to serve at once
    #[arg(long, value_name = "N", default_value = "5000")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub spawn: u32,

    /// Connections to queue per address until they are accepted
    #[arg(long, value_name = "N", default_value = "4096")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=BACKLOG_MAX))]
    pub backlog: u32,

    /// Processes that serve, which share the connections among them. The command line has it as an
    /// option of its own, because `auto` is a number only on a machine.
    #[arg(skip = 1_u32)]
    pub workers: u32,

    /// Kernel interface to serve by, as for the server
    #[arg(long, value_name = "ENGINE", value_enum, default_value = "auto")]
    #[serde(default)]
    pub engine: EngineChoice,

    /// Also check what distorts load tests run from this machine: local ports, TIME-WAIT, SYN
    /// cookies, connection tracking, the CPU frequency
    #[arg(long)]
    pub load: bool,
}

impl Workload {
    /// The connections of one worker.
    #[must_use]
    pub fn worker_spawn(&self) -> u32 {
        self.spawn.div_ceil(self.workers.max(1))
    }

    /// How many files a worker would have open.
    #[must_use]
    pub fn files_needed(&self) -> u64 {
        u64::from(self.worker_spawn()) + OPEN_FILES_RESERVE
    }

    /// How many files the supervisor would have open: a pipe for each worker, of which there are
    /// two generations during a reload, and as many again that have ended and are being replaced.
    #[must_use]
    pub fn supervisor_files_needed(&self) -> u64 {
        4 * u64::from(self.workers) + OPEN_FILES_RESERVE
    }
}
