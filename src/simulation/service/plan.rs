//! What a run of a service draws before it starts: the settings, the peers, and the accidents.

use crate::engine::Nanos;
use crate::engine::sim::Random;
use crate::server::ServerConfig;
use crate::service::supervisor::SupervisorConfig;
use crate::simulation::draw::{draw_config, nanos};
use crate::simulation::peer_plan::{PeerPlan, PeerStep};
use crate::simulation::requests::{Setting, get_page};
use crate::simulation::responses::ExpectedResponse;
use std::time::Duration;

/// Everything about a run that is drawn before it starts.
#[derive(Debug)]
pub(super) struct ServicePlan {
    pub(super) settings: SupervisorConfig,
    /// Of each worker.
    pub(super) config: ServerConfig,
    /// The page of the first generation.
    pub(super) page: Vec<u8>,
    pub(super) peers: Vec<PeerPlan>,
    /// Whether the engines have faults.
    pub(super) has_faults: bool,
    /// Each at its time, in no order.
    pub(super) accidents: Vec<(Nanos, Accident)>,
}

/// Something that happens to the service from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Accident {
    /// SIGHUP.
    Reload,
    /// SIGTERM.
    Terminate,
    /// Some worker is killed.
    WorkerDies,
    /// The next worker is killed of which an accept is woken and has not taken its connection yet.
    WorkerDiesWoken,
    /// Some worker takes no turns for this many nanoseconds, or for ever.
    WorkerHangs(Option<u64>),
    /// The loader of some generation is killed.
    LoaderDies,
}

impl ServicePlan {
    pub(super) fn draw(random: &mut Random, peers_max: usize) -> Self {
        let workers = u32::try_from(random.between(1, 4)).expect("few");
        let limit = u32::try_from(random.between(u64::from(workers), 12)).expect("few");
        // A worker that waits is kicked every half of this time, which would make up for a kick
        // that is missing: the bound of a wait in the accept queue is shorter.
        let worker_timeout = Duration::from_secs(random.pick(&[10, 7]));
        let listeners = u32::try_from(random.between(1, 2)).expect("few");
        let watchdog = Duration::ZERO;
        let settings = SupervisorConfig { workers, limit, worker_timeout, watchdog };
        let config = ServerConfig {
            spawn: settings.slots_of_worker(),
            accepts: random.pick(&[1, 2]),
            reload_grace: Duration::from_millis(random.between(0, 2000)),
            drain_grace: Duration::from_millis(random.pick(&[0, 0, 800])),
            drain_delay: Duration::from_millis(random.pick(&[0, 0, 300, 1500])),
            ..draw_config(random, listeners)
        };
        let page = draw_page(random);
        let setting = Setting {
            listeners,
            proxied: config.proxied,
            page_bytes: page.len(),
            head_ns: nanos(config.head_timeout),
            head_bytes_max: config.head_bytes_max as usize,
        };
        let count = random.count(2, peers_max);
        let accidents = draw_accidents(random);
        let reloads = accidents.iter().filter(|it| it.1 == Accident::Reload);
        let reloads: Vec<u64> = reloads.map(|(at, _)| at.0).collect();
        let burst = if reloads.is_empty() { 0 } else { random.pick(&reloads) };
        let burst = burst + random.below(1_200_000_000);
        let mut peers: Vec<_> = (0..count).map(|_| draw_peer(random, setting, burst)).collect();
        peers.extend((0..random.count(0, 3)).map(|_| steady_peer(random, setting)));
        let has_faults = random.chance(700);
        Self { settings, config, page, peers, has_faults, accidents }
    }

    /// The page of a generation: of the same length as all others, and different in every byte.
    pub(super) fn page_of(&self, generation: u32) -> Vec<u8> {
        let mask = u8::try_from((generation - 1) % 256).expect("below 256");
        self.page.iter().map(|byte| byte ^ mask).collect()
    }
}

fn draw_page(random: &mut Random) -> Vec<u8> {
    let len = match random.below(8) {
        0..=4 => 700,
        5 => random.count(1, 20),
        6 => random.count(1000, 8000),
        _ => random.count(20_000, 60_000),
    };
    let mut text = Random::from_seed(len as u64);
    (0..len).map(|_| u8::try_from(text.below(256)).expect("below 256")).collect()
}

/// Draws a peer that connects at any time, or about the time of `burst`: during a reload.
fn draw_peer(random: &mut Random, setting: Setting, burst: u64) -> PeerPlan {
    let plan = PeerPlan::draw(random, setting);
    let start_ns = match random.below(3) {
        0 => plan.start_ns,
        1 => burst + random.below(15_000_000),
        _ => random.below(ACCIDENTS_NS),
    };
    PeerPlan { start_ns, ..plan }
}

/// A peer that keeps its connection, with a pause after each response.
fn steady_peer(random: &mut Random, setting: Setting) -> PeerPlan {
    let mut plan = PeerPlan::empty(random.below(ACCIDENTS_NS));
    plan.listener = u32::try_from(random.below(u64::from(setting.listeners))).expect("few");
    let pause_ns = random.between(20_000_000, 900_000_000);
    for number in 1..=random.count(4, 12) {
        let request = get_page("GET / HTTP/1.1\r\nHost: a\r\n\r\n", setting.page_bytes);
        plan.bytes.extend(request.bytes);
        plan.expected.push(ExpectedResponse { end: plan.bytes.len(), ..request.expected });
        let send = PeerStep::Send(plan.bytes.len());
        plan.steps.extend([send, PeerStep::AwaitResponses(number), PeerStep::Pause(pause_ns)]);
    }
    plan
}

/// Draws what happens to the service: usually a few accidents, sometimes none, and sometimes so
/// many deaths that a generation or the whole service ends.
fn draw_accidents(random: &mut Random) -> Vec<(Nanos, Accident)> {
    let mut accidents = Vec::new();
    let time = |random: &mut Random| Nanos(random.below(ACCIDENTS_NS));
    match random.below(20) {
        0 => return accidents,
        1 => {
            let every_ns = random.between(200_000_000, 700_000_000);
            let deaths = random.between(5, 24);
            let death = |nth| (Nanos((nth + 1) * every_ns), Accident::WorkerDies);
            accidents.extend((0..deaths).map(death));
        }
        _ => {}
    }
    for _ in 0..random.pick(&[1, 1, 2, 3]) {
        let at = time(random);
        accidents.push((at, Accident::Reload));
        if random.chance(200) {
            let soon = Nanos(at.0 + random.below(400_000_000));
            let second = random.pick(&[Accident::Reload, Accident::Terminate]);
            accidents.push((soon, second));
        }
    }
    for _ in 0..random.pick(&[0, 1, 1, 2]) {
        let death = random.pick(&[Accident::WorkerDies, Accident::WorkerDiesWoken]);
        accidents.push((time(random), death));
    }
    if random.chance(250) {
        let for_ns = random.between(100_000_000, 1_500_000_000);
        let hang = Accident::WorkerHangs(random.chance(500).then_some(for_ns));
        accidents.push((time(random), hang));
    }
    if random.chance(150) {
        accidents.push((time(random), Accident::LoaderDies));
    }
    if random.chance(150) {
        let at = time(random);
        accidents.push((at, Accident::Terminate));
        if random.chance(300) {
            accidents.push((Nanos(at.0 + random.below(500_000_000)), Accident::Terminate));
        }
    }
    accidents
}

/// The time in which accidents happen.
pub(super) const ACCIDENTS_NS: u64 = 6_000_000_000;
