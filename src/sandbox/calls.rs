//! The system calls that a serving process may make, each with the conditions on its arguments and
//! its purpose. Any other call kills the process.

use crate::os::seccomp::{Call, Condition};
use std::ffi::c_long;
use std::os::fd::RawFd;

/// The calls that a process, given by its ID, may make: those of its engine, and those that every
/// server makes.
#[must_use]
pub fn allowed(process: u32, of_engine: Vec<Call>) -> Vec<Call> {
    [of_engine, work(), memory(), crash(process)].concat()
}

/// The descriptors of a logger, by their numbers, which stay the same while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggerDescriptors {
    /// The channel to the supervisor, by which a new output comes.
    pub channel: RawFd,
    /// The output.
    pub output: RawFd,
}

/// The calls that a logger, given by its process ID, may make.
#[must_use]
pub fn of_logger(process: u32, descriptors: LoggerDescriptors) -> Vec<Call> {
    let number = |fd: RawFd| u64::try_from(fd).expect("an open descriptor isn't negative");
    let (channel, output) = (number(descriptors.channel), number(descriptors.output));
    let cloexec = u64::from(libc::O_CLOEXEC.unsigned_abs());
    let logging = vec![
        call(
            libc::SYS_write,
            "write",
            vec![equals(0, output, "the output")],
            "writes the lines of the log",
        ),
        call(
            libc::SYS_recvmsg,
            "recvmsg",
            vec![equals(0, channel, "the channel to the supervisor")],
            "receives a new output, which the supervisor has opened",
        ),
        call(
            libc::SYS_dup3,
            "dup3",
            vec![equals(1, output, "to the output"), equals(2, cloexec, "flag CLOEXEC")],
            "puts a new output in the place of the old one",
        ),
        call(libc::SYS_close, "close", vec![], "closes the descriptor of an output"),
        call(
            libc::SYS_fcntl,
            "fcntl",
            vec![equals(1, libc::F_GETFD.unsigned_abs().into(), "F_GETFD")],
            "std checks in debug builds that a descriptor is open before it closes it",
        ),
        call(libc::SYS_clock_nanosleep, "clock_nanosleep", vec![], PAUSE),
        call(
            libc::SYS_ppoll,
            "ppoll",
            vec![
                Condition::no_bits_but(1, 3, "up to three descriptors"),
                Condition::zero(3, "no signal mask"),
            ],
            PAUSE,
        ),
    ];
    [logging, work(), memory(), crash(process)].concat()
}

/// The calls for serving and ending, whatever the engine.
fn work() -> Vec<Call> {
    vec![
        call(
            libc::SYS_clock_gettime,
            "clock_gettime",
            vec![Condition::no_bits_but(0, 1, "real and monotonic time")],
            "reads the clocks on machines whose vDSO doesn't provide them",
        ),
        call(
            libc::SYS_write,
            "write",
            vec![equals(0, STDERR, "standard error")],
            "writes the ready line, the final counters and the message of a panic",
        ),
        call(
            libc::SYS_ppoll,
            "ppoll",
            vec![equals(1, 1, "one descriptor"), Condition::zero(3, "no signal mask")],
            "checks that a message can be written without waiting for its reader",
        ),
        call(libc::SYS_exit_group, "exit_group", vec![], "ends the process"),
    ]
}

fn memory() -> Vec<Call> {
    let not_executable = || none_of(2, libc::PROT_EXEC, "not executable");
    let no_file = all_of(3, libc::MAP_ANONYMOUS, "no file");
    vec![
        call(libc::SYS_mmap, "mmap", vec![not_executable(), no_file], ALLOCATOR),
        call(
            libc::SYS_mprotect,
            "mprotect",
            vec![not_executable()],
            "musl's allocator makes reserved memory accessible",
        ),
        call(libc::SYS_munmap, "munmap", vec![], ALLOCATOR),
        call(libc::SYS_madvise, "madvise", vec![], ALLOCATOR),
        call(libc::SYS_brk, "brk", vec![], ALLOCATOR),
    ]
}

/// The calls for ending by the same signal as a process without a filter.
fn crash(process: u32) -> Vec<Call> {
    let itself = || equals(0, u64::from(process), "itself");
    let abort = |argument| equals(argument, libc::SIGABRT.unsigned_abs().into(), "SIGABRT");
    let of_signal = |signal: i32, words| equals(0, signal.unsigned_abs().into(), words);
    vec![
        call(
            libc::SYS_rt_sigreturn,
            "rt_sigreturn",
            vec![],
            "returns from std's SIGSEGV handler, which reports stack overflows",
        ),
        call(
            libc::SYS_rt_sigaction,
            "rt_sigaction",
            vec![of_signal(libc::SIGSEGV, "SIGSEGV")],
            CRASH,
        ),
        call(
            libc::SYS_rt_sigaction,
            "rt_sigaction",
            vec![of_signal(libc::SIGBUS, "SIGBUS")],
            CRASH,
        ),
        call(
            libc::SYS_rt_sigprocmask,
            "rt_sigprocmask",
            vec![],
            "unblocks SIGTERM and SIGINT, so that a second one ends the process; abort(3)",
        ),
        call(libc::SYS_getpid, "getpid", vec![], ABORT),
        call(libc::SYS_gettid, "gettid", vec![], ABORT),
        call(libc::SYS_tgkill, "tgkill", vec![itself(), abort(2)], ABORT),
        // musl uses tkill. The ID of the only thread is that of the process.
        call(libc::SYS_tkill, "tkill", vec![itself(), abort(1)], ABORT),
    ]
}

/// The names of the calls, in the order of the list.
#[must_use]
pub fn names(calls: &[Call]) -> Vec<&'static str> {
    calls.iter().map(|call| call.name).collect()
}

fn call(number: c_long, name: &'static str, only: Vec<Condition>, why: &'static str) -> Call {
    Call { number, name, only, why }
}

fn equals(argument: u8, value: u64, words: &'static str) -> Condition {
    Condition::equals(argument, value, words)
}

fn none_of(argument: u8, bits: i32, words: &'static str) -> Condition {
    Condition { argument, mask: u64::from(bits.unsigned_abs()), value: 0, words }
}

fn all_of(argument: u8, bits: i32, words: &'static str) -> Condition {
    let bits = u64::from(bits.unsigned_abs());
    Condition { argument, mask: bits, value: bits, words }
}

const PAUSE: &str = "waits for new records, for the channel and for the reader of the output";
const CRASH: &str = "std's SIGSEGV handler restores the default action for faults that are not \
                     stack overflows";
const STDERR: u64 = 2;
const ALLOCATOR: &str = "the allocator: serving allocates nothing, but if it did, it must not kill";
const ABORT: &str = "a failed assertion ends the process by SIGABRT (abort(3))";
