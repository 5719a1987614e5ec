//! The program: reads its options, prepares everything, serves, and says how it went.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};
use uringstatic::cli::{self, Address, Command, Feature};
use uringstatic::doctor::{self, Facts, Purpose, Status};
use uringstatic::say;
use uringstatic::server::{self, Server, Turn};
use uringstatic::site::{PAGE_BYTES_MAX, Page, Site};
use uringstatic::sys::failure::Failure;
use uringstatic::sys::net::{Endpoint, Listener, listen};
use uringstatic::sys::probe::{Features, TaskRun, check_spawn};
use uringstatic::sys::uring::{RECEIVE_BUFFER_BYTES, RECEIVE_BUFFERS, Setup, Uring};
use uringstatic::sys::{process, signal};
use uringstatic::tree;

fn main() -> ExitCode {
    let config = match cli::parse(std::env::args_os()) {
        Ok(Command::Serve(config)) => config,
        Ok(Command::Doctor(options)) => return examine(&options),
        Ok(Command::Check(options)) => return check(&options),
        Ok(Command::Print(text)) => return print(&text),
        // Prints the usage or the help, and exits with 2 or 0.
        Err(error) => error.exit(),
    };
    let mut server = match start(&config) {
        Ok(server) => server,
        Err(failure) => {
            say::err(format_args!("uringstatic: {failure}"));
            return ExitCode::FAILURE;
        }
    };
    let turn = loop {
        match server.turn() {
            Ok(Turn::Goes) => {}
            Ok(turn) => break turn,
            Err(errno) => {
                say::err(format_args!(
                    "uringstatic: waiting on the ring: {errno} (errno {})",
                    errno.0
                ));
                return ExitCode::FAILURE;
            }
        }
    };
    if !config.quiet {
        say::err(format_args!("uringstatic: served {}", server.stats()));
    }
    exit_code(turn)
}

/// Everything that can fail is done here, before the first connection is accepted.
fn start(config: &cli::Config) -> Result<Server<Uring>, Failure> {
    check_spawn(config.spawn)?;
    let (site, fixed, what) = match &config.root {
        Some(root) => read_root(config, root)?,
        None => load(config)?,
    };
    process::raise_open_files(u64::from(config.spawn) + process::OPEN_FILES_RESERVE, "--spawn")?;
    if let Some(core) = config.cpu {
        process::run_on_core(core)?;
    }
    let signals = signal::signals_to_end()?;
    let defer_accept = !config.without.contains(&Feature::DeferAccept);
    let listeners: Vec<Listener> = config
        .listen
        .iter()
        .map(|address| listen(&endpoint(address), config.backlog, defer_accept))
        .collect::<Result<_, _>>()?;
    let mut server = server::Config {
        spawn: config.spawn,
        listeners: u32::try_from(listeners.len()).expect("a command line is short"),
        accepts: server::accepts_for(config.spawn, listeners.len()),
        head_timeout: config.head_timeout,
        idle_timeout: config.idle_timeout,
        send_timeout: config.send_timeout,
        drain_timeout: config.drain_timeout,
        head_bytes_max: config.head_bytes_max,
        recv_many: true,
        send_close: true,
    };
    let ring = Uring::new(Setup {
        spawn: config.spawn,
        listeners,
        dial: None,
        signals: Some(signals.into()),
        fixed,
        features: features(&config.without),
        buffers: RECEIVE_BUFFERS,
        buffer_bytes: RECEIVE_BUFFER_BYTES,
    })?;
    let features = ring.features();
    server.recv_many = features.recv_many;
    server.send_close = features.send_close;
    if !config.quiet {
        say_ready(config, &ring, &what);
    }
    Ok(Server::new(ring, site, server))
}

/// Reads a folder and builds its replies. What is left out of it is said, as it may be missed.
fn read_root(config: &cli::Config, root: &Path) -> Result<(Site, Vec<u8>, String), Failure> {
    let mut request = tree::Request::new(root, &config.root_options, &config.headers, config.spawn);
    request.progress = !config.quiet && std::io::stderr().is_terminal();
    process::share_allocator();
    let read = tree::read(&request)?;
    for left_out in &read.listing.left_out {
        say::err(format_args!("uringstatic: left out {left_out}"));
    }
    if !config.quiet {
        say::err(format_args!("uringstatic: read {}: {}", root.display(), read.summary));
    }
    let tree::Root { tree, fixed, plan, listing, bodies, summary: _ } = read;
    drop((plan, listing, bodies));
    process::release_freed_memory();
    Ok((Site::of_tree(tree), fixed, root.display().to_string()))
}

/// Reads the page and builds the replies; says what it is.
fn load(config: &cli::Config) -> Result<(Site, Vec<u8>, String), Failure> {
    let mut page = Page::built_in();
    page.status = config.status;
    page.headers.clone_from(&config.headers);
    if let Some(path) = &config.page {
        page.content_type = cli::media_type(path);
    }
    if let Some(content_type) = &config.content_type {
        page.content_type.clone_from(content_type);
    }
    let Some(path) = &config.page else {
        let bytes = u32::try_from(Page::BUILT_IN.len()).expect("the built-in page is small");
        let (site, fixed) = Site::build(page, bytes, config.spawn, |place| {
            place.copy_from_slice(Page::BUILT_IN);
            Ok(())
        })
        .expect("copying does not fail");
        return Ok((site, fixed, format!("the built-in page ({bytes} bytes)")));
    };
    let mut file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let metadata = file.metadata().map_err(|error| unreadable(path, &error))?;
    if !metadata.is_file() {
        return Err(unreadable(path, &"it is not a regular file"));
    }
    let bytes = u32::try_from(metadata.len())
        .ok()
        .filter(|&bytes| bytes <= PAGE_BYTES_MAX)
        .ok_or_else(|| unreadable(path, &"it is larger than 1 GiB"))?;
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    page.last_modified = modified.duration_since(UNIX_EPOCH).ok().map(|age| age.as_secs());
    let (site, fixed) = Site::build(page, bytes, config.spawn, |place| file.read_exact(place))
        .map_err(|error| unreadable(path, &error))?;
    Ok((site, fixed, format!("{} ({bytes} bytes)", path.display())))
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    let path = path.display();
    let mend = format!("`ls -lL {path}` shows what it is; it must be a file this user may read");
    Failure::new(format!("reading the page {path}"), why, mend)
}

fn endpoint(address: &Address) -> Endpoint {
    match address {
        Address::Tcp(address) => Endpoint::Tcp(*address),
        Address::Unix(path) => Endpoint::Unix(path.clone()),
    }
}

fn features(without: &[Feature]) -> Features {
    let with = |feature| !without.contains(&feature);
    Features {
        task_run: match (with(Feature::DeferTaskrun), with(Feature::CoopTaskrun)) {
            (true, _) => TaskRun::Deferred,
            (false, true) => TaskRun::Cooperative,
            (false, false) => TaskRun::Interrupting,
        },
        direct_descriptors: with(Feature::DirectDescriptors),
        recv_many: with(Feature::MultishotRecv),
        silent_send: with(Feature::SilentSend),
        send_close: with(Feature::LinkedClose),
        send_vector: with(Feature::VectoredSend),
    }
}

fn say_ready(config: &cli::Config, ring: &Uring, what: &str) {
    let addresses: Vec<String> = ring
        .listeners()
        .iter()
        .map(|listener| match &listener.endpoint {
            Endpoint::Tcp(address) => format!("http://{address}/"),
            Endpoint::Unix(path) => format!("unix:{}", path.display()),
        })
        .collect();
    say::err(format_args!(
        "uringstatic: ready on {} with {what}, at most {} connections; \
         io_uring with {}",
        addresses.join(" "),
        config.spawn,
        ring.features()
    ));
}

/// Prints what of a folder would be served; a problem is a failure.
fn check(options: &cli::Check) -> ExitCode {
    let mut request = tree::Request::new(&options.root, &options.options, &[], 1);
    request.progress = std::io::stderr().is_terminal();
    let report = match tree::check::check(&request) {
        Ok(report) => report,
        Err(failure) => {
            say::err(format_args!("uringstatic: {failure}"));
            return ExitCode::FAILURE;
        }
    };
    let text = if options.json { report.to_json() } else { report.to_text() };
    match print(text.as_bytes()) {
        printed if report.problems.is_empty() => printed,
        _ => ExitCode::FAILURE,
    }
}

/// Prints what the doctor finds; a fault is a failure.
fn examine(options: &cli::Doctor) -> ExitCode {
    let cli::Doctor { spawn, backlog, load, json } = *options;
    let purpose = Purpose { spawn, backlog, load };
    let report = doctor::examine(&purpose, &Facts::gather(&purpose));
    // https://no-color.org
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colour = !plain && std::io::stdout().is_terminal();
    let text = if json { report.to_json() } else { report.to_text(colour) };
    match (print(text.as_bytes()), report.status) {
        (printed, Status::Ok | Status::Warning) => printed,
        (_, Status::Fault) => ExitCode::FAILURE,
    }
}

fn print(text: &[u8]) -> ExitCode {
    match std::io::stdout().write_all(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::err(format_args!("uringstatic: writing to standard output: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn exit_code(turn: Turn) -> ExitCode {
    match turn {
        Turn::Goes | Turn::Drained => ExitCode::SUCCESS,
        // As a shell reports a process that a signal ended.
        Turn::Forced { signal } => {
            ExitCode::from(128u8.saturating_add(u8::try_from(signal).unwrap_or(0)))
        }
    }
}
