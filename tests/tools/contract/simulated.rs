//! The rig of the simulated ring, without faults: only the order of things is drawn.

use super::rig::{Needs, Peer, Read, Rig, fixed_bytes};
use uringstatic::sim::{LinkId, Random, Read as LinkRead, Setup, SimRing};

/// The simulated ring; its peers are the links of its network.
pub(crate) struct Simulated {
    ring: SimRing,
    /// Nobody listens where the ring connects to.
    refuses: bool,
}

impl Simulated {
    pub(crate) fn new(needs: Needs, seed: u64) -> Self {
        let setup = Setup {
            spawn: 4,
            listeners: 2,
            fixed: fixed_bytes(Self::LARGE),
            buffers: needs.buffers,
            buffer_bytes: needs.buffer_bytes,
            entries: 64,
            unix_seconds: 0,
            faults: false,
            trace: false,
        };
        Self { ring: SimRing::new(setup, Random::from_seed(seed)), refuses: false }
    }
}

impl Rig for Simulated {
    type R = SimRing;

    const LARGE: u32 = 200_000;

    fn ring(&mut self) -> &mut SimRing {
        &mut self.ring
    }

    fn connect(&mut self, listener: u32) -> Peer {
        Peer(self.ring.network_mut().connect(listener, 64 * 1024).0 as usize)
    }

    fn answer(&mut self) -> Option<Peer> {
        let network = self.ring.network_mut();
        let link = network.take_dialed().expect("the ring connects");
        if self.refuses {
            network.refuses(link);
            return None;
        }
        network.answers(link);
        Some(Peer(link.0 as usize))
    }

    fn stop_answering(&mut self) {
        self.refuses = true;
    }

    fn refuses(&mut self, listener: u32) -> bool {
        let link = self.ring.network_mut().connect(listener, 1);
        self.ring.network_mut().link(link).is_reset()
    }

    fn write(&mut self, peer: Peer, bytes: &[u8]) {
        assert_eq!(self.ring.network_mut().peer_sends(link(peer), bytes), bytes.len());
    }

    fn read(&mut self, peer: Peer) -> Read {
        match self.ring.network_mut().peer_reads(link(peer), usize::MAX) {
            LinkRead::Bytes(bytes) => Read::Bytes(bytes),
            LinkRead::Nothing => Read::Nothing,
            LinkRead::End => Read::End,
            LinkRead::Reset => Read::Reset,
        }
    }

    fn finish(&mut self, peer: Peer) {
        self.ring.network_mut().peer_finishes(link(peer));
    }

    fn reset(&mut self, peer: Peer) {
        self.ring.network_mut().resets(link(peer));
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.ring.violation(), None, "the tests keep the rules");
        }
    }
}

fn link(peer: Peer) -> LinkId {
    LinkId(u32::try_from(peer.0).expect("few peers"))
}
