//! A mixed load until it is stopped: the load client with one set of options after the other, and
//! beside it clients that read slowly, never read, send slowly and send garbage.

use crate::common::GET;
use crate::crowd::Peer;
use crate::watch::breathe;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// The options of the load client, for [`TURN`] each.
pub(crate) const TURNS: [&[&str]; 6] = [
    &["-c", "50", "--rate", "4000"],
    &["-c", "50", "--rate", "2000", "--close"],
    &["-c", "8", "--pipeline", "8"],
    &["-c", "50", "--rate", "2000", "--ab"],
    &["-c", "200", "--rate", "4000", "--method", "HEAD"],
    &["-c", "200", "--rate", "2000", "--body", "0123456789", "--method", "POST", "--status", "405"],
];
pub(crate) const TURN: Duration = Duration::from_secs(6);

/// The two running loads.
pub(crate) struct Mix<'scope> {
    load: ScopedJoinHandle<'scope, Vec<String>>,
    hostile: ScopedJoinHandle<'scope, u64>,
}

impl<'scope> Mix<'scope> {
    /// Starts both. The site has a page at `/` and these bytes at `/large.bin`.
    pub(crate) fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        address: SocketAddr,
        large: &'env [u8],
        stop: &'env AtomicBool,
    ) -> Self {
        let load = scope.spawn(move || load(address, stop));
        let hostile = scope.spawn(move || hostile(address, large, stop));
        Self { load, hostile }
    }

    /// Waits for both after `stop` is set: the output of failed runs of the load client, and the
    /// number of hostile clients.
    pub(crate) fn end(self) -> (Vec<String>, u64) {
        let failed = self.load.join().expect("the load client can be run");
        (failed, self.hostile.join().expect("every byte is right"))
    }
}

/// Runs the load client repeatedly. Returns the output of the runs that failed.
fn load(address: SocketAddr, stop: &AtomicBool) -> Vec<String> {
    let (url, seconds) = (format!("http://{address}/"), format!("{}s", TURN.as_secs()));
    let mut failed = Vec::new();
    for words in TURNS.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let output = Command::new(env!("CARGO_BIN_EXE_uringload"))
            .args(*words)
            .args(["--duration", &seconds, "--processes", "1", &url])
            .output()
            .expect("the load client was built");
        if !output.status.success() {
            let messages = [output.stdout, output.stderr].concat();
            failed.push(format!("{words:?}: {}", String::from_utf8_lossy(&messages)));
        }
    }
    failed
}

/// A hostile client, and the time of its start.
struct Hostile {
    kind: Kind,
    peer: Peer,
    since: Instant,
}

#[derive(Clone, Copy)]
enum Kind {
    /// Reads a large file in small parts.
    SlowReader,
    /// Requests the file and never reads.
    NeverReader,
    /// Sends a head a byte at a time.
    SlowHead,
    /// Sends garbage.
    Rubbish,
    /// Sends a request and resets the connection.
    Leaver,
}

/// Hostile clients, each replaced at its end. Returns their number.
fn hostile(address: SocketAddr, large: &[u8], stop: &AtomicBool) -> u64 {
    let kinds = [Kind::SlowReader, Kind::NeverReader, Kind::SlowHead, Kind::Rubbish, Kind::Leaver];
    let begin = |kind: Kind| {
        let mut peer = Peer::connect(address);
        peer.send(kind.first());
        Hostile { kind, peer, since: Instant::now() }
    };
    let mut clients: Vec<Hostile> = kinds.repeat(OF_EACH_KIND).into_iter().map(begin).collect();
    let mut count = clients.len() as u64;
    while !stop.load(Ordering::Relaxed) {
        for client in &mut clients {
            if client.goes_on(large) {
                continue;
            }
            let Hostile { kind, peer, .. } = std::mem::replace(client, begin(client.kind));
            count += 1;
            match kind {
                Kind::Leaver => peer.reset(),
                Kind::SlowReader | Kind::NeverReader | Kind::SlowHead | Kind::Rubbish => {}
            }
        }
        breathe(TICK);
    }
    count
}

impl Kind {
    fn first(self) -> &'static str {
        match self {
            Self::SlowReader | Self::NeverReader => "GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n",
            Self::SlowHead => "GET / HTTP/1.1\r\nHost: a\r\nX: ",
            Self::Rubbish => "\0\0\0\0 is no request",
            Self::Leaver => GET,
        }
    }
}

impl Hostile {
    /// The next step of the client; false at its end.
    fn goes_on(&mut self, large: &[u8]) -> bool {
        let peer = &mut self.peer;
        match self.kind {
            Kind::SlowReader => {
                peer.receive_some(large);
                peer.end.is_none() && peer.pages == 0
            }
            Kind::NeverReader => self.since.elapsed() < NEVER,
            Kind::SlowHead => {
                peer.receive(large);
                peer.end.is_none() && peer.send("y")
            }
            Kind::Rubbish => {
                peer.receive(large);
                peer.end.is_none()
            }
            Kind::Leaver => self.since.elapsed() < TICK,
        }
    }
}

const OF_EACH_KIND: usize = 10;
/// The stay of a client that never reads: longer than the server's send timeout.
const NEVER: Duration = Duration::from_secs(4);
const TICK: Duration = Duration::from_millis(20);
