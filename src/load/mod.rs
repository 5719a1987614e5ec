//! The load client `uringload`: options, worker processes, counters, report and output.

#![forbid(unsafe_code)]

pub mod client;
pub mod counters;
pub mod files;
mod hints;
pub mod options;
pub mod report;
pub mod request;
pub mod run;
pub mod schedule;
pub mod show;
mod sum;
pub mod worker;
