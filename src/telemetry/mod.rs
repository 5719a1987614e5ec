//! What operators learn about a running service: its metrics and its status.
//!
//! ```text
//!   worker ─────► counters: words of its own in shared memory
//!                     │
//!   supervisor ───────┤ state of the service
//!                     ▼
//!   admin process   snapshot ─► metrics, status ─► pages ─► its server
//! ```

pub mod counters;
pub mod exposition;
pub mod histogram;
pub mod metrics;
pub mod pages;
pub mod snapshot;
pub mod status;
