//! The options of a run, and its report.

use super::coverage::Coverage;
use crate::engine::Nanos;
use crate::engine::sim::{FaultLevel, Trace};

/// How a run is made.
#[derive(Clone, Copy, Debug)]
pub struct SimulationOptions {
    /// Whether faults strike.
    pub faults: bool,
    /// Whether events are printed on standard error.
    pub trace: bool,
    /// The most peers of a run, at least 3.
    pub peers_max: usize,
}

impl Default for SimulationOptions {
    fn default() -> Self {
        Self { faults: true, trace: false, peers_max: 40 }
    }
}

impl SimulationOptions {
    pub(super) fn fault_level(self) -> FaultLevel {
        if self.faults { FaultLevel::All } else { FaultLevel::None }
    }

    pub(super) fn trace(self) -> Option<Trace> {
        self.trace.then_some(print_line)
    }
}

fn print_line(at: Nanos, name: &str, text: &str) {
    let (micros, nanos) = (at.0 / 1000, at.0 % 1000);
    crate::os::terminal::err(format_args!("{micros:>12}.{nanos:03} us  {name:<6}  {text}"));
}

/// The outcome of a run in which nothing failed.
#[derive(Clone, Debug, Default)]
pub struct SimulationReport {
    /// The faults that struck and the cases that were reached.
    pub coverage: Coverage,
    /// How many turns the servers and clients took.
    pub turns: u64,
    /// How many complete responses were received.
    pub responses: u64,
    /// How many well-behaved peers received all their responses.
    pub served: u64,
}

impl SimulationReport {
    /// Adds another run's report.
    pub fn add(&mut self, other: &Self) {
        self.coverage.add(&other.coverage);
        self.turns += other.turns;
        self.responses += other.responses;
        self.served += other.served;
    }
}
