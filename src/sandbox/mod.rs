//! The sandbox: each process of the service gives up everything that it doesn't need, layer by
//! layer. At the end a worker can only accept, receive, send, shut down, close and wait, on sockets
//! that it already has.
//!
//! ```text
//!  supervisor   sockets bound ─► listeners ─► privileges reduced ─► environment ─► descriptors
//!      │                      ─► landlock: read and execute only ─► seccomp: calls refused
//!   starts, with what is denied to itself
//!      ▼
//!  loader       listeners ─► privileges ─► environment ─► descriptors ─► root opened
//!      │                  ─► landlock: the root only ─► seccomp: calls refused ─► site read
//!   is copied
//!      ▼
//!  worker       landlock: nothing ─► engine created and restricted ─► seccomp: few calls ─► serves
//! ```
//!
//! The site is read after the privileges are gone: files that the serving user may not read are not
//! published, and decoders run without privileges, without files outside of the root and without
//! sockets. The engine is created later still, because a ring keeps the credentials of its creator.
//! A server that is a single process takes the steps of a loader and then those of a worker.
//!
//! Each layer is implemented in [`crate::os`]; the system calls that a worker may make are listed
//! in [`calls`], those that fail in the other processes in [`refusals`], and the permitted
//! operations are derived from [`crate::engine::Op`]. [`SupervisorSandbox::enter`] and
//! [`Sandbox::enter`] perform the steps, for the service as for the report.

pub mod calls;
mod error;
mod layer;
pub mod options;
mod record;
pub mod refusals;
pub mod rehearsal;
pub mod report;
mod steps;
mod supervisor;

pub use error::SandboxError;
pub use layer::{Layer, LayerState, OffReason, ProcessKind};
pub use record::{SandboxConfig, SandboxMode};
pub use steps::{Possessions, Program, Sandbox};
pub use supervisor::{SupervisorSandbox, SupervisorTasks};
