//! What operators learn about a running service: its requests, its metrics and its status.
//!
//! ```text
//!   worker ──┬──► counters: words of its own in shared memory
//!            │        │
//!   supervisor ───────┤ state of the service
//!            │        ▼
//!            │    admin process   snapshot ─► metrics, status ─► pages ─► its server
//!            └──► ring of records in shared memory ─► logger process ─► access log
//! ```
//!
//! A connection ([`http1`](crate::http1)) reports each of its responses to an
//! [`Observer`](record::Observer). This room knows neither connections nor the engine.

pub mod counters;
pub mod exposition;
pub mod histogram;
pub mod metrics;
pub mod pages;
pub mod record;
pub mod snapshot;
pub mod status;
