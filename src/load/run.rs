//! One run of a load: starts the workers, watches them, and adds up what they counted.

use super::client::{Amount, ClientPlan};
use super::counters::{Count, Counters, Span, State};
use super::options::Options;
use super::report::{Kind, Latency, Run};
use super::worker::{Common, Share, tally_of, words_of};
use crate::engine::uring::probe::SPAWN_MAX;
use crate::error::Failure;
use crate::os::children::{Orphan, Process, Wait};
use crate::os::shared::Words;
use crate::os::signal::Signals;
use crate::os::terminal;
use crate::os::{process, signal};
use hdrhistogram::Histogram;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What all runs of a load have in common.
pub struct Load<'a> {
    options: &'a Options,
    target: SocketAddr,
    request: Vec<u8>,
    signals: Signals,
}

/// What a run came to.
pub struct Outcome {
    /// The figures.
    pub run: Run,
    /// All response times, in nanoseconds.
    pub responses: Histogram<u64>,
}

/// How a run goes, for who shows it.
pub struct Progress<'a> {
    /// The workers' counts.
    pub all_counters: &'a [Counters<'a>],
    /// How long it has been going on, in seconds.
    pub seconds: f64,
}

impl<'a> Load<'a> {
    /// Looks up the target and builds the request.
    ///
    /// # Errors
    /// If the target has no address, the body can't be read, or signals can't be received.
    pub fn new(options: &'a Options) -> Result<Self, Failure> {
        let url = &options.url;
        let what = || format!("looking up {}", url.host);
        let sources = options.source.as_ref().map_or(&[][..], |sources| &sources.0);
        let mut targets = (url.host.as_str(), url.port)
            .to_socket_addrs()
            .map_err(|error| Failure::new(what(), error, "check the name, or use the address"))?;
        // A name may have addresses of both families.
        let target = targets
            .find(|target| sources.iter().all(|source| source.is_ipv4() == target.is_ipv4()))
            .ok_or_else(|| {
                let why = "it has no address that can be reached from --source";
                Failure::new(what(), why, "give it sources of the target's family")
            })?;
        check_sources(sources)?;
        let body = match options.body.as_deref().map(|body| body.strip_prefix('@').ok_or(body)) {
            None => None,
            Some(Err(text)) => Some(text.as_bytes().to_vec()),
            Some(Ok(path)) => Some(
                std::fs::read(path)
                    .map_err(|error| Failure::new(format!("reading the body {path}"), error, ""))?,
            ),
        };
        let request = options.request(body).bytes();
        Ok(Self { options, target, request, signals: signal::signals_to_end()? })
    }

    /// Runs the load with so many connections; `watch` is called ten times a second.
    ///
    /// # Errors
    /// If the workers can't be started.
    pub fn run(
        &self,
        connections: u32,
        mut watch: impl FnMut(&Progress<'_>),
    ) -> Result<Outcome, Failure> {
        let cores = process::cores();
        let workers = workers(self.options, cores.len()).min(connections);
        let words = Words::new(words_of(workers))?;
        let all_counters: Vec<_> =
            (0..workers).map(|index| tally_of(words.words(), index)).collect();
        let mut team = Team::default();
        for index in 0..workers {
            // The last cores: the first are where everything else is at home.
            let core = (cores.len() + index as usize).checked_sub(workers as usize);
            let core = core.and_then(|place| cores.get(place).copied());
            let share = self.share(connections, workers, index);
            team.start(&words, workers, index, core, &share)?;
        }
        team.await_ready(&all_counters)?;
        let begin = process::monotonic_ns() + BEGIN_IN_NS;
        words.words()[Common::Begin as usize].store(begin, Ordering::Release);
        let interrupted = self.watch(&mut team, words.words(), &all_counters, begin, &mut watch)?;
        Ok(Outcome {
            run: Run { interrupted, ..sum_up(connections, workers, team.died, &all_counters) },
            responses: Counters::histogram(&all_counters, Span::Response),
        })
    }

    /// Waits for the workers' ends; says whether a signal came.
    fn watch(
        &self,
        team: &mut Team,
        words: &[AtomicU64],
        all_counters: &[Counters<'_>],
        begin: u64,
        watch: &mut impl FnMut(&Progress<'_>),
    ) -> Result<bool, Failure> {
        let mut signals = 0;
        while team.reap()? {
            if self.signals.wait(WATCH_PAUSE) {
                signals += 1;
                words[Common::Stop as usize].store(1, Ordering::Relaxed);
            }
            if signals > 1 {
                team.kill();
            }
            let nanos = process::monotonic_ns().saturating_sub(begin);
            watch(&Progress { all_counters, seconds: Duration::from_nanos(nanos).as_secs_f64() });
        }
        Ok(signals > 0)
    }

    /// What worker `index` of so many does.
    fn share(&self, connections: u32, workers: u32, index: u32) -> Share {
        let options = self.options;
        let of = |whole: u64| {
            let (all, own) = (u64::from(workers), u64::from(index));
            whole / all + u64::from(own < whole % all)
        };
        let rate_gap = options
            .connect_rate
            .map_or(Duration::ZERO, |rate| Duration::from_secs_f64(f64::from(workers) / rate));
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Share {
            plan: ClientPlan {
                connections: u32::try_from(of(connections.into())).expect("a part of a u32"),
                amount: Amount {
                    requests: options.requests.map(of),
                    duration_ns: options.duration().map(nanos),
                    warmup_ns: options.warmup.map_or(0, nanos),
                    rate: options.rate.map(|rate| rate / f64::from(workers)),
                    phase: f64::from(index) / f64::from(workers),
                },
                pipeline: options.pipeline,
                persist: !options.close,
                head: options.method == "HEAD",
                expect: None,
                statuses: options.statuses.clone(),
                dial_gap_ns: nanos(rate_gap),
                ramp_ns: options.ramp.map_or(0, nanos),
                connect_timeout_ns: nanos(options.connect_timeout),
                response_timeout_ns: nanos(options.timeout),
            },
            request: self.request.clone(),
            target: self.target,
            sources: options.source.clone().unwrap_or_default().0,
            expect: options.expect.clone(),
        }
    }
}

/// Whether the processes carry so many connections, which only this machine can say.
///
/// # Errors
/// What is wrong with the options, and what mends it.
pub fn check_connections(options: &Options) -> Result<(), String> {
    let workers = workers(options, process::cores().len());
    for connections in options.connections.iter().map(|number| number.get()) {
        let needed = connections.div_ceil(SPAWN_MAX);
        if needed > workers {
            return Err(format!(
                "-c {connections} is more than {workers} of the client's processes can keep, which \
                 is {SPAWN_MAX} each: use --processes {needed}, or fewer connections"
            ));
        }
    }
    Ok(())
}

/// How many processes make the load, on so many cores.
fn workers(options: &Options, cores: usize) -> u32 {
    let usual = u32::try_from(cores).unwrap_or(1).saturating_sub(1).max(1);
    options.processes.unwrap_or(usual)
}

/// Whether this machine has the addresses that connections are to come from: asks for a port of
/// each, as one that is missing would look like one without a free port.
fn check_sources(sources: &[IpAddr]) -> Result<(), Failure> {
    for &source in sources {
        UdpSocket::bind((source, 0)).map_err(|error| {
            Failure::new(
                format!("connecting from {source} (--source)"),
                error,
                "`ip address` lists the addresses that this machine has; any of 127.0.0.0/8 is \
                 among them",
            )
        })?;
    }
    Ok(())
}

/// The workers of a run. They are killed if this is dropped early.
#[derive(Default)]
struct Team {
    workers: Vec<Process>,
    died: u32,
}

impl Team {
    fn start(
        &mut self,
        words: &Words,
        count: u32,
        index: u32,
        core: Option<u32>,
        share: &Share,
    ) -> Result<(), Failure> {
        let fail = |error: &dyn std::fmt::Display| {
            Failure::new(format!("starting worker {index}"), error, "")
        };
        let program = std::env::current_exe().map_err(|error| fail(&error))?;
        let mut command = Command::new(program);
        command
            .arg(super::options::WORKER)
            .args([words.fd().to_string(), index.to_string(), count.to_string()])
            .stdin(Stdio::piped());
        let mut worker =
            Process::start(command, core, Orphan::Asked).map_err(|error| fail(&error))?;
        let text = serde_json::to_vec(share).map_err(|error| fail(&error))?;
        let mut input = worker.stdin().expect("it was asked for");
        self.workers.push(worker);
        input.write_all(&text).map_err(|error| fail(&error))
    }

    fn await_ready(&mut self, all_counters: &[Counters<'_>]) -> Result<(), Failure> {
        while !all_counters.iter().all(|counters| counters.is(State::Ready)) {
            self.reap()?;
            if self.died > 0 {
                return Err(Failure::new("starting the workers", "one ended (see above)", ""));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Lets go of those that have ended; says whether any is left.
    fn reap(&mut self) -> Result<bool, Failure> {
        let mut left = Vec::with_capacity(self.workers.len());
        for mut worker in self.workers.drain(..) {
            let wait = worker
                .wait(Duration::ZERO, None)
                .map_err(|error| Failure::new("waiting for the workers", error, ""))?;
            match wait {
                Wait::Ended(status) if status.success() => {}
                Wait::Ended(status) => {
                    terminal::err(format_args!(
                        "uringload: worker {} ended with {status}",
                        worker.id()
                    ));
                    self.died += 1;
                }
                Wait::TimedOut | Wait::Interrupted => left.push(worker),
            }
        }
        self.workers = left;
        Ok(!self.workers.is_empty())
    }

    fn kill(&self) {
        self.workers.iter().for_each(Process::kill_group);
    }
}

#[allow(clippy::cast_precision_loss, reason = "shares and rates have three digits")]
fn sum_up(connections: u32, processes: u32, died: u32, all_counters: &[Counters<'_>]) -> Run {
    let sum = |count| all_counters.iter().map(|counters| counters.get(count)).sum::<u64>();
    let started =
        all_counters.iter().map(|counters| counters.get(Count::Started)).min().unwrap_or(u64::MAX);
    let ended = all_counters.iter().map(|counters| counters.get(Count::Ended)).max().unwrap_or(0);
    let seconds = ended.saturating_sub(started) as f64 / 1e9;
    let requests = sum(Count::Requests);
    let failed: u64 = all_counters.iter().map(Counters::failed).sum();
    let failures = Kind::ALL
        .iter()
        .map(|&kind| {
            (kind, all_counters.iter().map(|counters| counters.failures(kind)).sum::<u64>())
        })
        .filter(|&(_, count)| count > 0)
        .map(|(kind, count)| (kind.name().to_owned(), count))
        .collect();
    let busy = |counters: &Counters<'_>| {
        counters.get(Count::Cpu) as f64 / counters.get(Count::Elapsed).max(1) as f64
    };
    let busiest = all_counters.iter().map(busy).fold(0.0, f64::max).min(1.0);
    let latency = |span| -> Latency { Counters::latency(all_counters, span) };
    Run {
        connections,
        processes,
        died,
        seconds,
        requests,
        interrupted: false,
        failed,
        failures,
        rate: if seconds > 0.0 { requests as f64 / seconds } else { 0.0 },
        bytes: sum(Count::Bytes),
        connects: sum(Count::Connects),
        lingered: sum(Count::Lingered),
        connect_us: latency(Span::Connect),
        response_us: latency(Span::Response),
        client_cpu_seconds: sum(Count::Cpu) as f64 / 1e9,
        client_busiest: busiest,
        client_was_the_limit: was_the_limit(busiest, seconds, requests + failed),
    }
}

/// Whether the client was busy all the time, if that was long enough to say anything.
fn was_the_limit(busiest: f64, seconds: f64, made: u64) -> bool {
    busiest >= BUSY && seconds >= LIMIT_SECONDS_MIN && made >= LIMIT_REQUESTS_MIN
}

/// Time for all workers to see the moment of the beginning before it comes.
const BEGIN_IN_NS: u64 = 5_000_000;
const WATCH_PAUSE: Duration = Duration::from_millis(100);
/// From this share of a core on, the client can't be said to have waited for the server.
const BUSY: f64 = 0.95;
/// Before, it is the start that kept the client busy, or the last tick of its clock.
const LIMIT_SECONDS_MIN: f64 = 1.0;
/// With fewer a second or more, it is something else that took the time.
const LIMIT_REQUESTS_MIN: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_run_says_nothing_of_the_clients_limit() {
        assert!(was_the_limit(0.96, 1.0, 1000));
        assert!(!was_the_limit(0.94, 10.0, 1_000_000), "it had time to spare");
        assert!(!was_the_limit(1.0, 0.99, 1_000_000), "too short");
        assert!(!was_the_limit(1.0, 10.0, 999), "too few");
    }

    #[test]
    fn sources_are_addresses_of_this_machine() {
        let here = [[127, 0, 0, 2].into(), [127, 0, 0, 20].into()];
        assert!(check_sources(&here).is_ok());
        let elsewhere: IpAddr = [192, 0, 2, 7].into();
        let refusal = check_sources(&[here[0], elsewhere]).expect_err("it is a documentation's");
        assert!(refusal.to_string().contains("192.0.2.7 (--source): "), "{refusal}");
        assert!(refusal.hint.contains("`ip address`"), "{refusal}");
    }
}
