//! Connections, descriptors, memory and state of the server, as the kernel reports them in `/proc`
//! (proc(5)).

use crate::common::PATIENCE;
use crate::common::connections::Connections;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// A worker that accepts connections to a port of 127.0.0.1.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    pub(crate) pid: u32,
    pub(crate) port: u16,
}

/// Figures that have to be the same after an attack as before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Open descriptors; `None` if this user may not list them. Direct descriptors of the ring are
    /// not among them.
    pub(crate) descriptors: Option<usize>,
    /// Anonymous memory.
    pub(crate) memory_kib: u64,
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

    /// The value of a line of `/proc/PID/status`.
    fn status(&self, name: &str) -> String {
        let path = format!("/proc/{}/status", self.pid);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{path} has {name}")).trim().to_owned()
    }

    /// Whether SIGSTOP has stopped the process.
    pub(crate) fn is_stopped(&self) -> bool {
        self.status("State:").starts_with('T')
    }

    pub(crate) fn connections(&self) -> Connections {
        Connections::of_port(self.port)
    }
}

/// Polls until the condition holds; fails after [`PATIENCE`].
pub(crate) fn await_that(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        breathe(Duration::from_millis(2));
    }
}

/// Yields the core to the server.
pub(crate) fn breathe(time: Duration) {
    std::thread::sleep(time);
}
