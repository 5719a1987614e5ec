//! One virtual time for a network, the peers on it, and any number of servers and load clients.

use super::crowd::Crowd;
use super::participant::{Participant, ParticipantTurn};
use crate::engine::Nanos;
use crate::engine::sim::{FaultCounters, ListenerId, Network, SimEngine};
use crate::server::Server;

pub(super) struct World<'a> {
    pub(super) network: Network,
    pub(super) crowd: Crowd,
    participants: Vec<Participant<'a>>,
    now: Nanos,
}

/// The number of a participant, in the order of their addition.
pub(super) type ParticipantIndex = usize;

/// The outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorldStep {
    /// A participant took a turn.
    Turn(ParticipantIndex, ParticipantTurn),
    /// No event is pending, and every participant waits for one.
    Idle,
}

/// The owner of an event.
#[derive(Clone, Copy)]
enum EventOwner {
    Participant(ParticipantIndex),
    Crowd,
}

impl<'a> World<'a> {
    /// A world at the virtual time 0 with no participants.
    pub(super) fn new(network: Network, crowd: Crowd) -> Self {
        Self { network, crowd, participants: Vec::new(), now: Nanos(0) }
    }

    pub(super) fn add(&mut self, participant: Participant<'a>) -> ParticipantIndex {
        self.participants.push(participant);
        self.participants.len() - 1
    }

    pub(super) fn now(&self) -> Nanos {
        self.now
    }

    pub(super) fn engine(&mut self, index: ParticipantIndex) -> &mut SimEngine {
        self.participants[index].engine()
    }

    pub(super) fn server(&mut self, index: ParticipantIndex) -> &mut Server<SimEngine> {
        match &mut self.participants[index] {
            Participant::Server(server) => server,
            Participant::Client { .. } => panic!("participant {index} is a client"),
        }
    }

    /// Lets time pass until a participant is due, and takes one turn of it.
    ///
    /// # Errors
    /// The rule that was broken.
    pub(super) fn step(&mut self) -> Result<WorldStep, String> {
        loop {
            self.run_due();
            let wakes = self.participants.iter_mut().map(Participant::wakes_at).enumerate();
            let wake = wakes.filter_map(|(index, at)| Some((at?, index))).min();
            if let Some((at, index)) = wake
                && at <= self.now
            {
                return Ok(WorldStep::Turn(index, self.turn(index)?));
            }
            let event = self.next_event().map(|(at, _)| at);
            let Some(next) = wake.map(|(at, _)| at).into_iter().chain(event).min() else {
                return Ok(WorldStep::Idle);
            };
            self.advance_to(next);
        }
    }

    /// Lets all events happen up to `until`, without a turn of a participant.
    pub(super) fn let_time_pass(&mut self, until: Nanos) {
        self.run_due();
        while let Some((next, _)) = self.next_event().filter(|&(next, _)| next <= until) {
            self.advance_to(next);
            self.run_due();
        }
    }

    /// Ends all faults for the rest of the run.
    pub(super) fn stop_faults(&mut self) {
        for participant in &mut self.participants {
            participant.engine().stop_faults();
        }
    }

    /// Closes listeners, as the end of the process that has them does.
    pub(super) fn close_listeners(&mut self, listeners: &[ListenerId]) {
        for &listener in listeners {
            self.network.close_listener(listener);
        }
    }

    /// The counters of all engines.
    pub(super) fn counters(&mut self) -> FaultCounters {
        let mut sum = FaultCounters::default();
        for participant in &mut self.participants {
            sum.add(participant.engine().counters());
        }
        sum
    }

    fn turn(&mut self, index: ParticipantIndex) -> Result<ParticipantTurn, String> {
        let turn = self.participants[index].turn()?;
        // The turn has taken time.
        let now = self.participants[index].engine().time();
        self.advance_to(now);
        Ok(turn)
    }

    fn advance_to(&mut self, now: Nanos) {
        self.now = self.now.max(now);
        for participant in &mut self.participants {
            participant.engine().advance_to(self.now);
        }
    }

    /// The earliest event; at one time, those of engines come first.
    fn next_event(&mut self) -> Option<(Nanos, EventOwner)> {
        let engines = self.participants.iter_mut().enumerate();
        let of_engines = engines.filter_map(|(index, participant)| {
            Some((participant.engine().next_event_at()?, EventOwner::Participant(index)))
        });
        let of_crowd = self.crowd.next_event_at().map(|at| (at, EventOwner::Crowd));
        of_engines.chain(of_crowd).min_by_key(|&(at, _)| at)
    }

    /// Lets the events happen whose time has come, and those that follow from them.
    fn run_due(&mut self) {
        self.notify();
        while let Some((_, owner)) = self.next_event().filter(|&(at, _)| at <= self.now) {
            match owner {
                EventOwner::Participant(index) => {
                    self.participants[index].engine().run_next(&mut self.network);
                }
                EventOwner::Crowd => self.crowd.run_next(self.now, &mut self.network),
            }
            self.notify();
        }
    }

    /// Tells the engines and the peers what changed on the network.
    fn notify(&mut self) {
        let changes = self.network.take_changes();
        if changes.sockets.is_empty() && changes.listeners.is_empty() {
            return;
        }
        for participant in &mut self.participants {
            participant.engine().notify(&changes);
        }
        self.crowd.notify(&changes, self.now, &self.network);
    }
}
