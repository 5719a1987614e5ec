//! How long a short response waits for long ones to other clients, in the bytes that are sent to
//! those in the meantime.

use super::crowd::Crowd;
use super::draw::{draw_site, setup_of_server};
use super::hostile::config;
use super::participant::Participant;
use super::peer_plan::{PeerPlan, PeerStep};
use super::requests::{PlannedRequest, get_page};
use super::responses::ExpectedResponse;
use super::world::{World, WorldStep};
use crate::engine::sim::{Network, Random, SimEngine};
use crate::server::{Server, ServerConfig};

/// Clients with a large page to fetch, who read as fast as they receive, and one that asks for its
/// head only: each of its requests is answered after the long sends of two turns at most, the one
/// in which it arrives and the one that answers it.
#[test]
fn short_response_waits_for_the_long_sends_of_two_turns_at_most() {
    let mut longest = 0;
    for seed in 0..SEEDS {
        let mut random = Random::from_seed(seed);
        let mut world = draw_world(&mut random);
        while !world.crowd.has_ended() {
            let step = world.step().expect("no rule is broken");
            assert_ne!(step, WorldStep::Idle, "seed {seed}: every client is served");
            world.crowd.check().expect("every byte is right");
        }
        let polite = world.crowd.peers.last().expect("it was added");
        assert_eq!(polite.responses.len(), REQUESTS, "seed {seed}");
        let bytes = world.engine(0).longest_wait_bytes();
        assert!(bytes <= BOUND_BYTES, "seed {seed}: a request waited for {bytes} bytes");
        longest = longest.max(bytes);
    }
    assert!(longest > BOUND_BYTES / 4, "requests have waited, for {longest} bytes at most");
}

fn draw_world(random: &mut Random) -> World<'static> {
    let page = vec![b'p'; PAGE_BYTES];
    let (site, fixed) = draw_site(&page, SPAWN, random).expect("the page has room");
    let config = ServerConfig {
        recv_many: random.chance(500),
        send_close: random.chance(500),
        accepts: 4,
        ..config(SPAWN)
    };
    let mut network = Network::default();
    let listeners = vec![network.listen()];
    let setup = setup_of_server(SPAWN, listeners.clone(), fixed);
    let mut crowd = Crowd::new(listeners, page, random.split());
    for _ in 0..GREEDY {
        crowd.add(fetches_pages(random.below(1_000_000)));
    }
    crowd.add(asks_for_heads());
    let mut world = World::new(network, crowd);
    let engine = SimEngine::new(setup, random.split());
    world.add(Participant::server(Server::new(engine, site, config)));
    world
}

/// A peer that fetches the page several times and has room for all of it.
fn fetches_pages(start_ns: u64) -> PeerPlan {
    let mut plan = PeerPlan { window: 2 * PAGE_BYTES, ..PeerPlan::empty(start_ns) };
    for number in 1..=PAGES {
        add(&mut plan, get_page("GET / HTTP/1.1\r\nHost: a\r\n\r\n", PAGE_BYTES), number);
    }
    plan
}

/// A peer with a request every now and then for the head of the page.
fn asks_for_heads() -> PeerPlan {
    let mut plan = PeerPlan::empty(1_000_000);
    for number in 1..=REQUESTS {
        let mut request = get_page("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", PAGE_BYTES);
        request.expected.head_only = true;
        add(&mut plan, request, number);
        plan.steps.push(PeerStep::Pause(100_000));
    }
    plan
}

fn add(plan: &mut PeerPlan, request: PlannedRequest, number: usize) {
    plan.bytes.extend(request.bytes);
    plan.expected.push(ExpectedResponse { end: plan.bytes.len(), ..request.expected });
    plan.steps.extend([PeerStep::Send(plan.bytes.len()), PeerStep::AwaitResponses(number)]);
}

const SEEDS: u64 = 20;
const GREEDY: u32 = 20;
/// The slots: there is one for each peer.
const SPAWN: u32 = GREEDY + 8;
const PAGE_BYTES: usize = 1_200_000;
/// How often each greedy peer fetches the page.
const PAGES: usize = 2;
/// Requests for heads.
const REQUESTS: usize = 20;
/// The long sends of two turns.
const BOUND_BYTES: u64 = 2 * 512 * 1024;
