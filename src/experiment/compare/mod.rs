//! Comparisons of load reports: `uringload compare`.
//!
//! `sides` groups the runs, `comparison` compares their figures by `inference`, `notes` has reasons
//! for caution, and `table` makes text of it. This module connects them with files and the chart.

pub mod comparison;
mod inference;
mod notes;
pub mod sides;
pub mod table;

pub use comparison::{Comparison, compare};
