//! The load client `uringload`: options, worker processes, counters, report and output.

#![forbid(unsafe_code)]

pub mod client;
pub mod counters;
pub mod files;
mod hints;
mod input;
pub mod limit;
pub mod merge;
pub mod options;
pub mod proxy_header;
pub mod report;
pub mod request;
pub mod run;
pub mod saved;
pub mod schedule;
pub mod show;
mod start;
mod sum;
pub mod target_counters;
pub mod targets;
pub mod tls;
pub mod worker;
