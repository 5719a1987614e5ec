//! A server or a load client in a world, each on a simulated engine of its own: the one place that
//! calls their turns.

use super::tally::Tally;
use crate::engine::Nanos;
use crate::engine::sim::SimEngine;
use crate::load::client::Client;
use crate::server::{Server, Turn};

/// A program in the world.
pub(super) enum Participant<'a> {
    /// A server, and the sums of its records if they are observed.
    Server { server: Box<Server<SimEngine>>, tally: Option<Tally> },
    /// A load client.
    Client {
        client: Box<Client<'a, SimEngine>>,
        /// When its next wait ends at the latest: at once before its first request.
        tick: Option<Nanos>,
        /// It has all its responses and takes no more turns.
        done: bool,
    },
}

/// The outcome of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ParticipantTurn {
    /// More turns follow.
    Goes,
    /// A client has all its responses.
    ClientDone,
    /// A server has ended.
    ServerEnded(Turn),
}

impl<'a> Participant<'a> {
    /// A server. The number of its slots decides whether it is observed, and how.
    pub(super) fn server(mut server: Server<SimEngine>) -> Self {
        let tally = match server.engine_mut().slots() % 3 {
            0 => None,
            rest => Some(Tally::new(rest == 1)),
        };
        if let Some(tally) = &tally {
            server.observe(Box::new(tally.clone()));
        }
        Self::Server { server: Box::new(server), tally }
    }

    pub(super) fn client(client: Client<'a, SimEngine>) -> Self {
        Self::Client { client: Box::new(client), tick: Some(Nanos(0)), done: false }
    }

    pub(super) fn engine(&mut self) -> &mut SimEngine {
        match self {
            Self::Server { server, .. } => server.engine_mut(),
            Self::Client { client, .. } => client.engine_mut(),
        }
    }

    /// When the next turn is due; `None` if no turn is, unless an event happens.
    pub(super) fn wakes_at(&mut self) -> Option<Nanos> {
        match self {
            Self::Client { done: true, .. } => None,
            Self::Client { .. } | Self::Server { .. } => self.engine().wakes_at(),
        }
    }

    /// Takes one turn, and checks the rules of the engine and the connection limit.
    ///
    /// # Errors
    /// The rule that was broken.
    pub(super) fn turn(&mut self) -> Result<ParticipantTurn, String> {
        let unusable = |errno| format!("the engine is unusable: {errno:?}");
        match self {
            Self::Server { server, tally } => {
                let turn = server.turn().map_err(unusable)?;
                server.engine_mut().check_turn().map_err(|why| format!("server: {why}"))?;
                let (live, slots) = (server.live(), server.engine_mut().slots());
                if live as usize > slots {
                    return Err(format!("{live} connections with {slots} slots"));
                }
                if turn != Turn::Goes && !server.are_runs_free() {
                    return Err("a run was not given back".to_owned());
                }
                if let Some(tally) = tally {
                    tally.check(server.stats(), turn != Turn::Goes)?;
                }
                Ok(match turn {
                    Turn::Goes => ParticipantTurn::Goes,
                    Turn::Drained | Turn::Forced { .. } => ParticipantTurn::ServerEnded(turn),
                })
            }
            Self::Client { client, tick, done } => {
                let goes = client.turn(tick.take()).map_err(unusable)?;
                client.engine_mut().check_turn().map_err(|why| format!("client: {why}"))?;
                *done = !goes;
                Ok(if goes { ParticipantTurn::Goes } else { ParticipantTurn::ClientDone })
            }
        }
    }
}
