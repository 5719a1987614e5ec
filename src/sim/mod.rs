//! The simulator: the server on a ring whose operations take effect and complete at random later
//! times, over a pretend network with faults and peers of all kinds, in virtual time.
//!
//! ```text
//!   random ──► plan ──► peer ──► network ◄── operations ◄── ring ◄── the server
//!                         │                    ▲
//!                         └► replies           └ faults, agenda       run ──► judge
//! ```
//!
//! Everything comes from one source of choices ([`Random`]), so the same seed makes the same run.
//! Knows the ring's trait, the server and the site; no kernel and no clock.

mod agenda;
mod faults;
mod flight;
mod judge;
mod network;
mod operations;
mod peer;
mod plan;
mod random;
mod replies;
mod ring;
mod run;

pub use faults::{Fault, Happening, Tally};
pub use network::{Link, LinkId, Network, Read};
pub use random::Random;
pub use ring::{Setup, SimRing};
pub use run::{Options, Report, run};

/// The whole loop with choices from fuzz input: for the fuzzer, and the tests over its corpus.
///
/// # Panics
/// If anything was wrong.
pub fn server(data: &[u8]) {
    let options = Options { peers_max: 12, ..Options::default() };
    if let Err(what) = run(Random::from_bytes(data), options) {
        panic!("{what}");
    }
}
