//! The ring: its parts, the entries in flight and the completions that have arrived.

use super::buffers::Buffers;
use super::files::{Files, LISTENER_CLOSED};
use super::peers::Peers;
use super::probe::{self, Features, Obstacles};
use super::vectors::{ListVectors, Vectors};
use crate::bytes::Payload;
use crate::engine::kernel::clock::EngineClock;
use crate::engine::kernel::dial::Dial;
use crate::engine::kernel::{EngineError, Remedy, Restriction};
use crate::engine::{
    BufferId, Completion, Engine, Errno, Full, Kind, Memory, Nanos, Op, Received, Slot, Token,
    result_of,
};
use crate::error::errno_of;
use crate::os::net::Listener;
use crate::os::pages::Pages;
use crate::os::signal::Signals;
use crate::peer_address::PeerAddress;
use io_uring::squeue::Entry;
use io_uring::types::{CancelBuilder, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue};
use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

/// The parts that a ring is created from.
pub struct Setup {
    /// The number of slots.
    pub spawn: u32,
    /// The sockets to accept from.
    pub listeners: Vec<Listener>,
    /// The target of [`Op::Connect`]; without one, that completes with `EDESTADDRREQ`.
    pub dial: Option<Dial>,
    /// The source of [`Op::Signal`]; without one, that completes with `EBADF`.
    pub signals: Option<Signals>,
    /// The buffer that [`Op::Send`] sends from.
    pub fixed: Pages,
    /// The features that may be used.
    pub features: Features,
    /// The number of receive buffers, a power of two.
    pub buffers: u16,
    /// The size of each, in bytes.
    pub buffer_bytes: u32,
    /// A descriptor that is closed with the connections, at the latest.
    pub held: Option<OwnedFd>,
    /// Whether the kernel should refuse everything that no [`Op`] of this ring needs.
    pub restricted: bool,
    /// Whether accepts take note of the addresses of peers ([`Engine::peer`]).
    pub wants_peers: bool,
    /// The settings that may forbid it, for error messages.
    pub obstacles: Obstacles,
}

/// The kernel's ring.
pub struct Uring {
    pub(super) ring: IoUring,
    pub(super) features: Features,
    pub(super) files: Files,
    pub(super) listeners: Vec<Listener>,
    pub(super) dial: Option<Dial>,
    /// Where the kernel copies the bytes that are discarded of a Unix socket. No read follows.
    pub(super) discarded: Option<Pages>,
    /// Completions of connects that failed before there was an entry.
    failed: VecDeque<Completion>,
    pub(super) signals: Option<Signals>,
    pub(super) restriction: Restriction,
    buffers: Buffers,
    /// The addresses of peers, if they are wanted.
    pub(super) peers: Option<Peers>,
    pub(super) fixed: Pages,
    pub(super) vectors: Vectors,
    pub(super) lists: ListVectors,
    /// Sends that post a completion only if they are short or fail, in the order of their entries.
    silent: VecDeque<Silent>,
    /// The number of entries pushed since the start.
    pub(super) pushed: u64,
    /// Completions taken from the kernel that were not popped yet.
    arrived: VecDeque<cqueue::Entry>,
    clock: EngineClock,
}

/// A send that has succeeded once the kernel has taken entry `number`, unless a completion reports
/// otherwise.
struct Silent {
    token: Token,
    len: u32,
    number: u64,
}

impl Uring {
    /// Creates the ring and registers files and buffers with it.
    ///
    /// # Errors
    /// If the kernel has no `io_uring`, refuses it, is too old, or has no memory for it.
    pub fn new(setup: Setup) -> Result<Self, EngineError> {
        let mut features = setup.features;
        let mut ring = probe::ring(setup.spawn, &mut features, setup.restricted, &setup.obstacles)?;
        if features.direct_descriptors {
            let files = setup.spawn + u32::from(setup.held.is_some());
            features.direct_descriptors = ring.submitter().register_files_sparse(files).is_ok();
        }
        if let Some(held) = setup.held {
            hold_in_ring(&ring, features.direct_descriptors.then_some(setup.spawn), &held)?;
        }
        let files = if features.direct_descriptors {
            Files::Direct
        } else {
            Files::Ordinary(vec![-1; setup.spawn as usize].into_boxed_slice())
        };
        features.silent_send &= ring.params().is_feature_skip_cqe_on_success();
        features.send_close &= ring.params().is_feature_skip_cqe_on_success();
        let buffers =
            probe::patiently(|| Buffers::register(&ring, setup.buffers, setup.buffer_bytes))
                .map_err(probe::explain_buffers)?;
        let peers = setup.wants_peers.then(|| Peers::new(setup.spawn)).transpose();
        let peers = peers.map_err(|error| {
            EngineError::new("reserving memory for addresses", error, Remedy::MoreMemory)
        })?;
        let sq = ring.submission().capacity();
        let cq = ring.completion().capacity();
        let mut uring = Self {
            ring,
            features,
            files,
            listeners: setup.listeners,
            dial: setup.dial,
            discarded: None,
            failed: VecDeque::new(),
            signals: setup.signals,
            restriction: Restriction::NotRequested,
            buffers,
            peers,
            fixed: setup.fixed,
            vectors: Vectors::new(sq),
            lists: ListVectors::new(),
            silent: VecDeque::with_capacity(sq),
            pushed: 0,
            arrived: VecDeque::with_capacity(cq),
            clock: EngineClock::start(),
        };
        if setup.restricted {
            uring.restrict()?;
        }
        uring.clock.read();
        Ok(uring)
    }

    /// The features in use.
    #[must_use]
    pub fn features(&self) -> Features {
        self.features
    }

    /// The operations that the kernel refuses it.
    #[must_use]
    pub fn restriction(&self) -> &Restriction {
        &self.restriction
    }

    /// The number of the descriptor that signals are read from.
    pub(super) fn signals_fd(&self) -> Option<RawFd> {
        self.signals.as_ref().map(|signals| signals.as_fd().as_raw_fd())
    }

    /// Leaves the files of Unix sockets in place when the ring is dropped.
    pub fn keep_socket_files(&mut self) {
        for listener in &mut self.listeners {
            listener.keep_file();
        }
    }

    /// The sockets that it accepts from.
    #[must_use]
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// The value of the monotonic clock at the ring's time 0, in nanoseconds.
    #[must_use]
    pub fn base_ns(&self) -> u64 {
        self.clock.base_ns()
    }

    fn push_entry(&mut self, entry: &Entry) {
        // SAFETY: `entries` builds all entries, and their pointers are into the fixed buffer, the
        // target's address, `discarded`, the vectors or `peers`. All of them are fields of `self`,
        // which `drop` frees only after the last operation has ended, and none moves (mappings and
        // boxes). `Peers` accesses no place between the push of an accept into its slot and the
        // accept's last completion. The kernel copies the target's address and a vector when it
        // takes the entry (IORING_FEAT_SUBMIT_STABLE); `Vectors` and `ListVectors` do not reuse
        // their places before.
        let pushed = unsafe { self.ring.submission().push(entry) };
        pushed.expect("the caller has checked that there is room");
        self.pushed += 1;
    }

    /// Moves the posted completions into `arrived`, and removes the sends among them from
    /// `silent`.
    fn collect(&mut self) {
        for entry in self.ring.completion() {
            if entry.user_data() == LISTENER_CLOSED {
                assert_eq!(entry.result(), 0, "closing an open socket succeeds");
                continue;
            }
            if entry.user_data() >> 56 == Kind::Send as u64 {
                let place = self.silent.iter().position(|s| s.token.bits() == entry.user_data());
                place.map(|place| self.silent.remove(place));
            }
            self.arrived.push_back(entry);
        }
    }

    /// How many of the pushed entries the kernel has taken.
    fn taken(&mut self) -> u64 {
        self.pushed - self.ring.submission().len() as u64
    }

    /// The completion of a silent send whose entry the kernel has taken without posting one: the
    /// send has succeeded, since a send that does not wait ends within the `io_uring_enter(2)` that
    /// submits it.
    fn pop_silent(&mut self) -> Option<Completion> {
        let taken = self.taken();
        if self.silent.front()?.number >= taken {
            return None;
        }
        let silent = self.silent.pop_front()?;
        Some(Completion { token: silent.token, result: Ok(silent.len), more: false, buffer: None })
    }

    /// Translates an entry of the completion queue, and updates files, buffers and signals.
    fn completion(&mut self, entry: &cqueue::Entry) -> Completion {
        let token = Token::from_bits(entry.user_data());
        let mut result = result_of(entry.result());
        let buffer = cqueue::buffer_select(entry.flags()).map(BufferId);
        if let Some(id) = buffer {
            self.buffers.deliver(id);
        }
        if let (Kind::Accept, Some(peers)) = (token.kind(), &mut self.peers) {
            peers.take_back(Slot(token.index()));
        }
        match (token.kind(), result) {
            (Kind::Signal, Ok(_)) => {
                let signals = self.signals.as_ref().ok_or(Errno(libc::EBADF));
                result = signals.and_then(|signals| signals.read().map_err(|why| errno(&why)));
            }
            (Kind::Accept, Ok(file)) => {
                if let Files::Ordinary(table) = &mut self.files {
                    table[token.index() as usize] = file.cast_signed();
                }
            }
            (Kind::Close, _) => {
                if let Files::Ordinary(table) = &mut self.files {
                    table[token.index() as usize] = -1;
                }
            }
            _ => {}
        }
        Completion { token, result, more: cqueue::more(entry.flags()), buffer }
    }

    fn enter(&mut self, deadline: Option<Nanos>) -> Result<(), Errno> {
        let left = deadline.map(|deadline| deadline.0.saturating_sub(self.clock.now().0));
        let outcome = match left {
            None => self.ring.submitter().submit_and_wait(1),
            Some(nanos) => {
                let timespec = Timespec::from(Duration::from_nanos(nanos));
                let args = SubmitArgs::new().timespec(&timespec);
                self.ring.submitter().submit_with_args(1, &args)
            }
        };
        match outcome {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error().unwrap_or(0) {
                // ETIME: the deadline. EINTR: an unblocked signal. EBUSY: completions overflowed
                // and must be taken first. EAGAIN: no memory for an entry at present.
                libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN => Ok(()),
                errno => Err(Errno(errno)),
            },
        }
    }

    /// Takes completions that overflowed the queue: the kernel moves them there on the next enter.
    fn flush_overflow(&mut self) -> Result<(), Errno> {
        while self.ring.submission().cq_overflow() {
            self.enter(Some(self.clock.now()))?;
            self.collect();
        }
        Ok(())
    }
}

impl AsFd for Uring {
    /// The ring's own descriptor.
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: `self` owns the ring, which keeps its descriptor open as long as it lives.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }
    }
}

/// Puts a descriptor into this place of the ring's table of files, or into a table that has nothing
/// else, for the kernel to close it some time after the process has ended: together with the
/// connections in the table, or after all operations on connections, which hold those open.
fn hold_in_ring(ring: &IoUring, place: Option<u32>, held: &OwnedFd) -> Result<(), EngineError> {
    let fds = [held.as_raw_fd()];
    let submitter = ring.submitter();
    let outcome = match place {
        Some(place) => submitter.register_files_update(place, &fds).map(drop),
        None => submitter.register_files(&fds),
    };
    outcome.map_err(|error| {
        EngineError::new("putting a descriptor into the ring's table", error, Remedy::Unknown)
            .of_call(probe::REGISTER)
    })
}

fn errno(error: &std::io::Error) -> Errno {
    Errno(errno_of(error))
}

impl Engine for Uring {
    fn push(&mut self, token: Token, op: Op) -> Result<(), Full> {
        let pair = matches!(op, Op::SendClose { .. });
        let queue = self.ring.submission();
        if queue.capacity() - queue.len() < 1 + usize::from(pair) {
            return Err(Full);
        }
        drop(queue);
        if let Op::Send { payload: Payload::List(_), .. } = op {
            let entries_taken = self.taken();
            if !self.lists.has_room(entries_taken) {
                return Err(Full);
            }
        }
        if let Op::Connect { slot, source } = op
            && let Err(errno) = self.open(slot, source)
        {
            let result = Err(errno);
            self.failed.push_back(Completion { token, result, more: false, buffer: None });
            return Ok(());
        }
        let (entry, then) = self.entries(token, op);
        if let Op::Send { payload, .. } = op
            && self.is_silent(op)
        {
            let len = u32::try_from(payload.len()).expect("a send has less than 4 GiB");
            self.silent.push_back(Silent { token, len, number: self.pushed });
        }
        if let (Op::Accept { slot, .. }, Some(peers)) = (op, &mut self.peers) {
            peers.lend(slot);
        }
        self.push_entry(&entry);
        if let Some(then) = then {
            self.push_entry(&then);
        }
        Ok(())
    }

    fn submit_and_wait(&mut self, deadline: Option<Nanos>) -> Result<(), Errno> {
        // `clear` moves an empty queue back to the start of its memory, so that it stays in the
        // cache instead of cycling through all of its capacity.
        if self.arrived.is_empty() && self.silent.is_empty() {
            self.arrived.clear();
            self.silent.clear();
        }
        self.enter(if self.failed.is_empty() { deadline } else { Some(self.clock.now()) })?;
        self.collect();
        self.flush_overflow()?;
        self.clock.read();
        Ok(())
    }

    fn stop_listening(&mut self, listener: u32) -> Result<(), Full> {
        if self.ring.submission().is_full() {
            return Err(Full);
        }
        let socket = self.listeners[listener as usize].take_socket();
        let entry = Self::close_listener(socket.expect("a listener is stopped at most once"));
        self.push_entry(&entry);
        Ok(())
    }

    fn pop(&mut self) -> Option<Completion> {
        if let Some(completion) = self.pop_silent() {
            return Some(completion);
        }
        if let Some(completion) = self.failed.pop_front() {
            return Some(completion);
        }
        let entry = self.arrived.pop_front()?;
        let completion = self.completion(&entry);
        Some(completion)
    }

    // The whole fixed buffer is borrowed as `&mut` while the kernel may read parts of it for sends
    // in flight. This is sound:
    //
    // - The kernel is outside the Rust abstract machine. An entry holds an address, not a
    //   reference, so the borrowed slice is the only live reference into the buffer. The kernel's
    //   accesses are reads only: no entry receives into the fixed buffer (receives select a buffer
    //   of `Buffers`), and `fixed` is never registered with the ring.
    // - The addresses stay valid: `fixed` is a mapping that is neither replaced, truncated nor
    //   moved while the ring exists, and `drop` unmaps it only if nothing is in flight.
    // - The kernel must see the bytes that the program wrote before it pushed the entry. Passing
    //   the address to the kernel (`as_ptr` in `entries`) exposes the buffer, and io_uring_enter(2)
    //   is a call that the compiler can't see into, so earlier writes happen before it; the queue's
    //   tail is stored with release ordering. With an SQPOLL thread or a send that waits the kernel
    //   could read later than within the call; a read still returns the bytes that are in memory
    //   then.
    // - A `&mut` allows the compiler to write back only values that the program would store there
    //   (LLVM introduces no stores), so a span that the program doesn't write to keeps its bytes.
    //   If the program violates the rule of `Memory::fixed` and writes to a span in flight, a peer
    //   receives a mixture of two responses; memory stays safe.
    fn memory(&mut self, received: Option<Received>) -> Memory<'_> {
        let received = match received {
            Some(Received { buffer, len }) => self.buffers.received(buffer, len),
            None => &[],
        };
        Memory { received, fixed: &mut self.fixed }
    }

    fn give_back(&mut self, buffer: BufferId) {
        self.buffers.give_back(buffer);
    }

    fn peer(&self, slot: Slot) -> PeerAddress {
        self.peers.as_ref().map_or(PeerAddress::Unknown, |peers| peers.of(slot))
    }

    fn now(&self) -> Nanos {
        self.clock.now()
    }

    fn read_clock(&self) -> Nanos {
        self.clock.elapsed()
    }

    fn unix_seconds(&self) -> u64 {
        self.clock.unix_seconds()
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        // The kernel may access the buffers until the last operation has ended. Closing the ring
        // would end the operations only some time later, so they are cancelled and awaited here. If
        // that fails, as on a restricted ring, which refuses every registration, the memory is
        // leaked: the process of such a ring is about to end.
        let ended = self.ring.submitter().register_sync_cancel(None, CancelBuilder::any());
        let nothing_in_flight = match ended {
            Ok(()) => true,
            Err(error) => error.raw_os_error() == Some(libc::ENOENT),
        };
        if !nothing_in_flight {
            std::mem::forget(std::mem::take(&mut self.fixed));
            std::mem::forget(self.discarded.take());
            self.buffers.leak();
            if let Some(peers) = &mut self.peers {
                peers.leak();
            }
        }
    }
}
