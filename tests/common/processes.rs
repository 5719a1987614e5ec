//! The processes of a server, as the kernel reports them in `/proc` (proc(5)).

use super::{Client, PATIENCE};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// The name that it has given itself: `uringstatic-l` for a loader, `uringstatic-w0` for the
    /// worker with the number 0.
    pub(crate) name: String,
    parent: u32,
    state: char,
}

impl Process {
    /// The process with this ID, unless it has ended.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // A name may contain parentheses.
        let (_, rest) = text.split_once('(')?;
        let (name, rest) = rest.rsplit_once(") ")?;
        let mut words = rest.split(' ');
        let state = words.next()?.chars().next()?;
        let parent = words.next()?.parse().ok()?;
        Some(Self { pid, name: name.to_owned(), parent, state })
    }

    /// The children of a process, also those that have ended and were not waited for.
    pub(crate) fn children_of(parent: u32) -> Vec<Self> {
        let entries = fs::read_dir("/proc").expect("proc(5) is mounted");
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let processes = names.filter_map(|name| Self::of(name.parse().ok()?));
        let mut children: Vec<_> = processes.filter(|process| process.parent == parent).collect();
        children.sort_by_key(|process| process.pid);
        children
    }

    /// Whether it has ended and its parent has yet to wait for it.
    pub(crate) fn is_zombie(&self) -> bool {
        self.state == 'Z'
    }

    /// Whether SIGSTOP has stopped it.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state == 'T'
    }

    /// The number of a worker.
    pub(crate) fn worker_number(&self) -> Option<u32> {
        self.name.strip_prefix("uringstatic-w")?.parse().ok()
    }
}

/// Sends a signal, such as `KILL`; a negative number names a process group.
pub(crate) fn signal(name: &str, pid: i64) {
    let kill = format!("kill -s {name} -- {pid}");
    let status = Command::new("sh").args(["-c", &kill]).status().expect("there is a shell");
    assert!(status.success(), "{kill}");
}

/// Sends a signal to processes one after the other, the last of which may have ended by then.
pub(crate) fn signal_all(name: &str, pids: &[u32]) {
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    let kill = format!("kill -s {name} {} 2> /dev/null", pids.join(" "));
    Command::new("sh").args(["-c", &kill]).status().expect("there is a shell");
}

/// Polls until there is a value; fails after [`PATIENCE`].
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = ask() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        Client::pause(Duration::from_millis(2));
    }
}
