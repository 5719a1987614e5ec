//! One of the processes that make a load: it is told its share on standard input, and counts in
//! words it shares with the process that started it. That one has put it on a core of its own, in
//! a process group of its own (so that an interruption reaches the other alone, which tells its
//! workers to stop), and with an end of its own if the other should die.

use super::client::{Client, ClientPlan};
use super::counters::{Count, Counters, State};
use super::options::Worker;
use crate::engine::uring::dial::Dial;
use crate::engine::uring::probe::{Features, Maker, Obstacles};
use crate::engine::uring::{Setup, Uring};
use crate::engine::{Engine, Nanos};
use crate::error::Failure;
use crate::os::process;
use crate::os::shared::Words;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A worker's share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// What its client does.
    pub plan: ClientPlan,
    /// The request, once.
    pub request: Vec<u8>,
    /// Where it goes.
    pub target: SocketAddr,
    /// Where it comes from; anywhere, if there are none.
    pub sources: Vec<IpAddr>,
    /// The file with the content that every response must have.
    pub expect: Option<PathBuf>,
}

/// Words all workers of a run share, before those of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Common {
    /// When to begin, in nanoseconds of the monotonic clock; 0 while that isn't known.
    Begin,
    /// Not 0 once no more requests are to be made.
    Stop,
}

/// How many words the workers of a run share in all.
#[must_use]
pub fn words_of(workers: u32) -> usize {
    COMMON_WORDS + workers as usize * Counters::WORDS
}

/// The counters of one worker.
#[must_use]
pub fn tally_of(words: &[AtomicU64], index: u32) -> Counters<'_> {
    Counters::new(&words[COMMON_WORDS + index as usize * Counters::WORDS..][..Counters::WORDS])
}

/// Makes this worker's part of the load.
///
/// # Errors
/// If it can't be begun, or the ring becomes unusable.
pub fn run(worker: Worker) -> Result<(), Failure> {
    let mut share = read_share()?;
    if let Some(path) = &share.expect {
        share.plan.expect = Some(std::fs::read(path).map_err(|error| {
            Failure::new(format!("reading {} (--expect)", path.display()), error, "")
        })?);
    }
    let words = Words::inherited(worker.fd, words_of(worker.workers))?;
    let counters = tally_of(words.words(), worker.index);
    let ring = make_ring(&share)?;
    let base_ns = ring.base_ns();
    counters.set(Count::State, State::Ready as u64);
    let begin = await_begin(words.words());
    let start = Nanos(begin.saturating_sub(base_ns));
    let request_bytes = u32::try_from(share.request.len()).expect("checked by `make_ring`");
    let mut client = Client::new(ring, share.plan, request_bytes, counters, start, base_ns);
    let used = process::cpu_ns();
    let mut tick = Nanos(0);
    loop {
        let goes = client
            .turn(Some(tick))
            .map_err(|errno| Failure::new("waiting on the ring", errno, ""))?;
        let now = client.ring_mut().now();
        if now >= tick || !goes {
            tick = now.plus(TICK);
            counters.set(Count::Cpu, process::cpu_ns() - used);
            counters.set(Count::Elapsed, now.0.saturating_sub(start.0));
            if words.words()[Common::Stop as usize].load(Ordering::Relaxed) != 0 {
                client.stop();
            }
        }
        if !goes {
            counters.set(Count::State, State::Done as u64);
            return Ok(());
        }
    }
}

fn read_share() -> Result<Share, Failure> {
    let what = "reading what to do from standard input";
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| Failure::new(what, error, ""))?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::new(what, error, "workers are started by uringload itself"))
}

fn make_ring(share: &Share) -> Result<Uring, Failure> {
    let connections = share.plan.connections;
    Maker::Client.check_connections(connections)?;
    process::raise_open_files(u64::from(connections), "--connections")?;
    let batch_bytes = share.request.len() * share.plan.pipeline as usize;
    if batch_bytes > BATCH_BYTES_MAX {
        return Err(Failure::new(
            format!("preparing {batch_bytes} bytes of requests"),
            format!("at most {BATCH_BYTES_MAX} are sent at a time"),
            "use a shorter --body or a smaller --pipeline",
        ));
    }
    Uring::new(Setup {
        spawn: connections,
        listeners: Vec::new(),
        dial: Some(Dial::new(share.target, share.sources.clone(), batch_bytes > SEGMENT_BYTES)),
        signals: None,
        fixed: share.request.repeat(share.plan.pipeline as usize).into(),
        features: Features::ALL,
        buffers: RECEIVE_BUFFERS,
        buffer_bytes: RECEIVE_BUFFER_BYTES,
        restricted: false,
        obstacles: Obstacles::read(),
    })
}

/// Waits until the moment to begin is known.
fn await_begin(words: &[AtomicU64]) -> u64 {
    loop {
        let begin = words[Common::Begin as usize].load(Ordering::Acquire);
        if begin != 0 {
            return begin;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

const COMMON_WORDS: usize = 8;
/// How often the CPU time is told and a stop is looked for.
const TICK: Duration = Duration::from_millis(50);
const BATCH_BYTES_MAX: usize = 64 << 20;
/// What fits into the smallest usual segment.
const SEGMENT_BYTES: usize = 1400;
/// All that arrives in one turn; a response of the page of the experiment fits into one.
const RECEIVE_BUFFERS: u16 = 256;
const RECEIVE_BUFFER_BYTES: u32 = 8192;
