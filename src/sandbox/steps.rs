//! The steps into the sandbox, in their order.

use super::error::SandboxError;
use super::layer::{Layer, LayerState, OffReason, ProcessKind};
use super::record::{LayerRecord, SandboxConfig, SandboxMode};
use super::{calls, refusals};
use crate::engine::kernel::{KernelEngine, Parts, ReceiveBuffers, Restriction, Role};
use crate::error::Failure;
use crate::os::inherited::{
    InheritedDescriptors, clear_environment, open_null, replace_standard_streams,
};
use crate::os::landlock::{FileAccess, Hierarchy};
use crate::os::net::Listener;
use crate::os::pages::Pages;
use crate::os::privileges::{self, Account, RemainingPrivileges};
use crate::os::process::{ThreadFolder, ThreadsError, await_single_thread};
use crate::os::seccomp::{self, Call, FilterError};
use crate::os::signal::{self, Signals};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

/// A sandbox that is being entered, or was entered: that of a loader first, then that of a worker.
pub struct Sandbox {
    record: LayerRecord,
    account: Option<Account>,
    /// The replacement of standard input and output, and the descriptors to close.
    descriptors: Option<(File, InheritedDescriptors)>,
    /// The layers while the content was read.
    while_reading: Vec<(Layer, LayerState)>,
    /// By which the threads are counted, until it is given up.
    threads: Option<ThreadFolder>,
}

/// The descriptors and slots of a server.
pub struct Possessions {
    /// The sockets to accept from.
    pub listeners: Vec<Listener>,
    /// The source of signals.
    pub signals: Signals,
    /// The number of connection slots.
    pub slots: u32,
    /// The receive buffers of the engine.
    pub buffers: ReceiveBuffers,
    /// As in [`Parts::held`].
    pub held: Option<OwnedFd>,
    /// As in [`Parts::wants_peers`].
    pub wants_peers: bool,
}

/// The steps of a program between the steps of its sandbox.
pub trait Program<E> {
    /// The content to serve.
    type Loaded;
    /// The server, ready to run.
    type Assembled;

    /// Opens what is to be read, as the user that serves it.
    ///
    /// # Errors
    /// If it can't be opened.
    fn open(&mut self) -> Result<(), Failure>;

    /// The folders beneath which [`Program::read`] opens files, and other files that it opens: the
    /// root first, if there is one, then the targets of links out of it.
    fn hierarchies(&self) -> Vec<Hierarchy<'_>>;

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
    /// Opens `/dev/null`, while files can still be opened. The sandbox will become `account`, or
    /// stay as it is ([`SandboxConfig::look_up_account`]), and close the inherited descriptors.
    ///
    /// # Errors
    /// If `/proc` or `/dev` is missing.
    pub fn prepare(
        config: SandboxConfig,
        account: Option<Account>,
        inherited: InheritedDescriptors,
    ) -> Result<Self, SandboxError> {
        let mut descriptors = None;
        if config.applies(Layer::Descriptors) {
            let null = open_null().map_err(SandboxError::NullDevice)?;
            descriptors = Some((null, inherited));
        } else {
            inherited.leave_open();
        }
        let record = LayerRecord::new(config);
        Ok(Self { record, account, descriptors, while_reading: Vec::new(), threads: None })
    }

    /// Makes [`Sandbox::enter`] keep standard streams, environment and system calls, and only check
    /// whether the kernel has a filter.
    pub(super) fn rehearse(&mut self) {
        self.record.is_rehearsal = true;
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
        let buffers = ReceiveBuffers::SERVER;
        let possessions =
            Possessions { listeners, signals, slots, buffers, held: None, wants_peers: false };
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
        self.await_single_thread()?;
        self.record.attach_drop_filter(listeners)?;
        self.give_up_privileges()?;
        self.clear_environment()?;
        self.close_descriptors()?;
        program.open()?;
        self.deny_all_but(program.hierarchies())?;
        self.refuse_calls()?;
        self.while_reading.clone_from(&self.record.states);
        let content = program.read()?;
        self.await_single_thread()?;
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
        let Possessions { listeners, signals, slots, buffers, held, wants_peers } = possessions;
        program.listen(&listeners)?;
        self.threads = None;
        self.record.deny_files(&[], "")?;
        let role = Role::Server { listeners, signals };
        let restricted = self.record.config.applies(Layer::Engine);
        let parts = Parts { slots, role, fixed, buffers, held, restricted, wants_peers };
        let mut engine = E::create(preparation, parts)?;
        self.note_restriction(engine.restriction())?;
        if self.is_on() {
            // The files can't be removed from within the sandbox; the next start replaces them.
            engine.keep_socket_files();
        }
        let calls = calls::allowed(std::process::id(), engine.needed_calls());
        let assembled = program.assemble(engine, content);
        self.filter_calls(&calls)?;
        Ok(assembled)
    }

    /// The steps of a process that has neither an engine nor content to read, and makes these
    /// system calls only.
    ///
    /// # Errors
    /// If a step fails.
    pub fn confine(&mut self, calls: &[Call]) -> Result<(), SandboxError> {
        self.await_single_thread()?;
        self.record.attach_drop_filter(&[])?;
        self.give_up_privileges()?;
        self.clear_environment()?;
        self.close_descriptors()?;
        self.record.deny_files(&[], "")?;
        self.filter_calls(calls)
    }

    /// Gives up root and all capabilities. The account of the configuration is taken on even if the
    /// sandbox is off.
    ///
    /// # Errors
    /// If a privilege can't be given up, or there is another thread, which would keep its own
    /// (capabilities(7)).
    pub fn give_up_privileges(&mut self) -> Result<(), SandboxError> {
        let is_off = self.record.config.mode == SandboxMode::Off;
        let becomes_other = is_off && self.account.is_some();
        if !becomes_other && !self.record.begins(Layer::Privileges)? {
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
        self.record.record(Layer::Privileges, LayerState::On(text))
    }

    /// Waits until other threads have ended, such as those that read the site: Landlock and seccomp
    /// restrict only the calling thread and the threads that it starts.
    fn await_single_thread(&self) -> Result<(), SandboxError> {
        let is_off = self.record.config.mode == SandboxMode::Off;
        if is_off { Ok(()) } else { Ok(await_single_thread()?) }
    }

    /// Clears the environment. Before Landlock, because the number of threads is checked in
    /// `/proc`.
    fn clear_environment(&mut self) -> Result<(), SandboxError> {
        if !self.record.begins(Layer::Environment)? {
            return Ok(());
        }
        if !self.record.is_rehearsal {
            clear_environment()?;
        }
        self.record.record(Layer::Environment, LayerState::On(CLEARED.to_owned()))
    }

    /// Denies files but those beneath these folders, connections, signals to other processes.
    fn deny_all_but(&mut self, content: Vec<Hierarchy<'_>>) -> Result<(), SandboxError> {
        if self.record.config.applies(Layer::Landlock) {
            self.threads = Some(ThreadFolder::open().map_err(ThreadsError::Unreadable)?);
        }
        let hierarchy = |fd, access| Hierarchy { fd, access };
        let threads = self.threads.as_ref().map(|it| hierarchy(it.as_fd(), FileAccess::List));
        let exceptions: Vec<_> = content.into_iter().chain(threads).collect();
        let words = if exceptions.len() > 2 {
            "; except reading files of the root and of the targets of links out of it, and listing \
             the process's own threads"
        } else {
            "; except reading files of the root, and listing the process's own threads"
        };
        self.record.deny_files(&exceptions, words)
    }

    /// Has system calls fail that reading the content doesn't need.
    fn refuse_calls(&mut self) -> Result<(), SandboxError> {
        if !self.record.begins(Layer::Seccomp)? {
            return Ok(());
        }
        let outcome = seccomp::refuse(&refusals::of_loader(self.record.config.engine));
        self.record.note_filter(outcome, REFUSED.to_owned())
    }

    /// Records whether the engine is restricted.
    fn note_restriction(&mut self, restriction: &Restriction) -> Result<(), SandboxError> {
        if !self.record.begins(Layer::Engine)? {
            return Ok(());
        }
        let off = |why: &str| LayerState::Off(OffReason::Unavailable(why.to_owned()));
        let state = match restriction {
            Restriction::InForce { summary, .. } => LayerState::On(summary.clone()),
            Restriction::Refused(why) => off(why),
            Restriction::NotRequested => off("no restriction was requested"),
            Restriction::SystemCallsOnly => LayerState::On(
                "there is none: each operation of the engine is a system call".to_owned(),
            ),
        };
        self.record.record(Layer::Engine, state)
    }

    /// Closes inherited descriptors and replaces standard input and output.
    fn close_descriptors(&mut self) -> Result<(), SandboxError> {
        if !self.record.begins(Layer::Descriptors)? {
            return Ok(());
        }
        let Some((null, inherited)) = self.descriptors.take() else { return Ok(()) };
        let closed = inherited.count();
        drop(inherited);
        let is_rehearsal = self.record.is_rehearsal;
        let replaced = if is_rehearsal { Ok(()) } else { replace_standard_streams(&null) };
        self.record.note_descriptors(closed, replaced)
    }

    /// Filters system calls. After this last step the process can only serve.
    fn filter_calls(&mut self, calls: &[Call]) -> Result<(), SandboxError> {
        if !self.record.begins(Layer::Seccomp)? {
            return Ok(());
        }
        let (outcome, on) = if self.record.is_rehearsal {
            let checked = seccomp::check().map_err(FilterError::Unavailable);
            (checked, "any other system call kills the process".to_owned())
        } else {
            let installed = seccomp::install(calls, &refusals::of_worker());
            (installed, format!("only {}", calls::names(calls).join(", ")))
        };
        self.record.note_filter(outcome, on)
    }

    /// The layers with their states, in their order, as far as the steps have been taken.
    #[must_use]
    pub fn states(&self) -> &[(Layer, LayerState)] {
        &self.record.states
    }

    /// The layers with their states while the content was read.
    #[must_use]
    pub fn states_while_reading(&self) -> &[(Layer, LayerState)] {
        &self.while_reading
    }

    /// `full`, `partial` or `off`, as it was while the content was read.
    #[must_use]
    pub fn word_while_reading(&self) -> &'static str {
        LayerRecord {
            states: self.while_reading.clone(),
            ..LayerRecord::new(self.record.config.clone())
        }
        .word(ProcessKind::Loader)
    }

    /// Whether root serves as nobody because the configuration names no account.
    #[must_use]
    pub fn chose_nobody(&self) -> bool {
        self.record.config.user.is_none() && self.account.is_some()
    }

    /// Whether any layer is in force.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.record.is_on()
    }

    /// `full`, `partial` or `off`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        self.record.word(ProcessKind::Worker)
    }

    /// The word, and the layers that are off or incomplete.
    #[must_use]
    pub fn summary(&self) -> String {
        let lacks = self.states().iter().filter(|(_, state)| !matches!(state, LayerState::On(_)));
        let names: Vec<_> = lacks.map(|(layer, _)| layer.name()).collect();
        match self.word() {
            word @ "partial" => format!("{word} ({})", names.join(", ")),
            word => word.to_owned(),
        }
    }
}

pub(super) const CLEARED: &str = "overwritten and empty";
pub(super) const REFUSED: &str = "the system calls of a list fail";
