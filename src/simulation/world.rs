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
    /// Of each participant, whether its process takes turns.
    processes: Vec<ProcessState>,
    faults_are_over: bool,
    now: Nanos,
}

/// The state of the process of a participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProcessState {
    Runs,
    /// It takes no turns, and no operation of its engine has an effect: the kernel does the work of
    /// a ring when its process enters it (`IORING_SETUP_DEFER_TASKRUN`).
    Hangs,
    /// It ended; its sockets may still be open.
    Ended,
}

/// The number of a participant, in the order of their addition.
pub(super) type ParticipantIndex = usize;

/// The outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorldStep {
    /// A participant took a turn.
    Turn(ParticipantIndex, ParticipantTurn),
    /// Nothing happens before the given time, or ever.
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
        let (participants, processes) = (Vec::new(), Vec::new());
        Self { network, crowd, participants, processes, faults_are_over: false, now: Nanos(0) }
    }

    pub(super) fn add(&mut self, mut participant: Participant<'a>) -> ParticipantIndex {
        if self.faults_are_over {
            participant.engine().stop_faults();
        }
        self.participants.push(participant);
        self.processes.push(ProcessState::Runs);
        self.participants.len() - 1
    }

    /// Has a process take no turns until [`World::resume`].
    pub(super) fn hang(&mut self, index: ParticipantIndex) {
        self.processes[index] = ProcessState::Hangs;
    }

    pub(super) fn resume(&mut self, index: ParticipantIndex) {
        if self.processes[index] == ProcessState::Hangs {
            self.processes[index] = ProcessState::Runs;
        }
    }

    /// Ends a process, at any moment; its sockets stay open until [`World::close_sockets`].
    pub(super) fn kill(&mut self, index: ParticipantIndex) {
        self.processes[index] = ProcessState::Ended;
        self.participants[index].engine().die(&mut self.network);
    }

    pub(super) fn close_sockets(&mut self, index: ParticipantIndex) {
        self.participants[index].engine().close_all(&mut self.network);
    }

    pub(super) fn now(&self) -> Nanos {
        self.now
    }

    pub(super) fn engine(&mut self, index: ParticipantIndex) -> &mut SimEngine {
        self.participants[index].engine()
    }

    pub(super) fn server(&mut self, index: ParticipantIndex) -> &mut Server<SimEngine> {
        match &mut self.participants[index] {
            Participant::Server { server, .. } => server,
            Participant::Client { .. } => panic!("participant {index} is a client"),
        }
    }

    /// Lets time pass until a participant is due, and takes one turn of it.
    ///
    /// # Errors
    /// The rule that was broken.
    pub(super) fn step(&mut self) -> Result<WorldStep, String> {
        self.step_before(None)
    }

    /// The same up to a time, which is reached if no participant is due before.
    ///
    /// # Errors
    /// The rule that was broken.
    pub(super) fn step_before(&mut self, limit: Option<Nanos>) -> Result<WorldStep, String> {
        loop {
            self.run_due();
            let wakes = self.running().map(|(index, it)| Some((it.wakes_at()?, index)));
            let wake = wakes.flatten().min();
            if let Some((at, index)) = wake
                && at <= self.now
            {
                return Ok(WorldStep::Turn(index, self.turn(index)?));
            }
            let event = self.next_event().map(|(at, _)| at);
            let next = wake.map(|(at, _)| at).into_iter().chain(event).min();
            match (next, limit) {
                (Some(next), Some(limit)) if next > limit => self.advance_to(limit),
                (None, Some(limit)) => self.advance_to(limit),
                (None, None) => {}
                (Some(next), _) => {
                    self.advance_to(next);
                    continue;
                }
            }
            return Ok(WorldStep::Idle);
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
        self.faults_are_over = true;
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

    /// The participants whose processes take turns.
    fn running(&mut self) -> impl Iterator<Item = (ParticipantIndex, &mut Participant<'a>)> {
        let participants = self.participants.iter_mut().zip(&self.processes).enumerate();
        let running = participants.filter(|(_, (_, state))| **state == ProcessState::Runs);
        running.map(|(index, (participant, _))| (index, participant))
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
        let of_crowd = self.crowd.next_event_at().map(|at| (at, EventOwner::Crowd));
        let of_engines = self.running().filter_map(|(index, participant)| {
            Some((participant.engine().next_event_at()?, EventOwner::Participant(index)))
        });
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
        for (participant, state) in self.participants.iter_mut().zip(&self.processes) {
            if *state != ProcessState::Ended {
                participant.engine().notify(&changes);
            }
        }
        self.crowd.notify(&changes, self.now, &self.network);
    }
}
