//! The steps into the sandbox, in their order.

use super::calls;
use super::error::SandboxError;
use super::layer::{Layer, LayerState, OffReason};
use crate::engine::kernel::{KernelEngine, Parts, ReceiveBuffers, Restriction, Role};
use crate::error::Failure;
use crate::os::inherited::{
    InheritedDescriptors, clear_environment, open_null, replace_standard_streams,
};
use crate::os::landlock::{self, Denied};
use crate::os::net::{self, Endpoint, Listener};
use crate::os::pages::Pages;
use crate::os::privileges::{self, Account, RemainingPrivileges};
use crate::os::process::await_single_thread;
use crate::os::seccomp::{self, Call, FilterError};
use crate::os::signal::{self, Signals};
use std::fs::File;
use std::os::fd::OwnedFd;

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
}

/// A sandbox that is being entered, or was entered.
pub struct Sandbox {
    config: SandboxConfig,
    account: Option<Account>,
    /// The replacement of standard input and output, and the descriptors to close.
    descriptors: Option<(File, InheritedDescriptors)>,
    states: Vec<(Layer, LayerState)>,
    /// Whether the steps that would prevent the printing of a report are only checked.
    is_rehearsal: bool,
}

/// The descriptors and slots of a server.
pub struct Possessions {
    /// The sockets to accept from.
    pub listeners: Vec<Listener>,
    /// The source of signals.
    pub signals: Signals,
    /// The number of connection slots.
    pub slots: u32,
    /// As in [`Parts::held`].
    pub held: Option<OwnedFd>,
}

/// The steps of a program between the steps of its sandbox.
pub trait Program<E> {
    /// The content to serve.
    type Loaded;
    /// The server, ready to run.
    type Assembled;

    /// Reads the content as the user that serves it; the bytes are those to send from.
    ///
    /// # Errors
    /// If the content can't be read.
    fn read(&mut self) -> Result<(Self::Loaded, Pages), Failure>;

    /// Starts to listen. After this step only the kernel's refusal of an engine or of a layer can
    /// fail the start.
    ///
    /// # Errors
    /// If another process has taken a port meanwhile.
    fn listen(&mut self, listeners: &[Listener]) -> Result<(), Failure>;

    /// Makes the server from its parts. This allocates memory, so it precedes the filter of system
    /// calls.
    fn assemble(&mut self, engine: E, content: Self::Loaded) -> Self::Assembled;
}

impl Sandbox {
    /// Looks up the account, finds the inherited descriptors and opens `/dev/null`, while files can
    /// still be opened.
    ///
    /// # Errors
    /// If there is no such user, or the user is root without permission, or `/proc` or `/dev` is
    /// missing.
    pub fn prepare(config: SandboxConfig) -> Result<Self, SandboxError> {
        let inherited = InheritedDescriptors::take().map_err(SandboxError::Descriptors)?;
        Self::prepare_with(config, inherited)
    }

    /// As [`Sandbox::prepare`], for a process that has found its inherited descriptors already.
    ///
    /// # Errors
    /// Those of [`Sandbox::prepare`].
    pub fn prepare_with(
        config: SandboxConfig,
        inherited: InheritedDescriptors,
    ) -> Result<Self, SandboxError> {
        let account = match &config.user {
            Some(text) => Some(
                Account::look_up(text)
                    .map_err(|error| SandboxError::UnknownAccount { text: text.clone(), error })?,
            ),
            None if config.allow_root || !privileges::is_root() => None,
            None => Some(Account::NOBODY),
        };
        let stays_root = |account: &Account| account.uid == 0 || account.gid == 0;
        if account.as_ref().is_some_and(stays_root) && !config.allow_root {
            let text = config.user.clone().unwrap_or_default();
            return Err(SandboxError::RootAccount { text });
        }
        let mut sandbox =
            Self { config, account, descriptors: None, states: Vec::new(), is_rehearsal: false };
        if sandbox.applies(Layer::Descriptors) {
            let null = open_null().map_err(SandboxError::NullDevice)?;
            sandbox.descriptors = Some((null, inherited));
        } else {
            inherited.leave_open();
        }
        Ok(sandbox)
    }

    /// Makes [`Sandbox::enter`] keep standard streams, environment and system calls, and only check
    /// whether the kernel has a filter.
    pub(super) fn rehearse(&mut self) {
        self.is_rehearsal = true;
    }

    /// Takes every step in its order, with those of a program between them.
    ///
    /// # Errors
    /// If a step fails.
    pub fn enter<E: KernelEngine, P: Program<E>>(
        &mut self,
        program: &mut P,
        listeners: Vec<Listener>,
        slots: u32,
        preparation: E::Preparation,
    ) -> Result<P::Assembled, SandboxError> {
        let content = self.read(program, &listeners)?;
        let signals = signal::signals_to_end()?;
        let possessions = Possessions { listeners, signals, slots, held: None };
        self.serve(program, content, possessions, preparation)
    }

    /// The steps up to the moment at which the content is read. A process may be copied after
    /// them, for each copy to take the rest.
    ///
    /// # Errors
    /// If a step fails.
    pub fn read<E, P: Program<E>>(
        &mut self,
        program: &mut P,
        listeners: &[Listener],
    ) -> Result<(P::Loaded, Pages), SandboxError> {
        self.attach_drop_filter(listeners)?;
        self.give_up_privileges()?;
        let content = program.read()?;
        self.await_readers()?;
        self.clear_environment()?;
        Ok(content)
    }

    /// The steps after [`Sandbox::read`].
    ///
    /// # Errors
    /// If a step fails.
    pub fn serve<E: KernelEngine, P: Program<E>>(
        &mut self,
        program: &mut P,
        (content, fixed): (P::Loaded, Pages),
        possessions: Possessions,
        preparation: E::Preparation,
    ) -> Result<P::Assembled, SandboxError> {
        let Possessions { listeners, signals, slots, held } = possessions;
        program.listen(&listeners)?;
        self.deny_files()?;
        let role = Role::Server { listeners, signals };
        let (buffers, restricted) = (ReceiveBuffers::SERVER, self.applies(Layer::Engine));
        let parts = Parts { slots, role, fixed, buffers, held, restricted };
        let mut engine = E::create(preparation, parts)?;
        self.note_restriction(engine.restriction())?;
        self.close_descriptors()?;
        if self.is_on() {
            // The files can't be removed from within the sandbox; the next start replaces them.
            engine.keep_socket_files();
        }
        let calls = calls::allowed(std::process::id(), engine.needed_calls());
        let assembled = program.assemble(engine, content);
        self.filter_calls(&calls)?;
        Ok(assembled)
    }

    /// Whether the operator wants a layer.
    fn applies(&self, layer: Layer) -> bool {
        self.config.mode != SandboxMode::Off && !self.config.without.contains(&layer)
    }

    /// Whether the operator wants a layer; if not, its state is recorded.
    fn begins(&mut self, layer: Layer) -> Result<bool, SandboxError> {
        if self.applies(layer) {
            return Ok(true);
        }
        let reason = match self.config.mode {
            SandboxMode::Off => OffReason::Disabled,
            SandboxMode::On | SandboxMode::Require => OffReason::Excluded,
        };
        self.record(layer, LayerState::Off(reason))?;
        Ok(false)
    }

    fn record(&mut self, layer: Layer, state: LayerState) -> Result<(), SandboxError> {
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
        self.states.push((layer, state));
        Ok(())
    }

    /// Makes listening sockets drop the answers to connections that they could be made to open.
    /// Before the privileges are given up, because some kernels require one for this.
    fn attach_drop_filter(&mut self, listeners: &[Listener]) -> Result<(), SandboxError> {
        if !self.begins(Layer::Listeners)? {
            return Ok(());
        }
        let is_tcp = |listener: &Listener| matches!(listener.endpoint, Endpoint::Tcp(_));
        let filtered = listeners.iter().try_for_each(Listener::drop_answers);
        let state = match (net::sends_connect(), filtered) {
            _ if !listeners.iter().any(is_tcp) => {
                LayerState::On("no TCP socket listens".to_owned())
            }
            (false, Ok(())) => LayerState::On(format!("{NO_FAST_OPEN}, and answers are dropped")),
            (false, Err(_)) => LayerState::On(NO_FAST_OPEN.to_owned()),
            (true, Ok(())) => LayerState::Partial(format!(
                "answers are dropped, except the SYN of a cooperating peer (simultaneous open): \
                 {TURN_FAST_OPEN_OFF}"
            )),
            (true, Err(why)) => LayerState::Off(OffReason::Unavailable(format!(
                "the kernel refuses the socket filter ({why}), and a send can open a connection: \
                 {TURN_FAST_OPEN_OFF}"
            ))),
        };
        self.record(Layer::Listeners, state)
    }

    /// Gives up root and all capabilities. The account of the configuration is taken on even if the
    /// sandbox is off.
    ///
    /// # Errors
    /// If a privilege can't be given up, or there is another thread, which would keep its own
    /// (capabilities(7)).
    pub fn give_up_privileges(&mut self) -> Result<(), SandboxError> {
        let becomes_other = self.config.mode == SandboxMode::Off && self.account.is_some();
        if !becomes_other && !self.begins(Layer::Privileges)? {
            return Ok(());
        }
        let RemainingPrivileges { uid, gid, groups, bounding_set } =
            privileges::give_up(self.account.as_ref())?;
        let groups = match &groups[..] {
            [] => "no supplementary groups".to_owned(),
            others => format!("supplementary groups {others:?}, which it may not leave"),
        };
        let rest =
            if bounding_set { " except in the bounding set, which it may not empty" } else { "" };
        let text = format!(
            "user {uid}, group {gid}, {groups}, no capabilities{rest}, no_new_privs, not dumpable"
        );
        self.record(Layer::Privileges, LayerState::On(text))
    }

    /// Waits until the threads that read the site have ended: Landlock and seccomp restrict only
    /// the calling thread and the threads that it starts.
    fn await_readers(&self) -> Result<(), SandboxError> {
        if self.config.mode == SandboxMode::Off { Ok(()) } else { Ok(await_single_thread()?) }
    }

    /// Clears the environment. Before Landlock, because the number of threads is checked in
    /// `/proc`.
    fn clear_environment(&mut self) -> Result<(), SandboxError> {
        if !self.begins(Layer::Environment)? {
            return Ok(());
        }
        if !self.is_rehearsal {
            clear_environment()?;
        }
        self.record(Layer::Environment, LayerState::On("overwritten and empty".to_owned()))
    }

    /// Denies files, connections and signals to other processes.
    fn deny_files(&mut self) -> Result<(), SandboxError> {
        if !self.begins(Layer::Landlock)? {
            return Ok(());
        }
        let denied = landlock::deny_everything().map_err(SandboxError::Landlock)?;
        let state = match &denied {
            Denied::By { abi } => {
                LayerState::On(format!("ABI {abi}: {}", denied.list().join("; ")))
            }
            Denied::Nothing(why) => LayerState::Off(OffReason::Unavailable(why.clone())),
        };
        self.record(Layer::Landlock, state)
    }

    /// Records whether the engine is restricted.
    fn note_restriction(&mut self, restriction: &Restriction) -> Result<(), SandboxError> {
        if !self.begins(Layer::Engine)? {
            return Ok(());
        }
        let off = |why: &str| LayerState::Off(OffReason::Unavailable(why.to_owned()));
        let state = match restriction {
            Restriction::InForce { summary, .. } => LayerState::On(summary.clone()),
            Restriction::Refused(why) => off(why),
            Restriction::NotRequested => off("no restriction was requested"),
        };
        self.record(Layer::Engine, state)
    }

    /// Closes inherited descriptors and replaces standard input and output.
    fn close_descriptors(&mut self) -> Result<(), SandboxError> {
        if !self.begins(Layer::Descriptors)? {
            return Ok(());
        }
        let Some((null, inherited)) = self.descriptors.take() else { return Ok(()) };
        let closed = inherited.count();
        drop(inherited);
        let replaced = if self.is_rehearsal { Ok(()) } else { replace_standard_streams(&null) };
        let state = match replaced {
            Ok(()) => LayerState::On(format!(
                "{closed} inherited ones are closed; standard input and output are /dev/null"
            )),
            Err(error) => LayerState::Off(OffReason::Unavailable(error.to_string())),
        };
        self.record(Layer::Descriptors, state)
    }

    /// Filters system calls. After this last step the process can only serve.
    fn filter_calls(&mut self, calls: &[Call]) -> Result<(), SandboxError> {
        if !self.begins(Layer::Seccomp)? {
            return Ok(());
        }
        let (outcome, on) = if self.is_rehearsal {
            let checked = seccomp::check().map_err(FilterError::Unavailable);
            (checked, "any other system call kills the process".to_owned())
        } else {
            (seccomp::install(calls), format!("only {}", calls::names(calls).join(", ")))
        };
        let state = match outcome {
            Ok(()) => LayerState::On(on),
            Err(FilterError::Unavailable(why)) => LayerState::Off(OffReason::Unavailable(why)),
            Err(error @ FilterError::Failed(_)) => return Err(SandboxError::Filter(error)),
        };
        self.record(Layer::Seccomp, state)
    }

    /// The layers with their states, in the order of the steps so far.
    #[must_use]
    pub fn states(&self) -> &[(Layer, LayerState)] {
        &self.states
    }

    /// Whether root serves as nobody because the configuration names no account.
    #[must_use]
    pub fn chose_nobody(&self) -> bool {
        self.config.user.is_none() && self.account.is_some()
    }

    /// Whether any layer is in force.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.states.iter().any(|(_, state)| !matches!(state, LayerState::Off(_)))
    }

    /// `full`, `partial` or `off`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        let full =
            self.states.iter().filter(|(_, state)| matches!(state, LayerState::On(_))).count();
        match full {
            full if full == Layer::ALL.len() => "full",
            _ if self.is_on() => "partial",
            _ => "off",
        }
    }

    /// The word, and the layers that are off or incomplete.
    #[must_use]
    pub fn summary(&self) -> String {
        let lacks = self.states.iter().filter(|(_, state)| !matches!(state, LayerState::On(_)));
        let names: Vec<_> = lacks.map(|(layer, _)| layer.name()).collect();
        match self.word() {
            word @ "partial" => format!("{word} ({})", names.join(", ")),
            word => word.to_owned(),
        }
    }
}

const NO_FAST_OPEN: &str = "net.ipv4.tcp_fastopen lets no send open a connection";
const TURN_FAST_OPEN_OFF: &str = "`sysctl -w net.ipv4.tcp_fastopen=2` prevents that";
