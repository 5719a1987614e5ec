//! The attempts of an attacker in control of a process.

#![allow(unsafe_code, reason = "an attacker uses it")]

use crate::process::{FOLDER, INHERITED, LOOK, Outcome, SECRET};
use crate::raw::{address, call, number};
use crate::{epoll, sockets};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering};
use uringstatic::engine::Engine;
use uringstatic::engine::chosen::Chosen;
use uringstatic::engine::kernel::KernelEngine;
use uringstatic::engine::uring::Uring;
use uringstatic::os::channel::Channel;
use uringstatic::os::net::Listener;
use uringstatic::os::shared::{COUNTERS_PER_PAGE, CounterPart, SharedCounters};
use uringstatic::sandbox::ProcessKind;

/// Facts collected before the process enters its sandbox, and its share of a scoreboard.
pub(crate) struct Prepared {
    parent: usize,
    /// The address of the secret in the environment.
    secret: *const libc::c_char,
    /// The page of a worker, with another one's behind it.
    own: CounterPart,
    /// All pages, the first of which is the supervisor's.
    all: CounterPart,
    /// The folder of [`crate::process::Ground`].
    folder: String,
}

impl Prepared {
    pub(crate) fn new() -> Self {
        let name = CString::new(SECRET).expect("the name has no zero byte");
        // SAFETY: the name ends with a zero byte, and no other thread changes the environment.
        let secret = unsafe { libc::getenv(name.as_ptr()) };
        assert!(!secret.is_null(), "the test sets the variable");
        let parent = std::os::unix::process::parent_id();
        // As a worker maps the scoreboard, whose descriptor it closes then.
        let counters = SharedCounters::new("scoreboard", 3 * COUNTERS_PER_PAGE);
        let counters = counters.unwrap_or_else(|failure| panic!("{failure}"));
        let own = counters.part(COUNTERS_PER_PAGE, COUNTERS_PER_PAGE).expect("there is memory");
        let all = counters.read_only().expect("there is memory");
        let parent = parent.try_into().expect("a process number is small");
        let folder = std::env::var(FOLDER).expect("the test sets the variable");
        Self { parent, secret, own, all, folder }
    }

    /// A path within the folder, which ends with a zero byte.
    fn path(&self, name: &str) -> Vec<u8> {
        format!("{}/{name}\0", self.folder).into_bytes()
    }

    fn read_secret(&self) -> Answer {
        // SAFETY: the environment stays mapped at its address until the process ends.
        let first = unsafe { self.secret.read() };
        let is_there = first != 0 || std::env::var(SECRET).is_ok();
        if is_there { Ok(()) } else { Err(libc::ENOENT) }
    }

    /// Writes through a mapping of the page before the other worker's, which it enlarges.
    fn write_behind_own_page(&self) -> Answer {
        let may_move = number(libc::MREMAP_MAYMOVE);
        let start = call(libc::SYS_mremap, [start(&self.own), 4096, 2 * 4096, may_move, 0])?;
        let behind = (start + 4096) as *const AtomicU64;
        // SAFETY: the kernel has mapped two pages, and the file has another one behind the first.
        unsafe { &*behind }.store(7, Ordering::Relaxed);
        let seen = self.all.counters()[2 * COUNTERS_PER_PAGE].load(Ordering::Relaxed);
        if seen == 7 { Ok(()) } else { Err(libc::EIO) }
    }

    /// Opens the file behind the mapping of all pages for writing (`proc_pid_map_files(5)`).
    fn open_scoreboard(&self) -> Answer {
        let first = start(&self.all);
        let path = format!("/proc/self/map_files/{first:x}-{:x}\0", first + 3 * 4096);
        let write = number(libc::O_RDWR);
        call(libc::SYS_openat, [at_cwd(), address(path.as_bytes()), write, 0, 0]).map(drop)
    }
}

fn start(part: &CounterPart) -> usize {
    part.counters().as_ptr() as usize
}

/// The process that is attacked.
pub(crate) enum Attacked<'a> {
    /// A worker, with its engine.
    Worker(&'a mut Chosen),
    /// A supervisor or a loader, with its listeners.
    Other(&'a [Listener]),
    /// A logger, with the channel to its supervisor, and listeners that it wouldn't have.
    Logger(&'a Channel, &'a [Listener]),
}

impl Attacked<'_> {
    fn listeners(&self) -> &[Listener] {
        match self {
            Self::Worker(engine) => engine.listeners(),
            Self::Other(listeners) | Self::Logger(_, listeners) => listeners,
        }
    }

    /// Waits to be looked at from outside.
    fn wait(self) -> ! {
        eprint!("{LOOK}");
        match self {
            Self::Worker(engine) => loop {
                engine.submit_and_wait(None).expect("it may wait");
            },
            Self::Logger(channel, _) => loop {
                let _ = channel.receive(&mut [0]);
            },
            Self::Other(_) => loop {
                std::thread::park();
            },
        }
    }
}

pub(crate) type Answer = Result<(), i32>;

/// Makes an attempt; the error is the number with which it was refused.
pub(crate) fn make(name: &str, attacked: Attacked<'_>, prepared: &Prepared) -> Answer {
    let answer = on_files(name, prepared)
        .or_else(|| sockets::make(name, attacked.listeners()))
        .or_else(|| on_processes(name, prepared))
        .or_else(|| on_memory(name, prepared));
    match (answer, attacked) {
        (Some(answer), _) => answer,
        (None, attacked) if name == "have too many privileges" => attacked.wait(),
        (None, Attacked::Worker(Chosen::IoUring(ring))) => on_ring(name, ring),
        (None, Attacked::Worker(Chosen::Epoll(engine))) => epoll::make(name, engine),
        (None, Attacked::Other(_) | Attacked::Logger(..)) => panic!("no attempt is called {name}"),
    }
}

/// Attempts on files and descriptors.
fn on_files(name: &str, prepared: &Prepared) -> Option<Answer> {
    let open = |path: &[u8], flags: i32| {
        call(libc::SYS_openat, [at_cwd(), address(path), number(flags), 0o600, 0])
    };
    let answer = match name {
        "open a file" => open(PASSWD, 0),
        "read a file of the root" => open(&prepared.path("root/inside"), 0),
        "read a file outside of the root" => open(&prepared.path("outside"), 0),
        "read by a link out of the root" => open(&prepared.path("root/link"), 0),
        "write to a file" => open(&prepared.path("root/inside"), libc::O_WRONLY),
        "make a file" => {
            let path = prepared.path(&format!("root/new-{}", std::process::id()));
            open(&path, libc::O_WRONLY | libc::O_CREAT)
        }
        "make a folder" => {
            let path = prepared.path(&format!("root/folder-{}", std::process::id()));
            call(libc::SYS_mkdirat, [at_cwd(), address(&path), 0o700, 0, 0])
        }
        "remove a file" => {
            let path = prepared.path(&format!("root/of-{}", prepared.parent));
            call(libc::SYS_unlinkat, [at_cwd(), address(&path), 0, 0, 0])
        }
        "change the mode of a file" => {
            let path = prepared.path("outside");
            call(libc::SYS_fchmodat, [at_cwd(), address(&path), 0o644, 0, 0])
        }
        // To a number that nothing has.
        "duplicate a descriptor" => call(libc::SYS_dup3, [2, 1000, number(libc::O_CLOEXEC), 0, 0]),
        "write to standard output" => call(libc::SYS_write, [1, address(b"x"), 1]),
        "make a ring" => {
            let params = [0u64; 15];
            call(libc::SYS_io_uring_setup, [1, params.as_ptr() as usize])
        }
        // Any answer but a filter's is that of a call that was made.
        "enter a ring" => match call(libc::SYS_io_uring_enter, [usize::MAX, 0, 0, 0, 0, 0]) {
            Err(libc::EBADF) => Ok(0),
            answer => answer,
        },
        "read an inherited descriptor" => {
            let mut byte = [0u8];
            let place = byte.as_mut_ptr() as usize;
            call(libc::SYS_read, [number(INHERITED), place, 1, 0, 0])
        }
        "mount" => {
            call(libc::SYS_unshare, [number(libc::CLONE_NEWNS), 0, 0, 0, 0]).and_then(|_| {
                let flags = libc::MS_REC | libc::MS_PRIVATE;
                let flags = flags.try_into().expect("flags are small");
                call(libc::SYS_mount, [0, address(b"/\0"), 0, flags, 0])
            })
        }
        _ => return None,
    };
    Some(answer.map(drop))
}

/// Attempts on processes and privileges.
fn on_processes(name: &str, prepared: &Prepared) -> Option<Answer> {
    let fork = |flags: i32| match call(libc::SYS_clone, [number(flags), 0, 0, 0, 0]) {
        Ok(0) => std::process::exit(0),
        outcome => outcome,
    };
    let answer = match name {
        "trace the parent" => {
            let seize = number(libc::PTRACE_SEIZE.cast_signed());
            call(libc::SYS_ptrace, [seize, prepared.parent, 0, 0, 0])
        }
        // Signal 0 checks the permission only.
        "kill the parent" => call(libc::SYS_kill, [prepared.parent, 0, 0, 0, 0]),
        "start a program" => {
            let argv = [address(PROGRAM), 0];
            let argv = argv.as_ptr() as usize;
            call(libc::SYS_execve, [address(PROGRAM), argv, argv + size_of::<usize>(), 0, 0])
        }
        "fork" => fork(libc::SIGCHLD),
        "fork into another namespace" => fork(libc::SIGCHLD | libc::CLONE_NEWUSER),
        "read the clock of another process" => {
            let mut time = [0u64; 2];
            // The clock of the parent's CPU time (clock_getcpuclockid(3)): its inverted ID.
            let clock = !prepared.parent << 3 | 2;
            call(libc::SYS_clock_gettime, [clock, time.as_mut_ptr() as usize, 0, 0, 0])
        }
        "become root" => call(libc::SYS_setresuid, [0; 5]),
        "read a secret of the environment" => return Some(prepared.read_secret()),
        "abort" => std::process::abort(),
        _ => return None,
    };
    Some(answer.map(drop))
}

/// Attempts on memory.
fn on_memory(name: &str, prepared: &Prepared) -> Option<Answer> {
    let executable = libc::PROT_READ | libc::PROT_EXEC;
    let writable = libc::PROT_READ | libc::PROT_WRITE;
    let protect = |place: usize, bytes: usize, protection: i32| {
        call(libc::SYS_mprotect, [place, bytes, number(protection), 0, 0])
    };
    let answer = match name {
        "map executable memory" => map(executable),
        "make memory executable" => {
            map(writable).and_then(|place| protect(place, 4096, executable))
        }
        "make memory to share" => call(libc::SYS_memfd_create, [address(b"x\0"), 0, 0, 0, 0]),
        "write to the page of another worker" => return Some(prepared.write_behind_own_page()),
        "make the whole scoreboard writable" => protect(start(&prepared.all), 3 * 4096, writable),
        "open the scoreboard again" => return Some(prepared.open_scoreboard()),
        _ => return None,
    };
    Some(answer.map(drop))
}

/// Attempts with the ring of a worker.
fn on_ring(name: &str, ring: &mut Uring) -> Answer {
    match name {
        "register a personality with the ring" => {
            let fd = number(ring.as_fd().as_raw_fd());
            call(libc::SYS_io_uring_register, [fd, REGISTER_PERSONALITY, 0, 0, 0]).map(drop)
        }
        "enter the ring with another flag" => {
            let fd = number(ring.as_fd().as_raw_fd());
            call(libc::SYS_io_uring_enter, [fd, 0, 0, ENTER_SQ_WAKEUP, 0]).map(drop)
        }
        by_ring => by_ring::make(by_ring, ring),
    }
}

/// Attempts by entries of the ring, which release builds can't submit.
#[cfg(not(debug_assertions))]
mod by_ring {
    pub(super) fn make(name: &str, _: &mut super::Uring) -> super::Answer {
        panic!("no attempt is called {name}")
    }
}

#[cfg(debug_assertions)]
mod by_ring {
    use super::{Answer, INHERITED, PASSWD, Uring};
    use crate::sockets::target;
    use io_uring::opcode;
    use io_uring::squeue::Entry;
    use io_uring::types::{DestinationSlot, Fd, Fixed, OpenHow};
    use std::os::fd::AsRawFd;

    pub(super) fn make(name: &str, ring: &mut Uring) -> Answer {
        match name {
            "open a file by the ring" => {
                let how = OpenHow::new();
                let here = Fd(libc::AT_FDCWD);
                submit(
                    ring,
                    &opcode::OpenAt2::new(here, PASSWD.as_ptr().cast(), &raw const how).build(),
                )
            }
            "make a socket by the ring" => submit(ring, &socket().build()),
            "connect by the ring" => {
                let to = target(ring.listeners());
                let slot = DestinationSlot::try_from_slot_target(5).expect("it's small");
                submit(ring, &socket().file_index(Some(slot)).build())?;
                let len = to.len().try_into().expect("it's small");
                submit(ring, &opcode::Connect::new(Fixed(5), to.as_ptr().cast(), len).build())
            }
            "connect by fast open by the ring" => fast_open(ring),
            "shut a listener down by the ring" => {
                let fd = Fd(ring.listeners()[1].socket().as_raw_fd());
                submit(ring, &opcode::Shutdown::new(fd, libc::SHUT_RDWR).build())
            }
            "poll an inherited descriptor by the ring" => {
                submit(ring, &opcode::PollAdd::new(Fd(INHERITED), libc::POLLIN as u32).build())
            }
            "pass a descriptor by the ring" => {
                // The kernel checks the restriction before the null pointer.
                let nothing = std::ptr::null();
                match submit(ring, &opcode::SendMsg::new(Fd(2), nothing).build()) {
                    Err(libc::EACCES) => Err(libc::EACCES),
                    _ => Ok(()),
                }
            }
            "read an inherited descriptor by the ring" => {
                let mut byte = [0u8];
                submit(ring, &opcode::Read::new(Fd(INHERITED), byte.as_mut_ptr(), 1).build())
            }
            _ => panic!("no attempt is called {name}"),
        }
    }

    /// Turns a listener into a connecting socket and sends by it to another listener.
    fn fast_open(ring: &mut Uring) -> Answer {
        let to = target(ring.listeners());
        let fd = Fd(ring.listeners()[1].socket().as_raw_fd());
        submit(ring, &opcode::Shutdown::new(fd, libc::SHUT_RDWR).build())?;
        let len = to.len().try_into().expect("it's small");
        let open = opcode::Send::new(fd, b"x".as_ptr(), 1)
            .flags(libc::MSG_FASTOPEN)
            .dest_addr(to.as_ptr().cast())
            .dest_addr_len(len);
        match submit(ring, &open.build()) {
            Ok(()) | Err(libc::EINPROGRESS) => {}
            refused => return refused,
        }
        // Over loopback, the answer has arrived by now.
        submit(ring, &opcode::Send::new(fd, b"x".as_ptr(), 1).flags(libc::MSG_DONTWAIT).build())
    }

    fn socket() -> opcode::Socket {
        opcode::Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0)
    }

    fn submit(ring: &mut Uring, entry: &Entry) -> Answer {
        // SAFETY: the memory that the entries above point to is valid until this returns.
        let answer = unsafe { ring.submit_raw(entry.clone()) };
        if answer < 0 { Err(-answer) } else { Ok(()) }
    }
}

/// The privileges of the process, seen from outside; success means too many.
pub(crate) fn from_outside(process: u32, kind: ProcessKind) -> Outcome {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it lives");
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("it's there");
        line.trim_start_matches(':').trim().to_owned()
    };
    let is_supervisor = kind == ProcessKind::Supervisor;
    // CAP_SETGID, CAP_SETUID and CAP_SETPCAP for loaders, and CAP_KILL (linux/capability.h).
    let (of_children, of_itself) =
        if is_supervisor { (1 << 6 | 1 << 7 | 1 << 8, 1 << 5) } else { (0, 0) };
    let is_within = |set: &str, most: u64| {
        let bits = u64::from_str_radix(&value(set), 16).expect("it's hexadecimal");
        bits & !most == 0
    };
    let is_capable = !(is_within("CapInh", 0)
        && is_within("CapAmb", 0)
        && is_within("CapBnd", of_children)
        && is_within("CapPrm", of_children | of_itself)
        && is_within("CapEff", of_children | of_itself));
    // Files of a process that is not dumpable belong to root (proc(5)).
    let owner = std::fs::metadata(format!("/proc/{process}/environ")).expect("it lives").uid();
    let may_gain = value("NoNewPrivs") != "1";
    let is_root = user_of(process) == 0 && !is_supervisor;
    if is_root || is_capable || may_gain || owner != 0 {
        Outcome::Succeeded
    } else {
        Outcome::Refused(libc::EPERM)
    }
}

/// The effective user of a process.
pub(crate) fn user_of(process: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("it's there");
    line.split_whitespace().nth(1).expect("the second of four").parse().expect("a number")
}

/// Maps a page of its own.
fn map(protection: i32) -> Result<usize, i32> {
    let flags = number(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    call(libc::SYS_mmap, [0, 4096, number(protection), flags, usize::MAX])
}

fn at_cwd() -> usize {
    number(libc::AT_FDCWD)
}

const PASSWD: &[u8] = b"/etc/passwd\0";
const PROGRAM: &[u8] = b"/bin/true\0";
/// `IORING_ENTER_SQ_WAKEUP` of `linux/io_uring.h`, which has no effect on this ring.
const ENTER_SQ_WAKEUP: usize = 1 << 1;
/// `IORING_REGISTER_PERSONALITY` of `linux/io_uring.h`.
const REGISTER_PERSONALITY: usize = 9;
