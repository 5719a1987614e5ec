//! The faults of a simulated engine with their rates, and counters of the faults and rare events
//! of a run: evidence that a batch of runs reached every case.

use super::random::Random;
use std::collections::BTreeMap;

/// A failure of the machine or the network that no peer causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A send takes only part of its bytes.
    ShortSend,
    /// A send completes with `EAGAIN` though the socket has room.
    SendAgain,
    /// The network breaks a connection.
    Reset,
    /// A receive completes with `ENOBUFS` though buffers are free.
    NoBuffers,
    /// A multishot receive ends with its data.
    ReceiveEnds,
    /// A cancel is too late: its target completes with the data that had arrived.
    CancelLost,
    /// An accept fails with `EMFILE`.
    AcceptEmfile,
    /// An accept fails with `ENFILE`.
    AcceptEnfile,
    /// An accept fails with `ENOBUFS`.
    AcceptNobufs,
    /// An accept fails with `ECONNABORTED`: the peer has left the accept queue.
    AcceptAborted,
    /// The submission queue reports that it is full though it has room.
    QueueFull,
    /// The kernel lacks memory and leaves entries in the submission queue.
    SubmitLater,
    /// A wait ends without completions.
    Spurious,
    /// A completion is posted up to 300 ms late.
    Late,
    /// The completion of a send is posted in a later second: its bytes, which may include a
    /// `Date`, must not have changed by then.
    SendLate,
    /// A connect fails with `ECONNREFUSED`.
    ConnectRefused,
    /// A connect gets no answer.
    ConnectLost,
    /// A connect fails with `EADDRNOTAVAIL`.
    NoLocalPort,
    /// Nothing that is sent to a client arrives any more, not even the end of its connection.
    Silence,
    /// The same for up to 25 s.
    Straggler,
}

impl Fault {
    /// All faults, each with its rate: in how many of 1000 cases it strikes.
    pub const ALL: [(Self, u32); 20] = [
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
        (Self::Silence, 4),
        (Self::Straggler, 3),
    ];

    /// Whether only an engine that connects can have it.
    #[must_use]
    pub fn is_of_clients(self) -> bool {
        matches!(
            self,
            Self::ConnectRefused
                | Self::ConnectLost
                | Self::NoLocalPort
                | Self::Silence
                | Self::Straggler
        )
    }

    fn costs_a_connection(self) -> bool {
        self.is_of_clients() || matches!(self, Self::Reset | Self::AcceptAborted)
    }
}

/// A rare but regular event of the engine that a batch of runs has to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EngineMark {
    /// A watched listener had a connection in its accept queue.
    WatchFired,
    /// A send took all its bytes and closed its slot.
    SendClose,
    /// A list of spans was sent.
    ListSent,
    /// A socket took a part of a list.
    ListShort,
    /// A socket without room became writable.
    Waited,
    /// A silent send completed, and its completion ended no wait.
    Withheld,
    /// A receive found every buffer in use.
    PoolEmpty,
    /// A receive discarded bytes without copying them.
    Discarded,
    /// An accept was cancelled between its wake-up and its connection, which no other accept was
    /// woken for.
    WakeUpLost,
    /// The same, because the process of the accept ended.
    WakeUpLostByDeath,
}

impl EngineMark {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::WatchFired,
        Self::SendClose,
        Self::ListSent,
        Self::ListShort,
        Self::Waited,
        Self::Withheld,
        Self::PoolEmpty,
        Self::Discarded,
        Self::WakeUpLost,
        Self::WakeUpLostByDeath,
    ];

    /// Whether only the load client's operations reach it.
    #[must_use]
    pub fn is_of_clients(self) -> bool {
        self == Self::Discarded
    }

    /// Whether only several servers on one accept queue reach it.
    #[must_use]
    pub fn is_of_services(self) -> bool {
        self == Self::WakeUpLostByDeath
    }
}

/// How often each fault struck and each mark was reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultCounters {
    faults: BTreeMap<Fault, u64>,
    marks: BTreeMap<EngineMark, u64>,
}

impl FaultCounters {
    pub(super) fn count_mark(&mut self, mark: EngineMark) {
        *self.marks.entry(mark).or_default() += 1;
    }

    /// Adds another run's counters.
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

    /// How often a mark was reached.
    #[must_use]
    pub fn reached(&self, mark: EngineMark) -> u64 {
        self.marks.get(&mark).copied().unwrap_or(0)
    }
}

/// Which faults may strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultLevel {
    /// No fault.
    None,
    /// Only faults that cost no connection.
    KeepConnections,
    /// Every fault.
    All,
}

/// Decides when a fault strikes, and counts.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    level: FaultLevel,
    pub(super) counters: FaultCounters,
}

impl Faults {
    pub(super) fn new(level: FaultLevel) -> Self {
        Self { level, counters: FaultCounters::default() }
    }

    /// Ends all faults for the rest of the run.
    pub(super) fn stop(&mut self) {
        self.level = FaultLevel::None;
    }

    /// Whether `fault` strikes this time.
    pub(super) fn strikes(&mut self, fault: Fault, random: &mut Random) -> bool {
        let is_allowed = match self.level {
            FaultLevel::None => false,
            FaultLevel::KeepConnections => !fault.costs_a_connection(),
            FaultLevel::All => true,
        };
        let (_, per_mille) = Fault::ALL[fault as usize];
        let strikes = is_allowed && random.chance(per_mille);
        if strikes {
            *self.counters.faults.entry(fault).or_default() += 1;
        }
        strikes
    }
}
