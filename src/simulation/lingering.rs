//! How long a server reads behind its last response, while no other connection needs the slot.

use super::crowd::Crowd;
use super::draw::{draw_site, setup_of_server};
use super::hostile::config;
use super::participant::Participant;
use super::peer_plan::{PeerPlan, PeerStep, ReadPace};
use super::responses::ExpectedResponse;
use super::world::{World, WorldStep};
use crate::engine::sim::{Network, Random, SimEngine};
use crate::server::Server;
use std::time::Duration;

/// RFC 9112 9.6 leaves the bounds to the server: 2 s without a byte, and 30 s in all, however many
/// bytes arrive.
#[test]
fn server_reads_behind_its_last_response_until_silence_or_thirty_seconds() {
    for (bytes, every, least, most) in [
        (0, Duration::from_secs(40), 2.0, 2.1),
        (1, Duration::from_millis(500), 28.0, 30.1),
        (1, Duration::from_millis(1900), 26.0, 30.1),
        (1, Duration::from_millis(2500), 2.0, 2.1),
        (30_000, Duration::from_millis(10), 28.0, 30.1),
    ] {
        let took = closed_after(bytes, every).as_secs_f64();
        assert!((least..=most).contains(&took), "{bytes} bytes every {every:?}: {took} s");
    }
}

/// The time until the server closes the connection of a peer that sends so many bytes, so often,
/// behind a refused request, and reads nothing.
fn closed_after(bytes: usize, every: Duration) -> Duration {
    let mut random = Random::from_seed(1);
    let (site, fixed) = draw_site(b"page", SPAWN, &mut random).expect("the page is small");
    let mut network = Network::default();
    let listeners = vec![network.listen()];
    let setup = setup_of_server(SPAWN, listeners.clone(), fixed);
    let mut crowd = Crowd::new(listeners, b"page".to_vec(), random.split());
    crowd.add(goes_on_sending(bytes, every));
    let mut world = World::new(network, crowd);
    let server = Server::new(SimEngine::new(setup, random.split()), site, config(SPAWN));
    world.add(Participant::server(server));
    loop {
        if let Some((_, at)) = world.crowd.peers[0].end {
            return Duration::from_nanos(at.0);
        }
        let step = world.step().expect("no rule is broken");
        assert_ne!(step, WorldStep::Idle, "the server has a timeout for the connection");
    }
}

fn goes_on_sending(bytes: usize, every: Duration) -> PeerPlan {
    let mut plan = PeerPlan::empty(0);
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n";
    plan.bytes.extend(head);
    plan.expected = vec![ExpectedResponse {
        statuses: &[405],
        closes: true,
        ..ExpectedResponse::any(plan.bytes.len())
    }];
    plan.steps.push(PeerStep::Send(plan.bytes.len()));
    let every_ns = u64::try_from(every.as_nanos()).expect("it is short");
    for _ in 0..PLANNED.as_nanos() / every.as_nanos() {
        plan.bytes.resize(plan.bytes.len() + bytes, b'y');
        plan.steps.extend([PeerStep::Pause(every_ns), PeerStep::Send(plan.bytes.len())]);
    }
    plan.steps.push(PeerStep::AwaitEnd);
    PeerPlan { pace: ReadPace::Never, well_behaved: false, ..plan }
}

const SPAWN: u32 = 4;
/// How long the peer goes on, unless its connection ends before.
const PLANNED: Duration = Duration::from_secs(40);
