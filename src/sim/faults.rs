//! What goes wrong in a simulated run, how often, and what marked on the way: the counters by
//! which a batch of runs shows that it has been everywhere.

use super::random::Random;
use std::collections::BTreeMap;

/// Something that goes wrong though no peer misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A send takes only part of its bytes.
    ShortSend,
    /// A send takes nothing though there seemed to be room.
    SendAgain,
    /// The network breaks a connection.
    Reset,
    /// A receive finds no buffer.
    NoBuffers,
    /// A receive that goes on ends with its data.
    ReceiveEnds,
    /// A cancel comes too late: its target completes with what had arrived.
    CancelLost,
    /// An accept fails: the process has no descriptor left.
    AcceptEmfile,
    /// An accept fails: the system has no file left.
    AcceptEnfile,
    /// An accept fails: no memory for buffers.
    AcceptNobufs,
    /// An accept fails: the peer was gone before.
    AcceptAborted,
    /// The submission queue is full before it need be.
    QueueFull,
    /// Entries stay in the queue for want of memory.
    SubmitLater,
    /// A wait ends with nothing to show.
    Spurious,
    /// A completion comes long after its time.
    Late,
    /// The completion of a send comes when the second has changed: its bytes must not have.
    SendLate,
    /// A connect is refused.
    ConnectRefused,
    /// A connect is never answered.
    ConnectLost,
    /// A connect finds no free local port.
    NoLocalPort,
}

impl Fault {
    /// All of them, with how often they strike: in so many of 1000 cases.
    pub const ALL: [(Self, u32); 18] = [
        (Self::ShortSend, 60),
        (Self::SendAgain, 40),
        (Self::Reset, 4),
        (Self::NoBuffers, 20),
        (Self::ReceiveEnds, 30),
        (Self::CancelLost, 400),
        (Self::AcceptEmfile, 15),
        (Self::AcceptEnfile, 10),
        (Self::AcceptNobufs, 10),
        (Self::AcceptAborted, 20),
        (Self::QueueFull, 20),
        (Self::SubmitLater, 10),
        (Self::Spurious, 20),
        (Self::Late, 20),
        (Self::SendLate, 3),
        (Self::ConnectRefused, 15),
        (Self::ConnectLost, 10),
        (Self::NoLocalPort, 10),
    ];

    /// Whether it happens to clients alone.
    #[must_use]
    pub fn is_of_clients(self) -> bool {
        matches!(self, Self::ConnectRefused | Self::ConnectLost | Self::NoLocalPort)
    }

    /// Whether it costs somebody a connection.
    fn harms(self) -> bool {
        self.is_of_clients() || matches!(self, Self::Reset | Self::AcceptAborted)
    }
}

/// Something a batch of runs has to come across.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// A head or a body was not complete in time.
    HeadTimeout,
    /// A connection was idle too long.
    IdleTimeout,
    /// A peer didn't take its response.
    SendTimeout,
    /// A peer waited since all slots were taken, and its listener was watched.
    WatchFired,
    /// An idle connection was closed for somebody who waited.
    Evicted,
    /// A connection was closed in the middle of a request, for one that waited.
    Displaced,
    /// A busy connection was told that a response was its last, for one that waited.
    GaveWay,
    /// A peer stopped sending and got its responses.
    HalfClose,
    /// A signal came while connections were open, and all ended well.
    Drained,
    /// A send was linked to a close.
    SendClose,
    /// A send fell short and had to wait for room.
    Waited,
    /// A completion was withheld until something else ended the wait.
    Withheld,
    /// The buffers ran out by themselves.
    PoolEmpty,
    /// A client dropped content without having it copied.
    Discarded,
    /// A client and a server counted the same, to the unit.
    BooksEqual,
    /// Requests of a client failed.
    RequestsFailed,
}

impl Mark {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::HeadTimeout,
        Self::IdleTimeout,
        Self::SendTimeout,
        Self::WatchFired,
        Self::Evicted,
        Self::Displaced,
        Self::GaveWay,
        Self::HalfClose,
        Self::Drained,
        Self::SendClose,
        Self::Waited,
        Self::Withheld,
        Self::PoolEmpty,
        Self::Discarded,
        Self::BooksEqual,
        Self::RequestsFailed,
    ];

    /// Whether it happens only where a client meets a server.
    #[must_use]
    pub fn is_of_clients(self) -> bool {
        matches!(self, Self::Discarded | Self::BooksEqual | Self::RequestsFailed)
    }
}

/// How often each fault struck and each thing marked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultCounters {
    /// Faults.
    pub faults: BTreeMap<Fault, u64>,
    /// Happenings.
    pub marks: BTreeMap<Mark, u64>,
}

impl FaultCounters {
    /// Counts a mark.
    pub fn note(&mut self, mark: Mark) {
        *self.marks.entry(mark).or_default() += 1;
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: &Self) {
        for (&fault, count) in &other.faults {
            *self.faults.entry(fault).or_default() += count;
        }
        for (&mark, count) in &other.marks {
            *self.marks.entry(mark).or_default() += count;
        }
    }

    /// How often a fault struck.
    #[must_use]
    pub fn struck(&self, fault: Fault) -> u64 {
        self.faults.get(&fault).copied().unwrap_or(0)
    }

    /// How often something marked.
    #[must_use]
    pub fn marked(&self, mark: Mark) -> u64 {
        self.marks.get(&mark).copied().unwrap_or(0)
    }
}

/// Decides when a fault strikes.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    on: bool,
    /// None that costs a connection.
    gentle: bool,
    /// What was counted.
    pub counters: FaultCounters,
}

impl Faults {
    /// Faults as often as [`Fault::ALL`] says, or none.
    #[must_use]
    pub(super) fn new(on: bool) -> Self {
        Self { on, gentle: false, counters: FaultCounters::default() }
    }

    /// None from now on that costs anybody a connection.
    pub(super) fn be_gentle(&mut self) {
        self.gentle = true;
    }

    /// No more faults from now on.
    pub(super) fn stop(&mut self) {
        self.on = false;
    }

    /// Whether this one strikes now.
    pub(super) fn strikes(&mut self, fault: Fault, random: &mut Random) -> bool {
        let (_, per_mille) = Fault::ALL[fault as usize];
        let strikes = self.on && !(self.gentle && fault.harms()) && random.chance(per_mille);
        if strikes {
            *self.counters.faults.entry(fault).or_default() += 1;
        }
        strikes
    }
}
