//! What the kernel says of the server: its connections, descriptors, memory and state. Knows the
//! files in `/proc`, and nothing of what the server is doing.

use crate::common::PATIENCE;
use std::collections::HashSet;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// A process that listens on a port of 127.0.0.1.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    pub(crate) pid: u32,
    pub(crate) port: u16,
}

/// What has to be after an attack as it was before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Open descriptors; `None` if this user may not see them. Connections are not among them if
    /// the ring has a table of its own for them.
    pub(crate) descriptors: Option<usize>,
    /// Anonymous memory.
    pub(crate) memory_kib: u64,
}

/// The server's end of connections.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sockets {
    /// Connections that were accepted and not closed, whatever they were accepted into.
    pub(crate) accepted: usize,
    /// Bytes that came on these and were not received.
    pub(crate) unread: u64,
}

impl Watch {
    pub(crate) fn figures(&self) -> Figures {
        let folder = format!("/proc/{}/fd", self.pid);
        let descriptors = match std::fs::read_dir(&folder) {
            Ok(entries) => Some(entries.count()),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => None,
            Err(error) => panic!("{folder}: {error}"),
        };
        let memory = self.status("RssAnon:");
        let kib = memory.split_whitespace().next().expect("it has a value");
        Figures { descriptors, memory_kib: kib.parse().expect("memory is a number") }
    }

    /// The rest of a line of its status.
    fn status(&self, name: &str) -> String {
        let path = format!("/proc/{}/status", self.pid);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{path} has {name}")).trim().to_owned()
    }

    /// Whether a signal has stopped it.
    pub(crate) fn is_stopped(&self) -> bool {
        self.status("State:").starts_with('T')
    }

    /// The table is not read at one moment: where connections come and go, one may be seen that is
    /// over and another in its place. It is exact while the server is stopped.
    pub(crate) fn sockets(&self) -> Sockets {
        let table = std::fs::read_to_string("/proc/net/tcp").expect("there is a network");
        let port = format!(":{:04X}", self.port);
        let mut sockets = Sockets::default();
        let mut seen = HashSet::new();
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // What nobody has accepted yet, or somebody has closed, has no inode.
            let is_ours = fields[1].ends_with(&port) && fields[3] != LISTENS && fields[9] != "0";
            // Read in pieces, a row may come twice if others' sockets come and go meanwhile.
            if is_ours && seen.insert(fields[9]) {
                sockets.accepted += 1;
                let (_, unread) = fields[4].split_once(':').expect("two queues");
                sockets.unread += u64::from_str_radix(unread, 16).expect("hexadecimal");
            }
        }
        sockets
    }
}

/// Waits until something is so; that it never is ends the attack.
pub(crate) fn await_that(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        breathe(Duration::from_millis(2));
    }
}

/// Gives the core to others.
pub(crate) fn breathe(time: Duration) {
    std::thread::sleep(time); // tidy: who looks at many sockets in turn must let others work
}

const LISTENS: &str = "0A";
