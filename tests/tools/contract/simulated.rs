//! The simulated engine under the contract, without faults: only the order of events is random.

use super::rig::{Needs, Peer, Read, Rig, fixed_bytes};
use uringstatic::engine::sim::{
    FaultLevel, ListenerId, Network, RECEIVE_WINDOW, Random, SimEngine, SimSetup, SocketId,
    SocketRead, Windows,
};
use uringstatic::engine::{
    BufferId, Completion, Engine, Errno, Full, Memory, Nanos, Op, Received, Slot, Token,
};
use uringstatic::peer_address::PeerAddress;

/// The simulated engine with its network; the peers are sockets of the network.
pub(crate) struct Simulated {
    engine: WaitingEngine,
    listeners: [ListenerId; 2],
    target: ListenerId,
}

/// A simulated engine and the network around it: its waits let virtual time pass.
pub(crate) struct WaitingEngine {
    engine: SimEngine,
    network: Network,
}

impl Simulated {
    pub(crate) fn new(needs: Needs, seed: u64) -> Self {
        let mut network = Network::default();
        let listeners = [network.listen(), network.listen()];
        let target = network.listen();
        let setup = SimSetup {
            name: "sim",
            slots: 4,
            listeners: listeners.to_vec(),
            targets: vec![target],
            fixed: fixed_bytes(Self::LARGE),
            buffers: needs.buffers,
            buffer_bytes: needs.buffer_bytes,
            entries: 64,
            unix_seconds: 0,
            faults: FaultLevel::None,
            // Some rules receive during a lazy send without the poll that a server makes then.
            polls_lazy_sends: false,
            wants_peers: needs.wants_peers,
            trace: None,
        };
        let engine = SimEngine::new(setup, Random::from_seed(seed));
        Self { engine: WaitingEngine { engine, network }, listeners, target }
    }

    fn network(&mut self) -> &mut Network {
        &mut self.engine.network
    }
}

impl Rig for Simulated {
    type R = WaitingEngine;

    const LARGE: u32 = 200_000;

    fn engine(&mut self) -> &mut WaitingEngine {
        &mut self.engine
    }

    fn connect(&mut self, listener: u32) -> Peer {
        let listener = self.listeners[listener as usize];
        peer(self.network().connect(listener, WINDOWS))
    }

    fn address(&mut self, peer: Peer) -> PeerAddress {
        let accepted = socket(peer).remote();
        self.network().peer(accepted)
    }

    fn answer(&mut self) -> Option<Peer> {
        let target = self.target;
        self.network().accept(target).map(peer)
    }

    fn stop_answering(&mut self) {
        let target = self.target;
        self.network().close_listener(target);
    }

    fn refuses(&mut self, listener: u32) -> bool {
        let Peer(number) = self.connect(listener);
        self.network().socket(socket(Peer(number))).is_reset()
    }

    fn write(&mut self, peer: Peer, bytes: &[u8]) {
        assert_eq!(self.network().send(socket(peer), bytes, usize::MAX), Ok(bytes.len()));
    }

    fn read(&mut self, peer: Peer) -> Read {
        match self.network().receive(socket(peer), usize::MAX) {
            SocketRead::Bytes(bytes) => Read::Bytes(bytes),
            SocketRead::Nothing => Read::Nothing,
            SocketRead::End => Read::End,
            SocketRead::Reset => Read::Reset,
        }
    }

    fn finish(&mut self, peer: Peer) {
        self.network().finish(socket(peer));
    }

    fn reset(&mut self, peer: Peer) {
        self.network().reset(socket(peer));
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let violation = self.engine.engine.violation();
            assert_eq!(violation, None, "the suite has to keep the rules itself");
        }
    }
}

impl WaitingEngine {
    fn notify(&mut self) {
        let changes = self.network.take_changes();
        self.engine.notify(&changes);
    }

    /// Lets events happen until the wait of the engine is over, or nothing can end it.
    fn let_time_pass(&mut self) {
        loop {
            self.notify();
            while self.engine.run_next(&mut self.network) {
                self.notify();
            }
            let (wake, event) = (self.engine.wakes_at(), self.engine.next_event_at());
            if wake.is_some_and(|at| at <= self.engine.time()) {
                return;
            }
            let Some(next) = wake.into_iter().chain(event).min() else { return };
            self.engine.advance_to(next);
        }
    }
}

impl Engine for WaitingEngine {
    fn push(&mut self, token: Token, op: Op) -> Result<(), Full> {
        self.engine.push(token, op)
    }

    fn submit_and_wait(&mut self, deadline: Option<Nanos>) -> Result<(), Errno> {
        self.engine.submit_and_wait(deadline)?;
        self.let_time_pass();
        self.engine.end_wait();
        Ok(())
    }

    fn stop_listening(&mut self, listener: u32) -> Result<(), Full> {
        self.engine.stop_listening(listener)
    }

    fn pop(&mut self) -> Option<Completion> {
        self.engine.pop()
    }

    fn memory(&mut self, received: Option<Received>) -> Memory<'_> {
        self.engine.memory(received)
    }

    fn give_back(&mut self, buffer: BufferId) {
        self.engine.give_back(buffer);
    }

    fn peer(&self, slot: Slot) -> PeerAddress {
        self.engine.peer(slot)
    }

    fn now(&self) -> Nanos {
        self.engine.now()
    }

    fn read_clock(&self) -> Nanos {
        self.engine.read_clock()
    }

    fn unix_seconds(&self) -> u64 {
        self.engine.unix_seconds()
    }
}

fn peer(socket: SocketId) -> Peer {
    Peer(socket.0 as usize)
}

fn socket(peer: Peer) -> SocketId {
    SocketId(u32::try_from(peer.0).expect("few peers"))
}

const WINDOWS: Windows = Windows { connecting: RECEIVE_WINDOW, accepted: RECEIVE_WINDOW };
