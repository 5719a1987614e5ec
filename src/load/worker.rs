//! A worker process of a load. It reads its share as JSON from standard input and counts in memory
//! shared with its parent. The parent pins it to a core and puts it into a process group of its
//! own, so that Ctrl-C reaches only the parent, which then stops its workers. A worker receives a
//! signal if its parent dies (`PR_SET_PDEATHSIG`).

use super::client::{Client, ClientPlan, ClientRun, ClientTls, RequestBuffer};
use super::counters::{Count, Counters, WorkerState};
use super::hints;
use super::options::WorkerArgs;
use super::proxy_header::ProxiedAddresses;
use super::target_counters::{self, TargetCounters, WORDS_PER_TARGET};
use super::targets::table::RequestTable;
use super::tls::TlsPlan;
use crate::engine::chosen::Chosen;
use crate::engine::kernel::{
    ConnectTarget, Destination, EngineKind, KernelEngine, Parts, ReceiveBuffers, Requirements, Role,
};
use crate::engine::{Engine, Nanos};
use crate::error::Failure;
use crate::os::process;
use crate::os::shared::SharedCounters;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The part of the load that one worker makes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Connections, amount and checks of its client.
    pub plan: ClientPlan,
    /// The kind of its engine, which the parent has decided for.
    pub engine: EngineKind,
    /// The TLS of the connections, if they have it.
    pub tls: Option<TlsPlan>,
    /// The address of the server.
    pub target: ConnectTarget,
    /// Local addresses, used in turn; the kernel's choice if empty.
    pub sources: Vec<IpAddr>,
    /// The file with the expected content of every response.
    pub expect: Option<PathBuf>,
}

impl Share {
    /// The header of each slot, if there are any.
    fn headers(&self) -> Vec<Vec<u8>> {
        let Some(kind) = self.plan.proxy_header else { return Vec::new() };
        let target = match self.target {
            ConnectTarget::Tcp(address) => Some(address),
            ConnectTarget::Unix(_) | ConnectTarget::Abstract(_) => None,
        };
        let addresses = ProxiedAddresses::new(&self.sources, target);
        (0..self.plan.connections).map(|slot| addresses.header(kind, slot)).collect()
    }

    /// The share and its requests as a worker reads them: a line of JSON, and the encoded table.
    ///
    /// # Panics
    /// If the path of a Unix socket or of `expect` isn't UTF-8, which no option can give.
    #[must_use]
    pub fn encoded(&self, requests: &RequestTable) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("a share has text and numbers");
        bytes.push(b'\n');
        bytes.extend(requests.encoded());
        bytes
    }

    fn decoded(bytes: &[u8]) -> Result<(Self, RequestTable), String> {
        let end = bytes.iter().position(|&byte| byte == b'\n').ok_or("it has no line")?;
        let share = serde_json::from_slice(&bytes[..end]).map_err(|error| error.to_string())?;
        let requests = RequestTable::decoded(&bytes[end + 1..]).ok_or("it has no requests")?;
        Ok((share, requests))
    }
}

/// Words that the parent writes for all workers; they precede the counters of each worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum SharedWord {
    /// Start time, in nanoseconds of the monotonic clock; 0 until it is set.
    Begin,
    /// Not 0 once workers must stop making requests: a [`StopLevel`].
    Stop,
    /// Number of workers that still make requests.
    Making,
}

/// How soon a worker has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum StopLevel {
    /// It makes no more requests, and waits [`STOP_GRACE`] at most for responses.
    Soon = 1,
    /// It doesn't wait.
    Now = 2,
}

/// The longest wait for responses after an interruption.
pub const STOP_GRACE: Duration = Duration::from_millis(500);

/// The layout of the shared memory of a run: the common words, and for each worker its counters
/// and those of its targets.
#[derive(Clone, Copy, Debug)]
pub struct RunMemory {
    /// Number of workers.
    pub workers: u32,
    /// Number of distinct requests.
    pub distinct: usize,
}

impl RunMemory {
    /// Its size, in words.
    #[must_use]
    pub fn words(self) -> usize {
        SHARED_WORDS + self.workers as usize * self.words_of_worker()
    }

    /// The counters of worker `index`.
    #[must_use]
    pub fn counters(self, words: &[AtomicU64], index: u32) -> Counters<'_> {
        Counters::new(&self.of_worker(words, index)[..Counters::WORDS])
    }

    /// The counters of the targets of worker `index`.
    #[must_use]
    pub fn targets(self, words: &[AtomicU64], index: u32) -> TargetCounters<'_> {
        TargetCounters::new(&self.of_worker(words, index)[Counters::WORDS..])
    }

    fn of_worker(self, words: &[AtomicU64], index: u32) -> &[AtomicU64] {
        let own = self.words_of_worker();
        &words[SHARED_WORDS + index as usize * own..][..own]
    }

    fn words_of_worker(self) -> usize {
        Counters::WORDS + target_counters::counted(self.distinct) * WORDS_PER_TARGET
    }
}

/// Runs a worker until its part of the load is complete or the parent stops it.
///
/// # Errors
/// If its input or the expected content can't be read, or the engine can't be created or fails.
pub fn run(worker: WorkerArgs) -> Result<(), Failure> {
    let (mut share, requests) = read_share()?;
    if let Some(path) = &share.expect {
        share.plan.expect = Some(std::fs::read(path).map_err(|error| {
            Failure::new(format!("reading {} (--expect)", path.display()), error, "")
        })?);
    }
    let memory = RunMemory { workers: worker.workers, distinct: requests.distinct() };
    let words = SharedCounters::inherited(worker.fd, memory.words())?;
    let counters = memory.counters(words.counters(), worker.index);
    let targets = memory.targets(words.counters(), worker.index);
    let requests = RequestBuffer::new(requests, share.plan.pipeline, &share.headers());
    let batch_bytes = batch_bytes(&share, &requests)?;
    let tls = share.tls.as_ref();
    let tls = tls.map(|tls| ClientTls::new(tls, requests.fixed(), batch_bytes)).transpose()?;
    let fixed = match &tls {
        Some(tls) => vec![0; tls.fixed_bytes(share.plan.connections)],
        None => requests.fixed(),
    };
    let engine = make_engine(&share, fixed, batch_bytes)?;
    let base_ns = engine.base_ns();
    counters.set(Count::State, WorkerState::Ready as u64);
    let begin = await_begin(words.counters());
    let start = Nanos(begin.saturating_sub(base_ns));
    let making = &words.counters()[SharedWord::Making as usize];
    let run = ClientRun { counters, targets, making, start, base_ns };
    let mut client = Client::new(engine, share.plan, requests, run).with_tls(tls);
    let used = process::cpu_ns();
    let mut tick = Nanos(0);
    loop {
        let was_making = counters.get(Count::MadeUntil) == 0;
        let is_running = client
            .turn(Some(tick))
            .map_err(|errno| Failure::new("waiting for the engine", errno, ""))?;
        let now = client.engine_mut().now();
        let is_made = was_making && counters.get(Count::MadeUntil) != 0;
        if now >= tick || is_made || !is_running {
            tick = now.plus(TICK);
            // Of the time in which requests are made: waiting costs nothing.
            if was_making {
                counters.set(Count::Cpu, process::cpu_ns() - used);
                counters.set(Count::Elapsed, now.0.saturating_sub(start.0));
            }
            match words.counters()[SharedWord::Stop as usize].load(Ordering::Relaxed) {
                0 => {}
                level if level == StopLevel::Soon as u64 => client.stop(STOP_GRACE),
                _ => client.stop(Duration::ZERO),
            }
        }
        if !is_running {
            counters.set(Count::State, WorkerState::Done as u64);
            return Ok(());
        }
    }
}

fn read_share() -> Result<(Share, RequestTable), Failure> {
    let what = "reading the worker's share from standard input";
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).map_err(|error| Failure::new(what, error, ""))?;
    Share::decoded(&bytes)
        .map_err(|error| Failure::new(what, error, "workers are started by uringload, not by hand"))
}

/// The number of bytes of the requests that are sent together.
fn batch_bytes(share: &Share, requests: &RequestBuffer) -> Result<usize, Failure> {
    let batch_bytes = requests.batch_bytes(share.plan.pipeline);
    if batch_bytes > BATCH_BYTES_MAX {
        return Err(Failure::new(
            format!("preparing {batch_bytes} bytes of requests"),
            format!("at most {BATCH_BYTES_MAX} are sent together"),
            "use a shorter --body or a smaller --pipeline",
        ));
    }
    Ok(batch_bytes)
}

fn make_engine(share: &Share, fixed: Vec<u8>, batch_bytes: usize) -> Result<Chosen, Failure> {
    let connections = share.plan.connections;
    let preparation = Chosen::prepare(&Requirements {
        kind: share.engine,
        slots: connections,
        buffers: RECEIVE_BUFFERS,
        without: &[],
    })
    .map_err(hints::of_engine)?;
    process::raise_open_files(u64::from(connections), "--connections")?;
    let parts = Parts {
        slots: connections,
        role: Role::Client(Destination {
            target: share.target.clone(),
            sources: share.sources.clone(),
            // A handshake's last message and the request behind it are two sends, of which the
            // second one would wait for an acknowledgement of the first (RFC 9293 3.7.4).
            no_delay: share.tls.is_some() || batch_bytes > SEGMENT_BYTES,
        }),
        fixed: fixed.into(),
        buffers: RECEIVE_BUFFERS,
        held: None,
        restricted: false,
        wants_peers: false,
    };
    Chosen::create(preparation, parts).map_err(hints::of_engine)
}

/// Waits until the parent has set the start time, and returns it.
fn await_begin(words: &[AtomicU64]) -> u64 {
    loop {
        let begin = words[SharedWord::Begin as usize].load(Ordering::Acquire);
        if begin != 0 {
            return begin;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

const SHARED_WORDS: usize = 8;
/// Interval of publishing the CPU time and of checking for a stop.
const TICK: Duration = Duration::from_millis(50);
const BATCH_BYTES_MAX: usize = 64 << 20;
/// Fits into one TCP segment at an MTU of 1,500.
const SEGMENT_BYTES: usize = 1400;
/// One turn's input; each buffer holds a response with the built-in page.
const RECEIVE_BUFFERS: ReceiveBuffers = ReceiveBuffers { count: 256, bytes: 8192 };
