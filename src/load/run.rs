//! Runs a load: starts worker processes, watches them, and adds up their counters.
//!
//! ```no_run
//! use uringstatic::load::{options, run::Runner};
//!
//! let words = ["uringload", "-c", "100", "-d", "5s", "http://127.0.0.1:10001/"];
//! let options = options::parse(words).expect("the options are valid");
//! // Workers are processes of this same program, which must call `worker::run` for them.
//! let runner = Runner::new(&options).expect("the target has an address");
//! for settings in options.runs() {
//!     let outcome = runner.run(&settings, |progress| println!("{:.1} s", progress.seconds));
//!     let run = outcome.expect("the workers start").run;
//!     println!("{} requests in {:.1} s", run.requests_in_time, run.seconds);
//! }
//! ```

use super::client::ClientPlan;
use super::counters::{Count, Counters, LatencyKind, WorkerState};
use super::hints;
use super::input::{self, LoadInput};
use super::options::{LoadOptions, RunSettings, Url};
use super::report::Run;
use super::schedule::Amount;
use super::start::{Start, unix_seconds};
use super::sum::{Plan, sum_up, sum_up_targets};
use super::worker::{RunMemory, STOP_GRACE, Share, SharedWord, StopLevel};
use crate::engine::chosen::{Chosen, Decision, EngineChoice, TRIAL};
use crate::engine::kernel::{ConnectTarget, EngineError, EngineKind, KernelEngine, Parts, Role};
use crate::error::Failure;
use crate::os::children::{Orphan, Process, WaitOutcome};
use crate::os::shared::SharedCounters;
use crate::os::signal::Signals;
use crate::os::terminal;
use crate::os::{process, signal};
use hdrhistogram::Histogram;
use std::cell::Cell;
use std::io::Write;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A load that is ready to run: the resolved target and the request, shared by all runs.
pub struct Runner<'a> {
    options: &'a LoadOptions,
    target: ConnectTarget,
    input: LoadInput,
    signals: Signals,
    decision: Decision,
    /// The start of the first run; none afterwards.
    start: Cell<Option<Start>>,
}

/// The results of a run.
pub struct RunOutcome {
    /// The figures for the report.
    pub run: Run,
    /// The histogram of the response times, in nanoseconds.
    pub responses: Histogram<u64>,
}

/// The state of a run in progress, for a progress bar.
pub struct RunProgress<'a> {
    /// The counters of all workers.
    pub all_counters: &'a [Counters<'a>],
    /// Time since the start of the load, in seconds.
    pub seconds: f64,
}

impl<'a> Runner<'a> {
    /// Decides for an engine, resolves the target, checks the source addresses and reads the
    /// requests.
    ///
    /// # Errors
    /// If `io_uring` can't be tried, the target or a source address is unusable, a file can't be
    /// read or has an invalid line, or signal handling can't be set up.
    pub fn new(options: &'a LoadOptions) -> Result<Self, Failure> {
        // First, while this process has a single thread.
        let decision = decide_engine(options.engine)?;
        let input = LoadInput::read(options)?;
        // A URL of the command line was checked with it; one of a list is known only now.
        let what = || format!("preparing the load of {}", input.url);
        options.check_server(&input.url).map_err(|why| Failure::new(what(), why, ""))?;
        let target = input::resolve(&input.url, options)?;
        input::check_sources(input::sources(options))?;
        if let Some(tls) = options.tls(&input.url) {
            // Each worker loads the certificates, but an error is reported once, before the load.
            tls.load()?;
        }
        let signals = signal::signals_to_end()?;
        let start = Cell::new(options.start_at.map(Start::new).transpose()?);
        Ok(Self { options, target, input, signals, decision, start })
    }

    /// The URL of the server, with the target of the first request.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.input.url
    }

    /// Messages for the user about the requests that were read.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.input.notes
    }

    /// Waits for the time of `--start-at`, at which the first run then begins; returns false if a
    /// signal arrived.
    #[must_use]
    pub fn await_start(&self) -> bool {
        let start = self.start.take();
        let is_due = start.as_ref().is_none_or(|start| start.wait(&self.signals));
        self.start.set(start);
        is_due
    }

    /// The engine of the workers, and why it isn't another.
    #[must_use]
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// Makes one run, until it ends or a signal arrives; calls `watch` ten times per second. After
    /// a signal, responses are awaited for half a second, and after a second one not at all.
    ///
    /// # Errors
    /// If the workers can't be started or awaited.
    pub fn run(
        &self,
        settings: &RunSettings,
        mut watch: impl FnMut(&RunProgress<'_>),
    ) -> Result<RunOutcome, Failure> {
        let connections = settings.connections;
        let cores = process::cores();
        let workers = workers(self.options, cores.len()).min(connections);
        let memory = RunMemory { workers, distinct: self.input.targets.len() };
        let words = SharedCounters::new("uringload", memory.words())?;
        let all_counters: Vec<_> =
            (0..workers).map(|index| memory.counters(words.counters(), index)).collect();
        let mut team = Workers::default();
        for index in 0..workers {
            // The last cores, as the kernel and other programs prefer the first ones.
            let core = (cores.len() + index as usize).checked_sub(workers as usize);
            let core = core.and_then(|place| cores.get(place).copied());
            let share = self.share(settings, workers, index);
            let requests = self.input.table.share(index, workers);
            team.start(&words, workers, index, core, &share.encoded(&requests))?;
        }
        team.await_ready(&all_counters)?;
        words.counters()[SharedWord::Making as usize].store(workers.into(), Ordering::Relaxed);
        let soonest = process::monotonic_ns() + BEGIN_IN_NS;
        let begin = self.start.take().map_or(soonest, |start| start.monotonic_ns().max(soonest));
        words.counters()[SharedWord::Begin as usize].store(begin, Ordering::Release);
        let interrupted =
            self.watch(&mut team, words.counters(), &all_counters, begin, &mut watch)?;
        let plan = Plan {
            settings: *settings,
            requests: self.requests(),
            duration: self.options.duration(),
        };
        let sums = sum_up(&plan, &all_counters);
        let targets: Vec<_> =
            (0..workers).map(|index| memory.targets(words.counters(), index)).collect();
        let targets = sum_up_targets(&self.input.targets, &targets);
        let counted = begin.saturating_add(nanos(self.options.warmup.unwrap_or_default()));
        let started_at = Some(unix_seconds(counted));
        Ok(RunOutcome {
            run: Run {
                interrupted,
                died: team.died,
                started_at,
                targets_distinct: self.targets_distinct(),
                targets,
                ..sums
            },
            responses: Counters::histogram(&all_counters, LatencyKind::Response),
        })
    }

    /// Waits for all workers to end; returns whether a signal arrived.
    fn watch(
        &self,
        team: &mut Workers,
        words: &[AtomicU64],
        all_counters: &[Counters<'_>],
        begin: u64,
        watch: &mut impl FnMut(&RunProgress<'_>),
    ) -> Result<bool, Failure> {
        let mut signals = 0_u64;
        let mut kill_at = u64::MAX;
        while team.reap()? {
            let arrived = self.signals.wait(WATCH_PAUSE);
            let now = process::monotonic_ns();
            if arrived {
                signals += 1;
                let level = if signals == 1 { StopLevel::Soon } else { StopLevel::Now };
                words[SharedWord::Stop as usize].store(level as u64, Ordering::Relaxed);
                if signals == 1 {
                    tell_of_wait(all_counters);
                } else {
                    kill_at = kill_at.min(now + KILL_AFTER_NS);
                }
            }
            if now >= kill_at {
                team.kill();
            }
            let nanos = now.saturating_sub(begin);
            watch(&RunProgress {
                all_counters,
                seconds: Duration::from_nanos(nanos).as_secs_f64(),
            });
        }
        Ok(signals > 0)
    }

    /// The number of requests of a run. A replay ends with its log, unless it is told otherwise.
    fn requests(&self) -> Option<u64> {
        let options = self.options;
        let entries = self.input.table.entries();
        match (options.requests, options.replay.is_some() && options.duration.is_none()) {
            (None, true) => Some(entries),
            // Times don't begin again.
            (requests, _) if options.speed.is_some() => {
                Some(requests.map_or(entries, |requests| requests.min(entries)))
            }
            (requests, _) => requests,
        }
    }

    /// Number of distinct requests of a list or a log.
    fn targets_distinct(&self) -> u64 {
        let has_list = self.options.urls.is_some() || self.options.replay.is_some();
        if has_list { self.input.targets.len() as u64 } else { 0 }
    }

    /// The share of worker `index`: remainders go to the first workers.
    fn share(&self, settings: &RunSettings, workers: u32, index: u32) -> Share {
        let options = self.options;
        let share_of = |total: u64| {
            let (workers, index) = (u64::from(workers), u64::from(index));
            total / workers + u64::from(index < total % workers)
        };
        let rate_gap = options
            .connect_rate
            .map_or(Duration::ZERO, |rate| Duration::from_secs_f64(f64::from(workers) / rate));
        Share {
            plan: ClientPlan {
                connections: u32::try_from(share_of(settings.connections.into()))
                    .expect("a share of a u32 is a u32"),
                amount: Amount {
                    requests: self.requests().map(share_of),
                    duration_ns: options.duration().map(nanos),
                    warmup_ns: options.warmup.map_or(0, nanos),
                    rate: settings.rate.map(|rate| rate / f64::from(workers)),
                    phase: f64::from(index) / f64::from(workers),
                },
                pipeline: options.pipeline,
                persist: !options.close,
                requests_per_connection: options.requests_per_connection,
                think_ns: options.think_time.map_or(0, nanos),
                proxy_header: options.proxy_protocol,
                expect: None,
                statuses: options.statuses.clone(),
                dial_gap_ns: nanos(rate_gap),
                ramp_ns: options.ramp.map_or(0, nanos),
                connect_timeout_ns: nanos(options.connect_timeout),
                response_timeout_ns: nanos(options.timeout),
                grace_ns: nanos(options.grace),
            },
            engine: self.decision.kind,
            tls: self.options.tls(&self.input.url),
            target: self.target.clone(),
            sources: input::sources(options).to_vec(),
            expect: options.expect.clone(),
        }
    }
}

/// Checks the numbers of connections against the number of processes, which depends on this
/// machine's cores.
///
/// # Errors
/// The complaint with the number of processes that suffices.
pub fn check_connections(options: &LoadOptions) -> Result<(), String> {
    let workers = workers(options, process::cores().len());
    for connections in options.connections.iter().map(|number| number.get()) {
        // The other kind carries more, but `auto` isn't decided yet.
        let kind = options.engine.kind().unwrap_or(EngineKind::IoUring);
        let max = Chosen::connections_max(kind);
        let needed = connections.div_ceil(max);
        if needed > workers {
            return Err(format!(
                "-c {connections}: a worker process has at most {max} connections, and there \
                 are {workers}; use --processes {needed}, or fewer connections"
            ));
        }
    }
    Ok(())
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Decides for the engine of all workers, which have the privileges of this process.
fn decide_engine(choice: EngineChoice) -> Result<Decision, Failure> {
    let create = || {
        let preparation = Chosen::prepare(&TRIAL)?;
        // Without signals to read, there is nothing to serve, which a trial doesn't need.
        let Ok(signals) = signal::signals_to_end() else { return Ok(None) };
        let role = Role::Server { listeners: Vec::new(), signals };
        let (slots, buffers) = (TRIAL.slots, TRIAL.buffers);
        let fixed = vec![0; 2].into();
        let parts = Parts {
            slots,
            role,
            fixed,
            buffers,
            held: None,
            restricted: false,
            wants_peers: false,
        };
        Ok::<_, EngineError>(Some(Chosen::create(preparation, parts)?))
    };
    choice.decide(create).map_err(hints::of_undecided)
}

/// The number of worker processes on a machine with this number of cores.
fn workers(options: &LoadOptions, cores: usize) -> u32 {
    let default = u32::try_from(cores).unwrap_or(1).saturating_sub(1).max(1);
    options.processes.unwrap_or(default)
}

/// The worker processes of a run; dropping this kills them.
#[derive(Default)]
struct Workers {
    running: Vec<Process>,
    died: u32,
    /// The user has had enough of them, so their end is no failure.
    is_killed: bool,
}

impl Workers {
    fn start(
        &mut self,
        words: &SharedCounters,
        count: u32,
        index: u32,
        core: Option<u32>,
        share: &[u8],
    ) -> Result<(), Failure> {
        let fail = |error| hints::of_start(index, error);
        let program = std::env::current_exe().map_err(fail)?;
        let mut command = Command::new(program);
        command
            .arg(super::options::WORKER)
            .args([words.number().to_string(), index.to_string(), count.to_string()])
            .stdin(Stdio::piped());
        let mut worker =
            Process::start_with(command, core, Orphan::Terminated, Some(words.as_fd()))
                .map_err(fail)?;
        let mut input = worker.stdin().expect("stdin is piped");
        self.running.push(worker);
        input.write_all(share).map_err(fail)
    }

    fn await_ready(&mut self, all_counters: &[Counters<'_>]) -> Result<(), Failure> {
        while !all_counters.iter().all(|counters| counters.is(WorkerState::Ready)) {
            self.reap()?;
            if self.died > 0 {
                return Err(Failure::new(
                    "starting the workers",
                    "a worker ended early (see above)",
                    "",
                ));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Reaps the workers that have ended; returns whether any is left.
    fn reap(&mut self) -> Result<bool, Failure> {
        let mut left = Vec::with_capacity(self.running.len());
        for mut worker in self.running.drain(..) {
            let wait = worker
                .wait(Duration::ZERO, None)
                .map_err(|error| Failure::new("waiting for the workers", error, ""))?;
            match wait {
                WaitOutcome::Ended(status) if status.success() || self.is_killed => {}
                WaitOutcome::Ended(status) => {
                    terminal::err(format_args!(
                        "uringload: worker {} ended with {status}",
                        worker.id()
                    ));
                    self.died += 1;
                }
                WaitOutcome::TimedOut | WaitOutcome::Interrupted => left.push(worker),
            }
        }
        self.running = left;
        Ok(!self.running.is_empty())
    }

    fn kill(&mut self) {
        self.is_killed = true;
        self.running.iter().for_each(Process::kill_group);
    }
}

/// Tells what an interrupted load still waits for.
fn tell_of_wait(all_counters: &[Counters<'_>]) {
    let waiting: u64 = all_counters
        .iter()
        .map(|counters| {
            let ended = counters.get(Count::Requests) + counters.failed();
            counters.get(Count::Sent).saturating_sub(ended)
        })
        .sum();
    if waiting > 0 {
        terminal::err(format_args!(
            "uringload: interrupted; waiting for {waiting} {}, {} ms at most (a second signal ends \
             it at once)",
            if waiting == 1 { "response" } else { "responses" },
            STOP_GRACE.as_millis()
        ));
    }
}

/// Lead time of the common start, so that all workers have read it before it arrives.
const BEGIN_IN_NS: u64 = 5_000_000;
const WATCH_PAUSE: Duration = Duration::from_millis(100);
/// How long workers may take to end after a second signal.
const KILL_AFTER_NS: u64 = 500_000_000;
