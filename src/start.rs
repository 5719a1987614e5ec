//! From the options to a server that is ready: everything that can fail happens here, before the
//! first connection is accepted. Limits are raised and sockets are bound with the privileges of the
//! starting user; then root is given up, and the files are read as the user that serves them, so
//! that nothing is published which this user may not read and no decoder runs as root. Then the
//! process gives up the rest ([`crate::sandbox`]).

use crate::cli::{self, Address, Feature, LockdownMode};
use crate::engine::chosen::Chosen;
use crate::engine::kernel::{Capabilities, KernelEngine};
use crate::error::Failure;
use crate::http::host::AllowedHosts;
use crate::http::media_type;
use crate::os::beneath::{self, Resolver, Stamp};
use crate::os::net::{Access, Endpoint, Listener, bind_with};
use crate::os::pages::Pages;
use crate::os::privileges::Account;
use crate::os::process;
use crate::os::terminal;
use crate::sandbox::{self, Layer, Lockdown, Mode, Program, State, Wanted};
use crate::server::{self, Server};
use crate::site::build::{self, escape::escaped_path};
use crate::site::{Page, Site};
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// A server that is ready, and what its process gave up.
pub struct Started<E: KernelEngine = Chosen> {
    /// The server.
    pub server: Server<E>,
    /// What is in force.
    pub lockdown: Lockdown,
}

/// Raises limits, binds, gives up root, reads, locks down, and says that it is ready.
///
/// # Errors
/// What failed, why, and what mends it.
pub fn start(config: &cli::Config) -> Result<Started, Failure> {
    start_on::<Chosen>(config)
}

/// Lists what of the sandbox is in force on this machine, having entered it.
///
/// # Errors
/// If a step fails.
pub fn report_sandbox(
    options: &cli::LockdownOptions,
    without: &[Feature],
) -> Result<sandbox::report::Report, Failure> {
    sandbox::report::list::<Chosen>(wanted(options, without))
}

fn start_on<E: KernelEngine>(config: &cli::Config) -> Result<Started<E>, Failure> {
    let without: Vec<&str> = config.without.iter().map(|feature| feature.name()).collect();
    let preparation = E::prepare(config.slots(), &without)?;
    let mut lockdown = Lockdown::prepare(wanted(&config.lockdown, &config.without))?;
    let listeners = bind_all(config)?;
    let Ready { server, line: ready } =
        lockdown.enter(&mut Serving(config), listeners, config.slots(), preparation)?;

    for (layer, state) in lockdown.states() {
        if let (State::Off(why), LockdownMode::On) = (state, config.lockdown.effective_mode()) {
            terminal::err(format_args!("uringstatic: not locked down by {}: {why}", layer.name()));
        }
    }
    if !config.quiet {
        if lockdown.chose_nobody() {
            terminal::err(SHARED_USER);
        }
        terminal::err(format_args!("{ready}; lockdown {}", lockdown.summary()));
    }
    Ok(Started { server, lockdown })
}

/// The program that serves what its options name.
struct Serving<'a>(&'a cli::Config);

/// A server that accepts as soon as it takes its first turn.
struct Ready<E: KernelEngine> {
    server: Server<E>,
    /// The line that announces it.
    line: String,
}

impl<E: KernelEngine> Program<E> for Serving<'_> {
    /// The site, and what it is in words.
    type Content = (Site, String);
    type Ready = Ready<E>;

    fn read(&mut self) -> Result<(Self::Content, Pages), Failure> {
        let config = self.0;
        let (mut site, fixed, what) = match &config.root {
            Some(root) => read_root(config, root)?,
            None => load(config)?,
        };
        site.check_health_at(config.health_path());
        site.allow_only(AllowedHosts::new(config.allowed_hosts.clone()));
        Ok(((site, what), fixed))
    }

    fn listen(&mut self, listeners: &[Listener]) -> Result<(), Failure> {
        if let Some(core) = self.0.cpu {
            process::run_on_core(core)?;
        }
        listeners.iter().try_for_each(|listener| listener.start(self.0.backlog))
    }

    fn assemble(&mut self, engine: E, (site, what): Self::Content) -> Ready<E> {
        let line = ready_line(self.0, &engine, &what);
        let server_config = server_config(self.0, &engine);
        Ready { server: Server::new(engine, site, server_config), line }
    }
}

const SHARED_USER: &str = "uringstatic: serving as nobody, whose other processes can signal it: \
                           `--user uringstatic` would have it serve as a user of its own";

/// The lockdown that options ask for.
#[must_use]
pub fn wanted(options: &cli::LockdownOptions, without: &[Feature]) -> Wanted {
    let layer_of = |feature: &Feature| match feature {
        Feature::Privileges => Some(Layer::Privileges),
        Feature::Landlock => Some(Layer::Landlock),
        Feature::Listeners => Some(Layer::Listeners),
        Feature::Ring => Some(Layer::Ring),
        Feature::Descriptors => Some(Layer::Descriptors),
        Feature::Environment => Some(Layer::Environment),
        Feature::Seccomp => Some(Layer::Seccomp),
        Feature::Engine(_) | Feature::DeferAccept | Feature::Openat2 => None,
    };
    Wanted {
        mode: match options.effective_mode() {
            LockdownMode::On => Mode::On,
            LockdownMode::Require => Mode::Require,
            LockdownMode::Off => Mode::Off,
        },
        user: options.account.user.clone(),
        allow_root: options.account.allow_root,
        without: without.iter().filter_map(layer_of).collect(),
    }
}

/// Becomes the user that would serve, as [`start`] does before it reads files.
///
/// # Errors
/// If there is no such user, or this process may not become it.
pub fn become_reader(options: &cli::AccountOptions) -> Result<(), Failure> {
    let account = options.clone();
    let off = cli::LockdownOptions { mode: LockdownMode::Off, no_lockdown: false, account };
    Lockdown::prepare(wanted(&off, &[]))?.give_up_privileges()
}

/// Raises limits and binds sockets, both of which may need a privilege.
fn bind_all(config: &cli::Config) -> Result<Vec<Listener>, Failure> {
    let access = Access::look_up(config.socket.socket_mode, config.socket.socket_group.as_deref())?;
    process::raise_open_files(u64::from(config.slots()) + process::OPEN_FILES_RESERVE, "--spawn")?;
    let defer_accept = !config.without.contains(&Feature::DeferAccept);
    let addresses = config.listen.iter().chain(&config.health_listen);
    let bind = |address| bind_with(&endpoint(address), config.backlog, defer_accept, access);
    addresses.map(bind).collect()
}

impl cli::Config {
    /// How many connections there may be in all.
    fn slots(&self) -> u32 {
        let health = if self.health_listen.is_some() { server::HEALTH_SLOTS } else { 0 };
        self.spawn.saturating_add(health)
    }
}

fn server_config(config: &cli::Config, engine: &impl KernelEngine) -> server::ServerConfig {
    let Capabilities { recv_many, send_close } = engine.capabilities();
    let listeners = engine.listeners().len();
    let health_listener = config.health_listen.is_some();
    server::ServerConfig {
        spawn: config.spawn,
        listeners: u32::try_from(listeners).expect("a command line is short"),
        health_listener,
        accepts: server::accepts_for(config.spawn, listeners - usize::from(health_listener)),
        head_timeout: config.head_timeout,
        idle_timeout: config.idle_timeout,
        body_timeout: config.body_timeout,
        send_timeout: config.send_timeout,
        min_rate: config.min_rate,
        drain_timeout: config.drain_timeout,
        head_bytes_max: config.head_bytes_max,
        recv_many,
        send_close,
        trim_memory: process::release_freed_memory,
    }
}

/// Reads a folder and builds its responses. What is left out of it is said, as it may be missed.
fn read_root(config: &cli::Config, root: &Path) -> Result<(Site, Pages, String), Failure> {
    let mut request =
        build::Request::new(root, &config.root_options, &config.headers, config.slots());
    request.progress = !config.quiet && io::stderr().is_terminal();
    if config.without.contains(&Feature::Openat2) {
        request.resolver = Resolver::ByComponent;
    }
    process::use_one_arena();
    let read = build::read(&request)?;
    for skipped in read.listing.skipped.lines() {
        terminal::err(format_args!("uringstatic: left out {skipped}"));
    }
    if read.is_empty() {
        terminal::err(format_args!("uringstatic: {}", build::nothing_to_serve(root)));
    }
    if !config.quiet {
        let root = escaped_path(root);
        terminal::err(format_args!("uringstatic: read {root}: {}", read.summary));
    }
    let build::Root { tree, fixed, plan, listing, bodies, summary: _ } = read;
    drop((plan, listing, bodies));
    process::release_freed_memory();
    Ok((Site::of_tree(tree), fixed, escaped_path(root)))
}

/// Reads the page and builds the responses; says what it is.
fn load(config: &cli::Config) -> Result<(Site, Pages, String), Failure> {
    let mut page = Page::built_in();
    page.status = config.status;
    page.headers.clone_from(&config.headers);
    if let Some(path) = &config.page {
        page.content_type = media_type::of_path(path);
    }
    if let Some(content_type) = &config.content_type {
        page.content_type.clone_from(content_type);
    }
    let Some(path) = &config.page else {
        let bytes = Page::BUILT_IN.len() as u64;
        let (site, fixed) = Site::build(page, bytes, config.slots(), Pages::zeroed, |place| {
            place.copy_from_slice(Page::BUILT_IN);
            Ok(())
        })
        .expect("copying does not fail");
        return Ok((site, fixed, format!("the built-in page ({bytes} bytes)")));
    };
    let file = beneath::open_named(path).map_err(|error| unreadable(path, &error))?;
    let metadata = file.metadata().map_err(|error| unreadable(path, &error))?;
    if !metadata.is_file() {
        return Err(unreadable(path, &io::Error::other("it is not a regular file")));
    }
    let bytes = metadata.len();
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    page.last_modified = modified.duration_since(UNIX_EPOCH).ok().map(|age| age.as_secs());
    let stamp = Stamp::of(&metadata);
    let read = |place: &mut [u8]| beneath::read_whole(&file, &stamp, place);
    let (site, fixed) = Site::build(page, bytes, config.slots(), Pages::zeroed, read)
        .map_err(|error| unreadable(path, &error))?;
    Ok((site, fixed, format!("{} ({bytes} bytes)", path.display())))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    let what = format!("reading the page {path}");
    if error.kind() == io::ErrorKind::PermissionDenied {
        let hint = format!(
            "`namei -l {path}` shows which permission is missing; chmod(1) or chown(1) changes \
             that, and --user selects another user"
        );
        let why = format!("{} can't read it ({error})", Account::current());
        return Failure::new(what, why, hint);
    }
    if error.kind() == io::ErrorKind::OutOfMemory {
        return Failure::new(what, error, "serve a smaller file, or give the machine more memory");
    }
    let hint = format!("`ls -lL {path}` shows what it is; it must be a regular file");
    Failure::new(what, error, hint)
}

fn endpoint(address: &Address) -> Endpoint {
    match address {
        Address::Tcp(address) => Endpoint::Tcp(*address),
        Address::Unix(path) => Endpoint::Unix(path.clone()),
    }
}

fn ready_line(config: &cli::Config, engine: &impl KernelEngine, what: &str) -> String {
    let mut addresses: Vec<String> = engine
        .listeners()
        .iter()
        .map(|listener| match &listener.endpoint {
            Endpoint::Tcp(address) => format!("http://{address}/"),
            Endpoint::Unix(path) => format!("unix:{}", path.display()),
        })
        .collect();
    let health = match config.health_listen.as_ref().and_then(|_| addresses.pop()) {
        Some(address) if address.ends_with('/') => {
            format!("; health checks on {}{}", address.trim_end_matches('/'), config.health_path())
        }
        Some(socket) => format!("; health checks on {socket}, {}", config.health_path()),
        None => String::new(),
    };
    format!(
        "uringstatic: ready on {} with {what}, at most {} connections{health}; {}",
        addresses.join(" "),
        config.spawn,
        engine.description()
    )
}
