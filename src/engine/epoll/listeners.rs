//! The accepts and the watch that wait for the connections of a listener.
//!
//! Workers share a listening socket, and each registers it in an epoll instance of its own. With
//! `EPOLLEXCLUSIVE` a connection wakes one worker instead of all (`epoll_ctl(2)`). The kernel asks
//! the workers in the order of their registrations and wakes the first that waits, which would
//! always be the same one: registering anew puts a worker at the end of the line.

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
    registered: Option<Registration>,
}

/// How a listener is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Registration {
    /// For accepts, with this number of connections accepted since.
    Exclusive { accepted: u32 },
    /// For a watch, which takes nothing and so mustn't use up the only wake-up of a connection.
    Shared,
}

impl AcceptOps {
    /// A queue with room for the accepts of `slots`.
    pub(super) fn new(slots: u32) -> Self {
        let accepts = VecDeque::with_capacity(slots.min(ACCEPTS_EXPECTED) as usize);
        Self { accepts, watch: None, registered: None }
    }

    /// Registers the socket exactly while an operation waits for it: a full worker isn't woken for
    /// connections that another one can accept.
    pub(super) fn update(
        &mut self,
        epoll: &OwnedFd,
        listener: &Listener,
        data: u64,
    ) -> Result<(), Errno> {
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

    /// Counts a connection that was accepted.
    pub(super) fn count(&mut self) {
        if let Some(Registration::Exclusive { accepted }) = &mut self.registered {
            *accepted += 1;
        }
    }

    /// Removes an accept or a watch.
    pub(super) fn cancel(&mut self, target: Token) -> bool {
        if self.watch == Some(target) {
            self.watch = None;
            return true;
        }
        let place = self.accepts.iter().position(|&(token, _)| token == target);
        place.and_then(|place| self.accepts.remove(place)).is_some()
    }
}

/// How many connections a worker accepts before it lets others go first. Two system calls for each
/// of them are little beside the connection's own.
const ACCEPTS_IN_A_ROW: u32 = 4;
/// Accepts in flight for which there is room from the start: the servers' most.
const ACCEPTS_EXPECTED: u32 = 64;
