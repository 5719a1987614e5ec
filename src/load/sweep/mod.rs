//! Sweeps: many servers under many loads, in rounds, with the results kept after every step.

pub mod results;
