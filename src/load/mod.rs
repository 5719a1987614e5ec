//! The load client `uringload`: what it is asked for, what it found, and how that is shown.

#![forbid(unsafe_code)]

pub mod chart;
pub mod cli;
pub mod client;
pub mod files;
pub mod report;
pub mod request;
pub mod run;
pub mod schedule;
pub mod show;
pub mod sweep;
pub mod tally;
pub mod worker;
