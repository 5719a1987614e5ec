//! The table of attempts: how each fails, and without which layers it succeeds.

use crate::process::Outcome;

/// One attempt.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The outcome with all layers.
    pub(crate) stated: Outcome,
    /// The layers each of which stops it alone; without all of them it succeeds.
    pub(crate) without: &'static [&'static str],
    /// Whether it is an entry of the ring.
    pub(crate) is_by_ring: bool,
}

const fn call(name: &'static str, without: &'static [&'static str]) -> Row {
    Row { name, stated: Outcome::Killed, without, is_by_ring: false }
}

const fn ring(name: &'static str, stated: Outcome, without: &'static [&'static str]) -> Row {
    Row { name, stated, without, is_by_ring: true }
}

const DENIED: Outcome = Outcome::Refused(libc::EACCES);

pub(crate) const ROWS: &[Row] = &[
    call("open a file", &["seccomp", "landlock"]),
    ring("open a file by the ring", DENIED, &["ring", "landlock"]),
    call("connect", &["seccomp", "landlock"]),
    ring("make a socket by the ring", DENIED, &["ring"]),
    ring("connect by the ring", DENIED, &["ring", "landlock"]),
    // A send that connects, by a listener that was shut down: no other layer sees it.
    ring("connect by fast open", Outcome::Refused(libc::EAGAIN), &["listeners"]),
    call("make a ring", &["seccomp"]),
    call("register a personality with the ring", &["seccomp", "ring"]),
    call("trace the parent", &["seccomp", "landlock", "privileges"]),
    call("kill the parent", &["seccomp", "landlock", "privileges"]),
    call("start a program", &["seccomp", "landlock"]),
    call("fork", &["seccomp"]),
    call("map executable memory", &["seccomp"]),
    call("make memory executable", &["seccomp"]),
    call("pass a descriptor", &["seccomp"]),
    call("become root", &["seccomp", "privileges"]),
    call("mount", &["seccomp", "landlock", "privileges"]),
    call("write to standard output", &["seccomp"]),
    call("read an inherited descriptor", &["seccomp", "descriptors"]),
    ring("read an inherited descriptor by the ring", DENIED, &["ring", "descriptors"]),
    // Polling is permitted and reveals whether the descriptor exists.
    ring(
        "poll an inherited descriptor by the ring",
        Outcome::Refused(libc::EBADF),
        &["descriptors"],
    ),
    ring("pass a descriptor by the ring", DENIED, &["ring"]),
    call("read the clock of another process", &["seccomp"]),
    Row {
        name: "read a secret of the environment",
        stated: Outcome::Refused(libc::ENOENT),
        without: &["environment"],
        is_by_ring: false,
    },
    Row {
        name: "be root, or have a capability",
        stated: Outcome::Refused(libc::EPERM),
        without: &["privileges"],
        is_by_ring: false,
    },
];
