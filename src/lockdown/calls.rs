//! The system calls that a serving process may make, each with what its arguments have to be and
//! why it is needed. Anything else kills it.

use crate::sys::seccomp::{Call, Condition};
use std::ffi::c_long;

/// The calls that are allowed for the process of this number.
#[must_use]
pub fn allowed(process: u32) -> Vec<Call> {
    vec![
        call(
            libc::SYS_io_uring_enter,
            "io_uring_enter",
            vec![none_but(3, ENTER_FLAGS, "flags: GETEVENTS, EXT_ARG, REGISTERED_RING")],
            "submits operations and waits for completions: all of the work",
        ),
        call(
            libc::SYS_write,
            "write",
            vec![equals(0, STDERR, "standard error")],
            "says that it is ready, what it served, and what an assertion found",
        ),
        call(libc::SYS_exit_group, "exit_group", vec![], "ends"),
        call(
            libc::SYS_mmap,
            "mmap",
            vec![
                none_of(2, libc::PROT_EXEC, "not executable"),
                all_of(3, libc::MAP_ANONYMOUS, "no file"),
            ],
            ALLOCATOR,
        ),
        call(
            libc::SYS_mprotect,
            "mprotect",
            vec![none_of(2, libc::PROT_EXEC, "not executable")],
            "musl's allocator opens memory that it reserved before",
        ),
        call(libc::SYS_mremap, "mremap", vec![], ALLOCATOR),
        call(libc::SYS_munmap, "munmap", vec![], ALLOCATOR),
        call(libc::SYS_madvise, "madvise", vec![], ALLOCATOR),
        call(libc::SYS_brk, "brk", vec![], ALLOCATOR),
        call(
            libc::SYS_clock_gettime,
            "clock_gettime",
            vec![],
            "reads the clocks on machines whose vDSO can't",
        ),
        call(
            libc::SYS_rt_sigreturn,
            "rt_sigreturn",
            vec![],
            "comes back from the handler that tells of a stack overflow",
        ),
        call(
            libc::SYS_sigaltstack,
            "sigaltstack",
            vec![],
            "takes down that handler's stack at the end",
        ),
        call(libc::SYS_rt_sigprocmask, "rt_sigprocmask", vec![], ABORT),
        call(libc::SYS_getpid, "getpid", vec![], ABORT),
        call(libc::SYS_gettid, "gettid", vec![], ABORT),
        call(
            libc::SYS_tgkill,
            "tgkill",
            vec![
                equals(0, u64::from(process), "itself"),
                equals(2, libc::SIGABRT.unsigned_abs().into(), "SIGABRT"),
            ],
            ABORT,
        ),
    ]
}

/// Their names.
#[must_use]
pub fn names(calls: &[Call]) -> Vec<&'static str> {
    calls.iter().map(|call| call.name).collect()
}

fn call(number: c_long, name: &'static str, only: Vec<Condition>, why: &'static str) -> Call {
    Call { number, name, only, why }
}

/// The upper half is not looked at where the kernel takes an int.
const INT: u64 = 0xffff_ffff;

fn equals(argument: u8, value: u64, words: &'static str) -> Condition {
    Condition { argument, mask: INT, value, words }
}

fn none_but(argument: u8, bits: u32, words: &'static str) -> Condition {
    Condition { argument, mask: INT & !u64::from(bits), value: 0, words }
}

fn none_of(argument: u8, bits: i32, words: &'static str) -> Condition {
    Condition { argument, mask: u64::from(bits.unsigned_abs()), value: 0, words }
}

fn all_of(argument: u8, bits: i32, words: &'static str) -> Condition {
    let bits = u64::from(bits.unsigned_abs());
    Condition { argument, mask: bits, value: bits, words }
}

/// `IORING_ENTER_GETEVENTS`, `_EXT_ARG` and `_REGISTERED_RING` of `linux/io_uring.h`.
const ENTER_FLAGS: u32 = 1 | 1 << 3 | 1 << 4;
const STDERR: u64 = 2;
const ALLOCATOR: &str = "the allocator: nothing grows once it is warm, but if so, it must not kill";
const ABORT: &str = "an assertion that fails ends the process by SIGABRT, as anywhere (abort(3))";
