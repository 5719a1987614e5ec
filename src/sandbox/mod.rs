//! What the serving process gives up before it serves, layer by layer, until it can accept,
//! receive, send, shut down, close and wait, on sockets it already has, and nothing else.
//!
//! ```text
//!  sockets bound ─► listeners ─► privileges ─► site read ─► sockets listen ─► files
//!                ─► ring made, restricted, enabled ─► belongings ─► system calls ─► serves
//! ```
//!
//! The site is read once the privileges are gone: what the serving user may not read is not
//! published, and decoders run without privileges. The ring is made after that, since a ring keeps
//! the privileges of its maker. Descriptors are closed before system calls are filtered, since the
//! filter forbids that, too. How a layer is done is in `os`; what it lets through is in [`calls`]
//! and, for the ring, made from [`crate::engine::Op`]. [`Lockdown::enter`] has the steps in a row.

pub mod calls;
pub mod options;
pub mod report;

use crate::engine::kernel::{KernelEngine, Parts, Restriction};
use crate::error::Failure;
use crate::os::inherited;
use crate::os::landlock::{self, Denied};
use crate::os::net::{self, Endpoint, Listener};
use crate::os::pages::Pages;
use crate::os::privileges::{self, Account, Left};
use crate::os::seccomp::Call;
use crate::os::{process, seccomp, signal};
use std::fs::File;
use std::os::fd::RawFd;

/// What to do if the kernel lacks a layer. The comments on variants are help texts of `--lockdown`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Serve with the other layers, and report the missing one
    #[default]
    On,
    /// Refuse to start, also where a send can open a TCP connection (see `uringstatic doctor`)
    Require,
    /// Apply no layer
    Off,
}

/// What is given up, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// Connections that a listening socket could be made to open.
    Listeners,
    /// Root, groups, capabilities, and ways to get more.
    Privileges,
    /// Files, connections and other processes, by Landlock.
    Landlock,
    /// Operations of the ring that no `Op` needs.
    Ring,
    /// Descriptors that were inherited.
    Descriptors,
    /// The environment.
    Environment,
    /// System calls.
    Seccomp,
}

impl Layer {
    /// All of them, in their order.
    pub const ALL: [Self; 7] = [
        Self::Listeners,
        Self::Privileges,
        Self::Landlock,
        Self::Ring,
        Self::Descriptors,
        Self::Environment,
        Self::Seccomp,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Listeners => "listeners",
            Self::Privileges => "privileges",
            Self::Landlock => "landlock",
            Self::Ring => "ring",
            Self::Descriptors => "descriptors",
            Self::Environment => "environment",
            Self::Seccomp => "seccomp",
        }
    }
}

/// Whether a layer is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is; this is what it comes to.
    On(String),
    /// It is, but there is a way round it; this is the way, and what closes it.
    Partial(String),
    /// It is not, for this reason.
    Off(String),
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Whether, and how strictly.
    pub mode: Mode,
    /// Who to become; if nobody is named and this process is root, [`Account::NOBODY`].
    pub user: Option<String>,
    /// Whether root may serve.
    pub allow_root: bool,
    /// Layers to do without, as on a machine that lacks them.
    pub without: Vec<Layer>,
}

/// A lockdown under way, or done.
pub struct Lockdown {
    wanted: Wanted,
    account: Option<Account>,
    nothing: Option<File>,
    states: Vec<(Layer, State)>,
    /// Whether the steps that would keep a report from being printed are only checked, not taken.
    is_rehearsal: bool,
}

/// What a program does between the steps of its sandbox.
pub trait Program<E> {
    /// What it serves.
    type Content;
    /// What is ready to serve.
    type Ready;

    /// Reads the content as the user that serves it; the bytes are those to send from.
    ///
    /// # Errors
    /// If the content can't be read.
    fn read(&mut self) -> Result<(Self::Content, Pages), Failure>;

    /// Lets clients queue: only the kernel's refusal of an engine or of a layer can fail now.
    ///
    /// # Errors
    /// If another process took a port meanwhile.
    fn listen(&mut self, listeners: &[Listener]) -> Result<(), Failure>;

    /// Puts together what takes memory, before the system calls are filtered.
    fn assemble(&mut self, engine: E, content: Self::Content) -> Self::Ready;
}

impl Lockdown {
    /// Gets ready, while files can still be read.
    ///
    /// # Errors
    /// If there is no such user, or it is root, which must be allowed.
    pub fn prepare(wanted: Wanted) -> Result<Self, Failure> {
        let account = match &wanted.user {
            Some(text) => Some(Account::look_up(text)?),
            None if wanted.allow_root || !privileges::is_root() => None,
            None => Some(Account::NOBODY),
        };
        let stays_root = |account: &Account| account.uid == 0 || account.gid == 0;
        if account.as_ref().is_some_and(stays_root) && !wanted.allow_root {
            return Err(Failure::new(
                format!("serving as --user {}", wanted.user.as_deref().unwrap_or_default()),
                "it is root, or of root's group",
                "name another user; nothing needs root once the sockets are bound. If it must be, \
                 --allow-root",
            ));
        }
        let nothing = match wanted.mode {
            Mode::Off => None,
            Mode::On | Mode::Require => Some(inherited::open_nothing()?),
        };
        Ok(Self { wanted, account, nothing, states: Vec::new(), is_rehearsal: false })
    }

    /// Checks whether descriptors, environment and system calls could be given up, and keeps them.
    fn rehearse(&mut self) {
        self.is_rehearsal = true;
    }

    /// Takes every step in its order, with a program's own between them.
    ///
    /// # Errors
    /// If a step fails.
    pub fn enter<E: KernelEngine, P: Program<E>>(
        &mut self,
        program: &mut P,
        listeners: Vec<Listener>,
        slots: u32,
        preparation: E::Preparation,
    ) -> Result<P::Ready, Failure> {
        self.attach_drop_filter(&listeners)?;
        self.give_up_privileges()?;
        let (content, fixed) = program.read()?;
        self.await_readers()?;
        let signals = signal::signals_to_end()?;
        program.listen(&listeners)?;
        self.deny_files()?;
        let restricted = self.restricts_engine();
        let parts = Parts { slots, listeners, signals, fixed, restricted };
        let mut engine = E::create(preparation, parts)?;
        self.engine_made(engine.restriction())?;
        self.drop_inherited(&engine.descriptors())?;
        if self.is_on() {
            // The files can't be removed any more; the next start replaces them.
            engine.keep_socket_files();
        }
        let calls = calls::allowed(std::process::id(), engine.needed_calls());
        let ready = program.assemble(engine, content);
        self.filter_calls(&calls)?;
        Ok(ready)
    }

    /// Whether a layer is to be done; if not, that is noted.
    fn begins(&mut self, layer: Layer) -> Result<bool, Failure> {
        let why = match self.wanted.mode {
            Mode::Off => "--no-lockdown",
            Mode::On | Mode::Require if self.wanted.without.contains(&layer) => "--without",
            Mode::On | Mode::Require => return Ok(true),
        };
        self.note(layer, State::Off(why.to_owned()))?;
        Ok(false)
    }

    fn note(&mut self, layer: Layer, state: State) -> Result<(), Failure> {
        if let (Mode::Require, State::Off(why) | State::Partial(why)) = (self.wanted.mode, &state) {
            return Err(Failure::new(
                format!("locking down: {}", layer.name()),
                why,
                "--lockdown=on serves with the other layers, and `uringstatic lockdown` lists them",
            ));
        }
        self.states.push((layer, state));
        Ok(())
    }

    /// Has listening sockets drop what would answer them, if they were made to connect. Before the
    /// privileges go, as some kernels want one for this.
    ///
    /// # Errors
    /// If the kernel can't, and must.
    fn attach_drop_filter(&mut self, listeners: &[Listener]) -> Result<(), Failure> {
        if !self.begins(Layer::Listeners)? {
            return Ok(());
        }
        let is_tcp = |listener: &Listener| matches!(listener.endpoint, Endpoint::Tcp(_));
        let filtered = listeners.iter().try_for_each(Listener::drop_answers);
        let state = match (net::sends_connect(), filtered) {
            _ if !listeners.iter().any(is_tcp) => State::On("no TCP socket listens".to_owned()),
            (false, Ok(())) => State::On(format!("{NO_FAST_OPEN}, and answers are dropped")),
            (false, Err(_)) => State::On(NO_FAST_OPEN.to_owned()),
            (true, Ok(())) => State::Partial(format!(
                "answers are dropped, but for the SYN of a peer that cooperates (simultaneous \
                 open): {TURN_FAST_OPEN_OFF}"
            )),
            (true, Err(why)) => State::Off(format!(
                "the kernel refuses the filter ({why}), and a send can open a connection: \
                 {TURN_FAST_OPEN_OFF}"
            )),
        };
        self.note(Layer::Listeners, state)
    }

    /// Gives up root and all capabilities. Whoever is to be become is become in any case.
    ///
    /// # Errors
    /// If it can't be done, or there is another thread, which would keep what this one gives up.
    pub fn give_up_privileges(&mut self) -> Result<(), Failure> {
        // Root is given up in any case, unless it is allowed.
        let named = self.wanted.mode == Mode::Off && self.account.is_some();
        if named || self.wanted.mode != Mode::Off {
            // Capabilities and no_new_privs are the thread's own (capabilities(7), prctl(2)).
            process::be_alone()?;
        }
        if !named && !self.begins(Layer::Privileges)? {
            return Ok(());
        }
        let Left { uid, gid, groups, bounding_set } = privileges::give_up(self.account.as_ref())?;
        let groups = match &groups[..] {
            [] => "no other groups".to_owned(),
            others => format!("the groups {others:?}, as it may not leave them"),
        };
        let rest =
            if bounding_set { " but in the bounding set, which is not ours to empty" } else { "" };
        let on = format!(
            "user {uid}, group {gid}, {groups}, no capabilities{rest}, no_new_privs, not dumpable"
        );
        self.note(Layer::Privileges, State::On(on))
    }

    /// Waits until the threads that read the site have ended: Landlock and seccomp restrict only
    /// the calling thread and the threads that it starts.
    ///
    /// # Errors
    /// If one of them does not end.
    fn await_readers(&self) -> Result<(), Failure> {
        if self.wanted.mode == Mode::Off { Ok(()) } else { process::be_alone() }
    }

    /// Denies itself files, connections and other processes.
    ///
    /// # Errors
    /// If the kernel can and yet refuses, or can't and must.
    fn deny_files(&mut self) -> Result<(), Failure> {
        if !self.begins(Layer::Landlock)? {
            return Ok(());
        }
        let denied = landlock::deny_everything()?;
        let state = match &denied {
            Denied::By { abi } => State::On(format!("ABI {abi}: {}", denied.list().join("; "))),
            Denied::Nothing(why) => State::Off(why.clone()),
        };
        self.note(Layer::Landlock, state)
    }

    /// Whether the engine is to be restricted when it is made.
    fn restricts_engine(&self) -> bool {
        self.wanted.mode != Mode::Off && !self.wanted.without.contains(&Layer::Ring)
    }

    /// Notes how the engine is restricted.
    ///
    /// # Errors
    /// If it is not, and must be.
    fn engine_made(&mut self, restriction: &Restriction) -> Result<(), Failure> {
        if !self.begins(Layer::Ring)? {
            return Ok(());
        }
        let state = match restriction {
            Restriction::InForce { summary, .. } => State::On(summary.clone()),
            Restriction::Refused(why) => State::Off(why.clone()),
            Restriction::NotWanted => State::Off("nobody asked for it".to_owned()),
        };
        self.note(Layer::Ring, state)
    }

    /// Closes all descriptors but these and standard error, and clears the environment.
    ///
    /// # Errors
    /// If the kernel can't, and must.
    fn drop_inherited(&mut self, keep: &[RawFd]) -> Result<(), Failure> {
        if self.begins(Layer::Descriptors)?
            && let Some(nothing) = self.nothing.take()
        {
            let (closed, kept) = if self.is_rehearsal {
                let kept = "closed, but the sockets, the ring, signals, standard error".to_owned();
                (inherited::can_close(), kept)
            } else {
                let kept = format!("{} and standard error", keep.len());
                (inherited::keep_only(keep, nothing), kept)
            };
            let state = closed.map_or_else(|why| State::Off(why.to_string()), |()| State::On(kept));
            self.note(Layer::Descriptors, state)?;
        }
        self.nothing = None;
        if self.begins(Layer::Environment)? {
            if self.is_rehearsal {
                return self.note(Layer::Environment, State::On("overwritten".to_owned()));
            }
            inherited::clear_environment();
            self.note(Layer::Environment, State::On("empty, and overwritten".to_owned()))?;
        }
        Ok(())
    }

    /// Filters system calls: the last step, and from here on the process can but serve.
    ///
    /// # Errors
    /// If the kernel can and yet refuses, or can't and must.
    fn filter_calls(&mut self, calls: &[Call]) -> Result<(), Failure> {
        if !self.begins(Layer::Seccomp)? {
            return Ok(());
        }
        let (filtered, on) = if self.is_rehearsal {
            (seccomp::check(), "anything else kills the process".to_owned())
        } else {
            (seccomp::install(calls)?, format!("only {}", calls::names(calls).join(", ")))
        };
        self.note(Layer::Seccomp, filtered.map_or_else(State::Off, |()| State::On(on)))
    }

    /// The layers that were done or left out so far.
    #[must_use]
    pub fn states(&self) -> &[(Layer, State)] {
        &self.states
    }

    /// Whether root serves as nobody because no other user was named.
    #[must_use]
    pub fn chose_nobody(&self) -> bool {
        self.wanted.user.is_none() && self.account.is_some()
    }

    /// Whether any layer is in force.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.states.iter().any(|(_, state)| !matches!(state, State::Off(_)))
    }

    /// One word for what is in force.
    #[must_use]
    pub fn word(&self) -> &'static str {
        let full = self.states.iter().filter(|(_, state)| matches!(state, State::On(_))).count();
        match full {
            full if full == Layer::ALL.len() => "full",
            _ if self.is_on() => "partial",
            _ => "off",
        }
    }

    /// The word, and the layers that are off or have a way round them.
    #[must_use]
    pub fn summary(&self) -> String {
        let lacks = self.states.iter().filter(|(_, state)| !matches!(state, State::On(_)));
        let names: Vec<_> = lacks.map(|(layer, _)| layer.name()).collect();
        match self.word() {
            word @ "partial" => format!("{word} ({})", names.join(", ")),
            word => word.to_owned(),
        }
    }
}

const NO_FAST_OPEN: &str = "net.ipv4.tcp_fastopen lets no send open a connection";
const TURN_FAST_OPEN_OFF: &str = "`sysctl -w net.ipv4.tcp_fastopen=2` prevents that";
