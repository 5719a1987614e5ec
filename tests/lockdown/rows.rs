//! The table of attempts: how each fails, and without which layers it succeeds.

use crate::process::Outcome;
use uringstatic::engine::kernel::EngineKind;
use uringstatic::sandbox::ProcessKind;

/// One attempt.
pub(crate) struct Row {
    pub(crate) kind: ProcessKind,
    /// The engines of the workers with which it is made.
    pub(crate) engines: &'static [EngineKind],
    pub(crate) name: &'static str,
    /// The outcome with all layers.
    pub(crate) stated: Outcome,
    /// The layers each of which stops it alone; without all of them it succeeds.
    pub(crate) without: &'static [&'static str],
    /// Whether it is an entry of the ring.
    pub(crate) is_by_ring: bool,
}

impl Row {
    /// The same attempt with this engine only.
    const fn only_with(mut self, engines: &'static [EngineKind]) -> Self {
        self.engines = engines;
        self
    }
}

const fn row(
    kind: ProcessKind,
    name: &'static str,
    stated: Outcome,
    without: &'static [&'static str],
) -> Row {
    Row { kind, engines: BOTH, name, stated, without, is_by_ring: false }
}

const fn call(name: &'static str, without: &'static [&'static str]) -> Row {
    row(ProcessKind::Worker, name, Outcome::Killed, without)
}

const fn of_worker(name: &'static str, stated: Outcome, without: &'static [&'static str]) -> Row {
    row(ProcessKind::Worker, name, stated, without)
}

const fn ring(name: &'static str, stated: Outcome, without: &'static [&'static str]) -> Row {
    let mut row = row(ProcessKind::Worker, name, stated, without).only_with(IO_URING);
    row.is_by_ring = true;
    row
}

const fn of_supervisor(name: &'static str, errno: i32, without: &'static [&'static str]) -> Row {
    row(ProcessKind::Supervisor, name, Outcome::Refused(errno), without).only_with(IO_URING)
}

const fn of_loader(name: &'static str, errno: i32, without: &'static [&'static str]) -> Row {
    row(ProcessKind::Loader, name, Outcome::Refused(errno), without).only_with(IO_URING)
}

const fn of_admin(name: &'static str, stated: Outcome, without: &'static [&'static str]) -> Row {
    row(ProcessKind::Admin, name, stated, without)
}

const fn of_logger(name: &'static str, stated: Outcome, without: &'static [&'static str]) -> Row {
    row(ProcessKind::Logger, name, stated, without).only_with(IO_URING)
}

const IO_URING: &[EngineKind] = &[EngineKind::IoUring];
const EPOLL: &[EngineKind] = &[EngineKind::Epoll];
const BOTH: &[EngineKind] = &[EngineKind::IoUring, EngineKind::Epoll];
const DENIED: Outcome = Outcome::Refused(libc::EACCES);

pub(crate) const ROWS: &[Row] = &[
    call("open a file", &["seccomp", "landlock"]),
    ring("open a file by the ring", DENIED, &["ring", "landlock"]),
    call("connect", &["seccomp", "landlock"]),
    call("connect a listener", &["seccomp", "landlock"]),
    ring("make a socket by the ring", DENIED, &["ring"]),
    ring("connect by the ring", DENIED, &["ring", "landlock"]),
    // A send that connects, by a listener that was shut down: no other layer sees it.
    ring("connect by fast open by the ring", Outcome::Refused(libc::EAGAIN), &["listeners"]),
    // It is permitted: restrictions of a ring are by operation, and connections are shut down.
    ring("shut a listener down by the ring", Outcome::Succeeded, &[]),
    call("connect by fast open", &["seccomp", "listeners"]),
    call("shut a listener down", &["seccomp"]),
    call("set an option of a listener", &["seccomp"]),
    // The flag would be that of all processes that share the listener.
    call("make a listener wait", &["seccomp"]),
    call("make a ring", &["seccomp"]),
    call("register a personality with the ring", &["seccomp", "ring"]).only_with(IO_URING),
    call("enter the ring with another flag", &["seccomp"]).only_with(IO_URING),
    call("enter a ring", &["seccomp"]).only_with(EPOLL),
    call("trace the parent", &["seccomp", "landlock", "privileges"]),
    call("kill the parent", &["seccomp", "landlock", "privileges"]),
    call("start a program", &["seccomp", "landlock"]),
    call("fork", &["seccomp"]),
    call("map executable memory", &["seccomp"]),
    call("make memory executable", &["seccomp"]),
    call("pass a descriptor", &["seccomp"]),
    call("receive a descriptor", &["seccomp"]),
    call("send a message by a listener", &["seccomp"]),
    call("receive a message by a listener", &["seccomp"]),
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
    of_worker("read a secret of the environment", ABSENT, &["environment"]),
    of_worker("have too many privileges", NOT_PERMITTED, &["privileges"]),
    of_worker("write to the page of another worker", Outcome::Refused(libc::ENOMEM), &["seccomp"]),
    call("open the scoreboard again", &["seccomp", "privileges"]),
    // The calls of a worker on epoll, with other arguments.
    call("accept with an address", &["seccomp"]).only_with(EPOLL),
    call("accept with the length of an address", &["seccomp"]).only_with(EPOLL),
    call("accept a connection that waits", &["seccomp"]).only_with(EPOLL),
    call("accept a connection to inherit", &["seccomp"]).only_with(EPOLL),
    call("send to an address", &["seccomp"]).only_with(EPOLL),
    call("send by fast open without an address", &["seccomp"]).only_with(EPOLL),
    call("end the receiving side of a listener", &["seccomp"]).only_with(EPOLL),
    call("make an epoll instance", &["seccomp"]).only_with(EPOLL),
    call("register with another epoll instance", &["seccomp"]).only_with(EPOLL),
    call("wait for another epoll instance", &["seccomp"]).only_with(EPOLL),
    call("wait with a signal mask", &["seccomp"]).only_with(EPOLL),
    // It is permitted: standard output is /dev/null.
    of_worker("write to standard output by writev", Outcome::Succeeded, &[]).only_with(EPOLL),
    // A supervisor reads and executes files, forks, and signals what it has started.
    of_supervisor("connect", libc::EPERM, &["seccomp", "landlock"]),
    of_supervisor("bind a socket", libc::EPERM, &["seccomp", "landlock"]),
    of_supervisor("connect by fast open", libc::EAGAIN, &["listeners"]),
    of_supervisor("connect by fast open", libc::EPERM, &["seccomp", "listeners"]).only_with(EPOLL),
    of_supervisor("make a ring", libc::EPERM, &["seccomp"]).only_with(EPOLL),
    of_supervisor("enter a ring", libc::EPERM, &["seccomp"]).only_with(EPOLL),
    of_supervisor("make a socket", libc::EPERM, &["seccomp"]),
    of_supervisor("write to a file", libc::EACCES, &["landlock"]),
    of_supervisor("make a file", libc::EACCES, &["landlock"]),
    of_supervisor("make a folder", libc::EACCES, &["landlock"]),
    of_supervisor("remove a file", libc::EACCES, &["landlock"]),
    of_supervisor("change the mode of a file", libc::EPERM, &["seccomp"]),
    of_supervisor("trace the parent", libc::EPERM, &["seccomp", "landlock", "privileges"]),
    of_supervisor("kill the parent", libc::EPERM, &["landlock"]),
    of_supervisor("mount", libc::EPERM, &["seccomp", "landlock", "privileges"]),
    of_supervisor("fork into another namespace", libc::EPERM, &["seccomp"]),
    of_supervisor("make memory to share", libc::EPERM, &["seccomp"]),
    of_supervisor("read an inherited descriptor", libc::EBADF, &["descriptors"]),
    of_supervisor("read a secret of the environment", libc::ENOENT, &["environment"]),
    of_supervisor("have too many privileges", libc::EPERM, &["privileges"]),
    // A loader reads the root, and copies itself.
    row(ProcessKind::Loader, "read a file of the root", Outcome::Succeeded, &[]),
    of_loader("read a file outside of the root", libc::EACCES, &["landlock"]),
    of_loader("read by a link out of the root", libc::EACCES, &["landlock"]),
    of_loader("write to a file", libc::EACCES, &["landlock"]),
    of_loader("make a file", libc::EACCES, &["landlock"]),
    of_loader("connect", libc::EPERM, &["seccomp", "landlock"]),
    of_loader("connect by fast open", libc::EAGAIN, &["listeners"]),
    of_loader("connect by fast open", libc::EPERM, &["seccomp", "listeners"]).only_with(EPOLL),
    of_loader("make a ring", libc::EPERM, &["seccomp"]).only_with(EPOLL),
    of_loader("enter a ring", libc::EPERM, &["seccomp"]).only_with(EPOLL),
    of_loader("make a socket", libc::EPERM, &["seccomp"]),
    of_loader("start a program", libc::EPERM, &["seccomp", "landlock"]),
    of_loader("kill the parent", libc::EPERM, &["seccomp", "landlock", "privileges"]),
    of_loader("trace the parent", libc::EPERM, &["seccomp", "landlock", "privileges"]),
    of_loader("become root", libc::EPERM, &["privileges"]),
    of_loader("mount", libc::EPERM, &["seccomp", "landlock", "privileges"]),
    of_loader("read an inherited descriptor", libc::EBADF, &["descriptors"]),
    of_loader("read a secret of the environment", libc::ENOENT, &["environment"]),
    of_loader("have too many privileges", libc::EPERM, &["privileges"]),
    // An admin process is locked down by the functions that lock a worker down.
    of_admin("open a file", KILLED, &["seccomp", "landlock"]),
    of_admin("connect", KILLED, &["seccomp", "landlock"]),
    of_admin("shut a listener down", KILLED, &["seccomp"]),
    of_admin("make a ring", KILLED, &["seccomp"]),
    of_admin("register a personality with the ring", KILLED, &["seccomp", "ring"])
        .only_with(IO_URING),
    of_admin("start a program", KILLED, &["seccomp", "landlock"]),
    of_admin("fork", KILLED, &["seccomp"]),
    of_admin("kill the parent", KILLED, &["seccomp", "landlock", "privileges"]),
    of_admin("map executable memory", KILLED, &["seccomp"]),
    of_admin("pass a descriptor", KILLED, &["seccomp"]),
    of_admin("become root", KILLED, &["seccomp", "privileges"]),
    of_admin("write to standard output", KILLED, &["seccomp"]),
    of_admin("read an inherited descriptor", KILLED, &["seccomp", "descriptors"]),
    of_admin("read a secret of the environment", ABSENT, &["environment"]),
    of_admin("have too many privileges", NOT_PERMITTED, &["privileges"]),
    // A logger writes to its output, and receives another one by its channel.
    of_logger("open a file", KILLED, &["seccomp", "landlock"]),
    of_logger("make a file", KILLED, &["seccomp", "landlock"]),
    of_logger("connect", KILLED, &["seccomp", "landlock"]),
    of_logger("make a ring", KILLED, &["seccomp"]),
    of_logger("trace the parent", KILLED, &["seccomp", "landlock", "privileges"]),
    of_logger("kill the parent", KILLED, &["seccomp", "landlock", "privileges"]),
    of_logger("start a program", KILLED, &["seccomp", "landlock"]),
    of_logger("fork", KILLED, &["seccomp"]),
    of_logger("map executable memory", KILLED, &["seccomp"]),
    of_logger("pass a descriptor", KILLED, &["seccomp"]),
    of_logger("receive a message by a listener", KILLED, &["seccomp"]),
    of_logger("duplicate a descriptor", KILLED, &["seccomp"]),
    of_logger("write to standard output", KILLED, &["seccomp"]),
    of_logger("become root", KILLED, &["seccomp", "privileges"]),
    of_logger("read an inherited descriptor", KILLED, &["seccomp", "descriptors"]),
    of_logger("read a secret of the environment", ABSENT, &["environment"]),
    of_logger("have too many privileges", NOT_PERMITTED, &["privileges"]),
];

const KILLED: Outcome = Outcome::Killed;
const ABSENT: Outcome = Outcome::Refused(libc::ENOENT);
const NOT_PERMITTED: Outcome = Outcome::Refused(libc::EPERM);
