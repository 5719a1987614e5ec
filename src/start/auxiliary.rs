//! The starts of auxiliary processes: into their sandboxes, and an admin process to its server.

use super::settings::StartSettings;
use super::{hints, sandbox_config};
use crate::engine::chosen::Chosen;
use crate::engine::kernel::{Capabilities, KernelEngine, ReceiveBuffers, Requirements};
use crate::error::Failure;
use crate::os::inherited::InheritedDescriptors;
use crate::os::landlock::Hierarchy;
use crate::os::net::{Access, Listener, bind_with};
use crate::os::pages::Pages;
use crate::os::privileges::Account;
use crate::os::process;
use crate::os::signal::Signals;
use crate::sandbox::calls::{self, LoggerDescriptors};
use crate::sandbox::{Possessions, Program, Sandbox};
use crate::server::{self, ProxiedListeners, Server, ServerConfig};
use crate::site::Site;
use crate::site::live::LiveSource;
use std::time::Duration;

/// Enters the sandbox of a logger, as an account that was looked up, and closes the descriptors
/// that it inherited.
///
/// # Errors
/// If a step fails: what was tried, the cause, and a hint for the operator.
pub fn confine_logger(
    settings: &StartSettings,
    account: Option<Account>,
    inherited: InheritedDescriptors,
    descriptors: LoggerDescriptors,
) -> Result<Sandbox, Failure> {
    let config = sandbox_config(settings);
    let calls = calls::of_logger(std::process::id(), descriptors);
    Sandbox::prepare(config, account, inherited)
        .and_then(|mut sandbox| sandbox.confine(&calls).map(|()| sandbox))
        .map_err(hints::of_sandbox)
}

/// Binds the admin address, if there is one, and listens there: connections wait until the admin
/// process accepts them.
///
/// # Errors
/// If the address can't be bound.
pub(super) fn bind_admin(settings: &StartSettings) -> Result<Option<Listener>, Failure> {
    let Some(endpoint) = &settings.admin.admin else { return Ok(None) };
    let group = settings.socket.socket_group.as_deref();
    let access = Access::look_up(settings.socket.socket_mode, group)
        .map_err(|error| hints::of_name("--socket-group", &error.name, &error))?;
    let bound = bind_with(endpoint, BACKLOG, true, access)
        .and_then(|listener| listener.start(BACKLOG).map(|()| listener));
    Ok(Some(bound.map_err(hints::of_admin)?))
}

/// Becomes a server of pages that are rendered while it runs, on these listeners, in its sandbox.
/// `is_ready` is called when nothing but the filter of system calls is left to do.
///
/// # Errors
/// If a step fails: what was tried, the cause, and a hint for the operator.
pub fn serve_live(
    settings: &StartSettings,
    account: Option<Account>,
    inherited: InheritedDescriptors,
    (listeners, signals): (Vec<Listener>, Signals),
    source: Box<dyn LiveSource>,
    is_ready: impl FnOnce(),
) -> Result<(Server<Chosen>, Sandbox), Failure> {
    let config = sandbox_config(settings);
    let without: Vec<&str> = settings.without.iter().map(|feature| feature.name()).collect();
    let requirements =
        Requirements { kind: config.engine, slots: SLOTS, buffers: BUFFERS, without: &without };
    let preparation = Chosen::prepare(&requirements).map_err(hints::of_engine)?;
    let mut sandbox = Sandbox::prepare(config, account, inherited).map_err(hints::of_sandbox)?;
    let mut program = LiveProgram { source: Some(source), is_ready: Some(is_ready) };
    let serve = || {
        let content = sandbox.read::<Chosen, _>(&mut program, &listeners)?;
        let possessions = Possessions {
            listeners,
            signals,
            slots: SLOTS,
            buffers: BUFFERS,
            held: None,
            wants_peers: false,
        };
        sandbox.serve(&mut program, content, possessions, preparation)
    };
    let server = serve().map_err(hints::of_sandbox)?;
    Ok((server, sandbox))
}

/// The steps of an admin process between those of the sandbox.
struct LiveProgram<F> {
    source: Option<Box<dyn LiveSource>>,
    is_ready: Option<F>,
}

impl<F: FnOnce()> Program<Chosen> for LiveProgram<F> {
    type Loaded = Site;
    type Assembled = Server<Chosen>;

    fn open(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn hierarchies(&self) -> Vec<Hierarchy<'_>> {
        Vec::new()
    }

    fn read(&mut self) -> Result<(Site, Pages), Failure> {
        let source = self.source.take().expect("it is read once");
        Site::build_live(source, SLOTS, Pages::zeroed).map_err(|error| {
            Failure::new("reserving memory for the admin pages", error, "free memory")
        })
    }

    fn listen(&mut self, _: &[Listener]) -> Result<(), Failure> {
        Ok(())
    }

    fn assemble(&mut self, engine: Chosen, site: Site) -> Server<Chosen> {
        let Capabilities { recv_many, send_close, accepts_max } = engine.capabilities();
        let listeners = engine.listeners().len();
        let accepts = server::accepts_for(SLOTS, listeners, accepts_max);
        let config = ServerConfig {
            spawn: SLOTS,
            listeners: u32::try_from(listeners).expect("a command line is short"),
            health_listener: false,
            proxied: ProxiedListeners::default(),
            accepts,
            accepts_at_rest: accepts,
            head_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(120),
            body_timeout: Duration::from_secs(5),
            send_timeout: Duration::from_secs(5),
            min_rate: 10_000,
            drain_delay: Duration::ZERO,
            reload_grace: Duration::ZERO,
            drain_grace: Duration::ZERO,
            drain_timeout: Duration::from_secs(1),
            head_bytes_max: 16 * 1024,
            recv_many,
            send_close,
            trim_memory: process::release_freed_memory,
        };
        let server = Server::new(engine, site, config);
        if let Some(is_ready) = self.is_ready.take() {
            is_ready();
        }
        server
    }
}

/// Connections to an admin process: scrapers and probes, each of which needs one. A further one
/// takes the place of the one that has been idle, or in the middle of a request, for longest.
const SLOTS: u32 = 16;
const BACKLOG: u32 = 64;
/// The receive buffers of an engine are locked memory, of which a user has little.
const BUFFERS: ReceiveBuffers = ReceiveBuffers { count: 16, bytes: 4096 };
