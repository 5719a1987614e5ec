//! The record of a sandbox that is being entered: the operator's settings, and the state of each
//! layer so far. All kinds of processes share it.

use super::error::SandboxError;
use super::layer::{Layer, LayerState, OffReason, ProcessKind};
use crate::engine::kernel::EngineKind;
use crate::os::landlock::{self, Denied, Hierarchy};
use crate::os::net::{self, Endpoint, Listener};
use crate::os::privileges::{self, Account};
use crate::os::seccomp::{self, FilterError};
use std::io;

/// What to do if the kernel lacks a layer. The comments on variants are help texts of `--lockdown`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum SandboxMode {
    /// Serve with the other layers, and report the missing one
    #[default]
    On,
    /// Refuse to start, also where a send can open a TCP connection (see `uringstatic doctor`)
    Require,
    /// Apply no layer
    Off,
}

/// The operator's settings of the sandbox.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// Whether the sandbox is on, and how strictly.
    pub mode: SandboxMode,
    /// The account to become, `NAME[:GROUP]`; if `None` and the process is root,
    /// [`Account::NOBODY`].
    pub user: Option<String>,
    /// Whether root may serve.
    pub allow_root: bool,
    /// Layers that are not applied.
    pub without: Vec<Layer>,
    /// The engine of the workers. What it needs is permitted to the other processes, too, because a
    /// filter is inherited.
    pub engine: EngineKind,
}

impl SandboxConfig {
    /// The same settings for the processes of an engine.
    #[must_use]
    pub fn for_engine(self, engine: EngineKind) -> Self {
        Self { engine, ..self }
    }

    /// The account that the serving processes become; `None` if they stay what they are.
    ///
    /// # Errors
    /// If there is no such user, or the user is root without permission.
    pub fn look_up_account(&self) -> Result<Option<Account>, SandboxError> {
        let account = match &self.user {
            Some(text) => Some(
                Account::look_up(text)
                    .map_err(|error| SandboxError::UnknownAccount { text: text.clone(), error })?,
            ),
            None if self.allow_root || !privileges::is_root() => None,
            None => Some(Account::NOBODY),
        };
        let stays_root = |account: &Account| account.uid == 0 || account.gid == 0;
        if account.as_ref().is_some_and(stays_root) && !self.allow_root {
            let text = self.user.clone().unwrap_or_default();
            return Err(SandboxError::RootAccount { text });
        }
        Ok(account)
    }

    /// Whether the operator wants a layer.
    #[must_use]
    pub fn applies(&self, layer: Layer) -> bool {
        self.mode != SandboxMode::Off && !self.without.contains(&layer)
    }
}

/// The layers of one process.
pub(super) struct LayerRecord {
    pub(super) config: SandboxConfig,
    pub(super) states: Vec<(Layer, LayerState)>,
    /// Whether the steps that would prevent the printing of a report are only checked.
    pub(super) is_rehearsal: bool,
}

impl LayerRecord {
    pub(super) fn new(config: SandboxConfig) -> Self {
        Self { config, states: Vec::new(), is_rehearsal: false }
    }

    /// Whether the operator wants a layer; if not, its state is recorded.
    pub(super) fn begins(&mut self, layer: Layer) -> Result<bool, SandboxError> {
        if self.config.applies(layer) {
            return Ok(true);
        }
        let reason = match self.config.mode {
            SandboxMode::Off => OffReason::Disabled,
            SandboxMode::On | SandboxMode::Require => OffReason::Excluded,
        };
        self.record(layer, LayerState::Off(reason))?;
        Ok(false)
    }

    /// Records a state, which replaces an earlier one of the same layer.
    pub(super) fn record(&mut self, layer: Layer, state: LayerState) -> Result<(), SandboxError> {
        if self.config.mode == SandboxMode::Require {
            match &state {
                LayerState::On(_) => {}
                LayerState::Partial(why) => {
                    return Err(SandboxError::Incomplete { layer, why: why.clone() });
                }
                LayerState::Off(reason) => {
                    return Err(SandboxError::Incomplete { layer, why: reason.to_string() });
                }
            }
        }
        self.states.retain(|(earlier, _)| *earlier != layer);
        self.states.push((layer, state));
        self.states.sort_by_key(|(layer, _)| *layer);
        Ok(())
    }

    /// Makes listening sockets drop the answers to connections that they could be made to open.
    /// Before the privileges are given up, because some kernels require one for this.
    pub(super) fn attach_drop_filter(
        &mut self,
        listeners: &[Listener],
    ) -> Result<(), SandboxError> {
        if !self.begins(Layer::Listeners)? {
            return Ok(());
        }
        let is_tcp = |listener: &Listener| matches!(listener.endpoint, Endpoint::Tcp(_));
        // All of those that can have a filter, also behind one that can't.
        let filtered = listeners.iter().map(Listener::drop_answers).fold(Ok(()), Result::and);
        let state = match (net::sends_connect(), filtered) {
            _ if !listeners.iter().any(is_tcp) => {
                LayerState::On("no TCP socket listens".to_owned())
            }
            (true, Ok(())) if self.refuses_sends_that_connect() => {
                LayerState::On(format!("{NO_SEND_CONNECTS}, and answers are dropped"))
            }
            (true, Err(_)) if self.refuses_sends_that_connect() => {
                LayerState::On(NO_SEND_CONNECTS.to_owned())
            }
            (false, Ok(())) => LayerState::On(format!("{NO_FAST_OPEN}, and answers are dropped")),
            (false, Err(_)) => LayerState::On(NO_FAST_OPEN.to_owned()),
            (true, Ok(())) => LayerState::Partial(format!(
                "answers are dropped, except the SYN of a cooperating peer (simultaneous open): \
                 {TURN_FAST_OPEN_OFF}"
            )),
            (true, Err(why)) => LayerState::Off(OffReason::Unavailable(format!(
                "there is no socket filter ({why}), and a send can open a connection: \
                 {TURN_FAST_OPEN_OFF}"
            ))),
        };
        self.record(Layer::Listeners, state)
    }

    /// Whether the filters of system calls stop every send that opens a connection, in this process
    /// and in those that it starts: [`refusals`](super::refusals) and the engine's list do if no
    /// process has a ring. A filter that the kernel has but doesn't accept fails the start, so the
    /// answer holds before they are installed.
    fn refuses_sends_that_connect(&self) -> bool {
        let sees_sends = self.config.engine == EngineKind::Epoll;
        sees_sends && self.config.applies(Layer::Seccomp) && seccomp::check().is_ok()
    }

    /// Denies files, connections and signals to other processes, with these exceptions, which
    /// `words` describe.
    pub(super) fn deny_files(
        &mut self,
        exceptions: &[Hierarchy<'_>],
        words: &str,
    ) -> Result<(), SandboxError> {
        if !self.begins(Layer::Landlock)? {
            return Ok(());
        }
        let denied = landlock::deny_all_but(exceptions).map_err(SandboxError::Landlock)?;
        let state = match &denied {
            Denied::By { abi } => {
                let list = denied.list().join("; ");
                LayerState::On(format!("ABI {abi}: {list}{words}"))
            }
            Denied::Nothing(why) => LayerState::Off(OffReason::Unavailable(why.clone())),
        };
        self.record(Layer::Landlock, state)
    }

    /// Records that this many inherited descriptors are closed, and whether standard input and
    /// output could be replaced.
    pub(super) fn note_descriptors(
        &mut self,
        closed: usize,
        replaced: io::Result<()>,
    ) -> Result<(), SandboxError> {
        let state = match replaced {
            Ok(()) => LayerState::On(format!(
                "{closed} inherited ones are closed; standard input and output are /dev/null"
            )),
            Err(error) => LayerState::Off(OffReason::Unavailable(error.to_string())),
        };
        self.record(Layer::Descriptors, state)
    }

    /// Records the outcome of filtering system calls.
    pub(super) fn note_filter(
        &mut self,
        outcome: Result<(), FilterError>,
        on: String,
    ) -> Result<(), SandboxError> {
        let state = match outcome {
            Ok(()) => LayerState::On(on),
            Err(FilterError::Unavailable(why)) => LayerState::Off(OffReason::Unavailable(why)),
            Err(error @ FilterError::Failed(_)) => return Err(SandboxError::Filter(error)),
        };
        self.record(Layer::Seccomp, state)
    }

    /// Whether any layer is in force.
    pub(super) fn is_on(&self) -> bool {
        self.states.iter().any(|(_, state)| !matches!(state, LayerState::Off(_)))
    }

    /// `full`, `partial` or `off`, for a process of this kind.
    pub(super) fn word(&self, kind: ProcessKind) -> &'static str {
        let is_complete = |layer: Layer| {
            self.states.iter().any(|(it, state)| *it == layer && matches!(state, LayerState::On(_)))
        };
        match kind.layers().all(is_complete) {
            true => "full",
            false if self.is_on() => "partial",
            false => "off",
        }
    }
}

const NO_FAST_OPEN: &str = "net.ipv4.tcp_fastopen lets no send open a connection";
const NO_SEND_CONNECTS: &str = "the filter of system calls lets no send open a connection";
const TURN_FAST_OPEN_OFF: &str = "`sysctl -w net.ipv4.tcp_fastopen=2` prevents that";
