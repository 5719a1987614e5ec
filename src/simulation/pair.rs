//! The scenario of the load client against the server, each on an engine with faults of its own and
//! both on one network. In the end, the counters of both have to agree.

use super::coverage::{Coverage, Mark};
use super::crowd::Crowd;
use super::draw::{
    FAULTY_TIME, FAULTY_TURNS, UNIX_START, draw_config, draw_page, draw_site, nanos,
};
use super::participant::{Participant, ParticipantTurn};
use super::reconciliation::Reconciliation;
use super::report::{SimulationOptions, SimulationReport};
use super::world::{ParticipantIndex, World, WorldStep};
use crate::engine::Nanos;
use crate::engine::sim::{FaultLevel, Network, Random, SimEngine, SimSetup};
use crate::http::request::EMPTY_LINES_MAX;
use crate::load::client::{Amount, Client, ClientPlan, ClientRun, RequestBuffer};
use crate::load::counters::{Count, Counters};
use crate::load::request::RequestTemplate;
use crate::load::target_counters::TargetCounters;
use crate::load::targets::table::RequestTable;
use crate::load::targets::{MethodAndTarget, RequestList};
use crate::server::{Server, ServerConfig, Turn};
use crate::stats::Stats;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Runs a client and a server, both drawn from `random`, until the client has all its responses
/// and the server has drained.
///
/// # Errors
/// The rule that was broken, or the counters that don't agree.
pub fn run_pair(
    mut random: Random,
    options: SimulationOptions,
) -> Result<SimulationReport, String> {
    let words: Vec<AtomicU64> = (0..Counters::WORDS).map(|_| AtomicU64::new(0)).collect();
    let counters = Counters::new(&words);
    let settings = PairSettings::draw(&mut random);
    if let Some(trace) = options.trace() {
        trace(Nanos(0), "config", &format!("{settings:?}"));
    }
    let making = AtomicU64::new(1);
    let mut pair = PairSimulation::prepare(&mut random, &settings, options, counters, &making)?;
    let turns = pair.run_client()?;
    let stats = pair.drain_server()?;
    let mut coverage = Coverage::new(pair.world.counters());
    let reconciliation = Reconciliation {
        lossless: settings.lossless,
        plan: &settings.plan,
        is_open_loop: settings.plan.amount.rate.is_some() || !settings.due_ns.is_empty(),
        config: &settings.config,
        counters,
        stats: &stats,
        faults: &coverage.engine,
        established: pair.world.network.established(),
    };
    reconciliation.check()?;
    coverage.count(Mark::CountersEqual, u64::from(settings.lossless));
    coverage.count(Mark::RequestsFailed, u64::from(counters.failed() > 0));
    let responses = counters.get(Count::Requests);
    let is_late = responses > counters.get(Count::RequestsInTime);
    for (mark, is_reached) in [
        (Mark::RequestsUnsent, counters.get(Count::NotSent) > 0),
        (Mark::RequestsOutstanding, counters.get(Count::Outstanding) > 0),
        (Mark::ResponsesLate, is_late),
    ] {
        coverage.count(mark, u64::from(is_reached));
    }
    Ok(SimulationReport { coverage, turns, responses, served: 0 })
}

/// The settings drawn for a run.
#[derive(Debug)]
struct PairSettings {
    /// No fault costs a connection, every connection has a slot, and no timeout expires.
    lossless: bool,
    config: ServerConfig,
    plan: ClientPlan,
    /// Whether all requests are HEAD.
    heads: bool,
    /// The order of the requests.
    sequence: Vec<u32>,
    /// The times at which the requests are due, in nanoseconds, if they have times of their own.
    due_ns: Vec<u64>,
    /// The bytes with which each connection begins, as with a PROXY header. The server reads none,
    /// so they are the most empty lines that it skips (RFC 9112 2.2), and one more is an error.
    header: Vec<u8>,
    http_1_0: bool,
    page: Vec<u8>,
    /// The size of a receive buffer of the client.
    buffer_bytes: u32,
}

impl PairSettings {
    fn draw(random: &mut Random) -> Self {
        let lossless = random.chance(500);
        let listeners = u32::try_from(random.between(1, 3)).expect("few");
        let mut config = draw_config(random, listeners);
        let page = draw_page(random);
        // Each receive of a page is a turn, so a run has fewer requests for a long page.
        let (requests_max, buffer_bytes) = match page.len() {
            0..=5_000 => (150, random.pick(&[4096, 1024, 200, 64])),
            5_001..=150_000 => (20, random.pick(&[4096, 1024])),
            _ => (4, 4096),
        };
        let requests = random.between(1, requests_max);
        let heads = random.chance(100);
        let plan = draw_plan(random, requests, (!heads).then_some(&page[..]), lossless);
        if lossless {
            config.spawn = plan.connections + listeners * config.accepts;
            config.head_timeout = NEVER;
            config.idle_timeout = NEVER;
            config.body_timeout = NEVER;
            config.send_timeout = NEVER;
        }
        let (mut sequence, mut due_ns) = (draw_sequence(random), Vec::new());
        let may_have_times = plan.amount.rate.is_none() && plan.pipeline == 1 && plan.think_ns == 0;
        if may_have_times && random.chance(250) {
            due_ns = draw_times(random, requests);
            sequence = sequence.iter().copied().cycle().take(due_ns.len()).collect();
        }
        let empty_lines = if random.chance(250) { usize::from(EMPTY_LINES_MAX) } else { 0 };
        Self {
            lossless,
            config,
            plan,
            heads,
            sequence,
            due_ns,
            header: b"\r\n".repeat(empty_lines),
            http_1_0: random.chance(300),
            page,
            buffer_bytes,
        }
    }

    /// The requests of the plan. Several have different lengths and methods.
    fn requests(&self) -> RequestBuffer {
        let sequence = self.sequence.clone();
        let methods = if self.heads { ["HEAD", "HEAD", "HEAD"] } else { ["GET", "GET", "HEAD"] };
        let request = |(method, query): (&str, &str)| MethodAndTarget {
            method: method.to_owned(),
            target: format!("/{query}"),
        };
        let distinct = sequence.iter().max().map_or(1, |&last| last as usize + 1);
        let requests = methods.into_iter().zip(["", "?a", "?long-query"]).map(request);
        let list = RequestList {
            requests: requests.take(distinct).collect(),
            sequence,
            due_ns: self.due_ns.clone(),
        };
        let bytes_of = |request: &MethodAndTarget| {
            let template = RequestTemplate {
                method: request.method.clone(),
                target: request.target.clone(),
                authority: "a".to_owned(),
                http_1_0: self.http_1_0,
                persist: self.plan.persist,
                headers: Vec::new(),
                body: None,
            };
            template.bytes()
        };
        let table = RequestTable::of_list(list, bytes_of).expect("the requests are short");
        let slots = if self.header.is_empty() { 0 } else { self.plan.connections as usize };
        RequestBuffer::new(table, self.plan.pipeline, &vec![self.header.clone(); slots])
    }
}

/// The times of this many requests, ascending, as a log has them: close together or far apart.
fn draw_times(random: &mut Random, requests: u64) -> Vec<u64> {
    let span_ns = random.pick(&[1_000_000, 50_000_000, 500_000_000]);
    let mut times: Vec<u64> = (0..requests).map(|_| random.below(span_ns)).collect();
    times.sort_unstable();
    times
}

/// One request, or a cycle of three.
fn draw_sequence(random: &mut Random) -> Vec<u32> {
    if random.chance(600) {
        return vec![0];
    }
    let len = random.between(1, 7);
    (0..len).map(|_| u32::try_from(random.below(3)).expect("few")).collect()
}

fn draw_plan(
    random: &mut Random,
    requests: u64,
    page: Option<&[u8]>,
    lossless: bool,
) -> ClientPlan {
    let persist = !random.chance(300);
    // An open loop has one request at a time, as has a connection that doesn't persist.
    let rate = random.chance(250).then(|| random.pick(&[50.0, 300.0, 5000.0]));
    let pipeline = if persist && rate.is_none() && random.chance(400) {
        u32::try_from(random.between(2, 16)).expect("few")
    } else {
        1
    };
    let timeout_ns = |time: u64| if lossless { nanos(NEVER) } else { time };
    ClientPlan {
        connections: u32::try_from(random.between(1, 10)).expect("few"),
        amount: Amount {
            requests: Some(requests),
            duration_ns: random.chance(100).then_some(50_000_000),
            warmup_ns: 0,
            rate,
            phase: 0.0,
        },
        pipeline,
        persist,
        requests_per_connection: requests_per_connection(random),
        think_ns: if rate.is_none() && random.chance(200) { random.below(5_000_000) } else { 0 },
        proxy_header: None,
        expect: page.filter(|_| random.chance(400)).map(<[u8]>::to_vec),
        statuses: Vec::new(),
        dial_gap_ns: if random.chance(200) { random.below(5_000_000) } else { 0 },
        ramp_ns: if random.chance(200) { random.below(100_000_000) } else { 0 },
        connect_timeout_ns: timeout_ns(random.between(2_000_000_000, 5_000_000_000)),
        response_timeout_ns: timeout_ns(random.between(5_000_000_000, 20_000_000_000)),
        grace_ns: timeout_ns(random.between(0, 30_000_000_000)),
    }
}

fn requests_per_connection(random: &mut Random) -> Option<u32> {
    random.chance(250).then(|| u32::try_from(random.between(1, 20)).expect("few"))
}

/// A client and a server in one world.
struct PairSimulation<'a> {
    world: World<'a>,
    client: ParticipantIndex,
    server: ParticipantIndex,
}

impl<'a> PairSimulation<'a> {
    fn prepare(
        random: &mut Random,
        settings: &PairSettings,
        options: SimulationOptions,
        counters: Counters<'a>,
        making: &'a AtomicU64,
    ) -> Result<Self, String> {
        let PairSettings { config, plan, page, .. } = settings;
        let (site, fixed) = draw_site(page, config.spawn, random)?;
        let faults = match options.fault_level() {
            FaultLevel::All if settings.lossless => FaultLevel::KeepConnections,
            level => level,
        };
        let mut network = Network::default();
        let listeners: Vec<_> = (0..config.listeners).map(|_| network.listen()).collect();
        let crowd = Crowd::new(Vec::new(), Vec::new(), random.split());
        let mut world = World::new(network, crowd);
        let mut setup = |name, slots, fixed, buffer_bytes| SimSetup {
            name,
            slots,
            listeners: Vec::new(),
            targets: Vec::new(),
            fixed,
            buffers: random.pick(&[16, 4, 2, 1]),
            buffer_bytes,
            entries: random.pick(&[1024, 16, 4, 2]),
            unix_seconds: UNIX_START,
            faults,
            polls_lazy_sends: true,
            wants_peers: true,
            trace: options.trace(),
        };
        let setup_of_server =
            SimSetup { listeners: listeners.clone(), ..setup("server", config.spawn, fixed, 1024) };
        let requests = settings.requests();
        let setup_of_client = SimSetup {
            targets: listeners,
            polls_lazy_sends: false,
            wants_peers: true,
            ..setup("client", plan.connections, requests.fixed(), settings.buffer_bytes)
        };
        let engine = SimEngine::new(setup_of_client, random.split());
        let targets = TargetCounters::default();
        let run = ClientRun { counters, targets, making, start: Nanos(0), base_ns: 0 };
        let client = Client::new(engine, plan.clone(), requests, run);
        let client = world.add(Participant::client(client));
        let engine = SimEngine::new(setup_of_server, random.split());
        let server = world.add(Participant::server(Server::new(engine, site, *config)));
        Ok(Self { world, client, server })
    }

    /// Lets both take turns until the client has all its responses; returns the number of turns.
    fn run_client(&mut self) -> Result<u64, String> {
        for turns in 1..TURNS_MAX {
            if turns == FAULTY_TURNS || self.world.now() >= FAULTY_TIME {
                self.world.stop_faults();
            }
            match self.world.step()? {
                WorldStep::Turn(_, ParticipantTurn::Goes) => {}
                WorldStep::Turn(_, ParticipantTurn::ClientDone) => {
                    let engine = self.world.engine(self.client);
                    return engine
                        .check_end()
                        .map(|()| turns)
                        .map_err(|why| format!("client: {why}"));
                }
                WorldStep::Turn(_, turn) => return Err(format!("the run ended with {turn:?}")),
                WorldStep::Idle => return Err("no event is pending".to_owned()),
            }
        }
        Err(format!("no end after {TURNS_MAX} turns, at {:?}", self.world.now()))
    }

    /// Drains the server once the client has ended; returns the server's counters.
    fn drain_server(&mut self) -> Result<Stats, String> {
        self.world.stop_faults();
        let now = self.world.now();
        self.world.engine(self.server).signal_at(now, libc::SIGTERM.unsigned_abs());
        for _ in 0..TURNS_MAX {
            match self.world.step()? {
                WorldStep::Turn(_, ParticipantTurn::Goes) => {}
                WorldStep::Turn(_, ParticipantTurn::ServerEnded(Turn::Drained)) => {
                    let engine = self.world.engine(self.server);
                    engine.check_end().map_err(|why| format!("server: {why}"))?;
                    return Ok(self.world.server(self.server).stats().clone());
                }
                WorldStep::Turn(_, turn) => return Err(format!("the drain ended with {turn:?}")),
                WorldStep::Idle => return Err("no event is pending in the drain".to_owned()),
            }
        }
        Err(format!("no end of the drain after {TURNS_MAX} turns"))
    }
}

/// Longer than any run.
const NEVER: Duration = Duration::from_secs(100_000);
const TURNS_MAX: u64 = 200_000;
