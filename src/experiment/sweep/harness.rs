//! The points of a sweep, and the environment in which all of them are measured.

use super::results::{LoadSettings, Measurement, ServerSettings, Settings};
use crate::error::Failure;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

/// One server under one load with one number of connections, in one round.
#[derive(Clone, Copy, Debug)]
pub struct Point<'a> {
    /// The round, from 1.
    pub round: u32,
    /// The load on the server.
    pub load: &'a LoadSettings,
    /// The number of simultaneous connections.
    pub connections: u32,
    /// The server under load.
    pub server: &'a ServerSettings,
}

/// All points of a sweep in the order of measurement. Servers are the innermost loop, so that a
/// change on the machine during the sweep affects all of them alike.
pub fn points(settings: &Settings) -> impl Iterator<Item = Point<'_>> {
    (1..=settings.rounds).flat_map(move |round| {
        settings.loads.iter().flat_map(move |load| {
            settings.concurrency.iter().flat_map(move |&connections| {
                let of = move |server| Point { round, load, connections, server };
                settings.servers.iter().map(of)
            })
        })
    })
}

impl Point<'_> {
    /// Whether `measurement` belongs to this point.
    #[must_use]
    pub fn is_of(&self, measurement: &Measurement) -> bool {
        measurement.round == self.round
            && measurement.load == self.load.name
            && measurement.connections == self.connections
            && measurement.server == self.server.name
    }
}

/// The environment in which all points of a sweep are measured.
pub struct Harness<'a> {
    /// The program of the load client.
    pub client: PathBuf,
    /// The core of the load client; any if `None`.
    pub client_cpu: Option<u32>,
    /// The folder of the sweep's file, to which the folders of servers are relative.
    pub base: PathBuf,
    /// A folder for temporary files during a measurement.
    pub folder: PathBuf,
    /// Interrupts the sweep when it becomes readable.
    pub interrupts: BorrowedFd<'a>,
    /// Says what an interrupted sweep waits for.
    pub tell: &'a dyn Fn(&str),
}

/// The reason for which a point has no measurement.
#[derive(Debug)]
pub enum Stop {
    /// [`Harness::interrupts`] became readable.
    Interrupted,
    /// An error of the sweep itself.
    Failed(Failure),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        let hint = "earlier points are saved; run the same command to continue";
        Self::Failed(Failure::new("measuring a point", error, hint))
    }
}
