//! The sandbox: the serving process gives up everything it doesn't need, layer by layer, until it
//! can only accept, receive, send, shut down, close and wait, on sockets that it already has.
//!
//! ```text
//!  sockets bound ─► listeners ─► privileges ─► site read ─► environment ─► sockets listen
//!                ─► landlock ─► engine created and restricted ─► descriptors ─► seccomp ─► serves
//! ```
//!
//! The site is read after the privileges are gone: files that the serving user may not read are not
//! published, and decoders run without privileges. The engine is created later still, because a
//! ring keeps the credentials of its creator. Descriptors are closed before system calls are
//! filtered, because the filter forbids close(2). Each layer is implemented in [`crate::os`]; the
//! permitted system calls are listed in [`calls`], the permitted operations are derived from
//! [`crate::engine::Op`]. [`Sandbox::enter`] performs the steps, for the server as for the report.

pub mod calls;
mod error;
mod layer;
pub mod options;
pub mod report;
mod steps;

pub use error::SandboxError;
pub use layer::{Layer, LayerState, OffReason};
pub use steps::{Possessions, Program, Sandbox, SandboxConfig, SandboxMode};
