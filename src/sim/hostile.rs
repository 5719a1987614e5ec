//! A server all of whose slots are held by hostile peers, each in its own way and without faults: a
//! newcomer is served soon all the same, and a client that asks once a second keeps its connection.

use super::peer::End;
use super::plan::{Plan, Reader, Step};
use super::random::Random;
use super::responses::{Content, ExpectedResponse};
use super::ring::{Setup, SimRing};
use super::run::{Report, UNIX_START, build_site, check_turn};
use crate::engine::Nanos;
use crate::server::{Server, ServerConfig};
use std::rc::Rc;
use std::time::Duration;

/// How a hostile peer holds its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// Connects and sends nothing.
    Silence,
    /// A head a byte at a time.
    SlowHead,
    /// A body a byte at a time.
    SlowBody,
    /// The extension of a chunk a byte at a time.
    ChunkExtension,
    /// A trailer section a byte at a time.
    Trailers,
    /// The second half of each head together with the first half of the next one.
    HeadsInHalves,
    /// A response taken a byte at a time.
    OneByteReader,
    /// Bytes that go on after a request that was refused.
    LingeringAfterRefusal,
    /// A whole request each 90 ms.
    Busy,
}

impl Attack {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Silence,
        Self::SlowHead,
        Self::SlowBody,
        Self::ChunkExtension,
        Self::Trailers,
        Self::HeadsInHalves,
        Self::OneByteReader,
        Self::LingeringAfterRefusal,
        Self::Busy,
    ];
}

/// Makes one run: as many attackers as there are slots but one, which has the client that asks once
/// a second, and then a newcomer. With no `attack`, each attacker draws its own.
///
/// # Errors
/// If the newcomer is served late, or the client that asks once a second loses its connection.
pub fn run_hostile(mut random: Random, attack: Option<Attack>) -> Result<Report, String> {
    let spawn = u32::try_from(random.between(2, 12)).expect("few");
    let mut page = vec![b'p'; random.pick(&[500, 5000, 300_000])];
    if attack == Some(Attack::OneByteReader) {
        page.resize(300_000, b'p');
    }
    let (site, fixed) = build_site(&page, spawn, &random)?;
    let config = ServerConfig {
        recv_many: random.chance(500),
        send_close: random.chance(500),
        ..config(spawn)
    };
    let setup = Setup {
        spawn,
        listeners: 1,
        fixed,
        buffers: 16,
        buffer_bytes: 4096,
        entries: 1024,
        unix_seconds: UNIX_START,
        faults: false,
        trace: false,
    };
    let mut plans = vec![asks_once_a_second(page.len())];
    for _ in 1..spawn {
        let attack = attack.unwrap_or_else(|| random.pick(&Attack::ALL));
        plans.push(hostile(attack, &mut random, page.len()));
    }
    let start_ns = random.between(2_000_000_000, 9_000_000_000);
    plans.push(newcomer(start_ns, page.len()));
    let mut ring = SimRing::new(setup, random);
    ring.page = Rc::from(page);
    for plan in plans {
        ring.add_peer(plan);
    }
    let mut server = Server::new(ring, site, config);
    let mut report = Report::default();
    while server.ring_mut().time() < RUN
        && server.ring_mut().peers.last().is_some_and(|it| it.end.is_none())
    {
        server.turn().map_err(|errno| format!("the ring is unusable: {errno:?}"))?;
        report.turns += 1;
        check_turn(&mut server, report.turns)?;
    }
    let ring = server.ring_mut();
    let newcomer = ring.peers.last().expect("it was added");
    let first_at = newcomer.responded_at.first().ok_or("the newcomer was not served at all")?;
    let took = Duration::from_nanos(first_at.0 - start_ns);
    if took > BOUND {
        return Err(format!("the newcomer was served after {took:?}"));
    }
    let steady = &ring.peers[0];
    if matches!(steady.end, Some((End::Server | End::Reset, _))) || steady.was_told_the_end() {
        return Err(format!("the client that asks once a second ended by {:?}", steady.end));
    }
    report.responses = ring.peers.iter().map(|peer| peer.responses.len() as u64).sum();
    report.served = 1;
    Ok(report)
}

fn config(spawn: u32) -> ServerConfig {
    ServerConfig {
        spawn,
        listeners: 1,
        health_listener: false,
        accepts: 1,
        head_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(60),
        body_timeout: Duration::from_secs(30),
        send_timeout: Duration::from_secs(30),
        min_rate: 240,
        drain_timeout: Duration::from_secs(10),
        head_bytes_max: 16 * 1024,
        recv_many: true,
        send_close: true,
        trim_memory: || {},
    }
}

fn whole_page(end: usize, page_bytes: usize, closes: bool) -> ExpectedResponse {
    let body = Content::Page { from: 0, to: page_bytes };
    ExpectedResponse { end, statuses: &[200], body, head_only: false, closes, unannounced: false }
}

fn plan(start_ns: u64) -> Plan {
    Plan {
        listener: 0,
        start_ns,
        bytes: Vec::new(),
        expected: Vec::new(),
        steps: Vec::new(),
        reader: Reader::Eager,
        window: 65_536,
        well_behaved: true,
    }
}

fn newcomer(start_ns: u64, page_bytes: usize) -> Plan {
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_vec();
    let expected = vec![whole_page(bytes.len(), page_bytes, true)];
    let steps = vec![Step::Send(bytes.len()), Step::Await(1), Step::Close];
    Plan { bytes, expected, steps, ..plan(start_ns) }
}

/// Asks each so many nanoseconds.
fn asks_each(nanos: u64, times: usize, start_ns: u64, page_bytes: usize) -> Plan {
    let mut plan = plan(start_ns);
    for number in 1..=times {
        plan.bytes.extend(GET);
        plan.expected.push(whole_page(plan.bytes.len(), page_bytes, false));
        let send = Step::Send(plan.bytes.len());
        plan.steps.extend([send, Step::Await(number), Step::Pause(nanos)]);
    }
    plan
}

fn asks_once_a_second(page_bytes: usize) -> Plan {
    asks_each(1_000_000_000, 60, 0, page_bytes)
}

fn hostile(attack: Attack, random: &mut Random, page_bytes: usize) -> Plan {
    let start_ns = random.between(1_000_000, 1_500_000_000);
    if attack == Attack::Busy {
        return Plan { well_behaved: false, ..asks_each(90_000_000, 600, start_ns, page_bytes) };
    }
    let refused = |end| ExpectedResponse {
        statuses: &[405],
        body: Content::Any,
        ..whole_page(end, 0, false)
    };
    let mut plan = Plan { well_behaved: false, ..plan(start_ns) };
    let post =
        |field: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n{body}");
    let chunked = "Transfer-Encoding: chunked";
    let first = match attack {
        Attack::Silence => String::new(),
        Attack::SlowHead => "GET / HTTP/1.1\r\nHost: a\r\nX: ".to_owned(),
        Attack::SlowBody => post("Content-Length: 60000", ""),
        Attack::ChunkExtension => post(chunked, "5;x="),
        Attack::Trailers => post(chunked, "0\r\nX: "),
        Attack::LingeringAfterRefusal => post("Content-Length: 100000", ""),
        Attack::OneByteReader => String::from_utf8_lossy(GET).into_owned(),
        Attack::HeadsInHalves => String::from_utf8_lossy(&GET[..9]).into_owned(),
        Attack::Busy => unreachable!("it is planned above"),
    };
    plan.bytes.extend(first.bytes());
    plan.steps.push(Step::Send(plan.bytes.len()));
    match attack {
        Attack::SlowBody | Attack::ChunkExtension | Attack::Trailers => {
            plan.expected.push(refused(plan.bytes.len()));
        }
        Attack::LingeringAfterRefusal => {
            plan.expected.push(ExpectedResponse { closes: true, ..refused(plan.bytes.len()) });
        }
        Attack::OneByteReader => {
            plan.expected.push(whole_page(plan.bytes.len(), page_bytes, false));
            plan.reader = Reader::Slow { bytes: 1, every_ns: 100_000_000 };
            plan.window = 4096;
        }
        _ => {}
    }
    let pause_ns = random.between(100_000_000, 1_900_000_000);
    for _ in 0..200 {
        plan.steps.push(Step::Pause(pause_ns));
        match attack {
            Attack::Silence | Attack::OneByteReader => {}
            Attack::HeadsInHalves => {
                plan.bytes.extend(&GET[9..]);
                plan.expected.push(whole_page(plan.bytes.len(), page_bytes, false));
                plan.bytes.extend(&GET[..9]);
            }
            _ => plan.bytes.push(b'y'),
        }
        plan.steps.push(Step::Send(plan.bytes.len()));
    }
    plan
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const RUN: Nanos = Nanos(30_000_000_000);
/// The longest that a request may take while others wait, lingering after the last response, and a
/// margin.
const BOUND: Duration = Duration::from_secs(3);
