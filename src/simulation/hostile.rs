//! The scenario of a server whose slots are all held by hostile peers, without faults: a new client
//! is served within a bound all the same, and a client with a request a second keeps its
//! connection.

use super::crowd::Crowd;
use super::draw::{draw_site, setup_of_server};
use super::participant::Participant;
use super::peer::ConnectionEnd;
use super::peer_plan::{PeerPlan, PeerStep, ReadPace};
use super::report::{SimulationOptions, SimulationReport};
use super::responses::{ExpectedContent, ExpectedResponse};
use super::world::{World, WorldStep};
use crate::engine::Nanos;
use crate::engine::sim::{Network, Random, SimEngine, SimSetup};
use crate::server::{ProxiedListeners, Server, ServerConfig};
use std::time::Duration;

/// How a hostile peer holds its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// Sends nothing.
    Silence,
    /// Sends a head a byte at a time.
    SlowHead,
    /// Sends a body a byte at a time.
    SlowBody,
    /// Sends a chunk extension a byte at a time.
    ChunkExtension,
    /// Sends a trailer section a byte at a time.
    Trailers,
    /// Sends the second half of each head together with the first half of the next one.
    HeadsInHalves,
    /// Receives a response a byte at a time.
    OneByteReader,
    /// Continues its body after the request was refused, a byte at a time, and ignores the end of
    /// the stream.
    LingeringAfterRefusal,
    /// The same, at a rate above 16 KiB/s.
    LingeringAtRate,
    /// Sends a complete request every 90 ms.
    Busy,
}

impl Attack {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Silence,
        Self::SlowHead,
        Self::SlowBody,
        Self::ChunkExtension,
        Self::Trailers,
        Self::HeadsInHalves,
        Self::OneByteReader,
        Self::LingeringAfterRefusal,
        Self::LingeringAtRate,
        Self::Busy,
    ];
}

/// Runs a server with the connection limit `n` against a client with a request a second, `n - 1`
/// hostile peers and then a new client. Without an `attack`, each hostile peer draws its own.
///
/// # Errors
/// If the new client is served late, or the client with a request a second loses its connection.
pub fn run_hostile(
    mut random: Random,
    attack: Option<Attack>,
    options: SimulationOptions,
) -> Result<SimulationReport, String> {
    let spawn = u32::try_from(random.between(2, 12)).expect("few");
    let mut page = vec![b'p'; random.pick(&[500, 5000, 300_000])];
    if attack == Some(Attack::OneByteReader) {
        page.resize(300_000, b'p');
    }
    let new_client_ns = random.between(2_000_000_000, 9_000_000_000);
    let attacks: Vec<Attack> =
        (1..spawn).map(|_| attack.unwrap_or_else(|| random.pick(&Attack::ALL))).collect();
    let mut world = draw_world(&mut random, page, &attacks, new_client_ns, options)?;
    let mut report = SimulationReport::default();
    while world.now() < RUN && world.crowd.peers.last().is_some_and(|peer| peer.end.is_none()) {
        if world.step()? == WorldStep::Idle {
            return Err("no event is pending".to_owned());
        }
        report.turns += 1;
        world.crowd.check()?;
    }
    let peers = &world.crowd.peers;
    let new_client = peers.last().expect("it was added");
    let first_at = new_client.responded_at.first().ok_or("the new client was not served")?;
    let took = Duration::from_nanos(first_at.0 - new_client_ns);
    if took > BOUND {
        return Err(format!("the new client was served after {took:?}, over {BOUND:?}"));
    }
    let steady = &peers[0];
    let was_ended = matches!(steady.end, Some((ConnectionEnd::Server | ConnectionEnd::Reset, _)));
    if was_ended || steady.has_last_response() {
        return Err(format!("the client with a request a second lost it: {:?}", steady.end));
    }
    report.responses = peers.iter().map(|peer| peer.responses.len() as u64).sum();
    report.served = 1;
    Ok(report)
}

fn draw_world(
    random: &mut Random,
    page: Vec<u8>,
    attacks: &[Attack],
    new_client_ns: u64,
    options: SimulationOptions,
) -> Result<World<'static>, String> {
    let spawn = 1 + u32::try_from(attacks.len()).expect("few");
    let (site, fixed) = draw_site(&page, spawn, random)?;
    let config = ServerConfig {
        recv_many: random.chance(500),
        send_close: random.chance(500),
        ..config(spawn)
    };
    let mut network = Network::default();
    let listeners = vec![network.listen()];
    let setup =
        SimSetup { trace: options.trace(), ..setup_of_server(spawn, listeners.clone(), fixed) };
    let page_bytes = page.len();
    let mut crowd = Crowd::new(listeners, page, random.split());
    crowd.add(requests_every(1_000_000_000, 60, 0, page_bytes));
    for &attack in attacks {
        crowd.add(hostile(attack, random, page_bytes));
    }
    crowd.add(new_client(new_client_ns, page_bytes));
    let mut world = World::new(network, crowd);
    let engine = SimEngine::new(setup, random.split());
    world.add(Participant::server(Server::new(engine, site, config)));
    Ok(world)
}

/// The settings of a server with default timeouts, of which this is the connection limit.
pub(super) fn config(spawn: u32) -> ServerConfig {
    ServerConfig {
        spawn,
        listeners: 1,
        health_listener: false,
        proxied: ProxiedListeners::default(),
        accepts: 1,
        accepts_at_rest: 1,
        head_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(60),
        body_timeout: Duration::from_secs(30),
        send_timeout: Duration::from_secs(30),
        min_rate: 240,
        drain_delay: Duration::ZERO,
        reload_grace: Duration::from_secs(2),
        drain_grace: Duration::ZERO,
        drain_timeout: Duration::from_secs(10),
        head_bytes_max: 16 * 1024,
        recv_many: true,
        send_close: true,
        trim_memory: || {},
    }
}

fn page_response(end: usize, page_bytes: usize) -> ExpectedResponse {
    let content = ExpectedContent::Page { from: 0, to: page_bytes };
    ExpectedResponse { statuses: &[200], content, ..ExpectedResponse::any(end) }
}

fn new_client(start_ns: u64, page_bytes: usize) -> PeerPlan {
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_vec();
    let response = page_response(bytes.len(), page_bytes);
    let expected = vec![ExpectedResponse { closes: true, ..response }];
    let steps = vec![PeerStep::Send(bytes.len()), PeerStep::AwaitResponses(1), PeerStep::Close];
    PeerPlan { bytes, expected, steps, ..PeerPlan::empty(start_ns) }
}

/// A peer with a pause of this many nanoseconds after each response.
fn requests_every(nanos: u64, times: usize, start_ns: u64, page_bytes: usize) -> PeerPlan {
    let mut plan = PeerPlan::empty(start_ns);
    for number in 1..=times {
        plan.bytes.extend(GET);
        plan.expected.push(page_response(plan.bytes.len(), page_bytes));
        let send = PeerStep::Send(plan.bytes.len());
        plan.steps.extend([send, PeerStep::AwaitResponses(number), PeerStep::Pause(nanos)]);
    }
    plan
}

fn hostile(attack: Attack, random: &mut Random, page_bytes: usize) -> PeerPlan {
    let start_ns = random.between(1_000_000, 1_500_000_000);
    if attack == Attack::Busy {
        let plan = requests_every(90_000_000, 600, start_ns, page_bytes);
        return PeerPlan { well_behaved: false, ..plan };
    }
    let refused = |end| ExpectedResponse { statuses: &[405], ..ExpectedResponse::any(end) };
    let mut plan = PeerPlan { well_behaved: false, ..PeerPlan::empty(start_ns) };
    let post =
        |field: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n{body}");
    let chunked = "Transfer-Encoding: chunked";
    let first = match attack {
        Attack::Silence => String::new(),
        Attack::SlowHead => "GET / HTTP/1.1\r\nHost: a\r\nX: ".to_owned(),
        Attack::SlowBody => post("Content-Length: 60000", ""),
        Attack::ChunkExtension => post(chunked, "5;x="),
        Attack::Trailers => post(chunked, "0\r\nX: "),
        Attack::LingeringAfterRefusal | Attack::LingeringAtRate => {
            post("Content-Length: 100000", "")
        }
        Attack::OneByteReader => String::from_utf8_lossy(GET).into_owned(),
        Attack::HeadsInHalves => String::from_utf8_lossy(&GET[..9]).into_owned(),
        Attack::Busy => unreachable!("its plan is made above"),
    };
    plan.bytes.extend(first.bytes());
    plan.steps.push(PeerStep::Send(plan.bytes.len()));
    match attack {
        Attack::SlowBody | Attack::ChunkExtension | Attack::Trailers => {
            plan.expected.push(refused(plan.bytes.len()));
        }
        Attack::LingeringAfterRefusal | Attack::LingeringAtRate => {
            plan.expected.push(ExpectedResponse { closes: true, ..refused(plan.bytes.len()) });
            plan.pace = ReadPace::Never;
        }
        Attack::OneByteReader => {
            plan.expected.push(page_response(plan.bytes.len(), page_bytes));
            plan.pace = ReadPace::Slow { bytes: 1, every_ns: 100_000_000 };
            plan.window = 4096;
        }
        _ => {}
    }
    let pause_ns = match attack {
        Attack::LingeringAtRate => 100_000_000,
        _ => random.between(100_000_000, 1_900_000_000),
    };
    for _ in 0..200 {
        plan.steps.push(PeerStep::Pause(pause_ns));
        match attack {
            Attack::Silence | Attack::OneByteReader => {}
            Attack::HeadsInHalves => {
                plan.bytes.extend(&GET[9..]);
                plan.expected.push(page_response(plan.bytes.len(), page_bytes));
                plan.bytes.extend(&GET[..9]);
            }
            Attack::LingeringAtRate => plan.bytes.resize(plan.bytes.len() + 2000, b'y'),
            _ => plan.bytes.push(b'y'),
        }
        plan.steps.push(PeerStep::Send(plan.bytes.len()));
    }
    plan
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
/// The length of a run.
const RUN: Nanos = Nanos(30_000_000_000);
/// The time of a request while connections wait for a slot (2 s), and a margin.
const BOUND: Duration = Duration::from_secs(3);
