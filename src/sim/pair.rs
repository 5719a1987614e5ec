//! The load client against the server, each on a simulated ring of its own with faults of its own.
//! In the end the reconciliation of both have to agree.

use super::faults::{FaultCounters, Mark};
use super::random::Random;
use super::reconciliation::Reconciliation;
use super::ring::{Setup, SimRing};
use super::run::{
    FAULTY_TIME, FAULTY_TURNS, Options, Report, UNIX_START, build_site, draw_config, draw_page,
    nanos,
};
use super::wire::Wire;
use crate::engine::Nanos;
use crate::load::client::{Amount, Client, ClientPlan};
use crate::load::counters::{Count, Counters};
use crate::load::request::Request;
use crate::server::{Server, ServerConfig, Turn};
use crate::stats::Stats;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Makes one run.
///
/// # Errors
/// What was wrong.
pub fn run(mut random: Random, options: Options) -> Result<Report, String> {
    let words: Vec<AtomicU64> = (0..Counters::WORDS).map(|_| AtomicU64::new(0)).collect();
    let counters = Counters::new(&words);
    let drawn = Drawn::draw(&mut random);
    let mut meeting = PairSimulation::prepare(&mut random, &drawn, options, counters)?;
    meeting.trace(|| format!("{drawn:?}"));
    let turns = meeting.go()?;
    let stats = meeting.end()?;
    let seen = meeting.seen();
    let reconciliation = Reconciliation {
        gentle: drawn.gentle,
        plan: &drawn.plan,
        config: &drawn.config,
        counters,
        stats: &stats,
        seen: &seen,
        established: u64::from(meeting.wire.established),
    };
    reconciliation.agree()?;
    let mut report = Report { counters: seen, turns, ..Report::default() };
    report.responses = counters.get(Count::Requests);
    if drawn.gentle {
        report.counters.note(Mark::BooksEqual);
    }
    if counters.failed() > 0 {
        report.counters.note(Mark::RequestsFailed);
    }
    Ok(report)
}

/// What was drawn.
#[derive(Debug)]
struct Drawn {
    /// No fault costs a connection, nobody is short of slots, and nobody's patience ends.
    gentle: bool,
    config: ServerConfig,
    plan: ClientPlan,
    http_1_0: bool,
    page: Vec<u8>,
    /// The size of a receive buffer of the client.
    buffer_bytes: u32,
}

impl Drawn {
    fn draw(random: &mut Random) -> Self {
        let gentle = random.chance(500);
        let listeners = u32::try_from(random.between(1, 3)).expect("few");
        let mut config = draw_config(random, listeners);
        let page = draw_page(random);
        // Each piece of a page is a turn, so long ones are asked for less often.
        let (requests_max, buffer_bytes) = match page.len() {
            0..=5_000 => (150, random.pick(&[4096, 1024, 200, 64])),
            5_001..=150_000 => (20, random.pick(&[4096, 1024])),
            _ => (4, 4096),
        };
        let requests = random.between(1, requests_max);
        let plan = draw_plan(random, requests, &page, gentle);
        if gentle {
            config.spawn = plan.connections + listeners * config.accepts;
            config.head_timeout = FOR_EVER;
            config.idle_timeout = FOR_EVER;
            config.body_timeout = FOR_EVER;
            config.send_timeout = FOR_EVER;
        }
        Self { gentle, config, plan, http_1_0: random.chance(300), page, buffer_bytes }
    }

    fn request(&self) -> Vec<u8> {
        let request = Request {
            method: if self.plan.head { "HEAD" } else { "GET" }.to_owned(),
            target: "/".to_owned(),
            authority: "a".to_owned(),
            http_1_0: self.http_1_0,
            persist: self.plan.persist,
            headers: Vec::new(),
            body: None,
        };
        request.bytes()
    }
}

fn draw_plan(random: &mut Random, requests: u64, page: &[u8], gentle: bool) -> ClientPlan {
    let persist = !random.chance(300);
    // An open loop makes one request at a time, and so does a connection that doesn't persist.
    let rate = random.chance(250).then(|| random.pick(&[50.0, 300.0, 5000.0]));
    let pipeline = if persist && rate.is_none() && random.chance(400) {
        u32::try_from(random.between(2, 16)).expect("few")
    } else {
        1
    };
    let head = random.chance(100);
    let patience = |time: u64| if gentle { nanos(FOR_EVER) } else { time };
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
        head,
        expect: (!head && random.chance(400)).then(|| page.to_vec()),
        statuses: Vec::new(),
        dial_gap_ns: if random.chance(200) { random.below(5_000_000) } else { 0 },
        ramp_ns: if random.chance(200) { random.below(100_000_000) } else { 0 },
        connect_timeout_ns: patience(random.between(2_000_000_000, 5_000_000_000)),
        response_timeout_ns: patience(random.between(5_000_000_000, 20_000_000_000)),
    }
}

/// A client, a server, and what lies between them.
struct PairSimulation<'a> {
    client: Client<'a, SimRing>,
    server: Server<SimRing>,
    wire: Wire,
    listeners: u32,
    /// When the client's next wait ends at the latest: at once before it has asked for anything.
    tick: Option<Nanos>,
}

impl<'a> PairSimulation<'a> {
    fn prepare(
        random: &mut Random,
        drawn: &Drawn,
        options: Options,
        counters: Counters<'a>,
    ) -> Result<Self, String> {
        let Drawn { config, plan, page, .. } = drawn;
        let (site, fixed) = build_site(page, config.spawn, random)?;
        let mut ring = |spawn, listeners, fixed, buffer_bytes| {
            let setup = Setup {
                spawn,
                listeners,
                fixed,
                buffers: random.pick(&[16, 4, 2, 1]),
                buffer_bytes,
                entries: random.pick(&[1024, 16, 4, 2]),
                unix_seconds: UNIX_START,
                faults: options.faults,
                trace: options.trace,
            };
            let mut ring = SimRing::new(setup, Random::from_seed(random.below(u64::MAX)));
            if drawn.gentle {
                ring.faults.be_gentle();
            }
            ring
        };
        let server = ring(config.spawn, config.listeners, fixed, 1024);
        let request = drawn.request();
        let request_bytes = u32::try_from(request.len()).expect("a short request");
        let requests = request.repeat(plan.pipeline as usize);
        let mut client = ring(plan.connections, 0, requests, drawn.buffer_bytes);
        client.allow_leisure();
        Ok(Self {
            client: Client::new(client, plan.clone(), request_bytes, counters, Nanos(0), 0),
            server: Server::new(server, site, *config),
            wire: Wire::default(),
            listeners: config.listeners,
            tick: Some(Nanos(0)),
        })
    }

    fn trace(&mut self, what: impl FnOnce() -> String) {
        self.server.ring_mut().trace(what);
    }

    /// Lets both go on until the client is done; says how many turns that took.
    fn go(&mut self) -> Result<u64, String> {
        for turns in 1..TURNS_MAX {
            if turns == FAULTY_TURNS || self.server.ring_mut().time() >= FAULTY_TIME {
                self.client.ring_mut().faults.stop();
                self.server.ring_mut().faults.stop();
            }
            if !self.step()? {
                return Ok(turns);
            }
            self.check()?;
        }
        Err(format!("{TURNS_MAX} turns, at {:?}, and no end", self.server.ring_mut().time()))
    }

    /// One turn of whoever is due first, until the other is. Says whether the client goes on.
    fn step(&mut self) -> Result<bool, String> {
        let unusable = |errno| format!("a ring is unusable: {errno:?}");
        let of_client = self.client.ring_mut().next_moment();
        let of_server = self.server.ring_mut().next_moment();
        let is_clients = match (of_client, of_server) {
            (None, None) => return Err("everything waits and nothing will happen".to_owned()),
            (Some(client), Some(server)) => client <= server,
            (client, None) => client.is_some(),
            (None, Some(_)) => false,
        };
        let goes = if is_clients {
            self.trace(|| "--- client".to_owned());
            self.client.ring_mut().wait_with_other(of_server);
            self.client.turn(self.tick.take()).map_err(unusable)?
        } else {
            self.trace(|| "--- server".to_owned());
            self.server.ring_mut().wait_with_other(of_client);
            let turn = self.server.turn().map_err(unusable)?;
            if turn != Turn::Goes {
                return Err(format!("the server ended with {turn:?}"));
            }
            true
        };
        self.wire.carry(self.client.ring_mut(), self.server.ring_mut(), self.listeners);
        Ok(goes)
    }

    fn check(&mut self) -> Result<(), String> {
        let spawn = self.server.ring_mut().slots.len();
        if self.server.live() as usize > spawn {
            return Err(format!("{} connections with {spawn} slots", self.server.live()));
        }
        self.client.ring_mut().check_turn().map_err(|why| format!("client: {why}"))?;
        self.server.ring_mut().check_turn().map_err(|why| format!("server: {why}"))
    }

    /// Ends the server once the client is done; both must have let go of everything.
    fn end(&mut self) -> Result<Stats, String> {
        self.client.ring_mut().check_home().map_err(|why| format!("client: {why}"))?;
        let ring = self.server.ring_mut();
        ring.faults.stop();
        ring.wait_with_other(None);
        ring.signal_at(ring.time(), 15);
        for _ in 0..TURNS_MAX {
            let turn = self.server.turn().map_err(|errno| format!("unusable: {errno:?}"))?;
            self.wire.carry(self.client.ring_mut(), self.server.ring_mut(), self.listeners);
            self.check()?;
            match turn {
                Turn::Goes if self.server.ring_mut().is_stuck() => {
                    return Err("the server waits and nothing will happen".to_owned());
                }
                Turn::Goes => {}
                Turn::Drained => {
                    self.server.ring_mut().check_home().map_err(|why| format!("server: {why}"))?;
                    return Ok(self.server.stats().clone());
                }
                Turn::Forced { .. } => return Err(format!("the server ended with {turn:?}")),
            }
        }
        Err("the server does not end".to_owned())
    }

    fn seen(&mut self) -> FaultCounters {
        let mut seen = self.client.ring_mut().faults.counters.clone();
        seen.add(&self.server.ring_mut().faults.counters);
        seen
    }
}

/// Longer than any run.
const FOR_EVER: Duration = Duration::from_secs(100_000);
const TURNS_MAX: u64 = 100_000;
