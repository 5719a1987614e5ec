//! The simulator: the server on a ring whose operations take effect and complete at random later
//! times, over a pretend network with faults and peers of all kinds, in virtual time.
//!
//! ```text
//!   random ──► plan ──► peer ──► network ◄── operations ◄── ring ◄── the server
//!                         │                    ▲
//!                         └► responses           └ faults, events       run ──► checker
//! ```
//!
//! `pair` lets the load client meet the server: each has a ring and a network of its own, `wire`
//! lies between them, and in the end the `reconciliation` of both have to agree.
//!
//! Everything comes from one source of choices ([`Random`]), so the same seed makes the same run.
//! Knows the ring's trait, the server, the site and the load client; no kernel and no clock.

mod checker;
mod event_queue;
mod faults;
mod flight;
mod hostile;
mod inspect;
mod network;
mod operations;
mod pair;
mod peer;
mod plan;
mod random;
mod reconciliation;
mod responses;
mod ring;
mod run;
mod wire;

pub use faults::{Fault, FaultCounters, Mark};
pub use hostile::{Attack, run_hostile};
pub use network::{Link, LinkId, Network, Read};
pub use pair::run as run_pair;
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
