//! The scenario of several supervised servers on one accept queue: the supervisor itself drives
//! them, while workers die and hang, loaders fail, and new generations replace old ones.

mod accidents;
mod pages;
mod plan;
mod processes;
mod shell;
mod view;
mod watch;

use super::checker::{Circumstances, check_peer};
use super::coverage::{Coverage, Mark};
use super::crowd::Crowd;
use super::draw::{FAULTY_TIME, FAULTY_TURNS, nanos, setup_of_server};
use super::peer::PeerState;
use super::report::{SimulationOptions, SimulationReport};
use super::world::{World, WorldStep};
use crate::engine::Nanos;
use crate::engine::sim::{Fault, FaultLevel, ListenerId, Network, Random, SimSetup, SimSocket};
use crate::service::supervisor::{Outcome, Report};
use plan::{ACCIDENTS_NS, Accident, ServicePlan};
use shell::{Hang, ShellModel, SimulatedWorker};
use std::rc::Rc;
use watch::ServiceWatch;

/// Runs a supervisor, its workers and their peers, all of them drawn from `random`, until the
/// service has ended.
///
/// # Errors
/// The rule that was broken, or the peer that did not receive its responses.
pub fn run_service(
    mut random: Random,
    options: SimulationOptions,
) -> Result<SimulationReport, String> {
    let mut service = ServiceSimulation::draw(&mut random, options);
    let turns = service.run()?;
    service.finish(turns)
}

struct ServiceSimulation {
    plan: Rc<ServicePlan>,
    world: World<'static>,
    shell: ShellModel,
    watch: ServiceWatch,
    listeners: Vec<ListenerId>,
    /// Since when the peers have ended and no accident is to come.
    quiet_since: Option<Nanos>,
    /// One more reload was asked for, because the service had lost a worker and its loader.
    is_mended: bool,
}

impl ServiceSimulation {
    fn draw(random: &mut Random, options: SimulationOptions) -> Self {
        let plan = Rc::new(ServicePlan::draw(random, options.peers_max.min(PEERS_MAX)));
        let mut network = Network::default();
        let listeners: Vec<_> = (0..plan.config.listeners).map(|_| network.listen()).collect();
        let setup = SimSetup {
            name: "worker",
            buffers: random.pick(&[16, 4, 2, 1]),
            buffer_bytes: random.pick(&[4096, 1024, 200]),
            entries: random.pick(&[1024, 16, 4]),
            faults: if plan.has_faults { options.fault_level() } else { FaultLevel::None },
            trace: options.trace(),
            ..setup_of_server(plan.config.spawn, listeners.clone(), Vec::new())
        };
        let mut crowd = Crowd::new(listeners.clone(), plan.page.clone(), random.split());
        for peer in &plan.peers {
            crowd.add(peer.clone());
        }
        if let Some(trace) = options.trace() {
            let ServicePlan { settings, config, accidents, .. } = &*plan;
            trace(Nanos(0), "config", &format!("{settings:?} {config:?} {accidents:?}"));
            for (number, peer) in plan.peers.iter().enumerate() {
                let text = format!("{number}: {:?} {:?}", peer.steps, peer.pace);
                trace(Nanos(peer.start_ns), "peer", &text);
            }
        }
        let world = World::new(network, crowd);
        let watch = ServiceWatch::new(&plan, &listeners);
        let shell = ShellModel::new(Rc::clone(&plan), setup, random.split());
        Self { plan, world, shell, watch, listeners, quiet_since: None, is_mended: false }
    }

    /// Lets the service run to its end; returns the number of turns.
    fn run(&mut self) -> Result<u64, String> {
        let mut turns = 0;
        loop {
            self.shell.run_due(&mut self.world)?;
            self.watch.check(&mut self.world, &self.shell)?;
            if self.shell.outcome.is_some() {
                return Ok(turns);
            }
            let limit = self.shell.next_at();
            match self.world.step_before(limit)? {
                WorldStep::Turn(index, turn) => {
                    turns += 1;
                    self.shell.took_turn((index, turn), &mut self.world)?;
                }
                WorldStep::Idle if limit.is_none() => return Err("no event is pending".to_owned()),
                WorldStep::Idle => {}
            }
            self.watch.check(&mut self.world, &self.shell)?;
            self.world.crowd.check()?;
            self.end_when_quiet()?;
            if turns == FAULTY_TURNS || self.world.now() >= FAULTY_TIME {
                self.world.stop_faults();
            }
            if turns > TURNS_MAX {
                let (now, unfinished) = (self.world.now(), self.world.crowd.unfinished());
                return Err(format!(
                    "no end after {turns} turns, at {now:?}; unfinished peers: {unfinished:?}"
                ));
            }
        }
    }

    /// Sends SIGTERM once all peers have ended and the service is whole again.
    fn end_when_quiet(&mut self) -> Result<(), String> {
        let now = self.world.now();
        let is_calm = now.0 > ACCIDENTS_NS * 3 && self.world.crowd.has_ended();
        if self.shell.terminated_at.is_some() || !is_calm {
            return Ok(());
        }
        let since = *self.quiet_since.get_or_insert(now);
        if self.shell.is_whole(now) {
            self.shell.schedule(now, Accident::Terminate);
            self.shell.terminated_at = Some(now);
        } else if now.0 - since.0 > WHOLE_NS {
            if !self.shell.lives() {
                return Err("no worker is left, and none is started".to_owned());
            }
            if self.shell.is_complete(now) {
                return Err("all workers serve, and slots of the limit are not granted".to_owned());
            }
            if self.is_mended {
                return Err("the service is not whole again, in spite of a reload".to_owned());
            }
            // A generation without a loader stays incomplete until the next reload.
            self.is_mended = true;
            self.quiet_since = None;
            self.shell.schedule(now, Accident::Reload);
        }
        Ok(())
    }

    /// Ends all processes, and checks the outcome and every peer.
    fn finish(mut self, turns: u64) -> Result<SimulationReport, String> {
        let ended_at = self.shell.terminated_at.unwrap_or(self.world.now());
        let outcome = self.shell.outcome.clone().ok_or("the service has not ended")?;
        if outcome == Outcome::Drained && self.shell.lives() {
            return Err("the service has drained, and a worker lives".to_owned());
        }
        self.check_outcome(&outcome)?;
        self.world.stop_faults();
        self.shell.end_all(&mut self.world);
        self.world.close_listeners(&self.listeners);
        self.world.let_time_pass(Nanos(u64::MAX / 2));
        let mut report = SimulationReport {
            coverage: Coverage::new(self.world.counters()),
            turns,
            ..SimulationReport::default()
        };
        for &mark in &self.shell.marks {
            report.coverage.count(mark, 1);
        }
        let displaced = self.shell.displaced(&mut self.world);
        report.coverage.count(Mark::Displaced, displaced);
        let mark = match outcome {
            Outcome::Drained => None,
            Outcome::Forced(_) => Some(Mark::ServiceForced),
            Outcome::NotStarted(_) => Some(Mark::NotStarted),
            Outcome::Failed(_) => Some(Mark::ServiceFailed),
        };
        if let Some(mark) = mark {
            report.coverage.count(mark, 1);
        }
        for number in 0..self.world.crowd.peers.len() {
            self.check_peer(number, ended_at, &mut report)
                .map_err(|why| format!("peer {number}: {why}"))?;
        }
        Ok(report)
    }

    /// Checks that the service ended as it was made to.
    fn check_outcome(&self, outcome: &Outcome) -> Result<(), String> {
        let reports = &self.shell.reports;
        let was_ready = reports.iter().any(|it| matches!(it, Report::Ready { .. }));
        let is_provoked = match outcome {
            Outcome::Drained => self.shell.terminated_at.is_some(),
            Outcome::Forced(_) => {
                let signals = self.plan.accidents.iter().filter(|it| it.1 == Accident::Terminate);
                signals.count() > 1
            }
            Outcome::NotStarted(_) => !was_ready,
            Outcome::Failed(_) => reports
                .iter()
                .any(|it| matches!(it, Report::TooManyDeaths | Report::ReloadFailed { .. })),
        };
        if is_provoked { Ok(()) } else { Err(format!("the service ended with {outcome:?}")) }
    }

    fn check_peer(
        &mut self,
        number: usize,
        ended_at: Nanos,
        report: &mut SimulationReport,
    ) -> Result<(), String> {
        let peer = &self.world.crowd.peers[number];
        let accepted = peer.socket.map(|socket| self.world.network.socket(socket.remote()));
        let acceptor = accepted.and_then(SimSocket::acceptor);
        let worker = acceptor.and_then(|engine| self.shell.worker_of(engine, &mut self.world));
        let peer = &self.world.crowd.peers[number];
        let has_hung = worker.is_some_and(|worker| worker.hang != Hang::Never);
        let drain_at = match worker {
            None => ended_at,
            Some(SimulatedWorker { ends_at: None, .. }) => Nanos(u64::MAX),
            Some(SimulatedWorker { ends_at: Some(at), retires: true, .. }) => *at,
            Some(SimulatedWorker { ends_at: Some(at), .. }) => {
                at.plus(self.plan.config.drain_delay)
            }
        };
        let circumstances = Circumstances {
            drain_at,
            idle_ns: nanos(self.plan.config.idle_timeout),
            late_sends: report.coverage.engine.struck(Fault::SendLate) > 0,
            crowded: worker.is_none() || has_hung || self.was_crowded(peer),
        };
        let is_late = |at: Nanos| at.0 + SIGNAL_NS <= peer.plan.start_ns;
        let is_late = self.shell.terminated_at.is_some_and(is_late);
        let is_served = peer.responded_at.first().is_some_and(|&at| at < drain_at);
        report.coverage.count(Mark::ServedInDelay, u64::from(is_late && is_served));
        count_marks(peer, worker, &circumstances, report);
        check_peer(&self.world.network, peer, &circumstances, report)
    }

    /// Whether the end of a peer's connection may have made room: no worker had a free slot when
    /// the end was decided, which is before the head of the last response is sent.
    fn was_crowded(&self, peer: &PeerState) -> bool {
        let Some((_, end_at)) = peer.end else { return true };
        let last = peer.response_begun_at.last().filter(|_| peer.has_last_response());
        let decided = *last.unwrap_or(&end_at).min(&end_at);
        let from = Nanos(decided.0.saturating_sub(DECISION_NS));
        self.watch.was_full_between(from, end_at)
    }
}

fn count_marks(
    peer: &PeerState,
    worker: Option<&SimulatedWorker>,
    circumstances: &Circumstances,
    report: &mut SimulationReport,
) {
    let is_new = peer.served_page.is_some_and(|page| page > 0);
    report.coverage.count(Mark::Reloaded, u64::from(is_new));
    let last = peer.responded_at.last().filter(|_| peer.has_last_response());
    let expected = peer.responses.len().checked_sub(1).map(|last| &peer.plan.expected[last]);
    let is_announced = last.is_some_and(|&at| at >= circumstances.drain_at)
        && expected.is_some_and(|expected| !expected.closes)
        && worker.is_some_and(|worker| worker.retires)
        && !circumstances.crowded;
    report.coverage.count(Mark::RetirementAnnounced, u64::from(is_announced));
}

/// The most peers of a run, besides those that keep their connections.
const PEERS_MAX: usize = 16;
/// How long a connection takes at most from the decision to end it to its end, without a linger:
/// two cancels and a close, each of whose events may be late by 300 ms.
const DECISION_NS: u64 = 1_500_000_000;
/// How long it takes at most until all workers know of a signal.
const SIGNAL_NS: u64 = 50_000_000;
/// How long a service may take, after the last accident, until it is whole: the pauses before the
/// forks of workers, and retiring workers with slow peers.
const WHOLE_NS: u64 = 20_000_000_000;
const TURNS_MAX: u64 = 120_000;
