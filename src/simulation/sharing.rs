//! Two servers that share two listeners, at the moment in which the slot of an accept moves from
//! one listener to the other.

use super::crowd::Crowd;
use super::draw::{draw_config, draw_site, setup_of_server};
use super::participant::Participant;
use super::peer_plan::{PeerPlan, PeerStep};
use super::requests::get_page;
use super::world::World;
use crate::engine::Nanos;
use crate::engine::sim::{EngineMark, ListenerId, Network, Random, SimEngine};
use crate::server::{Server, ServerConfig, Supervision, Usage};
use crate::stats::Stats;

/// The supervision of a server whose allowance never changes, beside one with a free slot.
struct FixedAllowance(u32);

impl Supervision for FixedAllowance {
    fn allowance(&self) -> u32 {
        self.0
    }

    fn others_have_room(&self) -> bool {
        true
    }

    fn publish(&mut self, _: Usage, _: &Stats) {}
}

/// A server with one slot, which is reserved for the first listener, is told of connections at the
/// second one. It cancels its accept; at about that moment, a connection to the first listener
/// wakes the accept. A server with free slots waits at both listeners.
#[test]
fn slot_that_moves_to_another_listener_leaves_no_connection_behind() {
    let mut lost = 0;
    for seed in 0..SEEDS {
        let mut random = Random::from_seed(seed);
        let mut world = draw_world(&mut random);
        let start = BURST_NS + random.below(100_000);
        world.crowd.add(one_request(0, start));
        while world.now() < END {
            world.step_before(Some(END)).expect("no rule is broken");
        }
        let peer = world.crowd.peers.last().expect("it was added");
        let served_at = peer.responded_at.first().map(|at| at.0 - start);
        assert!(served_at.is_some_and(|ns| ns < BOUND_NS), "seed {seed}: after {served_at:?} ns");
        lost += world.counters().reached(EngineMark::WakeUpLost);
    }
    assert!(lost > 0, "the case has occurred");
}

fn draw_world(random: &mut Random) -> World<'static> {
    let mut network = Network::default();
    let listeners = vec![network.listen(), network.listen()];
    let mut crowd = Crowd::new(listeners.clone(), PAGE.to_vec(), random.split());
    for _ in 0..BURST {
        crowd.add(one_request(1, BURST_NS + random.below(300_000)));
    }
    for &listener in &listeners {
        network.share_listener(listener);
    }
    let mut world = World::new(network, crowd);
    for slots in [1, BURST + 2] {
        let server = draw_server(random, slots, listeners.clone());
        world.add(Participant::server(server));
    }
    world
}

fn draw_server(random: &mut Random, slots: u32, listeners: Vec<ListenerId>) -> Server<SimEngine> {
    let (site, fixed) = draw_site(PAGE, slots, random).expect("the page is small");
    let setup = setup_of_server(slots, listeners, fixed);
    let engine = SimEngine::new(setup, random.split());
    let config = ServerConfig { spawn: slots, accepts_at_rest: 1, ..draw_config(random, 2) };
    Server::supervised(engine, site, config, Box::new(FixedAllowance(slots)))
}

/// A peer that keeps its connection after its response.
fn one_request(listener: u32, start_ns: u64) -> PeerPlan {
    let mut plan = PeerPlan::empty(start_ns);
    let request = get_page("GET / HTTP/1.1\r\nHost: a\r\n\r\n", PAGE.len());
    plan.listener = listener;
    plan.bytes = request.bytes;
    plan.expected.push(request.expected);
    plan.expected[0].end = plan.bytes.len();
    let send = PeerStep::Send(plan.bytes.len());
    plan.steps = vec![send, PeerStep::AwaitResponses(1), PeerStep::Pause(END.0)];
    plan
}

const SEEDS: u64 = 500;
const PAGE: &[u8] = b"a page";
/// Connections to the second listener; the server with one slot takes one of them.
const BURST: u32 = 6;
/// When they begin: both servers have armed their accepts.
const BURST_NS: u64 = 20_000_000;
const END: Nanos = Nanos(200_000_000);
/// A cancel, one more accept and a response take some events of up to 2 ms each.
const BOUND_NS: u64 = 50_000_000;
