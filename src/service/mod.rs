//! The processes of the service: a supervisor, which has the listeners and the signals, a loader,
//! which reads the content, and the workers that it forks, which serve.
//!
//! ```text
//!   supervisor ── run: carries out the orders of `supervisor`, a state machine without I/O
//!     │  ▲
//!     │  └─ scoreboard: shared memory, by which `allowance` divides the connection limit
//!     │
//!     ├─ loader ── messages: a channel; "loaded", "fork a worker", "forked"
//!     └─ worker × N  forked by the loader as children of the supervisor
//! ```
//!
//! A reload starts a new loader, which is the program at the same path, and so a new generation of
//! workers. The old generation retires only when the new one serves.

pub mod allowance;
pub mod loader;
pub mod messages;
mod processes;
mod report;
mod run;
mod scoreboard;
pub mod supervisor;

pub use run::run;
