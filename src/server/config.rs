//! The settings of a server, and what follows from them.

use std::time::Duration;

/// The settings of a server.
#[derive(Clone, Copy, Debug)]
pub struct ServerConfig {
    /// The connection limit: the most connections accepted and open at one time. A supervised
    /// server may have less for the time being ([`Supervision`](super::Supervision)).
    pub spawn: u32,
    /// How many listeners the engine has.
    pub listeners: u32,
    /// Whether the last listener is for health checks alone, with [`HEALTH_SLOTS`] of its own.
    pub health_listener: bool,
    /// The listeners whose connections begin with a PROXY header.
    pub proxied: ProxiedListeners,
    /// The most accepts in flight on each listener while slots are free.
    pub accepts: u32,
    /// How many of them are in flight while connections arrive one at a time. A server that shares
    /// its listeners keeps no connection from an idle one, if this is 1.
    pub accepts_at_rest: u32,
    /// How long a head may take, from the accept or from its first byte.
    pub head_timeout: Duration,
    /// How long a connection may be idle between requests.
    pub idle_timeout: Duration,
    /// How long a body may take, from the end of its response.
    pub body_timeout: Duration,
    /// How long a response may make no progress.
    pub send_timeout: Duration,
    /// The lowest rate at which a client must take a response, in bytes per second; 0 for none.
    pub min_rate: u32,
    /// How long health checks announce the drain before it begins.
    pub drain_delay: Duration,
    /// How long idle connections are kept after a request to retire.
    pub reload_grace: Duration,
    /// How long idle connections are kept at the beginning of the drain, as after a request to
    /// retire: if other processes accept what waits in the listeners, no request need be lost.
    pub drain_grace: Duration,
    /// How long the drain may take, from its beginning.
    pub drain_timeout: Duration,
    /// The longest head, in bytes.
    pub head_bytes_max: u32,
    /// Whether a receive may stay armed over many requests.
    pub recv_many: bool,
    /// Whether a send may be linked to a close.
    pub send_close: bool,
    /// Returns freed memory to the operating system; called after a burst of incomplete heads.
    pub trim_memory: fn(),
}

impl ServerConfig {
    /// How many slots the engine has: [`ServerConfig::spawn`], and [`HEALTH_SLOTS`] if there is a
    /// listener for health checks.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.spawn + if self.health_listener { HEALTH_SLOTS } else { 0 }
    }
}

/// The listeners for proxies among all listeners of a server, by their indices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxiedListeners(u64);

impl ProxiedListeners {
    /// The set, of a value for each listener: whether it is for proxies.
    ///
    /// # Panics
    /// If there are more than [`LISTENERS_MAX`].
    pub fn new(listeners: impl IntoIterator<Item = bool>) -> Self {
        let mut set = 0;
        for (index, is_proxied) in listeners.into_iter().enumerate() {
            assert!(index < LISTENERS_MAX, "a server has {LISTENERS_MAX} listeners at most");
            set |= u64::from(is_proxied) << index;
        }
        Self(set)
    }

    /// Whether the listener with this index is for proxies.
    #[must_use]
    pub fn contains(self, index: usize) -> bool {
        self.0 >> index & 1 != 0
    }
}

/// The most listeners of a server: each needs submission and completion queue entries of its own.
pub const LISTENERS_MAX: usize = 64;

/// How many accepts to keep in flight on each listener: enough for the bursts that arrive within
/// one turn, at most `most`, and so few that nearly all slots are left for connections.
#[must_use]
pub fn accepts_for(spawn: u32, listeners: usize, most: u32) -> u32 {
    let listeners = u32::try_from(listeners.max(1)).unwrap_or(u32::MAX);
    (spawn / 8 / listeners).clamp(1, most)
}

/// The connection limit of the listener for health checks, in addition to all others.
pub const HEALTH_SLOTS: u32 = 8;
