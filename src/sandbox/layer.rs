//! The layers of the sandbox and their states.

use std::fmt;

/// A kind of process of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessKind {
    /// Has the listeners and the signals, and starts loaders.
    Supervisor,
    /// Reads the content and forks workers.
    Loader,
    /// Serves.
    Worker,
    /// Answers questions about the service on a listener of its own.
    Admin,
    /// Writes the access log.
    Logger,
}

impl ProcessKind {
    /// Its name for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Supervisor => "supervisor",
            Self::Loader => "loader",
            Self::Worker => "worker",
            Self::Admin => "admin",
            Self::Logger => "logger",
        }
    }

    /// The layers of its sandbox, in their order. Only processes that accept have an engine.
    pub fn layers(self) -> impl Iterator<Item = Layer> {
        let has_engine = matches!(self, Self::Worker | Self::Admin);
        Layer::ALL.into_iter().filter(move |&layer| layer != Layer::Engine || has_engine)
    }
}

/// A layer, in the order in which they are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// Listening sockets can't open connections.
    Listeners,
    /// Root, groups, capabilities and the ways to gain more are given up.
    Privileges,
    /// The environment is cleared.
    Environment,
    /// Inherited descriptors are closed.
    Descriptors,
    /// Files, connections and other processes are denied by Landlock.
    Landlock,
    /// The engine refuses operations that no `Op` needs.
    Engine,
    /// System calls are filtered.
    Seccomp,
}

impl Layer {
    /// All layers, in their order.
    pub const ALL: [Self; 7] = [
        Self::Listeners,
        Self::Privileges,
        Self::Environment,
        Self::Descriptors,
        Self::Landlock,
        Self::Engine,
        Self::Seccomp,
    ];

    /// Its name for options, messages and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Listeners => "listeners",
            Self::Privileges => "privileges",
            Self::Environment => "environment",
            Self::Landlock => "landlock",
            Self::Engine => "ring",
            Self::Descriptors => "descriptors",
            Self::Seccomp => "seccomp",
        }
    }
}

/// Whether a layer is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerState {
    /// In force; the text describes its effect.
    On(String),
    /// In force, with a known way around it; the text describes the way and what closes it.
    Partial(String),
    /// Not in force.
    Off(OffReason),
}

/// Why a layer is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OffReason {
    /// The operator switched the sandbox off.
    Disabled,
    /// The operator excluded this layer.
    Excluded,
    /// The kernel doesn't support it or refuses it, for this reason.
    Unavailable(String),
}

impl fmt::Display for OffReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled => f.write_str("the sandbox is switched off"),
            Self::Excluded => f.write_str("excluded by the operator"),
            Self::Unavailable(why) => f.write_str(why),
        }
    }
}
