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
//!
//! The access log: [`recorder`] writes records to a [`ring`] in [`log_memory`], and [`logger`]
//! makes lines of them ([`format`](mod@format), [`escape`]).

pub mod access_record;
mod calendar;
pub mod counters;
pub mod escape;
pub mod exposition;
pub mod format;
pub mod histogram;
pub mod log_memory;
pub mod logger;
pub mod metrics;
pub mod options;
pub mod pages;
pub mod properties;
pub mod record;
pub mod recorder;
pub mod ring;
pub mod snapshot;
pub mod status;
