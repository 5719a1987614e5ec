//! The processes of the service: a supervisor, which has the listeners and the signals, a loader,
//! which reads the content, and the workers that it forks, which serve.
//!
//! ```text
//!   process of the supervisor                          its children
//!
//!   supervisor  decides, without I/O
//!      ▲  │
//!      │  │ events up, orders down
//!      │  ▼
//!   run, processes ─────── messages: a channel ─────── loader   reads the content
//!      ▲  │                                              │
//!      │  │                                              │ clone
//!      │  │                                              ▼
//!      │  ├─────────────── signals ──────────────────► worker × N   serve
//!      │  └─────────────── messages ─────────────────► logger, admin   `auxiliary`
//!      └────────────────── scoreboard: shared memory ────┘
//!                          by which `allowance` divides the connection limit
//! ```
//!
//! A reload starts a new loader by exec, of the program at the same path, and so a new *generation*
//! of workers. The old generation retires only when all workers of the new one serve; until then, a
//! failure ends the new one and nothing else. The supervisor never reads a byte of a client or of
//! the content: what such bytes can make a program do happens in a loader or a worker, which has
//! given up what it doesn't need.

pub mod allowance;
pub mod auxiliary;
mod board_layout;
mod board_state;
pub mod loader;
pub mod messages;
mod notifier;
mod processes;
mod publication;
mod report;
mod run;
mod scoreboard;
mod serving;
pub mod supervisor;

pub use run::run;
