//! Sweeps, which compare servers under several loads, comparisons of reports, and charts of the
//! results. Only `uringload` and the soak test use this module.

#![forbid(unsafe_code)]

pub mod chart;
pub mod compare;
mod numbers;
pub mod spread;
pub mod sweep;
