//! One simulated run: a server and its peers drawn from the random source, driven to the end, and
//! judged.

use super::checker::{Circumstances, check_peer};
use super::faults::{Fault, FaultCounters, Mark};
use super::plan::{Plan, Setting};
use super::random::Random;
use super::ring::{Setup, SimRing};
use crate::bytes::Span;
use crate::engine::Nanos;
use crate::http::coding::Coding;
use crate::server::{Server, ServerConfig, Turn};
use crate::site::pattern::Pattern;
use crate::site::redirects::{Effect, Redirect, Redirects};
use crate::site::template::{Purpose, Template};
use crate::site::tree::build::{Body, Builder, RouteTarget};
use crate::site::{Page, Site, entity_tag};
use std::rc::Rc;
use std::time::Duration;

/// What a run does.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether faults strike.
    pub faults: bool,
    /// Whether what happens is printed.
    pub trace: bool,
    /// The most peers.
    pub peers_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { faults: true, trace: false, peers_max: 40 }
    }
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What marked.
    pub counters: FaultCounters,
    /// How many turns the server took.
    pub turns: u64,
    /// How many responses came whole and right.
    pub responses: u64,
    /// How many peers were expected everything, and got it.
    pub served: u64,
}

impl Report {
    /// Adds another run's counts.
    pub fn add(&mut self, other: &Self) {
        self.counters.add(&other.counters);
        self.turns += other.turns;
        self.responses += other.responses;
        self.served += other.served;
    }
}

/// Makes one run.
///
/// # Errors
/// What was wrong, with the peer it marked to.
pub fn run(mut random: Random, options: Options) -> Result<Report, String> {
    let (mut server, facts) = prepare(&mut random, options)?;
    let mut turns = 0;
    let mut signalled = facts.signal_at;
    let outcome = loop {
        let turn = server.turn().map_err(|errno| format!("the ring is unusable: {errno:?}"))?;
        turns += 1;
        check_turn(&mut server, turns)?;
        let ring = server.ring_mut();
        if turns == FAULTY_TURNS || ring.time() >= FAULTY_TIME {
            ring.faults.stop();
        }
        let over = ring.peers.iter().all(|peer| peer.end.is_some()) && ring.occupied() == 0;
        if over && signalled.is_none() {
            // Everybody is gone, and everything came home: now the end.
            let at = ring.time();
            signalled = Some(at);
            ring.signal_at(at, 15);
            ring.unstick();
        }
        if turn != Turn::Goes {
            break turn;
        }
        if server.ring_mut().is_stuck() {
            let waiting = waiting_peers(server.ring_mut());
            return Err(format!("everything waits and nothing will happen; peers {waiting}"));
        }
    };
    finish(&mut server, &facts, signalled, outcome, turns)
}

/// What was drawn.
struct Facts {
    config: ServerConfig,
    signal_at: Option<Nanos>,
}

fn prepare(random: &mut Random, options: Options) -> Result<(Server<SimRing>, Facts), String> {
    let listeners = u32::try_from(random.between(1, 3)).expect("few");
    let config = draw_config(random, listeners);
    let page = draw_page(random);
    let (site, fixed) = build_site(&page, config.spawn, random)?;
    let setup = Setup {
        spawn: config.spawn,
        listeners,
        fixed,
        buffers: random.pick(&[16, 4, 2, 1]),
        buffer_bytes: random.pick(&[4096, 1024, 200, 64]),
        entries: random.pick(&[1024, 16, 4, 2]),
        unix_seconds: UNIX_START,
        faults: options.faults,
        trace: options.trace,
    };
    let setting = Setting {
        listeners,
        page_bytes: page.len(),
        head_ns: nanos(config.head_timeout),
        head_bytes_max: config.head_bytes_max as usize,
    };
    let peers = random.count(3, options.peers_max);
    let plans: Vec<Plan> = (0..peers).map(|_| Plan::draw(random, setting)).collect();
    let signal_at = random.chance(300).then(|| Nanos(random.below(6_000_000_000)));
    let mut ring = SimRing::new(setup, random.clone());
    ring.page = Rc::from(page);
    for plan in plans {
        ring.trace(|| {
            format!("plan {:?} {:?} well_behaved {}", plan.steps, plan.reader, plan.well_behaved)
        });
        ring.add_peer(plan);
    }
    if let Some(at) = signal_at {
        ring.signal_at(at, 15);
    }
    ring.trace(|| format!("{config:?}"));
    Ok((Server::new(ring, site, config), Facts { config, signal_at }))
}

/// One page for every path, or a tree in which every path leads to it: peers can't tell.
pub(super) fn build_site(
    page: &[u8],
    spawn: u32,
    random: &Random,
) -> Result<(Site, Vec<u8>), String> {
    // Looked at, not drawn: seeds that once found something go on to draw what they drew.
    if random.clone().chance(400) {
        return Ok(build_tree(page, spawn));
    }
    let built = Site::build(
        Page::built_in(),
        page.len() as u64,
        spawn,
        |bytes| Ok(vec![0; bytes]),
        |place| {
            place.copy_from_slice(page);
            Ok(())
        },
    );
    built.map_err(|error| error.to_string())
}

fn build_tree(page: &[u8], spawn: u32) -> (Site, Vec<u8>) {
    let mut builder = Builder::default();
    let all = Span { offset: 0, len: page.len() as u64 };
    let body = Body { coding: Coding::Identity, span: all, tag: entity_tag(page) };
    let file = builder.file(vec![body], Some(UNIX_START - 1000));
    let fields = builder.fields([("Content-Type", "text/html")].into_iter());
    builder.path(b"/page", RouteTarget { file, fields });
    let from = Pattern::parse("/*").expect("a pattern");
    let to = Template::parse("/page", &from, Purpose::Location).expect("a template");
    let effect = Effect::Rewrite(200);
    let rule = Redirect { from, to, effect, forced: true, line: 1, text: "".into() };
    builder.redirects(Redirects::new(vec![rule]));
    let (tree, layout) = builder.build(all.len, spawn);
    let mut fixed = page.to_vec();
    fixed.resize(layout.buffer_bytes(), 0);
    (Site::of_tree(tree), fixed)
}

pub(super) fn draw_config(random: &mut Random, listeners: u32) -> ServerConfig {
    ServerConfig {
        spawn: u32::try_from(random.between(1, 8)).expect("few"),
        listeners,
        accepts: u32::try_from(random.between(1, 5)).expect("few"),
        head_timeout: Duration::from_secs(random.between(5, 10)),
        idle_timeout: Duration::from_secs(random.between(3, 20)),
        send_timeout: Duration::from_secs(random.between(4, 10)),
        body_timeout: Duration::from_secs(10),
        min_rate: 240,
        health_listener: false,
        drain_timeout: Duration::from_secs(3600),
        head_bytes_max: random.pick(&[8192, 2048, 16_384]),
        recv_many: !random.chance(250),
        send_close: !random.chance(250),
        trim_memory: || {},
    }
}

pub(super) fn draw_page(random: &mut Random) -> Vec<u8> {
    let len = match random.below(8) {
        0..=3 => return Page::BUILT_IN.to_vec(),
        4 => random.count(1, 20),
        5 => random.count(1000, 60_000),
        6 => random.count(60_000, 150_000),
        _ => random.count(500_000, 600_000),
    };
    let mut text = Random::from_seed(len as u64);
    (0..len).map(|_| u8::try_from(text.below(256)).expect("below 256")).collect()
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("some seconds")
}

pub(super) fn check_turn(server: &mut Server<SimRing>, turns: u64) -> Result<(), String> {
    let live = server.live();
    let ring = server.ring_mut();
    ring.check_turn()?;
    let at = ring.time();
    for (number, peer) in ring.peers.iter().enumerate() {
        if let Some(complaint) = &peer.complaint {
            return Err(format!("peer {number}: {complaint}"));
        }
    }
    let spawn = ring.slots.len();
    if live as usize > spawn {
        return Err(format!("{live} connections with {spawn} slots"));
    }
    if turns > TURNS_MAX {
        let waiting = waiting_peers(server.ring_mut());
        return Err(format!("{turns} turns, at {at:?}, and no end; peers {waiting}"));
    }
    Ok(())
}

fn waiting_peers(ring: &SimRing) -> String {
    let waiting = ring.peers.iter().enumerate().filter(|(_, peer)| peer.end.is_none());
    waiting.map(|(number, _)| number.to_string()).collect::<Vec<_>>().join(", ")
}

fn finish(
    server: &mut Server<SimRing>,
    facts: &Facts,
    signalled: Option<Nanos>,
    outcome: Turn,
    turns: u64,
) -> Result<Report, String> {
    let signal_at = signalled.ok_or("the server ended without a signal")?;
    if outcome != Turn::Drained {
        return Err(format!("the run ended with {outcome:?}"));
    }
    let stats = server.stats().clone();
    if server.live() > 0 || stats.errors.cut_off > 0 {
        return Err(format!("{} connections cut off", stats.errors.cut_off));
    }
    let ring = server.ring_mut();
    ring.faults.stop();
    // The process ends, and its sockets with it.
    for listener in 0..facts.config.listeners {
        ring.network_mut().close_listener(listener);
    }
    ring.let_time_pass(Nanos(u64::MAX / 2));
    ring.check_home()?;
    let mut counters = ring.faults.counters.clone();
    for _ in 0..stats.errors.request_timeouts {
        counters.note(Mark::HeadTimeout);
    }
    for _ in 0..stats.errors.send_timeouts {
        counters.note(Mark::SendTimeout);
    }
    for _ in 0..stats.errors.displaced {
        counters.note(Mark::Displaced);
    }
    if facts.signal_at.is_some() && stats.connections > 0 {
        counters.note(Mark::Drained);
    }
    let late_sends = counters.faults.contains_key(&Fault::SendLate);
    let mut report = Report { counters, turns, ..Report::default() };
    let circumstances = Circumstances {
        signal_at,
        idle_ns: nanos(facts.config.idle_timeout),
        late_sends,
        crowded: ring.peers.len() + facts.config.listeners as usize > ring.slots.len(),
    };
    for (number, peer) in ring.peers.iter().enumerate() {
        check_peer(ring, peer, &circumstances, &mut report)
            .map_err(|why| format!("peer {number}: {why}"))?;
    }
    Ok(report)
}

/// Faults strike until so many turns or so much time have passed; then everything has to end.
/// What time it is when a run begins, in seconds since the Unix epoch.
pub(super) const UNIX_START: u64 = 1_700_000_000;
pub(super) const FAULTY_TURNS: u64 = 4000;
pub(super) const FAULTY_TIME: Nanos = Nanos(8_000_000_000);
const TURNS_MAX: u64 = 60_000;
