//! [`Engine`] on the kernel's `io_uring`: operations become submission queue entries, and names of
//! buffers become addresses, here and nowhere else.
//!
//! What the kernel may read or write while an operation is under way lives as long as the ring:
//! the fixed buffer and the receive buffers are owned by [`Uring`], which ends every operation
//! before it lets go of them.

#![allow(unsafe_code, reason = "the ring is memory shared with the kernel")]
// The C interface counts in whatever integers it likes; what is cast is small and constant.
#![allow(clippy::cast_possible_truncation, reason = "small constants")]

mod buffers;
mod construct;
pub mod dial;
mod entries;
pub mod probe;
mod restrict;
#[cfg(debug_assertions)]
mod submit_raw;
mod vectors;

use crate::engine::kernel::Restriction;
use crate::engine::{
    BufferId, Completion, Engine, Errno, Full, Kind, Memory, Nanos, Op, Received, Token, result_of,
};
use crate::error::{Failure, errno_of};
use crate::os::net::Listener;
use crate::os::pages::Pages;
use crate::os::process::monotonic_ns;
use crate::os::signal::Signals;
use buffers::Buffers;
use dial::Dial;
use entries::LISTENER_CLOSED;
use io_uring::squeue::Entry;
use io_uring::types::{CancelBuilder, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue};
use probe::{Features, Maker, Obstacles};
use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use vectors::Vectors;

/// Receive buffers of the server: enough for what one wait brings (measured: about 40 requests at
/// saturation, and bursts).
pub const RECEIVE_BUFFERS: u16 = 512;
/// The size of one: 16 pipelined requests of a browser's size arrive in it.
pub const RECEIVE_BUFFER_BYTES: u32 = 4096;

/// What a ring is made from.
pub struct Setup {
    /// How many slots it has.
    pub spawn: u32,
    /// The sockets it accepts from.
    pub listeners: Vec<Listener>,
    /// Where [`Op::Connect`] connects to; without it, that completes with `EDESTADDRREQ`.
    pub dial: Option<Dial>,
    /// Where signals are read from; without one, [`Op::Signal`] completes with `EBADF`.
    pub signals: Option<Signals>,
    /// The buffer that responses are sent from.
    pub fixed: Pages,
    /// The features that may be used.
    pub features: Features,
    /// How many receive buffers there are: a power of two.
    pub buffers: u16,
    /// The size of one, in bytes.
    pub buffer_bytes: u32,
    /// Whether the kernel is to refuse everything that no [`Op`] of this ring needs.
    pub restricted: bool,
    /// What may refuse it.
    pub obstacles: Obstacles,
}

/// The kernel's ring.
pub struct Uring {
    ring: IoUring,
    features: Features,
    files: Files,
    listeners: Vec<Listener>,
    dial: Option<Dial>,
    /// Connects that failed before there was an entry.
    failed: VecDeque<Completion>,
    signals: Option<Signals>,
    restriction: Restriction,
    buffers: Buffers,
    fixed: Pages,
    vectors: Vectors,
    /// Sends that post a completion only if they fall short, in the order they were pushed.
    silent: VecDeque<Silent>,
    /// Entries pushed since the start.
    pushed: u64,
    /// Completions taken from the kernel and not yet popped.
    arrived: VecDeque<cqueue::Entry>,
    started: Instant,
    now: Nanos,
    unix_seconds: u64,
}

/// Where the files of the slots are.
enum Files {
    /// In the ring's table (`IORING_REGISTER_FILES`), at the slot's number.
    Direct,
    /// In the process's table; this is the number for each slot, or -1.
    Ordinary(Box<[RawFd]>),
}

/// A send whose success is told by no completion, once the kernel has taken entry `number`.
struct Silent {
    token: Token,
    len: u32,
    number: u64,
}

impl Uring {
    /// Makes the ring and registers what it needs.
    ///
    /// # Errors
    /// If the kernel has no `io_uring`, refuses it, is too old, or has no memory for it.
    pub fn new(setup: Setup) -> Result<Self, Failure> {
        let mut features = setup.features;
        let maker = if setup.dial.is_some() { Maker::Client } else { Maker::Server };
        let mut ring =
            probe::ring(setup.spawn, &mut features, setup.restricted, maker, &setup.obstacles)?;
        if features.direct_descriptors {
            features.direct_descriptors =
                ring.submitter().register_files_sparse(setup.spawn).is_ok();
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
                .map_err(|why| probe::explain_buffers(&why, maker))?;
        let sq = ring.submission().capacity();
        let cq = ring.completion().capacity();
        let mut uring = Self {
            ring,
            features,
            files,
            listeners: setup.listeners,
            dial: setup.dial,
            failed: VecDeque::new(),
            signals: setup.signals,
            restriction: Restriction::NotWanted,
            buffers,
            fixed: setup.fixed,
            vectors: Vectors::new(sq),
            silent: VecDeque::with_capacity(sq),
            pushed: 0,
            arrived: VecDeque::with_capacity(cq),
            started: Instant::now(),
            now: Nanos(0),
            unix_seconds: 0,
        };
        if setup.restricted {
            uring.restrict()?;
        }
        uring.read_clocks();
        Ok(uring)
    }

    /// The features in use.
    #[must_use]
    pub fn features(&self) -> Features {
        self.features
    }

    /// What the kernel refuses it.
    #[must_use]
    pub fn restriction(&self) -> &Restriction {
        &self.restriction
    }

    /// The descriptors that it works with, beside those of slots.
    #[must_use]
    pub fn descriptors(&self) -> Vec<RawFd> {
        let listeners = self.listeners.iter().map(|listener| listener.socket().as_raw_fd());
        let others = [Some(self.ring.as_raw_fd()), self.signals_fd()];
        listeners.chain(others.into_iter().flatten()).collect()
    }

    /// The descriptor that signals are read from.
    #[must_use]
    pub fn signals_fd(&self) -> Option<RawFd> {
        self.signals.as_ref().map(|signals| signals.as_fd().as_raw_fd())
    }

    /// Leaves the files of Unix sockets where they are at the end.
    pub fn keep_socket_files(&mut self) {
        for listener in &mut self.listeners {
            listener.keep_file = true;
        }
    }

    /// The sockets it accepts from.
    #[must_use]
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// What the monotonic clock said when this ring's was 0, in nanoseconds.
    #[must_use]
    pub fn base_ns(&self) -> u64 {
        let since = u64::try_from(self.started.elapsed().as_nanos());
        monotonic_ns() - since.expect("584 years have not passed")
    }

    fn read_clocks(&mut self) {
        let nanos = self.started.elapsed().as_nanos();
        self.now = Nanos(u64::try_from(nanos).expect("584 years have not passed"));
        let unix = SystemTime::now().duration_since(UNIX_EPOCH);
        self.unix_seconds = unix.map_or(0, |duration| duration.as_secs());
    }

    fn push_entry(&mut self, entry: &Entry) {
        // SAFETY: what the entry points to is part of the fixed buffer, of the receive buffers, of
        // the target's address or of the vectors, all of which outlive the ring (see `drop`). The
        // kernel copies an address and a vector when it takes the entry
        // (IORING_FEAT_SUBMIT_STABLE), and until then `Vectors` doesn't use their place again.
        let pushed = unsafe { self.ring.submission().push(entry) };
        pushed.expect("the caller saw that there is room");
        self.pushed += 1;
    }

    /// Moves what the kernel has posted into `arrived`, and strikes out the silent sends that
    /// turn out not to have been silent.
    fn collect(&mut self) {
        for entry in self.ring.completion() {
            if entry.user_data() == LISTENER_CLOSED {
                assert_eq!(entry.result(), 0, "a socket that was open can be closed");
                continue;
            }
            if entry.user_data() >> 56 == Kind::Send as u64 {
                let place = self.silent.iter().position(|s| s.token.bits() == entry.user_data());
                place.map(|place| self.silent.remove(place));
            }
            self.arrived.push_back(entry);
        }
    }

    /// A silent send that the kernel has taken and not complained of: it is over, since a send
    /// that does not wait runs to its end within the enter that submits it.
    fn pop_silent(&mut self) -> Option<Completion> {
        let unsent = self.ring.submission().len() as u64;
        let taken = self.pushed - unsent;
        if self.silent.front()?.number >= taken {
            return None;
        }
        let silent = self.silent.pop_front()?;
        Some(Completion { token: silent.token, result: Ok(silent.len), more: false, buffer: None })
    }

    /// What an arrived completion means, with the bookkeeping of files, buffers and signals.
    fn completion(&mut self, entry: &cqueue::Entry) -> Completion {
        let token = Token::from_bits(entry.user_data());
        let mut result = result_of(entry.result());
        let buffer = cqueue::buffer_select(entry.flags()).map(BufferId);
        if let Some(id) = buffer {
            self.buffers.lend(id);
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
        let left = deadline.map(|deadline| deadline.0.saturating_sub(self.now.0));
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
                // ETIME: the deadline. EINTR: a signal we don't block. EBUSY: completions
                // overflowed and want to be taken first. EAGAIN: no memory for an entry now.
                libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN => Ok(()),
                errno => Err(Errno(errno)),
            },
        }
    }

    /// Takes completions that overflowed the queue: the kernel moves them in when asked again.
    fn flush_overflow(&mut self) -> Result<(), Errno> {
        while self.ring.submission().cq_overflow() {
            self.enter(Some(self.now))?;
            self.collect();
        }
        Ok(())
    }
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
        if let Op::Connect { slot, source } = op
            && let Err(errno) = self.open(slot, source)
        {
            let result = Err(errno);
            self.failed.push_back(Completion { token, result, more: false, buffer: None });
            return Ok(());
        }
        let (entry, then) = self.entries(token, op);
        if let Op::Send { spans, .. } = op
            && self.is_silent(op)
        {
            let len = u32::try_from(spans.len()).expect("a send has less than 4 GiB");
            self.silent.push_back(Silent { token, len, number: self.pushed });
        }
        self.push_entry(&entry);
        if let Some(then) = then {
            self.push_entry(&then);
        }
        Ok(())
    }

    fn submit_and_wait(&mut self, deadline: Option<Nanos>) -> Result<(), Errno> {
        // An empty queue begins again at its start, so that it stays in the cache and doesn't
        // wander through all the memory it was given.
        if self.arrived.is_empty() && self.silent.is_empty() {
            self.arrived.clear();
            self.silent.clear();
        }
        self.enter(if self.failed.is_empty() { deadline } else { Some(self.now) })?;
        self.collect();
        self.flush_overflow()?;
        self.read_clocks();
        Ok(())
    }

    fn stop_listening(&mut self, listener: u32) -> Result<(), Full> {
        if self.ring.submission().is_full() {
            return Err(Full);
        }
        let socket = self.listeners[listener as usize].take_socket();
        let entry = Self::close_listener(socket.expect("a listener is stopped once"));
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

    // The whole fixed buffer is lent as `&mut`, though the kernel may be reading parts of it for
    // sends that are in flight. That is sound:
    //
    // - The kernel is no part of the Rust program: it has copied the addresses, so no reference or
    //   pointer of ours into the buffer is alive besides the one that is lent, and its reads are
    //   not accesses that a reference excludes. It never writes there.
    // - The addresses stay valid: the buffer is allocated once, is never resized, and is freed
    //   only when nothing is in flight (see `drop`).
    // - The compiler adds no writes of its own to memory that is lent as `&mut`: the kernel reads
    //   what the program wrote. If the program breaks the rule of `Memory::fixed` and writes to a
    //   span in flight, a peer gets mixed-up bytes of a response; memory stays safe.
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

    fn now(&self) -> Nanos {
        self.now
    }

    fn unix_seconds(&self) -> u64 {
        self.unix_seconds
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        // The kernel may use our buffers until the last operation is over; closing the ring would
        // end them only some time later.
        let ended = self.ring.submitter().register_sync_cancel(None, CancelBuilder::any());
        let nothing_in_flight = match ended {
            Ok(()) => true,
            Err(error) => error.raw_os_error() == Some(libc::ENOENT),
        };
        if !nothing_in_flight {
            std::mem::forget(std::mem::take(&mut self.fixed));
            self.buffers.leak();
        }
    }
}
