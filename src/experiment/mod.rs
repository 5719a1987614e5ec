//! Sweeps of servers over loads, and the charts that show them. Only `uringload` imports it.

#![forbid(unsafe_code)]

pub mod chart;
pub mod spread;
pub mod sweep;
