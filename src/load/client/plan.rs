//! The settings of a client.

use crate::load::proxy_header::ProxyHeader;
use crate::load::schedule::Amount;
use serde::{Deserialize, Serialize};

/// The load that a client produces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientPlan {
    /// How many connections are kept open.
    pub connections: u32,
    /// How many requests are sent, and when.
    pub amount: Amount,
    /// How many requests are sent together on a connection.
    pub pipeline: u32,
    /// Whether connections persist; otherwise each has one batch of requests.
    pub persist: bool,
    /// The number of responses after which a connection is closed, if there is one.
    pub requests_per_connection: Option<u32>,
    /// The pause between a response and the next request of a connection of a closed loop, in
    /// nanoseconds.
    pub think_ns: u64,
    /// The header with which each connection begins.
    pub proxy_header: Option<ProxyHeader>,
    /// The content that every response must have.
    pub expect: Option<Vec<u8>>,
    /// The statuses of correct responses; if empty, 200 to 399.
    pub statuses: Vec<u16>,
    /// The shortest time between two connects, in nanoseconds.
    pub dial_gap_ns: u64,
    /// The time over which the first connections are opened, in nanoseconds.
    pub ramp_ns: u64,
    /// How long a connect may take, in nanoseconds.
    pub connect_timeout_ns: u64,
    /// How long a response may take, in nanoseconds.
    pub response_timeout_ns: u64,
    /// How long responses are awaited once no more requests are made, in nanoseconds.
    pub grace_ns: u64,
}

impl ClientPlan {
    /// Whether a response with this status is correct.
    #[must_use]
    pub fn accepts(&self, status: u16) -> bool {
        match self.statuses[..] {
            [] => (200..400).contains(&status),
            _ => self.statuses.contains(&status),
        }
    }
}
