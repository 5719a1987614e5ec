//! What lies between two simulated networks: the links that the client's ring began on one, and
//! what the server's ring hears of them on the other; and how two rings share one time.

use super::network::{LinkId, Network, Read};
use super::ring::SimRing;
use crate::engine::Nanos;

/// Links of a client, each with the one that a server has of it.
#[derive(Debug, Default)]
pub(super) struct Wire {
    pairs: Vec<Pair>,
    /// How many connections were established.
    pub(super) established: u32,
}

#[derive(Clone, Copy, Debug)]
struct Pair {
    client: LinkId,
    server: LinkId,
}

impl Wire {
    /// Carries everything that can be carried, and makes both rings notice it.
    pub(super) fn carry(&mut self, client: &mut SimRing, server: &mut SimRing, listeners: u32) {
        while let Some(link) = client.network.take_dialed() {
            self.establish(link, client, server, listeners);
        }
        self.pairs.retain(|&Pair { client: up, server: down }| {
            carry_one_way(&mut client.network, up, &mut server.network, down);
            carry_one_way(&mut server.network, down, &mut client.network, up);
            let (up, down) = (client.network.link(up), server.network.link(down));
            !(up.is_over() && down.is_over())
        });
        let now = client.time().max(server.time());
        client.catch_up(now);
        server.catch_up(now);
    }

    fn establish(
        &mut self,
        link: LinkId,
        client: &mut SimRing,
        server: &mut SimRing,
        listeners: u32,
    ) {
        let window = server.random.pick(&[64 * 1024, 4096, 1000]);
        let down = server.network.connect(link.0 % listeners, window);
        if server.network.link(down).is_reset() {
            return client.network.refuses(link);
        }
        client.network.answers(link);
        self.established += 1;
        self.pairs.push(Pair { client: link, server: down });
    }
}

impl SimRing {
    /// This ring's user may let bytes lie that came during a lazy send: a client that has nothing
    /// to ask is in no hurry.
    pub(super) fn allow_leisure(&mut self) {
        self.checks_hurry = false;
    }

    /// When something happens here at the earliest, be it that its user wakes up.
    pub(super) fn next_moment(&self) -> Option<Nanos> {
        if !self.interrupted || !self.queue.is_empty() || !self.arrived.is_empty() {
            return Some(self.time);
        }
        [self.events.next(), self.deadline].into_iter().flatten().min().map(|at| at.max(self.time))
    }

    /// Another ring is at the other end of the network. The next wait ends at this moment at the
    /// latest, and when something changes for the other one.
    pub(super) fn wait_with_other(&mut self, horizon: Option<Nanos>) {
        self.paired = true;
        self.horizon = horizon;
    }

    /// It is this late by now elsewhere, too; then what others did to the network is noticed.
    pub(super) fn catch_up(&mut self, time: Nanos) {
        self.time = self.time.max(time);
        self.spread();
    }
}

/// Carries what one ring's user has sent to the other's.
fn carry_one_way(from: &mut Network, sent: LinkId, to: &mut Network, heard: LinkId) {
    loop {
        let link = to.link(heard);
        if link.is_reset() {
            return;
        }
        // What is sent to somebody who has closed is taken, and answered with a reset.
        let room = if link.user_is_closed() { usize::MAX } else { link.room_for_peer() };
        if room == 0 && !from.link(sent).is_reset() {
            return;
        }
        match from.peer_reads(sent, room) {
            Read::Bytes(bytes) => {
                let taken = to.peer_sends(heard, &bytes);
                assert_eq!(taken, bytes.len(), "there was room for it");
            }
            Read::Nothing => return,
            Read::End => {
                if link.peer_is_open() {
                    to.peer_finishes(heard);
                }
                return;
            }
            Read::Reset => return to.resets(heard),
        }
    }
}
