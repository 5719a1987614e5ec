//! The scenario of peers of all kinds, well-behaved and hostile, against one server.

use super::checker::{Circumstances, check_peer};
use super::coverage::{Coverage, Mark};
use super::crowd::Crowd;
use super::draw::{
    FAULTY_TIME, FAULTY_TURNS, draw_config, draw_page, draw_site, nanos, setup_of_server,
};
use super::participant::{Participant, ParticipantTurn};
use super::peer::PeerState;
use super::peer_plan::PeerPlan;
use super::report::{SimulationOptions, SimulationReport};
use super::requests::Setting;
use super::world::{ParticipantIndex, World, WorldStep};
use crate::engine::Nanos;
use crate::engine::sim::{Fault, ListenerId, Network, Random, SimEngine, SimSetup};
use crate::server::{ProxiedListeners, Server, ServerConfig, Turn};
use std::time::Duration;

/// Runs a server and its peers, all of them drawn from `random`, until the server has drained.
///
/// # Errors
/// The rule that was broken, or the peer that did not receive its responses.
pub fn run_mixed(
    mut random: Random,
    options: SimulationOptions,
) -> Result<SimulationReport, String> {
    let mut scenario = Scenario::draw(&mut random, options)?;
    let turns = scenario.run()?;
    scenario.finish(turns)
}

struct Scenario {
    world: World<'static>,
    server: ParticipantIndex,
    config: ServerConfig,
    listeners: Vec<ListenerId>,
    /// When the server gets SIGTERM: at a drawn time, or once all peers have ended.
    signal_at: Option<Nanos>,
    signal_is_drawn: bool,
}

impl Scenario {
    fn draw(random: &mut Random, options: SimulationOptions) -> Result<Self, String> {
        let listeners = u32::try_from(random.between(1, 3)).expect("few");
        let mut config = draw_config(random, listeners);
        if random.chance(400) {
            config.drain_delay = Duration::from_millis(random.between(1, 3000));
        }
        let is_proxied = |_| random.chance(250);
        config.proxied = ProxiedListeners::new((0..listeners).map(is_proxied));
        let page = draw_page(random);
        let (site, fixed) = draw_site(&page, config.spawn, random)?;
        let setting = Setting {
            listeners,
            proxied: config.proxied,
            page_bytes: page.len(),
            head_ns: nanos(config.head_timeout),
            head_bytes_max: config.head_bytes_max as usize,
        };
        let mut network = Network::default();
        let listeners: Vec<_> = (0..listeners).map(|_| network.listen()).collect();
        let setup = SimSetup {
            buffers: random.pick(&[16, 4, 2, 1]),
            buffer_bytes: random.pick(&[4096, 1024, 200, 64]),
            entries: random.pick(&[1024, 16, 4, 2]),
            faults: options.fault_level(),
            trace: options.trace(),
            ..setup_of_server(config.spawn, listeners.clone(), fixed)
        };
        let peers = random.count(3, options.peers_max);
        let plans: Vec<PeerPlan> = (0..peers).map(|_| PeerPlan::draw(random, setting)).collect();
        let signal_at = random.chance(300).then(|| Nanos(random.below(6_000_000_000)));
        if let Some(trace) = options.trace() {
            trace(Nanos(0), "config", &format!("{config:?}"));
            for (number, plan) in plans.iter().enumerate() {
                let PeerPlan { steps, pace, well_behaved, .. } = plan;
                let text = format!("{number}: {steps:?} {pace:?}, well-behaved: {well_behaved}");
                trace(Nanos(plan.start_ns), "peer", &text);
            }
        }
        let mut engine = SimEngine::new(setup, random.split());
        if let Some(at) = signal_at {
            engine.signal_at(at, SIGTERM);
        }
        let mut crowd = Crowd::new(listeners.clone(), page, random.clone());
        for plan in plans {
            crowd.add(plan);
        }
        let mut world = World::new(network, crowd);
        let server = world.add(Participant::server(Server::new(engine, site, config)));
        let signal_is_drawn = signal_at.is_some();
        Ok(Self { world, server, config, listeners, signal_at, signal_is_drawn })
    }

    /// Lets the server take turns to its end; returns their number.
    fn run(&mut self) -> Result<u64, String> {
        let mut turns = 0;
        loop {
            let was_signalled = self.signal_after_the_last_peer();
            let step = self.world.step()?;
            self.world.crowd.check()?;
            match step {
                WorldStep::Turn(_, ParticipantTurn::ServerEnded(Turn::Drained)) => {
                    return Ok(turns + 1);
                }
                WorldStep::Turn(_, ParticipantTurn::Goes) => turns += 1,
                WorldStep::Turn(_, turn) => return Err(format!("the run ended with {turn:?}")),
                WorldStep::Idle if !was_signalled && self.signal_after_the_last_peer() => {}
                WorldStep::Idle => {
                    let unfinished = self.world.crowd.unfinished();
                    return Err(format!("no event is pending; unfinished peers: {unfinished:?}"));
                }
            }
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

    /// Sends the signal once all peers have ended; returns whether it is sent or scheduled.
    fn signal_after_the_last_peer(&mut self) -> bool {
        let ended = self.world.crowd.has_ended() && self.world.engine(self.server).occupied() == 0;
        if ended && self.signal_at.is_none() {
            let now = self.world.now();
            self.signal_at = Some(now);
            self.world.engine(self.server).signal_at(now, SIGTERM);
        }
        self.signal_at.is_some()
    }

    /// Ends the server's process, and checks every peer.
    fn finish(mut self, turns: u64) -> Result<SimulationReport, String> {
        let signal_at = self.signal_at.ok_or("the server ended without a signal")?;
        let server = self.world.server(self.server);
        let (stats, live) = (server.stats().clone(), server.live());
        if live > 0 || stats.errors.cut_off > 0 {
            return Err(format!("the drain cut off {} connections", stats.errors.cut_off));
        }
        self.world.stop_faults();
        self.world.close_listeners(&self.listeners);
        self.world.let_time_pass(Nanos(u64::MAX / 2));
        let slots = self.world.engine(self.server).slots();
        self.world.engine(self.server).check_end()?;
        let mut coverage = Coverage::new(self.world.counters());
        coverage.count(Mark::HeadTimeout, stats.errors.request_timeouts);
        coverage.count(Mark::SendTimeout, stats.errors.send_timeouts);
        coverage.count(Mark::Displaced, stats.errors.displaced);
        coverage.count(Mark::Drained, u64::from(self.signal_is_drawn && stats.connections > 0));
        let crowd = &self.world.crowd;
        let circumstances = Circumstances {
            drain_at: signal_at.plus(self.config.drain_delay),
            idle_ns: nanos(self.config.idle_timeout),
            late_sends: coverage.engine.struck(Fault::SendLate) > 0,
            crowded: crowd.peers.len() + self.listeners.len() > slots,
        };
        coverage.count(Mark::NoProxyHeader, stats.errors.proxy_headers);
        let is_proxied = |peer: &&PeerState| peer.plan.header_bytes > 0;
        let proxied = crowd.peers.iter().filter(is_proxied);
        coverage.count(Mark::Proxied, proxied.map(|peer| peer.responses.len() as u64).sum());
        let in_delay = signal_at..circumstances.drain_at;
        let responses = crowd.peers.iter().flat_map(|peer| &peer.responded_at);
        let served_in_delay = responses.filter(|&at| in_delay.contains(at)).count();
        coverage.count(Mark::ServedInDelay, served_in_delay as u64);
        let mut report = SimulationReport { coverage, turns, ..SimulationReport::default() };
        for (number, peer) in crowd.peers.iter().enumerate() {
            check_peer(&self.world.network, peer, &circumstances, &mut report)
                .map_err(|why| format!("peer {number}: {why}"))?;
        }
        Ok(report)
    }
}

const SIGTERM: u32 = libc::SIGTERM.unsigned_abs();
const TURNS_MAX: u64 = 120_000;
