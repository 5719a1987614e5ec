//! Auxiliary processes: what the service does besides serving, each part in a process of its own,
//! which the supervisor starts by exec as it starts a loader.
//!
//! ```text
//!   supervisor
//!      ├─► logger   writes what workers leave in shared memory: to its output, and nowhere else
//!      └─► admin    answers questions about the service, on a listener of its own
//! ```
//!
//! An auxiliary process is started before the first generation, locked down before it does
//! anything, replaced when it ends, and told to end when no worker is left. The service doesn't
//! depend on it: workers neither know of it nor wait for it.
//!
//! `spec` is what it is started with; `children` is the side of the supervisor; `process` and
//! `beginning` are its own.

mod admin;
mod beginning;
mod children;
mod logger;
mod process;
mod spec;

pub(super) use children::Auxiliaries;
pub use process::run;
pub use spec::{AuxiliaryRole, AuxiliarySpec};
