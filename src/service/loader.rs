//! The loader: reads the content as the user that serves it, then forks a worker whenever the
//! supervisor asks for one. It is the mould of its workers: their image of the content is its own,
//! shared until a process writes to it, so that a worker that is forked late serves the same files.

use super::board_layout::BoardLayout;
use super::messages::{BYTES_MAX, ForkRequest, LoaderReport, LoaderRequest, LoaderSpec};
use super::scoreboard::{Scoreboard, Seat};
use super::serving::serve_to_the_end;
use crate::engine::Engine;
use crate::error::Failure;
use crate::os::channel::Channel;
use crate::os::fork::{ForkSide, fork_sibling};
use crate::os::inherited::InheritedDescriptors;
use crate::os::net::Listener;
use crate::os::privileges::Account;
use crate::os::process;
use crate::os::reaping::die_with_parent;
use crate::os::shared::CounterPart;
use crate::os::{signal, terminal};
use crate::server::{RETIRE, TRY_ACCEPTS, WITHOUT_EFFECT};
use crate::start::settings::StartSettings;
use crate::start::workers::WorkerCount;
use crate::start::{self, LoadedServer, Started, WorkerLink};
use crate::telemetry::counters::WorkerCounters;
use crate::telemetry::log_memory::LogMemory;
use crate::telemetry::record::Observer;
use crate::telemetry::recorder::AccessRecorder;
use std::io::PipeWriter;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Runs a loader, and in each of its copies a worker. Returns the exit status.
#[must_use]
pub fn run(settings: &StartSettings, spec: &LoaderSpec) -> u8 {
    let (workers, engine) = (WorkerCount::Count(spec.workers), spec.engine.into());
    let settings = &StartSettings { workers, engine, ..settings.clone() };
    let user = spec.account.clone().unwrap_or_else(Account::current);
    user.remember(spec.user_name.clone());
    // The supervisor decides when a loader and its workers end: signals to the process group or
    // the control group reach it, too.
    signal::block(&signal::ENDING);
    signal::block(&WITHOUT_EFFECT);
    // Those of the supervisor to a worker are pending until the worker receives them.
    signal::block(&WORKER_SIGNALS);
    process::set_name("uringstatic-l");
    let mut inherited = match InheritedDescriptors::take() {
        Ok(inherited) => inherited,
        Err(error) => return refuse(&format!("reading /proc/self/fd: {error}")),
    };
    let Some(channel) = inherited.claim(spec.channel).map(Channel::inherited) else {
        return refuse("it has no channel to a supervisor");
    };
    let loader = match Loader::load(settings, spec, inherited) {
        Ok(loader) => loader,
        Err(failure) => {
            let _ = channel.send(&LoaderReport::Failed(failure.to_string()).to_bytes(), None);
            return 1;
        }
    };
    match loader.fork_on_request(&channel) {
        Some(worker) => {
            drop(channel);
            worker.run(settings)
        }
        None => 0,
    }
}

/// Reports on standard error, because there is no channel to a supervisor.
fn refuse(why: &str) -> u8 {
    terminal::err(format_args!("uringstatic: starting a loader: {why}"));
    1
}

struct Loader {
    supervisor: u32,
    server: LoadedServer,
    scoreboard: Scoreboard,
    all: CounterPart,
    log: Option<LogMemory>,
}

/// A copy of the loader that is to be a worker.
struct NewWorker {
    loader: Loader,
    request: ForkRequest,
    held: OwnedFd,
}

impl Loader {
    fn load(
        settings: &StartSettings,
        spec: &LoaderSpec,
        mut inherited: InheritedDescriptors,
    ) -> Result<Self, Failure> {
        let lost = |what: &str| Failure::new("inheriting from the supervisor", what, "");
        die_with_parent(spec.supervisor).map_err(|_| lost("the supervisor has ended"))?;
        let places = spec.places as usize;
        let has_counters = settings.admin.admin.is_some();
        let layout = BoardLayout { places, has_counters };
        let scoreboard = Scoreboard::inherited(spec.scoreboard, layout)?;
        let all = scoreboard.read_only().map_err(|error| lost(&error.to_string()))?;
        drop(inherited.claim(spec.scoreboard));
        let addresses = settings.addresses().map(|address| &address.endpoint);
        // Behind the listeners stands the memory of the access log.
        let of_log = spec.listeners.get(settings.addresses().count());
        let log = match of_log.filter(|_| settings.log.access_log.is_some()) {
            Some(&number) => {
                let log = LogMemory::inherited(number, scoreboard.places(), settings.slots())?;
                drop(inherited.claim(number));
                Some(log)
            }
            None => None,
        };
        let listeners = spec.listeners.iter().zip(addresses).map(|(&number, address)| {
            let fd = inherited.claim(number).ok_or_else(|| lost("a listener is missing"))?;
            let listener = Listener::inherited(fd, address);
            let listener = listener.map_err(|error| lost(&error.to_string()))?;
            let is_passed = spec.passed.contains(&number);
            Ok(if is_passed { listener.kept_by_manager() } else { listener })
        });
        let listeners = listeners.collect::<Result<_, Failure>>()?;
        let previous = spec.previous.and_then(|number| inherited.claim(number));
        let account = spec.account.clone();
        let server = start::load(settings, listeners, account, inherited, previous)?;
        Ok(Self { supervisor: spec.supervisor, server, scoreboard, all, log })
    }

    /// Forks workers until the supervisor closes the channel. Returns in each worker, and with
    /// `None` at the end, also at that of a copy which writes the codings.
    fn fork_on_request(self, channel: &Channel) -> Option<NewWorker> {
        let loaded = LoaderReport::Loaded(self.server.what.clone());
        channel.send(&loaded.to_bytes(), None).ok()?;
        let mut place = [0; BYTES_MAX];
        loop {
            let message = channel.receive(&mut place).ok()??;
            let request = LoaderRequest::from_bytes(&place[..message.len])?;
            let held = message.fd?;
            let request = match request {
                LoaderRequest::Fork(request) => request,
                LoaderRequest::HandOverCodings => match fork_sibling() {
                    Ok(ForkSide::Copy) => {
                        self.hand_over_codings(held);
                        return None;
                    }
                    // Without a copy the next generation makes all codings itself.
                    Ok(ForkSide::Original { .. }) | Err(_) => continue,
                },
            };
            let number = request.place;
            let report = match fork_sibling() {
                Ok(ForkSide::Copy) => return Some(NewWorker { loader: self, request, held }),
                Ok(ForkSide::Original { copy }) => {
                    LoaderReport::Forked { place: number, process: copy }
                }
                Err(error) => {
                    let why = format!("forking a worker: {error}");
                    LoaderReport::NotForked { place: number, why }
                }
            };
            channel.send(&report.to_bytes(), None).ok()?;
        }
    }

    /// Writes the codings of files, as slowly as the next loader reads them. That is the work of a
    /// copy, so that the loader goes on replacing workers.
    fn hand_over_codings(&self, pipe: OwnedFd) {
        process::set_name("uringstatic-c");
        if die_with_parent(self.supervisor).is_ok() {
            // A reader that ends has what it needs, or has failed.
            let _ = self.server.write_codings(PipeWriter::from(pipe));
        }
    }
}

impl NewWorker {
    /// Serves until the supervisor ends it. Returns the exit status.
    fn run(self, settings: &StartSettings) -> u8 {
        let Self { loader, request, held } = self;
        let Loader { supervisor, server, scoreboard, all, log } = loader;
        let place = request.place as usize;
        process::set_name(&format!("uringstatic-w{}", request.number));
        if die_with_parent(supervisor).is_err() || place >= scoreboard.places() {
            return 1;
        }
        let Ok(text) = scoreboard.text_place(place) else { return 1 };
        let Ok(seat) = scoreboard.seat(all, place) else { return 1 };
        let Ok(counters) = scoreboard.worker_counters(place) else { return 1 };
        let counters = counters.map(|words| WorkerCounters::new(words, settings.slots()));
        drop(scoreboard);
        let Ok(part) = log.as_ref().map(|log| log.worker_part(place)).transpose() else { return 1 };
        drop(log);
        // The first reading of this clock looks for the vDSO, by a call (`PR_GET_AUXV`, prctl(2))
        // that isn't permitted once the process is locked down.
        let _ = process::monotonic_ns();
        if !await_acknowledgement(&seat) {
            return 1;
        }
        match serve(settings, server, request, (seat, held)) {
            Ok((mut started, engine)) => {
                let recorder =
                    part.map(|part| recorder(&mut started, part, request.number, settings));
                match (counters, recorder) {
                    (Some(counters), Some(recorder)) => observe(&mut started, (counters, recorder)),
                    (Some(counters), None) => observe(&mut started, counters),
                    (None, Some(recorder)) => observe(&mut started, recorder),
                    (None, None) => {}
                }
                text.write(&format!("{engine}; lockdown {}", started.lockdown.summary()));
                let Started { server, lockdown, .. } = started;
                serve_to_the_end(server, &lockdown, "the engine")
            }
            Err(failure) => {
                text.write(&failure.to_string());
                1
            }
        }
    }
}

/// Becomes a server.
fn serve(
    settings: &StartSettings,
    server: LoadedServer,
    request: ForkRequest,
    (seat, held): (Seat, OwnedFd),
) -> Result<(Started, String), Failure> {
    let signals = signal::receive(&WORKER_SIGNALS)?;
    let link = WorkerLink { number: request.number, supervision: Box::new(seat), held };
    let (started, engine) = server.serve(settings, signals, Some(link))?;
    if request.reports {
        started.report_missing_layers(settings);
    }
    Ok((started, engine))
}

/// The recorder of a server's requests for the access log.
fn recorder(
    started: &mut Started,
    part: CounterPart,
    number: u32,
    settings: &StartSettings,
) -> AccessRecorder {
    let since_start = started.server.engine_mut().read_clock();
    let base_ns = process::monotonic_ns().saturating_sub(since_start.0);
    AccessRecorder::new(part, number, base_ns)
        .with_forwarding(settings.forwarding.clone(), settings.slots())
}

fn observe(started: &mut Started, observer: impl Observer + 'static) {
    started.server.observe(Box::new(observer));
}

/// Waits until the supervisor knows this process, which it must be able to end.
fn await_acknowledgement(seat: &Seat) -> bool {
    let started = Instant::now();
    while !seat.is_acknowledged(std::process::id()) {
        if started.elapsed() > ACKNOWLEDGED_WITHIN {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// Longer than a supervisor is ever busy with anything else.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(10);

/// The signal by which a supervisor ends a worker: not SIGTERM, which reaches every process of a
/// control group when systemd ends it, and none that operators send to all processes of a name.
pub(super) const DRAIN: libc::c_int = libc::SIGIO;

const WORKER_SIGNALS: [libc::c_int; 3] = [RETIRE.cast_signed(), TRY_ACCEPTS.cast_signed(), DRAIN];
