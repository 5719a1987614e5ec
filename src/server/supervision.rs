//! How several servers share one connection limit: what a server is told, and what it publishes.
//!
//! The servers accept from the same sockets, each in a process of its own, and know each other only
//! by numbers in shared memory. Who divides the limit, and how it stays exact, isn't their
//! business.

use crate::stats::Stats;

/// The link between a server and what divides the connection limit.
pub trait Supervision {
    /// The most slots that this server may use at present. It may change at any time.
    fn allowance(&self) -> u32;

    /// Whether another server that accepts from the same sockets has a free slot.
    fn others_have_room(&self) -> bool;

    /// Publishes the state at the end of a turn. An implementation makes `in_use` visible before
    /// `adopted`: a reader that sees an allowance adopted also sees the slots in use by then.
    fn publish(&mut self, usage: Usage, stats: &Stats);
}

/// The slots of a server at the end of a turn. Those of a listener for health checks don't count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The allowance that bounds `in_use` from now on: it grows up to it at most, and only falls
    /// while it is above.
    pub adopted: u32,
    /// Slots with a connection or an accept in flight.
    pub in_use: u32,
    /// Connections.
    pub connections: u32,
}
