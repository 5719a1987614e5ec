//! The start of a server: from settings to a server that is ready. Everything that can fail happens
//! here, before the first connection is accepted. Limits are raised and sockets are bound with the
//! privileges of the starting user. Then root is given up, and the files are read as the user that
//! serves them: nothing is published that this user may not read, and no decoder runs as root. Then
//! the process gives up the rest ([`crate::sandbox`]).
//!
//! The module is also the entry point for a program that embeds the server. The sandbox closes
//! descriptors, and its system call filter kills the process for any other use, so an embedding
//! program either serves and does nothing else, or sets [`SandboxMode::Off`]:
//!
//! ```no_run
//! use uringstatic::os::net::Endpoint;
//! use uringstatic::sandbox::SandboxMode;
//! use uringstatic::server::Turn;
//! use uringstatic::start::settings::StartSettings;
//! use uringstatic::start::{Started, start};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut settings = StartSettings::default();
//! settings.listen = vec![Endpoint::Tcp("[::1]:8080".parse()?).into()];
//! settings.lockdown.mode = SandboxMode::Off;
//! let Started { mut server, .. } = start(&settings)?;
//! while let Turn::Goes = server.turn().map_err(|errno| errno.to_string())? {}
//! # Ok(())
//! # }
//! ```

mod auxiliary;
mod content;
mod endpoint;
pub mod engine;
pub mod feature;
mod hints;
pub mod settings;
mod sockets;
mod values;
pub mod workers;

use crate::engine::chosen::{Chosen, EngineChoice};
use crate::engine::kernel::{Capabilities, EngineKind, KernelEngine, ReceiveBuffers, Requirements};
use crate::error::Failure;
use crate::http::host::AllowedHosts;
use crate::os::inherited::InheritedDescriptors;
use crate::os::landlock::Hierarchy;
use crate::os::net::{Endpoint, Listener};
use crate::os::pages::Pages;
use crate::os::privileges::Account;
use crate::os::process;
use crate::os::signal::{self, Signals};
use crate::os::terminal;
use crate::sandbox::options::{AccountOptions, LockdownOptions};
use crate::sandbox::report::SandboxReport;
use crate::sandbox::{
    self, LayerState, Possessions, Program, Sandbox, SandboxConfig, SandboxMode, SupervisorSandbox,
    SupervisorTasks,
};
use crate::server::{self, ProxiedListeners, Server, ServerConfig, Supervision, WITHOUT_EFFECT};
use crate::site::Site;
use crate::site::build::{MadeCodings, PreviousCodings};
pub use auxiliary::{confine_logger, serve_live};
use content::{Content, ContentSource};
pub use endpoint::{AdminOptions, ListenAddress, SocketOptions};
use feature::Feature;
use settings::StartSettings;
pub use sockets::{OpenSockets, SocketRole, open_sockets, start_listening};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// A server that accepts connections from its first turn on, and the state of its sandbox.
pub struct Started<E: KernelEngine = Chosen> {
    /// The server.
    pub server: Server<E>,
    /// The layers in force.
    pub lockdown: Sandbox,
    /// The addresses that it listens on; that for health checks is the last.
    pub addresses: Vec<Endpoint>,
}

/// Raises limits, binds the sockets, gives up root, reads the content, enters the sandbox, and
/// prints the ready line on standard error unless `quiet` is set.
///
/// # Errors
/// If a step fails: what was tried, the cause, and a hint for the operator.
pub fn start(settings: &StartSettings) -> Result<Started, Failure> {
    start_on::<Chosen>(settings)
}

/// Enters the sandbox as far as a report can still be printed, and lists its layers.
///
/// # Errors
/// If a step fails.
pub fn report_sandbox(
    engine: EngineChoice,
    options: &LockdownOptions,
    without: &[Feature],
) -> Result<SandboxReport, Failure> {
    let config = options.wanted(Feature::layers(without));
    let account = config.look_up_account().map_err(hints::of_sandbox)?;
    let decision = engine::decide_engine(engine, options, without, account.as_ref())?;
    let report = sandbox::report::list::<Chosen>(config.for_engine(decision.kind));
    let engine_why = decision.why.map(|why| why.to_string());
    Ok(SandboxReport { engine_why, ..report.map_err(hints::of_sandbox)? })
}

fn start_on<E: KernelEngine>(settings: &StartSettings) -> Result<Started<E>, Failure> {
    // A terminal that is closed during the start doesn't end the process either.
    signal::block(&WITHOUT_EFFECT);
    let mut inherited = InheritedDescriptors::take().map_err(hints::of_inherited)?;
    let account = look_up_account(settings)?;
    let OpenSockets { settings, listeners, .. } = open_sockets(settings, &mut inherited)?;
    let settings = &engine::with_engine(&settings, account.as_ref())?;
    let server: LoadedServer<E> = load_on(settings, listeners, account, inherited, None)?;
    let what = server.what.clone();
    let signals = signal::receive(&[&signal::ENDING[..], &WITHOUT_EFFECT].concat())?;
    let (started, words) = server.serve(settings, signals, None)?;
    started.report_missing_layers(settings);
    if !settings.quiet {
        let addresses = started.addresses.iter();
        let ready = ready_line(settings, addresses, None, &what, &words);
        terminal::err(format_args!("{ready}; lockdown {}", started.lockdown.summary()));
    }
    Ok(started)
}

/// A process that has read the content and given up the privileges that it needed for that. It can
/// be copied, for each copy to become a server.
pub struct LoadedServer<E: KernelEngine = Chosen> {
    /// The content, in words.
    pub what: String,
    lockdown: Sandbox,
    preparation: E::Preparation,
    content: (Site, Pages),
    codings: MadeCodings,
    listeners: Vec<Listener>,
}

/// What a worker has beyond a server that is alone.
pub struct WorkerLink {
    /// Its number among the workers, from 0.
    pub number: u32,
    /// Its share of the connection limit.
    pub supervision: Box<dyn Supervision>,
    /// A descriptor to hold until its connections are closed.
    pub held: OwnedFd,
}

/// The account that reads the files and serves; `None` if the process stays what it is. Its name is
/// remembered for messages.
///
/// # Errors
/// If `--user` names nobody, or root without `--allow-root`.
pub fn look_up_account(settings: &StartSettings) -> Result<Option<Account>, Failure> {
    let config = settings.lockdown.wanted(Vec::new());
    let account = config.look_up_account().map_err(hints::of_sandbox)?;
    let own = account.clone().unwrap_or_else(Account::current);
    own.remember(own.name());
    Ok(account)
}

/// Enters the sandbox of a supervisor, whose settings have a decided engine. Limits that workers
/// need raised are raised before, while that is permitted; the processes that it starts inherit
/// them.
///
/// # Errors
/// If a step fails: what was tried, the cause, and a hint for the operator.
pub fn enter_supervision(
    settings: &StartSettings,
    tasks: SupervisorTasks<'_>,
    inherited: InheritedDescriptors,
) -> Result<SupervisorSandbox, Failure> {
    prepare_engine::<Chosen>(settings)?;
    let config = sandbox_config(settings);
    SupervisorSandbox::enter(config, tasks, inherited).map_err(hints::of_sandbox)
}

/// The sandbox of processes whose engine is decided.
fn sandbox_config(settings: &StartSettings) -> SandboxConfig {
    settings.lockdown.wanted(Feature::layers(&settings.without)).for_engine(decided(settings))
}

fn decided(settings: &StartSettings) -> EngineKind {
    settings.engine.kind().expect("it is decided before a process gives anything up")
}

fn prepare_engine<E: KernelEngine>(settings: &StartSettings) -> Result<E::Preparation, Failure> {
    let without: Vec<&str> = settings.without.iter().map(|feature| feature.name()).collect();
    let (slots, buffers) = (settings.slots(), ReceiveBuffers::SERVER);
    let requirements = Requirements { kind: decided(settings), slots, buffers, without: &without };
    E::prepare(&requirements).map_err(hints::of_engine)
}

/// Reads the content for workers, by settings with a decided engine, on listeners that are bound,
/// as an account that was looked up ([`look_up_account`]). The codings of unchanged files are taken
/// from the pipe into which the previous generation writes them ([`LoadedServer::write_codings`]).
///
/// # Errors
/// If a step fails: what was tried, the cause, and a hint for the operator.
pub fn load(
    settings: &StartSettings,
    listeners: Vec<Listener>,
    account: Option<Account>,
    inherited: InheritedDescriptors,
    previous: Option<OwnedFd>,
) -> Result<LoadedServer, Failure> {
    load_on(settings, listeners, account, inherited, previous.map(PreviousCodings::new))
}

fn load_on<E: KernelEngine>(
    settings: &StartSettings,
    listeners: Vec<Listener>,
    account: Option<Account>,
    inherited: InheritedDescriptors,
    previous: Option<PreviousCodings>,
) -> Result<LoadedServer<E>, Failure> {
    let preparation = prepare_engine::<E>(settings)?;
    let config = sandbox_config(settings);
    let mut lockdown = Sandbox::prepare(config, account, inherited).map_err(hints::of_sandbox)?;
    let source = ContentSource::BuiltIn;
    let mut program = ServerProgram { settings, source, previous, worker: None };
    let (LoadedSite { site, what, codings }, fixed) =
        lockdown.read::<E, _>(&mut program, &listeners).map_err(hints::of_sandbox)?;
    Ok(LoadedServer { what, lockdown, preparation, content: (site, fixed), codings, listeners })
}

impl<E: KernelEngine> LoadedServer<E> {
    /// Writes the codings that were made of files, for the loader of the next generation.
    ///
    /// # Errors
    /// Those of writing, such as `EPIPE` if the reader has ended.
    pub fn write_codings(&self, to: impl Write) -> io::Result<()> {
        self.codings.write(&self.content.1, to)
    }

    /// Becomes a server, and describes its engine in words.
    ///
    /// # Errors
    /// If a step fails: what was tried, the cause, and a hint for the operator.
    pub fn serve(
        mut self,
        settings: &StartSettings,
        signals: Signals,
        worker: Option<WorkerLink>,
    ) -> Result<(Started<E>, String), Failure> {
        let addresses = self.listeners.iter().map(|listener| listener.endpoint.clone()).collect();
        let (site, fixed) = self.content;
        let (link, held) = match worker {
            Some(WorkerLink { number, supervision, held }) => {
                (Some((number, supervision)), Some(held))
            }
            None => (None, None),
        };
        let slots = settings.slots();
        let (listeners, buffers) = (self.listeners, ReceiveBuffers::SERVER);
        let (wants_peers, source) = (settings.wants_peers(), ContentSource::BuiltIn);
        let possessions = Possessions { listeners, signals, slots, buffers, held, wants_peers };
        let (server, engine) = self
            .lockdown
            .serve(
                &mut ServerProgram { settings, source, previous: None, worker: link },
                (LoadedSite { site, what: self.what, codings: self.codings }, fixed),
                possessions,
                self.preparation,
            )
            .map_err(hints::of_sandbox)?;
        Ok((Started { server, lockdown: self.lockdown, addresses }, engine))
    }
}

impl<E: KernelEngine> Started<E> {
    /// Prints the layers of the sandbox that the kernel refuses, and a warning about a user that
    /// other programs share.
    pub fn report_missing_layers(&self, settings: &StartSettings) {
        for (layer, state) in self.lockdown.states() {
            if let (LayerState::Off(reason), SandboxMode::On) =
                (state, settings.lockdown.effective_mode())
            {
                let why = hints::off_reason(reason);
                terminal::err(format_args!(
                    "uringstatic: not locked down by {}: {why}",
                    layer.name()
                ));
            }
        }
        if !settings.quiet && self.lockdown.chose_nobody() {
            terminal::err(SHARED_USER);
        }
    }
}

/// The steps of the server between those of the sandbox.
struct ServerProgram<'a> {
    settings: &'a StartSettings,
    source: ContentSource,
    previous: Option<PreviousCodings>,
    /// The number of a worker, and its share of the connection limit.
    worker: Option<(u32, Box<dyn Supervision>)>,
}

/// The site without its buffer, its description for the ready line, and the codings of its files.
struct LoadedSite {
    site: Site,
    what: String,
    codings: MadeCodings,
}

impl<E: KernelEngine> Program<E> for ServerProgram<'_> {
    type Loaded = LoadedSite;
    /// The server, and the description of its engine.
    type Assembled = (Server<E>, String);

    fn open(&mut self) -> Result<(), Failure> {
        self.source = ContentSource::open(self.settings)?;
        Ok(())
    }

    fn hierarchies(&self) -> Vec<Hierarchy<'_>> {
        self.source.hierarchies()
    }

    fn read(&mut self) -> Result<(Self::Loaded, Pages), Failure> {
        let settings = self.settings;
        let source = std::mem::replace(&mut self.source, ContentSource::BuiltIn);
        let Content { mut site, fixed, what, codings } =
            source.read(settings, self.previous.take())?;
        site.check_health_at(settings.health_path());
        site.allow_only(AllowedHosts::new(settings.allowed_hosts.clone()));
        Ok((LoadedSite { site, what, codings }, fixed))
    }

    fn listen(&mut self, listeners: &[Listener]) -> Result<(), Failure> {
        let number = self.worker.as_ref().map_or(0, |&(number, _)| number);
        if let Some(core) = self.settings.cpu.as_ref().map(|cpus| cpus.of_worker(number)) {
            process::pin_to_core(core).map_err(|error| hints::of_core(core, &error))?;
        }
        match self.worker {
            // The supervisor has started to listen before it had workers.
            Some(_) => Ok(()),
            None => start_listening(self.settings, listeners),
        }
    }

    fn assemble(&mut self, engine: E, LoadedSite { site, .. }: LoadedSite) -> Self::Assembled {
        let description = engine.description();
        let config = server_config(self.settings, &engine);
        let server = match self.worker.take() {
            Some((_, supervision)) => Server::supervised(engine, site, config, supervision),
            None => Server::new(engine, site, config),
        };
        (server, description)
    }
}

const SHARED_USER: &str = "uringstatic: serving as nobody, so other processes of nobody can signal \
                           the server; `--user NAME` selects a dedicated user";

/// Becomes the user that would serve, as [`start`] does before it reads files.
///
/// # Errors
/// If the user doesn't exist, or this process may not become it.
pub fn become_reader(options: &AccountOptions) -> Result<(), Failure> {
    let mode = SandboxMode::Off;
    let off = LockdownOptions { mode, no_lockdown: false, account: options.clone() };
    let config = off.wanted(Vec::new());
    let account = config.look_up_account().map_err(hints::of_sandbox)?;
    Sandbox::prepare(config, account, InheritedDescriptors::default())
        .and_then(|mut sandbox| sandbox.give_up_privileges())
        .map_err(hints::of_sandbox)
}

fn server_config(settings: &StartSettings, engine: &impl KernelEngine) -> ServerConfig {
    let Capabilities { recv_many, send_close, accepts_max } = engine.capabilities();
    let listeners = engine.listeners().len();
    let health_listener = settings.health_listen.is_some();
    let accepting = listeners - usize::from(health_listener);
    // A service manager's sockets keep what waits in them for the next process.
    let are_kept = engine.listeners().iter().any(Listener::is_passed);
    let accepts = server::accepts_for(settings.worker_spawn(), accepting, accepts_max);
    ServerConfig {
        spawn: settings.worker_spawn(),
        listeners: u32::try_from(listeners).expect("a command line is short"),
        health_listener,
        proxied: ProxiedListeners::new(settings.addresses().map(|it| it.is_for_proxies)),
        accepts,
        accepts_at_rest: if settings.worker_count() == 1 { accepts } else { 1 },
        head_timeout: settings.head_timeout,
        idle_timeout: settings.idle_timeout,
        body_timeout: settings.body_timeout,
        send_timeout: settings.send_timeout,
        min_rate: settings.min_rate,
        drain_delay: settings.drain_delay,
        reload_grace: settings.reload_grace,
        drain_grace: if are_kept { settings.reload_grace } else { Duration::ZERO },
        drain_timeout: settings.drain_timeout,
        head_bytes_max: settings.head_bytes_max,
        recv_many,
        send_close,
        trim_memory: process::release_freed_memory,
    }
}

/// The line that announces that the server is ready: addresses, content, limits and engine.
pub fn ready_line<'a>(
    settings: &StartSettings,
    addresses: impl Iterator<Item = &'a Endpoint>,
    admin: Option<&Endpoint>,
    what: &str,
    engine: &str,
) -> String {
    let url = |address: &Endpoint| match address {
        Endpoint::Tcp(address) => format!("http://{address}/"),
        Endpoint::Unix(path) => format!("unix:{}", path.display()),
    };
    let mut addresses: Vec<String> = addresses.map(url).collect();
    let of_proxies = addresses.iter().zip(settings.addresses());
    let of_proxies: Vec<_> = of_proxies.filter(|(_, it)| it.is_for_proxies).collect();
    let proxies = match &of_proxies[..] {
        [] => String::new(),
        some => {
            let urls: Vec<_> = some.iter().map(|(url, _)| url.as_str()).collect();
            format!("; PROXY headers on {}", urls.join(" "))
        }
    };
    let admin = admin.map_or_else(String::new, |address| format!("; admin on {}", url(address)));
    let health = match settings.health_listen.as_ref().and_then(|_| addresses.pop()) {
        Some(address) if address.ends_with('/') => {
            format!(
                "; health checks on {}{}",
                address.trim_end_matches('/'),
                settings.health_path()
            )
        }
        Some(socket) => format!("; health checks on {socket}, {}", settings.health_path()),
        None => String::new(),
    };
    let workers = match settings.worker_count() {
        _ if settings.single_process => "a single process".to_owned(),
        1 => "1 worker".to_owned(),
        count => format!("{count} workers"),
    };
    format!(
        "uringstatic: ready on {} with {what}, at most {} connections{proxies}{health}{admin}; \
         {workers}; {engine}",
        addresses.join(" "),
        settings.spawn,
    )
}
