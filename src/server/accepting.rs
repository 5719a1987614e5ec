//! How connections get in. There are never more than `spawn` of them, none is turned
//! away, and no client keeps a slot from others without using it.
//!
//! A slot is reserved before a connection is accepted into it, so the connection limit is exact.
//! Several accepts are armed on each listener: a burst of connections must not take one turn of the
//! loop each while open connections keep the loop busy. With several listeners and fewer slots, a
//! slot reserved for a listener with an empty backlog moves to a listener with a connection in it.
//! A server that shares its listeners tries the first listener once more before the slot moves: the
//! accept that was cancelled may have taken a wake-up that no other server gets.
//!
//! With no slot left, listeners are only watched. While a connection waits in a backlog, the
//! connection that has made the least use of its slot makes room:
//!
//! 1. a connection that has been in the middle of a request for more than [`UNFINISHED_MIN`]: in a
//!    head, in a body, in a slow response, or lingering after the last response, however fast the
//!    rest of the input arrives ([`super::lingering`]); the longest first;
//! 2. a connection that has been idle for [`IDLE_MIN`], the longest first, or for [`QUIET_MIN`] if
//!    all connections are idle;
//! 3. otherwise a busy connection: its next response has `Connection: close`, so that no request is
//!    lost. It has had its slot for [`TENURE_MIN`]. A connection is busy if less than [`BUSY_MAX`]
//!    lies between two of its requests, or if a part of the next head arrives with each request. As
//!    the wait in the backlog grows, a connection with longer pauses gives way, too: pauses of up
//!    to half of that wait.
//!
//! The listener for health checks has slots of its own, so that it answers when all others are
//! taken; among them, only the first rule makes room.

use super::acceptor::{AcceptState, Class, ListenerState, PAUSE_MIN, Reservation, Watch};
use super::connection::Connection;
use super::worker::Server;
use crate::engine::{Completion, Engine, Errno, Full, Kind, Nanos, Op, Slot, Token};
use crate::http1::Timeout;
use crate::timers::Kinds;
use std::time::Duration;

impl<E: Engine> Server<E> {
    /// Arms accepts while slots are free, and watches the listeners that get none.
    pub(super) fn arm_accepts(&mut self) {
        let count = self.acceptor.listeners.len();
        for listener in &mut self.acceptor.listeners {
            listener.paused_until = listener.paused_until.filter(|&until| until > self.now);
        }
        self.acceptor.adapt(&self.config);
        // Each listener gets one accept before any gets a second; a backlog comes first.
        for accepts in 1..=self.acceptor.accepts {
            for only_backlog in [true, false] {
                for step in 0..count {
                    let index = (self.acceptor.first + step) % count;
                    let has_backlog = self.backlog_since(&self.acceptor.listeners[index]).is_some();
                    if self.acceptor.lacks(index, accepts) && (has_backlog || !only_backlog) {
                        self.arm_accept(index);
                    }
                }
            }
            if self.acceptor.is_full(Class::Public) {
                break;
            }
        }
        self.acceptor.first = (self.acceptor.first + 1) % count.max(1);
        self.cancel_surplus_accepts();
        for &class in Class::ALL {
            self.make_room(class);
        }
    }

    fn arm_accept(&mut self, index: usize) {
        let number = number_of(index);
        let ListenerState { class, accepts, watch, waiting_since, is_closed, .. } =
            self.acceptor.listeners[index];
        let is_proxied = self.config.proxied.contains(index);
        if is_closed || !self.life.accepts_from(class) || self.acceptor.max(class) == 0 {
            return;
        }
        if !self.acceptor.is_full(class) {
            let entry = self.connections.vacant_entry();
            let slot = Slot(u32::try_from(entry.key()).expect("slots are counted by u32"));
            let generation = self.generations[slot.0 as usize];
            entry.insert(Connection::reserved(slot, generation, class, is_proxied));
            self.acceptor.slots[class.index()].used += 1;
            let state = AcceptState::Waiting;
            self.acceptor.reserved.push(Reservation { slot, listener: index, state });
            self.acceptor.listeners[index].accepts += 1;
            let op = Op::Accept { listener: number, slot };
            self.push((Token::new(Kind::Accept, generation, slot.0), op));
        } else if accepts == 0
            && watch == Watch::Idle
            && (waiting_since.is_none() || self.is_report_due(index))
        {
            self.acceptor.listeners[index].watch = Watch::Armed;
            self.acceptor.listeners[index].is_watched_when_full = self.others_are_full(class);
            self.push((Token::new(Kind::Watch, 0, number), Op::Watch { listener: number }));
        }
    }

    /// Whether a watch has to report again that a connection waits, because another server may have
    /// accepted it since the last report.
    fn is_report_due(&self, listener: usize) -> bool {
        let reported = self.acceptor.listeners[listener].reported;
        self.supervision.is_some() && reported.plus(REPORT_EVERY) <= self.now
    }

    /// Whether a listener's connection has been reported so lately that it is taken to wait still.
    fn is_report_fresh(&self, listener: &ListenerState) -> bool {
        self.supervision.is_none() || listener.reported.plus(2 * REPORT_EVERY) > self.now
    }

    /// When a connection was first reported in the backlog of a listener, if one is taken to wait
    /// there still.
    fn backlog_since(&self, listener: &ListenerState) -> Option<Nanos> {
        listener.waiting_since.filter(|_| self.is_report_fresh(listener))
    }

    /// Whether a connection in the backlog is for this server to make room for, and not for another
    /// one that has a free slot.
    fn others_are_full(&self, class: Class) -> bool {
        let supervision = self.supervision.as_ref().filter(|_| class == Class::Public);
        !supervision.is_some_and(|supervision| supervision.others_have_room())
    }

    /// When a connection in a backlog was first reported, if no slot of any server is free or about
    /// to be.
    fn room_wanted_since(&self, class: Class) -> Option<Nanos> {
        self.slot_wanted_since(class).filter(|_| self.has_to_make_room(class))
    }

    /// Whether no server has a free slot, and a connection was found waiting since then.
    fn has_to_make_room(&self, class: Class) -> bool {
        let waits_when_full = |listener: &ListenerState| {
            listener.class == class
                && listener.is_reported_when_full
                && self.backlog_since(listener).is_some()
        };
        // A slot that is reserved for a listener may turn out to be free: the connection that was
        // reported there may be another server's by now.
        let has_reserved =
            self.supervision.is_some() && self.acceptor.live(class) < self.acceptor.max(class);
        !has_reserved
            && self.others_are_full(class)
            && self.acceptor.listeners.iter().any(waits_when_full)
    }

    /// When a connection in a backlog was first reported, if no slot of this server is free or
    /// about to be.
    fn slot_wanted_since(&self, class: Class) -> Option<Nanos> {
        if !self.acceptor.is_full(class) || self.leaving > 0 || !self.life.accepts_from(class) {
            return None;
        }
        let mut reserved = self.acceptor.reserved.iter();
        if reserved.any(|reservation| reservation.state != AcceptState::Waiting) {
            return None;
        }
        let is_full = |listener: &&ListenerState| {
            listener.class == class && listener.accepts == 0 && listener.paused_until.is_none()
        };
        let listeners = self.acceptor.listeners.iter().filter(is_full);
        listeners.filter_map(|listener| self.backlog_since(listener)).min()
    }

    /// Begins to free a slot for a connection in a backlog, if there is one. A slot that is
    /// reserved for another listener costs no connection, and is freed even if other servers have
    /// room: their free slots may be reserved for that listener, too.
    fn make_room(&mut self, class: Class) {
        if self.slot_wanted_since(class).is_none() {
            return;
        }
        let is_unused = |it: &Reservation| {
            let listener = &self.acceptor.listeners[it.listener];
            listener.class == class && self.backlog_since(listener).is_none()
        };
        if let Some(unused) = self.acceptor.reserved.iter().position(is_unused) {
            let is_shared = self.supervision.is_some();
            let state = if is_shared { AcceptState::Yielding } else { AcceptState::Cancelled };
            self.cancel_accept(unused, state);
            return;
        }
        if !self.has_to_make_room(class) {
            return;
        }
        if let Some(slot) = self.longest_unfinished(class) {
            self.displace(slot);
            return;
        }
        // Connections for health checks end with their first response.
        if class == Class::Public
            && let Some((slot, since)) = self.timers.longest(Timeout::Idle)
            && since.plus(self.idle_min()) <= self.now
            && !self.end_if_idle(slot)
        {
            // Its last send may have completed without a wake-up.
            self.poll_now |= self.is_sending(slot);
        }
    }

    /// Cancels accepts in flight that hold more slots than the allowance has.
    fn cancel_surplus_accepts(&mut self) {
        let (used, max) = (self.acceptor.used(Class::Public), self.acceptor.max(Class::Public));
        let mut surplus = used.saturating_sub(max);
        for place in 0..self.acceptor.reserved.len() {
            let listener = self.acceptor.reserved[place].listener;
            if self.acceptor.listeners[listener].class != Class::Public {
                continue;
            }
            if surplus == 0 {
                return;
            }
            surplus -= 1;
            self.cancel_accept(place, AcceptState::Cancelled);
        }
    }

    /// Cancels those accepts in flight that are meant, to be armed again when they have ended: each
    /// tries to accept at once when it is armed.
    pub(super) fn renew_accepts(&mut self, is_meant: impl Fn(&Reservation) -> bool) {
        for place in 0..self.acceptor.reserved.len() {
            if is_meant(&self.acceptor.reserved[place]) {
                self.cancel_accept(place, AcceptState::Cancelled);
            }
        }
    }

    /// Tries once to accept from a listener into a slot that has become free: the accept, which the
    /// engine tries at its submission, is pushed together with its cancel. So it takes a connection
    /// whose wake-up was lost with an accept that was cancelled before. It takes no wake-up from a
    /// server that waits: it is the last in the queue of waiters, and the kernel wakes the first.
    fn try_accept(&mut self, listener: usize) {
        let place = self.acceptor.reserved.len();
        self.arm_accept(listener);
        if place < self.acceptor.reserved.len() {
            self.cancel_accept(place, AcceptState::Cancelled);
        }
    }

    /// Cancels the accept of a reservation, by its place, unless that was done before.
    fn cancel_accept(&mut self, place: usize, state: AcceptState) {
        let reservation = &mut self.acceptor.reserved[place];
        if reservation.state != AcceptState::Waiting {
            return;
        }
        reservation.state = state;
        let slot = reservation.slot;
        let target = Token::new(Kind::Accept, self.generations[slot.0 as usize], slot.0);
        self.push((target.with_kind(Kind::CancelAccept), Op::Cancel { target }));
    }

    /// Cancels the accepts and watches of these classes; [`Self::stop_listeners`] follows when they
    /// have completed. In a drain, accepts for health checks go on, because health checks announce
    /// it.
    ///
    /// The accepts are cancelled instead of shutting the socket down, because shutdown(2) would end
    /// it for every process that accepts from it.
    pub(super) fn cancel_accepts(&mut self, classes: &[Class]) {
        for place in 0..self.acceptor.reserved.len() {
            let listener = self.acceptor.reserved[place].listener;
            if classes.contains(&self.acceptor.listeners[listener].class) {
                self.cancel_accept(place, AcceptState::Cancelled);
            }
        }
        for index in 0..self.acceptor.listeners.len() {
            let ListenerState { class, watch, .. } = self.acceptor.listeners[index];
            if classes.contains(&class) && watch != Watch::Idle {
                let target = Token::new(Kind::Watch, 0, number_of(index));
                self.push((target.with_kind(Kind::CancelAccept), Op::Cancel { target }));
            }
        }
    }

    /// During a drain or a retirement, has the engine close each listener on which no operation is
    /// in flight and will be.
    pub(super) fn stop_listeners(&mut self) {
        if !self.life.ends_connections() {
            return;
        }
        for index in 0..self.acceptor.listeners.len() {
            let ListenerState { class, accepts, watch, is_closed, .. } =
                self.acceptor.listeners[index];
            if self.life.accepts_from(class) || is_closed || accepts > 0 || watch != Watch::Idle {
                continue;
            }
            match self.engine.stop_listening(number_of(index)) {
                Ok(()) => self.acceptor.listeners[index].is_closed = true,
                Err(Full) => self.poll_now = true,
            }
        }
    }

    /// How long a connection must have been idle to make room.
    fn idle_min(&self) -> Duration {
        match self.quiet_from() {
            Some(quiet) if quiet <= self.now => QUIET_MIN,
            Some(_) | None => IDLE_MIN,
        }
    }

    /// The moment at which all connections have been idle for [`QUIET_MIN`], if all are idle.
    fn quiet_from(&self) -> Option<Nanos> {
        let none_begun = self.unfinished.longest(Class::Public).is_none() && self.giving_way == 0;
        let newest = self.timers.newest(Timeout::Idle).filter(|_| none_begun);
        newest.map(|since| since.plus(QUIET_MIN))
    }

    /// The connection that has been in the middle of a request for longest, if that is longer than
    /// [`UNFINISHED_MIN`]. A connection that is held up without its client's fault goes to the end
    /// of the list.
    fn longest_unfinished(&mut self, class: Class) -> Option<Slot> {
        for _ in 0..UNFINISHED_TRIES {
            let (slot, since) = self.unfinished.longest(class)?;
            if since.plus(UNFINISHED_MIN) > self.now {
                return None;
            }
            if !self.connections[slot.0 as usize].is_held_up(self.now) {
                return Some(slot);
            }
            self.unfinished.arm(slot, class, self.now);
        }
        None
    }

    /// Whether the next response of a busy connection is to be its last, so that its slot goes to
    /// a connection in a backlog (rule 3).
    pub(super) fn should_give_way(&self, slot: Slot) -> bool {
        if !self.acceptor.is_full(Class::Public) || self.giving_way >= GIVING_WAY_MAX {
            return false;
        }
        let Some(waiting_since) = self.room_wanted_since(Class::Public) else { return false };
        let connection = &self.connections[slot.0 as usize];
        let Some(since) = self.timers.since(slot) else { return false };
        let gap_ns = self.now.0 - since.0;
        let waited_ns = self.now.0 - waiting_since.0;
        let is_busy = match self.timers.kind(slot) {
            Some(Timeout::Head) => true,
            _ => since.plus(BUSY_MAX) > self.now,
        };
        connection.is_older_than(TENURE_MIN, self.now) && (is_busy || 2 * gap_ns < waited_ns)
    }

    /// When the acceptor has to act even if no operation completes.
    pub(super) fn acceptor_deadline(&self) -> Option<Nanos> {
        let paused =
            self.acceptor.listeners.iter().filter_map(|listener| listener.paused_until).min();
        let room = Class::ALL.iter().filter_map(|&class| self.room_deadline(class)).min();
        [paused, room, self.report_deadline()].into_iter().flatten().min()
    }

    /// When a watch has to be armed again because its last report is too old.
    fn report_deadline(&self) -> Option<Nanos> {
        self.supervision.as_ref()?;
        let is_waiting = |listener: &&ListenerState| {
            listener.waiting_since.is_some()
                && listener.accepts == 0
                && listener.watch == Watch::Idle
                && self.life.accepts_from(listener.class)
                && self.acceptor.max(listener.class) > 0
        };
        let listeners = self.acceptor.listeners.iter().filter(is_waiting);
        listeners.map(|listener| listener.reported.plus(REPORT_EVERY)).min()
    }

    /// When the next connection will be late enough to make room.
    fn room_deadline(&self, class: Class) -> Option<Nanos> {
        self.room_wanted_since(class)?;
        let unfinished = self.unfinished.longest(class);
        let idle = self.timers.longest(Timeout::Idle).filter(|_| class == Class::Public);
        // A past moment was tried already; the completion that held it back causes a wake-up.
        [
            unfinished.map(|(_, since)| since.plus(UNFINISHED_MIN)),
            idle.map(|(_, since)| since.plus(IDLE_MIN)),
            idle.and(self.quiet_from()),
        ]
        .into_iter()
        .flatten()
        .filter(|&end| end > self.now)
        .min()
    }

    pub(super) fn watched(&mut self, completion: Completion) {
        let index = completion.token.index() as usize;
        let is_fresh = self.is_report_fresh(&self.acceptor.listeners[index]);
        let listener = &mut self.acceptor.listeners[index];
        if listener.watch == Watch::Armed && completion.result.is_ok() {
            listener.waiting_since = listener.waiting_since.filter(|_| is_fresh).or(Some(self.now));
            listener.reported = self.now;
            listener.is_reported_when_full = listener.is_watched_when_full;
        }
        listener.watch = Watch::Idle;
    }

    pub(super) fn accepted(&mut self, completion: Completion) {
        let slot = Slot(completion.token.index());
        completion.token.assert_life(self.generations[slot.0 as usize]);
        let Reservation { listener: number, state, .. } = self.acceptor.unreserve(slot);
        let listener = &mut self.acceptor.listeners[number];
        match completion.result {
            Ok(_) => {
                listener.pause = PAUSE_MIN;
                listener.waiting_since = None;
                if listener.watch == Watch::Armed {
                    listener.watch = Watch::Stale;
                }
                self.begin(slot);
            }
            Err(errno) => {
                let was_cancelled = errno == Errno(libc::ECANCELED);
                listener.waiting_since = listener.waiting_since.filter(|_| was_cancelled);
                self.free(slot);
                self.accept_failed(number, errno);
                if was_cancelled && state == AcceptState::Yielding {
                    self.try_accept(number);
                }
            }
        }
    }

    /// An error of an accept never ends the server, and never makes its loop spin.
    fn accept_failed(&mut self, index: usize, errno: Errno) {
        let listener = &mut self.acceptor.listeners[index];
        match errno.0 {
            libc::ECANCELED => return,
            // The client or its network is gone; the connection has left the backlog (accept(2)).
            libc::ECONNABORTED | libc::EINTR | libc::EAGAIN | libc::EPROTO | libc::EPERM => {}
            // Other accepts that were in flight failed for the same reason.
            _ if listener.paused_until.is_some() => {}
            // No descriptors, no memory, or an unknown error: it may not last.
            _ => {
                listener.paused_until = Some(self.now.plus(listener.pause));
                listener.pause = (listener.pause * 2).min(PAUSE_MAX);
                // The connection is still in the backlog, and the kernel wakes no other accept for
                // it. Without accepts in flight, one is armed after the pause, and takes it.
                self.renew_accepts(|reservation| reservation.listener == index);
            }
        }
        self.stats.errors.accepts += 1;
    }
}

fn number_of(listener: usize) -> u32 {
    u32::try_from(listener).expect("listeners are counted by u32")
}

/// How often a full server that shares its listeners makes sure that a connection still waits.
const REPORT_EVERY: Duration = Duration::from_millis(10);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// A connection that completed a request more recently than this is not idle: a client with one
/// request per second keeps its connection.
const IDLE_MIN: Duration = Duration::from_millis(1500);
/// If no connection completed a request more recently than this, the longest idle makes room.
const QUIET_MIN: Duration = Duration::from_millis(100);
/// How long a request may take while connections wait in a backlog.
const UNFINISHED_MIN: Duration = Duration::from_secs(2);
/// How many connections one turn examines under rule 1.
const UNFINISHED_TRIES: u32 = 16;
/// How long a connection keeps its slot at least before it gives way under rule 3.
const TENURE_MIN: Duration = Duration::from_secs(1);
/// The longest pause between two requests of a busy connection.
const BUSY_MAX: Duration = Duration::from_millis(500);
/// How many connections give way at one time. A client that closes after its last response does
/// so within a round trip.
const GIVING_WAY_MAX: u32 = 4;
