//! The simulator: servers, load clients and peers in one world of virtual time, on engines without
//! a kernel.
//!
//! ```text
//!   mixed  hostile  pair  service     scenarios: what is drawn, and what must hold in the end
//!      └──────┼──────┴───────┘
//!             ▼
//!           world ──► participants: Server, Client on a SimEngine each
//!             │   └─► crowd: peers that go through their plans
//!             ▼
//!          network    accept queues and connections, shared by all of them
//! ```
//!
//! Everything that is drawn comes from one [`Random`], so a seed always makes the same run. Knows
//! the simulated engine, the server, its supervisor, the site and the load client; no kernel and no
//! clock.

mod checker;
mod coverage;
mod crowd;
mod draw;
#[cfg(test)]
mod fairness;
mod hostile;
#[cfg(test)]
mod lingering;
mod mixed;
mod pair;
mod participant;
mod peer;
mod peer_plan;
mod reconciliation;
mod report;
mod requests;
mod responses;
mod service;
#[cfg(test)]
mod sharing;
mod tally;
mod world;

pub use crate::engine::sim::{EngineMark, Fault, FaultCounters, Random};
pub use coverage::{Coverage, Mark};
pub use hostile::{Attack, run_hostile};
pub use mixed::run_mixed;
pub use pair::run_pair;
pub use report::{SimulationOptions, SimulationReport};
pub use service::run_service;

/// A run against peers of all kinds with choices from fuzz input: the body of a fuzz target, and
/// of the test over its corpus.
///
/// # Panics
/// If the run fails.
pub fn server(data: &[u8]) {
    let options = SimulationOptions { peers_max: 12, ..SimulationOptions::default() };
    if let Err(failure) = run_mixed(Random::from_bytes(data), options) {
        panic!("{failure}");
    }
}
