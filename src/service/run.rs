//! The supervisor's process: waits for signals, for messages of loaders and for the ends of
//! processes, passes them to [`Supervisor`] and carries out its orders.

mod access_log;
mod auxiliary;
mod notify;
mod operator;

use super::auxiliary::Auxiliaries;
use super::board_layout::{BoardLayout, Place};
use super::loader::DRAIN;
use super::messages::{ForkRequest, LoaderReport};
use super::notifier::Notifier;
use super::processes::{LoaderCommand, LoaderProcess, WorkerEnd, WorkerProcess, is_worker};
use super::publication::Publication;
use super::report::Totals;
use super::scoreboard::Scoreboard;
use super::supervisor::{
    Event, Order, Published, Supervisor, SupervisorConfig, WorkerExit, WorkerId,
};
use crate::engine::Nanos;
use crate::error::Failure;
use crate::os::inherited::InheritedDescriptors;
use crate::os::net::Listener;
use crate::os::poll::wait_any_readable;
use crate::os::process::monotonic_ns;
use crate::os::reaping::{ProcessEnd, reap};
use crate::os::signal::{self, Signals};
use crate::os::terminal;
use crate::server::{RETIRE, TRY_ACCEPTS};
use crate::start::engine::with_engine;
use crate::start::settings::StartSettings;
use crate::start::workers::WorkerCount;
use crate::start::{
    OpenSockets, enter_supervision, look_up_account, open_sockets, start_listening,
};
use crate::telemetry::log_memory::LogMemory;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Runs the service until a signal or a failure ends it. `words` is the command line, which its
/// loaders get, too. Returns the exit status.
///
/// # Errors
/// If it can't be started: what was tried, the cause, and a hint for the operator.
pub fn run(settings: &StartSettings, words: Vec<OsString>) -> Result<u8, Failure> {
    let mount = |what: &str, error: io::Error| Failure::new(what, error, "mount /proc");
    let mut inherited =
        InheritedDescriptors::take().map_err(|error| mount("reading /proc/self/fd", error))?;
    let account = look_up_account(settings)?;
    let signals = signal::receive(&SIGNALS)?;
    let OpenSockets { settings, mut listeners, admin, words: of_passed } =
        open_sockets(settings, &mut inherited)?;
    let words = [words, of_passed].concat();
    let notifier = Notifier::of_environment();
    let served = listeners.len();
    listeners.extend(admin);
    let settings = &with_engine(&settings, account.as_ref())?;
    let kind = settings.engine.kind().expect("it was decided");
    let command = LoaderCommand::of(words, account, kind)
        .map_err(|error| mount("reading /proc/self/exe", error))?;
    let workers = settings.worker_count();
    let settings = &StartSettings { workers: WorkerCount::Count(workers), ..settings.clone() };
    let places = 4 * workers as usize + PLACES_RESERVE;
    let config = SupervisorConfig {
        workers,
        limit: settings.spawn,
        worker_timeout: settings.worker_timeout,
        watchdog: notifier.watchdog_period(),
    };
    let has_counters = settings.admin.admin.is_some();
    let scoreboard = Scoreboard::new(BoardLayout { places, has_counters })?;
    let mut auxiliaries = auxiliary::wanted(&scoreboard, workers, &listeners[served..])?;
    let log = access_log::open(settings, places, &mut auxiliaries)?;
    enter_supervision(settings, command.tasks(&listeners, settings), inherited)?;
    let admin = listeners.split_off(served);
    let mut service = Service {
        settings,
        worker_count: workers,
        command,
        signals,
        listeners,
        admin,
        auxiliaries,
        published: Publication::new(),
        scoreboard,
        log,
        supervisor: Supervisor::new(config),
        notifier,
        serving: String::new(),
        started: monotonic_ns(),
        loaders: Vec::new(),
        workers: Vec::new(),
        unknown: Vec::new(),
        total: Totals::default(),
        is_ready: false,
        is_ending: false,
        is_over: false,
        busy_since: Instant::now(),
    };
    // The first page of the admin process is rendered while it starts.
    service.publish();
    service.auxiliaries.start(&service.command)?;
    Ok(service.run())
}

struct Service<'a> {
    settings: &'a StartSettings,
    /// The number of workers of a generation.
    worker_count: u32,
    command: LoaderCommand,
    signals: Signals,
    listeners: Vec<Listener>,
    /// The listener of the admin process, whose file is removed at the end.
    admin: Vec<Listener>,
    auxiliaries: Auxiliaries,
    published: Publication,
    scoreboard: Scoreboard,
    /// The memory of the access log.
    log: Option<LogMemory>,
    supervisor: Supervisor,
    notifier: Notifier,
    /// The generation that serves, in words for the service manager.
    serving: String,
    /// The monotonic clock at the supervisor's time 0.
    started: u64,
    loaders: Vec<LoaderProcess>,
    workers: Vec<WorkerProcess>,
    /// Processes that ended before a loader named them.
    unknown: Vec<(u32, ProcessEnd)>,
    total: Totals,
    is_ready: bool,
    /// Whether the listeners are closed, after a signal to end.
    is_ending: bool,
    /// Whether this process kills what is left.
    is_over: bool,
    /// When something last happened that may change the scoreboard.
    busy_since: Instant,
}

impl Service<'_> {
    fn run(&mut self) -> u8 {
        loop {
            while let Some(order) = self.supervisor.pop() {
                if let Order::Exit(outcome) = order {
                    return self.exit(&outcome);
                }
                self.obey(order);
            }
            self.auxiliaries.start_due(&self.command);
            self.publish();
            self.wait();
            self.read_signals();
            self.auxiliaries.read_reports();
            self.read_reports();
            self.reap();
            self.find_changes();
            self.handle(Event::Tick);
            self.notify_life();
        }
    }

    /// Passes an event to the state machine, with the numbers that the workers publish.
    fn handle(&mut self, event: Event) {
        let (workers, scoreboard) = (&self.workers, &self.scoreboard);
        let published = |id: WorkerId| {
            let worker = workers.iter().find(|worker| worker.id == id);
            worker.map_or_else(Published::default, |worker| scoreboard.published(worker.place))
        };
        let now = Nanos(monotonic_ns() - self.started);
        self.supervisor.handle(event, now, published);
    }

    /// Waits until something may have happened.
    fn wait(&mut self) {
        let now = monotonic_ns() - self.started;
        let deadline = self.supervisor.deadline().map(|at| at.0.saturating_sub(now));
        let is_changing = self.supervisor.is_dividing()
            || self.workers.iter().any(|worker| !worker.is_armed || worker.end.is_some());
        let is_new = self.busy_since.elapsed() < CHANGES_WITHIN;
        let soon = is_changing.then_some(if is_new { SOON } else { LATER });
        let times = [deadline.map(Duration::from_nanos), soon, self.notifier.next()];
        let times = times.into_iter().flatten().chain(self.auxiliary_deadline());
        let mut fds = vec![self.signals.as_fd()];
        let channels = self.loaders.iter().filter_map(|loader| loader.channel.as_ref());
        fds.extend(channels.map(AsFd::as_fd).chain(self.auxiliaries.channels()));
        // An interruption or a shortage of memory is an early end of the wait.
        let has_news = wait_any_readable(&fds, times.min()).unwrap_or(false);
        if has_news || !is_changing {
            self.busy_since = Instant::now();
        }
    }

    fn read_signals(&mut self) {
        while let Ok(signal) = self.signals.read() {
            match signal.cast_signed() {
                libc::SIGHUP if self.is_ending => {
                    terminal::err("uringstatic: not reloaded: the service is ending");
                }
                libc::SIGHUP => self.handle(Event::Reload),
                // Ended processes are reaped after each wait.
                libc::SIGCHLD => {}
                libc::SIGUSR1 => self.reopen_access_log(),
                libc::SIGUSR2 => terminal::err(format_args!(
                    "uringstatic: signal {signal} has no effect: SIGHUP reloads, SIGTERM ends"
                )),
                signal => {
                    // The last worker to stop listening ends it, and what is in the backlog is
                    // reset then.
                    self.listeners.iter_mut().for_each(Listener::close);
                    self.is_ending = true;
                    self.notify_end();
                    self.handle(Event::Terminate(signal));
                }
            }
        }
    }

    fn read_reports(&mut self) {
        for place in 0..self.loaders.len() {
            while let Some(report) = self.loaders[place].next_report() {
                let generation = self.loaders[place].generation;
                match report {
                    LoaderReport::Loaded(what) => {
                        self.loaders[place].what = Some(what);
                        self.loaded(place);
                    }
                    LoaderReport::Failed(why) => self.loaders[place].failure = Some(why),
                    LoaderReport::Forked { place, process } => {
                        self.forked(generation, place as usize, process);
                    }
                    LoaderReport::NotForked { place, why } => {
                        self.not_forked(generation, place as usize, why);
                    }
                }
            }
        }
    }

    /// The first generation can serve, so the sockets may listen; afterwards this changes nothing.
    fn loaded(&mut self, place: usize) {
        if self.is_ending {
            return;
        }
        let generation = self.loaders[place].generation;
        match start_listening(self.settings, &self.listeners) {
            Ok(()) => self.handle(Event::Loaded { generation }),
            Err(failure) => {
                self.loaders[place].kill();
                self.handle(Event::LoaderEnded { generation, why: failure.to_string() });
            }
        }
    }

    /// The worker of a place that a generation is entitled to speak about.
    fn pending(&mut self, generation: u32, place: Place) -> Option<&mut WorkerProcess> {
        self.workers.iter_mut().find(|worker| {
            worker.id.generation == generation && worker.place == place && worker.process.is_none()
        })
    }

    fn forked(&mut self, generation: u32, place: Place, process: u32) {
        let ended = self.unknown.iter().position(|&(ended, _)| ended == process);
        let end = ended.map(|ended| self.unknown.swap_remove(ended).1);
        if end.is_none() && !is_worker(process, &self.loaders) {
            return;
        }
        let Some(worker) = self.pending(generation, place) else { return };
        worker.process = Some(process);
        let due = worker.due.take();
        if let Some(end) = end {
            self.ended(place, end);
            return;
        }
        if let Some(signal) = due {
            worker.signal(signal);
        }
        self.scoreboard.acknowledge(place, process);
    }

    fn not_forked(&mut self, generation: u32, place: Place, how: String) {
        let Some(worker) = self.pending(generation, place) else { return };
        worker.end = Some(WorkerEnd::new(0));
        worker.is_armed = true;
        let worker = worker.id;
        self.handle(Event::WorkerEnded { worker, exit: WorkerExit::Crashed, how });
    }

    fn reap(&mut self) {
        while let Some((process, end)) = reap() {
            if self.auxiliaries.ended(process, end) {
                continue;
            }
            // Its last messages come before its end.
            self.read_reports();
            if let Some(place) = self.loaders.iter().position(|it| it.process == process) {
                let loader = self.loaders.remove(place);
                self.loader_ended(&loader, end);
                continue;
            }
            let worker = self.workers.iter().find(|worker| worker.process == Some(process));
            match worker.map(|worker| worker.place) {
                Some(place) => self.ended(place, end),
                // A worker that its loader will name, or an orphan that this process inherited.
                None if self.workers.iter().any(|worker| worker.process.is_none()) => {
                    self.unknown.push((process, end));
                }
                None => {}
            }
        }
        if self.workers.iter().all(|worker| worker.process.is_some()) {
            self.unknown.clear();
        }
    }

    /// A loader ended. A worker that it was to fork and didn't name waits in vain for being
    /// acknowledged.
    fn loader_ended(&mut self, loader: &LoaderProcess, end: ProcessEnd) {
        let generation = loader.generation;
        let why = match &loader.what {
            Some(_) => format!("the loader ended: {end}"),
            None => loader.explain(end),
        };
        let is_pending = |worker: &&WorkerProcess| {
            worker.id.generation == generation && worker.process.is_none() && worker.end.is_none()
        };
        let pending: Vec<Place> =
            self.workers.iter().filter(is_pending).map(|worker| worker.place).collect();
        self.handle(Event::LoaderEnded { generation, why });
        for place in pending {
            self.not_forked(generation, place, "its loader ended".to_owned());
        }
    }

    /// A worker's process ended.
    fn ended(&mut self, place: Place, end: ProcessEnd) {
        self.recover_records(place);
        let spawn = self.settings.spawn;
        let Some(worker) = self.workers.iter_mut().find(|worker| worker.place == place) else {
            return;
        };
        let connections = self.scoreboard.connections(place, spawn);
        self.total.stats.add(&self.scoreboard.stats(place));
        self.scoreboard.leave(place);
        let has_exited = end == ProcessEnd::Exited(0);
        // A worker that fails to start leaves the failure there and exits; one that serves leaves a
        // description before its first turn.
        let text = self.scoreboard.text(place);
        let was_killed = matches!(end, ProcessEnd::Killed(_)) && !text.is_empty();
        // Its first turns may not have been noticed yet.
        let has_served = worker.is_armed || self.scoreboard.is_armed(place) || was_killed;
        if !has_exited && has_served && !worker.is_abandoned && !self.is_over {
            self.total.lost_workers += 1;
            self.total.lost_connections += connections;
        }
        let how = if has_served || text.is_empty() { end.to_string() } else { text };
        worker.end = Some(WorkerEnd::new(connections));
        worker.is_armed = true;
        self.scoreboard.allow(place, 0);
        // Connections that a drain has cut off are closed by the kernel later.
        let exit = match end {
            ProcessEnd::Exited(0) if connections == 0 => WorkerExit::Orderly,
            ProcessEnd::Killed(libc::SIGKILL) => WorkerExit::Killed,
            ProcessEnd::Exited(_) | ProcessEnd::Killed(_) => WorkerExit::Crashed,
        };
        let worker = worker.id;
        self.handle(Event::WorkerEnded { worker, exit, how });
    }

    /// Finds the workers that have armed their accepts, and those whose sockets are closed.
    fn find_changes(&mut self) {
        let mut armed = Vec::new();
        for worker in &mut self.workers {
            if !worker.is_armed && self.scoreboard.is_armed(worker.place) {
                worker.is_armed = true;
                armed.push(worker.id);
            }
        }
        for worker in armed {
            self.handle(Event::Armed(worker));
        }
        let is_gone: Vec<bool> = self.workers.iter_mut().map(WorkerProcess::is_gone).collect();
        let mut nth = is_gone.into_iter();
        let gone: Vec<_> = self.workers.extract_if(.., |_| nth.next().unwrap_or(false)).collect();
        for worker in gone {
            self.scoreboard.clear(worker.place);
            self.handle(Event::SocketsClosed(worker.id));
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Load { generation } => self.load(generation),
            Order::Fork(id) => self.fork(id),
            Order::Release { generation } => {
                if let Some(loader) = self.loader(generation) {
                    loader.channel = None;
                }
            }
            Order::KillLoader { generation } => {
                if let Some(loader) = self.loader(generation) {
                    loader.kill();
                }
            }
            Order::Allow(id, allowance) => {
                if let Some(worker) = self.worker(id) {
                    let place = worker.place;
                    self.scoreboard.allow(place, allowance);
                }
            }
            Order::Retire(id) => self.signal(id, RETIRE.cast_signed()),
            Order::Drain(id) => self.signal(id, DRAIN),
            Order::Kick(id) => self.signal(id, TRY_ACCEPTS.cast_signed()),
            Order::Kill(id) => self.kill(id),
            Order::Report(report) => self.report(&report),
            Order::Exit(_) => unreachable!("the end is handled by the loop"),
        }
    }

    fn loader(&mut self, generation: u32) -> Option<&mut LoaderProcess> {
        self.loaders.iter_mut().find(|loader| loader.generation == generation)
    }

    fn worker(&mut self, id: WorkerId) -> Option<&mut WorkerProcess> {
        self.workers.iter_mut().find(|worker| worker.id == id)
    }

    fn signal(&mut self, id: WorkerId, signal: i32) {
        if let Some(worker) = self.worker(id) {
            worker.signal(signal);
        }
    }

    fn kill(&mut self, id: WorkerId) {
        if let Some(worker) = self.worker(id) {
            worker.is_abandoned = !worker.hangs;
            worker.signal(libc::SIGKILL);
        }
    }

    fn load(&mut self, generation: u32) {
        if self.is_ending {
            return;
        }
        self.notify_load();
        let Self { worker_count, command, scoreboard, listeners, log, loaders, .. } = &*self;
        let shared = (scoreboard, log.as_ref());
        let previous = loaders.iter().rev().find_map(LoaderProcess::hand_over_codings);
        let count = *worker_count;
        let previous = previous.as_ref();
        match LoaderProcess::start(generation, count, command, shared, listeners, previous) {
            Ok(loader) => self.loaders.push(loader),
            Err(error) => {
                let program = self.command.program().display();
                let why = format!("starting {program} as a loader: {error}");
                self.handle(Event::LoaderEnded { generation, why });
            }
        }
    }

    fn fork(&mut self, id: WorkerId) {
        if let Err(how) = self.try_fork(id) {
            self.handle(Event::WorkerEnded { worker: id, exit: WorkerExit::Crashed, how });
            self.handle(Event::SocketsClosed(id));
        }
    }

    fn try_fork(&mut self, id: WorkerId) -> Result<(), String> {
        let is_vacant = |place: &Place| self.workers.iter().all(|it| it.place != *place);
        let place = (0..self.scoreboard.places()).find(is_vacant);
        let place = place.ok_or("too many workers are ending at once")?;
        self.scoreboard.clear(place);
        let (worker, held) =
            WorkerProcess::new(id, place).map_err(|error| format!("opening a pipe: {error}"))?;
        let request = ForkRequest {
            place: u32::try_from(place).expect("places are few"),
            number: id.number,
            reports: !self.is_ready && id.number == 0,
        };
        let loader = self.loader(id.generation).ok_or("its loader ended")?;
        loader.request(request, &held).map_err(|error| format!("asking its loader: {error}"))?;
        self.scoreboard.enter(place, id);
        self.workers.push(worker);
        Ok(())
    }
}

/// SIGUSR1 and SIGUSR2 would end the process, and mean a reload or an upgrade to other servers.
const SIGNALS: [libc::c_int; 6] =
    [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGCHLD, libc::SIGUSR1, libc::SIGUSR2];
/// How often the scoreboard is read while it changes: slots move from one worker to another, as
/// fast as connections end.
const SOON: Duration = Duration::from_millis(5);
const LATER: Duration = Duration::from_millis(50);
const CHANGES_WITHIN: Duration = Duration::from_secs(3);
/// For workers whose sockets the kernel has yet to close.
const PLACES_RESERVE: usize = 16;
