//! The accepts and the watch that wait for the connections of a listener.
//!
//! Workers share a listening socket, and each registers it in an epoll instance of its own. With
//! `EPOLLEXCLUSIVE` a connection wakes one worker instead of all (`epoll_ctl(2)`). The kernel asks
//! the workers in the order of their registrations and wakes the first that waits, which would
//! always be the same one: registering anew puts a worker at the end of the line. A worker
//! that doesn't sleep, as it has work, isn't woken, so that its place in the line doesn't matter.

use super::connection::errno;
use crate::engine::{Errno, Slot, Token};
use crate::os::net::Listener;
use rustix::event::epoll::{self, EventData, EventFlags};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;

/// The operations on a listener.
pub(super) struct AcceptOps {
    /// The accepts in flight, the oldest first.
    pub(super) accepts: VecDeque<(Token, Slot)>,
    pub(super) watch: Option<Token>,
    /// How many of the accepts, the last ones, were pushed since the last wait.
    fresh: usize,
    /// Accepts that were cancelled before a wait: each tries once, when the registration has gone
    /// that may have taken the wake-up of a connection.
    pub(super) attempts: VecDeque<(Token, Slot)>,
    registered: Option<Registration>,
}

/// How a listener is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Registration {
    /// For accepts, with this number of connections accepted since, after waits for them.
    Exclusive { accepted: u32 },
    /// For a watch, which takes nothing and so mustn't use up the only wake-up of a connection.
    Shared,
}

impl AcceptOps {
    /// A queue with room for the accepts of `slots`.
    pub(super) fn new(slots: u32) -> Self {
        let accepts = VecDeque::with_capacity(slots.min(ACCEPTS_EXPECTED) as usize);
        Self { accepts, watch: None, fresh: 0, attempts: VecDeque::new(), registered: None }
    }

    /// Adds an accept.
    pub(super) fn push(&mut self, token: Token, slot: Slot) {
        self.accepts.push_back((token, slot));
        self.fresh += 1;
    }

    /// Registers the socket exactly while an operation waits for it: a full worker isn't woken for
    /// connections that another one can accept.
    pub(super) fn update(
        &mut self,
        epoll: &OwnedFd,
        listener: &Listener,
        data: u64,
    ) -> Result<(), Errno> {
        self.fresh = 0;
        let is_kept = match self.registered {
            None => self.accepts.is_empty() && self.watch.is_none(),
            Some(Registration::Exclusive { accepted }) => {
                !self.accepts.is_empty() && accepted < ACCEPTS_IN_A_ROW
            }
            Some(Registration::Shared) => self.accepts.is_empty() && self.watch.is_some(),
        };
        if is_kept {
            return Ok(());
        }
        self.unregister(epoll, listener)?;
        let (flags, registration) = match (self.accepts.is_empty(), self.watch) {
            (false, _) => (EventFlags::EXCLUSIVE, Registration::Exclusive { accepted: 0 }),
            (true, Some(_)) => (EventFlags::empty(), Registration::Shared),
            (true, None) => return Ok(()),
        };
        let (data, flags) = (EventData::new_u64(data), flags | EventFlags::IN);
        epoll::add(epoll, listener.socket(), data, flags).map_err(errno)?;
        self.registered = Some(registration);
        Ok(())
    }

    /// Takes the registration back. Closing the socket would not do it while another process has
    /// the socket, too (epoll(7)).
    pub(super) fn unregister(&mut self, epoll: &OwnedFd, listener: &Listener) -> Result<(), Errno> {
        match self.registered.take() {
            Some(_) => epoll::delete(epoll, listener.socket()).map_err(errno),
            None => Ok(()),
        }
    }

    /// The accept that a reported connection completes: not one that was pushed since the wait.
    pub(super) fn next_accept(&self) -> Option<(Token, Slot)> {
        self.accepts.front().filter(|_| self.accepts.len() > self.fresh).copied()
    }

    /// Removes the accept that has a connection, and counts the connection if the worker may have
    /// been woken for it.
    pub(super) fn accepted(&mut self, may_have_slept: bool) {
        self.accepts.pop_front();
        if let Some(Registration::Exclusive { accepted }) = &mut self.registered
            && may_have_slept
        {
            *accepted += 1;
        }
    }

    /// Cancels an accept or a watch.
    pub(super) fn cancel(&mut self, target: Token) -> Cancelled {
        if self.watch == Some(target) {
            self.watch = None;
            return Cancelled::Ended;
        }
        let Some(place) = self.accepts.iter().position(|&(token, _)| token == target) else {
            return Cancelled::NotFound;
        };
        let is_fresh = place >= self.accepts.len() - self.fresh;
        let accept = self.accepts.remove(place);
        if !is_fresh {
            // The next accept has to find a connection whose wake-up is lost, as one that is
            // cancelled for this purpose expects: a registration reports the present state.
            if let Some(Registration::Exclusive { accepted }) = &mut self.registered {
                *accepted = ACCEPTS_IN_A_ROW;
            }
            return Cancelled::Ended;
        }
        self.fresh -= 1;
        self.attempts.extend(accept);
        Cancelled::TriesOnce
    }
}

/// The outcome of a cancellation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cancelled {
    NotFound,
    Ended,
    /// Its completion comes with the next wait.
    TriesOnce,
}

/// How many connections a worker accepts before it lets others go first. Two system calls for each
/// of them are little beside the connection's own.
const ACCEPTS_IN_A_ROW: u32 = 4;
/// Accepts in flight for which there is room from the start: the servers' most.
const ACCEPTS_EXPECTED: u32 = 64;
