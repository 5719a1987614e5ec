//! Sweeps, which compare servers under several loads, and charts of the results. Only `uringload`
//! and the soak test use this module.

#![forbid(unsafe_code)]

pub mod chart;
mod numbers;
pub mod spread;
pub mod sweep;
